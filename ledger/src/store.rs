//! A ledger on disk: the state in memory, every change in a log before it is acknowledged.
//!
//! A directory holds `genesis.json`, `ledger.log` (see [`log`](ashlar_restaking::log)) and, after [`Store::snapshot`],
//! `snapshot.json`. Opening checks every link of the log; transactions before the snapshot are not applied again.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_proto::Block;
use ashlar_restaking::log::{Entry, HEADER, LINK, LogError, Read, Tip};
use ashlar_restaking::{Event, Genesis, State, Transaction, TransactionError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::heads::write_synced;

const GENESIS: &str = "genesis.json";
const LOG: &str = "ledger.log";
const SNAPSHOT: &str = "snapshot.json";
const LOCK: &str = "lock";
/// Read at once; a record has at most about 1 MiB.
const CHUNK: u64 = 4 << 20;

/// Where the ledger stands, for those who wait for it to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) block: Block,
    pub(crate) transactions: u64,
    pub(crate) records: u64,
    pub(crate) link: B256,
}

/// Why a ledger on disk cannot be used.
#[derive(Debug, Error, Coded)]
#[coded(prefix = "store", blame = Us)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read`, `write`, ….
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is a ledger in the directory, of another genesis.
    #[error(
        "{path} holds a ledger of another genesis ({got}, not {expected}): use another directory"
    )]
    #[coded(blame = Caller)]
    OtherGenesis {
        /// The directory.
        path: PathBuf,
        /// Its genesis.
        got: B256,
        /// The one given.
        expected: B256,
    },
    /// Another process has it open.
    #[error("{path} is in use by another process: stop it first")]
    #[coded(blame = Caller)]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{path} is malformed: {reason}; restore it from a copy")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Damage in the middle of the log.
    #[error(
        "{path} is damaged at byte {offset}: {source}; restore it from a copy, nothing was changed"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the bad record begins.
        offset: u64,
        /// What is wrong.
        source: LogError,
    },
    /// A record is refused on replay.
    #[error("{path}: record {record} is refused: {source}; it was written by another version")]
    Replay {
        /// The file.
        path: PathBuf,
        /// Its number, from 0 on.
        record: u64,
        /// Why.
        source: TransactionError,
    },
    /// The snapshot does not belong to the log, or its content is not that of its root.
    #[error("{path} does not fit: {what}; remove it, the log has everything")]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// The genesis breaks a rule, or a transaction is refused: nothing was written.
    #[error(transparent)]
    Refused(#[from] TransactionError),
    /// A transaction is too long for a record.
    #[error(transparent)]
    #[coded(blame = Caller)]
    Record(#[from] LogError),
    /// A write failed before: what is on disk is unknown.
    #[error(
        "an earlier write failed, the ledger takes no more transactions: free the disk and start again"
    )]
    Failed,
}

/// What opening found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records applied (those after the snapshot).
    pub replayed: u64,
    /// An unfinished record at the end, cut off: it was never acknowledged.
    pub torn: Option<TornTail>,
}

/// What the log of a ledger comes to.
#[derive(Debug)]
pub struct Replayed {
    /// What it began with.
    pub genesis: Genesis,
    /// Where the log stands after the records that were applied.
    pub tip: Tip,
    /// The state after them.
    pub state: State,
    /// Bytes of an unfinished record at the end, as a power cut or a writer at work leaves.
    pub unfinished: usize,
}

/// The end of a log that a power cut left unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// Where it began.
    pub offset: u64,
    /// Its bytes.
    pub bytes: u64,
    /// Where they were put.
    pub kept_in: PathBuf,
}

#[derive(Serialize)]
struct SnapshotOut<'a> {
    tip: Tip,
    root: B256,
    state: &'a State,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotIn {
    tip: Tip,
    root: B256,
    state: State,
}

/// A ledger on disk.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    file: File,
    /// Held for its lock.
    _lock: File,
    tip: Tip,
    state: State,
    failed: bool,
}

