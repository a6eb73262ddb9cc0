//! Which quorums do not sign at the moment: without IO and without a clock.
//!
//! Anybody may post blobs of a quorum whose operators are gone. Their batches would wait for signatures until the deadline, and with
//! them the places and the memory that all others need. So a quorum that has let a batch wait, or fail, is *broken*: its blobs stay
//! in the queue on disk, where they cost nothing. From time to time one of them is sent as a probe, with pauses that double. A batch
//! that is certified mends all of its quorums.

use std::time::{Duration, Instant};

use ashlar_proto::QuorumId;
use ashlar_service::Backoff;

use crate::troubled::Troubled;

/// How long a broken quorum is left alone.
const PAUSE: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(60),
};

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
#[derive(Debug)]
pub(crate) struct Breaker(Troubled<QuorumId>);

impl Default for Breaker {
    fn default() -> Self {
        Self(Troubled::new(PAUSE))
    }
}

impl Breaker {
    /// What may be sent to these quorums.
    pub(crate) fn passage(&self, quorums: &[QuorumId], now: Instant) -> Passage {
        match quorums.iter().filter_map(|q| self.0.until(q)).max() {
            None => Passage::Open,
            Some(until) if until <= now => Passage::Probe,
            Some(_) => Passage::Closed,
        }
    }

    /// Too little of these quorums signed: they are broken until one of their batches is certified. A probe counts as if it had failed
    /// already.
    pub(crate) fn broke(&self, quorums: impl IntoIterator<Item = QuorumId>, now: Instant) {
        for quorum in quorums {
            self.0.failed(quorum, now);
        }
    }

    /// A batch of these quorums was certified.
    pub(crate) fn works(&self, quorums: &[QuorumId]) {
        quorums.iter().for_each(|quorum| self.0.works(quorum));
    }

    /// Which of these quorums are broken.
    pub(crate) fn broken_of(&self, quorums: &[QuorumId]) -> Vec<QuorumId> {
        let broken = |quorum: &&QuorumId| self.0.until(quorum).is_some();
        quorums.iter().filter(broken).copied().collect()
    }
}

#[cfg(test)]
mod tests;
