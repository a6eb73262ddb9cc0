//! The node's clock: what [`Timekeeper`] makes of this machine's clocks and of the newest signed head.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ashlar_proto::time::{ClockFault, Reading, Timekeeper, Timing};
use ashlar_stake::StakeSource;

use crate::health::{self, Cause, Health};

/// The clocks of a machine. Tests bring their own.
pub trait TimeSource: std::fmt::Debug + Send + Sync + 'static {
    /// Wall clock, milliseconds since 1970.
    fn wall_ms(&self) -> u64;
    /// Monotonic clock, since any fixed moment of this process.
    fn monotonic(&self) -> Duration;
}

/// The clocks of this machine.
#[derive(Debug)]
pub struct SystemTimeSource {
    started: Instant,
}

impl Default for SystemTimeSource {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl TimeSource for SystemTimeSource {
    /// 0 if the clock stands before 1970: far behind any time kept, so that nothing is signed by it.
    fn wall_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// One of it for each node, once its database is open.
pub(crate) struct Clock {
    source: Arc<dyn TimeSource>,
    stake: Arc<dyn StakeSource>,
    health: Arc<Health>,
    keeper: Mutex<Timekeeper>,
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock")
            .field("source", &self.source)
            .field("keeper", &self.keeper)
            .finish_non_exhaustive()
    }
}

impl Clock {
    /// One that goes on from the last time kept.
    pub(crate) fn new(
        source: Arc<dyn TimeSource>,
        stake: Arc<dyn StakeSource>,
        health: Arc<Health>,
        kept_ms: Option<u64>,
    ) -> Self {
        Self {
            source,
            stake,
            health,
            keeper: Mutex::new(Timekeeper::new(kept_ms)),
        }
    }

    /// Wall clock, milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.source.wall_ms()
    }

    /// Reads all clocks, and says on the node's health what is wrong with them.
    pub(crate) fn look(&self) -> Timing {
        let timing = {
            // Read under the lock: the keeper takes readings in their order.
            let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
            keeper.read(Reading {
                wall_ms: self.source.wall_ms(),
                monotonic: self.source.monotonic(),
                head_ms: self.stake.head_time_ms(),
            })
        };
        self.report(
            health::CLOCK_BEHIND,
            timing.signing.err(),
            "nothing is signed",
        );
        self.report(
            health::CLOCK_DISAGREES,
            timing.expiry.err(),
            "nothing expires",
        );
        timing
    }

    fn report(&self, cause: Cause, fault: Option<ClockFault>, effect: &str) {
        let why = fault.map(|fault| format!("{fault}; {effect}"));
        self.health.set(cause, why);
    }
}
