//! Makes tables, and answers those who wait for one: one thread for the newest blocks, one for older ones.

use ashlar_proto::Block;
use ashlar_proto::head::SignedHead;
use tokio::sync::mpsc;

use super::*;

/// Which tables a worker is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Of the newest blocks, which batches refer to.
    New,
    /// Of any other block: of old certificates, which anybody may hold.
    Old,
}

/// Starts a worker; it ends when nobody can ask any more.
pub(super) fn start(
    shared: &Arc<Shared>,
    clients: &[LedgerClient],
    age: Age,
) -> Result<mpsc::Sender<Question>, StakeError> {
    let (sender, asked) = mpsc::channel(QUESTIONS);
    let worker = Worker {
        clients: clients.to_vec(),
        shared: Arc::clone(shared),
        maker: TableBuilder::default(),
        age,
    };
    let name = match age {
        Age::New => "tables",
        Age::Old => "old-tables",
    };
    spawn(name, worker.run(asked))
        .map_err(|error| shared.unavailable("stake.thread", error.to_string()))?;
    Ok(sender)
}

struct Worker {
    clients: Vec<LedgerClient>,
    shared: Arc<Shared>,
    maker: TableBuilder,
    age: Age,
}

impl Worker {
    async fn run(mut self, mut asked: mpsc::Receiver<Question>) {
        while let Some(question) = asked.recv().await {
            if Instant::now() < question.until {
                let result = self.answer(question.block).await;
                // Nobody there: it did not want to wait any longer.
                let _ = question.answer.send(result);
            }
        }
    }

    async fn answer(&mut self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        // Somebody before may have asked for the same one.
        if let Some(table) = self.shared.known(block) {
            return Ok(table);
        }
        let (live, problem) = self.shared.read(|state| {
            let problem = state.problems.iter().flatten().next().cloned();
            (state.live(), problem)
        });
        let places = || (0..self.clients.len()).filter(|source| live & only(*source) != 0);
        // In a back-off: what is not here cannot be had now, and callers need not wait to hear it.
        if let Some(problem) = problem.filter(|_| live == 0) {
            return Err(problem);
        }
        let told = places().map(|source| self.vouch(source, block));
        futures::future::try_join_all(told).await?;
        let signed = self.shared.memory().head(block)?;
        let signed = signed.ok_or_else(|| self.shared.unknown(block))?;
        let mut result = Err(self.shared.unknown(block));
        for source in places().collect::<Vec<_>>() {
            let Some(client) = self.clients.get(source) else {
                continue;
            };
            let made = self.maker.make(&self.shared, client, source, &signed).await;
            result = made.map(|(table, _)| table);
            if result.is_ok() {
                break;
            }
        }
        let table = result?;
        match self.age {
            Age::New => self.shared.keep(&table),
            Age::Old => self.shared.keep_old(&table),
        }
        self.shared.advance();
        Ok(table)
    }

    /// Has a source vouch for a block.
    async fn vouch(&self, source: usize, block: Block) -> Result<(), StakeError> {
        let Some(client) = self.clients.get(source) else {
            return Ok(());
        };
        vouch(&self.shared, client, source, block).await
    }
}

/// Asks a source for the head of a block, and takes it.
///
/// # Errors
///
/// [`StakeError::UnknownBlock`] if it has none; else why the head is refused, or the source did not answer.
pub(super) async fn vouch(
    shared: &Shared,
    client: &LedgerClient,
    source: usize,
    block: Block,
) -> Result<(), StakeError> {
    let view = client
        .table_root(shared.service, block)
        .await
        .map_err(|error| shared.missing(source, block, &error))?;
    match view.signed {
        Some(signed) if signed.head.block == block => {
            take(shared, client, source, &signed, false).await
        }
        Some(signed) => Err(shared.failed(
            source,
            &ClientError::Answer {
                url: client.base().to_string(),
                reason: format!(
                    "asked for block {block}, it answers for {}",
                    signed.head.block
                ),
            },
        )),
        None => Err(shared.unknown(block)),
    }
}

/// Takes a head that a source tells. If its key is not known, the source is asked for statements by which a pinned key handed over
/// to it.
pub(super) async fn take(
    shared: &Shared,
    client: &LedgerClient,
    source: usize,
    signed: &SignedHead,
    newest: bool,
) -> Result<(), StakeError> {
    let accept = || {
        let result = {
            let mut memory = shared.memory();
            match newest {
                true => memory.accept_newest(source, signed),
                false => memory.accept(source, signed),
            }
        };
        shared.advance();
        result
    };
    match accept() {
        Err(error) if error.code() == "head.other_key" => {
            let keys = client
                .head_keys()
                .await
                .map_err(|error| shared.failed(source, &error))?;
            let found = shared.memory().follow(source, &keys.successions)?;
            if found { accept() } else { Err(error) }
        }
        result => result,
    }
}

impl Shared {
    /// A table that is here, of a block that all live sources vouch for.
    pub(super) fn known(&self, block: Block) -> Option<Arc<OperatorTable>> {
        let told = self.memory().told_by(block);
        self.write(|state| {
            let live = state.live();
            if let Some(table) = state.tables.get(&block) {
                return Some(Arc::clone(table)).filter(|_| told & live == live);
            }
            // Kept once all vouched for it.
            let place = state.old.iter().position(|(of, _)| *of == block)?;
            let found = state.old.remove(place)?;
            let table = Arc::clone(&found.1);
            state.old.push_back(found);
            Some(table)
        })
    }

    pub(super) fn unknown(&self, block: Block) -> StakeError {
        let head = self.read(|state| state.head.map_or(Block(0), |(head, _)| head));
        StakeError::UnknownBlock { block, head }
    }

    /// A block of which a source says that it has no table.
    fn missing(&self, source: usize, block: Block, error: &ClientError) -> StakeError {
        match error.code() {
            "table.no_operators" | "table.future" | "table.unsigned" => self.unknown(block),
            _ => self.failed(source, error),
        }
    }
}

/// Makes tables, most of them from the content of the one before.
#[derive(Debug, Default)]
pub(super) struct TableBuilder {
    proven: PossessionCache,
    content: Option<TableRecord>,
}

impl TableBuilder {
    /// The table that a head vouches for, and whether its content is not that of the last one made here.
    ///
    /// # Errors
    ///
    /// The source has no such table, or another one.
    pub(super) async fn make(
        &mut self,
        shared: &Shared,
        client: &LedgerClient,
        source: usize,
        signed: &SignedHead,
    ) -> Result<(Arc<OperatorTable>, bool), StakeError> {
        let (block, expected) = (signed.head.block, signed.head.table_root);
        let service = shared.service;
        let failed = |error: ClientError| shared.failed(source, &error);
        let broken = |source| {
            failed(ClientError::Table {
                service,
                block,
                source,
            })
        };
        let domain = signed.head.domain;
        if let Some(content) = &self.content {
            let table = content
                .table(domain, block, &mut self.proven)
                .map_err(broken)?;
            if table.root() == expected {
                return Ok((Arc::new(table), false));
            }
        }
        let path = format!("v1/services/{service}/tables/{block}");
        let view: TableView = client
            .query(&path)
            .await
            .map_err(|error| shared.missing(source, block, &error))?;
        let table = view
            .table
            .table(domain, block, &mut self.proven)
            .map_err(broken)?;
        let got = table.root();
        if got != expected {
            return Err(failed(ClientError::TableRoot {
                service,
                block,
                got,
                expected,
            }));
        }
        // The memory of proofs is bounded by what is in use.
        self.proven.retain([&table]);
        self.content = Some(view.table);
        Ok((Arc::new(table), true))
    }
}
