//! Looks for blobs whose commitment needs a sum of two points that agree in the lowest limb of x, and in nothing else.
//!
//! ```text
//! cargo run --release -p ashlar-kzg --example colliding_blobs > crypto/kzg/tests/data/colliding_blobs.txt
//! ```
//!
//! Eight elements of a blob are one, the others zero: all eight points of the setup fall into one bucket, which is
//! folded upper half onto lower half, so that its last addition is (P₀ + P₄) + (P₂ + P₆) plus (P₁ + P₅) + (P₃ + P₇). Each
//! point comes from its own eighth of the setup, which keeps the order whatever is chosen, so both terms are chosen
//! freely: meeting in the middle. The limb has 52 bits and belongs to x · 2⁴¹⁶ modulo p, the form of the kernel `ifma`; its
//! numbers may be x or x + p, so that differences of p count too.
//!
//! One thread of an AMD EPYC (Zen 4): 30 blobs in 241 s, 1.6 GiB.

#![allow(clippy::expect_used)]

use std::error::Error;
use std::io::Write;

use ark_bls12_381::{Fq, G1Affine};
use ark_ec::AffineRepr;
use ark_ff::{Field, MontConfig, PrimeField};
use ashlar_kzg::{ELEMENTS_PER_ROW, Setup};

/// Sums of each kind: 2^26 of one, 2^29 of the other, so that 24 blobs are to be expected.
const PAIRS: [usize; 2] = [1 << 13, 1 << 13];
const OTHER_PAIRS: [usize; 2] = [1 << 14, 1 << 15];
/// Sums of the second kind that are compared at a time.
const PART: usize = 1 << 26;

const EIGHTH: usize = ELEMENTS_PER_ROW / 8;
const LIMB: u64 = (1 << 52) - 1;
/// Bits of a limb that are kept beside a position in one word.
const INDEX_BITS: u32 = 26;
const P: u64 = <ark_bls12_381::FqConfig as MontConfig<6>>::MODULUS.0[0] & LIMB;

fn main() -> Result<(), Box<dyn Error>> {
    let points = lagrange()?;
    let even = Sums::new(&points, [0, 4, 2, 6], PAIRS);
    let odd = Sums::new(&points, [1, 5, 3, 7], OTHER_PAIRS);
    eprintln!("{} sums to meet", even.count());
    let mut list: Vec<u64> = even.limbs(0, even.count());
    pack(&mut list, 0);
    let mut out = std::io::stdout();
    for part in (0..odd.count()).step_by(PART) {
        let limbs = odd.limbs(part, PART);
        eprintln!("{} of {} sums", part + PART, odd.count());
        for offset in [0, P, LIMB + 1 - P] {
            let mut others = limbs.clone();
            pack(&mut others, offset);
            for (one, other) in matches(&list, &others) {
                let other = part + other;
                let difference = odd.limb(other).wrapping_sub(even.limb(one)) & LIMB;
                if (difference + offset) & LIMB == 0 {
                    let mut blob = [even.elements(one), odd.elements(other)].concat();
                    blob.sort_unstable();
                    let text: Vec<_> = blob.iter().map(usize::to_string).collect();
                    writeln!(out, "{}", text.join(" "))?;
                }
            }
        }
    }
    Ok(())
}

/// Points of the setup in the order of a blob's elements.
fn lagrange() -> Result<Vec<G1Affine>, Box<dyn Error>> {
    let body = Setup::ethereum_file().get(8..).ok_or("no points")?;
    let coordinate = |bytes: &[u8]| Fq::from_be_bytes_mod_order(bytes);
    let in_order: Vec<_> = body
        .as_chunks::<96>()
        .0
        .iter()
        .take(ELEMENTS_PER_ROW)
        .map(|raw| {
            let (x, y) = raw.split_at(48);
            G1Affine::new_unchecked(coordinate(x), coordinate(y))
        })
        .collect();
    let bits = ELEMENTS_PER_ROW.trailing_zeros();
    Ok((0..ELEMENTS_PER_ROW)
        .map(|index| in_order[index.reverse_bits() >> (usize::BITS - bits)])
        .collect())
}

