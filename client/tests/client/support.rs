//! A disperser that does what a test tells it to.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ashlar_client::{
    Age, BlobState, BlobStatus, DispersersConfig, Policy, Problem, PutOptions, RequiredQuorums,
    RetryPolicy, Trust,
};
use ashlar_crypto::{Blame, Encoding, sha256};
use ashlar_proto::api::{
    AccountMode, AccountView, CHARGED_HEADER, PROBLEM_TYPE, PUT_BLOB_TYPE, Prices, REFUNDED_HEADER,
    RetentionDays, StageTimes, StatusError,
};
use ashlar_proto::auth::header::{
    AUTHORIZATION_HEADER, SignedAuthorization, SignedVoucher, VOUCHER_HEADER,
};
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{
    Account, BlobId, Certificate, Stake, Submission, TableAccess, TrustedRoot, TrustedTable,
};
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt;

use crate::world::{Batch, Behaviour, World};

pub(crate) type Change = fn(&World, &Batch, Certificate) -> Vec<u8>;

/// A certificate that one operator has signed: too few.
pub(crate) fn one_signer(world: &World, batch: &Batch, _: Certificate) -> Vec<u8> {
    world.certify(batch, 0, &[1]).to_bytes()
}

/// What the disperser is to do wrong.
#[derive(Clone, Default)]
pub(crate) struct Orders {
    /// Refuse the first so many posts with this status.
    pub(crate) refuse: Option<(u32, u16, Option<&'static str>)>,
    /// Name the submission otherwise.
    pub(crate) wrong_id: bool,
    /// The path of events does not exist.
    pub(crate) no_events: bool,
    /// The stream of events breaks after the second event, this many times.
    pub(crate) break_events: u32,
    /// Events carry other data.
    pub(crate) odd_events: bool,
    /// Tell of a failure that is past.
    pub(crate) failed_before: bool,
    /// Give the blob up.
    pub(crate) fail: bool,
    /// Never gets further than this state.
    pub(crate) stuck: bool,
    /// Changes the certificate.
    pub(crate) certificate: Option<Change>,
    /// Takes posts in, and answers them never.
    pub(crate) hang: bool,
    /// Encodes this instead of the payload.
    pub(crate) other_payload: Option<Vec<u8>>,
    /// Asks this for a row, a day and a quorum; each blob is kept for a day.
    pub(crate) row_day: u64,
    /// Says that so much more is owed than was charged.
    pub(crate) overstates: u64,
}

/// What was charged, to whoever came.
#[derive(Clone, Default)]
pub(crate) struct Till {
    pub(crate) charged: Stake,
    pub(crate) voucher: Option<SignedVoucher>,
    /// The submissions that were charged.
    ids: HashSet<BlobId>,
    /// Sums of all vouchers that came.
    pub(crate) sums: Vec<u64>,
}

pub(crate) struct Disperser {
    pub(crate) world: Arc<World>,
    pub(crate) orders: Orders,
    pub(crate) posts: AtomicU32,
    pub(crate) streams: AtomicU32,
    pub(crate) polls: AtomicU32,
    /// Bodies of the posts, in order.
    pub(crate) bodies: Mutex<Vec<Bytes>>,
    pub(crate) queries: Mutex<Vec<String>>,
    pub(crate) stored: Mutex<Option<Stored>>,
    pub(crate) till: Mutex<Till>,
}

#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) id: BlobId,
    pub(crate) put: PutBlob,
    pub(crate) batch: Arc<Batch>,
}

type Shared = State<Arc<Disperser>>;

pub(crate) fn world() -> Arc<World> {
    Arc::new(World::new(&[100; 4], |_| Behaviour::Honest))
}

pub(crate) async fn start(orders: Orders) -> (Arc<Disperser>, String) {
    start_in(&world(), orders).await
}

