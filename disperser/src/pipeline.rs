//! The shell of the pipeline from encoded blobs to certificates: batcher, batches, and what a restart finds.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ashlar_crypto::bls::Signature;
use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{Coded, ProofBytes, Setup};
use ashlar_proto::api::{BlobState, SignedQuorum, StatusError};
use ashlar_proto::{BlobId, Certificate, OperatorIndex, QuorumSigned, Sequence};
use ashlar_stake::OperatorTable;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batcher::{BatchLimits, Batcher, Lane, Pressure};
use crate::compute::blocking;
use crate::distribute::{DispersalOutcome, DispersalRun, SignedBatch, explain, spread};
use crate::durable::{Durable, RETRY_MIN};
use crate::encoder::{ClaimCheck, EncodedBlob};
use crate::engine::{BufferedBlob, Engine};
use crate::health;
use crate::matrix::{BatchPosition, Matrix, MatrixError};
use crate::memory::MemoryBudget;
use crate::owners::OwnedBlob;
use crate::record::{BatchRecord, BlobRecord};
use crate::slots::{Slot, Slots};
use crate::state::BatchState;
use crate::store::StoreError;

/// A batch in its slot, with its blobs' memory.
struct InFlightBatch {
    record: BatchRecord,
    matrix: Arc<Matrix>,
    held: Vec<BufferedBlob>,
    place: BatchPlace,
    began: Instant,
}

/// What a batch holds that others wait for, until it is decided or waits for signatures too long.
struct BatchPlace(Option<(Slot, InFlightGuard)>);

impl BatchPlace {
    fn new(engine: &Arc<Engine>, slot: Slot) -> Self {
        Self(Some((slot, InFlightGuard::new(engine))))
    }

    fn leave(&mut self) {
        self.0 = None;
    }
}

/// Counts the batches that are not decided yet.
struct InFlightGuard(Arc<Engine>);

impl InFlightGuard {
    fn new(engine: &Arc<Engine>) -> Self {
        engine.undecided.fetch_add(1, Ordering::SeqCst);
        engine.metrics.batches_in_flight.inc();
        Self(Arc::clone(engine))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.undecided.fetch_sub(1, Ordering::SeqCst);
        self.0.metrics.batches_in_flight.dec();
        self.0.wake_batcher.notify_one();
    }
}

