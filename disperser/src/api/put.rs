//! `POST /v1/blobs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ashlar_crypto::field::first_non_canonical;
use ashlar_crypto::{Blame, Coded as _, Encoding, PayloadError, rows_for, sha256};
use ashlar_net::Subnet;
use ashlar_proto::api::{
    BlobState, BlobStatus, CHARGED_HEADER, PUT_BLOB_TYPE, Problem, REFUNDED_HEADER,
};
use ashlar_proto::header::check_quorums;
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{Account, QuorumId, Submission};
use ashlar_service::ApiError;
use ashlar_service::api::Binary;
use ashlar_service::capacity::Held;
use ashlar_service::extract::InQuery;
use ashlar_service::listener::{BodyLimits, Sender, declared_length, read_body};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::gate::{self, Gate};
use super::{ApiState, internal_error};
use crate::accounts::book::{AccountRecord, Size};
use crate::compute::blocking;
use crate::encode_queue::QueuedBlob;
use crate::engine::Engine;
use crate::health;
use crate::record::{BlobRecord, Party};
use crate::registry::{AcceptError, Posted};

/// What a post can say beside its body.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutQuery {
    /// Quorums that shall sign, separated by commas, for example `0,1`. Raw bodies only.
    #[param(value_type = Option<BTreeSet<QuorumId>>, style = Form, explode = false, min_items = 1, max_items = 16)]
    quorums: Option<String>,
    /// `certified`: answer when the blob is certified or has failed, or after a while with 202.
    #[param(inline)]
    wait: Option<Wait>,
    /// `packed31` (default: any bytes) or `eip4844` (whole rows of field elements). Raw bodies only.
    #[param(value_type = Option<Encoding>, inline)]
    encoding: Option<String>,
    /// Protocol version. Raw bodies only.
    version: Option<u16>,
    /// Account that pays, 20 bytes in hexadecimal with 0x. Raw bodies only.
    #[param(value_type = Option<Account>, inline)]
    account: Option<String>,
    /// Any number: makes equal payloads different blobs. Raw bodies only.
    salt: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wait {
    Certified,
}

/// What an account signs, beside a submission.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(
    dead_code,
    reason = "the document is made of it; `gate` reads the headers"
)]
pub(crate) struct PutHeaders {
    /// The account's permission: `domain=0x…, account=0x…, disperser=N, submission=0x…, deadline=SECONDS, signature=0x…`, and, if another
    /// key signed, `key=0x…, key-until=SECONDS, key-signature=0x…`. Needed unless everybody is served (`mode` of `/v1/prices`).
    #[param(rename = "Ashlar-Authorization", value_type = Option<String>)]
    authorization: Option<String>,
    /// What the account owes in all, with this blob: `cumulative=DECIMAL, signature=0x…`. Needed where a deposit pays and no voucher
    /// before covers it.
    #[param(rename = "Ashlar-Voucher", value_type = Option<String>)]
    voucher: Option<String>,
}

