//! Openings at single points, built on `ark-poly-commit`'s KZG10.

use thiserror::Error;

use super::{Commitment, PointError, ProofBytes};
use crate::field::Scalar;
use crate::{Blame, Coded, ELEMENTS_PER_ROW, Setup};

/// A claim about one element of a row, with its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Position of the element in the row, 0 to 4095.
    pub index: u32,
    /// The element, big-endian.
    pub y: [u8; 32],
    /// The proof.
    pub proof: ProofBytes,
}

/// Why an element cannot be opened, or an opening is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KzgError {
    /// The row has another length.
    #[error("a row has {expected} bytes, not {got}", expected = crate::BYTES_PER_ROW)]
    RowLength {
        /// Bytes given.
        got: usize,
    },
    /// An element of the row is not below the group order.
    #[error("element {index} of the row is not a canonical field element")]
    NonCanonicalElement {
        /// Its position.
        index: usize,
    },
    /// The index is none of the row's.
    #[error("element index {index} is not below {ELEMENTS_PER_ROW}")]
    Index {
        /// The index.
        index: u32,
    },
    /// The point or the value is not below the group order.
    #[error("the {what} of the opening is not a canonical scalar")]
    NonCanonicalScalar {
        /// `point` or `value`.
        what: &'static str,
    },
    /// The proof is no point of the group.
    #[error("proof: {0}")]
    Proof(#[from] PointError),
    /// The proof is well-formed and proves something else.
    #[error("the proof does not prove this value at this point")]
    Mismatch,
    /// `ark-poly-commit` refused; it never should on checked inputs.
    #[error("the polynomial commitment library refused: {0}")]
    Library(String),
}

impl Coded for KzgError {
    fn code(&self) -> &'static str {
        match self {
            Self::RowLength { .. } => "kzg.row_length",
            Self::NonCanonicalElement { .. } => "kzg.non_canonical_element",
            Self::Index { .. } => "kzg.index",
            Self::NonCanonicalScalar { .. } => "kzg.non_canonical_scalar",
            Self::Proof(_) => "kzg.proof_point",
            Self::Mismatch => "kzg.mismatch",
            Self::Library(_) => "kzg.library",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::RowLength { .. } | Self::NonCanonicalElement { .. } | Self::Index { .. } => {
                Blame::Caller
            }
            Self::NonCanonicalScalar { .. } | Self::Proof(_) | Self::Mismatch => Blame::Peer,
            Self::Library(_) => Blame::Us,
        }
    }
}

/// z of an element.
pub fn element_point(index: u32) -> Result<Scalar, KzgError> {
    let _ = index;
    unimplemented!("in the next commit")
}

/// Opens element `index` of a row.
pub fn open_element(setup: &Setup, row: &[u8], index: u32) -> Result<Opening, KzgError> {
    let _ = (setup, row, index);
    unimplemented!("in the next commit")
}

/// Checks an opening.
pub fn verify_opening(
    setup: &Setup,
    commitment: &Commitment,
    opening: &Opening,
) -> Result<(), KzgError> {
    let _ = (setup, commitment, opening);
    unimplemented!("in the next commit")
}

/// Opens at any point: (y, proof).
pub fn open_at(
    setup: &Setup,
    row: &[u8],
    z: &[u8; 32],
) -> Result<([u8; 32], ProofBytes), KzgError> {
    let _ = (setup, row, z);
    unimplemented!("in the next commit")
}

/// Checks an opening at any point.
pub fn verify_at(
    setup: &Setup,
    commitment: &Commitment,
    z: &[u8; 32],
    y: &[u8; 32],
    proof: &ProofBytes,
) -> Result<(), KzgError> {
    let _ = (setup, commitment, z, y, proof);
    unimplemented!("in the next commit")
}
