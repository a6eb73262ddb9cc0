//! The thread behind a source.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_proto::TableRoot;
use ashlar_stake::StakeEventKind;
use tokio::sync::mpsc;

use super::*;
use crate::client::ClientConfig;
use crate::types::TableHead;

/// Contents of tables kept: blocks without a change share one.
const CONTENTS: usize = 16;
/// Callers who want a block beyond the newest one known make us ask; not more often than this.
const REFRESH: Duration = Duration::from_millis(20);

type Asking = Pin<Box<dyn Future<Output = Result<TableHead, ClientError>> + Send>>;

pub(super) struct Follower {
    client: LedgerClient,
    shared: Arc<Shared>,
    asked: mpsc::Receiver<Question>,
    proven: PossessionCache,
    /// By the block of their change.
    contents: BTreeMap<u64, Parts>,
    /// The newest block that the service told of, with a table or without.
    block: Option<u64>,
    changed_at: Option<u64>,
    refreshed: Option<Instant>,
    backoff: Duration,
}

impl Follower {
    pub(super) fn new(
        client: LedgerClient,
        shared: Arc<Shared>,
        asked: mpsc::Receiver<Question>,
    ) -> Self {
        Self {
            client,
            shared,
            asked,
            proven: PossessionCache::default(),
            contents: BTreeMap::new(),
            block: None,
            changed_at: None,
            refreshed: None,
            backoff: Duration::ZERO,
        }
    }

    /// Until the source is dropped.
    pub(super) async fn run(mut self) {
        let mut asking = self.ask();
        loop {
            tokio::select! {
                question = self.asked.recv() => match question {
                    None => return,
                    Some(question) => {
                        let result = self.answer(question.block).await;
                        // Nobody there: it did not want to wait any longer.
                        let _ = question.answer.send(result);
                    }
                },
                told = &mut asking => {
                    let result = match told {
                        Ok(head) => match self.check_history(head.block).await {
                            Ok(()) => self.take_over(head).await,
                            Err(problem) => Err(problem),
                        },
                        Err(error) => Err(self.shared.failed(&error)),
                    };
                    self.settle(result);
                    asking = self.ask();
                }
            }
        }
    }