/// Post a blob.
///
/// A raw body is the payload; the disperser computes the commitments. A protobuf body is a `PutBlob` message with the client's own
/// commitments. The same blob posted again is the same blob. A 202 means: on disk, and from here on nothing is lost.
#[utoipa::path(
    post,
    path = "/v1/blobs",
    params(PutQuery, PutHeaders),
    request_body(
        content((Binary = "application/octet-stream"), (Binary = "application/x-protobuf")),
        description = "The payload, or a PutBlob message"
    ),
    responses(
        (status = 200, description = "Certified (with wait=certified, or posted before)", body = BlobStatus),
        (status = 202, description = "Accepted; Location is where to ask. To an account that is charged: what it was charged and refunded in all",
            body = BlobStatus, headers(("Ashlar-Charged" = String), ("Ashlar-Refunded" = String))),
        (status = 401, description = "Not signed, or no longer valid (auth.missing, auth.expired, …)"),
        (status = 402, description = "The voucher does not cover what is owed (voucher.too_low), or the deposit does not cover the voucher (account.funds)"),
        (status = 403, description = "Signed for something else, or by somebody who is not served (auth.submission, account.not_listed, …)"),
        (status = 415, description = "Unknown content type"),
        (status = 422, description = "The blob failed for a fault of its own (with wait=certified)"),
        (status = 502, description = "Too few operators signed (with wait=certified)"),
        (status = 429, description = "This network sent false commitments, it or the account has its share or posts more rows a second than one may, or the reservation is used up for now (reservation.exceeded); see Retry-After"),
    ),
    tag = "blobs"
)]
pub(crate) async fn post_blob(
    State(state): State<Arc<ApiState>>,
    Extension(sender): Extension<Sender>,
    InQuery(query): InQuery<PutQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let engine = state.engine()?;
    let (kind, sender) = (BodyKind::of(&headers)?, sender.network());
    if kind == BodyKind::PutBlob && query.names_blob() {
        return Err(ApiError::new(
            400,
            "request.query",
            "a protobuf body names version, encoding, quorums, account and salt itself",
        ));
    }
    let max = match kind {
        BodyKind::Raw => state.config.accept.max_payload,
        BodyKind::PutBlob => state.config.max_body(),
    };
    let declared = declared_length(&headers)?;
    let too_large = |got| too_large(got, max);
    if let Some(declared) = declared.filter(|declared| *declared > max) {
        return Err(too_large(declared));
    }
    let gate = gate::admit(&state, &engine, &headers).await?;
    let party = gate.and_then(|gate| gate.party());
    let party = party.unwrap_or(Party::Network(sender));
    if kind == BodyKind::PutBlob
        && let Some(left) = engine
            .queue
            .claim_limiter
            .backoff(party, std::time::Instant::now())
    {
        let detail = format!(
            "{party} sent commitments that are false; wait, or post the payload as a raw body, without any"
        );
        return Err(ApiError::new(429, "claim.backoff", detail).retry_after(left.as_secs() + 1));
    }
    // Refused early, before a byte of the body is read. What a body without a length takes shows when it is there.
    if engine.health.raised(health::DISK_SPACE).is_some() {
        return Err(state.busy("intake.disk", "the disk is nearly full; try again later"));
    }
    let account = match (gate, kind) {
        (Some(gate), _) => Some(gate.account()),
        (None, BodyKind::Raw) => Some(query.account()?),
        (None, BodyKind::PutBlob) => None,
    };
    let expected = declared.unwrap_or(1).min(state.config.accept.max_payload);
    engine
        .durable
        .registry
        .check_room(&party, account.as_ref(), expected)
        .map_err(|error| no_room(&state, &error))?;
    if let Some(rate) = &state.sender_rate {
        // Without a length it may be as long as any.
        let most = state.config.accept.max_payload;
        let bytes = declared.unwrap_or(most).clamp(1, most);
        let rows = rows_for(Encoding::Packed31, bytes);
        let rows = rows.map_err(|error| ApiError::coded(400, &error))?;
        rate.take(party, rows)
            .map_err(|error| no_room(&state, &error))?;
    }
    // A caller that wants to wait and cannot is told so before the blob is taken in.
    let waiter = match query.wait {
        Some(Wait::Certified) => Some(state.waiters.take(sender, 1).await?),
        None => None,
    };
    let mut memory = state.bodies.open(sender);
    let limits = BodyLimits {
        max,
        timeout: Duration::from_secs(state.config.accept.body_timeout_secs),
        min_rate: state.config.accept.min_body_rate,
        grace: BodyLimits::GRACE,
    };
    let body = read_body(body, declared, limits, &mut memory, too_large).await?;

    // Runs to the end of the write, also if the caller hangs up.
    let gone = Arc::new(AtomicBool::new(false));
    let guard = SetOnDrop(Arc::clone(&gone));
    let work = {
        let (state, engine) = (Arc::clone(&state), Arc::clone(&engine));
        move || {
            let _memory = memory;
            // The caller left before anything was written: then nothing is.
            if gone.load(Ordering::SeqCst) {
                return Err(ApiError::new(408, "request.cancelled", "the caller left"));
            }
            accept(&state, &engine, kind, &query, gate, sender, body)
        }
    };
    let accepted = blocking(work).await;
    drop(guard);
    let record = accepted.ok_or_else(internal_error)??;
    let record = match waiter {
        Some(waiter) => wait_final(&state, &engine, record, &waiter).await?,
        None => record,
    };
    let totals = match record.charge {
        Some(_) => {
            let account = record.account;
            let totals = blocking(move || gate::account_record(&engine, account)).await;
            Some(totals.ok_or_else(internal_error)??)
        }
        None => None,
    };
    answer(&record, totals.as_ref())
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyKind {
    Raw,
    PutBlob,
}

impl BodyKind {
    /// None, `application/octet-stream`, and what `curl --data-binary` says if it is told nothing, are raw bytes.
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Raw);
        };
        let text = String::from_utf8_lossy(value.as_bytes());
        let (media, _parameters) = text.split_once(';').unwrap_or((&text, ""));
        let media = media.trim().to_ascii_lowercase();
        match media.as_str() {
            "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Self::Raw),
            PUT_BLOB_TYPE => Ok(Self::PutBlob),
            _ => Err(ApiError::new(
                415,
                "request.content_type",
                "the body's content type is not one of ours",
            )
            .with(text, format!("application/octet-stream or {PUT_BLOB_TYPE}"))),
        }
    }
}

