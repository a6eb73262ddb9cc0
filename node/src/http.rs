//! The operator's HTTP interface: health, status, metrics. It answers before the database is open.

use std::sync::Arc;

use ashlar_service::ApiError;
use ashlar_service::api::document;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::health::HealthReport;
use crate::shared::{Shared, blocking};
use crate::status::{EquivocationList, EquivocationPair, MAX_SHOWN, NodeStatus};

/// When to ask again while the database is being opened.
const RETRY_AFTER_SECS: u64 = 5;

#[derive(OpenApi)]
#[openapi(info(
    title = "Ashlar node",
    description = "What an operator's node says about itself. Blobs are served over QUIC, not here."
))]
struct Document;

fn routed() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health))
        .routes(routes!(status))
        .routes(routes!(equivocations))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// The routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let (router, _) = routed().split_for_parts();
    router.route("/health", get(health)).with_state(shared)
}

/// Whether the node can work: opening, ready, or degraded and why.
#[utoipa::path(
    get,
    path = "/v1/health",
    responses(
        (status = 200, description = "Ready", body = HealthReport),
        (status = 503, description = "Opening, degraded or stopping; the reasons are in the body", body = HealthReport),
    )
)]
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    shared.health.page()
}

/// The state of the node, for its operator.
#[utoipa::path(
    get,
    path = "/v1/status",
    responses((status = 200, description = "Who it is, what it holds, what it did", body = NodeStatus))
)]
async fn status(State(shared): State<Arc<Shared>>) -> Json<NodeStatus> {
    Json(shared.status())
}

/// Evidence against dispersers that signed two batches under one number.
#[utoipa::path(
    get,
    path = "/v1/equivocations",
    responses((status = 200, description = "How many pairs of batches are held, and the first of them", body = EquivocationList))
)]
async fn equivocations(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<EquivocationList>, ApiError> {
    let store = shared.store.get().cloned().ok_or_else(|| {
        let detail = "the database is being opened";
        ApiError::busy("service.opening", detail, RETRY_AFTER_SECS)
    })?;
    let pairs = blocking(move || store.equivocations(None, MAX_SHOWN)).await;
    let pairs = pairs.map_err(|error| ApiError::coded(503, &error))?;
    Ok(Json(EquivocationList {
        held: shared.metrics.equivocations.get(),
        pairs: pairs.iter().map(EquivocationPair::from).collect(),
    }))
}

/// Metrics in the text format of OpenMetrics.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, description = "Metrics", body = String, content_type = "application/openmetrics-text"))
)]
async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ashlar_service::metrics::page(shared.metrics_text())
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "The OpenAPI document", body = Object))
)]
async fn openapi() -> Response {
    Json(document(routed().into_openapi())).into_response()
}
