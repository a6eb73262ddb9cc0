//! Commitments as they stand on the rollup's chain.
//!
//! ```text
//!   generic    01 | a5 | 01 | certificate
//!                    │    └ version of what follows
//!                    └ DA_BYTE, this layer
//!   keccak     00 | keccak256(payload)
//!   standard             01 | certificate        without what the OP Stack puts in front
//! ```
//!
//! Arbitrum has the generic form, too.

use ashlar_crypto::{Coded, account::keccak256};
use thiserror::Error;

/// The byte by which the OP Stack tells layers apart.
pub const DA_BYTE: u8 = 0xa5;
/// Version of what follows: a certificate.
pub const VERSION: u8 = 1;
/// First byte of a commitment that is a hash.
const KECCAK: u8 = 0;
/// First byte of all others, for the OP Stack and for Arbitrum.
pub const GENERIC: u8 = 1;

/// What a commitment names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commitment<'a> {
    /// A payload with this hash, in the object store.
    Keccak([u8; 32]),
    /// The payload of this certificate, of which nothing is known yet.
    Certificate(&'a [u8]),
}

/// Why bytes are no commitment.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "commitment", blame = Caller)]
pub enum CommitmentError {
    /// Not hexadecimal.
    #[error("a commitment is written as 0x and pairs of hexadecimal digits")]
    Hex,
    /// Neither generic nor a hash.
    #[error("the first byte is {got:02x}, expected 00 (keccak) or 01 (generic)")]
    Kind {
        /// The byte.
        got: u8,
    },
    /// A hash of another length.
    #[error("a keccak commitment has {got} bytes behind its first, expected 32")]
    KeccakLength {
        /// Bytes.
        got: usize,
    },
    /// Another layer's. It is not for this server to say what it is worth.
    #[error(
        "the commitment is of the DA layer {got:02x}, this one is {DA_BYTE:02x}: ask that layer's server"
    )]
    OtherLayer {
        /// Its byte.
        got: u8,
    },
    /// It ends before it says what it is.
    #[error("the commitment ends before its certificate")]
    #[coded("truncated")]
    Truncated,
    /// No version that there is.
    #[error("the commitment is of version {got:02x}, expected {VERSION:02x}")]
    Version {
        /// The byte.
        got: u8,
    },
}

impl CommitmentError {
    /// Whether everybody who reads these bytes says the same at any time: a derivation drops them.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Truncated | Self::Version { .. })
    }
}

/// Bytes as paths and JSON-RPC write them.
///
/// # Errors
/// [`CommitmentError::Hex`].
pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, CommitmentError> {
    let digits = text.strip_prefix("0x").ok_or(CommitmentError::Hex)?;
    hex::decode(digits).map_err(|_| CommitmentError::Hex)
}

impl<'a> Commitment<'a> {
    /// Reads one as the OP Stack and Arbitrum have it.
    ///
    /// # Errors
    /// [`CommitmentError`].
    pub fn read(bytes: &'a [u8]) -> Result<Self, CommitmentError> {
        match bytes {
            [KECCAK, hash @ ..] => {
                let wrong = |_| CommitmentError::KeccakLength { got: hash.len() };
                hash.try_into().map(Self::Keccak).map_err(wrong)
            }
            [GENERIC, DA_BYTE, rest @ ..] => Self::standard(rest),
            [GENERIC, got, ..] => Err(CommitmentError::OtherLayer { got: *got }),
            [GENERIC] | [] => Err(CommitmentError::Truncated),
            [got, ..] => Err(CommitmentError::Kind { got: *got }),
        }
    }

    /// Reads one in the standard form.
    ///
    /// # Errors
    /// [`CommitmentError`].
    pub fn standard(bytes: &'a [u8]) -> Result<Self, CommitmentError> {
        match bytes {
            [VERSION, certificate @ ..] => Ok(Self::Certificate(certificate)),
            [got, ..] => Err(CommitmentError::Version { got: *got }),
            [] => Err(CommitmentError::Truncated),
        }
    }
}

/// The generic commitment of a certificate.
pub(crate) fn generic(certificate: &[u8]) -> Vec<u8> {
    [&[GENERIC, DA_BYTE, VERSION], certificate].concat()
}

/// The same in the standard form.
pub(crate) fn standard(certificate: &[u8]) -> Vec<u8> {
    [&[VERSION], certificate].concat()
}

/// Whether a payload has this hash.
pub(crate) fn is_hash_of(hash: &[u8; 32], payload: &[u8]) -> bool {
    keccak256(payload) == *hash
}

#[cfg(test)]
mod tests;
