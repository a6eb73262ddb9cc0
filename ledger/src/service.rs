//! The service: a ledger on disk, its blocks, its HTTP interface.
//!
//! ```text
//! HTTP ──(signature)──▶ bounded queue ──▶ writer (one thread) ──▶ nonces.log, sync ──▶ ledger.log, sync ──▶ answers
//! timer ──(next block)──▶      │              └── writes the state under a lock; queries read it
//!                              └── a block is over ──▶ signer ──▶ high water, sync ──▶ heads, sync ──▶ followers
//! ```
//!
//! What waits in the queue is made durable together: two syncs for a group of up to `accept.group` transactions. An answer
//! leaves when both are through. The clock is here and nowhere below: it decides when the next block begins and what time its head
//! states, and nothing in the ledger depends on what time that is.

pub(crate) mod config;
pub(crate) mod events;
pub(crate) mod evidence;
pub(crate) mod health;
pub(crate) mod metrics;
mod nonces;
pub(crate) mod signer;
pub mod signing_floor;
pub(crate) mod writer;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::store::{Position, Store, StoreError};
use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_restaking::log::Entry;
use ashlar_restaking::{Genesis, Transaction};
use ashlar_service::listener::{BindError, Listeners};
use ashlar_service::{OnEnd, Supervisor};
use tokio::sync::{mpsc, oneshot, watch};

pub use config::{Accept, Access, Blocks, ConfigError, Evidence, LedgerConfig, Listen, Paths};

use crate::api::{self, ApiState};
use crate::types::HealthReport;
use events::EventLog;
use health::Health;
use metrics::Metrics;
use nonces::Nonces;
use signer::Signer;
pub use signer::{HeadKeys, SignFault, accept_clock};
use writer::{Answers, Command, Writer};

/// A stop waits so long for what is under way.
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts services.
#[derive(Debug)]
pub struct LedgerService;

impl LedgerService {
    /// Opens the ledger of this configuration, or begins one with the genesis at `paths.genesis`, and serves it at `listen` (port 0
    /// for any that is free). `listen.http` is not looked at. Heads are signed with `keys`.
    ///
    /// HTTP answers while the log is read: health says `opening`, everything else 503.
    ///
    /// # Errors
    ///
    /// [`ServiceError`].
    pub async fn start(
        config: LedgerConfig,
        keys: HeadKeys,
        listen: SocketAddr,
    ) -> Result<RunningLedger, ServiceError> {
        config.validate()?;
        let listeners = Listeners::bind(listen, config.listen.health)?;
        let (addr, health_addr) = (listeners.http_addr(), listeners.health_addr());
        let block_time = Duration::from_millis(config.blocks.interval_ms);
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::default());
        let supervisor = Supervisor::new(Arc::clone(&health));
        let stop = supervisor.stop_token();
        let state = ApiState::new(
            config.clone(),
            Arc::clone(&health),
            Arc::clone(&metrics),
            stop.clone(),
        );
        let apps = api::apps(Arc::clone(&state));
        listeners.serve(&supervisor, apps, config.listener());

        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&opening, keys)).await;
        let (store, nonces, genesis, signer) =
            opened.map_err(|error| ServiceError::Internal {
                what: error.to_string(),
            })??;
        let position = watch::Sender::new(store.position());
        let events = Arc::new(EventLog::new(config.accept.events, store.tip().records));
        let store = Arc::new(RwLock::new(store));
        let (commands, received) = mpsc::channel(config.accept.queue);
        state.open(api::Opened::new(
            genesis,
            Arc::clone(&store),
            commands.clone(),
            position.subscribe(),
            Arc::clone(&events),
            signer.heads(),
        ));
        let blocks = position.subscribe();
        let writer = Writer {
            answers: Answers::new(config.accept.answers),
            config,
            store: Arc::clone(&store),
            nonces,
            commands: received,
            position,
            events,
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
            stop: stop.clone(),
            tried: BTreeSet::new(),
        };
        health.opened();
        supervisor
            .spawn_thread("writer", OnEnd::Stop, move || writer.run())
            .map_err(|error| ServiceError::Internal {
                what: format!("cannot start the thread writer: {error}"),
            })?;
        let stalled = watch_blocks(blocks.clone(), block_time, Arc::clone(&health));
        let watched = stop.clone();
        supervisor.spawn("stalled", OnEnd::Stop, async move {
            watched.run_until_cancelled(stalled).await;
        });
        supervisor.spawn(
            "heads",
            OnEnd::Stop,
            signer.run(
                Arc::clone(&store),
                blocks,
                Arc::clone(&health),
                Arc::clone(&metrics),
                stop.clone(),
            ),
        );
        let ticks = commands.clone();
        supervisor.spawn("blocks", OnEnd::Stop, async move {
            let mut timer = tokio::time::interval(block_time);
            // After a pause the next block comes one block time later: blocks are counted, not caught up with.
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            timer.tick().await;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    _ = timer.tick() => {}
                }
                if ticks.send(Command::Tick).await.is_err() {
                    return;
                }
            }
        });
        let block = read(&store, |store| store.state().meta().block);
        tracing::info!(%addr, block = block.0, "the ledger is open");
        Ok(RunningLedger {
            addr,
            health_addr,
            supervisor,
            commands,
        })
    }

    /// Begins a ledger in a folder, applies transactions to it in its first block as its founder, and goes on to the next one: the first
    /// block is over, and has the tables that follow. Nothing is signed: who sets up a ledger decides what it begins with,
    /// as with a genesis, and the log shows it. Blocks the thread.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Founded`] if there is a ledger already; [`ServiceError::Store`] if a transaction is refused, and the
    /// folder is to be removed.
    pub fn found(
        data: &std::path::Path,
        genesis: &Genesis,
        transactions: &[Transaction],
    ) -> Result<(), ServiceError> {
        if Store::genesis(data)?.is_some() {
            return Err(ServiceError::Founded { path: data.into() });
        }
        let (mut store, _) = Store::open(data, genesis)?;
        let entries = transactions
            .iter()
            .map(|transaction| Entry::Transaction(genesis.block, Box::new(transaction.clone())))
            .chain([Entry::Block(genesis.block.saturating_add(1))]);
        for result in store.apply_all(entries)? {
            result.map_err(StoreError::from)?;
        }
        store.snapshot()?;
        Ok(())
    }
}

