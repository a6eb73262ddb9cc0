//! The gateway's HTTP interface.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ashlar_proto::BlobId;
use ashlar_proto::certificate::MAX_CERTIFICATE_BYTES;
use ashlar_service::api::{Binary, Daemon};
use ashlar_service::capacity::Capacity;
use ashlar_service::content::{Content, Wanted};
use ashlar_service::listener::{Apps, BodyLimits, Sender, declared_length, read_body};
use ashlar_service::page::Page;
use ashlar_service::{ApiError, Health};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::config::GatewayConfig;
use super::metrics::Metrics;
use super::store::{Blob, Payloads, now_ms};
use crate::scores::OperatorScore;

/// What people see.
const PAGE: Page = Page {
    name: "gateway",
    body: include_str!("page/body.html"),
    script: include_str!("page/page.js"),
};

/// What a request may take beside a fetch and a wait for a place, which take as long at most.
const MARGIN: Duration = Duration::from_secs(30);
/// Memory for certificates that arrive.
const UPLOADS: u64 = 64 << 20;
/// A certificate has so long to arrive.
const CERTIFICATE: BodyLimits = BodyLimits {
    max: MAX_CERTIFICATE_BYTES as u64,
    timeout: Duration::from_secs(30),
    min_rate: 4096,
    grace: BodyLimits::GRACE,
};

/// What the handlers share.
pub(super) struct ApiState {
    config: GatewayConfig,
    payloads: OnceLock<Arc<Payloads>>,
    serving: Capacity,
    uploads: Capacity,
}

impl ApiState {
    pub(super) fn new(config: GatewayConfig) -> Arc<Self> {
        let serve = &config.serve;
        let capacity = |name, total| Capacity::new(name, total, serve.retry_after_secs);
        Arc::new(Self {
            serving: capacity("serving", serve.memory_bytes),
            uploads: capacity("uploads", UPLOADS),
            payloads: OnceLock::new(),
            config,
        })
    }

    /// The cache is open.
    pub(super) fn open(&self, payloads: Arc<Payloads>) {
        let _ = self.payloads.set(payloads);
    }

    fn payloads(&self) -> Result<&Arc<Payloads>, ApiError> {
        let retry = self.config.serve.retry_after_secs;
        let opening = || ApiError::busy("service.opening", "the cache is being opened", retry);
        self.payloads.get().ok_or_else(opening)
    }

    /// What a request for a payload gets.
    async fn answer(
        &self,
        sender: Sender,
        blob: &Blob,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let len = blob.payload.len() as u64;
        let tag = blob.key.to_string();
        match content(&tag, len, blob.held_until_ms).wanted(method, headers)? {
            Wanted::Nothing(response) => Ok(response),
            Wanted::Bytes(part) => {
                let memory = self.serving.take(sender.network(), len).await?;
                let range = part.range();
                let served = &self.payloads()?.metrics.served_bytes;
                served.inc_by(range.end - range.start);
                Ok(part.send([blob.payload.clone()], self.config.pace(), memory))
            }
        }
    }
}

fn content(tag: &str, len: u64, held_until_ms: u64) -> Content<'_> {
    let lifetime = Duration::from_millis(held_until_ms.saturating_sub(now_ms()));
    Content { tag, len, lifetime }
}

/// The payload of a blob, checked by this gateway. Answers HEAD too, `If-None-Match` and one `Range`.
#[utoipa::path(
    get,
    path = "/v1/blobs/{key}",
    params(("key" = inline(BlobId), Path, description = "Blob key, or the blob id of a disperser's 202")),
    responses(
        (status = 200, description = "The payload. It never changes: its ETag is the blob key, and max-age the time for which operators hold it", body = Binary, content_type = "application/octet-stream"),
        (status = 206, description = "The range of it", body = Binary, content_type = "application/octet-stream"),
        (status = 304, description = "The reader has it"),
        (status = 409, description = "Not certified yet, or failed, says the disperser that knows it"),
        (status = 412, description = "If-Match names another content"),
        (status = 413, description = "It is larger than fetch.max_payload"),
        (status = 416, description = "The range begins behind the end"),
        (status = 422, description = "The certificates that dispersers have are not good under this gateway's policy"),
        (status = 429, description = "This network has its share of what is being served; see Retry-After"),
        (status = 502, description = "Dispersers do not answer, or operators that hold too little"),
    ),
    tag = "blobs"
)]
pub(super) async fn payload(
    State(state): State<Arc<ApiState>>,
    Extension(sender): Extension<Sender>,
    Path(key): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let name = key.parse::<BlobId>();
    let name = name.map_err(|error| ApiError::coded(400, &error))?;
    let payloads = state.payloads()?;
    if let Some(known) = payloads.known(&name.0) {
        let tag = known.key.to_string();
        let content = content(&tag, known.payload_len, known.held_until_ms);
        if let Wanted::Nothing(response) = content.wanted(&method, &headers)? {
            return Ok(response);
        }
    }
    let blob = payloads.by_name(name.0).await?;
    state.answer(sender, &blob, &method, &headers).await
}

