//! The list of files of a RocksDB database, its MANIFEST, as a power cut may leave it.
//!
//! **Its end is torn.** RocksDB syncs every write to it before anything relies on that write. So what a power cut leaves of a last write
//! was never acknowledged: a record that is cut off, zeros, a hole. RocksDB opens on the first, and on no setting with all its data
//! on the others. [`mend`] cuts such an end off. Anything else that is damaged stays, and is refused: behind it lie files that hold data.
//!
//! **Its name is missing.** RocksDB begins a new list whenever it opens: it writes all that is in the old one, syncs the bytes, renames
//! `CURRENT` over the old one, and only then syncs the folder, which makes both names durable. POSIX lets the later name come to the
//! disk alone (ext4 and XFS do not: there, syncing a new file makes its name durable). As that sync never returned, RocksDB had not yet
//! done anything that relies on the new list: the old one and all files and logs that it needs are there. [`mend`] has `CURRENT`
//! name the old one again. The only list that could be taken for it is one that an earlier opening left behind; so [`mend`]
//! removes, before every opening, all that `CURRENT` does not name. Where there is no list at all and no file with data
//! either, the database was being made, and is made again.
//!
//! The format is that of RocksDB's logs: blocks of 32 KiB, in them records, each with a header of 7 bytes: CRC-32C of type and
//! data, masked; length of the data; type. A record that does not fit in its block goes on in the next one. Up to 6 bytes at the
//! end of a block are not used.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::folder;

#[cfg(test)]
mod tests;

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
/// Types of records in a MANIFEST: whole, or a part of one.
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// Why a list of files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is damaged, and not only at an end that was never synced.
    #[error(
        "{path} is damaged at byte {at} of {len}, and no power cut does that: a copy of the folder, or another disk, is needed"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first damaged record begins, bytes.
        at: usize,
        /// Bytes of the file.
        len: usize,
    },
    /// It cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// As the operating system says.
        error: io::Error,
    },
}

/// What is wrong with the lists of a database.
#[derive(Debug)]
enum Flaw {
    /// `CURRENT` names one that is not there; the name of the one before it, unless this was the first.
    Nameless { before: Option<String> },
    /// These are there, and `CURRENT` does not name them.
    Unused(Vec<String>),
    /// What is behind this byte of the one in use was not synced.
    Torn { name: String, from: usize },
}

/// Puts right what a power cut left of the MANIFEST in this folder, see the text of this module, and syncs that. Does nothing where there
/// is no database or nothing wrong, or another process has the database open. Reads the whole MANIFEST into memory. This process must
/// not have the database open.
///
/// # Errors
/// There is damage with a valid record behind it, or no valid record at all; a file cannot be read or written.
pub fn mend(folder: &Path) -> Result<(), ManifestError> {
    if Flaw::of(folder)?.is_none() {
        return Ok(());
    }
    let path = folder.join("LOCK");
    let io = |error| ManifestError::Io {
        path: path.clone(),
        error,
    };
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io)?;
    if !is_free(&lock).map_err(io)? {
        return Ok(());
    }
    // Looked for anew: before, another process may have been at work on it.
    while let Some(flaw) = Flaw::of(folder)? {
        tracing::warn!(path = %folder.display(), ?flaw, "a power cut left the list of files unfinished: it is put right");
        flaw.mend(folder).map_err(|error| ManifestError::Io {
            path: folder.to_path_buf(),
            error,
        })?;
    }
    Ok(())
}

impl Flaw {
    fn of(folder: &Path) -> Result<Option<Self>, ManifestError> {
        let current = folder.join("CURRENT");
        let Some(bytes) = read(&current)? else {
            return Ok(None);
        };
        // A wrong name is for RocksDB to refuse.
        let name = std::str::from_utf8(&bytes).ok().map(str::trim_end);
        let Some((name, used)) = name.and_then(|name| Some((name, number(name)?))) else {
            return Ok(None);
        };
        let names = names(folder)?;
        let mut others: Vec<(u64, &String)> = names
            .iter()
            .filter_map(|name| Some((number(name)?, name)))
            .filter(|(number, _)| *number != used)
            .collect();
        others.sort_unstable();
        let path = folder.join(name);
        let Some(bytes) = read(&path)? else {
            let before = others.iter().rfind(|(number, _)| *number < used);
            let before = before.map(|(_, name)| (*name).clone());
            // Without the one before, what those files are is not known: that is for RocksDB to refuse.
            let lost = before.is_none() && names.iter().any(|name| holds_data(name));
            return Ok((!lost).then_some(Self::Nameless { before }));
        };
        match State::of(&bytes) {
            State::Damaged { at } => {
                let len = bytes.len();
                Err(ManifestError::Damaged { path, at, len })
            }
            _ if !others.is_empty() => {
                let others = others.into_iter().map(|(_, name)| name.clone());
                Ok(Some(Self::Unused(others.collect())))
            }
            State::Torn { from } => Ok(Some(Self::Torn {
                name: name.to_owned(),
                from,
            })),
            State::Whole => Ok(None),
        }
    }

