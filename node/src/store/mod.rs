//! What a node keeps, and the promises that come with it.
//!
//! * A batch goes in as one atomic write: every slice, every proof, and the **signed record** of its
//!   (domain, disperser, sequence). When [`Store::commit`] returns `Ok`, all of it has been synced to disk; only then may
//!   anybody sign.
//! * A (domain, disperser, sequence) belongs to one digest for ever. The check and the write happen under one lock, and the
//!   record outlives the data. It goes when its time is over, in one write with a floor that covers its number.
//! * Data is immutable and expires as a whole: it lies in the *window* of its expiry time, and a window is dropped
//!   at once.
//! * Numbers at or below a *floor* are spent: nothing is promised under them any more. Floors come with a protection file
//!   and in place of signed records that were pruned.
//!   A database that was exported for moving never promises anything again.
//! * Nothing is served that does not match its checksums: what is corrupt comes back as [`StoreError::Corrupt`].
//!
//! [`TableStore`] implements this over a [`Backend`], a small ordered key-value interface: [`RocksBackend`] in a folder on disk,
//! [`Drives`] over several of them with parity, [`MemoryBackend`] as the twin in tests. One test-suite runs over all.
//!
//! All functions block: callers on a runtime use `spawn_blocking`.

mod backend;
mod codec;
mod drives;
pub(crate) mod fuzzing;
mod index;
mod lane;
mod memory;
mod promises;
mod records;
mod restore;
mod rocks;
mod table;
mod watched;

pub use backend::{Backend, BackendError, DriveState, DriveStatus, Durability, Put, Space, Syncs};
pub use drives::{Drives, DrivesOptions, MAX_DRIVES};
pub(crate) use lane::Lane;
pub use memory::MemoryBackend;
pub use promises::MAX_EQUIVOCATIONS;
pub use records::{
    Allowance, BatchRecord, BatchSummary, BlobRecord, BlobSlices, DatabaseId, Equivocation, Floor,
    IndexProgress, ListedPeer, SequenceId, SignedHeader, SignedRecord, StoredBatch, WindowId,
};
pub(crate) use records::{retention_end, slices_a_value};
pub use rocks::{RocksBackend, RocksOptions};
pub use table::TableStore;
pub(crate) use watched::Watched;

use ashlar_crypto::Coded;
use ashlar_proto::wire::CertifiedBatch;
use ashlar_proto::{BatchDigest, BlobKey, Certificate, ChunkRanges, OperatorId, Sequence};

/// A store on disk: in one folder, or over several drives.
pub type DiskStore = TableStore<Box<dyn Backend>>;
/// A store in memory, for tests.
pub type MemoryStore = TableStore<MemoryBackend>;

