//! FFTs over group elements: the same transforms as over scalars, with scalar multiplications as twiddles.
//!
//! Points are affine throughout, so a butterfly's sum and difference share one division, and all divisions of a level
//! share an inversion. A multiplication splits its scalar in two halves by the curve's endomorphism (Gallant, Lambert,
//! Vanstone) and reads signed windows from a table of multiples; all multiplications of a level go in lockstep, window
//! by window, so that their additions are batches too.

use ark_ff::{Field, One, PrimeField};
use rayon::prelude::*;

use super::Integer;
use super::fft::{bit_reverse, root_of_unity, twiddles};
use super::points::Points;
use crate::curve::G1Affine;
use crate::field::Scalar;

/// λ = z² − 1, z the parameter of the curve: a cube root of one modulo r, 128 bits.
const LAMBDA: u128 = 0xac45_a401_0001_a402_0000_0000_ffff_ffff;
/// Signed windows of this many bits; the table holds the multiples up to 2^(WINDOW−1).
const WINDOW: usize = 5;
const TABLE: usize = 1 << (WINDOW - 1);
/// Windows of a half scalar and its last carry.
const WINDOWS: usize = 129_usize.div_ceil(WINDOW);
// A half is below 2¹²⁸ and its last carry is one more bit; a digit with its carry is an `i8`.
const _: () = assert!(WINDOWS * WINDOW > 128 && WINDOW < i8::BITS as usize - 1);
// r < λ · 2¹²⁸, so the upper half is below 2¹²⁸.
const _: () = {
    let r = <ark_bls12_381::FrConfig as ark_ff::MontConfig<4>>::MODULUS.0;
    assert!((r[3] as u128) << 64 | (r[2] as u128) < LAMBDA);
};
/// Scalar multiplications handed to a thread at a time, when there are enough for all threads.
const PART: usize = 512;

/// `points` are the first coefficients of a polynomial with `size` of them; the result is bit-reversed.
///
/// The evaluations fall into blocks as long as `points`, each a transform of the coefficients times the powers of the
/// block's shift, so that the zeros behind them cost nothing.
pub(super) fn fft<P: Points>(points: &[G1Affine], size: usize) -> Vec<G1Affine> {
    let len = points.len();
    let blocks = (size / len).max(1);
    let root = root_of_unity(size);
    let mut values: Vec<P::Point> = Vec::with_capacity(size);
    let mut factors = Vec::with_capacity(size);
    for block in 0..blocks {
        let shift = root.pow([bit_reverse(block, blocks.trailing_zeros()) as u64]);
        values.extend(points.iter().map(P::import));
        factors.extend(std::iter::successors(Some(Scalar::one()), |p| Some(*p * shift)).take(len));
    }
    scale::<P>(&mut values, &factors);

    let roots = &twiddles(len.trailing_zeros()).forward;
    let mut half = len / 2;
    while half > 0 {
        butterflies::<P>(&mut values, half);
        let stride = len / (2 * half);
        let factors: Vec<_> = (0..values.len())
            .map(|at| {
                if at % (2 * half) < half {
                    Scalar::one()
                } else {
                    roots[at % half * stride]
                }
            })
            .collect();
        scale::<P>(&mut values, &factors);
        half /= 2;
    }
    values.iter().map(P::export).collect()
}

/// Bit-reversed evaluations → ordered coefficients, each `points.len()` times too large: the caller divides the
/// scalars before, which costs less.
pub(super) fn inverse_fft<P: Points>(points: Vec<G1Affine>) -> Vec<G1Affine> {
    let len = points.len();
    let mut values: Vec<_> = points.iter().map(P::import).collect();
    let tables = twiddles(len.trailing_zeros());
    let mut half = 1;
    while half < len {
        let stride = len / (2 * half);
        let factors: Vec<_> = (0..len)
            .map(|at| {
                if at % (2 * half) < half {
                    Scalar::one()
                } else {
                    tables.inverse[at % half * stride]
                }
            })
            .collect();
        scale::<P>(&mut values, &factors);
        butterflies::<P>(&mut values, half);
        half *= 2;
    }
    values.iter().map(P::export).collect()
}

