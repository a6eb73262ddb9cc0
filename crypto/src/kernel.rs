//! The arithmetic that the time goes into, behind one trait.
//!
//! Everything else in the crate speaks to [`active`]; a faster kernel for some CPU is one more implementation of
//! [`Kernel`] in this folder and one more line in [`active`], and has to give the same bytes.
//!
//! Nothing here is secret, so nothing here is constant-time.

mod base_field;
mod batch_affine;
mod fft;
mod g1_fft;
mod msm;
mod portable;

use crate::curve::G1Affine;
use crate::field::Scalar;

pub(crate) use fft::{bit_reverse, root_of_unity};
pub(crate) use msm::FixedBases;

/// An integer below the group order, little-endian limbs: what a multi-scalar multiplication reads.
pub(crate) type Integer = [u64; 4];

/// One implementation of the arithmetic.
///
/// Lengths are powers of two up to 2¹⁸ where an FFT is meant; callers guarantee that, inputs from outside never
/// decide it.
pub(crate) trait Kernel: Send + Sync {
    /// What `ASHLAR_KERNEL` and benchmarks call it.
    #[allow(dead_code)]
    fn name(&self) -> &'static str;

    /// Coefficients in order → evaluations on the roots of unity in bit-reversed order.
    fn fft(&self, values: &mut [Scalar]);

    /// The inverse of [`Kernel::fft`].
    fn inverse_fft(&self, values: &mut [Scalar]);

    /// Extends a row: `row` holds 4096 canonical elements, evaluations on the 4096th roots of unity in bit-reversed
    /// order; `parity` gets the rest of the evaluations on the `4096 × blowup`-th roots, also bit-reversed.
    fn extend(&self, blowup: usize, row: &[u8], parity: &mut [u8]);

    /// `sums[i] += weight · elements[i]`; the elements are canonical bytes, the sums in raw form
    /// ([`crate::field::raw_from_be`]).
    fn add_scaled(&self, sums: &mut [Scalar], weight: &Scalar, elements: &[u8]);

    /// `Σ scalars[i] · bases[i]` over precomputed bases; fewer scalars than bases are allowed.
    fn msm_fixed(&self, bases: &FixedBases, scalars: &[Integer]) -> G1Affine;

    /// `Σ scalars[i] · points[i]`.
    fn msm(&self, points: &[G1Affine], scalars: &[Integer]) -> G1Affine;

    /// Group elements instead of coefficients, otherwise like [`Kernel::fft`]; `points` are the first coefficients,
    /// the rest up to `size` is zero.
    fn g1_fft(&self, points: &[G1Affine], size: usize) -> Vec<G1Affine>;

    /// The inverse of [`Kernel::g1_fft`] over all points, without the division by their number.
    fn g1_inverse_fft(&self, points: Vec<G1Affine>) -> Vec<G1Affine>;
}

/// The kernel in use.
pub(crate) fn active() -> &'static dyn Kernel {
    &portable::Portable
}

#[cfg(test)]
mod tests;