/// Sums of four points, each the sum of two pairs' sums.
struct Sums {
    lists: [Vec<([usize; 2], Fq, Fq)>; 2],
}

impl Sums {
    /// Pairs of the first two eighths, and of the last two: so many of each.
    fn new(points: &[G1Affine], eighths: [usize; 4], counts: [usize; 2]) -> Self {
        let [a, b, c, d] = eighths;
        let pairs = |low: usize, high: usize, count: usize| {
            (0..count)
                .filter_map(|at| {
                    let pair = [low * EIGHTH + at % EIGHTH, high * EIGHTH + at / EIGHTH];
                    let sum: G1Affine = (points[pair[0]] + points[pair[1]]).into();
                    sum.xy().map(|(x, y)| (pair, x, y))
                })
                .collect()
        };
        Self {
            lists: [pairs(a, b, counts[0]), pairs(c, d, counts[1])],
        }
    }

    fn count(&self) -> usize {
        self.lists[0].len() * self.lists[1].len()
    }

    fn elements(&self, sum: usize) -> [usize; 4] {
        let [first, second] = &self.lists;
        let ([a, b], [c, d]) = (first[sum % first.len()].0, second[sum / first.len()].0);
        [a, b, c, d]
    }

    /// The lowest limb of one sum.
    fn limb(&self, sum: usize) -> u64 {
        self.limbs(sum, 1)[0]
    }

    /// The lowest limbs of sums, batch by batch with one inversion.
    fn limbs(&self, from: usize, count: usize) -> Vec<u64> {
        let [first, second] = &self.lists;
        let shift = Fq::from(1u64 << 32);
        let mut limbs = Vec::with_capacity(count);
        let mut before = Vec::new();
        for start in (from..from + count).step_by(first.len()) {
            let at = |sum: usize| (&first[sum % first.len()], &second[sum / first.len()]);
            let batch = start..(start + first.len()).min(from + count);
            before.clear();
            let mut product = Fq::ONE;
            for sum in batch.clone() {
                let (a, b) = at(sum);
                before.push(product);
                product *= b.1 - a.1;
            }
            // Points of different places: never the same x.
            let mut rest = product.inverse().expect("no difference is zero");
            let begin = limbs.len();
            for (sum, before) in batch.zip(&before).rev() {
                let (a, b) = at(sum);
                let slope = (b.2 - a.2) * rest * before;
                rest *= b.1 - a.1;
                let x = slope.square() - a.1 - b.1;
                // Montgomery's form with 2³⁸⁴ is what arkworks keeps: 2³² short of the kernel's.
                limbs.push((x * shift).0.0[0] & LIMB);
            }
            limbs[begin..].reverse();
        }
        limbs
    }
}

/// Each limb plus an offset, its low bits above its position, in order.
fn pack(limbs: &mut [u64], offset: u64) {
    for (position, limb) in limbs.iter_mut().enumerate() {
        *limb = (*limb + offset) << INDEX_BITS | position as u64;
    }
    limbs.sort_unstable();
}

/// Positions of limbs that agree in the bits kept.
fn matches(list: &[u64], others: &[u64]) -> Vec<(usize, usize)> {
    let position = |entry: &u64| (entry & ((1 << INDEX_BITS) - 1)) as usize;
    let mut found = Vec::new();
    let mut start = 0;
    for other in others {
        let key = other >> INDEX_BITS;
        while list.get(start).is_some_and(|one| one >> INDEX_BITS < key) {
            start += 1;
        }
        let same = list[start..].iter();
        let same = same.take_while(|one| **one >> INDEX_BITS == key);
        found.extend(same.map(|one| (position(one), position(other))));
    }
    found
}
