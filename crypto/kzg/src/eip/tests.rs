#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::testing::random_rows;
use crate::{BYTES_PER_ROW, Setup};

#[test]
fn lengths_are_checked_everywhere() {
    let setup = Setup::ethereum();
    let blob = vec![0; BYTES_PER_ROW];
    let point = blob_to_kzg_commitment(setup, &blob).unwrap();
    let length = |what, expected, got| EipError::Length {
        what,
        expected,
        got,
    };

    for got in [0, BYTES_PER_ROW - 1, BYTES_PER_ROW + 1] {
        let other = vec![0; got];
        let error = length("blob", BYTES_PER_ROW, got);
        assert_eq!(blob_to_kzg_commitment(setup, &other), Err(error));
        assert_eq!(compute_kzg_proof(setup, &other, &[0; 32]), Err(error));
        assert_eq!(compute_blob_kzg_proof(setup, &other, &point), Err(error));
        assert_eq!(
            verify_blob_kzg_proof(setup, &other, &point, &point),
            Err(error)
        );
        assert_eq!(compute_cells(&other).unwrap_err(), error);
        assert_eq!(
            compute_cells_and_kzg_proofs(setup, &other).unwrap_err(),
            error
        );
        assert_eq!(compute_challenge(&other, &point), Err(error));
    }
    assert_eq!(
        compute_kzg_proof(setup, &blob, &[0; 31]),
        Err(length("z", 32, 31))
    );
    assert_eq!(
        verify_kzg_proof(setup, &[], &[0; 32], &[0; 32], &point),
        Err(length("commitment", 48, 0))
    );
    assert_eq!(
        verify_kzg_proof(setup, &point, &[0; 33], &[0; 32], &point),
        Err(length("z", 32, 33))
    );
    assert_eq!(
        verify_kzg_proof(setup, &point, &[0; 32], &[], &point),
        Err(length("y", 32, 0))
    );
    assert_eq!(
        verify_kzg_proof(setup, &point, &[0; 32], &[0; 32], &[0; 49]),
        Err(length("proof", 48, 49))
    );
    assert_eq!(
        compute_challenge(&blob, &[]),
        Err(length("commitment", 48, 0))
    );
    assert_eq!(
        verify_cell_kzg_proof_batch(setup, &[point], &[0], &[[0; 2047]], &[point]),
        Err(length("cell", 2048, 2047))
    );
}

#[test]
fn lists_of_different_lengths_are_refused() {
    let setup = Setup::ethereum();
    let (point, cell, blob) = ([0xc0; 48], [0; 2048], vec![0; BYTES_PER_ROW]);
    let count = |what, expected, got| EipError::Count {
        what,
        expected,
        got,
    };
    assert_eq!(
        verify_cell_kzg_proof_batch(setup, &[point; 2], &[0], &[cell], &[point]),
        Err(count("commitments", 1, 2))
    );
    assert_eq!(
        verify_cell_kzg_proof_batch(setup, &[point], &[], &[cell], &[point]),
        Err(count("cell indices", 1, 0))
    );
    assert_eq!(
        verify_cell_kzg_proof_batch::<_, _, [u8; 48]>(setup, &[point], &[0], &[cell], &[]),
        Err(count("proofs", 1, 0))
    );
    assert_eq!(
        verify_blob_kzg_proof_batch::<_, [u8; 48], _>(setup, &[&blob], &[], &[point]),
        Err(count("commitments", 1, 0))
    );
    assert_eq!(
        verify_blob_kzg_proof_batch::<_, _, [u8; 48]>(setup, &[&blob], &[point], &[]),
        Err(count("proofs", 1, 0))
    );
    assert_eq!(
        recover_cells_and_kzg_proofs(setup, &[0, 1], &[cell]).unwrap_err(),
        count("cells", 2, 1)
    );
}

