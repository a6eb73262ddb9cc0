//! A stake source that follows a service on one ledger or several, over HTTP.

mod follow;
pub(crate) mod memory;
mod tables;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use ashlar_crypto::Coded as _;
use ashlar_proto::{Block, Domain, Network, TableAccess as _};
use ashlar_restaking::ServiceId;
use ashlar_stake::{
    OperatorTable, PossessionCache, StakeError, StakeSource, TableOrigin, TableRecord, TableSource,
};

use crate::client::{ClientConfig, ClientError, LedgerClient};
use crate::types::TableView;
use memory::{HeadStore, Sources, only};

/// How a source follows its service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowConfig {
    /// Tables of the newest blocks kept; the oldest goes first.
    pub tables: usize,
    /// Tables of older blocks kept; the one that was not asked for longest goes first.
    pub old_tables: usize,
    /// A ledger is asked to answer when there is a new block, at the latest after this.
    pub poll: Duration,
    /// The longest that a caller waits for a table that is not here yet.
    pub patience: Duration,
    /// Without a new block for so long (or for ten block times, if that is longer) the source says that it is stale.
    pub stale_after: Duration,
    /// Wait after a failure; doubles with each.
    pub backoff: Duration,
    /// Longest wait after a failure.
    pub backoff_max: Duration,
    /// The folder in which signed heads are remembered. Without one, a restart forgets what was seen: for commands that look
    /// once.
    pub memory: Option<PathBuf>,
    /// Blocks behind the newest whose heads are remembered on disk, 128 bytes each: at least as many as there are while batches
    /// are stored.
    pub remember: u64,
}

impl Default for FollowConfig {
    /// 256 new tables and 64 old ones, 5 s of waiting at the service, 5 s of a caller's patience, stale after 15 s, back-off from
    /// 100 ms to 5 s, no memory; if there is one, 2^21 blocks of it (24 days of 1 s, 256 MiB).
    fn default() -> Self {
        Self {
            tables: 256,
            old_tables: 64,
            poll: Duration::from_secs(5),
            patience: Duration::from_secs(5),
            stale_after: Duration::from_secs(15),
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            memory: None,
            remember: 1 << 21,
        }
    }
}

/// Questions that wait at a time, for new tables and for old ones each; further callers are told that the source is busy.
const QUESTIONS: usize = 256;
/// Most bytes of an answer: the table of 1024 operators in 16 quorums with thousands of dispersers takes a few MiB.
const MAX_ANSWER: usize = 16 << 20;
/// Blocks beyond the newest one known that a caller may have heard of first.
const AHEAD: u64 = 16;

/// The operator tables of one service, out of ledgers somewhere else.
///
/// A table counts only if its root is in a head that a pinned key signed, or one that followed a pinned key by its own statement.
/// Every table is made here from its content: proofs of possession are checked, and the root is computed. What was seen is
/// remembered: another root for a block that was vouched for before is a [contradiction](StakeError::Contradiction), is written down as
/// proof, and ends every use of the source until a person has looked at it. Several ledgers are compared block by block: a block is new
/// only when all that answer have told the same root.
///
/// A thread follows the newest block. Whoever asks for a table that is here gets it at once, else waits for
/// [`FollowConfig::patience`] at most: for one of the newest blocks at one thread, for an older one at another. So strangers, who can
/// ask a node for any old block, keep nobody from following.
///
/// While the ledgers cannot be reached, head and tables are those seen last, and [`health`](StakeSource::health) says so.
#[derive(Debug)]
pub struct HttpStakeSource {
    shared: Arc<Shared>,
    new: tokio::sync::mpsc::Sender<Question>,
    old: tokio::sync::mpsc::Sender<Question>,
    /// Dropped with the source: then the follower ends.
    _alive: tokio::sync::oneshot::Sender<()>,
}

/// What the threads and their callers share. Whoever needs both locks takes the memory's first.
#[derive(Debug)]
struct Shared {
    service: ServiceId,
    domain: Domain,
    urls: Vec<String>,
    config: FollowConfig,
    memory: Mutex<HeadStore>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    /// The newest block that all live sources vouch for, and its time.
    head: Option<(Block, u64)>,
    /// Time of the newest head that was remembered when this process began: until there is a head, no time is later.
    remembered_ms: Option<u64>,
    tables: BTreeMap<Block, Arc<OperatorTable>>,
    /// Older ones, the one asked for last at the end.
    old: VecDeque<(Block, Arc<OperatorTable>)>,
    /// When the head moved last; before that, when the source began.
    moved: Instant,
    /// Milliseconds between blocks, as the service says it.
    block_ms: u64,
    /// Why the last question to each source failed.
    problems: Vec<Option<StakeError>>,
    /// The contradiction that ended it.
    stopped: Option<StakeError>,
}

