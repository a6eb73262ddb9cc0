//! A stake source that follows a service over HTTP.

mod follow;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use ashlar_crypto::Coded as _;
use ashlar_proto::TableView as _;
use ashlar_proto::table::{DisperserEntry, OperatorEntry, operator_id};
use ashlar_stake::ledger::ServiceId;
use ashlar_stake::{
    OperatorTable, PossessionCache, Registration, StakeError, StakeEvent, StakeSource, TableRecord,
};

use crate::client::{ClientError, LedgerClient};
use crate::types::TableView;

/// How a source follows its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowConfig {
    /// Tables kept; the oldest goes first.
    pub tables: usize,
    /// The service is asked to answer when there is a new block, at the latest after this.
    pub poll: Duration,
    /// The longest that a caller waits for a table that is not here yet.
    pub patience: Duration,
    /// Without a new block for so long (or for ten block times, if that is longer) the source says that it is stale.
    pub stale_after: Duration,
    /// Wait after a failure; doubles with each.
    pub backoff: Duration,
    /// Longest wait after a failure.
    pub backoff_max: Duration,
}

impl Default for FollowConfig {
    /// 256 tables, 5 s of waiting at the service, 5 s of a caller's patience, stale after 15 s, back-off from 100 ms to 5 s.
    fn default() -> Self {
        Self {
            tables: 256,
            poll: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            stale_after: Duration::from_secs(15),
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
        }
    }
}

/// Questions that wait at a time; further callers are told that the source is busy.
const QUESTIONS: usize = 256;
/// Events kept.
const EVENTS: usize = 1024;

/// The operator tables of one service, out of a ledger somewhere else.
///
/// A thread of its own follows the newest block and fetches tables; whoever asks for one that is here gets it at once, else
/// waits for [`FollowConfig::patience`] at most. Every table is made here from its content: proofs of possession are checked, the root is
/// computed, and a block whose table changed is refused. What the ledger does not lie about beyond that is for its operator to
/// answer: a root is the service's word, not proven by a chain.
///
/// While the service cannot be reached, head and tables are those seen last, and [`health`](StakeSource::health) says so.
#[derive(Debug)]
pub struct HttpStakeSource {
    shared: Arc<Shared>,
    questions: tokio::sync::mpsc::Sender<Question>,
    patience: Duration,
}

/// What the thread and its callers share.
#[derive(Debug)]
struct Shared {
    service: ServiceId,
    url: String,
    config: FollowConfig,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    /// The newest block with a table.
    head: Option<u64>,
    tables: BTreeMap<u64, Arc<OperatorTable>>,
    events: VecDeque<StakeEvent>,
    /// When the head moved last; before that, when the source began.
    moved: Instant,
    /// Milliseconds between blocks, as the service says it.
    block_ms: u64,
    /// Why the last question to the service failed.
    problem: Option<StakeError>,
}

/// A table somebody waits for.
#[derive(Debug)]
struct Question {
    block: u64,
    answer: std_mpsc::SyncSender<Result<Arc<OperatorTable>, StakeError>>,
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn unavailable(&self, code: &'static str, reason: impl Into<String>) -> StakeError {
        StakeError::Remote {
            url: self.url.clone(),
            code,
            reason: reason.into(),
        }
    }

    fn failed(&self, error: &ClientError) -> StakeError {
        self.unavailable(ashlar_crypto::Coded::code(error), error.to_string())
    }
}

impl HttpStakeSource {
    /// Follows `service` at this client's address. Returns at once; [`wait_ready`](Self::wait_ready) waits for the first table.
    ///
    /// # Errors
    ///
    /// [`StakeError::Remote`] if the operating system gives no thread.
    pub fn start(
        client: LedgerClient,
        service: ServiceId,
        config: FollowConfig,
    ) -> Result<Self, StakeError> {
        let shared = Arc::new(Shared {
            service,
            url: client.base().to_string(),
            state: RwLock::new(State {
                head: None,
                tables: BTreeMap::new(),
                events: VecDeque::new(),
                moved: Instant::now(),
                block_ms: 0,
                problem: None,
            }),
            config,
        });
        let client =
            LedgerClient::with_config(client.base().clone(), follow::impatient(&shared.config))
                .map_err(|error| shared.failed(&error))?;
        let (questions, asked) = tokio::sync::mpsc::channel(QUESTIONS);
        let patience = shared.config.patience;
        let follower = follow::Follower::new(client, Arc::clone(&shared), asked);
        let failed = |error: std::io::Error| shared.unavailable("stake.thread", error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        // It ends when the source is dropped: then nobody can ask any more.
        std::thread::Builder::new()
            .name("ledger-tables".into())
            .spawn(move || runtime.block_on(follower.run()))
            .map_err(failed)?;
        Ok(Self {
            shared,
            questions,
            patience,
        })
    }

    /// Waits until there is a head with a table. Blocks the thread.
    ///
    /// # Errors
    ///
    /// Why there is none when the time is over.
    pub fn wait_ready(&self, patience: Duration) -> Result<u64, StakeError> {
        let end = Instant::now() + patience;
        loop {
            let result = self
                .head()
                .and_then(|head| self.table_at(head).map(|_| head));
            match result {
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                other => return other,
            }
        }
    }

    /// The service that is followed.
    pub fn service(&self) -> ServiceId {
        self.shared.service
    }
}

impl StakeSource for HttpStakeSource {
    fn head(&self) -> Result<u64, StakeError> {
        self.shared.read(|state| {
            state.head.ok_or_else(|| {
                state.problem.clone().unwrap_or_else(|| {
                    self.shared
                        .unavailable("stake.opening", "it was not reached yet")
                })
            })
        })
    }

