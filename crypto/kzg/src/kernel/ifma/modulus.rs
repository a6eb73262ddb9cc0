//! Multiplication modulo a prime in Montgomery form, limbs of 52 bits, eight numbers at a time.

use super::lanes::{LIMB_BITS, LIMB_MASK, Lanes};

/// A modulus of N limbs and what Montgomery's reduction needs of it.
pub(crate) struct Modulus<const N: usize> {
    /// The modulus.
    pub(crate) limbs: [u64; N],
    /// −modulus⁻¹ modulo 2⁵².
    pub(crate) negative_inverse: u64,
}

impl<const N: usize> Modulus<N> {
    /// From little-endian 64-bit limbs.
    pub(crate) const fn new(words: &[u64]) -> Self {
        let limbs = split(words, 1);
        // Newton: each step doubles the number of right bits.
        let mut inverse = 1u64;
        let mut step = 0;
        while step < 6 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(limbs[0].wrapping_mul(inverse)));
            step += 1;
        }
        Self {
            limbs,
            negative_inverse: inverse.wrapping_neg() & LIMB_MASK,
        }
    }
}

/// `words × times` in limbs of 52 bits.
pub(crate) const fn split<const N: usize>(words: &[u64], times: u64) -> [u64; N] {
    let mut limbs = [0; N];
    let mut carry = 0u64;
    let mut at = 0;
    while at < N {
        let bit = at * LIMB_BITS as usize;
        let (word, shift) = (bit / 64, bit % 64);
        let mut limb = if word < words.len() {
            words[word] >> shift
        } else {
            0
        };
        if shift > 64 - LIMB_BITS as usize && word + 1 < words.len() {
            limb |= words[word + 1] << (64 - shift);
        }
        let product = (limb & LIMB_MASK) as u128 * times as u128 + carry as u128;
        limbs[at] = product as u64 & LIMB_MASK;
        carry = (product >> LIMB_BITS) as u64;
        at += 1;
    }
    limbs
}

/// Whether `words × times` is below 2^(52·N): what N limbs hold.
pub(crate) const fn fits<const N: usize>(words: &[u64], times: u64) -> bool {
    let limbs: [u64; N] = split(words, 1);
    let mut carry = 0u128;
    let mut at = 0;
    while at < N {
        carry = (limbs[at] as u128 * times as u128 + carry) >> LIMB_BITS;
        at += 1;
    }
    carry == 0
}

/// The inverse of [`split`] with `times` one, for numbers below 2^(64·W).
pub(crate) fn join<const N: usize, const W: usize>(limbs: &[u64; N]) -> [u64; W] {
    let mut words = [0; W];
    for (at, limb) in limbs.iter().enumerate() {
        let bit = at * LIMB_BITS as usize;
        let (word, shift) = (bit / 64, bit % 64);
        if let Some(low) = words.get_mut(word) {
            *low |= limb << shift;
        }
        if shift > 64 - LIMB_BITS as usize
            && let Some(high) = words.get_mut(word + 1)
        {
            *high |= limb >> (64 - shift);
        }
    }
    words
}

/// An array of `f(0)`, `f(1)`, … over something to begin with. The standard library's functions for this are not always
/// inlined, and what is not inlined is not compiled for the instructions of the lanes.
#[inline(always)]
pub(crate) fn each<T: Copy, const N: usize>(begin: T, f: impl Fn(usize) -> T) -> [T; N] {
    let mut array = [begin; N];
    for (index, entry) in array.iter_mut().enumerate() {
        *entry = f(index);
    }
    array
}

/// `a · b / 2^(52·N)` modulo the modulus: below `a·b / 2^(52·N) + modulus`. Limbs of both factors are below 2⁵².
#[inline(always)]
pub(crate) fn multiply<L: Lanes, const N: usize>(
    a: &[L::V; N],
    b: &[L::V; N],
    modulus: &Modulus<N>,
) -> [L::V; N] {
    carry::<L, N>(multiply_loose::<L, N>(a, b, modulus))
}

/// A limb takes in four half products on each of N steps, and a carry; carries read it with its sign. What
/// [`multiply_loose`] gives is below this.
pub(crate) const fn loose_bound(limbs: usize) -> u64 {
    (4 * limbs as u64 + 1) << LIMB_BITS
}

