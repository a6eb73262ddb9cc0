//! What time it is, and whether that can be believed: nothing that the disperser keeps ends by one reading of the wall clock.
//!
//! Expiry goes by [`ashlar_proto::time`], as on the nodes. Batches are dated by the wall clock, and operators refuse a
//! batch whose date is wrong. So no batch is made while nothing confirms the clock. Accepted blobs wait until the clock
//! is set, or a person says that it is right (`ashlar disperser clock accept`).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ashlar_proto::time::{ClockFault, Reading, Timekeeper};

/// A wall clock: milliseconds since 1970.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The computer's wall clock.
pub fn system_clock() -> WallClock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        // A clock before 1970 is behind everything, and treated so.
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    })
}

/// What is to be thought of one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockStatus {
    /// The highest time accepted, milliseconds since 1970: what has to be made durable. Never falls.
    pub accepted_ms: u64,
    /// No promise that is made now may be counted from an earlier time, milliseconds since 1970.
    pub promise_ms: u64,
    /// The time to expire by, milliseconds since 1970; or why nothing expires.
    pub expiry: Result<u64, ClockFault>,
    /// Whether a batch may be dated by the wall clock.
    pub batching: Result<(), ClockFault>,
}

/// Judges the readings of one process. No IO and no clock.
#[derive(Debug, Clone, Copy)]
pub struct ClockJudge {
    durable_ms: Option<u64>,
    keeper: Timekeeper,
    /// One that hears of no heads. If the ledger is down its newest head grows old; that alone is no reason to stop.
    measured: Option<Timekeeper>,
}

impl ClockJudge {
    /// One that goes on from the last durable time, milliseconds since 1970; `None` if there never was one.
    pub fn new(durable_ms: Option<u64>) -> Self {
        Self {
            durable_ms,
            keeper: Timekeeper::new(durable_ms),
            measured: None,
        }
    }

    /// Takes one reading. Readings come in the order of their monotonic clock.
    pub fn read(&mut self, reading: Reading) -> ClockStatus {
        let timing = self.keeper.read(reading);
        let alone = Reading {
            head_ms: None,
            ..reading
        };
        let begin = self.durable_ms.or(reading.head_ms);
        let mut measured = self.measured.unwrap_or_else(|| Timekeeper::new(begin));
        let mut vouched = measured.read(alone).expiry;
        // A head confirms the time after a stop that was too long to be credited: measure from there on.
        if timing.expiry.is_ok() && vouched.is_err() {
            measured = Timekeeper::new(Some(timing.accepted_ms));
            vouched = measured.read(alone).expiry;
        }
        self.measured = Some(measured);
        let batching = timing.signing.and(match (timing.expiry, vouched) {
            (Err(fault), Err(_)) => Err(fault),
            _ => Ok(()),
        });
        ClockStatus {
            accepted_ms: timing.accepted_ms,
            promise_ms: timing
                .accepted_ms
                .max(reading.wall_ms)
                .max(reading.head_ms.unwrap_or(0)),
            expiry: timing.expiry,
            batching,
        }
    }
}

/// The clocks of this process.
pub(crate) struct Clock {
    wall: WallClock,
    started: Instant,
    judge: Mutex<ClockJudge>,
}

impl Clock {
    /// Goes on from the last durable time.
    pub(crate) fn new(wall: WallClock, durable_ms: Option<u64>) -> Self {
        Self {
            wall,
            started: Instant::now(),
            judge: Mutex::new(ClockJudge::new(durable_ms)),
        }
    }

    /// The wall clock, believed or not, milliseconds since 1970: for what is only shown.
    pub(crate) fn wall_ms(&self) -> u64 {
        (self.wall)()
    }

    /// Reads the clocks and judges them.
    pub(crate) fn read(&self, head_ms: Option<u64>) -> ClockStatus {
        let mut judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        judge.read(Reading {
            wall_ms: (self.wall)(),
            monotonic: self.started.elapsed(),
            head_ms,
        })
    }
}

#[cfg(test)]
mod tests;
