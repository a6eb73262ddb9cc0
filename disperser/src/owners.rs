//! Who has a blob in his hands: without IO.
//!
//! An open blob waits in the encoder's queue, or somebody owns it: an encoder, the batcher, a batch. An owner holds an [`OwnedBlob`], and
//! says what came of it: [`OwnedBlob::done`] or [`OwnedBlob::back`]. One that is dropped without a word, in a panic or on an early return,
//! is *lost*: after a pause, which doubles with each loss, [`Owners::next_lost`] gives its blob to whoever brings it back. So no blob
//! is nobody's, and one that ends its owners again and again waits alone: with a loss behind it, it shares neither a tick nor a
//! batch with others ([`OwnedBlob::is_shaky`]).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ashlar_proto::BlobId;
use ashlar_service::Backoff;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Before a lost blob is brought back.
const PAUSE: Backoff = Backoff {
    base: std::time::Duration::from_secs(1),
    max: std::time::Duration::from_secs(60),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// In the queue again. Only its losses are remembered.
    Queued,
    Owned,
    Lost {
        due: Instant,
    },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hold: Hold,
    losses: u32,
}

/// See the module's documentation. It has an entry for each blob that is owned or was lost.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    entries: Mutex<HashMap<BlobId, Entry>>,
    changed: Notify,
}

impl Owners {
    fn lock(&self) -> MutexGuard<'_, HashMap<BlobId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the caller a blob's owner. `None` if it has one.
    pub(crate) fn own(self: &Arc<Self>, id: BlobId) -> Option<OwnedBlob> {
        let mut entries = self.lock();
        let losses = match entries.get(&id) {
            None => 0,
            Some(Entry {
                hold: Hold::Queued,
                losses,
            }) => *losses,
            Some(_) => return None,
        };
        Some(self.give(&mut entries, id, losses))
    }

    fn give(
        self: &Arc<Self>,
        entries: &mut HashMap<BlobId, Entry>,
        id: BlobId,
        losses: u32,
    ) -> OwnedBlob {
        let hold = Hold::Owned;
        entries.insert(id, Entry { hold, losses });
        OwnedBlob {
            id,
            losses,
            owners: Arc::clone(self),
            said: false,
        }
    }

    /// Whether it is owned, or waits to be brought back.
    pub(crate) fn has(&self, id: &BlobId) -> bool {
        let entries = self.lock();
        entries
            .get(id)
            .is_some_and(|entry| entry.hold != Hold::Queued)
    }

    /// Blobs that were lost and have not come to their end since.
    pub(crate) fn shaky(&self) -> usize {
        let entries = self.lock();
        entries.values().filter(|entry| entry.losses > 0).count()
    }

    /// Waits for a lost blob whose pause is over.
    pub(crate) async fn next_lost(self: &Arc<Self>) -> OwnedBlob {
        loop {
            let changed = self.changed.notified();
            let due = {
                let mut entries = self.lock();
                let lost = entries.iter().filter_map(|(id, entry)| match entry.hold {
                    Hold::Lost { due } => Some((due, *id, entry.losses)),
                    _ => None,
                });
                match lost.min_by_key(|(due, ..)| *due) {
                    Some((due, id, losses)) if due <= Instant::now() => {
                        return self.give(&mut entries, id, losses);
                    }
                    first => first.map(|(due, ..)| due),
                }
            };
            let pause = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = pause => {}
            }
        }
    }

    fn set(&self, id: BlobId, entry: Option<Entry>) {
        match entry {
            Some(entry) => self.lock().insert(id, entry),
            None => self.lock().remove(&id),
        };
    }
}

/// A blob in its owner's hands.
#[derive(Debug)]
#[must_use = "a blob whose owner says nothing is lost for a while"]
pub(crate) struct OwnedBlob {
    id: BlobId,
    losses: u32,
    owners: Arc<Owners>,
    said: bool,
}

impl OwnedBlob {
    pub(crate) fn id(&self) -> BlobId {
        self.id
    }

    /// It was lost before: whatever ends its owners must not take others with it.
    pub(crate) fn is_shaky(&self) -> bool {
        self.losses > 0
    }

    /// How often it was lost.
    pub(crate) fn losses(&self) -> u32 {
        self.losses
    }

    /// It is certified, or has failed.
    pub(crate) fn done(mut self) {
        self.said = true;
        self.owners.set(self.id, None);
    }

    /// It waits in the queue, or is about to.
    pub(crate) fn back(mut self) {
        self.said = true;
        let (hold, losses) = (Hold::Queued, self.losses);
        let entry = (losses > 0).then_some(Entry { hold, losses });
        self.owners.set(self.id, entry);
    }
}

impl Drop for OwnedBlob {
    fn drop(&mut self) {
        if self.said {
            return;
        }
        let due = Instant::now() + PAUSE.jittered(self.losses);
        let losses = self.losses.saturating_add(1);
        let hold = Hold::Lost { due };
        self.owners.set(self.id, Some(Entry { hold, losses }));
        self.owners.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
