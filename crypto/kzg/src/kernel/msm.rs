//! Multi-scalar multiplication by buckets (Pippenger), with signed digits and batched affine additions.
//!
//! Over bases that never change, every base's multiples by 2^(width·w) are precomputed, so all windows share one set
//! of buckets and nothing is doubled.

use crate::parallel::*;
use ark_bls12_381::G1Projective;
use ark_ec::{AdditiveGroup, CurveGroup};
use ark_ff::Zero;

use super::Integer;
use super::points::{FixedBases, Points};
use crate::curve::G1Affine;

/// Bits of a scalar.
const SCALAR_BITS: usize = 255;
const _: () =
    assert!(<ark_bls12_381::Fr as ark_ff::PrimeField>::MODULUS_BIT_SIZE as usize == SCALAR_BITS);
/// Widths of windows that are looked at; a digit is an `i32`.
const WIDTHS: std::ops::RangeInclusive<usize> = 3..=14;
/// Points in reach of an entry, which has a bit for the sign beside the position.
const MAX_POINTS: usize = 1 << 31;
/// Points that are fetched before they are read.
const AHEAD: usize = 48;
/// Points gathered at a time: large enough to share an inversion well, small enough for the cache.
const GROUP: usize = 4096;
/// So many sums and more are doubled in step; fewer one by one, without divisions.
const IN_STEP: usize = 16;
/// Below this many points a multi-scalar multiplication stays on its thread.
const PARALLEL: usize = 4096;

/// The width with the lowest cost.
#[expect(clippy::expect_used, reason = "there are twelve widths")]
fn cheapest(cost: impl Fn(&usize) -> usize) -> usize {
    WIDTHS.min_by_key(cost).expect("there are widths")
}

/// Windows of `width` bits that hold a number of `bits` bits in signed digits.
const fn windows(bits: usize, width: usize) -> usize {
    // One more bit for the last carry.
    (bits + 1).div_ceil(width)
}

/// Calls `each(window, digit)` for every non-zero signed digit, |digit| ≤ 2^(width−1).
fn digits(scalar: &Integer, width: usize, windows: usize, mut each: impl FnMut(usize, i32)) {
    let mask = (1u64 << width) - 1;
    let half = 1i32 << (width - 1);
    let mut carry = 0;
    for window in 0..windows {
        let bit = window * width;
        let (limb, shift) = (bit / 64, bit % 64);
        let low = scalar.get(limb).map_or(0, |l| l >> shift);
        let high = if shift + width > 64 {
            scalar.get(limb + 1).map_or(0, |l| l << (64 - shift))
        } else {
            0
        };
        let mut digit = ((low | high) & mask) as i32 + carry;
        carry = i32::from(digit > half);
        digit -= carry << width;
        if digit != 0 {
            each(window, digit);
        }
    }
}

/// Points to add into buckets, sorted by bucket.
pub(super) struct Entries {
    /// End of each bucket's entries.
    ends: Vec<u32>,
    /// Position of a point, times two, plus one if its negative is meant.
    points: Vec<u32>,
}

impl Entries {
    /// Runs `visit` twice, once to count and once to place; it reports (bucket, position, negative).
    pub(super) fn new(buckets: usize, visit: impl Fn(&mut dyn FnMut(usize, usize, bool))) -> Self {
        let mut ends = vec![0u32; buckets + 1];
        visit(&mut |bucket, _, _| ends[bucket + 1] += 1);
        let mut total = 0;
        for end in &mut ends {
            total += *end;
            *end = total;
        }
        let mut points = vec![0u32; total as usize];
        // `ends[b]` is the start of bucket b now and moves to its end.
        visit(&mut |bucket, position, negative| {
            let at = &mut ends[bucket];
            points[*at as usize] = (position as u32) << 1 | u32::from(negative);
            *at += 1;
        });
        ends.pop();
        Self { ends, points }
    }

    /// The sum of each bucket; `source` gives the points by position.
    pub(super) fn sums<P: Points>(&self, source: &[P::Point]) -> Vec<P::Point> {
        let mut sums = vec![P::INFINITY; self.ends.len()];
        let mut work = Work::<P>::default();
        let (mut start, mut first) = (0, 0);
        for (bucket, end) in self.ends.iter().enumerate() {
            let full = *end as usize - start >= GROUP || bucket + 1 == self.ends.len();
            if full {
                work.load(
                    source,
                    &self.points[start..*end as usize],
                    start,
                    &self.ends[first..=bucket],
                );
                work.reduce(&mut sums[first..=bucket]);
                (start, first) = (*end as usize, bucket + 1);
            }
        }
        sums
    }
}

/// A group of neighbouring buckets on its way to one point a bucket.
struct Work<P: Points> {
    points: Vec<P::Point>,
    /// Where each bucket's points start, and how many there are left.
    buckets: Vec<(u32, u32)>,
    pairs: Vec<(u32, u32)>,
    scratch: P::Scratch,
}

