//! The shell of the pipeline from encoded blobs to certificates: batcher, batches, and what a restart finds.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ashlar_crypto::bls::Signature;
use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{Coded, ProofBytes, Setup};
use ashlar_proto::api::{BlobState, SignedQuorum, StatusError};
use ashlar_proto::{BatchDigest, BlobId, Certificate, OperatorIndex, QuorumSigned};
use ashlar_stake::OperatorTable;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::activity::Activity;
use crate::batcher::{BatchLimits, Batcher, Lane};
use crate::compute::blocking;
use crate::distribute::{DispersalOutcome, DispersalRun, SignedBatch, explain, spread};
use crate::durable::RETRY_MIN;
use crate::encoder::EncodedBlob;
use crate::engine::{BufferedBlob, Engine};
use crate::health;
use crate::late::LateBatch;
use crate::matrix::{BatchPosition, Draft, Matrix, MatrixError};
use crate::memory::Memory;
use crate::owners::OwnedBlob;
use crate::record::{BatchRecord, BlobRecord, Party};
use crate::slots::{Slot, Slots};
use crate::state::BatchState;
use crate::store::StoreError;

/// A batch in its slot, with its blobs' memory.
pub(crate) struct InFlightBatch {
    pub(crate) record: BatchRecord,
    pub(crate) matrix: Arc<Matrix>,
    /// Those of a matrix with this digest, made before.
    pub(crate) proofs: Option<(BatchDigest, Vec<ProofBytes>)>,
    pub(crate) held: Vec<BufferedBlob>,
    pub(crate) place: BatchPlace,
    pub(crate) began: Instant,
}

/// What a batch holds that others wait for, until it is decided or waits for signatures too long.
pub(crate) struct BatchPlace(Option<(Slot, InFlightGuard)>);

impl BatchPlace {
    pub(crate) fn new(engine: &Arc<Engine>, slot: Slot) -> Self {
        Self(Some((slot, InFlightGuard::new(engine))))
    }

    /// That of a batch which others never waited for.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    fn leave(&mut self) {
        self.0 = None;
    }
}

/// Counts the batches that are not decided yet.
struct InFlightGuard(Arc<Engine>);

impl InFlightGuard {
    fn new(engine: &Arc<Engine>) -> Self {
        engine.metrics.batches_in_flight.inc();
        Self(Arc::clone(engine))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.metrics.batches_in_flight.dec();
        self.0.wake_batcher.notify_one();
    }
}

/// The one batch that is being made. Proofs have all cores: two batches at a time would only take twice as long, both of them.
struct Making {
    engine: Arc<Engine>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for Making {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.engine.wake_batcher.notify_one();
    }
}

impl Engine {
    /// The batcher: closes batches and starts them, until the disperser stops. First it continues what a restart found.
    pub(crate) async fn run_batcher(
        self: Arc<Self>,
        mut encoded: mpsc::Receiver<(Party, BufferedBlob)>,
    ) {
        let pace = self.config.pace();
        let limits = BatchLimits {
            interval: pace.interval,
            max_rows: self.config.batch.max_rows,
            max_blobs: self.config.batch.max_blobs as usize,
        };
        let slots = Arc::new(Slots::new(pace.max_in_flight));
        let making = Arc::new(Semaphore::new(1));
        let mut batches = JoinSet::new();
        let mut batcher: Batcher<(Party, BufferedBlob)> = Batcher::new(limits);
        let epoch = Instant::now();
        batches.spawn(Arc::clone(&self).resume(Arc::clone(&slots)));
        while !self.stop.is_cancelled() {
            let is_free = |lane: &Lane| {
                self.sequence_known.is_cancelled()
                    && making.available_permits() > 0
                    && slots.is_free(lane)
            };
            let comes = !encoded.is_empty() || !self.queue.is_idle();
            let is_idle = |lane: &Lane, waiting: &mut dyn Iterator<Item = &(Party, _)>| {
                !comes && slots.is_idle(lane, waiting.map(|(sender, _)| *sender))
            };
            let memory = self.memory.is_waited_for();
            while let Some((lane, batch)) = batcher.poll(epoch.elapsed(), memory, is_idle, is_free)
            {
                let senders = batch.iter().map(|(sender, _)| *sender).collect();
                let slot = slots.take(&lane, &senders).await;
                let place = BatchPlace::new(&self, slot);
                let making = Making {
                    engine: Arc::clone(&self),
                    permit: Arc::clone(&making).try_acquire_owned().ok(),
                };
                batches.spawn(Arc::clone(&self).run_new(lane, batch, place, making));
            }
            self.metrics.batch_queue.set(batcher.len() as i64);
            // With all places taken the interval does not matter: the end of a batch wakes the batcher.
            let wake = batcher.next_wake(is_free).map(|at| epoch + at);
            tokio::select! {
                Some((sender, held)) = encoded.recv() => {
                    let header = &held.blob.header;
                    let alone = held.owned.is_shaky().then_some(held.blob.id);
                    let quorums = header.quorums.clone();
                    let lane = Lane { version: header.version, quorums, alone };
                    let rows = header.rows;
                    batcher.push(epoch.elapsed(), lane, rows, (sender, held));
                }
                () = self.wake_batcher.notified() => {}
                () = sleep_until(wake), if wake.is_some() => {}
                Some(_ended) = batches.join_next(), if !batches.is_empty() => {}
                () = self.stop.cancelled() => {}
            }
        }
        // What is under way is on disk: the next start continues it.
        batches.shutdown().await;
    }

