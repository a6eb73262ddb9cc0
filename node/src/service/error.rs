//! Why a request was not served.

use ashlar_crypto::Coded;
use ashlar_net::NetError;
use ashlar_proto::CertificateError;
use ashlar_proto::wire::ErrorReply;
use ashlar_stake::StakeError;

use crate::signer::SignerError;
use crate::store::StoreError;
use crate::validate::ValidateError;

/// Why a request was not served. Validation errors and others keep their own codes.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "node", blame = Us)]
pub enum ServiceError {
    /// Too much at once.
    #[error("too much at once ({what}); try again in {retry_after_ms} ms")]
    Overloaded {
        /// What there is too much of.
        what: &'static str,
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The disperser has no more of the day's bytes.
    #[error(
        "the batch has {got} bytes, {left} are left of the disperser's {share} a day, and others leave no more; try again in {retry_after_ms} ms"
    )]
    DailyBytes {
        /// Slice bytes of the batch.
        got: u64,
        /// What is left of the disperser's share.
        left: u64,
        /// Its share of a day.
        share: u64,
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The node serves, but takes no batches at the moment.
    #[error("no batches are accepted at the moment: {why}")]
    NotAccepting {
        /// Stable name of the cause.
        cause: String,
        /// For people.
        why: String,
    },
    /// The batch is not acceptable.
    #[error(transparent)]
    Validate(#[from] ValidateError),
    /// The certificate is none.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The batch is stored, and the key gives no signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The operator table cannot be had.
    #[error("the operator table: {0}")]
    #[coded(transparent, blame = Us)]
    Stake(#[from] StakeError),
    /// Receiving failed.
    #[error(transparent)]
    Net(#[from] NetError),
    /// No such blob or batch is held.
    #[error("{what} is not held here")]
    #[coded(blame = Caller)]
    NotFound {
        /// Which.
        what: String,
    },
    /// It is held, but none of the chunks asked for.
    #[error("none of the chunks asked for is held here")]
    #[coded(blame = Caller)]
    NoSuchChunks,
    /// Who asks to be dialed has no address.
    #[error("the caller is no operator of the newest table, so there is no address to dial")]
    #[coded(blame = Caller)]
    NotAnOperator,
    /// Who asked to be dialed is not reached.
    #[error("{address} is not reached from here: {source}")]
    #[coded(blame = Caller)]
    DialFailed {
        /// As the newest table has it.
        address: String,
        /// What happened.
        source: NetError,
    },
    /// A request that is for a remote signer.
    #[error("this is a storage node: it signs what it stores, and nothing else")]
    #[coded(blame = Caller)]
    NotASigner,
    /// No randomness.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

impl ServiceError {
    pub(super) fn reply(&self) -> ErrorReply {
        match self {
            Self::Net(error) => error.to_reply(),
            Self::Validate(error) => {
                let (got, expected) = error.got_expected();
                let reply = ErrorReply::from_coded(self);
                if got.is_empty() && expected.is_empty() {
                    reply
                } else {
                    reply.with(got, expected)
                }
            }
            Self::Store(StoreError::Conflict {
                existing, offered, ..
            }) => ErrorReply::from_coded(self).with(offered, existing),
            Self::Store(StoreError::BelowFloor { at, floor }) => {
                ErrorReply::from_coded(self).with(at.sequence, format!("more than {floor}"))
            }
            Self::Overloaded {
                what,
                retry_after_ms,
            } => {
                ErrorReply::from_coded(self).with(what, format!("retry_after_ms={retry_after_ms}"))
            }
            Self::DailyBytes {
                got,
                retry_after_ms,
                ..
            } => ErrorReply::from_coded(self).with(got, format!("retry_after_ms={retry_after_ms}")),
            Self::NotAccepting { cause, .. } => ErrorReply::from_coded(self).with(cause, "ready"),
            _ => ErrorReply::from_coded(self),
        }
    }
}
