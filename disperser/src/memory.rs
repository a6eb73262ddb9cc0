//! The memory that encoded blobs may take, `encode.memory_bytes`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::config::encoded_bytes;
use crate::record::BlobRecord;

/// A semaphore counts at most 2^32 units.
const UNIT: u64 = 4096;

/// Memory that nobody waits for. A part that was taken goes back when it is dropped.
#[derive(Debug, Clone)]
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

    async fn take(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_many_owned(units).await.ok()
    }
}

/// Memory in units that is waited for.
pub(crate) struct MemoryBudget {
    bytes: u64,
    units: Units,
    waited_for: AtomicBool,
    wanted: Notify,
}

impl MemoryBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        Self {
            bytes,
            units: Units::new(bytes),
            waited_for: AtomicBool::new(false),
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

    pub(crate) fn try_take(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        self.units.try_take(units)
    }

    /// Takes memory, waiting for it. If there is none, it wakes whoever can free some. `None` if the disperser stops.
    pub(crate) async fn take(
        &self,
        units: u32,
        wake: &Notify,
        stop: &CancellationToken,
    ) -> Option<OwnedSemaphorePermit> {
        if let Some(memory) = self.try_take(units) {
            return Some(memory);
        }
        self.waited_for.store(true, Ordering::SeqCst);
        self.wanted.notify_waiters();
        wake.notify_one();
        let memory = tokio::select! {
            memory = self.units.take(units) => memory,
            () = stop.cancelled() => None,
        };
        self.waited_for.store(false, Ordering::SeqCst);
        memory
    }

    /// Somebody waits for memory.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::SeqCst)
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
        let free = self.units.0.available_permits() as u64 * UNIT;
        self.bytes.saturating_sub(free)
    }
}

#[cfg(test)]
mod tests;
