//! Why a call failed.

use std::time::Duration;

use ashlar_crypto::{Blame, Coded, PayloadError};
use ashlar_proto::certificate::{CertificateDecodeError, CertificateError};
use ashlar_proto::{Account, BlobId, Domain, HeaderError, QuorumId, Stake};
use ashlar_retriever::{RetrieveError, RetrieveErrorKind};
use ashlar_service::http::HttpError;
use ashlar_stake::StakeError;
use thiserror::Error;

use ashlar_proto::api::{BlobState, Problem, StatusError};

/// Why a call failed.
#[derive(Debug, Error, Coded)]
#[non_exhaustive]
#[coded(prefix = "client", blame = Peer)]
pub enum ClientError {
    /// A URL or the TLS setup.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No disperser is configured.
    #[error("no disperser is configured")]
    #[coded(blame = Caller)]
    NoDisperser,
    /// The blob was posted to a disperser that is not one of these.
    #[error("the blob is at {url}, which is none of the dispersers here")]
    #[coded(blame = Caller)]
    UnknownDisperser {
        /// The one that has it.
        url: String,
    },
    /// The payload does not fit the encoding.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The payload is larger than this client is configured for.
    #[error("the payload has {got} bytes, this client takes at most {max}")]
    #[coded("payload.too_large", blame = Caller)]
    TooLarge {
        /// Bytes of the payload.
        got: u64,
        /// Most.
        max: u64,
    },
    /// The options name an unknown version, or quorums that are no set.
    #[error(transparent)]
    Options(#[from] HeaderError),
    /// The disperser cannot be reached.
    #[error("{url} cannot be reached ({attempts} attempts): {reason}")]
    #[coded("unreachable")]
    Transport {
        /// What was asked.
        url: String,
        /// Attempts made.
        attempts: u32,
        /// Whether the request may have arrived.
        sent: bool,
        /// What the HTTP library says of the last one.
        reason: String,
    },
    /// The disperser refused. [`ClientError::problem`] gives its own code and words.
    #[error("refused: {problem}")]
    // The server's "caller" is us, and we sent what we were told to; its "us" and "peer" are the other side.
    #[coded("refused", blame = if problem.blame == Blame::Caller { Blame::Caller } else { Blame::Peer })]
    Refused {
        /// Its own code and words.
        problem: Box<Problem>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The policy requires a quorum that the blob does not ask, so that its certificate would be refused.
    #[error("certificates need the signatures of quorum {required}, the blob asks only {got:?}")]
    #[coded(blame = Caller)]
    QuorumNotAsked {
        /// The quorum.
        required: QuorumId,
        /// The quorums asked.
        got: Vec<QuorumId>,
    },
    /// Operators are to be asked for payloads, and the policy trusts a table's root, which has no addresses.
    #[error("a root names no operators to ask; trust a table, or a source of tables")]
    #[coded(blame = Caller)]
    NoTable,
    /// Several dispersers were asked and none has done it.
    #[error("{} dispersers were asked in vain; {}", tried.len(), list(tried))]
    EveryDisperser {
        /// Each with its reason.
        tried: Vec<PassedOver>,
    },
    /// The disperser's answer cannot be used.
    #[error("the disperser's {what} cannot be used: {reason}")]
    #[coded("bad_answer")]
    Answer {
        /// Which answer.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The disperser names the submission otherwise than its content does.
    #[error("the disperser calls the submission {got}, its content makes it {expected}")]
    WrongId {
        /// Id in the answer.
        got: BlobId,
        /// Id computed here.
        expected: BlobId,
    },
    /// The blob failed at the disperser.
    #[error("the disperser gave the blob up ({code}): {message}", code = .0.code, message = .0.message)]
    #[coded("blob_failed")]
    Failed(StatusError),
    /// Not certified in time; it may be later.
    #[error("not certified after {after_ms} ms; its last known state is {state}")]
    Deadline {
        /// Milliseconds waited.
        after_ms: u64,
        /// Last state known.
        state: BlobState,
    },
    /// The certificate's bytes are malformed.
    #[error("the disperser's certificate is malformed: {0}")]
    #[coded(transparent, blame = Peer)]
    CertificateMalformed(CertificateDecodeError),
    /// The certificate is refused.
    #[error("the disperser's certificate is refused: {0}")]
    #[coded(transparent, blame = Peer)]
    Certificate(CertificateError),
    /// The certificate is for another blob than the one submitted.
    #[error("the certificate's {field} is {got}, the submission has {expected}")]
    OtherBlob {
        /// What differs.
        field: &'static str,
        /// In the certificate.
        got: String,
        /// In the submission.
        expected: String,
    },
    /// The operator table to check against cannot be had.
    #[error("the operator table cannot be had: {0}")]
    #[coded(transparent)]
    Table(StakeError),
    /// The payload could not be rebuilt.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// The blob costs more than the account is to pay.
    #[error("{disperser} asks {price} for this blob, and at most {limit} is to be paid")]
    #[coded("price_above_limit", blame = Caller)]
    PriceAboveLimit {
        /// Base URL.
        disperser: String,
        /// What it asks, in the smallest unit of the token.
        price: Stake,
        /// [`PayingAccount::max_price`](crate::PayingAccount::max_price).
        limit: Stake,
    },
    /// The options name another account than the one that signs.
    #[error("the options name the account {got}, and {expected} signs")]
    #[coded("other_account", blame = Caller)]
    OtherAccount {
        /// In the options.
        got: Account,
        /// The one that signs.
        expected: Account,
    },
    /// The disperser is of another service than the client's.
    #[error(
        "the disperser {disperser} is of the service {got}, not of {expected}: nothing was signed"
    )]
    OtherService {
        /// Base URL.
        disperser: String,
        /// As it says.
        got: Domain,
        /// Ours.
        expected: Domain,
    },
    /// The disperser says that more is owed than the account has ever signed for.
    #[error(
        "the disperser {disperser} says that {got} is owed, and the account has signed for {signed} at most: nothing was signed"
    )]
    #[coded("account_disagrees")]
    AccountDisagrees {
        /// Base URL.
        disperser: String,
        /// As it says.
        got: Stake,
        /// By our count, and by the voucher that it shows.
        signed: Stake,
    },
    /// The account's key does not sign, or what was signed cannot be written down.
    #[error("the account cannot sign: {0}")]
    #[coded("cannot_sign", blame = Caller)]
    CannotSign(String),
    /// A bug, or a broken machine.
    #[error("internal error: {0}")]
    #[coded(blame = Us)]
    Internal(String),
}

