//! The last refusals of batches: why this node did not sign.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ashlar_crypto::Coded;
use ashlar_proto::BatchDigest;
use ashlar_proto::wire::{cut_text, limits};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most refusals that are kept.
const KEPT: usize = 64;
/// How many of them may be of strangers, who can send as much nonsense as they like.
const KEPT_OF_STRANGERS: usize = 8;

/// Batches of one disperser that were refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// Why, as a stable code.
    pub code: String,
    /// Who has to act, as this node sees it: `caller`, `peer` or `us`.
    pub blame: String,
    /// Why the last of them was, for people.
    pub message: String,
    /// Whose batches. None: strangers', no registered disperser's.
    pub disperser: Option<u32>,
    /// The last of them.
    pub batch: BatchDigest,
    /// How many.
    pub times: u64,
    /// When the first was refused, milliseconds since 1970.
    pub first_ms: u64,
    /// When the last was.
    pub last_ms: u64,
}

/// What `GET /v1/refusals` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusalList {
    /// At most 64 since the start, the newest first; of strangers at most 8. What is refused before it is known to be a
    /// batch is not among them, and counted in the metrics.
    pub refusals: Vec<Refusal>,
}

/// Keeps them, the one that happened last at the end.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<VecDeque<Refusal>>);

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch was refused at this time, milliseconds since 1970.
    pub(crate) fn note(
        &self,
        disperser: Option<u32>,
        batch: BatchDigest,
        error: &(impl Coded + std::fmt::Display),
        now_ms: u64,
    ) {
        let mut kept = self.lock();
        let same = |r: &Refusal| r.code == error.code() && r.disperser == disperser;
        let before = kept.iter().position(same).and_then(|at| kept.remove(at));
        let (times, first_ms) = before.map_or((0, now_ms), |r| (r.times, r.first_ms));
        let strange = |r: &Refusal| r.disperser.is_none();
        let strangers = kept.iter().filter(|r| strange(r)).count();
        if disperser.is_none() && strangers >= KEPT_OF_STRANGERS {
            let oldest = kept.iter().position(strange);
            oldest.and_then(|at| kept.remove(at));
        } else if kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(Refusal {
            code: error.code().to_owned(),
            blame: error.blame().to_string(),
            message: cut_text(&error.to_string(), limits::MAX_MESSAGE),
            disperser,
            batch,
            times: times + 1,
            first_ms,
            last_ms: now_ms,
        });
    }

    pub(crate) fn list(&self) -> RefusalList {
        RefusalList {
            refusals: self.lock().iter().rev().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
