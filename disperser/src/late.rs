//! Operators that missed a batch get their part of it later.
//!
//! A batch leaves the memory soon after its certificates are out, whoever has not signed by then. Those who hung or were away are asked
//! from time to time whether they answer; if one does, what it missed is encoded once more, from the payloads on the disk, and
//! sent, one batch at a time and only while nobody waits for the memory. Operators take a batch until it is too old
//! (`batch.max_resume_age_secs`); then it is for them to take it from their peers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_crypto::Setup;
use ashlar_crypto::bls::Signature;
use ashlar_proto::{Certificate, OperatorId, OperatorIndex, QuorumId, TableAccess};
use ashlar_service::Backoff;
use ashlar_stake::OperatorTable;
use futures::StreamExt as _;

use crate::config::encoded_bytes;
use crate::distribute::{OperatorClient, SignedBatch, ask_late, spread};
use crate::engine::Engine;
use crate::matrix::Matrix;
use crate::memory::Units;
use crate::record::BatchRecord;
use crate::troubled::Troubled;

/// Batches that are remembered, the newest: a few KiB each.
const MOST: usize = 1024;
/// Between two looks, and how long the answer to a ping may take.
const LOOK: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it may take one to take its part, so long it is in memory.
const SENDING: Duration = Duration::from_secs(10);
/// Operators asked at a time.
const AT_A_TIME: usize = 32;
/// How long one that does not answer is left alone.
const PAUSE: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
};

/// A certified batch that operators have missed.
pub(crate) struct LateBatch {
    pub(crate) record: BatchRecord,
    pub(crate) table: Arc<OperatorTable>,
    pub(crate) quorums: Vec<QuorumId>,
    /// Who may still take it.
    pub(crate) missing: BTreeSet<OperatorIndex>,
    /// The signatures of the others.
    pub(crate) signed: Vec<(OperatorIndex, Signature)>,
}

/// The batches that operators have missed, oldest first.
#[derive(Default)]
pub(crate) struct Late(Mutex<VecDeque<LateBatch>>);

impl Late {
    fn lock(&self) -> MutexGuard<'_, VecDeque<LateBatch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, batch: LateBatch) {
        if batch.missing.is_empty() {
            return;
        }
        let mut batches = self.lock();
        if batches.len() >= MOST {
            batches.pop_front();
        }
        batches.push_back(batch);
    }

    /// Forgets what nobody takes any more.
    fn prune(&self, now_ms: u64, longest: Duration) {
        self.lock()
            .retain(|batch| batch.record.age(now_ms) < longest);
    }

    /// The operators that have missed something, each with a batch that says where it is.
    fn operators(&self) -> HashMap<OperatorId, (Arc<OperatorTable>, OperatorIndex)> {
        let batches = self.lock();
        let each = batches.iter().flat_map(|batch| {
            let missing = batch.missing.iter();
            missing.filter_map(|index| {
                let entry = batch.table.operator(*index)?;
                Some((entry.operator_id, (Arc::clone(&batch.table), *index)))
            })
        });
        each.collect()
    }

    /// The newest batch that one of these has missed, and who of them has.
    fn take(&self, up: &BTreeSet<OperatorId>) -> Option<(LateBatch, Vec<OperatorIndex>)> {
        let mut batches = self.lock();
        let at = (0..batches.len()).rev().find_map(|at| {
            let batch = batches.get(at)?;
            let here = batch.missing.iter().filter(|index| {
                let entry = batch.table.operator(**index);
                entry.is_some_and(|entry| up.contains(&entry.operator_id))
            });
            let here: Vec<_> = here.copied().collect();
            (!here.is_empty()).then_some((at, here))
        });
        let (at, here) = at?;
        Some((batches.remove(at)?, here))
    }
}

/// What became of an attempt to send a batch.
enum Sent {
    /// There is no memory for it at the moment.
    Later,
    /// These do not take it, although they answer.
    Tried(Vec<OperatorId>),
}

