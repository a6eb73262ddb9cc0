//! Places for batches on their way to operators.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::batcher::Lane;

/// Each lane has its own places, `batch.max_in_flight` of them, and all lanes together twice as many: one whose operators are slow
/// does not hold up the others.
#[derive(Debug)]
pub(crate) struct Slots {
    of_lane: usize,
    all: Arc<Semaphore>,
    lanes: Mutex<HashMap<Lane, Arc<Semaphore>>>,
    given_back: Arc<Notify>,
}

/// A batch's place. Free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    /// In this order: whoever is woken finds both free.
    _lane: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
    _wake: WakeOnDrop,
}

#[derive(Debug)]
struct WakeOnDrop(Arc<Notify>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Slots {
    pub(crate) fn new(of_lane: usize) -> Self {
        Self {
            of_lane,
            all: Arc::new(Semaphore::new(
                of_lane.saturating_mul(2).min(Semaphore::MAX_PERMITS),
            )),
            lanes: Mutex::default(),
            given_back: Arc::default(),
        }
    }

    /// Whether this lane has a free place.
    pub(crate) fn is_free(&self, lane: &Lane) -> bool {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let free = |lane: &Arc<Semaphore>| lane.available_permits() > 0;
        self.all.available_permits() > 0 && lanes.get(lane).is_none_or(free)
    }

    /// Whether no batch of this lane is on its way.
    pub(crate) fn is_unused(&self, lane: &Lane) -> bool {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let unused = |lane: &Arc<Semaphore>| lane.available_permits() == self.of_lane;
        lanes.get(lane).is_none_or(unused)
    }

    /// A place of this lane, if there is one.
    pub(crate) fn try_take(&self, lane: &Lane) -> Option<Slot> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, places| places.available_permits() < self.of_lane);
        let places = lanes
            .entry(lane.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(self.of_lane)));
        Some(Slot {
            _lane: Arc::clone(places).try_acquire_owned().ok()?,
            _all: Arc::clone(&self.all).try_acquire_owned().ok()?,
            _wake: WakeOnDrop(Arc::clone(&self.given_back)),
        })
    }

    /// A place of this lane, as soon as there is one.
    pub(crate) async fn take(&self, lane: &Lane) -> Slot {
        loop {
            let given_back = self.given_back.notified();
            if let Some(slot) = self.try_take(lane) {
                return slot;
            }
            given_back.await;
        }
    }
}
