//! Weighted sums of elements in eight lanes.
//!
//! The products of an element's terms are added up as they are, ten limbs, and reduced once. So a term costs fifty
//! multiply-adds for eight elements, half of what a product does.

use ark_bls12_381::Fr;
use ark_ff::BigInt;

use super::lanes::{LANES, LIMB_BITS, Lanes};
use super::modulus::{self, each, limb_of, split};
use super::scalars::{LIMBS, R, Wide, canonical, limbs, words};
use crate::BYTES_PER_ELEMENT;
use crate::kernel::Kernel;
use crate::kernel::portable::Portable;

/// Elements at a time: two vectors, of every second one.
const BLOCK: usize = 2 * LANES;
const BLOCK_BYTES: usize = BLOCK * BYTES_PER_ELEMENT;
/// Terms between two reductions. A term is below r², so their sum over 2²⁶⁰ is below 4·r: far below the 35·r that five limbs
/// hold, with what the reduction and the old sum add.
const TERMS: usize = 128;
// A limb takes in ten half products a term, and as many when it is reduced.
const _: () = assert!((TERMS as u128 + 2) * 2 * LIMBS as u128 <= 1 << (63 - LIMB_BITS));

/// `sums[i] += Σ weight · elements[i]`; see the kernel's `add_weighted`.
pub(super) fn add_weighted<L: Lanes>(sums: &mut [Fr], terms: &[(&[u8], Fr)]) {
    let (whole, rest) = sums.as_chunks_mut::<BLOCK>();
    let sixteen = Fr::from(16u64);
    for terms in terms.chunks(TERMS) {
        // arkworks' form has the factor 2²⁵⁶, the reduction divides by 2²⁶⁰.
        let weights: Vec<[u64; LIMBS]> = terms
            .iter()
            .map(|(_, weight)| split(&(*weight * sixteen).0.0, 1))
            .collect();
        L::run(
            #[inline(always)]
            || {
                for (block, sums) in whole.iter_mut().enumerate() {
                    add_block::<L>(sums, block, terms, &weights);
                }
            },
        );
    }
    let done = whole.len() * BLOCK_BYTES;
    if !rest.is_empty() {
        let terms: Vec<_> = terms
            .iter()
            .map(|(elements, weight)| (&elements[done..], *weight))
            .collect();
        Portable.add_weighted(rest, &terms);
    }
}

#[inline(always)]
fn add_block<L: Lanes>(
    sums: &mut [Fr; BLOCK],
    block: usize,
    terms: &[(&[u8], Fr)],
    weights: &[[u64; LIMBS]],
) {
    let zero = L::splat(0);
    let mut even = ([zero; LIMBS], [zero; LIMBS]);
    let mut odd = even;
    for ((elements, _), weight) in terms.iter().zip(weights) {
        let bytes = &elements[block * BLOCK_BYTES..][..BLOCK_BYTES];
        let [a, b] = halves::<L>(
            #[inline(always)]
            |pair| {
                let (words, _) = bytes[pair * 2 * BYTES_PER_ELEMENT..].as_chunks::<8>();
                let row = each(
                    0,
                    #[inline(always)]
                    |word| u64::from_le_bytes(words[word]),
                );
                L::swap_bytes(L::load(&row))
            },
            true,
        );
        add_product::<L>(&mut even, &a, weight);
        add_product::<L>(&mut odd, &b, weight);
    }
    let [a, b] = halves::<L>(
        #[inline(always)]
        |pair| {
            let row = each(
                0,
                #[inline(always)]
                |word| sums[2 * pair + word / 4].0.0[word % 4],
            );
            L::load(&row)
        },
        false,
    );
    let (a, b) = (total::<L>(even, &a), total::<L>(odd, &b));
    let mut rows = [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]];
    L::transpose(&mut rows);
    for (pair, row) in sums.as_chunks_mut::<2>().0.iter_mut().zip(rows) {
        let mut words = [0; LANES];
        L::store(row, &mut words);
        for (sum, words) in pair.iter_mut().zip(words.as_chunks::<4>().0) {
            *sum = Fr::new_unchecked(BigInt(*words));
        }
    }
}

/// Limbs of the even and of the odd elements from rows of two elements each; `highest_first` if so their words stand.
#[inline(always)]
fn halves<L: Lanes>(row: impl Fn(usize) -> L::V, highest_first: bool) -> [Wide<L>; 2] {
    let mut w: [L::V; LANES] = each(L::splat(0), row);
    L::transpose(&mut w);
    if highest_first {
        [
            limbs::<L>([w[3], w[2], w[1], w[0]]),
            limbs::<L>([w[7], w[6], w[5], w[4]]),
        ]
    } else {
        [
            limbs::<L>([w[0], w[1], w[2], w[3]]),
            limbs::<L>([w[4], w[5], w[6], w[7]]),
        ]
    }
}

/// `sum += a · weight`, nothing carried.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn add_product<L: Lanes>(
    sum: &mut ([L::V; LIMBS], [L::V; LIMBS]),
    a: &Wide<L>,
    weight: &[u64; LIMBS],
) {
    for i in 0..LIMBS {
        let factor = L::splat(weight[i]);
        for j in 0..LIMBS {
            let limb = limb_of(sum, i + j);
            *limb = L::madd_lo(*limb, a[j], factor);
            let limb = limb_of(sum, i + j + 1);
            *limb = L::madd_hi(*limb, a[j], factor);
        }
    }
}

/// Words of `sum + before`.
#[inline(always)]
fn total<L: Lanes>(sum: ([L::V; LIMBS], [L::V; LIMBS]), before: &Wide<L>) -> [L::V; 4] {
    let sum = modulus::reduce::<L, LIMBS>(sum, &R);
    words::<L>(&canonical::<L>(&modulus::add::<L, LIMBS>(&sum, before)))
}
