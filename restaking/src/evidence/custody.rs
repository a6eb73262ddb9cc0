//! Who owes which element, the challenge to show it, and the answer.

use std::fmt;

use alloy_primitives::U256;
use ashlar_crypto::hash::{Hash, sha256};
use ashlar_crypto::kzg::{extended_point, verify_at};
use ashlar_crypto::merkle::{leaf_hash, verify_path};
use ashlar_crypto::{Commitment, CommitmentBytes, ELEMENTS_PER_ROW, ProofBytes, Setup};
use ashlar_proto::params::ProtocolVersion;
use ashlar_proto::{
    Account, BatchDigest, BlobHeader, BlobKey, Block, Certificate, CertificatePolicy, ChunkIndex,
    MaxAge, OperatorId, RequiredQuorums, Stake, TrustedTable, verify_certificate,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::codec::{self, Input, put_path};
use super::{CustodyError, EvidenceDecodeError};
use ashlar_stake::{Assignment, OperatorTable};

const CHALLENGE_TAG: &[u8] = b"ashlar/challenge/1";
const POSITION_TAG: &[u8] = b"ashlar/custody/1";

/// Bytes of an encoded challenge.
pub(super) const CHALLENGE_BYTES: usize = 20 + 32 + 32 + 4 + 4 + 32 + 8 + 8 + 32;

/// Longest slice in an answer: that of the largest payload, with the longest cell.
pub const MAX_SLICE_BYTES: usize = 4 << 20;
/// Longest encoded answer, in bytes.
pub const MAX_ANSWER_BYTES: usize = MAX_SLICE_BYTES + 2048;

/// An element of a blob's extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Row of the blob.
    pub row: u32,
    /// Element of the row's extension; chunk j holds those from `j × cell_len` on.
    pub element: u32,
}

/// What an operator took on by signing a batch: the proof that it owes its chunks of one blob. Only [`CustodyObligation::prove`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustodyObligation {
    operator: OperatorId,
    blob: BlobHeader,
    blob_key: BlobKey,
    batch_digest: BatchDigest,
    reference_block: Block,
    version: &'static ProtocolVersion,
    chunks: Vec<ChunkIndex>,
}

impl CustodyObligation {
    /// Checks a certificate (compact or portable) with the table of its reference block, of the same domain, and that this operator signed
    /// and was assigned something.
    ///
    /// # Errors
    /// [`CustodyError::OtherDomain`], [`CustodyError::Certificate`], [`CustodyError::NotOnTable`], [`CustodyError::DidNotSign`],
    /// [`CustodyError::Assignment`] or [`CustodyError::NoChunks`].
    pub fn prove(
        certificate: &Certificate,
        table: &OperatorTable,
        operator: &OperatorId,
    ) -> Result<Self, CustodyError> {
        let (got, expected) = (certificate.batch_header.domain, table.domain());
        if got != expected {
            return Err(CustodyError::OtherDomain { got, expected });
        }
        // Required quorums are for readers; an operator that signed for any quorum owes the data. For how long is
        // decided by the challenge. The caller vouches for the table.
        let policy = CertificatePolicy::new(
            table.domain(),
            RequiredQuorums::ChosenBySubmitter,
            MaxAge::Unbounded,
        );
        let trusted = TrustedTable::trust_on_my_own_word(table);
        let verified = verify_certificate(certificate, &trusted, &policy)
            .map_err(CustodyError::Certificate)?;
        let operator = *operator;
        let index = table
            .find(&operator)
            .ok_or(CustodyError::NotOnTable { operator })?;
        if !verified.signers().contains(index) {
            return Err(CustodyError::DidNotSign { operator });
        }
        let blob = verified.blob_header().clone();
        let assignment = Assignment::compute(table, verified.version(), &blob.quorums)?;
        let chunks = assignment.chunks(index).to_vec();
        if chunks.is_empty() {
            return Err(CustodyError::NoChunks { operator });
        }
        Ok(Self {
            operator,
            blob_key: verified.blob_key(),
            batch_digest: verified.batch_digest(),
            reference_block: verified.batch_header().reference_block,
            version: verified.version(),
            blob,
            chunks,
        })
    }

    /// Who owes.
    pub fn operator(&self) -> OperatorId {
        self.operator
    }

    /// The blob.
    pub fn blob(&self) -> &BlobHeader {
        &self.blob
    }

    /// The blob's name.
    pub fn blob_key(&self) -> BlobKey {
        self.blob_key
    }

    /// The batch that was signed.
    pub fn batch_digest(&self) -> BatchDigest {
        self.batch_digest
    }

    /// The batch's reference block, from which the challenge period counts.
    pub fn reference_block(&self) -> Block {
        self.reference_block
    }