/// The store, the nonces, the genesis and the signed heads of what is in the folder, or begun there.
fn open(
    config: &LedgerConfig,
    keys: HeadKeys,
) -> Result<(Store, Nonces, B256, Signer), ServiceError> {
    let data = &config.paths.data;
    let genesis = genesis_of(config)?;
    let (store, recovery) = Store::open(data, &genesis)?;
    if let Some(torn) = &recovery.torn {
        tracing::warn!(
            offset = torn.offset,
            bytes = torn.bytes,
            kept_in = %torn.kept_in.display(),
            "an unfinished record was cut off the log: it was never acknowledged"
        );
    }
    tracing::info!(
        replayed = recovery.replayed,
        records = store.tip().records,
        "the log was read"
    );
    let nonces = Nonces::open(data)?;
    let genesis = genesis.hash();
    let signer = Signer::open(config, keys, genesis, store.state())?;
    Ok((store, nonces, genesis, signer))
}

/// The genesis of the ledger that is there, or is to be begun.
///
/// # Errors
/// What is there cannot be read, or there is neither.
pub fn genesis_of(config: &LedgerConfig) -> Result<Genesis, ServiceError> {
    if let Some(genesis) = Store::genesis(&config.paths.data)? {
        return Ok(genesis);
    }
    let path = &config.paths.genesis;
    let failed = |reason: String| ServiceError::Genesis {
        path: path.into(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
}

fn read<T>(store: &RwLock<Store>, look: impl FnOnce(&Store) -> T) -> T {
    look(&store.read().unwrap_or_else(PoisonError::into_inner))
}

/// A service at work. Dropping it without [`shutdown`](Self::shutdown) stops it as a crash would: nothing acknowledged is lost.
#[derive(Debug)]
pub struct RunningLedger {
    /// Where HTTP listens.
    pub addr: SocketAddr,
    /// Where health answers on its own, if it does.
    pub health_addr: Option<SocketAddr>,
    supervisor: Supervisor,
    commands: mpsc::Sender<Command>,
}

impl RunningLedger {
    /// Its address as a client takes it.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// As `GET /v1/health` says it.
    pub fn health(&self) -> HealthReport {
        self.supervisor.health().report()
    }

    /// Waits until a part ends that the service cannot live without, and says why it did: the process should stop then.
    pub async fn failed(&self) -> String {
        self.supervisor.failed().await
    }

    /// Stops: no new requests; what waits is made durable and answered; a snapshot.
    pub async fn shutdown(self) {
        self.supervisor.health().stopping();
        let (done, stopped) = oneshot::channel();
        let written = async {
            if self.commands.send(Command::Stop(done)).await.is_ok() {
                let _ = stopped.await;
            }
        };
        if tokio::time::timeout(PATIENCE, written).await.is_err() {
            tracing::warn!("the writer did not stop in {PATIENCE:?}");
        }
        self.supervisor.shutdown(PATIENCE).await;
    }
}

/// Raises a cause when no block was made for five block times, and at least five seconds.
async fn watch_blocks(
    mut position: watch::Receiver<Position>,
    block_time: Duration,
    health: Arc<Health>,
) {
    let patience = (block_time * 5).max(Duration::from_secs(5));
    loop {
        let last = position.borrow_and_update().block;
        let next = async { position.wait_for(|now| now.block > last).await.is_ok() };
        match tokio::time::timeout(patience, next).await {
            Ok(true) => health.clear(health::BLOCKS),
            // The writer is gone, and says so itself.
            Ok(false) => return std::future::pending().await,
            Err(_) => {
                let message = format!("no block was made for {} s", patience.as_secs());
                health.raise(health::BLOCKS, message);
            }
        }
    }
}

/// Why a service does not start.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "ledger", blame = Caller)]
pub enum ServiceError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The ledger's folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis of a ledger to begin.
    #[error(
        "there is no ledger yet, and its genesis {} cannot be read: {reason}", path.display()
    )]
    Genesis {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is a ledger where one was to be begun.
    #[error("{} holds a ledger already: choose another folder", path.display())]
    Founded {
        /// The folder.
        path: PathBuf,
    },
    /// The file of used nonces.
    #[error("the nonces in {}: {reason}", path.display())]
    #[coded("store.nonces", blame = Us)]
    Nonces {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// What was signed is not known.
    #[error(transparent)]
    Heads(#[from] SignFault),
    /// Something that should not happen.
    #[error("{what}")]
    #[coded(blame = Us)]
    Internal {
        /// What.
        what: String,
    },
}
