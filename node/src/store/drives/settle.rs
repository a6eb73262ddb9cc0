//! Opening a set of drives, and making them agree after a crash.
//!
//! Every drive keeps a [`Record`]: which drive it is, which drives were in sync when it last wrote, the number of its last write
//! and the keys of that. The newest record tells which drives may be trusted. Those that are one write behind are brought up: a
//! write of which enough is there everywhere is completed; one of which a slice could not be put together again was never
//! acknowledged, and is undone.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, Weak};

use fail::fail_point;
use prost::Message;

use super::frame::{self, Frame, Stripes, is_striped};
use super::label::{self, Label};
use super::rebuild::Retry;
use super::{
    Backend, BackendError, Drives, DrivesOptions, Durability, Found, Handle, Lane, MAX_DRIVES, Put,
    RECORD, SetId, Slot, Space, State, Watched, Writer, look,
};

/// What a drive says about itself and its last write.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Record {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) set: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(super) position: u32,
    #[prost(uint32, tag = "3")]
    pub(super) drives: u32,
    #[prost(uint32, tag = "4")]
    pub(super) parity: u32,
    /// Rises whenever the drives in sync change.
    #[prost(uint64, tag = "5")]
    pub(super) epoch: u64,
    /// Positions of the drives in sync.
    #[prost(uint32, repeated, tag = "6")]
    pub(super) in_sync: Vec<u32>,
    /// Number of the last write.
    #[prost(uint64, tag = "7")]
    pub(super) number: u64,
    /// A drive that has this write and all before it differs from this one in the keys of `writes` only.
    #[prost(uint64, tag = "8")]
    pub(super) since: u64,
    /// The last write made drives agree: its keys are right here, also those that are absent.
    #[prost(bool, tag = "9")]
    pub(super) settled: bool,
    #[prost(message, repeated, tag = "10")]
    pub(super) writes: Vec<WriteKeys>,
    /// How far the rebuild of this drive is; `None` if none is under way.
    #[prost(message, optional, tag = "11")]
    pub(super) rebuild: Option<Progress>,
}

impl Record {
    /// From what its drive keeps.
    pub(super) fn read(bytes: &bytes::Bytes) -> Result<Self, BackendError> {
        match frame::parse(Space::Meta, RECORD, bytes) {
            Some(Frame::Whole(value)) => {
                Self::decode(value).map_err(|error| corrupt(&error.to_string()))
            }
            _ => Err(corrupt("its bytes have another checksum")),
        }
    }

    /// As its drive keeps it.
    pub(super) fn put(&self) -> Put {
        Put {
            space: Space::Meta,
            key: RECORD.to_vec(),
            value: Some(frame::whole(Space::Meta, RECORD, &self.encode_to_vec()).into()),
        }
    }
}

/// Keys that were written together.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteKeys {
    #[prost(message, repeated, tag = "1")]
    pub(super) keys: Vec<Key>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Key {
    #[prost(string, tag = "1")]
    space: String,
    #[prost(bytes = "vec", tag = "2")]
    key: Vec<u8>,
}

impl Key {
    pub(super) fn new(space: Space, key: &[u8]) -> Self {
        Self {
            space: space.name(),
            key: key.to_vec(),
        }
    }

    pub(super) fn space(&self) -> Result<Space, BackendError> {
        Space::from_name(&self.space).ok_or_else(|| BackendError::Corrupt {
            detail: format!("the record of a drive names a space {:?}", self.space),
        })
    }
}

/// How far a rebuild is. Spaces go in their order, keys within a space too.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Progress {
    /// The space that is being copied; empty at the beginning.
    #[prost(string, tag = "1")]
    pub(super) space: String,
    /// The last key copied of it; empty at its beginning.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) after: Vec<u8>,
    /// Bytes copied.
    #[prost(uint64, tag = "3")]
    pub(super) bytes: u64,
    /// Windows copied.
    #[prost(uint64, tag = "4")]
    pub(super) windows: u64,
    /// All of the space is copied.
    #[prost(bool, tag = "5")]
    pub(super) space_done: bool,
}

/// A drive that was opened, with what it says.
struct Opened<B: Backend> {
    handle: Handle<B>,
    record: Record,
}

fn refused(detail: String) -> BackendError {
    BackendError::Drives { detail }
}

