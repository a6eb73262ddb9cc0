//! Why one operator's answer did not help.

use ashlar_crypto::{Blame, Coded, MerkleError};
use ashlar_proto::ChunkIndex;
use thiserror::Error;

use crate::gather::Conduct;
use crate::plan::Verdict;

/// Why one operator's answer did not help. Its code and text end up in [`Skipped`](crate::report::Skipped).
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[non_exhaustive]
#[coded(prefix = "operator", blame = Peer)]
pub enum Fault {
    /// No connection, no answer, or a broken frame.
    #[error("{reason}")]
    #[coded(code = code)]
    Network {
        /// Code of the network error.
        code: &'static str,
        /// Whether asking again later may help.
        retry: bool,
        /// What the network layer says.
        reason: String,
    },
    /// The deadline of the request has passed.
    #[error("no answer within {after_ms} ms")]
    Timeout {
        /// Milliseconds waited.
        after_ms: u64,
    },
    /// The others had delivered enough before it answered.
    #[error("no answer after {after_ms} ms, others delivered in its place")]
    Slow {
        /// Milliseconds waited.
        after_ms: u64,
    },
    /// It answered with an error.
    #[error("refused with {code}: {message}")]
    Refused {
        /// The operator's code.
        code: String,
        /// Whom the operator blames.
        blame: Blame,
        /// The operator's words, cut to a sensible length.
        message: String,
    },
    /// It answered with another kind of message.
    #[error("answered {asked} with another kind of message")]
    UnexpectedAnswer {
        /// What was asked for.
        asked: &'static str,
    },
    /// The envelope is malformed.
    #[error("malformed answer: {reason}")]
    #[coded(code = code)]
    Malformed {
        /// Code of the wire error.
        code: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// It does not have some or all of what it is assigned.
    #[error("does not have {missing} of the {asked} chunks asked for")]
    NotHeld {
        /// Chunks missing.
        missing: usize,
        /// Chunks asked for.
        asked: usize,
    },
    /// It sent indices that were not asked for.
    #[error("sent chunks that were not asked for")]
    OtherIndices,
    /// It sent another blob, or another batch.
    #[error("sent another {what} than the certified one")]
    #[coded("other_blob")]
    Other {
        /// `blob header`, `batch header`, `blob headers`, `commitments`.
        what: &'static str,
    },
    /// The bulk part has another length than the indices need.
    #[error("sent {got} bytes, the chunks it declared have {expected}")]
    #[coded("wrong_length")]
    Length {
        /// Bytes sent.
        got: u64,
        /// Bytes that the indices need.
        expected: u64,
    },
    /// Slices that do not fit the blob's chunk root.
    #[error("the slices from chunk {start} on are not those of the chunk root: {source}")]
    #[coded("corrupt_slices")]
    Corrupt {
        /// First chunk of the run.
        start: ChunkIndex,
        /// What the Merkle check says.
        source: MerkleError,
    },
    /// A chunk proof that is no curve point.
    #[error("the proof of chunk {index} is no point of the group")]
    ProofPoint {
        /// The chunk.
        index: ChunkIndex,
    },
    /// Chunks whose KZG proof does not hold: the disperser encoded them wrongly, or the operator changed the proof.
    #[error("the KZG proofs of {count} chunks do not hold, the first is {first}")]
    ChunkProof {
        /// First such chunk.
        first: ChunkIndex,
        /// How many.
        count: usize,
    },
    /// The check itself failed.
    #[error("internal error: {reason}")]
    #[coded("retrieve.internal", blame = Us)]
    Internal {
        /// What happened.
        reason: String,
    },
}

impl Fault {
    /// What the plan is to think of the operator.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Self::Timeout { .. } | Self::Slow { .. } | Self::Internal { .. } => Verdict::Retry,
            Self::Network { retry, .. } => {
                if *retry {
                    Verdict::Retry
                } else {
                    Verdict::Drop
                }
            }
            // It says that the request is at fault, and it would be the same request again.
            Self::Refused {
                blame: Blame::Caller,
                ..
            } => Verdict::Drop,
            Self::Refused { .. } => Verdict::Retry,
            Self::NotHeld { .. } | Self::ChunkProof { .. } => Verdict::Answered,
            Self::UnexpectedAnswer { .. }
            | Self::Malformed { .. }
            | Self::OtherIndices
            | Self::Other { .. }
            | Self::Length { .. }
            | Self::Corrupt { .. }
            | Self::ProofPoint { .. } => Verdict::Drop,
        }
    }

    /// What it says about the operator; nothing if it may be somebody else's.
    pub(crate) fn conduct(&self) -> Option<Conduct> {
        match self {
            // A proof that does not hold may be the disperser's.
            Self::Internal { .. } | Self::ChunkProof { .. } => None,
            Self::Timeout { .. } | Self::Slow { .. } => Some(Conduct::Late),
            Self::Network { retry: true, .. } => Some(Conduct::Late),
            Self::Refused { .. } | Self::NotHeld { .. } => Some(Conduct::Refused),
            Self::Network { .. }
            | Self::UnexpectedAnswer { .. }
            | Self::Malformed { .. }
            | Self::OtherIndices
            | Self::Other { .. }
            | Self::Length { .. }
            | Self::Corrupt { .. }
            | Self::ProofPoint { .. } => Some(Conduct::Wrong),
        }
    }

    /// An operator's refusal; its words are cut, they are only for people.
    pub(crate) fn refused(code: &str, blame: Blame, message: &str) -> Self {
        let cut = |text: &str, max: usize| text.chars().take(max).collect::<String>();
        Self::Refused {
            code: cut(code, 64),
            blame,
            message: cut(message, 200),
        }
    }
}
