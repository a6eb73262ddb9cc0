//! The ordered key-value interface below the tables.

use ashlar_crypto::Coded;
use bytes::Bytes;

use super::WindowId;

/// A name space of keys: a column family in RocksDB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Format number, owner, database id, floors, the time kept, probe writes.
    Meta,
    /// Signed records. They do not expire with their data.
    Signed,
    /// Pairs of batches that a disperser signed under one number. Never expires.
    Equivocations,
    /// Everything that expires together.
    Window(WindowId),
}

impl Space {
    /// The spaces that never expire.
    pub const KEPT: [Self; 3] = [Self::Meta, Self::Signed, Self::Equivocations];

    /// The name of the column family. Pinned by a test: another name would make existing data invisible.
    pub fn name(self) -> String {
        match self {
            Self::Meta => "meta".into(),
            Self::Signed => "signed".into(),
            Self::Equivocations => "equivocations".into(),
            Self::Window(WindowId(end)) => format!("window-{end:012}"),
        }
    }

    /// The space behind the name of a column family.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "meta" => Some(Self::Meta),
            "signed" => Some(Self::Signed),
            "equivocations" => Some(Self::Equivocations),
            _ => {
                let end = name.strip_prefix("window-")?.parse().ok()?;
                // One name for one window.
                Some(Self::Window(WindowId(end))).filter(|space| space.name() == name)
            }
        }
    }
}

/// One value to write, or to remove.
#[derive(Debug, Clone)]
pub struct Put {
    /// Where.
    pub space: Space,
    /// Key.
    pub key: Vec<u8>,
    /// Value; `None` removes what is there.
    pub value: Option<Bytes>,
}

impl Put {
    /// Bytes that it takes of a write, about.
    pub(super) fn bytes(&self) -> usize {
        self.value.as_ref().map_or(0, Bytes::len) + self.key.len() + 32
    }
}

/// When a write may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When the operating system has it: survives the process, not the machine.
    Buffered,
    /// When the disk has it.
    Synced,
}

/// Syncs of a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Syncs {
    /// How many. Writes at the same time share one.
    pub count: u64,
    /// What they took together, microseconds.
    pub micros: u64,
}

impl std::iter::Sum for Syncs {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            count: sum.count + one.count,
            micros: sum.micros + one.micros,
        })
    }
}

/// An ordered key-value store with spaces that come and go. All functions block.
pub trait Backend: std::fmt::Debug + Send + Sync + 'static {
    /// A value, or `None`; also `None` if the space does not exist.
    ///
    /// # Errors
    /// The read failed, or a block did not match its checksum.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError>;

    /// The value under a key in the first of these spaces that has one, with the space.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    fn find(&self, spaces: &[Space], key: &[u8]) -> Result<Option<(Space, Bytes)>, BackendError> {
        for space in spaces {
            if let Some(value) = self.get(*space, key)? {
                return Ok(Some((*space, value)));
            }
        }
        Ok(None)
    }

    /// Writes and removes all values or none. Windows that do not exist are created. The values are asked for one after another,
    /// so that not all of them need to be encoded at the same time; `size_hint` is their total in bytes.
    ///
    /// # Errors
    /// The write or the sync failed. After that nothing is known about the values, until [`recover`](Self::recover).
    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError>;

    /// Keys and values that start with `prefix`, behind `after` if given, in order, at most `limit`.
    ///
    /// # Errors
    /// The read failed.
    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError>;

    /// Windows that exist, soonest expiry first.
    fn windows(&self) -> Vec<WindowId>;

    /// Drops a window with everything in it. One that does not exist is no error.
    ///
    /// # Errors
    /// The drop could not be recorded.
    fn drop_window(&self, window: WindowId) -> Result<(), BackendError>;

    /// After a failed write: does what can be done so that writing works again. `mark` was written long ago, and says that this
    /// is still the same database.
    ///
    /// # Errors
    /// Writing still does not work; or `mark` is not there, and this must not be used.
    fn recover(&self, mark: &Put) -> Result<(), BackendError>;

    /// Looks at every copy of the values whose keys start with `prefix`, and puts right those that are missing or wrong.
    ///
    /// # Errors
    /// The read failed, or too little is left of a value.
    fn mend(&self, _space: Space, _prefix: &[u8]) -> Result<(), BackendError> {
        Ok(())
    }

    /// Syncs of the log since the start, and their time.
    fn syncs(&self) -> Syncs {
        Syncs::default()
    }

    /// The drives below, in order; empty if there are none to tell apart.
    fn drives(&self) -> Vec<DriveStatus> {
        Vec::new()
    }

    /// Looks after the drives: finds those that lost their identity, takes back those that failed, and copies a piece of what
    /// one that is rebuilt still lacks. Returns the bytes copied; `None` when there is nothing to copy
    /// now.
    ///
    /// # Errors
    /// Something could not be read or written; it is tried again on the next call.
    fn tend_drives(&self) -> Result<Option<u64>, BackendError> {
        Ok(None)
    }
}

