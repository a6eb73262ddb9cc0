#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::commit_rows;
use crate::testing::random_rows;

const SEED: [u8; 32] = [5; 32];

fn honest(seed: &str, rows: usize) -> (Rows, Vec<CommitmentBytes>) {
    let rows = random_rows(seed, rows);
    let commitments = commit_rows(Setup::ethereum(), &rows)
        .iter()
        .map(Commitment::to_bytes)
        .collect();
    (rows, commitments)
}

fn check(claims: &[(Rows, Vec<CommitmentBytes>)]) -> Vec<Result<usize, ClaimError>> {
    let claims: Vec<_> = claims
        .iter()
        .map(|(rows, commitments)| Claim { rows, commitments })
        .collect();
    check_commitments(Setup::ethereum(), &claims, SEED)
        .results
        .into_iter()
        .map(|result| result.map(|commitments| commitments.len()))
        .collect()
}

#[test]
fn honest_claims_hold_and_give_their_commitments() {
    let (rows, commitments) = honest("honest", 2);
    let claim = Claim {
        rows: &rows,
        commitments: &commitments,
    };
    let checked = check_commitments(Setup::ethereum(), &[claim, claim], SEED);
    let expected = vec![Ok(commit_rows(Setup::ethereum(), &rows)); 2];
    assert_eq!((checked.results, checked.commitments), (expected, 1));
    let nothing = check_commitments(Setup::ethereum(), &[], SEED);
    assert_eq!((nothing.results, nothing.commitments), (vec![], 0));
}

#[test]
fn false_claims_are_blamed_alone() {
    let mut claims: Vec<_> = ["a", "b", "c", "d", "e"]
        .into_iter()
        .zip([1, 3, 2, 4, 1])
        .map(|(s, n)| honest(s, n))
        .collect();
    claims[1].1[2] = claims[0].1[0];
    claims[3].1.swap(1, 3);
    assert_eq!(
        check(&claims),
        [
            Ok(1),
            Err(ClaimError::Mismatch { row: 2 }),
            Ok(2),
            Err(ClaimError::Mismatch { row: 1 }),
            Ok(1)
        ]
    );
}

#[test]
fn all_claims_may_be_false() {
    let (rows, _) = honest("false", 2);
    let (_, other) = honest("other", 2);
    let claims = vec![(rows, other); 3];
    assert_eq!(
        check(&claims),
        vec![Err(ClaimError::Mismatch { row: 0 }); 3]
    );
}

/// Faults that cancel in a plain sum do not cancel under random weights.
#[test]
fn swapped_commitments_are_false() {
    let mut claims = vec![honest("x", 2)];
    claims[0].1.swap(0, 1);
    assert_eq!(check(&claims), [Err(ClaimError::Mismatch { row: 0 })]);
}

#[test]
fn malformed_claims_do_not_harm_others() {
    let mut claims = vec![honest("p", 1), honest("q", 2), honest("r", 1)];
    claims[0].1.clear();
    claims[1].1[1] = CommitmentBytes([0xff; 48]);
    assert_eq!(
        check(&claims),
        [
            Err(ClaimError::Count {
                expected: 1,
                got: 0
            }),
            Err(ClaimError::Point {
                row: 1,
                error: PointError::Encoding
            }),
            Ok(1)
        ]
    );
}
