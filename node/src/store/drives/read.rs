//! Reading what several drives hold, and putting right what is missing or wrong on some.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::frame::Frame;
use super::{Backend, BackendError, Drives, Durability, Found, Frames, Handle, Put, Space, Writer};

impl<B: Backend> Drives<B> {
    /// Reads without a doubt: enough drives answer, and all alike. `None` if one of them does not.
    pub(super) fn read_quick(&self, space: Space, key: &[u8]) -> Option<Option<Bytes>> {
        let mut handles = self.in_sync();
        handles.sort_by_key(|handle| self.stripes.index(key, handle.position));
        let mut absent = 0;
        let mut shards = Vec::new();
        let mut value_len = None;
        for handle in handles {
            match handle.find(space, key) {
                Ok(Found::Absent) if shards.is_empty() => {
                    absent += 1;
                    if absent > self.stripes.parity() {
                        return Some(None);
                    }
                }
                Ok(Found::Here(Frame::Whole(value))) if absent == 0 => return Some(Some(value)),
                Ok(Found::Here(Frame::Shard { index, len, bytes }))
                    if absent == 0
                        && index == self.stripes.index(key, handle.position)
                        && *value_len.get_or_insert(len) == len =>
                {
                    shards.push((index, bytes));
                    if shards.len() == self.stripes.data() {
                        let value = self.stripes.join(len, &shards).ok()??;
                        return Some(Some(value.into()));
                    }
                }
                // The others have to do; whoever looks after the drives finds it out, too.
                Err(BackendError::Hangs { .. }) => {}
                _ => return None,
            }
        }
        None
    }

    /// In how many of these spaces, from the first on, a key is not, by the word of enough drives.
    pub(super) fn absent(&self, spaces: &[Space], key: &[u8]) -> usize {
        let (mut answered, mut absent) = (0, spaces.len());
        for handle in self.in_sync() {
            match handle.drive.find(spaces, key) {
                Ok(found) => {
                    answered += 1;
                    let here = found.and_then(|(here, _)| spaces.iter().position(|s| *s == here));
                    absent = absent.min(here.unwrap_or(absent));
                }
                Err(BackendError::Hangs { .. }) => {}
                Err(_) => return 0,
            }
            if answered > self.stripes.parity() {
                return absent;
            }
        }
        0
    }

    /// Asks every drive, and puts right what is missing or wrong on some. No write is under way.
    pub(super) fn read_all(
        &self,
        writer: &mut Writer,
        space: Space,
        key: &[u8],
    ) -> Result<Option<Bytes>, BackendError> {
        let handles = self.in_sync();
        let (mut absent, mut wrong, mut failed) = (0, Vec::new(), Vec::new());
        let mut found = Vec::new();
        for handle in &handles {
            match handle.find(space, key) {
                Ok(Found::Here(frame)) => found.push((handle.position, frame)),
                Ok(Found::Absent) => {
                    absent += 1;
                    wrong.push(handle);
                }
                Ok(Found::Damaged) => wrong.push(handle),
                Err(error) => failed.push((handle.position, error)),
            }
        }
        let value = self.value_of(key, &found)?;
        if value.is_none() && handles.len() - failed.len() < self.needed() {
            return Err(self.too_few(handles.len() - failed.len(), &failed));
        }
        if value.is_none() && (absent <= self.stripes.parity() || !found.is_empty()) {
            return Err(BackendError::Corrupt {
                detail: format!(
                    "{}, key {}: right on {} of {} drives, {} are needed; absent on {absent}",
                    space.name(),
                    hex::encode(key),
                    found.len(),
                    handles.len(),
                    self.needed(),
                ),
            });
        }
        if writer.broken.is_none() {
            if let Some(value) = &value {
                failed.extend(wrong.into_iter().filter_map(|handle| {
                    let error = self.heal(handle, space, key, value).err()?;
                    Some((handle.position, error))
                }));
            }
            if let Err(error) = self.judge(writer, failed) {
                tracing::error!(%error, "drives fail, and too few are left to go on without them");
            }
        }
        Ok(value)
    }

    /// The value of a key from what drives hold of it.
    pub(super) fn value_of(
        &self,
        key: &[u8],
        found: &[(usize, Frame)],
    ) -> Result<Option<Bytes>, BackendError> {
        let mut shards: BTreeMap<usize, Vec<(usize, Bytes)>> = BTreeMap::new();
        for (position, frame) in found {
            match frame {
                Frame::Whole(value) => return Ok(Some(value.clone())),
                Frame::Shard { index, len, bytes }
                    if *index == self.stripes.index(key, *position) =>
                {
                    shards
                        .entry(*len)
                        .or_default()
                        .push((*index, bytes.clone()));
                }
                Frame::Shard { .. } => {}
            }
        }
        for (len, shards) in shards {
            if let Some(value) = self.stripes.join(len, &shards)? {
                return Ok(Some(value.into()));
            }
        }
        Ok(None)
    }

    fn heal(
        &self,
        handle: &Handle<B>,
        space: Space,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), BackendError> {
        let put = Put {
            space,
            key: key.to_vec(),
            value: Some(self.frames(space, key, value)?(handle.position)),
        };
        handle
            .drive
            .write(&mut std::iter::once(put), value.len(), Durability::Buffered)?;
        tracing::warn!(
            drive = handle.position,
            space = space.name(),
            key = hex::encode(key),
            "a value was missing or wrong on a drive, and was made again from the others"
        );
        if let Some(slot) = self.slots_mut().get_mut(handle.position) {
            slot.healed += 1;
        }
        Ok(())
    }

    /// Keys and frames of parity + 1 drives, by position: a key that one of them lost is on another.
    pub(super) fn scan_frames(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Frames, BackendError> {
        let mut merged = Frames::new();
        let (mut answered, mut failed) = (0, Vec::new());
        for handle in self.in_sync() {
            match handle.drive.scan(space, prefix, after, limit) {
                Ok(page) => {
                    answered += 1;
                    for (key, frame) in page {
                        merged
                            .entry(key)
                            .or_default()
                            .push((handle.position, frame));
                    }
                }
                Err(error) => failed.push((handle.position, error)),
            }
            if answered > self.stripes.parity() {
                return Ok(merged);
            }
        }
        Err(self.too_few(answered, &failed))
    }
}