/// [`multiply`] before the carries: the number is the same, its limbs are below [`loose_bound`].
// Written with indices, as the formulas are: four arrays at places that differ.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) fn multiply_loose<L: Lanes, const N: usize>(
    a: &[L::V; N],
    b: &[L::V; N],
    modulus: &Modulus<N>,
) -> [L::V; N] {
    let zero = L::splat(0);
    let negative_inverse = L::splat(modulus.negative_inverse);
    const { assert!(loose_bound(N) <= 1 << 62) };
    // Each step waits for the quotient of the one before. The products of the factors, which need no quotient, have sums of
    // their own, so that the chain is short: two half products and some sums a step.
    let (mut products, mut multiples) = ([zero; N], [zero; N]);
    for factor in b {
        for j in 0..N {
            products[j] = L::madd_lo(products[j], a[j], *factor);
        }
        let lowest = L::add(products[0], multiples[0]);
        // The multiplier reads the low 52 bits of its factors, so nothing has to be masked.
        let quotient = L::madd_lo(zero, lowest, negative_inverse);
        add_multiple::<L, N>(&mut multiples, lowest, quotient, modulus);
        for j in 0..N {
            let above = if j + 1 < N { products[j + 1] } else { zero };
            products[j] = L::madd_hi(above, a[j], *factor);
        }
    }
    each(
        zero,
        #[inline(always)]
        |limb| L::add(products[limb], multiples[limb]),
    )
}

/// Two products at a time, step by step: while one waits, the other goes on. As [`multiply_loose`], but with one sum a limb, so
/// that the sums of both stay in registers.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) fn multiply_two<L: Lanes, const N: usize>(
    a: &[[L::V; N]; 2],
    b: &[[L::V; N]; 2],
    modulus: &Modulus<N>,
) -> [[L::V; N]; 2] {
    let zero = L::splat(0);
    let negative_inverse = L::splat(modulus.negative_inverse);
    let mut t = [[zero; N]; 2];
    for step in 0..N {
        let mut quotients = [zero; 2];
        for k in 0..2 {
            for j in 0..N {
                t[k][j] = L::madd_lo(t[k][j], a[k][j], b[k][step]);
            }
            quotients[k] = L::madd_lo(zero, t[k][0], negative_inverse);
        }
        for k in 0..2 {
            let quotient = quotients[k];
            for j in 0..N {
                t[k][j] = L::madd_lo(t[k][j], L::splat(modulus.limbs[j]), quotient);
            }
            t[k][1] = L::add(t[k][1], L::shr::<LIMB_BITS>(t[k][0]));
            for j in 0..N {
                let above = if j + 1 < N { t[k][j + 1] } else { zero };
                let high = L::madd_hi(above, a[k][j], b[k][step]);
                t[k][j] = L::madd_hi(high, L::splat(modulus.limbs[j]), quotient);
            }
        }
    }
    t
}

/// `a² / 2^(52·N)` as [`multiply_two`] of a and itself: mixed products are made once and doubled.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) fn square_two<L: Lanes, const N: usize>(
    a: &[[L::V; N]; 2],
    modulus: &Modulus<N>,
) -> [[L::V; N]; 2] {
    let zero = L::splat(0);
    let negative_inverse = L::splat(modulus.negative_inverse);
    let mut multiples = [[zero; N]; 2];
    for step in 0..N {
        for k in 0..2 {
            let lowest = L::add(square_limb::<L, N>(&a[k], step), multiples[k][0]);
            let quotient = L::madd_lo(zero, lowest, negative_inverse);
            add_multiple::<L, N>(&mut multiples[k], lowest, quotient, modulus);
        }
    }
    for k in 0..2 {
        for limb in 0..N {
            let upper = square_limb::<L, N>(&a[k], N + limb);
            multiples[k][limb] = L::add(upper, multiples[k][limb]);
        }
    }
    multiples
}

/// One of the 2·N limbs of a square, not carried.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn square_limb<L: Lanes, const N: usize>(a: &[L::V; N], limb: usize) -> L::V {
    let mut mixed = L::splat(0);
    for low in 0..N {
        if 2 * low < limb && limb - low < N {
            mixed = L::madd_lo(mixed, a[low], a[limb - low]);
        }
    }
    for low in 0..N {
        if 2 * low + 1 < limb && limb - 1 - low < N {
            mixed = L::madd_hi(mixed, a[low], a[limb - 1 - low]);
        }
    }
    let doubled = L::add(mixed, mixed);
    if limb.is_multiple_of(2) {
        L::madd_lo(doubled, a[limb / 2], a[limb / 2])
    } else {
        L::madd_hi(doubled, a[limb / 2], a[limb / 2])
    }
}

/// A step of the reduction: the quotient's multiple of the modulus, of which the lowest limb becomes zero and goes.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn add_multiple<L: Lanes, const N: usize>(
    multiples: &mut [L::V; N],
    lowest: L::V,
    quotient: L::V,
    modulus: &Modulus<N>,
) {
    let zero = L::splat(0);
    let (first, second) = (L::splat(modulus.limbs[0]), L::splat(modulus.limbs[1]));
    let carried = L::shr::<LIMB_BITS>(L::madd_lo(lowest, first, quotient));
    let upper = L::add(L::madd_hi(zero, first, quotient), carried);
    multiples[0] = L::add(L::madd_lo(multiples[1], second, quotient), upper);
    // One limb down, in the same step: a copy by itself would go through memory.
    for j in 1..N {
        let above = if j + 1 < N {
            L::madd_lo(multiples[j + 1], L::splat(modulus.limbs[j + 1]), quotient)
        } else {
            zero
        };
        multiples[j] = L::madd_hi(above, L::splat(modulus.limbs[j]), quotient);
    }
}

