//! What can go wrong between here and the service.

use std::path::PathBuf;

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::api::Problem;
use ashlar_proto::{Account, Block, TableRoot};
use ashlar_restaking::{ServiceId, TransactionError};
use ashlar_stake::TableError;
use thiserror::Error;

/// Why a call has no result.
#[derive(Clone, Debug, Error, Coded)]
#[coded(prefix = "http", blame = Peer)]
pub enum ClientError {
    /// The service refuses, and says why. Nothing has changed.
    #[error("{}", problem.detail)]
    #[coded(code = known(&problem.code), blame = problem.blame)]
    Refused {
        /// The problem document: code, blame, what came and what was expected.
        problem: Box<Problem>,
    },
    /// No connection, or it broke.
    #[error("the ledger at {url} cannot be reached: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why not.
        reason: String,
    },
    /// No answer in time.
    #[error("the ledger at {url} did not answer within {millis} ms")]
    Timeout {
        /// What was asked for.
        url: String,
        /// How long was waited.
        millis: u128,
    },
    /// A transaction may have been applied, or not.
    #[error(
        "the ledger took the transaction, but its answer was lost ({reason}): look at the state before sending it again"
    )]
    #[coded("transaction.unknown")]
    Unknown {
        /// What happened last.
        reason: String,
    },
    /// An answer that is none of this service's.
    #[error("{url} does not answer as a ledger of ours: {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The service's table is none.
    #[error("the ledger's table of service {service} at block {block} is refused: {source}")]
    #[coded(transparent, blame = Peer)]
    Table {
        /// The service.
        service: ServiceId,
        /// The block.
        block: Block,
        /// Why.
        source: TableError,
    },
    /// The service's table has another root than the service says, or another than it had.
    #[error(
        "the ledger's table of service {service} at block {block} has the root {got}, expected {expected}: do not use this ledger"
    )]
    #[coded("table.root")]
    TableRoot {
        /// The service.
        service: ServiceId,
        /// The block.
        block: Block,
        /// Computed here.
        got: TableRoot,
        /// What the service says.
        expected: TableRoot,
    },
    /// The client has no key of the sender.
    #[error("there is no key of account {account} here: add the key to sign with")]
    #[coded("transaction.no_key", blame = Caller)]
    NoKey {
        /// The sender.
        account: Account,
    },
    /// Another client of the same account is faster every time, or the nonces are used up.
    #[error(
        "no nonce of the account is free: another program sends with the same key; use one at a time"
    )]
    #[coded("transaction.no_nonce", blame = Caller)]
    NoNonce,
    /// Not an address of a service.
    #[error("{got:?} is no address of a ledger: {reason}")]
    #[coded(blame = Caller)]
    Url {
        /// What was given.
        got: String,
        /// Why.
        reason: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("the certificate authorities in {} cannot be used: {reason}", path.display())]
    #[coded("ca", blame = Caller)]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("HTTP cannot be set up: {reason}")]
    #[coded(blame = Us)]
    Setup {
        /// Why.
        reason: String,
    },
}

/// Codes of the service that are not the ledger's.
const SERVICE_CODES: &[&str] = &[
    "account.not_allowed",
    "account.too_many",
    "connections.full",
    "connections.share",
    "evidence.not_configured",
    "evidence.nothing_to_slash",
    "evidence.other_slasher",
    "events.gone",
    "ledger.internal",
    "ledger.stopping",
    "request.body",
    "request.busy",
    "request.path",
    "request.query",
    "request.timeout",
    "request.too_large",
    "route.method",
    "route.unknown",
    "service.opening",
    "slash.same_fault",
    "state.not_found",
    "store.failed",
    "store.io",
    "table.future",
    "table.no_operators",
    "table.unsigned",
    "transaction.nonce",
    "transaction.sender",
    "transaction.signature",
    "transaction.weak_key",
    "uploads.full",
    "uploads.share",
    "waiters.full",
    "waiters.share",
];

/// The code of a refusal where this version knows it; `ledger.refused` for one that a newer service made up.
fn known(code: &str) -> &'static str {
    let mut codes = TransactionError::CODES.iter().chain(SERVICE_CODES);
    codes
        .find(|known| **known == code)
        .unwrap_or(&"ledger.refused")
}

impl ClientError {
    /// The stable code; of a refusal the one in the problem document.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { problem } => &problem.code,
            other => Coded::code(other),
        }
    }

    /// Who has to act, as the problem document says it.
    pub fn blame(&self) -> Blame {
        Coded::blame(self)
    }

    /// What happened, for people.
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// The problem document of a refusal.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem } => Some(problem),
            _ => None,
        }
    }
}
