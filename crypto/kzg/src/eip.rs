//! Every function of EIP-4844 and EIP-7594, bytes in, bytes out, under the names and with the semantics of the consensus
//! specifications (deneb/polynomial-commitments, fulu/polynomial-commitments-sampling).
//!
//! | argument | bytes |
//! |---|---|
//! | blob | 131072: 4096 field elements |
//! | cell | 2048: 64 field elements |
//! | commitment, proof | 48: a compressed G1 point |
//! | z, y | 32: a field element, big-endian |
//!
//! Malformed input (a wrong length, an element that is not below the group order, a point that is not in the group, …)
//! is an [`EipError`]; well-formed input that proves nothing is `Ok(false)`. Inputs are slices of any length, so that
//! callers can pass what came from the network as it is.
//!
//! What is `C_KZG_BADARGS` in `c-kzg` is here a case of its own:
//!
//! | `c-kzg` | here |
//! |---|---|
//! | `InvalidBytesLength` | [`EipError::Length`] |
//! | `InvalidKzgCommitment`, `InvalidKzgProof`, bad points | [`EipError::Point`] |
//! | `MismatchLength` | [`EipError::Count`] |
//! | bad field elements | [`EipError::NonCanonical`] |
//! | bad cell indices | [`EipError::Index`], [`EipError::Order`] |
//! | too few cells | [`EipError::Recover`] |
//! | `InvalidTrustedSetup`, `LoadingTrustedSetupFailed` | [`SetupError`] of [`load_trusted_setup`] |

mod cells;
mod precompile;
mod proofs;

use thiserror::Error;

use crate::code::RecoverError;
use crate::curve::{self, G1Affine};
use crate::field::{Fr, first_non_canonical, fr_from_be};
use crate::kzg::PointError;
use crate::{Coded, Setup, SetupError, kernel};

pub use crate::setup::trusted_setup_to_bytes;
pub use cells::{
    BYTES_PER_CELL, CELLS_PER_EXT_BLOB, Cell, compute_cells, compute_cells_and_kzg_proofs,
    compute_verify_cell_kzg_proof_batch_challenge, recover_cells, recover_cells_and_kzg_proofs,
    verify_cell_kzg_proof_batch,
};
pub use precompile::{
    POINT_EVALUATION_INPUT_BYTES, POINT_EVALUATION_OUTPUT_BYTES, VERSIONED_HASH_VERSION_KZG,
    kzg_commitment_to_versioned_hash, point_evaluation, point_evaluation_input,
};
pub use proofs::{
    blob_to_kzg_commitment, compute_blob_kzg_proof, compute_challenge, compute_kzg_proof,
    verify_blob_kzg_proof, verify_blob_kzg_proof_batch, verify_kzg_proof,
};

/// Bytes of a blob: 4096 field elements.
pub const BYTES_PER_BLOB: usize = crate::BYTES_PER_ROW;

/// A compressed G1 point.
pub type Bytes48 = [u8; 48];
/// A field element, big-endian.
pub type Bytes32 = [u8; 32];

