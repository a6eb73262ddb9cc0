//! The checks between a disperser's bytes and a signature (DESIGN section 7, step 5), cheapest first.
//!
//! Pure functions: table, clock and randomness are passed in. Each step takes the type that the step before it
//! returned, so that none can be left out:
//!
//! ```text
//! UnverifiedBatch ── check_header ──▶ FreshBatch ── check_assignment ──▶ ExpectedBatch ── check_bulk ──▶ VerifiedBatch
//!   what came            sender, limits, version,      own chunks, number of         sizes, Merkle, points,
//!                        recency, batch root           proofs, bytes announced       cells, KZG
//! ```
//!
//! The first two steps look at a few KiB; the megabytes behind them are not even received before they pass.

use std::time::Duration;

use ashlar_crypto::kzg::{decode_commitments, decode_proofs};
use ashlar_crypto::merkle::{MerkleError, leaf_hashes, verify_range};
use ashlar_crypto::{
    Blame, ChunkColumn, ChunkError, Coded, CommitmentBytes, Hash, PointError, ProofBytes,
    RowChallenge, Setup, identity::NetworkPublicKey, verify_chunks,
};
use ashlar_proto::{
    BatchDigest, BatchHeader, BlobHeader, HeaderError, Limits, OperatorId, ProtocolVersion, Runs,
    commitments_root,
};
use ashlar_stake::{Assignment, AssignmentError, OperatorTable};
use bytes::Bytes;
use rayon::prelude::*;

use crate::store::{BatchRecord, BlobRecord};

/// Bytes of a commitment or proof.
const POINT_BYTES: usize = 48;

/// What an operator accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Protocol versions served.
    pub versions: Vec<u16>,
    /// Sizes.
    pub limits: Limits,
    /// Oldest reference block, in blocks behind the newest.
    pub max_reference_age: u64,
    /// Oldest batch.
    pub max_age: Duration,
    /// How far in the future a batch may be dated.
    pub max_clock_skew: Duration,
    /// How long data is kept, if not as long as the protocol version says.
    pub retention: Option<Duration>,
}

/// The time, passed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// Newest block with an operator table.
    pub head: u64,
}

/// A batch as it came: decoded, and nothing else.
#[derive(Debug, Clone)]
pub struct UnverifiedBatch {
    /// Who sent it: the key of the connection.
    pub peer: NetworkPublicKey,
    /// Batch header.
    pub header: BatchHeader,
    /// Blob headers, in batch order.
    pub blobs: Vec<BlobHeader>,
    /// Chunk indices sent.
    pub runs: Runs,
    /// One proof for each chunk index, ascending.
    pub chunk_proofs: Vec<ProofBytes>,
    /// For each blob, for each run, the Merkle range proof against the chunk root.
    pub slice_proofs: Vec<Vec<Vec<Hash>>>,
    /// Bytes of the bulk part, as announced.
    pub bulk_len: u64,
}

/// A batch whose sender and headers are in order.
#[derive(Debug, Clone)]
pub struct FreshBatch {
    batch: UnverifiedBatch,
    version: &'static ProtocolVersion,
    digest: BatchDigest,
    expires_at: u64,
}

/// A batch that announces exactly what this operator has to store.
#[derive(Debug, Clone)]
pub struct ExpectedBatch {
    fresh: FreshBatch,
    /// Bytes of the commitments, then of each blob's slices.
    lengths: Lengths,
}

#[derive(Debug, Clone)]
struct Lengths {
    commitments: usize,
    blobs: Vec<usize>,
}

/// A batch that passed every check: what may be stored and signed.
#[derive(Debug, Clone)]
pub struct VerifiedBatch(BatchRecord);

