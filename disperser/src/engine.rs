//! The shell of the pipeline: queues, memory, encoder, expiry. Batches are in [`crate::pipeline`].

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_crypto::{Coded, Setup};
use ashlar_proto::BlobId;
use ashlar_proto::api::{BlobState, StatusError};
use ashlar_stake::StakeSource;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{DisperserConfig, encoded_bytes};
use crate::distribute::Courier;
use crate::encoder::{EncodeError, EncodeInput, EncodedBlob, encode_tick};
use crate::health::{Cause, Health};
use crate::metrics::{Metrics, Reason};
use crate::pool::Pool;
use crate::record::BlobRecord;
use crate::registry::Registry;
use crate::store::{Store, StoreError};

/// Unit of the memory budget: a semaphore counts at most 2^32 of them.
const MEMORY_UNIT: u64 = 4096;
/// Blobs and batches forgotten in one write.
const EXPIRE_PAGE: usize = 256;
/// First and longest pause before something that has to succeed is tried again.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

/// An encoded blob with its share of the memory budget, which goes back when this is dropped.
pub(crate) struct Held {
    pub(crate) blob: Arc<EncodedBlob>,
    /// Never looked at: its drop is what counts.
    pub(crate) _memory: OwnedSemaphorePermit,
}

/// Everything the pipeline's tasks share.
pub(crate) struct Engine {
    pub(crate) config: DisperserConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stake: Arc<dyn StakeSource>,
    pub(crate) identity: NetworkPublicKey,
    pub(crate) setup: &'static Setup,
    pub(crate) pool: Pool,
    pub(crate) courier: Arc<Courier>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
    memory: Arc<Semaphore>,
    queue: Mutex<VecDeque<BlobId>>,
    queued: Notify,
    /// Blobs that the encoder has in its hands.
    encoding: AtomicUsize,
    /// The encoder waits for memory.
    pub(crate) starved: AtomicBool,
    /// Batches that are not decided yet.
    pub(crate) undecided: AtomicUsize,
    /// Something changed that the batcher should look at.
    pub(crate) stirred: Notify,
    pub(crate) encoded: mpsc::Sender<Held>,
}

/// What an [`Engine`] is made of.
pub(crate) struct Parts {
    pub(crate) config: DisperserConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stake: Arc<dyn StakeSource>,
    pub(crate) identity: NetworkPublicKey,
    pub(crate) pool: Pool,
    pub(crate) courier: Arc<Courier>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
}

