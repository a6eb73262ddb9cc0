//! Batches of points, and products in their field.

use std::fmt;

use ark_bls12_381::{Fq, g1};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field};

use super::{Choices, Disagreement, takes_part};
use crate::curve::G1Affine;
use crate::kernel::batch_affine::Batched;
use crate::kernel::fft::invert;
use crate::kernel::forged::{Relation, unfold};
use crate::kernel::ifma::{self, Ifma};
use crate::kernel::points::Points;

/// One step of a script over two lists of the same length.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// `low[i] += high[i]`
    Add,
    /// `low[i] −= high[i]`
    Subtract,
    /// `low[i] += high[i]` in one list.
    Within,
    /// `low[i] += high[i]` in one list, neighbours first: the fold of a bucket with an odd number of points beside others.
    WithinReversed,
    /// The sums of the two lists' members, and the differences.
    Butterflies,
    /// `low[i] · 2^times`
    Double(usize),
    /// λ times every point of the second list.
    Endomorphism,
    /// The sums are folded, until one is left.
    Fold,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Runs the script and says what lay in the lists after each step, and how many additions that were.
fn play<P: Points>(points: &[G1Affine], steps: &[Step]) -> (Vec<Vec<G1Affine>>, u64) {
    let import = |points: &[G1Affine]| points.iter().map(P::import).collect::<Vec<_>>();
    let (low, high) = points.split_at(points.len() / 2);
    let (mut low, mut high) = (import(low), import(high));
    let mut scratch = P::Scratch::default();
    let mut additions = 0;
    let mut after = Vec::with_capacity(steps.len());
    for step in steps {
        let count = low.len();
        additions += count as u64;
        match step {
            Step::Add => P::add(&mut low, &high, &mut scratch),
            Step::Subtract => {
                let opposite: Vec<_> = high.iter().map(P::negated).collect();
                P::add(&mut low, &opposite, &mut scratch);
            }
            Step::Within | Step::WithinReversed => {
                let reversed = matches!(step, Step::WithinReversed);
                let mut all = [&low[..], &high[..]].concat();
                let mut pairs: Vec<_> = (0..count as u32)
                    .map(|at| (at, count as u32 + at))
                    .collect();
                if reversed {
                    pairs.reverse();
                }
                P::add_within(&mut all, &pairs, &mut scratch);
                low.copy_from_slice(&all[..count]);
            }
            Step::Butterflies => {
                additions += count as u64;
                P::butterflies(&mut low, &mut high, &mut scratch);
            }
            Step::Double(times) => {
                additions += (count * (times - 1)) as u64;
                P::double(&mut low, *times, &mut scratch);
            }
            Step::Endomorphism => {
                additions -= count as u64;
                P::endomorphism(&mut high);
            }
            Step::Fold => {
                let mut all = [&low[..], &high[..]].concat();
                while all.len() > 1 {
                    let kept = all.len().div_ceil(2);
                    let folded = all.len() - kept;
                    let pairs: Vec<_> = (0..folded as u32)
                        .map(|at| (at, kept as u32 + at))
                        .collect();
                    P::add_within(&mut all, &pairs, &mut scratch);
                    all.truncate(kept);
                    additions += folded as u64;
                    after.push(all.iter().map(P::export).collect());
                }
                additions -= count as u64;
            }
        }
        after.push(low.iter().chain(&high).map(P::export).collect());
    }
    (after, additions)
}

/// A point: any two numbers, but for those that no point of the group has.
pub(super) fn point(choices: &mut Choices<'_>) -> G1Affine {
    let mut coordinate = || loop {
        let number = choices.base();
        if number != Fq::ZERO {
            break number;
        }
    };
    G1Affine::new_unchecked(coordinate(), coordinate())
}

/// Pairs in some relation, the first points in front of the second ones.
pub(super) fn related(choices: &mut Choices<'_>, pairs: usize) -> Vec<G1Affine> {
    // A batch of one kind now and then; a few exceptions among many usually.
    let one_kind = choices.one_in(8).then(|| choices.pick(&Relation::ALL));
    let rare = 1 + choices.below(12);
    let pairs: Vec<_> = (0..pairs)
        .map(|_| {
            let relation = match one_kind {
                Some(relation) => relation,
                None if choices.one_in(rare) => choices.pick(&Relation::ALL),
                None => Relation::None,
            };
            let k = match choices.below(3) {
                0 => 1 + choices.below(9) as u128,
                1 => 1 << choices.below(100),
                _ => u128::from(choices.word()) | 1,
            };
            relation.pair(point(choices), point(choices), k)
        })
        .collect();
    let half = |at: usize| pairs.iter().map(move |pair| pair[at]);
    half(0).chain(half(1)).collect()
}

/// Points that after some folds are in some relation.
pub(super) fn folding(choices: &mut Choices<'_>, pairs: usize, folds: usize) -> Vec<G1Affine> {
    let mut points = related(choices, pairs);
    for _ in 0..folds {
        points = unfold(&points, || {
            let point = point(choices);
            (point.x, point.y)
        });
    }
    points
}