/// Why an input is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "eip", blame = Caller)]
pub enum EipError {
    /// An argument has another length.
    #[error("a {what} has {expected} bytes, not {got}")]
    Length {
        /// Which argument.
        what: &'static str,
        /// Bytes it has to have.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// A field element is not below the group order.
    #[error("element {index} of the {what} is not a canonical field element")]
    NonCanonical {
        /// Which argument.
        what: &'static str,
        /// The element's position in it.
        index: usize,
    },
    /// A commitment or proof is no point of the group.
    #[error("{what}: {error}")]
    Point {
        /// Which argument.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        error: PointError,
    },
    /// Lists that belong together have different lengths.
    #[error("{expected} {what} are needed to go with the other arguments, there are {got}")]
    Count {
        /// Which list.
        what: &'static str,
        /// Entries it has to have.
        expected: usize,
        /// Entries it has.
        got: usize,
    },
    /// A cell index from 128 on, or a commitment index that no commitment has.
    #[error("{what} index {index} is not below {end}")]
    Index {
        /// Which index.
        what: &'static str,
        /// The index.
        index: u64,
        /// The end of the range.
        end: u64,
    },
    /// Cells to recover from have to come in strictly rising order of their indices.
    #[error("cell indices must rise strictly; {index} does not follow {previous}")]
    Order {
        /// The index before.
        previous: u64,
        /// The index.
        index: u64,
    },
    /// Too few cells to recover from.
    #[error("{0}")]
    Recover(#[from] RecoverError),
    /// The versioned hash is that of another commitment.
    #[error("the versioned hash is not that of the commitment")]
    VersionedHash,
    /// The proof is well-formed and proves something else.
    #[error("the proof does not prove this value at this point")]
    Proof,
    /// More cells than needed were given, and they are not those of one polynomial.
    #[error("cell {index} does not belong to the polynomial that the others determine")]
    Inconsistent {
        /// The first such cell.
        index: u64,
    },
}

/// Reads the trusted setup that Ethereum's clients share: the text file `trusted_setup.txt` of c-kzg, or the JSON document
/// `trusted_setup_4096.json` of the consensus specifications. It is checked as [`Setup::from_bytes`] does, which takes some tenths of a
/// second; the setup of the ceremony itself is in [`Setup::ethereum`] already.
///
/// # Errors
///
/// [`SetupError::Text`] or [`SetupError::Count`] for another form, and those of [`Setup::from_bytes`].
pub fn load_trusted_setup(text: &str) -> Result<Setup, SetupError> {
    Setup::from_bytes(&trusted_setup_to_bytes(text)?)
}

/// Checks a length and that all elements are canonical.
fn elements<'a>(
    what: &'static str,
    bytes: &'a [u8],
    expected: usize,
) -> Result<&'a [u8], EipError> {
    if bytes.len() != expected {
        return Err(EipError::Length {
            what,
            expected,
            got: bytes.len(),
        });
    }
    match first_non_canonical(bytes) {
        Some(index) => Err(EipError::NonCanonical { what, index }),
        None => Ok(bytes),
    }
}

fn blob_elements(bytes: &[u8]) -> Result<&[u8], EipError> {
    elements("blob", bytes, BYTES_PER_BLOB)
}

fn scalar(what: &'static str, bytes: &[u8]) -> Result<Fr, EipError> {
    let array = bytes.try_into().map_err(|_| EipError::Length {
        what,
        expected: 32,
        got: bytes.len(),
    })?;
    fr_from_be(&array).map_err(|_| EipError::NonCanonical { what, index: 0 })
}

fn point(what: &'static str, bytes: &[u8]) -> Result<G1Affine, EipError> {
    let array = bytes.try_into().map_err(|_| EipError::Length {
        what,
        expected: 48,
        got: bytes.len(),
    })?;
    curve::decompress(array).map_err(|error| EipError::Point { what, error })
}

/// Decodes points together.
fn points<P: AsRef<[u8]>>(what: &'static str, list: &[P]) -> Result<Vec<G1Affine>, EipError> {
    let sized = list
        .iter()
        .map_while(|bytes| bytes.as_ref().try_into().ok());
    let encodings: Vec<Bytes48> = sized.collect();
    let points =
        kernel::decompress(&encodings).map_err(|(_, error)| EipError::Point { what, error })?;
    match list.get(encodings.len()) {
        None => Ok(points),
        Some(bytes) => Err(EipError::Length {
            what,
            expected: 48,
            got: bytes.as_ref().len(),
        }),
    }
}

fn same_count(what: &'static str, expected: usize, got: usize) -> Result<(), EipError> {
    if expected == got {
        Ok(())
    } else {
        Err(EipError::Count {
            what,
            expected,
            got,
        })
    }
}

#[cfg(test)]
mod tests;
