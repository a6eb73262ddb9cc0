//! The two encodings between a payload (any bytes) and rows of field elements (docs/protocol.md, section 4).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::{BYTES_PER_ELEMENT, BYTES_PER_ROW, Coded, ELEMENTS_PER_ROW};

/// Payload bytes in an element of [`Encoding::Packed31`].
pub(crate) const PACKED_BYTES: usize = 31;
/// Version in the first element of [`Encoding::Packed31`].
pub(crate) const PACKED_VERSION: u8 = 0;

/// How a payload fills field elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "serde", serde(rename_all = "lowercase"))]
#[repr(u8)]
pub enum Encoding {
    /// Any bytes: element 0 holds a version and the length, every further element 31 bytes behind a zero byte.
    Packed31 = 0,
    /// The payload is whole EIP-4844 blobs already: k × 131072 bytes of canonical field elements, used as they are.
    Eip4844 = 1,
}

impl Encoding {
    /// The name that people see: `packed31` or `eip4844`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packed31 => "packed31",
            Self::Eip4844 => "eip4844",
        }
    }
}

impl TryFrom<u8> for Encoding {
    type Error = PayloadError;

    fn try_from(id: u8) -> Result<Self, PayloadError> {
        match id {
            0 => Ok(Self::Packed31),
            1 => Ok(Self::Eip4844),
            _ => Err(PayloadError::UnknownEncoding {
                found: id.to_string(),
            }),
        }
    }
}

