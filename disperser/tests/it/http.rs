//! The HTTP interface over real sockets: refusals, shedding, health, and the OpenAPI document.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{PATIENCE, Temper, World, config, http, problem, until};
use ashlar_crypto::identity::NetworkKey;
use ashlar_disperser::Disperser;
use ashlar_disperser::kv::{Kv, MemoryKv};
use ashlar_proto::api::BlobState;
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{Account, BlobId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const UNKNOWN: &str = "0x0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_status_and_code() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.max_payload = 100_000;
    let running = world.start(settings).await;

    let element = |first: u8| {
        let mut row = vec![0; 131_072];
        row[64] = first;
        row
    };
    let eip = "?encoding=eip4844";
    let posts: Vec<(&str, Vec<u8>, u16, &str)> = vec![
        ("", vec![], 400, "payload.empty"),
        ("", vec![0; 100_001], 413, "payload.too_large"),
        ("?version=9", vec![1], 400, "version.unknown"),
        ("?version=2", vec![1], 400, "version.not_accepted"),
        ("?version=x", vec![1], 400, "request.query"),
        ("?quorums=7", vec![1], 400, "quorum.unknown"),
        ("?quorums=0,0", vec![1], 400, "header.quorum_order"),
        ("?quorums=", vec![1], 400, "request.quorums"),
        ("?quorums=256", vec![1], 400, "request.quorums"),
        ("?quorums=a", vec![1], 400, "request.quorums"),
        ("?encoding=base64", vec![1], 400, "payload.unknown_encoding"),
        (eip, vec![1; 100], 400, "payload.not_whole_rows"),
        ("?account=0x12", vec![1], 400, "id.malformed"),
        ("?salt=-1", vec![1], 400, "request.query"),
        ("?wait=forever", vec![1], 400, "request.query"),
        ("?quorum=0", vec![1], 400, "request.query"),
    ];
    for (query, body, status, code) in posts {
        let told = problem(running.post(query, body).await).await;
        assert_eq!(
            (told.status, told.code.as_str()),
            (status, code),
            "POST {query}: {told:?}"
        );
    }

    for kind in [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        "nonsense",
    ] {
        let answer = running
            .http
            .post(running.url("/v1/blobs"))
            .header("content-type", kind)
            .body("x")
            .send()
            .await;
        let told = problem(answer.unwrap()).await;
        assert_eq!(
            (told.status, told.code.as_str()),
            (415, "request.content_type"),
            "{kind}"
        );
    }
    let proto = |query: &str, body: Vec<u8>| {
        let request = running.http.post(running.url(&format!("/v1/blobs{query}")));
        request
            .header("content-type", "application/x-protobuf")
            .body(body)
            .send()
    };
    let message = PutBlob {
        version: 1,
        encoding: ashlar_crypto::Encoding::Packed31,
        quorums: vec![0],
        account: Account([0; 20]),
        salt: 0,
        commitments: vec![ashlar_crypto::CommitmentBytes([1; 48]); 2],
        payload: vec![1; 10].into(),
    };
    assert_eq!(
        problem(proto("", vec![]).await.unwrap()).await.code,
        "payload.empty"
    );
    assert_eq!(
        problem(proto("", vec![0xff; 20]).await.unwrap())
            .await
            .status,
        400
    );
    assert_eq!(
        problem(proto("?salt=1", message.encode()).await.unwrap())
            .await
            .code,
        "request.query"
    );
    let told = problem(proto("", message.encode()).await.unwrap()).await; // two commitments, one row
    assert_eq!(told.status, 400, "{told:?}");
    let large = PutBlob {
        payload: vec![1; 100_001].into(),
        commitments: vec![],
        ..message
    };
    assert_eq!(
        problem(proto("", large.encode()).await.unwrap()).await.code,
        "payload.too_large"
    );

    for (path, status, code) in [
        (format!("/v1/blobs/{UNKNOWN}"), 404, "blob.unknown"),
        (format!("/v1/blobs/{UNKNOWN}/status"), 404, "blob.unknown"),
        (format!("/v1/blobs/{UNKNOWN}/events"), 404, "blob.unknown"),
        (
            format!("/v1/blobs/{UNKNOWN}/certificate"),
            404,
            "blob.unknown",
        ),
        (
            format!("/v1/blobs/{UNKNOWN}/certificate?form=round"),
            400,
            "request.query",
        ),
        ("/v1/blobs/0x12".into(), 400, "id.malformed"),
        ("/v1/blobs/nonsense/status".into(), 400, "id.malformed"),
        (
            format!("/v1/blobs/{}/events", UNKNOWN.to_uppercase()),
            400,
            "id.malformed",
        ),
        ("/v1/operators?block=5".into(), 404, "stake.unknown_block"),
        ("/v1/operators?block=x".into(), 400, "request.query"),
        ("/v2/blobs".into(), 404, "route.unknown"),
        ("/v1".into(), 404, "route.unknown"),
        ("/v1/blobs".into(), 405, "route.method"),
    ] {
        let told = problem(running.get(&path).await).await;
        assert_eq!(
            (told.status, told.code.as_str()),
            (status, code),
            "GET {path}"
        );
        assert_eq!(told.instance.as_deref(), path.split('?').next());
    }
    let metrics = running.get("/metrics").await.text().await.unwrap();
    assert!(
        metrics.contains("refused_requests_total{code=\"quorum.unknown\"} 1"),
        "{metrics}"
    );

    // Nothing of all that was taken in; and the limit itself is allowed.
    let accepted = running.accepted("", &vec![1; 100_000]).await;
    running.certified(&accepted.id).await;
    let told = problem(running.post(eip, element(0xff)).await).await;
    assert_eq!(
        told.code, "payload.too_large",
        "the limit is that of the payload, whatever its encoding"
    );
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_that_are_not_canonical_are_refused_with_their_index() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let running = world.start(config()).await;
    let mut row = vec![0; 131_072];
    row[64] = 0xff; // element 2
    let told = problem(running.post("?encoding=eip4844", row.clone()).await).await;
    assert_eq!(
        (told.status, told.code.as_str()),
        (400, "payload.non_canonical")
    );
    assert!(told.detail.contains("element 2"), "{told:?}");
    row[64] = 0x73; // r begins with 0x73ed
    let accepted = running.accepted("?encoding=eip4844", &row).await;
    running.certified(&accepted.id).await;
    assert_eq!(
        running
            .get(&format!("/v1/blobs/{}", accepted.id))
            .await
            .bytes()
            .await
            .unwrap(),
        row
    );
    running.disperser.shutdown().await;
}

