//! The shell of the encoder, and what the pipeline's tasks share. Batches are in [`crate::pipeline`].

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::{Coded, KernelStatus, Setup};
use ashlar_net::Subnet;
use ashlar_proto::api::{BlobState, StatusError};
use ashlar_proto::{BlobId, QuorumId};
use ashlar_service::disk::free_bytes;
use ashlar_service::metrics::gauge;
use ashlar_stake::StakeSource;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::claim_limiter::ClaimLimiter;
use crate::compute::{ComputePool, blocking};
use crate::config::DisperserConfig;
use crate::distribute::OperatorClient;
use crate::durable::Durable;
use crate::encode_queue::EncodeQueue;
use crate::encoder::{ClaimCheck, EncodeError, EncodeInput, EncodedBlob, encode_tick};
use crate::health::{self, Health};
use crate::memory::{Memory, MemoryBudget};
use crate::metrics::Metrics;
use crate::record::BlobRecord;
use crate::registry::Registry;
use crate::store::{Store, StoreError};
use crate::upkeep::Upkeep;

/// How long the database may fail before the process ends, and how often that is looked at.
const STORAGE_PATIENCE: Duration = Duration::from_secs(60);
const STORAGE_LOOK: Duration = Duration::from_secs(1);

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

/// The blobs of one tick, with their senders and their memory.
struct Tick {
    check: ClaimCheck,
    ids: Vec<BlobId>,
    held: HashMap<BlobId, (Subnet, Memory)>,
}

/// An encoded blob with its share of the memory budget, which goes back when this is dropped.
pub(crate) struct BufferedBlob {
    pub(crate) blob: Arc<EncodedBlob>,
    /// Never looked at: its drop is what counts.
    pub(crate) _memory: Memory,
}

/// Everything the pipeline's tasks share.
pub(crate) struct Engine {
    pub(crate) config: DisperserConfig,
    pub(crate) stake: Arc<dyn StakeSource>,
    /// Signs batches.
    pub(crate) key: NetworkKey,
    pub(crate) pool: ComputePool,
    pub(crate) operators_client: Arc<OperatorClient>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
    pub(crate) stop: CancellationToken,
    pub(crate) durable: Durable,
    pub(crate) upkeep: Upkeep,
    pub(crate) queue: EncodeQueue,
    pub(crate) memory: MemoryBudget,
    /// Batches that are not decided yet.
    pub(crate) undecided: AtomicUsize,
    /// Something changed that the batcher should look at.
    pub(crate) wake_batcher: Notify,
    pub(crate) encoded: mpsc::Sender<BufferedBlob>,
}

impl Engine {
    /// With the receiver of encoded blobs, which is the batcher's.
    pub(crate) fn new(
        config: DisperserConfig,
        key: NetworkKey,
        pool: ComputePool,
        operators_client: OperatorClient,
        upkeep: Upkeep,
    ) -> (Arc<Self>, mpsc::Receiver<BufferedBlob>) {
        // The channel only hands blobs over. Their number is bounded by the memory that they hold.
        let (encoded, batcher) = mpsc::channel(64);
        let backoff = Duration::from_secs(config.accept.false_claim_backoff_secs);
        let (metrics, durable) = (Arc::clone(&upkeep.metrics), upkeep.durable.clone());
        let engine = Self {
            stake: Arc::clone(&upkeep.stake),
            key,
            pool,
            operators_client: Arc::new(operators_client),
            health: Arc::clone(&durable.health),
            stop: durable.stop.clone(),
            durable,
            upkeep,
            queue: EncodeQueue::new(ClaimLimiter::new(backoff), metrics.encode_queue.clone()),
            memory: MemoryBudget::new(config.encode.memory_bytes),
            undecided: AtomicUsize::new(0),
            wake_batcher: Notify::new(),
            encoded,
            metrics,
            config,
        };
        (Arc::new(engine), batcher)
    }

