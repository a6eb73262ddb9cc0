//! Large values beside a key-value database, written once.
//!
//! RocksDB writes a value at least twice: to its log, and from memory to a file. A [`ValueLog`] appends it to a file of its own and
//! syncs that; the database keeps a [`Pointer`] in the value's place. RocksDB's own feature of this kind
//! (`enable_blob_direct_write`) cannot be used yet: what it wrote since the last flush is lost in a crash.
//!
//! ```text
//! folder/   <group>-<number>.values     values one after another, with nothing between them
//! ```
//!
//! * [`Append::put`] writes, [`Append::sync`] makes it durable, the name of the file included. Only then may a pointer be written. So a
//!   pointer always leads to a value, and what a crash leaves at the end of a file has none.
//! * A file is written to by one process, and never again after its sync has failed.
//! * Nothing is changed or removed but a whole group of files. What is replaced or lost its pointer takes room until then.
//! * Appends at the same time share syncs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use fail::fail_point;

use crate::folder;

#[cfg(test)]
mod tests;

/// A new file is begun behind so many bytes.
const FILE_BYTES: u64 = 1 << 30;
/// What is kept in the database: the value itself, or where it is.
const INLINE: u8 = 0;
const POINTER: u8 = 1;

/// What a value log fails with.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// A file or the folder cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// As the operating system says.
        #[source]
        error: io::Error,
    },
    /// A value is not what was written.
    #[error("{path}, {len} bytes from {at} on: {detail}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the value begins, bytes.
        at: u64,
        /// Bytes of the value.
        len: u64,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The database holds neither a value nor a pointer.
    #[error("{len} bytes in the database are neither a value nor a pointer to one")]
    Stored {
        /// So many bytes.
        len: usize,
    },
}

impl ValueError {
    /// Whether there is no room on the device.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == ErrorKind::StorageFull)
    }

    /// Whether the file is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == ErrorKind::NotFound)
    }
}

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    /// Group of its file.
    pub group: u64,
    /// Number of its file.
    pub file: u64,
    /// Its first byte there.
    pub at: u64,
    /// Its bytes.
    pub len: u64,
    /// Their CRC-32.
    pub checksum: u32,
}

impl Pointer {
    /// What the database keeps in place of the value.
    pub fn stored(&self) -> Vec<u8> {
        let mut out = vec![POINTER];
        for number in [self.group, self.file, self.at, self.len] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.checksum.to_be_bytes());
        out
    }

    /// From what [`stored`](Self::stored) gave.
    pub fn parse(stored: &[u8]) -> Option<Self> {
        let (&POINTER, rest) = stored.split_first()? else {
            return None;
        };
        let (numbers, checksum) = rest.split_last_chunk::<4>()?;
        let (&[group, file, at, len], []) = numbers.as_chunks::<8>() else {
            return None;
        };
        Some(Self {
            group: u64::from_be_bytes(group),
            file: u64::from_be_bytes(file),
            at: u64::from_be_bytes(at),
            len: u64::from_be_bytes(len),
            checksum: u32::from_be_bytes(*checksum),
        })
    }
}

/// What a database keeps of a value that stays in it.
pub fn inline(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + value.len());
    out.push(INLINE);
    out.extend_from_slice(value);
    out
}

/// A folder of values. See the module's text.
#[derive(Debug)]
pub struct ValueLog {
    folder: PathBuf,
    /// Number of the next file.
    next: AtomicU64,
    /// The file that is written to, by group.
    writing: Mutex<BTreeMap<u64, Arc<ValueFile>>>,
    syncs: AtomicU64,
    sync_micros: AtomicU64,
}

#[derive(Debug)]
struct ValueFile {
    group: u64,
    number: u64,
    path: PathBuf,
    file: File,
    /// Where the next value goes.
    end: AtomicU64,
    /// Appends that are written, synced or not.
    written: AtomicU64,
    synced: Mutex<Synced>,
}

#[derive(Debug, Default)]
struct Synced {
    /// So many of the appends are durable.
    appends: u64,
    failed: bool,
}

