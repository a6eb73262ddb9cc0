//! Who sent false commitments lately, by address: without IO and without a clock.
//!
//! Claimed commitments of many blobs are checked in one go, so a false one delays all that are checked with it. One
//! sender can do that once. After a false claim its address
//!
//! * is refused while its back-off lasts, which doubles with every false claim that it sends afterwards;
//! * is a suspect for [`MEMORY`] longer: its claims are checked apart from everybody else's, one by one, so that a false
//!   one costs one commitment, as much as a blob without any.
//!
//! An address stands for its network, an account that signed for itself ([`Party`]): whoever has many can send as many false claims. Only
//! those that sent
//! one are remembered, at most [`CAPACITY`] of them: about 256 KiB. To push one out, somebody has to send a false claim from each
//! of so many other networks.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::record::Party;

/// Most addresses in the book.
pub const CAPACITY: usize = 4096;
/// Longest back-off.
pub const LONGEST: Duration = Duration::from_secs(3600);
/// How long an address stays a suspect when its back-off is over.
pub const MEMORY: Duration = Duration::from_secs(3600);

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Back-offs so far, the present one included.
    strikes: u32,
    /// End of the present back-off.
    until: Instant,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct ClaimLimiter {
    first: Duration,
    book: Mutex<HashMap<Party, Entry>>,
}

impl ClaimLimiter {
    /// An empty book. `first` is the first back-off of an address.
    pub fn new(first: Duration) -> Self {
        Self {
            first: first.min(LONGEST),
            book: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Party, Entry>> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of the sender's back-off; `None` if it may send claims.
    pub fn backoff(&self, sender: Party, now: Instant) -> Option<Duration> {
        let until = self.lock().get(&sender)?.until;
        let left = until.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// Whether claims of the sender are checked apart from those of others.
    pub fn is_suspect(&self, sender: Party, now: Instant) -> bool {
        self.lock()
            .get(&sender)
            .is_some_and(|entry| now < entry.until + MEMORY)
    }

    /// A claim of the sender, checked alone, was false. What it sent before it could know of its back-off does not lengthen it.
    pub fn record_false_claim(&self, sender: Party, now: Instant) {
        let mut book = self.lock();
        book.retain(|_, entry| now < entry.until + MEMORY);
        let strikes = match book.get(&sender) {
            Some(entry) if now < entry.until => return,
            Some(entry) => entry.strikes.saturating_add(1),
            None => 1,
        };
        if book.len() >= CAPACITY && !book.contains_key(&sender) {
            // The one that would be forgiven first.
            let first = book.iter().min_by_key(|(_, entry)| entry.until);
            if let Some(forgiven) = first.map(|(sender, _)| *sender) {
                book.remove(&forgiven);
            }
        }
        let backoff = self
            .first
            .saturating_mul(1 << (strikes - 1).min(16))
            .min(LONGEST);
        let until = now + backoff;
        book.insert(sender, Entry { strikes, until });
        tracing::warn!(%sender, strikes, ?backoff, "an address sent false commitments");
    }
}

#[cfg(test)]
mod tests;
