//! The thin shell around [`Plan`]: sends what it asks for, hands outcomes back, keeps the books for the report.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::wire::{AnswerLimit, Request, Response};
use ashlar_proto::{
    Bitmap, ChunkIndex, ChunkRanges, OperatorEntry, OperatorId, OperatorIndex, TableAccess,
};
use ashlar_stake::OperatorTable;
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::fault::Fault;
use crate::network::Network;
use crate::plan::{Ask, Plan, RequestId, State, Stop, StopReason, Verdict};
use crate::report::{OperatorReport, Skipped, millis};

/// What came of one request.
pub struct Outcome<T> {
    /// Indices delivered and found good, each with what is kept of it.
    pub items: Vec<(ChunkIndex, T)>,
    /// Indices delivered whose KZG proof does not hold (audit path only).
    pub bad: Vec<ChunkIndex>,
    /// Bulk bytes received.
    pub bytes: u64,
    /// What was wrong, if anything.
    pub fault: Option<Fault>,
}

impl<T> Outcome<T> {
    /// Nothing came of it.
    pub(crate) fn failed(fault: Fault, bytes: u64) -> Self {
        Self {
            items: Vec::new(),
            bad: Vec::new(),
            bytes,
            fault: Some(fault),
        }
    }
}

/// Tells the plan that an answer is here, before it is checked.
pub struct Arrival {
    request: RequestId,
    // Unbounded, and yet at most one message a request in flight.
    tell: mpsc::UnboundedSender<RequestId>,
}

impl Arrival {
    /// The answer is here.
    pub(crate) fn note(self) {
        // Nobody listens any more: then the request is not wanted any more either.
        let _ = self.tell.send(self.request);
    }
}

/// What of an answer holds: items, indices whose proof does not hold, and what was wrong beside them.
pub(crate) type Checked<T> = (Vec<(ChunkIndex, T)>, Vec<ChunkIndex>, Option<Fault>);

/// Asks one operator, and checks its answer on a thread that may compute.
pub(crate) async fn ask<T: Send + 'static>(
    network: &dyn Network,
    operator: &OperatorEntry,
    ask: &Ask,
    arrival: Arrival,
    request: impl FnOnce(ChunkRanges) -> Result<(Request, AnswerLimit), Fault>,
    check: impl FnOnce(Response, Bytes, &ChunkRanges) -> Result<Checked<T>, Fault> + Send + 'static,
) -> Outcome<T> {
    let asked = async {
        let indices = ChunkRanges::from_indices(&ask.indices).map_err(|error| internal(&error))?;
        let (request, limit) = request(indices.clone())?;
        let answer = network.ask(operator, request, limit, ask.timeout).await?;
        Ok((indices, answer))
    };
    let (indices, (response, bulk)) = match asked.await {
        Ok(answer) => answer,
        Err(fault) => return Outcome::failed(fault, 0),
    };
    arrival.note();
    let bytes = bulk.len() as u64;
    if let Response::Error(error) = response {
        let fault = Fault::refused(&error.code, error.blame, &error.message);
        return Outcome::failed(fault, bytes);
    }
    let checked = tokio::task::spawn_blocking(move || check(response, bulk, &indices)).await;
    match checked.unwrap_or_else(|error| Err(internal(&error))) {
        Ok((items, bad, fault)) => Outcome {
            items,
            bad,
            bytes,
            fault,
        },
        Err(fault) => Outcome::failed(fault, bytes),
    }
}

/// A bug, or a broken machine.
pub(crate) fn internal(error: &dyn std::fmt::Display) -> Fault {
    Fault::Internal {
        reason: error.to_string(),
    }
}

/// What an operator did with a request, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conduct {
    /// Answered it.
    Answered,
    /// Did not answer, or not in time.
    Late,
    /// Refused it, or did not have what it is assigned.
    Refused,
    /// Sent something wrong.
    Wrong,
}

