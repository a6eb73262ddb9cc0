#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::G1Projective;
use ark_ec::{CurveGroup, PrimeGroup};
use ark_ff::Zero;
use proptest::prelude::*;

use super::*;
use crate::kernel::batch_affine::Batched;
use crate::testing::random_scalar;

#[test]
fn lambda_is_the_eigenvalue_of_the_endomorphism() {
    let lambda = Scalar::from(LAMBDA);
    assert_eq!(lambda * lambda + lambda + Scalar::one(), Scalar::zero());
    let point = G1Projective::generator().into_affine();
    let mut image = [Batched::import(&point)];
    Batched::endomorphism(&mut image);
    assert_eq!((point * lambda).into_affine(), Batched::export(&image[0]));
}

fn value(digits: &[i8]) -> Scalar {
    digits.iter().rev().fold(Scalar::zero(), |value, digit| {
        let digit = i64::from(*digit);
        let size = Scalar::from(digit.unsigned_abs());
        value * Scalar::from(1u64 << WINDOW) + if digit < 0 { -size } else { size }
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
    fn windows_are_small(number in any::<u128>()) {
        let digits = signed_windows(number);
        prop_assert_eq!(value(&digits), Scalar::from(number));
        prop_assert!(digits.iter().all(|digit| usize::from(digit.unsigned_abs()) <= TABLE));
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
        let product = multiply::<Batched>(&[Batched::import(&base)], &[scalar.into_bigint().0]);
        assert_eq!(Batched::export(&product[0]), (base * scalar).into_affine());
    }
    for number in [0, 1, 15, 16, 17, 31, u128::MAX, u128::MAX - 1, 1 << 127] {
        assert_eq!(value(&signed_windows(number)), Scalar::from(number));
    }
}
