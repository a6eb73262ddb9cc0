//! The time at which promises end: which clock may say that data has expired.
//!
//! One reading of the wall clock must never end a promise: a clock that jumps past the retention would drop everything, and
//! on many machines at once where their time comes from one place. [`Timekeeper`] believes the wall clock only as far as
//! something else vouches for it:
//!
//! ```text
//! a signed head is known      time = min(wall clock, block time of the newest signed head)
//! none is (a table file)      time = min(wall clock, last time kept + what the monotonic clock measured since)
//! ```
//!
//! The last time kept is durable: its owner writes and syncs it ([`Timing::accepted_ms`]). Time lost to a stop is credited up
//! to [`STOP_CREDIT`]; a longer stop needs a person who accepts the clock, unless a head vouches for it.
//!
//! No IO and no clock here: readings go in, the time and what is wrong with it come out. The storage node and the disperser
//! expire by it, and the ledger dates its blocks by it.

use std::time::Duration;

use ashlar_crypto::Coded;

/// A stop that is made up for without a question, if nothing but the monotonic clock vouches: 1 hour.
pub const STOP_CREDIT: Duration = Duration::from_secs(60 * 60);
/// Wall clock and what vouches for it may differ by this much, 10 minutes; beyond it nothing expires.
pub const MAX_DISAGREEMENT: Duration = Duration::from_secs(10 * 60);
/// The wall clock may fall behind the highest time accepted by this much, 30 seconds: clocks are set back a little all the
/// time, and two machines never agree to the millisecond.
pub const MAX_BEHIND: Duration = Duration::from_secs(30);

/// What the clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Wall clock, milliseconds since 1970.
    pub wall_ms: u64,
    /// Monotonic clock, since any fixed moment of this process.
    pub monotonic: Duration,
    /// Block time of the newest signed head, milliseconds since 1970; `None` where nobody signs heads.
    pub head_ms: Option<u64>,
}

/// What is to be thought of one [`Reading`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The highest time accepted so far, milliseconds since 1970: what has to be made durable. Never falls.
    pub accepted_ms: u64,
    /// The time that data may expire by, milliseconds since 1970; or why nothing may.
    pub expiry: Result<u64, ClockFault>,
    /// Whether anything may be signed or promised by this clock.
    pub signing: Result<(), ClockFault>,
}

impl Timing {
    /// What is wrong with the clock, if anything is.
    pub fn fault(&self) -> Option<ClockFault> {
        self.signing.err().or(self.expiry.err())
    }
}

/// What stands against the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeReference {
    /// The newest signed head.
    Head,
    /// The last time kept, and the monotonic clock since.
    Monotonic,
}

impl std::fmt::Display for TimeReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Head => "the newest signed head",
            Self::Monotonic => "the last time kept and the time measured since",
        })
    }
}

/// A clock that is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "clock", blame = Us)]
pub enum ClockFault {
    /// Wall clock and what vouches for it differ by more than [`MAX_DISAGREEMENT`]: nothing expires.
    #[error("the wall clock says {wall_ms} ms, {reference} {vouched_ms} ms: they differ by {} s, expected at most {} s", wall_ms.abs_diff(*vouched_ms) / 1000, MAX_DISAGREEMENT.as_secs())]
    Disagrees {
        /// Wall clock, milliseconds since 1970.
        wall_ms: u64,
        /// What vouches, milliseconds since 1970.
        vouched_ms: u64,
        /// Who that is.
        reference: TimeReference,
    },
    /// The wall clock is behind a time that was accepted before, by more than [`MAX_BEHIND`]: nothing is signed.
    #[error("the wall clock says {wall_ms} ms, and {highest_ms} ms was reached before: it is {} s behind, expected at most {} s", highest_ms.saturating_sub(*wall_ms) / 1000, MAX_BEHIND.as_secs())]
    Behind {
        /// Wall clock, milliseconds since 1970.
        wall_ms: u64,
        /// Highest time accepted, milliseconds since 1970.
        highest_ms: u64,
    },
}

/// Keeps the time. See the module's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timekeeper {
    kept: Option<Kept>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    /// Highest time accepted.
    accepted_ms: u64,
    /// The monotonic clock then; `None` if that was before this process.
    at: Option<Duration>,
}

impl Timekeeper {
    /// One that goes on from the last durable time, milliseconds since 1970. `None` if no time was ever kept: the first
    /// reading is believed then, as there is nothing yet that it could end.
    pub fn new(durable_ms: Option<u64>) -> Self {
        Self {
            kept: durable_ms.map(|accepted_ms| Kept {
                accepted_ms,
                at: None,
            }),
        }
    }

    /// Takes one reading. Readings come in the order of their monotonic clock.
    pub fn read(&mut self, reading: Reading) -> Timing {
        let Reading {
            wall_ms,
            monotonic,
            head_ms,
        } = reading;
        let kept = self.kept.unwrap_or(Kept {
            accepted_ms: head_ms.map_or(wall_ms, |head| head.min(wall_ms)),
            at: None,
        });
        let measured_ms = match kept.at {
            Some(at) => kept
                .accepted_ms
                .saturating_add(millis(monotonic.saturating_sub(at))),
            // The stop is credited whole, or not at all if it seems too long. With a part of it for each start, a
            // process that starts again and again would reach any wrong time.
            None if wall_ms.saturating_sub(kept.accepted_ms) <= millis(STOP_CREDIT) => {
                wall_ms.max(kept.accepted_ms)
            }
            None => kept.accepted_ms,
        };
        let (vouched_ms, reference) = match head_ms {
            Some(head) => (head, TimeReference::Head),
            None => (measured_ms, TimeReference::Monotonic),
        };
        let time_ms = wall_ms.min(vouched_ms);
        let kept = if time_ms >= kept.accepted_ms {
            Kept {
                accepted_ms: time_ms,
                at: Some(monotonic),
            }
        } else {
            Kept {
                at: kept.at.or(Some(monotonic)),
                ..kept
            }
        };
        self.kept = Some(kept);

        let expiry = if wall_ms.abs_diff(vouched_ms) > millis(MAX_DISAGREEMENT) {
            Err(ClockFault::Disagrees {
                wall_ms,
                vouched_ms,
                reference,
            })
        } else {
            Ok(time_ms)
        };
        let signing = if kept.accepted_ms.saturating_sub(wall_ms) > millis(MAX_BEHIND) {
            Err(ClockFault::Behind {
                wall_ms,
                highest_ms: kept.accepted_ms,
            })
        } else {
            Ok(())
        };
        Timing {
            accepted_ms: kept.accepted_ms,
            expiry,
            signing,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
