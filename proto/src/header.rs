//! Headers of blobs and batches, and the digests that name them.
//!
//! The structs of module [`sol`] come first: a digest is `SHA-256(tag | abi.encode(struct))`, so a contract
//! computes the same bytes. Decoding accepts only bytes that encode back to themselves.

use alloy_sol_types::SolValue;
use ashlar_crypto::{
    Coded,
    hash::{Hash, sha256},
    identity::{IdentityError, NetworkKey, NetworkPublicKey, NetworkSignature},
    kzg::CommitmentBytes,
    merkle::MerkleTree,
    payload::{Encoding, PayloadError, rows_for},
};

use crate::{
    Account, BatchDigest, BlobId, BlobKey, Block, Domain, HARD_MAX_BATCH_ROWS, HARD_MAX_PAYLOAD,
    Limits, MAX_QUORUMS, ProtocolVersion, Sequence, TableRoot, UnknownVersion, version,
};

const BLOB_TAG: &[u8] = b"ashlar/blob/1";
const BATCH_TAG: &[u8] = b"ashlar/batch/2";
const SUBMISSION_TAG: &[u8] = b"ashlar/submission/1";

/// Bytes of an encoded blob header: 12 words, one of which has room for all quorums that there can be.
pub const BLOB_HEADER_BYTES: usize = 12 * 32;
/// Bytes of an encoded batch header: 10 words, nothing in it is of variable length.
pub const BATCH_HEADER_BYTES: usize = 10 * 32;

/// The Solidity structs behind the headers.
#[allow(missing_docs)]
pub mod sol {
    alloy_sol_types::sol! {
        struct BlobHeader {
            uint16 version;
            uint8 encoding;
            uint64 payloadLen;
            uint32 rows;
            bytes32 commitmentsRoot;
            bytes32 chunkRoot;
            bytes quorums;
            address account;
            uint64 salt;
        }

        struct BatchHeader {
            bytes32 domain;
            bytes32 tableRoot;
            uint16 version;
            bytes32 batchRoot;
            uint32 blobs;
            uint32 rows;
            uint64 referenceBlock;
            uint32 disperserId;
            uint64 sequence;
            uint64 createdAtMs;
        }

        struct Submission {
            uint16 version;
            uint8 encoding;
            uint64 payloadLen;
            bytes quorums;
            address account;
            uint64 salt;
            bytes32 payloadSha256;
        }
    }
}

/// What a blob is: its size, the roots that fix its content, and who posted it where to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BlobHeader {
    /// Protocol version.
    pub version: u16,
    /// How the payload lies in the rows.
    pub encoding: Encoding,
    /// Payload length in bytes.
    pub payload_len: u64,
    /// Rows of 4096 field elements.
    pub rows: u32,
    /// Merkle root over the rows' 48-byte KZG commitments.
    pub commitments_root: Hash,
    /// Merkle root over the slices, one leaf a chunk index.
    pub chunk_root: Hash,
    /// Quorums that sign for it, strictly rising, at least one.
    pub quorums: Vec<u8>,
    /// Who pays.
    pub account: Account,
    /// Chosen by the submitter; makes equal payloads different blobs.
    pub salt: u64,
}

impl BlobHeader {
    /// The blob's name.
    pub fn blob_key(&self) -> BlobKey {
        BlobKey(sha256(&[BLOB_TAG, &self.abi_encode()]))
    }

    fn to_sol(&self) -> sol::BlobHeader {
        sol::BlobHeader {
            version: self.version,
            encoding: self.encoding as u8,
            payloadLen: self.payload_len,
            rows: self.rows,
            commitmentsRoot: self.commitments_root.into(),
            chunkRoot: self.chunk_root.into(),
            quorums: self.quorums.clone().into(),
            account: self.account.0.into(),
            salt: self.salt,
        }
    }

    /// `abi.encode(header)`.
    pub fn abi_encode(&self) -> Vec<u8> {
        self.to_sol().abi_encode()
    }

