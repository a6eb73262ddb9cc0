#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::G1Projective;
use ark_ec::{CurveGroup, PrimeGroup};
use ark_ff::{One, Zero};
use proptest::prelude::*;

use super::*;
use crate::kernel::batch_affine::Batched;
use crate::testing::random_scalar;

#[test]
fn lambda_is_the_eigenvalue_of_the_endomorphism() {
    let lambda = Fr::from(LAMBDA);
    assert_eq!(lambda * lambda + lambda + Fr::one(), Fr::zero());
    let point = G1Projective::generator().into_affine();
    let mut image = [Batched::import(&point)];
    Batched::endomorphism(&mut image);
    assert_eq!((point * lambda).into_affine(), Batched::export(&image[0]));
}

/// The digits with their places, and the number that they are.
fn digits(number: u128) -> (Vec<(usize, i32)>, Fr) {
    let mut digits = Vec::new();
    sparse_digits(number, |place, digit| digits.push((place, digit)));
    let value = digits.iter().fold(Fr::zero(), |value, (place, digit)| {
        let size = Fr::from(digit.unsigned_abs()) * Fr::from(2u64).pow([*place as u64]);
        if *digit < 0 {
            value - size
        } else {
            value + size
        }
    });
    (digits, value)
}

proptest! {
    #[test]
    fn scalars_split(seed in any::<usize>()) {
        let scalar = random_scalar("split", seed);
        let (low, high) = split(&scalar.into_bigint().0);
        prop_assert!(low < LAMBDA);
        prop_assert_eq!(Fr::from(low) + Fr::from(LAMBDA) * Fr::from(high), scalar);
    }

    #[test]
    fn digits_are_odd_and_far_apart(number in 0..=LAMBDA + 1) {
        let (digits, value) = digits(number);
        prop_assert_eq!(value, Fr::from(number));
        for (_, digit) in &digits {
            prop_assert!(digit % 2 != 0 && digit.unsigned_abs() < 1 << (WIDTH - 1));
        }
        for neighbours in digits.windows(2) {
            prop_assert!(neighbours[1].0 - neighbours[0].0 >= WIDTH as usize);
        }
    }
}

#[test]
fn edge_scalars() {
    for scalar in [
        Fr::zero(),
        Fr::one(),
        -Fr::one(),
        Fr::from(LAMBDA),
        Fr::from(LAMBDA - 1),
    ] {
        let (low, high) = split(&scalar.into_bigint().0);
        assert_eq!(Fr::from(low) + Fr::from(LAMBDA) * Fr::from(high), scalar);
    }
    for number in [0, 1, 15, 16, 17, 31, 1 << 127, LAMBDA, LAMBDA + 1] {
        assert_eq!(digits(number).1, Fr::from(number));
    }
}

/// Every split into stages, blocks that share their points, infinity and points that meet.
#[test]
fn transforms_are_those_of_the_definition() {
    for (log, more) in [
        (0, 2),
        (1, 0),
        (2, 1),
        (3, 3),
        (4, 0),
        (5, 1),
        (6, 3),
        (7, 0),
        (8, 1),
    ] {
        let (len, size) = (1usize << log, 1usize << (log + more));
        let coefficients: Vec<_> = (0..len)
            .map(|at| match at % 5 {
                0 => Fr::from(7u64),
                1 => Fr::zero(),
                2 => -Fr::from(7u64),
                _ => random_scalar("transform", at),
            })
            .collect();
        let generator = G1Projective::generator();
        let times = |factors: &[Fr]| {
            let points: Vec<_> = factors.iter().map(|factor| generator * factor).collect();
            G1Projective::normalize_batch(&points)
        };
        let evaluate = |root: Fr, at: usize| {
            let x = root.pow([at as u64]);
            coefficients
                .iter()
                .rev()
                .fold(Fr::zero(), |value, c| value * x + c)
        };
        let root = root_of_unity(size);
        let expected: Vec<_> = (0..size)
            .map(|at| evaluate(root, bit_reverse(at, size.trailing_zeros())))
            .collect();
        assert_eq!(
            fft::<Batched>(&times(&coefficients), size),
            times(&expected),
            "{len} {size}"
        );
        if more == 0 {
            let reversed: Vec<_> = (0..size)
                .map(|at| coefficients[bit_reverse(at, log)])
                .collect();
            let expected: Vec<_> = (0..size).map(|at| evaluate(invert(&root), at)).collect();
            assert_eq!(
                inverse_fft::<Batched>(times(&reversed)),
                times(&expected),
                "{len}"
            );
        }
    }
}
