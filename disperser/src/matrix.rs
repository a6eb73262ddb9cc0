//! From encoded blobs to a batch: its header, its proofs, each operator's request, and the certificates. No IO and no clock.

use std::sync::Arc;

use ashlar_crypto::bls::{Signature, aggregate_signatures};
use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::merkle::{leaf_hash, verify_path};
use ashlar_crypto::{
    AggregatedRow, Coded, MerkleTree, ProofBytes, RowChallenge, Setup, prove_chunks,
};
use ashlar_proto::api::{BatchStatus, SignedQuorum};
use ashlar_proto::wire::{self, StoreBatch};
use ashlar_proto::{
    Attestation, BatchDigest, BatchHeader, Bitmap, BlobHeader, BlobKey, Block, Certificate,
    CertificateError, CertificatePolicy, ChunkRanges, ChunkRangesError, HeaderError, MaxAge,
    OperatorIndex, ProtocolVersion, QuorumSigned, RequiredQuorums, Sequence, Stake, TableAccess,
    TrustedTable, batch_tree, verify_certificate,
};
use ashlar_stake::{Assignment, AssignmentError, OperatorTable};
use bytes::{BufMut, Bytes, BytesMut};

use crate::dispersal::{Member, QuorumNeed};
use crate::encoder::EncodedBlob;

/// Encoded blobs that make a batch, and who gets what of it: everything about a batch but its place in the sequence.
#[derive(Debug, Clone)]
pub struct Draft {
    version: &'static ProtocolVersion,
    /// The header at no place.
    frame: BatchHeader,
    blobs: Vec<Arc<EncodedBlob>>,
    headers: Vec<BlobHeader>,
    quorums: Vec<u8>,
    tree: MerkleTree,
    table: Arc<OperatorTable>,
    assignment: Assignment,
}

/// A batch of encoded blobs with its place in the sequence.
#[derive(Debug, Clone)]
pub struct Matrix {
    draft: Arc<Draft>,
    header: BatchHeader,
    digest: BatchDigest,
}

/// What the header of a new batch needs besides its blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPosition {
    /// Number of the disperser in the table.
    pub disperser_id: u32,
    /// Its running number.
    pub sequence: Sequence,
    /// Now, milliseconds since 1970.
    pub created_at_ms: u64,
}

impl Draft {
    /// A batch of these blobs, which share version and quorums, for this table.
    ///
    /// # Errors
    /// The table has no assignment for the blobs' quorums, or the blobs do not make a batch.
    pub fn new(
        blobs: Vec<Arc<EncodedBlob>>,
        table: Arc<OperatorTable>,
    ) -> Result<Self, MatrixError> {
        let headers: Vec<BlobHeader> = blobs.iter().map(|blob| blob.header.clone()).collect();
        let first = headers.first().ok_or(MatrixError::Empty)?;
        let keys: Vec<BlobKey> = blobs.iter().map(|blob| blob.key).collect();
        let tree = batch_tree(&keys);
        let frame = BatchHeader {
            domain: table.domain(),
            table_root: table.root(),
            version: first.version,
            batch_root: tree.root(),
            blobs: u32::try_from(blobs.len()).unwrap_or(u32::MAX),
            rows: headers
                .iter()
                .fold(0, |sum, header| header.rows.saturating_add(sum)),
            reference_block: table.reference_block(),
            disperser_id: 0,
            sequence: Sequence(0),
            created_at_ms: 0,
        };
        // Whatever place it gets: nothing else can be wrong with the header.
        frame.validate()?;
        frame.check_blobs(&headers)?;
        let (version, quorums) = (frame.protocol()?, first.quorums.clone());
        let assignment = Assignment::compute(&table, version, &quorums)?;
        Ok(Self {
            version,
            frame,
            blobs,
            headers,
            quorums,
            tree,
            table,
            assignment,
        })
    }

    /// The batch at this place.
    pub fn at(self: &Arc<Self>, place: BatchPosition) -> Matrix {
        let header = BatchHeader {
            disperser_id: place.disperser_id,
            sequence: place.sequence,
            created_at_ms: place.created_at_ms,
            ..self.frame.clone()
        };
        Matrix {
            draft: Arc::clone(self),
            digest: header.digest(),
            header,
        }
    }

    /// The blobs, in batch order.
    pub fn blobs(&self) -> &[Arc<EncodedBlob>] {
        &self.blobs
    }
}

impl Matrix {
    /// A new batch of these blobs, which share version and quorums, for this table.
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub fn compose(
        blobs: Vec<Arc<EncodedBlob>>,
        table: Arc<OperatorTable>,
        place: BatchPosition,
    ) -> Result<Self, MatrixError> {
        Ok(Arc::new(Draft::new(blobs, table)?).at(place))
    }

