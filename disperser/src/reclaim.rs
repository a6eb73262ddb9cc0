//! Brings back blobs that nobody owns.
//!
//! Whoever loses a blob hands it over by that alone ([`crate::owners`]), and a sweep looks for blobs that are neither in the queue nor
//! owned, which there should be none of. Memory and disk may differ by then: a write may have come to the disk before whoever waited
//! for it was gone. So the disk says where the blob is: if at its end, that is told to those who wait for it; if in an open batch,
//! the batch is given up. Then it waits for an encoder again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::BlobId;
use ashlar_proto::api::BlobState;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::health;
use crate::owners::OwnedBlob;
use crate::record::BlobRecord;
use crate::registry::Registry;
use crate::state::BatchState;
use crate::store::StoreError;

/// Between two sweeps. A blob that two of them find without an owner has none.
const SWEEP: Duration = Duration::from_secs(10);

impl Engine {
    /// Brings back what was lost, until the disperser stops.
    pub(crate) async fn run_reclaim(self: Arc<Self>) {
        // Before, blobs that a restart found are nobody's.
        let resumed = self.resumed.cancelled();
        if self.stop.run_until_cancelled(resumed).await.is_none() {
            return;
        }
        let (mut seen, mut next) = (HashSet::new(), Instant::now() + SWEEP);
        while !self.stop.is_cancelled() {
            let lost = tokio::select! {
                lost = self.owners.next_lost() => Some(lost),
                () = tokio::time::sleep_until(next) => None,
                () = self.stop.cancelled() => return,
            };
            match lost {
                Some(lost) => {
                    self.metrics.lost_blobs.inc();
                    let reclaiming = Arc::clone(&self).reclaim(lost);
                    // A panic loses the blob once more.
                    let _ = tokio::spawn(reclaiming).await;
                }
                None => {
                    seen = self.sweep(&seen);
                    next = Instant::now() + SWEEP;
                }
            }
            let shaky = self.owners.shaky();
            let why = (shaky > 0).then(|| {
                format!(
                    "{shaky} blobs were lost by whoever worked on them, see the log; each is tried again, apart from the others"
                )
            });
            self.health.set(health::LOST_BLOBS, why);
        }
    }

    /// Loses those that are nobody's and were so at the last sweep; gives those that are nobody's now.
    fn sweep(&self, before: &HashSet<BlobId>) -> HashSet<BlobId> {
        // In this order: what an encoder takes meanwhile has an owner afterwards.
        let waiting = self.queue.ids();
        let open = self.durable.registry.open_ids().into_iter();
        let (again, new): (Vec<_>, Vec<_>) = open
            .filter(|id| !waiting.contains(id) && !self.owners.has(id))
            .partition(|id| before.contains(id));
        for id in again {
            tracing::error!(%id, "nobody has this blob");
            drop(self.owners.own(id));
        }
        new.into_iter().collect()
    }

    async fn reclaim(self: Arc<Self>, lost: OwnedBlob) {
        let (id, losses) = (lost.id(), lost.losses());
        tracing::warn!(%id, losses, "a blob was lost by whoever worked on it");
        let settled = self.durably("bringing back a lost blob", move |registry, now| {
            settle(registry, &id, now)
        });
        let Some(open) = settled.await else { return };
        let Some(blob) = open else {
            lost.done();
            return;
        };
        let age = blob.age(self.durable.clock.wall_ms());
        if age < Duration::from_secs(self.config.batch.give_up_secs) {
            self.requeue([lost]);
            return;
        }
        let why = format!("whatever worked on the blob ended before it was done, {losses} times");
        self.fail(lost, "disperser.lost", why, false).await;
    }
}

/// Makes memory agree with the disk, and gives up the open batch that a blob is in. `None` if it is not open. Nobody else has the
/// blob, nor the others of its batch.
fn settle(registry: &Registry, id: &BlobId, now_ms: u64) -> Result<Option<BlobRecord>, StoreError> {
    if registry.live(id).is_none() {
        return Ok(None);
    }
    let store = registry.store();
    let stored = store.blob(id)?.ok_or(StoreError::Corrupt {
        what: "the list of open blobs",
    })?;
    let in_batch = |state| matches!(state, BlobState::Batched | BlobState::Dispersing);
    if stored.state.is_final() || in_batch(stored.state) {
        registry.publish(std::slice::from_ref(&stored));
    }
    if let Some(status) = stored.batch.as_ref().filter(|_| in_batch(stored.state)) {
        let batch = store.batch(&status.digest)?;
        let what = "the batch of an open blob";
        let mut batch = batch.ok_or(StoreError::Corrupt { what })?;
        if !batch.state.is_terminal() {
            batch.go(BatchState::Abandoned)?;
        }
        let digest = status.digest;
        let change = |_, blob: &mut BlobRecord| match in_batch(blob.state) {
            true => blob.go(BlobState::Encoded, now_ms),
            false => Ok(()),
        };
        // Others of the batch that have not been here yet may differ from the disk.
        let of_batch = |other: &&BlobId| {
            let status = registry.live(other).and_then(|blob| blob.batch);
            status.is_some_and(|status| status.digest == digest)
        };
        let ids: Vec<_> = batch.blobs.iter().filter(of_batch).copied().collect();
        registry.transition(&ids, change, |store, blobs| {
            store.finish_batch(&batch, blobs, Vec::new())
        })?;
    }
    Ok(registry.live(id))
}
