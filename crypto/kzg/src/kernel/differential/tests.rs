#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use std::hash::{BuildHasher, RandomState};

use super::*;

/// Rounds of one area with new seeds, or with the one in `ASHLAR_FUZZ_SEED`.
fn rounds(area: Area, count: u64) {
    let given = std::env::var("ASHLAR_FUZZ_SEED").ok();
    let first = match &given {
        Some(seed) => seed.parse().unwrap(),
        None => RandomState::new().hash_one(0),
    };
    for round_of in 0..if given.is_some() { 1 } else { count } {
        let seed = first.wrapping_add(round_of);
        let result = round(area, &mut Choices::from_seed(seed));
        assert!(
            result.is_ok(),
            "ASHLAR_FUZZ_SEED={seed}: {}",
            result.unwrap_err()
        );
    }
}

#[test]
fn point_additions() {
    rounds(Area::Points, 300);
}

#[test]
fn base_field_products() {
    rounds(Area::BaseField, 50);
}

#[test]
fn scalar_field_products() {
    rounds(Area::ScalarField, 50);
}

#[test]
fn scalar_transforms() {
    rounds(Area::Transforms, 100);
}

#[test]
fn multi_scalar_multiplications() {
    rounds(Area::Msm, 50);
}

#[test]
fn fixed_base_products() {
    rounds(Area::FixedBases, 10);
}

#[test]
fn group_transforms() {
    rounds(Area::GroupTransforms, 50);
}

#[test]
fn row_commitments() {
    rounds(Area::Commitments, 8);
}

#[test]
fn decoded_points() {
    rounds(Area::Decoding, 100);
}

#[test]
fn a_fuzzers_bytes_are_choices() {
    let mut choices = Choices::from_bytes(&[3, 0, 9, 255]);
    assert_eq!(
        [4, 7, 10, 256].map(|end| choices.below(end)),
        [3, 0, 9, 255]
    );
    // The same bytes, the same round.
    for area in [Area::Points, Area::Msm] {
        let bytes: Vec<u8> = (0..99).collect();
        assert_eq!(
            round(area, &mut Choices::from_bytes(&bytes)),
            round(area, &mut Choices::from_bytes(&bytes))
        );
    }
}