/// `a² / 2^(52·N)` modulo the modulus: what [`multiply`] of a by itself gives, for a fifth fewer multiply-adds.
// Conditions in place of bounds, so that every loop is unrolled.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) fn square<L: Lanes, const N: usize>(a: &[L::V; N], modulus: &Modulus<N>) -> [L::V; N] {
    // A limb of the square takes in at most 2 · N half products, two a limb of a, and as many of the modulus's.
    const { assert!((4 * N as u128 + 1) << LIMB_BITS <= 1 << 63) };
    let mut t = ([L::splat(0); N], [L::splat(0); N]);
    for i in 0..N {
        for j in 0..N {
            if j > i {
                let limb = limb_of(&mut t, i + j);
                *limb = L::madd_lo(*limb, a[i], a[j]);
                let limb = limb_of(&mut t, i + j + 1);
                *limb = L::madd_hi(*limb, a[i], a[j]);
            }
        }
    }
    for i in 0..N {
        let limb = limb_of(&mut t, 2 * i);
        *limb = L::madd_lo(L::add(*limb, *limb), a[i], a[i]);
        let limb = limb_of(&mut t, 2 * i + 1);
        *limb = L::madd_hi(L::add(*limb, *limb), a[i], a[i]);
    }
    reduce::<L, N>(t, modulus)
}

/// A number of 2 · N limbs, low ones and high ones, divided by 2^(52·N) modulo the modulus: below `number / 2^(52·N) +
/// modulus`. Its limbs leave room for 2 · N half products and a carry below 2⁶³.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
pub(crate) fn reduce<L: Lanes, const N: usize>(
    mut t: ([L::V; N], [L::V; N]),
    modulus: &Modulus<N>,
) -> [L::V; N] {
    let (zero, negative_inverse) = (L::splat(0), L::splat(modulus.negative_inverse));
    for i in 0..N {
        let quotient = L::madd_lo(zero, t.0[i], negative_inverse);
        for j in 0..N {
            let limb = limb_of(&mut t, i + j);
            *limb = L::madd_lo(*limb, L::splat(modulus.limbs[j]), quotient);
        }
        for j in 0..N {
            let limb = limb_of(&mut t, i + j + 1);
            *limb = L::madd_hi(*limb, L::splat(modulus.limbs[j]), quotient);
        }
        let above = L::shr::<LIMB_BITS>(t.0[i]);
        let limb = limb_of(&mut t, i + 1);
        *limb = L::add(*limb, above);
    }
    carry::<L, N>(t.1)
}

/// A limb of a number of 2 · N.
#[inline(always)]
pub(crate) fn limb_of<V, const N: usize>(
    (low, high): &mut ([V; N], [V; N]),
    index: usize,
) -> &mut V {
    if index < N {
        &mut low[index]
    } else {
        &mut high[index - N]
    }
}

/// Limbs below 2⁵² again; the number is the same and must not be negative. Limbs are read with their sign.
#[inline(always)]
pub(crate) fn carry<L: Lanes, const N: usize>(mut t: [L::V; N]) -> [L::V; N] {
    let mask = L::splat(LIMB_MASK);
    for j in 0..N - 1 {
        t[j + 1] = L::add(t[j + 1], L::sar::<LIMB_BITS>(t[j]));
        t[j] = L::and(t[j], mask);
    }
    t
}

/// `a + b`.
#[inline(always)]
pub(crate) fn add<L: Lanes, const N: usize>(a: &[L::V; N], b: &[L::V; N]) -> [L::V; N] {
    carry::<L, N>(each(
        L::splat(0),
        #[inline(always)]
        |j| L::add(a[j], b[j]),
    ))
}

/// `a − b + offset`, the offset a multiple of the modulus that is not below b.
#[inline(always)]
pub(crate) fn subtract<L: Lanes, const N: usize>(
    a: &[L::V; N],
    b: &[L::V; N],
    offset: &[u64; N],
) -> [L::V; N] {
    carry::<L, N>(each(
        L::splat(0),
        #[inline(always)]
        |j| L::add(L::sub(a[j], b[j]), L::splat(offset[j])),
    ))
}

/// `a − bound` where that is not negative, `a` elsewhere.
#[inline(always)]
pub(crate) fn reduce_once<L: Lanes, const N: usize>(a: &[L::V; N], bound: &[u64; N]) -> [L::V; N] {
    let less = carry::<L, N>(each(
        L::splat(0),
        #[inline(always)]
        |j| L::sub(a[j], L::splat(bound[j])),
    ));
    let negative = L::negative_lanes(less[N - 1]);
    each(
        L::splat(0),
        #[inline(always)]
        |j| L::select(negative, a[j], less[j]),
    )
}

#[cfg(test)]
mod tests;
