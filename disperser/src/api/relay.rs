//! The relay: `GET` and `HEAD` of a blob's payload, and of its slices.

use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::{BlobId, ChunkRanges};
use ashlar_service::ApiError;
use ashlar_service::api::Binary;
use ashlar_service::capacity::Held;
use ashlar_service::content::{Content, Pace, Part, Wanted};
use ashlar_service::extract::InQuery;
use ashlar_service::listener::{BodyLimits, Sender};
use axum::Extension;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use utoipa::IntoParams;

use super::blobs::find;
use super::{ApiState, internal_error};
use crate::compute::blocking;
use crate::record::BlobRecord;
use crate::relay::RelayError;

/// The payload, as it was posted. Answers HEAD too, `If-None-Match` and one `Range`.
#[utoipa::path(
    get,
    path = "/v1/blobs/{key}",
    params(("key" = inline(BlobId), Path, description = "Blob id (of the 202) or blob key")),
    responses(
        (status = 200, description = "The payload. It never changes: its ETag is the blob id, and max-age the time for which it is kept", body = Binary, content_type = "application/octet-stream"),
        (status = 206, description = "The range of it", body = Binary, content_type = "application/octet-stream"),
        (status = 304, description = "The reader has it"),
        (status = 410, description = "The blob failed for what was posted; its payload is not kept"),
        (status = 412, description = "If-Match names another content"),
        (status = 416, description = "The range begins behind the end"),
        (status = 429, description = "This network has its share of what is being served; see Retry-After"),
    ),
    tag = "blobs"
)]
pub(crate) async fn payload(
    State(state): State<Arc<ApiState>>,
    Extension(sender): Extension<Sender>,
    Path(key): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let record = find(&state, &key).await?;
    let tag = record.id.to_string();
    let content = state.content(&record, &tag, record.payload_len)?;
    let part = match content.wanted(&method, &headers)? {
        Wanted::Nothing(response) => return Ok(response),
        Wanted::Bytes(part) => part,
    };
    let memory = state.serving.take(sender.network(), record.payload_len);
    let memory = memory.await?;
    let registry = Arc::clone(&state.engine()?.durable.registry);
    let read = blocking(move || registry.store().payload(&record.id)).await;
    let read = read.ok_or_else(internal_error)?;
    let payload = read.map_err(|error| ApiError::ours(&error))?;
    let payload = payload.ok_or_else(|| {
        let detail =
            "the blob failed for what was posted, or its time is over; its payload is not kept";
        ApiError::new(410, "blob.gone", detail)
    })?;
    Ok(state.send(part, [payload.into()], memory))
}

/// Which slices.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SlicesQuery {
    /// Chunk indices, rising, as runs: `0-7,12`.
    #[param(example = "0-7,12")]
    chunks: String,
}

/// Slices of an encoded blob with their Merkle paths, as an operator answers for them: `u32` length, envelope, `u64` length, slices.
///
/// They are computed from the payload, one blob at a time. Whoever can ask operators asks them.
#[utoipa::path(
    get,
    path = "/v1/blobs/{key}/slices",
    params(("key" = inline(BlobId), Path, description = "Blob id (of the 202) or blob key"), SlicesQuery),
    responses(
        (status = 200, description = "The answer to GetSlices, as it is framed on a node's stream", body = Binary, content_type = "application/octet-stream"),
        (status = 206, description = "The range of it", body = Binary, content_type = "application/octet-stream"),
        (status = 304, description = "The reader has it"),
        (status = 409, description = "Not encoded yet (slices.not_ready, with Retry-After)"),
        (status = 410, description = "The blob failed for what was posted; its payload is not kept"),
        (status = 412, description = "If-Match names another content"),
        (status = 416, description = "The range begins behind the end"),
        (status = 429, description = "This network has its share of what is being served; see Retry-After"),
    ),
    tag = "blobs"
)]
pub(crate) async fn slices(
    State(state): State<Arc<ApiState>>,
    Extension(sender): Extension<Sender>,
    Path(key): Path<String>,
    InQuery(query): InQuery<SlicesQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let runs = parse_runs(&query.chunks)?;
    let record = find(&state, &key).await?;
    let Some(header) = &record.header else {
        let detail = format!("the blob is {} and was never encoded", record.state);
        let not_ready = ApiError::new(409, "slices.not_ready", detail);
        return Err(not_ready.retry_after(state.config.accept.retry_after_secs));
    };
    let chunks = header.protocol().map_err(|error| ApiError::ours(&error))?;
    let chunks = chunks.code.chunks();
    if runs.last().0 >= chunks {
        let detail = "a chunk index is behind the last one of the blob's version";
        let last = format!("at most {}", chunks - 1);
        return Err(ApiError::new(400, "request.chunks", detail).with(runs.last(), last));
    }
    let engine = state.engine()?;
    let store = engine.durable.registry.store();
    let extended = state.slices.slices(store, record.id, header).await;
    let extended = extended.map_err(|error| match &error {
        RelayError::Busy => state.busy("slices.full", &error),
        RelayError::Gone => ApiError::coded(410, &error),
        _ => ApiError::ours(&error),
    })?;
    let mut tag = record.id.to_string();
    for (start, len) in runs.as_slice() {
        tag.push_str(&format!("/{start}-{len}"));
    }
    let pieces = extended.answer(runs).ok_or_else(internal_error)?;
    let len = pieces.iter().map(|piece: &Bytes| piece.len() as u64).sum();
    let content = state.content(&record, &tag, len)?;
    let part = match content.wanted(&method, &headers)? {
        Wanted::Nothing(response) => return Ok(response),
        Wanted::Bytes(part) => part,
    };
    let memory = state.serving.take(sender.network(), len).await?;
    Ok(state.send(part, pieces, memory))
}

impl ApiState {
    /// Something of a blob that never changes, until the blob is forgotten.
    fn content<'a>(
        &self,
        record: &BlobRecord,
        tag: &'a str,
        len: u64,
    ) -> Result<Content<'a>, ApiError> {
        let now_ms = self.engine()?.durable.clock.wall_ms();
        let lifetime = Duration::from_millis(record.expires_at_ms.saturating_sub(now_ms));
        Ok(Content { tag, len, lifetime })
    }

    /// A part of a content, which is all of these pieces.
    fn send(&self, part: Part, pieces: impl IntoIterator<Item = Bytes>, memory: Held) -> Response {
        let range = part.range();
        self.metrics.relayed_bytes.inc_by(range.end - range.start);
        let pace = Pace {
            min_rate: self.config.relay.min_rate,
            grace: BodyLimits::GRACE,
        };
        part.send(pieces, pace, memory)
    }
}

/// `0-7,12` as runs.
fn parse_runs(text: &str) -> Result<ChunkRanges, ApiError> {
    let refused = |why: &dyn std::fmt::Display| {
        let detail = format!("chunks: {why}; write rising runs of chunk indices, such as 0-7,12");
        ApiError::new(400, "request.chunks", detail)
    };
    let run = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some((first, last.checked_sub(first)?.checked_add(1)?))
    };
    let runs: Option<Vec<_>> = text.split(',').map(run).collect();
    let runs = runs.ok_or_else(|| refused(&format!("{text:?} is none")))?;
    ChunkRanges::new(runs).map_err(|error| refused(&error))
}
