//! The HTTP interface. Its OpenAPI document is made from the same declarations as its routes.

mod blobs;
mod events;
mod peer;
mod problem;
mod put;
mod service;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::DisperserConfig;
use crate::engine::Engine;
use crate::health::Health;
use crate::metrics::{Metrics, Reason};
pub(crate) use peer::Peer;
use problem::Refusal;

/// Budgets of bytes are counted in pages: a semaphore counts at most 2^32 of them.
const PAGE: u64 = 4096;

/// What the handlers share.
pub(crate) struct ApiState {
    pub(crate) config: DisperserConfig,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: CancellationToken,
    engine: OnceLock<Arc<Engine>>,
    bodies: Arc<Semaphore>,
    serving: Arc<Semaphore>,
    waiters: Arc<Semaphore>,
}

impl ApiState {
    pub(crate) fn new(
        config: DisperserConfig,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let pages = |bytes: u64| Arc::new(Semaphore::new(pages(bytes) as usize));
        Arc::new(Self {
            engine: OnceLock::new(),
            bodies: pages(config.accept.body_memory_bytes),
            serving: pages(config.accept.serve_memory_bytes),
            waiters: Arc::new(Semaphore::new(config.accept.max_waiters)),
            config,
            health,
            metrics,
            stop,
        })
    }

    /// The database is open.
    pub(crate) fn open(&self, engine: Arc<Engine>) {
        let _ = self.engine.set(engine);
    }

    fn engine(&self) -> Result<&Arc<Engine>, Refusal> {
        self.engine
            .get()
            .ok_or_else(|| Refusal::busy(self, "service.opening", "the database is being opened"))
    }
}

fn pages(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PAGE)).unwrap_or(u32::MAX)
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
        .routes(routes!(blobs::payload))
        .routes(routes!(blobs::status))
        .routes(routes!(events::events))
        .routes(routes!(blobs::certificate))
        .routes(routes!(service::operators))
        .routes(routes!(service::health))
        .routes(routes!(service::metrics))
        .routes(routes!(service::document))
}

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routed().into_openapi()
}

/// All routes.
pub(crate) fn router(state: Arc<ApiState>) -> Router {
    let (router, _) = routed().split_for_parts();
    let metrics = Arc::clone(&state.metrics);
    router
        .fallback(|| async {
            Refusal::new(
                404,
                "route.unknown",
                "there is no such path; GET /v1/openapi.json lists them",
            )
        })
        .method_not_allowed_fallback(|| async {
            Refusal::new(
                405,
                "route.method",
                "the path does not have this method; GET /v1/openapi.json lists them",
            )
        })
        .layer(CatchPanicLayer::custom(
            |_: Box<dyn std::any::Any + Send>| {
                Refusal::new(
                    500,
                    "disperser.internal",
                    "the request failed inside the disperser",
                )
                .into_response()
            },
        ))
        .layer(axum::middleware::from_fn(
            move |request: Request, next: axum::middleware::Next| {
                let metrics = Arc::clone(&metrics);
                async move {
                    let path = request.uri().path().to_owned();
                    let response: Response = next.run(request).await;
                    Refusal::finish(response, &path, |code| {
                        metrics
                            .refused
                            .get_or_create(&Reason {
                                code: code.to_owned(),
                            })
                            .inc();
                    })
                }
            },
        ))
        .with_state(state)
}
