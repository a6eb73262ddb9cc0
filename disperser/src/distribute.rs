//! Carries out a [`Dispersal`], which decides what to do and when: sends over the network, verifies signatures, keeps
//! time.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ashlar_crypto::bls::{Signature, SignatureBytes};
use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{Blame, Coded, ProofBytes};
use ashlar_net::{Client, NetError, Peer};
use ashlar_proto::{
    Certificate, OperatorEntry, OperatorId, OperatorIndex, QuorumId, QuorumSigned, TableAccess,
    wire,
};
use ashlar_service::Backoff;
use ashlar_stake::OperatorTable;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::activity::Activity;
use crate::aggregate::{Signed, verify_signatures};
use crate::compute::Threads;
use crate::dispersal::{Action, Dispersal, DispersalParams, FailReason, Failure, FailureKind};
use crate::matrix::{Matrix, MatrixError};
use crate::metrics::{Attempt, Metrics};
use crate::record::OperatorFailure;
use crate::troubled::Troubled;

/// What all dispersals share: the network, and how much of it one operator gets.
pub(crate) struct OperatorClient {
    client: Client,
    per_operator: usize,
    slots: Mutex<HashMap<OperatorId, Arc<Semaphore>>>,
    /// Those that failed, and have not signed since.
    suspects: Troubled<OperatorId>,
    metrics: Arc<Metrics>,
    pub(crate) activity: Activity,
    threads: Threads,
}

impl OperatorClient {
    pub(crate) fn new(
        client: Client,
        per_operator: usize,
        metrics: Arc<Metrics>,
        threads: Threads,
    ) -> Self {
        Self {
            client,
            per_operator,
            slots: Mutex::default(),
            suspects: Troubled::new(SUSPECTED),
            activity: Activity::default(),
            metrics,
            threads,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The slots of one operator, over all batches: one that hangs holds up itself only.
    fn slots(&self, operator: &OperatorId) -> Arc<Semaphore> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            slots
                .entry(*operator)
                .or_insert_with(|| Arc::new(Semaphore::new(self.per_operator))),
        )
    }
}

/// Operators that get a certificate at a time, how often each is tried, and how long.
const SPREAD_AT_A_TIME: usize = 32;
const SPREAD_ATTEMPTS: u32 = 3;
const SPREAD_TIMEOUT: Duration = Duration::from_secs(5);
const SPREAD_BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(5),
};

/// Hands the certificate of a batch to some who signed it, from now on; ends when that is over, and when it is dropped. They keep it
/// for peers that lose their disk; it is enough that some of them have it, so that no certificate waits for this.
pub(crate) fn spread(
    operators: &Arc<OperatorClient>,
    table: &Arc<OperatorTable>,
    signers: Vec<OperatorIndex>,
    certificate: Option<Certificate>,
) -> impl Future<Output = ()> + use<> {
    let task = certificate.map(|certificate| {
        let (operators, table) = (Arc::clone(operators), Arc::clone(table));
        let task = tokio::spawn(hand_over(operators, table, signers, certificate));
        (AbortOnDrop(task.abort_handle()), task)
    });
    async move {
        if let Some((_until_the_end, task)) = task {
            let _ = task.await; // a panic is in the log; the others have it
        }
    }
}

async fn hand_over(
    operators: Arc<OperatorClient>,
    table: Arc<OperatorTable>,
    signers: Vec<OperatorIndex>,
    certificate: Certificate,
) {
    let request = &wire::Request::KeepCertificate(Box::new(wire::KeepCertificate { certificate }));
    let (operators, table) = (&operators, &table);
    futures::stream::iter(signers)
        .for_each_concurrent(SPREAD_AT_A_TIME, |operator| async move {
            let Some(entry) = table.operator(operator) else {
                return;
            };
            let peer = Peer::from(entry);
            for attempt in 0..SPREAD_ATTEMPTS {
                let asked =
                    operators
                        .client
                        .request(&peer, request.clone(), Vec::new(), SPREAD_TIMEOUT);
                let Err(error) = asked.await else { return };
                tracing::debug!(
                    operator = operator.0,
                    code = error.code(),
                    "a certificate was not handed over: {error}"
                );
                if !error.is_transient() {
                    return;
                }
                tokio::time::sleep(SPREAD_BACKOFF.jittered(attempt)).await;
            }
        })
        .await;
}

/// How long a failed operator is asked later than the others; doubles with each further failure.
const SUSPECTED: Backoff = Backoff {
    base: Duration::from_secs(2),
    max: Duration::from_secs(60),
};

