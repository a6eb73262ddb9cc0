#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::{Bls12_381, G1Projective};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_serialize::CanonicalSerialize;

use super::*;
use crate::testing::random_scalar;

fn random_g1(index: usize) -> G1Affine {
    (G1Projective::generator() * random_scalar("g1", index)).into_affine()
}

fn random_g2(index: usize) -> G2Affine {
    (ark_bls12_381::G2Projective::generator() * random_scalar("g2", index)).into_affine()
}

/// Compressed by arkworks, which shares the Zcash encoding for this curve.
fn by_arkworks(point: &G1Affine) -> [u8; 48] {
    let mut bytes = Vec::new();
    point.serialize_compressed(&mut bytes).unwrap();
    bytes.try_into().unwrap()
}

#[test]
fn both_libraries_mean_the_same_points() {
    for index in 0..20 {
        let point = random_g1(index);
        assert_eq!(compress(&point), by_arkworks(&point));
        assert_eq!(decompress(&compress(&point)), Ok(point));
        assert_eq!(g1_from_blst(&g1_to_blst(&point)), point);
        assert_eq!(
            g2_from_blst(&g2_to_blst(&random_g2(index))),
            random_g2(index)
        );
    }
    let infinity = G1Affine::zero();
    assert_eq!(compress(&infinity), by_arkworks(&infinity));
    assert_eq!(decompress(&compress(&infinity)), Ok(infinity));
    assert_eq!(
        g2_from_blst(&g2_to_blst(&G2Affine::zero())),
        G2Affine::zero()
    );
}

#[test]
fn pairings_agree_with_arkworks() {
    let (a, b) = (random_g1(1), random_g2(2));
    let k = random_scalar("k", 0);
    let (ka, kb) = ((a * k).into_affine(), (b * k).into_affine());
    assert!(pairings_equal(&ka, &b, &a, &kb));
    assert_eq!(Bls12_381::pairing(ka, b), Bls12_381::pairing(a, kb));
    assert!(!pairings_equal(&ka, &b, &a, &b));
    assert!(!pairings_equal(&ka, &b, &ka, &kb));
}

#[test]
fn pairings_with_infinity_are_one() {
    let (a, b) = (random_g1(1), random_g2(2));
    let (zero_1, zero_2) = (G1Affine::zero(), G2Affine::zero());
    assert!(pairings_equal(&zero_1, &b, &a, &zero_2));
    assert!(pairings_equal(&zero_1, &b, &zero_1, &zero_2));
    assert!(!pairings_equal(&a, &b, &zero_1, &b));
    assert!(!pairings_equal(&a, &zero_2, &a, &b));
}

#[test]
fn bad_encodings_are_refused() {
    let good = compress(&random_g1(3));
    // Not marked as compressed.
    let mut bytes = good;
    bytes[0] &= 0x7f;
    assert_eq!(decompress(&bytes), Err(PointError::Encoding));
    // A coordinate that is not below the field modulus: its canonical form is another one.
    let mut bytes = [0xff; 48];
    bytes[0] = 0x9f;
    assert_eq!(decompress(&bytes), Err(PointError::Encoding));
    // Infinity with something else in it.
    let mut bytes = compress(&G1Affine::zero());
    bytes[47] = 1;
    assert_eq!(decompress(&bytes), Err(PointError::Encoding));
    let mut bytes = compress(&G1Affine::zero());
    bytes[0] |= 0x20;
    assert_eq!(decompress(&bytes), Err(PointError::Encoding));
}

#[test]
fn points_off_the_curve_and_outside_the_subgroup_are_refused() {
    // Small x-coordinates: some are no point's, the others' are almost surely outside the subgroup.
    let mut seen = [0; 2];
    for x in 1..30u8 {
        let mut bytes = [0; 48];
        (bytes[0], bytes[47]) = (0x80, x);
        let on_curve = G1Affine::get_point_from_x_unchecked(Fq::from(x), false);
        match decompress(&bytes) {
            Err(PointError::NotOnCurve) => {
                assert!(on_curve.is_none());
                seen[0] += 1;
            }
            Err(PointError::NotInSubgroup) => {
                let point = on_curve.unwrap();
                assert!(point.is_on_curve() && !point.is_in_correct_subgroup_assuming_on_curve());
                let mut raw = Vec::new();
                point.serialize_uncompressed(&mut raw).unwrap();
                assert_eq!(
                    g1_in_subgroup(&g1_from_raw(&raw.try_into().unwrap()).unwrap()),
                    Err(PointError::NotInSubgroup)
                );
                seen[1] += 1;
            }
            other => panic!("x = {x}: {other:?}"),
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0);
}