impl PutQuery {
    fn names_blob(&self) -> bool {
        self.quorums.is_some()
            || self.encoding.is_some()
            || self.version.is_some()
            || self.account.is_some()
            || self.salt.is_some()
    }

    fn account(&self) -> Result<Account, ApiError> {
        let parse = |text: &String| text.parse();
        let account = self.account.as_ref().map(parse).transpose();
        account
            .map(Option::unwrap_or_default)
            .map_err(|error: ashlar_proto::IdError| ApiError::coded(400, &error))
    }
}

fn too_large(got: u64, max: u64) -> ApiError {
    ApiError::new(
        413,
        "payload.too_large",
        "the body is larger than this disperser accepts",
    )
    .with(format!("{got} bytes"), format!("at most {max} bytes"))
}

fn accept(
    state: &ApiState,
    engine: &Arc<Engine>,
    kind: BodyKind,
    query: &PutQuery,
    gate: Option<Gate>,
    sender: Subnet,
    body: Bytes,
) -> Result<BlobRecord, ApiError> {
    let mut posted = match kind {
        BodyKind::Raw => raw(state, query, gate, sender, body)?,
        BodyKind::PutBlob => {
            if body.is_empty() {
                return Err(ApiError::coded(400, &PayloadError::Empty));
            }
            let put = PutBlob::decode(body).map_err(|error| ApiError::coded(400, &error))?;
            let commitments = (!put.commitments.is_empty()).then_some(put.commitments);
            post(
                put.version,
                put.encoding,
                put.quorums,
                put.account,
                put.salt,
                put.payload,
                commitments,
                sender,
            )?
        }
    };
    if let Some(gate) = gate {
        let (id, account) = (posted.submission.id(), posted.submission.account);
        gate.check(id, account)?;
        if let Some(record) = gate::known(engine, id)? {
            return Ok(record);
        }
    }
    check(state, engine, &posted)?;
    if let Some(gate) = gate {
        let (submission, rows) = (&posted.submission, posted.rows);
        let size = Size {
            rows,
            bytes: submission.payload_len,
        };
        let quorums = submission.quorums.len();
        posted.charging = gate.charging(state, engine, submission.version, quorums, size)?;
    }
    let version = ashlar_proto::version(posted.submission.version)
        .map_err(|error| ApiError::coded(400, &error))?;
    let retention = u64::try_from(state.config.retention(version).as_millis()).unwrap_or(u64::MAX);
    // If the clock went back, its time does not count: the blob would be forgotten early.
    let begins_ms = engine
        .durable
        .clock
        .read(engine.stake.head_time_ms())
        .promise_ms;
    let (record, new) = engine
        .durable
        .registry
        .accept(
            posted,
            engine.durable.clock.wall_ms(),
            begins_ms.saturating_add(retention),
        )
        .map_err(|error| no_room(state, &error))?;
    if new {
        tracing::debug!(id = %record.id, bytes = record.payload_len, "blob accepted");
        if gate.is_some() {
            engine.operators_client.activity.accepted(&record);
        }
        engine.queue.push([QueuedBlob::from(&record)]);
    }
    Ok(record)
}