    /// Decodes and [validates](Self::validate).
    ///
    /// # Errors
    /// Bytes that are not the canonical encoding of a valid header.
    pub fn abi_decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() != BLOB_HEADER_BYTES {
            return Err(HeaderError::Length {
                got: bytes.len(),
                expected: BLOB_HEADER_BYTES,
            });
        }
        let sol = sol::BlobHeader::abi_decode(bytes).map_err(|_| HeaderError::Abi)?;
        let header = Self {
            version: sol.version,
            encoding: Encoding::try_from(sol.encoding)
                .map_err(|_| HeaderError::Encoding { got: sol.encoding })?,
            payload_len: sol.payloadLen,
            rows: sol.rows,
            commitments_root: sol.commitmentsRoot.0,
            chunk_root: sol.chunkRoot.0,
            quorums: sol.quorums.to_vec(),
            account: Account(sol.account.into_array()),
            salt: sol.salt,
        };
        // Padding and offsets have to be what an encoder writes, and nothing may follow the last field.
        if header.abi_encode() != bytes {
            return Err(HeaderError::NotCanonical);
        }
        header.validate()?;
        Ok(header)
    }

    /// The header's protocol version.
    ///
    /// # Errors
    /// The version is unknown.
    pub fn protocol(&self) -> Result<&'static ProtocolVersion, HeaderError> {
        Ok(version(self.version)?)
    }

    /// Checks the rules that need nothing but the header: known version, quorums strictly rising and not empty,
    /// payload within the hard limit, and exactly the rows that the payload needs.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), HeaderError> {
        version(self.version)?;
        check_quorums(&self.quorums)?;
        if self.payload_len == 0 || self.payload_len > HARD_MAX_PAYLOAD {
            return Err(HeaderError::PayloadLength {
                got: self.payload_len,
                max: HARD_MAX_PAYLOAD,
            });
        }
        let rows = rows_for(self.encoding, self.payload_len)?;
        if rows != self.rows {
            return Err(HeaderError::Rows {
                got: self.rows,
                expected: rows,
            });
        }
        Ok(())
    }

    /// Bytes of one slice of this blob: rows times the code's bytes a cell.
    ///
    /// # Errors
    /// The version is unknown.
    pub fn slice_bytes(&self) -> Result<usize, HeaderError> {
        Ok(self.rows as usize * self.protocol()?.code.cell_bytes())
    }
}

/// Checks a list of quorums: at least one, at most [`MAX_QUORUMS`], strictly rising.
///
/// # Errors
/// The first rule that is broken.
pub fn check_quorums(quorums: &[u8]) -> Result<(), HeaderError> {
    if quorums.is_empty() || quorums.len() > MAX_QUORUMS {
        return Err(HeaderError::QuorumCount {
            got: quorums.len(),
            max: MAX_QUORUMS,
        });
    }
    match quorums
        .iter()
        .zip(quorums.iter().skip(1))
        .find(|(a, b)| a >= b)
    {
        Some((&first, &second)) => Err(HeaderError::QuorumOrder { first, second }),
        None => Ok(()),
    }
}

/// What operators sign: a batch of blobs, the service and the table it was made for, and its place in its disperser's sequence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BatchHeader {
    /// The service. A signature counts there and nowhere else.
    pub domain: Domain,
    /// Root of the operator table at the reference block, by which the chunks are assigned.
    pub table_root: TableRoot,
    /// Protocol version, that of all its blobs.
    pub version: u16,
    /// Merkle root over the blob keys.
    pub batch_root: Hash,
    /// Number of blobs, at least 1.
    pub blobs: u32,
    /// Number of rows of all blobs together, at least one a blob.
    pub rows: u32,
    /// Block of the operator table (`TableHeader::reference_block` of it, exactly).
    pub reference_block: Block,
    /// Number of the disperser in that table.
    pub disperser_id: u32,
    /// The disperser's running number; an operator signs at most one batch for each.
    pub sequence: Sequence,
    /// When the batch was closed, in milliseconds since 1970.
    pub created_at_ms: u64,
}

impl BatchHeader {
    /// What operators sign.
    pub fn digest(&self) -> BatchDigest {
        BatchDigest(sha256(&[BATCH_TAG, &self.abi_encode()]))
    }

    /// Signs the digest with the disperser's network key: the one of its entry in the table. Two digests signed under one
    /// (domain, disperser, sequence) cost it its bond.
    pub fn sign_as_disperser(&self, key: &NetworkKey) -> NetworkSignature {
        NetworkSignature(key.sign(self.digest().as_bytes()))
    }

    /// Checks that the disperser with this network key signed the digest.
    ///
    /// # Errors
    /// The signature is malformed, or not this key's.
    pub fn verify_disperser(
        &self,
        key: &NetworkPublicKey,
        signature: &NetworkSignature,
    ) -> Result<(), IdentityError> {
        key.verify(self.digest().as_bytes(), &signature.0)
    }

    /// `abi.encode(header)`.
    pub fn abi_encode(&self) -> Vec<u8> {
        sol::BatchHeader {
            domain: self.domain.0.into(),
            tableRoot: self.table_root.0.into(),
            version: self.version,
            batchRoot: self.batch_root.into(),
            blobs: self.blobs,
            rows: self.rows,
            referenceBlock: self.reference_block.0,
            disperserId: self.disperser_id,
            sequence: self.sequence.0,
            createdAtMs: self.created_at_ms,
        }
        .abi_encode()
    }

