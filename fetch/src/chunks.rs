//! Requests for whole chunk columns of a batch, each checked against the batch digest, the slices' Merkle
//! roots and its KZG proof.
//!
//! The Merkle check of **every** blob's slice comes before the KZG check, and both are needed. The row challenge γ
//! follows from the digest, so whoever serves a column knows it. It could change cells of two rows so that their
//! weighted sum stays the same. What lies under a chunk root was fixed before γ was known.

use std::sync::{Arc, Mutex, PoisonError};

use ashlar_crypto::kzg::decode_commitments;
use ashlar_crypto::{Code, Commitment, CommitmentBytes, leaf_hashes};
use ashlar_proto::wire::{BulkView, Chunks, GetChunks, Request, Response};
use ashlar_proto::{
    BatchDigest, BatchHeader, BlobHeader, BlobKey, ChunkRanges, OperatorEntry, commitments_of,
    commitments_root,
};
use bytes::Bytes;

use crate::columns::{Columns, seed};
use crate::fault::Fault;
use crate::gather::{self, Arrival, Checked, Outcome, internal};
use crate::network::Network;
use crate::plan::Ask;
use crate::slices::check_runs;

/// The parts of a batch that are the same in every answer, once they have been checked.
struct Frame {
    blob_headers: Vec<BlobHeader>,
    commitment_bytes: Vec<u8>,
    commitments: Vec<Commitment>,
    /// Where our blob is, if there is one.
    place: Option<usize>,
}

/// What a check needs, shared by all requests of one gathering: an audit, or a repair.
pub struct ChunksTask {
    network: Arc<dyn Network>,
    key: Option<BlobKey>,
    digest: BatchDigest,
    header: BatchHeader,
    code: Code,
    frame: Mutex<Option<Arc<Frame>>>,
}

impl ChunksTask {
    /// For columns of the batch with this header, as slices of its blob `key`; without one, their items are empty.
    pub fn new(
        network: Arc<dyn Network>,
        key: Option<BlobKey>,
        header: BatchHeader,
        code: Code,
    ) -> Self {
        Self {
            network,
            key,
            digest: header.digest(),
            header,
            code,
            frame: Mutex::new(None),
        }
    }

    /// Bytes of one column.
    pub fn column_bytes(&self) -> u64 {
        u64::from(self.header.rows) * self.code.cell_bytes() as u64
    }

    /// Asks one operator and checks its answer.
    pub async fn run(
        self: Arc<Self>,
        operator: OperatorEntry,
        ask: Ask,
        arrival: Arrival,
    ) -> Outcome<Bytes> {
        let task = Arc::clone(&self);
        let request = |indices| {
            let request = GetChunks {
                batch_digest: self.digest,
                indices,
            };
            let limit = request.answer_limit(&self.header);
            let limit = limit.map_err(|error| internal(&error))?;
            Ok((Request::GetChunks(request), limit))
        };
        let check =
            move |response, bulk, asked: &ChunkRanges| task.check(response, bulk, asked, seed()?);
        gather::ask(&*self.network, &operator, &ask, arrival, request, check).await
    }

    /// Columns that hold, as our blob's slices, and indices of those that do not.
    fn check(
        &self,
        response: Response,
        bulk: Bytes,
        asked: &ChunkRanges,
        seed: [u8; 32],
    ) -> Result<Checked<Bytes>, Fault> {
        let Response::Chunks(chunks) = response else {
            return Err(Fault::UnexpectedAnswer { asked: "GetChunks" });
        };
        if chunks.batch_header != self.header {
            return Err(Fault::Other {
                what: "batch header",
            });
        }
        if !chunks.runs.is_subset_of(asked) {
            return Err(Fault::OtherIndices);
        }
        // Before the layout is used: it is computed from these headers.
        let known = self.known_frame();
        match &known {
            Some(frame) if frame.blob_headers == chunks.blob_headers => {}
            Some(_) => {
                return Err(Fault::Other {
                    what: "list of blob headers",
                });
            }
            None => self
                .header
                .check_blobs(&chunks.blob_headers)
                .map_err(|_| Fault::Other {
                    what: "list of blob headers",
                })?,
        }
        let got = bulk.len() as u64;
        let layout = chunks.layout().map_err(|error| malformed(&error))?;
        let expected = layout.len();
        let view = layout
            .view(bulk)
            .map_err(|_| Fault::Length { got, expected })?;
        let frame = self.take_frame(known, &chunks, &view)?;
        self.check_merkle(&chunks, &view)?;
        self.check_proofs(&frame, &chunks, &view, asked, seed)
    }