    /// The newest operator table, in which this disperser is registered; health says what is wrong with it.
    pub(crate) async fn newest_table(&self) -> Option<(Arc<OperatorTable>, u32)> {
        let stake = Arc::clone(&self.stake);
        let look = move || {
            let table = stake.newest();
            (table, stake.health())
        };
        let (table, healthy) = blocking(look).await?;
        let error = table.as_ref().err().or(healthy.as_ref().err());
        let why = error.map(ToString::to_string);
        self.health.set(health::OPERATOR_TABLE, why);
        let (table, key) = (table.ok()?, self.key.public());
        let Some(id) = table.disperser_by_key(&key).map(|entry| entry.id) else {
            self.health.raise(
                health::NOT_REGISTERED,
                format!(
                    "the network key {key} is no disperser of the operator table of block {}",
                    table.reference_block()
                ),
            );
            return None;
        };
        self.health.clear(health::NOT_REGISTERED);
        Some((table, id))
    }

    /// Makes a batch of new blobs and brings it to its end.
    async fn run_new(
        self: Arc<Self>,
        lane: Lane,
        batch: Vec<(Party, BufferedBlob)>,
        place: BatchPlace,
        making: Making,
    ) {
        let mut pause = RETRY_MIN;
        let (table, disperser_id) = loop {
            // Operators refuse a batch with a wrong date, and each refusal costs the blobs one of their attempts.
            if !self.upkeep.clock_is_believed().await {
                return;
            }
            match self.newest_table().await {
                Some(found) => break found,
                // The blobs are safe, and the health page says what is wrong: wait for somebody to mend it.
                None if self.durable.pause(&mut pause).await => {}
                None => return,
            }
        };
        let began = Instant::now();
        for (_, held) in &batch {
            self.metrics.stage("batch", held.since.elapsed());
        }
        let held = match self.check_claims(batch).await {
            Some(held) if !held.is_empty() => held,
            _ => return,
        };
        let blobs: Vec<_> = held.iter().map(|held| Arc::clone(&held.blob)).collect();
        // Everything that can be wrong with table and blobs shows before a sequence number is taken.
        let draft = match Draft::new(blobs, table) {
            Ok(draft) => Arc::new(draft),
            Err(error) => {
                tracing::warn!(code = error.code(), quorums = ?lane.quorums, "no batch can be made: {error}");
                let owned = held.into_iter().map(|held| held.owned).collect();
                drop(place);
                self.put_off(owned, &lane, &error).await;
                return;
            }
        };
        // The proofs need the number, but not that it is on disk: both go on at once, and nothing leaves before both are done.
        let (early, composed_early) = oneshot::channel();
        let composing = self.compose(draft, disperser_id, early);
        let proving = async {
            let matrix = composed_early.await.ok()?;
            Some((matrix.digest(), self.prove(&matrix).await?))
        };
        let (composed, proofs) = tokio::join!(composing, proving);
        drop(making);
        let Some((matrix, record)) = composed else {
            return;
        };
        self.metrics.batches.inc();
        self.metrics
            .batch_rows
            .observe(f64::from(record.header.rows));
        tracing::info!(
            sequence = record.header.sequence.0,
            digest = %record.digest(),
            blobs = record.header.blobs,
            rows = record.header.rows,
            "batch composed"
        );
        self.disperse_batch(InFlightBatch {
            record,
            matrix,
            proofs,
            held,
            place,
            began,
        })
        .await;
    }

