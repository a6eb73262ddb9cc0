//! The operator's HTTP interface: status and evidence, beside what every daemon says of itself. It answers before the database is open.

use std::sync::Arc;
use std::time::Duration;

use ashlar_service::ApiError;
use ashlar_service::api::Daemon;
use ashlar_service::listener::Apps;
use ashlar_service::page::Page;
use axum::Json;
use axum::extract::State;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::reach::Reachability;
use crate::refusals::RefusalList;
use crate::shared::{Shared, blocking};
use crate::status::{EquivocationList, EquivocationPair, MAX_SHOWN, NodeStatus};

/// When to ask again while the database is being opened.
const RETRY_AFTER_SECS: u64 = 5;
/// The longest that an answer takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// What its operator sees.
const PAGE: Page = Page {
    name: "node",
    body: include_str!("page/body.html"),
    script: include_str!("page/page.js"),
};

#[derive(OpenApi)]
#[openapi(info(
    title = "Ashlar node",
    description = "What an operator's node says about itself. Blobs are served over QUIC, not here."
))]
struct Document;

fn routed() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status))
        .routes(routes!(equivocations))
        .routes(routes!(refusals))
        .routes(routes!(reachability))
}

/// All that is served over HTTP.
pub(crate) fn apps(shared: Arc<Shared>) -> Apps {
    let daemon = Daemon {
        name: "node",
        health: Arc::clone(&shared.health),
        metrics: {
            let shared = Arc::clone(&shared);
            Arc::new(move || shared.metrics_text())
        },
        refused: shared.metrics.refused.clone(),
        deadline: DEADLINE,
    };
    daemon.apps(routed(), shared).with_page(PAGE)
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
    let store = shared.store.get().cloned().ok_or_else(opening)?;
    let pairs = blocking(move || store.equivocations(None, MAX_SHOWN)).await;
    let pairs = pairs.map_err(|error| ApiError::coded(503, &error))?;
    Ok(Json(EquivocationList {
        held: shared.metrics.equivocations.get(),
        pairs: pairs.iter().map(EquivocationPair::from).collect(),
    }))
}

/// The last batches that were refused: why this node did not sign.
#[utoipa::path(
    get,
    path = "/v1/refusals",
    responses((status = 200, description = "Refusals since the start, the newest first", body = RefusalList))
)]
async fn refusals(State(shared): State<Arc<Shared>>) -> Json<RefusalList> {
    Json(shared.refusals.list())
}

/// Asks some operators whether they reach this node at the address of its table entry. Takes as long as they do.
#[utoipa::path(
    get,
    path = "/v1/reachability",
    responses((status = 200, description = "What they say", body = Reachability))
)]
async fn reachability(State(shared): State<Arc<Shared>>) -> Result<Json<Reachability>, ApiError> {
    let peers = shared.peers.get().ok_or_else(opening)?;
    let asked = peers.ask().await;
    asked
        .map(Json)
        .map_err(|error| ApiError::coded(503, &error))
}

fn opening() -> ApiError {
    let detail = "the database is being opened";
    ApiError::busy("service.opening", detail, RETRY_AFTER_SECS)
}
