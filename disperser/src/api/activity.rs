//! `GET /v1/activity`: what the page shows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_proto::Block;
use ashlar_service::ApiError;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::metrics::gauge::Gauge;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::{ApiState, internal_error};
use crate::activity::{AccountActivity, BatchActivity, OperatorActivity, Sample};
use crate::compute::blocking;
use crate::engine::Engine;

/// However many look at it, it is made so often.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer, and when it was made.
#[derive(Default)]
pub(super) struct LastAnswer(Mutex<Option<(Instant, Bytes)>>);

/// What the disperser does, and did in the last minutes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Activity {
    /// Software name and version.
    software: &'static str,
    /// Now, milliseconds since 1970.
    now_ms: u64,
    /// Block of the newest operator table, if it can be read.
    block: Option<Block>,
    /// This disperser's number in it.
    disperser_id: Option<u32>,
    /// Blobs neither certified nor failed.
    open_blobs: u64,
    /// Their payload.
    open_bytes: u64,
    /// Blobs that wait for an encoder.
    encode_queue: u64,
    /// Encoded blobs that wait for a batch.
    batch_queue: u64,
    /// Batches that are not decided.
    batches_in_flight: u64,
    /// Blobs accepted since the start.
    accepted_blobs: u64,
    /// Blobs certified since the start.
    certified_blobs: u64,
    /// Their payload.
    certified_bytes: u64,
    /// Batches composed since the start.
    batches_composed: u64,
    /// Batches abandoned since the start.
    batches_abandoned: u64,
    /// The last 32 batches, newest first.
    batches: Vec<BatchActivity>,
    /// Operators of the newest table: at most 256, those in trouble first, then those with the most stake.
    operators: Vec<OperatorActivity>,
    /// How many the table has.
    operator_count: u64,
    /// Accounts that have signed for blobs since the start: those with the most rows, at most 32.
    accounts: Vec<AccountActivity>,
    /// The counters of the last ten minutes, one sample every 5 s, oldest first.
    samples: Vec<Sample>,
}

fn value(gauge: &Gauge) -> u64 {
    // Another thread may be between an increment and its decrement.
    u64::try_from(gauge.get()).unwrap_or(0)
}

impl Activity {
    /// Blocks.
    fn of(engine: &Engine) -> Self {
        let (metrics, client) = (&engine.metrics, &engine.operators_client);
        let table = engine.stake.newest().ok();
        let key = engine.key.public();
        let entry = table
            .as_ref()
            .and_then(|table| table.disperser_by_key(&key));
        let failed = |id: &_| client.is_suspect(id);
        let operators = table
            .as_ref()
            .map(|table| client.activity.operators(table, failed));
        Self {
            software: concat!("ashlar-disperser/", env!("CARGO_PKG_VERSION")),
            now_ms: engine.durable.clock.wall_ms(),
            block: table.as_ref().map(|table| table.reference_block()),
            disperser_id: entry.map(|entry| entry.id),
            open_blobs: value(&metrics.open_blobs),
            open_bytes: value(&metrics.open_bytes),
            encode_queue: value(&metrics.encode_queue),
            batch_queue: value(&metrics.batch_queue),
            batches_in_flight: value(&metrics.batches_in_flight),
            accepted_blobs: metrics.accepted_blobs.get(),
            certified_blobs: metrics.certified_blobs.get(),
            certified_bytes: metrics.certified_bytes.get(),
            batches_composed: metrics.batches.get(),
            batches_abandoned: metrics.abandoned_batches.get(),
            batches: client.activity.batches(),
            operators: operators.unwrap_or_default(),
            operator_count: table.map_or(0, |table| table.operators().len() as u64),
            accounts: client.activity.accounts(),
            samples: client.activity.samples(),
        }
    }
}

/// What the disperser does, and did in the last minutes: batches with their stages, operators with their signing rates, throughput and
/// latency, and what accounts use. For people who look at it: it is made anew once a second at most.
#[utoipa::path(
    get,
    path = "/v1/activity",
    responses((status = 200, description = "What it does, and did in the last minutes", body = Activity)),
    tag = "service"
)]
pub(crate) async fn activity(State(state): State<Arc<ApiState>>) -> Result<Response, ApiError> {
    let engine = state.engine()?;
    let mut last = state.activity.0.lock().await;
    let fresh = last.as_ref().filter(|(made, _)| made.elapsed() < FRESH);
    let answer = match fresh {
        Some((_, answer)) => answer.clone(),
        None => {
            let engine = Arc::clone(engine);
            let made = blocking(move || serde_json::to_vec(&Activity::of(&engine))).await;
            let made = made.and_then(Result::ok).ok_or_else(internal_error)?;
            let answer = Bytes::from(made);
            *last = Some((Instant::now(), answer.clone()));
            answer
        }
    };
    let head = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((head, answer).into_response())
}