impl State {
    /// The sources that answer. Those that were not heard yet are among them: nothing is new before they were.
    fn live(&self) -> Sources {
        (self.problems.iter().enumerate())
            .filter(|(_, problem)| problem.is_none())
            .fold(0, |all, (source, _)| all | only(source))
    }
}

/// A table somebody waits for.
#[derive(Debug)]
struct Question {
    block: Block,
    /// Afterwards nobody waits any more.
    until: Instant,
    answer: std_mpsc::SyncSender<Result<Arc<OperatorTable>, StakeError>>,
}

impl Shared {
    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn memory(&self) -> MutexGuard<'_, HeadStore> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error of all sources together.
    fn unavailable(&self, code: &'static str, reason: impl Into<String>) -> StakeError {
        StakeError::Remote {
            url: self.urls.join(", "),
            code,
            reason: reason.into(),
        }
    }

    /// An error of one source.
    fn failed(&self, source: usize, error: &ClientError) -> StakeError {
        StakeError::Remote {
            url: self
                .urls
                .get(source)
                .cloned()
                .unwrap_or_else(|| self.urls.join(", ")),
            code: ashlar_crypto::Coded::code(error),
            reason: error.to_string(),
        }
    }

    fn head(&self) -> Result<Block, StakeError> {
        self.read(|state| {
            if let Some(stopped) = &state.stopped {
                return Err(stopped.clone());
            }
            let problem = || state.problems.iter().flatten().next().cloned();
            state.head.map(|(block, _)| block).ok_or_else(|| {
                problem()
                    .unwrap_or_else(|| self.unavailable("stake.opening", "it was not reached yet"))
            })
        })
    }

    /// Takes over what the memory has learned: a contradiction, and the newest block that all live sources have told
    /// and whose table is here.
    fn advance(&self) {
        let memory = self.memory();
        self.write(|state| {
            state.stopped = memory.stopped().cloned();
            let Some(&most) = state.tables.keys().next_back() else {
                return;
            };
            let live = state.live();
            // Nobody answers: nothing new can have been vouched for by all.
            if live == 0 {
                return;
            }
            let now = state.head.map(|(block, _)| block);
            if let Some(signed) = memory.agreed(live, now, most)
                && state.tables.contains_key(&signed.head.block)
            {
                state.head = Some((signed.head.block, signed.head.time_ms));
                state.moved = Instant::now();
            }
        });
    }

    fn keep(&self, table: &Arc<OperatorTable>) {
        let block = table.header().reference_block;
        self.write(|state| {
            state.tables.insert(block, Arc::clone(table));
            while state.tables.len() > self.config.tables.max(1) {
                state.tables.pop_first();
            }
        });
    }

    fn keep_old(&self, table: &Arc<OperatorTable>) {
        let block = table.header().reference_block;
        self.write(|state| {
            state.old.retain(|(of, _)| *of != block);
            state.old.push_back((block, Arc::clone(table)));
            while state.old.len() > self.config.old_tables.max(1) {
                state.old.pop_front();
            }
        });
    }
}

/// The ledgers that a source of tables names.
pub(crate) struct Ledgers<'a> {
    pub(crate) urls: Vec<&'a str>,
    pub(crate) network: Network,
    pub(crate) service: ServiceId,
    /// One for each URL.
    pub(crate) clients: Vec<LedgerClient>,
}

/// With clients of these settings that trust what the source trusts. `file` says why a file will not do.
pub(crate) fn ledgers<'a>(
    source: &'a TableSource,
    config: ClientConfig,
    file: &str,
) -> Result<Ledgers<'a>, StakeError> {
    let (urls, network, service) = match source.origin()? {
        TableOrigin::Ledgers {
            urls,
            network,
            service,
        } => (urls, network, service),
        TableOrigin::File(path) => {
            return Err(StakeError::Remote {
                url: path.display().to_string(),
                code: "http.url",
                reason: file.to_owned(),
            });
        }
    };
    let config = ClientConfig {
        ca: source.ca().map(std::path::Path::to_path_buf),
        ..config
    };
    let clients = urls.iter().map(|url| {
        let client = LedgerClient::parse_with(url, config.clone());
        client.map_err(|error| StakeError::Remote {
            url: (*url).to_owned(),
            code: ashlar_crypto::Coded::code(&error),
            reason: error.to_string(),
        })
    });
    let clients = clients.collect::<Result<_, _>>()?;
    Ok(Ledgers {
        urls,
        network,
        service,
        clients,
    })
}

