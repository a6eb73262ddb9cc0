//! What `GET /v1/status` says.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use ashlar_proto::OperatorId;
use serde::Serialize;

use crate::store::Totals;

/// The state of a node, for its operator.
#[derive(Debug, Clone, Serialize)]
pub struct NodeStatus {
    /// Software name and version.
    pub software: String,
    /// Who this is.
    pub operator_id: OperatorId,
    /// Network key, hex.
    pub network_key: String,
    /// QUIC address, once it is bound.
    pub quic: Option<SocketAddr>,
    /// HTTP address.
    pub http: Option<SocketAddr>,
    /// Protocol versions served.
    pub versions: Vec<u16>,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Newest block with an operator table, if it is known.
    pub head: Option<u64>,
    /// Place in the newest table, if any.
    pub operator_index: Option<u32>,
    /// What is held.
    pub store: Totals,
    /// Free bytes on the device of the database, if known.
    pub disk_free_bytes: Option<u64>,
    /// Batches signed since the start.
    pub signed_batches: u64,
    /// The last complete scrub.
    pub last_scrub: Option<ScrubReport>,
    /// The last time that windows were dropped.
    pub last_expiry: Option<ExpiryReport>,
    /// Health, as in `GET /v1/health`.
    pub health: crate::health::HealthReport,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ScrubReport {
    /// When it ended, unix seconds.
    pub finished_at: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Batches read.
    pub batches: u64,
    /// Blobs read.
    pub blobs: u64,
    /// Slice bytes read.
    pub bytes: u64,
    /// Blobs and batches that are corrupt.
    pub corrupt: u64,
    /// The first few of them.
    pub examples: Vec<String>,
}

/// What expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExpiryReport {
    /// When, unix seconds.
    pub at: u64,
    /// Windows dropped, by their ends.
    pub windows: Vec<u64>,
}

/// Facts that tasks find out and the status shows.
#[derive(Debug, Default)]
pub(crate) struct Facts(Mutex<FactsInner>);

#[derive(Debug, Default, Clone)]
pub(crate) struct FactsInner {
    pub(crate) quic: Option<SocketAddr>,
    pub(crate) http: Option<SocketAddr>,
    pub(crate) head: Option<u64>,
    pub(crate) operator_index: Option<u32>,
    pub(crate) disk_free: Option<u64>,
    pub(crate) last_scrub: Option<ScrubReport>,
    pub(crate) last_expiry: Option<ExpiryReport>,
}

impl Facts {
    pub(crate) fn set(&self, change: impl FnOnce(&mut FactsInner)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn get(&self) -> FactsInner {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
