//! Which database belongs to a key.
//!
//! The record of what was signed lies in the database, the key beside it lies elsewhere. A key that starts with an empty
//! database (a volume that was not mounted, a folder restored without its data) would sign what it signed before once more, for
//! another batch. So a *marker* beside the keystore names the one database that belongs to it:
//!
//! ```text
//! keys/bls.json             the keystore
//! keys/bls.database.json    its marker: {"version": 1, "database": "5e0c…"}
//! data/                     the database, with the same name in it
//! ```
//!
//! Without the marker, without the database, or with another one, nothing is opened. Both are made together, once: by
//! `ashlar node init` for new keys, or with `--new-database` for keys that have no marker yet.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::OperatorId;
use ashlar_service::folder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::NodeConfig;
use crate::store::{
    Backend, DatabaseId, DiskStore, Drives, DrivesOptions, IndexProgress, Lane, RocksBackend,
    RocksOptions, Store as _, StoreError, Watched,
};

/// Format of the marker.
const VERSION: u16 = 1;
/// The files that say what belongs together are far smaller.
const FILE_LIMIT: u64 = 4096;

/// Whether a node starts on the database that is there, or makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// The one that the marker names.
    Existing,
    /// A new one, and its marker. Refused if there is a marker, or a database in which anything was signed.
    New,
    /// A new one in place of the one that the marker names and that is lost: what was promised with that one is taken from peers,
    /// and nothing is signed before. Refused without a marker, and for a database in which anything was signed.
    Lost,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u16,
    database: String,
}

/// Where the marker of a keystore is: `bls.json` has `bls.database.json`.
pub fn marker_path(keystore: &Path) -> PathBuf {
    keystore.with_extension("database.json")
}

/// Opens the database of `owner`, or makes it. Blocks.
///
/// # Errors
/// Marker and database do not belong together, or the database cannot be opened.
pub fn open(
    config: &NodeConfig,
    owner: OperatorId,
    which: Database,
) -> Result<DiskStore, DatabaseError> {
    if which == Database::New {
        return create(config, owner, |_| Ok(())).map(|(store, ())| store);
    }
    let marker = marker_path(&config.paths.bls_key);
    let Some(named) = read_marker(&marker)? else {
        return Err(DatabaseError::NoMarker { marker });
    };
    if which == Database::Lost {
        return replace(config, owner, &marker, &named);
    }
    let data = &config.paths.data;
    // A database has this file from the first moment on. Of several drives some may be gone.
    if config.store.drives.is_empty() && !data.join("CURRENT").exists() {
        return Err(DatabaseError::Missing {
            data: data.clone(),
            marker,
        });
    }
    let store = DiskStore::open(backend(config, false)?, owner, config.store.window_secs)?;
    if !config.signer.address.is_empty() {
        store.rely_on_remote_signer();
    }
    let found = store.id();
    if found.to_string() != named {
        return Err(DatabaseError::Other {
            found,
            named,
            marker,
        });
    }
    Ok(store)
}

/// Makes the database of `owner`, which must have none. `prepare` works on it before its marker is written: until then no node
/// starts on it, so that what is left of an attempt that was interrupted signs nothing. Blocks.
///
/// # Errors
/// There is a marker, or a database in which anything was signed; it cannot be made; or what `prepare` says.
pub fn create<T, E: From<DatabaseError>>(
    config: &NodeConfig,
    owner: OperatorId,
    prepare: impl FnOnce(&DiskStore) -> Result<T, E>,
) -> Result<(DiskStore, T), E> {
    let marker = marker_path(&config.paths.bls_key);
    let store = create_unmarked(config, owner, &marker)?;
    let prepared = prepare(&store)?;
    write_marker(&marker, store.id()).map_err(|error| DatabaseError::Marker {
        path: marker,
        detail: error.to_string(),
    })?;
    Ok((store, prepared))
}

/// Makes a database in place of the one that the marker names.
fn replace(
    config: &NodeConfig,
    owner: OperatorId,
    marker: &Path,
    named: &str,
) -> Result<DiskStore, DatabaseError> {
    let store = create_empty(config, owner)?;
    if store.id().to_string() == named || store.has_promised()? {
        return Err(DatabaseError::InUse {
            data: config.paths.data.clone(),
        });
    }
    // First: a node that starts on it must not sign before it knows what was signed.
    store.keep_index_progress(&IndexProgress::default())?;
    // Beside the old one, then over it: there is always one of the two.
    let fresh = marker.with_extension("json.new");
    let written = match std::fs::remove_file(&fresh) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => write_marker(&fresh, store.id()).and_then(|()| {
            std::fs::rename(&fresh, marker)?;
            folder::sync_above(marker)
        }),
    };
    written.map_err(|error| DatabaseError::Marker {
        path: marker.to_path_buf(),
        detail: error.to_string(),
    })?;
    Ok(store)
}

fn create_unmarked(
    config: &NodeConfig,
    owner: OperatorId,
    marker: &Path,
) -> Result<DiskStore, DatabaseError> {
    if read_marker(marker)?.is_some() {
        return Err(DatabaseError::MarkerExists {
            marker: marker.to_path_buf(),
        });
    }
    create_empty(config, owner)
}

fn create_empty(config: &NodeConfig, owner: OperatorId) -> Result<DiskStore, DatabaseError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| DatabaseError::Random(error.to_string()))?;
    let store = DiskStore::create(
        backend(config, true)?,
        owner,
        DatabaseId(id),
        config.store.window_secs,
    )?;
    // One that was there is the rest of an interrupted attempt, or it has a history.
    if store.has_promised()? {
        return Err(DatabaseError::InUse {
            data: config.paths.data.clone(),
        });
    }
    Ok(store)
}

