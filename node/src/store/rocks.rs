//! The backend on disk: RocksDB, one column family for each space.
//!
//! * Slices are large and never change. Those of a large write go to a [`ValueLog`] and are written once; the database keeps a pointer.
//!   Those of a small one go to the write-ahead log, for one sync is faster than two, and from there to blob files (values from
//!   4 KiB up), so that compaction moves keys only. Nothing is compressed: erasure-coded field elements do not shrink.
//! * A synced write returns when the values and then the write-ahead log are on disk. What a crash leaves at the end of the log was never
//!   acknowledged, and is given up, whatever it looks like: cut off, zeros, a hole. Damage anywhere else refuses to open, because
//!   a signed record would be forgotten. See [`RECOVERY`]. The same goes for the list of files, see [`manifest::mend`].
//! * RocksDB stops writing after a failed sync and stays so. [`Backend::recover`] closes and opens it again.
//!
//! Memory: write buffers and block cache, see [`RocksOptions`], plus, while a small batch is written, two copies of it (write batch
//! and write buffer).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ashlar_service::manifest::{self, ManifestError};
use ashlar_service::value_log::{self, Gone, ValueError, ValueLog};
use bytes::Bytes;
use fail::fail_point;
use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, Direction, ErrorKind, IteratorMode, MergeOperands, Options, ReadOptions,
    WriteBatch, WriteOptions,
    statistics::{Histogram, StatsLevel},
};

use super::{Backend, BackendError, Durability, Put, Space, Syncs, WindowId};

/// Values from this size on are kept apart from their keys.
const MIN_BLOB_BYTES: u64 = 4096;
/// What makes a write large, unless the options say otherwise: below it a second sync takes longer than the bytes.
const LARGE_WRITE_BYTES: usize = 256 << 10;
/// Folder of the value log, within that of the database.
const VALUES: &str = "values";
const BLOB_FILE_BYTES: u64 = 256 << 20;
const DEFAULT_SPACE: &str = "default";

/// What becomes of damaged records of the log.
///
/// A power cut may leave any subset of the pages that were not synced: the last record cut off, zeros at its end, a hole inside
/// it; and as signatures are noted without a sync, the same in notes before it. None of that was acknowledged, so a node has to
/// open. A record that was synced is another matter: behind damage in it lie promises.
///
/// * `AbsoluteConsistency` opens on none of it.
/// * `TolerateCorruptedTailRecords` opens on a record that is cut off, and refuses one with a hole or zeros in it.
/// * `PointInTime` opens on everything, and forgets all that lies behind the damage, synced or not.
/// * `SkipAnyCorruptedRecord` opens on everything, and keeps all that can be read.
///
/// The last, with a [`Tally`]: synced writes are numbered, and every write says up to which number all had been acknowledged when
/// it began. If one of those is not there, the database is corrupt. Damage in a mere note loses the note, which is made again.
/// What no log can tell from a crash is damage at its very end: RocksDB gives up the rest of a block of 32 KiB with it.
const RECOVERY: DBRecoveryMode = DBRecoveryMode::SkipAnyCorruptedRecord;
/// Key of the [`Tally`], in the column family that RocksDB itself wants; it is in no space.
const TALLY: &[u8] = b"log/synced";

/// Synced writes, numbered from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tally {
    /// All up to this one were acknowledged.
    acknowledged: u64,
    /// Those that are here, first and last number of each run, ascending.
    here: Vec<(u64, u64)>,
}

