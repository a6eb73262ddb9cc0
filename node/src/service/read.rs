//! Slices for readers, whole chunks for auditors. Nothing leaves that does not match its hash.

use std::sync::Arc;

use ashlar_crypto::{ChunkError, ProofBytes, RowChallenge, combine_cells};
use ashlar_net::{BulkReader, Reply, Reservation};
use ashlar_proto::wire::{Chunks, Combined, GetChunks, GetCombined, GetSlices, Response, Slices};
use ashlar_proto::{BatchDigest, BlobHeader, ChunkIndex, ChunkRanges, HeaderError};
use bytes::Bytes;

use super::{Service, ServiceError};
use crate::shared::blocking;
use crate::store::{BlobSlices, StoreError, StoredBatch, slices_a_value};

/// What will be sent, found out before memory is taken for it.
struct Plan<T> {
    batch: StoredBatch,
    what: T,
    runs: ChunkRanges,
    /// Bytes of the answer.
    answer: u64,
    /// Bytes read beside them at a time.
    scratch: u64,
}

impl<T> Plan<T> {
    /// The proofs of the chunks that will be sent.
    fn chunk_proofs(&self) -> Vec<ProofBytes> {
        let StoredBatch {
            runs, chunk_proofs, ..
        } = &self.batch;
        let sent = self.runs.iter().filter_map(|index| runs.position(index));
        sent.filter_map(|place| chunk_proofs.get(place).copied())
            .collect()
    }
}

impl Service {
    /// Plans, waits for the memory of the answer, and only then reads. No answer takes less memory than its place.
    async fn answer_read<T: Send + Sync + 'static>(
        self: Arc<Self>,
        bulk: &BulkReader,
        plan: impl FnOnce(&Self) -> Result<Plan<T>, ServiceError> + Send + 'static,
        read: impl FnOnce(&Self, &Plan<T>, &Reservation) -> Result<Reply, ServiceError> + Send + 'static,
    ) -> Result<Reply, ServiceError> {
        let this = Arc::clone(&self);
        let plan = blocking(move || plan(&this)).await?;
        let load = &self.shared.config.load;
        let place = load.read_memory() / u64::from(load.max_reads);
        let memory = bulk
            .reserve((plan.answer + plan.scratch).max(place), self.patience())
            .await
            .map_err(|error| self.overload(error, "reads"))?;
        blocking(move || read(&self, &plan, &memory)).await
    }

    pub(super) async fn get_slices(
        self: Arc<Self>,
        wanted: GetSlices,
        bulk: &BulkReader,
    ) -> Result<Reply, ServiceError> {
        let plan = move |this: &Self| this.plan_slices(&wanted);
        self.answer_read(bulk, plan, Self::read_slices).await
    }

    fn plan_slices(&self, wanted: &GetSlices) -> Result<Plan<(BatchDigest, u32)>, ServiceError> {
        let not_found = || ServiceError::NotFound {
            what: format!("blob {}", wanted.blob_key),
        };
        let (digest, index) = self
            .store
            .find_blob(&wanted.blob_key)?
            .ok_or_else(not_found)?;
        let batch = self.store.batch(&digest)?.ok_or_else(not_found)?;
        let header = batch.blobs.get(index as usize).ok_or_else(not_found)?;
        let runs = held(&batch, &wanted.indices)?;
        let slice = header.slice_bytes().map_err(header_error)?;
        let answer = (slice * runs.count()) as u64;
        let scratch = scratch(slice, runs.count());
        Ok(Plan {
            batch,
            what: (digest, index),
            runs,
            answer,
            scratch,
        })
    }

    fn read_slices(
        &self,
        plan: &Plan<(BatchDigest, u32)>,
        memory: &Reservation,
    ) -> Result<Reply, ServiceError> {
        let (digest, index) = plan.what;
        let slices = self.slices(&digest, index, &plan.runs)?;
        let chunks = slices
            .header()
            .protocol()
            .map_err(header_error)?
            .code
            .chunks();
        let proofs = slices
            .proofs_for(&plan.runs, chunks)
            .ok_or(ServiceError::NoSuchChunks)?;
        let bulk = pieces(&slices, &plan.runs, memory)?;
        self.shared.metrics.served_bytes.inc_by(plan.answer);
        let blob_header = slices.header().clone();
        Ok(Reply::with_bulk(
            Response::Slices(Slices {
                blob_header,
                runs: plan.runs.clone(),
                proofs,
            }),
            bulk,
        ))
    }

    pub(super) async fn get_chunks(
        self: Arc<Self>,
        wanted: GetChunks,
        bulk: &BulkReader,
    ) -> Result<Reply, ServiceError> {
        let plan = move |this: &Self| this.plan_columns(wanted.batch_digest, &wanted.indices);
        self.answer_read(bulk, plan, Self::read_chunks).await
    }

    fn plan_columns(
        &self,
        digest: BatchDigest,
        indices: &ChunkRanges,
    ) -> Result<Plan<BatchDigest>, ServiceError> {
        let not_found = || ServiceError::NotFound {
            what: format!("batch {digest}"),
        };
        let batch = self.store.batch(&digest)?.ok_or_else(not_found)?;
        let runs = held(&batch, indices)?;
        let slices: Vec<usize> = batch
            .blobs
            .iter()
            .map(BlobHeader::slice_bytes)
            .collect::<Result<_, _>>()
            .map_err(header_error)?;
        let column: u64 = slices.iter().map(|len| *len as u64).sum();
        let commitments = batch.commitments.len() as u64 * 48;
        let answer = commitments + column * runs.count() as u64;
        let scratch = slices.iter().map(|len| scratch(*len, runs.count())).max();
        Ok(Plan {
            batch,
            what: digest,
            runs,
            answer,
            scratch: scratch.unwrap_or(0),
        })
    }

    fn read_chunks(
        &self,
        plan: &Plan<BatchDigest>,
        memory: &Reservation,
    ) -> Result<Reply, ServiceError> {
        let version = plan.batch.header.protocol().map_err(header_error)?;
        let chunks = version.code.chunks();
        let mut slice_proofs = Vec::with_capacity(plan.batch.blobs.len());
        let columns = self.columns(plan, memory, |slices| {
            let proofs = slices.proofs_for(&plan.runs, chunks);
            slice_proofs.push(proofs.ok_or(ServiceError::NoSuchChunks)?);
            Ok(())
        })?;
        let commitments: Vec<u8> = plan.batch.commitments.iter().flat_map(|c| c.0).collect();
        let mut bulk = vec![memory.attach(commitments)];
        bulk.extend(columns.into_iter().flatten());
        self.shared.metrics.served_bytes.inc_by(plan.answer);
        let response = Chunks {
            batch_header: plan.batch.header.clone(),
            blob_headers: plan.batch.blobs.clone(),
            runs: plan.runs.clone(),
            chunk_proofs: plan.chunk_proofs(),
            slice_proofs,
        };
        Ok(Reply::with_bulk(Response::Chunks(response), bulk))
    }

    /// By index, then by blob; the store gives them by blob. `each` sees the slices of every blob.
    fn columns(
        &self,
        plan: &Plan<BatchDigest>,
        memory: &Reservation,
        mut each: impl FnMut(&BlobSlices) -> Result<(), ServiceError>,
    ) -> Result<Vec<Vec<Bytes>>, ServiceError> {
        let mut columns = vec![Vec::with_capacity(plan.batch.blobs.len()); plan.runs.count()];
        for index in 0..plan.batch.header.blobs {
            let slices = self.slices(&plan.what, index, &plan.runs)?;
            each(&slices)?;
            for (column, piece) in columns.iter_mut().zip(pieces(&slices, &plan.runs, memory)?) {
                column.push(piece);
            }
        }
        Ok(columns)
    }

    /// Costs what the columns themselves would: they are read, and added up on the threads that check batches.
    pub(super) async fn get_combined(
        self: Arc<Self>,
        wanted: GetCombined,
        bulk: &BulkReader,
    ) -> Result<Reply, ServiceError> {
        let plan = move |this: &Self| this.plan_columns(wanted.batch_digest, &wanted.indices);
        self.answer_read(bulk, plan, Self::read_combined).await
    }

    fn read_combined(
        &self,
        plan: &Plan<BatchDigest>,
        memory: &Reservation,
    ) -> Result<Reply, ServiceError> {
        let code = plan.batch.header.protocol().map_err(header_error)?.code;
        let columns = self.columns(plan, memory, |_| Ok(()))?;
        let challenge = RowChallenge::new(&plan.what.0);
        let combine = |(index, column): (ChunkIndex, Vec<Bytes>)| {
            let pieces: Vec<&[u8]> = column.iter().map(AsRef::as_ref).collect();
            combine_cells(code, challenge, index.0, &pieces)
        };
        let cells = self.threads.install(|| {
            let columns = plan.runs.iter().zip(columns);
            columns.map(combine).collect::<Result<Vec<_>, _>>()
        });
        // What was signed had canonical elements.
        let cells = cells.map_err(|error: ChunkError| StoreError::Corrupt {
            what: "a slice",
            detail: error.to_string(),
        })?;
        let response = Combined {
            batch_header: plan.batch.header.clone(),
            runs: plan.runs.clone(),
            chunk_proofs: plan.chunk_proofs(),
        };
        let bulk = vec![memory.attach(cells.concat())];
        Ok(Reply::with_bulk(Response::Combined(response), bulk))
    }

    fn slices(
        &self,
        digest: &BatchDigest,
        index: u32,
        wanted: &ChunkRanges,
    ) -> Result<BlobSlices, ServiceError> {
        // A batch without its slices: expired a moment ago.
        self.store
            .read_slices(digest, index, Some(wanted))?
            .ok_or_else(|| ServiceError::NotFound {
                what: format!("blob {index} of batch {digest}"),
            })
    }
}