    /// A batch whose header was made before: the blobs and the table have to be the same.
    ///
    /// # Errors
    /// They are not.
    pub fn resume(
        blobs: Vec<Arc<EncodedBlob>>,
        table: Arc<OperatorTable>,
        header: BatchHeader,
    ) -> Result<Self, MatrixError> {
        if header.domain != table.domain() || header.table_root != table.root() {
            return Err(MatrixError::Table {
                block: header.reference_block,
            });
        }
        let draft = Draft::new(blobs, table)?;
        header.validate()?;
        header.check_blobs(&draft.headers)?;
        Ok(Self {
            draft: Arc::new(draft),
            digest: header.digest(),
            header,
        })
    }

    /// The batch's header.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Its protocol version.
    pub fn version(&self) -> &'static ProtocolVersion {
        self.draft.version
    }

    /// What operators sign.
    pub fn digest(&self) -> BatchDigest {
        self.digest
    }

    /// The operator table.
    pub fn table(&self) -> &Arc<OperatorTable> {
        &self.draft.table
    }

    /// The blobs, in batch order.
    pub fn blobs(&self) -> &[Arc<EncodedBlob>] {
        &self.draft.blobs
    }

    /// The quorums of all blobs.
    pub fn quorums(&self) -> &[u8] {
        &self.draft.quorums
    }

    /// The batch as the status of its blob number `index` shows it.
    pub fn status(&self, index: usize) -> BatchStatus {
        BatchStatus {
            digest: self.digest,
            sequence: self.header.sequence,
            reference_block: self.header.reference_block,
            blob_index: u32::try_from(index).unwrap_or(u32::MAX),
            blobs: self.header.blobs,
            rows: self.header.rows,
            signers: 0,
            operators: self.draft.table.header().operators,
            signed: Vec::<SignedQuorum>::new(),
        }
    }

    /// Who gets chunks, with their stakes in the batch's quorums.
    pub fn members(&self) -> Vec<Member> {
        let quorums = self.quorums();
        self.draft
            .assignment
            .operators()
            .filter_map(|operator| {
                let entry = self.draft.table.operator(operator)?;
                let stakes = entry
                    .stakes
                    .iter()
                    .filter(|(quorum, _)| quorums.contains(quorum))
                    .copied()
                    .collect();
                Some(Member {
                    operator,
                    stakes,
                    suspect: false,
                })
            })
            .collect()
    }

    /// What has to sign.
    ///
    /// # Errors
    /// A quorum has no stake (not after the assignment was computed).
    pub fn needs(&self) -> Result<Vec<QuorumNeed>, MatrixError> {
        let percent = self.draft.version.confirmation_percent;
        self.quorums()
            .iter()
            .map(|&quorum| {
                let total = self
                    .draft
                    .table
                    .total(quorum)
                    .ok_or(AssignmentError::UnknownQuorum { quorum })?;
                Ok(QuorumNeed {
                    quorum,
                    total,
                    percent,
                })
            })
            .collect()
    }

    /// How much of each quorum has signed, if these have.
    ///
    /// # Errors
    /// As [`needs`](Self::needs).
    pub fn signed_by(
        &self,
        signed: &[(OperatorIndex, Signature)],
    ) -> Result<Vec<QuorumSigned>, MatrixError> {
        let stake = |quorum| {
            let signers = signed.iter();
            let entries = signers.filter_map(|(operator, _)| self.draft.table.operator(*operator));
            let stakes = entries.map(|entry| entry.stake(quorum));
            // Part of a total that fits, so it cannot overflow.
            stakes.fold(Stake::ZERO, |sum, stake| sum.saturating_add(stake))
        };
        let needs = self.needs()?.into_iter();
        let of_need = needs.map(|need| QuorumSigned {
            quorum: need.quorum,
            signed: stake(need.quorum),
            total: need.total,
        });
        Ok(of_need.collect())
    }

    /// The proofs of all chunks: one FK20 for the whole batch. Runs on the current rayon pool.
    pub fn prove(&self, setup: &Setup) -> Vec<ProofBytes> {
        let mut row = AggregatedRow::new(RowChallenge::new(&self.digest.0));
        for blob in &self.draft.blobs {
            row.absorb(&blob.rows);
        }
        prove_chunks(setup, self.draft.version.code, &row)
    }

    /// The commitments of all rows, as they begin every operator's bulk part.
    pub fn commitments(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(48 * self.header.rows as usize);
        for commitment in self.draft.blobs.iter().flat_map(|blob| &blob.commitments) {
            out.put_slice(&commitment.0);
        }
        out.freeze()
    }

    /// The request of one operator. The bulk pieces share the memory of the slices: nothing is copied.
    ///
    /// # Errors
    /// The operator holds nothing, or its chunks fall into too many runs for the wire.
    pub fn request(
        &self,
        operator: OperatorIndex,
        signature: NetworkSignature,
        proofs: &[ProofBytes],
        commitments: &Bytes,
    ) -> Result<(wire::Request, Vec<Bytes>), MatrixError> {
        let chunks = self.draft.assignment.chunks(operator);
        let runs = ChunkRanges::from_indices(chunks)?;
        let missing = |_: ()| MatrixError::Chunk { operator };
        let chunk_proofs = chunks
            .iter()
            .map(|&chunk| {
                proofs
                    .get(chunk.0 as usize)
                    .copied()
                    .ok_or(())
                    .map_err(missing)
            })
            .collect::<Result<_, _>>()?;
        let mut bulk = Vec::with_capacity(1 + self.draft.blobs.len() * runs.as_slice().len());
        bulk.push(commitments.clone());
        let mut slice_proofs = Vec::with_capacity(self.draft.blobs.len());
        for blob in &self.draft.blobs {
            let mut of_blob = Vec::with_capacity(runs.as_slice().len());
            for &(start, len) in runs.as_slice() {
                bulk.push(blob.run(start, len).ok_or(()).map_err(missing)?);
                let range = start as usize..(start as usize).saturating_add(len as usize);
                of_blob.push(blob.tree.range_proof(range).ok_or(()).map_err(missing)?);
            }
            slice_proofs.push(of_blob);
        }
        let request = StoreBatch {
            batch_header: self.header.clone(),
            disperser_signature: signature,
            blob_headers: self.draft.headers.clone(),
            runs,
            chunk_proofs,
            slice_proofs,
        };
        Ok((wire::Request::StoreBatch(request), bulk))
    }

    /// The certificates of all blobs, in batch order, by these signers' verified signatures; checked as a client would.
    ///
    /// The check of the first one is complete. The others share its batch header, table, signers and signature, and what
    /// is their own, the path, is checked for each.
    ///
    /// # Errors
    /// The signatures cancel out, or a certificate does not pass its check: a bug of ours, and nothing is published.
    pub fn certify(
        &self,
        signed: &[(OperatorIndex, Signature)],
    ) -> Result<Vec<Certificate>, MatrixError> {
        let signatures: Vec<Signature> = signed.iter().map(|(_, signature)| *signature).collect();
        let signature = aggregate_signatures(&signatures)
            .ok_or(MatrixError::NoSignature)?
            .to_bytes();
        let signers = Bitmap::from_indices(
            self.draft.table.header().operators,
            signed.iter().map(|(operator, _)| *operator),
        )
        .ok_or(MatrixError::NoSignature)?;
        let certificates = self
            .draft
            .headers
            .iter()
            .enumerate()
            .map(|(index, header)| {
                let blob_path = self.draft.tree.path(index).ok_or(MatrixError::Empty)?;
                Ok(Certificate {
                    blob_header: header.clone(),
                    blob_index: u32::try_from(index).unwrap_or(u32::MAX),
                    blob_path,
                    batch_header: self.header.clone(),
                    attestation: Attestation::Compact {
                        signers: signers.clone(),
                    },
                    signature,
                })
            })
            .collect::<Result<Vec<_>, MatrixError>>()?;
        self.self_check(&certificates)?;
        Ok(certificates)
    }

    fn self_check(&self, certificates: &[Certificate]) -> Result<(), MatrixError> {
        let (first, others) = certificates.split_first().ok_or(MatrixError::Empty)?;
        // By its own table, and just made: only what follows from the signatures is in doubt.
        let policy = CertificatePolicy::new(
            self.draft.table.domain(),
            RequiredQuorums::all(self.quorums()),
            MaxAge::Unbounded,
        );
        let table = TrustedTable::trust_on_my_own_word(&self.draft.table);
        verify_certificate(first, &table, &policy)
            .map_err(|e| MatrixError::SelfCheck(Box::new(e)))?;
        for certificate in others {
            verify_path(
                &self.header.batch_root,
                u64::from(self.header.blobs),
                u64::from(certificate.blob_index),
                leaf_hash(&certificate.blob_header.blob_key().0),
                &certificate.blob_path,
            )
            .map_err(|_| MatrixError::SelfCheckPath {
                blob: certificate.blob_index,
            })?;
        }
        Ok(())
    }
}

