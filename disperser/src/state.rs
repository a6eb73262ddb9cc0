//! The states of blobs and batches, and every transition there is.
//!
//! A blob:
//!
//! ```text
//!              ┌─ a restart lost the slices ─┐
//!              ▼                             │
//!   queued ─▶ encoding ──────────────────▶ encoded ─▶ batched ─▶ dispersing ─▶ certified
//!     ▲                                      ▲           │           │
//!     │                                      └───────────┴───────────┘ requeued: its batch was given up
//!     │ posted again
//!   failed ◀── from every state but certified
//! ```
//!
//! `certified` and `failed` are terminal: nothing happens to the blob any more on its own. A failed blob
//! leaves `failed` only when somebody posts the same submission again.
//!
//! A batch:
//!
//! ```text
//!   composed ──► dispersing ──► certified
//!      │             │
//!      └─────────────┴────────► abandoned     (its blobs are requeued under a new sequence number, or fail)
//! ```
//!
//! `composed` is durable before the first byte leaves, so that one sequence number never names two batches.

use std::fmt;

use ashlar_crypto::Coded;
pub use ashlar_proto::api::BlobState;
use serde::{Deserialize, Serialize};

/// Every transition of a blob, the only place that knows them.
const BLOB_TRANSITIONS: &[(BlobState, BlobState)] = {
    use BlobState::*;
    &[
        (Queued, Encoding),
        (Queued, Failed),
        (Encoding, Encoded),
        (Encoding, Failed),
        (Encoded, Batched),
        (Encoded, Encoding), // a restart lost the slices
        (Encoded, Failed),
        (Batched, Dispersing),
        (Batched, Encoded), // requeued
        (Batched, Failed),
        (Dispersing, Certified),
        (Dispersing, Encoded), // requeued
        (Dispersing, Failed),
        (Failed, Queued), // posted again
    ]
};

/// Whether a blob may go from one state to another.
pub fn blob_can_become(from: BlobState, to: BlobState) -> bool {
    BLOB_TRANSITIONS.contains(&(from, to))
}

/// Whether a batch may go from one state to another.
pub fn batch_can_become(from: BatchState, to: BatchState) -> bool {
    BATCH_TRANSITIONS.contains(&(from, to))
}

/// Where a batch is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BatchState {
    /// On disk with its sequence number; nothing was sent yet, as far as the disk knows.
    Composed,
    /// On its way to the operators.
    Dispersing,
    /// Enough stake signed.
    Certified,
    /// Not enough stake signed in time. Its sequence number stays used.
    Abandoned,
}

/// Every transition of a batch.
const BATCH_TRANSITIONS: &[(BatchState, BatchState)] = {
    use BatchState::*;
    &[
        (Composed, Dispersing),
        (Composed, Abandoned),
        (Dispersing, Certified),
        (Dispersing, Abandoned),
    ]
};

impl BatchState {
    /// All states.
    pub const ALL: [Self; 4] = [
        Self::Composed,
        Self::Dispersing,
        Self::Certified,
        Self::Abandoned,
    ];

    /// The batch is done with.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Certified | Self::Abandoned)
    }

    /// The name in JSON and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Composed => "composed",
            Self::Dispersing => "dispersing",
            Self::Certified => "certified",
            Self::Abandoned => "abandoned",
        }
    }
}

impl fmt::Display for BatchState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A transition that is not in the table: a bug of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[error("a {what} cannot go from {from} to {to}")]
#[coded("disperser.transition", blame = Us)]
pub struct TransitionError {
    /// `blob` or `batch`.
    pub what: &'static str,
    /// State it is in.
    pub from: &'static str,
    /// State it was to go to.
    pub to: &'static str,
}

#[cfg(test)]
mod tests;
