//! The bulk check of claimed commitments.

use std::cell::Cell;

use ark_ff::Zero;
use thiserror::Error;

use super::{Commitment, CommitmentBytes, PointError, decode_commitments};
use crate::bisection::Bisection;
use crate::curve::G1Affine;
use crate::field::{Fr, integer};
use crate::hash::random_weights;
use crate::kernel;
use crate::parallel::*;
use crate::rows::add_weighted_rows;
use crate::{Coded, ELEMENTS_PER_ROW, Rows, Setup};

/// Somebody's claim that these are the commitments to these rows.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The rows.
    pub rows: &'a Rows,
    /// One commitment a row, in order.
    pub commitments: &'a [CommitmentBytes],
}

/// Why a claim is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "claim", blame = Caller)]
pub enum ClaimError {
    /// Not one commitment a row.
    #[error("{got} commitments are claimed for {expected} rows")]
    Count {
        /// Rows.
        expected: usize,
        /// Commitments.
        got: usize,
    },
    /// A commitment that is no point of the group.
    #[error("commitment {row}: {error}")]
    Point {
        /// Its row.
        row: usize,
        /// What is wrong with it.
        #[source]
        error: PointError,
    },
    /// A commitment to something else.
    #[error("the commitment claimed for row {row} is not the commitment to it")]
    Mismatch {
        /// The first such row of the claim.
        row: usize,
    },
}

/// What [`check_commitments`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedClaims {
    /// One result for each claim, in order: the checked commitments, or why the claim is refused.
    pub results: Vec<Result<Vec<Commitment>, ClaimError>>,
    /// How many commitments it took.
    pub commitments: usize,
}

/// Checks any number of claims together: one result for each, in order, with the checked commitments.
///
/// For random ρ, `commit(Σ ρ_i row_i) = Σ ρ_i C_i` settles all rows with one commitment. Only if it fails are the claims
/// halved, again and again. A row is called false only after it was checked alone and failed.
///
/// Time, in commitments: one if all claims are true. A false claim adds log₂ of the number of rows, plus two. All of them
/// together never add more than two a claim and, for each false one, log₂ of its own rows, plus two: when as many checks are spent as there
/// are claims, what is left is tested claim by claim. Still, everybody in the tick waits for it. So callers keep the claims
/// of those who have lately claimed falsely out of it, and make one call for each of these: it costs one commitment, plus log₂ of the claim's rows
/// and one if the claim is false, and nobody else anything.
///
/// `seed` is fresh randomness from the operating system that whoever made the claims must not have known. Runs on all
/// threads of the current rayon pool.
pub fn check_commitments(setup: &Setup, claims: &[Claim<'_>], seed: [u8; 32]) -> CheckedClaims {
    let mut results: Vec<_> = claims.iter().map(decode).collect();
    let total = claims.iter().map(|claim| claim.rows.count()).sum();
    let mut weights = &random_weights("ashlar/claim-weights/1", &seed, total)[..];
    let mut statements = Vec::with_capacity(total);
    for (claim, (of, result)) in claims.iter().zip(results.iter().enumerate()) {
        let (own, rest) = weights.split_at(claim.rows.count());
        weights = rest;
        let commitments = result.iter().flatten();
        statements.extend(claim.rows.iter().zip(commitments).zip(own).enumerate().map(
            |(row, ((bytes, commitment), weight))| Statement {
                claim: of,
                row,
                bytes,
                point: *commitment.point(),
                weight: *weight,
            },
        ));
    }
    // As many checks as there are claims are spent on halving: then the false ones are so many that each claim is
    // checked by itself.
    let same_claim = |a: &Statement<'_>, b: &Statement<'_>| a.claim == b.claim;
    let commitments = Cell::new(0);
    let mut search = Bisection::new(&statements, same_claim, claims.len());
    while let Some(false_one) = search.next(
        // A claim with one false row is refused; its other rows need no judgement.
        |statement| results[statement.claim].is_err(),
        |part| {
            commitments.set(commitments.get() + 1);
            holds(setup, part)
        },
    ) {
        results[false_one.claim] = Err(ClaimError::Mismatch { row: false_one.row });
    }
    CheckedClaims {
        results,
        commitments: commitments.get(),
    }
}

fn decode(claim: &Claim<'_>) -> Result<Vec<Commitment>, ClaimError> {
    let (expected, got) = (claim.rows.count(), claim.commitments.len());
    if expected != got {
        return Err(ClaimError::Count { expected, got });
    }
    decode_commitments(claim.commitments).map_err(|(row, error)| ClaimError::Point { row, error })
}

/// That one commitment is the commitment to one row.
struct Statement<'a> {
    claim: usize,
    row: usize,
    bytes: &'a [u8],
    point: G1Affine,
    weight: Fr,
}

fn holds(setup: &Setup, statements: &[Statement<'_>]) -> bool {
    let rows: Vec<_> = statements
        .iter()
        .map(|statement| (statement.bytes, statement.weight))
        .collect();
    let mut sums = vec![Fr::zero(); ELEMENTS_PER_ROW];
    add_weighted_rows(&mut sums, &rows);
    let (committed, claimed) = join(
        // In raw form the limbs are the number itself.
        || {
            let sums: Vec<_> = sums.iter().map(|sum| sum.0.0).collect();
            setup.committer(1).commit(&sums)
        },
        || {
            let points: Vec<_> = statements.iter().map(|statement| statement.point).collect();
            let weights: Vec<_> = statements
                .iter()
                .map(|statement| integer(&statement.weight))
                .collect();
            kernel::msm(&points, &weights)
        },
    );
    committed == claimed
}

#[cfg(test)]
mod tests;
