//! The listener's limits, with real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_service::Health;
use ashlar_service::api::Daemon;
use ashlar_service::listener::{Limits, serve};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use prometheus_client::metrics::family::Family;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

fn limits() -> Limits {
    Limits {
        connections: 4,
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        retry_after_secs: 7,
    }
}

/// Serves on a port of its own until the token is cancelled or dropped with the runtime.
async fn start(app: Router, limits: Limits) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, app, limits, stop.clone()));
    (address, stop)
}

fn hello() -> Router {
    let peer = |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() };
    Router::new().route("/", get(peer))
}

/// The whole answer to one request, on a connection that is closed after it.
async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("no answer").unwrap();
    answer
}

#[tokio::test]
async fn a_request_is_answered_and_knows_who_asks() {
    let (address, _) = start(hello(), limits()).await;
    let answer = ask(address, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn who_sends_a_head_slowly_is_cut() {
    let header_timeout = Duration::from_millis(500);
    let limits = Limits {
        header_timeout,
        ..limits()
    };
    let (address, _) = start(hello(), limits).await;
    let began = Instant::now();
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    // Something moves all the time, so it is not the silence that ends it.
    let trickle = tokio::spawn(async move {
        let mut piece: &[u8] = b"GET / HTTP/1.1\r\nx: ";
        while write.write_all(piece).await.is_ok() {
            piece = b"y";
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, read.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "it is still open");
    assert!(began.elapsed() >= header_timeout);
    trickle.abort();
    // Who sends one at once is answered.
    assert!(ask(address, "/").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn silence_ends_a_connection() {
    let limits = Limits {
        idle_timeout: Duration::from_millis(200),
        ..limits()
    };
    let (address, _) = start(hello(), limits).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "it is still open");
}

/// Idle sockets take all places: the main listener says so, and health answers on its own.
#[tokio::test(flavor = "multi_thread")]
async fn health_answers_while_idle_sockets_saturate_the_main_listener() {
    let health = Arc::new(Health::default());
    health.opened();
    let daemon = Daemon {
        name: "ferry",
        health,
        metrics: Arc::new(|| "metrics".to_owned()),
        refused: Family::default(),
        deadline: PATIENCE,
    };
    let app = daemon.health_router();
    let (main, _) = start(hello().merge(app.clone()), limits()).await;
    let (own, _) = start(app, Limits::OPERATOR).await;
    assert!(ask(main, "/health").await.starts_with("HTTP/1.1 200"));
    let mut idle = Vec::new();
    for _ in 0..limits().connections {
        idle.push(TcpStream::connect(main).await.unwrap());
    }
    // Not at once: the connection before has to be gone first.
    let refused = loop {
        let answer = ask(main, "/health").await;
        if answer.starts_with("HTTP/1.1 503") {
            break answer;
        }
    };
    assert!(refused.contains("retry-after: 7"), "{refused}");
    assert!(refused.contains("connections.full"), "{refused}");
    for _ in 0..200 {
        idle.push(TcpStream::connect(main).await.unwrap());
    }
    for path in ["/health", "/v1/health", "/ready", "/v1/ready"] {
        let answer = ask(own, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"ready\""), "{answer}");
    }
    assert!(ask(own, "/metrics").await.ends_with("metrics"));
    // Whoever waits gets a place as soon as there is one.
    drop(idle);
    let began = Instant::now();
    while !ask(main, "/").await.starts_with("HTTP/1.1 200") {
        assert!(began.elapsed() < PATIENCE, "no place became free");
    }
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_takes_nothing_new() {
    let (come, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let app = Router::new().route(
        "/",
        get({
            let (come, go) = (Arc::clone(&come), Arc::clone(&go));
            move || async move {
                come.notify_one();
                go.notified().await;
                "done"
            }
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(listener, app, limits(), stop.clone()));
    let asked = tokio::spawn(async move { ask(address, "/").await });
    let idle = TcpStream::connect(address).await.unwrap();
    come.notified().await;
    stop.cancel();
    go.notify_one();
    assert!(asked.await.unwrap().ends_with("done"));
    timeout(PATIENCE, served)
        .await
        .expect("it serves on")
        .unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    drop(idle);
}
