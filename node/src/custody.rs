//! Custody challenges: the node follows those against its operator, and answers them out of its store.
//!
//! ```text
//! ledgers ──list of open challenges──▶ Book: what is open, what is due ──▶ answer: slice and path from the store, checked
//!    ▲                                   ▲                                 as the ledger will check it
//!    └──────────── answer ───────────────┴──────── outcome ────────────────────────┘
//! ```
//!
//! The list of open challenges is the truth: what was opened while the node was down is on it. A challenge is worked on until no
//! ledger lists it. An answer proves itself, so the node needs no key for it; and it needs nothing but the data, so that it also
//! answers while signing is stopped. One ledger that answers is enough. Of several, the union counts: one that hides a
//! challenge hides nothing, and one that makes one up costs an answer that nobody takes.

mod agent;
pub(crate) mod answer;
mod book;

use std::fmt::Debug;

use ashlar_proto::{BlobKey, Block, OperatorId};
use ashlar_restaking::OpenChallenge;
use ashlar_restaking::evidence::CustodyAnswer;
use futures::future::BoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use agent::follow;

/// Most challenges of one ledger that are looked at: as many as it allows to one operator.
pub const MAX_OPEN: usize = ashlar_restaking::MAX_CHALLENGES_PER_OPERATOR as usize;

/// A ledger, as far as custody challenges go. Dropping a future abandons its request; the node does so after a while.
pub trait ChallengeSource: Debug + Send + Sync + 'static {
    /// What it is called in messages: its address.
    fn name(&self) -> &str;

    /// The open challenges to an operator in the node's service, at most [`MAX_OPEN`].
    ///
    /// # Errors
    /// The ledger does not answer, or not as a ledger does.
    fn open(
        &self,
        operator: OperatorId,
    ) -> BoxFuture<'_, Result<OpenChallenges, ChallengeSourceError>>;

    /// Sends an answer. When it was taken, the challenge is closed.
    ///
    /// # Errors
    /// The ledger does not answer, or refuses: with the code `challenge.unknown` if the challenge is not open any more.
    fn answer<'a>(
        &'a self,
        challenge: u64,
        answer: &'a CustodyAnswer,
    ) -> BoxFuture<'a, Result<(), ChallengeSourceError>>;
}

/// What a ledger lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChallenges {
    /// The ledger's block.
    pub block: Block,
    /// By their numbers.
    pub challenges: Vec<(u64, OpenChallenge)>,
}

/// Why a ledger did not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ChallengeSourceError {
    /// Stable code.
    pub code: String,
    /// For people.
    pub reason: String,
}

/// What the status says about custody challenges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CustodyStatus {
    /// The ledgers that are asked.
    pub ledgers: Vec<LedgerStatus>,
    /// The open challenges, the nearest deadline first; at most 256.
    pub open: Vec<ChallengeStatus>,
    /// How many are open in all.
    pub open_count: u64,
    /// Challenges that a ledger took an answer for since the start.
    pub answered: u64,
    /// Challenges whose deadline passed since the start without an answer of this node.
    pub missed: u64,
}

/// A ledger that is asked for challenges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LedgerStatus {
    /// Its address.
    pub ledger: String,
    /// Its block when it answered last, if it ever did.
    pub block: Option<Block>,
    /// Why it did not answer when it was asked last, if it did not.
    pub problem: Option<String>,
}

/// An open challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChallengeStatus {
    /// Its number on the ledger.
    pub challenge: u64,
    /// The blob.
    pub blob_key: BlobKey,
    /// Row of the blob.
    pub row: u32,
    /// Element of the row's extension.
    pub element: u32,
    /// When it was opened.
    pub opened: Block,
    /// The last block for an answer.
    pub deadline: Block,
    /// Blocks until then; 0 if it is now.
    pub blocks_left: u64,
    /// Whether a ledger took an answer, and the others do not know it yet.
    pub answered: bool,
    /// Why the last attempt to answer failed.
    pub problem: Option<String>,
}
