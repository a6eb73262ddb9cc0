//! Several drives as one backend: slices striped over them with parity, all else whole on each of them.
//!
//! ```text
//!            drive 0    drive 1    drive 2    drive 3    drive 4        5 drives, parity 2
//! slices     shard 0    shard 1    shard 2    parity 3   parity 4       turned from key to key
//! all else   whole      whole      whole      whole      whole
//! ```
//!
//! * **A write is acknowledged when every drive in sync has synced it**, and those are at least drives − parity. A drive that
//!   fails is out of sync from then on: the others have that on disk before the write that it missed is acknowledged, so
//!   what it holds is never trusted again. With fewer drives nothing is acknowledged, so nothing is signed.
//! * **What is not there is believed of parity + 1 drives**, so no `parity` of them can make the node sign twice. What is there
//!   carries a checksum over its place and its bytes; a value that is missing or wrong is made again from the others.
//! * Twice the parity is less than the number of drives. So any two sets that may acknowledge have a drive in common, and
//!   the drives that stayed behind are told from those that went on.
//! * Writes have numbers, and every drive keeps the number of the last one with its keys. After a crash, drives differ in the
//!   last write only: it is completed if enough of it is there, else undone ([`settle`]). A drive that is further behind
//!   lost what it had synced, or is an old copy: it counts as failed.
//! * A failed drive comes back empty, and is filled from the others while they work on ([`rebuild`]). A drive that does not answer
//!   in time counts as failed, until it does ([`Lane`]).
//!
//! Writers that come together share one write, as in RocksDB itself.

mod frame;
pub(super) mod fuzzing;
mod label;
mod read;
mod rebuild;
mod settle;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::time::Duration;

use bytes::Bytes;
use fail::fail_point;

use super::{
    Backend, BackendError, DriveState, DriveStatus, Durability, Lane, Put, Space, Syncs, Watched,
    WindowId,
};
use frame::{Frame, Stripes, is_striped};
use label::SetId;
use rebuild::Retry;
use settle::{Key, Progress, Record, WriteKeys};

/// Most drives of a set.
pub const MAX_DRIVES: usize = 64;

/// Keys that are listed at a time to look at all their copies; their values come along.
const MEND_AT_ONCE: usize = 16;
/// Key of a drive's own [`Record`], in [`Space::Meta`]; it is no value of the set.
const RECORD: &[u8] = b"drive/record";

/// Which drives, and how many of them may be gone.
#[derive(Debug, Clone)]
pub struct DrivesOptions {
    /// A folder on each drive, in an order that stays the same. Each is on a device of its own.
    pub folders: Vec<PathBuf>,
    /// As many drives may be gone; at least 1, less than half of them.
    pub parity: usize,
    /// Whether a set is made where there is none.
    pub create: bool,
    /// A drive that has not answered for so long counts as failed.
    pub patience: Duration,
}

type Opener<B> = Arc<dyn Fn(&Path, bool) -> Result<B, BackendError> + Send + Sync>;

/// Several drives, each with a backend of its own. See the module's text.
pub struct Drives<B: Backend> {
    folders: Vec<PathBuf>,
    /// By position.
    lanes: Vec<Arc<Lane>>,
    set: SetId,
    stripes: Stripes,
    /// Opens the backend in a folder; makes it if told so.
    opener: Opener<B>,
    slots: RwLock<Vec<Slot<B>>>,
    /// One write at a time; also taken by whatever must not run beside a write.
    writer: Mutex<Writer>,
    /// Writes that wait for their turn: the next writer takes all of them.
    queue: Mutex<Vec<Arc<Pending>>>,
}

#[derive(Debug)]
struct Slot<B: Backend> {
    state: State<B>,
    healed: u64,
    retry: Retry,
    /// Whoever still uses what a failed drive was opened as.
    users: Weak<B>,
}

#[derive(Debug)]
enum State<B: Backend> {
    InSync(Arc<Watched<B>>),
    Rebuilding(Arc<Watched<B>>, Progress),
    Failed(String),
}