impl UnverifiedBatch {
    /// Sender, limits, version, recency, and that the blob headers are those of the batch. `newest` is the newest
    /// operator table.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_header(
        self,
        rules: &Rules,
        newest: &OperatorTable,
        clock: Clock,
    ) -> Result<FreshBatch, ValidateError> {
        let header = &self.header;
        check_sender(&self.peer, header, newest)?;

        rules.limits.check_batch(header)?;
        for blob in &self.blobs {
            rules.limits.check_payload(blob.payload_len)?;
        }
        let version = header.protocol()?;
        if !rules.versions.contains(&header.version) {
            return Err(ValidateError::VersionNotServed {
                got: header.version,
                served: rules.versions.clone(),
            });
        }

        let (got, head) = (header.reference_block, clock.head);
        match head.checked_sub(got) {
            None => return Err(ValidateError::ReferenceUnknown { got, head }),
            Some(age) if age > rules.max_reference_age => {
                return Err(ValidateError::ReferenceStale {
                    got,
                    head,
                    max_age: rules.max_reference_age,
                });
            }
            Some(_) => {}
        }
        let (created, now) = (header.created_at_ms, clock.now_ms);
        let (max_age, max_skew) = (millis(rules.max_age), millis(rules.max_clock_skew));
        if created > now.saturating_add(max_skew) {
            return Err(ValidateError::FromFuture {
                created_at_ms: created,
                now_ms: now,
                max_skew_ms: max_skew,
            });
        }
        if now > created.saturating_add(max_age) {
            return Err(ValidateError::TooOld {
                created_at_ms: created,
                now_ms: now,
                max_age_ms: max_age,
            });
        }
        header.check_blobs(&self.blobs)?;

        let retention = rules
            .retention
            .map_or(version.retention_secs, |r| r.as_secs());
        let expires_at = created.div_ceil(1000).saturating_add(retention);
        let digest = header.digest();
        Ok(FreshBatch {
            batch: self,
            version,
            digest,
            expires_at,
        })
    }
}

/// The sender is the disperser that the header names.
///
/// # Errors
/// [`ValidateError::NotADisperser`].
pub fn check_sender(
    peer: &NetworkPublicKey,
    header: &BatchHeader,
    table: &OperatorTable,
) -> Result<(), ValidateError> {
    match table.disperser(header.disperser_id) {
        Some(disperser) if disperser.network_key == *peer => Ok(()),
        _ => Err(ValidateError::NotADisperser {
            disperser_id: header.disperser_id,
            key: *peer,
            block: table.reference_block(),
        }),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl FreshBatch {
    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.batch.header
    }

    /// The digest.
    pub fn digest(&self) -> BatchDigest {
        self.digest
    }

    /// The protocol version.
    pub fn version(&self) -> &'static ProtocolVersion {
        self.version
    }

    /// The quorums, the same for every blob.
    pub fn quorums(&self) -> &[u8] {
        self.batch.blobs.first().map_or(&[], |blob| &blob.quorums)
    }

    /// The sender again, in the table of the reference block; then that exactly this operator's chunks are announced,
    /// with as many proofs and bytes as they need. `assignment` is that of `table` for [`version`](Self::version) and
    /// [`quorums`](Self::quorums).
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_assignment(
        self,
        table: &OperatorTable,
        me: &OperatorId,
        assignment: &Assignment,
    ) -> Result<ExpectedBatch, ValidateError> {
        let UnverifiedBatch {
            peer,
            header,
            blobs,
            runs,
            chunk_proofs,
            slice_proofs,
            bulk_len,
        } = &self.batch;
        if table.reference_block() != header.reference_block {
            let head = table.reference_block();
            return Err(ValidateError::ReferenceUnknown {
                got: header.reference_block,
                head,
            });
        }
        check_sender(peer, header, table)?;

        let block = header.reference_block;
        let index = table.find(me).ok_or(ValidateError::NotAnOperator {
            operator: *me,
            block,
        })?;
        let mine = assignment.chunks(index);
        if mine.is_empty() {
            return Err(ValidateError::NoChunks {
                operator: *me,
                block,
            });
        }
        if !runs.iter().eq(mine.iter().copied()) {
            return Err(ValidateError::Assignment {
                got: runs.count(),
                expected: mine.len(),
                missing: mine.iter().copied().find(|index| !runs.contains(*index)),
                extra: runs.iter().find(|index| mine.binary_search(index).is_err()),
            });
        }
        if chunk_proofs.len() != mine.len() {
            return Err(ValidateError::ChunkProofCount {
                got: chunk_proofs.len(),
                expected: mine.len(),
            });
        }
        let needed = runs.as_slice().len();
        if slice_proofs.len() != blobs.len() {
            return Err(ValidateError::SliceProofCount {
                got: slice_proofs.len(),
                expected: blobs.len(),
            });
        }
        if let Some(proofs) = slice_proofs.iter().find(|proofs| proofs.len() != needed) {
            return Err(ValidateError::SliceProofCount {
                got: proofs.len(),
                expected: needed,
            });
        }

        let lengths = Lengths {
            commitments: header.rows as usize * POINT_BYTES,
            blobs: blobs
                .iter()
                .map(|b| Ok(b.slice_bytes()? * mine.len()))
                .collect::<Result<_, HeaderError>>()?,
        };
        let expected =
            lengths.commitments as u64 + lengths.blobs.iter().map(|len| *len as u64).sum::<u64>();
        if *bulk_len != expected {
            return Err(ValidateError::BulkLength {
                got: *bulk_len,
                expected,
            });
        }
        Ok(ExpectedBatch {
            fresh: self,
            lengths,
        })
    }
}