/// A script over points in all relations: in additions.
pub(super) fn additions(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    let pairs = match choices.below(4) {
        0 => choices.below(10),
        1 => 8 * (1 + choices.below(4)),
        _ => 1 + choices.below(200),
    };
    let folds = choices.below(3);
    let points = folding(choices, pairs, folds);
    let mut steps = vec![match choices.below(6) {
        0 => Step::Add,
        1 => Step::Subtract,
        2 => Step::Within,
        3 => Step::WithinReversed,
        _ => Step::Butterflies,
    }];
    if folds > 0 {
        steps = vec![Step::Fold];
    }
    for _ in 0..choices.below(8) {
        steps.push(match choices.below(12) {
            0 => Step::Double(1 + choices.below(3)),
            1 => Step::Endomorphism,
            2 => Step::Fold,
            3 | 4 => Step::Add,
            5 | 6 => Step::Subtract,
            7 => Step::Within,
            8 => Step::WithinReversed,
            _ => Step::Butterflies,
        });
    }
    let (expected, additions) = play::<Batched>(&points, &steps);
    let judge = |kernel, (results, _): (Vec<Vec<G1Affine>>, u64)| {
        if results == expected {
            return Ok(());
        }
        let operation = format!("a script of {} pairs, {steps:?}", points.len() / 2);
        Err(Disagreement { kernel, operation })
    };
    #[cfg(target_arch = "x86_64")]
    if <Ifma<ifma::Avx512> as crate::kernel::Kernel>::runs_here(&Ifma::new()) {
        judge("ifma", play::<Ifma<ifma::Avx512>>(&points, &steps))?;
    }
    if takes_part(choices) {
        judge(
            "ifma-emulated",
            play::<Ifma<ifma::Emulated>>(&points, &steps),
        )?;
    }
    if choices.one_in(16) {
        judge("arkworks' arithmetic", play::<Plain>(&points, &steps))?;
    }
    Ok(additions)
}

/// Products in the base field, of numbers as large as the formulas make them.
pub(super) fn products(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    const CHAIN: usize = 2000;
    let factors: [[(Fq, u64); 8]; 2] =
        std::array::from_fn(|_| std::array::from_fn(|_| (choices.base(), choices.below(4) as u64)));
    let wrong = |kernel| Disagreement {
        kernel,
        operation: format!("a chain of products of {factors:?}"),
    };
    let [mut a, mut b] = factors.map(|row| row.map(|(number, _)| number));
    for _ in 0..CHAIN {
        for (a, b) in a.iter_mut().zip(&mut b) {
            *a *= *b;
            std::mem::swap(a, b);
        }
    }
    #[cfg(target_arch = "x86_64")]
    if <Ifma<ifma::Avx512> as crate::kernel::Kernel>::runs_here(&Ifma::new())
        && ifma::chain_of_products::<ifma::Avx512>(&factors, CHAIN) != Some(b)
    {
        return Err(wrong("ifma"));
    }
    if takes_part(choices) && ifma::chain_of_products::<ifma::Emulated>(&factors, CHAIN) != Some(b)
    {
        return Err(wrong("ifma-emulated"));
    }
    Ok((8 * CHAIN) as u64)
}

/// The twin: one inversion a sum, arkworks' field.
struct Plain;

fn chord(a: &G1Affine, b: &G1Affine) -> G1Affine {
    let (Some((x1, y1)), Some((x2, y2))) = (a.xy(), b.xy()) else {
        return if a.is_zero() { *b } else { *a };
    };
    let slope = if x1 != x2 {
        (y2 - y1) * invert(&(x2 - x1))
    } else if y1 == y2 {
        x1.square() * Fq::from(3u64) * invert(&y1.double())
    } else {
        return G1Affine::zero();
    };
    let x = slope.square() - x1 - x2;
    G1Affine::new_unchecked(x, slope * (x1 - x) - y1)
}

impl Points for Plain {
    type Point = G1Affine;
    type Scratch = ();

    const INFINITY: G1Affine = G1Affine::identity();

    fn import(point: &G1Affine) -> G1Affine {
        *point
    }
    fn export(point: &G1Affine) -> G1Affine {
        *point
    }
    fn negated(point: &G1Affine) -> G1Affine {
        -*point
    }
    fn prefetch(_: &G1Affine) {}
    fn endomorphism(points: &mut [G1Affine]) {
        for point in points.iter_mut().filter(|point| !point.is_zero()) {
            point.x *= g1::BETA.square();
        }
    }
    fn add_within(points: &mut [G1Affine], pairs: &[(u32, u32)], (): &mut ()) {
        for (a, b) in pairs {
            points[*a as usize] = chord(&points[*a as usize], &points[*b as usize]);
        }
    }
    fn add(points: &mut [G1Affine], others: &[G1Affine], (): &mut ()) {
        for (point, other) in points.iter_mut().zip(others) {
            *point = chord(point, other);
        }
    }
    fn double(points: &mut [G1Affine], times: usize, (): &mut ()) {
        for point in points {
            for _ in 0..times {
                *point = chord(point, point);
            }
        }
    }
    fn butterflies(low: &mut [G1Affine], high: &mut [G1Affine], (): &mut ()) {
        for (a, b) in low.iter_mut().zip(high) {
            (*a, *b) = (chord(a, b), chord(a, &-*b));
        }
    }
}