/// The part of `wanted` that is held.
fn held(batch: &StoredBatch, wanted: &ChunkRanges) -> Result<ChunkRanges, ServiceError> {
    let indices: Vec<_> = wanted
        .iter()
        .filter(|index| batch.runs.contains(*index))
        .collect();
    ChunkRanges::from_indices(&indices).map_err(|_| ServiceError::NoSuchChunks)
}

/// What is read beside `count` slices of such a length: the values in which several of them lie. A slice that is a value of its
/// own is not copied.
fn scratch(slice: usize, count: usize) -> u64 {
    match slices_a_value(slice) {
        1 => 0,
        per => (slice * per * count) as u64,
    }
}

/// The slices, each holding on to the memory that was reserved.
fn pieces(
    slices: &BlobSlices,
    runs: &ChunkRanges,
    memory: &Reservation,
) -> Result<Vec<Bytes>, ServiceError> {
    runs.iter()
        .map(|index| {
            let slice = slices.slice(index)?.ok_or(ServiceError::NoSuchChunks)?;
            Ok(match slices_a_value(slice.len()) {
                1 => memory.attach(slice),
                // A copy, so that the others in its value can go.
                _ => memory.attach(slice.to_vec()),
            })
        })
        .collect()
}

/// A header that was stored is valid; if it is not, the store is corrupt.
fn header_error(error: HeaderError) -> ServiceError {
    StoreError::Corrupt {
        what: "a header",
        detail: error.to_string(),
    }
    .into()
}