/// Why no batch can be made of some blobs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "batch", blame = Us)]
pub enum MatrixError {
    /// No blob.
    #[error("a batch has at least one blob")]
    Empty,
    /// The blobs do not make a batch, or not the one that the header names.
    #[error(transparent)]
    #[coded(blame = Us)]
    Header(#[from] HeaderError),
    /// The table is not the one that the header names.
    #[error("the operator table of block {block} is another one than that of the batch")]
    Table {
        /// Reference block of the batch.
        block: Block,
    },
    /// The table cannot serve the quorums.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// An operator's chunks do not fit into a request.
    #[error(transparent)]
    #[coded(blame = Us)]
    ChunkRanges(#[from] ChunkRangesError),
    /// A chunk of an operator is not there.
    #[error("a chunk of operator {operator} is missing")]
    Chunk {
        /// Index in the table.
        operator: OperatorIndex,
    },
    /// No signature, or they cancel out.
    #[error("the signatures have no sum")]
    NoSignature,
    /// Our own certificate does not pass the check.
    #[error("the certificate does not pass its own check: {0}")]
    SelfCheck(Box<CertificateError>),
    /// Our own certificate does not pass the check.
    #[error("the path of blob {blob} does not pass the certificate's check")]
    #[coded("self_check")]
    SelfCheckPath {
        /// Index in the batch.
        blob: u32,
    },
}

#[cfg(test)]
mod tests;