    /// The protocol version, with its times.
    pub fn version(&self) -> &'static ProtocolVersion {
        self.version
    }

    /// The chunks that it owes, rising.
    pub fn chunks(&self) -> &[ChunkIndex] {
        &self.chunks
    }

    /// Checks that the operator owes this element.
    ///
    /// # Errors
    /// [`CustodyError::Row`] or [`CustodyError::NotAssigned`].
    pub fn check(&self, position: Position) -> Result<(), CustodyError> {
        if position.row >= self.blob.rows {
            return Err(CustodyError::Row {
                got: position.row,
                rows: self.blob.rows,
            });
        }
        if self
            .chunks
            .binary_search(&chunk_of(self.version, position.element))
            .is_err()
        {
            return Err(CustodyError::NotAssigned {
                element: position.element,
            });
        }
        Ok(())
    }

    /// The element that a seed asks for, uniform over everything that the operator owes of this blob:
    /// `H("ashlar/custody/1" | seed | blob key | operator)` modulo their number. Whoever chooses the seed chooses the element, so it should be
    /// one that neither side could choose, such as the hash of a later block. The bias is below 2⁻²²⁰.
    pub fn random_position(&self, seed: &[u8; 32]) -> Position {
        let digest = sha256(&[POSITION_TAG, seed, &self.blob_key.0, &self.operator.0]);
        let cell = self.version.code.cell_len() as u64;
        let of_row = self.chunks.len() as u64 * cell;
        // Far below 2^64. Not zero: a duty has a chunk, a blob of a certificate has a row, a code's cell has an element.
        let count = of_row * u64::from(self.blob.rows);
        let at = (U256::from_be_bytes(digest) % U256::from(count)).to::<u64>();
        let (row, within) = (at / of_row, at % of_row);
        #[expect(
            clippy::expect_used,
            reason = "within is below the number of chunks times the length of a cell"
        )]
        let chunk = *self
            .chunks
            .get((within / cell) as usize)
            .expect("one of the chunks");
        Position {
            row: row as u32,
            element: (u64::from(chunk.0) * cell + within % cell) as u32,
        }
    }
}

pub(super) fn chunk_of(version: &ProtocolVersion, element: u32) -> ChunkIndex {
    ChunkIndex(element / version.code.cell_len() as u32)
}

/// A challenge's name: `H("ashlar/challenge/1" | bytes)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChallengeId(pub Hash);

impl fmt::Display for ChallengeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for ChallengeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChallengeId({self})")
    }
}

impl Serialize for ChallengeId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        codec::serialize_hash(&self.0, to)
    }
}

impl<'de> Deserialize<'de> for ChallengeId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = codec::deserialize_hex(from, 32)?;
        let hash = bytes
            .try_into()
            .map_err(|_| de::Error::custom("expected 32 bytes of hex"))?;
        Ok(Self(hash))
    }
}

/// A question to an operator: show this element by this block. JSON: the hex of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Who asks, and gets the bond back if nobody answers.
    pub challenger: Account,
    /// The blob.
    pub blob_key: BlobKey,
    /// The batch that the operator signed.
    pub batch_digest: BatchDigest,
    /// The element.
    pub position: Position,
    /// Who is asked.
    pub operator: OperatorId,
    /// When it was opened.
    pub opened_block: Block,
    /// The last block for an answer.
    pub deadline_block: Block,
    /// What the challenger pays the operator if it answers.
    pub bond: Stake,
}

impl Challenge {
    /// Its name.
    pub fn id(&self) -> ChallengeId {
        ChallengeId(sha256(&[CHALLENGE_TAG, &self.to_bytes()]))
    }

    /// Its bytes: fields in order, integers big-endian, nothing of variable length.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CHALLENGE_BYTES);
        out.extend(self.challenger.0);
        out.extend(self.blob_key.0);
        out.extend(self.batch_digest.0);
        out.extend(self.position.row.to_be_bytes());
        out.extend(self.position.element.to_be_bytes());
        out.extend(self.operator.0);
        out.extend(self.opened_block.0.to_be_bytes());
        out.extend(self.deadline_block.0.to_be_bytes());
        out.extend(self.bond.to_be_bytes::<32>());
        out
    }

    /// Reads a challenge.
    ///
    /// # Errors
    /// Any other number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceDecodeError> {
        let mut input = codec::input(bytes, CHALLENGE_BYTES)?;
        let challenge = Self::take(&mut input)?;
        input.finish()?;
        Ok(challenge)
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        Ok(Self {
            challenger: Account(input.array("challenger")?),
            blob_key: BlobKey(input.array("blob key")?),
            batch_digest: BatchDigest(input.array("batch digest")?),
            position: Position {
                row: input.u32("row")?,
                element: input.u32("element")?,
            },
            operator: OperatorId(input.array("operator")?),
            opened_block: Block(input.u64("opened block")?),
            deadline_block: Block(input.u64("deadline block")?),
            bond: Stake::from_be_bytes(input.array::<32>("bond")?),
        })
    }
}

codec::as_hex!(Challenge, CHALLENGE_BYTES);

