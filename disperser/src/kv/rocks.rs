//! The tables in RocksDB, one column family each.

use std::path::Path;

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

/// Values from this size on are kept in files of their own (BlobDB): compactions move keys, not payloads.
const BLOB_FILE_FROM: u64 = 16 << 10;

/// RocksDB. Checksummed, uncompressed payloads; a torn tail of the log after a power cut is dropped, which loses nothing
/// that was synced.
pub struct RocksKv {
    db: DB,
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
        let families =
            Table::ALL.map(|table| ColumnFamilyDescriptor::new(table.name(), family(table)));
        let db = DB::open_cf_descriptors(&db, path, families).map_err(|e| fail(e.to_string()))?;
        Ok(Self { db })
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

fn family(table: Table) -> Options {
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::None);
    if table == Table::Payloads {
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_FILE_FROM);
        options.set_enable_blob_gc(true);
    }
    options
}

impl Kv for RocksKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.db
            .get_cf(&self.family(table)?, key)
            .map_err(|e| KvError::Read {
                detail: e.to_string(),
            })
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        self.db
            .iterator_cf(
                &self.family(table)?,
                IteratorMode::From(from, Direction::Forward),
            )
            .take(limit)
            .map(|entry| {
                entry
                    .map(|(key, value)| (key.into_vec(), value.into_vec()))
                    .map_err(|e| KvError::Read {
                        detail: e.to_string(),
                    })
            })
            .collect()
    }

    fn write(&self, ops: Vec<Op>, sync: bool) -> Result<(), KvError> {
        let mut batch = WriteBatch::default();
        for op in ops {
            match op {
                Op::Put(table, key, value) => batch.put_cf(&self.family(table)?, key, value),
                Op::Delete(table, key) => batch.delete_cf(&self.family(table)?, key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db
            .write_opt(batch, &options)
            .map_err(|e| KvError::Write {
                detail: e.to_string(),
            })
    }
}