    /// Decodes and [validates](Self::validate).
    ///
    /// # Errors
    /// Bytes that are not the canonical encoding of a valid header.
    pub fn abi_decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() != BATCH_HEADER_BYTES {
            return Err(HeaderError::Length {
                got: bytes.len(),
                expected: BATCH_HEADER_BYTES,
            });
        }
        let sol = sol::BatchHeader::abi_decode(bytes).map_err(|_| HeaderError::Abi)?;
        let header = Self {
            domain: Domain(sol.domain.0),
            table_root: TableRoot(sol.tableRoot.0),
            version: sol.version,
            batch_root: sol.batchRoot.0,
            blobs: sol.blobs,
            rows: sol.rows,
            reference_block: Block(sol.referenceBlock),
            disperser_id: sol.disperserId,
            sequence: Sequence(sol.sequence),
            created_at_ms: sol.createdAtMs,
        };
        if header.abi_encode() != bytes {
            return Err(HeaderError::NotCanonical);
        }
        header.validate()?;
        Ok(header)
    }

    /// The header's protocol version.
    ///
    /// # Errors
    /// The version is unknown.
    pub fn protocol(&self) -> Result<&'static ProtocolVersion, HeaderError> {
        Ok(version(self.version)?)
    }

    /// Checks the rules that need nothing but the header: known version, at least one blob, a row for each blob at
    /// least, rows within the hard limit.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), HeaderError> {
        version(self.version)?;
        if self.rows > HARD_MAX_BATCH_ROWS {
            return Err(HeaderError::BatchRows {
                got: self.rows,
                max: HARD_MAX_BATCH_ROWS,
            });
        }
        if self.blobs == 0 || self.blobs > self.rows {
            return Err(HeaderError::BatchBlobs {
                got: self.blobs,
                rows: self.rows,
            });
        }
        Ok(())
    }

    /// Checks that these are the blobs of this batch: number, rows, version, equal quorums, and the root.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check_blobs(&self, blobs: &[BlobHeader]) -> Result<(), HeaderError> {
        if blobs.len() != self.blobs as usize {
            return Err(HeaderError::BlobCount {
                got: blobs.len(),
                expected: self.blobs,
            });
        }
        let rows: u64 = blobs.iter().map(|b| u64::from(b.rows)).sum();
        if rows != u64::from(self.rows) {
            return Err(HeaderError::RowCount {
                got: rows,
                expected: self.rows,
            });
        }
        if let Some(blob) = blobs.iter().find(|b| b.version != self.version) {
            return Err(HeaderError::MixedVersions {
                got: blob.version,
                expected: self.version,
            });
        }
        if let Some(first) = blobs.first()
            && blobs.iter().any(|b| b.quorums != first.quorums)
        {
            return Err(HeaderError::MixedQuorums);
        }
        let keys: Vec<BlobKey> = blobs.iter().map(BlobHeader::blob_key).collect();
        if batch_tree(&keys).root() != self.batch_root {
            return Err(HeaderError::BatchRoot);
        }
        Ok(())
    }
}

impl Limits {
    /// Checks a blob against these limits.
    ///
    /// # Errors
    /// The payload is empty or larger than allowed.
    pub fn check_payload(&self, payload_len: u64) -> Result<(), HeaderError> {
        if payload_len == 0 || payload_len > self.max_payload {
            return Err(HeaderError::PayloadLength {
                got: payload_len,
                max: self.max_payload,
            });
        }
        Ok(())
    }

    /// Checks a batch against these limits.
    ///
    /// # Errors
    /// More rows or blobs than allowed.
    pub fn check_batch(&self, batch: &BatchHeader) -> Result<(), HeaderError> {
        if batch.rows > self.max_batch_rows {
            return Err(HeaderError::BatchRows {
                got: batch.rows,
                max: self.max_batch_rows,
            });
        }
        if batch.blobs > self.max_batch_blobs {
            return Err(HeaderError::BatchBlobs {
                got: batch.blobs,
                rows: batch.rows,
            });
        }
        Ok(())
    }
}

/// What a client posts, before anything is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Protocol version.
    pub version: u16,
    /// How the payload is to be laid into rows.
    pub encoding: Encoding,
    /// Payload length in bytes.
    pub payload_len: u64,
    /// Quorums, strictly rising.
    pub quorums: Vec<u8>,
    /// Who pays.
    pub account: Account,
    /// Chosen by the submitter.
    pub salt: u64,
    /// SHA-256 of the payload.
    pub payload_sha256: Hash,
}

impl Submission {
    /// The id that the `202` answer carries. The same submission posted twice has the same id.
    pub fn id(&self) -> BlobId {
        let sol = sol::Submission {
            version: self.version,
            encoding: self.encoding as u8,
            payloadLen: self.payload_len,
            quorums: self.quorums.clone().into(),
            account: self.account.0.into(),
            salt: self.salt,
            payloadSha256: self.payload_sha256.into(),
        };
        BlobId(sha256(&[SUBMISSION_TAG, &sol.abi_encode()]))
    }
}