    /// The blob headers and the commitments of the batch, checked against its header, once an answer has brought them.
    pub fn frame(&self) -> Option<(Vec<BlobHeader>, Vec<CommitmentBytes>)> {
        let frame = self.known_frame()?;
        let (points, _) = frame.commitment_bytes.as_chunks::<48>();
        let commitments = points.iter().map(|bytes| CommitmentBytes(*bytes));
        Some((frame.blob_headers.clone(), commitments.collect()))
    }

    fn known_frame(&self) -> Option<Arc<Frame>> {
        let frame = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        frame.clone()
    }

    /// The checked headers and commitments: those known, or those of this answer once they have been checked.
    fn take_frame(
        &self,
        known: Option<Arc<Frame>>,
        chunks: &Chunks,
        view: &BulkView,
    ) -> Result<Arc<Frame>, Fault> {
        let other = Fault::Other {
            what: "list of commitments",
        };
        if let Some(frame) = known {
            return if frame.commitment_bytes == view.commitments() {
                Ok(frame)
            } else {
                Err(other)
            };
        }
        let place_of = |key: BlobKey| {
            let mut headers = chunks.blob_headers.iter();
            let place = headers.position(|header| header.blob_key() == key);
            place.ok_or(Fault::Other {
                what: "list of blob headers",
            })
        };
        let place = self.key.map(place_of).transpose()?;
        let commitments: Vec<CommitmentBytes> = view
            .commitments()
            .as_chunks::<48>()
            .0
            .iter()
            .map(|bytes| CommitmentBytes(*bytes))
            .collect();
        let headers = &chunks.blob_headers;
        for (header, own) in headers.iter().zip(commitments_of(headers, &commitments)) {
            if own.map(commitments_root) != Some(header.commitments_root) {
                return Err(other);
            }
        }
        let frame = Arc::new(Frame {
            blob_headers: chunks.blob_headers.clone(),
            commitment_bytes: view.commitments().to_vec(),
            // They are the certified ones; that they are no points is the disperser's doing, and nothing can be audited.
            commitments: decode_commitments(&commitments).map_err(|(row, error)| {
                Fault::Malformed {
                    code: "operator.commitment_point",
                    reason: format!("the certified commitment of row {row} of the batch: {error}"),
                }
            })?,
            place,
        });
        let mut slot = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(slot.get_or_insert(frame).clone())
    }

    fn check_merkle(&self, chunks: &Chunks, view: &BulkView) -> Result<(), Fault> {
        for (blob, (header, proofs)) in chunks
            .blob_headers
            .iter()
            .zip(&chunks.slice_proofs)
            .enumerate()
        {
            let slices = view
                .blob(blob)
                .ok_or_else(|| internal(&"a layout without one of its blobs"))?;
            let hashes = leaf_hashes(&slices);
            check_runs(header, self.code, &chunks.runs, &hashes, proofs)?;
        }
        if chunks.slice_proofs.len() == chunks.blob_headers.len() {
            Ok(())
        } else {
            Err(Fault::Malformed {
                code: "operator.proof_count",
                reason: format!(
                    "Merkle proofs for {} of {} blobs",
                    chunks.slice_proofs.len(),
                    chunks.blob_headers.len()
                ),
            })
        }
    }

    fn check_proofs(
        &self,
        frame: &Frame,
        chunks: &Chunks,
        view: &BulkView,
        asked: &ChunkRanges,
        seed: [u8; 32],
    ) -> Result<Checked<Bytes>, Fault> {
        let indices: Vec<_> = chunks.runs.iter().collect();
        let columns = Columns {
            code: self.code,
            digest: &self.digest,
            commitments: &frame.commitments,
            indices: &indices,
            proofs: &chunks.chunk_proofs,
        };
        let pieces = |place| {
            let column = view.column(place);
            column.ok_or_else(|| internal(&"a layout without one of its columns"))
        };
        let (bad, fault) = columns.check(pieces, asked, seed)?;
        let items = indices
            .iter()
            .enumerate()
            .filter(|(_, index)| !bad.contains(index))
            .filter_map(|(place, &index)| {
                let Some(blob) = frame.place else {
                    return Some((index, Bytes::new()));
                };
                // Copied out, so that the rest of the column can go.
                let slice = view.slice(blob, place)?;
                Some((index, Bytes::copy_from_slice(slice)))
            })
            .collect();
        Ok((items, bad, fault))
    }
}

fn malformed(error: &(impl ashlar_crypto::Coded + std::fmt::Display)) -> Fault {
    Fault::Malformed {
        code: error.code(),
        reason: error.to_string(),
    }
}