/// A drive that is written to.
#[derive(Debug)]
struct Handle<B: Backend> {
    position: usize,
    drive: Arc<Watched<B>>,
    in_sync: bool,
}

#[derive(Debug, Default)]
struct Writer {
    /// Rises whenever a drive fails or is in sync again.
    epoch: u64,
    /// Number of the last write.
    number: u64,
    /// Why nothing is written until [`Backend::recover`] succeeds.
    broken: Option<BackendError>,
}

impl Writer {
    /// The base of every drive's record when nothing is written but that.
    fn record(&self) -> Record {
        Record {
            epoch: self.epoch,
            number: self.number,
            since: self.number,
            ..Record::default()
        }
    }
}

/// A write on its way.
#[derive(Debug)]
struct Pending {
    work: Mutex<Option<Work>>,
    outcome: OnceLock<Result<(), BackendError>>,
}

/// A write, taken apart.
#[derive(Debug)]
struct Work {
    /// For each drive, by position.
    parts: Vec<Vec<Put>>,
    keys: WriteKeys,
}

/// What drives hold under some keys: frames, each with the position of its drive.
type Frames = BTreeMap<Vec<u8>, Vec<(usize, Bytes)>>;

/// What a drive says about a key.
enum Found {
    Absent,
    Damaged,
    Here(Frame),
}

impl<B: Backend> std::fmt::Debug for Drives<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drives")
            .field("folders", &self.folders)
            .field("set", &self.set)
            .field("parity", &self.stripes.parity())
            .finish_non_exhaustive()
    }
}

impl<B: Backend> Handle<B> {
    fn find(&self, space: Space, key: &[u8]) -> Result<Found, BackendError> {
        match self.drive.get(space, key) {
            Ok(None) => Ok(Found::Absent),
            Ok(Some(bytes)) => {
                Ok(frame::parse(space, key, &bytes).map_or(Found::Damaged, Found::Here))
            }
            // One block of the drive; a drive that fails says so otherwise.
            Err(BackendError::Corrupt { .. }) => Ok(Found::Damaged),
            Err(error) => Err(error),
        }
    }
}