/// Files that nobody reads any more.
#[derive(Debug)]
#[must_use = "they are still there"]
pub struct Gone(Vec<PathBuf>);

/// Values on their way into a log: written, and durable after [`sync`](Self::sync).
#[derive(Debug)]
#[must_use = "nothing is durable before `sync`"]
pub struct Append<'a> {
    log: &'a ValueLog,
    files: Vec<Arc<ValueFile>>,
}

impl ValueLog {
    /// Opens the values in a folder, or makes it, and removes those of groups that are not kept. Nobody else may have it open.
    ///
    /// # Errors
    /// The folder cannot be made, read or written.
    pub fn open(folder: &Path, is_kept: impl Fn(u64) -> bool) -> Result<Self, ValueError> {
        folder::make(folder).map_err(|error| io_error(folder, error))?;
        let log = Self {
            folder: folder.to_path_buf(),
            next: AtomicU64::new(1),
            writing: Mutex::default(),
            syncs: AtomicU64::new(0),
            sync_micros: AtomicU64::new(0),
        };
        let last = log.list()?.into_iter().map(|(_, number)| number).max();
        log.next
            .store(last.map_or(1, |last| last + 1), Ordering::SeqCst);
        log.take_out(|group| !is_kept(group))?.remove()?;
        Ok(log)
    }

    /// Begins to append values.
    pub fn append(&self) -> Append<'_> {
        Append {
            log: self,
            files: Vec::new(),
        }
    }

    /// The value of what a database keeps.
    ///
    /// # Errors
    /// The value cannot be read, or is not what was written.
    pub fn resolve(&self, stored: Bytes) -> Result<Bytes, ValueError> {
        match stored.first() {
            Some(&INLINE) => Ok(stored.slice(1..)),
            _ => {
                let pointer = Pointer::parse(&stored);
                let pointer = pointer.ok_or(ValueError::Stored { len: stored.len() })?;
                self.read(&pointer)
            }
        }
    }

    fn read(&self, pointer: &Pointer) -> Result<Bytes, ValueError> {
        let path = self.path(pointer.group, pointer.file);
        let corrupt = |detail| ValueError::Corrupt {
            path: path.clone(),
            at: pointer.at,
            len: pointer.len,
            detail,
        };
        let io = |error| io_error(&path, error);
        let file = File::open(&path).map_err(io)?;
        // Memory is taken for what is there only.
        let there = file.metadata().map_err(io)?.len();
        let end = pointer.at.checked_add(pointer.len);
        if end.is_none_or(|end| end > there) {
            return Err(corrupt("the file is shorter"));
        }
        let len = usize::try_from(pointer.len).map_err(|_| corrupt("it does not fit in memory"))?;
        let mut value = vec![0; len];
        file.read_exact_at(&mut value, pointer.at).map_err(io)?;
        if crc32fast::hash(&value) != pointer.checksum {
            return Err(corrupt("it has another checksum"));
        }
        Ok(value.into())
    }

    /// Gives up the files that groups have now. Nobody may be appending to them; what is appended later is in other files.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn take_out(&self, is_gone: impl Fn(u64) -> bool) -> Result<Gone, ValueError> {
        self.writing().retain(|group, _| !is_gone(*group));
        let files = self.list()?.into_iter();
        let gone = files.filter(|(group, _)| is_gone(*group));
        Ok(Gone(gone.map(|(g, number)| self.path(g, number)).collect()))
    }

    /// Syncs since it was opened, and what they took together, microseconds.
    pub fn syncs(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.syncs), read(&self.sync_micros))
    }

    fn writing(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ValueFile>>> {
        lock(&self.writing)
    }

    fn path(&self, group: u64, number: u64) -> PathBuf {
        self.folder.join(format!("{group:012}-{number:08}.values"))
    }

    /// Groups and numbers of all files. Others in the folder are nobody's.
    fn list(&self) -> Result<Vec<(u64, u64)>, ValueError> {
        let io = |error| io_error(&self.folder, error);
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let parts = name
                .to_str()
                .and_then(|name| name.strip_suffix(".values")?.split_once('-'));
            if let Some((group, number)) = parts
                && let (Ok(group), Ok(number)) = (group.parse(), number.parse())
            {
                files.push((group, number));
            }
        }
        Ok(files)
    }

    /// The file that values of a group go to.
    fn file(&self, group: u64) -> Result<Arc<ValueFile>, ValueError> {
        let mut writing = self.writing();
        if let Some(file) = writing.get(&group)
            && file.end.load(Ordering::SeqCst) < FILE_BYTES
        {
            return Ok(Arc::clone(file));
        }
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let path = self.path(group, number);
        let mut options = File::options();
        let file = options.write(true).create_new(true).open(&path);
        let file = file.map_err(|error| io_error(&path, error))?;
        fail_point!("values.made");
        folder::sync(&self.folder).map_err(|error| io_error(&self.folder, error))?;
        fail_point!("values.named");
        let file = Arc::new(ValueFile {
            group,
            number,
            path,
            file,
            end: AtomicU64::new(0),
            written: AtomicU64::new(0),
            synced: Mutex::default(),
        });
        writing.insert(group, Arc::clone(&file));
        Ok(file)
    }

    /// No more values go to this file.
    fn retire(&self, file: &Arc<ValueFile>) {
        self.writing()
            .retain(|_, writing| !Arc::ptr_eq(writing, file));
    }

    fn sync(&self, file: &Arc<ValueFile>) -> Result<(), ValueError> {
        // Counted when it is written: a sync that begins later covers it.
        let append = file.written.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = lock(&file.synced);
        if synced.appends >= append {
            return Ok(());
        }
        let appends = file.written.load(Ordering::SeqCst);
        let started = Instant::now();
        let outcome = match synced.failed {
            true => Err(io::Error::other("an earlier sync of it failed")),
            false => file.file.sync_data(),
        };
        if let Err(error) = outcome {
            // What the operating system has dropped it does not report twice.
            synced.failed = true;
            self.retire(file);
            return Err(io_error(&file.path, error));
        }
        synced.appends = appends;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let micros = started.elapsed().as_micros() as u64;
        self.sync_micros.fetch_add(micros, Ordering::Relaxed);
        Ok(())
    }
}