impl ExpectedBatch {
    /// Bytes of the bulk part: rows * 48 of commitments, then every blob's slices.
    pub fn bulk_len(&self) -> u64 {
        self.fresh.batch.bulk_len
    }

    /// The digest.
    pub fn digest(&self) -> BatchDigest {
        self.fresh.digest
    }

    /// Sizes, Merkle trees, points, and the one pairing check. `seed` is fresh from the operating system: the sender
    /// must not be able to know it. Runs on all threads of the current rayon pool.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_bulk(
        self,
        setup: &Setup,
        mut bulk: Bytes,
        seed: [u8; 32],
    ) -> Result<VerifiedBatch, ValidateError> {
        let ExpectedBatch { fresh, lengths } = self;
        let FreshBatch {
            batch,
            version,
            digest,
            expires_at,
        } = fresh;
        if bulk.len() as u64 != batch.bulk_len {
            return Err(ValidateError::BulkLength {
                got: bulk.len() as u64,
                expected: batch.bulk_len,
            });
        }
        let mut take = |len: usize| {
            // Lengths add up to the whole: checked when they were computed.
            bulk.split_to(len.min(bulk.len()))
        };
        let commitments: Vec<CommitmentBytes> = take(lengths.commitments)
            .as_chunks::<POINT_BYTES>()
            .0
            .iter()
            .copied()
            .map(CommitmentBytes)
            .collect();
        let data: Vec<Bytes> = lengths.blobs.iter().map(|len| take(*len)).collect();

        check_commitments_roots(&batch.blobs, &commitments)?;
        let leaves = check_slices(&batch, version, &data)?;

        let points = decode_commitments(&commitments)
            .map_err(|(row, error)| ValidateError::Commitment { row, error })?;
        let proofs = decode_proofs(&batch.chunk_proofs).map_err(|(place, error)| {
            ValidateError::ChunkProof {
                index: batch.runs.iter().nth(place).unwrap_or_default(),
                error,
            }
        })?;
        let columns: Vec<ChunkColumn<'_>> = batch
            .runs
            .iter()
            .zip(proofs)
            .enumerate()
            .map(|(place, (index, proof))| ChunkColumn {
                index,
                pieces: batch
                    .blobs
                    .iter()
                    .zip(&data)
                    .map(|(blob, data)| piece(version, blob, data, place))
                    .collect(),
                proof,
            })
            .collect();
        verify_chunks(
            setup,
            version.code,
            RowChallenge::new(&digest.0),
            &points,
            &columns,
            seed,
        )?;
        drop(columns);

        let blobs = batch
            .blobs
            .into_iter()
            .zip(leaves)
            .zip(batch.slice_proofs)
            .zip(data)
            .map(|(((header, leaves), proofs), data)| BlobRecord {
                key: header.blob_key(),
                header,
                leaves,
                proofs,
                data,
            })
            .collect();
        Ok(VerifiedBatch(BatchRecord {
            header: batch.header,
            digest,
            runs: batch.runs,
            commitments,
            chunk_proofs: batch.chunk_proofs,
            blobs,
            expires_at,
        }))
    }
}

/// Slice number `place` among those sent, of one blob.
fn piece<'a>(
    version: &ProtocolVersion,
    blob: &BlobHeader,
    data: &'a [u8],
    place: usize,
) -> &'a [u8] {
    let len = blob.rows as usize * version.code.cell_bytes();
    data.get(place * len..(place + 1) * len).unwrap_or_default()
}

/// The commitments of each blob's rows hash to its commitments root.
fn check_commitments_roots(
    blobs: &[BlobHeader],
    mut commitments: &[CommitmentBytes],
) -> Result<(), ValidateError> {
    for (number, blob) in blobs.iter().enumerate() {
        let (own, rest) = commitments
            .split_at_checked(blob.rows as usize)
            .unwrap_or_default();
        if commitments_root(own) != blob.commitments_root {
            return Err(ValidateError::CommitmentsRoot { blob: number });
        }
        commitments = rest;
    }
    Ok(())
}