impl Engine {
    /// With the receiver of encoded blobs, which is the batcher's.
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, mpsc::Receiver<Held>) {
        // The channel is a hand-over: what bounds the blobs in it is the memory they hold.
        let (encoded, batcher) = mpsc::channel(64);
        let units =
            usize::try_from(parts.config.encode.memory_bytes / MEMORY_UNIT).unwrap_or(usize::MAX);
        let engine = Self {
            config: parts.config,
            registry: parts.registry,
            stake: parts.stake,
            identity: parts.identity,
            setup: Setup::ethereum(),
            pool: parts.pool,
            courier: parts.courier,
            metrics: parts.metrics,
            health: parts.health,
            stop: parts.stop,
            memory: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            queue: Mutex::default(),
            queued: Notify::new(),
            encoding: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
            undecided: AtomicUsize::new(0),
            stirred: Notify::new(),
            encoded,
        };
        (Arc::new(engine), batcher)
    }

    pub(crate) fn store(&self) -> &Store {
        self.registry.store()
    }

    /// An accepted blob waits for an encoder from now on.
    pub(crate) fn enqueue(&self, ids: impl IntoIterator<Item = BlobId>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.extend(ids);
        self.metrics.encode_queue.set(queue.len() as i64);
        drop(queue);
        self.queued.notify_one();
    }

    /// Nothing is on its way to the batcher, and no batch on its way to the operators.
    pub(crate) fn is_idle(&self) -> bool {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.is_empty()
            && self.encoding.load(Ordering::SeqCst) == 0
            && self.undecided.load(Ordering::SeqCst) == 0
    }

    /// Runs blocking work away from the runtime's threads. `None` if it panicked or the runtime stops.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        tokio::task::spawn_blocking(work).await.ok()
    }

    /// Runs a write that has to succeed: again and again while the disk fails, with back-off. `None` if the disperser stops, or
    /// the failure is one that trying again does not mend.
    pub(crate) async fn durably<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&Registry) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> Option<T> {
        let mut pause = RETRY_MIN;
        loop {
            let (registry, work) = (Arc::clone(&self.registry), work.clone());
            let error = match self.blocking(move || work(&registry)).await? {
                Ok(done) => {
                    self.health.clear(Cause::Storage);
                    return Some(done);
                }
                Err(error) => error,
            };
            self.health
                .raise(Cause::Storage, format!("{what}: {error}"));
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
        tokio::select! {
            () = tokio::time::sleep(now) => true,
            () = self.stop.cancelled() => false,
        }
    }

    /// First pause of a series.
    pub(crate) fn first_pause() -> Duration {
        RETRY_MIN
    }

    /// The share of the memory budget of one blob.
    pub(crate) fn memory_units(&self, record: &BlobRecord) -> u32 {
        let bytes =
            ashlar_proto::version(record.version).map_or(0, |v| encoded_bytes(v, record.rows, 1));
        u32::try_from(bytes.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX)
    }

    /// Takes memory, waiting for it. Whoever waits says so, and the batcher closes batches early.
    pub(crate) async fn take_memory(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        if let Some(memory) = self.try_memory(units) {
            return Some(memory);
        }
        self.starved.store(true, Ordering::SeqCst);
        self.stirred.notify_one();
        let memory = tokio::select! {
            memory = Arc::clone(&self.memory).acquire_many_owned(units) => memory.ok(),
            () = self.stop.cancelled() => None,
        };
        self.starved.store(false, Ordering::SeqCst);
        memory
    }

    /// Whether so much memory exists at all.
    pub(crate) fn fits(&self, units: u32) -> bool {
        u64::from(units).saturating_mul(MEMORY_UNIT) <= self.config.encode.memory_bytes
    }

    fn try_memory(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.memory).try_acquire_many_owned(units).ok()
    }

    fn measure_memory(&self) {
        let free = self.memory.available_permits() as u64 * MEMORY_UNIT;
        let used = self.config.encode.memory_bytes.saturating_sub(free);
        self.metrics
            .encoded_memory
            .set(i64::try_from(used).unwrap_or(i64::MAX));
    }

    /// The encoder: takes what waits, a tick at a time, until the disperser stops.
    pub(crate) async fn run_encoder(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let tick = self.next_tick().await;
            if tick.is_empty() {
                tokio::select! {
                    () = self.queued.notified() => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            let count = tick.len();
            self.encode(tick).await;
            self.encoding.fetch_sub(count, Ordering::SeqCst);
            self.measure_memory();
            self.stirred.notify_one();
        }
    }

    /// The next blobs to encode together, with their memory. Waits for memory for the first one only.
    async fn next_tick(&self) -> Vec<(BlobRecord, OwnedSemaphorePermit)> {
        let mut tick = Vec::new();
        let mut rows = 0u32;
        while tick.len() < self.config.encode.tick_blobs {
            let Some(id) = self.pop() else { break };
            let Some(record) = self.registry.live(&id) else {
                self.encoding.fetch_sub(1, Ordering::SeqCst);
                continue;
            };
            let full =
                !tick.is_empty() && rows.saturating_add(record.rows) > self.config.encode.tick_rows;
            let units = self.memory_units(&record);
            let memory = match tick.is_empty() {
                true => self.take_memory(units).await,
                false if full => None,
                false => self.try_memory(units),
            };
            let Some(memory) = memory else {
                self.unpop(id);
                break;
            };
            rows = rows.saturating_add(record.rows);
            tick.push((record, memory));
        }
        tick
    }

    fn pop(&self) -> Option<BlobId> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let id = queue.pop_front()?;
        // While the lock is held: at no moment the blob is nowhere.
        self.encoding.fetch_add(1, Ordering::SeqCst);
        self.metrics.encode_queue.set(queue.len() as i64);
        Some(id)
    }

    fn unpop(&self, id: BlobId) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_front(id);
        self.encoding.fetch_sub(1, Ordering::SeqCst);
        self.metrics.encode_queue.set(queue.len() as i64);
    }

    async fn encode(&self, tick: Vec<(BlobRecord, OwnedSemaphorePermit)>) {
        let ids: Vec<BlobId> = tick.iter().map(|(record, _)| record.id).collect();
        let started = {
            let ids = ids.clone();
            self.durably("noting that encoding begins", move |registry| {
                let now = now_ms();
                let records = registry.draft(&ids, |_, record| match record.state {
                    BlobState::Encoding => Ok(()), // a restart in the middle of it
                    _ => record.go(BlobState::Encoding, now),
                })?;
                registry.store().update(&records)?;
                registry.publish(records);
                Ok(())
            })
        };
        if started.await.is_none() {
            return;
        }
        let began = Instant::now();
        let results = self.encode_ids(ids).await;
        self.metrics
            .encode_seconds
            .observe(began.elapsed().as_secs_f64());

        let mut memory: std::collections::HashMap<BlobId, OwnedSemaphorePermit> = tick
            .into_iter()
            .map(|(record, memory)| (record.id, memory))
            .collect();
        let mut good = Vec::new();
        for (id, result) in results {
            match result {
                Ok(blob) => good.push(Arc::new(blob)),
                Err(error) => {
                    memory.remove(&id);
                    self.fail(id, error.code(), error.to_string()).await;
                }
            }
        }
        self.publish_encoded(&good).await;
        for blob in good {
            self.metrics
                .encoded_rows
                .inc_by(u64::from(blob.header.rows));
            if let Some(memory) = memory.remove(&blob.id) {
                // The batcher lives as long as the engine; if it is gone the disperser stops.
                let _ = self
                    .encoded
                    .send(Held {
                        blob,
                        _memory: memory,
                    })
                    .await;
            }
        }
    }

    /// Writes that these blobs are encoded.
    async fn publish_encoded(&self, blobs: &[Arc<EncodedBlob>]) {
        let blobs = blobs.to_vec();
        self.durably("writing encoded blobs", move |registry| {
            let now = now_ms();
            let ids: Vec<BlobId> = blobs.iter().map(|blob| blob.id).collect();
            let records = registry.draft(&ids, |at, record| {
                if let Some(blob) = blobs.get(at) {
                    record.header = Some(blob.header.clone());
                    record.key = Some(blob.key);
                    record.claimed = false;
                }
                record.go(BlobState::Encoded, now)
            })?;
            let with_commitments: Vec<_> = records
                .iter()
                .filter_map(|record| {
                    let blob = blobs.iter().find(|blob| blob.id == record.id)?;
                    Some((record.clone(), blob.commitments.clone()))
                })
                .collect();
            registry.store().encoded(&with_commitments)?;
            registry.publish(records);
            Ok(())
        })
        .await;
    }

    /// Reads and encodes blobs: one result each, in no particular order.
    pub(crate) async fn encode_ids(
        &self,
        ids: Vec<BlobId>,
    ) -> Vec<(BlobId, Result<EncodedBlob, EncodeError>)> {
        match self.encode_together(ids.clone()).await {
            Some(results) => results,
            // Something in the tick made the encoder panic: one by one, to find out what.
            None if ids.len() > 1 => {
                let mut results = Vec::with_capacity(ids.len());
                for id in ids {
                    let alone = self.encode_together(vec![id]).await;
                    results.extend(alone.unwrap_or_else(|| vec![(id, Err(EncodeError::Panicked))]));
                }
                results
            }
            None => ids
                .into_iter()
                .map(|id| (id, Err(EncodeError::Panicked)))
                .collect(),
        }
    }

    async fn encode_together(
        &self,
        ids: Vec<BlobId>,
    ) -> Option<Vec<(BlobId, Result<EncodedBlob, EncodeError>)>> {
        let mut results = Vec::with_capacity(ids.len());
        let loaded = self
            .durably("reading blobs to encode", move |registry| {
                ids.iter()
                    .map(|id| {
                        let store = registry.store();
                        Ok((
                            *id,
                            registry.live(id),
                            store.payload(id)?,
                            store.commitments(id)?,
                        ))
                    })
                    .collect::<Result<Vec<_>, StoreError>>()
            })
            .await?;
        let mut inputs = Vec::with_capacity(loaded.len());
        for (id, record, payload, commitments) in loaded {
            match (record, payload) {
                (Some(record), Some(payload)) => inputs.push(EncodeInput {
                    record,
                    payload,
                    commitments,
                }),
                _ => results.push((id, Err(EncodeError::PayloadMissing))),
            }
        }
        let mut seed = [0; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            tracing::error!("no randomness from the operating system: {error}");
            return None;
        }
        let setup = self.setup;
        let encoded = self
            .pool
            .run(move || encode_tick(setup, inputs, seed))
            .await
            .ok()?;
        results.extend(
            encoded
                .into_iter()
                .map(|(record, result)| (record.id, result)),
        );
        Some(results)
    }

    /// A blob fails alone, outside any batch.
    pub(crate) async fn fail(&self, id: BlobId, code: &'static str, message: String) {
        tracing::warn!(%id, code, "blob failed: {message}");
        let failed = self.durably("writing a failed blob", move |registry| {
            let now = now_ms();
            let records = registry.draft(&[id], |_, record| {
                record.error = Some(StatusError {
                    code: code.to_owned(),
                    message: message.clone(),
                });
                record.go(BlobState::Failed, now)
            })?;
            registry.store().failed(&records)?;
            registry.publish(records);
            Ok(())
        });
        if failed.await.is_some() {
            self.metrics
                .failed_blobs
                .get_or_create(&Reason {
                    code: code.to_owned(),
                })
                .inc();
        }
    }

    /// Forgets what has expired, until the disperser stops.
    pub(crate) async fn run_expiry(self: Arc<Self>) {
        let interval = Duration::from_secs(self.config.store.expiry_interval_secs);
        while !self.stop.is_cancelled() {
            loop {
                let page = self.durably("forgetting what has expired", |registry| {
                    registry.store().expire(now_ms(), EXPIRE_PAGE)
                });
                let Some(forgotten) = page.await else { break };
                self.metrics.expired.inc_by(forgotten as u64);
                if forgotten < EXPIRE_PAGE {
                    break;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Watches the operator table, so that trouble shows before a batch meets it.
    pub(crate) async fn run_table_watch(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let _ = self.newest_table().await;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}
