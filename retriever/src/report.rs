//! What a fetch did: from whom, how much, how long, and whom it gave up and why.

use ashlar_fetch::{OperatorReport, Skipped};
use ashlar_proto::{BlobKey, ChunkIndex};
use serde::{Deserialize, Serialize};

use crate::scores::OperatorScore;

/// The path on which a payload was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetrievalPath {
    /// A relay had the whole payload.
    Relay,
    /// Slices from operators.
    Operators,
    /// Whole chunk columns from operators, each checked against its KZG proof.
    Audit,
}

impl std::fmt::Display for RetrievalPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Relay => "relay",
            Self::Operators => "operators",
            Self::Audit => "audit",
        })
    }
}

/// How long each stage took, milliseconds; 0 for one that did not happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Waiting for memory, because other fetches held it.
    pub wait_ms: u64,
    /// Asking relays, with the check of what they sent.
    pub relay_ms: u64,
    /// Asking operators for slices, with the check of their Merkle proofs.
    pub slices_ms: u64,
    /// Decoding the slices, recomputing the commitments and unpacking the payload.
    pub decode_ms: u64,
    /// The whole audit path.
    pub audit_ms: u64,
    /// Everything.
    pub total_ms: u64,
}

/// What the audit path found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Why the audit was needed: what was wrong with the slices that fitted their chunk root.
    pub cause: String,
    /// Chunks whose proof holds.
    pub good: u32,
    /// Chunks whose proof does not hold, ascending.
    pub bad: Vec<ChunkIndex>,
    /// Bulk bytes requested.
    pub bytes_requested: u64,
    /// Bulk bytes received.
    pub bytes_fetched: u64,
}

/// The report of one fetch, also of one that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The blob.
    pub blob_key: BlobKey,
    /// Where the payload came from; none if it was not found.
    pub via: Option<RetrievalPath>,
    /// The relay that delivered, if one did.
    pub relay: Option<String>,
    /// Length of the payload.
    pub payload_bytes: u64,
    /// Distinct slices needed to rebuild the blob.
    pub slices_needed: u32,
    /// Distinct good slices received.
    pub slices_good: u32,
    /// Bytes of the slices needed.
    pub bytes_needed: u64,
    /// Bytes of all slices requested, whether or not they came. Hedging keeps this below 1.3 times `bytes_needed`
    /// as long as no request fails.
    pub bytes_requested: u64,
    /// Bytes of the payload (from relays) and slices received, also of those that were then thrown away.
    pub bytes_fetched: u64,
    /// Every operator that was asked, in the order of the table.
    pub operators: Vec<OperatorReport>,
    /// Everybody who was asked and did not help, with the reason.
    pub skipped: Vec<Skipped>,
    /// What is known now about the operators that were asked: all fetches of the retriever together.
    pub scores: Vec<OperatorScore>,
    /// The silence after which operators were hedged, milliseconds, without the time of a transfer.
    pub hedge_after_ms: u64,
    /// The audit path, if it was needed.
    pub audit: Option<AuditReport>,
    /// Times.
    pub stages: Stages,
}

impl Report {
    /// The report of a fetch that has not begun.
    pub fn new(blob_key: BlobKey, payload_bytes: u64) -> Self {
        Self {
            blob_key,
            via: None,
            relay: None,
            payload_bytes,
            slices_needed: 0,
            slices_good: 0,
            bytes_needed: 0,
            bytes_requested: 0,
            bytes_fetched: 0,
            operators: Vec::new(),
            skipped: Vec::new(),
            scores: Vec::new(),
            hedge_after_ms: 0,
            audit: None,
            stages: Stages::default(),
        }
    }
}
