//! The blobs that wait for an encoder, and whose turn it is.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ashlar_proto::{BlobId, QuorumId};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::breaker::{Breaker, Passage};
use crate::claim_limiter::ClaimLimiter;
use crate::encoder::ClaimCheck;
use crate::fair_queue::FairQueue;
use crate::record::{BlobRecord, Origin};

/// A blob that waits for an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedBlob {
    pub(crate) id: BlobId,
    /// Its quorums.
    pub(crate) quorums: Vec<QuorumId>,
    /// Who posted it: has turns with others, and answers for its commitments.
    pub(crate) origin: Origin,
    pub(crate) rows: u32,
    /// It came with commitments that nobody has checked.
    pub(crate) claimed: bool,
}

impl From<&BlobRecord> for QueuedBlob {
    fn from(record: &BlobRecord) -> Self {
        Self {
            id: record.id,
            quorums: record.quorums.clone(),
            origin: record.origin(),
            rows: record.rows,
            claimed: record.claimed,
        }
    }
}

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    quorums: Vec<QuorumId>,
    pub(crate) check: ClaimCheck,
    /// The quorums are broken: one blob goes, to see whether they work again.
    pub(crate) probe: bool,
}

/// The blobs of the same quorums.
#[derive(Default)]
struct Line {
    blobs: FairQueue<QueuedBlob>,
    /// Those with claims of senders that sent false ones lately.
    suspects: FairQueue<QueuedBlob>,
    /// The last tick was one of suspects.
    suspects_had_their_turn: bool,
}

impl FairQueue<QueuedBlob> {
    fn push_blob(&mut self, blob: QueuedBlob) {
        let (origin, rows) = (blob.origin, blob.rows.into());
        self.push(&origin, rows, blob);
    }
}

impl Line {
    fn len(&self) -> usize {
        self.blobs.len() + self.suspects.len()
    }

    fn of(&mut self, check: ClaimCheck) -> &mut FairQueue<QueuedBlob> {
        match check {
            ClaimCheck::Together | ClaimCheck::Later => &mut self.blobs,
            ClaimCheck::Apart => &mut self.suspects,
        }
    }
}

#[derive(Default)]
struct Lines {
    lines: BTreeMap<Vec<QuorumId>, Line>,
    /// The line that had the last tick.
    last: Vec<QuorumId>,
    /// Blobs that the encoder has in its hands: at no moment a blob is nowhere.
    taken: usize,
}

impl Lines {
    fn len(&self) -> usize {
        self.lines.values().map(Line::len).sum()
    }
}

/// The encoder's queue. Its bound is that of open blobs, `accept.max_open_blobs`.
///
/// Blobs of the same quorums wait in one line. The lines have ticks in turn; those of broken quorums wait ([`Breaker`]). Within
/// a line senders and their accounts take turns ([`FairQueue`]). Suspects have small ticks of their own, in turns with everybody
/// else: they delay others by one such tick, however many there are.
pub(crate) struct EncodeQueue {
    pub(crate) claim_limiter: ClaimLimiter,
    pub(crate) breaker: Breaker,
    lines: Mutex<Lines>,
    pushed: Notify,
    length: Gauge,
}

/// While all lines wait, so often somebody looks whether the pause of a broken quorum is over.
const LOOK: Duration = Duration::from_millis(200);

impl EncodeQueue {
    /// An empty one, which shows its length in this gauge.
    pub(crate) fn new(claim_limiter: ClaimLimiter, length: Gauge) -> Self {
        Self {
            claim_limiter,
            breaker: Breaker::default(),
            lines: Mutex::default(),
            pushed: Notify::new(),
            length,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Lines) -> T) -> T {
        let mut lines = self.lock();
        let changed = change(&mut lines);
        lines.lines.retain(|_, line| line.len() > 0);
        self.length.set(lines.len() as i64);
        changed
    }