    fn mend(self, folder: &Path) -> io::Result<()> {
        let current = folder.join("CURRENT");
        match self {
            Self::Nameless {
                before: Some(before),
            } => {
                // RocksDB removes files with such an end.
                let new = folder.join("CURRENT.dbtmp");
                return folder::write(&current, &new, &[before.as_bytes(), b"\n"]);
            }
            Self::Nameless { before: None } => fs::remove_file(&current)?,
            Self::Unused(names) => {
                // First, so that the one in use has its name whatever becomes of the others.
                folder::sync(folder)?;
                for name in names {
                    fs::remove_file(folder.join(name))?;
                }
            }
            Self::Torn { name, from } => {
                let file = File::options().write(true).open(folder.join(name))?;
                file.set_len(from as u64)?;
                return file.sync_all();
            }
        }
        folder::sync(folder)
    }
}

/// The number in the name of a list of files.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix("MANIFEST-")?.parse().ok()
}

/// Whether a file of this name holds what was written to the database: a table, values or a log.
fn holds_data(name: &str) -> bool {
    let (_, ending) = name.rsplit_once('.').unwrap_or_default();
    matches!(ending, "sst" | "blob" | "log")
}

fn names(folder: &Path) -> Result<Vec<String>, ManifestError> {
    let list = || {
        let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
        entries.collect::<io::Result<Vec<_>>>()
    };
    let names = list().map_err(|error| ManifestError::Io {
        path: folder.to_path_buf(),
        error,
    })?;
    // RocksDB gives no others.
    Ok(names
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect())
}

/// Takes the lock that RocksDB takes, until the file is closed.
fn is_free(lock: &File) -> io::Result<bool> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(lock, FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(nix::Error::EAGAIN | nix::Error::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ManifestError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ManifestError::Io {
            path: path.to_owned(),
            error,
        }),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// All before this byte is valid, and nothing behind the damage.
    Torn {
        from: usize,
    },
    Damaged {
        at: usize,
    },
}

impl State {
    fn of(bytes: &[u8]) -> Self {
        let mut at = 0;
        // All records up to here have their ends.
        let mut whole = 0;
        while at < bytes.len() {
            if BLOCK - at % BLOCK < HEADER {
                let next = at.next_multiple_of(BLOCK).min(bytes.len());
                if whole == at {
                    whole = next;
                }
                at = next;
                continue;
            }
            let Some((kind, end)) = record(bytes, at) else {
                // Where the next record begins is not known: it may be any byte.
                let mut behind = at + 1..bytes.len();
                let is_record = |at| {
                    let kind = bytes.get(at + HEADER - 1);
                    matches!(kind, Some(&(FULL..=LAST))) && record(bytes, at).is_some()
                };
                if behind.any(is_record) {
                    return Self::Damaged { at };
                }
                break;
            };
            at = end;
            if !matches!(kind, FIRST | MIDDLE) {
                whole = end;
            }
        }
        match whole {
            _ if whole == bytes.len() => Self::Whole,
            // Something was synced before `CURRENT` named it.
            0 => Self::Damaged { at: 0 },
            from => Self::Torn { from },
        }
    }
}

/// Type and end of the record at this place, if its checksum is right.
fn record(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let block_end = (at + BLOCK - at % BLOCK).min(bytes.len());
    let block = bytes.get(at..block_end)?;
    let (header, data) = block.split_first_chunk::<HEADER>()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let len = usize::from(u16::from_le_bytes([l0, l1]));
    let data = data.get(..len)?;
    let is_valid = checksum(kind, data) == u32::from_le_bytes([c0, c1, c2, c3]);
    is_valid.then_some((kind, at + HEADER + len))
}

/// CRC-32C of type and data, masked as RocksDB does.
fn checksum(kind: u8, data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in [kind].iter().chain(data) {
        crc = TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// For each byte, what it adds to a CRC-32C.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let mut crc = n as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            bit += 1;
        }
        table[n] = crc;
        n += 1;
    }
    table
};