    /// Takes a number for a batch and writes it. The matrix comes early, before it is on disk; if that has to be tried again, the
    /// number is another one in the end.
    async fn compose(
        &self,
        draft: Arc<Draft>,
        disperser_id: u32,
        early: oneshot::Sender<Arc<Matrix>>,
    ) -> Option<(Arc<Matrix>, BatchRecord)> {
        let early = Arc::new(Mutex::new(Some(early)));
        let began = Instant::now();
        let computed = draft.blobs().iter().filter(|blob| blob.computed);
        let commitments: Arc<[_]> = computed
            .map(|blob| (blob.id, blob.commitments.clone()))
            .collect();
        let ids: Arc<[BlobId]> = draft.blobs().iter().map(|blob| blob.id).collect();
        let composed = self.durably("composing a batch", move |registry, created_at_ms| {
            let make = |sequence| {
                let matrix = draft.at(BatchPosition {
                    disperser_id,
                    sequence,
                    created_at_ms,
                });
                let matrix = Arc::new(matrix);
                let early = early.lock().unwrap_or_else(PoisonError::into_inner).take();
                // Nobody waits any more if the disperser stops.
                early.map(|early| early.send(Arc::clone(&matrix)));
                let records = registry.draft(&ids, |at, record| {
                    record.attempts += 1;
                    record.batch = Some(matrix.status(at));
                    record.go(BlobState::Batched, created_at_ms)
                })?;
                let expires_at_ms = match records.iter().map(|r| r.expires_at_ms).max() {
                    Some(at_ms) if records.len() == ids.len() => at_ms,
                    _ => {
                        let what = "the list of open blobs";
                        return Err(StoreError::Corrupt { what });
                    }
                };
                let record = BatchRecord {
                    header: matrix.header().clone(),
                    signature: None,
                    blobs: ids.to_vec(),
                    state: BatchState::Composed,
                    signers: Vec::new(),
                    signed: Vec::new(),
                    failures: Vec::new(),
                    expires_at_ms,
                };
                Ok((record, records, matrix))
            };
            let store = registry.store();
            let (record, records, matrix) = store.compose(created_at_ms, &commitments, make)?;
            registry.publish(&records);
            Ok((matrix, record))
        });
        let composed = composed.await;
        self.metrics.stage("compose", began.elapsed());
        composed
    }

    /// No batch can be made of these blobs. If the table has no such quorums any more, they wait for one that has; else they fail.
    async fn put_off(&self, blobs: Vec<OwnedBlob>, lane: &Lane, error: &MatrixError) {
        let give_up = Duration::from_secs(self.config.batch.give_up_secs);
        let (registry, now_ms) = (&self.durable.registry, self.durable.clock.wall_ms());
        let mut again = Vec::new();
        for owned in blobs {
            let blob = registry.live(&owned.id());
            let age = blob.map_or(Duration::ZERO, |blob| blob.age(now_ms));
            if matches!(error, MatrixError::Assignment(_)) && age < give_up {
                again.push(owned);
            } else {
                self.fail(owned, error.code(), error.to_string(), false)
                    .await;
            }
        }
        if !again.is_empty() {
            let now = std::time::Instant::now();
            self.queue.breaker.broke(lane.quorums.iter().copied(), now);
        }
        self.requeue(again);
    }

    fn activity(&self) -> &Activity {
        &self.operators_client.activity
    }

    /// Brings a batch to its end.
    pub(crate) async fn disperse_batch(self: Arc<Self>, batch: InFlightBatch) {
        let InFlightBatch {
            mut record,
            matrix,
            proofs,
            held,
            mut place,
            began,
        } = batch;
        let first = record
            .blobs
            .first()
            .and_then(|id| self.durable.registry.live(id));
        self.activity().began(&record, &matrix, first);
        let (owned, memory) = apart(held);
        let certified = self.certify(&mut record, &matrix, proofs, &mut place).await;
        match certified {
            Ok(Some((certificates, distribution))) => {
                let (operators, table) = (&self.operators_client, &Arc::clone(matrix.table()));
                let first = certificates.first().cloned();
                let spreading = spread(operators, table, record.signers.clone(), first);
                let bytes = certificates.iter().map(Certificate::to_bytes).collect();
                let published = self.publish_certificates(record, bytes, began);
                let Some(record) = published.await else {
                    return;
                };
                owned.into_iter().for_each(OwnedBlob::done);
                self.queue.breaker.works(matrix.quorums());
                drop(place);
                let improved = tokio::select! {
                    improved = self.improve(record, &matrix, distribution) => improved,
                    () = self.stop.cancelled() => return,
                };
                // What was encoded, and its place in the budget.
                drop((matrix, memory));
                let (late, certificate) = improved;
                // To all of them: whoever signed later is named in the last certificate alone, and must learn it from the others.
                let signers = late.record.signers.clone();
                let later = certificate
                    .map(|certificate| spread(operators, table, signers, Some(certificate)));
                self.late.add(late);
                for spreading in std::iter::once(spreading).chain(later) {
                    tokio::select! {
                        () = spreading => {}
                        () = self.stop.cancelled() => return,
                    }
                }
            }
            Ok(None) => {}
            Err((code, message)) => {
                drop(memory);
                self.abandon(record, owned, code, message, place).await;
            }
        }
    }

