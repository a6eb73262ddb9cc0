//! The arithmetic that takes the time, behind one trait.
//!
//! Everything else in the crate speaks to [`active`]; a faster kernel for some processor is one more implementation of
//! [`Kernel`] in this folder and one more line in [`KERNELS`], and has to give the same bytes.
//!
//! Nothing here is secret, so nothing here is constant-time.

mod base_field;
mod batch_affine;
#[cfg(any(test, feature = "differential"))]
pub mod differential;
mod fft;
mod forged;
mod g1_fft;
mod ifma;
mod msm;
mod points;
mod portable;
mod scalar_fft;
mod selection;
mod self_check;
mod sha256;

use crate::curve::G1Affine;
use crate::field::Scalar;

pub use fft::MAX_BLOWUP;
pub(crate) use fft::{bit_reverse, invert, root_of_unity};
pub(crate) use points::FixedBases;
pub use selection::{KernelError, KernelStatus, kernel_status, kernels, use_kernel};
pub(crate) use selection::{PerKernel, active, checked};
pub use self_check::KernelDisagreement;
pub(crate) use sha256::hash_each;

/// An integer below the group order, little-endian limbs: what a multi-scalar multiplication reads.
pub(crate) type Integer = [u64; 4];

/// One implementation of the arithmetic.
///
/// Lengths are powers of two up to 2¹⁸ where an FFT is meant; callers guarantee that, inputs from outside never
/// decide it.
pub(crate) trait Kernel: Send + Sync {
    /// What [`use_kernel`] and benchmarks call it.
    fn name(&self) -> &'static str;

    /// Whether this processor has the instructions.
    fn runs_here(&self) -> bool {
        true
    }

    /// Coefficients in order → evaluations on the roots of unity in bit-reversed order.
    fn fft(&self, values: &mut [Scalar]);

    /// The inverse of [`Kernel::fft`].
    fn inverse_fft(&self, values: &mut [Scalar]);

    /// [`Kernel::fft`] of several columns side by side: entry i of column j is `values[i * columns + j]`.
    fn fft_columns(&self, values: &mut [Scalar], columns: usize);

    /// The inverse of [`Kernel::fft_columns`], times the length of a column.
    fn inverse_fft_columns(&self, values: &mut [Scalar], columns: usize);

    /// [`Kernel::fft`] of rows of `size`, one behind the other.
    fn fft_rows(&self, values: &mut [Scalar], size: usize);

    /// The inverse of [`Kernel::fft_rows`], times the length of a row.
    fn inverse_fft_rows(&self, values: &mut [Scalar], size: usize);

    /// `values[i] *= factors[i]`, values in raw form or not.
    fn multiply(&self, values: &mut [Scalar], factors: &[Scalar]);

    /// Extends a row: `row` holds 4096 canonical elements, evaluations on the 4096th roots of unity in bit-reversed
    /// order; `parity` gets the rest of the evaluations on the `4096 × blowup`-th roots, also bit-reversed.
    fn extend(&self, blowup: usize, row: &[u8], parity: &mut [u8]);

    /// `sums[i] += weight · elements[i]`; the elements are canonical bytes, the sums in raw form
    /// ([`crate::field::raw_from_be`]).
    fn add_scaled(&self, sums: &mut [Scalar], weight: &Scalar, elements: &[u8]);

    /// Precomputes multiples of bases that never change, groups of `group` one behind the other, in about `budget` bytes:
    /// less memory makes what they are used for slower.
    fn fixed_bases(&self, bases: &[G1Affine], group: usize, budget: usize) -> Box<dyn FixedBases>;

    /// `Σ scalars[i] · points[i]`.
    fn msm(&self, points: &[G1Affine], scalars: &[Integer]) -> G1Affine;

    /// Group elements instead of coefficients, otherwise like [`Kernel::fft`]; `points` are the first coefficients,
    /// the rest up to `size` is zero.
    fn g1_fft(&self, points: &[G1Affine], size: usize) -> Vec<G1Affine>;

    /// The inverse of [`Kernel::g1_fft`] over all points, without the division by their number.
    fn g1_inverse_fft(&self, points: Vec<G1Affine>) -> Vec<G1Affine>;
}

/// All kernels, the fastest first.
static KERNELS: &[&dyn Kernel] = &[
    #[cfg(target_arch = "x86_64")]
    &ifma::Ifma::<ifma::Avx512>::new(),
    &portable::Portable,
    &ifma::Ifma::<ifma::Emulated>::new(),
];

/// `Σ scalars[i] · points[i]` by the kernel in use, checked to be on the curve.
pub(crate) fn msm(points: &[G1Affine], scalars: &[Integer]) -> G1Affine {
    checked(
        "msm",
        |kernel| kernel.msm(points, scalars),
        G1Affine::is_on_curve,
    )
}

#[cfg(test)]
mod tests;
