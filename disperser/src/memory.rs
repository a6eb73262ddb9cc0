//! The memory that encoded blobs may take, `encode.memory_bytes`.
//!
//! Blobs of the same quorums may have three times what is free: the quorums of which nothing comes back, because their operators are
//! gone, cannot take all of it, and who comes later finds some. Alone that is three quarters.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ashlar_proto::QuorumId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::encoded_bytes;
use crate::record::BlobRecord;

/// A semaphore counts at most 2^32 units.
const UNIT: u64 = 4096;

/// Memory in units. A part that was taken goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Units(Arc<Semaphore>);

impl Units {
    pub(crate) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX);
        Self(Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))))
    }

    /// What so many bytes take; `None` if that is more than can be counted.
    pub(crate) fn of(bytes: u64) -> Option<u32> {
        u32::try_from(bytes.div_ceil(UNIT)).ok()
    }

    pub(crate) fn try_take(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(units).ok()
    }

    fn free(&self) -> u64 {
        self.0.available_permits() as u64
    }
}

/// How many times what is free the blobs of the same quorums may have.
const LENT: u64 = 3;

/// Memory that can be waited for, shared by quorums.
pub(crate) struct MemoryBudget {
    bytes: u64,
    units: Units,
    lanes: Arc<Lanes>,
    /// How many wait for memory.
    waiting: AtomicUsize,
    wanted: Notify,
}

/// Units that are taken, by the quorums of the blobs.
#[derive(Default)]
struct Lanes {
    taken: Mutex<HashMap<Vec<QuorumId>, u64>>,
    freed: Notify,
}

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<QuorumId>, u64>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A part of the memory. It goes back when this is dropped.
pub(crate) struct Memory {
    quorums: Vec<QuorumId>,
    lanes: Arc<Lanes>,
    /// Until it is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// Takes so many units out of this part, if it has them.
    pub(crate) fn split(&mut self, units: usize) -> Option<Self> {
        Some(Self {
            permit: Some(self.permit.as_mut()?.split(units)?),
            quorums: self.quorums.clone(),
            lanes: Arc::clone(&self.lanes),
        })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let permit = self.permit.take();
        let units = permit
            .as_ref()
            .map_or(0, |permit| permit.num_permits() as u64);
        drop(permit);
        let mut taken = self.lanes.lock();
        if let Some(of_lane) = taken.get_mut(&self.quorums) {
            *of_lane -= units;
            if *of_lane == 0 {
                taken.remove(&self.quorums);
            }
        }
        drop(taken);
        // Whoever is woken finds it free.
        self.lanes.freed.notify_one();
    }
}

/// Somebody waits for memory, until this is dropped.
pub(crate) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl MemoryBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            units: Units::new(bytes),
            lanes: Arc::default(),
            waiting: AtomicUsize::new(0),
            wanted: Notify::new(),
        }
    }

    /// What one blob takes.
    pub(crate) fn units(record: &BlobRecord) -> u32 {
        #[expect(
            clippy::expect_used,
            reason = "neither the API nor the registry lets in a blob of another version"
        )]
        let version = ashlar_proto::version(record.version).expect("a known version");
        Units::of(encoded_bytes(version, record.rows, 1)).unwrap_or(u32::MAX)
    }

    /// Whether so much memory exists at all.
    pub(crate) fn fits(&self, units: u32) -> bool {
        u64::from(units).saturating_mul(UNIT) <= self.bytes
    }

    /// Whether blobs of these quorums may have so much more. Who has nothing may have all, when it is free.
    pub(crate) fn has_room(&self, quorums: &[QuorumId], units: u32) -> bool {
        let free = self.units.free();
        let taken = self.lanes.lock().get(quorums).copied();
        taken.is_none_or(|taken| taken + u64::from(units) <= LENT * free)
    }

    pub(crate) fn try_take(&self, quorums: &[QuorumId], units: u32) -> Option<Memory> {
        Some(self.note(quorums, self.units.try_take(units)?))
    }

    fn note(&self, quorums: &[QuorumId], permit: OwnedSemaphorePermit) -> Memory {
        let quorums = quorums.to_vec();
        let units = permit.num_permits() as u64;
        *self.lanes.lock().entry(quorums.clone()).or_default() += units;
        Memory {
            quorums,
            lanes: Arc::clone(&self.lanes),
            permit: Some(permit),
        }
    }

    /// Takes memory, waiting for it. If there is none, it wakes whoever can free some. `None` if the disperser stops.
    pub(crate) async fn take(
        &self,
        quorums: &[QuorumId],
        units: u32,
        wake: &Notify,
        stop: &CancellationToken,
    ) -> Option<Memory> {
        if let Some(memory) = self.try_take(quorums, units) {
            return Some(memory);
        }
        let _waiting = self.wait(wake);
        let permit = tokio::select! {
            permit = Arc::clone(&self.units.0).acquire_many_owned(units) => permit.ok()?,
            () = stop.cancelled() => return None,
        };
        Some(self.note(quorums, permit))
    }

    /// Says that memory is waited for, and wakes whoever can free some.
    pub(crate) fn wait(&self, wake: &Notify) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.wanted.notify_waiters();
        wake.notify_one();
        Waiting(&self.waiting)
    }

    /// Waits until some memory comes back.
    pub(crate) async fn freed(&self) {
        self.lanes.freed.notified().await;
    }

    /// Somebody waits for memory.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Waits until somebody waits for memory.
    pub(crate) async fn wanted(&self) {
        loop {
            let wanted = self.wanted.notified();
            if self.is_waited_for() {
                return;
            }
            wanted.await;
        }
    }

    /// Bytes that are taken.
    pub(crate) fn used(&self) -> u64 {
        self.bytes.saturating_sub(self.units.free() * UNIT)
    }
}

#[cfg(test)]
mod tests;