impl Store {
    /// Opens the ledger in a directory, or begins one.
    ///
    /// A record that is unfinished at the very end is what a power cut leaves: it is cut off, kept in a file beside the log, and
    /// reported. Anything else that is wrong is an error, and nothing is changed.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn open(directory: &Path, genesis: &Genesis) -> Result<(Self, Recovery), StoreError> {
        fs::create_dir_all(directory).map_err(io("create", directory))?;
        let lock_path = directory.join(LOCK);
        let lock = File::create(&lock_path).map_err(io("create", &lock_path))?;
        lock.try_lock().map_err(|_| StoreError::Locked {
            path: directory.into(),
        })?;
        check_genesis(directory, genesis)?;
        let path = directory.join(LOG);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(io("open", &path))?;
        ashlar_service::folder::sync(directory).map_err(io("sync", directory))?;
        let mut replay = Replay::of(genesis)?;
        let tail = replay.run(&file, &path, read_snapshot(directory)?, u64::MAX)?;
        let torn = match tail.is_empty() {
            true => None,
            false => Some(cut_tail(&file, &path, replay.offset, &tail)?),
        };
        let store = Self {
            directory: directory.into(),
            file,
            _lock: lock,
            tip: replay.tip,
            state: replay.state,
            failed: false,
        };
        let replayed = replay.applied;
        Ok((store, Recovery { replayed, torn }))
    }

    /// The genesis that a directory was begun with; `None` if there is no ledger in it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], [`StoreError::Malformed`].
    pub fn genesis(directory: &Path) -> Result<Option<Genesis>, StoreError> {
        let path = directory.join(GENESIS);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes)
                    .map(Some)
                    .map_err(|error| StoreError::Malformed {
                        path,
                        reason: error.to_string(),
                    })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io("read", &path)(error)),
        }
    }

    /// Applies the log of a ledger, or its first records, from the genesis on. Only reads, trusts no snapshot, and may run beside the
    /// service. `None` if there is no ledger in the directory.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn replay(directory: &Path, records: Option<u64>) -> Result<Option<Replayed>, StoreError> {
        let Some(genesis) = Self::genesis(directory)? else {
            return Ok(None);
        };
        let path = directory.join(LOG);
        let file = File::open(&path).map_err(io("open", &path))?;
        let mut replay = Replay::of(&genesis)?;
        let unfinished = replay.run(&file, &path, None, records.unwrap_or(u64::MAX))?;
        Ok(Some(Replayed {
            genesis,
            tip: replay.tip,
            state: replay.state,
            unfinished: unfinished.len(),
        }))
    }

    /// The state. Its caches make [`State::root`] want it mutable; [`root`](Self::root) asks for it.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state root.
    pub fn root(&mut self) -> B256 {
        self.state.root()
    }

    /// Where the log stands.
    pub fn tip(&self) -> Tip {
        self.tip
    }

    /// Both, for those who wait for the ledger to move.
    pub(crate) fn position(&self) -> Position {
        let (meta, tip) = (self.state.meta(), self.tip);
        Position {
            block: meta.block,
            transactions: meta.transactions,
            records: tip.records,
            link: tip.link,
        }
    }

    /// Applies a transaction and makes it durable: on disk when this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] and nothing has changed; [`StoreError::Io`] and the store takes no more.
    pub fn apply(
        &mut self,
        block: Block,
        transaction: Transaction,
    ) -> Result<Vec<Event>, StoreError> {
        self.apply_one(Entry::Transaction(block, Box::new(transaction)))
    }

    /// Goes to a block without a transaction, durably.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn advance(&mut self, block: Block) -> Result<Vec<Event>, StoreError> {
        self.apply_one(Entry::Block(block))
    }

    #[expect(
        clippy::expect_used,
        reason = "apply_all answers each entry, and there is one"
    )]
    fn apply_one(&mut self, entry: Entry) -> Result<Vec<Event>, StoreError> {
        let mut results = self.apply_all([entry])?;
        Ok(results.pop().expect("one answer to one entry")?)
    }

    /// Applies entries in their order, each or not, and makes all that were accepted durable with one write and one sync: the
    /// way to many transactions a second. Answers in the same order.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], [`StoreError::Failed`]: nothing of it may be acknowledged, the store takes no more.
    pub fn apply_all(
        &mut self,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Vec<Result<Vec<Event>, TransactionError>>, StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let (mut bytes, mut results) = (Vec::new(), Vec::new());
        for entry in entries {
            let mut tip = self.tip;
            // The record first: one that cannot be written must not change the state.
            let record = match tip.write(&entry) {
                Ok(record) => record,
                Err(LogError::Length { got, max, .. }) => {
                    results.push(Err(TransactionError::TooMany {
                        what: "bytes of a transaction",
                        got,
                        max,
                    }));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let result = self.state.follow(&entry);
            if result.is_ok() {
                bytes.extend_from_slice(&record);
                self.tip = tip;
            }
            results.push(result);
        }
        if !bytes.is_empty() {
            let path = self.directory.join(LOG);
            // State and disk differ from here on until the sync is through.
            self.failed = true;
            self.file.write_all(&bytes).map_err(io("write", &path))?;
            self.file.sync_data().map_err(io("sync", &path))?;
            self.failed = false;
        }
        Ok(results)
    }

    /// Writes a snapshot, so that opening need not apply what is in it; a reader sees the old one or the new one, whole.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`], [`StoreError::Failed`].
    pub fn snapshot(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed);
        }
        let path = self.directory.join(SNAPSHOT);
        let root = self.state.root();
        let bytes = serde_json::to_vec(&SnapshotOut {
            tip: self.tip,
            root,
            state: &self.state,
        })
        .map_err(|error| StoreError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        write_synced(&path, &bytes).map_err(io("write", &path))
    }
}

/// A log while its records are applied.
struct Replay {
    tip: Tip,
    state: State,
    /// Records applied.
    applied: u64,
    /// Bytes of the records that were read.
    offset: u64,
}

