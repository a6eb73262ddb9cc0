//! What the routers of all daemons do alike.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::api::Problem;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tower_http::catch_panic::CatchPanicLayer;

use crate::metrics::{self, Code};
use crate::{Health, Refusal};

/// A handler that failed, without a word about why. `daemon` is its name in one word, the first part of the code.
pub fn internal(daemon: &str) -> Refusal {
    let code = format!("{daemon}.internal");
    let detail = format!("the request failed inside the {daemon}");
    Refusal::new(500, &code, detail)
}

/// Finishes an API: what is not routed is refused, a panic is a 500, an answer that takes longer than `deadline` a 504, and every
/// refusal names its path and is counted in `refused`.
pub fn finish<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    daemon: &'static str,
    deadline: Duration,
    refused: Family<Code, Counter>,
) -> Router<S> {
    let answer = move |request: Request, next: Next| {
        let refused = refused.clone();
        async move {
            let path = request.uri().path().to_owned();
            let response: Response = tokio::time::timeout(deadline, next.run(request))
                .await
                .unwrap_or_else(|_| late(deadline).into_response());
            Refusal::finish(response, &path, |code| {
                let code = code.to_owned();
                refused.get_or_create(&Code { code }).inc();
            })
        }
    };
    router
        .fallback(move || async move { unrouted(404, "route.unknown", "is none of this API's") })
        .method_not_allowed_fallback(move || async move {
            unrouted(405, "route.method", "does not have this method")
        })
        .layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| {
            internal(daemon).into_response()
        }))
        .layer(from_fn(answer))
}

fn unrouted(status: u16, code: &str, what: &str) -> Refusal {
    let detail = format!("the path {what}; GET /v1/openapi.json lists them");
    Refusal::new(status, code, detail)
}

fn late(deadline: Duration) -> Refusal {
    Refusal::from(Problem::new(
        504,
        "request.timeout",
        ashlar_crypto::Blame::Us,
        format!(
            "there was no answer within {} s; whether the request was carried out shows when it is sent again",
            deadline.as_secs()
        ),
    ))
}

/// Health and metrics alone, for a listener of their own. `text` is the page of metrics.
pub fn health_router(
    health: Arc<Health>,
    text: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> Router {
    let page = get(move || async move { health.page() });
    Router::new()
        .route("/health", page.clone())
        .route("/v1/health", page)
        .route(
            "/metrics",
            get(move || async move { metrics::page(text()) }),
        )
}

#[cfg(test)]
mod tests;
