//! The checks between a disperser's bytes and a signature (docs/protocol.md, section 10), cheapest first.
//!
//! Pure functions: table, clock and randomness are passed in. Each step takes the type that the step before it
//! returned, so that none can be left out:
//!
//! ```text
//! UnverifiedBatch ── check_sender ──▶ AuthenticBatch ── check_header ──▶ FreshBatch ── check_assignment ──▶ ExpectedBatch
//!   what came            domain, sender,    limits, version, recency,    table root, own chunks, number of
//!                        its signature      batch root                   proofs, bytes announced
//!
//! ExpectedBatch ── check_bulk ──▶ VerifiedBatch
//!                    sizes, Merkle, points, cells, KZG
//! ```
//!
//! All steps but the last look at a few KiB; the megabytes behind them are not even received before they pass. Domain and
//! sender are looked at once more before that, by [`check_domain`] and [`check_disperser`], before anything is spent on it.

mod error;

use std::time::Duration;

use ashlar_crypto::kzg::{decode_commitments, decode_proofs};
use ashlar_crypto::merkle::{leaf_hashes, verify_range};
use ashlar_crypto::{
    ChunkColumn, CommitmentBytes, Hash, ProofBytes, RowChallenge, Setup,
    identity::{NetworkPublicKey, NetworkSignature},
    verify_chunks,
};
use ashlar_proto::wire::{BulkView, Layout, StoreBatch};
use ashlar_proto::{
    BatchDigest, BatchHeader, BlobHeader, Block, ChunkIndex, ChunkRanges, Domain, Limits,
    OperatorId, ProtocolVersion, TableAccess, commitments_of, commitments_root,
};
use ashlar_stake::{Assignment, OperatorTable};
use bytes::Bytes;
use rayon::prelude::*;

pub use error::ValidateError;

use crate::store::{BatchRecord, BlobRecord, retention_end};

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
    pub head: Block,
}

/// A batch as it came: decoded, and nothing else.
#[derive(Debug, Clone)]
pub struct UnverifiedBatch {
    /// Who sent it: the key of the connection.
    pub peer: NetworkPublicKey,
    /// Batch header.
    pub header: BatchHeader,
    /// The disperser's signature over the header's digest.
    pub disperser_signature: NetworkSignature,
    /// Blob headers, in batch order.
    pub blobs: Vec<BlobHeader>,
    /// Chunk indices sent.
    pub runs: ChunkRanges,
    /// One proof for each chunk index, ascending.
    pub chunk_proofs: Vec<ProofBytes>,
    /// For each blob, for each run, the Merkle range proof against the chunk root.
    pub slice_proofs: Vec<Vec<Vec<Hash>>>,
    /// Bytes of the bulk part, as announced.
    pub bulk_len: u64,
}

/// A batch of this service, from the disperser that it names, and signed by it.
#[derive(Debug, Clone)]
pub struct AuthenticBatch {
    batch: UnverifiedBatch,
    digest: BatchDigest,
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
    layout: Layout,
}

/// A batch that passed every check: what may be stored and signed.
#[derive(Debug, Clone)]
pub struct VerifiedBatch(BatchRecord);

impl UnverifiedBatch {
    /// The message of a peer, with a bulk part of this length behind it.
    pub fn new(peer: NetworkPublicKey, message: StoreBatch, bulk_len: u64) -> Self {
        Self {
            peer,
            header: message.batch_header,
            disperser_signature: message.disperser_signature,
            blobs: message.blob_headers,
            runs: message.runs,
            chunk_proofs: message.chunk_proofs,
            slice_proofs: message.slice_proofs,
            bulk_len,
        }
    }

    /// Domain, sender, and that the sender has signed the batch. `newest` is the newest operator table.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_sender(self, newest: &OperatorTable) -> Result<AuthenticBatch, ValidateError> {
        check_domain(self.header.domain, newest.domain())?;
        check_disperser(&self.peer, &self.header, newest)?;
        self.header
            .verify_disperser(&self.peer, &self.disperser_signature)
            .map_err(|_| ValidateError::DisperserSignature {
                disperser_id: self.header.disperser_id,
                key: self.peer,
            })?;
        let digest = self.header.digest();
        Ok(AuthenticBatch {
            batch: self,
            digest,
        })
    }
}

impl AuthenticBatch {
    /// The header.
    pub fn header(&self) -> &BatchHeader {
        &self.batch.header
    }

    /// The digest.
    pub fn digest(&self) -> BatchDigest {
        self.digest
    }

    /// The disperser's signature over the digest, which is valid under [`disperser_key`](Self::disperser_key).
    pub fn disperser_signature(&self) -> NetworkSignature {
        self.batch.disperser_signature
    }

    /// The disperser's key.
    pub fn disperser_key(&self) -> NetworkPublicKey {
        self.batch.peer
    }

    /// Limits, version, recency, and that the blob headers are those of the batch.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check_header(self, rules: &Rules, clock: Clock) -> Result<FreshBatch, ValidateError> {
        let Self { batch, digest } = self;
        let header = &batch.header;
        rules.limits.check_batch(header)?;
        for blob in &batch.blobs {
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
        match head.checked_since(got) {
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
        header.check_blobs(&batch.blobs)?;

        let retention = rules
            .retention
            .map_or(version.retention_secs, |r| r.as_secs());
        let expires_at = retention_end(header, retention);
        Ok(FreshBatch {
            batch,
            version,
            digest,
            expires_at,
        })
    }
}

/// A batch or a question is of this service.
///
/// # Errors
/// [`ValidateError::OtherDomain`].
pub fn check_domain(got: Domain, expected: Domain) -> Result<(), ValidateError> {
    match got == expected {
        true => Ok(()),
        false => Err(ValidateError::OtherDomain { got, expected }),
    }
}

/// The sender is the disperser that the header names.
///
/// # Errors
/// [`ValidateError::NotADisperser`].
pub fn check_disperser(
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

    /// That the batch names this very table; the sender again, in it; then that exactly this operator's chunks are announced,
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
            ..
        } = &self.batch;
        if table.reference_block() != header.reference_block {
            let head = table.reference_block();
            return Err(ValidateError::ReferenceUnknown {
                got: header.reference_block,
                head,
            });
        }
        let block = header.reference_block;
        if header.table_root != table.root() {
            return Err(ValidateError::TableRoot {
                got: header.table_root,
                expected: table.root(),
                block,
            });
        }
        check_disperser(peer, header, table)?;

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

