//! Payloads from relays, none of which is believed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::world::{Batch, Behaviour, World, noise};
use ashlar_crypto::{Coded, Encoding};
use ashlar_retriever::http::Server;
use ashlar_retriever::{RetrievalPath, Retriever, RetrieverConfig, Source};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

#[derive(Clone)]
enum Relay {
    /// Sends these bytes with their length.
    Sends(Vec<u8>),
    /// Sends these bytes again and again, without saying how many there will be.
    Endless(Vec<u8>, Arc<AtomicU32>),
    /// Sends less than it declared.
    Short(Vec<u8>),
    Status(u16),
    Redirects(String),
    Hangs,
}

async fn serve(relay: Relay) -> String {
    let app = Router::new()
        .route("/v1/blobs/{key}", get(answer))
        .with_state(relay);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

async fn answer(State(relay): State<Relay>) -> Response {
    match relay {
        Relay::Sends(bytes) => bytes.into_response(),
        Relay::Endless(bytes, count) => {
            let bytes = Bytes::from(bytes);
            let stream = futures::stream::repeat_with(move || {
                count.fetch_add(1, Ordering::SeqCst);
                Ok::<_, std::io::Error>(bytes.clone())
            });
            Body::from_stream(stream).into_response()
        }
        Relay::Short(bytes) => {
            // Half of it, then the connection breaks.
            let half = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_LENGTH, bytes.len().into());
            let parts = [Ok(half), Err(std::io::Error::other("gone"))];
            (headers, Body::from_stream(futures::stream::iter(parts))).into_response()
        }
        Relay::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Relay::Redirects(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Relay::Hangs => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::OK.into_response()
        }
    }
}

fn config(relays: Vec<String>) -> RetrieverConfig {
    RetrieverConfig {
        relays: relays.iter().map(|url| Server::at(url).unwrap()).collect(),
        relay_timeout: Duration::from_millis(800),
        relay_silence: Duration::from_millis(500),
        ..RetrieverConfig::default()
    }
}

struct Scene {
    world: World,
    cert: ashlar_proto::VerifiedCertificate,
    payload: Vec<u8>,
}

fn scene() -> Scene {
    let world = World::new(&[100; 8], |_| Behaviour::Honest);
    let payload = noise(150_000, 8);
    let batch = world.store(Batch::encode(
        &world,
        &[(&payload, Encoding::Packed31)],
        1,
        |_, _| {},
    ));
    let cert = world.verified(&batch, 0);
    Scene {
        world,
        cert,
        payload,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_relay_is_enough() {
    let scene = scene();
    let relay = serve(Relay::Sends(scene.payload.clone())).await;
    let retriever = Retriever::relay_only(config(vec![relay.clone()])).unwrap();
    let found = retriever.fetch(&scene.cert, Source::Auto).await.unwrap();
    assert_eq!(found.payload, scene.payload);
    assert_eq!(found.report.via, Some(RetrievalPath::Relay));
    assert_eq!(found.report.relay, Some(relay));
    assert_eq!(found.report.bytes_fetched, 150_000);
    assert!((0..8).all(|operator| scene.world.asked(operator).is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_relay_has_its_code_and_auto_goes_on_to_operators() {
    let scene = scene();
    let mut wrong = scene.payload.clone();
    wrong[77_777] ^= 1;
    let mut long = scene.payload.clone();
    long.push(0);
    let short = scene.payload[..100].to_vec();
    let count = Arc::new(AtomicU32::new(0));
    for (relay, code) in [
        (Relay::Sends(wrong), "relay.wrong_payload"),
        (Relay::Sends(long), "relay.length"),
        (Relay::Sends(short), "relay.length"),
        (
            Relay::Endless(noise(10_000, 1), count.clone()),
            "relay.length",
        ),
        (Relay::Short(scene.payload.clone()), "relay.transport"),
        (Relay::Status(404), "relay.not_found"),
        (Relay::Status(500), "relay.status"),
        (
            Relay::Redirects("http://127.0.0.1:1/".to_owned()),
            "relay.status",
        ),
        (Relay::Hangs, "relay.timeout"),
    ] {
        let url = serve(relay).await;
        let alone = Retriever::relay_only(config(vec![url.clone()])).unwrap();
        let error = alone.fetch(&scene.cert, Source::Relay).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(error.report.skipped.len(), 1);

        let both = Retriever::new(
            config(vec![url.clone()]),
            scene.world.stake_source(),
            scene.world.network(),
        )
        .unwrap();
        let found = both.fetch(&scene.cert, Source::Auto).await.unwrap();
        assert_eq!(found.payload, scene.payload);
        assert_eq!(found.report.via, Some(RetrievalPath::Operators));
        assert_eq!(found.report.skipped.len(), 1);
        let skipped = &found.report.skipped[0];
        assert_eq!(
            (skipped.code.as_str(), skipped.address.as_str()),
            (code, url.as_str())
        );
        assert_eq!((skipped.operator, skipped.index), (None, None));
    }
    // The endless relay was cut off at the payload's length, give or take what sockets buffer.
    assert!(count.load(Ordering::SeqCst) < 5_000, "{count:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_are_tried_in_order() {
    let scene = scene();
    let bad = serve(Relay::Status(503)).await;
    let good = serve(Relay::Sends(scene.payload.clone())).await;
    let dead = "http://127.0.0.1:1".to_owned();
    let retriever = Retriever::relay_only(config(vec![dead, bad, good.clone()])).unwrap();
    let found = retriever.fetch(&scene.cert, Source::Relay).await.unwrap();
    assert_eq!(found.report.relay, Some(good));
    let codes: Vec<&str> = found
        .report
        .skipped
        .iter()
        .map(|skipped| skipped.code.as_str())
        .collect();
    assert_eq!(codes, ["relay.transport", "relay.status"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_not_configured_is_said_so() {
    let scene = scene();
    let nothing = Retriever::relay_only(config(Vec::new())).unwrap();
    for source in [Source::Relay, Source::Operators, Source::Auto] {
        let error = nothing.fetch(&scene.cert, source).await.unwrap_err();
        assert_eq!(error.code(), "retrieve.no_source", "{source}");
    }
}
