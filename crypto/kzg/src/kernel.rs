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

use crate::parallel::*;

use crate::curve::{self, G1Affine, POINT_BYTES, PointError};
use crate::field::Fr;

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
    fn fft(&self, values: &mut [Fr]);

    /// The inverse of [`Kernel::fft`].
    fn inverse_fft(&self, values: &mut [Fr]);

    /// [`Kernel::fft`] of several columns side by side: entry i of column j is `values[i * columns + j]`.
    fn fft_columns(&self, values: &mut [Fr], columns: usize);

    /// The inverse of [`Kernel::fft_columns`], times the length of a column.
    fn inverse_fft_columns(&self, values: &mut [Fr], columns: usize);

    /// [`Kernel::fft`] of rows of `size`, one behind the other.
    fn fft_rows(&self, values: &mut [Fr], size: usize);

    /// The inverse of [`Kernel::fft_rows`], times the length of a row.
    fn inverse_fft_rows(&self, values: &mut [Fr], size: usize);

    /// `values[i] *= factors[i]`, values in raw form or not.
    fn multiply(&self, values: &mut [Fr], factors: &[Fr]);

    /// Extends a row: `row` holds 4096 canonical elements, evaluations on the 4096th roots of unity in bit-reversed
    /// order; `parity` gets the rest of the evaluations on the `4096 × blowup`-th roots, also bit-reversed.
    fn extend(&self, blowup: usize, row: &[u8], parity: &mut [u8]);

    /// `sums[i] += Σ weight · elements[i]` over the terms; the elements are canonical bytes, of at least as many as there are
    /// sums, and the sums are in raw form ([`crate::field::raw_from_be`]).
    fn add_weighted(&self, sums: &mut [Fr], terms: &[(&[u8], Fr)]);

    /// Decodes compressed points: each is a point of the group, infinity included, or says why not.
    fn decompress(&self, encodings: &[[u8; POINT_BYTES]]) -> Vec<Result<G1Affine, PointError>>;

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

/// Compressed points handed to a thread at a time.
const POINTS_A_PART: usize = 16;

/// Decodes compressed points by the kernel in use, on all threads of the current rayon pool. Points are checked to be on the
/// curve, and a refusal is that of `blst`, too: nobody is blamed for a fault of the kernel.
///
/// # Errors
///
/// The index of the first that is no point of the group, and what is wrong with it.
pub(crate) fn decompress(
    encodings: &[[u8; POINT_BYTES]],
) -> Result<Vec<G1Affine>, (usize, PointError)> {
    checked(
        "decompress",
        |kernel| {
            let decoded: Vec<_> = encodings
                .par_chunks(POINTS_A_PART)
                .flat_map_iter(|part| kernel.decompress(part))
                .collect();
            let indexed = decoded.into_iter().enumerate();
            indexed
                .map(|(index, one)| one.map_err(|error| (index, error)))
                .collect()
        },
        |result: &Result<Vec<G1Affine>, _>| match result {
            Ok(points) => points.iter().all(G1Affine::is_on_curve),
            Err((index, error)) => curve::decompress(&encodings[*index]) == Err(*error),
        },
    )
}

#[cfg(test)]
mod tests;