    /// Waits for the decision. A batch that waits too long itself leaves its place to others, and breaks the quorums of which too
    /// little has answered. `None` if others want its memory then.
    async fn decide(
        &self,
        distribution: &mut DispersalRun,
        place: &mut BatchPlace,
    ) -> Option<DispersalOutcome> {
        let mut outcome = distribution.next().await;
        if let DispersalOutcome::Stalled = outcome {
            self.break_quorums(distribution);
            place.leave();
            outcome = tokio::select! {
                outcome = distribution.next() => outcome,
                () = self.memory.wanted() => return None,
            };
        }
        if let DispersalOutcome::Failed { .. } = outcome {
            self.break_quorums(distribution);
        }
        Some(outcome)
    }

    fn break_quorums(&self, distribution: &DispersalRun) {
        let lacking = distribution.lacking();
        tracing::warn!(quorums = ?lacking, "too little stake answers");
        let now = std::time::Instant::now();
        self.queue.breaker.broke(lacking, now);
    }

    /// Operators that are still busy may finish: the more hold their chunks, the better. But not for long if others wait for the
    /// batch's memory. Gives the best certificate, if a better one was made, and who is left.
    async fn improve(
        &self,
        mut record: BatchRecord,
        matrix: &Arc<Matrix>,
        mut distribution: DispersalRun,
    ) -> (LateBatch, Option<Certificate>) {
        let mut best = None;
        let linger = Duration::from_millis(self.config.disperse.linger_ms);
        let wanted = async {
            tokio::time::sleep(linger).await;
            self.memory.wanted().await;
        };
        tokio::pin!(wanted);
        loop {
            let outcome = tokio::select! {
                outcome = distribution.next() => outcome,
                () = &mut wanted => break,
            };
            record.failures = distribution.failures();
            let DispersalOutcome::Improved { signed, quorums } = outcome else {
                break;
            };
            match self.better(&mut record, matrix, signed, quorums).await {
                Some(certificate) => best = Some(certificate),
                None => break,
            }
        }
        self.activity()
            .over(&record, self.durable.clock.wall_ms(), None);
        let (signed, missing) = distribution.late();
        let late = LateBatch {
            record,
            table: Arc::clone(matrix.table()),
            quorums: matrix.quorums().to_vec(),
            missing,
            signed,
        };
        (late, best)
    }

    /// Makes and writes better certificates, and gives the first one. `None` if that fails: the issued ones hold.
    pub(crate) async fn better(
        &self,
        record: &mut BatchRecord,
        matrix: &Arc<Matrix>,
        signed: Vec<(OperatorIndex, Signature)>,
        quorums: Vec<QuorumSigned>,
    ) -> Option<Certificate> {
        let made = self.make_certificates(record, matrix, signed, quorums);
        let certificates = made.await.ok()?; // said in the log
        let better = record.clone();
        let first = certificates.first().cloned();
        let certificates: Vec<_> = certificates.iter().map(Certificate::to_bytes).collect();
        let written = self.durably("writing better certificates", move |registry, _| {
            let certificates = better
                .blobs
                .iter()
                .copied()
                .zip(certificates.iter().cloned());
            registry.store().improve(&better, certificates.collect())
        });
        written.await?;
        self.activity()
            .changed(record, self.durable.clock.wall_ms());
        let (sequence, signers) = (record.header.sequence.0, record.signers.len());
        tracing::debug!(sequence, signers, "batch certified better");
        first
    }

