//! Follows the newest head of one ledger.

use ashlar_proto::Block;
use ashlar_service::Backoff;

use super::tables::{TableBuilder, take, vouch};
use super::*;

pub(super) struct Follower {
    client: LedgerClient,
    source: usize,
    shared: Arc<Shared>,
    maker: TableBuilder,
    /// The newest block that it told of.
    told: Option<Block>,
    /// Whether what it says of the past was compared since it began to answer.
    compared: bool,
    failures: u32,
}

impl Follower {
    pub(super) fn new(client: LedgerClient, source: usize, shared: Arc<Shared>) -> Self {
        Self {
            client,
            source,
            shared,
            maker: TableBuilder::default(),
            told: None,
            compared: false,
            failures: 0,
        }
    }

    /// Without an end.
    pub(super) async fn run(mut self) {
        loop {
            let result = self.step().await;
            self.settle(result);
            if let Some(before) = self.failures.checked_sub(1) {
                let config = &self.shared.config;
                let backoff = Backoff {
                    base: config.backoff,
                    max: config.backoff_max,
                };
                tokio::time::sleep(backoff.jittered(before)).await;
            }
        }
    }

    /// Asks for the newest head, answered when there is a newer one than the last, and takes it over with its table.
    async fn step(&mut self) -> Result<(), StakeError> {
        let (shared, client, source) = (Arc::clone(&self.shared), self.client.clone(), self.source);
        let failed = |error: ClientError| shared.failed(source, &error);
        let after = self.told.map(|block| (block, shared.config.poll));
        let head = client
            .table_head(shared.service, after)
            .await
            .map_err(failed)?;
        let (signed, block) = (head.signed, head.signed.head.block);
        // After a silence the ledger behind the address may be another one: what it says of the newest block that is remembered is
        // compared first. If it has no head of that one, it was restored, and signs no block a second time.
        let before = shared.memory().newest().map(|before| before.head.block);
        if let Some(before) = before.filter(|before| !self.compared && *before < block) {
            self.ask(before).await?;
        }
        take(&shared, &client, source, &signed, true).await?;
        self.compared = true;
        if !shared.read(|state| state.tables.contains_key(&block)) {
            let (table, changed) = self.maker.make(&shared, &client, source, &signed).await?;
            shared.keep(&table);
            if changed {
                tracing::info!(block = block.0, "the operator table changed");
            }
        }
        shared.write(|state| state.block_ms = head.block_ms);
        self.told = Some(block);
        shared.advance();
        // Another source was asked at another moment: what it told in between is compared, too.
        let newest = shared.read(|state| state.head.map(|(block, _)| block));
        let unconfirmed = shared.memory().unconfirmed(source, newest);
        match unconfirmed {
            Some(block) => self.ask(block).await,
            None => Ok(()),
        }
    }

    /// Has it vouch for a block that others, or it itself, vouched for. That it has no head of it is no fault.
    async fn ask(&self, block: Block) -> Result<(), StakeError> {
        match vouch(&self.shared, &self.client, self.source, block).await {
            Err(StakeError::UnknownBlock { .. }) => Ok(()),
            other => other,
        }
    }

    fn settle(&mut self, result: Result<(), StakeError>) {
        let (shared, source) = (&self.shared, self.source);
        let problem = result.err();
        self.compared &= problem.is_none();
        self.failures = match problem {
            None => 0,
            Some(_) => self.failures.saturating_add(1),
        };
        let before = shared.write(|state| {
            let place = state.problems.get_mut(source)?;
            std::mem::replace(place, problem.clone())
        });
        let url = shared.urls.get(source);
        match (before, problem) {
            (None, Some(problem)) => tracing::warn!(code = problem.code(), "{problem}"),
            (Some(_), None) => tracing::info!(url, "the ledger is followed again"),
            _ => {}
        }
        // Those that still answer decide.
        shared.advance();
    }
}

/// One attempt a question: the source has its own back-off, and says at once that it failed.
pub(super) fn impatient(config: &FollowConfig) -> ClientConfig {
    ClientConfig {
        attempts: 1,
        attempt_timeout: config.patience,
        deadline: config.patience,
        connect_timeout: config.patience.min(Duration::from_secs(3)),
        max_answer: MAX_ANSWER,
        ..ClientConfig::default()
    }
}
