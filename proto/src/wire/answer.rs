//! How long an answer can be: what follows from the request.

use super::{GetChunks, GetCombined, GetSlices, Request, WireError, limits};
use crate::{
    BatchHeader, BlobHeader, ChunkRanges, HARD_MAX_BATCH_ROWS, HeaderError,
    chunk_ranges::MAX_RUNS,
    header::{BATCH_HEADER_BYTES, BLOB_HEADER_BYTES},
    params::version,
};

/// Bytes in front of a field: its key, and a length of at most 16 MiB.
const FIELD: usize = 5;
/// A run of indices: two numbers below 4096.
const RUN: usize = FIELD + 6;
/// A range proof.
const RANGE_PROOF: usize = FIELD + limits::MAX_RANGE_PROOF * 32;
/// Compressed commitments and proofs.
const POINT: usize = 48;
/// Bytes of the largest cell of any version: 64 field elements.
const MAX_CELL: u64 = 64 * 32;

/// Most bytes of an answer. An asker reads none that says it is longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLimit {
    /// Of the envelope, at most [`limits::MAX_ENVELOPE`].
    pub envelope: usize,
    /// Of the bulk part, at most [`limits::HARD_MAX_BULK`].
    pub bulk: u64,
}

impl AnswerLimit {
    /// For a signature, a sign of life or a refusal: 1 KiB, and no bulk part.
    pub const SMALL: Self = Self {
        envelope: 1024,
        bulk: 0,
    };

    fn new(envelope: usize, bulk: u64) -> Self {
        Self {
            // Any request can be refused.
            envelope: envelope.clamp(Self::SMALL.envelope, limits::MAX_ENVELOPE),
            bulk: bulk.min(limits::HARD_MAX_BULK),
        }
    }
}

/// Runs that a subset of these indices can have.
fn runs(indices: &ChunkRanges) -> usize {
    indices.count().min(MAX_RUNS)
}

impl GetSlices {
    /// Most bytes of an answer with slices of this blob.
    ///
    /// # Errors
    /// The header's version is unknown.
    pub fn answer_limit(&self, blob: &BlobHeader) -> Result<AnswerLimit, WireError> {
        Ok(self.limit(blob.slice_bytes()? as u64))
    }

    fn limit(&self, slice_bytes: u64) -> AnswerLimit {
        let envelope = 4 * FIELD + BLOB_HEADER_BYTES + runs(&self.indices) * (RUN + RANGE_PROOF);
        AnswerLimit::new(envelope, self.indices.count() as u64 * slice_bytes)
    }
}

impl GetChunks {
    /// Most bytes of an answer with chunks of this batch.
    ///
    /// # Errors
    /// The header's version is unknown.
    pub fn answer_limit(&self, batch: &BatchHeader) -> Result<AnswerLimit, WireError> {
        let cell = version(batch.version)
            .map_err(HeaderError::from)?
            .code
            .cell_bytes() as u64;
        Ok(self.limit(batch.blobs as usize, batch.rows, cell))
    }

    fn limit(&self, blobs: usize, rows: u32, cell: u64) -> AnswerLimit {
        let (indices, runs) = (self.indices.count(), runs(&self.indices));
        let blob = 2 * FIELD + BLOB_HEADER_BYTES + runs * RANGE_PROOF;
        let envelope = 3 * FIELD
            + BATCH_HEADER_BYTES
            + runs * RUN
            + indices * POINT
            + blobs.min(limits::MAX_BLOBS) * blob;
        let bulk = u64::from(rows) * (POINT as u64 + indices as u64 * cell);
        AnswerLimit::new(envelope, bulk)
    }
}

impl GetCombined {
    /// Most bytes of an answer.
    pub fn answer_limit(&self) -> AnswerLimit {
        let (indices, runs) = (self.indices.count(), runs(&self.indices));
        let envelope = 3 * FIELD + BATCH_HEADER_BYTES + runs * RUN + indices * POINT;
        AnswerLimit::new(envelope, indices as u64 * MAX_CELL)
    }
}

/// A page of an index: each batch with its certificate and a signature, and a place.
const PAGE: usize = 128 + limits::MAX_LISTED * (4 * FIELD + limits::MAX_COMPACT + 64);

impl Request {
    /// Most bytes of an answer, as far as the request alone says it. Who holds the header of what is asked for knows
    /// more: [`GetSlices::answer_limit`], [`GetChunks::answer_limit`].
    pub fn answer_limit(&self) -> AnswerLimit {
        match self {
            Self::StoreBatch(_)
            | Self::SignBatch(_)
            | Self::Ping(_)
            | Self::KeepCertificate(_)
            | Self::GetLatest(_)
            | Self::DialMe => AnswerLimit::SMALL,
            Self::ListBatches(_) => AnswerLimit::new(PAGE, 0),
            Self::GetCombined(m) => m.answer_limit(),
            Self::GetSlices(m) => m.limit(u64::from(HARD_MAX_BATCH_ROWS) * MAX_CELL),
            Self::GetChunks(m) => m.limit(limits::MAX_BLOBS, HARD_MAX_BATCH_ROWS, MAX_CELL),
        }
    }
}

#[cfg(test)]
mod tests;
