//! Why a fetch failed, and why an operator was given up.

use ashlar_crypto::{Blame, Coded, PayloadError};
use ashlar_proto::{Block, Domain, TableRoot};
use ashlar_stake::{AssignmentError, StakeError};
use thiserror::Error;

use crate::relay::RelayError;
use crate::report::Report;
use crate::verify::VerifyError;

/// A fetch that failed: why, and the report so far.
#[derive(Clone, Debug, Error, Coded)]
#[error("{kind}")]
#[coded(code = kind.code(), blame = kind.blame())]
pub struct RetrieveError {
    /// Why.
    pub kind: RetrieveErrorKind,
    /// Who was asked for what, and whom it gave up.
    pub report: Box<Report>,
}

/// Why a fetch failed.
#[derive(Clone, Debug, Error, Coded)]
#[non_exhaustive]
#[coded(prefix = "retrieve", blame = Peer)]
pub enum RetrieveErrorKind {
    /// The blob is larger than this retriever is configured for.
    #[error("the payload has {got} bytes, this retriever takes at most {max}")]
    #[coded(blame = Caller)]
    TooLarge {
        /// Bytes of the payload.
        got: u64,
        /// Most.
        max: u64,
    },
    /// The certificate is another service's than the one whose operators are asked here.
    #[error("the certificate is of the service {got}, the operators here are those of {expected}")]
    #[coded(blame = Caller)]
    OtherDomain {
        /// The certificate's service.
        got: Domain,
        /// The service of the stake source.
        expected: Domain,
    },
    /// The source asked for is not configured: no relay, or no operator table and network.
    #[error("no {wanted} is configured to fetch from")]
    #[coded(blame = Caller)]
    NoSource {
        /// `relay`, or `operator network`.
        wanted: &'static str,
    },
    /// The operator table of the batch's block cannot be had.
    #[error("the operator table of block {block} cannot be had: {reason}")]
    #[coded(code = code, blame = *blame)]
    Table {
        /// The block.
        block: Block,
        /// Code of the stake source's error.
        code: &'static str,
        /// Whom the stake source blames.
        blame: Blame,
        /// What it says.
        reason: String,
    },
    /// The operator table is another one than the certificate was checked against.
    #[error("the operator table has root {got}, the certificate was checked against {expected}")]
    #[coded(blame = Caller)]
    WrongTable {
        /// Root of the table at hand.
        got: TableRoot,
        /// Root of the certificate.
        expected: TableRoot,
    },
    /// No assignment follows from the table.
    #[error("the operators' chunks cannot be computed: {0}")]
    #[coded(transparent)]
    Assignment(AssignmentError),
    /// Only a relay was to be asked and none delivered; the last one's reason.
    #[error("no relay delivered the payload; the last one: {0}")]
    #[coded(transparent)]
    Relay(RelayError),
    /// The operators that could be reached hold too few slices.
    #[error(
        "{good} of {needed} slices were received and at most {reachable} could be: too few operators deliver"
    )]
    TooFewSlices {
        /// Distinct good slices received.
        good: u32,
        /// Distinct slices needed.
        needed: u32,
        /// Distinct slices that could be had at most.
        reachable: u32,
    },
    /// Time is up.
    #[error("{stage}: not done after {after_ms} ms ({good} of {needed} pieces)")]
    Deadline {
        /// What was going on: `waiting for memory`, `waiting for other fetches`, `operator table`, `slices`, `audit`.
        stage: &'static str,
        /// Milliseconds since the start.
        after_ms: u64,
        /// Pieces there were.
        good: u32,
        /// Pieces needed.
        needed: u32,
    },
    /// The disperser encoded the blob wrongly: what operators hold fits the certified roots, and is not what was
    /// committed to. Too few chunks with a valid proof are left to rebuild the blob.
    #[error(
        "the disperser encoded the blob wrongly ({cause}); of the chunks audited {good} are good and {bad} bad, {needed} good ones are needed{}",
        if *.conclusive { ", which cannot be had any more" } else { "; operators that did not answer may hold more" }
    )]
    EncodedWrongly {
        /// What was wrong with the slices.
        cause: VerifyError,
        /// Chunks whose proof holds.
        good: u32,
        /// Chunks whose proof does not hold.
        bad: u32,
        /// Chunks needed.
        needed: u32,
        /// Whether the blob is lost for certain: the chunks not found bad are too few, whoever comes back.
        conclusive: bool,
    },
    /// The certified rows are no payload in their header's encoding: whoever posted the blob committed to other padding.
    #[error("the rows are those committed to, and hold no payload: {0}")]
    #[coded("malformed_payload")]
    Payload(PayloadError),
    /// A bug, or a broken machine.
    #[error("internal error: {reason}")]
    #[coded(blame = Us)]
    Internal {
        /// What happened.
        reason: String,
    },
}

impl RetrieveErrorKind {
    pub(crate) fn table(block: Block, error: &StakeError) -> Self {
        Self::Table {
            block,
            code: error.code(),
            blame: error.blame(),
            reason: error.to_string(),
        }
    }
}
