//! Which blobs go into which batch, and when: without IO and without a clock.
//!
//! Blobs of a batch share protocol version and quorums, so blobs wait in one line for each such pair. A line's front
//! becomes a batch when
//! * it fills one (rows or blobs),
//! * its oldest blob has waited for the interval,
//! * or nothing is gained by waiting: no blob is on its way here, and no batch of its line, or of those who wait there, on its way
//!   to operators (`is_idle`); or the encoders stand still because the blobs that wait here hold all the memory.
//!
//! So a lone blob leaves at once, and under load batches fill while the ones before them are on their way.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use ashlar_proto::BlobId;

/// What all blobs of a batch share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// Protocol version.
    pub version: u16,
    /// Quorums, strictly rising.
    pub quorums: Vec<u8>,
    /// A blob that goes alone, because it may end whatever works on it.
    pub alone: Option<BlobId>,
}

/// When a batch is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Longest wait of a blob, unless there is no free slot for its batch.
    pub interval: Duration,
    /// Most rows.
    pub max_rows: u32,
    /// Most blobs.
    pub max_blobs: usize,
}

#[derive(Clone, Debug)]
struct BatchItem<T> {
    since: Duration,
    rows: u32,
    item: T,
}

/// The lines of blobs that wait for a batch.
#[derive(Clone, Debug)]
pub struct Batcher<T> {
    limits: BatchLimits,
    lanes: BTreeMap<Lane, VecDeque<BatchItem<T>>>,
}

impl<T> Batcher<T> {
    /// Empty.
    pub fn new(limits: BatchLimits) -> Self {
        Self {
            limits,
            lanes: BTreeMap::new(),
        }
    }

    /// A blob of `rows` rows joins its line.
    pub fn push(&mut self, now: Duration, lane: Lane, rows: u32, item: T) {
        self.lanes.entry(lane).or_default().push_back(BatchItem {
            since: now,
            rows,
            item,
        });
    }

    /// Blobs that wait.
    pub fn len(&self) -> usize {
        self.lanes.values().map(VecDeque::len).sum()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// The next batch, if one is due of a lane that has a free place; of several that are, the one whose first blob waits longest.
    /// All are due if the blobs that wait hold memory that others need, and a lane is if it is idle, by its blobs that wait. Call it
    /// until it gives nothing.
    pub fn poll(
        &mut self,
        now: Duration,
        memory_is_wanted: bool,
        is_idle: impl Fn(&Lane, &mut dyn Iterator<Item = &T>) -> bool,
        is_free: impl Fn(&Lane) -> bool,
    ) -> Option<(Lane, Vec<T>)> {
        let lane = self
            .lanes
            .iter()
            .filter(|(lane, _)| is_free(lane))
            .filter(|(lane, line)| {
                let items = &mut line.iter().map(|waiting| &waiting.item);
                memory_is_wanted || self.due(now, line) || is_idle(lane, items)
            })
            .min_by_key(|(_, line)| line.front().map(|first| first.since))
            .map(|(lane, _)| lane.clone())?;
        let line = self.lanes.get_mut(&lane)?;
        let mut batch = Vec::new();
        let mut rows = 0u32;
        while let Some(next) = line.front() {
            let full = rows.saturating_add(next.rows) > self.limits.max_rows
                || batch.len() >= self.limits.max_blobs;
            // A blob larger than a batch goes alone; the configuration does not let one in.
            if full && !batch.is_empty() {
                break;
            }
            rows = rows.saturating_add(next.rows);
            batch.extend(line.pop_front().map(|waiting| waiting.item));
        }
        if line.is_empty() {
            self.lanes.remove(&lane);
        }
        Some((lane, batch))
    }

    /// When the interval of the blob is over that waits longest for a lane with a free place. `None` if nobody waits.
    pub fn next_wake(&self, is_free: impl Fn(&Lane) -> bool) -> Option<Duration> {
        self.lanes
            .iter()
            .filter(|(lane, _)| is_free(lane))
            .filter_map(|(_, line)| line.front())
            .map(|first| first.since + self.limits.interval)
            .min()
    }

    fn due(&self, now: Duration, line: &VecDeque<BatchItem<T>>) -> bool {
        let rows = line
            .iter()
            .fold(0u32, |sum, waiting| sum.saturating_add(waiting.rows));
        rows >= self.limits.max_rows
            || line.len() >= self.limits.max_blobs
            || line
                .front()
                .is_some_and(|first| first.since + self.limits.interval <= now)
    }
}

#[cfg(test)]
mod tests;
