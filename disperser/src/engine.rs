//! The shell of the encoder, and what the pipeline's tasks share. Batches are in [`crate::pipeline`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_crypto::{Coded, KernelStatus, Setup};
use ashlar_proto::api::{BlobState, StatusError};
use ashlar_proto::{BlobId, QuorumId};
use ashlar_service::disk::free_bytes;
use ashlar_service::metrics::gauge;
use ashlar_stake::{PaymentSource, StakeError, StakeSource};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::claim_limiter::ClaimLimiter;
use crate::compute::{ComputePool, blocking};
use crate::config::DisperserConfig;
use crate::distribute::OperatorClient;
use crate::durable::Durable;
use crate::encode_queue::{EncodeQueue, QueuedBlob};
use crate::encoder::{
    ClaimCheck, EncodeError, EncodeInput, EncodedBlob, check_claims, encode_tick,
};
use crate::health::{self, Health};
use crate::late::Late;
use crate::memory::{Memory, MemoryBudget};
use crate::metrics::Metrics;
use crate::owners::{OwnedBlob, Owners};
use crate::record::{BatchRecord, BlobRecord, Party};
use crate::registry::Registry;
use crate::state::TransitionError;
use crate::store::StoreError;
use crate::upkeep::Upkeep;

/// How long the database may fail before the process ends, and how often that is looked at.
const STORAGE_PATIENCE: Duration = Duration::from_secs(60);
const STORAGE_LOOK: Duration = Duration::from_secs(1);

/// Ticks at a time: while one is read from the disk, another one is computed.
const TICKS: usize = 2;

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

/// The number of the disperser with this key in the newest operator table. Blocks.
pub(crate) fn number_of(
    stake: &dyn StakeSource,
    key: &NetworkPublicKey,
) -> Result<Option<u32>, StakeError> {
    let table = stake.newest()?;
    Ok(table.disperser_by_key(key).map(|entry| entry.id))
}

/// The blobs of one tick, with what is held for each.
struct Tick {
    check: ClaimCheck,
    ids: Vec<BlobId>,
    held: HashMap<BlobId, Held>,
    hands: InHand,
}

struct Held {
    sender: Party,
    owned: OwnedBlob,
    memory: Memory,
}

/// Blobs that an encoder has taken out of the queue; it is done with them when this is dropped.
struct InHand {
    engine: Arc<Engine>,
    count: usize,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.engine.queue.finish(self.count);
        self.engine.wake_batcher.notify_one();
    }
}

/// An encoded blob with its share of the memory budget, which goes back when this is dropped.
pub(crate) struct BufferedBlob {
    pub(crate) blob: Arc<EncodedBlob>,
    pub(crate) owned: OwnedBlob,
    /// When it was encoded.
    pub(crate) since: Instant,
    /// Never looked at: its drop is what counts.
    pub(crate) _memory: Memory,
}

/// Everything the pipeline's tasks share.
pub(crate) struct Engine {
    pub(crate) config: DisperserConfig,
    pub(crate) stake: Arc<dyn StakeSource>,
    /// What accounts have on the ledger, if somebody knows.
    pub(crate) payment: Option<Arc<dyn PaymentSource>>,
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
    /// Who has the blobs that are not in the queue.
    pub(crate) owners: Arc<Owners>,
    /// Batches that operators have missed.
    pub(crate) late: Late,
    /// The database knows which sequence numbers were used: batches are made.
    pub(crate) sequence_known: CancellationToken,
    /// All blobs that a restart found are in the queue, or have an owner.
    pub(crate) resumed: CancellationToken,
    pub(crate) memory: MemoryBudget,
    /// Something changed that the batcher should look at.
    pub(crate) wake_batcher: Notify,
    pub(crate) encoded: mpsc::Sender<(Party, BufferedBlob)>,
}

impl Engine {
    /// With the receiver of encoded blobs, which is the batcher's.
    pub(crate) fn new(
        config: DisperserConfig,
        key: NetworkKey,
        pool: ComputePool,
        operators_client: OperatorClient,
        upkeep: Upkeep,
        payment: Option<Arc<dyn PaymentSource>>,
    ) -> (Arc<Self>, mpsc::Receiver<(Party, BufferedBlob)>) {
        // The channel only hands blobs over. Their number is bounded by the memory that they hold.
        let (encoded, batcher) = mpsc::channel(64);
        let backoff = Duration::from_secs(config.accept.false_claim_backoff_secs);
        let (metrics, durable) = (Arc::clone(&upkeep.metrics), upkeep.durable.clone());
        let engine = Self {
            stake: Arc::clone(&upkeep.stake),
            payment,
            key,
            pool,
            operators_client: Arc::new(operators_client),
            health: Arc::clone(&durable.health),
            stop: durable.stop.clone(),
            durable,
            upkeep,
            queue: EncodeQueue::new(ClaimLimiter::new(backoff), metrics.encode_queue.clone()),
            owners: Arc::default(),
            late: Late::default(),
            sequence_known: CancellationToken::new(),
            resumed: CancellationToken::new(),
            memory: MemoryBudget::new(config.encode.memory_bytes),
            wake_batcher: Notify::new(),
            encoded,
            metrics,
            config,
        };
        (Arc::new(engine), batcher)
    }

