#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::G1Projective;
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{Field, One, PrimeField, Zero};

use super::*;
use crate::testing::{random_scalar, random_scalars};

fn random_points(count: usize) -> Vec<G1Affine> {
    (0..count)
        .map(|index| (G1Projective::generator() * random_scalar("point", index)).into_affine())
        .collect()
}

fn integers(scalars: &[Scalar]) -> Vec<Integer> {
    scalars
        .iter()
        .map(|scalar| scalar.into_bigint().0)
        .collect()
}

fn naive_msm(points: &[G1Affine], scalars: &[Scalar]) -> G1Affine {
    points
        .iter()
        .zip(scalars)
        .map(|(point, scalar)| *point * scalar)
        .sum::<G1Projective>()
        .into_affine()
}

/// Evaluation at each root of unity, one after the other, in bit-reversed order.
fn naive_fft(coefficients: &[Scalar]) -> Vec<Scalar> {
    let size = coefficients.len();
    (0..size)
        .map(|position| {
            let point =
                root_of_unity(size).pow([bit_reverse(position, size.trailing_zeros()) as u64]);
            coefficients
                .iter()
                .rev()
                .fold(Scalar::zero(), |value, coefficient| {
                    value * point + coefficient
                })
        })
        .collect()
}

/// Scalars that break bucket methods: zero, one, the largest, single bits, all ones in a window.
fn awkward_scalars() -> Vec<Scalar> {
    let two = Scalar::from(2u64);
    let mut scalars = vec![Scalar::zero(), Scalar::one(), -Scalar::one(), -two, two];
    scalars.extend((0..255).step_by(7).map(|bit| two.pow([bit])));
    scalars.extend(
        (1..255)
            .step_by(11)
            .map(|bits| two.pow([bits]) - Scalar::one()),
    );
    scalars.extend(random_scalars("awkward", 20));
    scalars
}

#[test]
fn bits_are_reversed() {
    assert_eq!([0, 1, 2, 3].map(|i| bit_reverse(i, 2)), [0, 2, 1, 3]);
    assert_eq!(bit_reverse(0, 0), 0);
    assert_eq!(bit_reverse(1, 12), 2048);
}

#[test]
fn ffts_evaluate() {
    for log in 0..=7 {
        let coefficients = random_scalars("fft", 1 << log);
        let mut values = coefficients.clone();
        active().fft(&mut values);
        assert_eq!(values, naive_fft(&coefficients), "size 2^{log}");
        active().inverse_fft(&mut values);
        assert_eq!(values, coefficients, "size 2^{log}");
    }
}

#[test]
fn ffts_agree_with_arkworks_at_full_size() {
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
    for log in [12, 13, 15] {
        let coefficients = random_scalars("arkworks", 1 << log);
        let mut values = coefficients.clone();
        active().fft(&mut values);
        let in_order = Radix2EvaluationDomain::<Scalar>::new(1 << log)
            .unwrap()
            .fft(&coefficients);
        assert!((0..1 << log).all(|i| values[i] == in_order[bit_reverse(i, log)]));
    }
}

#[test]
fn multi_scalar_multiplications_of_any_points() {
    for count in [0, 1, 2, 3, 7, 64, 200] {
        let (points, scalars) = (random_points(count), random_scalars("msm", count));
        assert_eq!(
            active().msm(&points, &integers(&scalars)),
            naive_msm(&points, &scalars),
            "{count}"
        );
    }
}

