//! All multi-proofs of one polynomial at once (Feist, Khovratovich, "Fast amortized KZG proofs", eprint 2023/033).
//!
//! With cells of l elements and n = 4096 coefficients, the proof of the cell on the coset with X^l = z is the
//! commitment to the quotient of f by X^l − z, and as a function of z it is a polynomial with m = n / l coefficients
//! in the group:
//!
//! ```text
//! h_i = Σ_{j ≥ (i+1)·l} f_j · [τ^{j − (i+1)·l}]₁        π(z) = Σ_i h_i z^i
//! ```
//!
//! For each residue of j modulo l the sum over the rest is a correlation, hence a product in the Fourier domain of
//! size 2m: 2m multi-scalar multiplications of l bases that depend on the setup only. One inverse transform over the
//! group gives the h_i, one forward transform all proofs, in bit-reversed order like the cells.

use crate::parallel::*;
use ark_ec::CurveGroup;
use ark_ff::{PrimeField, Zero};

use crate::code::MAX_CELL_LEN;
use crate::curve::{G1Affine, G1Projective};
use crate::field::Fr;
use crate::kernel::{self, FixedBases, Kernel, PerKernel};
use crate::tables::table_bytes;
use crate::{Code, ELEMENTS_PER_ROW};

/// The setup in the Fourier domain for each cell length 2⁰ … 2⁶, made when first needed: about a second of CPU and
/// 25 to 45 MB for each length in use.
#[derive(Default)]
pub(crate) struct Fk20Tables {
    by_log: [PerKernel<Box<dyn FixedBases>>; MAX_CELL_LEN.trailing_zeros() as usize + 1],
}

impl Fk20Tables {
    pub(crate) fn get(
        &self,
        kernel: &'static dyn Kernel,
        cell_len: usize,
        monomial: &[G1Affine],
    ) -> &dyn FixedBases {
        let log = cell_len.trailing_zeros() as usize;
        self.by_log[log]
            .get_or_init(kernel, || bases(kernel, 1 << log, monomial))
            .as_ref()
    }
}

/// For each frequency k of 2m, in bit-reversed order, the k-th Fourier coefficients of the l correlated sequences.
fn bases(kernel: &dyn Kernel, cell_len: usize, monomial: &[G1Affine]) -> Box<dyn FixedBases> {
    let blocks = monomial.len() / cell_len;
    let columns: Vec<_> = (0..cell_len)
        .into_par_iter()
        .map(|residue| {
            // Backwards, which turns the correlation into a product; it delays the result by blocks − 1.
            let sequence: Vec<_> = monomial
                .iter()
                .skip(residue)
                .step_by(cell_len)
                .rev()
                .copied()
                .collect();
            kernel.g1_fft(&sequence, 2 * blocks)
        })
        .collect();
    let mut grouped = Vec::with_capacity(2 * monomial.len());
    for frequency in 0..2 * blocks {
        grouped.extend(columns.iter().map(|column| column[frequency]));
    }
    kernel.fixed_bases(&grouped, cell_len, table_bytes())
}

/// The proofs of all cells of the polynomial with these 4096 coefficients, checked to be on the curve.
pub(crate) fn prove(
    tables: &Fk20Tables,
    monomial: &[G1Affine],
    code: Code,
    coefficients: &[Fr],
) -> Vec<G1Affine> {
    kernel::checked(
        "prove",
        |kernel| {
            let bases = tables.get(kernel, code.cell_len(), monomial);
            prove_over(kernel, bases, code, coefficients)
        },
        |proofs| proofs.iter().all(G1Affine::is_on_curve),
    )
}

fn prove_over(
    kernel: &dyn Kernel,
    bases: &dyn FixedBases,
    code: Code,
    coefficients: &[Fr],
) -> Vec<G1Affine> {
    let cell_len = code.cell_len();
    let blocks = ELEMENTS_PER_ROW / cell_len;
    // The inverse transform over the group below does not divide by its size; the scalars do it here.
    let scale = kernel::invert(&Fr::from(2 * blocks as u64));
    let columns: Vec<_> = (0..cell_len)
        .into_par_iter()
        .map(|residue| {
            let mut values: Vec<_> = coefficients
                .iter()
                .skip(residue)
                .step_by(cell_len)
                .skip(1)
                .map(|value| *value * scale)
                .collect();
            values.resize(2 * blocks, Fr::zero());
            kernel.fft(&mut values);
            values
        })
        .collect();
    let scalars: Vec<_> = (0..2 * blocks)
        .flat_map(|frequency| {
            columns
                .iter()
                .map(move |column| column[frequency].into_bigint().0)
        })
        .collect();
    let products = bases.msm_groups(&scalars);
    let quotients = kernel.g1_inverse_fft(G1Projective::normalize_batch(&products));
    kernel.g1_fft(
        &quotients[blocks - 1..2 * blocks - 1],
        code.chunks() as usize,
    )
}

#[cfg(test)]
mod tests;
