//! FFTs over group elements: the same transforms as over scalars, with scalar multiplications as twiddles.
//!
//! Between levels the points are affine, so a butterfly's sum and difference share one batched division. A
//! multiplication splits its scalar in two halves by the curve's endomorphism (Gallant, Lambert, Vanstone) and reads
//! signed windows from a table of odd multiples.

use ark_bls12_381::{G1Projective, g1};
use ark_ec::AdditiveGroup;
use ark_ff::{Field, One, PrimeField, Zero};
use rayon::prelude::*;

use super::Integer;
use super::base_field::Fe;
use super::batch_affine::{self, Point, Scratch};
use super::fft::{bit_reverse, root_of_unity, twiddles};
use crate::curve::G1Affine;
use crate::field::Scalar;

/// λ = z² − 1, z the parameter of the curve: a cube root of one modulo r, 128 bits.
const LAMBDA: u128 = 0xac45_a401_0001_a402_0000_0000_ffff_ffff;
/// Signed windows of this many bits; the table holds the odd multiples below 2^(WINDOW−1).
const WINDOW: u32 = 5;
const TABLE: usize = 1 << (WINDOW - 2);
/// Scalar multiplications handed to a thread at a time.
const PART: usize = 128;

/// `points` are the first coefficients of a polynomial with `size` of them; the result is bit-reversed.
///
/// The evaluations fall into blocks as long as `points`, each a transform of the coefficients times the powers of the
/// block's shift, so that the zeros behind them cost nothing.
pub(super) fn fft(points: &[G1Affine], size: usize) -> Vec<G1Affine> {
    let len = points.len();
    let blocks = (size / len).max(1);
    let root = root_of_unity(size);
    let mut values: Vec<Point> = Vec::with_capacity(size);
    let mut factors = Vec::with_capacity(size);
    for block in 0..blocks {
        let shift = root.pow([bit_reverse(block, blocks.trailing_zeros()) as u64]);
        values.extend(points.iter().map(Point::from));
        factors.extend(std::iter::successors(Some(Scalar::one()), |p| Some(*p * shift)).take(len));
    }
    scale(&mut values, &factors);

    let roots = &twiddles(len.trailing_zeros()).forward;
    let mut half = len / 2;
    while half > 0 {
        butterflies(&mut values, half);
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
        scale(&mut values, &factors);
        half /= 2;
    }
    values.into_iter().map(Point::to_affine).collect()
}

/// Bit-reversed evaluations → ordered coefficients, each `points.len()` times too large: the caller divides the
/// scalars before, which costs less.
pub(super) fn inverse_fft(points: Vec<G1Affine>) -> Vec<G1Affine> {
    let len = points.len();
    let mut values: Vec<_> = points.iter().map(Point::from).collect();
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
        scale(&mut values, &factors);
        butterflies(&mut values, half);
        half *= 2;
    }
    values.into_iter().map(Point::to_affine).collect()
}

/// One level of butterflies over blocks of `2 · half` points.
fn butterflies(values: &mut [Point], half: usize) {
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
        batch_affine::butterflies(&mut low, &mut high, &mut Scratch::default());
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
fn scale(points: &mut [Point], factors: &[Scalar]) {
    let mut work: Vec<_> = points
        .iter_mut()
        .zip(factors)
        .filter(|(point, factor)| !factor.is_one() && !point.is_infinity())
        .collect();
    work.par_chunks_mut(PART).for_each(|part| {
        let bases: Vec<_> = part.iter().map(|(point, _)| **point).collect();
        let scalars: Vec<_> = part
            .iter()
            .map(|(_, factor)| factor.into_bigint().0)
            .collect();
        for ((point, _), product) in part.iter_mut().zip(multiply(&bases, &scalars)) {
            **point = product;
        }
    });
}

/// `scalars[i] · bases[i]` for bases that are not infinity.
fn multiply(bases: &[Point], scalars: &[Integer]) -> Vec<Point> {
    // Odd multiples, base by base one behind the other in each row.
    let mut scratch = Scratch::default();
    let mut twice = bases.to_vec();
    batch_affine::double(&mut twice, 1, &mut scratch);
    let mut odd = vec![bases.to_vec()];
    for row in 1..TABLE {
        let mut next = odd[row - 1].clone();
        batch_affine::add(&mut next, &twice, &mut scratch);
        odd.push(next);
    }
    // The endomorphism of λ multiplies x by the square of arkworks' β, which belongs to the other cube root.
    let beta = Fe::new(&(g1::BETA * g1::BETA));
    let products: Vec<_> = scalars
        .iter()
        .enumerate()
        .map(|(at, scalar)| {
            let (low, high) = split(scalar);
            let (low, high) = (signed_windows(low), signed_windows(high));
            let mut acc = G1Projective::zero();
            for position in (0..low.len().max(high.len())).rev() {
                acc.double_in_place();
                if let Some(digit) = low.get(position).filter(|digit| **digit != 0) {
                    let point = odd[(digit.unsigned_abs() / 2) as usize][at];
                    acc += (if *digit < 0 { point.negated() } else { point }).to_affine();
                }
                if let Some(digit) = high.get(position).filter(|digit| **digit != 0) {
                    let mut point = odd[(digit.unsigned_abs() / 2) as usize][at];
                    point.x.multiply(&beta);
                    acc += (if *digit < 0 { point.negated() } else { point }).to_affine();
                }
            }
            acc
        })
        .collect();
    batch_affine::normalize(&products)
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

/// Signed digits, lowest first: zero or odd, below 2^(WINDOW−1) in size, at most one in WINDOW positions non-zero.
fn signed_windows(mut number: u128) -> Vec<i8> {
    let mut digits = Vec::with_capacity(129);
    let mut carry = false;
    while number != 0 || carry {
        let odd = (number & 1 == 1) != carry;
        if !odd {
            digits.push(0);
            carry = carry && number & 1 == 1;
            number >>= 1;
            continue;
        }
        let window = (number & ((1 << WINDOW) - 1)) as i16 + i16::from(carry);
        let digit = if window >= 1 << (WINDOW - 1) {
            window - (1 << WINDOW)
        } else {
            window
        };
        carry = window >= 1 << (WINDOW - 1);
        digits.push(digit as i8);
        digits.extend([0; WINDOW as usize - 1]);
        number >>= WINDOW;
    }
    digits
}

#[cfg(test)]
mod tests;