/// What settles a challenge. JSON: the hex of its bytes.
///
/// An operator holds slices, not whole rows: [`CustodyAnswer::Slice`] comes straight from its store. [`CustodyAnswer::Opening`] is much
/// shorter and cheaper to check on a chain, but to make one takes the whole row, which any `c / blowup` chunks give.
/// Either shows that the element can be had, which is what custody is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustodyAnswer {
    /// The element with its KZG proof.
    Opening {
        /// Commitment of the row.
        commitment: CommitmentBytes,
        /// From the commitment to the blob header's `commitments_root`.
        path: Vec<Hash>,
        /// The element, big-endian.
        y: [u8; 32],
        /// What the precompile 0x0A checks.
        proof: ProofBytes,
    },
    /// The whole slice that holds the element.
    Slice {
        /// The cells of all rows with the challenged chunk's index.
        bytes: Vec<u8>,
        /// From the slice to the blob header's `chunk_root`.
        path: Vec<Hash>,
    },
}

impl CustodyAnswer {
    /// Checks it for an element of a blob.
    ///
    /// # Errors
    /// [`CustodyError::BlobHeader`]; of an opening [`CustodyError::Element`], [`CustodyError::CommitmentPath`], [`CustodyError::Commitment`] or
    /// [`CustodyError::Opening`]; of a slice [`CustodyError::SliceLength`] or [`CustodyError::SlicePath`].
    pub fn check(
        &self,
        setup: &Setup,
        blob: &BlobHeader,
        position: Position,
    ) -> Result<(), CustodyError> {
        // The number of rows is the number of leaves, so a header whose rows are not those of its payload proves nothing.
        blob.validate().map_err(CustodyError::BlobHeader)?;
        let version = blob.protocol().map_err(CustodyError::BlobHeader)?;
        let code = version.code;
        match self {
            Self::Opening {
                commitment,
                path,
                y,
                proof,
            } => {
                let z = extended_point(code, position.element).ok_or(CustodyError::Element {
                    got: position.element,
                    elements: code.blowup().saturating_mul(ELEMENTS_PER_ROW as u32),
                })?;
                verify_path(
                    &blob.commitments_root,
                    u64::from(blob.rows),
                    u64::from(position.row),
                    leaf_hash(&commitment.0),
                    path,
                )
                .map_err(CustodyError::CommitmentPath)?;
                let commitment =
                    Commitment::try_from(*commitment).map_err(CustodyError::Commitment)?;
                verify_at(setup, &commitment, &z, y, proof).map_err(CustodyError::Opening)
            }
            Self::Slice { bytes, path } => {
                let expected = blob.slice_bytes().map_err(CustodyError::BlobHeader)?;
                if bytes.len() != expected {
                    let got = bytes.len();
                    return Err(CustodyError::SliceLength { got, expected });
                }
                verify_path(
                    &blob.chunk_root,
                    u64::from(code.chunks()),
                    u64::from(chunk_of(version, position.element).0),
                    leaf_hash(bytes),
                    path,
                )
                .map_err(CustodyError::SlicePath)
            }
        }
    }

    /// Its bytes: `form 1 | …`, of a slice with its length (4) in front. Paths longer than [`MAX_PATH`](ashlar_proto::codec::MAX_PATH) are cut; none that
    /// passes the check has one.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        match self {
            Self::Opening {
                commitment,
                path,
                y,
                proof,
            } => {
                out.push(0);
                out.extend(commitment.0);
                put_path(&mut out, path);
                out.extend(y);
                out.extend(proof.0);
            }
            Self::Slice { bytes, path } => {
                out.push(1);
                #[expect(clippy::expect_used, reason = "no slice is near 4 GiB")]
                let length = u32::try_from(bytes.len()).expect("a slice's length");
                out.extend(length.to_be_bytes());
                out.extend(bytes);
                put_path(&mut out, path);
            }
        }
        out
    }

    /// Reads an answer. Nothing in it is checked beyond its form.
    ///
    /// # Errors
    /// The first thing that is not as [`to_bytes`](Self::to_bytes) writes it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceDecodeError> {
        let mut input = codec::input(bytes, MAX_ANSWER_BYTES)?;
        let answer = match input.u8("form")? {
            0 => Self::Opening {
                commitment: CommitmentBytes(input.array("commitment")?),
                path: input.path("commitment path")?,
                y: input.array("value")?,
                proof: ProofBytes(input.array("proof")?),
            },
            1 => {
                let length = input.u32("slice length")? as usize;
                if length > MAX_SLICE_BYTES {
                    return Err(EvidenceDecodeError::Limit {
                        field: "slice bytes",
                        got: length as u64,
                        max: MAX_SLICE_BYTES as u64,
                    });
                }
                Self::Slice {
                    bytes: input.take(length, "slice")?.to_vec(),
                    path: input.path("slice path")?,
                }
            }
            got => return Err(EvidenceDecodeError::Number { field: "form", got }),
        };
        input.finish()?;
        Ok(answer)
    }
}

codec::as_hex!(CustodyAnswer, MAX_ANSWER_BYTES);

#[cfg(test)]
mod tests;
