//! The bulk check of claimed commitments.

use thiserror::Error;

use super::{Commitment, CommitmentBytes, PointError};
use crate::{Blame, Coded, Rows, Setup};

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

/// Checks any number of claims together.
pub fn check_commitments(
    setup: &Setup,
    claims: &[Claim<'_>],
    seed: [u8; 32],
) -> Vec<Result<Vec<Commitment>, ClaimError>> {
    let _ = (setup, claims, seed);
    unimplemented!("in the next commit")
}
