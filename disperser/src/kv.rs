//! Ordered tables of bytes with atomic writes: RocksDB, and a twin in memory for tests.

mod memory;
mod rocks;

use ashlar_crypto::Coded;
use bytes::Bytes;

pub use memory::{MemoryKv, PanicAt};
pub use rocks::{RocksKv, RocksOptions};

/// The tables. Their names are on disk: a test pins them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Format, owner, sequence counter.
    Meta,
    /// Blob id → record (JSON).
    Blobs,
    /// Blob id → payload (raw).
    Payloads,
    /// Blob id → commitments, 48 bytes a row: claimed ones until the blob is encoded, then true ones.
    Commitments,
    /// Blob key → blob id.
    Keys,
    /// Order of acceptance → id of a blob that is neither certified nor failed.
    Open,
    /// Batch digest → record (JSON).
    Batches,
    /// Sequence number → digest of a batch that is neither certified nor abandoned.
    OpenBatches,
    /// Blob id → the certificate that was issued (compact).
    Certificates,
    /// Blob id → a later certificate with more signers, if there is one (compact).
    BetterCertificates,
    /// Time of expiry | kind | id → nothing.
    Expiry,
    /// Account → its record (JSON). Kept for ever: vouchers are cumulative.
    Accounts,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 12] = [
        Self::Meta,
        Self::Blobs,
        Self::Payloads,
        Self::Commitments,
        Self::Keys,
        Self::Open,
        Self::Batches,
        Self::OpenBatches,
        Self::Certificates,
        Self::BetterCertificates,
        Self::Expiry,
        Self::Accounts,
    ];

    /// Name of the column family.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Blobs => "blobs",
            Self::Payloads => "payloads",
            Self::Commitments => "commitments",
            Self::Keys => "keys",
            Self::Open => "open",
            Self::Batches => "batches",
            Self::OpenBatches => "open_batches",
            Self::Certificates => "certificates",
            Self::BetterCertificates => "better_certificates",
            Self::Expiry => "expiry",
            Self::Accounts => "accounts",
        }
    }
}

/// One change of an atomic write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Insert or replace.
    Put(Table, Vec<u8>, Vec<u8>),
    /// The same, for a payload that nobody needs after a time, milliseconds since 1970: see [`Kv::forget`].
    PutUntil(Table, Vec<u8>, Bytes, u64),
    /// Remove, if present.
    Delete(Table, Vec<u8>),
}

/// Key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Ordered tables of bytes. All calls block: async code calls them from blocking threads.
pub trait Kv: Send + Sync + 'static {
    /// A value.
    ///
    /// # Errors
    /// The database fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// At most `limit` entries with keys from `from` on, in order.
    ///
    /// # Errors
    /// The database fails.
    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError>;

    /// Applies all changes or none. With `sync` they, and all earlier ones, survive a power cut when this returns.
    ///
    /// # Errors
    /// The database fails; then nothing was applied.
    fn write(&self, ops: Vec<Op>, sync: bool) -> Result<(), KvError>;

    /// Values that were put until a time before this one, milliseconds since 1970, are not read any more: they need not stay.
    ///
    /// # Errors
    /// The database fails.
    fn forget(&self, _time_ms: u64) -> Result<(), KvError> {
        Ok(())
    }
}

/// The database failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "store", blame = Us)]
pub enum KvError {
    /// It cannot be opened.
    #[error("the database {path} cannot be opened: {detail}")]
    Open {
        /// Its folder.
        path: String,
        /// As the database says.
        detail: String,
    },
    /// It cannot be read.
    #[error("the database cannot be read: {detail}")]
    Read {
        /// As the database says.
        detail: String,
    },
    /// It cannot be written.
    #[error("the database cannot be written: {detail}")]
    Write {
        /// As the database says.
        detail: String,
    },
}

#[cfg(test)]
mod tests;
