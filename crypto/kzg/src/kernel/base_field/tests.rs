#![allow(clippy::unwrap_used)]

use ark_bls12_381::{Fq, G1Projective};
use ark_ec::{CurveGroup, PrimeGroup};
use ark_ff::{AdditiveGroup, Field};
use proptest::prelude::*;

use super::Fe;

/// Elements from the edges of the field and from the middle of it.
fn elements() -> impl Strategy<Value = Fq> {
    prop_oneof![
        1 => prop_oneof![Just(Fq::ZERO), Just(Fq::ONE), Just(-Fq::ONE), Just(Fq::ONE.double()), Just(-Fq::ONE.double())],
        4 => any::<[u64; 6]>().prop_map(|words| words.iter().fold(Fq::ZERO, |sum, word| {
            sum * Fq::from(u64::MAX) + Fq::from(*word)
        })),
    ]
}

proptest! {
    #[test]
    fn as_in_arkworks(a in elements(), b in elements()) {
        let (x, y) = (Fe::new(&a), Fe::new(&b));
        prop_assert_eq!(x.to_fq(), a);
        prop_assert_eq!(x.is_zero(), a == Fq::ZERO);
        let mut out = Fe::ONE;
        out.set_product(&x, &y);
        prop_assert_eq!(out.to_fq(), a * b);
        out = x;
        out.multiply(&y);
        prop_assert_eq!(out.to_fq(), a * b);
        out.set_square(&x);
        prop_assert_eq!(out.to_fq(), a.square());
        out.set_difference(&x, &y);
        prop_assert_eq!(out.to_fq(), a - b);
        out = x;
        out.subtract(&y);
        prop_assert_eq!(out.to_fq(), a - b);
        out = x;
        out.subtract_from(&y);
        prop_assert_eq!(out.to_fq(), b - a);
        out.set_triple_square(&x);
        prop_assert_eq!(out.to_fq(), a.square() * Fq::from(3u64));
        out.set_double(&x);
        prop_assert_eq!(out.to_fq(), a.double());
        out = x;
        out.negate();
        prop_assert_eq!(out.to_fq(), -a);
        prop_assert_eq!(x.inverse().to_fq(), a.inverse().unwrap_or(Fq::ZERO));
    }
}

#[test]
fn coordinates_pass_as_they_are() {
    let point = (G1Projective::generator() * ark_bls12_381::Fr::from(7u64)).into_affine();
    assert_eq!(Fe::new(&point.x).to_fq(), point.x);
    assert_eq!(Fe::ONE.to_fq(), Fq::ONE);
}
