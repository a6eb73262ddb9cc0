//! Signed heads on disk: those that a ledger gave out, and those that a follower has seen.
//!
//! A folder holds the heads of one service, in files of [`WINDOW`] blocks: `NUMBER.heads`, whose record for block `b` lies at
//! `(b mod WINDOW) · 128`. So any block is found with one read, a file needs no index, and old ones go whole. A record is
//! `block u64 | time u64 | root [32] | signature [65] | source u8 | zeros [6] | check [8]`, integers big-endian, `check` the start of a hash
//! over the domain and the rest. Zeros are a block without a head. A record whose check does not hold is one too: a power cut leaves it,
//! before anybody was told of it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ashlar_crypto::Coded;
use ashlar_crypto::account::AccountSignature;
use ashlar_crypto::hash::sha256;
use ashlar_proto::head::{Head, SignedHead};
use ashlar_proto::{Block, Domain, TableRoot};
use ashlar_service::folder;

/// Blocks of one file.
pub(crate) const WINDOW: u64 = 1 << 16;
/// Bytes of a record.
const RECORD: usize = 128;
const CHECK: usize = 8;
const TAG: &[u8] = b"ashlar/head-record/1";
const SUFFIX: &str = ".heads";

/// A head, and from where it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredHead {
    /// The head.
    pub(crate) signed: SignedHead,
    /// A follower's number for the source that told it; 0 at the ledger itself.
    pub(crate) source: u8,
}

/// The heads of one service in a folder.
#[derive(Debug)]
pub(crate) struct HeadFiles {
    folder: PathBuf,
    domain: Domain,
    /// Files written to since the last sync, by their number.
    open: BTreeMap<u64, File>,
}

impl HeadFiles {
    /// Uses a folder, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`HeadFileError`].
    pub(crate) fn open(folder: &Path, domain: Domain) -> Result<Self, HeadFileError> {
        folder::make(folder)
            .map_err(|error| HeadFileError::new("make the folder of", folder, &error))?;
        Ok(Self::at(folder, domain))
    }

    /// Looks into a folder, which need not be there.
    pub(crate) fn at(folder: &Path, domain: Domain) -> Self {
        Self {
            folder: folder.to_path_buf(),
            domain,
            open: BTreeMap::new(),
        }
    }

    /// The head of a block, if there is one.
    ///
    /// # Errors
    ///
    /// [`HeadFileError`].
    pub(crate) fn get(&self, block: Block) -> Result<Option<StoredHead>, HeadFileError> {
        let path = self.path(block.0 / WINDOW);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(HeadFileError::new("open", &path, &error)),
        };
        let mut record = [0; RECORD];
        match file.read_exact_at(&mut record, offset(block)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(HeadFileError::new("read", &path, &error)),
        }
        Ok(decode(&self.domain, &record).filter(|stored| stored.signed.head.block == block))
    }

    /// The head of the highest block that has one.
    ///
    /// # Errors
    ///
    /// [`HeadFileError`].
    pub(crate) fn newest(&self) -> Result<Option<StoredHead>, HeadFileError> {
        for window in self.windows()?.into_iter().rev() {
            let path = self.path(window);
            let mut bytes = Vec::new();
            File::open(&path)
                .and_then(|file| file.take(WINDOW * RECORD as u64).read_to_end(&mut bytes))
                .map_err(|error| HeadFileError::new("read", &path, &error))?;
            let (records, _) = bytes.as_chunks::<RECORD>();
            let newest = records
                .iter()
                .rev()
                .find_map(|record| decode(&self.domain, record));
            if newest.is_some() {
                return Ok(newest);
            }
        }
        Ok(None)
    }

    /// Writes a head. It is durable after [`sync`](Self::sync), and nobody may be told of it before.
    ///
    /// # Errors
    ///
    /// [`HeadFileError`].
    pub(crate) fn put(&mut self, stored: &StoredHead) -> Result<(), HeadFileError> {
        let block = stored.signed.head.block;
        let window = block.0 / WINDOW;
        let path = self.path(window);
        let file = match self.open.entry(window) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let file = OpenOptions::new()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(&path)
                    .and_then(|file| folder::sync(&self.folder).map(|()| file))
                    .map_err(|error| HeadFileError::new("open", &path, &error))?;
                entry.insert(file)
            }
        };
        file.write_all_at(&encode(&self.domain, stored), offset(block))
            .map_err(|error| HeadFileError::new("write", &path, &error))
    }

    /// Puts on disk what was written.
    ///
    /// # Errors
    ///
    /// [`HeadFileError`].
    pub(crate) fn sync(&mut self) -> Result<(), HeadFileError> {
        let newest = self.open.keys().next_back().copied();
        for (window, file) in &self.open {
            file.sync_data()
                .map_err(|error| HeadFileError::new("sync", &self.path(*window), &error))?;
        }
        // The next head will most likely go into the newest one again.
        self.open.retain(|window, _| Some(*window) == newest);
        Ok(())
    }

    /// Removes the files in which every block is below this one.
    ///
    /// # Errors
    ///
    /// [`HeadFileError`].
    pub(crate) fn forget_before(&mut self, block: Block) -> Result<(), HeadFileError> {
        let first = block.0 / WINDOW;
        for window in self.windows()?.into_iter().take_while(|w| *w < first) {
            self.open.remove(&window);
            let path = self.path(window);
            fs::remove_file(&path).map_err(|error| HeadFileError::new("remove", &path, &error))?;
        }
        Ok(())
    }

    fn path(&self, window: u64) -> PathBuf {
        self.folder.join(format!("{window:012}{SUFFIX}"))
    }

    /// The numbers of the files that are there, rising.
    fn windows(&self) -> Result<Vec<u64>, HeadFileError> {
        let failed = |error: std::io::Error| HeadFileError::new("list", &self.folder, &error);
        let mut windows = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let number: Option<u64> = name
                .to_str()
                .and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
            windows.extend(number);
        }
        windows.sort_unstable();
        Ok(windows)
    }
}

