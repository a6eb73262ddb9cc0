//! What happened lately, for whoever looks at the page: the last batches with their stages and signers, and the pace of the last minutes.
//!
//! In memory and bounded. The pipeline notes what it does and waits for nobody.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_proto::api::{BlobState, SignedQuorum, StageTimes, StakeShare, decimal};
use ashlar_proto::{
    Account, BatchDigest, Block, OperatorId, OperatorIndex, QuorumId, QuorumSigned, Sequence,
    Stake, TableAccess,
};
use ashlar_stake::OperatorTable;
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::Engine;
use crate::matrix::Matrix;
use crate::metrics::Metrics;
use crate::record::{BatchRecord, BlobRecord};
use crate::state::BatchState;

/// Batches that are remembered: signing rates are of these.
const KEPT: usize = 256;
/// The newest of them, which are shown.
const SHOWN: usize = 32;
/// Operators that are shown: those in trouble first, then those with the most stake.
const OPERATORS: usize = 256;
/// Accounts of which the use is counted, and those that are shown: with the most rows.
const ACCOUNTS: usize = 1024;
const ACCOUNTS_SHOWN: usize = 32;
/// Between two samples, and how many are kept: ten minutes.
const INTERVAL: Duration = Duration::from_secs(5);
const SAMPLES: usize = 121;
/// Blobs whose times count for a sample, the last of its interval.
const TIMED: usize = 4096;

/// A batch on its way, or at its end.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BatchActivity {
    /// What operators sign.
    pub(crate) digest: BatchDigest,
    /// The disperser's running number.
    pub(crate) sequence: Sequence,
    /// Block of its operator table.
    pub(crate) reference_block: Block,
    /// Its quorums.
    pub(crate) quorums: Vec<QuorumId>,
    /// Where it is.
    pub(crate) state: BatchState,
    /// Blobs in it.
    pub(crate) blobs: u32,
    /// Rows in it.
    pub(crate) rows: u32,
    /// Payload bytes in it.
    pub(crate) payload_len: u64,
    /// When its first blob was accepted, milliseconds since 1970.
    pub(crate) submitted_at_ms: u64,
    /// When that blob, and then the batch, reached their states. An abandoned batch failed.
    pub(crate) stages: StageTimes,
    /// Operators that signed so far.
    pub(crate) signers: u32,
    /// Operators in the table.
    pub(crate) operators: u32,
    /// Percent of each quorum's stake that have to sign.
    pub(crate) needed_percent: u32,
    /// Stake that signed so far; while it is dispersing, stake that answered with a signature.
    pub(crate) signed: Vec<SignedQuorum>,
    /// Why it was abandoned, as a stable code.
    pub(crate) error: Option<String>,
}

/// An operator of the newest table.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct OperatorActivity {
    /// Operator id.
    pub(crate) operator_id: OperatorId,
    /// Where it listens: `host:port`.
    pub(crate) address: String,
    /// Its stake in each quorum.
    pub(crate) stakes: Vec<StakeShare>,
    /// Whether it signed the last batch that it was asked to sign, and has not failed since. True also if it was asked for none.
    pub(crate) signs: bool,
    /// Certified batches that it signed, of the last 256 batches.
    pub(crate) signed: u32,
    /// Batches that it was asked to sign and did not, of the last 256 batches.
    pub(crate) missed: u32,
    /// Why not, the last time, as a stable code; none if it did not answer.
    pub(crate) failure: Option<String>,
}

/// What an account that has signed for its blobs used since the start.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct AccountActivity {
    /// The account.
    pub(crate) account: Account,
    /// Blobs accepted.
    pub(crate) blobs: u64,
    /// Their rows.
    pub(crate) rows: u64,
    /// Their payload bytes.
    pub(crate) bytes: u64,
    /// What was charged for them, refunds not counted. Decimal.
    #[serde(with = "decimal")]
    #[schema(value_type = String)]
    pub(crate) charged: Stake,
    /// When the last one was accepted, milliseconds since 1970.
    pub(crate) last_ms: u64,
}

/// The counters at a time. Rates are differences of two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Sample {
    /// When, milliseconds since 1970.
    pub(crate) at_ms: u64,
    /// Payload bytes accepted since the start.
    pub(crate) accepted_bytes: u64,
    /// Payload bytes certified since the start.
    pub(crate) certified_bytes: u64,
    /// Blobs certified since the start.
    pub(crate) certified_blobs: u64,
    /// Median of the times from acceptance to certificate of the blobs certified since the last sample, milliseconds; none without any.
    pub(crate) median_ms: Option<u64>,
    /// The time that 95 % of them were faster than.
    pub(crate) p95_ms: Option<u64>,
}

/// A batch with what is only counted.
struct Kept {
    shown: BatchActivity,
    table: Arc<OperatorTable>,
    signers: Arc<[OperatorIndex]>,
    /// Who did not sign.
    missed: Arc<[OperatorIndex]>,
    /// Nobody waits for signatures any more.
    over: bool,
}