/// The payload of a certificate, which is the body. The certificate is checked under the gateway's policy.
#[utoipa::path(
    post,
    path = "/v1/payload",
    request_body(content = Binary, content_type = "application/octet-stream", description = "The certificate, compact or portable"),
    responses(
        (status = 200, description = "The payload. Content-Location is where to ask for it, or for a range, the next time", body = Binary, content_type = "application/octet-stream"),
        (status = 413, description = "The certificate is too large, or the payload larger than fetch.max_payload"),
        (status = 422, description = "The certificate is not good under this gateway's policy"),
        (status = 429, description = "This network has its share of what is being served; see Retry-After"),
        (status = 502, description = "Operators that hold too little answer"),
    ),
    tag = "blobs"
)]
pub(super) async fn by_certificate(
    State(state): State<Arc<ApiState>>,
    Extension(sender): Extension<Sender>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let payloads = state.payloads()?;
    let too_large = |got: u64| {
        let detail = "no certificate is so large";
        ApiError::new(413, "certificate.too_long", detail).with(got, CERTIFICATE.max)
    };
    let declared = declared_length(&headers)?;
    let mut memory = state.uploads.open(sender.network());
    let bytes = read_body(body, declared, CERTIFICATE, &mut memory, too_large).await?;
    let blob = payloads.by_certificate(bytes).await?;
    // Conditions and ranges are those of a GET.
    let none = HeaderMap::new();
    let answer = state.answer(sender, &blob, &Method::POST, &none);
    let mut response = answer.await?;
    if let Ok(location) = HeaderValue::from_str(&format!("/v1/blobs/{}", blob.key)) {
        response
            .headers_mut()
            .insert(header::CONTENT_LOCATION, location);
    }
    Ok(response)
}

/// What a gateway has learned about the operators that it asked.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(super) struct OperatorsView {
    /// The silence after which an operator is asked twice, milliseconds, without the time of a transfer.
    hedge_after_ms: u64,
    /// By operator id.
    operators: Vec<OperatorScore>,
}

/// How fast operators answer, and what they did wrong, as far as this gateway has seen.
#[utoipa::path(
    get,
    path = "/v1/operators",
    responses((status = 200, description = "The operators that were asked", body = OperatorsView)),
    tag = "service"
)]
pub(super) async fn operators(
    State(state): State<Arc<ApiState>>,
) -> Result<Json<OperatorsView>, ApiError> {
    let retriever = &state.payloads()?.retriever;
    Ok(Json(OperatorsView {
        hedge_after_ms: ashlar_fetch::millis(retriever.hedge_after()),
        operators: retriever.scores(),
    }))
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Ashlar gateway",
    description = "Payloads of certified blobs, checked. Names are 32 bytes in lower-case hexadecimal with 0x. \
                   Errors are problem documents (RFC 9457) with a stable code."
))]
struct Document;

/// All that is served over HTTP.
pub(super) fn apps(state: Arc<ApiState>, health: Arc<Health>, metrics: Arc<Metrics>) -> Apps {
    let refused = metrics.refused.clone();
    let page = Arc::clone(&state);
    let daemon = Daemon {
        name: "gateway",
        health,
        metrics: Arc::new(move || {
            if let Some(payloads) = page.payloads.get() {
                metrics.set_operators(&payloads.retriever.scores());
                let hedge = payloads.retriever.hedge_after();
                metrics.hedge_seconds.set(hedge.as_secs_f64());
            }
            metrics.text()
        }),
        refused,
        deadline: 2 * state.config.deadline() + MARGIN,
    };
    let routes = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(payload))
        .routes(routes!(by_certificate))
        .routes(routes!(operators));
    daemon.apps(routes, state).with_page(PAGE)
}