impl HttpStakeSource {
    /// Follows the ledgers that are described. Returns at once; [`wait_ready`](Self::wait_ready) waits for the first table.
    ///
    /// # Errors
    ///
    /// [`StakeError::Source`] if the description does not fit together or names a file; [`StakeError::Remote`] if an address is
    /// none, or the operating system gives no thread; [`StakeError::Memory`] if what was remembered cannot be read.
    pub fn open(source: &TableSource, config: FollowConfig) -> Result<Self, StakeError> {
        let Ledgers {
            urls,
            network,
            service,
            clients,
        } = ledgers(
            source,
            follow::impatient(&config),
            "it is a file, not a ledger",
        )?;
        let urls: Vec<String> = urls.into_iter().map(str::to_owned).collect();
        let memory = HeadStore::open(
            config.memory.as_deref(),
            network,
            service,
            &urls,
            &source.head_keys,
            config.remember,
        )?;
        let shared = Arc::new(Shared {
            service,
            domain: network.domain(u64::from(service)),
            state: RwLock::new(State {
                head: None,
                remembered_ms: memory.newest().map(|newest| newest.head.time_ms),
                tables: BTreeMap::new(),
                old: VecDeque::new(),
                moved: Instant::now(),
                block_ms: 0,
                problems: vec![None; urls.len()],
                stopped: memory.stopped().cloned(),
            }),
            urls,
            memory: Mutex::new(memory),
            config,
        });
        let (alive, ended) = tokio::sync::oneshot::channel();
        let followers: Vec<_> = clients
            .iter()
            .enumerate()
            .map(|(place, client)| {
                follow::Follower::new(client.clone(), place, Arc::clone(&shared))
            })
            .collect();
        spawn("heads", async move {
            let all = futures::future::join_all(followers.into_iter().map(follow::Follower::run));
            tokio::select! {
                _ = all => {}
                _ = ended => {}
            }
        })
        .map_err(|error| shared.unavailable("stake.thread", error.to_string()))?;
        let (new, old) = (
            tables::start(&shared, &clients, tables::Age::New)?,
            tables::start(&shared, &clients, tables::Age::Old)?,
        );
        Ok(Self {
            shared,
            new,
            old,
            _alive: alive,
        })
    }

    /// Waits until there is a head with a table. Blocks the thread.
    ///
    /// # Errors
    ///
    /// Why there is none when the time is over.
    pub fn wait_ready(&self, patience: Duration) -> Result<Block, StakeError> {
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

/// A thread with a runtime of its own.
pub(crate) fn spawn(
    name: &str,
    work: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(format!("ledger-{name}"))
        .spawn(move || runtime.block_on(work))
        .map(drop)
}

impl StakeSource for HttpStakeSource {
    fn domain(&self) -> Domain {
        self.shared.domain
    }

    fn head(&self) -> Result<Block, StakeError> {
        self.shared.head()
    }

    fn head_time_ms(&self) -> Option<u64> {
        self.shared.read(|state| {
            let time = state.head.map(|(_, time)| time);
            time.or(state.remembered_ms)
        })
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        let shared = &self.shared;
        let head = shared.head()?;
        if let Some(table) = shared.known(block) {
            return Ok(table);
        }
        if block > head.saturating_add(AHEAD) {
            return Err(StakeError::UnknownBlock { block, head });
        }
        let newest = u64::try_from(shared.config.tables).unwrap_or(u64::MAX);
        let worker = match block.saturating_add(newest) > head {
            true => &self.new,
            false => &self.old,
        };
        let (answer, answered) = std_mpsc::sync_channel(1);
        let patience = shared.config.patience;
        let question = Question {
            block,
            until: Instant::now() + patience,
            answer,
        };
        worker
            .try_send(question)
            .map_err(|_| shared.unavailable("stake.busy", "too many tables are being fetched"))?;
        answered.recv_timeout(patience).unwrap_or_else(|_| {
            Err(shared.unavailable(
                "stake.timeout",
                format!(
                    "the table of block {block} did not come within {} ms",
                    patience.as_millis()
                ),
            ))
        })
    }

    /// There was a contradiction, the last question to one of the ledgers failed, or no block has come for too long.
    fn health(&self) -> Result<(), StakeError> {
        self.shared.read(|state| {
            let problem = state.stopped.iter().chain(state.problems.iter().flatten());
            if let Some(problem) = problem.into_iter().next() {
                return Err(problem.clone());
            }
            let blocks = Duration::from_millis(state.block_ms.saturating_mul(10));
            let limit = self.shared.config.stale_after.max(blocks);
            let age = state.moved.elapsed();
            if age > limit {
                let reason = match state.head {
                    Some((head, _)) => {
                        format!("no block came after {head} for {} s", age.as_secs())
                    }
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