/// A disperser that did not help, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Its base URL.
    pub disperser: String,
    /// Code of the error; a refusal's is the disperser's own.
    pub code: String,
    /// Whether it may help later.
    pub retryable: bool,
    /// The error in words.
    pub reason: String,
}

impl PassedOver {
    pub(crate) fn new(disperser: String, error: &ClientError) -> Self {
        let code = match error {
            ClientError::Refused { problem, .. } => &problem.code,
            ClientError::Failed(reason) => &reason.code,
            _ => error.code(),
        };
        Self {
            disperser,
            code: code.to_owned(),
            retryable: error.retryable(),
            reason: error.to_string(),
        }
    }
}

fn list(tried: &[PassedOver]) -> String {
    let each: Vec<_> = tried
        .iter()
        .map(|one| format!("{}: {} [{}]", one.disperser, one.reason, one.code))
        .collect();
    each.join("; ")
}

impl ClientError {
    /// The disperser's refusal, if that is what it is.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// Whether the same call may succeed later, with nothing changed here. What was posted keeps its salt.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Deadline { .. } => true,
            // 409: not certified yet.
            Self::Refused { problem, .. } => {
                problem.status >= 500 || matches!(problem.status, 408 | 409 | 429)
            }
            // Its own fault, or that of the network at that time.
            Self::Failed(reason) => {
                !reason.code.starts_with("claim.") && !reason.code.starts_with("payload.")
            }
            Self::EveryDisperser { tried } => tried.iter().any(|one| one.retryable),
            // A table of a block to come: the source is behind.
            Self::Table(StakeError::UnknownBlock { block, head }) => block > head,
            Self::Table(error) => error.blame() != Blame::Caller,
            Self::Retrieve(error) => match &error.kind {
                RetrieveErrorKind::Relay(_)
                | RetrieveErrorKind::TooFewSlices { .. }
                | RetrieveErrorKind::Deadline { .. } => true,
                RetrieveErrorKind::Table { blame, .. } => *blame != Blame::Caller,
                RetrieveErrorKind::EncodedWrongly { conclusive, .. } => !conclusive,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether a payload can never be had, whoever still answers: its disperser encoded it wrongly, or its submitter committed to
    /// what is no payload. A rollup treats it by a rule of its own, for instance as empty.
    #[must_use]
    pub fn is_lost_for_good(&self) -> bool {
        match self {
            Self::Retrieve(error) => matches!(
                error.kind,
                RetrieveErrorKind::EncodedWrongly {
                    conclusive: true,
                    ..
                } | RetrieveErrorKind::Payload(_)
            ),
            _ => false,
        }
    }

    /// When the disperser wants to be asked again, if it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the disperser answered with what is not the blob's: not one in trouble, but one that lies or that knows
    /// another network.
    pub(crate) fn is_lie(&self) -> bool {
        match self {
            Self::WrongId { .. } | Self::OtherBlob { .. } | Self::CertificateMalformed(_) => true,
            Self::Certificate(_) => !self.is_ours(),
            _ => false,
        }
    }

    /// Whether it is this process's own fault, such as a policy that cannot hold: no disperser can help.
    pub(crate) fn is_ours(&self) -> bool {
        match self {
            Self::Internal(_) => true,
            Self::Certificate(error) => error.blame() == Blame::Us,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
