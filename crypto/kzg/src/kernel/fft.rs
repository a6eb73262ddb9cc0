//! What the FFTs of all kernels share: roots, shifts, the order.
//!
//! Rows come in bit-reversed order and extensions leave in it. A decimation-in-time inverse takes bit-reversed input to
//! ordered coefficients, a decimation-in-frequency forward transform takes those to bit-reversed output, so no
//! permutation is ever done.

use std::sync::OnceLock;

use ark_ff::{FftField, Field, One};

use crate::ELEMENTS_PER_ROW;
use crate::field::Fr;

/// Largest blow-up of a code: bounds the memory of an extension.
pub const MAX_BLOWUP: u32 = 64;
/// Largest transform, as a power of two: 4096 × the largest blow-up.
pub(crate) const MAX_LOG: u32 = (ELEMENTS_PER_ROW as u32 * MAX_BLOWUP).ilog2();
/// Blow-ups 1, 2, … up to the largest.
pub(crate) const BLOWUPS: usize = MAX_BLOWUP.trailing_zeros() as usize + 1;
const _: () = assert!(MAX_LOG <= <Fr as FftField>::TWO_ADICITY);

/// `index` with its lowest `bits` bits reversed.
pub(crate) fn bit_reverse(index: usize, bits: u32) -> usize {
    if bits == 0 {
        0
    } else {
        index.reverse_bits() >> (usize::BITS - bits)
    }
}

/// The primitive root of unity of this order.
///
/// # Panics
///
/// If the order is no power of two up to 2³².
#[expect(
    clippy::expect_used,
    reason = "orders are sizes of transforms, powers of two up to 2^MAX_LOG, and r − 1 is a multiple of 2³²"
)]
pub(crate) fn root_of_unity(order: usize) -> Fr {
    Fr::get_root_of_unity(order as u64).expect("the order divides 2³²")
}

/// The inverse of what cannot be zero: a root of unity, a difference of two different ones, a size.
///
/// # Panics
///
/// If it is zero.
#[expect(clippy::expect_used, reason = "the caller says that it is not zero")]
pub(crate) fn invert<F: Field>(element: &F) -> F {
    element.inverse().expect("the element is not zero")
}

/// The powers of a root of unity of order 2^log: 2^(log−1) of them, forward and inverse, in order.
pub(crate) struct Twiddles {
    pub(crate) forward: Vec<Fr>,
    pub(crate) inverse: Vec<Fr>,
    pub(crate) size_inverse: Fr,
}

/// Twiddle factors of one size, made once.
pub(crate) fn twiddles(log: u32) -> &'static Twiddles {
    static TABLES: [OnceLock<Twiddles>; MAX_LOG as usize + 1] =
        [const { OnceLock::new() }; MAX_LOG as usize + 1];
    TABLES[log as usize].get_or_init(|| {
        let size = 1usize << log;
        let root = root_of_unity(size);
        let inverse_root = invert(&root);
        let half = (size / 2).max(1);
        let powers = |base: Fr| {
            std::iter::successors(Some(Fr::one()), |p| Some(*p * base))
                .take(half)
                .collect()
        };
        let size_inverse = invert(&Fr::from(size as u64));
        Twiddles {
            forward: powers(root),
            inverse: powers(inverse_root),
            size_inverse,
        }
    })
}

/// What the coefficients are multiplied with before the transform that gives block 1, 2, … of an extension: the powers
/// of the block's coset shift ω^bit_reverse(block), ω of order 4096 × blowup, each divided by 4096 on behalf of the
/// unscaled inverse transform before.
pub(crate) fn block_shifts(blowup: usize) -> &'static [Vec<Fr>] {
    static TABLES: [OnceLock<Vec<Vec<Fr>>>; BLOWUPS] = [const { OnceLock::new() }; BLOWUPS];
    let log = blowup.trailing_zeros();
    TABLES[log as usize].get_or_init(|| {
        let root = root_of_unity(ELEMENTS_PER_ROW << log);
        let scale = twiddles(ELEMENTS_PER_ROW.trailing_zeros()).size_inverse;
        (1..1usize << log)
            .map(|block| {
                let shift = root.pow([bit_reverse(block, log) as u64]);
                std::iter::successors(Some(scale), |p| Some(*p * shift))
                    .take(ELEMENTS_PER_ROW)
                    .collect()
            })
            .collect()
    })
}
