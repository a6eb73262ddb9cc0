//! Filling drives again from the others, in pieces, while they work on.
//!
//! From the beginning of its rebuild on a drive gets every write. What was written before is copied to it in the order of spaces
//! and keys; if several are rebuilt, to all at once, so that the others are read once. How far that is stands in the drive's own record,
//! so that a restart goes on from there: the drive missed nothing as long as the node was stopped. A drive that missed a write
//! begins anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fail::fail_point;

use super::frame::{self, Frame, is_striped};
use super::label::{self, Label};
use super::settle::Progress;
use super::{
    Backend, BackendError, Drives, Durability, Found, Put, RECORD, Space, State, Watched, WindowId,
    Writer,
};

/// A piece is about as large: writers wait for it.
const PIECE_BYTES: usize = 1 << 20;
/// Most keys of a piece.
const PIECE_KEYS: usize = 1024;
/// A drive that fails again and again is tried after these times, doubled each time.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// When a failed drive is tried again.
#[derive(Debug, Default)]
pub(super) struct Retry {
    tries: u32,
    next: Option<Instant>,
}

impl Retry {
    /// Whether it is time; if so, the time after this.
    fn due(&mut self) -> bool {
        let now = Instant::now();
        let due = self.next.is_none_or(|next| next <= now);
        if due {
            let wait = RETRY_MIN
                .saturating_mul(1 << self.tries.min(16))
                .min(RETRY_MAX);
            self.tries += 1;
            self.next = Some(now + wait);
        }
        due
    }
}

/// Where the copying to a drive goes on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    space: Space,
    after: Option<Vec<u8>>,
}

/// A drive that is being rebuilt.
struct Target<B: Backend> {
    position: usize,
    drive: Arc<Watched<B>>,
    progress: Progress,
    /// `None` when all is copied.
    place: Option<Place>,
}

impl<B: Backend> Drives<B> {
    pub(super) fn tend(&self) -> Result<Option<u64>, BackendError> {
        self.check_labels()?;
        self.take_back();
        self.rebuild_piece()
    }

    /// A drive whose label is gone was emptied or taken away under the node.
    fn check_labels(&self) -> Result<(), BackendError> {
        let mut failed = Vec::new();
        for handle in self.handles() {
            let (set, position) = (self.set, handle.position);
            let known = self.look(position, move |folder| match Label::read(folder)? {
                Some(label) if label.set == set && label.position == position => Ok(()),
                Some(_) => Err("another drive is in its place".into()),
                None => Err("it lost its label: it was emptied, or its volume is gone".into()),
            });
            failed.extend(known.err().map(|error| (position, error)));
        }
        if failed.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer();
        let judged = self.judge(&mut writer, failed);
        judged.inspect_err(|error| writer.broken = Some(error.clone()))
    }

    /// Begins the rebuild of drives that failed, as soon as their folder can be used.
    fn take_back(&self) {
        for (position, lane) in self.lanes.iter().enumerate() {
            let due = match self.slots_mut().get_mut(position) {
                // What it was opened as has to be closed: else it might write into the new database.
                Some(slot) => {
                    matches!(slot.state, State::Failed(_))
                        && !lane.hangs()
                        && slot.users.strong_count() == 0
                        && slot.retry.due()
                }
                None => false,
            };
            if due && let Err(error) = self.begin(position) {
                tracing::warn!(drive = position, %error, "a drive that failed cannot be rebuilt yet");
            }
        }
    }

    fn begin(&self, position: usize) -> Result<(), BackendError> {
        let (set, drives, parity) = (self.set, self.stripes.drives(), self.stripes.parity());
        self.look(position, move |folder| match Label::read(folder)? {
            Some(label) if label.set == set && label.position == position => Ok(()),
            Some(_) => Err(format!(
                "{} is a drive of another set, or another drive of this one: empty it to use it here",
                folder.display()
            )),
            // The folder is not made here: a volume that is not mounted has none, and the rebuild would fill the disk below.
            None if label::is_empty(folder)? => {
                Label::new(set, position, drives, parity).write(folder)
            }
            None => Err(format!(
                "{} is no drive of this set and not empty",
                folder.display()
            )),
        })?;
        let drive = Arc::new(self.open_database(position, true)?);
        let mut writer = self.writer();
        if let Some(error) = &writer.broken {
            return Err(error.clone());
        }
        fail_point!("drives.begin");
        self.set_state(position, State::Rebuilding(drive, Progress::default()));
        tracing::info!(drive = position, "a drive is being rebuilt");
        // The drive's first record, and everybody's word that it is not in sync.
        let failed = self.write_members(&mut writer);
        self.judge(&mut writer, failed)
    }

