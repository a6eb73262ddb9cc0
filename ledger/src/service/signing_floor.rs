//! Up to which block heads were signed: a file beside the key, so that whoever puts an older copy of the ledger back cannot sign
//! another head for the same block.
//!
//! It is written and synced before a signature is made. Two places of the file take turns, each `genesis [32] | next u64 | check [8]`
//! in a sector of its own: a power cut spoils the one that is being written, and the other one stands.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_crypto::hash::sha256;
use ashlar_proto::Block;

const TAG: &[u8] = b"ashlar/ledger-signed/1";
/// Where the two places begin.
const PLACES: [u64; 2] = [0, 4096];
const CONTENT: usize = 32 + 8;
const PLACE: usize = CONTENT + 8;

/// The file, open.
#[derive(Debug)]
pub struct SigningFloor {
    path: PathBuf,
    file: File,
    genesis: B256,
    next: Block,
    /// The place that is written next.
    place: usize,
}

impl SigningFloor {
    /// Begins a file: of the ledger with this genesis, nothing below block `next` is ever signed with the keys beside it. 0 for
    /// keys that have signed nothing yet.
    ///
    /// # Errors
    ///
    /// [`SigningFloorError::Io`]; also if there is something at the path.
    pub fn create(path: &Path, genesis: B256, next: Block) -> Result<Self, SigningFloorError> {
        let failed = |error: std::io::Error| SigningFloorError::io("make", path, &error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(failed)?;
        let mut made = Self {
            path: path.to_path_buf(),
            file,
            genesis,
            next,
            place: 0,
        };
        for _ in PLACES {
            made.write(next)?;
        }
        ashlar_service::folder::sync_above(path).map_err(failed)?;
        Ok(made)
    }

    /// Opens the file of the ledger with this genesis.
    ///
    /// # Errors
    ///
    /// [`SigningFloorError`]: there is none, it is damaged, or it is another ledger's.
    pub fn open(path: &Path, genesis: B256) -> Result<Self, SigningFloorError> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(SigningFloorError::Missing { path: path.into() });
            }
            other => other.map_err(|error| SigningFloorError::io("open", path, &error))?,
        };
        let found = PLACES.map(|at| {
            let mut bytes = [0; PLACE];
            file.read_exact_at(&mut bytes, at).ok()?;
            decode(&bytes)
        });
        // The older one is written next.
        let (newest, place) = match found {
            [Some(one), Some(other)] if one.1 > other.1 => (one, 1),
            [Some(one), None] => (one, 1),
            [_, Some(other)] => (other, 0),
            [None, None] => return Err(SigningFloorError::Damaged { path: path.into() }),
        };
        let (got, next) = newest;
        if got != genesis {
            return Err(SigningFloorError::OtherLedger {
                path: path.into(),
                got,
                expected: genesis,
            });
        }
        Ok(Self {
            path: path.into(),
            file,
            genesis,
            next,
            place,
        })
    }

    /// The lowest block that may be signed.
    pub fn next(&self) -> Block {
        self.next
    }

    /// Gives up the right to sign below `next`, durably. Never goes back.
    ///
    /// # Errors
    ///
    /// [`SigningFloorError::Io`]: then nothing may be signed either.
    pub fn raise(&mut self, next: Block) -> Result<(), SigningFloorError> {
        if next <= self.next {
            return Ok(());
        }
        self.write(next)?;
        self.next = next;
        Ok(())
    }

    fn write(&mut self, next: Block) -> Result<(), SigningFloorError> {
        let at = PLACES.get(self.place).copied().unwrap_or(PLACES[0]);
        self.file
            .write_all_at(&encode(&self.genesis, next), at)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| SigningFloorError::io("write", &self.path, &error))?;
        self.place ^= 1;
        Ok(())
    }
}

fn check(content: &[u8]) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[TAG, content]);
    [a, b, c, d, e, f, g, h]
}

fn encode(genesis: &B256, next: Block) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    let (content, end) = bytes.split_at_mut(CONTENT);
    let (genesis_part, next_part) = content.split_at_mut(32);
    genesis_part.copy_from_slice(genesis.as_slice());
    next_part.copy_from_slice(&next.0.to_be_bytes());
    end.copy_from_slice(&check(content));
    bytes
}

fn decode(bytes: &[u8; PLACE]) -> Option<(B256, Block)> {
    let (content, end) = bytes.split_at(CONTENT);
    if check(content) != end {
        return None;
    }
    let (genesis, next) = content.split_first_chunk::<32>()?;
    Some((
        B256::from(genesis),
        Block(u64::from_be_bytes(next.try_into().ok()?)),
    ))
}

/// Why nothing can be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "heads", blame = Us)]
pub enum SigningFloorError {
    /// There is no file: nobody knows what these keys have signed.
    #[error(
        "{} is missing: it says up to which block heads were signed, and without it two could be signed for one block. If it is lost, find the highest block that any follower has seen, and run: ashlar stake heads reset --above BLOCK", path.display()
    )]
    #[coded("signed_missing")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Neither of the two places can be read.
    #[error(
        "{} is damaged: move it away, find the highest block that any follower has seen, and run: ashlar stake heads reset --above BLOCK", path.display()
    )]
    #[coded("signed_damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// It lies beside the keys of another ledger.
    #[error(
        "{} is of the ledger with the genesis {got}, expected {expected}: a key signs for one ledger only", path.display()
    )]
    #[coded(blame = Caller)]
    OtherLedger {
        /// The file.
        path: PathBuf,
        /// The genesis it names.
        got: B256,
        /// That of the ledger here.
        expected: B256,
    },
    /// The disk.
    #[error("cannot {action} {}: {reason}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// As the operating system says.
        reason: String,
    },
}

impl SigningFloorError {
    fn io(action: &'static str, path: &Path, error: &std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            reason: error.to_string(),
        }
    }
}

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    use super::{CONTENT, PLACE, check, decode, encode};

    /// A place of the file without its checksum, which is made here. Shorter ones end with zeros.
    pub fn signing_floor(bytes: &[u8]) {
        let mut place = [0; PLACE];
        let (content, end) = place.split_at_mut(CONTENT);
        for (to, from) in content.iter_mut().zip(bytes) {
            *to = *from;
        }
        end.copy_from_slice(&check(content));
        if let Some((genesis, next)) = decode(&place) {
            assert_eq!(encode(&genesis, next), place);
        }
    }
}

#[cfg(test)]
mod tests;