#[test]
fn awkward_scalars_and_points() {
    let scalars = awkward_scalars();
    let mut points = random_points(scalars.len());
    assert_eq!(
        active().msm(&points, &integers(&scalars)),
        naive_msm(&points, &scalars)
    );
    // The same point again and again, its opposite, and infinity: additions that have no slope.
    let first = points[0];
    for (index, point) in points.iter_mut().enumerate() {
        match index % 4 {
            0 => *point = first,
            1 => *point = -first,
            2 => *point = G1Affine::zero(),
            _ => {}
        }
    }
    assert_eq!(
        active().msm(&points, &integers(&scalars)),
        naive_msm(&points, &scalars)
    );
    let same = vec![first; 9];
    assert_eq!(
        active().msm(&same, &[[1, 0, 0, 0]; 9]),
        naive_msm(&same, &[Scalar::one(); 9])
    );
    assert!(active().msm(&[first, -first], &[[5, 0, 0, 0]; 2]).is_zero());
    assert!(active().msm(&points, &vec![[0; 4]; points.len()]).is_zero());
    // As far as the shorter list goes.
    assert_eq!(active().msm(&same, &[[1, 0, 0, 0]]), first);
}

#[test]
fn large_multiplications_are_split() {
    let mut points = random_points(64);
    while points.len() < 10_000 {
        points.extend_from_within(..);
    }
    let scalars = random_scalars("large", points.len());
    let folded: Vec<_> = (0..64)
        .map(|i| scalars.iter().skip(i).step_by(64).sum())
        .collect();
    assert_eq!(
        active().msm(&points, &integers(&scalars)),
        naive_msm(&points[..64], &folded)
    );
}

#[test]
fn fixed_bases() {
    let scalars = awkward_scalars();
    let points = random_points(scalars.len());
    let bases = FixedBases::new(&points);
    assert_eq!(
        active().msm_fixed(&bases, &integers(&scalars)),
        naive_msm(&points, &scalars)
    );
    assert_eq!(
        active().msm_fixed(&bases, &integers(&scalars[..5])),
        naive_msm(&points[..5], &scalars[..5])
    );
    assert!(active().msm_fixed(&bases, &[]).is_zero());
    assert!(
        active()
            .msm_fixed(&bases, &vec![[0; 4]; points.len()])
            .is_zero()
    );
}

#[test]
fn grouped_fixed_bases() {
    for group in [1, 2, 8, 64] {
        let mut points = random_points(4 * group);
        points[group] = G1Affine::zero();
        let scalars = random_scalars("grouped", 4 * group);
        let sums = FixedBases::grouped(&points, group).msm_groups(&integers(&scalars));
        assert_eq!(sums.len(), 4);
        for (at, sum) in sums.iter().enumerate() {
            let range = at * group..(at + 1) * group;
            assert_eq!(*sum, naive_msm(&points[range.clone()], &scalars[range]));
        }
    }
}

#[test]
fn group_ffts_evaluate() {
    for (len, size) in [
        (1, 1),
        (1, 2),
        (1, 8),
        (2, 2),
        (4, 4),
        (4, 32),
        (8, 16),
        (16, 16),
    ] {
        let points = random_points(len);
        let values = active().g1_fft(&points, size);
        assert_eq!(values.len(), size);
        for (position, value) in values.iter().enumerate() {
            let root =
                root_of_unity(size).pow([bit_reverse(position, size.trailing_zeros()) as u64]);
            let powers: Vec<_> = (0..len as u64).map(|i| root.pow([i])).collect();
            assert_eq!(
                *value,
                naive_msm(&points, &powers),
                "{len} of {size}, {position}"
            );
        }
    }
}

#[test]
fn group_ffts_are_inverted() {
    for log in 0..6 {
        let size = 1usize << log;
        let mut points = random_points(size);
        if size > 3 {
            points[1] = G1Affine::zero();
            points[3] = points[2];
        }
        let back = active().g1_inverse_fft(active().g1_fft(&points, size));
        let scaled: Vec<_> = points
            .iter()
            .map(|point| (*point * Scalar::from(size as u64)).into_affine())
            .collect();
        assert_eq!(back, scaled);
    }
    let zeros = vec![G1Affine::zero(); 16];
    assert_eq!(active().g1_fft(&zeros, 64), vec![G1Affine::zero(); 64]);
    assert_eq!(active().g1_inverse_fft(zeros.clone()), zeros);
}