/// How one request went.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Who was asked.
    pub operator: OperatorId,
    /// Where.
    pub address: String,
    /// What it did.
    pub conduct: Conduct,
    /// From sending to the answer, or to the end of waiting for it.
    pub after: Duration,
    /// Bulk bytes of the answer.
    pub bytes: u64,
    /// Stable code of the fault; empty if there was none.
    pub code: String,
    /// The fault in words.
    pub reason: String,
}

/// What a whole gathering brought.
pub struct Gathered<T> {
    /// One item for each distinct index.
    pub items: BTreeMap<ChunkIndex, T>,
    /// Indices with a proof that does not hold, ascending.
    pub bad: Vec<ChunkIndex>,
    /// How it ended; never `Working`.
    pub state: State,
    /// Chunk indices requested.
    pub requested: u64,
    /// Bulk bytes received.
    pub bytes: u64,
    /// Who was asked for what.
    pub operators: Vec<OperatorReport>,
    /// Who did not help.
    pub skipped: Vec<Skipped>,
    /// How each request went that ended by itself, or was given up for its operator's silence.
    pub observations: Vec<Observation>,
}

struct Running {
    ask: Ask,
    sent: Instant,
    /// When its answer was here, from `sent` on. Checking it is our own time.
    answered: Option<Duration>,
    abort: AbortHandle,
}

/// The books.
struct Ledger<'a> {
    table: &'a OperatorTable,
    signers: &'a Bitmap,
    operators: BTreeMap<OperatorIndex, (OperatorReport, Instant)>,
    skipped: Vec<Skipped>,
    observations: Vec<Observation>,
}

impl Ledger<'_> {
    fn asked(&mut self, ask: &Ask, entry: &OperatorEntry) {
        let (report, _) = self.operators.entry(ask.operator).or_insert_with(|| {
            let report = OperatorReport {
                operator: entry.operator_id,
                index: ask.operator,
                address: entry.address.clone(),
                signer: self.signers.contains(ask.operator),
                requests: 0,
                requested: 0,
                good: 0,
                bytes: 0,
                ms: 0,
            };
            (report, Instant::now())
        });
        report.requests += 1;
        report.requested += u32::try_from(ask.indices.len()).unwrap_or(u32::MAX);
    }

    fn answered(&mut self, operator: OperatorIndex, good: usize, bytes: u64) {
        if let Some((report, since)) = self.operators.get_mut(&operator) {
            report.good += u32::try_from(good).unwrap_or(u32::MAX);
            report.bytes += bytes;
            report.ms = millis(since.elapsed());
        }
    }

    fn observed(&mut self, running: &Running, bytes: u64, fault: Option<&Fault>) {
        let conduct = fault.map_or(Some(Conduct::Answered), Fault::conduct);
        let entry = self.table.operator(running.ask.operator);
        let (Some(conduct), Some(entry)) = (conduct, entry) else {
            return;
        };
        self.observations.push(Observation {
            operator: entry.operator_id,
            address: entry.address.clone(),
            conduct,
            after: running.answered.unwrap_or_else(|| running.sent.elapsed()),
            bytes,
            code: fault.map_or_else(String::new, |fault| fault.code().to_owned()),
            reason: fault.map_or_else(String::new, ToString::to_string),
        });
    }

    /// One line for each operator and code: three timeouts are one reason.
    fn skip(&mut self, operator: OperatorIndex, fault: &Fault) {
        let Some(entry) = self.table.operator(operator) else {
            return;
        };
        let code = fault.code();
        if self
            .skipped
            .iter()
            .any(|skipped| skipped.index == Some(operator) && skipped.code == code)
        {
            return;
        }
        tracing::debug!(operator = operator.0, code, %fault, "operator skipped");
        self.skipped.push(Skipped {
            operator: Some(entry.operator_id),
            index: Some(operator),
            address: entry.address.clone(),
            code: code.to_owned(),
            blame: fault.blame(),
            reason: fault.to_string(),
        });
    }
}

