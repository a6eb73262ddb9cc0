//! Filling a drive again from the others, in pieces, while they work on.
//!
//! From the beginning of its rebuild on a drive gets every write. What was written before is copied to it in the order of spaces
//! and keys. How far that is stands in the drive's own record, so that a restart goes on from there: the drive missed nothing as
//! long as the node was stopped. A drive that missed a write begins anew.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fail::fail_point;

use super::frame::{self, Frame, is_striped};
use super::label::{self, Label};
use super::settle::Progress;
use super::{
    Backend, BackendError, Drives, Durability, Found, Put, RECORD, Space, State, WindowId, Writer,
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

/// Where a piece goes on.
struct Place {
    space: Space,
    after: Option<Vec<u8>>,
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
            let Some(folder) = self.folders.get(handle.position) else {
                continue;
            };
            let detail = match Label::read(folder) {
                Ok(Some(label)) if label.set == self.set && label.position == handle.position => {
                    continue;
                }
                Ok(Some(_)) => "another drive is in its place".into(),
                Ok(None) => "it lost its label: it was emptied, or its volume is gone".into(),
                Err(detail) => detail,
            };
            failed.push((handle.position, BackendError::Drives { detail }));
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
        for (position, folder) in self.folders.iter().enumerate() {
            let due = match self.slots_mut().get_mut(position) {
                Some(slot) => matches!(slot.state, State::Failed(_)) && slot.retry.due(),
                None => false,
            };
            if due && let Err(error) = self.begin(position, folder) {
                tracing::warn!(drive = position, %error, "a drive that failed cannot be rebuilt yet");
            }
        }
    }

    fn begin(&self, position: usize, folder: &std::path::Path) -> Result<(), BackendError> {
        let refused = |detail: String| BackendError::Drives { detail };
        match Label::read(folder).map_err(refused)? {
            Some(label) if label.set == self.set && label.position == position => {}
            Some(_) => {
                return Err(refused(format!(
                    "{} is a drive of another set, or another drive of this one: empty it to use it here",
                    folder.display()
                )));
            }
            // The folder is not made here: a volume that is not mounted has none, and the rebuild would fill the disk below.
            None if label::is_empty(folder).map_err(refused)? => {
                Label::new(
                    self.set,
                    position,
                    self.stripes.drives(),
                    self.stripes.parity(),
                )
                .write(folder)
                .map_err(refused)?;
            }
            None => {
                return Err(refused(format!(
                    "{} is no drive of this set and not empty",
                    folder.display()
                )));
            }
        }
        let database = label::database(folder);
        match std::fs::remove_dir_all(&database) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(refused(format!("{}: {error}", database.display())));
            }
            _ => {}
        }
        let drive = Arc::new((self.opener)(&database, true)?);
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

    /// Copies a piece to the first drive that is being rebuilt. Returns its bytes; `None` if no drive is.
    fn rebuild_piece(&self) -> Result<Option<u64>, BackendError> {
        let mut writer = self.writer();
        if writer.broken.is_some() {
            return Ok(None);
        }
        let rebuilding = self
            .slots()
            .iter()
            .enumerate()
            .find_map(|(position, slot)| match &slot.state {
                State::Rebuilding(drive, progress) => {
                    Some((position, Arc::clone(drive), progress.clone()))
                }
                _ => None,
            });
        let Some((position, drive, mut progress)) = rebuilding else {
            return Ok(None);
        };
        let Some(place) = self.place(&progress)? else {
            self.finish(&mut writer, position, drive)?;
            return Ok(Some(0));
        };
        let (mut puts, mut bytes, mut last) = (Vec::new(), 0, None);
        let mut limit = 1;
        // Values may be small or large: ask for more as long as they are small.
        while bytes < PIECE_BYTES && puts.len() < PIECE_KEYS {
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
                let Some(value) =
                    self.copy_of(&mut writer, position, place.space, &key, &frames)?
                else {
                    continue;
                };
                bytes += key.len() + value.len();
                puts.push(Put {
                    space: place.space,
                    key,
                    value: Some(value.into()),
                });
            }
            if bytes - before < PIECE_BYTES / 8 {
                limit = (4 * limit).min(PIECE_KEYS);
            }
        }
        progress.space = place.space.name();
        progress.space_done = false;
        match last {
            Some(last) => progress.after = last,
            None => {
                // The space is done: the next piece begins the next one.
                if matches!(place.space, Space::Window(_)) {
                    progress.windows += 1;
                }
                progress.space_done = true;
            }
        }
        progress.bytes += bytes as u64;
        self.set_state(position, State::Rebuilding(Arc::clone(&drive), progress));
        puts.push(self.record(position, &writer.record()));
        fail_point!("drives.copy");
        let written = drive.write(&mut puts.into_iter(), bytes, Durability::Buffered);
        if let Err(error) = written {
            self.judge(&mut writer, vec![(position, error)])?;
        }
        Ok(Some(bytes as u64))
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

    /// What a drive has to hold under a key, from frames that others gave and, if they are not enough, from all.
    fn copy_of(
        &self,
        writer: &mut Writer,
        position: usize,
        space: Space,
        key: &[u8],
        frames: &[(usize, bytes::Bytes)],
    ) -> Result<Option<Vec<u8>>, BackendError> {
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
        let value = match self.value_of(key, &found)? {
            Some(value) => Some(value),
            None => self.read_all(writer, space, key)?,
        };
        value
            .map(|value| self.framed(position, space, key, &value))
            .transpose()
    }

    /// The drive holds everything: syncs it, and says so on all.
    fn finish(
        &self,
        writer: &mut Writer,
        position: usize,
        drive: Arc<B>,
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