/// One level of butterflies over blocks of `2 · half` points.
fn butterflies<P: Points>(values: &mut [P::Point], half: usize) {
    let block = 2 * half;
    values.par_chunks_mut(block.max(1024)).for_each(|part| {
        // Gathered, so that one division serves the whole part.
        let mut low = Vec::with_capacity(part.len() / 2);
        let mut high = Vec::with_capacity(part.len() / 2);
        for pair in part.chunks_exact(block) {
            let (a, b) = pair.split_at(half);
            low.extend_from_slice(a);
            high.extend_from_slice(b);
        }
        P::butterflies(&mut low, &mut high, &mut P::Scratch::default());
        for (pair, (a, b)) in part
            .chunks_exact_mut(block)
            .zip(low.chunks_exact(half).zip(high.chunks_exact(half)))
        {
            let (to_a, to_b) = pair.split_at_mut(half);
            to_a.copy_from_slice(a);
            to_b.copy_from_slice(b);
        }
    });
}

/// `points[i] *= factors[i]`; factors of one cost nothing.
fn scale<P: Points>(points: &mut [P::Point], factors: &[Scalar]) {
    let mut work: Vec<_> = points
        .iter_mut()
        .zip(factors)
        .filter(|(point, factor)| !factor.is_one() && !P::is_infinity(point))
        .collect();
    let part = work
        .len()
        .div_ceil(rayon::current_num_threads())
        .clamp(1, PART);
    work.par_chunks_mut(part).for_each(|part| {
        let bases: Vec<_> = part.iter().map(|(point, _)| **point).collect();
        let scalars: Vec<_> = part
            .iter()
            .map(|(_, factor)| factor.into_bigint().0)
            .collect();
        for ((point, _), product) in part.iter_mut().zip(multiply::<P>(&bases, &scalars)) {
            **point = product;
        }
    });
}

/// `scalars[i] · bases[i]`, in lockstep.
fn multiply<P: Points>(bases: &[P::Point], scalars: &[Integer]) -> Vec<P::Point> {
    let count = bases.len();
    let mut scratch = P::Scratch::default();
    // Row d − 1 holds d times every base: the even ones by doubling, each odd one from its neighbour.
    let mut table: Vec<Vec<P::Point>> = Vec::with_capacity(TABLE);
    table.push(bases.to_vec());
    for multiple in 2..=TABLE {
        let mut row = if multiple % 2 == 0 {
            table[multiple / 2 - 1].clone()
        } else {
            table[multiple - 2].clone()
        };
        if multiple % 2 == 0 {
            P::double(&mut row, 1, &mut scratch);
        } else {
            P::add(&mut row, bases, &mut scratch);
        }
        table.push(row);
    }
    let digits: Vec<_> = scalars
        .iter()
        .map(|scalar| {
            let (low, high) = split(scalar);
            [signed_windows(low), signed_windows(high)]
        })
        .collect();
    let mut sums = vec![P::INFINITY; count];
    let mut terms = vec![P::INFINITY; count];
    for window in (0..WINDOWS).rev() {
        if window + 1 < WINDOWS {
            P::double(&mut sums, WINDOW, &mut scratch);
        }
        for half in 0..2 {
            for (at, (term, digits)) in terms.iter_mut().zip(&digits).enumerate() {
                let digit = digits[half][window];
                *term = match digit.unsigned_abs() as usize {
                    0 => P::INFINITY,
                    multiple if digit < 0 => P::negated(&table[multiple - 1][at]),
                    multiple => table[multiple - 1][at],
                };
            }
            if half == 1 {
                P::endomorphism(&mut terms);
            }
            P::add(&mut sums, &terms, &mut scratch);
        }
    }
    sums
}

/// `scalar = low + λ · high`, both below 2¹²⁸: a division of 256 by 128 bits, bit by bit.
fn split(scalar: &Integer) -> (u128, u128) {
    let [a, b, c, d] = scalar.map(u128::from);
    let (mut remainder, mut low) = (c | d << 64, a | b << 64);
    let mut quotient = 0u128;
    // r < λ · 2¹²⁸, so the upper half is below λ from the start.
    for _ in 0..128 {
        let overflow = remainder >> 127 == 1;
        remainder = remainder << 1 | low >> 127;
        low <<= 1;
        quotient <<= 1;
        if overflow || remainder >= LAMBDA {
            remainder = remainder.wrapping_sub(LAMBDA);
            quotient |= 1;
        }
    }
    (remainder, quotient)
}

/// Signed digits of a number below 2¹²⁸, lowest first, up to 2^(WINDOW−1) in size.
fn signed_windows(number: u128) -> [i8; WINDOWS] {
    let mut carry = 0;
    std::array::from_fn(|window| {
        let bits = number.checked_shr((window * WINDOW) as u32).unwrap_or(0);
        let mut digit = (bits & ((1 << WINDOW) - 1)) as i8 + carry;
        carry = i8::from(digit > 1 << (WINDOW - 1));
        digit -= carry << WINDOW;
        digit
    })
}

#[cfg(test)]
mod tests;
