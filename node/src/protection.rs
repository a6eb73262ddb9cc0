//! The protection file: what an operator's key may not sign any more, to be carried from one database to another.
//!
//! As with EIP-3076 for validators: for each domain and disperser the file gives the highest sequence number that may
//! have been signed. A database that imports it refuses every number up to that. It is for moving a node: exporting
//! ends signing here, for ever, before the file is made, so that there is never a moment at which two databases sign. A
//! *snapshot* is for looking at; as the node goes on signing behind it, nobody may import it.

use ashlar_crypto::Coded;
use ashlar_crypto::bls::PublicKeyBytes;
use ashlar_proto::{Domain, OperatorId, Sequence, operator_id};
use serde::{Deserialize, Serialize};

use crate::database::DatabaseError;
use crate::store::{Floor, Store, StoreError};

/// Version of the file's format.
const VERSION: u16 = 1;
/// Most bytes of a file that is read: 16 MiB, about 80,000 dispersers.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// The file, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectionFile {
    /// 1.
    pub version: u16,
    /// The operator's BLS public key, hexadecimal with `0x`.
    pub bls_public_key: String,
    /// Signing went on when this was written: not for moving.
    pub snapshot: bool,
    /// When it was written, milliseconds since 1970, by the clock of the machine; for people.
    pub written_at_ms: u64,
    /// What is spent, by domain and disperser in strictly rising order.
    pub floors: Vec<Floor>,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Floors in the file.
    pub floors: usize,
    /// Floors that are higher now than what was promised or covered before.
    pub raised: usize,
}

/// Ends signing in this database for ever, durably, and only then says what is spent. Blocks. Exporting again gives the same
/// floors.
///
/// # Errors
/// The store fails: signing may have ended then, but there is no file.
pub fn export(
    store: &dyn Store,
    key: &PublicKeyBytes,
    now_ms: u64,
) -> Result<ProtectionFile, ProtectionError> {
    store.end_signing()?;
    write(store, key, false, now_ms)
}

/// What is spent now, with signing going on: not for moving. Blocks.
///
/// # Errors
/// The store fails.
pub fn snapshot(
    store: &dyn Store,
    key: &PublicKeyBytes,
    now_ms: u64,
) -> Result<ProtectionFile, ProtectionError> {
    write(store, key, true, now_ms)
}

fn write(
    store: &dyn Store,
    key: &PublicKeyBytes,
    snapshot: bool,
    written_at_ms: u64,
) -> Result<ProtectionFile, ProtectionError> {
    Ok(ProtectionFile {
        version: VERSION,
        bls_public_key: spell(key),
        snapshot,
        written_at_ms,
        floors: store.spent()?,
    })
}

/// What floors are sorted by.
fn place(floor: &Floor) -> (Domain, u32) {
    (floor.domain, floor.disperser_id)
}

fn spell(key: &PublicKeyBytes) -> String {
    format!("0x{}", hex::encode(key.0))
}

impl ProtectionFile {
    /// The text of a file, and nothing but what [`to_json`](Self::to_json) writes.
    ///
    /// # Errors
    /// No such JSON, another version, or floors that do not rise strictly.
    pub fn parse(text: &str) -> Result<Self, ProtectionError> {
        let file: Self =
            serde_json::from_str(text).map_err(|error| ProtectionError::Malformed {
                detail: error.to_string(),
            })?;
        if file.version != VERSION {
            return Err(ProtectionError::Version { got: file.version });
        }
        let rising = file
            .floors
            .iter()
            .zip(file.floors.iter().skip(1))
            .all(|(a, b)| place(a) < place(b));
        if !rising {
            return Err(ProtectionError::Malformed {
                detail: "its floors do not rise strictly by domain and disperser".into(),
            });
        }
        Ok(file)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn to_json(&self) -> Result<String, ProtectionError> {
        serde_json::to_string_pretty(self).map_err(|error| ProtectionError::Malformed {
            detail: error.to_string(),
        })
    }

    /// Spends in `store` what is spent in the file: durable on `Ok`. Blocks.
    ///
    /// # Errors
    /// The file is a snapshot, another operator's, or older than what is there: nothing has changed then. Or the store fails.
    pub fn import(
        &self,
        store: &dyn Store,
        key: &PublicKeyBytes,
    ) -> Result<Imported, ProtectionError> {
        if self.bls_public_key != spell(key) {
            return Err(ProtectionError::OtherKey {
                got: self.bls_public_key.clone(),
                expected: operator_id(key),
            });
        }
        if self.snapshot {
            return Err(ProtectionError::Snapshot);
        }
        if store.has_moved() {
            return Err(StoreError::Moved.into());
        }
        let spent = store.spent()?;
        // Both lists rise strictly.
        let of = |floors: &[Floor], like: &Floor| {
            let found = floors.binary_search_by_key(&place(like), place).ok()?;
            floors.get(found).map(|floor| floor.sequence)
        };
        for here in &spent {
            let got = of(&self.floors, here);
            if got.is_none_or(|got| got < here.sequence) {
                return Err(ProtectionError::Older { here: *here, got });
            }
        }
        let raised = self
            .floors
            .iter()
            .filter(|floor| of(&spent, floor).is_none_or(|here| here < floor.sequence))
            .count();
        store.raise_floors(&self.floors)?;
        Ok(Imported {
            floors: self.floors.len(),
            raised,
        })
    }
}

/// Why a protection file is not made or not taken.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "protection", blame = Caller)]
pub enum ProtectionError {
    /// Not such a file.
    #[error("it is no protection file: {detail}")]
    Malformed {
        /// What is wrong, and where.
        detail: String,
    },
    /// A version that this program does not know.
    #[error("the protection file has version {got}, this program reads version {VERSION}")]
    Version {
        /// Version of the file.
        got: u16,
    },
    /// Another operator's.
    #[error("the protection file is for the BLS key {got}, this node is operator {expected}")]
    OtherKey {
        /// Key in the file.
        got: String,
        /// This operator.
        expected: OperatorId,
    },
    /// A snapshot.
    #[error(
        "the protection file is a snapshot: signing went on after it, so it is not for moving; export without --snapshot"
    )]
    Snapshot,
    /// The database has promised more than the file knows of.
    #[error(
        "the protection file is older than this database: of disperser {} in domain {} sequence {} is spent here, the file says {}",
        here.disperser_id, here.domain, here.sequence, got.map_or("nothing".to_owned(), |got| got.to_string())
    )]
    Older {
        /// What is spent here.
        here: Floor,
        /// What the file says of it.
        got: Option<Sequence>,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database that the file is for cannot be made.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

#[cfg(test)]
mod tests;