#[test]
fn cells_to_recover_from_are_checked() {
    let setup = Setup::ethereum();
    let cells = compute_cells(random_rows("recover", 1).as_bytes()).unwrap();
    let indices: Vec<u64> = (0..128).collect();
    let recover = |indices: &[u64], cells: &[Cell]| {
        recover_cells_and_kzg_proofs(setup, indices, cells).map(|_| ())
    };

    assert_eq!(
        recover(&indices[1..64], &cells[1..64]),
        Err(RecoverError::TooFew {
            needed: 64,
            got: 63
        }
        .into())
    );
    let mut other = indices.clone();
    other[5] = 4;
    assert_eq!(
        recover(&other, &cells),
        Err(EipError::Order {
            previous: 4,
            index: 4
        })
    );
    other[5] = 3;
    assert_eq!(
        recover(&other, &cells),
        Err(EipError::Order {
            previous: 4,
            index: 3
        })
    );
    other[127] = 128;
    other[5] = 5;
    assert_eq!(
        recover(&other, &cells),
        Err(EipError::Index {
            what: "cell",
            index: 128,
            end: 128
        })
    );
    let mut bad = cells.clone();
    bad[9][..32].fill(0xff);
    assert_eq!(
        recover(&indices, &bad),
        Err(EipError::NonCanonical {
            what: "cell",
            index: 0
        })
    );
}

#[test]
fn commitment_indices_are_checked() {
    let (point, cell) = ([0xc0; 48], [0; 2048]);
    assert_eq!(
        compute_verify_cell_kzg_proof_batch_challenge(&[point], &[1], &[0], &[cell], &[point]),
        Err(EipError::Index {
            what: "commitment",
            index: 1,
            end: 1
        })
    );
    assert_eq!(
        compute_verify_cell_kzg_proof_batch_challenge(
            &[point],
            &[0],
            &[u64::MAX],
            &[cell],
            &[point]
        ),
        Err(EipError::Index {
            what: "cell",
            index: u64::MAX,
            end: 128
        })
    );
}

#[test]
fn cells_are_recovered_without_proofs() {
    let cells = compute_cells(random_rows("recover cells", 1).as_bytes()).unwrap();
    let indices: Vec<u64> = (0..128).step_by(2).collect();
    let given: Vec<_> = cells.iter().step_by(2).collect();
    assert!(recover_cells(&indices, &given).unwrap() == cells);
    assert_eq!(
        recover_cells(&indices[1..], &given[1..]).unwrap_err(),
        RecoverError::TooFew {
            needed: 64,
            got: 63
        }
        .into()
    );
}

#[test]
fn the_precompile_takes_what_is_proven() {
    let setup = Setup::ethereum();
    let blob = random_rows("precompile", 1);
    let commitment = blob_to_kzg_commitment(setup, blob.as_bytes()).unwrap();
    let z = crate::kzg::element_point(5).unwrap();
    let (proof, y) = compute_kzg_proof(setup, blob.as_bytes(), &z).unwrap();
    let input = point_evaluation_input(&commitment, &z, &y, &proof);

    // As EIP-4844 writes it.
    let output = point_evaluation(setup, &input).unwrap();
    assert_eq!(
        hex::encode(output),
        "000000000000000000000000000000000000000000000000000000000000100073eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"
    );

    let refused = |at: usize, by: u8| {
        let mut input = input;
        input[at] ^= by;
        point_evaluation(setup, &input).unwrap_err()
    };
    assert_eq!(refused(0, 1), EipError::VersionedHash);
    assert_eq!(refused(31, 1), EipError::VersionedHash);
    assert_eq!(refused(63, 1), EipError::Proof);
    assert_eq!(refused(95, 1), EipError::Proof);
    assert_eq!(
        refused(64, 0x80),
        EipError::NonCanonical {
            what: "y",
            index: 0
        }
    );
    assert_eq!(refused(100, 1), EipError::VersionedHash);
    assert_eq!(refused(144, 0x20), EipError::Proof);
    assert!(matches!(
        refused(144, 0x80),
        EipError::Point { what: "proof", .. }
    ));
    for got in [0, 31, 191] {
        let error = point_evaluation(setup, &input[..got]).unwrap_err();
        assert!(matches!(error, EipError::Length { expected: 192, got: n, .. } if n == got));
    }
    assert!(point_evaluation(setup, &[&input[..], &[0]].concat()).is_err());
}

/// The infinite commitment's, of EIP-4844's tests.
#[test]
fn a_versioned_hash() {
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    assert_eq!(
        hex::encode(kzg_commitment_to_versioned_hash(&infinity)),
        "010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014"
    );
}
