//! The list of files of a RocksDB database, its MANIFEST, whose end a power cut may tear.
//!
//! RocksDB syncs every write to it before anything relies on that write. So what a power cut leaves of a last write was never
//! acknowledged: a record that is cut off, zeros, a hole. RocksDB opens on the first, and on no setting with all its data on the
//! others. [`mend`] cuts such an end off. Anything else that is damaged stays, and is refused: behind it lie files that hold data.
//!
//! The format is that of RocksDB's logs: blocks of 32 KiB, in them records, each with a header of 7 bytes: CRC-32C of type and
//! data, masked; length of the data; type. A record that does not fit in its block goes on in the next one. Up to 6 bytes at the
//! end of a block are not used.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

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

/// Cuts off what a power cut left of the last write to the MANIFEST in this folder, and syncs that. Does nothing where there is no
/// database or no damage, or another process has the database open. Reads the whole MANIFEST into memory. This process must not
/// have the database open.
///
/// # Errors
/// There is damage with a valid record behind it, or no valid record at all; the file cannot be read or written.
pub fn mend(folder: &Path) -> Result<(), ManifestError> {
    if torn(folder)?.is_none() {
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
    // Before, another process may have been at work on it.
    let Some((path, from, len)) = torn(folder)? else {
        return Ok(());
    };
    tracing::warn!(path = %path.display(), from, len, "a power cut tore the end of the list of files: it is cut off");
    let cut = || {
        let file = File::options().write(true).open(&path)?;
        file.set_len(from as u64)?;
        file.sync_all()
    };
    cut().map_err(|error| ManifestError::Io {
        path: path.clone(),
        error,
    })
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

/// The MANIFEST, where its torn end begins, and its bytes; `None` if there is none or it is whole.
fn torn(folder: &Path) -> Result<Option<(PathBuf, usize, usize)>, ManifestError> {
    let current = folder.join("CURRENT");
    let Some(name) = read(&current)? else {
        return Ok(None);
    };
    // A wrong name is for RocksDB to refuse.
    let Some(name) = std::str::from_utf8(&name).ok().map(str::trim_end) else {
        return Ok(None);
    };
    if !name.starts_with("MANIFEST-") || name.contains('/') {
        return Ok(None);
    }
    let path = folder.join(name);
    let Some(bytes) = read(&path)? else {
        return Ok(None);
    };
    let len = bytes.len();
    match State::of(&bytes) {
        State::Whole => Ok(None),
        State::Torn { from } => Ok(Some((path, from, len))),
        State::Damaged { at } => Err(ManifestError::Damaged { path, at, len }),
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
