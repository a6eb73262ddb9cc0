//! The operator's HTTP interface: health, status, metrics. It answers before the database is open.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use crate::shared::Shared;
use crate::status::{EquivocationList, EquivocationPair, MAX_SHOWN};
use crate::tasks::blocking;

/// The routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/v1/health", get(health))
        .route("/v1/status", get(status))
        .route("/v1/equivocations", get(equivocations))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

/// 200 if ready, 503 with the reasons if not.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    shared.health.page()
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    Json(shared.status()).into_response()
}

/// 503 until the database is open, or if it cannot be read.
async fn equivocations(State(shared): State<Arc<Shared>>) -> Response {
    let unavailable = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    let Some(store) = shared.store.get().cloned() else {
        return unavailable("the database is not open yet".into());
    };
    match blocking(move || store.equivocations(None, MAX_SHOWN)).await {
        Ok(pairs) => Json(EquivocationList {
            held: shared.metrics.equivocations.get(),
            pairs: pairs.iter().map(EquivocationPair::from).collect(),
        })
        .into_response(),
        Err(error) => unavailable(error.to_string()),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    ashlar_service::metrics::page(shared.metrics_text())
}