impl Engine {
    /// Sends operators what they missed, until the disperser stops.
    pub(crate) async fn run_late(self: Arc<Self>) {
        let longest = Duration::from_secs(self.config.batch.max_resume_age_secs);
        let away = Troubled::new(PAUSE);
        while self.durable.sleep(LOOK).await {
            self.late.prune(self.durable.clock.wall_ms(), longest);
            let mut up = answering(&self.operators_client, self.late.operators(), &away).await;
            while !self.stop.is_cancelled()
                && !self.memory.is_waited_for()
                && let Some((batch, here)) = self.late.take(&up)
            {
                let sending = Arc::clone(&self).send_late(batch, here);
                match tokio::spawn(sending).await {
                    Ok(Some(Sent::Tried(failed))) => {
                        for id in failed {
                            up.remove(&id);
                            away.failed(id, std::time::Instant::now());
                        }
                    }
                    Ok(Some(Sent::Later)) => break,
                    // Its time is over, or it panicked, which costs that batch alone.
                    Ok(None) | Err(_) => {}
                }
            }
            for id in up {
                away.works(&id);
            }
        }
    }

    /// Sends these operators their part of a batch. `None` if it cannot be made again.
    async fn send_late(
        self: Arc<Self>,
        mut batch: LateBatch,
        here: Vec<OperatorIndex>,
    ) -> Option<Sent> {
        let header = &batch.record.header;
        let version = header.protocol().ok()?;
        let units = Units::of(encoded_bytes(version, header.rows, header.blobs))?;
        let Some(memory) = self.memory.try_take(&batch.quorums, units) else {
            self.late.add(batch);
            return Some(Sent::Later);
        };
        // One may be forgotten by now.
        let blobs = self.encode_again(&batch.record).await.ok()?;
        let matrix = Matrix::resume(blobs, Arc::clone(&batch.table), header.clone());
        let matrix = Arc::new(matrix.ok()?);
        let proving = Arc::clone(&matrix);
        // Nobody waits for these: on the threads of the encoders.
        let proofs = self
            .pool
            .encoding
            .run(move || proving.prove(Setup::ethereum()));
        let (proofs, signature) = (proofs.await.ok()?, batch.record.signature?);
        let signed = Arc::new(SignedBatch::new(Arc::clone(&matrix), proofs, signature));
        let timeout = Duration::from_secs(self.config.disperse.attempt_timeout_secs);
        let asking = ask_late(&self.operators_client, &signed, &here, timeout.min(SENDING));
        let (answers, again) = tokio::select! {
            asked = asking => asked,
            () = self.memory.wanted() => (Vec::new(), here.clone()),
            () = self.stop.cancelled() => return None,
        };
        drop(signed);
        batch
            .missing
            .retain(|operator| again.contains(operator) || !here.contains(operator));
        let ids = again.iter().filter_map(|index| {
            let entry = batch.table.operator(*index);
            entry.map(|entry| entry.operator_id)
        });
        let failed = ids.collect();
        if !answers.is_empty() {
            self.metrics.late_signatures.inc_by(answers.len() as u64);
            batch.signed.extend(answers);
            batch.signed.sort_by_key(|(operator, _)| *operator);
            let (signed, quorums) = (batch.signed.clone(), matrix.signed_by(&batch.signed).ok()?);
            let better = self.better(&mut batch.record, &matrix, signed, quorums);
            let certificate = better.await;
            drop((matrix, memory));
            self.tell(&batch, certificate).await;
        }
        self.late.add(batch);
        Some(Sent::Tried(failed))
    }

    /// Hands the certificate to all who signed.
    async fn tell(&self, batch: &LateBatch, certificate: Option<Certificate>) {
        let signers = batch.record.signers.clone();
        let telling = spread(&self.operators_client, &batch.table, signers, certificate);
        let _ = self.stop.run_until_cancelled(telling).await;
    }
}

/// Who of these answers a ping.
async fn answering(
    client: &Arc<OperatorClient>,
    operators: HashMap<OperatorId, (Arc<OperatorTable>, OperatorIndex)>,
    away: &Troubled<OperatorId>,
) -> BTreeSet<OperatorId> {
    let now = std::time::Instant::now();
    let due = operators
        .into_iter()
        .filter(|(id, _)| away.until(id).is_none_or(|until| until <= now));
    futures::stream::iter(due)
        .map(|(id, (table, index))| async move {
            if client.answers(&table, index, PATIENCE).await {
                return Some(id);
            }
            away.failed(id, std::time::Instant::now());
            None
        })
        .buffer_unordered(AT_A_TIME)
        .filter_map(|up| async move { up })
        .collect()
        .await
}
