//! The operator's HTTP interface: health, status, metrics. It answers before the database is open.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::health::Status;
use crate::shared::Shared;
use crate::status::{EquivocationList, EquivocationPair, MAX_SHOWN};
use crate::tasks::blocking;

/// Content type of the OpenMetrics text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/status", get(status))
        .route("/v1/equivocations", get(equivocations))
        .route("/metrics", get(metrics))
        .with_state(shared)
}

/// 200 if ready, 503 with the reasons if not.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let report = shared.health.report();
    let code = if report.status == Status::Ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(report)).into_response()
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
    shared.refresh_metrics();
    (
        [(header::CONTENT_TYPE, OPENMETRICS)],
        shared.metrics.encode(),
    )
        .into_response()
}

/// Binds the address.
///
/// # Errors
/// It is taken, or not ours.
pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Serves until `stop`.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    let served = axum::serve(listener, router(shared))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    if let Err(error) = served.await {
        tracing::error!(%error, "the HTTP server ended");
    }
}
