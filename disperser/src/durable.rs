//! Writes that have to succeed.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::compute::blocking;
use crate::health::{self, Health};
use crate::registry::Registry;
use crate::store::StoreError;

/// First and longest pause before something that has to succeed is tried again.
pub(crate) const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// The registry, for writes that are tried until they succeed or the disperser stops.
#[derive(Clone)]
pub(crate) struct Durable {
    pub(crate) registry: Arc<Registry>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
}

impl Durable {
    /// Runs a write, which gets the time of the wall clock: again and again while the disk fails, with back-off. `None` if the
    /// disperser stops, or the failure is one that trying again does not mend.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&Registry, u64) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Option<T> {
        let mut pause = RETRY_MIN;
        loop {
            let (registry, now_ms, work) = (
                Arc::clone(&self.registry),
                self.clock.wall_ms(),
                work.clone(),
            );
            let error = match blocking(move || work(&registry, now_ms)).await? {
                Ok(done) => {
                    self.health.clear(health::STORAGE);
                    return Some(done);
                }
                Err(error) => error,
            };
            self.health
                .raise(health::STORAGE, format!("{what}: {error}"));
            if !matches!(error, StoreError::Kv(_)) {
                tracing::error!(code = error.code(), "{what}: {error}");
                return None;
            }
            if !self.pause(&mut pause).await {
                return None;
            }
        }
    }

    /// Sleeps and doubles the pause. `false` if the disperser stops.
    pub(crate) async fn pause(&self, pause: &mut Duration) -> bool {
        let now = *pause;
        *pause = (now * 2).min(RETRY_MAX);
        self.sleep(now).await
    }

    /// Sleeps. `false` if the disperser stops.
    pub(crate) async fn sleep(&self, duration: Duration) -> bool {
        let sleep = tokio::time::sleep(duration);
        self.stop.run_until_cancelled(sleep).await.is_some()
    }
}