/// What one operator did with the batches.
#[derive(Default)]
struct Count {
    signed: u32,
    missed: u32,
    missed_last: bool,
}

#[derive(Default)]
struct State {
    /// Oldest first.
    batches: VecDeque<Kept>,
    /// Why operators did not sign, the last time; none for those that did not answer.
    failures: HashMap<OperatorId, Option<String>>,
    samples: VecDeque<Sample>,
    /// Milliseconds from acceptance to certificate, since the last sample.
    times: VecDeque<u64>,
    accounts: HashMap<Account, AccountActivity>,
}

impl State {
    fn batch(&mut self, digest: &BatchDigest) -> Option<&mut Kept> {
        let mut newest_first = self.batches.iter_mut().rev();
        newest_first.find(|kept| kept.shown.digest == *digest)
    }
}

/// What happened lately.
#[derive(Default)]
pub(crate) struct Activity(Mutex<State>);

impl Activity {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch is on its way. `first` is its first blob.
    pub(crate) fn began(&self, record: &BatchRecord, matrix: &Matrix, first: Option<BlobRecord>) {
        let header = &record.header;
        let composed_ms = header.created_at_ms;
        let stages = first.as_ref().map(|blob| blob.stages);
        let payloads = matrix.blobs().iter().map(|blob| blob.header.payload_len);
        let shown = BatchActivity {
            digest: record.digest(),
            sequence: header.sequence,
            reference_block: header.reference_block,
            quorums: matrix.quorums().to_vec(),
            state: record.state,
            blobs: header.blobs,
            rows: header.rows,
            payload_len: payloads.sum(),
            submitted_at_ms: first.map_or(composed_ms, |blob| blob.submitted_at_ms),
            stages: StageTimes {
                encoding_ms: stages.and_then(|stages| stages.encoding_ms),
                encoded_ms: stages.and_then(|stages| stages.encoded_ms),
                // Of this batch: the blob may have been in another one before.
                batched_ms: Some(composed_ms),
                ..StageTimes::default()
            },
            signers: 0,
            operators: matrix.table().header().operators,
            needed_percent: matrix.version().confirmation_percent,
            signed: Vec::new(),
            error: None,
        };
        let mut state = self.lock();
        if state.batches.len() >= KEPT {
            state.batches.pop_front();
        }
        state.batches.push_back(Kept {
            shown,
            table: Arc::clone(matrix.table()),
            signers: Arc::default(),
            missed: Arc::default(),
            over: false,
        });
    }

    /// So much has answered with a signature, of a batch that is not decided.
    pub(crate) fn answered(&self, digest: &BatchDigest, quorums: Vec<QuorumSigned>) {
        let mut state = self.lock();
        let batch = state.batch(digest);
        if let Some(kept) = batch.filter(|kept| !kept.shown.state.is_terminal()) {
            kept.shown.signed = quorums.into_iter().map(SignedQuorum::from).collect();
        }
    }

    /// Something about a batch changed.
    pub(crate) fn changed(&self, record: &BatchRecord, now_ms: u64) {
        self.note(record, now_ms, false, None);
    }

    /// Nobody waits for signatures of a batch any more: who did not answer has missed it. `error` says why it is abandoned, if it is.
    pub(crate) fn over(&self, record: &BatchRecord, now_ms: u64, error: Option<&str>) {
        self.note(record, now_ms, true, error);
    }

    fn note(&self, record: &BatchRecord, now_ms: u64, over: bool, error: Option<&str>) {
        let mut state = self.lock();
        let Some(kept) = state.batch(&record.digest()) else {
            return;
        };
        let shown = &mut kept.shown;
        shown.state = record.state;
        match record.state {
            BatchState::Composed => {}
            BatchState::Dispersing => shown.stages.reached(BlobState::Dispersing, now_ms),
            BatchState::Certified => shown.stages.reached(BlobState::Certified, now_ms),
            BatchState::Abandoned => shown.stages.reached(BlobState::Failed, now_ms),
        }
        if !record.signed.is_empty() {
            shown.signed.clone_from(&record.signed);
        }
        shown.signers = u32::try_from(record.signers.len()).unwrap_or(u32::MAX);
        shown.error = error.map(str::to_owned);
        kept.over |= over;
        let missed = record.failures.iter().filter(|failed| {
            let signed = record.signers.binary_search(&failed.operator).is_ok();
            !signed && (kept.over || failed.failure.is_some())
        });
        let missed: Vec<_> = missed.collect();
        kept.missed = missed.iter().map(|failed| failed.operator).collect();
        kept.signers = record.signers.as_slice().into();
        let table = Arc::clone(&kept.table);
        for failed in missed {
            let Some(entry) = table.operator(failed.operator) else {
                continue;
            };
            let code = failed.failure.as_ref().map(|failure| failure.code.clone());
            state.failures.insert(entry.operator_id, code);
        }
        if state.failures.len() > table.operators().len() {
            state.failures.retain(|id, _| table.find(id).is_some());
        }
    }