    /// Our number in the newest operator table, if we are in it. Blocks.
    pub(crate) fn disperser_id(&self) -> Result<Option<u32>, StakeError> {
        number_of(self.stake.as_ref(), &self.key.public())
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

    /// The encoder: takes what waits, a tick at a time, until the disperser stops. A tick that panics loses its blobs for a while, and
    /// no others.
    pub(crate) async fn run_encoder(self: Arc<Self>) {
        let mut ticks = JoinSet::new();
        while !self.stop.is_cancelled() {
            let Some(tick) = self.next_tick().await else {
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
            ticks.spawn(Arc::clone(&self).encode(tick));
            while ticks.len() >= TICKS && ticks.join_next().await.is_some() {}
            let used = gauge(self.memory.used());
            self.metrics.encoded_memory.set(used);
        }
        // Nothing may have the database when this has ended.
        ticks.shutdown().await;
    }

    /// The next blobs to encode together, with their memory. Waits for memory for the first one only. `None` if nobody waits who may
    /// go on.
    async fn next_tick(self: &Arc<Self>) -> Option<Tick> {
        let (pace, registry) = (self.config.pace(), &self.durable.registry);
        let has_room = |quorums: &Vec<QuorumId>| self.memory.has_room(quorums, 1);
        let turn = self.queue.turn(std::time::Instant::now(), has_room)?;
        let check = turn.check;
        let (max_blobs, max_rows) = match check {
            _ if turn.probe => (1, u32::MAX),
            ClaimCheck::Together | ClaimCheck::Later => (pace.tick_blobs, pace.tick_rows),
            ClaimCheck::Apart => (
                pace.tick_blobs.div_ceil(SUSPECT_SHARE),
                pace.tick_rows.div_ceil(SUSPECT_SHARE as u32),
            ),
        };
        let mut tick = Tick {
            check,
            ids: Vec::new(),
            held: HashMap::new(),
            hands: InHand {
                engine: Arc::clone(self),
                count: 0,
            },
        };
        let (mut rows, mut alone) = (0u32, false);
        while tick.ids.len() < max_blobs && !alone {
            let Some(waiting) = self.queue.take(&turn) else {
                break;
            };
            let (live, owned) = (registry.live(&waiting.id), self.owners.own(waiting.id));
            let (record, owned) = match (live, owned) {
                (Some(record), Some(owned)) => (record, owned),
                (live, owned) => {
                    // It came to its end, or is in the queue twice.
                    owned.into_iter().for_each(OwnedBlob::done);
                    tracing::debug!(id = %waiting.id, open = live.is_some(), "nothing to encode");
                    self.queue.finish(1);
                    continue;
                }
            };
            let first = tick.ids.is_empty();
            alone = owned.is_shaky();
            let (units, quorums) = (MemoryBudget::units(&record), &record.quorums);
            let full = !first && (alone || rows.saturating_add(record.rows) > max_rows)
                || !self.memory.has_room(quorums, units);
            let memory = match first {
                _ if full => None,
                true => self.take_memory(quorums, units).await,
                false => self.memory.try_take(quorums, units),
            };
            let Some(memory) = memory else {
                owned.back();
                self.queue.put_back(waiting, &turn);
                break;
            };
            tick.hands.count += 1;
            rows = rows.saturating_add(record.rows);
            tick.ids.push(record.id);
            let sender = waiting.origin.party;
            let held = Held {
                sender,
                owned,
                memory,
            };
            tick.held.insert(record.id, held);
        }
        // One commitment checks all claims of a tick, and costs more than the extension of five rows. Beside that of a lone tick there is a
        // core for it; when there is more to do, it is made once a batch.
        let more = self.queue.has_more_than(tick.hands.count);
        if more && !alone && tick.check == ClaimCheck::Together {
            tick.check = ClaimCheck::Later;
        }
        (!tick.ids.is_empty()).then_some(tick)
    }

    async fn encode(self: Arc<Self>, tick: Tick) {
        let Tick {
            check,
            ids,
            mut held,
            hands: _hands,
        } = tick;
        let now_ms = self.durable.clock.wall_ms();
        let begins = |_, record: &mut BlobRecord| {
            self.metrics.stage("queue", record.age(now_ms));
            match record.state {
                BlobState::Encoding => Ok(()), // it was lost in the middle of it
                _ => record.go(BlobState::Encoding, now_ms),
            }
        };
        if self.note(&ids, begins).is_none() {
            return;
        }
        let began = Instant::now();
        let results = self.encode_ids(ids, check).await;
        self.metrics.stage("encode", began.elapsed());

        let mut good = Vec::new();
        for (id, result) in results {
            let Some(of_blob) = held.remove(&id) else {
                continue;
            };
            match result {
                Ok(blob) => good.push((Arc::new(blob), of_blob)),
                Err(error) => self.refuse(of_blob.owned, of_blob.sender, &error).await,
            }
        }
        let (ids, now_ms): (Vec<_>, _) = (
            good.iter().map(|(blob, _)| blob.id).collect(),
            self.durable.clock.wall_ms(),
        );
        let encoded = |at: usize, record: &mut BlobRecord| {
            // By their order: nobody else ends a blob that this tick owns.
            if let Some((blob, _)) = good.get(at).filter(|(blob, _)| blob.id == record.id) {
                record.header = Some(blob.header.clone());
                record.key = Some(blob.key);
                record.claimed = blob.unchecked;
            }
            record.go(BlobState::Encoded, now_ms)
        };
        if self.note(&ids, encoded).is_none() {
            return;
        }
        for (blob, held) in good {
            self.metrics
                .encoded_rows
                .inc_by(u64::from(blob.header.rows));
            let buffered = BufferedBlob {
                blob,
                owned: held.owned,
                since: Instant::now(),
                _memory: held.memory,
            };
            // The batcher lives as long as the engine; if it is gone the disperser stops.
            let _ = self.encoded.send((held.sender, buffered)).await;
        }
    }

    /// A blob that cannot be encoded fails, and a false claim is held against its sender.
    async fn refuse(&self, owned: OwnedBlob, sender: Party, error: &EncodeError) {
        if let EncodeError::Claim(_) = error {
            let now = std::time::Instant::now();
            self.metrics.false_claims.inc();
            self.queue.claim_limiter.record_false_claim(sender, now);
        }
        let own_fault = error.is_the_clients();
        self.fail(owned, error.code(), error.to_string(), own_fault)
            .await;
    }

    /// Checks the claims of a batch that were not when its blobs were encoded, as in a tick. A false one fails its blob alone; the
    /// others are given back. `None` if that goes wrong.
    pub(crate) async fn check_claims(
        &self,
        batch: Vec<(Party, BufferedBlob)>,
    ) -> Option<Vec<BufferedBlob>> {
        let (limiter, now) = (&self.queue.claim_limiter, std::time::Instant::now());
        let (mut suspects, mut others) = (Vec::new(), Vec::new());
        for (sender, held) in batch.iter().filter(|(_, held)| held.blob.unchecked) {
            let blobs = match limiter.is_suspect(*sender, now) {
                true => &mut suspects,
                false => &mut others,
            };
            blobs.push(Arc::clone(&held.blob));
        }
        let mut refused = HashMap::new();
        if !suspects.is_empty() || !others.is_empty() {
            let (began, seed) = (Instant::now(), fresh_seed()?);
            let together = self.config.pace().tick_blobs;
            let check = move || {
                let groups = others.chunks(together).chain(suspects.chunks(1));
                check_claims(Setup::ethereum(), groups, seed)
            };
            let commitments;
            (refused, commitments) = self.pool.urgent.run(check).await.ok()?;
            self.metrics.claim_checks.inc_by(commitments as u64);
            self.metrics.stage("check", began.elapsed());
        }
        let mut good = Vec::with_capacity(batch.len());
        for (sender, held) in batch {
            match refused.remove(&held.blob.id) {
                Some(error) => self.refuse(held.owned, sender, &error).await,
                None => good.push(held),
            }
        }
        Some(good)
    }

    /// [`Registry::note`]. `None` if the states do not allow it: a bug of ours.
    pub(crate) fn note(
        &self,
        ids: &[BlobId],
        change: impl FnMut(usize, &mut BlobRecord) -> Result<(), TransitionError>,
    ) -> Option<()> {
        let noted = self.durable.registry.note(ids, change);
        noted.inspect_err(|error| tracing::error!("{error}")).ok()
    }

    /// Encodes the blobs of a batch once more, in batch order. Else the first that cannot be, and why.
    pub(crate) async fn encode_again(
        &self,
        batch: &BatchRecord,
    ) -> Result<Vec<Arc<EncodedBlob>>, (BlobId, EncodeError)> {
        let results = self.encode_ids(batch.blobs.clone(), ClaimCheck::Together);
        let mut encoded: HashMap<_, _> = results.await.into_iter().collect();
        let in_order = batch.blobs.iter().map(|id| {
            // Each has a result.
            let result = encoded.remove(id).unwrap_or(Err(EncodeError::Panicked));
            result.map(Arc::new).map_err(|error| (*id, error))
        });
        in_order.collect()
    }

    /// Reads and encodes blobs: one result each, in no particular order.
    async fn encode_ids(
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
        let (mut inputs, mut results, mut stored) = (Vec::new(), Vec::new(), Vec::new());
        // Their memory goes back when they are encoded.
        let mut in_memory = Vec::new();
        let registry = &self.durable.registry;
        for id in ids {
            match (registry.live(&id), registry.take_posted(&id)) {
                (Some(record), Some(mut posted)) => {
                    inputs.push(EncodeInput {
                        record,
                        payload: posted.payload.clone(),
                        hashed: true,
                        commitments: posted.commitments.take(),
                    });
                    in_memory.push(posted);
                }
                _ => stored.push(id),
            }
        }
        if !stored.is_empty() {
            for (id, input) in self.load(stored).await? {
                match input {
                    Ok(input) => inputs.push(input),
                    Err(error) => results.push((id, Err(error))),
                }
            }
        }
        let seed = fresh_seed()?;
        let encoded = self
            .pool
            .encoding
            .run(move || encode_tick(Setup::ethereum(), inputs, check, seed))
            .await
            .ok()?;
        drop(in_memory);
        self.metrics.claim_checks.inc_by(encoded.checks as u64);
        let encoded = encoded.blobs.into_iter();
        results.extend(encoded.map(|(record, result)| (record.id, result)));
        Some(results)
    }

    /// What is to be encoded, from the disk.
    async fn load(
        &self,
        ids: Vec<BlobId>,
    ) -> Option<Vec<(BlobId, Result<EncodeInput, EncodeError>)>> {
        self.durably("reading blobs to encode", move |registry, _| {
            let load = |id: &BlobId| -> Result<_, StoreError> {
                let read = registry
                    .store()
                    .read_one(|store| Ok((store.payload(id)?, store.commitments(id)?)))?;
                let input = match read {
                    Err(error) => Err(EncodeError::PayloadUnreadable {
                        detail: error.to_string(),
                    }),
                    Ok((payload, commitments)) => {
                        // A certified one is encoded again for those who missed it.
                        let record = match registry.live(id) {
                            None => registry.store().blob(id)?,
                            live => live,
                        };
                        let found = record.zip(payload);
                        let found = found.map(|(record, payload)| EncodeInput {
                            record,
                            payload: payload.into(),
                            hashed: false,
                            commitments,
                        });
                        found.ok_or(EncodeError::PayloadMissing)
                    }
                };
                Ok((*id, input))
            };
            ids.iter().map(load).collect::<Result<Vec<_>, _>>()
        })
        .await
    }

    /// A blob fails alone, outside any batch; if that is its own fault its payload goes.
    pub(crate) async fn fail(
        &self,
        owned: OwnedBlob,
        code: &'static str,
        message: String,
        own_fault: bool,
    ) {
        let id = owned.id();
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
        if let Some(records) = failed.await {
            owned.done();
            self.metrics.refund(&records);
            self.metrics.failed_blobs.get_or_create(&code.into()).inc();
        }
    }

    /// These blobs wait for an encoder again.
    pub(crate) fn requeue(&self, owned: impl IntoIterator<Item = OwnedBlob>) {
        let registry = &self.durable.registry;
        let waiting: Vec<_> = owned
            .into_iter()
            .filter_map(|owned| {
                let record = registry.live(&owned.id());
                match record {
                    Some(_) => owned.back(),
                    None => owned.done(),
                }
                record.as_ref().map(QueuedBlob::from)
            })
            .collect();
        self.queue.push(waiting);
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
        let path = self.config.paths.data.clone();
        let Some(free) = blocking(move || free_bytes(&path)).await else {
            return;
        };
        let why = match free {
            Ok(free) if free >= store.min_free_bytes => None,
            Ok(free) => Some(format!(
                "{free} bytes free, store.min_free_bytes is {}: no blobs are taken in",
                store.min_free_bytes
            )),
            Err(error) => Some(format!("free space of paths.data is unknown: {error}")),
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

/// Fresh randomness. `None`, and a word in the log, if the operating system has none.
fn fresh_seed() -> Option<[u8; 32]> {
    let mut seed = [0; 32];
    let filled = getrandom::fill(&mut seed);
    let failed = |error: &_| tracing::error!("no randomness from the operating system: {error}");
    filled.inspect_err(failed).ok().map(|()| seed)
}

#[cfg(test)]
mod tests;
