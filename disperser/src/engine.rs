//! The shell of the pipeline: queues, memory, encoder, expiry. Batches are in [`crate::pipeline`].

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_crypto::{Coded, KernelStatus, Setup};
use ashlar_net::Subnet;
use ashlar_proto::BlobId;
use ashlar_proto::api::{BlobState, StatusError};
use ashlar_proto::time::ClockFault;
use ashlar_service::metrics::Code;
use ashlar_stake::StakeSource;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::claim_limiter::ClaimLimiter;
use crate::clock::{Clock, Verdict};
use crate::compute::ComputePool;
use crate::config::{DisperserConfig, encoded_bytes};
use crate::distribute::OperatorClient;
use crate::encoder::{ClaimCheck, EncodeError, EncodeInput, EncodedBlob, encode_tick};
use crate::health::{self, Health};
use crate::metrics::Metrics;
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
/// Time between two looks at the clock, and between two times that are kept.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
const KEEP_TIME_MS: u64 = 10_000;
/// Suspects get ticks of this part of the usual size.
const SUSPECT_SHARE: usize = 8;

/// Says in health, log and metrics if a kernel was caught computing wrongly. What it computed was thrown away, and the portable
/// one took over.
pub(crate) fn report_kernel(health: &Health, metrics: &Metrics, status: KernelStatus) {
    if let Some(disagreement) = status.refused {
        metrics.kernel_disagrees.set(1);
        health.raise(health::KERNEL, disagreement.to_string());
    }
}

/// A blob that waits for an encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueuedBlob {
    pub(crate) id: BlobId,
    /// Who posted it, to answer for its commitments; not known any more after a restart.
    pub(crate) sender: Option<Subnet>,
}

impl From<BlobId> for QueuedBlob {
    fn from(id: BlobId) -> Self {
        Self { id, sender: None }
    }
}

/// The blobs that wait for an encoder.
#[derive(Default)]
struct Queue {
    blobs: VecDeque<QueuedBlob>,
    /// Those with claims of senders that sent false ones lately.
    suspects: VecDeque<QueuedBlob>,
    /// The last tick was one of suspects.
    suspects_had_their_turn: bool,
}

impl Queue {
    fn len(&self) -> usize {
        self.blobs.len() + self.suspects.len()
    }
}

/// The blobs of one tick, with their memory.
struct Tick {
    check: ClaimCheck,
    blobs: Vec<(BlobRecord, Option<Subnet>, OwnedSemaphorePermit)>,
}

/// An encoded blob with its share of the memory budget, which goes back when this is dropped.
pub(crate) struct BufferedBlob {
    pub(crate) blob: Arc<EncodedBlob>,
    /// Never looked at: its drop is what counts.
    pub(crate) _memory: OwnedSemaphorePermit,
}

/// Everything the pipeline's tasks share.
pub(crate) struct Engine {
    pub(crate) config: DisperserConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stake: Arc<dyn StakeSource>,
    /// Public half of `key`.
    pub(crate) identity: NetworkPublicKey,
    /// Signs batches.
    pub(crate) key: NetworkKey,
    pub(crate) setup: &'static Setup,
    pub(crate) pool: ComputePool,
    pub(crate) operators_client: Arc<OperatorClient>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
    pub(crate) clock: Arc<Clock>,
    memory: Arc<Semaphore>,
    pub(crate) claim_limiter: ClaimLimiter,
    queue: Mutex<Queue>,
    queued: Notify,
    /// Blobs that the encoder has in its hands.
    encoding: AtomicUsize,
    /// The encoder waits for memory.
    pub(crate) memory_exhausted: AtomicBool,
    /// Batches that are not decided yet.
    pub(crate) undecided: AtomicUsize,
    /// Something changed that the batcher should look at.
    pub(crate) wake_batcher: Notify,
    pub(crate) encoded: mpsc::Sender<BufferedBlob>,
}

