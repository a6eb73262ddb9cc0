//! FFTs over group elements.
//!
//! Points are affine throughout, so that additions share divisions. A transform goes in stages of radix 8 or so. A stage
//! doubles its points, each more than a hundred times, all of them in step, and keeps every doubling. What it multiplies is then
//! sums of these: a point has several factors, the roots of unity of its butterflies, and is doubled once for all. The factors are
//! known beforehand, so which doublings are added up is a plan that is made once for each size.
//!
//! A factor splits in two halves by the curve's endomorphism (Gallant, Lambert, Vanstone), each written in sparse signed digits
//! (width-w NAF); digits of one size share a bucket.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::parallel::*;
use ark_ff::{Field, PrimeField};

use super::Integer;
use super::fft::{bit_reverse, invert, root_of_unity};
use super::msm::Entries;
use super::points::Points;
use crate::curve::G1Affine;
use crate::field::Fr;

/// λ = z² − 1, z the parameter of the curve: a cube root of one modulo r, 128 bits.
const LAMBDA: u128 = 0xac45_a401_0001_a402_0000_0000_ffff_ffff;
/// Digits that are not zero are at least so many places apart, odd, and below 2^(WIDTH−1) in size.
const WIDTH: u32 = 5;
/// Sizes of digits: 1, 3, 5, …
const BUCKETS: usize = 1 << (WIDTH - 2);
// r < λ · (λ + 2), so both halves are at most λ + 1; with a digit's size more they are below 2¹²⁸.
const _: () = {
    let r = <ark_bls12_381::FrConfig as ark_ff::MontConfig<4>>::MODULUS.0;
    assert!((r[3] as u128) << 64 | (r[2] as u128) < LAMBDA);
    assert!(LAMBDA < u128::MAX - 2 - (1 << WIDTH));
};
/// Points that are doubled at a time: enough to share inversions, few enough for the cache.
const PART: usize = 256;

/// `points` are the first coefficients of a polynomial with `size` of them; the result is bit-reversed.
///
/// The zeros behind them cost nothing.
pub(super) fn fft<P: Points>(points: &[G1Affine], size: usize) -> Vec<G1Affine> {
    let values = points.iter().map(P::import).collect();
    let values = transform::<P>(values, size, false);
    let log = size.trailing_zeros();
    (0..size)
        .map(|at| P::export(&values[bit_reverse(at, log)]))
        .collect()
}

/// Bit-reversed evaluations → ordered coefficients, each `points.len()` times too large: the caller divides the
/// scalars before, which costs less.
pub(super) fn inverse_fft<P: Points>(points: Vec<G1Affine>) -> Vec<G1Affine> {
    let (size, log) = (points.len(), points.len().trailing_zeros());
    let values = (0..size)
        .map(|at| P::import(&points[bit_reverse(at, log)]))
        .collect();
    let values = transform::<P>(values, size, true);
    values.iter().map(P::export).collect()
}

/// Evaluations on the powers of the root of unity, or of its inverse, in order.
fn transform<P: Points>(mut values: Vec<P::Point>, size: usize, inverse: bool) -> Vec<P::Point> {
    if values.len() == 1 {
        return vec![values[0]; size];
    }
    for stage in &*plan(values.len(), size, inverse) {
        let parts: Vec<_> = stage
            .parts
            .par_iter()
            .map(|part| part.run::<P>(stage, &values))
            .collect();
        let mut next = vec![P::INFINITY; size];
        let places = stage.parts.iter().flat_map(|part| &part.outputs);
        for (to, value) in places.zip(parts.iter().flatten()) {
            next[*to as usize] = *value;
        }
        values = next;
    }
    values
}

/// Butterflies of some levels at once.
struct Stage {
    /// 2^bits numbers make 2^bits others.
    bits: u32,
    parts: Vec<Part>,
}

/// Some butterflies, those of the same points together.
struct Part {
    /// Butterflies.
    count: usize,
    /// The first point of each, which has no factor.
    first: Vec<u32>,
    /// The points that are multiplied.
    inputs: Vec<u32>,
    /// How often they are doubled at most.
    doublings: usize,
    /// For lower and upper halves, products and butterflies: buckets over all points, doubled 0, 1, 2, … times.
    entries: Entries,
    /// Where the results go, the first of each butterfly, then the second of each, …
    outputs: Vec<u32>,
}