/// What the node keeps. See the module's text for the promises.
pub trait Store: std::fmt::Debug + Send + Sync + 'static {
    /// Writes a batch with its signed record and syncs. On `Ok` all of it survives a power cut.
    ///
    /// A batch that is there already (same digest under the same sequence, signed before) is not written again.
    ///
    /// # Errors
    /// Nothing was written with [`StoreError::Conflict`] (the number belongs to another digest), [`StoreError::BelowFloor`]
    /// (it is spent) and [`StoreError::Moved`]. Any other error: the batch may or may not be there; it must not be signed.
    fn commit(&self, batch: &BatchRecord) -> Result<SignedRecord, StoreError>;

    /// Whether a new promise may be made under a number that has no record.
    ///
    /// # Errors
    /// [`StoreError::BelowFloor`] or [`StoreError::Moved`].
    fn may_promise(&self, at: &SequenceId) -> Result<(), StoreError>;

    /// Adds the signature to the signed record. Not synced: signatures are deterministic, so that a lost one is made
    /// again, the same, on the next request.
    ///
    /// # Errors
    /// There is no record with this digest, or the write failed.
    fn record_signature(&self, record: &SignedRecord) -> Result<(), StoreError>;

    /// The record of a (domain, disperser, sequence).
    ///
    /// # Errors
    /// The store cannot be read.
    fn signed(&self, at: &SequenceId) -> Result<Option<SignedRecord>, StoreError>;

    /// A batch without its slices, or `None` if the store does not hold it (any more).
    ///
    /// # Errors
    /// The store cannot be read, or the value is corrupt.
    fn batch(&self, digest: &BatchDigest) -> Result<Option<StoredBatch>, StoreError>;

    /// Slices of blob `index` of a batch: those of `wanted` that are held, or all if it is `None`. Only values in which one of
    /// them lies are read.
    ///
    /// # Errors
    /// The store cannot be read, or the head of the slices is corrupt. The slices themselves are checked when taken
    /// out ([`BlobSlices::slice`]).
    fn read_slices(
        &self,
        digest: &BatchDigest,
        index: u32,
        wanted: Option<&ChunkRanges>,
    ) -> Result<Option<BlobSlices>, StoreError>;

    /// All slices of blob `index` of a batch. See [`read_slices`](Self::read_slices).
    ///
    /// # Errors
    /// As [`read_slices`](Self::read_slices).
    fn batch_slices(
        &self,
        digest: &BatchDigest,
        index: u32,
    ) -> Result<Option<BlobSlices>, StoreError> {
        self.read_slices(digest, index, None)
    }

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

    /// The same by window, soonest expiry first. Windows without a batch are left out.
    fn totals_by_window(&self) -> Vec<(WindowId, Totals)>;

    /// Syncs of the log since the start, over all drives.
    fn syncs(&self) -> Syncs;

    /// The last time kept, milliseconds since 1970; `None` if there is none yet.
    ///
    /// # Errors
    /// The store cannot be read, or the value is corrupt.
    fn kept_time(&self) -> Result<Option<u64>, StoreError>;

    /// Keeps a time, milliseconds since 1970, and syncs.
    ///
    /// # Errors
    /// Writing failed: the time is not known to be on disk.
    fn keep_time(&self, time_ms: u64) -> Result<(), StoreError>;

    /// The allowance kept last, if there is one.
    ///
    /// # Errors
    /// The store cannot be read, or the value is corrupt.
    fn kept_allowance(&self) -> Result<Option<Allowance>, StoreError>;

    /// Keeps an allowance, and syncs.
    ///
    /// # Errors
    /// Writing failed: it is not known to be on disk.
    fn keep_allowance(&self, allowance: &Allowance) -> Result<(), StoreError>;

    /// What is spent, by domain and disperser in rising order: of each the highest number that was promised or is covered by
    /// a floor. Reads every signed record.
    ///
    /// # Errors
    /// The store cannot be read, or a key is corrupt.
    fn spent(&self) -> Result<Vec<Floor>, StoreError>;

    /// Removes signed records of which nobody can ask any more at `now_secs` (unix): their time is over and their data dropped.
    /// The same write raises the disperser's floor to the highest of them, so that none of their numbers is ever promised again.
    /// From the lowest number of a disperser up to the first that stays. Returns how many.
    ///
    /// # Errors
    /// Reading or writing failed; what was removed before is covered by a floor.
    fn prune(&self, now_secs: u64) -> Result<u64, StoreError>;

    /// Raises floors, all or none, and syncs. A floor that is higher already stays.
    ///
    /// # Errors
    /// Writing failed.
    fn raise_floors(&self, floors: &[Floor]) -> Result<(), StoreError>;

    /// Ends signing for ever, and syncs: from now on another database promises in this operator's name.
    ///
    /// # Errors
    /// Writing failed: signing may or may not have ended.
    fn end_signing(&self) -> Result<(), StoreError>;

    /// Whether [signing was ended](Self::end_signing).
    fn has_moved(&self) -> bool;

    /// Keeps evidence against a disperser and syncs. Only the first pair under a number is kept, and of one disperser at
    /// most [`MAX_EQUIVOCATIONS`]. Returns whether this one is new.
    ///
    /// # Errors
    /// Writing failed.
    fn keep_equivocation(&self, evidence: &Equivocation) -> Result<bool, StoreError>;

    /// Evidence behind `after`, in the order of domain, disperser and sequence, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read, or a value is corrupt.
    fn equivocations(
        &self,
        after: Option<&SequenceId>,
        limit: usize,
    ) -> Result<Vec<Equivocation>, StoreError>;

    /// Signed records behind `after`, in the order of domain, disperser and sequence, at most `limit`. A record that cannot be
    /// read is among them, with what is wrong.
    ///
    /// # Errors
    /// The store cannot be read.
    fn promises(
        &self,
        after: Option<&SequenceId>,
        limit: usize,
    ) -> Result<Vec<Promise>, StoreError>;

    /// Writes a signed record anew that was lost or damaged, and syncs. One that can be read stays as it is.
    ///
    /// # Errors
    /// Writing failed.
    fn restore_record(&self, record: &SignedRecord) -> Result<(), StoreError>;

    /// Writes the slices of blob `place` of a promised batch anew, and syncs.
    ///
    /// # Errors
    /// There is no such promise, or writing failed.
    fn restore_slices(
        &self,
        record: &SignedRecord,
        runs: &ChunkRanges,
        place: u32,
        blob: &BlobRecord,
    ) -> Result<(), StoreError>;

    /// Writes all of a promised batch anew but its slices, and syncs.
    ///
    /// # Errors
    /// There is no such promise, or writing failed.
    fn restore_batch(&self, record: &SignedRecord, batch: &StoredBatch) -> Result<(), StoreError>;

    /// Keeps the certificate of a promised batch. Not synced: any other signer has it too.
    ///
    /// # Errors
    /// There is no such promise, or writing failed.
    fn keep_certificate(
        &self,
        record: &SignedRecord,
        certificate: &Certificate,
    ) -> Result<(), StoreError>;

    /// The certificate of a batch, if one is kept.
    ///
    /// # Errors
    /// The store cannot be read, or the value is corrupt.
    fn certificate(&self, digest: &BatchDigest) -> Result<Option<CertifiedBatch>, StoreError>;

    /// Batches of one window that have a certificate, behind `after`, in the order of their digests, at most `limit`. `None` in place
    /// of one that is corrupt.
    ///
    /// # Errors
    /// The store cannot be read.
    fn certified_in(
        &self,
        window: WindowId,
        after: Option<BatchDigest>,
        limit: usize,
    ) -> Result<Vec<(BatchDigest, Option<CertifiedBatch>)>, StoreError>;

    /// Writes down a promise that this database does not know, with its certificate. One that it knows stays as it is; one
    /// that is damaged is written anew. Synced by the
    /// next [`keep_index_progress`](Self::keep_index_progress). Returns whether it is new.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the number belongs to another digest; or reading or writing failed.
    fn note_promise(
        &self,
        record: &SignedRecord,
        certificate: &Certificate,
    ) -> Result<bool, StoreError>;

    /// How far the index has been taken from peers; `None` if this database takes none.
    ///
    /// # Errors
    /// The store cannot be read, or the value is corrupt.
    fn index_progress(&self) -> Result<Option<IndexProgress>, StoreError>;

    /// Keeps how far the index has been taken, and syncs: with it all promises noted before.
    ///
    /// # Errors
    /// Writing failed.
    fn keep_index_progress(&self, progress: &IndexProgress) -> Result<(), StoreError>;

    /// Where a scrub that was interrupted had got to.
    ///
    /// # Errors
    /// The store cannot be read, or the value is corrupt.
    fn scrub_position(&self) -> Result<Option<SequenceId>, StoreError>;

    /// Remembers where a scrub is; `None` at its end. Not synced: one that is lost only costs reading some more again.
    ///
    /// # Errors
    /// Writing failed.
    fn keep_scrub_position(&self, at: Option<&SequenceId>) -> Result<(), StoreError>;

    /// Tries a small synced write, repairing the backend first where that can be done. `Ok` means that batches can be
    /// committed again.
    ///
    /// # Errors
    /// Writing is still impossible.
    fn probe(&self) -> Result<(), StoreError>;

    /// Looks at every copy of what belongs to a batch, on all drives, and puts right those that are missing or wrong.
    ///
    /// # Errors
    /// The store cannot be read, or too little is left of a value.
    fn mend(&self, digest: &BatchDigest) -> Result<(), StoreError>;

    /// The drives below, in order; empty if the store lies in one folder.
    fn drives(&self) -> Vec<DriveStatus>;

    /// Looks after the drives, and copies a piece to one that is rebuilt. Returns the bytes copied; `None` when there is
    /// nothing to copy now.
    ///
    /// # Errors
    /// Something could not be read or written; it is tried again on the next call.
    fn tend_drives(&self) -> Result<Option<u64>, StoreError>;
}

