//! How long to wait before another attempt.

use std::time::Duration;

/// Exponential back-off with jitter and an end. Pure: randomness comes in from the caller, nothing sleeps here.
///
/// The wait before attempt n (from 0) is between half and all of `min(base * 2^n, max)`: growing, so that a peer in
/// trouble is left in peace, and scattered, so that many callers do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait before the first repetition.
    pub base: Duration,
    /// Longest wait before any.
    pub max: Duration,
    /// Repetitions; after so many, [`delay`](Self::delay) says `None`.
    pub attempts: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(200),
            max: Duration::from_secs(10),
            attempts: 8,
        }
    }
}

impl Backoff {
    /// The wait before repetition number `attempt` (from 0), or `None` when it is time to give up. `random` is any
    /// uniformly random number.
    pub fn delay(&self, attempt: u32, random: u64) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let factor = 1u32.checked_shl(attempt).unwrap_or(u32::MAX);
        let ceiling = self.base.saturating_mul(factor).min(self.max);
        let half = ceiling / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        // The bias of the remainder is below 2^-20 for any wait of less than hours.
        Some(half + Duration::from_nanos(random % nanos.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests;