impl OperatorClient {
    /// Whether it failed, and has not signed since.
    pub(crate) fn is_suspect(&self, operator: &OperatorId) -> bool {
        let until = self.suspects.until(operator);
        until.is_some_and(|until| Instant::now().into_std() < until)
    }

    /// Whether an operator answers.
    pub(crate) async fn answers(
        &self,
        table: &OperatorTable,
        operator: OperatorIndex,
        patience: Duration,
    ) -> bool {
        let Some(entry) = table.operator(operator) else {
            return false;
        };
        let peer = Peer::from(entry);
        let ping = wire::Request::Ping(wire::Ping { nonce: 0 });
        let asked = self.client.request(&peer, ping, Vec::new(), patience);
        // A refusal is an answer, too.
        matches!(asked.await, Ok(_) | Err(NetError::Remote(_)))
    }

    fn suspect(&self, operator: &OperatorId) {
        let now = Instant::now().into_std();
        self.suspects.failed(*operator, now);
    }
}

/// How far a dispersal has come.
pub(crate) enum DispersalOutcome {
    /// Enough stake signed: these operators, with their verified signatures.
    Certified {
        signed: Vec<(OperatorIndex, Signature)>,
        quorums: Vec<QuorumSigned>,
    },
    /// Certified before, and more have signed since: all of them.
    Improved {
        signed: Vec<(OperatorIndex, Signature)>,
        quorums: Vec<QuorumSigned>,
    },
    /// Enough signatures are a long time coming. Comes at most once.
    Stalled,
    /// It failed.
    Failed {
        reason: FailReason,
        quorums: Vec<QuorumSigned>,
    },
    /// Certified before, and over.
    Done,
}

/// A batch that goes out: every operator gets its part of it.
pub(crate) struct SignedBatch {
    matrix: Arc<Matrix>,
    proofs: Vec<ProofBytes>,
    signature: NetworkSignature,
    commitments: Bytes,
}

impl SignedBatch {
    pub(crate) fn new(
        matrix: Arc<Matrix>,
        proofs: Vec<ProofBytes>,
        signature: NetworkSignature,
    ) -> Self {
        Self {
            commitments: matrix.commitments(),
            matrix,
            proofs,
            signature,
        }
    }
}

/// One dispersal under way. Dropping it stops everything.
pub(crate) struct DispersalRun {
    operators_client: Arc<OperatorClient>,
    batch: Arc<SignedBatch>,
    machine: Dispersal,
    started: Instant,
    /// Nobody has signed yet.
    first: bool,
    tasks: JoinSet<(OperatorIndex, Result<SignatureBytes, Failure>)>,
    verified: HashMap<OperatorIndex, Signature>,
}

impl DispersalRun {
    pub(crate) fn new(
        operators_client: Arc<OperatorClient>,
        batch: SignedBatch,
        params: DispersalParams,
    ) -> Result<Self, MatrixError> {
        let mut members = batch.matrix.members();
        for member in &mut members {
            let entry = batch.matrix.table().operator(member.operator);
            member.suspect =
                entry.is_some_and(|entry| operators_client.is_suspect(&entry.operator_id));
        }
        let machine = Dispersal::new(params, batch.matrix.needs()?, members);
        Ok(Self {
            operators_client,
            batch: Arc::new(batch),
            machine,
            started: Instant::now(),
            first: true,
            tasks: JoinSet::new(),
            verified: HashMap::new(),
        })
    }