/// A signed record under its number, or why it cannot be read.
pub type Promise = (SequenceId, Result<SignedRecord, StoreError>);

/// What a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
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

impl Totals {
    fn add(&mut self, batch: BatchSummary) {
        self.batches += 1;
        self.blobs += u64::from(batch.blobs);
        self.bytes += batch.bytes;
    }
}

/// What a store can fail with.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "store", blame = Us)]
pub enum StoreError {
    /// The key-value store below failed.
    #[error("{doing}: {source}")]
    #[coded(transparent)]
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
    #[error("{at} was used for batch {existing} already, now for {offered}")]
    #[coded("sequence_conflict", blame = Caller)]
    Conflict {
        /// Whose number.
        at: SequenceId,
        /// The digest of the record.
        existing: BatchDigest,
        /// The digest of the batch that came now.
        offered: BatchDigest,
    },
    /// A signature for a batch that has no record.
    #[error("no record of batch {digest} under {at}")]
    NoRecord {
        /// Whose number.
        at: SequenceId,
        /// The digest looked for.
        digest: BatchDigest,
    },
    /// The number is spent: a protection file says so.
    #[error("{at} is spent: every number up to {floor} may have been signed elsewhere")]
    #[coded(blame = Caller)]
    BelowFloor {
        /// Whose number.
        at: SequenceId,
        /// The highest number that is spent.
        floor: Sequence,
    },
    /// The database was exported for moving: another one signs now.
    #[error(
        "signing has ended with this database: its protection file was exported, or its key was retired; another one may sign now"
    )]
    Moved,
    /// A database that no node has made its own.
    #[error("the database is empty: it is no node's")]
    Empty,
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

#[cfg(test)]
pub(crate) mod tests;
