//! Which quorums do not sign at the moment: without IO and without a clock.
//!
//! Anybody may post blobs of a quorum whose operators are gone. Their batches would wait for signatures until the deadline, and with
//! them the places and the memory that all others need. So a quorum that has let a batch wait, or fail, is *broken*: its blobs stay
//! in the queue on disk, where they cost nothing. From time to time one of them is sent as a probe, with pauses that double. A batch
//! that is certified mends all of its quorums.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ashlar_proto::QuorumId;
use ashlar_service::Backoff;

/// How long a broken quorum is left alone.
const PAUSE: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(60),
};

#[derive(Clone, Copy, Debug)]
struct Broken {
    failures: u32,
    /// When a probe may go.
    until: Instant,
}

/// What may be sent to some quorums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    /// Everything.
    Open,
    /// One blob.
    Probe,
    /// Nothing.
    Closed,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<BTreeMap<QuorumId, Broken>>);

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<QuorumId, Broken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may be sent to these quorums.
    pub(crate) fn passage(&self, quorums: &[QuorumId], now: Instant) -> Passage {
        let broken = self.lock();
        let until = quorums.iter().filter_map(|quorum| broken.get(quorum));
        match until.map(|broken| broken.until).max() {
            None => Passage::Open,
            Some(until) if until <= now => Passage::Probe,
            Some(_) => Passage::Closed,
        }
    }

    /// Too little of these quorums signed: they are broken until one of their batches is certified. A probe counts as if it had failed
    /// already.
    pub(crate) fn broke(&self, quorums: impl IntoIterator<Item = QuorumId>, now: Instant) {
        let mut all = self.lock();
        for quorum in quorums {
            let broken = all.entry(quorum).or_insert(Broken {
                failures: 0,
                until: now,
            });
            // What was on its way when it broke counts once.
            if broken.until <= now {
                broken.until = now + PAUSE.jittered(broken.failures);
                broken.failures = broken.failures.saturating_add(1);
            }
        }
    }

    /// A batch of these quorums was certified.
    pub(crate) fn works(&self, quorums: &[QuorumId]) {
        self.lock().retain(|quorum, _| !quorums.contains(quorum));
    }

    /// Which of these quorums are broken.
    pub(crate) fn broken_of(&self, quorums: &[QuorumId]) -> Vec<QuorumId> {
        let broken = self.lock();
        quorums
            .iter()
            .filter(|q| broken.contains_key(q))
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests;
