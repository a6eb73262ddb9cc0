//! The client against a disperser that does what a test tells it to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../retriever/tests/it/world/mod.rs"]
#[allow(dead_code)] // it uses its own part
mod world;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ashlar_client::{
    BlobState, BlobStatus, Certified, Client, ClientConfig, ClientError, Problem, PutOptions,
    RetryPolicy, Source, Submitted, Trust, WaitOptions,
};
use ashlar_crypto::{Blame, Claim, Coded, Encoding, Rows, Setup, check_commitments, sha256};
use ashlar_proto::api::{PROBLEM_TYPE, PUT_BLOB_TYPE, StageTimes, StatusError};
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{
    Account, BlobId, Block, Certificate, CertificatePolicy, MaxAge, Network, RequiredQuorums,
    Submission, TableAccess, TableRoot, TrustedRoot, TrustedTable,
};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;
use world::{Batch, Behaviour, World, noise};

type Change = fn(&World, &Batch, Certificate) -> Vec<u8>;

/// What the disperser is to do wrong.
#[derive(Clone, Default)]
struct Orders {
    /// Refuse the first so many posts with this status.
    refuse: Option<(u32, u16, Option<&'static str>)>,
    /// Name the submission otherwise.
    wrong_id: bool,
    /// The path of events does not exist.
    no_events: bool,
    /// The stream of events breaks after the second event, this many times.
    break_events: u32,
    /// Events carry other data.
    odd_events: bool,
    /// Tell of a failure that is past.
    failed_before: bool,
    /// Give the blob up.
    fail: bool,
    /// Never gets further than this state.
    stuck: bool,
    /// Changes the certificate.
    certificate: Option<Change>,
    /// Encodes this instead of the payload.
    other_payload: Option<Vec<u8>>,
}

struct Disperser {
    world: World,
    orders: Orders,
    posts: AtomicU32,
    streams: AtomicU32,
    polls: AtomicU32,
    /// Bodies of the posts, in order.
    bodies: Mutex<Vec<Bytes>>,
    queries: Mutex<Vec<String>>,
    stored: Mutex<Option<Stored>>,
}

#[derive(Clone)]
struct Stored {
    id: BlobId,
    put: PutBlob,
    batch: Arc<Batch>,
}

type Shared = State<Arc<Disperser>>;

async fn start(orders: Orders) -> (Arc<Disperser>, String) {
    let disperser = Arc::new(Disperser {
        world: World::new(&[100; 4], |_| Behaviour::Honest),
        orders,
        posts: AtomicU32::new(0),
        streams: AtomicU32::new(0),
        polls: AtomicU32::new(0),
        bodies: Mutex::default(),
        queries: Mutex::default(),
        stored: Mutex::default(),
    });
    let app = Router::new()
        .route("/v1/blobs", post(put))
        .route("/v1/blobs/{key}", get(payload))
        .route("/v1/blobs/{key}/status", get(status))
        .route("/v1/blobs/{key}/events", get(events))
        .route("/v1/blobs/{key}/certificate", get(certificate))
        .layer(DefaultBodyLimit::max(32 << 20))
        .with_state(disperser.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (disperser, format!("http://{address}"))
}

fn problem(status: u16, code: &str, retry_after: Option<&'static str>) -> Response {
    let blame = if status < 500 {
        Blame::Caller
    } else {
        Blame::Us
    };
    let body = serde_json::to_vec(
        &Problem::new(status, code, blame, "as the test wants it").with("this", "that"),
    )
    .unwrap();
    let mut answer = (
        StatusCode::from_u16(status).unwrap(),
        [(header::CONTENT_TYPE, PROBLEM_TYPE)],
        body,
    )
        .into_response();
    if let Some(after) = retry_after {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, after.parse().unwrap());
    }
    answer
}

async fn put(
    State(disperser): Shared,
    headers: HeaderMap,
    Query(query): Query<std::collections::BTreeMap<String, String>>,
    body: Bytes,
) -> Response {
    let number = disperser.posts.fetch_add(1, Ordering::SeqCst);
    disperser.bodies.lock().unwrap().push(body.clone());
    if let Some((times, status, retry_after)) = disperser.orders.refuse
        && number < times
    {
        return problem(status, "test.refused", retry_after);
    }
    let put = if headers[header::CONTENT_TYPE] == PUT_BLOB_TYPE {
        PutBlob::decode(body).unwrap()
    } else {
        disperser.queries.lock().unwrap().push(format!("{query:?}"));
        PutBlob {
            version: query["version"].parse().unwrap(),
            encoding: query["encoding"].parse().unwrap(),
            quorums: query["quorums"]
                .split(',')
                .map(|quorum| quorum.parse().unwrap())
                .collect(),
            account: query["account"].parse().unwrap(),
            salt: query["salt"].parse().unwrap(),
            commitments: Vec::new(),
            payload: body,
        }
    };
    let id = Submission {
        version: put.version,
        encoding: put.encoding,
        payload_len: put.payload.len() as u64,
        quorums: put.quorums.clone(),
        account: put.account,
        salt: put.salt,
        payload_sha256: sha256(&[&put.payload]),
    }
    .id();
    let encoded = disperser
        .orders
        .other_payload
        .clone()
        .unwrap_or_else(|| put.payload.to_vec());
    let batch = Batch::encode(
        &disperser.world,
        &[(&encoded, put.encoding)],
        put.salt,
        |_, _| {},
    );
    let batch = disperser.world.store(batch);
    let mut status = a_status(id, BlobState::Queued);
    if disperser.orders.wrong_id {
        status.id = BlobId([9; 32]);
    }
    *disperser.stored.lock().unwrap() = Some(Stored { id, put, batch });
    (StatusCode::ACCEPTED, Json(status)).into_response()
}

fn a_status(id: BlobId, state: BlobState) -> BlobStatus {
    BlobStatus {
        id,
        key: None,
        state,
        version: 1,
        encoding: Encoding::Packed31,
        quorums: vec![0],
        payload_len: 1,
        rows: 1,
        submitted_at_ms: 1_700_000_000_000,
        stages: StageTimes::default(),
        batch: None,
        error: (state == BlobState::Failed).then(|| StatusError {
            code: "blob.false_commitments".to_owned(),
            message: "as the test wants it".to_owned(),
        }),
    }
}

impl Disperser {
    /// The stored blob, if this is its name.
    fn find(&self, name: &str) -> Option<Stored> {
        let stored = self.stored.lock().unwrap().clone()?;
        let key = stored.batch.blobs[0].blob_key();
        (name == stored.id.to_string() || name == key.to_string()).then_some(stored)
    }

