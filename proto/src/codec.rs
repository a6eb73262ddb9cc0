//! The bytes that certificates and evidence share: counts, paths and headers, integers big-endian. There is one encoding for each value.

use ashlar_crypto::{hash::Hash, payload::Encoding};

use crate::{Account, BatchHeader, BlobHeader, Block, Domain, MAX_QUORUMS, Sequence, TableRoot};

/// Most hashes in a Merkle path: enough for 2^32 leaves.
pub const MAX_PATH: usize = 32;

/// Bytes that do not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputError {
    /// They end inside a field.
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// More follows.
    Trailing {
        /// Bytes that follow.
        got: usize,
    },
    /// A count or length above its limit.
    Limit {
        /// The field.
        field: &'static str,
        /// The count.
        got: u64,
        /// Its limit.
        max: u64,
    },
    /// A number that names nothing.
    Number {
        /// Which number.
        field: &'static str,
        /// Its value.
        got: u8,
    },
}

/// Checks a count or a length.
///
/// # Errors
/// [`InputError::Limit`].
pub fn limit(field: &'static str, got: u64, max: u64) -> Result<(), InputError> {
    if got > max {
        Err(InputError::Limit { field, got, max })
    } else {
        Ok(())
    }
}

/// Writes a count of one byte and returns what was written: a list that is longer is cut, and no decoder takes the result.
pub fn put_u8(out: &mut Vec<u8>, count: usize) -> usize {
    let count = u8::try_from(count).unwrap_or(u8::MAX);
    out.push(count);
    usize::from(count)
}

/// Writes a Merkle path. One longer than [`MAX_PATH`] is cut behind the first hash too many, and no decoder takes it.
pub fn put_path(out: &mut Vec<u8>, path: &[Hash]) {
    let count = put_u8(out, path.len().min(MAX_PATH + 1));
    path.iter().take(count).for_each(|hash| out.extend(hash));
}

/// Writes a blob header, valid or not.
pub fn put_blob_header(out: &mut Vec<u8>, header: &BlobHeader) {
    out.extend(header.version.to_be_bytes());
    out.push(header.encoding as u8);
    out.extend(header.payload_len.to_be_bytes());
    out.extend(header.rows.to_be_bytes());
    out.extend(header.commitments_root);
    out.extend(header.chunk_root);
    let quorums = put_u8(out, header.quorums.len());
    out.extend(header.quorums.iter().take(quorums));
    out.extend(header.account.0);
    out.extend(header.salt.to_be_bytes());
}

/// Writes a batch header, valid or not.
pub fn put_batch_header(out: &mut Vec<u8>, header: &BatchHeader) {
    out.extend(header.domain.0);
    out.extend(header.table_root.0);
    out.extend(header.version.to_be_bytes());
    out.extend(header.batch_root);
    out.extend(header.blobs.to_be_bytes());
    out.extend(header.rows.to_be_bytes());
    out.extend(header.reference_block.0.to_be_bytes());
    out.extend(header.disperser_id.to_be_bytes());
    out.extend(header.sequence.0.to_be_bytes());
    out.extend(header.created_at_ms.to_be_bytes());
}

/// What is left to read.
#[derive(Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "each reads what its name says, or gives an InputError with the field's name"
)]
impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Nothing may follow.
    pub fn finish(self) -> Result<(), InputError> {
        match self.rest.len() {
            0 => Ok(()),
            got => Err(InputError::Trailing { got }),
        }
    }

    pub fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], InputError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(InputError::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], InputError> {
        self.take(N, field)?
            .try_into()
            .map_err(|_| InputError::Truncated { field })
    }

    pub fn u8(&mut self, field: &'static str) -> Result<u8, InputError> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    pub fn u16(&mut self, field: &'static str) -> Result<u16, InputError> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    pub fn u32(&mut self, field: &'static str) -> Result<u32, InputError> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    pub fn u64(&mut self, field: &'static str) -> Result<u64, InputError> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    pub fn path(&mut self, field: &'static str) -> Result<Vec<Hash>, InputError> {
        let count = usize::from(self.u8(field)?);
        limit(field, count as u64, MAX_PATH as u64)?;
        (0..count).map(|_| self.array(field)).collect()
    }

    /// Any batch header, valid or not.
    pub fn batch_header(&mut self) -> Result<BatchHeader, InputError> {
        const FIELD: &str = "batch header";
        Ok(BatchHeader {
            domain: Domain(self.array(FIELD)?),
            table_root: TableRoot(self.array(FIELD)?),
            version: self.u16(FIELD)?,
            batch_root: self.array(FIELD)?,
            blobs: self.u32(FIELD)?,
            rows: self.u32(FIELD)?,
            reference_block: Block(self.u64(FIELD)?),
            disperser_id: self.u32(FIELD)?,
            sequence: Sequence(self.u64(FIELD)?),
            created_at_ms: self.u64(FIELD)?,
        })
    }

    /// Any blob header with at most 16 quorums, valid or not.
    pub fn blob_header(&mut self) -> Result<BlobHeader, InputError> {
        const FIELD: &str = "blob header";
        Ok(BlobHeader {
            version: self.u16(FIELD)?,
            encoding: {
                let got = self.u8(FIELD)?;
                Encoding::try_from(got).map_err(|_| InputError::Number {
                    field: "payload encoding",
                    got,
                })?
            },
            payload_len: self.u64(FIELD)?,
            rows: self.u32(FIELD)?,
            commitments_root: self.array(FIELD)?,
            chunk_root: self.array(FIELD)?,
            quorums: {
                let count = usize::from(self.u8(FIELD)?);
                limit("quorums", count as u64, MAX_QUORUMS as u64)?;
                self.take(count, FIELD)?.to_vec()
            },
            account: Account(self.array(FIELD)?),
            salt: self.u64(FIELD)?,
        })
    }
}
