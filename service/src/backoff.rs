//! How long to wait before another attempt.

use std::time::Duration;

/// Exponential back-off with jitter and a bound. Pure: the caller brings the randomness and sleeps.
///
/// The wait after failure number n (from 0) is between half and all of `min(base · 2^n, max)`. It grows, so that a peer in
/// trouble is left in peace; it is scattered, so that many callers do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first failure.
    pub base: Duration,
    /// Longest wait after any.
    pub max: Duration,
}

impl Backoff {
    /// The wait after failure number `failure` (from 0). `random` is any uniformly random number.
    pub fn delay(&self, failure: u32, random: u64) -> Duration {
        let factor = 1u32.checked_shl(failure).unwrap_or(u32::MAX);
        let full = self.base.saturating_mul(factor).min(self.max);
        // The bias of the remainder is below 2^-20 for any wait of less than hours.
        let half = u64::try_from(full.as_nanos() / 2).unwrap_or(u64::MAX - 1);
        full - Duration::from_nanos(random % (half + 1))
    }

    /// [`delay`](Self::delay) with the operating system's randomness. Without any, everybody waits in full: only less polite.
    pub fn jittered(&self, failure: u32) -> Duration {
        self.delay(failure, getrandom::u64().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests;
