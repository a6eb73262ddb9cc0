//! What can go wrong between here and the service.

use std::path::PathBuf;

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::api::Problem;
use ashlar_proto::{Account, TableRoot};
use ashlar_restaking::{Refusal, ServiceId};
use ashlar_stake::TableError;
use thiserror::Error;

/// Why a call has no result.
#[derive(Clone, Debug, Error)]
pub enum ClientError {
    /// The service refuses, and says why. Nothing has changed.
    #[error("{}", problem.detail)]
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
    Table {
        /// The service.
        service: ServiceId,
        /// The block.
        block: u64,
        /// Why.
        source: TableError,
    },
    /// The service's table has another root than the service says, or another than it had.
    #[error(
        "the ledger's table of service {service} at block {block} has the root {got}, expected {expected}: do not use this ledger"
    )]
    TableRoot {
        /// The service.
        service: ServiceId,
        /// The block.
        block: u64,
        /// Computed here.
        got: TableRoot,
        /// What the service says.
        expected: TableRoot,
    },
    /// The client has no key of the sender.
    #[error("there is no key of account {account} here: add the key to sign with")]
    NoKey {
        /// The sender.
        account: Account,
    },
    /// Another client of the same account is faster every time, or the nonces are used up.
    #[error(
        "no nonce of the account is free: another program sends with the same key; use one at a time"
    )]
    NoNonce,
    /// Not an address of a service.
    #[error("{got:?} is no address of a ledger: {reason}")]
    Url {
        /// What was given.
        got: String,
        /// Why.
        reason: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("the certificate authorities in {} cannot be used: {reason}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The HTTP client cannot be made.
    #[error("HTTP cannot be set up: {reason}")]
    Setup {
        /// Why.
        reason: String,
    },
}

/// Codes of the service that are not the ledger's.
const SERVICE_CODES: &[&str] = &[
    "account.not_allowed",
    "account.too_many",
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
];

impl ClientError {
    /// The stable code; of a refusal the one in the problem document.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { problem } => &problem.code,
            other => other.own_code(),
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

    fn own_code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "ledger.refused",
            Self::Unreachable { .. } => "http.unreachable",
            Self::Timeout { .. } => "http.timeout",
            Self::Unknown { .. } => "transaction.unknown",
            Self::Answer { .. } => "http.answer",
            Self::Table { source, .. } => source.code(),
            Self::TableRoot { .. } => "table.root",
            Self::NoKey { .. } => "transaction.no_key",
            Self::NoNonce => "transaction.no_nonce",
            Self::Url { .. } => "http.url",
            Self::Authorities { .. } => "http.ca",
            Self::Setup { .. } => "http.setup",
        }
    }
}

impl Coded for ClientError {
    /// The same code as [`ClientError::code`] where this version knows it; `ledger.refused` for one that a newer service made
    /// up.
    fn code(&self) -> &'static str {
        match self {
            Self::Refused { problem } => Refusal::CODES
                .iter()
                .chain(SERVICE_CODES)
                .find(|code| **code == problem.code)
                .copied()
                .unwrap_or_else(|| self.own_code()),
            other => other.own_code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Refused { problem } => problem.blame,
            Self::NoKey { .. } | Self::NoNonce | Self::Url { .. } | Self::Authorities { .. } => {
                Blame::Caller
            }
            Self::Setup { .. } => Blame::Us,
            _ => Blame::Peer,
        }
    }
}