/// Every slice lies in its blob's Merkle tree. Returns the leaf hashes of each blob.
fn check_slices(
    batch: &UnverifiedBatch,
    version: &ProtocolVersion,
    data: &[Bytes],
) -> Result<Vec<Vec<Hash>>, ValidateError> {
    let checked: Vec<Result<Vec<Hash>, ValidateError>> = batch
        .blobs
        .par_iter()
        .zip(&batch.slice_proofs)
        .zip(data)
        .enumerate()
        .map(|(number, ((blob, proofs), data))| {
            let pieces: Vec<&[u8]> = (0..batch.runs.count())
                .map(|place| piece(version, blob, data, place))
                .collect();
            let leaves = leaf_hashes(&pieces);
            let mut rest = leaves.as_slice();
            for (&(start, len), proof) in batch.runs.as_slice().iter().zip(proofs) {
                let (run, behind) = rest.split_at_checked(len as usize).unwrap_or_default();
                rest = behind;
                let chunks = u64::from(version.code.chunks());
                verify_range(&blob.chunk_root, chunks, u64::from(start), run, proof).map_err(
                    |error| ValidateError::Slices {
                        blob: number,
                        start,
                        error,
                    },
                )?;
            }
            Ok(leaves)
        })
        .collect();
    // The first failure in batch order, whichever thread found one first.
    checked.into_iter().collect()
}

impl VerifiedBatch {
    /// What is to be stored.
    pub fn record(&self) -> &BatchRecord {
        &self.0
    }
}

/// Why a batch was refused. One code for each check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValidateError {
    /// The connection's key is not that of the disperser that the header names.
    #[error(
        "the sender's key {key} is not registered as disperser {disperser_id} at block {block}"
    )]
    NotADisperser {
        /// Disperser named by the header.
        disperser_id: u32,
        /// Key of the connection.
        key: NetworkPublicKey,
        /// Block of the table looked at.
        block: u64,
    },
    /// Limits, header fields, or blob headers that are not those of the batch.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A known version that this operator does not serve.
    #[error("protocol version {got} is not served here; served are {served:?}")]
    VersionNotServed {
        /// Version of the batch.
        got: u16,
        /// Versions served.
        served: Vec<u16>,
    },
    /// The reference block is ahead of the newest table, or has none.
    #[error("reference block {got} has no operator table here; the newest is {head}")]
    ReferenceUnknown {
        /// Reference block of the batch.
        got: u64,
        /// Newest block.
        head: u64,
    },
    /// The reference block is too far behind.
    #[error(
        "reference block {got} is stale: the newest is {head}, at most {max_age} blocks behind are accepted"
    )]
    ReferenceStale {
        /// Reference block of the batch.
        got: u64,
        /// Newest block.
        head: u64,
        /// Blocks accepted.
        max_age: u64,
    },
    /// The batch is dated later than clocks may differ.
    #[error(
        "the batch is dated {created_at_ms} ms, now is {now_ms} ms, clocks may differ by {max_skew_ms} ms"
    )]
    FromFuture {
        /// Date of the batch.
        created_at_ms: u64,
        /// Our clock.
        now_ms: u64,
        /// Skew accepted.
        max_skew_ms: u64,
    },
    /// The batch is too old.
    #[error(
        "the batch is dated {created_at_ms} ms, now is {now_ms} ms, batches are accepted for {max_age_ms} ms"
    )]
    TooOld {
        /// Date of the batch.
        created_at_ms: u64,
        /// Our clock.
        now_ms: u64,
        /// Age accepted.
        max_age_ms: u64,
    },
    /// This operator is not in the table of the reference block.
    #[error("operator {operator} is not in the operator table of block {block}")]
    NotAnOperator {
        /// This operator.
        operator: OperatorId,
        /// Reference block.
        block: u64,
    },
    /// This operator has no stake in the quorums of the batch.
    #[error("operator {operator} has no chunks in the quorums of this batch at block {block}")]
    NoChunks {
        /// This operator.
        operator: OperatorId,
        /// Reference block.
        block: u64,
    },
    /// The chunks cannot be assigned at all.
    #[error(transparent)]
    CannotAssign(#[from] AssignmentError),
    /// Other chunks than this operator's were sent.
    #[error(
        "{got} chunks were sent, assigned are {expected}; first missing: {missing:?}, first extra: {extra:?}"
    )]
    Assignment {
        /// Chunks sent.
        got: usize,
        /// Chunks assigned.
        expected: usize,
        /// The first assigned index that was not sent.
        missing: Option<u32>,
        /// The first index sent that is not assigned.
        extra: Option<u32>,
    },
    /// Not one chunk proof for each chunk.
    #[error("{got} chunk proofs for {expected} chunks")]
    ChunkProofCount {
        /// Proofs sent.
        got: usize,
        /// Chunks.
        expected: usize,
    },
    /// Not one Merkle proof for each blob and run.
    #[error(
        "{got} slice proofs, expected {expected}: one for each blob, and in it one for each run of chunks"
    )]
    SliceProofCount {
        /// Proofs sent.
        got: usize,
        /// Proofs needed.
        expected: usize,
    },
    /// A slice too many or too few, or of the wrong length.
    #[error("{got} bytes of commitments and slices, the headers need {expected}")]
    BulkLength {
        /// Bytes sent or announced.
        got: u64,
        /// Bytes needed.
        expected: u64,
    },
    /// The commitments are not those of the blob header.
    #[error("the commitments of blob {blob} do not hash to its commitments root")]
    CommitmentsRoot {
        /// Number of the blob in the batch.
        blob: usize,
    },
    /// Slices that are not in the blob's Merkle tree at their places.
    #[error("the slices of blob {blob} from chunk {start} on: {error}")]
    Slices {
        /// Number of the blob in the batch.
        blob: usize,
        /// First chunk of the run.
        start: u32,
        /// What is wrong.
        error: MerkleError,
    },
    /// A commitment that is no point of the group.
    #[error("the commitment of row {row}: {error}")]
    Commitment {
        /// Row of the batch.
        row: usize,
        /// What is wrong.
        error: PointError,
    },
    /// A chunk proof that is no point of the group.
    #[error("the proof of chunk {index}: {error}")]
    ChunkProof {
        /// Chunk.
        index: u32,
        /// What is wrong.
        error: PointError,
    },
    /// Cells that are no field elements, or chunks that are not what was committed to.
    #[error(transparent)]
    Chunks(#[from] ChunkError),
}