    /// Goes on until there is something to say. A call that is dropped may have lost signatures: then drop this, too.
    pub(crate) async fn next(&mut self) -> DispersalOutcome {
        loop {
            let now = self.started.elapsed();
            // An answer given here may be what the next decision waits for: then there is nothing to sleep for.
            let mut again = false;
            for action in self.machine.poll(now) {
                match action {
                    Action::Send {
                        operator,
                        attempt,
                        timeout,
                    } => self.send(operator, attempt, timeout),
                    Action::Verify { signatures } => {
                        self.verify(signatures).await;
                        again = true;
                    }
                    Action::Stalled => return DispersalOutcome::Stalled,
                    Action::Certify { signers } => {
                        let metrics = &self.operators_client.metrics;
                        metrics.stage("threshold", self.started.elapsed());
                        return DispersalOutcome::Certified {
                            signed: self.signatures(&signers),
                            quorums: self.machine.signed(),
                        };
                    }
                    Action::Improve { signers } => {
                        return DispersalOutcome::Improved {
                            signed: self.signatures(&signers),
                            quorums: self.machine.signed(),
                        };
                    }
                    Action::Fail { reason } => {
                        self.tasks.abort_all();
                        return DispersalOutcome::Failed {
                            reason,
                            quorums: self.machine.signed(),
                        };
                    }
                    Action::Done => return DispersalOutcome::Done,
                }
            }
            if again {
                continue;
            }
            let Some(wake) = self.machine.next_wake() else {
                return DispersalOutcome::Done;
            };
            let wake = self.started + wake;
            // A wake in the past is one that a result just changed: poll again.
            if wake <= Instant::now() && self.tasks.is_empty() {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    let now = self.started.elapsed();
                    if self.first && matches!(ended, Ok((_, Ok(_)))) {
                        self.first = false;
                        self.operators_client.metrics.stage("first_signature", now);
                    }
                    match ended {
                        Ok((operator, result)) => {
                            self.machine.answered(now, operator, result);
                            let digest = self.batch.matrix.digest();
                            let stake = self.machine.answering();
                            self.operators_client.activity.answered(&digest, stake);
                        }
                        // A panic is a result already, see `send`; this one cannot be told apart by operator.
                        Err(error) => tracing::error!("an attempt ended without a result: {error}"),
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn signatures(&self, signers: &[OperatorIndex]) -> Vec<(OperatorIndex, Signature)> {
        let signature = |operator| Some((operator, *self.verified.get(&operator)?));
        signers.iter().copied().filter_map(signature).collect()
    }

    fn entry(&self, operator: OperatorIndex) -> Option<&OperatorEntry> {
        self.batch.matrix.table().operator(operator)
    }

    /// The quorums of which too little has answered so far.
    pub(crate) fn lacking(&self) -> Vec<QuorumId> {
        self.machine.lacking()
    }

    /// Those who have signed, and those who have not but may yet: what they said, if anything, was not that they refuse.
    pub(crate) fn late(&self) -> (Vec<(OperatorIndex, Signature)>, BTreeSet<OperatorIndex>) {
        let signed = self
            .verified
            .iter()
            .map(|(operator, signature)| (*operator, *signature));
        let may_yet = |failure: &Option<&Failure>| {
            failure.is_none_or(|failure| failure.kind == FailureKind::Transient)
        };
        let missing = self
            .machine
            .unsigned()
            .filter(|(operator, _, failure)| {
                may_yet(failure) && !self.verified.contains_key(operator)
            })
            .map(|(operator, ..)| operator);
        (signed.collect(), missing.collect())
    }

    /// Who has not signed, and why, as far as known.
    pub(crate) fn failures(&self) -> Vec<OperatorFailure> {
        self.machine
            .unsigned()
            .map(|(operator, attempts, failure)| OperatorFailure {
                operator,
                attempts,
                failure: failure.cloned(),
            })
            .collect()
    }

    fn send(&mut self, operator: OperatorIndex, attempt: u32, timeout: Duration) {
        let (operators_client, batch) =
            (Arc::clone(&self.operators_client), Arc::clone(&self.batch));
        self.tasks.spawn(async move {
            // In a task of its own, so that a panic is a result like any other.
            let work = tokio::spawn({
                let operators_client = Arc::clone(&operators_client);
                async move { attempt_once(&operators_client, &batch, operator, attempt, timeout).await }
            });
            let guard = AbortOnDrop(work.abort_handle());
            let result = work
                .await
                .unwrap_or_else(|error| Err(transient("disperser.attempt", error, Blame::Us)));
            drop(guard);
            (operator, result)
        });
    }

    async fn verify(&mut self, signatures: Vec<(OperatorIndex, SignatureBytes)>) {
        let digest = self.batch.matrix.digest();
        let mut answers: Vec<Signed> = Vec::with_capacity(signatures.len());
        for (operator, signature) in &signatures {
            if let Some(key) = self.batch.matrix.table().public_key(*operator) {
                answers.push((*operator, *key, *signature));
            }
        }
        let asked: Vec<_> = answers.iter().map(|(operator, ..)| *operator).collect();
        let results = self
            .operators_client
            .threads
            .run(move || verify_signatures(&digest.0, &answers))
            .await;
        // If the verification panicked nobody gets a verdict from it; see below.
        let verified = results.into_iter().flatten();
        let mut verdicts: HashMap<OperatorIndex, Result<(), Failure>> = HashMap::new();
        for (operator, result) in asked.into_iter().zip(verified) {
            verdicts.insert(
                operator,
                match result {
                    Ok(signature) => {
                        self.verified.insert(operator, signature);
                        if let Some(entry) = self.entry(operator) {
                            self.operators_client.suspects.works(&entry.operator_id);
                        }
                        Ok(())
                    }
                    Err(error) => {
                        if let Some(entry) = self.entry(operator) {
                            self.operators_client.suspect(&entry.operator_id);
                        }
                        tracing::warn!(
                            operator = operator.0,
                            code = error.code(),
                            "bad signature: {error}"
                        );
                        count(
                            &self.operators_client,
                            &self.batch.matrix,
                            operator,
                            "bad_signature",
                        );
                        Err(Failure {
                            kind: FailureKind::Invalid,
                            code: error.code().to_owned(),
                            message: error.to_string(),
                            blame: Blame::Peer,
                        })
                    }
                },
            );
        }
        // Every signature asked about gets a verdict, or the machine would wait for ever.
        self.machine
            .verified(signatures.into_iter().map(|(operator, _)| {
                let lost = || {
                    Err(transient(
                        "disperser.verify",
                        "the verification failed",
                        Blame::Us,
                    ))
                };
                (operator, verdicts.remove(&operator).unwrap_or_else(lost))
            }));
    }
}

impl Drop for DispersalRun {
    /// Whoever has not answered when nobody waits any more hangs.
    fn drop(&mut self) {
        for operator in self.machine.under_way() {
            if let Some(entry) = self.entry(operator) {
                self.operators_client.suspect(&entry.operator_id);
            }
        }
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends these operators their part, each once; gives the good signatures, and who may be asked again.
pub(crate) async fn ask_late(
    operators_client: &Arc<OperatorClient>,
    batch: &Arc<SignedBatch>,
    operators: &[OperatorIndex],
    timeout: Duration,
) -> (Vec<(OperatorIndex, Signature)>, Vec<OperatorIndex>) {
    let asked = operators.iter().map(|&operator| async move {
        let answer = attempt_once(operators_client, batch, operator, 1, timeout).await;
        (operator, answer)
    });
    let (mut answers, mut again): (Vec<Signed>, _) = (Vec::new(), Vec::new());
    for (operator, answer) in futures::future::join_all(asked).await {
        match (answer, batch.matrix.table().public_key(operator)) {
            (Ok(signature), Some(key)) => answers.push((operator, *key, signature)),
            (Err(failure), _) if failure.kind == FailureKind::Transient => again.push(operator),
            _ => {}
        }
    }
    let digest = batch.matrix.digest();
    let verify = move || {
        let results = verify_signatures(&digest.0, &answers).into_iter();
        let each = answers.iter().zip(results);
        each.filter_map(|((operator, ..), result)| Some((*operator, result.ok()?)))
            .collect()
    };
    let verified = operators_client.threads.run(verify).await;
    // If it panicked the log says so, and nobody has signed.
    (verified.unwrap_or_else(|_| Vec::new()), again)
}

fn transient(code: &str, message: impl std::fmt::Display, blame: Blame) -> Failure {
    Failure {
        kind: FailureKind::Transient,
        code: code.to_owned(),
        message: message.to_string(),
        blame,
    }
}

fn count(
    operators_client: &OperatorClient,
    matrix: &Matrix,
    operator: OperatorIndex,
    result: &'static str,
) {
    if let Some(entry) = matrix.table().operator(operator) {
        let labels = Attempt {
            operator: entry.operator_id.to_string(),
            result,
        };
        operators_client
            .metrics
            .attempts
            .get_or_create(&labels)
            .inc();
    }
}

async fn attempt_once(
    operators_client: &OperatorClient,
    batch: &Arc<SignedBatch>,
    operator: OperatorIndex,
    attempt: u32,
    timeout: Duration,
) -> Result<SignatureBytes, Failure> {
    let began = Instant::now();
    // The client keeps its own deadline; this one also covers the wait for a slot.
    let result = tokio::time::timeout(
        timeout,
        exchange(operators_client, batch, operator, timeout),
    )
    .await
    .unwrap_or_else(|_| {
        Err(transient(
            "disperser.attempt_timeout",
            format!("no answer within {timeout:?}"),
            Blame::Peer,
        ))
    });
    match &result {
        Ok(_) => {
            operators_client
                .metrics
                .sign_seconds
                .observe(began.elapsed().as_secs_f64());
            count(operators_client, &batch.matrix, operator, "signed");
        }
        Err(failure) => {
            let kind = match failure.kind {
                FailureKind::Transient => "transient",
                FailureKind::Refused => "refused",
                FailureKind::Invalid => "invalid",
            };
            count(operators_client, &batch.matrix, operator, kind);
            // One that has too much to do is not to blame, and one that refuses answers at once.
            let broken = failure.kind == FailureKind::Invalid || failure.code.starts_with("net.");
            if broken
                && failure.code != "net.busy"
                && let Some(entry) = batch.matrix.table().operator(operator)
            {
                operators_client.suspect(&entry.operator_id);
            }
            tracing::debug!(
                operator = operator.0,
                attempt,
                code = failure.code,
                "attempt failed: {}",
                failure.message
            );
        }
    }
    result
}

async fn exchange(
    operators_client: &OperatorClient,
    batch: &Arc<SignedBatch>,
    operator: OperatorIndex,
    timeout: Duration,
) -> Result<SignatureBytes, Failure> {
    let began = Instant::now();
    let entry = batch.matrix.table().operator(operator).ok_or_else(|| {
        transient(
            "disperser.attempt",
            "the operator is not in the table",
            Blame::Us,
        )
    })?;
    let peer = Peer::from(entry);
    let slots = operators_client.slots(&entry.operator_id);
    let _slot = slots
        .acquire()
        .await
        .map_err(|error| transient("disperser.attempt", error, Blame::Us))?;
    // Made anew for each attempt and dropped with it: range proofs and headers of a large batch are not small, and most
    // operators need one attempt.
    let batch = Arc::clone(batch);
    let (request, bulk) = tokio::task::spawn_blocking(move || {
        let SignedBatch {
            matrix,
            proofs,
            signature,
            commitments,
        } = &*batch;
        matrix.request(operator, *signature, proofs, commitments)
    })
    .await
    .map_err(|error| transient("disperser.attempt", error, Blame::Us))?
    .map_err(|error| Failure {
        kind: FailureKind::Invalid,
        code: error.code().to_owned(),
        message: error.to_string(),
        blame: error.blame(),
    })?;
    let left = timeout.saturating_sub(began.elapsed());
    let answer = operators_client
        .client
        .request(&peer, request, bulk, left)
        .await
        .map_err(failure_of)?;
    match answer.response {
        wire::Response::Stored(stored) => Ok(stored.signature),
        wire::Response::Error(reply) => Err(refusal(reply)),
        _ => Err(Failure {
            kind: FailureKind::Invalid,
            code: "net.wrong_answer".into(),
            message: "the operator answered with something else than a signature".into(),
            blame: Blame::Peer,
        }),
    }
}

fn failure_of(error: NetError) -> Failure {
    match error {
        NetError::Remote(reply) => refusal(reply),
        error => transient(error.code(), &error, error.blame()),
    }
}

/// An operator's error reply. Its blame is seen from its side: "caller" is us.
fn refusal(reply: wire::ErrorReply) -> Failure {
    let (kind, blame) = match reply.blame {
        Blame::Caller => (FailureKind::Refused, Blame::Us),
        Blame::Us | Blame::Peer => (FailureKind::Transient, Blame::Peer),
    };
    Failure {
        kind,
        code: reply.code,
        message: reply.message,
        blame,
    }
}

/// Most operators that are named in the reason of a failed blob.
const NAMED_FAILURES: usize = 16;

/// Code and reason of a failed dispersal: what signed in each quorum, and who did not and why.
pub(crate) fn explain(
    reason: FailReason,
    quorums: &[QuorumSigned],
    failures: &[OperatorFailure],
    matrix: &Matrix,
) -> (&'static str, String) {
    let needed = matrix.version().confirmation_percent;
    let shares: Vec<String> = quorums
        .iter()
        .map(|q| {
            format!(
                "quorum {}: {:.2} % of stake signed, {needed} % needed",
                q.quorum,
                q.percent()
            )
        })
        .collect();
    let mut names: Vec<String> = failures
        .iter()
        .take(NAMED_FAILURES)
        .map(|failed| {
            let name = matrix.table().operator(failed.operator).map_or_else(
                || failed.operator.to_string(),
                |entry| format!("{} ({})", entry.operator_id, entry.address),
            );
            match &failed.failure {
                Some(failure) => format!(
                    "{name} after {} attempts: {} [{}]",
                    failed.attempts, failure.message, failure.code
                ),
                None => format!("{name}: no answer yet"),
            }
        })
        .collect();
    if failures.len() > NAMED_FAILURES {
        names.push(format!("and {} more", failures.len() - NAMED_FAILURES));
    }
    let (code, what) = match reason {
        FailReason::Deadline => ("dispersal.deadline", "not enough stake signed in time"),
        FailReason::OutOfReach => ("dispersal.out_of_reach", "too many operators failed"),
    };
    (
        code,
        format!(
            "{what}: {}; not signed by {}",
            shares.join(", "),
            names.join("; ")
        ),
    )
}
