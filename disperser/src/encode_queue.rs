//! The blobs that wait for an encoder, and whose turn it is.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ashlar_net::Subnet;
use ashlar_proto::BlobId;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

use crate::claim_limiter::ClaimLimiter;
use crate::encoder::ClaimCheck;

/// A blob that waits for an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedBlob {
    pub(crate) id: BlobId,
    /// Who posted it, to answer for its commitments; not known any more after a restart.
    pub(crate) sender: Option<Subnet>,
}

impl From<BlobId> for QueuedBlob {
    fn from(id: BlobId) -> Self {
        Self { id, sender: None }
    }
}

#[derive(Default)]
struct Lanes {
    blobs: VecDeque<QueuedBlob>,
    /// Those with claims of senders that sent false ones lately.
    suspects: VecDeque<QueuedBlob>,
    /// The last tick was one of suspects.
    suspects_had_their_turn: bool,
    /// Blobs that the encoder has in its hands: at no moment a blob is nowhere.
    taken: usize,
}

impl Lanes {
    fn len(&self) -> usize {
        self.blobs.len() + self.suspects.len()
    }

    fn lane(&mut self, check: ClaimCheck) -> &mut VecDeque<QueuedBlob> {
        match check {
            ClaimCheck::Together => &mut self.blobs,
            ClaimCheck::Apart => &mut self.suspects,
        }
    }
}

/// The encoder's queue. Its bound is that of open blobs, `accept.max_open_blobs`.
///
/// Suspects have small ticks of their own, in turns with everybody else: they delay others by one such tick, however many
/// there are.
pub(crate) struct EncodeQueue {
    pub(crate) claim_limiter: ClaimLimiter,
    lanes: Mutex<Lanes>,
    pushed: Notify,
    length: Gauge,
}

impl EncodeQueue {
    /// An empty one, which shows its length in this gauge.
    pub(crate) fn new(claim_limiter: ClaimLimiter, length: Gauge) -> Self {
        Self {
            claim_limiter,
            lanes: Mutex::default(),
            pushed: Notify::new(),
            length,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Lanes) -> T) -> T {
        let mut lanes = self.lock();
        let changed = change(&mut lanes);
        self.length.set(lanes.len() as i64);
        changed
    }

    /// These blobs wait from now on.
    pub(crate) fn push(&self, blobs: impl IntoIterator<Item = QueuedBlob>) {
        self.change(|lanes| lanes.blobs.extend(blobs));
        self.pushed.notify_one();
    }

    /// Waits until blobs come.
    pub(crate) async fn pushed(&self) {
        self.pushed.notified().await;
    }

    /// Nothing waits, and the encoder has nothing in its hands.
    pub(crate) fn is_idle(&self) -> bool {
        let lanes = self.lock();
        lanes.len() == 0 && lanes.taken == 0
    }

    /// Whose turn it is. Moves suspects among those with claims from the front of the queue into a lane of their own, until
    /// `enough` other blobs are in front.
    pub(crate) fn turn(
        &self,
        enough: usize,
        has_claims: impl Fn(&BlobId) -> bool,
        now: Instant,
    ) -> ClaimCheck {
        let mut lanes = self.lock();
        let mut honest = Vec::new();
        while honest.len() < enough
            && let Some(waiting) = lanes.blobs.pop_front()
        {
            match waiting.sender {
                Some(sender)
                    if has_claims(&waiting.id) && self.claim_limiter.is_suspect(sender, now) =>
                {
                    lanes.suspects.push_back(waiting);
                }
                _ => honest.push(waiting),
            }
        }
        for waiting in honest.into_iter().rev() {
            lanes.blobs.push_front(waiting);
        }
        let suspects = !lanes.suspects.is_empty()
            && (lanes.blobs.is_empty() || !lanes.suspects_had_their_turn);
        lanes.suspects_had_their_turn = suspects;
        if suspects {
            ClaimCheck::Apart
        } else {
            ClaimCheck::Together
        }
    }

    /// The next blob of those whose turn it is, into the encoder's hands.
    pub(crate) fn take(&self, check: ClaimCheck) -> Option<QueuedBlob> {
        self.change(|lanes| {
            let waiting = lanes.lane(check).pop_front()?;
            lanes.taken += 1;
            Some(waiting)
        })
    }

    /// Puts a blob that was taken back to the front.
    pub(crate) fn put_back(&self, waiting: QueuedBlob, check: ClaimCheck) {
        self.change(|lanes| {
            lanes.lane(check).push_front(waiting);
            lanes.taken -= 1;
        });
    }

    /// So many of the blobs that were taken are done with.
    pub(crate) fn finish(&self, count: usize) {
        self.lock().taken -= count;
    }
}

#[cfg(test)]
mod tests;
