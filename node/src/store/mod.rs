//! What a node keeps, and the promises that come with it.
//!
//! * A batch goes in as one atomic write: every slice, every proof, and the **signed record** of its
//!   (disperser, sequence). When [`Store::commit`] returns `Ok`, all of it has been synced to disk; only then may
//!   anybody sign.
//! * A (disperser, sequence) belongs to one digest for ever. The check and the write happen under one lock, and the
//!   record outlives the data.
//! * Data is immutable and expires as a whole: it lies in the *window* of its expiry time, and a window is dropped
//!   at once.
//! * Nothing is served that does not match its checksums: what is corrupt comes back as [`StoreError::Corrupt`].
//!
//! [`TableStore`] implements this over a [`Backend`], a small ordered key-value interface: [`RocksBackend`] on disk,
//! [`MemoryBackend`] as its twin in tests. One test-suite runs over both.
//!
//! All functions block: callers on a runtime use `spawn_blocking`.

mod backend;
mod codec;
mod memory;
mod records;
mod rocks;
mod table;

pub use backend::{Backend, BackendError, Durability, Put, Space};
pub use memory::MemoryBackend;
pub use records::{
    BatchRecord, BatchSummary, BlobRecord, BlobSlices, SignedRecord, StoredBatch, WindowId,
};
pub use rocks::{RocksBackend, RocksOptions};
pub use table::TableStore;

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::{BatchDigest, BlobKey, OperatorId};

/// A store on disk.
pub type RocksStore = TableStore<RocksBackend>;
/// A store in memory, for tests.
pub type MemoryStore = TableStore<MemoryBackend>;

/// What the node keeps. See the module's text for the promises.
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Writes a batch with its signed record and syncs. On `Ok` all of it survives a power cut.
    ///
    /// A batch that is there already (same digest under the same sequence, signed before) is not written again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the (disperser, sequence) belongs to another digest: nothing was written. Any other
    /// error: the batch may or may not be there; it must not be signed.
    fn commit(&self, batch: &BatchRecord) -> Result<SignedRecord, StoreError>;

    /// Adds the signature to the signed record. Not synced: signatures are deterministic, so that a lost one is made
    /// again, the same, on the next request.
    ///
    /// # Errors
    /// There is no record with this digest, or the write failed.
    fn record_signature(&self, record: &SignedRecord) -> Result<(), StoreError>;

    /// The record of a (disperser, sequence).
    ///
    /// # Errors
    /// The store cannot be read.
    fn signed(&self, disperser_id: u32, sequence: u64) -> Result<Option<SignedRecord>, StoreError>;

    /// A batch without its slices, or `None` if the store does not hold it (any more).
    ///
    /// # Errors
    /// The store cannot be read, or the value is corrupt.
    fn batch(&self, digest: &BatchDigest) -> Result<Option<StoredBatch>, StoreError>;

    /// Slices of blob `index` of a batch.
    ///
    /// # Errors
    /// The store cannot be read, or the head of the value is corrupt. The slices themselves are checked when taken
    /// out ([`BlobSlices::slice`]).
    fn batch_slices(
        &self,
        digest: &BatchDigest,
        index: u32,
    ) -> Result<Option<BlobSlices>, StoreError>;

    /// Which batch holds a blob, and at which place. The youngest, if several do.
    ///
    /// # Errors
    /// The store cannot be read.
    fn find_blob(&self, key: &BlobKey) -> Result<Option<(BatchDigest, u32)>, StoreError>;

    /// Batches of one window behind `after`, in the order of their digests, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn batches_in(
        &self,
        window: WindowId,
        after: Option<BatchDigest>,
        limit: usize,
    ) -> Result<Vec<(BatchDigest, BatchSummary)>, StoreError>;

    /// The windows that exist, soonest expiry first.
    ///
    /// # Errors
    /// The store cannot be read.
    fn windows(&self) -> Result<Vec<WindowId>, StoreError>;

    /// Drops every window that ended at or before `now_secs` (unix) and says which.
    ///
    /// # Errors
    /// A window could not be dropped; the others before it were.
    fn expire(&self, now_secs: u64) -> Result<Vec<WindowId>, StoreError>;

    /// What the store holds now, kept up to date in memory.
    fn totals(&self) -> Totals;

    /// Tries a small synced write, repairing the backend first where that can be done. `Ok` means that batches can be
    /// committed again.
    ///
    /// # Errors
    /// Writing is still impossible.
    fn probe(&self) -> Result<(), StoreError>;
}

/// What a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Batches.
    pub batches: u64,
    /// Blobs.
    pub blobs: u64,
    /// Slice bytes.
    pub bytes: u64,
    /// Expiry windows.
    pub windows: u64,
}

/// What a store can fail with.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The key-value store below failed.
    #[error("{doing}: {source}")]
    Backend {
        /// What the store was doing.
        doing: &'static str,
        /// What the backend said.
        #[source]
        source: BackendError,
    },
    /// A value that does not match its checksum or its form.
    #[error("{what} is corrupt in the store: {detail}")]
    Corrupt {
        /// Which kind of value.
        what: &'static str,
        /// Which one, and what is wrong with it.
        detail: String,
    },
    /// Another batch was signed under this sequence number.
    #[error(
        "disperser {disperser_id} used sequence {sequence} for batch {existing} already, now for {offered}"
    )]
    Conflict {
        /// Disperser.
        disperser_id: u32,
        /// Its sequence number.
        sequence: u64,
        /// The digest of the record.
        existing: BatchDigest,
        /// The digest of the batch that came now.
        offered: BatchDigest,
    },
    /// A signature for a batch that has no record.
    #[error("no record of batch {digest} under disperser {disperser_id}, sequence {sequence}")]
    NoRecord {
        /// Disperser.
        disperser_id: u32,
        /// Its sequence number.
        sequence: u64,
        /// The digest looked for.
        digest: BatchDigest,
    },
    /// The database belongs to another operator: its signed records say nothing about this one's.
    #[error(
        "the database belongs to operator {found}, this node is {expected}; give each operator its own data directory"
    )]
    WrongOperator {
        /// Operator written in the database.
        found: OperatorId,
        /// This operator.
        expected: OperatorId,
    },
    /// The database was written in a format that this program does not know.
    #[error("the database has format {found}, this program reads format {expected}")]
    Format {
        /// Format number in the database.
        found: u32,
        /// Format number of this program.
        expected: u32,
    },
}

impl Coded for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Backend { source, .. } => source.code(),
            Self::Corrupt { .. } => "store.corrupt",
            Self::Conflict { .. } => "store.sequence_conflict",
            Self::NoRecord { .. } => "store.no_record",
            Self::WrongOperator { .. } => "store.wrong_operator",
            Self::Format { .. } => "store.format",
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Conflict { .. } => Blame::Caller,
            _ => Blame::Us,
        }
    }
}

#[cfg(test)]
mod tests;