impl Engine {
    /// The batcher: closes batches and starts them, until the disperser stops. First it continues what a restart found.
    pub(crate) async fn run_batcher(self: Arc<Self>, mut encoded: mpsc::Receiver<BufferedBlob>) {
        let limits = BatchLimits {
            interval: Duration::from_millis(self.config.batch.interval_ms),
            max_rows: self.config.batch.max_rows,
            max_blobs: self.config.batch.max_blobs as usize,
        };
        let slots = Arc::new(Slots::new(self.config.batch.max_in_flight));
        let mut batches = JoinSet::new();
        let mut batcher: Batcher<BufferedBlob> = Batcher::new(limits);
        let epoch = Instant::now();
        batches.spawn(Arc::clone(&self).resume(Arc::clone(&slots)));
        while !self.stop.is_cancelled() {
            let is_free = |lane: &Lane| slots.is_free(lane);
            while let Some((lane, held)) =
                batcher.poll(epoch.elapsed(), self.pressure(&encoded), is_free)
            {
                let slot = slots.take(&lane).await;
                let place = BatchPlace::new(&self, slot);
                batches.spawn(Arc::clone(&self).run_new(lane, held, place));
            }
            self.metrics.batch_queue.set(batcher.len() as i64);
            // With all places taken the interval does not matter: the end of a batch wakes the batcher.
            let wake = batcher.next_wake(is_free).map(|at| epoch + at);
            tokio::select! {
                Some(held) = encoded.recv() => {
                    let header = &held.blob.header;
                    let alone = held.owned.is_shaky().then_some(held.blob.id);
                    let quorums = header.quorums.clone();
                    let lane = Lane { version: header.version, quorums, alone };
                    let rows = header.rows;
                    batcher.push(epoch.elapsed(), lane, rows, held);
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

    fn pressure(&self, encoded: &mpsc::Receiver<BufferedBlob>) -> Pressure {
        if self.memory.is_waited_for() {
            Pressure::Memory
        } else if encoded.is_empty() && self.is_idle() {
            Pressure::Idle
        } else {
            Pressure::None
        }
    }

    /// The newest operator table, in which this disperser is registered; health says what is wrong with it.
    pub(crate) async fn newest_table(&self) -> Option<(Arc<OperatorTable>, u32)> {
        let stake = Arc::clone(&self.stake);
        let look = move || {
            let table = stake.head().and_then(|block| stake.table_at(block));
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
    async fn run_new(self: Arc<Self>, lane: Lane, held: Vec<BufferedBlob>, place: BatchPlace) {
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
        let blobs: Vec<_> = held.iter().map(|held| Arc::clone(&held.blob)).collect();
        // Everything that can be wrong with table and blobs shows before a sequence number is taken.
        let trial = Matrix::compose(
            blobs.clone(),
            Arc::clone(&table),
            BatchPosition {
                disperser_id,
                sequence: Sequence(0),
                created_at_ms: 0,
            },
        );
        if let Err(error) = trial {
            tracing::warn!(code = error.code(), quorums = ?lane.quorums, "no batch can be made: {error}");
            let owned = held.into_iter().map(|held| held.owned).collect();
            drop(place);
            self.put_off(owned, &lane, &error).await;
            return;
        }
        let composed = self.durably("composing a batch", move |registry, created_at_ms| {
            let (blobs, table) = (blobs.clone(), Arc::clone(&table));
            let (matrix, record, records) =
                registry.store().compose(created_at_ms, |sequence| {
                    let place = BatchPosition {
                        disperser_id,
                        sequence,
                        created_at_ms,
                    };
                    let matrix =
                        Matrix::compose(blobs, table, place).map_err(|_| StoreError::Corrupt {
                            what: "the composition of a batch",
                        })?;
                    let ids: Vec<BlobId> = matrix.blobs().iter().map(|blob| blob.id).collect();
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
                        blobs: ids,
                        state: BatchState::Composed,
                        signers: Vec::new(),
                        signed: Vec::new(),
                        failures: Vec::new(),
                        expires_at_ms,
                    };
                    Ok((record.clone(), records.clone(), (matrix, record, records)))
                })?;
            registry.publish(&records);
            Ok((matrix, record))
        });
        let Some((matrix, record)) = composed.await else {
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
            matrix: Arc::new(matrix),
            held,
            place,
            began,
        })
        .await;
    }

    /// No batch can be made of these blobs. If the table has no such quorums any more, they wait for one that has; else they fail.
    async fn put_off(&self, blobs: Vec<OwnedBlob>, lane: &Lane, error: &MatrixError) {
        let give_up = Duration::from_secs(self.config.batch.give_up_secs);
        let (registry, now_ms) = (&self.durable.registry, self.durable.clock.wall_ms());
        let mut again = Vec::new();
        for owned in blobs {
            let blob = registry.live(&owned.id());
            let submitted_at_ms = blob.map_or(now_ms, |blob| blob.submitted_at_ms);
            let age = Duration::from_millis(now_ms.saturating_sub(submitted_at_ms));
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

    /// Brings a batch to its end.
    async fn disperse_batch(self: Arc<Self>, batch: InFlightBatch) {
        let InFlightBatch {
            mut record,
            matrix,
            held,
            mut place,
            began,
        } = batch;
        let (owned, memory) = apart(held);
        let certified = self.certify(&mut record, &matrix, &mut place).await;
        match certified {
            Ok(Some((certificates, distribution))) => {
                let (operators, table) = (&self.operators_client, matrix.table());
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
                drop(memory);
                // To all of them: whoever signed later is named in the last certificate alone, and must learn it from the others.
                let later = improved.map(|(signers, certificate)| {
                    spread(operators, table, signers, Some(certificate))
                });
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
    /// batch's memory.
    async fn improve(
        &self,
        mut record: BatchRecord,
        matrix: &Arc<Matrix>,
        mut distribution: DispersalRun,
    ) -> Option<(Vec<OperatorIndex>, Certificate)> {
        let mut best = None;
        let linger = Duration::from_millis(self.config.disperse.linger_ms);
        let wanted = async {
            tokio::time::sleep(linger * 2).await;
            self.memory.wanted().await;
        };
        tokio::pin!(wanted);
        loop {
            let outcome = tokio::select! {
                outcome = distribution.next() => outcome,
                () = &mut wanted => return best,
            };
            let DispersalOutcome::Improved { signed, quorums } = outcome else {
                return best;
            };
            record.failures = distribution.failures();
            let Ok(certificates) = self
                .make_certificates(&mut record, matrix, signed, quorums)
                .await
            else {
                return best; // said in the log; the issued ones hold
            };
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
            if written.await.is_none() {
                return best;
            }
            best = first.map(|first| (record.signers.clone(), first));
            let (sequence, signers) = (record.header.sequence.0, record.signers.len());
            tracing::debug!(sequence, signers, "batch certified better");
        }
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
        let certified = self.pool.run(move || work.certify(&signed)).await;
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
        place: &mut BatchPlace,
    ) -> Result<Option<(Vec<Certificate>, DispersalRun)>, (&'static str, String)> {
        let proofs = self.prove(matrix).await;
        let proofs =
            proofs.ok_or_else(|| ("batch.proofs", "the proofs could not be made".to_owned()))?;
        let Some(signature) = self.sign_and_record(record).await else {
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
        let proving = self.pool.run(move || work.prove(Setup::ethereum()));
        let proofs = proving.await.ok()?;
        self.metrics
            .prove_seconds
            .observe(began.elapsed().as_secs_f64());
        Some(proofs)
    }

    /// Signs the batch, and notes that it goes out. By now it is durable under its number and does not change. A
    /// restart finds this header and its signature, or makes the same signature again: ed25519 is deterministic.
    async fn sign_and_record(&self, record: &mut BatchRecord) -> Option<NetworkSignature> {
        if record.state == BatchState::Composed {
            record.go(BatchState::Dispersing).ok()?;
        }
        let signature = *record
            .signature
            .get_or_insert_with(|| record.header.sign_as_disperser(&self.key));
        let record = record.clone();
        self.durably("noting that a batch goes out", move |registry, now| {
            let change = |_, blob: &mut BlobRecord| match blob.state {
                BlobState::Dispersing => Ok(()), // continued after a restart
                _ => blob.go(BlobState::Dispersing, now),
            };
            registry.transition(&record.blobs, change, |store, blobs| {
                store.progress(&record, blobs)
            })?;
            Ok(signature)
        })
        .await
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
        self.health.clear(health::DISPERSAL);
        self.metrics
            .certify_seconds
            .observe(began.elapsed().as_secs_f64());
        self.metrics.certified_blobs.inc_by(done.len() as u64);
        let now_ms = self.durable.clock.wall_ms();
        for record in &done {
            self.metrics.certified_bytes.inc_by(record.payload_len);
            let waited = now_ms.saturating_sub(record.submitted_at_ms);
            self.metrics
                .blob_seconds
                .observe(Duration::from_millis(waited).as_secs_f64());
        }
        tracing::info!(sequence, signers, blobs = done.len(), "batch certified");
        Some(certified)
    }

    /// Gives a batch up: its blobs go back into the queue, until they are too old. They wait on disk, not in memory.
    async fn abandon(
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
        let give_up = Duration::from_secs(self.config.batch.give_up_secs);
        let written = self.durably("writing an abandoned batch", move |registry, now| {
            let change = |_, blob: &mut BlobRecord| {
                if let Some(batch) = &mut blob.batch {
                    batch.signed = record.signed.clone();
                }
                let age = Duration::from_millis(now.saturating_sub(blob.submitted_at_ms));
                if age < give_up {
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

    /// Continues what the last run left: batches under their own digests, then all other open blobs from the encoder on.
    async fn resume(self: Arc<Self>, slots: Arc<Slots>) {
        let resumed = self.resumed.clone().drop_guard();
        let reading = self.durably("reading open batches", |registry, _| {
            registry.store().open_batches()
        });
        let Some(batches) = reading.await else {
            return;
        };
        let registry = &self.durable.registry;
        let batches: Vec<(BatchRecord, Vec<OwnedBlob>)> = batches
            .into_iter()
            .map(|batch| {
                let open = batch.blobs.iter().filter(|id| registry.live(id).is_some());
                let owned = open.filter_map(|id| self.owners.own(*id)).collect();
                (batch, owned)
            })
            .collect();
        let loose: Vec<OwnedBlob> = registry
            .open_ids()
            .into_iter()
            .filter_map(|id| self.owners.own(id))
            .collect();
        if !batches.is_empty() || !loose.is_empty() {
            tracing::info!(
                batches = batches.len(),
                blobs = loose.len(),
                "continuing after a restart"
            );
        }
        self.requeue(loose);
        drop(resumed);
        // By a wrong clock they would all seem too old.
        if !self.upkeep.clock_is_believed().await {
            return;
        }
        let mut running = JoinSet::new();
        for (record, owned) in batches {
            let began = Instant::now();
            // Its memory first: what waits for a place holds memory, so the other way round each could wait for the other.
            match self.rebuild(&record, owned).await {
                Ok((matrix, held)) => {
                    let lane = Lane {
                        version: record.header.version,
                        quorums: matrix.quorums().to_vec(),
                        alone: None,
                    };
                    let slot = tokio::select! {
                        slot = slots.take(&lane) => slot,
                        () = self.stop.cancelled() => return,
                    };
                    tracing::info!(sequence = record.header.sequence.0, digest = %record.digest(), "batch continued");
                    let batch = InFlightBatch {
                        record,
                        matrix: Arc::new(matrix),
                        held,
                        place: BatchPlace::new(&self, slot),
                        began,
                    };
                    running.spawn(Arc::clone(&self).disperse_batch(batch));
                }
                Err(Some((owned, why))) => {
                    let code = "batch.not_resumed";
                    let place = BatchPlace(None);
                    running.spawn(Arc::clone(&self).abandon(record, owned, code, why, place));
                }
                Err(None) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// A batch as it was before the restart; `Err(Some(why))` if it cannot be, with its blobs, `Err(None)` if the disperser stops or
    /// its blobs are lost.
    async fn rebuild(
        &self,
        record: &BatchRecord,
        owned: Vec<OwnedBlob>,
    ) -> Result<(Matrix, Vec<BufferedBlob>), Option<(Vec<OwnedBlob>, String)>> {
        let (table, units) = match self.can_rebuild(record).await? {
            Ok((_, units)) if units.len() != owned.len() => {
                let why = "one of its blobs is in another batch, too";
                return Err(Some((owned, why.to_owned())));
            }
            Ok(found) => found,
            Err(why) => return Err(Some((owned, why))),
        };
        let needed = units.iter().map(|units| u64::from(*units)).sum::<u64>();
        // Taken in one go: two halves of two batches could wait for each other.
        let needed = u32::try_from(needed).ok();
        let Some(needed) = needed.filter(|units| self.memory.fits(*units)) else {
            let why = "it does not fit into encode.memory_bytes any more";
            return Err(Some((owned, why.to_owned())));
        };
        let mut memory = self.take_memory(needed).await.ok_or(None)?;
        let results = self
            .encode_ids(record.blobs.clone(), ClaimCheck::Together)
            .await;
        let mut encoded: HashMap<BlobId, _> = results.into_iter().collect();
        let mut blobs = Vec::with_capacity(record.blobs.len());
        for id in &record.blobs {
            match encoded.remove(id).ok_or(None)? {
                Ok(blob) => blobs.push(Arc::new(blob)),
                Err(error) => {
                    let why = format!("its blob {id} cannot be encoded again: {error}");
                    return Err(Some((owned, why)));
                }
            }
        }
        let matrix = match Matrix::resume(blobs.clone(), table, record.header.clone()) {
            Ok(matrix) => matrix,
            Err(error) => return Err(Some((owned, error.to_string()))),
        };
        let mut held = Vec::with_capacity(blobs.len());
        for ((blob, owned), units) in blobs.into_iter().zip(owned).zip(units) {
            let _memory = memory.split(units as usize).ok_or(None)?;
            held.push(BufferedBlob {
                blob,
                owned,
                _memory,
            });
        }
        Ok((matrix, held))
    }

    /// What a batch is made of again: its table, and the memory of each blob. `Ok(Err(why))` if it cannot be.
    async fn can_rebuild(
        &self,
        record: &BatchRecord,
    ) -> Result<Result<(Arc<OperatorTable>, Vec<u32>), String>, Option<(Vec<OwnedBlob>, String)>>
    {
        let Durable {
            registry, clock, ..
        } = &self.durable;
        let age = clock.wall_ms().saturating_sub(record.header.created_at_ms);
        let age = Duration::from_millis(age);
        let longest = Duration::from_secs(self.config.batch.max_resume_age_secs);
        if age > longest {
            return Ok(Err(format!(
                "it is {} s old, older than {} s",
                age.as_secs(),
                longest.as_secs()
            )));
        }
        let (stake, block) = (Arc::clone(&self.stake), record.header.reference_block);
        let table = blocking(move || stake.table_at(block)).await.ok_or(None)?;
        let units = record.blobs.iter().map(|id| {
            let blob = registry.live(id);
            let blob = blob.ok_or_else(|| format!("its blob {id} is not open"))?;
            Ok::<_, String>(MemoryBudget::units(&blob))
        });
        let table = table.map_err(|error| error.to_string());
        Ok(table.and_then(|table| Ok((table, units.collect::<Result<_, _>>()?))))
    }
}

/// Who owns the blobs, and what they hold: the memory goes back when that is dropped.
fn apart(
    held: Vec<BufferedBlob>,
) -> (
    Vec<OwnedBlob>,
    Vec<(Arc<EncodedBlob>, OwnedSemaphorePermit)>,
) {
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
