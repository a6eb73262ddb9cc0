//! Where things are in a bulk part.

use std::ops::Range;

use bytes::Bytes;

use super::{Chunks, Slices, StoreBatch, WireError};
use crate::{BlobHeader, ChunkRanges, ProtocolVersion};

/// Bytes of a compressed commitment.
const COMMITMENT_BYTES: usize = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// All indices of a blob, then the next blob.
    ByBlob,
    /// All blobs of an index, then the next index.
    ByIndex,
}

/// Where commitments and slices are in a bulk part, computed from the message's headers and runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    commitments: usize,
    /// Slice length of each blob.
    slices: Vec<usize>,
    /// Start of each blob within a column; one more entry with the column's length.
    starts: Vec<usize>,
    indices: usize,
    order: Order,
}

impl Layout {
    fn new(
        version: &ProtocolVersion,
        blobs: &[BlobHeader],
        runs: &ChunkRanges,
        with_commitments: bool,
        order: Order,
    ) -> Self {
        let rows: usize = blobs.iter().map(|b| b.rows as usize).sum();
        let slices: Vec<usize> = blobs
            .iter()
            .map(|b| b.rows as usize * version.code.cell_bytes())
            .collect();
        let mut starts = Vec::with_capacity(slices.len() + 1);
        let mut at = 0;
        starts.push(at);
        for len in &slices {
            at += len;
            starts.push(at);
        }
        Self {
            commitments: if with_commitments {
                rows * COMMITMENT_BYTES
            } else {
                0
            },
            slices,
            starts,
            indices: runs.count(),
            order,
        }
    }

    /// Of a [`StoreBatch`] with these blobs and runs.
    pub fn store_batch(
        version: &ProtocolVersion,
        blobs: &[BlobHeader],
        runs: &ChunkRanges,
    ) -> Self {
        Self::new(version, blobs, runs, true, Order::ByBlob)
    }

    fn column_len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Length of the bulk part in bytes.
    pub fn len(&self) -> u64 {
        self.commitments as u64 + self.column_len() as u64 * self.indices as u64
    }

    /// True if there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of chunk indices.
    pub fn indices(&self) -> usize {
        self.indices
    }

    /// Number of blobs.
    pub fn blobs(&self) -> usize {
        self.slices.len()
    }

    /// The commitments, 48 bytes a row.
    pub fn commitments(&self) -> Range<usize> {
        0..self.commitments
    }

    /// The slice of blob number `blob` with the chunk index at place `place` of the runs; `None` out of range.
    pub fn slice(&self, blob: usize, place: usize) -> Option<Range<usize>> {
        let len = *self.slices.get(blob)?;
        if place >= self.indices {
            return None;
        }
        let before = *self.starts.get(blob)?;
        let start = self.commitments
            + match self.order {
                Order::ByBlob => before * self.indices + len * place,
                Order::ByIndex => self.column_len() * place + before,
            };
        Some(start..start + len)
    }

    /// All slices of one blob, where they lie together; `None` where chunks do, or out of range.
    fn blob(&self, blob: usize) -> Option<Range<usize>> {
        let last = self.slice(blob, self.indices.checked_sub(1)?)?;
        (self.order == Order::ByBlob).then_some(self.slice(blob, 0)?.start..last.end)
    }

    /// Takes a bulk part apart.
    ///
    /// # Errors
    /// The bulk part has another length than the layout.
    pub fn view(self, bulk: Bytes) -> Result<BulkView, WireError> {
        if bulk.len() as u64 != self.len() {
            return Err(WireError::BulkLength {
                got: bulk.len() as u64,
                expected: self.len(),
            });
        }
        Ok(BulkView { layout: self, bulk })
    }
}

/// A bulk part of the right length, to be read piece by piece. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BulkView {
    layout: Layout,
    bulk: Bytes,
}

impl BulkView {
    /// Where things are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All commitments, 48 bytes a row.
    #[expect(
        clippy::expect_used,
        reason = "Layout::view has compared the bulk part's length with the layout's"
    )]
    pub fn commitments(&self) -> &[u8] {
        self.bulk
            .get(self.layout.commitments())
            .expect("a bulk part as long as its layout says")
    }

    /// The slice of blob number `blob` with the chunk index at place `place` of the runs; `None` out of range.
    pub fn slice(&self, blob: usize, place: usize) -> Option<&[u8]> {
        self.bulk.get(self.layout.slice(blob, place)?)
    }

    /// The same, sharing the memory.
    pub fn slice_bytes(&self, blob: usize, place: usize) -> Option<Bytes> {
        let range = self.layout.slice(blob, place)?;
        (range.end <= self.bulk.len()).then(|| self.bulk.slice(range))
    }

    /// All slices of one blob in one piece, sharing the memory. `None` where chunks lie together, or out of range.
    pub fn blob_bytes(&self, blob: usize) -> Option<Bytes> {
        Some(self.bulk.slice(self.layout.blob(blob)?))
    }

    /// The chunk at one place of the runs: its slices in batch order. `None` out of range.
    pub fn column(&self, place: usize) -> Option<Vec<&[u8]>> {
        (0..self.layout.blobs())
            .map(|blob| self.slice(blob, place))
            .collect()
    }

    /// All slices of one blob, by ascending index. `None` out of range.
    pub fn blob(&self, blob: usize) -> Option<Vec<&[u8]>> {
        (0..self.layout.indices())
            .map(|place| self.slice(blob, place))
            .collect()
    }
}

impl StoreBatch {
    /// Layout of the bulk part.
    ///
    /// # Errors
    /// The version is unknown (not after decoding).
    pub fn layout(&self) -> Result<Layout, WireError> {
        let version = self.batch_header.protocol()?;
        Ok(Layout::store_batch(version, &self.blob_headers, &self.runs))
    }
}

impl Slices {
    /// Layout of the bulk part: one blob, number 0.
    ///
    /// # Errors
    /// The version is unknown (not after decoding).
    pub fn layout(&self) -> Result<Layout, WireError> {
        let version = self.blob_header.protocol()?;
        let blobs = std::slice::from_ref(&self.blob_header);
        let order = Order::ByBlob;
        Ok(Layout::new(version, blobs, &self.runs, false, order))
    }
}

impl Chunks {
    /// Layout of the bulk part.
    ///
    /// # Errors
    /// The version is unknown (not after decoding).
    pub fn layout(&self) -> Result<Layout, WireError> {
        let version = self.batch_header.protocol()?;
        let order = Order::ByIndex;
        Ok(Layout::new(
            version,
            &self.blob_headers,
            &self.runs,
            true,
            order,
        ))
    }
}
