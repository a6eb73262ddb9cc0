//! Watching the clocks, keeping the time, forgetting what has expired.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::time::ClockFault;
use ashlar_stake::StakeSource;

use crate::clock::ClockStatus;
use crate::compute::blocking;
use crate::durable::{Durable, RETRY_MIN};
use crate::health;
use crate::metrics::Metrics;

/// Blobs and batches forgotten in one write.
const EXPIRE_PAGE: usize = 256;
/// Time between two looks at the clock, and between two times that are kept.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_TIME_MS: u64 = 10_000;

/// What goes by the clock.
#[derive(Clone)]
pub(crate) struct Upkeep {
    pub(crate) durable: Durable,
    pub(crate) stake: Arc<dyn StakeSource>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Upkeep {
    /// Reads the clocks; health says what is wrong with them. `None` if the disperser stops.
    pub(crate) async fn read_clock(&self) -> Option<ClockStatus> {
        let (clock, stake) = (Arc::clone(&self.durable.clock), Arc::clone(&self.stake));
        let status = blocking(move || clock.read(stake.head_time_ms())).await?;
        let stopped = match status.batching {
            Err(_) => "no batch is made and nothing expires",
            Ok(()) => "nothing expires",
        };
        let fault = status.batching.err().or(status.expiry.err());
        let why = |fault| {
            format!(
                "{stopped}: {fault}; set the clock, or, if it is right, stop the disperser and run `ashlar disperser clock accept`"
            )
        };
        let behind = fault.filter(|fault| matches!(fault, ClockFault::Behind { .. }));
        let disagrees = fault.filter(|fault| matches!(fault, ClockFault::Disagrees { .. }));
        let health = &self.durable.health;
        health.set(health::CLOCK_BEHIND, behind.map(why));
        health.set(health::CLOCK_DISAGREES, disagrees.map(why));
        Some(status)
    }

    /// Waits until a batch may be dated. `false` if the disperser stops.
    pub(crate) async fn clock_is_believed(&self) -> bool {
        let mut pause = RETRY_MIN;
        while let Some(status) = self.read_clock().await {
            if status.batching.is_ok() {
                return true;
            }
            if !self.durable.pause(&mut pause).await {
                return false;
            }
        }
        false
    }

    /// Watches the clock and keeps the time, which was kept last as `kept` says, until the disperser stops.
    pub(crate) async fn run_clock(self, mut kept: Option<u64>) {
        while let Some(status) = self.read_clock().await {
            let time_ms = status.accepted_ms;
            if kept.is_none_or(|kept: u64| time_ms.saturating_sub(kept) >= KEEP_TIME_MS) {
                let keeping = self.durable.write("keeping the time", move |registry, _| {
                    registry.store().keep_time(time_ms)
                });
                if keeping.await.is_none() {
                    return;
                }
                kept = Some(time_ms);
            }
            if !self.durable.sleep(CLOCK_INTERVAL).await {
                return;
            }
        }
    }

    /// Forgets what has expired, every `interval`, until the disperser stops.
    pub(crate) async fn run_expiry(self, interval: Duration) {
        while let Some(status) = self.read_clock().await {
            let code = match status.expiry {
                // What forgets nothing writes nothing, which is no sign that the database works again.
                _ if self.durable.health.raised(health::STORAGE).is_some() => Some("storage"),
                Ok(time_ms) => self.expire(time_ms).await,
                Err(fault) => Some(fault.code()),
            };
            if let Some(code) = code {
                let rounds = &self.metrics.expiry_rounds;
                rounds.get_or_create(&code.into()).inc();
            }
            if !self.durable.sleep(interval).await {
                return;
            }
        }
    }

    /// Forgets what is over at this time. `None` if the disperser stops or the store fails for good.
    async fn expire(&self, time_ms: u64) -> Option<&'static str> {
        loop {
            let page = self
                .durable
                .write("forgetting what has expired", move |registry, _| {
                    registry.store().expire(time_ms, EXPIRE_PAGE)
                });
            let forgotten = page.await?;
            self.metrics.expired.inc_by(forgotten as u64);
            if forgotten < EXPIRE_PAGE {
                return Some("done");
            }
        }
    }
}