impl<P: Points> Default for Work<P> {
    fn default() -> Self {
        Self {
            points: Vec::new(),
            buckets: Vec::new(),
            pairs: Vec::new(),
            scratch: P::Scratch::default(),
        }
    }
}

impl<P: Points> Work<P> {
    fn load(&mut self, source: &[P::Point], entries: &[u32], start: usize, ends: &[u32]) {
        self.points.clear();
        let ahead = entries
            .iter()
            .skip(AHEAD)
            .map(Some)
            .chain(std::iter::repeat(None));
        self.points
            .extend(entries.iter().zip(ahead).map(|(entry, ahead)| {
                if let Some(ahead) = ahead {
                    P::prefetch(&source[(ahead >> 1) as usize]);
                }
                let point = &source[(entry >> 1) as usize];
                if entry & 1 == 1 {
                    P::negated(point)
                } else {
                    *point
                }
            }));
        let mut at = 0;
        self.buckets.clear();
        self.buckets.extend(ends.iter().map(|end| {
            let end = end - start as u32;
            let from = std::mem::replace(&mut at, end);
            (from, end - from)
        }));
    }

    /// Folds the upper half of every bucket onto the lower until it has at most one point.
    fn reduce(&mut self, sums: &mut [P::Point]) {
        loop {
            self.pairs.clear();
            for (start, length) in &mut self.buckets {
                let folded = *length / 2;
                *length -= folded;
                let upper = *start + *length;
                self.pairs
                    .extend((0..folded).map(|index| (*start + index, upper + index)));
            }
            if self.pairs.is_empty() {
                break;
            }
            P::add_within(&mut self.points, &self.pairs, &mut self.scratch);
        }
        for (sum, (start, length)) in sums.iter_mut().zip(&self.buckets) {
            if *length == 1 {
                *sum = self.points[*start as usize];
            }
        }
    }
}

/// For each set of `per_set` buckets (weights 1, 2, …; a power of two): the weighted sum.
fn weighted_sums<P: Points>(mut buckets: Vec<P::Point>, per_set: usize) -> Vec<G1Projective> {
    // Bucket i counts once, and 2^b times for every bit b of i: the sum of all, and for each bit that of the buckets that
    // have it, makes few steps of many additions. Neighbours are added up until a set is one bucket; before that, those at
    // odd places are the ones with the bit, and are added up beside the others from then on.
    let sets = buckets.len() / per_set;
    let mut scratch = P::Scratch::default();
    let mut odd = Vec::with_capacity(buckets.len());
    for level in 0..per_set.trailing_zeros() {
        let with_bit = (sets * per_set) >> (level + 1);
        odd.clear();
        odd.extend(buckets.iter().skip(1).step_by(2));
        for at in 0..odd.len() {
            buckets[at] = buckets[2 * at];
        }
        buckets.truncate(odd.len());
        P::add(&mut buckets, &odd, &mut scratch);
        buckets.extend_from_slice(&odd[..with_bit]);
    }
    let (all, bits) = buckets.split_at(sets);
    if sets >= IN_STEP {
        let mut sums = vec![P::INFINITY; sets];
        for bit in bits.chunks_exact(sets).rev() {
            P::double(&mut sums, 1, &mut scratch);
            P::add(&mut sums, bit, &mut scratch);
        }
        P::add(&mut sums, all, &mut scratch);
        return sums.iter().map(|sum| P::export(sum).into()).collect();
    }
    (0..sets)
        .map(|set| {
            let bits: Vec<_> = bits[set..].iter().step_by(sets).map(P::export).collect();
            horner(bits.iter(), 1) + P::export(&all[set])
        })
        .collect()
}

/// Bases with their precomputed multiples.
pub(super) struct Tables<P: Points> {
    /// Bases in each group; a multiplication is over one group.
    group: usize,
    width: usize,
    windows: usize,
    /// A base has a multiple for every so many windows; the windows between are summed up apart and doubled.
    rounds: usize,
    /// Group by group, window by window: base · 2^(width·window).
    table: Vec<P::Point>,
}

impl<P: Points> Tables<P> {
    /// Groups of `group` bases each, one behind the other, within about `budget` bytes.
    pub(super) fn new(bases: &[G1Affine], group: usize, budget: usize) -> Self {
        let group = group.max(1);
        let groups = bases.len() / group;
        let fits = (budget / size_of::<P::Point>() / bases.len().max(1)).max(1);
        // Additions into buckets, two additions a bucket to sum them up for each round, and a round's doublings.
        let cost = |width: &usize| {
            let windows = windows(SCALAR_BITS, *width);
            let rounds = windows.div_ceil(fits);
            windows * group + rounds * 2 * (1 << (width - 1)) + (rounds - 1) * width * 2
        };
        let width = cheapest(cost);
        let windows = windows(SCALAR_BITS, width);
        let rounds = windows.div_ceil(fits);
        let stored = windows.div_ceil(rounds);
        assert!(
            stored * groups * group <= MAX_POINTS,
            "an entry reaches all of the table"
        );
        let mut table = vec![P::INFINITY; stored * groups * group];
        table
            .par_chunks_exact_mut(stored * group)
            .zip(bases.par_chunks_exact(group))
            .for_each(|(table, bases)| {
                // The windows of one base depend on each other, the bases do not: split by bases.
                let mut current: Vec<_> = bases.iter().map(P::import).collect();
                for (window, row) in table.chunks_exact_mut(group).enumerate() {
                    if window > 0 {
                        current.par_chunks_mut(512).for_each(|part| {
                            P::double(part, width * rounds, &mut P::Scratch::default());
                        });
                    }
                    row.copy_from_slice(&current);
                }
            });
        Self {
            group,
            width,
            windows,
            rounds,
            table,
        }
    }