impl ValidateError {
    /// Numbers got and expected, as text for the wire; empty where they do not apply.
    pub fn got_expected(&self) -> (String, String) {
        let pair =
            |got: &dyn ToString, expected: &dyn ToString| (got.to_string(), expected.to_string());
        match self {
            Self::VersionNotServed { got, served } => (got.to_string(), format!("{served:?}")),
            Self::ReferenceUnknown { got, head } => (got.to_string(), format!("at most {head}")),
            Self::ReferenceStale { got, head, max_age } => (
                got.to_string(),
                format!("at least {}", head.saturating_sub(*max_age)),
            ),
            Self::FromFuture {
                created_at_ms,
                now_ms,
                max_skew_ms,
            } => (
                created_at_ms.to_string(),
                format!("at most {}", now_ms.saturating_add(*max_skew_ms)),
            ),
            Self::TooOld {
                created_at_ms,
                now_ms,
                max_age_ms,
            } => (
                created_at_ms.to_string(),
                format!("at least {}", now_ms.saturating_sub(*max_age_ms)),
            ),
            Self::Assignment { got, expected, .. }
            | Self::ChunkProofCount { got, expected }
            | Self::SliceProofCount { got, expected } => pair(got, expected),
            Self::BulkLength { got, expected } => pair(got, expected),
            _ => (String::new(), String::new()),
        }
    }
}

impl Coded for ValidateError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotADisperser { .. } => "validate.not_a_disperser",
            Self::Header(error) => error.code(),
            Self::VersionNotServed { .. } => "validate.version_not_served",
            Self::ReferenceUnknown { .. } => "validate.reference_unknown",
            Self::ReferenceStale { .. } => "validate.reference_stale",
            Self::FromFuture { .. } => "validate.from_future",
            Self::TooOld { .. } => "validate.too_old",
            Self::NotAnOperator { .. } => "validate.not_an_operator",
            Self::NoChunks { .. } => "validate.no_chunks",
            Self::CannotAssign(error) => error.code(),
            Self::Assignment { .. } => "validate.assignment",
            Self::ChunkProofCount { .. } => "validate.chunk_proof_count",
            Self::SliceProofCount { .. } => "validate.slice_proof_count",
            Self::BulkLength { .. } => "validate.bulk_length",
            Self::CommitmentsRoot { .. } => "validate.commitments_root",
            Self::Slices { .. } => "validate.slices",
            Self::Commitment { .. } => "validate.commitment",
            Self::ChunkProof { .. } => "validate.chunk_proof",
            Self::Chunks(error) => error.code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NotAnOperator { .. } | Self::NoChunks { .. } => Blame::Us,
            Self::CannotAssign(error) => error.blame(),
            // The sender is the caller here, whatever a library calls the producer of bytes.
            _ => Blame::Caller,
        }
    }
}