/// What the server says while the body is not sent, or not sent to its end.
async fn raw(address: std::net::SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    let read = async {
        while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(n) => answer.extend_from_slice(&piece[..n]),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("the server says nothing");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_is_said_before_the_body_is_there() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.max_payload = 100_000;
    settings.accept.body_timeout_secs = 600;
    settings.accept.idle_timeout_secs = 1000;
    let running = world.start(settings).await;
    let address = running.disperser.http_addr();
    // Declared: not a byte of the body is sent.
    let head = "POST /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100001\r\n\r\n";
    let answer = raw(address, head, b"").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Not declared: as soon as one byte too many is there, with the end still to come.
    let head = "POST /v1/blobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut chunk = b"186a1\r\n".to_vec(); // 100 001
    chunk.extend(vec![b'x'; 100_001]);
    let answer = raw(address, head, &chunk).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_times_out() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.body_timeout_secs = 1;
    let running = world.start(settings).await;
    let head = "POST /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    let answer = raw(running.disperser.http_addr(), head, b"the beginning").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_answered_at_once_and_passes() {
    let world = World::new(&[(Temper::Hangs, 1)]);
    let mut settings = config();
    settings.accept.max_open_blobs = 2;
    settings.accept.max_waiters = 1;
    settings.accept.wait_timeout_secs = 1;
    settings.disperse.attempt_timeout_secs = 1;
    let running = world.start(settings).await;
    // The wait has a deadline; the blob goes on.
    let answer = running.post("?wait=certified", vec![1; 10]).await;
    assert_eq!(answer.status(), 202);
    let first: ashlar_proto::api::BlobStatus = answer.json().await.unwrap();
    assert!(!first.state.is_final());
    running.accepted("", &[2; 10]).await;
    let answer = running.post("", vec![3; 10]).await;
    let after: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(after >= 1);
    let told = problem(answer).await;
    assert_eq!((told.status, told.code.as_str()), (503, "intake.full"));
    // Not certified yet is not an error of the server.
    let told = problem(
        running
            .get(&format!("/v1/blobs/{}/certificate", first.id))
            .await,
    )
    .await;
    assert_eq!(
        (told.status, told.code.as_str()),
        (409, "certificate.not_ready")
    );
    // One stream, and no more.
    let stream = running.get(&format!("/v1/blobs/{}/events", first.id)).await;
    assert_eq!(stream.status(), 200);
    let told = problem(running.get(&format!("/v1/blobs/{}/events", first.id)).await).await;
    assert_eq!((told.status, told.code.as_str()), (503, "waiters.full"));
    drop(stream);
    // The operator is back: everything goes through, and there is room again.
    world.operators[0].set(Temper::Honest);
    running.certified(&first.id).await;
    let began = std::time::Instant::now();
    while running.post("", vec![3; 10]).await.status() != 202 {
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_opening_until_the_database_is_open() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    // The address has to be known before the start returns.
    settings.listen.http = (ashlar_testing::loopback(), 19_000).into();
    let url = format!("http://{}", settings.listen.http);
    let (release, released) = std::sync::mpsc::channel::<()>();
    let key = NetworkKey::from_seed(**world.key.seed());
    let stake = world.sources();
    let starting = tokio::spawn(Disperser::start_with(
        settings,
        key,
        stake,
        world.wall_clock(),
        move || {
            let _ = released.recv();
            Ok(Arc::new(MemoryKv::new()) as Arc<dyn Kv>)
        },
    ));
    let http = http();
    let began = std::time::Instant::now();
    let answer = loop {
        match http.get(format!("{url}/v1/health")).send().await {
            Ok(answer) => break answer,
            Err(_) => assert!(began.elapsed() < PATIENCE),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("\"opening\""));
    let told = problem(
        http.post(format!("{url}/v1/blobs"))
            .body("x")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((told.status, told.code.as_str()), (503, "service.opening"));
    let told = problem(
        http.get(format!("{url}/v1/blobs/{UNKNOWN}"))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(told.code, "service.opening");
    release.send(()).unwrap();
    let running = starting.await.unwrap().unwrap();
    let answer = http.get(format!("{url}/v1/health")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("\"ready\""));
    running.shutdown().await;
    assert!(
        http.get(format!("{url}/v1/health")).send().await.is_err(),
        "it still listens"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_activity_shows_batches_and_who_signs_them() {
    let world = World::new(&[(Temper::Honest, 80), (Temper::Refuses, 20)]);
    let running = world.start(config()).await;
    let activity = async || -> serde_json::Value {
        let answer = running.get("/v1/activity").await;
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer.json().await.unwrap()
    };
    let posted = running.accepted("", &[7; 1000]).await;
    let batch = running.certified(&posted.id).await.batch.unwrap();
    let mut now = activity().await;
    until("the activity", async || {
        now = activity().await;
        now["operators"][0]["missed"] == 1
    })
    .await;
    let shown = &now["batches"][0];
    assert_eq!(shown["digest"], batch.digest.to_string());
    assert_eq!(shown["state"], "certified");
    assert_eq!(shown["signed"][0]["percent"], 80.0);
    assert_eq!(
        (&shown["blobs"], &shown["payload_len"]),
        (&1.into(), &1000.into())
    );
    let stages = &shown["stages"];
    let ms = |stage: &str| stages[stage].as_u64().unwrap();
    assert!(ms("batched_ms") <= ms("dispersing_ms") && ms("dispersing_ms") <= ms("certified_ms"));
    // In trouble first.
    let operators = now["operators"].as_array().unwrap();
    let signs: Vec<_> = operators
        .iter()
        .map(|of| (&of["signs"], &of["signed"]))
        .collect();
    assert_eq!(
        signs,
        [(&false.into(), &0.into()), (&true.into(), &1.into())]
    );
    assert_eq!(operators[0]["stakes"][0]["percent"], 20.0);
    assert_eq!(now["certified_blobs"], 1);
    assert!(!now["samples"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_every_route_and_every_route_is_in_it() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let running = world.start(config()).await;
    let document: serde_json::Value = running.get("/v1/openapi.json").await.json().await.unwrap();
    for name in document.to_string().split("#/components/schemas/").skip(1) {
        let name = name.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
    let documented: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let expected: BTreeSet<String> = [
        "POST /v1/blobs",
        "GET /v1/blobs/{key}",
        "GET /v1/blobs/{key}/slices",
        "GET /v1/blobs/{key}/status",
        "GET /v1/blobs/{key}/events",
        "GET /v1/blobs/{key}/certificate",
        "GET /v1/prices",
        "GET /v1/accounts/{address}",
        "GET /v1/operators",
        "GET /v1/activity",
        "GET /v1/health",
        "GET /v1/ready",
        "GET /metrics",
        "GET /v1/openapi.json",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(documented, expected);
    // Served, not only written down: every one of them answers something else than "no such route".
    for route in &documented {
        let (method, path) = route.split_once(' ').unwrap();
        let url = running.url(&path.replace("{key}", UNKNOWN));
        let answer = running
            .http
            .request(method.parse().unwrap(), url)
            .send()
            .await
            .unwrap();
        if !answer.status().is_success() {
            let told = problem(answer).await;
            assert!(!told.code.starts_with("route."), "{route}: {told:?}");
        }
        // And what is not documented does not exist.
        let other = if method == "GET" { "DELETE" } else { "GET" };
        let url = running.url(&path.replace("{key}", UNKNOWN));
        let told = problem(
            running
                .http
                .request(other.parse().unwrap(), url)
                .send()
                .await
                .unwrap(),
        )
        .await;
        assert_eq!(told.code, "route.method", "{other} {path}");
    }
    // Every answer that the document names as a problem is one, and every schema it refers to is there.
    let text = document.to_string();
    for name in [
        "BlobStatus",
        "BatchStatus",
        "StageTimes",
        "Problem",
        "HealthReport",
    ] {
        assert!(
            document["components"]["schemas"][name].is_object(),
            "{name}"
        );
    }
    for reference in text.split("\"$ref\":\"").skip(1) {
        let path = reference.split('"').next().unwrap();
        let pointer = path.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{path} leads nowhere");
    }
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_comes_in_the_form_of_its_file() {
    let world = World::new(&[(Temper::Honest, 1), (Temper::Honest, 2)]);
    let running = world.start(config()).await;
    for path in [
        "/v1/operators".to_owned(),
        format!("/v1/operators?block={}", crate::support::BLOCK),
    ] {
        let answer = running.get(&path).await;
        assert_eq!(answer.status(), 200);
        let view: serde_json::Value = answer.json().await.unwrap();
        let record = ashlar_stake::TableRecord::from_table(&world.table).unwrap();
        assert_eq!(
            view,
            serde_json::json!({ "domain": crate::support::DOMAIN, "table": record })
        );
    }
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_forgotten() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.store.retention_secs = 1;
    settings.store.expiry_interval_ms = 50;
    let running = world.start(settings).await;
    let accepted = running.accepted("", b"payload").await;
    let began = std::time::Instant::now();
    loop {
        let answer = running.get(&format!("/v1/blobs/{}", accepted.id)).await;
        if answer.status() == 404 {
            assert_eq!(problem(answer).await.code, "blob.unknown");
            break;
        }
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_event_streams_and_leaves_open_blobs_for_the_next_start() {
    let world = World::new(&[(Temper::Hangs, 1)]);
    let running = world.start(config()).await;
    let accepted = running.accepted("", b"payload").await;
    let id: BlobId = accepted.id;
    let stream = running.get(&format!("/v1/blobs/{id}/events")).await;
    running
        .until(&id, |status| status.state == BlobState::Dispersing)
        .await;
    let ended = tokio::spawn(crate::support::events(stream));
    let http = running.http.clone();
    tokio::time::timeout(PATIENCE, running.disperser.shutdown())
        .await
        .unwrap();
    drop(http);
    let seen = tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.last().unwrap().1, "dispersing");
    world.operators[0].set(Temper::Honest);
    let running = world.start(config()).await;
    running.certified(&id).await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_nothing_moves_is_closed() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.body_timeout_secs = 1;
    settings.accept.wait_timeout_secs = 1;
    settings.accept.idle_timeout_secs = 2;
    settings.accept.max_connections = 1;
    let running = world.start(settings).await;
    // Half a head, and then silence.
    let mut stream = TcpStream::connect(running.disperser.http_addr())
        .await
        .unwrap();
    stream
        .write_all(b"GET /v1/health HTTP/1.1\r\nHost")
        .await
        .unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "it is still open");
    assert_eq!(running.get("/v1/health").await.status(), 200);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_on_its_own_while_idle_sockets_take_all_places() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.max_connections = 2;
    settings.listen.health =
        ashlar_service::config::OptionalAddress(Some(([127, 0, 0, 1], 0).into()));
    let running = world.start(settings).await;
    let own = running.disperser.health_addr().unwrap();
    let mut idle = Vec::new();
    // Forty for each place: they give way to each other.
    for _ in 0..80 {
        idle.push(
            TcpStream::connect(running.disperser.http_addr())
                .await
                .unwrap(),
        );
    }
    let answer = http().get(format!("http://{own}/v1/health")).send().await;
    assert_eq!(answer.unwrap().status(), 200);
    let metrics = http().get(format!("http://{own}/metrics")).send().await;
    assert!(
        metrics
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("ashlar_disperser_")
    );
    drop(idle);
    running.disperser.shutdown().await;
}