impl<B: Backend> Drives<B> {
    /// Opens a set of drives, or makes it where the options say so. `opener` opens the backend in a folder; it makes one if its
    /// second argument says so.
    ///
    /// # Errors
    /// [`BackendError::Drives`] if the folders are not the drives of one set in this order;
    /// [`BackendError::TooFewDrives`] if more than the parity are missing, empty, stale or broken.
    pub fn open(
        options: DrivesOptions,
        opener: impl Fn(&Path, bool) -> Result<B, BackendError> + Send + Sync + 'static,
    ) -> Result<Self, BackendError> {
        let DrivesOptions {
            folders,
            parity,
            create,
            patience,
        } = options;
        check_numbers(&folders, parity)?;
        let stripes = Stripes::new(folders.len() - parity, parity)?;
        let lanes: Vec<_> = folders
            .iter()
            .map(|_| Arc::new(Lane::new(patience)))
            .collect();
        let labels: Vec<_> = (0..folders.len())
            .map(|position| look(&lanes, &folders, position, Label::read))
            .collect();
        let set = if create && !labels.iter().any(|label| matches!(label, Ok(Some(_)))) {
            make(&folders, parity, &opener)?
        } else {
            agreed(&folders, parity, &labels, create)?
        };
        let drives = Self {
            folders,
            lanes,
            set,
            stripes,
            opener: Arc::new(opener),
            slots: RwLock::default(),
            writer: Mutex::default(),
            queue: Mutex::default(),
        };
        let mut opened = Vec::new();
        for position in 0..drives.folders.len() {
            let cause = match drives.open_one(position) {
                Ok(one) => {
                    opened.push(one);
                    String::new()
                }
                Err(BackendError::Locked { detail }) => {
                    return Err(BackendError::Locked { detail });
                }
                Err(error) => error.to_string(),
            };
            drives.slots_mut().push(Slot {
                state: State::Failed(cause),
                healed: 0,
                retry: Retry::default(),
                users: Weak::new(),
            });
        }
        let newest = opened
            .iter()
            .map(|one| &one.record)
            .max_by_key(|record| record.epoch);
        let members = newest
            .map(|record| record.in_sync.clone())
            .unwrap_or_default();
        opened.retain_mut(|one| {
            let position = one.handle.position;
            one.handle.in_sync = members.contains(&(position as u32));
            let state = match &one.record.rebuild {
                _ if one.handle.in_sync => State::InSync(Arc::clone(&one.handle.drive)),
                Some(progress) => {
                    State::Rebuilding(Arc::clone(&one.handle.drive), progress.clone())
                }
                None => State::Failed("it failed before, and is behind the others".into()),
            };
            let keep = !matches!(state, State::Failed(_));
            drives.set_state(position, state);
            keep
        });
        drives.settle(&mut drives.writer(), opened)?;
        Ok(drives)
    }

    fn open_one(&self, position: usize) -> Result<Opened<B>, BackendError> {
        self.look(position, |folder| match Label::read(folder)? {
            Some(_) => Ok(()),
            None if folder.exists() => Err("it is empty".into()),
            None => Err(format!(
                "there is no folder {}: is the volume mounted?",
                folder.display()
            )),
        })?;
        let drive = self.open_database(position, false)?;
        let record = read_record(&drive)?;
        if record.set != self.set.0 || record.position as usize != position {
            return Err(refused("its database belongs to another drive".into()));
        }
        Ok(Opened {
            handle: Handle {
                position,
                drive: Arc::new(drive),
                in_sync: false,
            },
            record,
        })
    }

