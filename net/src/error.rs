//! What can go wrong between two processes, and whose turn it is then.

use std::time::Duration;

use ashlar_crypto::{Blame, Coded, NetworkPublicKey};
use ashlar_proto::wire::{ErrorReply, WireError};

/// What was being waited for when the time was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The address of a host name.
    Resolve,
    /// A connection with the right peer behind it.
    Connect,
    /// Room for a new stream; the peer limits how many are open.
    OpenStream,
    /// The peer taking what is sent.
    Send,
    /// The beginning of the answer, or of the request.
    Envelope,
    /// More of the bulk part.
    Bulk,
    /// Memory for a message, from the process's own budget.
    Memory,
    /// The handler's answer.
    Handler,
    /// Everything together.
    Total,
}

impl Phase {
    const fn what(self) -> &'static str {
        match self {
            Self::Resolve => "resolving the peer's host name",
            Self::Connect => "connecting",
            Self::OpenStream => "a free stream on the connection",
            Self::Send => "the peer to take data",
            Self::Envelope => "the peer's message to begin",
            Self::Bulk => "more of the peer's bulk data",
            Self::Memory => "free memory in the budget for messages",
            Self::Handler => "the request to be handled",
            Self::Total => "the whole request",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.what())
    }
}

/// A peer that does not keep to the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "net", blame = Peer)]
pub enum Violation {
    /// The stream ended inside a message.
    #[error("the stream ended inside the {0}")]
    Truncated(&'static str),
    /// The stream went on behind the message.
    #[error("data follows the end of the message")]
    Trailing,
    /// An envelope above the limit.
    #[error("envelope of {got} bytes, expected at most {max}")]
    EnvelopeTooLarge {
        /// Declared length.
        got: u64,
        /// Limit for this peer.
        max: u64,
    },
    /// A bulk part above the limit.
    #[error("bulk part of {got} bytes, expected at most {max}")]
    BulkTooLarge {
        /// Declared length.
        got: u64,
        /// Limit for this message.
        max: u64,
    },
    /// An answer with more in it than was asked for.
    #[error("the answer's {part} has {got} bytes, what was asked for fits into {max}")]
    AnswerTooLarge {
        /// `envelope` or `bulk part`.
        part: &'static str,
        /// Declared length.
        got: u64,
        /// Longest answer to the request.
        max: u64,
    },
    /// An envelope that is refused.
    #[error(transparent)]
    #[coded(blame = Peer)]
    Wire(#[from] WireError),
    /// The peer gave the stream up.
    #[error("the peer reset the stream (code {0})")]
    Reset(u64),
    /// An answer of a kind that does not belong to the request.
    #[error("the answer is of kind {got}, expected {expected}")]
    WrongAnswer {
        /// Kind of the answer.
        got: &'static str,
        /// Kind that belongs to the request.
        expected: &'static str,
    },
    /// The peer speaks another protocol, or breaks QUIC or TLS.
    #[error("the peer does not speak ashlar/1 over QUIC: {0}")]
    Transport(String),
    /// The peer's TLS key is no ed25519 raw public key.
    #[error("the peer presents no ed25519 raw public key")]
    NoIdentity,
}

/// A request that failed, or an endpoint that could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "net", blame = Caller)]
pub enum NetError {
    /// Nobody answers at the address, or the connection broke.
    #[error("{address} is unreachable: {reason}")]
    #[coded(blame = Peer)]
    Unreachable {
        /// Address as configured.
        address: String,
        /// What was seen.
        reason: String,
    },
    /// Somebody answers, with another key.
    #[error(
        "{address} has the identity {got}, expected {expected}: it is not the peer that was asked for"
    )]
    #[coded(blame = Peer)]
    WrongIdentity {
        /// Address as configured.
        address: String,
        /// The key it presented.
        got: NetworkPublicKey,
        /// The key it should have.
        expected: NetworkPublicKey,
    },
    /// A deadline passed.
    #[error("no progress within {} ms while waiting for {phase}", after.as_millis())]
    #[coded(blame = if *phase == Phase::Memory { Blame::Us } else { Blame::Peer })]
    Timeout {
        /// What was waited for.
        phase: Phase,
        /// How long.
        after: Duration,
    },
    /// Data that moves, but too slowly: whoever is served meanwhile is not to be kept from it.
    #[error("{got} bytes within {} ms while waiting for {phase}, expected at least {expected}", after.as_millis())]
    #[coded(blame = Peer)]
    TooSlow {
        /// What was waited for.
        phase: Phase,
        /// Bytes that moved.
        got: u64,
        /// Bytes that would have been enough.
        expected: u64,
        /// How long.
        after: Duration,
    },
    /// The peer breaks the protocol.
    #[error("the peer breaks the protocol: {0}")]
    #[coded(transparent)]
    Violation(#[from] Violation),
    /// The peer understood and refused.
    #[error("the peer refuses: {0}")]
    // What the peer calls its caller is whoever asked us to send this.
    #[coded(blame = if _0.blame == Blame::Caller { Blame::Caller } else { Blame::Peer })]
    Remote(ErrorReply),
    /// What is to be sent is above a limit.
    #[error("{what} of {got} bytes to send, at most {max} are allowed")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its length.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// An address that is none.
    #[error("{address:?} is not an address of the form host:port: {reason}")]
    Address {
        /// As given.
        address: String,
        /// Why not.
        reason: String,
    },
    /// The local socket or the TLS configuration cannot be had.
    #[error("cannot open a QUIC endpoint on {address}: {reason}")]
    #[coded(blame = Us)]
    Bind {
        /// Local address.
        address: String,
        /// Why not.
        reason: String,
    },
    /// This endpoint was shut down.
    #[error("the endpoint is shut down")]
    #[coded(blame = Us)]
    Closed,
}

impl NetError {
    /// Another attempt at the same peer may succeed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::TooSlow { .. } => true,
            Self::Violation(v) => matches!(v, Violation::Truncated(_) | Violation::Reset(_)),
            Self::Remote(e) => e.blame == Blame::Us,
            _ => false,
        }
    }

    /// The same, told to the peer that caused it: the peer is the caller there.
    pub fn to_reply(&self) -> ErrorReply {
        let blame = match self {
            Self::Violation(_) | Self::TooSlow { .. } => Blame::Caller,
            Self::Timeout {
                phase: Phase::Envelope | Phase::Bulk | Phase::Send,
                ..
            } => Blame::Caller,
            _ => Blame::Us,
        };
        let reply = ErrorReply::new(self.code(), blame, self);
        match self {
            Self::Violation(
                Violation::EnvelopeTooLarge { got, max } | Violation::BulkTooLarge { got, max },
            ) => reply.with(got, format!("at most {max}")),
            Self::TooSlow { got, expected, .. } => reply.with(got, format!("at least {expected}")),
            Self::Violation(Violation::Wire(WireError::BulkLength { got, expected })) => {
                reply.with(got, expected)
            }
            _ => reply,
        }
    }

    pub(crate) fn timeout(phase: Phase, after: Duration) -> Self {
        Self::Timeout { phase, after }
    }
}

impl From<WireError> for NetError {
    fn from(error: WireError) -> Self {
        Self::Violation(Violation::Wire(error))
    }
}