impl Gone {
    /// Removes them: seconds, if there are many.
    ///
    /// # Errors
    /// One could not be removed, and those behind it were not: the next [`ValueLog::open`] tries again.
    pub fn remove(self) -> Result<(), ValueError> {
        self.0
            .iter()
            .try_for_each(|path| std::fs::remove_file(path).map_err(|error| io_error(path, error)))
    }
}

impl Append<'_> {
    /// Writes a value of a group.
    ///
    /// # Errors
    /// Writing failed. Nothing that was put here may be used then.
    pub fn put(&mut self, group: u64, value: &[u8]) -> Result<Pointer, ValueError> {
        let known = self.files.iter().find(|file| file.group == group);
        let file = match known {
            Some(file) => Arc::clone(file),
            None => {
                let file = self.log.file(group)?;
                self.files.push(Arc::clone(&file));
                file
            }
        };
        let len = value.len() as u64;
        let at = file.end.fetch_add(len, Ordering::SeqCst);
        file.file.write_all_at(value, at).map_err(|error| {
            let error = io_error(&file.path, error);
            // On a full disk there may be room again; else the device may be another one when it works again.
            if !error.is_full() {
                self.log.retire(&file);
            }
            error
        })?;
        Ok(Pointer {
            group,
            file: file.number,
            at,
            len,
            checksum: crc32fast::hash(value),
        })
    }

    /// Makes all of it durable.
    ///
    /// # Errors
    /// A sync failed. Nothing that was put here may be used then.
    pub fn sync(self) -> Result<(), ValueError> {
        if self.files.is_empty() {
            return Ok(());
        }
        fail_point!("values.written");
        self.files.iter().try_for_each(|file| self.log.sync(file))?;
        fail_point!("values.synced");
        Ok(())
    }
}

fn io_error(path: &Path, error: io::Error) -> ValueError {
    ValueError::Io {
        path: path.to_path_buf(),
        error,
    }
}

/// The guarded data are consistent after every statement, so a panic elsewhere is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
