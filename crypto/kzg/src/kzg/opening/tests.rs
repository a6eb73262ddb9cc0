#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::testing::{edge_rows, random_rows};
use crate::{Rows, commit_rows, eip};

fn commitment(rows: &Rows) -> Commitment {
    commit_rows(Setup::ethereum(), rows)[0]
}

#[test]
fn elements_open_to_themselves() {
    let setup = Setup::ethereum();
    for rows in edge_rows() {
        let commitment = commitment(&rows);
        for index in [0, 1, 77, 2048, 4095] {
            let opening = open_element(setup, rows.as_bytes(), index).unwrap();
            assert_eq!(opening.y, rows.as_bytes()[index as usize * 32..][..32]);
            verify_opening(setup, &commitment, &opening).unwrap();
            // What the precompile is given.
            let z = element_point(index).unwrap();
            let bytes = commitment.to_bytes();
            assert!(
                eip::verify_kzg_proof(setup, &bytes.0, &z, &opening.y, &opening.proof.0).unwrap()
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_library_and_our_own_arithmetic_agree(mut z in any::<[u8; 32]>()) {
        z[0] %= 0x73;
        let setup = Setup::ethereum();
        let rows = random_rows("agree", 1);
        let (y, proof) = open_at(setup, rows.as_bytes(), &z).unwrap();
        prop_assert_eq!(eip::compute_kzg_proof(setup, rows.as_bytes(), &z), Ok((proof.0, y)));
        prop_assert_eq!(verify_at(setup, &commitment(&rows), &z, &y, &proof), Ok(()));
    }
}

#[test]
fn false_openings_are_refused() {
    let setup = Setup::ethereum();
    let rows = random_rows("false", 1);
    let commitment = commitment(&rows);
    let good = open_element(setup, rows.as_bytes(), 9).unwrap();
    let verify = |opening: &Opening| verify_opening(setup, &commitment, opening);

    assert_eq!(
        verify(&Opening { index: 10, ..good }),
        Err(KzgError::Mismatch)
    );
    let mut y = good.y;
    y[31] ^= 1;
    assert_eq!(verify(&Opening { y, ..good }), Err(KzgError::Mismatch));
    let proof = open_element(setup, rows.as_bytes(), 10).unwrap().proof;
    assert_eq!(verify(&Opening { proof, ..good }), Err(KzgError::Mismatch));
    assert_eq!(
        verify_opening(
            setup,
            &super::super::commit_rows(setup, &random_rows("another", 1))[0],
            &good
        ),
        Err(KzgError::Mismatch)
    );

    assert_eq!(
        verify(&Opening {
            index: 4096,
            ..good
        }),
        Err(KzgError::Index { index: 4096 })
    );
    assert_eq!(
        verify(&Opening {
            y: [0xff; 32],
            ..good
        }),
        Err(KzgError::NonCanonicalScalar { what: "value" })
    );
    let proof = ProofBytes([0; 48]);
    assert_eq!(
        verify(&Opening { proof, ..good }),
        Err(KzgError::Proof(PointError::Encoding))
    );
    assert_eq!(
        verify_at(setup, &commitment, &[0xff; 32], &good.y, &good.proof),
        Err(KzgError::NonCanonicalScalar { what: "point" })
    );
}

#[test]
fn what_is_no_row_is_not_opened() {
    let setup = Setup::ethereum();
    let rows = random_rows("no row", 1);
    assert_eq!(
        open_element(setup, &rows.as_bytes()[1..], 0),
        Err(KzgError::RowLength { got: 131_071 })
    );
    assert_eq!(
        open_element(setup, rows.as_bytes(), 4096),
        Err(KzgError::Index { index: 4096 })
    );
    assert_eq!(
        open_at(setup, rows.as_bytes(), &[0xff; 32]),
        Err(KzgError::NonCanonicalScalar { what: "point" })
    );
    let mut bytes = rows.as_bytes().to_vec();
    bytes[64..96].fill(0xff);
    assert_eq!(
        open_element(setup, &bytes, 0),
        Err(KzgError::NonCanonicalElement { index: 2 })
    );
}

#[test]
fn extended_points_are_those_of_the_slices() {
    let setup = Setup::ethereum();
    let rows = random_rows("extended", 1);
    for (blowup, chunks) in [(2, 128), (8, 512)] {
        let code = Code::new(blowup, chunks).unwrap();
        let slices = crate::Slices::extend(code, &rows).into_bytes();
        let elements = 4096 * blowup;
        for index in [0, 1, 63, 64, 4095, 4096, 5000, elements - 1] {
            let z = extended_point(code, index).unwrap();
            let (y, _) = open_at(setup, rows.as_bytes(), &z).unwrap();
            assert_eq!(y, slices[index as usize * 32..][..32], "element {index}");
        }
        assert_eq!(extended_point(code, 9), element_point(9).ok());
        assert_eq!(extended_point(code, elements), None);
        assert_eq!(extended_point(code, u32::MAX), None);
    }
}
