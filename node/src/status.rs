//! What `GET /v1/status` says.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::api::StakeShare;
use ashlar_proto::{BatchDigest, Block, Domain, OperatorId, OperatorIndex, Sequence};
use ashlar_restaking::evidence::{DispersedBatch, DisperserEquivocation, Fault};
use serde::Serialize;
use utoipa::ToSchema;

use crate::custody::CustodyStatus;
pub use crate::damage::RepairStatus;
pub use crate::index::IndexStatus;
use crate::store::{DriveStatus, Equivocation, SignedHeader, Totals};

/// Most pairs of batches that `GET /v1/equivocations` shows.
pub const MAX_SHOWN: usize = 256;

/// The state of a node, for its operator.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NodeStatus {
    /// Software name and version.
    pub software: String,
    /// Who this is.
    pub operator_id: OperatorId,
    /// Network keys, hex: the one of the configuration, and the one that is to take its place.
    #[schema(value_type = Vec<String>)]
    pub network_keys: Vec<NetworkPublicKey>,
    /// QUIC address, once it is bound.
    #[schema(value_type = Option<String>)]
    pub quic: Option<SocketAddr>,
    /// HTTP address.
    #[schema(value_type = Option<String>)]
    pub http: Option<SocketAddr>,
    /// Protocol versions served.
    pub versions: Vec<u16>,
    /// Which implementation of the arithmetic is at work.
    pub kernel: &'static str,
    /// Seconds since the start.
    pub uptime_secs: u64,
    /// Newest block with an operator table, if it is known.
    pub head: Option<Block>,
    /// When it was made, milliseconds since 1970; none if nobody signs heads.
    pub head_time_ms: Option<u64>,
    /// Place in the newest table, if any.
    pub operator_index: Option<OperatorIndex>,
    /// Its stakes in the newest table; empty if it is not in it.
    pub stakes: Vec<StakeShare>,
    /// What is held, once the database is open.
    pub store: Option<Totals>,
    /// The same by expiry window, the one that expires first at the front.
    pub windows: Vec<WindowStatus>,
    /// Free bytes on the device of the database, if known; of several drives on the fullest one that is used.
    pub disk_free_bytes: Option<u64>,
    /// The drives, in their order; empty if the database lies in one folder.
    pub drives: Vec<DriveStatus>,
    /// Batches signed since the start.
    pub signed_batches: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// Pairs of batches kept as evidence against dispersers that signed twice under one number.
    pub equivocations: u64,
    /// The scrub that runs now, so far.
    pub scrub: Option<ScrubReport>,
    /// The last complete scrub.
    pub last_scrub: Option<ScrubReport>,
    /// What is damaged, and what was made anew.
    pub repair: RepairStatus,
    /// What peers have said that was promised, if the database was made anew.
    pub index: Option<IndexStatus>,
    /// The last time that windows were dropped.
    pub last_expiry: Option<ExpiryReport>,
    /// The time that was kept last, milliseconds since 1970: what a stop is counted from.
    pub time_kept_ms: Option<u64>,
    /// Custody challenges, if the node looks for them.
    pub custody: Option<CustodyStatus>,
    /// Health, as in `GET /v1/health`.
    pub health: crate::health::HealthReport,
}

/// What is held of an expiry window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct WindowStatus {
    /// Its end, unix seconds: then it is dropped.
    pub ends_at: u64,
    /// Batches.
    pub batches: u64,
    /// Slice bytes.
    pub bytes: u64,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ScrubReport {
    /// When it ended, unix seconds.
    pub finished_at: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// Signed records looked at.
    pub promises: u64,
    /// Batches read.
    pub batches: u64,
    /// Blobs read.
    pub blobs: u64,
    /// Slice bytes read.
    pub bytes: u64,
    /// Signed records that were lost and are written anew.
    pub restored: u64,
    /// Blobs and batches that are corrupt or missing.
    pub corrupt: u64,
    /// The first few of them.
    pub examples: Vec<String>,
}

/// What `GET /v1/equivocations` says: evidence against dispersers that signed two batches under one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EquivocationList {
    /// Pairs held.
    pub held: u64,
    /// The first [`MAX_SHOWN`] of them, by domain, disperser and sequence.
    pub pairs: Vec<EquivocationPair>,
}

/// Two batches under one number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EquivocationPair {
    /// The service.
    pub domain: Domain,
    /// The disperser.
    pub disperser_id: u32,
    /// The number that both batches have.
    pub sequence: Sequence,
    /// The evidence as the ledger takes it, hexadecimal.
    pub evidence: Fault,
    /// What came first.
    pub first: SignedBatch,
    /// What came later.
    pub second: SignedBatch,
}

/// A batch as its disperser signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignedBatch {
    /// What was signed.
    pub digest: BatchDigest,
    /// The header as Solidity's `abi.encode` writes it, hexadecimal with `0x`.
    pub header: String,
    /// The signature, hexadecimal with `0x`.
    pub signature: String,
}

impl From<&SignedHeader> for SignedBatch {
    fn from(signed: &SignedHeader) -> Self {
        Self {
            digest: signed.header.digest(),
            header: format!("0x{}", hex::encode(signed.header.abi_encode())),
            signature: format!("0x{}", hex::encode(signed.signature.0)),
        }
    }
}

fn dispersed(signed: &SignedHeader) -> DispersedBatch {
    DispersedBatch {
        header: signed.header.clone(),
        signature: signed.signature,
    }
}

impl From<&Equivocation> for EquivocationPair {
    fn from(evidence: &Equivocation) -> Self {
        let at = evidence.at();
        Self {
            domain: at.domain,
            disperser_id: at.disperser_id,
            sequence: at.sequence,
            evidence: Fault::DisperserEquivocation(DisperserEquivocation::new(
                dispersed(&evidence.first),
                dispersed(&evidence.second),
            )),
            first: (&evidence.first).into(),
            second: (&evidence.second).into(),
        }
    }
}

/// What expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
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
    pub(crate) head: Option<Block>,
    pub(crate) head_time_ms: Option<u64>,
    pub(crate) operator_index: Option<OperatorIndex>,
    pub(crate) stakes: Vec<StakeShare>,
    pub(crate) disk_free: Option<u64>,
    pub(crate) scrub: Option<ScrubReport>,
    pub(crate) last_scrub: Option<ScrubReport>,
    pub(crate) repair: RepairStatus,
    pub(crate) index: Option<IndexStatus>,
    pub(crate) last_expiry: Option<ExpiryReport>,
    pub(crate) time_kept_ms: Option<u64>,
    pub(crate) custody: Option<CustodyStatus>,
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