fn backend(config: &NodeConfig, create: bool) -> Result<Box<dyn Backend>, StoreError> {
    let store = &config.store;
    let share = |bytes: u64| {
        let drives = store.drives.len().max(1) as u64;
        usize::try_from(bytes / drives).unwrap_or(usize::MAX)
    };
    let (buffers, cache) = (
        share(config.load.write_buffers()),
        share(config.load.cache()),
    );
    let open = move |folder: &Path, create: bool| {
        RocksBackend::open(RocksOptions {
            create,
            write_buffer_bytes: buffers,
            cache_bytes: cache,
            ..RocksOptions::new(folder)
        })
    };
    let patience = Duration::from_secs(store.drive_timeout_secs);
    let opened = if store.drives.is_empty() {
        let data = config.paths.data.clone();
        Watched::open(&Arc::new(Lane::new(patience)), move || open(&data, create))
            .map(|backend| Box::new(backend) as Box<dyn Backend>)
    } else {
        let options = DrivesOptions {
            folders: store.drives.clone(),
            parity: store.parity as usize,
            create,
            patience,
        };
        Drives::open(options, open).map(|backend| Box::new(backend) as Box<dyn Backend>)
    };
    opened.map_err(|source| StoreError::Backend {
        doing: "open the database",
        source,
    })
}

/// The name in a marker, or `None` if there is no marker.
fn read_marker(path: &Path) -> Result<Option<String>, DatabaseError> {
    let text = read_small(path);
    match text.and_then(|text| text.as_deref().map(Marker::parse).transpose()) {
        Ok(marker) => Ok(marker.map(|marker| marker.database)),
        Err(detail) => Err(DatabaseError::Marker {
            path: path.to_path_buf(),
            detail,
        }),
    }
}

impl Marker {
    fn parse(text: &str) -> Result<Self, String> {
        parse_versioned(text, VERSION, |marker: &Self| marker.version)
    }
}

/// Reads a small file; `None` if there is no such file.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read_small(path: &Path) -> Result<Option<String>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut text = String::new();
    file.take(FILE_LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    Ok(Some(text))
}

/// From JSON of this version.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_versioned<T: DeserializeOwned>(
    text: &str,
    expected: u16,
    version_of: impl Fn(&T) -> u16,
) -> Result<T, String> {
    let value: T = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match version_of(&value) {
        version if version == expected => Ok(value),
        version => Err(format!("version {version}, expected {expected}")),
    }
}

fn write_marker(path: &Path, id: DatabaseId) -> std::io::Result<()> {
    let marker = Marker {
        version: VERSION,
        database: id.to_string(),
    };
    write_atomically(path, &serde_json::to_vec(&marker)?)
}

/// Writes a file that was not there, 0600, whole or not at all, and syncs it with its folder.
///
/// # Errors
/// It is there already, or cannot be written.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension(format!("{}.part", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // A link never replaces a file that somebody else made meanwhile; renaming would.
        std::fs::hard_link(&temporary, path)?;
        folder::sync_above(path)
    })();
    // Only its own name goes: what was linked stays.
    let _ = std::fs::remove_file(&temporary);
    written
}

/// Why a database is not opened.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "database", blame = Caller)]
pub enum DatabaseError {
    /// No marker: nobody knows what this key signed, or where.
    #[error(
        "{} does not exist: no database is known to belong to this key; only a key that never signed may start a new one, once, with --new-database",
        marker.display()
    )]
    NoMarker {
        /// Where it should be.
        marker: PathBuf,
    },
    /// A marker, but no database.
    #[error(
        "{} holds no database, and {} says that there is one: is the volume mounted?",
        data.display(), marker.display()
    )]
    Missing {
        /// Folder of the database.
        data: PathBuf,
        /// The marker.
        marker: PathBuf,
    },
    /// Another database than the marker's.
    #[error("the database is {found}, and {} names {named}", marker.display())]
    Other {
        /// Name of the database that is there.
        found: DatabaseId,
        /// Name in the marker.
        named: String,
        /// The marker.
        marker: PathBuf,
    },
    /// `--new-database` where there is a marker.
    #[error(
        "{} exists: this key has a database, and --new-database is for keys that have none; leave it out",
        marker.display()
    )]
    MarkerExists {
        /// The marker.
        marker: PathBuf,
    },
    /// `--new-database` over a database with a history.
    #[error(
        "{} holds a database in which batches were signed: it is not a new one",
        data.display()
    )]
    InUse {
        /// Folder of the database.
        data: PathBuf,
    },
    /// The marker cannot be read or written.
    #[error("the marker {}: {detail}", path.display())]
    #[coded(blame = Us)]
    Marker {
        /// Path.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// No randomness for a name.
    #[error("the operating system gave no random bytes: {0}")]
    #[coded(blame = Us)]
    Random(String),
    /// The database cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    use super::Marker;

    /// The text of a marker.
    #[expect(clippy::expect_used, reason = "a fuzz target fails by a panic")]
    pub fn marker(text: &str) {
        if let Ok(marker) = Marker::parse(text) {
            let written = serde_json::to_string(&marker).expect("it has a JSON form");
            assert_eq!(Marker::parse(&written), Ok(marker));
        }
    }
}

#[cfg(test)]
mod tests;
