//! Why something could not be posted or read, and, first of all, whether that will ever change.
//!
//! A derivation drops a batch for a [`Failure::Invalid`], and can never take that back. So it is one only if everybody who asks gets the
//! same answer, at any time: it follows from the commitment, from the operator table that it names, and from the policy. What a clock, a network, a
//! disk or a table that cannot be had says is a [`Failure::Later`].

use ashlar_client::ClientError;
use ashlar_crypto::{Blame, Coded};
use ashlar_proto::certificate::CertificateError;
use ashlar_retriever::RetrieveErrorKind;
use thiserror::Error;

use crate::commitment::CommitmentError;

/// Which rule a commitment breaks. The numbers are those that OP Stacks with EigenDA's changes know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It can be read.
    Form = 1,
    /// It was included soon enough after it was made.
    Recency = 2,
    /// The certificate holds.
    Certificate = 3,
    /// What was committed to is a payload.
    Payload = 4,
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "proxy", blame = Caller)]
pub enum Failure {
    /// The commitment is good for nothing, for everybody and for ever.
    #[error("{reason}")]
    #[coded(code = code)]
    Invalid {
        /// What it breaks.
        rule: Rule,
        /// Code of the reason.
        code: &'static str,
        /// The reason.
        reason: String,
    },
    /// It may succeed later, or elsewhere. Nothing is said about the commitment.
    #[error("{reason}")]
    #[coded(code = code, blame = *blame)]
    Later {
        /// Code of the reason.
        code: &'static str,
        /// Who has to act.
        blame: Blame,
        /// The reason.
        reason: String,
    },
    /// The request is none.
    #[error("{reason}")]
    #[coded(code = code)]
    Request {
        /// Code of the reason.
        code: &'static str,
        /// The reason.
        reason: String,
    },
    /// The payload is too large.
    #[error("the payload has {got} bytes, this proxy takes at most {max}")]
    TooLarge {
        /// Bytes.
        got: u64,
        /// Most.
        max: u64,
    },
    /// This proxy posts nothing.
    #[error("this proxy only reads (proxy.mode)")]
    ReadOnly,
    /// No payload with this hash is in the store.
    #[error("no payload with this hash is in the store")]
    Missing,
    /// There is too much to do.
    #[error("too much is under way already; try again later")]
    #[coded(blame = Us)]
    Busy,
    /// Time is up.
    #[error("not done within {secs} s; the same request sent again goes on from there")]
    #[coded(blame = Peer)]
    Deadline {
        /// Seconds.
        secs: u64,
    },
}

impl Failure {
    pub(crate) fn later(error: &(impl Coded + std::fmt::Display)) -> Self {
        Self::Later {
            code: error.code(),
            blame: error.blame(),
            reason: error.to_string(),
        }
    }

    fn invalid(rule: Rule, error: &(impl Coded + std::fmt::Display)) -> Self {
        Self::Invalid {
            rule,
            code: error.code(),
            reason: error.to_string(),
        }
    }

    /// Of what was to be posted.
    pub(crate) fn of_put(error: &ClientError) -> Self {
        match error {
            ClientError::TooLarge { got, max } => Self::TooLarge {
                got: *got,
                max: *max,
            },
            ClientError::Payload(reason) => Self::Request {
                code: reason.code(),
                reason: reason.to_string(),
            },
            error => Self::later(error),
        }
    }

    /// Of what was to be read.
    pub(crate) fn of_get(error: &ClientError) -> Self {
        match error {
            ClientError::CertificateMalformed(reason) => Self::invalid(Rule::Form, reason),
            ClientError::Certificate(reason) => match broken(reason) {
                Some(rule) => Self::invalid(rule, reason),
                None => Self::later(reason),
            },
            // The rows are those that were committed to, and hold none: whoever reads them sees it. All other losses depend on who
            // was asked.
            ClientError::Retrieve(failed) => match &failed.kind {
                kind @ RetrieveErrorKind::Payload(_) => Self::invalid(Rule::Payload, kind),
                kind => Self::later(kind),
            },
            error => Self::later(error),
        }
    }

    /// Whether the layer could not do it, rather than not being asked properly.
    pub(crate) fn is_the_layers(&self) -> bool {
        matches!(self, Self::Later { .. } | Self::Deadline { .. })
    }
}

impl From<CommitmentError> for Failure {
    fn from(error: CommitmentError) -> Self {
        match error.is_final() {
            true => Self::invalid(Rule::Form, &error),
            false => Self::Request {
                code: error.code(),
                reason: error.to_string(),
            },
        }
    }
}

/// The rule that a certificate breaks; none if the reader itself may be wrong: its clock, its table or its configuration.
fn broken(error: &CertificateError) -> Option<Rule> {
    use CertificateError as E;
    match error {
        E::Expired { unit, .. } | E::FromTheFuture { unit, .. } => {
            (*unit == "blocks").then_some(Rule::Recency)
        }
        E::TableDomain { .. }
        | E::NoQuorumRequired
        | E::VersionNotAccepted { .. }
        | E::UnsafeVersion(_)
        | E::ReferenceBlock { .. }
        | E::NeedsTable
        | E::PublicKey { .. }
        | E::TableInconsistent { .. } => None,
        E::OtherDomain { .. }
        | E::BlobHeader(_)
        | E::BatchHeader(_)
        | E::VersionMismatch { .. }
        | E::VersionNotRecorded { .. }
        | E::Rows { .. }
        | E::BlobPath(_)
        | E::TableRoot { .. }
        | E::TableHeader { .. }
        | E::BitmapLength { .. }
        | E::NoSigners
        | E::WitnessCount { .. }
        | E::WitnessIndex { .. }
        | E::WitnessOrder { .. }
        | E::WitnessPath { .. }
        | E::WitnessEntry { .. }
        | E::AggregateIdentity
        | E::SignatureMalformed(_)
        | E::SignatureInvalid
        | E::QuorumMissing { .. }
        | E::QuorumUnknown { .. }
        | E::Threshold { .. } => Some(Rule::Certificate),
    }
}

#[cfg(test)]
mod tests;