    /// The certificates, in batch order; the record says who signed.
    async fn make_certificates(
        &self,
        record: &mut BatchRecord,
        matrix: &Arc<Matrix>,
        signed: Vec<(OperatorIndex, Signature)>,
        quorums: Vec<QuorumSigned>,
    ) -> Result<Vec<Certificate>, (&'static str, String)> {
        let signers = signed.iter().map(|(operator, _)| *operator).collect();
        let work = Arc::clone(matrix);
        let began = Instant::now();
        let certified = self.pool.urgent.run(move || work.certify(&signed)).await;
        self.metrics.stage("certify", began.elapsed());
        let certificates = certified
            .map_err(|_| ("batch.certify", "making the certificates failed".to_owned()))?
            .map_err(|error| {
                let (code, sequence) = (error.code(), record.header.sequence.0);
                tracing::error!(code, sequence, "{error}");
                (code, error.to_string())
            })?;
        record.signers = signers;
        record.signed = quorums.into_iter().map(SignedQuorum::from).collect();
        Ok(certificates)
    }

    /// Proofs, dispersal, certificates; the record says what came of it. `Ok(None)` if the disperser stops, code and reason if
    /// the batch has to be given up.
    async fn certify(
        &self,
        record: &mut BatchRecord,
        matrix: &Arc<Matrix>,
        proofs: Option<(BatchDigest, Vec<ProofBytes>)>,
        place: &mut BatchPlace,
    ) -> Result<Option<(Vec<Certificate>, DispersalRun)>, (&'static str, String)> {
        let proofs = match proofs {
            Some((of, proofs)) if of == matrix.digest() => Some(proofs),
            _ => self.prove(matrix).await,
        };
        let proofs =
            proofs.ok_or_else(|| ("batch.proofs", "the proofs could not be made".to_owned()))?;
        let Some(signature) = self.sign(record) else {
            return Ok(None);
        };
        let mut seed = [0; 8];
        let _ = getrandom::fill(&mut seed); // only spreads retries
        let mut distribution = DispersalRun::new(
            Arc::clone(&self.operators_client),
            SignedBatch::new(Arc::clone(matrix), proofs, signature),
            self.config.dispersal(u64::from_be_bytes(seed)),
        )
        .map_err(|error| (error.code(), error.to_string()))?;
        let outcome = tokio::select! {
            outcome = self.decide(&mut distribution, place) => outcome,
            () = self.stop.cancelled() => return Ok(None),
        };
        let Some(outcome) = outcome else {
            let why = "others wait for the memory of a batch that too little stake has signed";
            return Err(("dispersal.memory", why.to_owned()));
        };
        record.failures = distribution.failures();
        match outcome {
            DispersalOutcome::Certified { signed, quorums } => {
                let certificates = self
                    .make_certificates(record, matrix, signed, quorums)
                    .await?;
                Ok(Some((certificates, distribution)))
            }
            DispersalOutcome::Failed { reason, quorums } => {
                let (code, message) = explain(reason, &quorums, &record.failures, matrix);
                // A quorum that a client chose may be dead. One of the default quorums should not be.
                let ours = &self.config.accept.default_quorums;
                if matrix.quorums().iter().all(|quorum| ours.contains(quorum)) {
                    self.health.raise(health::DISPERSAL, message.clone());
                }
                record.signed = quorums.into_iter().map(SignedQuorum::from).collect();
                Err((code, message))
            }
            DispersalOutcome::Stalled
            | DispersalOutcome::Improved { .. }
            | DispersalOutcome::Done => {
                tracing::error!("a dispersal was done before it was decided");
                Ok(None)
            }
        }
    }

    async fn prove(&self, matrix: &Arc<Matrix>) -> Option<Vec<ProofBytes>> {
        let (work, began) = (Arc::clone(matrix), Instant::now());
        let proving = self.pool.urgent.run(move || work.prove(Setup::ethereum()));
        let proofs = proving.await.ok()?;
        self.metrics.stage("prove", began.elapsed());
        Some(proofs)
    }

    /// Signs the batch, and notes that it goes out. By now it is durable under its number and does not change. A
    /// restart makes the same signature again: ed25519 is deterministic.
    fn sign(&self, record: &mut BatchRecord) -> Option<NetworkSignature> {
        record.go(BatchState::Dispersing).ok()?;
        let now_ms = self.durable.clock.wall_ms();
        self.note(&record.blobs, |_, blob| {
            blob.go(BlobState::Dispersing, now_ms)
        })?;
        self.activity().changed(record, now_ms);
        let sign = || record.header.sign_as_disperser(&self.key);
        Some(*record.signature.get_or_insert_with(sign))
    }