/// Runs `plan` to its end. `request` sends one request and checks the answer; it is dropped when the request is
/// abandoned, and its time limit is enforced here. `start` is the plan's time zero.
pub async fn gather<T, F, R>(
    mut plan: Plan,
    start: Instant,
    table: &OperatorTable,
    signers: &Bitmap,
    request: R,
) -> Gathered<T>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
    R: Fn(OperatorEntry, Ask, Arrival) -> F,
{
    let mut ledger = Ledger {
        table,
        signers,
        operators: BTreeMap::new(),
        skipped: Vec::new(),
        observations: Vec::new(),
    };
    let mut running: HashMap<RequestId, Running> = HashMap::new();
    // Aborts everything still running when this future is dropped.
    let mut tasks: JoinSet<(RequestId, Outcome<T>)> = JoinSet::new();
    let mut ids: HashMap<tokio::task::Id, RequestId> = HashMap::new();
    let (tell, mut arrivals) = mpsc::unbounded_channel();
    let mut items = BTreeMap::new();
    let mut bad = Vec::new();
    let mut bytes = 0;
    let state = loop {
        let step = plan.poll(start.elapsed());
        for Stop {
            request,
            operator,
            reason,
        } in step.stops
        {
            let Some(stopped) = running.remove(&request) else {
                continue;
            };
            stopped.abort.abort();
            ids.remove(&stopped.abort.id());
            let after_ms = millis(stopped.sent.elapsed());
            let fault = match reason {
                StopReason::Expired => Fault::Timeout { after_ms },
                StopReason::Overtaken => Fault::Slow { after_ms },
                StopReason::Unneeded | StopReason::Dropped => continue,
            };
            ledger.observed(&stopped, 0, Some(&fault));
            ledger.skip(operator, &fault);
        }
        for ask in step.asks {
            // Holders come from this table: the entry exists.
            let Some(entry) = table.operator(ask.operator) else {
                continue;
            };
            ledger.asked(&ask, entry);
            let id = ask.request;
            let arrival = Arrival {
                request: id,
                tell: tell.clone(),
            };
            let work = request(entry.clone(), ask.clone(), arrival);
            let abort = tasks.spawn(async move { (id, work.await) });
            ids.insert(abort.id(), id);
            let sent = Instant::now();
            let request = Running {
                ask,
                sent,
                answered: None,
                abort,
            };
            running.insert(id, request);
        }
        let State::Working { wake_at } = step.state else {
            break step.state;
        };
        let (id, outcome) = tokio::select! {
            // First, so that an arrival is never seen behind the deadline that it has met.
            biased;
            Some(id) = arrivals.recv() => {
                plan.received(start.elapsed(), id);
                if let Some(request) = running.get_mut(&id) {
                    request.answered = Some(request.sent.elapsed());
                }
                continue;
            }
            Some(joined) = tasks.join_next_with_id() => match joined {
                Ok((task, finished)) => {
                    ids.remove(&task);
                    finished
                }
                Err(error) => match ids.remove(&error.id()) {
                    Some(id) => (id, Outcome::failed(Fault::Internal { reason: error.to_string() }, 0)),
                    None => continue, // one that was stopped
                },
            },
            () = sleep_until(start + wake_at) => continue,
        };
        let Some(finished) = running.remove(&id) else {
            continue;
        };
        let good: Vec<_> = outcome.items.iter().map(|(index, _)| *index).collect();
        let verdict = outcome
            .fault
            .as_ref()
            .map_or(Verdict::Answered, Fault::verdict);
        if !plan.settle(start.elapsed(), id, &good, verdict) {
            continue;
        }
        plan.spoilt(outcome.bytes, good.len());
        bytes += outcome.bytes;
        ledger.observed(&finished, outcome.bytes, outcome.fault.as_ref());
        ledger.answered(finished.ask.operator, good.len(), outcome.bytes);
        if let Some(fault) = &outcome.fault {
            ledger.skip(finished.ask.operator, fault);
        }
        bad.extend(outcome.bad);
        items.extend(outcome.items);
    };
    bad.sort_unstable();
    bad.dedup();
    Gathered {
        items,
        bad,
        state,
        requested: plan.requested(),
        bytes,
        operators: ledger
            .operators
            .into_values()
            .map(|(report, _)| report)
            .collect(),
        skipped: ledger.skipped,
        observations: ledger.observations,
    }
}