        let layout = Layout::store_batch(self.version, blobs, runs);
        if *bulk_len != layout.len() {
            return Err(ValidateError::BulkLength {
                got: *bulk_len,
                expected: layout.len(),
            });
        }
        Ok(ExpectedBatch {
            fresh: self,
            layout,
        })
    }
}

impl ExpectedBatch {
    /// Bytes of the bulk part: rows * 48 of commitments, then every blob's slices.
    pub fn bulk_len(&self) -> u64 {
        self.fresh.batch.bulk_len
    }

    /// Bytes of slices in it.
    pub fn slices_len(&self) -> u64 {
        // The rest are the commitments of all rows.
        self.bulk_len() - u64::from(self.fresh.batch.header.rows) * POINT_BYTES as u64
    }

    /// The disperser's number.
    pub fn disperser_id(&self) -> u32 {
        self.fresh.batch.header.disperser_id
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
        bulk: Bytes,
        seed: [u8; 32],
    ) -> Result<VerifiedBatch, ValidateError> {
        let ExpectedBatch { fresh, layout } = self;
        let FreshBatch {
            batch,
            version,
            digest,
            expires_at,
        } = fresh;
        let (got, expected) = (bulk.len() as u64, layout.len());
        let view = layout
            .view(bulk)
            .map_err(|_| ValidateError::BulkLength { got, expected })?;
        let commitments: Vec<CommitmentBytes> = view
            .commitments()
            .as_chunks::<POINT_BYTES>()
            .0
            .iter()
            .copied()
            .map(CommitmentBytes)
            .collect();

        check_commitments_roots(&batch.blobs, &commitments)?;
        let leaves = check_slices(&batch, version, &view)?;

        let points = decode_commitments(&commitments)
            .map_err(|(row, error)| ValidateError::Commitment { row, error })?;
        let proofs = decode_proofs(&batch.chunk_proofs).map_err(|(place, error)| {
            #[expect(
                clippy::expect_used,
                reason = "there are as many proofs as indices: checked with the assignment"
            )]
            let index = batch.runs.iter().nth(place).expect("an index a proof");
            ValidateError::ChunkProof { index, error }
        })?;
        let columns: Vec<ChunkColumn<'_>> = batch
            .runs
            .iter()
            .zip(proofs)
            .enumerate()
            .map(|(place, (index, proof))| ChunkColumn {
                index: index.0,
                pieces: laid_out(view.column(place)),
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
            .enumerate()
            .map(|(blob, ((header, leaves), proofs))| BlobRecord {
                key: header.blob_key(),
                header,
                leaves,
                proofs,
                data: laid_out(view.blob_bytes(blob)),
            })
            .collect();
        let owed_until = retention_end(&batch.header, version.retention_secs);
        Ok(VerifiedBatch(BatchRecord {
            header: batch.header,
            digest,
            disperser_signature: batch.disperser_signature,
            runs: batch.runs,
            commitments,
            chunk_proofs: batch.chunk_proofs,
            blobs,
            expires_at,
            owed_until: owed_until.max(expires_at),
        }))
    }
}

#[expect(
    clippy::expect_used,
    reason = "the layout is that of the batch's blobs and runs, by which it is asked"
)]
fn laid_out<T>(part: Option<T>) -> T {
    part.expect("a part of the layout")
}

/// The commitments of each blob's rows hash to its commitments root.
fn check_commitments_roots(
    blobs: &[BlobHeader],
    commitments: &[CommitmentBytes],
) -> Result<(), ValidateError> {
    let owns = commitments_of(blobs, commitments);
    for (number, (blob, own)) in blobs.iter().zip(owns).enumerate() {
        if own.map(commitments_root) != Some(blob.commitments_root) {
            return Err(ValidateError::CommitmentsRoot { blob: number });
        }
    }
    Ok(())
}

/// Every slice lies in its blob's Merkle tree. Returns the leaf hashes of each blob.
fn check_slices(
    batch: &UnverifiedBatch,
    version: &ProtocolVersion,
    view: &BulkView,
) -> Result<Vec<Vec<Hash>>, ValidateError> {
    let checked: Vec<Result<Vec<Hash>, ValidateError>> = batch
        .blobs
        .par_iter()
        .zip(&batch.slice_proofs)
        .enumerate()
        .map(|(number, (blob, proofs))| {
            let leaves = leaf_hashes(&laid_out(view.blob(number)));
            let mut rest = leaves.as_slice();
            for (&(start, len), proof) in batch.runs.as_slice().iter().zip(proofs) {
                // Panics if there are too few: one leaf was hashed for each index of the runs.
                let (run, behind) = rest.split_at(len as usize);
                rest = behind;
                let chunks = u64::from(version.code.chunks());
                verify_range(&blob.chunk_root, chunks, u64::from(start), run, proof).map_err(
                    |error| ValidateError::Slices {
                        blob: number,
                        start: ChunkIndex(start),
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