    /// Publishes certificates, and gives the record back.
    async fn publish_certificates(
        &self,
        mut record: BatchRecord,
        certificates: Vec<Vec<u8>>,
        began: Instant,
    ) -> Option<BatchRecord> {
        record.go(BatchState::Certified).ok()?;
        let sequence = record.header.sequence.0;
        let signers = u32::try_from(record.signers.len()).unwrap_or(u32::MAX);
        let certified = record.clone();
        let publishing = Instant::now();
        let done = self
            .durably("writing certificates", move |registry, now| {
                let change = |_, blob: &mut BlobRecord| {
                    if let Some(batch) = &mut blob.batch {
                        batch.signers = signers;
                        batch.signed = record.signed.clone();
                    }
                    blob.go(BlobState::Certified, now)
                };
                let ids = record.blobs.iter().copied();
                let certificates = ids.zip(certificates.iter().cloned()).collect();
                registry.transition(&record.blobs, change, |store, blobs| {
                    store.finish_batch(&record, blobs, certificates)
                })
            })
            .await?;
        self.metrics.stage("publish", publishing.elapsed());
        self.health.clear(health::DISPERSAL);
        self.metrics
            .certify_seconds
            .observe(began.elapsed().as_secs_f64());
        self.metrics.certified_blobs.inc_by(done.len() as u64);
        let now_ms = self.durable.clock.wall_ms();
        self.activity().changed(&certified, now_ms);
        self.activity()
            .certified(done.iter().map(|blob| blob.age(now_ms)));
        for record in &done {
            self.metrics.certified_bytes.inc_by(record.payload_len);
            self.metrics
                .blob_seconds
                .observe(record.age(now_ms).as_secs_f64());
        }
        tracing::info!(sequence, signers, blobs = done.len(), "batch certified");
        Some(certified)
    }

    /// Gives a batch up: its blobs go back into the queue, until they are too old. They wait on disk, not in memory.
    pub(crate) async fn abandon(
        self: Arc<Self>,
        mut record: BatchRecord,
        owned: Vec<OwnedBlob>,
        code: &'static str,
        message: String,
        place: BatchPlace,
    ) {
        tracing::warn!(
            sequence = record.header.sequence.0,
            code,
            "batch abandoned: {message}"
        );
        if record.go(BatchState::Abandoned).is_err() {
            return;
        }
        self.activity()
            .over(&record, self.durable.clock.wall_ms(), Some(code));
        let give_up = Duration::from_secs(self.config.batch.give_up_secs);
        let written = self.durably("writing an abandoned batch", move |registry, now| {
            let change = |_, blob: &mut BlobRecord| {
                if let Some(batch) = &mut blob.batch {
                    batch.signed = record.signed.clone();
                }
                if blob.age(now) < give_up {
                    blob.go(BlobState::Encoded, now)
                } else {
                    blob.error = Some(StatusError {
                        code: code.to_owned(),
                        message: message.clone(),
                    });
                    blob.go(BlobState::Failed, now)
                }
            };
            registry.transition(&record.blobs, change, |store, blobs| {
                store.finish_batch(&record, blobs, Vec::new())
            })
        });
        let Some(records) = written.await else { return };
        self.metrics.abandoned_batches.inc();
        self.metrics.refund(&records);
        drop(place);
        let again: HashSet<BlobId> = records
            .iter()
            .filter(|blob| blob.state != BlobState::Failed)
            .map(|blob| blob.id)
            .collect();
        let (again, failed): (Vec<_>, Vec<_>) = owned
            .into_iter()
            .partition(|owned| again.contains(&owned.id()));
        if !failed.is_empty() {
            let of_code = self.metrics.failed_blobs.get_or_create_owned(&code.into());
            of_code.inc_by(failed.len() as u64);
        }
        failed.into_iter().for_each(OwnedBlob::done);
        self.metrics.requeued_blobs.inc_by(again.len() as u64);
        let Some(attempts) = records.iter().map(|blob| blob.attempts).max() else {
            return;
        };
        let delay = Duration::from_millis(self.config.batch.requeue_delay_ms);
        let delay = delay.saturating_mul(1 << attempts.saturating_sub(1).min(6));
        if self.durable.sleep(delay).await {
            self.requeue(again);
        }
    }
}

/// Who owns the blobs, and what they hold: the memory goes back when that is dropped.
fn apart(held: Vec<BufferedBlob>) -> (Vec<OwnedBlob>, Vec<(Arc<EncodedBlob>, Memory)>) {
    let each = held.into_iter();
    each.map(|held| (held.owned, (held.blob, held._memory)))
        .unzip()
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