/// Why a blob is not taken in, as its caller hears it.
fn no_room(state: &ApiState, error: &AcceptError) -> ApiError {
    match *error {
        AcceptError::Full { retry_after_secs } => {
            ApiError::coded(503, error).retry_after(retry_after_secs)
        }
        AcceptError::Share { retry_after_secs }
        | AcceptError::Rate {
            retry_after_secs, ..
        } => ApiError::coded(429, error).retry_after(retry_after_secs),
        AcceptError::Pay(ref error) => gate::unpaid(error),
        AcceptError::Twin => state.busy(error.code(), error),
        AcceptError::Store(ref error) => {
            tracing::error!("a blob could not be written: {error}");
            state.busy("intake.store", error)
        }
    }
}

fn raw(
    state: &ApiState,
    query: &PutQuery,
    gate: Option<Gate>,
    sender: Subnet,
    payload: Bytes,
) -> Result<Posted, ApiError> {
    let quorums = match &query.quorums {
        None => state.config.accept.default_quorums.clone(),
        Some(text) => {
            let mut quorums = text
                .split(',')
                .map(str::parse::<QuorumId>)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| {
                    ApiError::new(
                        400,
                        "request.quorums",
                        "quorums are numbers from 0 to 255, separated by commas",
                    )
                    .with(text, "for example 0,1")
                })?;
            quorums.sort_unstable();
            quorums
        }
    };
    let encoding = match &query.encoding {
        None => Encoding::Packed31,
        Some(name) => name
            .parse()
            .map_err(|error: PayloadError| ApiError::coded(400, &error))?,
    };
    let version = query.version.unwrap_or(state.config.accept.default_version);
    post(
        version,
        encoding,
        quorums,
        match (&query.account, gate) {
            (None, Some(gate)) => gate.account(),
            _ => query.account()?,
        },
        query.salt.unwrap_or(0),
        payload,
        None,
        sender,
    )
}

#[allow(clippy::too_many_arguments)] // the fields of a submission, from two sources
fn post(
    version: u16,
    encoding: Encoding,
    quorums: Vec<u8>,
    account: Account,
    salt: u64,
    payload: Bytes,
    commitments: Option<Vec<ashlar_crypto::CommitmentBytes>>,
    network: Subnet,
) -> Result<Posted, ApiError> {
    check_quorums(&quorums).map_err(|error| ApiError::coded(400, &error))?;
    let payload_len = payload.len() as u64;
    let rows = rows_for(encoding, payload_len).map_err(|error| ApiError::coded(400, &error))?;
    let submission = Submission {
        version,
        encoding,
        payload_len,
        quorums,
        account,
        salt,
        payload_sha256: sha256(&[&payload]),
    };
    Ok(Posted {
        submission,
        network,
        rows,
        payload,
        commitments,
        charging: None,
    })
}