    /// The blobs that wait.
    pub(crate) fn ids(&self) -> HashSet<BlobId> {
        let lines = self.lock();
        let all = lines
            .lines
            .values()
            .flat_map(|line| line.blobs.iter().chain(line.suspects.iter()));
        all.map(|waiting| waiting.id).collect()
    }

    /// These blobs wait from now on.
    pub(crate) fn push(&self, blobs: impl IntoIterator<Item = QueuedBlob>) {
        self.change(|lines| {
            for blob in blobs {
                let line = lines.lines.entry(blob.quorums.clone()).or_default();
                line.blobs.push_blob(blob);
            }
        });
        self.pushed.notify_one();
    }

    /// Waits until a line may have its turn.
    pub(crate) async fn pushed(&self) {
        if self.lock().len() == 0 {
            self.pushed.notified().await;
        } else {
            let _ = tokio::time::timeout(LOOK, self.pushed.notified()).await;
        }
    }

    /// Nothing waits that could go on, and the encoder has nothing in its hands.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().taken == 0 && !self.has_open_line()
    }

    /// Somebody waits who may go on, or encoders have more in their hands than so many.
    pub(crate) fn has_more_than(&self, taken: usize) -> bool {
        self.lock().taken > taken || self.has_open_line()
    }

    /// Somebody waits whose quorums work.
    pub(crate) fn has_open_line(&self) -> bool {
        let (lines, now) = (self.lock(), Instant::now());
        let open = |quorums: &Vec<_>| self.breaker.passage(quorums, now) == Passage::Open;
        lines.lines.keys().any(open)
    }

    /// Whose turn it is, of those for whose quorums there is memory. Moves suspects among those with claims into a line of their own.
    pub(crate) fn turn(
        &self,
        now: Instant,
        has_room: impl Fn(&Vec<QuorumId>) -> bool,
    ) -> Option<Turn> {
        let mut lines = self.lock();
        // Those behind the last one, then those before it.
        let (before, behind): (Vec<_>, Vec<_>) =
            lines.lines.keys().partition(|line| **line <= lines.last);
        let (quorums, passage) = behind.into_iter().chain(before).find_map(|quorums| {
            let passage = self.breaker.passage(quorums, now);
            (passage != Passage::Closed && has_room(quorums)).then(|| (quorums.clone(), passage))
        })?;
        lines.last.clone_from(&quorums);
        let probe = passage == Passage::Probe;
        if probe {
            self.breaker.broke(self.breaker.broken_of(&quorums), now);
        }
        let line = lines.lines.get_mut(&quorums)?;
        let is_suspect = |sender: &_| self.claim_limiter.is_suspect(*sender, now);
        for suspect in line.blobs.take_out(is_suspect, |blob| blob.claimed) {
            line.suspects.push_blob(suspect);
        }
        let suspects =
            !line.suspects.is_empty() && (line.blobs.is_empty() || !line.suspects_had_their_turn);
        line.suspects_had_their_turn = suspects;
        Some(Turn {
            quorums,
            check: if suspects {
                ClaimCheck::Apart
            } else {
                ClaimCheck::Together
            },
            probe,
        })
    }

    /// The next blob of those whose turn it is, into the encoder's hands.
    pub(crate) fn take(&self, turn: &Turn) -> Option<QueuedBlob> {
        self.change(|lines| {
            let line = lines.lines.get_mut(&turn.quorums)?;
            let waiting = line.of(turn.check).pop()?;
            lines.taken += 1;
            Some(waiting)
        })
    }

    /// Puts a blob that was taken back to the front.
    pub(crate) fn put_back(&self, waiting: QueuedBlob, turn: &Turn) {
        self.change(|lines| {
            let line = lines.lines.entry(turn.quorums.clone()).or_default();
            let (origin, rows) = (waiting.origin, waiting.rows.into());
            line.of(turn.check).put_back(&origin, rows, waiting);
            lines.taken -= 1;
        });
    }

    /// So many of the blobs that were taken are done with.
    pub(crate) fn finish(&self, count: usize) {
        self.lock().taken -= count;
    }
}

#[cfg(test)]
mod tests;