    /// Opens the database of a drive; or makes it anew, in place of what is there.
    pub(super) fn open_database(
        &self,
        position: usize,
        anew: bool,
    ) -> Result<Watched<B>, BackendError> {
        let (Some(lane), Some(folder)) = (self.lanes.get(position), self.folders.get(position))
        else {
            return Err(refused(format!("there is no drive {position}")));
        };
        let (opener, database) = (Arc::clone(&self.opener), label::database(folder));
        Watched::open(lane, move || {
            if anew
                && let Err(error) = std::fs::remove_dir_all(&database)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(refused(format!("{}: {error}", database.display())));
            }
            opener(&database, anew)
        })
    }

    /// After a failed write: opens the drives in sync again, and makes them agree.
    pub(super) fn reopen(&self, mark: &Put) -> Result<(), BackendError> {
        let mut writer = self.writer();
        let mark = Put {
            space: mark.space,
            key: mark.key.clone(),
            value: mark
                .value
                .as_ref()
                .map(|value| frame::whole(mark.space, &mark.key, value).into()),
        };
        let (mut opened, mut failed) = (Vec::new(), Vec::new());
        for handle in self.handles() {
            // A drive that is being rebuilt may not have the mark yet.
            let recovered = if handle.in_sync {
                handle.drive.recover(&mark)
            } else {
                Ok(())
            };
            match recovered.and_then(|()| read_record(handle.drive.as_ref())) {
                Ok(record) => opened.push(Opened { handle, record }),
                Err(full @ BackendError::NoSpace { .. }) => return Err(full),
                Err(error) => failed.push((handle.position, error)),
            }
        }
        let usable = opened.iter().filter(|one| one.handle.in_sync).count();
        if usable < self.needed() {
            return Err(self.too_few(usable, &failed));
        }
        for (position, error) in failed {
            self.set_state(position, State::Failed(error.to_string()));
        }
        writer.broken = None;
        self.settle(&mut writer, opened)
            .inspect_err(|error| writer.broken = Some(error.clone()))
    }

    /// Makes drives agree.
    fn settle(&self, writer: &mut Writer, mut opened: Vec<Opened<B>>) -> Result<(), BackendError> {
        let newest = opened
            .iter()
            .map(|one| &one.record)
            .max_by_key(|record| (record.number, record.epoch))
            .cloned()
            .unwrap_or_default();
        opened.retain(|one| {
            let (position, number) = (one.handle.position, one.record.number);
            let stale = number < newest.since;
            if stale {
                let cause = format!(
                    "its last write is number {number}, that of the others {}: it lost what it had, or is an old copy",
                    newest.number
                );
                self.set_state(position, State::Failed(cause));
            }
            !stale
        });
        let usable = opened.iter().filter(|one| one.handle.in_sync).count();
        if usable < self.needed() {
            return Err(self.too_few(usable, &[]));
        }
        let oldest = opened
            .iter()
            .map(|one| one.record.number)
            .min()
            .unwrap_or(newest.number);
        let mut parts = self.no_parts();
        let mut record = Record {
            number: newest.number + 1,
            since: oldest,
            settled: true,
            ..Record::default()
        };
        if oldest < newest.number {
            for write in &newest.writes {
                self.settle_write(&opened, &newest, write, &mut parts)?;
            }
            record.writes = newest.writes;
        }
        let epoch = opened
            .iter()
            .map(|one| one.record.epoch)
            .max()
            .unwrap_or_default();
        writer.epoch = writer.epoch.max(epoch) + 1;
        record.epoch = writer.epoch;
        writer.number = record.number;
        let handles: Vec<Handle<B>> = opened.into_iter().map(|one| one.handle).collect();
        fail_point!("drives.settle");
        let failed = self.write_all(parts, &record, &handles);
        fail_point!("drives.settled");
        self.judge(writer, failed)
    }

    /// Completes one write on drives that lack it, or undoes it on those that have it.
    fn settle_write(
        &self,
        opened: &[Opened<B>],
        newest: &Record,
        write: &WriteKeys,
        parts: &mut [Vec<Put>],
    ) -> Result<(), BackendError> {
        let mut keys = Vec::new();
        for key in &write.keys {
            keys.push((key.space()?, key.key.as_slice()));
        }
        let mut complete = true;
        for (space, key) in &keys {
            // One value at a time: all of them at once could be the memory of a whole batch.
            complete = complete
                && (!is_striped(*space, key) || self.gather(opened, *space, key)?.is_some());
        }
        // Small values come from a drive that has the write; to undo it, from one that does not. There is one: with all drives in
        // sync beyond the write, it would be complete.
        let forward = complete || newest.settled;
        let sources: Vec<&Opened<B>> = opened
            .iter()
            .filter(|one| {
                let has_it = one.record.number == newest.number;
                has_it == forward && (has_it || one.handle.in_sync)
            })
            .collect();
        for (space, key) in keys {
            let value = match (is_striped(space, key), forward) {
                (true, true) => self.gather(opened, space, key)?,
                (true, false) => None,
                (false, _) => whole_of(&sources, space, key)?,
            };
            let frames = match &value {
                Some(value) => Some(self.frames(space, key, value)?),
                None => None,
            };
            for one in opened {
                let position = one.handle.position;
                let value = frames.as_ref().map(|frames| frames(position));
                // A window that is not there is not made only to remove something from it.
                let missing = matches!(space, Space::Window(window) if !one.handle.drive.windows().contains(&window));
                if value.is_none() && missing {
                    continue;
                }
                if let Some(part) = parts.get_mut(position) {
                    part.push(Put {
                        space,
                        key: key.to_vec(),
                        value,
                    });
                }
            }
        }
        Ok(())
    }

    fn gather(
        &self,
        opened: &[Opened<B>],
        space: Space,
        key: &[u8],
    ) -> Result<Option<bytes::Bytes>, BackendError> {
        let mut found = Vec::new();
        for one in opened {
            if let Found::Here(frame) = one.handle.find(space, key)? {
                found.push((one.handle.position, frame));
            }
        }
        self.value_of(key, &found)
    }
}