    fn last_state(&self) -> BlobState {
        if self.orders.fail {
            BlobState::Failed
        } else if self.orders.stuck {
            BlobState::Dispersing
        } else {
            BlobState::Certified
        }
    }
}

async fn status(State(disperser): Shared, Path(name): Path<String>) -> Response {
    let polls = disperser.polls.fetch_add(1, Ordering::SeqCst);
    match disperser.find(&name) {
        // Needs three looks.
        Some(stored) if polls < 2 => Json(a_status(stored.id, BlobState::Encoding)).into_response(),
        Some(stored) => Json(a_status(stored.id, disperser.last_state())).into_response(),
        None => problem(404, "blob.unknown", None),
    }
}

async fn events(State(disperser): Shared, Path(name): Path<String>) -> Response {
    let number = disperser.streams.fetch_add(1, Ordering::SeqCst);
    let Some(stored) = disperser
        .find(&name)
        .filter(|_| !disperser.orders.no_events)
    else {
        return problem(404, "http.no_such_path", None);
    };
    let mut states = vec![
        BlobState::Encoding,
        BlobState::Encoded,
        BlobState::Dispersing,
    ];
    if !disperser.orders.stuck {
        states.push(disperser.last_state());
    }
    if disperser.orders.failed_before {
        states.insert(0, BlobState::Failed);
    }
    let broken = number < disperser.orders.break_events;
    states.truncate(if broken { 2 } else { 9 });
    let odd = disperser.orders.odd_events;
    let parts = states.into_iter().map(move |state| {
        let data = serde_json::to_string(&a_status(stored.id, state)).unwrap();
        let data = if odd { "{}".to_owned() } else { data };
        Ok::<_, Infallible>(Bytes::from(format!(
            ": alive\n\nevent: {state}\ndata: {data}\n\n"
        )))
    });
    let stream = futures::stream::iter(parts);
    let body = if disperser.orders.stuck {
        Body::from_stream(stream.chain(futures::stream::pending()))
    } else {
        Body::from_stream(stream)
    };
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

#[derive(serde::Deserialize)]
struct Form {
    form: Option<String>,
}

async fn certificate(
    State(disperser): Shared,
    Path(name): Path<String>,
    Query(form): Query<Form>,
) -> Response {
    let Some(stored) = disperser.find(&name) else {
        return problem(404, "blob.unknown", None);
    };
    let world = &disperser.world;
    let certificate = world.certify(&stored.batch, 0, &[0, 1, 3]);
    let certificate = if form.form.as_deref() == Some("portable") {
        certificate.to_portable(world.table.as_ref()).unwrap()
    } else {
        certificate
    };
    match disperser.orders.certificate {
        Some(change) => change(world, &stored.batch, certificate).into_response(),
        None => certificate.to_bytes().into_response(),
    }
}

async fn payload(State(disperser): Shared, Path(name): Path<String>) -> Response {
    match disperser.find(&name) {
        Some(stored) => stored.put.payload.into_response(),
        None => problem(404, "blob.unknown", None),
    }
}

fn config(url: &str) -> ClientConfig {
    ClientConfig {
        retry: RetryPolicy {
            attempts: 4,
            base: Duration::from_millis(20),
            ..RetryPolicy::default()
        },
        ..ClientConfig::new(url)
    }
}

fn salted() -> PutOptions {
    PutOptions {
        salt: Some(5),
        ..PutOptions::default()
    }
}

fn wait(submitted: &Submitted, world: &World, trust: Trust) -> WaitOptions {
    WaitOptions {
        deadline: Duration::from_secs(30),
        policy: submitted.policy(world.table.domain()).unwrap(),
        trust,
    }
}

fn table(world: &World) -> Trust {
    Trust::Table(TrustedTable::trust_on_my_own_word(world.table.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn post_watch_check_and_get_back() {
    let (disperser, url) = start(Orders::default()).await;
    let client = Client::new(config(&url)).unwrap();
    let data = noise(200_000, 1);
    let submitted = client.put(data.clone(), salted()).await.unwrap();
    assert_eq!(submitted.disperser, url);
    assert_eq!(submitted.status.state, BlobState::Queued);

    // The commitments that went out are those of the rows.
    let put = disperser.stored.lock().unwrap().clone().unwrap().put;
    let rows = Rows::from_payload(&data, Encoding::Packed31).unwrap();
    let claim = Claim {
        rows: &rows,
        commitments: &put.commitments,
    };
    let checked = check_commitments(Setup::ethereum(), &[claim], [1; 32]);
    assert!(checked.results[0].is_ok());

    let mut states = Vec::new();
    let options = wait(&submitted, &disperser.world, table(&disperser.world));
    let certified = client
        .wait_certified(&submitted, options, |status| states.push(status.state))
        .await
        .unwrap();
    assert_eq!(
        states,
        [
            BlobState::Queued,
            BlobState::Encoding,
            BlobState::Encoded,
            BlobState::Dispersing,
            BlobState::Certified
        ]
    );
    assert_eq!(certified.status.state, BlobState::Certified);
    let verified = certified.certificate;
    assert_eq!(verified.signer_count(), 3);
    assert_eq!(
        disperser.polls.load(Ordering::SeqCst),
        0,
        "events were enough"
    );

    let found = client.get(&verified, Source::Auto).await.unwrap();
    assert_eq!(found.payload, data);

    // By id, by key, and what nobody knows.
    assert_eq!(client.status(submitted.id).await.unwrap().id, submitted.id);
    client.status(verified.blob_key()).await.unwrap();
    let compact = client.certificate(submitted.id, false).await.unwrap();
    let portable = client.certificate(submitted.id, true).await.unwrap();
    assert_eq!(
        (
            compact.unverified().is_portable(),
            portable.unverified().is_portable()
        ),
        (false, true)
    );
    let root = TrustedRoot::trust_on_my_own_word(disperser.world.table.root());
    let policy = submitted.policy(disperser.world.table.domain()).unwrap();
    for (certificate, trust) in [
        (&compact, table(&disperser.world)),
        (&portable, Trust::Root(root)),
    ] {
        let checked = certificate.verify(&trust, &policy).await.unwrap();
        assert_eq!(checked.blob_key(), verified.blob_key());
    }
    let error = client.status(BlobId([1; 32])).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "blob.unknown");
    let events: Vec<_> = client.events(&submitted).await.unwrap().collect().await;
    assert_eq!(events.len(), 4);
    assert_eq!(
        events.last().unwrap().as_ref().unwrap().state,
        BlobState::Certified
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_is_repeated_with_the_same_submission() {
    let orders = Orders {
        refuse: Some((2, 429, Some("1"))),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Client::new(config(&url)).unwrap();
    let begin = Instant::now();
    // No salt: a random one, and the same in every attempt.
    let submitted = client
        .put(b"again".to_vec(), PutOptions::default())
        .await
        .unwrap();
    assert!(
        begin.elapsed() >= Duration::from_secs(2),
        "Retry-After was not waited for"
    );
    let bodies = disperser.bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(
        submitted.id,
        disperser.stored.lock().unwrap().clone().unwrap().id
    );

    let same = client
        .put(
            b"again".to_vec(),
            PutOptions {
                salt: Some(submitted.submission.salt),
                ..PutOptions::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(same.id, submitted.id);
    let other = client
        .put(b"again".to_vec(), PutOptions::default())
        .await
        .unwrap();
    assert_ne!(other.id, submitted.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_carry_the_servers_code_and_are_not_repeated() {
    for (status, code_blame) in [
        (413, Blame::Caller),
        (400, Blame::Caller),
        (500, Blame::Peer),
    ] {
        let orders = Orders {
            refuse: Some((9, status, None)),
            ..Orders::default()
        };
        let (disperser, url) = start(orders).await;
        let client = Client::new(config(&url)).unwrap();
        let error = client.put(b"no".to_vec(), salted()).await.unwrap_err();
        let problem = error.problem().unwrap();
        assert_eq!(
            (problem.status, problem.code.as_str()),
            (status, "test.refused")
        );
        assert_eq!(
            (problem.got.as_deref(), problem.expected.as_deref()),
            (Some("this"), Some("that"))
        );
        assert_eq!(
            (error.code(), error.blame()),
            ("client.refused", code_blame)
        );
        assert_eq!(disperser.posts.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_for_ever_is_given_up_after_the_attempts() {
    let orders = Orders {
        refuse: Some((99, 503, None)),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Client::new(config(&url)).unwrap();
    let error = client.put(b"no".to_vec(), salted()).await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 503);
    assert_eq!(disperser.posts.load(Ordering::SeqCst), 4);

    let orders = Orders {
        refuse: Some((99, 503, Some("86400"))),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Client::new(config(&url)).unwrap();
    client.put(b"no".to_vec(), salted()).await.unwrap_err();
    assert_eq!(
        disperser.posts.load(Ordering::SeqCst),
        1,
        "nobody waits for a day"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_disperser_is_passed_over() {
    let (_disperser, url) = start(Orders::default()).await;
    let dead = "http://127.0.0.1:1".to_owned();
    let mut both = config(&dead);
    both.dispersers.push(url.clone());
    let submitted = Client::new(both)
        .unwrap()
        .put(b"x".to_vec(), salted())
        .await
        .unwrap();
    assert_eq!(submitted.disperser, url);

    let error = Client::new(config(&dead))
        .unwrap()
        .put(b"x".to_vec(), salted())
        .await
        .unwrap_err();
    assert!(
        matches!(error, ClientError::Transport { attempts: 4, .. }),
        "{error}"
    );
    assert_eq!(error.code(), "client.unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_here() {
    let (disperser, url) = start(Orders::default()).await;
    let small = ClientConfig {
        max_payload: 10,
        ..config(&url)
    };
    let client = Client::new(small).unwrap();
    let put = |payload: &'static [u8], change: fn(&mut PutOptions)| {
        let mut options = salted();
        change(&mut options);
        let client = client.clone();
        async move { client.put(payload, options).await.unwrap_err().code() }
    };
    assert_eq!(put(b"", |_| {}).await, "payload.empty");
    assert_eq!(put(b"eleven bytes", |_| {}).await, "payload.too_large");
    assert_eq!(
        put(b"x", |options| options.encoding = Encoding::Eip4844).await,
        "payload.not_whole_rows"
    );
    assert_eq!(
        put(b"x", |options| options.version = 99).await,
        "version.unknown"
    );
    let quorums = put(b"x", |options| options.quorums = vec![1, 0]).await;
    assert!(quorums.contains("quorum"), "{quorums}");
    assert_eq!(disperser.posts.load(Ordering::SeqCst), 0);
    assert_eq!(
        Client::new(ClientConfig::default()).err().unwrap().code(),
        "client.no_disperser"
    );
    assert_eq!(
        Client::new(config("disperser:80")).err().unwrap().code(),
        "http.url"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_another_id_is_refused() {
    let (_disperser, url) = start(Orders {
        wrong_id: true,
        ..Orders::default()
    })
    .await;
    let error = Client::new(config(&url))
        .unwrap()
        .put(b"x".to_vec(), salted())
        .await
        .unwrap_err();
    assert_eq!(
        (error.code(), error.blame()),
        ("client.wrong_id", Blame::Peer)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn put_raw_leaves_commitments_to_the_disperser() {
    let (disperser, url) = start(Orders::default()).await;
    let client = Client::new(config(&url)).unwrap();
    let options = PutOptions {
        account: Account([3; 20]),
        ..salted()
    };
    let submitted = client.put_raw(b"plain".to_vec(), options).await.unwrap();
    assert_eq!(submitted.commitments_root, None);
    let put = disperser.stored.lock().unwrap().clone().unwrap().put;
    assert_eq!(
        (put.commitments.len(), put.salt, put.account),
        (0, 5, Account([3; 20]))
    );
    assert_eq!(put.payload, "plain");
}

async fn waited(
    orders: Orders,
    deadline: Duration,
) -> (Arc<Disperser>, Result<Vec<BlobState>, ClientError>) {
    let (disperser, url) = start(orders).await;
    let client = Client::new(config(&url)).unwrap();
    let submitted = client.put(b"watch me".to_vec(), salted()).await.unwrap();
    let mut states = Vec::new();
    let options = WaitOptions {
        deadline,
        ..wait(
            &submitted,
            &disperser.world,
            Trust::Source(disperser.world.stake_source()),
        )
    };
    let result = client
        .wait_certified(&submitted, options, |status| states.push(status.state))
        .await
        .map(|_| states);
    (disperser, result)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_break_are_opened_again_and_missing_ones_replaced_by_looking() {
    let long = Duration::from_secs(30);
    let (disperser, states) = waited(
        Orders {
            break_events: 1,
            ..Orders::default()
        },
        long,
    )
    .await;
    assert_eq!(*states.unwrap().last().unwrap(), BlobState::Certified);
    assert_eq!(disperser.streams.load(Ordering::SeqCst), 2);

    for orders in [
        Orders {
            no_events: true,
            ..Orders::default()
        },
        Orders {
            odd_events: true,
            ..Orders::default()
        },
    ] {
        let (disperser, states) = waited(orders, long).await;
        assert_eq!(
            states.unwrap(),
            [BlobState::Queued, BlobState::Encoding, BlobState::Certified]
        );
        assert_eq!(disperser.polls.load(Ordering::SeqCst), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_told_by_events_is_history_if_the_status_says_so() {
    let orders = Orders {
        failed_before: true,
        ..Orders::default()
    };
    let (_, states) = waited(orders, Duration::from_secs(30)).await;
    assert_eq!(*states.unwrap().last().unwrap(), BlobState::Certified);
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_and_deadline_are_different() {
    let (_, result) = waited(
        Orders {
            fail: true,
            ..Orders::default()
        },
        Duration::from_secs(30),
    )
    .await;
    let error = result.unwrap_err();
    let ClientError::Failed(reason) = &error else {
        panic!("{error}")
    };
    assert_eq!(reason.code, "blob.false_commitments");

    let (_, result) = waited(
        Orders {
            stuck: true,
            ..Orders::default()
        },
        Duration::from_millis(400),
    )
    .await;
    let error = result.unwrap_err();
    let ClientError::Deadline {
        state: BlobState::Dispersing,
        ..
    } = error
    else {
        panic!("{error}")
    };
}

async fn certified_with(
    trust: fn(&World) -> Trust,
    change: Change,
) -> Result<Certified, ClientError> {
    certified_under(trust, change, |policy| policy).await
}

async fn certified_under(
    trust: fn(&World) -> Trust,
    change: Change,
    asked: fn(CertificatePolicy) -> CertificatePolicy,
) -> Result<Certified, ClientError> {
    let (disperser, url) = start(Orders {
        certificate: Some(change),
        ..Orders::default()
    })
    .await;
    let client = Client::new(config(&url)).unwrap();
    let submitted = client.put(b"certify me".to_vec(), salted()).await.unwrap();
    let mut options = wait(&submitted, &disperser.world, trust(&disperser.world));
    options.policy = asked(options.policy);
    client.wait_certified(&submitted, options, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_checked_against_whatever_is_trusted() {
    let root = |world: &World| Trust::Root(TrustedRoot::trust_on_my_own_word(world.table.root()));
    let unchanged = |_: &World, _: &Batch, certificate: Certificate| certificate.to_bytes();
    certified_with(table, unchanged).await.unwrap();
    certified_with(root, unchanged).await.unwrap();

    let cut = |_: &World, _: &Batch, certificate: Certificate| {
        let mut bytes = certificate.to_bytes();
        bytes.pop();
        bytes
    };
    let error = certified_with(table, cut).await.unwrap_err();
    assert!(
        matches!(error, ClientError::CertificateMalformed(_)),
        "{error}"
    );

    let few =
        |world: &World, batch: &Batch, _: Certificate| world.certify(batch, 0, &[1]).to_bytes();
    let error = certified_with(table, few).await.unwrap_err();
    assert!(matches!(error, ClientError::Certificate(_)), "{error}");
    assert_eq!(error.blame(), Blame::Peer);

    let other_root = |_: &World| Trust::Root(TrustedRoot::trust_on_my_own_word(TableRoot([8; 32])));
    let error = certified_with(other_root, unchanged).await.unwrap_err();
    assert!(matches!(error, ClientError::Certificate(_)), "{error}");

    // What the policy asks: another service, a quorum that was not asked to sign, an age that is over.
    type Asked = fn(CertificatePolicy) -> CertificatePolicy;
    let asked: [(Asked, &str); 3] = [
        (
            |policy| CertificatePolicy {
                domain: Network::file("elsewhere").domain(1),
                ..policy
            },
            "certificate.other_domain",
        ),
        (
            |policy| CertificatePolicy {
                required_quorums: RequiredQuorums::all([0, 1]),
                ..policy
            },
            "certificate.quorum_missing",
        ),
        (
            |policy| CertificatePolicy {
                max_age: MaxAge::Blocks {
                    included_at: Block(u64::MAX),
                    most: 100,
                },
                ..policy
            },
            "certificate.expired",
        ),
    ];
    for (asked, code) in asked {
        let error = certified_under(table, unchanged, asked).await.unwrap_err();
        assert_eq!(error.code(), code);
    }
}

/// Without a check there is only a certificate of another type.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_checked_is_called_so() {
    let few =
        |world: &World, batch: &Batch, _: Certificate| world.certify(batch, 0, &[1]).to_bytes();
    let (disperser, url) = start(Orders {
        certificate: Some(few),
        ..Orders::default()
    })
    .await;
    let client = Client::new(config(&url)).unwrap();
    let submitted = client.put(b"believe me".to_vec(), salted()).await.unwrap();
    let said = client
        .wait_unverified(&submitted, Duration::from_secs(30), |_| {})
        .await
        .unwrap();
    assert_eq!(said.status.state, BlobState::Certified);
    assert_eq!(said.certificate.unverified().claimed_signers(), (1, 4));
    let policy = submitted.policy(disperser.world.table.domain()).unwrap();
    let error = said
        .certificate
        .verify(&table(&disperser.world), &policy)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "certificate.threshold");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_blob_is_refused() {
    // Every check of the certificate passes; it is just not for what was posted.
    let orders = Orders {
        other_payload: Some(b"other bytes".to_vec()),
        ..Orders::default()
    };
    let (disperser, url) = start(orders).await;
    let client = Client::new(config(&url)).unwrap();
    let submitted = client.put(b"these bytes".to_vec(), salted()).await.unwrap();
    let options = wait(&submitted, &disperser.world, table(&disperser.world));
    let error = client
        .wait_certified(&submitted, options, |_| {})
        .await
        .unwrap_err();
    let ClientError::OtherBlob { field, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(field, "commitments root");

    let longer = Orders {
        other_payload: Some(b"other bytes, more".to_vec()),
        ..Orders::default()
    };
    let (_disperser, url) = start(longer).await;
    let client = Client::new(config(&url)).unwrap();
    let submitted = client
        .put_raw(b"these bytes".to_vec(), salted())
        .await
        .unwrap();
    let error = client
        .wait_unverified(&submitted, Duration::from_secs(30), |_| {})
        .await
        .unwrap_err();
    let ClientError::OtherBlob { field, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(field, "payload length");
}
