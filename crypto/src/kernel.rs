//! The arithmetic that the time goes into, behind one trait.
//!
//! Everything else in the crate speaks to [`active`]; a faster kernel for some processor is one more implementation of
//! [`Kernel`] in this folder and one more line in [`KERNELS`], and has to give the same bytes.
//!
//! Nothing here is secret, so nothing here is constant-time.

mod base_field;
mod batch_affine;
mod fft;
mod g1_fft;
mod ifma;
mod msm;
mod points;
mod portable;
mod scalar_fft;
mod sha256;

use std::sync::OnceLock;

use thiserror::Error;

use crate::curve::G1Affine;
use crate::field::Scalar;
use crate::{BYTES_PER_ROW, Blame, Coded};

pub(crate) use fft::{bit_reverse, root_of_unity};
pub(crate) use points::FixedBases;
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

static ACTIVE: OnceLock<&'static dyn Kernel> = OnceLock::new();

/// The kernel in use: the one that [`use_kernel`] chose, or else the fastest that runs here and agrees with the
/// portable one on a first piece of work.
pub(crate) fn active() -> &'static dyn Kernel {
    *ACTIVE.get_or_init(|| {
        let mut candidates = KERNELS.iter().copied();
        candidates
            .find(|kernel| kernel.runs_here() && agrees(*kernel))
            .unwrap_or(&portable::Portable)
    })
}

/// Why a kernel cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KernelError {
    /// There is none of this name.
    #[error("there is no kernel `{name}`; there are {}", all_names())]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The processor lacks instructions of it.
    #[error("this processor cannot run the kernel `{name}`; `portable` runs everywhere")]
    NotHere {
        /// The kernel.
        name: &'static str,
    },
    /// It computes something else than the portable one: the processor is broken, or we are.
    #[error("the kernel `{name}` computes wrongly on this machine; use `portable`, and report it")]
    Wrong {
        /// The kernel.
        name: &'static str,
    },
    /// Another one is at work already.
    #[error(
        "the kernel `{active}` is in use already; choose `{name}` before the first computation"
    )]
    TooLate {
        /// The one asked for.
        name: &'static str,
        /// The one at work.
        active: &'static str,
    },
}

impl Coded for KernelError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "kernel.unknown",
            Self::NotHere { .. } => "kernel.not_here",
            Self::Wrong { .. } => "kernel.wrong",
            Self::TooLate { .. } => "kernel.too_late",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Unknown { .. } | Self::NotHere { .. } => Blame::Caller,
            Self::Wrong { .. } | Self::TooLate { .. } => Blame::Us,
        }
    }
}

fn all_names() -> String {
    let names: Vec<_> = KERNELS.iter().map(|kernel| kernel.name()).collect();
    names.join(", ")
}

/// Chooses the arithmetic kernel of this process: `portable`; `ifma`, which needs AVX-512 IFMA; `ifma-emulated`, the
/// same code in plain Rust, for tests. Without this call the fastest that runs here is used.
///
/// To be called before anything is computed.
///
/// # Errors
///
/// [`KernelError`]; nothing has changed then.
pub fn use_kernel(name: &str) -> Result<(), KernelError> {
    let kernel = find(name)?;
    let name = kernel.name();
    if !agrees(kernel) {
        return Err(KernelError::Wrong { name });
    }
    let active = ACTIVE.get_or_init(|| kernel).name();
    if active == name {
        Ok(())
    } else {
        Err(KernelError::TooLate { name, active })
    }
}

/// Names of the kernels that this machine can run, the fastest first.
pub fn kernels() -> Vec<&'static str> {
    let here = KERNELS.iter().filter(|kernel| kernel.runs_here());
    here.map(|kernel| kernel.name()).collect()
}

fn find(name: &str) -> Result<&'static dyn Kernel, KernelError> {
    let found = KERNELS.iter().copied().find(|kernel| kernel.name() == name);
    let kernel = found.ok_or_else(|| KernelError::Unknown { name: name.into() })?;
    if kernel.runs_here() {
        Ok(kernel)
    } else {
        Err(KernelError::NotHere {
            name: kernel.name(),
        })
    }
}

/// Whether a kernel gives what the portable one gives, on work that goes through all of its arithmetic: about five
/// milliseconds.
fn agrees(kernel: &dyn Kernel) -> bool {
    let portable: &dyn Kernel = &portable::Portable;
    if kernel.name() == portable.name() {
        return true;
    }
    // Any canonical elements will do: a top byte of 0x71 is below that of the group order.
    let row: Vec<u8> = (0..BYTES_PER_ROW)
        .map(|at| match at % 32 {
            0 => (at / 32 % 0x72) as u8,
            byte => (at / 32 * 167 + byte * 59) as u8,
        })
        .collect();
    let extended = |kernel: &dyn Kernel| {
        let mut parity = vec![0; BYTES_PER_ROW];
        kernel.extend(2, &row, &mut parity);
        parity
    };
    let scalars: Vec<Integer> = (0..32u64)
        .map(|at| {
            let word = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            [word, !word, word.rotate_left(13), word >> 2]
        })
        .collect();
    let multiplied = |kernel: &dyn Kernel| {
        let points = kernel.g1_fft(&[ark_ec::AffineRepr::generator(); 4], 32);
        let sum = kernel.msm(&points, &scalars);
        (points, sum)
    };
    extended(kernel) == extended(portable) && multiplied(kernel) == multiplied(portable)
}

#[cfg(test)]
mod tests;