impl<B: Backend> Drives<B> {
    fn slots(&self) -> RwLockReadGuard<'_, Vec<Slot<B>>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots_mut(&self) -> RwLockWriteGuard<'_, Vec<Slot<B>>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something in the folder of a drive, for which nobody waits longer than for a piece of IO.
    fn look<T: Send + 'static>(
        &self,
        position: usize,
        work: impl FnOnce(&Path) -> Result<T, String> + Send + 'static,
    ) -> Result<T, BackendError> {
        look(&self.lanes, &self.folders, position, work)
    }

    /// Drives that must be in sync.
    fn needed(&self) -> usize {
        self.stripes.data()
    }

    /// Drives that are written to.
    fn handles(&self) -> Vec<Handle<B>> {
        let handle = |(position, slot): (usize, &Slot<B>)| {
            let (drive, in_sync) = match &slot.state {
                State::InSync(drive) => (drive, true),
                State::Rebuilding(drive, _) => (drive, false),
                State::Failed(_) => return None,
            };
            Some(Handle {
                position,
                drive: Arc::clone(drive),
                in_sync,
            })
        };
        self.slots().iter().enumerate().filter_map(handle).collect()
    }

    /// Drives that are read from.
    fn in_sync(&self) -> Vec<Handle<B>> {
        let mut handles = self.handles();
        handles.retain(|handle| handle.in_sync);
        handles
    }

    fn too_few(&self, usable: usize, more: &[(usize, BackendError)]) -> BackendError {
        let slots = self.slots();
        let failed = slots
            .iter()
            .enumerate()
            .filter_map(|(n, slot)| match &slot.state {
                State::Failed(cause) => Some(format!("drive {n}: {cause}")),
                _ => None,
            });
        let failing = more.iter().map(|(n, error)| format!("drive {n}: {error}"));
        BackendError::TooFewDrives {
            usable,
            drives: self.stripes.drives(),
            needed: self.needed(),
            detail: failed.chain(failing).collect::<Vec<_>>().join("; "),
        }
    }

    /// What each drive gets, by position, before there is anything.
    fn no_parts(&self) -> Vec<Vec<Put>> {
        (0..self.stripes.drives()).map(|_| Vec::new()).collect()
    }

    /// What each drive gets as the value of a key, by position.
    fn frames<'a>(
        &'a self,
        space: Space,
        key: &'a [u8],
        value: &'a [u8],
    ) -> Result<impl Fn(usize) -> Bytes + 'a, BackendError> {
        let (whole, shards) = match is_striped(space, key) {
            true => (None, self.stripes.split(value)?),
            false => (
                Some(Bytes::from(frame::whole(space, key, value))),
                Vec::new(),
            ),
        };
        Ok(move |position| match &whole {
            Some(whole) => whole.clone(),
            None => {
                let index = self.stripes.index(key, position);
                let bytes = shards.get(index).map_or(&[][..], Vec::as_slice);
                frame::shard(space, key, index, value.len(), bytes).into()
            }
        })
    }

    /// Takes a write apart, value by value.
    fn split(&self, puts: &mut dyn Iterator<Item = Put>) -> Result<Work, BackendError> {
        let mut parts = self.no_parts();
        let mut keys = WriteKeys::default();
        for Put { space, key, value } in puts {
            keys.keys.push(Key::new(space, &key));
            let frames = match &value {
                Some(value) => Some(self.frames(space, &key, value)?),
                None => None,
            };
            for (position, part) in parts.iter_mut().enumerate() {
                part.push(Put {
                    space,
                    key: key.clone(),
                    value: frames.as_ref().map(|frames| frames(position)),
                });
            }
        }
        Ok(Work { parts, keys })
    }

    /// The record of a drive, as a value to write.
    fn record(&self, position: usize, base: &Record) -> Put {
        let mut record = base.clone();
        record.set = self.set.0.to_vec();
        record.position = position as u32;
        record.drives = self.stripes.drives() as u32;
        record.parity = self.stripes.parity() as u32;
        let slots = self.slots();
        record.in_sync = (0u32..)
            .zip(slots.iter())
            .filter(|(_, slot)| matches!(slot.state, State::InSync(_)))
            .map(|(position, _)| position)
            .collect();
        record.rebuild = slots.get(position).and_then(|slot| match &slot.state {
            State::Rebuilding(_, progress) => Some(progress.clone()),
            _ => None,
        });
        record.put()
    }

    /// Writes to drives at the same time, each with its record, synced. Returns what failed.
    fn write_all(
        &self,
        mut parts: Vec<Vec<Put>>,
        record: &Record,
        handles: &[Handle<B>],
    ) -> Vec<(usize, BackendError)> {
        let mut work: Vec<(&Handle<B>, Vec<Put>)> = Vec::new();
        for handle in handles {
            let mut part = parts
                .get_mut(handle.position)
                .map(std::mem::take)
                .unwrap_or_default();
            part.push(self.record(handle.position, record));
            work.push((handle, part));
        }
        let one = |(handle, part): (&Handle<B>, Vec<Put>)| {
            let size = part.iter().map(Put::bytes).sum();
            let written = handle
                .drive
                .write(&mut part.into_iter(), size, Durability::Synced);
            written.err().map(|error| (handle.position, error))
        };
        std::thread::scope(|scope| {
            let last = work.pop();
            let threads: Vec<_> = work
                .into_iter()
                .map(|part| scope.spawn(move || one(part)))
                .collect();
            let here = last.and_then(one);
            let there = threads
                .into_iter()
                .filter_map(|thread| match thread.join() {
                    Ok(failed) => failed,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
            there.chain(here).collect()
        })
    }

    /// What follows from drives that failed: with enough of the others they are out of sync, and the others have that on disk.
    ///
    /// # Errors
    /// A drive is full, or too few are left. Nothing was changed then.
    fn judge(
        &self,
        writer: &mut Writer,
        mut failed: Vec<(usize, BackendError)>,
    ) -> Result<(), BackendError> {
        // Drives may differ in the last write then: only `recover` may say which of them are in sync.
        if let Some(error) = writer.broken.as_ref().filter(|_| !failed.is_empty()) {
            return Err(error.clone());
        }
        while !failed.is_empty() {
            let handles = self.in_sync();
            let is_in_sync = |position: usize| handles.iter().any(|h| h.position == position);
            // All drives fill up alike: room has to be made, and none of them is broken.
            if let Some((_, full)) = failed.iter().find(|(position, error)| {
                is_in_sync(*position) && matches!(error, BackendError::NoSpace { .. })
            }) {
                return Err(full.clone());
            }
            let lost = failed
                .iter()
                .filter(|(position, _)| is_in_sync(*position))
                .count();
            let left = handles.len() - lost;
            if left < self.needed() {
                return Err(self.too_few(left, &failed));
            }
            for (position, error) in failed {
                tracing::error!(drive = position, %error, "a drive failed: it is not used any more");
                self.set_state(position, State::Failed(error.to_string()));
            }
            failed = self.write_members(writer);
        }
        Ok(())
    }

    /// Tells every drive which of them are in sync now.
    fn write_members(&self, writer: &mut Writer) -> Vec<(usize, BackendError)> {
        writer.epoch += 1;
        fail_point!("drives.members");
        self.write_all(self.no_parts(), &writer.record(), &self.handles())
    }

    fn set_state(&self, position: usize, state: State<B>) {
        let mut slots = self.slots_mut();
        let Some(slot) = slots.get_mut(position) else {
            return;
        };
        let before = std::mem::replace(&mut slot.state, state);
        if let (State::InSync(drive) | State::Rebuilding(drive, _), State::Failed(_)) =
            (&before, &slot.state)
        {
            slot.users = drive.users();
        }
        drop(slots);
        // Closes the drive, perhaps: nobody has to wait for that.
        drop(before);
    }

    fn write_group(&self, writer: &mut Writer, group: Vec<Work>) -> Result<(), BackendError> {
        if let Some(error) = &writer.broken {
            return Err(error.clone());
        }
        let mut parts = self.no_parts();
        let mut writes = Vec::new();
        for work in group {
            for (part, more) in parts.iter_mut().zip(work.parts) {
                part.extend(more);
            }
            writes.push(work.keys);
        }
        let record = Record {
            number: writer.number + 1,
            writes,
            ..writer.record()
        };
        let failed = self.write_all(parts, &record, &self.handles());
        fail_point!("drives.written");
        writer.number += 1;
        self.judge(writer, failed).inspect_err(|error| {
            writer.broken = Some(error.clone());
        })
    }

    fn write_synced(&self, work: Work) -> Result<(), BackendError> {
        let pending = Arc::new(Pending {
            work: Mutex::new(Some(work)),
            outcome: OnceLock::new(),
        });
        let queue = || self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue().push(Arc::clone(&pending));
        let mut writer = self.writer();
        // Whoever had the turn before may have taken this write along.
        if pending.outcome.get().is_none() {
            let group = std::mem::take(&mut *queue());
            let take =
                |p: &Arc<Pending>| p.work.lock().unwrap_or_else(PoisonError::into_inner).take();
            let work = group.iter().filter_map(take).collect();
            let outcome = self.write_group(&mut writer, work);
            for pending in group {
                let _ = pending.outcome.set(outcome.clone());
            }
        }
        // Without an outcome the thread that took it along panicked.
        pending.outcome.get().cloned().unwrap_or_else(|| {
            Err(BackendError::Io {
                detail: "a write of the drives was given up".into(),
            })
        })
    }

    fn write_buffered(&self, mut work: Work) -> Result<(), BackendError> {
        let mut failed = Vec::new();
        for handle in self.handles() {
            let part = work
                .parts
                .get_mut(handle.position)
                .map(std::mem::take)
                .unwrap_or_default();
            if let Err(error) = handle
                .drive
                .write(&mut part.into_iter(), 0, Durability::Buffered)
            {
                failed.push((handle.position, error));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        self.judge(&mut self.writer(), failed)
    }
}

fn look<T: Send + 'static>(
    lanes: &[Arc<Lane>],
    folders: &[PathBuf],
    position: usize,
    work: impl FnOnce(&Path) -> Result<T, String> + Send + 'static,
) -> Result<T, BackendError> {
    let drives = |detail: String| BackendError::Drives { detail };
    let (Some(lane), Some(folder)) = (lanes.get(position), folders.get(position).cloned()) else {
        return Err(drives(format!("there is no drive {position}")));
    };
    lane.run(move || work(&folder))?.map_err(drives)
}

impl<B: Backend> Backend for Drives<B> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        match self.read_quick(space, key) {
            Some(value) => Ok(value),
            // Perhaps only because a write is under way.
            None => self.read_all(&mut self.writer(), space, key),
        }
    }

    fn find(&self, spaces: &[Space], key: &[u8]) -> Result<Option<(Space, Bytes)>, BackendError> {
        // Most do not have it: they are asked for all at once.
        let absent = self.absent(spaces, key);
        for space in spaces.iter().skip(absent) {
            if let Some(value) = self.get(*space, key)? {
                return Ok(Some((*space, value)));
            }
        }
        Ok(None)
    }

    fn mend(&self, space: Space, prefix: &[u8]) -> Result<(), BackendError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.scan_frames(space, prefix, after.as_deref(), MEND_AT_ONCE)?;
            let Some((last, _)) = page.last_key_value() else {
                return Ok(());
            };
            after = Some(last.clone());
            for key in page.into_keys().filter(|key| key != RECORD) {
                self.read_all(&mut self.writer(), space, &key)?;
            }
        }
    }

    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        _size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError> {
        let work = self.split(puts)?;
        match durability {
            Durability::Synced => self.write_synced(work),
            Durability::Buffered => self.write_buffered(work),
        }
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError> {
        let mut out = Vec::new();
        for (key, frames) in self.scan_frames(space, prefix, after, limit)? {
            if out.len() == limit {
                break;
            }
            let whole =
                frames
                    .iter()
                    .find_map(|(_, frame)| match frame::parse(space, &key, frame) {
                        Some(Frame::Whole(value)) => Some(value),
                        _ => None,
                    });
            let value = match whole {
                _ if key == RECORD => None,
                Some(value) => Some(value),
                None => self.get(space, &key)?,
            };
            out.extend(value.map(|value| (key, value)));
        }
        Ok(out)
    }

    fn windows(&self) -> Vec<WindowId> {
        let mut windows: Vec<WindowId> = self
            .in_sync()
            .iter()
            .flat_map(|h| h.drive.windows())
            .collect();
        windows.sort_unstable();
        windows.dedup();
        windows
    }

    fn drop_window(&self, window: WindowId) -> Result<(), BackendError> {
        let mut writer = self.writer();
        let drop =
            |handle: Handle<B>| Some((handle.position, handle.drive.drop_window(window).err()?));
        let failed = self.handles().into_iter().filter_map(drop).collect();
        self.judge(&mut writer, failed)
    }

    fn recover(&self, mark: &Put) -> Result<(), BackendError> {
        self.reopen(mark)
    }

    fn syncs(&self) -> Syncs {
        self.in_sync().iter().map(|h| h.drive.syncs()).sum()
    }

    fn drives(&self) -> Vec<DriveStatus> {
        let status = |(slot, folder): (&Slot<B>, &PathBuf)| {
            let (state, cause, progress) = match &slot.state {
                State::InSync(_) => (DriveState::InSync, None, None),
                State::Rebuilding(_, progress) => (DriveState::Rebuilding, None, Some(progress)),
                State::Failed(cause) => (DriveState::Failed, Some(cause.clone()), None),
            };
            DriveStatus {
                folder: folder.display().to_string(),
                state,
                cause,
                rebuilt_bytes: progress.map_or(0, |p| p.bytes),
                rebuilt_windows: progress.map_or(0, |p| p.windows),
                healed: slot.healed,
            }
        };
        self.slots().iter().zip(&self.folders).map(status).collect()
    }

    fn tend_drives(&self) -> Result<Option<u64>, BackendError> {
        self.tend()
    }
}

#[cfg(test)]
mod tests;
