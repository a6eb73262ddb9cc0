//! What all interfaces share: the layer, the stores, and places for requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ashlar_client::{DaClient, PutOptions};
use ashlar_crypto::{Blame, Coded as _};
use ashlar_service::Health;
use ashlar_stake::StakeSource;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::commitment::is_hash_of;
use crate::config::{Mode, ProxyConfig};
use crate::failure::Failure;
use crate::health;
use crate::metrics::{Asked, Metrics, Store};
use crate::store::{Objects, StoreError};

/// So many posts have to fail in a row before health says so.
const WORTH_A_WORD: u32 = 3;

/// The stores that are configured.
pub(crate) struct AllStores {
    pub(crate) keccak: Option<Objects>,
    pub(crate) cache: Option<Objects>,
    pub(crate) fallback: Option<Objects>,
}

impl AllStores {
    /// Opens them. Blocks.
    pub(crate) fn open(config: &ProxyConfig) -> Result<Self, StoreError> {
        let stores = &config.store;
        let patience = Duration::from_secs(stores.timeout_secs);
        Ok(Self {
            keccak: Objects::open("keccak", &stores.keccak, patience)?,
            cache: Objects::open("cache", &stores.cache, patience)?,
            fallback: Objects::open("fallback", &stores.fallback, patience)?,
        })
    }
}

/// See the module's documentation.
pub(crate) struct Core {
    pub(crate) config: ProxyConfig,
    pub(crate) da: Arc<dyn DaClient>,
    /// None in memory mode.
    pub(crate) stake: Option<Arc<dyn StakeSource>>,
    pub(crate) stores: AllStores,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    puts: Semaphore,
    gets: Semaphore,
    failures: AtomicU32,
}

impl Core {
    pub(crate) fn new(
        config: ProxyConfig,
        da: Arc<dyn DaClient>,
        stake: Option<Arc<dyn StakeSource>>,
        stores: AllStores,
        (health, metrics): (Arc<Health>, Arc<Metrics>),
    ) -> Self {
        Self {
            puts: Semaphore::new(config.serve.places),
            gets: Semaphore::new(config.serve.places),
            failures: AtomicU32::new(0),
            config,
            da,
            stake,
            stores,
            metrics,
            health,
        }
    }

    /// A place for a post. A reader never waits for posts: they take long where the layer is in trouble.
    pub(crate) async fn place_to_put(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.place(&self.puts).await
    }