impl Tally {
    fn encode(&self) -> Vec<u8> {
        let runs = self.here.iter().flat_map(|(first, last)| [*first, *last]);
        let numbers = std::iter::once(self.acknowledged).chain(runs);
        numbers.flat_map(u64::to_be_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else {
            return None;
        };
        let mut numbers = numbers.iter().map(|number| u64::from_be_bytes(*number));
        let acknowledged = numbers.next()?;
        let mut here = Vec::new();
        while let Some(first) = numbers.next() {
            here.push((first, numbers.next()?));
        }
        Some(Self { acknowledged, here })
    }

    /// RocksDB adds tallies up, as they come from the log and when it compacts. `None` makes reading fail.
    fn add(_key: &[u8], before: Option<&[u8]>, more: &MergeOperands) -> Option<Vec<u8>> {
        let mut sum = Self::default();
        for bytes in before.into_iter().chain(more) {
            let one = Self::decode(bytes)?;
            sum.acknowledged = sum.acknowledged.max(one.acknowledged);
            sum.here.extend(one.here);
        }
        sum.here.sort_unstable();
        sum.here.dedup_by(|next, run| {
            let joined = next.0 <= run.1.saturating_add(1);
            if joined {
                run.1 = run.1.max(next.1);
            }
            joined
        });
        Some(sum.encode())
    }

    /// That of a database which was just opened.
    fn read(db: &DB) -> Result<Self, BackendError> {
        let corrupt = |detail: String| BackendError::Corrupt { detail };
        let bytes = match db.cf_handle(DEFAULT_SPACE) {
            Some(cf) => db.get_cf(&cf, TALLY).map_err(from_rocks)?,
            None => None,
        };
        let tally = match bytes {
            Some(bytes) => Self::decode(&bytes)
                .ok_or_else(|| corrupt(format!("{} bytes in the tally of writes", bytes.len())))?,
            None => Self::default(),
        };
        let whole = match tally.here.first() {
            Some((1, last)) => *last,
            _ => 0,
        };
        if whole < tally.acknowledged {
            return Err(corrupt(format!(
                "the log is damaged: write {} is missing, {} were on disk",
                whole + 1,
                tally.acknowledged
            )));
        }
        Ok(tally)
    }
}

/// Numbers of synced writes.
#[derive(Debug)]
struct Numbers {
    next: u64,
    /// Also those that failed: whether they are in the log is not known.
    under_way: BTreeSet<u64>,
    /// Whether one was acknowledged since the database was opened. Until then each says that all before it are here: numbers of
    /// writes that a crash cut off are not given again.
    begun: bool,
}

impl Numbers {
    fn after(tally: &Tally) -> Self {
        Self {
            next: tally.here.last().map_or(0, |(_, last)| *last) + 1,
            under_way: BTreeSet::new(),
            begun: false,
        }
    }

    /// All up to this one were acknowledged.
    fn acknowledged(&self) -> u64 {
        let first_open = self.under_way.first().copied().unwrap_or(self.next);
        if self.begun { first_open - 1 } else { 0 }
    }

    fn begin(&mut self) -> (u64, Tally) {
        let number = self.next;
        self.next += 1;
        self.under_way.insert(number);
        let tally = Tally {
            acknowledged: self.acknowledged(),
            here: vec![(if self.begun { number } else { 1 }, number)],
        };
        (number, tally)
    }

    fn acknowledge(&mut self, number: u64) {
        self.under_way.remove(&number);
        self.begun = true;
    }
}

/// How to open the database.
#[derive(Debug, Clone)]
pub struct RocksOptions {
    /// Folder.
    pub path: PathBuf,
    /// Whether a database is made if there is none. A node that has a database never sets it: a volume that is not mounted
    /// would look like a new one.
    pub create: bool,
    /// Most bytes in write buffers, over all spaces. The write-ahead log is kept to about as much.
    pub write_buffer_bytes: usize,
    /// Bytes of the block cache.
    pub cache_bytes: usize,
    /// Most files held open.
    pub max_open_files: i32,
    /// The slices of a write of so many bytes or more go to the log of values, which syncs them in any case.
    pub large_write_bytes: usize,
}

impl RocksOptions {
    /// The usual options for a folder with a database in it: 256 MiB of write buffers, a cache of 32 MiB, 512 files, large writes from
    /// 256 KiB on.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            create: false,
            write_buffer_bytes: 256 << 20,
            cache_bytes: 32 << 20,
            max_open_files: 512,
            large_write_bytes: LARGE_WRITE_BYTES,
        }
    }
}

/// RocksDB in a folder.
pub struct RocksBackend {
    options: RocksOptions,
    /// Of all databases that are opened here one after another: they count the statistics.
    db_options: Options,
    cache: Cache,
    values: ValueLog,
    /// `None` after a failed attempt to reopen. Taken for writing only by `recover`.
    db: RwLock<Option<DB>>,
    /// Taken for writing while a window is made or dropped, so that nobody writes into a window that is being dropped.
    windows: RwLock<Vec<WindowId>>,
    /// Only one `recover` at a time.
    recovering: Mutex<()>,
    numbers: Mutex<Numbers>,
}

