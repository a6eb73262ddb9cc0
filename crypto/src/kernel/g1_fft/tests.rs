#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_ec::{CurveGroup, PrimeGroup};
use proptest::prelude::*;

use super::*;
use crate::testing::random_scalar;

#[test]
fn lambda_is_the_eigenvalue_of_the_endomorphism() {
    let lambda = Scalar::from(LAMBDA);
    assert_eq!(lambda * lambda + lambda + Scalar::one(), Scalar::zero());
    let point = G1Projective::generator().into_affine();
    let image = G1Affine::new_unchecked(point.x * g1::BETA * g1::BETA, point.y);
    assert_eq!((point * lambda).into_affine(), image);
}

fn value(digits: &[i8]) -> Scalar {
    digits.iter().rev().fold(Scalar::zero(), |value, digit| {
        let digit = i64::from(*digit);
        let size = Scalar::from(digit.unsigned_abs());
        value.double() + if digit < 0 { -size } else { size }
    })
}

proptest! {
    #[test]
    fn scalars_split(seed in any::<usize>()) {
        let scalar = random_scalar("split", seed);
        let (low, high) = split(&scalar.into_bigint().0);
        prop_assert!(low < LAMBDA);
        prop_assert_eq!(Scalar::from(low) + Scalar::from(LAMBDA) * Scalar::from(high), scalar);
    }

    #[test]
    fn windows_are_odd_and_sparse(number in any::<u128>()) {
        let digits = signed_windows(number);
        prop_assert_eq!(value(&digits), Scalar::from(number));
        for (at, digit) in digits.iter().enumerate().filter(|(_, digit)| **digit != 0) {
            prop_assert!(digit % 2 != 0 && digit.unsigned_abs() < 1 << (WINDOW - 1));
            prop_assert!(digits[at + 1..].iter().take(WINDOW as usize - 1).all(|digit| *digit == 0));
        }
    }
}

#[test]
fn edge_scalars() {
    for scalar in [
        Scalar::zero(),
        Scalar::one(),
        -Scalar::one(),
        Scalar::from(LAMBDA),
        Scalar::from(LAMBDA - 1),
    ] {
        let (low, high) = split(&scalar.into_bigint().0);
        assert_eq!(
            Scalar::from(low) + Scalar::from(LAMBDA) * Scalar::from(high),
            scalar
        );
        let base = G1Projective::generator().into_affine();
        let product = multiply(&[Point::from(&base)], &[scalar.into_bigint().0]);
        assert_eq!(product[0].to_affine(), (base * scalar).into_affine());
    }
    for number in [0, 1, 15, 16, 17, 31, u128::MAX, u128::MAX - 1, 1 << 127] {
        assert_eq!(value(&signed_windows(number)), Scalar::from(number));
    }
}
