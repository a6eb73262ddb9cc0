//! The HTTP interface. Its OpenAPI document is made from the same declarations as its routes.

mod challenges;
mod general;
mod payments;
mod rewards;
mod state;
mod tables;
mod transactions;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use crate::store::{Position, Store};
use crate::types::{MAX_PAGE, MAX_WAIT_MS};
use alloy_primitives::B256;
use ashlar_proto::Block;
use ashlar_restaking::{ServiceId, State as Ledger};
use ashlar_service::ApiError;
use ashlar_service::api::{Daemon, internal};
use ashlar_service::capacity::{Capacity, Held};
use ashlar_service::extract::Bounded;
use ashlar_service::listener::{Apps, Sender};
use ashlar_stake::OperatorTable;
use axum::Json;
use axum::extract::State;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::service::config::LedgerConfig;
use crate::service::events::EventLog;
use crate::service::health::{self, Health};
use crate::service::metrics::Metrics;
use crate::service::signer::SignedHeads;
use crate::service::writer::Command;

/// What all handlers get.
type Shared = State<Arc<ApiState>>;
/// What most of them answer.
type Answer<T> = Result<Json<T>, ApiError>;
/// How long a request waits, in milliseconds.
type WaitMs = Bounded<0, MAX_WAIT_MS>;
/// Items of a page, at most.
type Limit = Bounded<1, { MAX_PAGE as u64 }>;
/// The longest that a request takes, waiting included.
const DEADLINE: Duration = Duration::from_secs(60);
/// Tables kept ready: who follows asks for the newest, and batches refer to a handful of recent blocks.
const TABLES: usize = 64;

/// What the handlers share.
pub(crate) struct ApiState {
    pub(crate) config: LedgerConfig,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    opened: OnceLock<Arc<Opened>>,
    queries: Arc<Semaphore>,
    checks: Arc<Semaphore>,
    waiters: Capacity,
    bodies: Capacity,
}

/// What there is once the log is read.
pub(crate) struct Opened {
    pub(crate) network: String,
    pub(crate) genesis: B256,
    pub(crate) store: Arc<RwLock<Store>>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) position: watch::Receiver<Position>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) heads: SignedHeads,
    /// By block, so that the oldest goes first.
    tables: Mutex<BTreeMap<(Block, ServiceId), KeptTable>>,
}

/// A table with the block of its last change.
#[derive(Clone)]
pub(crate) struct KeptTable {
    pub(crate) table: Arc<OperatorTable>,
    pub(crate) changed_at: Option<Block>,
}

impl Opened {
    pub(crate) fn new(
        genesis: B256,
        store: Arc<RwLock<Store>>,
        commands: mpsc::Sender<Command>,
        position: watch::Receiver<Position>,
        events: Arc<EventLog>,
        heads: SignedHeads,
    ) -> Self {
        let network = {
            let store = store.read().unwrap_or_else(PoisonError::into_inner);
            store.state().meta().network.clone()
        };
        Self {
            network,
            genesis,
            store,
            commands,
            position,
            events,
            heads,
            tables: Mutex::default(),
        }
    }

    pub(crate) fn position(&self) -> Position {
        *self.position.borrow()
    }
}

impl ApiState {
    pub(crate) fn new(
        config: LedgerConfig,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let retry_after_secs = config.accept.retry_after_secs;
        let capacity = |name, total| Capacity::new(name, total, retry_after_secs);
        Arc::new(Self {
            opened: OnceLock::new(),
            queries: Arc::new(Semaphore::new(config.accept.max_queries)),
            checks: Arc::new(Semaphore::new(config.evidence.max_checks)),
            waiters: capacity("waiters", config.accept.max_waiters as u64),
            bodies: capacity("uploads", config.accept.body_memory_bytes),
            config,
            health,
            metrics,
            stop,
        })
    }

    /// The log is read.
    pub(crate) fn open(&self, opened: Opened) {
        let _ = self.opened.set(Arc::new(opened));
    }

    /// The ledger, if it is open and what is in memory is on disk.
    fn opened(&self) -> Result<&Arc<Opened>, ApiError> {
        let opened = self
            .opened
            .get()
            .ok_or_else(|| self.busy("service.opening", "the log is being read"))?;
        self.check_storage()?;
        Ok(opened)
    }

    /// 503: come back later.
    fn busy(&self, code: &str, detail: impl Display) -> ApiError {
        ApiError::busy(code, detail, self.config.accept.retry_after_secs)
    }

    /// After a write that failed, memory may hold what is not on disk: nobody may see it.
    fn check_storage(&self) -> Result<(), ApiError> {
        match self.health.raised(health::STORAGE) {
            None => Ok(()),
            Some(why) => Err(ApiError::new(
                500,
                "store.failed",
                format!(
                    "the ledger cannot write, and says nothing until it is started again: {why}"
                ),
            )),
        }
    }