    fn table_at(&self, block: u64) -> Result<Arc<OperatorTable>, StakeError> {
        if let Some(table) = self.shared.read(|state| state.tables.get(&block).cloned()) {
            return Ok(table);
        }
        let (answer, answered) = std_mpsc::sync_channel(1);
        self.questions
            .try_send(Question { block, answer })
            .map_err(|_| {
                self.shared
                    .unavailable("stake.busy", "too many tables are being fetched")
            })?;
        answered.recv_timeout(self.patience).unwrap_or_else(|_| {
            Err(self.shared.unavailable(
                "stake.timeout",
                format!(
                    "the table of block {block} did not come within {} ms",
                    self.patience.as_millis()
                ),
            ))
        })
    }

    /// One event for each change that was seen, its cursor the block plus one; changes that came and went between two looks at
    /// the service are left out.
    fn events_since(&self, cursor: u64) -> Result<Vec<StakeEvent>, StakeError> {
        Ok(self.shared.read(|state| {
            state
                .events
                .iter()
                .filter(|event| event.cursor > cursor)
                .copied()
                .collect()
        }))
    }

    /// The last question failed, or no block has come for too long.
    fn health(&self) -> Result<(), StakeError> {
        self.shared.read(|state| {
            if let Some(problem) = &state.problem {
                return Err(problem.clone());
            }
            let blocks = Duration::from_millis(state.block_ms.saturating_mul(10));
            let limit = self.shared.config.stale_after.max(blocks);
            let age = state.moved.elapsed();
            if age > limit {
                let reason = match state.head {
                    Some(head) => format!("no block came after {head} for {} s", age.as_secs()),
                    None => format!("no table came for {} s", age.as_secs()),
                };
                return Err(self.shared.unavailable("stake.stale", reason));
            }
            if state.head.is_none() {
                return Err(self
                    .shared
                    .unavailable("stake.opening", "it was not reached yet"));
            }
            Ok(())
        })
    }
}

/// What a table is made of, checked.
pub(crate) type Parts = (Vec<Registration>, Vec<DisperserEntry>);

fn parts(record: &TableRecord) -> Parts {
    let registrations = record
        .operators
        .iter()
        .map(|operator| Registration {
            entry: OperatorEntry {
                // Not as it is written there: it follows from the key.
                operator_id: operator_id(&operator.bls_public_key),
                bls_public_key: operator.bls_public_key,
                network_key: operator.network_key,
                address: operator.address.clone(),
                stakes: operator.stakes.0.clone(),
            },
            proof_of_possession: operator.proof_of_possession,
        })
        .collect();
    let dispersers = record
        .dispersers
        .iter()
        .map(|disperser| DisperserEntry {
            id: disperser.id,
            network_key: disperser.network_key,
            account: disperser.account,
        })
        .collect();
    (registrations, dispersers)
}

/// Makes the table of a service's answer, and compares its root.
pub(crate) fn build_table(
    view: TableView,
    service: ServiceId,
    block: u64,
    cache: &mut PossessionCache,
) -> Result<(OperatorTable, Parts), ClientError> {
    let made_of = parts(&view.table);
    let table = build(&made_of, service, block, cache)?;
    let (got, expected) = (table.root(), view.root);
    if got != expected {
        return Err(ClientError::TableRoot {
            service,
            block,
            got,
            expected,
        });
    }
    Ok((table, made_of))
}

fn build(
    (registrations, dispersers): &Parts,
    service: ServiceId,
    block: u64,
    cache: &mut PossessionCache,
) -> Result<OperatorTable, ClientError> {
    OperatorTable::register_cached(block, registrations.clone(), dispersers.clone(), cache).map_err(
        |source| ClientError::Table {
            service,
            block,
            source,
        },
    )
}
