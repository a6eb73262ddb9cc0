//! Somebody on the way between a follower and its ledger, who passes on what he likes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::Value;
use tokio::net::TcpListener;

/// What he makes of an answer: path, and the answer's JSON.
pub type Change = dyn Fn(&str, Value) -> Value + Send + Sync;
/// How long he keeps a request.
pub type Delay = dyn Fn(&str) -> Duration + Send + Sync;

struct Way {
    ledger: String,
    change: Box<Change>,
    delay: Box<Delay>,
    http: reqwest::Client,
}

/// Gives the address to follow in place of the ledger's.
pub async fn between(
    ledger: String,
    change: impl Fn(&str, Value) -> Value + Send + Sync + 'static,
    delay: impl Fn(&str) -> Duration + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let way = Arc::new(Way {
        ledger,
        change: Box::new(change),
        delay: Box::new(delay),
        http: plain_client(),
    });
    let app = Router::new().fallback(pass).with_state(way);
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// The library's own asks for a provider of TLS, also where there is none.
pub fn plain_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .unwrap()
}

async fn pass(State(way): State<Arc<Way>>, request: Request) -> impl IntoResponse {
    let path = request.uri().path_and_query().unwrap().to_string();
    tokio::time::sleep((way.delay)(&path)).await;
    let answer = way.http.get(format!("{}{path}", way.ledger)).send().await;
    let (status, bytes) = match answer {
        Ok(answer) => (answer.status(), answer.bytes().await.unwrap_or_default()),
        Err(_) => (StatusCode::BAD_GATEWAY, Bytes::new()),
    };
    let body = match serde_json::from_slice(&bytes) {
        Ok(value) if status.is_success() => serde_json::to_vec(&(way.change)(&path, value))
            .unwrap()
            .into(),
        _ => bytes,
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body)
}
