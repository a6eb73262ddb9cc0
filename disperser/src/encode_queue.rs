//! The blobs that wait for an encoder, and whose turn it is.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ashlar_net::Subnet;
use ashlar_proto::{BlobId, QuorumId};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::breaker::{Breaker, Passage};
use crate::claim_limiter::ClaimLimiter;
use crate::encoder::ClaimCheck;
use crate::record::BlobRecord;

/// A blob that waits for an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedBlob {
    pub(crate) id: BlobId,
    /// Its quorums.
    pub(crate) quorums: Vec<QuorumId>,
    /// Who posted it, to answer for its commitments; not known any more after a restart.
    pub(crate) sender: Option<Subnet>,
}

impl From<&BlobRecord> for QueuedBlob {
    fn from(record: &BlobRecord) -> Self {
        Self {
            id: record.id,
            quorums: record.quorums.clone(),
            sender: None,
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
    blobs: VecDeque<QueuedBlob>,
    /// Those with claims of senders that sent false ones lately.
    suspects: VecDeque<QueuedBlob>,
    /// The last tick was one of suspects.
    suspects_had_their_turn: bool,
}

impl Line {
    fn len(&self) -> usize {
        self.blobs.len() + self.suspects.len()
    }

    fn of(&mut self, check: ClaimCheck) -> &mut VecDeque<QueuedBlob> {
        match check {
            ClaimCheck::Together => &mut self.blobs,
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
/// a line suspects have small ticks of their own, in turns with everybody else: they delay others by one such tick, however many
/// there are.
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
            .flat_map(|line| line.blobs.iter().chain(&line.suspects));
        all.map(|waiting| waiting.id).collect()
    }

    /// These blobs wait from now on.
    pub(crate) fn push(&self, blobs: impl IntoIterator<Item = QueuedBlob>) {
        self.change(|lines| {
            for blob in blobs {
                let line = lines.lines.entry(blob.quorums.clone()).or_default();
                line.blobs.push_back(blob);
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
        let (lines, now) = (self.lock(), Instant::now());
        let open = |quorums: &Vec<_>| self.breaker.passage(quorums, now) == Passage::Open;
        lines.taken == 0 && !lines.lines.keys().any(open)
    }

    /// Whose turn it is. Moves suspects among those with claims from the front of the line into one of their own, until
    /// `enough` other blobs are in front.
    pub(crate) fn turn(
        &self,
        enough: usize,
        has_claims: impl Fn(&BlobId) -> bool,
        now: Instant,
    ) -> Option<Turn> {
        let mut lines = self.lock();
        // Those behind the last one, then those before it.
        let (before, behind): (Vec<_>, Vec<_>) =
            lines.lines.keys().partition(|line| **line <= lines.last);
        let (quorums, passage) = behind.into_iter().chain(before).find_map(|quorums| {
            let passage = self.breaker.passage(quorums, now);
            (passage != Passage::Closed).then(|| (quorums.clone(), passage))
        })?;
        lines.last.clone_from(&quorums);
        let probe = passage == Passage::Probe;
        if probe {
            self.breaker.broke(self.breaker.broken_of(&quorums), now);
        }
        let line = lines.lines.get_mut(&quorums)?;
        let mut honest = Vec::new();
        while honest.len() < enough
            && let Some(waiting) = line.blobs.pop_front()
        {
            match waiting.sender {
                Some(sender)
                    if has_claims(&waiting.id) && self.claim_limiter.is_suspect(sender, now) =>
                {
                    line.suspects.push_back(waiting);
                }
                _ => honest.push(waiting),
            }
        }
        for waiting in honest.into_iter().rev() {
            line.blobs.push_front(waiting);
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
            let waiting = line.of(turn.check).pop_front()?;
            lines.taken += 1;
            Some(waiting)
        })
    }

    /// Puts a blob that was taken back to the front.
    pub(crate) fn put_back(&self, waiting: QueuedBlob, turn: &Turn) {
        self.change(|lines| {
            let line = lines.lines.entry(turn.quorums.clone()).or_default();
            line.of(turn.check).push_front(waiting);
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
