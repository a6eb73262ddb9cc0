//! How many rows a second one sender may post, where no reservation and no price says it.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock};

use crate::record::Party;
use crate::registry::AcceptError;

/// Fewer senders are remembered without a look whether they still matter: some 100 bytes each.
const REMEMBERED: usize = 4096;

/// See the module's documentation.
pub(crate) struct SenderRate {
    limiter: DefaultKeyedRateLimiter<Party>,
    rows_per_sec: NonZeroU32,
    burst: NonZeroU32,
    /// With more senders than so many, those are forgotten who could post a whole burst.
    remembered: AtomicUsize,
}

impl SenderRate {
    /// So many rows a second, and so many at once. Nothing if the first number is 0: then there is no limit.
    pub(crate) fn new(rows_per_sec: u32, burst_rows: u32) -> Option<Self> {
        let rows_per_sec = NonZeroU32::new(rows_per_sec)?;
        let burst = NonZeroU32::new(burst_rows).unwrap_or(NonZeroU32::MIN);
        Some(Self {
            limiter: DefaultKeyedRateLimiter::keyed(
                Quota::per_second(rows_per_sec).allow_burst(burst),
            ),
            rows_per_sec,
            burst,
            remembered: AtomicUsize::new(REMEMBERED),
        })
    }

    /// The sender posts a blob of so many rows.
    ///
    /// # Errors
    /// [`AcceptError::Rate`]; then nothing is counted.
    pub(crate) fn take(&self, sender: Party, rows: u32) -> Result<(), AcceptError> {
        if self.limiter.len() > self.remembered.load(Ordering::Relaxed) {
            self.limiter.retain_recent();
            let next = (self.limiter.len() * 2).max(REMEMBERED);
            self.remembered.store(next, Ordering::Relaxed);
        }
        let rows = NonZeroU32::new(rows).unwrap_or(NonZeroU32::MIN);
        // The configuration lets no blob be larger than a burst.
        let taken = self.limiter.check_key_n(&sender, rows.min(self.burst));
        let Ok(Err(wait)) = taken else {
            return Ok(());
        };
        let wait = wait.wait_time_from(self.limiter.clock().now());
        Err(AcceptError::Rate {
            rows_per_sec: self.rows_per_sec.get(),
            retry_after_secs: wait.as_secs() + 1,
        })
    }
}

#[cfg(test)]
mod tests;