/// The stages of a transform of `len` coefficients to `size` values.
///
/// A value of a stage is a transform of every B-th coefficient, from the b-th one on: B times K values for some B and K,
/// the one for root ω^k at b · K + k. From those for b, b + B/R, b + 2B/R, … a butterfly makes one for b < B/R, at the R roots ω^k,
/// ω^(k+K), …, where ω is now of order K · R.
fn plan(len: usize, size: usize, inverse: bool) -> Arc<Vec<Stage>> {
    type Plans = BTreeMap<(usize, usize, bool), Arc<Vec<Stage>>>;
    static PLANS: Mutex<Plans> = Mutex::new(BTreeMap::new());
    let key = (len, size, inverse);
    let find = || PLANS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(plan) = find().get(&key) {
        return plan.clone();
    }
    // Made without the lock, perhaps by two at a time.
    let levels = len.trailing_zeros();
    let count = ((levels + 1) / 3).max(1);
    let (mut columns, mut roots) = (len, size / len);
    let stages = (0..count).map(|index| {
        let bits = levels / count + u32::from(index < levels % count);
        let stage = Stage::new(bits, columns, roots, index > 0, inverse);
        columns >>= bits;
        roots <<= bits;
        stage
    });
    let plan = Arc::new(stages.collect());
    find().entry(key).or_insert(plan).clone()
}

impl Stage {
    /// From `columns · roots` values; unless they are `distinct`, those of a column are the same, and there once.
    fn new(bits: u32, columns: usize, roots: usize, distinct: bool, inverse: bool) -> Self {
        let radix = 1 << bits;
        let butterflies: Vec<_> = (0..columns / radix)
            .flat_map(|column| (0..roots).map(move |root| (column, root)))
            .collect();
        let sharing = if distinct { 1 } else { roots };
        // Two threads have something to do at least.
        let families = butterflies.len() / sharing;
        let together = families.div_ceil(2).min(PART.div_ceil(radix - 1)) * sharing;
        let unity = root_of_unity(radix * roots);
        let unity = if inverse { invert(&unity) } else { unity };
        let parts = butterflies.chunks(together).map(|butterflies| {
            let column = |column: usize, root: usize| {
                (if distinct {
                    column * roots + root
                } else {
                    column
                }) as u32
            };
            let families = || butterflies.iter().step_by(sharing);
            let factors = |index: usize| {
                let (_, root) = butterflies[index];
                // The powers of the first root, and of what is between one and the next.
                (unity.pow([root as u64]), unity.pow([roots as u64]))
            };
            let products = Products::of(bits, butterflies.len(), sharing, factors);
            Part {
                count: butterflies.len(),
                first: butterflies
                    .iter()
                    .map(|(at, root)| column(*at, *root))
                    .collect(),
                inputs: families()
                    .flat_map(|&(at, root)| {
                        (1..radix).map(move |row| column(at + row * (columns / radix), root))
                    })
                    .collect(),
                doublings: products.doublings,
                entries: products.entries,
                outputs: (0..radix)
                    .flat_map(|place| butterflies.iter().map(move |butterfly| (place, butterfly)))
                    .map(|(place, (at, root))| (at * radix * roots + root + place * roots) as u32)
                    .collect(),
            }
        });
        Self {
            bits,
            parts: parts.collect(),
        }
    }
}

/// What the butterflies of a part add up.
struct Products {
    doublings: usize,
    entries: Entries,
}

