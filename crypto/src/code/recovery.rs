//! Recovery of rows from any sufficient set of cells.

use thiserror::Error;

use crate::{Blame, Code, Coded, Rows};

/// Why slices do not give the rows back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecoverError {
    /// A blob has at least one row.
    #[error("a blob has at least one row")]
    NoRows,
    /// Too few different slices.
    #[error("{needed} slices are needed, {got} are there")]
    TooFew {
        /// Slices that suffice.
        needed: u32,
        /// Slices given.
        got: usize,
    },
    /// An index that the code does not have.
    #[error("slice index {index} is not below {chunks}")]
    IndexOutOfRange {
        /// The index.
        index: u32,
        /// Chunks of the code.
        chunks: u32,
    },
    /// The same index twice.
    #[error("slice index {index} comes twice")]
    DuplicateIndex {
        /// The index.
        index: u32,
    },
    /// A slice of another length than its rows need.
    #[error("slice {index} has {got} bytes instead of {expected}")]
    Length {
        /// The slice.
        index: u32,
        /// Bytes it needs.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// An element that is not below the group order.
    #[error("element {element} of slice {index} is not a canonical field element")]
    NonCanonical {
        /// The slice.
        index: u32,
        /// The element in it.
        element: usize,
    },
}

impl Coded for RecoverError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRows => "recover.no_rows",
            Self::TooFew { .. } => "recover.too_few",
            Self::IndexOutOfRange { .. } => "recover.index_out_of_range",
            Self::DuplicateIndex { .. } => "recover.duplicate_index",
            Self::Length { .. } => "recover.length",
            Self::NonCanonical { .. } => "recover.non_canonical",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NonCanonical { .. } | Self::Length { .. } => Blame::Peer,
            Self::NoRows
            | Self::TooFew { .. }
            | Self::IndexOutOfRange { .. }
            | Self::DuplicateIndex { .. } => Blame::Caller,
        }
    }
}

/// Rebuilds the rows of a blob from slices: (index, bytes), any `code.needed()` different ones.
pub fn recover(code: Code, rows: usize, slices: &[(u32, &[u8])]) -> Result<Rows, RecoverError> {
    let _ = (code, rows, slices);
    unimplemented!("in the next commit")
}
