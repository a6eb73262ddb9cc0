//! What kernels do with points and scalars together.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::Field;

use super::points::folding;
use super::{Choices, Disagreement, KERNELS, Kernel, compare, twin};
use crate::curve::{G1Affine, G1Projective};
use crate::field::integer;
use crate::field::limbs;
use crate::kernel::{FixedBases, Integer, bit_reverse, root_of_unity};
use crate::{ELEMENTS_PER_ROW, Setup};

/// Scalars of one bucket, of a few, or any.
fn integers(choices: &mut Choices<'_>, count: usize) -> Vec<Integer> {
    let few: Vec<_> = (0..1 + choices.below(3))
        .map(|_| integer(&choices.scalar()))
        .collect();
    let kind = choices.below(4);
    (0..count)
        .map(|_| match kind {
            0 => [1, 0, 0, 0],
            1 => choices.pick(&few),
            2 => [choices.below(8) as u64, 0, 0, 0],
            _ => integer(&choices.scalar()),
        })
        .collect()
}

/// Points of the group: multiples of the generator, among which equal and opposite ones are common.
fn members(choices: &mut Choices<'_>, count: usize) -> Vec<G1Affine> {
    let few: Vec<_> = (0..count.min(6))
        .map(|_| G1Projective::generator() * choices.scalar())
        .collect();
    let sums: Vec<_> = (0..count)
        .map(|_| {
            let (a, b) = (choices.pick(&few), choices.pick(&few));
            if choices.one_in(2) { a + b } else { a - b }
        })
        .collect();
    G1Projective::normalize_batch(&sums)
}

/// Points of the group, or points in all relations: those only where every kernel adds in the same order. And whether the plain
/// twin takes part, which is slow and asks for the group.
fn points(choices: &mut Choices<'_>, count: usize) -> (Vec<G1Affine>, bool) {
    if choices.one_in(2) {
        return (members(choices, count), choices.one_in(4));
    }
    let folds = choices.below(3);
    let mut points = folding(choices, (count >> folds).div_ceil(2), folds);
    points.truncate(count);
    let missing = count - points.len();
    points.extend(members(choices, missing));
    (points, false)
}

/// The twin of a multi-scalar multiplication.
fn plain_msm(points: &[G1Affine], scalars: &[Integer]) -> G1Affine {
    let terms = points.iter().zip(scalars);
    let terms = terms.map(|(point, scalar)| point.mul_bigint(scalar));
    terms.sum::<G1Projective>().into_affine()
}

pub(super) fn msm(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    let count = match choices.below(3) {
        0 => choices.below(10),
        1 => 1 << choices.below(8),
        _ => choices.below(300),
    };
    let ((points, plain), scalars) = (points(choices, count), integers(choices, count));
    let operation = format!("msm of {count}");
    let sum = compare(choices, &operation, |kernel| kernel.msm(&points, &scalars))?;
    if plain {
        twin(operation, &sum, &plain_msm(&points, &scalars))?;
    }
    Ok(1)
}

pub(super) fn fixed_bases(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    const TIMES: usize = 4;
    let group = 1usize << choices.below(6);
    let groups = (1 + choices.below(8)) * 4;
    let count = group * groups;
    // The kernels' points differ in size: with a budget between, they divide into windows differently.
    let ((points, plain), budget) = match choices.below(4) {
        0 => (points(choices, count), 0),
        1 => ((members(choices, count), true), 2000 * count),
        _ => (points(choices, count), usize::MAX),
    };
    let scalars: Vec<_> = (0..TIMES).map(|_| integers(choices, count)).collect();
    let operation = format!("fixed bases, {groups} groups of {group}, budget {budget}");
    let products = compare(choices, &operation, |kernel| {
        let bases = kernel.fixed_bases(&points, group, budget);
        let products = scalars.iter().map(|scalars| {
            let groups = G1Projective::normalize_batch(&bases.msm_groups(scalars));
            (groups, bases.msm(&scalars[..group]))
        });
        products.collect::<Vec<_>>()
    })?;
    if plain {
        let ((got, _), scalars) = (&products[0], &scalars[0]);
        let groups = points.chunks(group).zip(scalars.chunks(group));
        let expected = groups.map(|(points, scalars)| plain_msm(points, scalars));
        twin(operation, got, &expected.collect())?;
    }
    Ok((TIMES * (groups + 1)) as u64)
}

pub(super) fn transforms(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    // Small ones mostly: the time goes with the size and its logarithm.
    let log = choices.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5]);
    let size = 1usize << log;
    let (points, plain) = points(choices, size);
    if choices.one_in(2) {
        let size = size << choices.below(2);
        let operation = format!("g1_fft of {} to {size}", points.len());
        let values = compare(choices, &operation, |kernel| kernel.g1_fft(&points, size))?;
        if plain {
            let evaluate = |at: usize| {
                let exponent = bit_reverse(at, size.trailing_zeros()) as u64;
                let root = root_of_unity(size).pow([exponent]);
                let powers = (0..points.len() as u64).map(|power| integer(&root.pow([power])));
                plain_msm(&points, &powers.collect::<Vec<_>>())
            };
            let at = choices.below(size);
            twin(operation, &values[at], &evaluate(at))?;
        }
    } else {
        // The first butterflies are over neighbours there.
        let half = size.div_ceil(2);
        let points: Vec<_> = (0..size).map(|at| points[at % 2 * half + at / 2]).collect();
        compare(choices, format!("g1_inverse_fft of {size}"), |kernel| {
            kernel.g1_inverse_fft(points.clone())
        })?;
    }
    Ok(1)
}

/// A row's commitment in both ways: with tables as they are used, one for each kernel, and without.
pub(super) fn commitments(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    let row = super::scalars::row(choices);
    let scalars: Vec<_> = row.as_chunks().0.iter().map(limbs).collect();
    let operation = "a commitment to a row";
    let commit = |kernel| tables(kernel).msm(&scalars);
    let with_table = compare(choices, operation, commit)?;
    let points = Setup::ethereum().lagrange();
    let without = compare(choices, operation, |kernel| kernel.msm(points, &scalars))?;
    twin(operation, &without, &with_table).map(|()| 2)
}

fn tables(kernel: &'static dyn Kernel) -> &'static dyn FixedBases {
    type Tables = Mutex<HashMap<&'static str, &'static dyn FixedBases>>;
    static TABLES: OnceLock<Tables> = OnceLock::new();
    let mut tables = TABLES
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    debug_assert!(tables.len() <= KERNELS.len());
    *tables.entry(kernel.name()).or_insert_with(|| {
        let lagrange = Setup::ethereum().lagrange();
        Box::leak(kernel.fixed_bases(lagrange, ELEMENTS_PER_ROW, usize::MAX))
    })
}
