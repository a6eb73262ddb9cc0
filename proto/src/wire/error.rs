//! Why a message is refused.

use ashlar_crypto::Coded;

use crate::certificate::CertificateDecodeError;
use crate::{ChunkIndex, ChunkRangesError, HeaderError};

/// A message that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "wire", blame = Caller)]
pub enum WireError {
    /// Not the protobuf message expected.
    #[error("not a protobuf message of the protocol")]
    Malformed,
    /// An envelope with nothing in it, or something that this version does not know.
    #[error("an envelope of no known kind")]
    UnknownKind,
    /// A field that is not in `ashlar.proto`.
    #[error("field {got} is none of the message's")]
    UnknownField {
        /// Its number.
        got: u32,
    },
    /// A field of wrong length.
    #[error("{field}: {got} bytes, expected {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// Its length.
        got: usize,
        /// The right length.
        expected: usize,
    },
    /// A list of wrong length.
    #[error("{field}: {got} entries, expected {expected}")]
    Count {
        /// The list.
        field: &'static str,
        /// Its entries.
        got: usize,
        /// The right number.
        expected: usize,
    },
    /// A list, number or text beyond its limit.
    #[error("{field}: {got}, expected at most {max}")]
    Limit {
        /// What.
        field: &'static str,
        /// How much.
        got: u64,
        /// The limit.
        max: u64,
    },
    /// A value that is none of those allowed.
    #[error("{field}: {got} is not one of the values allowed")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value.
        got: u64,
    },
    /// Protocol versions of a pong not strictly ascending.
    #[error("protocol versions do not rise strictly")]
    VersionOrder,
    /// A list of runs that breaks a rule.
    #[error(transparent)]
    Runs(#[from] ChunkRangesError),
    /// A chunk index that the version does not have.
    #[error("chunk index {got}, the version has {chunks} chunks")]
    ChunkIndex {
        /// The largest index named.
        got: ChunkIndex,
        /// Chunks of the version.
        chunks: u32,
    },
    /// A header that breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A certificate that is none.
    #[error(transparent)]
    #[coded(transparent, blame = Caller)]
    Certificate(#[from] CertificateDecodeError),
    /// The bulk part does not have the length that the message implies.
    #[error("bulk part of {got} bytes, the message implies {expected}")]
    BulkLength {
        /// Its length.
        got: u64,
        /// The length that follows from the headers and runs.
        expected: u64,
    },
}

pub(super) fn at_most(field: &'static str, got: usize, max: usize) -> Result<(), WireError> {
    if got > max {
        Err(WireError::Limit {
            field,
            got: got as u64,
            max: max as u64,
        })
    } else {
        Ok(())
    }
}