    /// The next question for the head: after the back-off, answered when there is a newer block.
    fn ask(&self) -> Asking {
        let (client, service) = (self.client.clone(), self.shared.service);
        let after = self.block.map(|block| (block, self.shared.config.poll));
        let random = getrandom::u64().unwrap_or(0);
        let half = u64::try_from(self.backoff.as_micros() / 2).unwrap_or(0);
        let wait = self
            .backoff
            .saturating_sub(Duration::from_micros(random % (half + 1)));
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            client.table_head(service, after).await
        })
    }

    fn settle(&mut self, result: Result<(), StakeError>) {
        let config = &self.shared.config;
        match result {
            Ok(()) => {
                self.backoff = Duration::ZERO;
                let before = self.shared.write(|state| state.problem.take());
                if before.is_some() {
                    tracing::info!(url = self.shared.url, "the ledger is followed again");
                }
            }
            Err(problem) => {
                self.backoff = (self.backoff * 2).clamp(config.backoff, config.backoff_max);
                let before = self
                    .shared
                    .write(|state| state.problem.replace(problem.clone()));
                if before.is_none() {
                    tracing::warn!(code = problem.code(), "{problem}");
                }
            }
        }
    }

    /// After a failure the ledger behind the address may be another one: the newest table that is here is compared with what it says
    /// of that block.
    async fn check_history(&self, head: u64) -> Result<(), StakeError> {
        if self.backoff.is_zero() {
            return Ok(());
        }
        let newest = self.shared.read(|state| {
            state
                .tables
                .iter()
                .next_back()
                .map(|(block, table)| (*block, Arc::clone(table)))
        });
        let Some((block, table)) = newest.filter(|(block, _)| *block <= head) else {
            return Ok(());
        };
        let told = self.client.table_root(self.shared.service, block).await;
        match told {
            Ok(view) => self.same_root(block, &table, view.root),
            Err(error) if matches!(error.code(), "table.no_operators" | "state.not_found") => {
                Err(self.shared.unavailable(
                    "stake.rewound",
                    format!(
                        "it has no table of block {block}, and had one before: another ledger?"
                    ),
                ))
            }
            Err(error) => Err(self.shared.failed(&error)),
        }
    }

    async fn answer(&mut self, block: u64) -> Result<Arc<OperatorTable>, StakeError> {
        if let Some(table) = self.known(block) {
            return Ok(table);
        }
        // In a back-off: what is not here cannot be had now, and callers need not wait to hear it.
        if let Some(problem) = self.shared.read(|state| state.problem.clone()) {
            return Err(problem);
        }
        let soon = |at: Instant| at.elapsed() < REFRESH;
        if self.block.is_none_or(|known| block > known) && !self.refreshed.is_some_and(soon) {
            self.refreshed = Some(Instant::now());
            let told = self.client.table_head(self.shared.service, None).await;
            let head = told.map_err(|error| self.shared.failed(&error))?;
            self.take_over(head).await?;
            if let Some(table) = self.known(block) {
                return Ok(table);
            }
        }
        let head = self.block.unwrap_or_default();
        if block > head {
            return Err(StakeError::UnknownBlock { block, head });
        }
        let told = self.client.table_root(self.shared.service, block).await;
        let view = told.map_err(|error| self.missing(block, &error))?;
        let table = self.make(block, view.root, view.changed_at).await?;
        self.keep(block, &table);
        Ok(table)
    }

    fn known(&self, block: u64) -> Option<Arc<OperatorTable>> {
        self.shared.read(|state| state.tables.get(&block).cloned())
    }

    /// A block of which the service says that it has no table.
    fn missing(&self, block: u64, error: &ClientError) -> StakeError {
        match error.code() {
            "table.no_operators" | "table.future" => StakeError::UnknownBlock {
                block,
                head: self.block.unwrap_or_default(),
            },
            _ => self.shared.failed(error),
        }
    }

    /// Takes a new head over, with its table.
    async fn take_over(&mut self, head: TableHead) -> Result<(), StakeError> {
        let block = head.block;
        if let Some(before) = self.block.filter(|before| block < *before) {
            return Err(self.shared.unavailable(
                "stake.rewound",
                format!("its newest block is {block}, it was {before} before: another ledger?"),
            ));
        }
        let moved = self.block != Some(block);
        if let Some(root) = head.root {
            let table = match self.known(block) {
                Some(table) => self.same_root(block, &table, root).map(|()| table)?,
                None => self.make(block, root, head.changed_at).await?,
            };
            self.keep(block, &table);
            if let Some(changed_at) = head.changed_at.filter(|at| self.changed_at < Some(*at)) {
                self.tell(changed_at, block).await?;
            }
        }
        self.block = Some(block);
        self.shared.write(|state| {
            state.block_ms = head.block_ms;
            if moved {
                state.moved = Instant::now();
            }
            if head.root.is_some() {
                state.head = Some(block);
            }
        });
        Ok(())
    }

    /// An event for the newest change. Its root is that of the block of the change, which may be a table we never had.
    async fn tell(&mut self, changed_at: u64, head: u64) -> Result<(), StakeError> {
        let at = match self.known(changed_at) {
            Some(table) => Some(table.root()),
            None => {
                let told = self
                    .client
                    .table_root(self.shared.service, changed_at)
                    .await;
                match told {
                    Ok(view) => {
                        let table = self.make(changed_at, view.root, view.changed_at).await?;
                        Some(table.root())
                    }
                    Err(error) => match self.missing(changed_at, &error) {
                        // The change took the last stake away; it came back since.
                        StakeError::UnknownBlock { .. } => None,
                        problem => return Err(problem),
                    },
                }
            }
        };
        self.changed_at = Some(changed_at);
        tracing::info!(head, changed_at, "the operator table changed");
        let Some(root) = at else { return Ok(()) };
        self.shared.write(|state| {
            state.events.push_back(StakeEvent {
                cursor: changed_at.saturating_add(1),
                kind: StakeEventKind::Table {
                    block: changed_at,
                    root,
                },
            });
            if state.events.len() > EVENTS {
                state.events.pop_front();
            }
        });
        Ok(())
    }

    fn same_root(
        &self,
        block: u64,
        table: &OperatorTable,
        got: TableRoot,
    ) -> Result<(), StakeError> {
        let expected = table.root();
        if got == expected {
            return Ok(());
        }
        Err(self.shared.failed(&ClientError::TableRoot {
            service: self.shared.service,
            block,
            got,
            expected,
        }))
    }

    /// A table with this root: from content that is here, else from the service.
    async fn make(
        &mut self,
        block: u64,
        root: TableRoot,
        changed_at: Option<u64>,
    ) -> Result<Arc<OperatorTable>, StakeError> {
        let service = self.shared.service;
        let content = changed_at.and_then(|at| self.contents.get(&at));
        if let Some(content) = content {
            let table = build(content, service, block, &mut self.proven)
                .map_err(|error| self.shared.failed(&error))?;
            self.same_root(block, &table, root)?;
            return Ok(Arc::new(table));
        }
        let path = format!("v1/services/{service}/tables/{block}");
        let view: TableView = self
            .client
            .query(&path)
            .await
            .map_err(|error| self.missing(block, &error))?;
        let at = view.changed_at;
        let (table, content) = build_table(view, service, block, &mut self.proven)
            .map_err(|error| self.shared.failed(&error))?;
        self.same_root(block, &table, root)?;
        if let Some(at) = at {
            self.contents.insert(at, content);
            if self.contents.len() > CONTENTS {
                self.contents.pop_first();
            }
            // The memory of proofs is bounded by what is in use.
            self.proven
                .retain(self.contents.values().flat_map(|(used, _)| used));
        }
        Ok(Arc::new(table))
    }

    fn keep(&self, block: u64, table: &Arc<OperatorTable>) {
        let most = self.shared.config.tables.max(1);
        self.shared.write(|state| {
            state.tables.insert(block, Arc::clone(table));
            while state.tables.len() > most {
                state.tables.pop_first();
            }
        });
    }
}

/// One attempt a question: the source has its own back-off, and says at once that it failed.
pub(super) fn impatient(config: &FollowConfig) -> ClientConfig {
    ClientConfig {
        attempts: 1,
        attempt_timeout: config.patience,
        deadline: config.patience,
        connect_timeout: config.patience.min(Duration::from_secs(3)),
        ..ClientConfig::default()
    }
}
