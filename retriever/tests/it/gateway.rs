//! A gateway over HTTP: nothing unverified leaves it, and what it has fetched it keeps.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::world::{Batch, Behaviour, World, noise};
use ashlar_crypto::{Encoding, sha256};
use ashlar_proto::api::Problem;
use ashlar_proto::{BlobHeader, Certificate, OperatorIndex, Submission};
use ashlar_retriever::gateway::{Gateway, GatewayConfig, RunningGateway};
use axum::Router;
use axum::extract::{Path as InPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A disperser as far as a gateway asks one: certificates and payloads by name. It may lie about everything.
#[derive(Default)]
struct Disperser {
    certificates: Mutex<HashMap<String, Vec<u8>>>,
    payloads: Mutex<HashMap<String, Vec<u8>>>,
    asked: AtomicU32,
}

impl Disperser {
    async fn serve(self: &Arc<Self>) -> String {
        let app = Router::new()
            .route("/v1/blobs/{key}", get(relay))
            .route("/v1/blobs/{key}/certificate", get(certificate))
            .with_state(Arc::clone(self));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }
}

async fn certificate(State(this): State<Arc<Disperser>>, InPath(key): InPath<String>) -> Response {
    this.asked.fetch_add(1, Ordering::SeqCst);
    match this.certificates.lock().unwrap().get(&key) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn relay(State(this): State<Arc<Disperser>>, InPath(key): InPath<String>) -> Response {
    match this.payloads.lock().unwrap().get(&key) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn config(folder: &Path, dispersers: &[String]) -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.listen.http = "127.0.0.1:0".parse().unwrap();
    config.paths.cache = folder.join("cache");
    config.policy.required_quorums = vec![0];
    config.policy.max_age_secs = 3600;
    config.fetch.dispersers = dispersers.to_vec();
    config.cache.min_free_bytes = 0;
    config
}

struct Running {
    gateway: RunningGateway,
    http: reqwest::Client,
}

impl Running {
    async fn start(world: &World, config: GatewayConfig) -> Self {
        let gateway = Gateway::start(config, world.stake_source(), world.network()).await;
        let authorities = ashlar_retriever::http::Authorities::Nobody;
        let http = ashlar_retriever::http::client(authorities, Duration::from_secs(3)).unwrap();
        Self {
            gateway: gateway.unwrap(),
            http: http.build().unwrap(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gateway.http_addr())
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    async fn payload(&self, name: impl std::fmt::Display) -> Vec<u8> {
        let answer = self.get(&format!("/v1/blobs/{name}")).await;
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        answer.bytes().await.unwrap().to_vec()
    }

    async fn post(&self, certificate: Vec<u8>) -> reqwest::Response {
        let request = self.http.post(self.url("/v1/payload"));
        request.body(certificate).send().await.unwrap()
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        let of = |line: &str| {
            let rest = line.strip_prefix(&format!("ashlar_gateway_{name}"))?;
            let ours = rest.starts_with([' ', '{']);
            ours.then(|| rest.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        };
        text.lines().filter_map(of).sum()
    }
}

async fn problem(answer: reqwest::Response) -> (u16, String) {
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let told: Problem = answer.json().await.unwrap();
    (told.status, told.code)
}

fn id(header: &BlobHeader, payload: &[u8]) -> String {
    let submission = Submission {
        version: header.version,
        encoding: header.encoding,
        payload_len: header.payload_len,
        quorums: header.quorums.clone(),
        account: header.account,
        salt: header.salt,
        payload_sha256: sha256(&[payload]),
    };
    submission.id().to_string()
}

/// A batch of one blob with this payload, which all operators hold, and the certificate of all of them.
fn stored(world: &World, payload: &[u8]) -> (Arc<Batch>, Certificate) {
    let payloads = [(payload, Encoding::Packed31)];
    let batch = world.store(Batch::encode(world, &payloads, 1, |_, _| {}));
    let everybody: Vec<u32> = (0..world.bls.len() as u32).collect();
    let certificate = world.certify(&batch, 0, &everybody);
    (batch, certificate)
}

fn asked(world: &World) -> usize {
    (0..8).map(|operator| world.asked(operator).len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_fetched_once_and_kept() {
    let world = World::new(&[100; 8], |_| Behaviour::Honest);
    let payload = noise(300_000, 3);
    let (batch, certificate) = stored(&world, &payload);
    let certificate = certificate.to_bytes();
    let key = batch.blobs[0].blob_key();
    let folder = tempfile::tempdir().unwrap();
    let disperser = Arc::new(Disperser::default());
    let url = disperser.serve().await;
    let running = Running::start(&world, config(folder.path(), &[url])).await;

    // Nobody knows it yet.
    let told = problem(running.get(&format!("/v1/blobs/{key}")).await).await;
    assert_eq!(told, (404, "blob.unknown".into()));
    assert_eq!(
        problem(running.get("/v1/blobs/0x12").await).await,
        (400, "id.malformed".into())
    );
    // By the certificate, from operators, whatever the relay says.
    let mut wrong = payload.clone();
    wrong[5] ^= 1;
    disperser
        .payloads
        .lock()
        .unwrap()
        .insert(key.to_string(), wrong);
    let answer = running.post(certificate.clone()).await;
    assert_eq!(
        answer.headers()["content-location"],
        format!("/v1/blobs/{key}")
    );
    assert!(answer.bytes().await.unwrap() == payload);
    let before = asked(&world);
    assert!(before > 0);
    // From now on from the cache: by key, by id, in parts, not at all.
    assert!(running.payload(key).await == payload);
    assert!(running.payload(id(&batch.blobs[0], &payload)).await == payload);
    let url = running.url(&format!("/v1/blobs/{key}"));
    let part = running
        .http
        .get(&url)
        .header("range", "bytes=-1000")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), 206);
    let tag = part.headers()["etag"].clone();
    assert_eq!(tag, format!("\"{key}\""));
    assert!(
        part.headers()["cache-control"]
            .to_str()
            .unwrap()
            .starts_with("public, immutable, max-age=12095")
    );
    assert!(part.bytes().await.unwrap() == payload[299_000..]);
    let known = running
        .http
        .get(&url)
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(known.status(), 304);
    let head = running.http.head(&url).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"300000".parse().unwrap())
    );
    assert_eq!(asked(&world), before);
    assert_eq!(disperser.asked.load(Ordering::SeqCst), 1);
    assert_eq!(
        (
            running.metric("cache_hits_total").await,
            running.metric("cache_misses_total").await
        ),
        (3, 1)
    );
    running.gateway.shutdown().await;

    // A restart keeps it, with nobody there to ask.
    let running = Running::start(&world, config(folder.path(), &[])).await;
    assert!(running.payload(key).await == payload);
    assert_eq!(asked(&world), before);
    // A damaged file is never served: without a certificate there is nothing to fetch it anew with.
    let file = folder.path().join("cache").join(key.to_string());
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(
        problem(running.get(&format!("/v1/blobs/{key}")).await)
            .await
            .0,
        404
    );
    assert!(
        running
            .post(certificate.clone())
            .await
            .bytes()
            .await
            .unwrap()
            == payload
    );
    assert!(running.payload(key).await == payload);
    assert_eq!(running.metric("damaged_entries_total").await, 1);
    running.gateway.shutdown().await;

    // A stricter policy after a restart holds for what is cached, too.
    let mut stricter = config(folder.path(), &[]);
    stricter.policy.required_quorums = vec![0, 1];
    let running = Running::start(&world, stricter).await;
    assert_eq!(
        problem(running.get(&format!("/v1/blobs/{key}")).await)
            .await
            .0,
        404
    );
    let told = problem(running.post(certificate).await).await;
    assert_eq!(told, (422, "certificate.quorum_missing".into()));
    assert_eq!(
        problem(running.post(b"nonsense".to_vec()).await).await.0,
        400
    );
    let huge = vec![0; ashlar_proto::certificate::MAX_CERTIFICATE_BYTES + 1];
    assert_eq!(problem(running.post(huge).await).await.0, 413);
    running.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dispersers_are_asked_for_certificates_and_believed_in_nothing() {
    let world = World::new(&[100; 8], |_| Behaviour::Honest);
    let (payload, other) = (noise(100_000, 3), noise(1000, 4));
    let batch = Batch::encode(
        &world,
        &[(&payload, Encoding::Packed31), (&other, Encoding::Packed31)],
        1,
        |_, _| {},
    );
    let batch = world.store(batch);
    let everybody = [0, 1, 2, 3, 4, 5, 6, 7];
    let (key, other_key) = (batch.blobs[0].blob_key(), batch.blobs[1].blob_key());
    let (name, other_name) = (id(&batch.blobs[0], &payload), id(&batch.blobs[1], &other));
    let too_few = world.certify(&batch, 0, &[0, 1, 2]).to_bytes();
    let good = world.certify(&batch, 0, &everybody).to_bytes();
    let of_other = world.certify(&batch, 1, &everybody).to_bytes();
    let folder = tempfile::tempdir().unwrap();
    let (liar, honest) = (
        Arc::new(Disperser::default()),
        Arc::new(Disperser::default()),
    );
    let urls = [liar.serve().await, honest.serve().await];
    let running = Running::start(&world, config(folder.path(), &urls)).await;
    let lies = |name: &dyn ToString, bytes: &[u8]| {
        liar.certificates
            .lock()
            .unwrap()
            .insert(name.to_string(), bytes.to_vec());
    };
    // One that too few have signed.
    lies(&key, &too_few);
    let told = problem(running.get(&format!("/v1/blobs/{key}")).await).await;
    assert_eq!(told, (422, "certificate.threshold".into()));
    // One of another blob, for a key and for an id.
    lies(&key, &of_other);
    lies(&name, &of_other);
    for name in [key.to_string(), name.clone()] {
        let told = problem(running.get(&format!("/v1/blobs/{name}")).await).await;
        assert_eq!(told, (502, "gateway.other_blob".into()));
    }
    // The second disperser has the right one.
    lies(&key, &too_few);
    honest
        .certificates
        .lock()
        .unwrap()
        .insert(key.to_string(), good.clone());
    assert!(running.payload(key).await == payload);
    // By id, from a disperser, with the payload from its relay.
    lies(&other_name, &of_other);
    liar.payloads
        .lock()
        .unwrap()
        .insert(other_key.to_string(), other.clone());
    assert!(running.payload(other_name).await == other);
    running.gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_one_blob_cause_one_fetch() {
    let world = World::new(&[100; 8], |_| Behaviour::Honest);
    let payload = noise(500_000, 3);
    let (_, certificate) = stored(&world, &payload);
    let certificate = certificate.to_bytes();
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&world, config(folder.path(), &[])).await;
    let posts = (0..40).map(|_| async {
        let answer = running.post(certificate.clone()).await;
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    });
    for (status, bytes) in futures::future::join_all(posts).await {
        assert!(status == 200 && bytes == payload, "{status}");
    }
    assert_eq!(running.metric("fetches_total").await, 1);
    let operators: serde_json::Value = running.get("/v1/operators").await.json().await.unwrap();
    let operators = operators["operators"].as_array().unwrap();
    assert!(
        operators.iter().all(|operator| operator["trust"] == "good"),
        "{operators:?}"
    );
    assert!(running.metric("operator_requests").await > 0);

    let document: serde_json::Value = running.get("/v1/openapi.json").await.json().await.unwrap();
    let mut paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/metrics",
            "/v1/blobs/{key}",
            "/v1/health",
            "/v1/openapi.json",
            "/v1/operators",
            "/v1/payload",
            "/v1/ready"
        ]
    );
    assert_eq!(running.get("/v1/health").await.status(), 200);
    running.gateway.shutdown().await;
}

/// A third of the operators is hostile, and nothing is known about any: wrong bytes, wrong Merkle paths, silence, refusals, and one
/// that is slow. The right bytes come, for no more than 1.3 times what is needed, and then out of the cache.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_mebibytes_come_past_a_third_of_hostile_operators() {
    let hostile = |index| match index {
        1 => Behaviour::Corrupt,
        4 => Behaviour::WrongPaths,
        7 => Behaviour::Hangs,
        9 => Behaviour::Overloaded,
        12 => Behaviour::Slow,
        _ => Behaviour::Honest,
    };
    let world = World::new(&[100; 15], hostile);
    let payload = noise(16 << 20, 3);
    let (batch, certificate) = stored(&world, &payload);
    let folder = tempfile::tempdir().unwrap();
    let disperser = Arc::new(Disperser::default());
    let url = disperser.serve().await;

    // A relay, that has to be checked as well.
    let key = batch.blobs[0].blob_key();
    disperser
        .payloads
        .lock()
        .unwrap()
        .insert(key.to_string(), payload.clone());
    let begin = Instant::now();
    let relays = ashlar_retriever::RetrieverConfig {
        relays: vec![ashlar_retriever::http::Server::at(&url).unwrap()],
        ..Default::default()
    };
    let retriever = ashlar_retriever::Retriever::new(relays, world.stake_source(), world.network());
    let retriever = retriever.unwrap();
    let cert = world.check(&certificate);
    let found = retriever
        .fetch(&cert, ashlar_retriever::Source::Relay)
        .await
        .unwrap();
    assert!(found.payload == payload);
    let relay = begin.elapsed();

    let (mut worst, mut times) = (0.0f64, Vec::new());
    for _ in 0..3 {
        let fresh = ashlar_retriever::Retriever::new(
            ashlar_retriever::RetrieverConfig::default(),
            world.stake_source(),
            world.network(),
        );
        let begin = Instant::now();
        let found = fresh
            .unwrap()
            .fetch(&cert, ashlar_retriever::Source::Operators)
            .await
            .unwrap();
        times.push(begin.elapsed());
        assert!(found.payload == payload);
        let report = &found.report;
        let share = report.bytes_fetched as f64 / report.bytes_needed as f64;
        worst = worst.max(share);
        assert!(share <= 1.3, "{share}: {report:#?}");
        for skipped in &report.skipped {
            let index = skipped.index.unwrap();
            // A busy machine may make an honest one late, and never a liar.
            let late = ["operator.slow", "operator.timeout"].contains(&skipped.code.as_str());
            assert!(late || hostile(index.0) != Behaviour::Honest, "{skipped:?}");
        }
        let named = |index: u32| {
            let id = world.table.operators()[index as usize].operator_id;
            report.scores.iter().find(|score| score.operator == id)
        };
        for (liar, code) in [
            (1, "operator.corrupt_slices"),
            (4, "operator.corrupt_slices"),
        ] {
            let asked = report
                .operators
                .iter()
                .any(|asked| asked.index == OperatorIndex(liar) && asked.bytes > 0);
            if let Some(score) = named(liar).filter(|_| asked) {
                assert_eq!(score.last_fault.as_ref().unwrap().code, code);
                assert!(score.avoided_ms > 0);
            }
        }
    }

    let running = Running::start(&world, config(folder.path(), &[])).await;
    let begin = Instant::now();
    let first = running
        .post(certificate.to_bytes())
        .await
        .bytes()
        .await
        .unwrap();
    assert!(first == payload);
    let first = begin.elapsed();
    let begin = Instant::now();
    assert!(running.payload(key).await == payload);
    let second = begin.elapsed();
    running.gateway.shutdown().await;
    println!(
        "16 MiB: relay {relay:?}; operators, a third hostile: {times:?}, at most {worst:.2} of the slices needed; gateway: first read {first:?}, second {second:?}"
    );
    assert!(
        second < first,
        "{second:?} from the cache, {first:?} from operators"
    );
}