impl std::fmt::Debug for RocksBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksBackend")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl RocksBackend {
    /// Opens the database, or makes it where the options say so.
    ///
    /// # Errors
    /// There is none, it is open elsewhere, corrupt, or cannot be written.
    pub fn open(options: RocksOptions) -> Result<Self, BackendError> {
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let db_options = database_options(&options)?;
        let (db, windows, tally) = open_db(&options, &db_options, &cache)?;
        let is_kept = |window| windows.binary_search(&WindowId(window)).is_ok();
        let values = ValueLog::open(&options.path.join(VALUES), is_kept).map_err(from_values)?;
        Ok(Self {
            values,
            db_options,
            // Opening again after a failed write makes nothing new.
            options: RocksOptions {
                create: false,
                ..options
            },
            cache,
            db: RwLock::new(Some(db)),
            windows: RwLock::new(windows),
            recovering: Mutex::new(()),
            numbers: Mutex::new(Numbers::after(&tally)),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<DB>> {
        self.db.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn windows_read(&self) -> RwLockReadGuard<'_, Vec<WindowId>> {
        self.windows.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn windows_write(&self) -> RwLockWriteGuard<'_, Vec<WindowId>> {
        self.windows.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A window that exists and cannot be dropped as long as the guard lives. It is created if it is missing. Must be
    /// called without the lock on `windows`.
    fn hold_window(
        &self,
        db: &DB,
        window: WindowId,
    ) -> Result<RwLockReadGuard<'_, Vec<WindowId>>, BackendError> {
        loop {
            let windows = self.windows_read();
            if windows.binary_search(&window).is_ok() {
                return Ok(windows);
            }
            drop(windows);
            let mut windows = self.windows_write();
            if let Err(place) = windows.binary_search(&window) {
                let space = Space::Window(window);
                db.create_cf(
                    space.name(),
                    &space_options(space, &self.options, &self.cache),
                )
                .map_err(from_rocks)?;
                fail_point!("rocks.window");
                windows.insert(place, window);
            }
        }
    }

    /// A value from what the database keeps of it; `None` if its window was dropped just now.
    fn resolve(&self, space: Space, stored: Bytes) -> Result<Option<Bytes>, BackendError> {
        let Space::Window(window) = space else {
            return Ok(Some(stored));
        };
        match self.values.resolve(stored) {
            Err(error) if error.is_missing() => match self.windows_read().contains(&window) {
                true => Err(BackendError::Corrupt {
                    detail: error.to_string(),
                }),
                false => Ok(None),
            },
            value => value.map(Some).map_err(from_values),
        }
    }
}

fn opened(db: &Option<DB>) -> Result<&DB, BackendError> {
    db.as_ref().ok_or_else(|| BackendError::Closed {
        detail: "it could not be opened again after a failed write".into(),
    })
}

fn handle(db: &DB, space: Space) -> Option<Arc<BoundColumnFamily<'_>>> {
    db.cf_handle(&space.name())
}

fn database_options(options: &RocksOptions) -> Result<Options, BackendError> {
    // Opening a full disk must work, for serving: what is in the log stays there until there is room to flush it.
    let mut db = Options::default()
        .get_options_from_string("avoid_flush_during_recovery=true")
        .map_err(from_rocks)?;
    db.create_if_missing(options.create);
    db.create_missing_column_families(options.create);
    db.set_wal_recovery_mode(RECOVERY);
    db.set_paranoid_checks(true);
    db.set_db_write_buffer_size(options.write_buffer_bytes);
    // Windows that see no more writes are flushed when the log gets long; else their first records would pin it.
    db.set_max_total_wal_size(options.write_buffer_bytes as u64);
    db.set_max_open_files(options.max_open_files);
    db.set_max_background_jobs(2);
    db.set_keep_log_file_num(4);
    db.set_max_log_file_size(8 << 20);
    // How long a sync takes is known to nobody else: several writes share one.
    db.enable_statistics();
    db.set_statistics_level(StatsLevel::ExceptDetailedTimers);
    Ok(db)
}

fn space_options(space: Space, options: &RocksOptions, cache: &Cache) -> Options {
    let mut cf = Options::default();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_bloom_filter(10.0, false);
    cf.set_block_based_table_factory(&table);
    cf.set_compression_type(DBCompressionType::None);
    if let Space::Window(_) = space {
        cf.set_write_buffer_size(options.write_buffer_bytes / 2);
        cf.set_enable_blob_files(true);
        cf.set_min_blob_size(MIN_BLOB_BYTES);
        cf.set_blob_file_size(BLOB_FILE_BYTES);
        cf.set_blob_compression_type(DBCompressionType::None);
        // A window is dropped whole; nothing in it is ever garbage.
        cf.set_enable_blob_gc(false);
    } else {
        cf.set_write_buffer_size(4 << 20);
    }
    // For the column family of the tally, which is opened as a space that stays.
    cf.set_merge_operator_associative("tally", Tally::add);
    cf
}

fn open_db(
    options: &RocksOptions,
    db_options: &Options,
    cache: &Cache,
) -> Result<(DB, Vec<WindowId>, Tally), BackendError> {
    if options.create {
        ashlar_service::folder::make(&options.path).map_err(|error| BackendError::Io {
            detail: format!("create the folder {}: {error}", options.path.display()),
        })?;
    }
    manifest::mend(&options.path).map_err(|error| {
        let detail = error.to_string();
        match error {
            ManifestError::Damaged { .. } => BackendError::Corrupt { detail },
            ManifestError::Io { .. } => BackendError::Io { detail },
        }
    })?;
    // A database has this file from the first moment on; `list_cf` fails without it.
    let names = if options.path.join("CURRENT").exists() {
        DB::list_cf(db_options, &options.path).map_err(from_rocks)?
    } else {
        Vec::new()
    };
    let mut spaces = Space::KEPT.to_vec();
    let mut windows = Vec::new();
    for name in names.iter().filter(|name| name.as_str() != DEFAULT_SPACE) {
        match Space::from_name(name) {
            Some(Space::Window(window)) => {
                windows.push(window);
                spaces.push(Space::Window(window));
            }
            Some(_) => {}
            None => {
                return Err(BackendError::Corrupt {
                    detail: format!("unknown column family {name:?}"),
                });
            }
        }
    }
    windows.sort_unstable();
    let families = spaces
        .into_iter()
        .map(|space| {
            ColumnFamilyDescriptor::new(space.name(), space_options(space, options, cache))
        })
        .chain([ColumnFamilyDescriptor::new(
            DEFAULT_SPACE,
            space_options(Space::Meta, options, cache),
        )]);
    let db = DB::open_cf_descriptors(db_options, &options.path, families).map_err(from_rocks)?;
    let tally = Tally::read(&db)?;
    Ok((db, windows, tally))
}

/// The kind of an error. RocksDB has no code of its own for a full disk in this interface, only its text; that is the
/// operating system's, so it is stable.
fn from_rocks(error: rocksdb::Error) -> BackendError {
    let detail = error.to_string();
    match error.kind() {
        _ if detail.contains("No space left on device") => BackendError::NoSpace { detail },
        ErrorKind::Corruption => BackendError::Corrupt { detail },
        ErrorKind::IOError if detail.contains("lock") && detail.contains("LOCK") => {
            BackendError::Locked { detail }
        }
        _ => BackendError::Io { detail },
    }
}

fn from_values(error: ValueError) -> BackendError {
    let detail = error.to_string();
    match error {
        _ if error.is_full() => BackendError::NoSpace { detail },
        ValueError::Io { .. } => BackendError::Io { detail },
        ValueError::Corrupt { .. } | ValueError::Stored { .. } => BackendError::Corrupt { detail },
    }
}

impl Backend for RocksBackend {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        let guard = self.read();
        let db = opened(&guard)?;
        let Some(cf) = handle(db, space) else {
            return Ok(None);
        };
        match db.get_cf(&cf, key).map_err(from_rocks)? {
            Some(stored) => self.resolve(space, stored.into()),
            None => Ok(None),
        }
    }

    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError> {
        let guard = self.read();
        let db = opened(&guard)?;
        let large = size_hint >= self.options.large_write_bytes;
        let mut batch = WriteBatch::with_capacity_bytes(if large { 0 } else { size_hint });
        let mut values = self.values.append();
        // Held until the write is done: a window must not be dropped under it.
        let mut held: Option<(RwLockReadGuard<'_, Vec<WindowId>>, WindowId)> = None;
        for put in puts {
            if let Space::Window(window) = put.space
                && held.as_ref().is_none_or(|(_, known)| *known != window)
            {
                // Making a window takes the lock for writing. A batch lies in one window, so nothing is given up here.
                drop(held.take());
                held = Some((self.hold_window(db, window)?, window));
            }
            let cf = handle(db, put.space).ok_or_else(|| BackendError::Io {
                detail: format!("no column family {}", put.space.name()),
            })?;
            let Some(value) = &put.value else {
                batch.delete_cf(&cf, &put.key);
                continue;
            };
            let stored = match put.space {
                Space::Window(WindowId(end)) if large && value.len() as u64 >= MIN_BLOB_BYTES => {
                    let pointer = values.put(end, value).map_err(from_values)?;
                    Cow::Owned(pointer.stored())
                }
                Space::Window(_) => Cow::Owned(value_log::inline(value)),
                _ => Cow::Borrowed(value.as_ref()),
            };
            batch.put_cf(&cf, &put.key, stored);
        }
        // Before the log has any pointer.
        values.sync().map_err(from_values)?;
        let cf = db
            .cf_handle(DEFAULT_SPACE)
            .ok_or_else(|| BackendError::Io {
                detail: format!("no column family {DEFAULT_SPACE}"),
            })?;
        let mut options = WriteOptions::default();
        if durability == Durability::Buffered {
            let tally = Tally {
                acknowledged: self.numbers().acknowledged(),
                here: Vec::new(),
            };
            batch.merge_cf(&cf, TALLY, tally.encode());
            return db.write_opt(batch, &options).map_err(from_rocks);
        }
        let (number, tally) = self.numbers().begin();
        batch.merge_cf(&cf, TALLY, tally.encode());
        options.set_sync(true);
        fail_point!("rocks.write");
        db.write_opt(batch, &options).map_err(from_rocks)?;
        fail_point!("rocks.written");
        self.numbers().acknowledge(number);
        Ok(())
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError> {
        let guard = self.read();
        let db = opened(&guard)?;
        let Some(cf) = handle(db, space) else {
            return Ok(Vec::new());
        };
        let from = after.filter(|a| *a > prefix).unwrap_or(prefix);
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        let mut out = Vec::new();
        for entry in db.iterator_cf_opt(&cf, options, IteratorMode::From(from, Direction::Forward))
        {
            let (key, value) = entry.map_err(from_rocks)?;
            if !key.starts_with(prefix) || out.len() >= limit {
                break;
            }
            if after.is_none_or(|after| key.as_ref() > after)
                && let Some(value) = self.resolve(space, value.into())?
            {
                out.push((key.into_vec(), value));
            }
        }
        Ok(out)
    }

    fn windows(&self) -> Vec<WindowId> {
        self.windows_read().clone()
    }

    fn drop_window(&self, window: WindowId) -> Result<(), BackendError> {
        let guard = self.read();
        let db = opened(&guard)?;
        let mut windows = self.windows_write();
        if let Ok(place) = windows.binary_search(&window) {
            db.drop_cf(&Space::Window(window).name())
                .map_err(from_rocks)?;
            fail_point!("rocks.dropped");
            windows.remove(place);
            let gone = self.values.take_out(|end| end == window.0);
            // Writers do not wait for it.
            drop(windows);
            gone.and_then(Gone::remove).map_err(from_values)?;
        }
        Ok(())
    }

    fn syncs(&self) -> Syncs {
        let syncs = self
            .db_options
            .get_histogram_data(Histogram::WalFileSyncMicros);
        let (count, micros) = self.values.syncs();
        Syncs {
            count: syncs.count() + count,
            micros: syncs.sum() + micros,
        }
    }

    fn recover(&self, mark: &Put) -> Result<(), BackendError> {
        let _alone = self
            .recovering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut guard = self.db.write().unwrap_or_else(PoisonError::into_inner);
        // The old one has to be closed before its lock file is free.
        drop(guard.take());
        // Opening again after a failed write makes nothing new.
        let mut db_options = self.db_options.clone();
        db_options.create_if_missing(false);
        db_options.create_missing_column_families(false);
        let (db, windows, tally) = match open_db(&self.options, &db_options, &self.cache) {
            Ok(opened) => opened,
            Err(error) => {
                // Serving must go on even if writing cannot: read-only opening needs no room.
                let names = DB::list_cf(&Options::default(), &self.options.path)
                    .map_err(|_| error.clone())?;
                let families = names.into_iter().map(|name| {
                    let space = Space::from_name(&name).unwrap_or(Space::Meta);
                    ColumnFamilyDescriptor::new(
                        name,
                        space_options(space, &self.options, &self.cache),
                    )
                });
                *guard = DB::open_cf_descriptors_read_only(
                    &db_options,
                    &self.options.path,
                    families,
                    false,
                )
                .ok();
                return Err(error);
            }
        };
        // Closing writes a new list of files: in the folder of a volume that is gone it makes a database without anything in it.
        let there = match handle(&db, mark.space) {
            Some(cf) => db.get_cf(&cf, &mark.key).map_err(from_rocks)?,
            None => None,
        };
        let there = there.map(Bytes::from);
        if there.is_none() || there != mark.value {
            return Err(BackendError::Replaced);
        }
        *self.numbers() = Numbers::after(&tally);
        *guard = Some(db);
        *self.windows_write() = windows;
        Ok(())
    }
}

/// See [`crate::fuzzing`].
pub(super) mod fuzzing {
    use ashlar_service::value_log::Pointer;

    use super::Tally;

    /// The tally of synced writes, and where a value is in the log of values.
    pub fn tally(bytes: &[u8]) {
        if let Some(tally) = Tally::decode(bytes) {
            assert_eq!(tally.encode(), bytes);
        }
        if let Some(pointer) = Pointer::parse(bytes) {
            assert_eq!(pointer.stored(), bytes);
        }
    }
}
