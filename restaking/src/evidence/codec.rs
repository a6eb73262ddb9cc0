//! Bytes and hex of evidence.

use ashlar_crypto::hash::Hash;
use ashlar_crypto::payload::Encoding;
use ashlar_proto::{Account, BatchHeader, BlobHeader, Domain, MAX_QUORUMS, TableRoot};
use serde::{Deserialize, Deserializer, Serializer, de};

use super::EvidenceDecodeError as Error;

/// Most hashes in a Merkle path of evidence: enough for 2^32 leaves.
pub const MAX_EVIDENCE_PATH: usize = 32;

pub(crate) fn put_path(out: &mut Vec<u8>, path: &[Hash]) {
    let count = path.len().min(MAX_EVIDENCE_PATH);
    out.push(count as u8); // at most 32
    path.iter().take(count).for_each(|hash| out.extend(hash));
}

/// Any header: that it breaks a rule may be the point.
pub(crate) fn put_batch_header(out: &mut Vec<u8>, header: &BatchHeader) {
    out.extend(header.domain.0);
    out.extend(header.table_root.0);
    out.extend(header.version.to_be_bytes());
    out.extend(header.batch_root);
    out.extend(header.blobs.to_be_bytes());
    out.extend(header.rows.to_be_bytes());
    out.extend(header.reference_block.to_be_bytes());
    out.extend(header.disperser_id.to_be_bytes());
    out.extend(header.sequence.to_be_bytes());
    out.extend(header.created_at_ms.to_be_bytes());
}

/// Any header. Of its quorums at most 255 are written; more than 16 are not read.
pub(crate) fn put_blob_header(out: &mut Vec<u8>, header: &BlobHeader) {
    out.extend(header.version.to_be_bytes());
    out.push(header.encoding as u8);
    out.extend(header.payload_len.to_be_bytes());
    out.extend(header.rows.to_be_bytes());
    out.extend(header.commitments_root);
    out.extend(header.chunk_root);
    let count = header.quorums.len().min(usize::from(u8::MAX));
    out.push(count as u8); // at most 255
    out.extend(header.quorums.iter().take(count));
    out.extend(header.account.0);
    out.extend(header.salt.to_be_bytes());
}

/// What is left to read.
pub(crate) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8], max: usize) -> Result<Self, Error> {
        if bytes.len() > max {
            let got = bytes.len();
            return Err(Error::TooLong { got, max });
        }
        Ok(Self { rest: bytes })
    }

    pub(crate) fn finish(self) -> Result<(), Error> {
        match self.rest.len() {
            0 => Ok(()),
            got => Err(Error::Trailing { got }),
        }
    }

    pub(crate) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Error> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(Error::Truncated { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Error> {
        self.take(N, field)?
            .try_into()
            .map_err(|_| Error::Truncated { field })
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Error> {
        Ok(u8::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Error> {
        Ok(u64::from_be_bytes(self.array(field)?))
    }

    pub(crate) fn path(&mut self, field: &'static str) -> Result<Vec<Hash>, Error> {
        let count = usize::from(self.u8(field)?);
        if count > MAX_EVIDENCE_PATH {
            return Err(Error::Limit {
                field,
                got: count as u64,
                max: MAX_EVIDENCE_PATH as u64,
            });
        }
        (0..count).map(|_| self.array(field)).collect()
    }

    pub(crate) fn batch_header(&mut self) -> Result<BatchHeader, Error> {
        const FIELD: &str = "batch header";
        Ok(BatchHeader {
            domain: Domain(self.array(FIELD)?),
            table_root: TableRoot(self.array(FIELD)?),
            version: self.u16(FIELD)?,
            batch_root: self.array(FIELD)?,
            blobs: self.u32(FIELD)?,
            rows: self.u32(FIELD)?,
            reference_block: self.u64(FIELD)?,
            disperser_id: self.u32(FIELD)?,
            sequence: self.u64(FIELD)?,
            created_at_ms: self.u64(FIELD)?,
        })
    }

    pub(crate) fn blob_header(&mut self) -> Result<BlobHeader, Error> {
        const FIELD: &str = "blob header";
        Ok(BlobHeader {
            version: self.u16(FIELD)?,
            encoding: {
                let got = self.u8(FIELD)?;
                Encoding::try_from(got).map_err(|_| Error::Number {
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
                if count > MAX_QUORUMS {
                    return Err(Error::Limit {
                        field: "quorums",
                        got: count as u64,
                        max: MAX_QUORUMS as u64,
                    });
                }
                self.take(count, FIELD)?.to_vec()
            },
            account: Account(self.array(FIELD)?),
            salt: self.u64(FIELD)?,
        })
    }
}

pub(crate) fn serialize_hex<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("0x{}", hex::encode(bytes)))
}

pub(crate) fn serialize_hash<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
    serialize_hex(hash, to)
}

/// A blob header in a record: the hex of its bytes.
pub(crate) mod blob_header {
    use serde::{Deserializer, Serializer, de};

    use super::{BlobHeader, Input, deserialize_hex, put_blob_header, serialize_hex};

    /// The fixed fields, and as many quorums as a count can say.
    const MAX: usize = 512;

    pub(crate) fn serialize<S: Serializer>(header: &BlobHeader, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(128);
        put_blob_header(&mut bytes, header);
        serialize_hex(&bytes, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BlobHeader, D::Error> {
        let bytes = deserialize_hex(from, MAX)?;
        let mut input = Input::new(&bytes, MAX).map_err(de::Error::custom)?;
        let header = input.blob_header().map_err(de::Error::custom)?;
        input.finish().map_err(de::Error::custom)?;
        Ok(header)
    }
}

/// Lower-case hex with `0x`, of at most `max` bytes: one text for each value.
pub(crate) fn deserialize_hex<'de, D: Deserializer<'de>>(
    from: D,
    max: usize,
) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| de::Error::custom("expected hex that begins with 0x"))?;
    if digits.len() > max.saturating_mul(2) {
        let message = format!("{} hex digits, at most {} are read", digits.len(), max * 2);
        return Err(de::Error::custom(message));
    }
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return Err(de::Error::custom("expected lower-case hex"));
    }
    hex::decode(digits).map_err(de::Error::custom)
}