    /// Copies a piece to all drives that are being rebuilt, from where the last of them is. Returns its bytes; `None` if no drive
    /// is.
    fn rebuild_piece(&self) -> Result<Option<u64>, BackendError> {
        let mut writer = self.writer();
        if writer.broken.is_some() {
            return Ok(None);
        }
        let mut targets = self.targets()?;
        let ready = |target: &Target<B>| target.place.is_none();
        if let Some(ready) = targets.iter().position(ready) {
            let Target {
                position, drive, ..
            } = targets.swap_remove(ready);
            self.finish(&mut writer, position, drive)?;
            return Ok(Some(0));
        }
        let Some(place) = targets.iter().filter_map(|t| t.place.clone()).min() else {
            return Ok(None);
        };
        // Those that are in a later space have all of this one.
        targets.retain(|t| t.place.as_ref().is_some_and(|p| p.space == place.space));
        let mut puts: Vec<Vec<Put>> = targets.iter().map(|_| Vec::new()).collect();
        let (mut keys, mut bytes, mut last) = (0, 0, None);
        let mut limit = 1;
        // Values may be small or large: ask for more as long as they are small.
        while bytes < PIECE_BYTES && keys < PIECE_KEYS {
            let after = last.as_deref().or(place.after.as_deref());
            let page = self.scan_frames(place.space, &[], after, limit)?;
            let Some((end, _)) = page.last_key_value() else {
                break;
            };
            last = Some(end.clone());
            let before = bytes;
            for (key, frames) in page {
                if key == RECORD {
                    continue;
                }
                let value = self.value_to_copy(&mut writer, place.space, &key, &frames)?;
                let Some(value) = value else {
                    continue;
                };
                keys += 1;
                let frames = self.frames(place.space, &key, &value)?;
                for (target, puts) in targets.iter().zip(&mut puts) {
                    let after = target.place.as_ref().and_then(|p| p.after.as_ref());
                    if after.is_some_and(|after| *after >= key) {
                        continue;
                    }
                    let frame = frames(target.position);
                    bytes += key.len() + frame.len();
                    puts.push(Put {
                        space: place.space,
                        key: key.clone(),
                        value: Some(frame),
                    });
                }
            }
            if bytes - before < PIECE_BYTES / 8 {
                limit = (4 * limit).min(PIECE_KEYS);
            }
        }
        let mut failed = Vec::new();
        for (target, mut puts) in targets.into_iter().zip(puts) {
            let Target {
                position,
                drive,
                mut progress,
                place: own,
            } = target;
            let size = puts.iter().map(Put::bytes).sum();
            progress.space = place.space.name();
            // Without a last key the space is done: the next piece begins the next one.
            progress.space_done = last.is_none();
            match &last {
                Some(last) => {
                    let own = own.and_then(|place| place.after);
                    progress.after = own
                        .into_iter()
                        .chain([last.clone()])
                        .max()
                        .unwrap_or_default();
                }
                None if matches!(place.space, Space::Window(_)) => progress.windows += 1,
                None => {}
            }
            progress.bytes += size as u64;
            self.set_state(position, State::Rebuilding(Arc::clone(&drive), progress));
            puts.push(self.record(position, &writer.record()));
            fail_point!("drives.copy");
            let written = drive.write(&mut puts.into_iter(), size, Durability::Buffered);
            failed.extend(written.err().map(|error| (position, error)));
        }
        self.judge(&mut writer, failed)?;
        Ok(Some(bytes as u64))
    }

    /// Drives that are being rebuilt.
    fn targets(&self) -> Result<Vec<Target<B>>, BackendError> {
        let rebuilding: Vec<_> = (0..)
            .zip(self.slots().iter())
            .filter_map(|(position, slot)| match &slot.state {
                State::Rebuilding(drive, progress) => {
                    Some((position, Arc::clone(drive), progress.clone()))
                }
                _ => None,
            })
            .collect();
        let target = |(position, drive, progress)| {
            Ok(Target {
                place: self.place(&progress)?,
                position,
                drive,
                progress,
            })
        };
        rebuilding.into_iter().map(target).collect()
    }

    /// Where the copying goes on; `None` when all is copied.
    fn place(&self, progress: &Progress) -> Result<Option<Place>, BackendError> {
        let windows: Vec<WindowId> = self.windows();
        let mut spaces = Space::KEPT
            .into_iter()
            .chain(windows.into_iter().map(Space::Window));
        if progress.space.is_empty() {
            return Ok(spaces.next().map(|space| Place { space, after: None }));
        }
        let now = Space::from_name(&progress.space).ok_or_else(|| BackendError::Corrupt {
            detail: format!("a rebuild is in a space {:?}", progress.space),
        })?;
        if progress.space_done {
            return Ok(spaces
                .find(|space| *space > now)
                .map(|space| Place { space, after: None }));
        }
        Ok(Some(Place {
            space: now,
            after: Some(progress.after.clone()).filter(|after| !after.is_empty()),
        }))
    }

    /// The value of a key, from frames that others gave and, if they are not enough, from all.
    fn value_to_copy(
        &self,
        writer: &mut Writer,
        space: Space,
        key: &[u8],
        frames: &[(usize, Bytes)],
    ) -> Result<Option<Bytes>, BackendError> {
        let mut found: Vec<(usize, Frame)> = frames
            .iter()
            .filter_map(|(from, bytes)| Some((*from, frame::parse(space, key, bytes)?)))
            .collect();
        if is_striped(space, key) {
            for handle in self.in_sync() {
                if found.len() >= self.stripes.data() {
                    break;
                }
                if found.iter().any(|(from, _)| *from == handle.position) {
                    continue;
                }
                if let Found::Here(frame) = handle.find(space, key)? {
                    found.push((handle.position, frame));
                }
            }
        }
        match self.value_of(key, &found)? {
            Some(value) => Ok(Some(value)),
            None => self.read_all(writer, space, key),
        }
    }

    /// The drive holds everything: syncs it, and says so on all.
    fn finish(
        &self,
        writer: &mut Writer,
        position: usize,
        drive: Arc<Watched<B>>,
    ) -> Result<(), BackendError> {
        let own = self.record(position, &writer.record());
        if let Err(error) = drive.write(&mut std::iter::once(own), 256, Durability::Synced) {
            return self.judge(writer, vec![(position, error)]);
        }
        fail_point!("drives.finish");
        self.set_state(position, State::InSync(drive));
        tracing::info!(drive = position, "a drive is rebuilt, and in sync");
        let failed = self.write_members(writer);
        self.judge(writer, failed)
    }
}