/// A small value as the first drive has it whose bytes are right.
fn whole_of<B: Backend>(
    sources: &[&Opened<B>],
    space: Space,
    key: &[u8],
) -> Result<Option<bytes::Bytes>, BackendError> {
    for one in sources {
        match one.handle.find(space, key)? {
            Found::Here(Frame::Whole(value)) => return Ok(Some(value)),
            Found::Absent => return Ok(None),
            Found::Here(Frame::Shard { .. }) | Found::Damaged => {}
        }
    }
    Err(BackendError::Corrupt {
        detail: format!(
            "{}, key {}, of the last write: damaged on all of {} drives",
            space.name(),
            hex::encode(key),
            sources.len()
        ),
    })
}

fn read_record(drive: &impl Backend) -> Result<Record, BackendError> {
    let bytes = drive.get(Space::Meta, RECORD)?;
    Record::read(&bytes.ok_or_else(|| corrupt("it has none"))?)
}

fn corrupt(detail: &str) -> BackendError {
    BackendError::Corrupt {
        detail: format!("the record of the drive: {detail}"),
    }
}

fn check_numbers(folders: &[PathBuf], parity: usize) -> Result<(), BackendError> {
    let drives = folders.len();
    if drives > MAX_DRIVES || parity == 0 || 2 * parity >= drives {
        return Err(refused(format!(
            "{drives} drives with parity {parity}; parity is at least 1 and less than half of at most {MAX_DRIVES} drives"
        )));
    }
    for (position, folder) in folders.iter().enumerate() {
        if folders
            .iter()
            .skip(position + 1)
            .any(|other| other == folder)
        {
            return Err(refused(format!("{} is named twice", folder.display())));
        }
    }
    Ok(())
}

/// The set that all labels name, each in its place.
fn agreed(
    folders: &[PathBuf],
    parity: usize,
    labels: &[Result<Option<Label>, BackendError>],
    create: bool,
) -> Result<SetId, BackendError> {
    let mut first: Option<(&PathBuf, &Label)> = None;
    for ((position, folder), label) in folders.iter().enumerate().zip(labels) {
        let Ok(Some(label)) = label else {
            if create {
                return Err(refused(format!(
                    "{} is no drive of a set, but others of these folders are: to make a new set, empty all of them",
                    folder.display()
                )));
            }
            continue;
        };
        if let Some((other, known)) = first
            && known.set != label.set
        {
            return Err(refused(format!(
                "{} belongs to another set than {}",
                folder.display(),
                other.display()
            )));
        }
        if (label.position, label.drives, label.parity) != (position, folders.len(), parity) {
            return Err(refused(format!(
                "{} is drive {} of {} with parity {}, the configuration says drive {position} of {} with parity {parity}",
                folder.display(),
                label.position,
                label.drives,
                label.parity,
                folders.len(),
            )));
        }
        first = Some((folder, label));
    }
    first
        .map(|(_, label)| label.set)
        .ok_or_else(|| BackendError::TooFewDrives {
            usable: 0,
            drives: folders.len(),
            needed: folders.len() - parity,
            detail: "none of them holds anything; are the volumes mounted?".into(),
        })
}

/// Makes a set of empty drives.
fn make<B: Backend>(
    folders: &[PathBuf],
    parity: usize,
    opener: &dyn Fn(&Path, bool) -> Result<B, BackendError>,
) -> Result<SetId, BackendError> {
    let io = |detail: String| BackendError::Io { detail };
    for folder in folders {
        ashlar_service::folder::make(folder)
            .map_err(|error| io(format!("create the folder {}: {error}", folder.display())))?;
        if !label::is_empty(folder).map_err(io)? {
            return Err(refused(format!("{} is not empty", folder.display())));
        }
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        io(format!(
            "the operating system gave no random bytes: {error}"
        ))
    })?;
    let set = SetId(id);
    for (position, folder) in folders.iter().enumerate() {
        Label::new(set, position, folders.len(), parity)
            .write(folder)
            .map_err(io)?;
    }
    for (position, folder) in folders.iter().enumerate() {
        let record = Record {
            set: id.to_vec(),
            position: position as u32,
            drives: folders.len() as u32,
            parity: parity as u32,
            epoch: 1,
            in_sync: (0..folders.len() as u32).collect(),
            ..Record::default()
        };
        let drive = opener(&label::database(folder), true)?;
        drive.write(&mut std::iter::once(record.put()), 256, Durability::Synced)?;
    }
    Ok(set)
}
