//! The universal verification equation (Feist, ethresear.ch 13240): any number of cell proofs, one pairing check.

use ark_ff::{Field, One, Zero};
use rayon::prelude::*;

use crate::curve::{self, G1Affine};
use crate::field::{Scalar, from_raw, integer};
use crate::kernel;
use crate::{Code, Setup};

/// A proof with its weight in the check.
pub(crate) struct WeightedProof<'a> {
    pub(crate) index: u32,
    pub(crate) proof: &'a G1Affine,
    pub(crate) weight: Scalar,
}

/// A coset with the weighted sum of all values claimed on it, in raw form.
pub(crate) struct WeightedValues {
    pub(crate) index: u32,
    pub(crate) values: Vec<Scalar>,
}

/// Checks `e(Σ ρ π, [τ^l]₂) = e(Σ ρ C − [Σ ρ I(τ)]₁ + Σ ρ h^l π, [1]₂)`, where `commitments` with `commitment_weights`
/// make Σ ρ C, and I interpolates the values on each coset.
pub(crate) fn check(
    setup: &Setup,
    code: Code,
    commitments: &[G1Affine],
    commitment_weights: &[Scalar],
    values: Vec<WeightedValues>,
    proofs: &[WeightedProof<'_>],
) -> bool {
    let kernel = kernel::active();
    let cell_len = code.cell_len();
    // Σ ρ I as coefficients: an inverse transform a coset, then its shift taken out.
    let interpolation = values
        .into_par_iter()
        .map(|WeightedValues { index, mut values }| {
            kernel.inverse_fft(&mut values);
            let unshift = kernel::invert(&code.coset_shift(index));
            let mut power = Scalar::one();
            for value in &mut values {
                *value *= power;
                power *= unshift;
            }
            values
        })
        .reduce(
            || vec![Scalar::zero(); cell_len],
            |a, b| a.iter().zip(&b).map(|(a, b)| *a + b).collect(),
        );

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

    let (left, right) = rayon::join(
        || kernel::msm(&points, &weights),
        || kernel::msm(&right_points, &right_scalars),
    );
    curve::pairings_equal(&left, setup.g2_power(cell_len), &right, setup.g2_power(0))
}