fn offset(block: Block) -> u64 {
    block.0 % WINDOW * RECORD as u64
}

/// Writes a file whole: synced under another name, then renamed over the old one.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    folder::write(path, &path.with_extension("part"), &[bytes])
}

fn check(domain: &Domain, content: &[u8]) -> [u8; CHECK] {
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[TAG, &domain.0, content]);
    [a, b, c, d, e, f, g, h]
}

fn encode(domain: &Domain, stored: &StoredHead) -> [u8; RECORD] {
    let SignedHead { head, signature } = &stored.signed;
    let mut record = [0; RECORD];
    let (content, end) = record.split_at_mut(RECORD - CHECK);
    let parts: [&[u8]; 5] = [
        &head.block.0.to_be_bytes(),
        &head.time_ms.to_be_bytes(),
        &head.table_root.0,
        &signature.0,
        &[stored.source],
    ];
    for (to, from) in content.iter_mut().zip(parts.concat()) {
        *to = from;
    }
    end.copy_from_slice(&check(domain, content));
    record
}

fn decode(domain: &Domain, record: &[u8; RECORD]) -> Option<StoredHead> {
    let (block, rest) = record.split_first_chunk()?;
    let (time, rest) = rest.split_first_chunk()?;
    let (root, rest) = rest.split_first_chunk()?;
    let (signature, rest) = rest.split_first_chunk()?;
    let (source, _) = rest.split_first()?;
    let stored = StoredHead {
        signed: SignedHead {
            head: Head {
                domain: *domain,
                block: Block(u64::from_be_bytes(*block)),
                time_ms: u64::from_be_bytes(*time),
                table_root: TableRoot(*root),
            },
            signature: AccountSignature(*signature),
        },
        source: *source,
    };
    if encode(domain, &stored) == *record {
        return Some(stored);
    }
    if record.iter().any(|byte| *byte != 0) {
        tracing::warn!("a record of a signed head is not whole, and is passed over");
    }
    None
}

/// The files of signed heads cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[error("cannot {action} the signed heads in {}: {reason}", path.display())]
#[coded("heads.io", blame = Us)]
pub struct HeadFileError {
    action: &'static str,
    path: PathBuf,
    reason: String,
}

impl HeadFileError {
    /// The file or folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn new(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self {
            action,
            path: path.to_path_buf(),
            reason: error.to_string(),
        }
    }
}

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    use super::{CHECK, Domain, RECORD, check, decode, encode};

    /// A record without its checksum, which is made here. Shorter ones end with zeros.
    pub fn head_record(domain: &Domain, bytes: &[u8]) {
        let mut record = [0; RECORD];
        let (content, end) = record.split_at_mut(RECORD - CHECK);
        for (to, from) in content.iter_mut().zip(bytes) {
            *to = *from;
        }
        end.copy_from_slice(&check(domain, content));
        if let Some(stored) = decode(domain, &record) {
            assert_eq!(encode(domain, &stored), record);
        }
    }
}

#[cfg(test)]
mod tests;