pub(crate) async fn start_in(world: &Arc<World>, orders: Orders) -> (Arc<Disperser>, String) {
    let disperser = Arc::new(Disperser {
        world: Arc::clone(world),
        orders,
        posts: AtomicU32::new(0),
        streams: AtomicU32::new(0),
        polls: AtomicU32::new(0),
        bodies: Mutex::default(),
        queries: Mutex::default(),
        stored: Mutex::default(),
        till: Mutex::default(),
    });
    let app = Router::new()
        .route("/v1/prices", get(prices))
        .route("/v1/accounts/{address}", get(account))
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

pub(crate) fn problem(status: u16, code: &str, retry_after: Option<&'static str>) -> Response {
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
    if let Err(refused) = disperser.charge(&headers, id, put.account) {
        return refused;
    }
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
    if disperser.orders.hang {
        futures::future::pending::<()>().await;
    }
    let charged = disperser.till.lock().unwrap().charged.to_string();
    let totals = [(CHARGED_HEADER, charged), (REFUNDED_HEADER, "0".to_owned())];
    (StatusCode::ACCEPTED, totals, Json(status)).into_response()
}

/// The number of every disperser here.
const DISPERSER_ID: u32 = 5;

async fn prices(State(disperser): Shared) -> Json<Prices> {
    let row_day = disperser.orders.row_day;
    Json(Prices {
        domain: disperser.world.table.domain(),
        disperser_id: DISPERSER_ID,
        mode: match row_day {
            0 => AccountMode::Open,
            _ => AccountMode::Paid,
        },
        row_day: Stake::from(row_day),
        retention: vec![RetentionDays {
            version: 1,
            days: 1,
        }],
        ahead: Stake::MAX,
    })
}

async fn account(State(disperser): Shared, Path(address): Path<String>) -> Json<AccountView> {
    let till = disperser.till.lock().unwrap().clone();
    let charged = till.charged + Stake::from(disperser.orders.overstates);
    Json(AccountView {
        account: address.parse().unwrap(),
        charged,
        refunded: Stake::ZERO,
        owed: charged,
        voucher: till.voucher,
        terms: None,
        days: Vec::new(),
    })
}

impl Disperser {
    /// As a disperser that wants to be paid.
    fn charge(&self, headers: &HeaderMap, id: BlobId, account: Account) -> Result<(), Response> {
        if self.orders.row_day == 0 {
            return Ok(());
        }
        let text = |name: &str| Some(headers.get(name)?.to_str().unwrap().to_owned());
        let Some(signed) = text(AUTHORIZATION_HEADER) else {
            return Err(problem(401, "auth.missing", None));
        };
        let (domain, now) = (self.world.table.domain(), std::time::UNIX_EPOCH.elapsed());
        let signed: SignedAuthorization = signed.parse().unwrap();
        let now = now.unwrap().as_secs();
        let authorized = signed.verify(domain, DISPERSER_ID, now).unwrap();
        authorized.check(id, account).unwrap();
        let mut till = self.till.lock().unwrap();
        if till.ids.contains(&id) {
            return Ok(());
        }
        if let Some(voucher) = text(VOUCHER_HEADER) {
            let voucher: SignedVoucher = voucher.parse().unwrap();
            let sum = voucher.verify(domain, account, DISPERSER_ID).unwrap();
            till.sums.push(sum.cumulative.to());
            if till
                .voucher
                .is_none_or(|old| old.cumulative < sum.cumulative)
            {
                till.voucher = Some(voucher);
            }
        }
        let needed = till.charged + Stake::from(self.orders.row_day);
        if till.voucher.is_none_or(|of| of.cumulative < needed) {
            return Err(problem(402, "voucher.too_low", None));
        }
        till.charged = needed;
        till.ids.insert(id);
        Ok(())
    }
}

pub(crate) fn a_status(id: BlobId, state: BlobState) -> BlobStatus {
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

pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn config(url: &str) -> DispersersConfig {
    DispersersConfig {
        retry: RetryPolicy {
            attempts: 4,
            base: Duration::from_millis(20),
            ..RetryPolicy::default()
        },
        ..DispersersConfig::new(url)
    }
}

pub(crate) fn salted() -> PutOptions {
    PutOptions {
        salt: Some(5),
        ..PutOptions::default()
    }
}

pub(crate) fn policy(trust: Trust) -> Policy {
    Policy::new(trust, RequiredQuorums::all([0]), Age::Within(Duration::MAX))
}

pub(crate) fn table(world: &World) -> Trust {
    Trust::Table(TrustedTable::trust_on_my_own_word(world.table.clone()))
}

pub(crate) fn root(world: &World) -> Trust {
    Trust::Root {
        root: TrustedRoot::trust_on_my_own_word(world.table.root()),
        domain: world.table.domain(),
    }
}