    /// Nothing is on its way to the batcher, and no batch on its way to the operators.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_idle() && self.undecided.load(Ordering::SeqCst) == 0
    }

    /// [`Durable::write`].
    pub(crate) fn durably<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl Fn(&Registry, u64) -> Result<T, StoreError> + Clone + Send + 'static,
    ) -> impl Future<Output = Option<T>> {
        self.durable.write(what, work)
    }

    /// [`MemoryBudget::take`]: a batch that is closed early frees some.
    pub(crate) fn take_memory(
        &self,
        quorums: &[QuorumId],
        units: u32,
    ) -> impl Future<Output = Option<Memory>> {
        let (wake, stop) = (&self.wake_batcher, &self.stop);
        self.memory.take(quorums, units, wake, stop)
    }

    /// The encoder: takes what waits, a tick at a time, until the disperser stops.
    pub(crate) async fn run_encoder(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let tick = self.next_tick().await;
            let Some(tick) = tick.filter(|tick| !tick.ids.is_empty()) else {
                // What could go on lacks memory alone.
                let stands = self.queue.has_open_line();
                let _waiting = stands.then(|| self.memory.wait(&self.wake_batcher));
                tokio::select! {
                    () = self.queue.pushed() => {}
                    () = self.memory.freed() => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            };
            let count = tick.ids.len();
            self.encode(tick).await;
            self.queue.finish(count);
            let used = gauge(self.memory.used());
            self.metrics.encoded_memory.set(used);
            self.wake_batcher.notify_one();
        }
    }

    /// The next blobs to encode together, with their memory. Waits for memory for the first one only. `None` if nobody waits who may
    /// go on.
    async fn next_tick(&self) -> Option<Tick> {
        let (encode, registry) = (&self.config.encode, &self.durable.registry);
        let has_room = |quorums: &Vec<QuorumId>| self.memory.has_room(quorums, 1);
        let turn = self.queue.turn(std::time::Instant::now(), has_room)?;
        let check = turn.check;
        let (max_blobs, max_rows) = match check {
            _ if turn.probe => (1, u32::MAX),
            ClaimCheck::Together => (encode.tick_blobs, encode.tick_rows),
            ClaimCheck::Apart => (
                encode.tick_blobs.div_ceil(SUSPECT_SHARE),
                encode.tick_rows.div_ceil(SUSPECT_SHARE as u32),
            ),
        };
        let (mut ids, mut held) = (Vec::new(), HashMap::new());
        let mut rows = 0u32;
        while ids.len() < max_blobs {
            let Some(waiting) = self.queue.take(&turn) else {
                break;
            };
            let Some(record) = registry.live(&waiting.id) else {
                self.queue.finish(1);
                continue;
            };
            let (units, quorums) = (MemoryBudget::units(&record), &record.quorums);
            let full = !ids.is_empty() && rows.saturating_add(record.rows) > max_rows
                || !self.memory.has_room(quorums, units);
            let memory = match ids.is_empty() {
                _ if full => None,
                true => self.take_memory(quorums, units).await,
                false => self.memory.try_take(quorums, units),
            };
            let Some(memory) = memory else {
                self.queue.put_back(waiting, &turn);
                break;
            };
            rows = rows.saturating_add(record.rows);
            ids.push(record.id);
            held.insert(record.id, (waiting.origin.network, memory));
        }
        Some(Tick { check, ids, held })
    }

    async fn encode(&self, tick: Tick) {
        let Tick {
            check,
            ids,
            mut held,
        } = tick;
        let starting = ids.clone();
        let started = self.durably("noting that encoding begins", move |registry, now| {
            let change = |_, record: &mut BlobRecord| match record.state {
                BlobState::Encoding => Ok(()), // a restart in the middle of it
                _ => record.go(BlobState::Encoding, now),
            };
            registry.transition(&starting, change, Store::update)
        });
        if started.await.is_none() {
            return;
        }
        let began = Instant::now();
        let results = self.encode_ids(ids, check).await;
        self.metrics
            .encode_seconds
            .observe(began.elapsed().as_secs_f64());

        let mut good = Vec::new();
        for (id, result) in results {
            match result {
                Ok(blob) => good.push(Arc::new(blob)),
                Err(error) => {
                    let sender = held.remove(&id).map(|(sender, _)| sender);
                    if let EncodeError::Claim(_) = error {
                        self.metrics.false_claims.inc();
                        if let Some(sender) = sender {
                            self.queue
                                .claim_limiter
                                .record_false_claim(sender, std::time::Instant::now());
                        }
                    }
                    let own_fault = error.is_the_clients();
                    self.fail(id, error.code(), error.to_string(), own_fault)
                        .await;
                }
            }
        }
        self.publish_encoded(&good).await;
        for blob in good {
            self.metrics
                .encoded_rows
                .inc_by(u64::from(blob.header.rows));
            if let Some((_, _memory)) = held.remove(&blob.id) {
                // The batcher lives as long as the engine; if it is gone the disperser stops.
                let _ = self.encoded.send(BufferedBlob { blob, _memory }).await;
            }
        }
    }

    /// Writes that these blobs are encoded.
    async fn publish_encoded(&self, blobs: &[Arc<EncodedBlob>]) {
        let blobs = blobs.to_vec();
        self.durably("writing encoded blobs", move |registry, now| {
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
        if let Some(results) = self.encode_together(ids.clone(), check).await {
            return results;
        }
        // Something in the tick made the encoder panic: one by one, to find out what.
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let alone = self.encode_together(vec![id], check).await;
            results.extend(alone.unwrap_or_else(|| vec![(id, Err(EncodeError::Panicked))]));
        }
        results
    }

    async fn encode_together(
        &self,
        ids: Vec<BlobId>,
        check: ClaimCheck,
    ) -> Option<Vec<(BlobId, Result<EncodedBlob, EncodeError>)>> {
        let loaded = self
            .durably("reading blobs to encode", move |registry, _| {
                let load = |id: &BlobId| -> Result<_, StoreError> {
                    let read = registry
                        .store()
                        .read_one(|store| Ok((store.payload(id)?, store.commitments(id)?)))?;
                    let input = match read {
                        Err(error) => Err(EncodeError::PayloadUnreadable {
                            detail: error.to_string(),
                        }),
                        Ok((payload, commitments)) => {
                            let found = registry.live(id).zip(payload);
                            let found = found.map(|(record, payload)| EncodeInput {
                                record,
                                payload,
                                commitments,
                            });
                            found.ok_or(EncodeError::PayloadMissing)
                        }
                    };
                    Ok((*id, input))
                };
                ids.iter().map(load).collect::<Result<Vec<_>, _>>()
            })
            .await?;
        let (mut inputs, mut results) = (Vec::new(), Vec::new());
        for (id, input) in loaded {
            match input {
                Ok(input) => inputs.push(input),
                Err(error) => results.push((id, Err(error))),
            }
        }
        let mut seed = [0; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            tracing::error!("no randomness from the operating system: {error}");
            return None;
        }
        let encoded = self
            .pool
            .run(move || encode_tick(Setup::ethereum(), inputs, check, seed))
            .await
            .ok()?;
        self.metrics.claim_checks.inc_by(encoded.checks as u64);
        let encoded = encoded.blobs.into_iter();
        results.extend(encoded.map(|(record, result)| (record.id, result)));
        Some(results)
    }

    /// A blob fails alone, outside any batch; if that is its own fault its payload goes.
    pub(crate) async fn fail(
        &self,
        id: BlobId,
        code: &'static str,
        message: String,
        own_fault: bool,
    ) {
        tracing::warn!(%id, code, "blob failed: {message}");
        let failed = self.durably("writing a failed blob", move |registry, now| {
            let change = |_, record: &mut BlobRecord| {
                record.error = Some(StatusError {
                    code: code.to_owned(),
                    message: message.clone(),
                });
                record.go(BlobState::Failed, now)
            };
            registry.transition(&[id], change, |store, records| {
                store.failed(records, own_fault)
            })
        });
        if failed.await.is_some() {
            self.metrics.failed_blobs.get_or_create(&code.into()).inc();
        }
    }

    /// Watches the disk, the operator table, so that trouble shows before a batch meets it, and the kernel.
    pub(crate) async fn run_watch(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            self.watch_disk().await;
            let _ = self.newest_table().await;
            report_kernel(&self.health, &self.metrics, ashlar_crypto::kernel_status());
            self.durable.sleep(Duration::from_secs(5)).await;
        }
    }

    /// Nothing is taken in on a disk that is nearly full: what is left is for finishing what was.
    async fn watch_disk(&self) {
        let store = &self.config.store;
        let path = &self.config.paths.data;
        let looking = path.clone();
        let Some(free) = blocking(move || free_bytes(&looking)).await else {
            return;
        };
        let why = match free {
            Ok(free) if free >= store.min_free_bytes => None,
            Ok(free) => Some(format!(
                "{free} bytes free, store.min_free_bytes is {}: no blobs are taken in",
                store.min_free_bytes
            )),
            Err(error) => Some(format!(
                "free space of {} is unknown: {error}",
                path.display()
            )),
        };
        self.health.set(health::DISK_SPACE, why);
    }

    /// Ends when the database has not worked for so long that only a new start can help: RocksDB refuses writes after some errors
    /// until it is opened again. On a full disk that would not help.
    pub(crate) async fn run_storage_watch(self: Arc<Self>) {
        let mut failing = Duration::ZERO;
        while failing < STORAGE_PATIENCE {
            if !self.durable.sleep(STORAGE_LOOK).await {
                return;
            }
            let full = self.health.raised(health::DISK_SPACE).is_some();
            failing = match self.health.raised(health::STORAGE) {
                Some(_) if !full => failing + STORAGE_LOOK,
                _ => Duration::ZERO,
            };
        }
        tracing::error!(
            "the database has failed for {STORAGE_PATIENCE:?}: it has to be opened again"
        );
    }
}

#[cfg(test)]
mod tests;