    /// A place for a read.
    pub(crate) async fn place_to_get(&self) -> Result<SemaphorePermit<'_>, Failure> {
        self.place(&self.gets).await
    }

    async fn place<'a>(&self, places: &'a Semaphore) -> Result<SemaphorePermit<'a>, Failure> {
        let patience = Duration::from_secs(self.config.serve.wait_secs);
        match timeout(patience, places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Failure::Busy),
        }
    }

    /// Counts a request.
    pub(crate) fn count<T>(
        &self,
        api: &'static str,
        what: &'static str,
        done: &Result<T, Failure>,
    ) {
        let outcome = match done {
            Ok(_) => "ok",
            Err(failure) => failure.code(),
        };
        if let Err(Failure::Invalid { code, reason, .. }) = done {
            tracing::warn!(api, code, "a commitment is good for nothing: {reason}");
            self.metrics.invalid.get_or_create(&(*code).into()).inc();
        }
        let asked = Asked { api, what, outcome };
        self.metrics.requests.get_or_create(&asked).inc();
    }

    pub(crate) fn may_write(&self) -> Result<(), Failure> {
        match self.config.proxy.mode {
            Mode::ReadOnly => Err(Failure::ReadOnly),
            Mode::Disperser | Mode::Memory => Ok(()),
        }
    }

    /// A post has ended; after how many failures in a row.
    pub(crate) fn posted(&self, failed: Option<&Failure>) {
        let (row, why) = match failed {
            None => {
                self.failures.store(0, Ordering::Relaxed);
                (0, None)
            }
            Some(failure) if failure.is_the_layers() => {
                let row = self
                    .failures
                    .fetch_add(1, Ordering::Relaxed)
                    .saturating_add(1);
                (
                    row,
                    Some(format!(
                        "{row} posts in a row have failed: {failure} [{}]",
                        failure.code()
                    )),
                )
            }
            Some(_) => return,
        };
        self.metrics.failures_in_a_row.set(i64::from(row));
        self.health
            .set(health::POSTING, why.filter(|_| row >= WORTH_A_WORD));
    }

    /// Posts that have failed in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn options(&self, salt: u64) -> PutOptions {
        PutOptions {
            quorums: self.config.quorums(),
            salt: Some(salt),
            ..PutOptions::default()
        }
    }

    /// Takes note of what a store did.
    pub(crate) fn noted<T>(
        &self,
        store: &Objects,
        done: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let label = Store { store: store.name };
        match &done {
            Ok(_) => self.health.clear(health::STORE),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!("{error}");
                self.metrics.damaged.get_or_create(&label).inc();
            }
            Err(error) => {
                tracing::warn!("{error}");
                self.metrics.store_failures.get_or_create(&label).inc();
                self.health.set(health::STORE, Some(error.to_string()));
            }
        }
        done
    }

    /// Writes, and takes note of it. `heals`: what was there before was not right.
    pub(crate) async fn keep(
        &self,
        store: &Objects,
        key: &[u8; 32],
        payload: Bytes,
        heals: bool,
    ) -> Result<(), StoreError> {
        let written = store.write(key, payload).await;
        self.noted(store, written)?;
        if heals {
            let label = Store { store: store.name };
            self.metrics.healed.get_or_create(&label).inc();
        }
        Ok(())
    }

    fn keccak_store(&self) -> Result<&Objects, Failure> {
        let none = || Failure::Later {
            code: "proxy.no_keccak_store",
            blame: Blame::Us,
            reason: "keccak commitments need store.keccak, which is not configured".to_owned(),
        };
        self.stores.keccak.as_ref().ok_or_else(none)
    }

    /// Keeps a payload under its hash.
    pub(crate) async fn put_keccak(&self, hash: &[u8; 32], payload: Bytes) -> Result<(), Failure> {
        self.may_write()?;
        if !is_hash_of(hash, &payload) {
            return Err(Failure::Request {
                code: "proxy.other_hash",
                reason: "the payload has another keccak256 than the path says".to_owned(),
            });
        }
        let store = self.keccak_store()?;
        let there = self.get_keccak(hash).await;
        let damaged = match there {
            Ok(_) => return Ok(()),
            Err(Failure::Missing) => false,
            Err(Failure::Later { code, .. }) => code == "store.damaged",
            Err(failure) => return Err(failure),
        };
        let kept = self.keep(store, hash, payload, damaged).await;
        kept.map_err(|error| Failure::later(&error))
    }

    /// The payload of a hash.
    pub(crate) async fn get_keccak(&self, hash: &[u8; 32]) -> Result<Bytes, Failure> {
        let store = self.keccak_store()?;
        let found = store.read(hash, self.config.put.max_payload).await;
        let found = match found {
            Ok(Some(payload)) if !is_hash_of(hash, &payload) => Err(store.damaged(hash)),
            found => found,
        };
        let found = self.noted(store, found);
        found
            .map_err(|error| Failure::later(&error))?
            .ok_or(Failure::Missing)
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> Result<u64, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let ms = since.and_then(|since| u64::try_from(since.as_millis()).ok());
    ms.ok_or_else(|| Failure::Later {
        code: "proxy.clock",
        blame: Blame::Us,
        reason: "this machine's clock cannot be used".to_owned(),
    })
}

/// Work that takes a while, off the async runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::Later {
        code: "proxy.internal",
        blame: Blame::Us,
        reason: error.to_string(),
    })
}