impl Replay {
    fn of(genesis: &Genesis) -> Result<Self, StoreError> {
        Ok(Self {
            tip: Tip::of(genesis),
            state: State::new(genesis)?,
            applied: 0,
            offset: 0,
        })
    }

    /// Reads to the end, or until there are `limit` records. Every link is checked; what is in the snapshot is not applied. Gives what a
    /// write that was cut off left at the end.
    fn run(
        &mut self,
        mut log: &File,
        path: &Path,
        mut snapshot: Option<(Tip, State)>,
        limit: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let bad_snapshot = |what| StoreError::Snapshot {
            path: path.with_file_name(SNAPSHOT),
            what,
        };
        let (mut buffer, mut start, mut at_end) = (Vec::new(), 0, false);
        let mut tail = Vec::new();
        while self.tip.records < limit {
            if let Some((tip, state)) = snapshot.take_if(|(tip, _)| tip.records == self.tip.records)
            {
                if tip.link != self.tip.link {
                    return Err(bad_snapshot("it is not of this log"));
                }
                self.state = state;
            }
            // A record ends within the buffer that it was read from.
            let rest: &[u8] = &buffer[start..];
            let step = match snapshot {
                Some(_) => self.tip.skip(rest),
                None => self.tip.read(rest),
            };
            match step {
                Ok(Read::Record(entry, length)) => {
                    if snapshot.is_none() {
                        let followed = self.state.follow(&entry);
                        followed.map_err(|source| StoreError::Replay {
                            path: path.into(),
                            record: self.tip.records - 1,
                            source,
                        })?;
                        self.applied += 1;
                    }
                    start += length;
                    self.offset += length as u64;
                }
                Ok(Read::End | Read::Cut) if !at_end => {
                    buffer.drain(..start);
                    start = 0;
                    let more = log.take(CHUNK).read_to_end(&mut buffer);
                    at_end = more.map_err(io("read", path))? == 0;
                }
                Ok(Read::End | Read::Cut) => {
                    tail = rest.to_vec();
                    break;
                }
                // A file may have grown before its new blocks were written: zeros to the end were never acknowledged.
                Err(source) => {
                    tail = rest.to_vec();
                    log.read_to_end(&mut tail).map_err(io("read", path))?;
                    if !is_torn(&source, &tail) {
                        return Err(StoreError::Damaged {
                            path: path.into(),
                            offset: self.offset,
                            source,
                        });
                    }
                    break;
                }
            }
        }
        match snapshot {
            Some(_) => Err(bad_snapshot("it has more records than the log")),
            None => Ok(tail),
        }
    }
}

/// What a write that was cut off leaves: a record whose content is not all there, and behind it nothing, or nothing but zeros
/// where the file had grown before its new blocks were written.
fn is_torn(error: &LogError, tail: &[u8]) -> bool {
    let record = match error {
        LogError::Header { .. } => HEADER,
        LogError::Link { .. } => {
            let length = tail
                .first_chunk::<4>()
                .map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize);
            HEADER + length + LINK
        }
        _ => return false,
    };
    tail.iter().skip(record).all(|byte| *byte == 0)
}

fn cut_tail(file: &File, log: &Path, offset: u64, tail: &[u8]) -> Result<TornTail, StoreError> {
    let kept_in = log.with_file_name(format!("{LOG}.torn-{offset}"));
    fs::write(&kept_in, tail).map_err(io("write", &kept_in))?;
    file.set_len(offset).map_err(io("shorten", log))?;
    file.sync_all().map_err(io("sync", log))?;
    Ok(TornTail {
        offset,
        bytes: tail.len() as u64,
        kept_in,
    })
}

fn check_genesis(directory: &Path, genesis: &Genesis) -> Result<(), StoreError> {
    let expected = genesis.hash();
    if let Some(there) = Store::genesis(directory)? {
        let got = there.hash();
        if got != expected {
            return Err(StoreError::OtherGenesis {
                path: directory.into(),
                got,
                expected,
            });
        }
        return Ok(());
    }
    genesis.params.check()?;
    let path = directory.join(GENESIS);
    let bytes = serde_json::to_vec_pretty(genesis).map_err(|error| StoreError::Malformed {
        path: path.clone(),
        reason: error.to_string(),
    })?;
    write_synced(&path, &bytes).map_err(io("write", &path))
}

fn read_snapshot(directory: &Path) -> Result<Option<(Tip, State)>, StoreError> {
    let path = directory.join(SNAPSHOT);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("read", &path)(error)),
    };
    let malformed = |error: serde_json::Error| StoreError::Malformed {
        path: path.clone(),
        reason: error.to_string(),
    };
    let snapshot: SnapshotIn = serde_json::from_slice(&bytes).map_err(malformed)?;
    let mut state = snapshot.state.with_keys().map_err(malformed)?;
    if state.root() != snapshot.root {
        return Err(StoreError::Snapshot {
            path,
            what: "its content is not that of its root",
        });
    }
    Ok(Some((snapshot.tip, state)))
}

fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io {
        action,
        path: path.clone(),
        source,
    }
}