impl Backend for Box<dyn Backend> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        (**self).get(space, key)
    }

    fn find(&self, spaces: &[Space], key: &[u8]) -> Result<Option<(Space, Bytes)>, BackendError> {
        (**self).find(spaces, key)
    }

    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError> {
        (**self).write(puts, size_hint, durability)
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError> {
        (**self).scan(space, prefix, after, limit)
    }

    fn windows(&self) -> Vec<WindowId> {
        (**self).windows()
    }

    fn drop_window(&self, window: WindowId) -> Result<(), BackendError> {
        (**self).drop_window(window)
    }

    fn recover(&self, mark: &Put) -> Result<(), BackendError> {
        (**self).recover(mark)
    }

    fn mend(&self, space: Space, prefix: &[u8]) -> Result<(), BackendError> {
        (**self).mend(space, prefix)
    }

    fn syncs(&self) -> Syncs {
        (**self).syncs()
    }

    fn drives(&self) -> Vec<DriveStatus> {
        (**self).drives()
    }

    fn tend_drives(&self) -> Result<Option<u64>, BackendError> {
        (**self).tend_drives()
    }
}

/// What a drive of several is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriveState {
    /// It holds everything, and every write waits for it.
    InSync,
    /// It gets new data, and what it lacks is being copied to it.
    Rebuilding,
    /// It is not used.
    Failed,
}

/// One drive of several.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct DriveStatus {
    /// Its folder.
    pub folder: String,
    /// What it is good for.
    pub state: DriveState,
    /// Why it failed; `None` if it did not.
    pub cause: Option<String>,
    /// Bytes copied to it since its rebuild began, over restarts too.
    pub rebuilt_bytes: u64,
    /// Windows that its rebuild has behind it.
    pub rebuilt_windows: u64,
    /// Values that were missing or wrong on it, and were made again from the others, since the start.
    pub healed: u64,
}

/// What a key-value store fails with.
#[derive(Debug, Clone, thiserror::Error, Coded)]
#[coded(prefix = "store", blame = Us)]
pub enum BackendError {
    /// No room on the device.
    #[error("the disk is full: {detail}")]
    NoSpace {
        /// As the store said.
        detail: String,
    },
    /// Data on disk does not match its checksum.
    #[error("corrupt database: {detail}")]
    #[coded("database_corrupt")]
    Corrupt {
        /// As the store said.
        detail: String,
    },
    /// Another process has the database open.
    #[error("the database is in use by another process: {detail}")]
    Locked {
        /// As the store said.
        detail: String,
    },
    /// The database is closed, after a failed attempt to reopen it.
    #[error("the database is closed: {detail}")]
    Closed {
        /// Why.
        detail: String,
    },
    /// Where the database was there is another one, or an empty one.
    #[error("another database is in the place of this one: was the volume unmounted?")]
    Replaced,
    /// The drives are not what the configuration says.
    #[error("the drives: {detail}")]
    #[coded(blame = Caller)]
    Drives {
        /// Which, and what to do.
        detail: String,
    },
    /// More drives are gone than the parity covers.
    #[error("{usable} of {drives} drives can be used, {needed} are needed: {detail}")]
    TooFewDrives {
        /// Drives that hold everything.
        usable: usize,
        /// Drives of the set.
        drives: usize,
        /// As many must hold everything: drives less parity.
        needed: usize,
        /// What is wrong with the others.
        detail: String,
    },
    /// The device does not answer. What was asked for may happen all the same, later.
    #[error("the disk hangs: it has not answered for {secs} s")]
    Hangs {
        /// As long as was waited.
        secs: f64,
    },
    /// Anything else.
    #[error("database: {detail}")]
    Io {
        /// As the store said.
        detail: String,
    },
}
