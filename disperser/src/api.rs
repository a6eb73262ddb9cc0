//! The HTTP interface. Its OpenAPI document is made from the same declarations as its routes.

mod accounts;
mod activity;
mod blobs;
mod events;
mod gate;
mod put;
mod relay;
mod service;

use std::fmt::Display;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ashlar_proto::api::AccountMode;
use ashlar_service::ApiError;
use ashlar_service::api::{Daemon, internal};
use ashlar_service::capacity::Capacity;
use ashlar_service::listener::Apps;
use ashlar_service::page::Page;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::DisperserConfig;
use crate::engine::Engine;
use crate::health::Health;
use crate::metrics::Metrics;
use crate::relay::SliceRelay;
use crate::sender_rate::SenderRate;

/// What people see.
const PAGE: Page = Page {
    name: "disperser",
    body: include_str!("page/body.html"),
    script: include_str!("page/page.js"),
};

/// What a request may take beside its body and its wait: looking things up, and the disk.
const MARGIN: Duration = Duration::from_secs(60);

/// What the handlers share.
pub(crate) struct ApiState {
    pub(crate) config: DisperserConfig,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    /// From the time that the database is open until the disperser stops.
    engine: RwLock<Option<Arc<Engine>>>,
    bodies: Capacity,
    serving: Capacity,
    slices: SliceRelay,
    waiters: Capacity,
    sender_rate: Option<SenderRate>,
    activity: activity::LastAnswer,
}

impl ApiState {
    pub(crate) fn new(
        config: DisperserConfig,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        slices: SliceRelay,
    ) -> Arc<Self> {
        let retry_after_secs = config.accept.retry_after_secs;
        let capacity = |name, total| Capacity::new(name, total, retry_after_secs);
        Arc::new(Self {
            engine: RwLock::default(),
            bodies: capacity("uploads", config.accept.body_memory_bytes),
            serving: capacity("serving", config.relay.memory_bytes),
            slices,
            waiters: capacity("waiters", config.accept.max_waiters as u64),
            sender_rate: match config.accounts.mode {
                AccountMode::Open | AccountMode::AllowList => {
                    let accept = &config.accept;
                    SenderRate::new(accept.sender_rows_per_sec, accept.sender_burst_rows)
                }
                AccountMode::Paid => None,
            },
            activity: activity::LastAnswer::default(),
            config,
            health,
            metrics,
            stop,
        })
    }

    fn set(&self, engine: Option<Arc<Engine>>) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
    }

    /// The database is open.
    pub(crate) fn open(&self, engine: Arc<Engine>) {
        self.set(Some(engine));
    }

    /// Ends with the disperser: what is asked later is refused, and does not hold the database open.
    pub(crate) async fn close(self: Arc<Self>) {
        self.stop.cancelled().await;
        self.set(None);
    }

    /// 503: come back later.
    fn busy(&self, code: &str, detail: impl Display) -> ApiError {
        ApiError::busy(code, detail, self.config.accept.retry_after_secs)
    }

    fn engine(&self) -> Result<Arc<Engine>, ApiError> {
        let engine = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        engine
            .clone()
            .ok_or_else(|| match self.stop.is_cancelled() {
                true => self.busy("service.stopping", "the disperser stops"),
                false => self.busy("service.opening", "the database is being opened"),
            })
    }
}

/// A request that failed inside, without a word about why.
fn internal_error() -> ApiError {
    internal("disperser")
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Ashlar disperser",
    description = "Post a blob, follow it, fetch its certificate and its payload. Ids are 32 bytes in lower-case hexadecimal with 0x. \
                   Errors are problem documents (RFC 9457) with a stable code."
))]
struct Document;

fn routed() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(put::post_blob))
        .routes(routes!(relay::payload))
        .routes(routes!(relay::slices))
        .routes(routes!(blobs::status))
        .routes(routes!(events::events))
        .routes(routes!(blobs::certificate))
        .routes(routes!(accounts::prices))
        .routes(routes!(accounts::account))
        .routes(routes!(service::operators))
        .routes(routes!(activity::activity))
}

/// All that is served over HTTP.
pub(crate) fn apps(state: Arc<ApiState>) -> Apps {
    let accept = &state.config.accept;
    let daemon = Daemon {
        name: "disperser",
        health: Arc::clone(&state.health),
        metrics: {
            let metrics = Arc::clone(&state.metrics);
            Arc::new(move || metrics.text())
        },
        refused: state.metrics.refused.clone(),
        // A body, a wait for a certificate, and what lies between.
        deadline: Duration::from_secs(accept.body_timeout_secs)
            .saturating_add(Duration::from_secs(accept.wait_timeout_secs))
            .saturating_add(MARGIN),
    };
    daemon.apps(routed(), state).with_page(PAGE)
}
