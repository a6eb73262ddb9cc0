//! Why a call failed.

use ashlar_crypto::{Blame, Coded, PayloadError};
use ashlar_proto::certificate::{CertificateDecodeError, CertificateError};
use ashlar_proto::{BlobId, HeaderError};
use ashlar_retriever::RetrieveError;
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
        /// What the HTTP library says of the last one.
        reason: String,
    },
    /// The disperser refused. [`ClientError::problem`] gives its own code and words.
    #[error("refused: {0}")]
    // The server's "caller" is us, and we sent what we were told to; its "us" and "peer" are the other side.
    #[coded("refused", blame = if _0.blame == Blame::Caller { Blame::Caller } else { Blame::Peer })]
    Refused(Box<Problem>),
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
    /// A bug, or a broken machine.
    #[error("internal error: {0}")]
    #[coded(blame = Us)]
    Internal(String),
}

impl ClientError {
    /// The disperser's refusal, if that is what it is.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }
}
