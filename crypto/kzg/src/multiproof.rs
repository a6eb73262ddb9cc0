//! The universal verification equation (Feist, ethresear.ch 13240): any number of cell proofs, one pairing check.

use crate::parallel::*;
use ark_ff::{Field, Zero};

use crate::curve::{self, G1Affine};
use crate::field::{Fr, from_raw, integer};
use crate::kernel;
use crate::{Code, Setup};

/// A proof with its weight in the check.
pub(crate) struct WeightedProof<'a> {
    pub(crate) index: u32,
    pub(crate) proof: &'a G1Affine,
    pub(crate) weight: Fr,
}

/// The values claimed on a coset, in raw form, with their weight in the check.
pub(crate) struct WeightedValues<'a> {
    pub(crate) index: u32,
    pub(crate) values: &'a [Fr],
    pub(crate) weight: Fr,
}

/// Cosets interpolated at a time: a multiple of what a kernel has lanes, 128 KiB of values.
const COSETS: usize = 64;

/// Checks `e(Σ ρ π, [τ^l]₂) = e(Σ ρ C − [Σ ρ I(τ)]₁ + Σ ρ h^l π, [1]₂)`, where `commitments` with `commitment_weights`
/// make Σ ρ C, and I interpolates the values on each coset.
pub(crate) fn check(
    setup: &Setup,
    code: Code,
    commitments: &[G1Affine],
    commitment_weights: &[Fr],
    values: &[WeightedValues<'_>],
    proofs: &[WeightedProof<'_>],
) -> bool {
    let cell_len = code.cell_len();
    let parts: Vec<_> = values
        .par_chunks(COSETS)
        .map(|part| interpolate(code, part))
        .collect();
    let interpolation = parts.iter().fold(vec![Fr::zero(); cell_len], |sums, part| {
        sums.iter().zip(part).map(|(sum, own)| *sum + own).collect()
    });

    let points: Vec<_> = proofs.iter().map(|proof| *proof.proof).collect();
    let weights: Vec<_> = proofs.iter().map(|proof| integer(&proof.weight)).collect();
    let shifted = proofs.iter().map(|proof| {
        integer(&(proof.weight * code.coset_shift(proof.index).pow([cell_len as u64])))
    });

    let mut right_points = commitments.to_vec();
    right_points.extend_from_slice(&setup.monomial()[..cell_len]);
    right_points.extend_from_slice(&points);
    let mut right_scalars: Vec<_> = commitment_weights.iter().map(integer).collect();
    right_scalars.extend(
        interpolation
            .iter()
            .map(|coefficient| integer(&-from_raw(coefficient))),
    );
    right_scalars.extend(shifted);

    let (left, right) = join(
        || kernel::msm(&points, &weights),
        || kernel::msm(&right_points, &right_scalars),
    );
    curve::pairings_equal(&left, setup.g2_power(cell_len), &right, setup.g2_power(0))
}

/// Σ ρ I as coefficients, in raw form: inverse transforms of all cosets side by side, then from each its weight and its
/// shift to the power of the coefficient's position.
fn interpolate(code: Code, cosets: &[WeightedValues<'_>]) -> Vec<Fr> {
    const LANES: usize = 8;
    let kernel = kernel::active();
    let columns = cosets.len().next_multiple_of(LANES);
    let mut table = vec![Fr::zero(); code.cell_len() * columns];
    for (column, coset) in cosets.iter().enumerate() {
        for (row, value) in table.chunks_exact_mut(columns).zip(coset.values) {
            row[column] = *value;
        }
    }
    kernel.inverse_fft_columns(&mut table, columns);
    let scale = kernel::invert(&Fr::from(code.cell_len() as u64));
    let mut factors: Vec<_> = cosets.iter().map(|coset| coset.weight * scale).collect();
    let mut unshifts: Vec<_> = cosets
        .iter()
        .map(|coset| code.coset_unshift(coset.index))
        .collect();
    factors.resize(columns, Fr::zero());
    unshifts.resize(columns, Fr::zero());
    let rows = table.chunks_exact_mut(columns);
    rows.map(|row| {
        kernel.multiply(row, &factors);
        kernel.multiply(&mut factors, &unshifts);
        row.iter().sum()
    })
    .collect()
}
