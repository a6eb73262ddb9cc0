//! Rows: whole EIP-4844 blobs of canonical field elements.

use std::fmt;
use std::sync::Arc;

use crate::parallel::*;

use crate::field::{Fr, first_non_canonical};
use crate::kernel;
use crate::payload::{pack31, unpack31};
use crate::{BYTES_PER_ELEMENT, BYTES_PER_ROW, Encoding, PayloadError, rows_for};

/// At least one row, every element of it canonical: the type is the proof of that.
///
/// A row is 4096 elements of 32 bytes, big-endian, the evaluations of a polynomial of degree below 4096 over the
/// 4096th roots of unity in bit-reversed order (EIP-4844). A clone shares the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Rows {
    bytes: Arc<Vec<u8>>,
}

impl Rows {
    /// Encodes a payload.
    ///
    /// # Errors
    ///
    /// [`PayloadError::Empty`], [`PayloadError::TooLarge`]; for [`Encoding::Eip4844`] also
    /// [`PayloadError::NotWholeRows`] and [`PayloadError::NonCanonical`].
    pub fn from_payload(payload: &[u8], encoding: Encoding) -> Result<Self, PayloadError> {
        match encoding {
            Encoding::Packed31 => Ok(Self {
                bytes: Arc::new(pack31(payload)?),
            }),
            Encoding::Eip4844 => {
                rows_for(encoding, payload.len() as u64)?;
                Self::from_bytes(payload.to_vec())
            }
        }
    }

    /// Takes row bytes as they are.
    ///
    /// # Errors
    ///
    /// [`PayloadError::NotWholeRows`], also for no bytes at all; [`PayloadError::NonCanonical`] with the index of the
    /// first such element.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, PayloadError> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(BYTES_PER_ROW) {
            return Err(PayloadError::NotWholeRows {
                len: bytes.len() as u64,
            });
        }
        if u32::try_from(bytes.len() / BYTES_PER_ROW).is_err() {
            return Err(PayloadError::TooLarge {
                len: bytes.len() as u64,
            });
        }
        match first_non_canonical(&bytes) {
            Some(index) => Err(PayloadError::NonCanonical { index }),
            None => Ok(Self {
                bytes: Arc::new(bytes),
            }),
        }
    }

    /// For bytes that this crate has written itself, element by element.
    pub(crate) fn from_canonical(bytes: Vec<u8>) -> Self {
        debug_assert!(!bytes.is_empty() && bytes.len().is_multiple_of(BYTES_PER_ROW));
        debug_assert_eq!(first_non_canonical(&bytes), None);
        Self {
            bytes: Arc::new(bytes),
        }
    }

    /// Number of rows, at least 1.
    pub fn count(&self) -> usize {
        self.bytes.len() / BYTES_PER_ROW
    }

    /// All rows, one behind the other: `count() × 131072` bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Row `index`, 131072 bytes; `None` outside.
    pub fn row(&self, index: usize) -> Option<&[u8]> {
        self.iter().nth(index)
    }

    /// The rows in order, 131072 bytes each.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u8> {
        self.bytes.chunks_exact(BYTES_PER_ROW)
    }

    /// Decodes the payload, which has `payload_len` bytes according to the blob's header.
    ///
    /// # Errors
    ///
    /// [`PayloadError::RowCount`] or [`PayloadError::Length`] if the rows hold another number of bytes;
    /// for [`Encoding::Packed31`] also [`PayloadError::Version`] and [`PayloadError::NonZero`]: exactly one sequence of
    /// rows decodes to a payload.
    pub fn to_payload(
        &self,
        encoding: Encoding,
        payload_len: u64,
    ) -> Result<Vec<u8>, PayloadError> {
        match encoding {
            Encoding::Packed31 => unpack31(&self.bytes, payload_len),
            Encoding::Eip4844 => {
                let expected = rows_for(encoding, payload_len)?;
                if expected as usize != self.count() {
                    return Err(PayloadError::RowCount {
                        payload_len,
                        expected,
                        got: self.count(),
                    });
                }
                Ok(self.bytes.to_vec())
            }
        }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

/// `sums += Σ weight · row`, the sums in raw form; parallel over the elements.
pub(crate) fn add_weighted_rows(sums: &mut [Fr], rows: &[(&[u8], Fr)]) {
    const BLOCK: usize = 256;
    sums.par_chunks_mut(BLOCK)
        .enumerate()
        .for_each(|(block, sums)| {
            let start = block * BLOCK * BYTES_PER_ELEMENT;
            let terms: Vec<_> = rows
                .iter()
                .map(|(row, weight)| (&row[start..], *weight))
                .collect();
            kernel::active().add_weighted(sums, &terms);
        });
}

#[cfg(test)]
mod tests;
