#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use super::*;
use crate::commit_rows;
use crate::testing::{edge_rows, random_rows};

fn refused(change: impl FnOnce(&mut Vec<u8>)) -> SetupError {
    let mut bytes = ETHEREUM.to_vec();
    change(&mut bytes);
    Setup::from_bytes(&bytes).unwrap_err()
}

const LAGRANGE: usize = 8;
const MONOMIAL: usize = LAGRANGE + ELEMENTS_PER_ROW * G1_RAW_BYTES;
const G2: usize = MONOMIAL + ELEMENTS_PER_ROW * G1_RAW_BYTES;

fn swap(bytes: &mut [u8], part: usize, size: usize, a: usize, b: usize) {
    for at in 0..size {
        bytes.swap(part + a * size + at, part + b * size + at);
    }
}

#[test]
fn the_embedded_file_is_the_documented_one() {
    let digest = hex::encode(sha256(&[ETHEREUM]));
    assert_eq!(
        digest,
        "0d643c36d2a17c67df814fa130459358d7c352a1f7cdcd9956f2910dc629e061"
    );
    assert_eq!(digest, hex::encode(ETHEREUM_SHA256));
    assert!(include_str!("../../data/README.md").contains(&digest));
    assert_eq!(ETHEREUM.len(), FILE_BYTES);
    assert_eq!(Setup::ethereum().monomial().len(), 4096);
}

/// A process that loads the embedded file relies on this.
#[test]
fn the_embedded_file_stands_every_check() {
    let checked = Setup::from_bytes(ETHEREUM).unwrap();
    let loaded = Setup::ethereum();
    assert_eq!(checked.lagrange, loaded.lagrange);
    assert_eq!(checked.monomial, loaded.monomial);
    assert_eq!(checked.g2, loaded.g2);
}

/// The bytes are the same whichever way is taken, and each setup takes the cheaper one.
#[test]
fn commitments_with_and_without_the_table_are_the_same() {
    let setup = Setup::from_bytes(ETHEREUM).unwrap();
    let made = |setup: &Setup| {
        let kernel = kernel::active();
        let mut made = true;
        setup.table.get_or_init(kernel, || {
            made = false;
            kernel.fixed_bases(&setup.lagrange, setup.lagrange.len(), table_bytes())
        });
        made
    };
    let mut rows = edge_rows();
    rows.push(random_rows("few", 2));
    let few: Vec<_> = rows
        .iter()
        .flat_map(|rows| commit_rows(&setup, rows))
        .collect();
    assert_eq!(setup.rows.load(Ordering::Relaxed), few.len());
    assert!(few.len() < TABLE_PAYS);
    let many = Setup::from_bytes(ETHEREUM).unwrap();
    many.committer(TABLE_PAYS);
    let with_table: Vec<_> = rows
        .iter()
        .flat_map(|rows| commit_rows(&many, rows))
        .collect();
    assert_eq!(few, with_table);
    assert!(made(&many) && !made(&setup));
}

/// A point of the curve outside the subgroup: the check that loading leaves to this test is the one that finds it.
#[test]
fn points_outside_the_subgroup_are_refused() {
    let outside = (0u64..)
        .find_map(|x| G1Affine::get_point_from_x_unchecked(ark_bls12_381::Fq::from(x), false))
        .unwrap();
    assert!(!outside.is_in_correct_subgroup_assuming_on_curve());
    let raw = |value: ark_bls12_381::Fq| {
        let limbs = ark_ff::PrimeField::into_bigint(value).0;
        limbs
            .into_iter()
            .rev()
            .flat_map(u64::to_be_bytes)
            .collect::<Vec<_>>()
    };
    let bytes = [raw(outside.x), raw(outside.y)].concat();
    let at = LAGRANGE + 9 * G1_RAW_BYTES;
    assert_eq!(
        refused(|file| file[at..at + G1_RAW_BYTES].copy_from_slice(&bytes)),
        SetupError::Point {
            part: "lagrange",
            index: 9,
            error: PointError::NotInSubgroup
        }
    );
}

#[test]
fn other_files_are_refused() {
    assert_eq!(
        Setup::from_bytes(&[]).unwrap_err(),
        SetupError::Length {
            expected: FILE_BYTES,
            got: 0
        }
    );
    assert_eq!(
        refused(|bytes| bytes.push(0)),
        SetupError::Length {
            expected: FILE_BYTES,
            got: FILE_BYTES + 1
        }
    );
    assert_eq!(refused(|bytes| bytes[0] = b'B'), SetupError::Magic);
}

#[test]
fn bad_points_are_refused() {
    let error = PointError::NotOnCurve;
    assert_eq!(
        refused(|bytes| bytes[LAGRANGE + 7 * G1_RAW_BYTES + 95] ^= 1),
        SetupError::Point {
            part: "lagrange",
            index: 7,
            error
        }
    );
    assert_eq!(
        refused(|bytes| bytes[MONOMIAL + 4095 * G1_RAW_BYTES + 95] ^= 1),
        SetupError::Point {
            part: "monomial",
            index: 4095,
            error
        }
    );
    assert_eq!(
        refused(|bytes| bytes[G2 + 64 * G2_RAW_BYTES + 191] ^= 1),
        SetupError::Point {
            part: "g2",
            index: 64,
            error
        }
    );
    // Not below the field modulus.
    assert_eq!(
        refused(|bytes| bytes[MONOMIAL..MONOMIAL + 48].fill(0x1f)),
        SetupError::Point {
            part: "monomial",
            index: 0,
            error: PointError::Encoding
        }
    );
}

#[test]
fn points_in_wrong_places_are_refused() {
    assert_eq!(
        refused(|bytes| swap(bytes, MONOMIAL, G1_RAW_BYTES, 0, 1)),
        SetupError::Generator
    );
    assert_eq!(
        refused(|bytes| swap(bytes, G2, G2_RAW_BYTES, 0, 1)),
        SetupError::Generator
    );
    assert_eq!(
        refused(|bytes| swap(bytes, MONOMIAL, G1_RAW_BYTES, 4094, 4095)),
        SetupError::Powers { part: "monomial" }
    );
    assert_eq!(
        refused(|bytes| swap(bytes, G2, G2_RAW_BYTES, 63, 64)),
        SetupError::Powers { part: "g2" }
    );
    assert_eq!(
        refused(|bytes| swap(bytes, LAGRANGE, G1_RAW_BYTES, 0, 4095)),
        SetupError::Lagrange
    );
}
