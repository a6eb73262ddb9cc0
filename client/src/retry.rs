//! When and how long to wait before an HTTP request is sent again. Pure: the caller sleeps.

use std::time::Duration;

/// How often and how patiently a request is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Wait after the first failure; doubles with each.
    pub base: Duration,
    /// Longest wait that the policy chooses by itself.
    pub max: Duration,
    /// Longest `Retry-After` that is obeyed; a server that asks for more is given up.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// 6 attempts, from 200 ms to 10 s, `Retry-After` up to 60 s.
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_millis(200),
            max: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One attempt, no wait.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// The wait after attempt number `attempt` (from 1) has failed, `None` if that was the last one. `random` is any
    /// number: it takes away up to half of the wait, so that clients that failed together do not come back together.
    /// What the server asked for in `Retry-After` is a lower bound, never shortened.
    #[must_use]
    pub fn wait(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        random: u64,
    ) -> Option<Duration> {
        if attempt >= self.attempts.max(1) {
            return None;
        }
        if retry_after.is_some_and(|wait| wait > self.max_retry_after) {
            return None;
        }
        let full = self
            .base
            .saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1)))
            .min(self.max);
        let half = u64::try_from(full.as_micros() / 2).unwrap_or(u64::MAX - 1);
        let wait = full - Duration::from_micros(random % (half + 1));
        Some(wait.max(retry_after.unwrap_or(Duration::ZERO)))
    }
}

/// Statuses that say "later": too many requests, bad gateway, unavailable, gateway timeout.
#[must_use]
pub fn is_worth_repeating(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// `Retry-After` in its form of whole seconds (RFC 9110, section 10.2.3). The form with a date is ignored: it needs a
/// clock that agrees with the server's.
#[must_use]
pub fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests;