/// Refuses at once what would otherwise make the blob fail later.
fn check(state: &ApiState, engine: &Engine, posted: &Posted) -> Result<(), ApiError> {
    let submission = &posted.submission;
    ashlar_proto::version(submission.version).map_err(|error| ApiError::coded(400, &error))?;
    let accept = &state.config.accept;
    if !accept.versions.contains(&submission.version) {
        return Err(ApiError::new(
            400,
            "version.not_accepted",
            "this disperser does not accept this protocol version",
        )
        .with(submission.version, format!("{:?}", accept.versions)));
    }
    if submission.payload_len > accept.max_payload {
        return Err(too_large(submission.payload_len, accept.max_payload));
    }
    if submission.encoding == Encoding::Eip4844
        && let Some(index) = first_non_canonical(&posted.payload)
    {
        return Err(ApiError::coded(400, &PayloadError::NonCanonical { index }));
    }
    let table = engine
        .stake
        .head()
        .and_then(|block| engine.stake.table_at(block))
        .map_err(|error| {
            state.busy(
                "stake.unavailable",
                format!("the operator table cannot be read: {error}"),
            )
        })?;
    if !table.versions().contains(&submission.version) {
        return Err(ApiError::new(
            400,
            "version.not_recorded",
            format!(
                "the service does not use this protocol version at block {}",
                table.reference_block()
            ),
        )
        .with(submission.version, format!("{:?}", table.versions())));
    }
    match submission
        .quorums
        .iter()
        .find(|quorum| table.total(**quorum).is_none())
    {
        None => Ok(()),
        Some(quorum) => {
            let known: Vec<String> = table.quorums().map(|quorum| quorum.to_string()).collect();
            Err(ApiError::new(
                400,
                "quorum.unknown",
                format!(
                    "no operator has stake in quorum {quorum} at block {}",
                    table.reference_block()
                ),
            )
            .with(quorum, known.join(",")))
        }
    }
}

/// Waits for the end, or as long as the configuration lets.
async fn wait_final(
    state: &ApiState,
    engine: &Arc<Engine>,
    record: BlobRecord,
    waiter: &Held,
) -> Result<BlobRecord, ApiError> {
    let deadline = Instant::now() + Duration::from_secs(state.config.accept.wait_timeout_secs);
    let id = record.id;
    while let Some(mut news) = engine.durable.registry.watch(&id) {
        tokio::select! {
            _ = news.changed() => {}
            () = tokio::time::sleep_until(deadline) => break,
            _ = waiter.wanted() => break,
            () = state.stop.cancelled() => break,
        }
    }
    let registry = Arc::clone(&engine.durable.registry);
    let found = blocking(move || registry.find(&id.0)).await;
    match found {
        Some(Ok(Some(record))) => Ok(record),
        Some(Err(error)) => Err(ApiError::ours(&error)),
        // Forgotten while we waited, or the process stops.
        Some(Ok(None)) | None => Ok(record),
    }
}

fn answer(record: &BlobRecord, totals: Option<&AccountRecord>) -> Result<Response, ApiError> {
    let status = match record.state {
        BlobState::Certified => StatusCode::OK,
        BlobState::Failed => {
            let (code, message) = record
                .error
                .as_ref()
                .map_or(("disperser.internal", "the blob failed"), |error| {
                    (error.code.as_str(), error.message.as_str())
                });
            return Err(failed(code, message));
        }
        _ => StatusCode::ACCEPTED,
    };
    let location = format!("/v1/blobs/{}/status", record.id);
    let mut headers = vec![(header::LOCATION, location)];
    if let Some(totals) = totals {
        let name = HeaderName::from_static;
        headers.push((name(CHARGED_HEADER), totals.charged.to_string()));
        headers.push((name(REFUNDED_HEADER), totals.refunded.to_string()));
    }
    Ok((status, AppendHeaders(headers), Json(record.status())).into_response())
}

/// A blob that failed while its poster waited.
fn failed(code: &str, message: &str) -> ApiError {
    match code.split('.').next() {
        Some("claim" | "payload" | "header" | "quorum" | "assignment") => {
            ApiError::new(422, code, message)
        }
        Some("dispersal") => Problem::new(502, code, Blame::Peer, message).into(),
        _ => ApiError::new(500, code, message),
    }
}
