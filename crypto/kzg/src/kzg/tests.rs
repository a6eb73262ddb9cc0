#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::G1Projective;
use ark_ec::{AffineRepr, CurveGroup, VariableBaseMSM};

use super::*;
use crate::testing::{edge_rows, polynomial, random_rows};

#[test]
fn commitments_are_those_of_the_definition() {
    let setup = Setup::ethereum();
    for rows in edge_rows() {
        let naive =
            G1Projective::msm_unchecked(setup.monomial(), &polynomial(rows.as_bytes()).coeffs)
                .into_affine();
        assert_eq!(commit_rows(setup, &rows), [Commitment::from_point(naive)]);
    }
}

#[test]
fn every_row_has_its_commitment_in_order() {
    let setup = Setup::ethereum();
    let rows = random_rows("order", 3);
    let together = commit_rows(setup, &rows);
    assert_eq!(together.len(), 3);
    for (row, commitment) in rows.iter().zip(&together) {
        assert_eq!(
            commit_rows(setup, &Rows::from_bytes(row.to_vec()).unwrap()),
            [*commitment]
        );
    }
}

#[test]
fn points_are_checked_and_keep_their_bytes() {
    let commitment = commit_rows(Setup::ethereum(), &random_rows("keep", 1))[0];
    let bytes = commitment.to_bytes();
    assert_eq!(Commitment::try_from(bytes), Ok(commitment));
    assert_eq!(
        Proof::try_from(ProofBytes(bytes.0)).unwrap().to_bytes().0,
        bytes.0
    );
    assert_eq!(bytes.to_string().parse(), Ok(bytes));
    #[cfg(feature = "serde")]
    assert_eq!(
        serde_json::to_string(&bytes).unwrap(),
        format!("\"{bytes}\"")
    );
    assert_eq!(
        Commitment::try_from(CommitmentBytes([0; 48])),
        Err(PointError::Encoding)
    );

    let bad = CommitmentBytes([1; 48]);
    assert_eq!(decode_commitments(&[bytes, bytes]), Ok(vec![commitment; 2]));
    assert_eq!(
        decode_commitments(&[bytes, bad, bad]),
        Err((1, PointError::Encoding))
    );
    assert_eq!(
        decode_proofs(&[ProofBytes(bad.0)]),
        Err((0, PointError::Encoding))
    );
    assert!(decode_proofs(&[]).unwrap().is_empty());
}

#[test]
fn infinity_commits_to_zero() {
    let zero = Rows::from_bytes(vec![0; crate::BYTES_PER_ROW]).unwrap();
    let commitment = commit_rows(Setup::ethereum(), &zero)[0];
    assert!(commitment.point().is_zero());
    assert_eq!(commitment.to_bytes().0[0], 0xc0);
}
