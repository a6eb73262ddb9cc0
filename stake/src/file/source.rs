//! A stake source that follows a table file.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::SystemTime;

use ashlar_proto::table::TableAccess;
use ashlar_proto::{Block, Domain};

use super::{TableFile, io_error};
use crate::{OperatorTable, PossessionCache, StakeError, StakeSource};

/// The tables of a file, read again whenever the file changes.
///
/// Every question looks at the file's metadata first (one `stat`); if they changed, the caller that noticed reads the file
/// while others get the previous state. A new content is taken over as a whole or not at all: a file that cannot be read, is
/// broken, or changes a table in use leaves everything as it was, and [`StakeSource::health`] says why until the file is
/// good again.
///
/// A change is seen by the file's inode, size and time of modification. Replace the file by renaming another one over it, as
/// [`TableFile::write`] does: then no reader meets a half-written one.
#[derive(Debug)]
pub struct FileStakeSource {
    path: PathBuf,
    domain: Domain,
    state: RwLock<State>,
    /// Held by the one that reads the file.
    reader: Mutex<Reader>,
}

/// By reference block.
type Tables = BTreeMap<Block, Arc<OperatorTable>>;

#[derive(Debug)]
struct State {
    tables: Tables,
    problem: Option<StakeError>,
}

#[derive(Debug, Default)]
struct Reader {
    /// Of the content that was read last, good or bad; `None` if nothing could be read.
    seen: Option<Fingerprint>,
    cache: PossessionCache,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self {
            inode,
            len: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

impl FileStakeSource {
    /// Reads the file. From then on it may change, break or vanish without this source losing its tables.
    ///
    /// # Errors
    ///
    /// [`StakeError`] if the file is not good now.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StakeError> {
        let path = path.into();
        let mut reader = Reader::default();
        let (domain, tables) = reader.read(&path)?;
        let state = State {
            tables,
            problem: None,
        };
        Ok(Self {
            path,
            domain,
            state: RwLock::new(state),
            reader: Mutex::new(reader),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks at the file now. Every question does it by itself; this tells the result.
    ///
    /// # Errors
    ///
    /// Why the file's present content was not taken over.
    pub fn reload(&self) -> Result<(), StakeError> {
        self.refresh();
        self.read_state(|state| state.problem.clone())
            .map_or(Ok(()), Err)
    }

    fn refresh(&self) {
        let mut reader = match self.reader.try_lock() {
            Ok(reader) => reader,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Another caller is reading; the next question sees its result.
            Err(TryLockError::WouldBlock) => return,
        };
        let now = fs::metadata(&self.path)
            .ok()
            .map(|metadata| Fingerprint::of(&metadata));
        if now.is_some() && now == reader.seen {
            return;
        }
        let outcome = reader.read(&self.path).and_then(|(domain, tables)| {
            if domain != self.domain {
                return Err(StakeError::OtherDomain {
                    path: self.path.clone(),
                    got: domain,
                    expected: self.domain,
                });
            }
            self.read_state(|state| unchanged_history(&self.path, &state.tables, &tables))?;
            Ok(tables)
        });
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(tables) => {
                *state = State {
                    tables,
                    problem: None,
                }
            }
            Err(problem) => state.problem = Some(problem),
        }
    }

    fn read_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reader {
    fn read(&mut self, path: &Path) -> Result<(Domain, Tables), StakeError> {
        self.seen = None;
        let opened =
            File::open(path).and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let (file, metadata) = opened.map_err(|error| io_error("read", path, &error))?;
        // The metadata from before reading: if the file is written meanwhile, they will differ.
        let seen = Fingerprint::of(&metadata);
        let file = match TableFile::read_open(&file, path) {
            // Nothing was read, so there is no content to have seen: try again next time.
            Err(error @ StakeError::Io { .. }) => return Err(error),
            other => other,
        };
        self.seen = Some(seen);
        let file = file?;
        let domain = file.domain(path)?;
        let tables = file.tables_cached(path, &mut self.cache)?;
        self.cache.retain(&tables);
        let tables = tables
            .into_iter()
            .map(|table| (table.reference_block(), Arc::new(table)))
            .collect();
        Ok((domain, tables))
    }
}

/// Tables may be added and, when nothing of their time is stored any more, dropped; never changed.
fn unchanged_history(path: &Path, old: &Tables, new: &Tables) -> Result<(), StakeError> {
    for (&block, old) in old {
        if let Some(new) = new.get(&block).filter(|new| new.root() != old.root()) {
            return Err(StakeError::Rewritten {
                path: path.into(),
                block,
                old: old.root(),
                new: new.root(),
            });
        }
    }
    Ok(())
}

impl StakeSource for FileStakeSource {
    fn domain(&self) -> Domain {
        self.domain
    }

    fn head(&self) -> Result<Block, StakeError> {
        self.refresh();
        self.read_state(|state| state.tables.keys().next_back().copied())
            .ok_or_else(|| StakeError::NoTables {
                path: self.path.clone(),
            })
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        self.refresh();
        self.read_state(|state| {
            let head = state.tables.keys().next_back().copied();
            let head = head.ok_or_else(|| StakeError::NoTables {
                path: self.path.clone(),
            })?;
            let table = state.tables.get(&block).cloned();
            table.ok_or(StakeError::UnknownBlock { block, head })
        })
    }

    fn health(&self) -> Result<(), StakeError> {
        self.reload()
    }
}

#[cfg(test)]
mod tests;
