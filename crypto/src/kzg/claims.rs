//! The bulk check of claimed commitments.

use ark_ff::Zero;
use thiserror::Error;

use super::{Commitment, CommitmentBytes, PointError, decode_commitments};
use crate::batch::add_weighted_rows;
use crate::curve::G1Affine;
use crate::field::Scalar;
use crate::kernel;
use crate::multiproof::{integer, random_weights};
use crate::{Blame, Coded, ELEMENTS_PER_ROW, Rows, Setup};

/// Somebody's claim that these are the commitments to these rows.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The rows.
    pub rows: &'a Rows,
    /// One commitment a row, in order.
    pub commitments: &'a [CommitmentBytes],
}

/// Why a claim is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
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

impl Coded for ClaimError {
    fn code(&self) -> &'static str {
        match self {
            Self::Count { .. } => "claim.count",
            Self::Point { .. } => "claim.point",
            Self::Mismatch { .. } => "claim.mismatch",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }
}

/// Checks any number of claims together: one result for each, in order, with the checked commitments.
///
/// For random ρ, `commit(Σ ρ_i row_i) = Σ ρ_i C_i` settles all rows with one commitment; only if it fails are the
/// claims halved, again and again, to blame those that are false. So the cost of false claims is borne by the tick
/// that they come in: about two commitments for each halving. `seed` is fresh randomness from the operating system that
/// whoever made the claims must not have known. Runs on all threads of the current rayon pool.
pub fn check_commitments(
    setup: &Setup,
    claims: &[Claim<'_>],
    seed: [u8; 32],
) -> Vec<Result<Vec<Commitment>, ClaimError>> {
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
    // Parts that are known to be wrong, the front ones on top, so that the first false row of a claim comes first.
    let mut wrong = if holds(setup, &statements) {
        Vec::new()
    } else {
        vec![&statements[..]]
    };
    while let Some(part) = wrong.pop() {
        // A claim with one false row is refused; its other rows need no judgement.
        let judged =
            |statement: &Statement<'_>| results.get(statement.claim).is_some_and(Result::is_err);
        let start = part
            .iter()
            .position(|statement| !judged(statement))
            .unwrap_or(part.len());
        let rest = part.get(start..).unwrap_or_default();
        if rest.is_empty() || (rest.len() < part.len() && holds(setup, rest)) {
            continue;
        }
        if let [one] = rest {
            if let Some(result) = results.get_mut(one.claim) {
                *result = Err(ClaimError::Mismatch { row: one.row });
            }
            continue;
        }
        let (left, right) = rest.split_at(rest.len() / 2);
        let left_holds = holds(setup, left);
        // If the left half is right, the fault is in the right one.
        if left_holds || !holds(setup, right) {
            wrong.push(right);
        }
        if !left_holds {
            wrong.push(left);
        }
    }
    results
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
    weight: Scalar,
}

fn holds(setup: &Setup, statements: &[Statement<'_>]) -> bool {
    let kernel = kernel::active();
    let rows: Vec<_> = statements
        .iter()
        .map(|statement| (statement.bytes, statement.weight))
        .collect();
    let mut sums = vec![Scalar::zero(); ELEMENTS_PER_ROW];
    add_weighted_rows(&mut sums, &rows);
    let (committed, claimed) = rayon::join(
        // In raw form the limbs are the number itself.
        || {
            setup
                .lagrange_bases()
                .msm(&sums.iter().map(|sum| sum.0.0).collect::<Vec<_>>())
        },
        || {
            let points: Vec<_> = statements.iter().map(|statement| statement.point).collect();
            let weights: Vec<_> = statements
                .iter()
                .map(|statement| integer(&statement.weight))
                .collect();
            kernel.msm(&points, &weights)
        },
    );
    committed == claimed
}

#[cfg(test)]
mod tests;
