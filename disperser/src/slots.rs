//! Places for batches on their way to operators.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::batcher::Lane;
use crate::record::Party;

/// Batches of one lane under way when another one of it is started before its time, for somebody who has none.
const EARLY: usize = 2;

/// Each lane has its own places, `batch.max_in_flight` of them, and all lanes together twice as many: one whose operators are slow
/// does not hold up the others.
#[derive(Debug)]
pub(crate) struct Slots {
    of_lane: usize,
    taken: Arc<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    batches: Mutex<Vec<Arc<OnItsWay>>>,
    given_back: Notify,
}

/// A batch, and whose blobs are in it.
#[derive(Debug)]
struct OnItsWay {
    lane: Lane,
    senders: HashSet<Party>,
}

impl Taken {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<OnItsWay>>> {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch's place. Free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    batch: Arc<OnItsWay>,
    taken: Arc<Taken>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let others = |batch: &Arc<OnItsWay>| !Arc::ptr_eq(batch, &self.batch);
        self.taken.lock().retain(others);
        self.taken.given_back.notify_waiters();
    }
}

impl Slots {
    pub(crate) fn new(of_lane: usize) -> Self {
        Self {
            of_lane,
            taken: Arc::default(),
        }
    }

    fn has_room(&self, batches: &[Arc<OnItsWay>], lane: &Lane) -> bool {
        let of_lane = batches.iter().filter(|batch| batch.lane == *lane).count();
        of_lane < self.of_lane && batches.len() < self.of_lane.saturating_mul(2)
    }

    /// Whether this lane has a free place.
    pub(crate) fn is_free(&self, lane: &Lane) -> bool {
        self.has_room(&self.taken.lock(), lane)
    }

    /// Whether a batch of this lane should go at once: none of it is on its way, or none with anything of one of those who wait. So
    /// whoever posts much makes nobody wait for his batches, and still has one at a time.
    pub(crate) fn is_idle(&self, lane: &Lane, mut waiting: impl Iterator<Item = Party>) -> bool {
        let batches = self.taken.lock();
        let of_lane = || batches.iter().filter(|batch| batch.lane == *lane);
        let is_new = |sender| !of_lane().any(|batch| batch.senders.contains(&sender));
        match of_lane().count() {
            0 => true,
            under_way => under_way < EARLY && waiting.any(is_new),
        }
    }

    /// A place of this lane for blobs of these senders, if there is one.
    pub(crate) fn try_take(&self, lane: &Lane, senders: &HashSet<Party>) -> Option<Slot> {
        let mut batches = self.taken.lock();
        if !self.has_room(&batches, lane) {
            return None;
        }
        let batch = Arc::new(OnItsWay {
            lane: lane.clone(),
            senders: senders.clone(),
        });
        batches.push(Arc::clone(&batch));
        Some(Slot {
            batch,
            taken: Arc::clone(&self.taken),
        })
    }

    /// A place of this lane, as soon as there is one.
    pub(crate) async fn take(&self, lane: &Lane, senders: &HashSet<Party>) -> Slot {
        loop {
            let given_back = self.taken.given_back.notified();
            if let Some(slot) = self.try_take(lane, senders) {
                return slot;
            }
            given_back.await;
        }
    }
}

#[cfg(test)]
mod tests;
