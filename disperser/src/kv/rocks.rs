//! The tables in RocksDB, one column family each. Large payloads are written once, to a [`ValueLog`]; the database keeps a pointer.

use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ashlar_service::value_log::{self, Gone, ValueLog};
use fail::fail_point;
use rocksdb::{
    ColumnFamilyDescriptor, DB, DBCompressionType, Direction, IteratorMode, Options, WriteBatch,
    WriteOptions,
};

use super::{Entry, Kv, KvError, Op, Table};

/// What can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Memory of all write buffers together, bytes.
    pub write_buffer_bytes: u64,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            write_buffer_bytes: 64 << 20,
        }
    }
}

/// Payloads from this size on go to the value log: what is smaller is written twice, with one sync instead of two.
const VALUE_LOG_FROM: usize = 16 << 10;
/// Folder of the value log, within that of the database.
const VALUES: &str = "values";
/// Payloads that end within the same time go together.
const GROUP_MS: u64 = 300_000;

/// RocksDB. Checksummed, uncompressed payloads; a torn tail of the log after a power cut is dropped, which loses nothing
/// that was synced.
pub struct RocksKv {
    db: DB,
    values: ValueLog,
    /// The first group that may still be read.
    first_group: AtomicU64,
}

impl RocksKv {
    /// Opens or creates the database in this folder. Blocks, for seconds if a log has to be replayed.
    ///
    /// # Errors
    /// The folder cannot be used, or another process uses it.
    pub fn open(path: &Path, options: RocksOptions) -> Result<Self, KvError> {
        let fail = |detail: String| KvError::Open {
            path: path.display().to_string(),
            detail,
        };
        ashlar_service::folder::make(path).map_err(|e| fail(e.to_string()))?;
        ashlar_service::manifest::mend(path).map_err(|e| fail(e.to_string()))?;
        let mut db = Options::default();
        db.create_if_missing(true);
        db.create_missing_column_families(true);
        db.set_db_write_buffer_size(
            usize::try_from(options.write_buffer_bytes).unwrap_or(usize::MAX),
        );
        db.set_max_total_wal_size(options.write_buffer_bytes.saturating_mul(4));
        db.set_keep_log_file_num(4);
        db.set_max_open_files(512);
        db.set_paranoid_checks(true);
        let families = Table::ALL.map(|table| ColumnFamilyDescriptor::new(table.name(), family()));
        let db = DB::open_cf_descriptors(&db, path, families).map_err(|e| fail(e.to_string()))?;
        let values =
            ValueLog::open(&path.join(VALUES), |_| true).map_err(|e| fail(e.to_string()))?;
        Ok(Self {
            db,
            values,
            first_group: AtomicU64::new(0),
        })
    }

    /// A value from what the table keeps of it.
    fn resolve(&self, table: Table, stored: Vec<u8>) -> Result<Vec<u8>, KvError> {
        if table != Table::Payloads {
            return Ok(stored);
        }
        let value = self.values.resolve(stored.into());
        value.map(Vec::from).map_err(read_failed)
    }

    fn family(
        &self,
        table: Table,
    ) -> Result<std::sync::Arc<rocksdb::BoundColumnFamily<'_>>, KvError> {
        // All are created when the database is opened.
        self.db
            .cf_handle(table.name())
            .ok_or_else(|| KvError::Read {
                detail: format!("the column family {} is missing", table.name()),
            })
    }
}

fn read_failed(error: impl std::fmt::Display) -> KvError {
    KvError::Read {
        detail: error.to_string(),
    }
}

fn write_failed(error: impl std::fmt::Display) -> KvError {
    KvError::Write {
        detail: error.to_string(),
    }
}

fn family() -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    options
}

impl Kv for RocksKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let stored = self.db.get_cf(&self.family(table)?, key);
        let stored = stored.map_err(read_failed)?;
        stored.map(|stored| self.resolve(table, stored)).transpose()
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        self.db
            .iterator_cf(
                &self.family(table)?,
                IteratorMode::From(from, Direction::Forward),
            )
            .take(limit)
            .map(|entry| {
                let (key, stored) = entry.map_err(read_failed)?;
                Ok((key.into_vec(), self.resolve(table, stored.into_vec())?))
            })
            .collect()
    }

    fn write(&self, ops: Vec<Op>, sync: bool) -> Result<(), KvError> {
        let mut batch = WriteBatch::default();
        let mut values = self.values.append();
        for op in ops {
            match op {
                Op::Put(table, key, value) => {
                    let stored = match table {
                        Table::Payloads => Cow::Owned(value_log::inline(&value)),
                        _ => Cow::Borrowed(value.as_slice()),
                    };
                    batch.put_cf(&self.family(table)?, key, stored);
                }
                Op::PutUntil(table, key, value, until_ms) => {
                    let stored = if sync && value.len() >= VALUE_LOG_FROM {
                        let group = until_ms.div_ceil(GROUP_MS);
                        values.put(group, &value).map_err(write_failed)?.stored()
                    } else {
                        value_log::inline(&value)
                    };
                    batch.put_cf(&self.family(table)?, key, stored);
                }
                Op::Delete(table, key) => batch.delete_cf(&self.family(table)?, key),
            }
        }
        // Before the log has any pointer.
        values.sync().map_err(write_failed)?;
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        fail_point!("rocks.write");
        self.db.write_opt(batch, &options).map_err(write_failed)?;
        fail_point!("rocks.written");
        Ok(())
    }

    fn forget(&self, time_ms: u64) -> Result<(), KvError> {
        // The end of a group is not before any time in it.
        let first = time_ms.div_ceil(GROUP_MS);
        if first <= self.first_group.load(Ordering::SeqCst) {
            return Ok(());
        }
        // No power cut brings a pointer back whose value is gone.
        self.db.flush_wal(true).map_err(write_failed)?;
        let gone = self.values.take_out(|group| group < first);
        gone.and_then(Gone::remove).map_err(write_failed)?;
        self.first_group.store(first, Ordering::SeqCst);
        Ok(())
    }
}
