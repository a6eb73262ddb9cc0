//! The one that changes the ledger: a thread that takes what waits, makes it durable together, and answers then.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use crate::store::{Position, Store};
use ashlar_crypto::AccountSignature;
use ashlar_crypto::{Blame, Coded};
use ashlar_proto::api::Problem;
use ashlar_proto::{Account, Block};
use ashlar_restaking::log::{Entry, Tip};
use ashlar_restaking::{Action, Event, Transaction, TransactionError};
use ashlar_service::metrics::gauge;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::LedgerConfig;
use super::events::EventLog;
use super::health::{self, Health};
use super::metrics::{Kind, Metrics};
use super::nonces::Nonces;
use crate::auth::Authorized;
use crate::types::{Receipt, StateRoot};

/// What comes of a transaction.
pub(crate) type Outcome = Result<Receipt, Box<Problem>>;

/// What the writer is asked to do.
pub(crate) enum Command {
    /// A signed transaction.
    Submit(Box<Authorized>, oneshot::Sender<Outcome>),
    /// Transactions that nobody signed, because what was checked proves itself: evidence, or an answer to a challenge.
    Proven(Vec<Transaction>, oneshot::Sender<Vec<Outcome>>),
    /// The last nonce of an account.
    Nonce(Account, oneshot::Sender<u64>),
    /// The state root.
    Root(oneshot::Sender<StateRoot>),
    /// The next block.
    Tick,
    /// A snapshot, and the end.
    Stop(oneshot::Sender<()>),
}

/// Who waits for the entries of a group.
enum Submitter {
    /// For one entry.
    One {
        key: (Account, u64),
        signature: AccountSignature,
        answer: oneshot::Sender<Outcome>,
    },
    /// For this many entries.
    Many(usize, oneshot::Sender<Vec<Outcome>>),
    /// Nobody: a block.
    Block,
}

pub(crate) struct Writer {
    pub(crate) config: LedgerConfig,
    pub(crate) store: Arc<RwLock<Store>>,
    pub(crate) nonces: Nonces,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) position: watch::Sender<Position>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    pub(crate) answers: Answers,
    /// Slash requests that were executed or cannot be.
    pub(crate) tried: BTreeSet<u64>,
}

/// Answers to transactions that may be asked for again.
#[derive(Debug)]
pub(crate) struct Answers {
    most: usize,
    by_nonce: HashMap<(Account, u64), (AccountSignature, Outcome)>,
    order: VecDeque<(Account, u64)>,
}

impl Answers {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            by_nonce: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The answer to this very transaction. A signature is of one message under one key.
    fn find(&self, key: &(Account, u64), signature: &AccountSignature) -> Option<Outcome> {
        self.by_nonce
            .get(key)
            .filter(|(of, _)| of == signature)
            .map(|(_, outcome)| outcome.clone())
    }

    fn keep(&mut self, key: (Account, u64), signature: AccountSignature, outcome: Outcome) {
        if self.by_nonce.insert(key, (signature, outcome)).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.most {
            if let Some(oldest) = self.order.pop_front() {
                self.by_nonce.remove(&oldest);
            }
        }
    }
}

pub(crate) fn refused(refusal: &TransactionError) -> Box<Problem> {
    let status = match refusal.blame() {
        Blame::Us => 500,
        _ => match refusal {
            TransactionError::NotAllowed { .. } => 403,
            TransactionError::SameFault { .. } => 409,
            _ => 422,
        },
    };
    Box::new(Problem::from_coded(status, refusal))
}