/// What an [`Engine`] is made of.
pub(crate) struct Parts {
    pub(crate) config: DisperserConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) stake: Arc<dyn StakeSource>,
    pub(crate) key: NetworkKey,
    pub(crate) pool: ComputePool,
    pub(crate) operators_client: Arc<OperatorClient>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
    pub(crate) clock: Clock,
}

impl Engine {
    /// With the receiver of encoded blobs, which is the batcher's.
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, mpsc::Receiver<BufferedBlob>) {
        // The channel only hands blobs over. Their number is bounded by the memory that they hold.
        let (encoded, batcher) = mpsc::channel(64);
        let units =
            usize::try_from(parts.config.encode.memory_bytes / MEMORY_UNIT).unwrap_or(usize::MAX);
        let backoff = Duration::from_secs(parts.config.accept.false_claim_backoff_secs);
        let engine = Self {
            config: parts.config,
            registry: parts.registry,
            stake: parts.stake,
            identity: parts.key.public(),
            key: parts.key,
            setup: Setup::ethereum(),
            pool: parts.pool,
            operators_client: parts.operators_client,
            metrics: parts.metrics,
            health: parts.health,
            stop: parts.stop,
            clock: Arc::new(parts.clock),
            memory: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            claim_limiter: ClaimLimiter::new(backoff),
            queue: Mutex::default(),
            queued: Notify::new(),
            encoding: AtomicUsize::new(0),
            memory_exhausted: AtomicBool::new(false),
            undecided: AtomicUsize::new(0),
            wake_batcher: Notify::new(),
            encoded,
        };
        (Arc::new(engine), batcher)
    }

    pub(crate) fn store(&self) -> &Store {
        self.registry.store()
    }

    /// An accepted blob waits for an encoder from now on.
    pub(crate) fn enqueue(&self, blobs: impl IntoIterator<Item = QueuedBlob>) {
        let mut queue = self.lock_queue();
        queue.blobs.extend(blobs);
        self.metrics.encode_queue.set(queue.len() as i64);
        drop(queue);
        self.queued.notify_one();
    }

    /// Nothing is on its way to the batcher, and no batch on its way to the operators.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock_queue().len() == 0
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
        #[expect(
            clippy::expect_used,
            reason = "neither the door nor the registry lets in a blob of another version"
        )]
        let version = ashlar_proto::version(record.version).expect("a known version");
        let bytes = encoded_bytes(version, record.rows, 1);
        u32::try_from(bytes.div_ceil(MEMORY_UNIT)).unwrap_or(u32::MAX)
    }

    /// Takes memory, waiting for it. Whoever waits says so, and the batcher closes batches early.
    pub(crate) async fn take_memory(&self, units: u32) -> Option<OwnedSemaphorePermit> {
        if let Some(memory) = self.try_memory(units) {
            return Some(memory);
        }
        self.memory_exhausted.store(true, Ordering::SeqCst);
        self.wake_batcher.notify_one();
        let memory = tokio::select! {
            memory = Arc::clone(&self.memory).acquire_many_owned(units) => memory.ok(),
            () = self.stop.cancelled() => None,
        };
        self.memory_exhausted.store(false, Ordering::SeqCst);
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

    fn lock_queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The encoder: takes what waits, a tick at a time, until the disperser stops.
    pub(crate) async fn run_encoder(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let tick = self.next_tick().await;
            if tick.blobs.is_empty() {
                tokio::select! {
                    () = self.queued.notified() => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            let count = tick.blobs.len();
            self.encode(tick).await;
            self.encoding.fetch_sub(count, Ordering::SeqCst);
            self.measure_memory();
            self.wake_batcher.notify_one();
        }
    }

    /// The next blobs to encode together, with their memory. Waits for memory for the first one only.
    ///
    /// Suspects have small ticks of their own, in turns with everybody else: they delay others by one such tick, however many
    /// there are.
    async fn next_tick(&self) -> Tick {
        let check = self.sort_suspects();
        let encode = &self.config.encode;
        let (max_blobs, max_rows) = match check {
            ClaimCheck::Together => (encode.tick_blobs, encode.tick_rows),
            ClaimCheck::Apart => (
                encode.tick_blobs.div_ceil(SUSPECT_SHARE),
                encode.tick_rows.div_ceil(SUSPECT_SHARE as u32),
            ),
        };
        let mut blobs = Vec::new();
        let mut rows = 0u32;
        while blobs.len() < max_blobs {
            let Some(waiting) = self.pop(check) else {
                break;
            };
            let Some(record) = self.registry.live(&waiting.id) else {
                self.encoding.fetch_sub(1, Ordering::SeqCst);
                continue;
            };
            let full = !blobs.is_empty() && rows.saturating_add(record.rows) > max_rows;
            let units = self.memory_units(&record);
            let memory = match blobs.is_empty() {
                true => self.take_memory(units).await,
                false if full => None,
                false => self.try_memory(units),
            };
            let Some(memory) = memory else {
                self.unpop(waiting, check);
                break;
            };
            rows = rows.saturating_add(record.rows);
            blobs.push((record, waiting.sender, memory));
        }
        Tick { check, blobs }
    }

    /// Moves suspects from the front of the queue into a queue of their own, until enough other blobs for a tick are in
    /// front. Says whose turn it is.
    fn sort_suspects(&self) -> ClaimCheck {
        let now = std::time::Instant::now();
        let mut queue = self.lock_queue();
        let mut honest = Vec::new();
        while honest.len() < self.config.encode.tick_blobs
            && let Some(waiting) = queue.blobs.pop_front()
        {
            let claims = self
                .registry
                .live(&waiting.id)
                .is_some_and(|record| record.claimed);
            match waiting.sender {
                Some(sender) if claims && self.claim_limiter.is_suspect(sender, now) => {
                    queue.suspects.push_back(waiting);
                }
                _ => honest.push(waiting),
            }
        }
        for waiting in honest.into_iter().rev() {
            queue.blobs.push_front(waiting);
        }
        let suspects = !queue.suspects.is_empty()
            && (queue.blobs.is_empty() || !queue.suspects_had_their_turn);
        queue.suspects_had_their_turn = suspects;
        if suspects {
            ClaimCheck::Apart
        } else {
            ClaimCheck::Together
        }
    }

    fn pop(&self, check: ClaimCheck) -> Option<QueuedBlob> {
        let mut queue = self.lock_queue();
        let waiting = match check {
            ClaimCheck::Together => queue.blobs.pop_front(),
            ClaimCheck::Apart => queue.suspects.pop_front(),
        }?;
        // While the lock is held: at no moment the blob is nowhere.
        self.encoding.fetch_add(1, Ordering::SeqCst);
        self.metrics.encode_queue.set(queue.len() as i64);
        Some(waiting)
    }

    fn unpop(&self, waiting: QueuedBlob, check: ClaimCheck) {
        let mut queue = self.lock_queue();
        match check {
            ClaimCheck::Together => queue.blobs.push_front(waiting),
            ClaimCheck::Apart => queue.suspects.push_front(waiting),
        }
        self.encoding.fetch_sub(1, Ordering::SeqCst);
        self.metrics.encode_queue.set(queue.len() as i64);
    }

    async fn encode(&self, tick: Tick) {
        let Tick { check, blobs } = tick;
        let ids: Vec<BlobId> = blobs.iter().map(|(record, ..)| record.id).collect();
        let started = {
            let ids = ids.clone();
            let clock = Arc::clone(&self.clock);
            self.durably("noting that encoding begins", move |registry| {
                let now = clock.wall_ms();
                let change = |_, record: &mut BlobRecord| match record.state {
                    BlobState::Encoding => Ok(()), // a restart in the middle of it
                    _ => record.go(BlobState::Encoding, now),
                };
                registry.transition(&ids, change, Store::update)
            })
        };
        if started.await.is_none() {
            return;
        }
        let began = Instant::now();
        let results = self.encode_ids(ids, check).await;
        self.metrics
            .encode_seconds
            .observe(began.elapsed().as_secs_f64());

        let mut held: HashMap<BlobId, (Option<Subnet>, OwnedSemaphorePermit)> = blobs
            .into_iter()
            .map(|(record, sender, memory)| (record.id, (sender, memory)))
            .collect();
        let mut good = Vec::new();
        for (id, result) in results {
            match result {
                Ok(blob) => good.push(Arc::new(blob)),
                Err(error) => {
                    let sender = held.remove(&id).and_then(|(sender, _)| sender);
                    if let EncodeError::Claim(_) = error {
                        self.metrics.false_claims.inc();
                        if let Some(sender) = sender {
                            self.claim_limiter
                                .record_false_claim(sender, std::time::Instant::now());
                        }
                    }
                    self.fail(id, error.code(), error.to_string()).await;
                }
            }
        }
        self.publish_encoded(&good).await;
        for blob in good {
            self.metrics
                .encoded_rows
                .inc_by(u64::from(blob.header.rows));
            if let Some((_, memory)) = held.remove(&blob.id) {
                // The batcher lives as long as the engine; if it is gone the disperser stops.
                let _ = self
                    .encoded
                    .send(BufferedBlob {
                        blob,
                        _memory: memory,
                    })
                    .await;
            }
        }
    }

    /// Writes that these blobs are encoded.
    async fn publish_encoded(&self, blobs: &[Arc<EncodedBlob>]) {
        let (blobs, clock) = (blobs.to_vec(), Arc::clone(&self.clock));
        self.durably("writing encoded blobs", move |registry| {
            let now = clock.wall_ms();
            let ids: Vec<BlobId> = blobs.iter().map(|blob| blob.id).collect();
            let change = |at: usize, record: &mut BlobRecord| {
                if let Some(blob) = blobs.get(at) {
                    record.header = Some(blob.header.clone());
                    record.key = Some(blob.key);
                    record.claimed = false;
                }
                record.go(BlobState::Encoded, now)
            };
            registry.transition(&ids, change, |store, records| {
                let with_commitments: Vec<_> = records
                    .iter()
                    .filter_map(|record| {
                        let blob = blobs.iter().find(|blob| blob.id == record.id)?;
                        Some((record.clone(), blob.commitments.clone()))
                    })
                    .collect();
                store.encoded(&with_commitments)
            })
        })
        .await;
    }

    /// Reads and encodes blobs: one result each, in no particular order.
    pub(crate) async fn encode_ids(
        &self,
        ids: Vec<BlobId>,
        check: ClaimCheck,
    ) -> Vec<(BlobId, Result<EncodedBlob, EncodeError>)> {
        match self.encode_together(ids.clone(), check).await {
            Some(results) => results,
            // Something in the tick made the encoder panic: one by one, to find out what.
            None if ids.len() > 1 => {
                let mut results = Vec::with_capacity(ids.len());
                for id in ids {
                    let alone = self.encode_together(vec![id], check).await;
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
        check: ClaimCheck,
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
            .run(move || encode_tick(setup, inputs, check, seed))
            .await
            .ok()?;
        self.metrics.claim_checks.inc_by(encoded.checks as u64);
        results.extend(
            encoded
                .blobs
                .into_iter()
                .map(|(record, result)| (record.id, result)),
        );
        Some(results)
    }

    /// A blob fails alone, outside any batch.
    pub(crate) async fn fail(&self, id: BlobId, code: &'static str, message: String) {
        tracing::warn!(%id, code, "blob failed: {message}");
        let clock = Arc::clone(&self.clock);
        let failed = self.durably("writing a failed blob", move |registry| {
            let now = clock.wall_ms();
            let change = |_, record: &mut BlobRecord| {
                record.error = Some(StatusError {
                    code: code.to_owned(),
                    message: message.clone(),
                });
                record.go(BlobState::Failed, now)
            };
            registry.transition(&[id], change, Store::failed)
        });
        if failed.await.is_some() {
            self.metrics
                .failed_blobs
                .get_or_create(&Code {
                    code: code.to_owned(),
                })
                .inc();
        }
    }

    /// Forgets what has expired, until the disperser stops.
    pub(crate) async fn run_expiry(self: Arc<Self>) {
        let interval = Duration::from_secs(self.config.store.expiry_interval_secs);
        while let Some(verdict) = self.read_clock().await {
            let code = match verdict.expiry {
                Ok(time_ms) => self.expire(time_ms).await,
                Err(fault) => Some(fault.code()),
            };
            if let Some(code) = code {
                let code = code.to_owned();
                self.metrics
                    .expiry_rounds
                    .get_or_create(&Code { code })
                    .inc();
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = self.stop.cancelled() => return,
            }
        }
    }

    /// Forgets what is over at this time. `None` if the disperser stops or the store fails for good.
    async fn expire(&self, time_ms: u64) -> Option<&'static str> {
        loop {
            let page = self.durably("forgetting what has expired", move |registry| {
                registry.store().expire(time_ms, EXPIRE_PAGE)
            });
            let forgotten = page.await?;
            self.metrics.expired.inc_by(forgotten as u64);
            if forgotten < EXPIRE_PAGE {
                return Some("done");
            }
        }
    }

    /// Reads the clocks; health says what is wrong with them. `None` if the disperser stops.
    pub(crate) async fn read_clock(&self) -> Option<Verdict> {
        let (clock, stake) = (Arc::clone(&self.clock), Arc::clone(&self.stake));
        let verdict = self
            .blocking(move || clock.read(stake.head_time_ms()))
            .await?;
        let stopped = match verdict.batching {
            Err(_) => "no batch is made and nothing expires",
            Ok(()) => "nothing expires",
        };
        let fault = verdict.batching.err().or(verdict.expiry.err());
        let cause = fault.map(|fault| match fault {
            ClockFault::Behind { .. } => health::CLOCK_BEHIND,
            ClockFault::Disagrees { .. } => health::CLOCK_DISAGREES,
        });
        for other in [health::CLOCK_BEHIND, health::CLOCK_DISAGREES] {
            if cause.as_ref() != Some(&other) {
                self.health.clear(other);
            }
        }
        if let (Some(cause), Some(fault)) = (cause, fault) {
            self.health.raise(
                cause,
                format!("{stopped}: {fault}; set the clock, or, if it is right, stop the disperser and run `ashlar disperser clock accept`"),
            );
        }
        Some(verdict)
    }

    /// Waits until a batch may be dated. `false` if the disperser stops.
    pub(crate) async fn clock_is_believed(&self) -> bool {
        let mut pause = RETRY_MIN;
        while let Some(verdict) = self.read_clock().await {
            if verdict.batching.is_ok() {
                return true;
            }
            if !self.pause(&mut pause).await {
                return false;
            }
        }
        false
    }

    /// Watches the clock and keeps the time, which was kept last as `kept` says, until the disperser stops.
    pub(crate) async fn run_clock(self: Arc<Self>, mut kept: Option<u64>) {
        while !self.stop.is_cancelled() {
            let Some(verdict) = self.read_clock().await else {
                return;
            };
            let time_ms = verdict.accepted_ms;
            if kept.is_none_or(|kept: u64| time_ms.saturating_sub(kept) >= KEEP_TIME_MS) {
                let keeping = self.durably("keeping the time", move |registry| {
                    registry.store().keep_time(time_ms)
                });
                if keeping.await.is_none() {
                    return;
                }
                kept = Some(time_ms);
            }
            tokio::select! {
                () = tokio::time::sleep(CLOCK_INTERVAL) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Watches the operator table, so that trouble shows before a batch meets it, and the kernel.
    pub(crate) async fn run_watch(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let _ = self.newest_table().await;
            report_kernel(&self.health, &self.metrics, ashlar_crypto::kernel_status());
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(5)) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