    /// Blobs were certified so long after they were accepted.
    pub(crate) fn certified(&self, ages: impl IntoIterator<Item = Duration>) {
        let mut state = self.lock();
        for age in ages {
            if state.times.len() >= TIMED {
                state.times.pop_front();
            }
            let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            state.times.push_back(millis);
        }
    }

    /// A blob was accepted whose account has signed for it. Where there are too many accounts, who was quiet the longest is forgotten.
    pub(crate) fn accepted(&self, record: &BlobRecord) {
        let account = record.account;
        let mut state = self.lock();
        if state.accounts.len() >= ACCOUNTS && !state.accounts.contains_key(&account) {
            let quietest = state.accounts.values().min_by_key(|of| of.last_ms);
            let quietest = quietest.map(|of| of.account);
            quietest.and_then(|account| state.accounts.remove(&account));
        }
        let of = state.accounts.entry(account);
        let of = of.or_insert_with(|| AccountActivity {
            account,
            blobs: 0,
            rows: 0,
            bytes: 0,
            charged: Stake::ZERO,
            last_ms: 0,
        });
        of.blobs += 1;
        of.rows += u64::from(record.rows);
        of.bytes = of.bytes.saturating_add(record.payload_len);
        if let Some(charge) = &record.charge {
            of.charged = of.charged.saturating_add(charge.amount);
        }
        of.last_ms = record.submitted_at_ms;
    }

    /// The accounts that used most rows.
    pub(crate) fn accounts(&self) -> Vec<AccountActivity> {
        let mut accounts: Vec<_> = self.lock().accounts.values().cloned().collect();
        accounts.sort_by_key(|of| (Reverse(of.rows), of.account));
        accounts.truncate(ACCOUNTS_SHOWN);
        accounts
    }

    fn sample(&self, metrics: &Metrics, at_ms: u64) {
        let mut state = self.lock();
        let mut times: Vec<u64> = state.times.drain(..).collect();
        times.sort_unstable();
        let at_most = |percent: usize| times.get(times.len() * percent / 100).copied();
        if state.samples.len() >= SAMPLES {
            state.samples.pop_front();
        }
        state.samples.push_back(Sample {
            at_ms,
            accepted_bytes: metrics.accepted_bytes.get(),
            certified_bytes: metrics.certified_bytes.get(),
            certified_blobs: metrics.certified_blobs.get(),
            median_ms: at_most(50),
            p95_ms: at_most(95),
        });
    }

    /// The newest batches, newest first.
    pub(crate) fn batches(&self) -> Vec<BatchActivity> {
        let state = self.lock();
        let newest = state.batches.iter().rev().take(SHOWN);
        newest.map(|kept| kept.shown.clone()).collect()
    }

    /// The samples, oldest first.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.lock().samples.iter().copied().collect()
    }

    /// The operators of a table: those in trouble first, then those with the most stake. `failed` says who failed just now.
    pub(crate) fn operators(
        &self,
        table: &OperatorTable,
        failed: impl Fn(&OperatorId) -> bool,
    ) -> Vec<OperatorActivity> {
        let (counted, failures) = {
            let state = self.lock();
            let counted = state.batches.iter().map(|kept| {
                let (signers, missed) = (Arc::clone(&kept.signers), Arc::clone(&kept.missed));
                (Arc::clone(&kept.table), signers, missed)
            });
            (counted.collect::<Vec<_>>(), state.failures.clone())
        };
        let mut counts: HashMap<OperatorId, Count> = HashMap::new();
        for (table, signers, missed) in &counted {
            let id = |index| Some(table.operator(index)?.operator_id);
            for id in signers.iter().filter_map(|index| id(*index)) {
                let count = counts.entry(id).or_default();
                (count.signed, count.missed_last) = (count.signed + 1, false);
            }
            for id in missed.iter().filter_map(|index| id(*index)) {
                let count = counts.entry(id).or_default();
                (count.missed, count.missed_last) = (count.missed + 1, true);
            }
        }
        let each = table.operators().iter().zip(0..).map(|(entry, index)| {
            let count = counts.remove(&entry.operator_id).unwrap_or_default();
            OperatorActivity {
                operator_id: entry.operator_id,
                address: entry.address.clone(),
                stakes: table.shares(OperatorIndex(index)),
                signs: !count.missed_last && !failed(&entry.operator_id),
                signed: count.signed,
                missed: count.missed,
                failure: failures.get(&entry.operator_id).cloned().flatten(),
            }
        });
        let mut operators: Vec<_> = each.collect();
        operators.sort_by_cached_key(|operator| {
            let most = operator.stakes.iter().map(|share| share.percent);
            let most = most.fold(0.0, f64::max);
            (operator.signs, Reverse((most * 100.0) as u64))
        });
        operators.truncate(OPERATORS);
        operators
    }
}

impl Engine {
    /// Takes samples until the disperser stops.
    pub(crate) async fn run_activity(self: Arc<Self>) {
        let activity = &self.operators_client.activity;
        loop {
            activity.sample(&self.metrics, self.durable.clock.wall_ms());
            if !self.durable.sleep(INTERVAL).await {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