impl Writer {
    /// Until it is told to stop, or a write fails.
    pub(crate) fn run(mut self) -> Result<(), String> {
        while let Some(first) = self.commands.blocking_recv() {
            // Dropped without a word, as by a crash: nothing more is acknowledged.
            if self.stop.is_cancelled() && !matches!(first, Command::Stop(_)) {
                continue;
            }
            if let Some(done) = self.group(first)? {
                self.snapshot();
                let _ = done.send(());
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes what waits, up to the limit, and makes it durable. Gives whoever asked to stop.
    fn group(&mut self, first: Command) -> Result<Option<oneshot::Sender<()>>, String> {
        let begun = Instant::now();
        let (mut entries, mut waiting) = (Vec::new(), Vec::new());
        let tip = self.read(Store::tip);
        let mut block = self.read(|store| store.state().meta().block);
        let (mut next, mut ticked) = (Some(first), false);
        let mut last = None;
        while let Some(command) = next.take() {
            match command {
                Command::Submit(authorized, answer) => {
                    self.take(tip, block, *authorized, answer, &mut entries, &mut waiting);
                }
                Command::Proven(transactions, answer) => {
                    waiting.push(Submitter::Many(transactions.len(), answer));
                    entries.extend(
                        transactions
                            .into_iter()
                            .map(|transaction| Entry::Transaction(block, Box::new(transaction))),
                    );
                }
                Command::Nonce(account, answer) => {
                    let _ = answer.send(self.nonces.last(&account));
                }
                Command::Tick => {
                    block = block.saturating_add(1);
                    entries.push(Entry::Block(block));
                    waiting.push(Submitter::Block);
                    ticked = true;
                }
                other @ (Command::Root(_) | Command::Stop(_)) => {
                    last = Some(other);
                    break;
                }
            }
            if entries.len() < self.config.accept.group {
                next = self.commands.try_recv().ok();
            }
        }
        self.metrics.queue.set(gauge(self.commands.len() as u64));
        if !entries.is_empty() {
            self.metrics.group.observe(entries.len() as f64);
            self.commit(entries, waiting)?;
            self.metrics
                .commit_seconds
                .observe(begun.elapsed().as_secs_f64());
        }
        if ticked {
            self.after_block()?;
        }
        match last {
            Some(Command::Root(answer)) => {
                let root = self.write(|store| StateRoot {
                    block: store.state().meta().block,
                    records: store.tip().records,
                    link: store.tip().link,
                    root: store.root(),
                });
                let _ = answer.send(root);
                Ok(None)
            }
            Some(Command::Stop(done)) => Ok(Some(done)),
            _ => Ok(None),
        }
    }

    /// One transaction: an answer from memory, a refusal, or an entry.
    fn take(
        &mut self,
        tip: Tip,
        block: Block,
        authorized: Authorized,
        answer: oneshot::Sender<Outcome>,
        entries: &mut Vec<Entry>,
        waiting: &mut Vec<Submitter>,
    ) {
        let signed = authorized.signed();
        let sender = authorized.sender();
        let key = (sender, signed.nonce);
        if let Some(outcome) = self.answers.find(&key, &signed.signature) {
            let _ = answer.send(outcome);
            return;
        }
        let last = self.nonces.last(&sender);
        let problem = if signed.nonce <= last {
            Some(
                Problem::new(
                    409,
                    "transaction.nonce",
                    Blame::Caller,
                    format!(
                        "nonce {} of account {sender} is used: use one larger than {last}",
                        signed.nonce
                    ),
                )
                .with(signed.nonce, last.saturating_add(1)),
            )
        } else if !self.nonces.knows(&sender)
            && self.nonces.accounts() >= self.config.access.max_accounts
        {
            Some(Problem::new(
                403,
                "account.too_many",
                Blame::Us,
                format!(
                    "this ledger takes transactions of {} accounts, and they are all taken",
                    self.config.access.max_accounts
                ),
            ))
        } else {
            None
        };
        if let Some(problem) = problem {
            let _ = answer.send(Err(Box::new(problem)));
            return;
        }
        self.nonces.take(tip.records, signed);
        waiting.push(Submitter::One {
            key,
            signature: signed.signature,
            answer,
        });
        entries.push(Entry::Transaction(
            block,
            Box::new(signed.transaction.clone()),
        ));
    }

    /// Applies entries and makes them durable: nonces first, because a transaction must never be on disk while its nonce could
    /// be used again. Answers when both are.
    fn commit(&mut self, entries: Vec<Entry>, waiting: Vec<Submitter>) -> Result<(), String> {
        if let Err(error) = self.nonces.sync() {
            return Err(self.storage_failed(waiting, error.code(), &error.to_string()));
        }
        let kinds: Vec<Option<&'static str>> = entries
            .iter()
            .map(|entry| match entry {
                Entry::Transaction(_, transaction) => Some(transaction.action.name()),
                Entry::Block(_) => None,
            })
            .collect();
        let blocks: Vec<_> = entries.iter().map(Entry::block).collect();
        let before = self.read(Store::tip).records;
        let results = self.write(|store| {
            let results = store.apply_all(entries);
            if let Err(error) = &results {
                // Under the lock: memory is ahead of the disk now, and nobody may read it.
                self.health.raise(health::STORAGE, error.to_string());
            }
            results
        });
        let results = match results {
            Ok(results) => results,
            Err(error) => {
                return Err(self.storage_failed(waiting, error.code(), &error.to_string()));
            }
        };
        let mut record = before;
        let mut outcomes = Vec::with_capacity(results.len());
        for ((result, block), kind) in results.into_iter().zip(blocks).zip(kinds) {
            outcomes.push(self.outcome(&mut record, block, kind, result));
        }
        // Positions before answers: whoever got an answer finds the ledger at it.
        self.publish();
        let mut outcomes = outcomes.into_iter();
        for who in waiting {
            match who {
                Submitter::One {
                    key,
                    signature,
                    answer,
                } => {
                    let Some(outcome) = outcomes.next() else {
                        break;
                    };
                    self.answers.keep(key, signature, outcome.clone());
                    let _ = answer.send(outcome);
                }
                Submitter::Many(count, answer) => {
                    let _ = answer.send(outcomes.by_ref().take(count).collect());
                }
                Submitter::Block => {
                    if let Some(Err(problem)) = outcomes.next() {
                        self.health
                            .raise(health::STORAGE, format!("no next block: {problem}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn outcome(
        &self,
        record: &mut u64,
        block: Block,
        kind: Option<&'static str>,
        result: Result<Vec<Event>, TransactionError>,
    ) -> Outcome {
        match result {
            Ok(events) => {
                *record += 1;
                if let Some(kind) = kind {
                    self.metrics.applied.get_or_create(&Kind { kind }).inc();
                }
                self.events.push(*record, block, &events);
                Ok(Receipt {
                    block,
                    record: *record,
                    events,
                })
            }
            Err(refusal) => {
                if refusal.blame() == Blame::Us {
                    tracing::error!(code = refusal.code(), "{refusal}");
                }
                Err(refused(&refusal))
            }
        }
    }

    /// A write failed: nobody is told that anything was done, and nothing more is.
    fn storage_failed(&self, waiting: Vec<Submitter>, code: &'static str, why: &str) -> String {
        self.health.raise(health::STORAGE, why.to_owned());
        let problem = || {
            let text = format!(
                "{why}; whether the transaction was kept shows when the ledger is started again"
            );
            Box::new(Problem::new(500, code, Blame::Us, text))
        };
        for who in waiting {
            match who {
                Submitter::One { answer, .. } => {
                    let _ = answer.send(Err(problem()));
                }
                Submitter::Many(_, answer) => {
                    let _ = answer.send(vec![Err(problem())]);
                }
                Submitter::Block => {}
            }
        }
        why.to_owned()
    }

    /// What every block brings: requests whose veto window is over, and now and then a snapshot.
    fn after_block(&mut self) -> Result<(), String> {
        let due = self.due_requests();
        if !due.is_empty() {
            let block = self.read(|store| store.state().meta().block);
            let slasher = self.config.evidence.slasher;
            let (done, mut outcomes) = oneshot::channel();
            let entries: Vec<Entry> = due
                .iter()
                .map(|request| {
                    let action = Action::ExecuteSlash { request: *request };
                    let sender = slasher;
                    Entry::Transaction(block, Box::new(Transaction { sender, action }))
                })
                .collect();
            let waiting = vec![Submitter::Many(entries.len(), done)];
            self.commit(entries, waiting)?;
            #[expect(
                clippy::expect_used,
                reason = "a commit that worked has answered everybody who waits for its entries"
            )]
            let outcomes = outcomes.try_recv().expect("the outcomes of a commit");
            for (request, outcome) in due.iter().zip(outcomes) {
                match outcome {
                    Ok(_) => tracing::info!(request, "a slash was executed after its veto window"),
                    Err(problem) => tracing::warn!(request, "a slash is not executed: {problem}"),
                }
            }
            self.tried.extend(due);
        }
        let every = self.config.blocks.snapshot_every;
        let block = self.read(|store| store.state().meta().block);
        if every != 0 && block.0.is_multiple_of(every) {
            self.snapshot();
        }
        Ok(())
    }

    /// Requests made upon evidence, not vetoed, and not tried before.
    fn due_requests(&mut self) -> Vec<u64> {
        let slasher = self.config.evidence.slasher;
        let store = Arc::clone(&self.store);
        let store = store.read().unwrap_or_else(PoisonError::into_inner);
        let state = store.state();
        let block = state.meta().block;
        self.tried
            .retain(|request| state.slash_requests().any(|(open, _)| open == *request));
        state
            .slash_requests()
            .filter(|(id, request)| {
                state
                    .service(request.service)
                    .is_some_and(|service| service.slasher.at(block) == slasher)
                    && request.fault.is_some()
                    && block > request.veto_until
                    && !self.tried.contains(id)
            })
            .map(|(id, _)| id)
            .collect()
    }

    fn snapshot(&mut self) {
        let begun = Instant::now();
        match self.write(Store::snapshot) {
            Ok(()) => self.health.clear(health::SNAPSHOT),
            Err(error) => self.health.raise(health::SNAPSHOT, error.to_string()),
        }
        self.metrics
            .snapshot_seconds
            .observe(begun.elapsed().as_secs_f64());
    }

    fn publish(&self) {
        let position = self.read(Store::position);
        self.metrics.block.set(gauge(position.block.0));
        self.metrics.records.set(gauge(position.records));
        self.metrics
            .accounts
            .set(gauge(self.nonces.accounts() as u64));
        self.position.send_replace(position);
    }

    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.store.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// While this lock is held nobody reads: what a reader sees is on disk.
    fn write<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        change(&mut self.store.write().unwrap_or_else(PoisonError::into_inner))
    }
}