    fn sums(&self, first_group: usize, scalars: &[Integer]) -> Vec<G1Projective> {
        let per_set = 1 << (self.width - 1);
        let groups = scalars.len().div_ceil(self.group);
        let stored = self.windows.div_ceil(self.rounds);
        let table = &self.table[first_group * stored * self.group..];
        // A set for each group and round.
        let entries = Entries::new(groups * self.rounds * per_set, |report| {
            for (at, scalars) in scalars.chunks(self.group).enumerate() {
                for (index, scalar) in scalars.iter().enumerate() {
                    digits(scalar, self.width, self.windows, |window, digit| {
                        let set = at * self.rounds + window % self.rounds;
                        report(
                            set * per_set + digit.unsigned_abs() as usize - 1,
                            (at * stored + window / self.rounds) * self.group + index,
                            digit < 0,
                        );
                    });
                }
            }
        });
        let sums = weighted_sums::<P>(entries.sums::<P>(table), per_set);
        sums.chunks_exact(self.rounds)
            .map(|rounds| horner(rounds.iter(), self.width))
            .collect()
    }
}

impl<P: Points> FixedBases for Tables<P> {
    fn msm(&self, scalars: &[Integer]) -> G1Affine {
        let scalars = &scalars[..scalars.len().min(self.group)];
        // One group at most; none without scalars.
        let sums = self.sums(0, scalars);
        sums.iter().sum::<G1Projective>().into_affine()
    }

    fn msm_groups(&self, scalars: &[Integer]) -> Vec<G1Projective> {
        // Enough groups together that their additions fill a batch.
        let together = (4096 / self.group).clamp(1, 128);
        scalars
            .par_chunks(together * self.group)
            .enumerate()
            .flat_map_iter(|(part, scalars)| self.sums(part * together, scalars))
            .collect()
    }
}

/// `Σ sums[i] · 2^(width·i)`.
fn horner<'a, T: 'a>(sums: impl DoubleEndedIterator<Item = &'a T>, width: usize) -> G1Projective
where
    G1Projective: std::ops::Add<&'a T, Output = G1Projective>,
{
    sums.rev().fold(G1Projective::zero(), |mut acc, sum| {
        if !acc.is_zero() {
            for _ in 0..width {
                acc.double_in_place();
            }
        }
        acc + sum
    })
}

/// `Σ scalars[i] · points[i]` over any points, as far as the shorter of the two goes.
pub(super) fn msm<P: Points>(points: &[G1Affine], scalars: &[Integer]) -> G1Affine {
    let len = points.len().min(scalars.len());
    assert!(len <= MAX_POINTS, "an entry reaches all points");
    let (points, scalars) = (&points[..len], &scalars[..len]);
    let part = points.len().div_ceil(current_num_threads()).max(PARALLEL);
    let sums: Vec<_> = points
        .par_chunks(part)
        .zip(scalars.par_chunks(part))
        .map(|(points, scalars)| msm_part::<P>(points, scalars))
        .collect();
    sums.into_iter().sum::<G1Projective>().into_affine()
}

fn msm_part<P: Points>(points: &[G1Affine], scalars: &[Integer]) -> G1Projective {
    let bits = scalars.iter().map(bit_length).max().unwrap_or(0);
    if bits == 0 {
        return G1Projective::zero();
    }
    let cost = |width: &usize| windows(bits, *width) * (points.len() + 2 * (1 << (width - 1)));
    let width = cheapest(cost);
    let windows = windows(bits, width);
    let per_set = 1 << (width - 1);
    let points: Vec<_> = points.iter().map(P::import).collect();
    let entries = Entries::new(windows * per_set, |report| {
        for (index, scalar) in scalars.iter().enumerate() {
            digits(scalar, width, windows, |window, digit| {
                report(
                    window * per_set + digit.unsigned_abs() as usize - 1,
                    index,
                    digit < 0,
                );
            });
        }
    });
    let sums = weighted_sums::<P>(entries.sums::<P>(&points), per_set);
    horner(sums.iter(), width)
}

fn bit_length(scalar: &Integer) -> usize {
    scalar
        .iter()
        .enumerate()
        .rev()
        .find(|(_, limb)| **limb != 0)
        .map_or(0, |(at, limb)| {
            at * 64 + (u64::BITS - limb.leading_zeros()) as usize
        })
}
