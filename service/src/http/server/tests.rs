#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use ashlar_crypto::{Blame, Coded};
use axum::Extension;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use futures::StreamExt as _;

use super::*;
use crate::http::{Authorities, build, client, exchange};
use crate::listener::declared_length;

#[test]
fn base_urls_keep_their_path_and_lose_their_slash() {
    let url = Server::at(" http://127.0.0.1:3100/ ").unwrap();
    assert_eq!(url.to_string(), "http://127.0.0.1:3100");
    assert_eq!(
        url.join("v1/blobs").as_str(),
        "http://127.0.0.1:3100/v1/blobs"
    );
    let url = Server::at("https://da.example/ashlar/").unwrap();
    assert!(url.is_https());
    assert_eq!(
        url.join("v1/blobs").as_str(),
        "https://da.example/ashlar/v1/blobs"
    );
}

#[test]
fn other_urls_are_refused() {
    for text in [
        "",
        "127.0.0.1:80",
        "ftp://host/",
        "file:///etc/passwd",
        "http://host/?a=1",
        "http://host/#x",
        "http://me:secret@host/",
    ] {
        let error = Server::at(text).unwrap_err();
        assert_eq!(error.code(), "http.url", "{text}");
        assert_eq!(error.blame(), Blame::Caller);
    }
}

#[tokio::test]
async fn an_api_in_this_process_is_asked_like_one_at_a_url() {
    let echo = |Extension(Sender(from)): Extension<Sender>, headers: HeaderMap, body: Bytes| async move {
        assert!(from.is_loopback());
        assert_eq!(declared_length(&headers).unwrap(), Some(body.len() as u64));
        body
    };
    // The second part never comes.
    let endless = || async {
        let first = futures::stream::iter([Ok::<_, std::io::Error>("first")]);
        Body::from_stream(first.chain(futures::stream::pending()))
    };
    let api = Router::new()
        .route("/v1/echo", post(echo))
        .route("/v1/events", get(endless));
    let server = Server::local(Arc::new(api));
    let http = build(client(Authorities::Nobody, Duration::from_secs(1)).unwrap()).unwrap();
    let limit = Duration::from_secs(20);

    let request = http.post(server.join("v1/echo")).body("payload");
    let answer = exchange(server.send(request), 7, limit).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"payload"[..]));
    let request = http.post(server.join("v1/echo")).body("payloads");
    exchange(server.send(request), 7, limit).await.unwrap_err();
    let nowhere = server.send(http.get(server.join("v1/nowhere")));
    assert_eq!(exchange(nowhere, 7, limit).await.unwrap().status, 404);

    let events = server.send(http.get(server.join("v1/events")));
    let mut events = events.await.unwrap();
    assert_eq!(events.chunk().await.unwrap().unwrap(), "first");
}

#[tokio::test]
async fn the_url_of_an_api_in_this_process_leads_nowhere() {
    let local = Server::local(Arc::new(Router::new()));
    let others = Server::at(&local.to_string()).unwrap();
    let http = build(client(Authorities::Nobody, Duration::from_secs(1)).unwrap()).unwrap();
    let sent = others.send(http.get(others.join("v1/health"))).await;
    assert!(sent.unwrap_err().is_connect());
}