    /// Looks at the state on a thread that may block. While it looks, nothing is written.
    async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Ledger) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let opened = Arc::clone(self.opened()?);
        let state = Arc::clone(self);
        self.blocking(&self.queries, move || {
            let store = opened.store.read().unwrap_or_else(PoisonError::into_inner);
            state.check_storage()?;
            look(store.state())
        })
        .await
    }

    /// Answers with what [`look`](Self::look) saw.
    async fn show<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Ledger) -> Result<T, ApiError> + Send + 'static,
    ) -> Answer<T> {
        self.look(look).await.map(Json)
    }

    /// Works on a thread that may block, when a slot is free. The slot is given back when the work ends, not when its caller
    /// stops waiting.
    async fn blocking<T: Send + 'static>(
        &self,
        slots: &Arc<Semaphore>,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let slot = Arc::clone(slots).acquire_owned().await.ok();
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await
        .unwrap_or_else(|_| Err(internal_error()))
    }

    /// One of the places of those who wait for something to happen.
    async fn waiter(&self, sender: Sender) -> Result<Waiter, ApiError> {
        let held = self.waiters.take(sender.network(), 1).await?;
        self.metrics.waiters.inc();
        Ok(Waiter {
            metrics: Arc::clone(&self.metrics),
            held,
        })
    }

    /// Waits until something is where it should be, at most `wait`, not when the service stops, nor when others want the place.
    async fn wait<T>(
        &self,
        sender: Sender,
        wait: Duration,
        mut watched: watch::Receiver<T>,
        reached: impl FnMut(&T) -> bool,
    ) -> Result<(), ApiError> {
        let waiter = self.waiter(sender).await?;
        tokio::select! {
            _ = tokio::time::timeout(wait, watched.wait_for(reached)) => {}
            _ = waiter.held.wanted() => {}
            () = self.stop.cancelled() => {}
        }
        Ok(())
    }

    /// Gives the writer something to do. It is never waited for: a full queue is the caller's to come back for.
    fn command(&self, command: Command) -> Result<(), ApiError> {
        self.opened()?
            .commands
            .try_send(command)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => self.busy(
                    "request.busy",
                    "too many transactions wait for the disk already",
                ),
                mpsc::error::TrySendError::Closed(_) => {
                    self.busy("ledger.stopping", "the ledger is stopping")
                }
            })
    }

    /// What comes of a command. A writer that ends before it answers has not applied it.
    async fn answer<T>(&self, answer: tokio::sync::oneshot::Receiver<T>) -> Result<T, ApiError> {
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => {
                self.check_storage()?;
                Err(self.busy(
                    "ledger.stopping",
                    "the ledger is stopping; nothing was done",
                ))
            }
        }
    }
}

/// Somebody who waits, counted.
struct Waiter {
    metrics: Arc<Metrics>,
    held: Held,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.metrics.waiters.dec();
    }
}

/// A request that failed inside, without a word about why.
fn internal_error() -> ApiError {
    internal("ledger")
}

/// What there is, or 404.
fn found<T>(record: Option<T>, what: impl Display) -> Result<T, ApiError> {
    record.ok_or_else(|| ApiError::not_found(what))
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Ashlar ledger",
    description = "The restaking ledger: signed transactions, its state, operator tables with witnesses, evidence of faults. \
                   Ids, keys and hashes are lower-case hexadecimal with 0x, amounts and fractions strings of decimal digits in base \
                   units, blocks JSON numbers. Lists come in pages: ask again with `after` = `next`. Errors are problem documents \
                   (RFC 9457) with a stable code."
))]
struct Document;

fn routed() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(transactions::post_transaction))
        .routes(routes!(transactions::post_evidence))
        .routes(routes!(transactions::post_answer))
        .routes(routes!(transactions::post_voucher))
        .routes(routes!(transactions::account))
        .routes(routes!(general::head))
        .routes(routes!(general::root))
        .routes(routes!(general::events))
        .routes(routes!(tables::head))
        .routes(routes!(tables::head_keys))
        .routes(routes!(tables::table))
        .routes(routes!(tables::root))
        .routes(routes!(tables::witness))
        .routes(routes!(state::meta))
        .routes(routes!(state::strategies))
        .routes(routes!(state::operators))
        .routes(routes!(state::operator))
        .routes(routes!(state::staker))
        .routes(routes!(state::withdrawal))
        .routes(routes!(state::services))
        .routes(routes!(state::service))
        .routes(routes!(state::members))
        .routes(routes!(payments::payments))
        .routes(routes!(payments::payees))
        .routes(routes!(payments::accounts))
        .routes(routes!(payments::account))
        .routes(routes!(state::slash_requests))
        .routes(routes!(challenges::challenges))
        .routes(routes!(challenges::challenge))
        .routes(routes!(challenges::bonds))
        .routes(routes!(challenges::bonds_paid))
        .routes(routes!(state::vaults))
        .routes(routes!(state::vault))
        .routes(routes!(state::holder))
        .routes(routes!(rewards::roots))
        .routes(routes!(rewards::fund))
        .routes(routes!(rewards::claimed))
        .routes(routes!(rewards::shares))
}

/// All that is served over HTTP.
pub(crate) fn apps(state: Arc<ApiState>) -> Apps {
    let daemon = Daemon {
        name: "ledger",
        health: Arc::clone(&state.health),
        metrics: {
            let metrics = Arc::clone(&state.metrics);
            Arc::new(move || metrics.text())
        },
        refused: state.metrics.refused.clone(),
        deadline: DEADLINE,
    };
    daemon.apps(routed(), state)
}

#[cfg(test)]
mod tests;