impl From<Encoding> for u8 {
    fn from(encoding: Encoding) -> Self {
        encoding as Self
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Encoding {
    type Err = PayloadError;

    fn from_str(name: &str) -> Result<Self, PayloadError> {
        match name {
            "packed31" => Ok(Self::Packed31),
            "eip4844" => Ok(Self::Eip4844),
            _ => Err(PayloadError::UnknownEncoding {
                found: name.to_owned(),
            }),
        }
    }
}

/// Why a payload cannot become rows, or rows not the payload that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "payload", blame = Caller)]
pub enum PayloadError {
    /// A payload has at least one byte.
    #[error("the payload is empty")]
    Empty,
    /// More rows than a `u32` counts.
    #[error("a payload of {len} bytes does not fit into rows counted by 32 bits")]
    TooLarge {
        /// Bytes of the payload.
        len: u64,
    },
    /// Bytes that should be whole rows and are not.
    #[error("{len} bytes are not a whole, positive number of rows of {BYTES_PER_ROW} bytes")]
    NotWholeRows {
        /// Bytes given.
        len: u64,
    },
    /// A 32-byte element is not below the group order.
    #[error("element {index} is not a canonical field element")]
    NonCanonical {
        /// Its position, counted over all rows.
        index: usize,
    },
    /// No encoding has this number or name.
    #[error("unknown encoding {found:?} (known: packed31, eip4844)")]
    UnknownEncoding {
        /// What was given.
        found: String,
    },
    /// The rows are more or fewer than a payload of this length fills.
    #[error("a payload of {payload_len} bytes fills {expected} rows, there are {got}")]
    RowCount {
        /// Bytes of the payload.
        payload_len: u64,
        /// Rows that they fill.
        expected: u32,
        /// Rows there are.
        got: usize,
    },
    /// The length in the first element is another one.
    #[error("the rows hold a payload of {got} bytes, not of {expected}")]
    Length {
        /// The length asked for.
        expected: u64,
        /// The length in the rows.
        got: u64,
    },
    /// The version in the first element is not known.
    #[error("version {got} of the packing is unknown, only {PACKED_VERSION} is defined")]
    Version {
        /// The version found.
        got: u8,
    },
    /// A byte that must be zero is not.
    #[error("byte {offset} of the rows must be zero")]
    NonZero {
        /// Its position, counted over all rows.
        offset: usize,
    },
}

/// Rows that a payload of `payload_len` bytes fills.
///
/// # Errors
///
/// [`PayloadError::Empty`], [`PayloadError::TooLarge`], and for [`Encoding::Eip4844`] [`PayloadError::NotWholeRows`].
pub fn rows_for(encoding: Encoding, payload_len: u64) -> Result<u32, PayloadError> {
    if payload_len == 0 {
        return Err(PayloadError::Empty);
    }
    let rows = match encoding {
        Encoding::Packed31 => {
            // Element 0 is the header. No overflow: a 31st of a u64, plus one.
            (payload_len.div_ceil(PACKED_BYTES as u64) + 1).div_ceil(ELEMENTS_PER_ROW as u64)
        }
        Encoding::Eip4844 => {
            if !payload_len.is_multiple_of(BYTES_PER_ROW as u64) {
                return Err(PayloadError::NotWholeRows { len: payload_len });
            }
            payload_len / BYTES_PER_ROW as u64
        }
    };
    u32::try_from(rows).map_err(|_| PayloadError::TooLarge { len: payload_len })
}

/// Packs `payload` as [`Encoding::Packed31`]. Every element has a zero first byte and is canonical for that.
pub(crate) fn pack31(payload: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let len = payload.len() as u64;
    let rows = rows_for(Encoding::Packed31, len)? as usize;
    let mut bytes = vec![0; rows * BYTES_PER_ROW];
    let (elements, _) = bytes.as_chunks_mut::<BYTES_PER_ELEMENT>();
    let mut elements = elements.iter_mut();
    if let Some([_, version, rest @ ..]) = elements.next() {
        *version = PACKED_VERSION;
        if let Some(length) = rest.first_chunk_mut() {
            *length = len.to_be_bytes();
        }
    }
    for (element, piece) in elements.zip(payload.chunks(PACKED_BYTES)) {
        for (to, from) in element.iter_mut().skip(1).zip(piece) {
            *to = *from;
        }
    }
    Ok(bytes)
}

/// The inverse of [`pack31`]; refuses every input that [`pack31`] cannot have produced from `payload_len` bytes.
pub(crate) fn unpack31(bytes: &[u8], payload_len: u64) -> Result<Vec<u8>, PayloadError> {
    let got_rows = bytes.len() / BYTES_PER_ROW;
    let (elements, _) = bytes.as_chunks::<BYTES_PER_ELEMENT>();
    let Some(([zero, version, rest @ ..], elements)) = elements.split_first() else {
        return Err(PayloadError::NotWholeRows {
            len: bytes.len() as u64,
        });
    };
    if *zero != 0 {
        return Err(PayloadError::NonZero { offset: 0 });
    }
    if *version != PACKED_VERSION {
        return Err(PayloadError::Version { got: *version });
    }
    let (length, padding) = rest.split_at(8);
    let got = length.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    if let Some(at) = padding.iter().position(|byte| *byte != 0) {
        return Err(PayloadError::NonZero { offset: 10 + at });
    }
    if got != payload_len {
        return Err(PayloadError::Length {
            expected: payload_len,
            got,
        });
    }
    let expected = rows_for(Encoding::Packed31, payload_len)?;
    if expected as usize != got_rows {
        return Err(PayloadError::RowCount {
            payload_len,
            expected,
            got: got_rows,
        });
    }
    // The length fits into the rows that are there, so it fits into memory.
    let mut left = payload_len as usize;
    let mut payload = Vec::with_capacity(left);
    for (index, [zero, data @ ..]) in elements.iter().enumerate() {
        let offset = (index + 1) * BYTES_PER_ELEMENT;
        if *zero != 0 {
            return Err(PayloadError::NonZero { offset });
        }
        let (piece, padding) = data.split_at(left.min(PACKED_BYTES));
        payload.extend_from_slice(piece);
        left -= piece.len();
        if let Some(at) = padding.iter().position(|byte| *byte != 0) {
            return Err(PayloadError::NonZero {
                offset: offset + 1 + piece.len() + at,
            });
        }
    }
    Ok(payload)
}

#[cfg(test)]
mod tests;
