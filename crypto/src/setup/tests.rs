#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use super::*;

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
    assert!(include_str!("../../data/README.md").contains(&digest));
    assert_eq!(ETHEREUM.len(), FILE_BYTES);
    assert_eq!(Setup::ethereum().monomial().len(), 4096);
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