impl Products {
    /// A butterfly has inputs x_0, x_1, … and the results Σ x_j (w·ζ^t)^j, which split like an ordinary transform: the sum
    /// over the odd j is the same, but for its sign, at t and t + R/2; that over the even j which are no multiple of four, at t and
    /// t + R/4; and so on. So there are 2^s products of level s, t < 2^s, each of the x_j with j an odd multiple of R / 2^(s+1).
    fn of(bits: u32, count: usize, sharing: usize, factors: impl Fn(usize) -> (Fr, Fr)) -> Self {
        let radix = 1usize << bits;
        let inputs = count / sharing * (radix - 1);
        // Set, place in the table and digit.
        let mut terms = Vec::new();
        let mut doublings = 0;
        for butterfly in 0..count {
            let (first, between) = factors(butterfly);
            for (level, at) in products(bits) {
                let factor = first * between.pow([at as u64]);
                let step = radix >> (level + 1);
                for row in (step..radix).step_by(2 * step) {
                    let input = butterfly / sharing * (radix - 1) + row - 1;
                    let (low, high) = split(&factor.pow([row as u64]).into_bigint().0);
                    for (half, number) in [low, high].into_iter().enumerate() {
                        let set = (half * (radix - 1) + (1 << level) - 1 + at) * count + butterfly;
                        sparse_digits(number, |place, digit| {
                            doublings = doublings.max(place);
                            terms.push((set, place * inputs + input, digit));
                        });
                    }
                }
            }
        }
        let entries = Entries::new(2 * (radix - 1) * count * BUCKETS, |report| {
            for (set, position, digit) in &terms {
                let bucket = set * BUCKETS + digit.unsigned_abs() as usize / 2;
                report(bucket, *position, *digit < 0);
            }
        });
        Self { doublings, entries }
    }
}

/// The products of a butterfly: level s has 2^s of them.
fn products(bits: u32) -> impl Iterator<Item = (u32, usize)> {
    (0..bits).flat_map(|level| (0..1usize << level).map(move |at| (level, at)))
}

impl Part {
    fn run<P: Points>(&self, stage: &Stage, values: &[P::Point]) -> Vec<P::Point> {
        let mut scratch = P::Scratch::default();
        let inputs = self.inputs.len();
        let mut table = Vec::with_capacity((self.doublings + 1) * inputs);
        table.extend(self.inputs.iter().map(|at| values[*at as usize]));
        for times in 0..self.doublings {
            table.extend_from_within(times * inputs..);
            P::double(&mut table[(times + 1) * inputs..], 1, &mut scratch);
        }
        let buckets = self.entries.sums::<P>(&table);
        let mut products = odd_sums::<P>(&buckets, &mut scratch);
        let (low, high) = products.split_at_mut(self.count * ((1 << stage.bits) - 1));
        P::endomorphism(high);
        P::add(low, high, &mut scratch);
        let mut results: Vec<_> = self.first.iter().map(|at| values[*at as usize]).collect();
        let mut rest = low;
        for _ in 0..stage.bits {
            let (level, behind) = rest.split_at_mut(results.len());
            P::butterflies(&mut results, level, &mut scratch);
            results.extend_from_slice(level);
            rest = behind;
        }
        results
    }
}

/// For each set of buckets: their sum with weights 1, 3, 5, …
fn odd_sums<P: Points>(buckets: &[P::Point], scratch: &mut P::Scratch) -> Vec<P::Point> {
    let column = |at: usize| buckets.iter().skip(at).step_by(BUCKETS).copied();
    let mut running: Vec<_> = column(BUCKETS - 1).collect();
    let mut sums = running.clone();
    let mut next = Vec::with_capacity(sums.len());
    for at in (0..BUCKETS - 1).rev() {
        next.clear();
        next.extend(column(at));
        P::add(&mut running, &next, scratch);
        if at > 0 {
            P::add(&mut sums, &running, scratch);
        }
    }
    // Now bucket i counts i times in the sums, and once in what runs.
    P::double(&mut sums, 1, scratch);
    P::add(&mut sums, &running, scratch);
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

/// Calls `each(place, digit)` for the digits of a half scalar that are not zero, lowest first.
fn sparse_digits(mut number: u128, mut each: impl FnMut(usize, i32)) {
    let mut place = 0;
    while number != 0 {
        let zeros = number.trailing_zeros();
        number >>= zeros;
        place += zeros as usize;
        let low = (number & ((1 << WIDTH) - 1)) as i32;
        let digit = if low >> (WIDTH - 1) == 1 {
            low - (1 << WIDTH)
        } else {
            low
        };
        number = number.wrapping_sub(digit as u128);
        each(place, digit);
    }
}

#[cfg(test)]
mod tests;