/// Merkle root over the rows' commitments, one 48-byte leaf a row.
pub fn commitments_root(commitments: &[CommitmentBytes]) -> Hash {
    MerkleTree::from_leaves(commitments.iter().map(|c| c.0)).root()
}

/// The commitments of a batch, cut into those of each blob; `None` from the first blob on that has too few.
pub fn commitments_of<'a>(
    blobs: &'a [BlobHeader],
    commitments: &'a [CommitmentBytes],
) -> impl Iterator<Item = Option<&'a [CommitmentBytes]>> {
    let mut rest = Some(commitments);
    blobs.iter().map(move |blob| {
        let split = rest?.split_at_checked(blob.rows as usize);
        rest = split.map(|(_, behind)| behind);
        split.map(|(own, _)| own)
    })
}

/// The Merkle tree over a batch's blob keys, one 32-byte leaf a blob.
pub fn batch_tree(keys: &[BlobKey]) -> MerkleTree {
    MerkleTree::from_leaves(keys)
}

/// A header that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "header", blame = Caller)]
pub enum HeaderError {
    /// Length that no header has.
    #[error("header of {got} bytes, expected at most {expected}")]
    Length {
        /// Bytes received.
        got: usize,
        /// Most bytes, or the exact number for a batch header.
        expected: usize,
    },
    /// Not an ABI encoding.
    #[error("header bytes are no ABI encoding of the struct")]
    Abi,
    /// An ABI encoding, but not the one that an encoder writes.
    #[error("header bytes are not canonical: they do not encode back to themselves")]
    NotCanonical,
    /// Unknown version.
    #[error(transparent)]
    Version(#[from] UnknownVersion),
    /// Unknown payload encoding.
    #[error("payload encoding {got} is unknown; 0 is packed31, 1 is eip4844")]
    Encoding {
        /// The number.
        got: u8,
    },
    /// No quorum, or too many.
    #[error("{got} quorums, expected 1 to {max}")]
    QuorumCount {
        /// Quorums named.
        got: usize,
        /// Most.
        max: usize,
    },
    /// Quorums not strictly rising.
    #[error("quorum {second} follows quorum {first}: quorums must rise, each named once")]
    QuorumOrder {
        /// The earlier one.
        first: u8,
        /// The one behind it.
        second: u8,
    },
    /// Empty or too large.
    #[error("payload of {got} bytes, expected 1 to {max}")]
    #[coded(code = if *got == 0 { "payload.empty" } else { "payload.too_large" })]
    PayloadLength {
        /// Bytes.
        got: u64,
        /// Most.
        max: u64,
    },
    /// The encoding does not allow this payload length.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The rows are not those that the payload needs.
    #[error("{got} rows, the payload needs {expected}")]
    Rows {
        /// Rows claimed.
        got: u32,
        /// Rows needed.
        expected: u32,
    },
    /// Too many rows in a batch.
    #[error("batch of {got} rows, at most {max}")]
    #[coded("batch.rows")]
    BatchRows {
        /// Rows.
        got: u32,
        /// Most.
        max: u32,
    },
    /// No blob, more blobs than rows, or more than allowed.
    #[error(
        "batch of {got} blobs in {rows} rows: expected at least 1, and no more than rows or the limit"
    )]
    #[coded("batch.blobs")]
    BatchBlobs {
        /// Blobs.
        got: u32,
        /// Rows.
        rows: u32,
    },
    /// The batch header counts other blobs than there are.
    #[error("{got} blob headers, the batch header says {expected}")]
    #[coded("batch.blob_count")]
    BlobCount {
        /// Headers present.
        got: usize,
        /// As the batch header says.
        expected: u32,
    },
    /// The batch header counts other rows than there are.
    #[error("the blobs have {got} rows together, the batch header says {expected}")]
    #[coded("batch.row_count")]
    RowCount {
        /// Sum over the blobs.
        got: u64,
        /// As the batch header says.
        expected: u32,
    },
    /// A blob of another version in the batch.
    #[error("blob of version {got} in a batch of version {expected}")]
    #[coded("batch.mixed_versions")]
    MixedVersions {
        /// The blob's.
        got: u16,
        /// The batch's.
        expected: u16,
    },
    /// Blobs with different quorums in one batch.
    #[error("the blobs of the batch name different quorums")]
    #[coded("batch.mixed_quorums")]
    MixedQuorums,
    /// The blobs' keys do not hash to the batch root.
    #[error("the blob keys do not hash to the batch root")]
    #[coded("batch.root")]
    BatchRoot,
}

#[cfg(test)]
mod tests;
