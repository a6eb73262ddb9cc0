//! The listener's limits, with real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_service::Health;
use ashlar_service::api::Daemon;
use ashlar_service::listener::{Apps, Limits, Sender, serve};
use axum::body::Bytes;
use axum::routing::{get, post};
use axum::{Extension, Router};
use prometheus_client::metrics::family::Family;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

const PATIENCE: Duration = Duration::from_secs(30);

fn limits() -> Limits {
    Limits {
        connections: 4,
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        retry_after_secs: 7,
        proxies: Vec::new(),
    }
}

/// Serves on a port of its own until the token is cancelled or dropped with the runtime.
async fn start(api: Router, limits: Limits) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, apps(api), limits, stop.clone()));
    (address, stop)
}

/// What a daemon serves that has this API beside what all have.
fn apps(api: Router) -> Apps {
    let health = Arc::new(Health::default());
    health.opened();
    let daemon = Daemon {
        name: "ferry",
        health,
        metrics: Arc::new(|| "metrics".to_owned()),
        refused: Family::default(),
        deadline: PATIENCE,
    };
    let apps = daemon.apps(OpenApiRouter::new(), ());
    let api = Router::new().merge(api).fallback_service(apps.api);
    Apps { api, ..apps }
}

fn hello() -> Router {
    let sender = |Extension(sender): Extension<Sender>| async move { sender.network().to_string() };
    Router::new().route("/", get(sender))
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
    assert!(answer.ends_with("127.0.0.0/24"), "{answer}");
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

/// A connection from network `n` of this machine.
async fn connect(n: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, n, 1], 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// Idle sockets of many networks, far more than there are places: all is answered.
#[tokio::test(flavor = "multi_thread")]
async fn idle_sockets_keep_nobody_out() {
    let (address, _) = start(hello(), limits()).await;
    let mut idle = Vec::new();
    for n in 0..200 {
        idle.push(connect(n, address).await);
        if n % 20 == 0 {
            for path in ["/", "/health", "/v1/health", "/ready", "/metrics"] {
                let answer = ask(address, path).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        }
    }
}

/// Requests that do not end take all places: health and the like are answered all the same, and all else is refused.
#[tokio::test(flavor = "multi_thread")]
async fn health_answers_while_all_places_are_busy() {
    let come = Arc::new(Notify::new());
    let stuck = {
        let come = Arc::clone(&come);
        get(move || async move {
            come.notify_one();
            std::future::pending::<()>().await;
        })
    };
    let swallow = post(|body: Bytes| async move { body.len().to_string() });
    let api = hello().route("/stuck", stuck).route("/swallow", swallow);
    let (address, _) = start(api, limits()).await;
    let mut busy = Vec::new();
    for n in 0..2 {
        for _ in 0..2 {
            let mut stream = connect(n, address).await;
            let request = b"GET /stuck HTTP/1.1\r\nhost: x\r\n\r\n";
            stream.write_all(request).await.unwrap();
            come.notified().await;
            busy.push(stream);
        }
    }
    for path in ["/health", "/v1/health", "/ready", "/v1/ready"] {
        let began = Instant::now();
        let answer = ask(address, path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("\"ready\""), "{answer}");
        assert!(began.elapsed() < PATIENCE / 10);
    }
    assert!(ask(address, "/metrics").await.ends_with("metrics"));
    // Its network has its share of the places.
    let refused = ask(address, "/").await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: 7"), "{refused}");
    assert!(refused.contains("connections.share"), "{refused}");
    // A third network takes the place of the youngest request of another; and has its answer, though nobody has read its body.
    let mut third = connect(2, address).await;
    third
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut rest = Vec::new();
    let cut = timeout(PATIENCE, busy.last_mut().unwrap().read_to_end(&mut rest)).await;
    assert!(cut.expect("it is still open").is_ok_and(|read| read == 0));
}

/// A refusal that comes before the body arrives at a caller that goes on sending.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_reaches_a_caller_that_is_still_sending() {
    let refuse = post(|| async { axum::http::StatusCode::TOO_MANY_REQUESTS });
    let (address, _) = start(Router::new().route("/", refuse), limits()).await;
    let (mut read, mut write) = connect(0, address).await.into_split();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n";
    write.write_all(head.as_bytes()).await.unwrap();
    let sending = tokio::spawn(async move {
        let _ = write.write_all(&vec![7; 8_000_000]).await;
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut answer = String::new();
    timeout(PATIENCE, read.read_to_string(&mut answer))
        .await
        .expect("no answer")
        .expect("the connection was reset");
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    sending.abort();
}

#[tokio::test]
async fn who_sends_nothing_at_first_is_closed_soon() {
    let (address, _) = start(hello(), limits()).await;
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut rest = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "it is still open");
    assert!(began.elapsed() < Duration::from_secs(10));
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
    let served = tokio::spawn(serve(listener, apps(app), limits(), stop.clone()));
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
