//! The OP Stack's Alt-DA interface, with what EigenDA's proxy has beside it.
//!
//! What its client makes of an answer is in the rollup guide. In short: a post has succeeded with 200 and nothing else; 404 tells op-node that
//! a payload is missing, so only a keccak commitment gets one; everything that is not 200 is asked again. Its client forgets the connection of an
//! error, so each error closes it.

use std::sync::Arc;
use std::time::Duration;

use ashlar_client::VerifiedCertificate;
use ashlar_crypto::{Blame, Coded as _};
use ashlar_proto::api::Problem;
use ashlar_proto::wire::cut_text;
use ashlar_service::ApiError;
use ashlar_service::api::Binary;
use ashlar_service::capacity::Capacity;
use ashlar_service::extract::{InPath, InQuery};
use ashlar_service::listener::{BodyLimits, Sender, declared_length, read_body};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::commitment::{self, Commitment};
use crate::config::{Failover, InvalidCert};
use crate::core::Core;
use crate::failure::{Failure, Rule};

/// Least bytes a second at which a payload has to come.
const MIN_RATE: u64 = 64 << 10;
/// Longest reason in an answer, bytes.
const MAX_REASON: usize = 1000;

/// What the handlers share.
pub(crate) struct Api {
    pub(crate) core: Arc<Core>,
    /// For bodies, of which each has a place: it is never full.
    uploads: Capacity,
}

impl Api {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        let config = &core.config;
        let most = BodyLimits::memory(config.max_body());
        let memory = most.saturating_mul(config.serve.places as u64);
        Self {
            uploads: Capacity::new("uploads", memory, 1),
            core,
        }
    }

    /// The body of a request that has a place.
    pub(crate) async fn body(
        &self,
        sender: Sender,
        headers: &HeaderMap,
        body: Body,
        max: u64,
    ) -> Result<Bytes, ApiError> {
        let limits = BodyLimits {
            max,
            timeout: self.core.config.put_deadline(),
            min_rate: MIN_RATE,
            grace: BodyLimits::GRACE,
        };
        let too_large = |got| problem(413, &Failure::TooLarge { got, max });
        let mut memory = self.uploads.open(sender.network());
        let declared = declared_length(headers)?;
        read_body(body, declared, limits, &mut memory, too_large).await
    }

    /// Posts the payload of a request.
    async fn posted(
        &self,
        sender: Sender,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<VerifiedCertificate, Refused> {
        self.core.may_write()?;
        let _place = self.core.place_to_put().await?;
        let max = self.core.config.put.max_payload;
        let payload = self.body(sender, headers, body, max).await?;
        Ok(self.core.put(payload).await?)
    }

    /// Keeps the payload of a request under a hash.
    async fn posted_keccak(
        &self,
        text: &str,
        sender: Sender,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(), Refused> {
        self.core.may_write()?;
        let bytes = commitment::from_hex(text).map_err(Failure::from)?;
        let named = Commitment::read(&bytes).map_err(Failure::from)?;
        let Commitment::Keccak(hash) = named else {
            let reason = "a payload is posted without a name, or under 0x00 and its keccak256";
            let (code, reason) = ("proxy.put_by_certificate", reason.to_owned());
            return Err(Failure::Request { code, reason }.into());
        };
        let _place = self.core.place_to_put().await?;
        let max = self.core.config.put.max_payload;
        let payload = self.body(sender, headers, body, max).await?;
        Ok(self.core.put_keccak(&hash, payload).await?)
    }

    /// What a batcher is told.
    fn put_failed(&self, failure: &Failure) -> Response {
        let op = &self.core.config.op;
        let fails_over = op.failover == Failover::Unavailable;
        let status = match failure {
            Failure::Invalid { .. } | Failure::Request { .. } | Failure::Missing => 400,
            Failure::TooLarge { .. } => 413,
            Failure::ReadOnly => 403,
            // It is this proxy that has no time, and not the layer.
            Failure::Busy => 429,
            Failure::Later { .. } | Failure::Deadline { .. } => {
                match fails_over && self.core.failures() >= op.failover_after {
                    true => 503,
                    false => 500,
                }
            }
        };
        problem(status, failure).into_response()
    }

    /// What a reader is told. Only of a hash it can be that there is nothing.
    fn get_failed(&self, failure: &Failure) -> Response {
        let status = match failure {
            Failure::Invalid { rule, code, reason } => return self.invalid(*rule, code, reason),
            Failure::Missing => 404,
            Failure::Request { .. } => 400,
            Failure::TooLarge { .. } => 413,
            Failure::ReadOnly => 403,
            Failure::Busy => 429,
            Failure::Deadline { .. } => 504,
            Failure::Later {
                blame: Blame::Us, ..
            } => 500,
            Failure::Later { .. } => 503,
        };
        problem(status, failure).into_response()
    }

    fn invalid(&self, rule: Rule, code: &str, reason: &str) -> Response {
        match self.core.config.op.invalid_cert {
            InvalidCert::Empty => (binary(), Bytes::new()).into_response(),
            InvalidCert::Teapot => {
                let reason = cut_text(reason, MAX_REASON);
                let told = Problem::new(418, code, Blame::Caller, &reason);
                let mut body = json!(told);
                if let Some(body) = body.as_object_mut() {
                    body.insert("StatusCode".to_owned(), json!(rule as u8));
                    body.insert("Msg".to_owned(), json!(reason));
                }
                (StatusCode::IM_A_TEAPOT, Json(body)).into_response()
            }
        }
    }
}

/// Why a post was not done.
enum Refused {
    /// It is no request.
    Request(ApiError),
    /// All else.
    Failure(Failure),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Request(error)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

fn split<T>(done: Result<T, Refused>) -> Result<Result<T, Failure>, ApiError> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(Refused::Failure(failure)) => Ok(Err(failure)),
        Err(Refused::Request(error)) => Err(error),
    }
}

fn problem(status: u16, failure: &Failure) -> ApiError {
    let told = Problem::new(
        status,
        failure.code(),
        failure.blame(),
        cut_text(&failure.to_string(), MAX_REASON),
    );
    let error = ApiError::from(told);
    match failure {
        Failure::Busy => error.retry_after(1),
        _ => error,
    }
}

fn binary() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/octet-stream")]
}

/// How a commitment is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// As the OP Stack has it: its first byte says which.
    #[default]
    #[serde(
        alias = "optimism_keccak256",
        alias = "optimism_keccak",
        alias = "optimism"
    )]
    OptimismGeneric,
    /// Without what the OP Stack puts in front.
    Standard,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::OptimismGeneric => "generic",
            Self::Standard => "standard",
        }
    }
}

/// Options of a post.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutQuery {
    /// `standard`, or `optimism_generic`.
    #[serde(default)]
    commitment_mode: Form,
}

/// Options of a read.
#[derive(Clone, Copy, Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct GetQuery {
    /// `standard`, or `optimism_generic`.
    #[serde(default)]
    commitment_mode: Form,
    /// The block of L1 that has the commitment. With `policy.recency_blocks` it says whether the certificate was posted soon enough.
    l1_inclusion_block_number: Option<u64>,
    /// Whether the rows are wanted that operators hold (field elements), and not the payload.
    #[serde(default)]
    return_encoded_payload: bool,
}

/// Posts a payload, and waits for its certificate. The same payload sent again finds the same blob, and costs nothing more.
#[utoipa::path(
    post,
    path = "/put",
    params(PutQuery),
    request_body(content = Binary, content_type = "application/octet-stream", description = "The payload"),
    responses(
        (status = 200, description = "The commitment, for the rollup's chain", body = Binary, content_type = "application/octet-stream"),
        (status = 403, description = "This proxy only reads"),
        (status = 429, description = "Too much is under way here"),
        (status = 500, description = "The layer did not take it: send it again"),
        (status = 503, description = "The same, with op.failover = \"503\""),
    ),
    tag = "op"
)]
pub(crate) async fn put(
    State(api): State<Arc<Api>>,
    Extension(sender): Extension<Sender>,
    InQuery(query): InQuery<PutQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (core, form) = (&api.core, query.commitment_mode);
    let done = api.posted(sender, &headers, body).await;
    let done = done.map(|certificate| certificate.certificate().to_bytes());
    let done = split(done)?;
    core.count(form.name(), "put", &done);
    Ok(match done {
        Ok(certificate) => {
            let commitment = match form {
                Form::OptimismGeneric => commitment::generic(&certificate),
                Form::Standard => commitment::standard(&certificate),
            };
            (binary(), commitment).into_response()
        }
        Err(failure) => api.put_failed(&failure),
    })
}

/// Keeps a payload under its keccak256, in the object store.
#[utoipa::path(
    post,
    path = "/put/{commitment}",
    params(("commitment" = String, Path, description = "0x00 and the keccak256 of the payload, hexadecimal")),
    request_body(content = Binary, content_type = "application/octet-stream", description = "The payload"),
    responses(
        (status = 200, description = "It is kept"),
        (status = 403, description = "This proxy only reads"),
        (status = 429, description = "Too much is under way here"),
        (status = 500, description = "The store failed, or there is none: send it again"),
    ),
    tag = "op"
)]
pub(crate) async fn put_keccak(
    State(api): State<Arc<Api>>,
    Extension(sender): Extension<Sender>,
    InPath(text): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let core = &api.core;
    let done = split(api.posted_keccak(&text, sender, &headers, body).await)?;
    core.count("keccak", "put", &done);
    Ok(match done {
        Ok(()) => StatusCode::OK.into_response(),
        // The store is not the layer: nothing is gained on L1.
        Err(failure @ Failure::Later { .. }) => problem(500, &failure).into_response(),
        Err(failure) => api.put_failed(&failure),
    })
}

/// The payload of a commitment, checked.
#[utoipa::path(
    get,
    path = "/get/{commitment}",
    params(("commitment" = String, Path, description = "As it stands on the rollup's chain, 0x and hexadecimal"), GetQuery),
    responses(
        (status = 200, description = "The payload. Empty: the commitment is good for nothing, with op.invalid_cert = \"empty-200\"", body = Binary, content_type = "application/octet-stream"),
        (status = 404, description = "A keccak commitment whose payload is not in the store. Never for a certificate"),
        (status = 418, description = "The commitment is good for nothing, with op.invalid_cert = \"418\""),
        (status = 429, description = "Too much is under way here"),
        (status = 500, description = "Something is wrong here; nothing is said about the commitment"),
        (status = 503, description = "It cannot be had now; nothing is said about the commitment"),
    ),
    tag = "op"
)]
pub(crate) async fn get(
    State(api): State<Arc<Api>>,
    InPath(text): InPath<String>,
    InQuery(query): InQuery<GetQuery>,
) -> Response {
    let core = &api.core;
    let mut name = query.commitment_mode.name();
    let done = async {
        let bytes = commitment::from_hex(&text)?;
        let named = match query.commitment_mode {
            Form::OptimismGeneric => Commitment::read(&bytes),
            Form::Standard => Commitment::standard(&bytes),
        };
        match named? {
            Commitment::Keccak(hash) => {
                name = "keccak";
                let _place = core.place_to_get().await?;
                core.get_keccak(&hash).await
            }
            Commitment::Certificate(certificate) => {
                let _place = core.place_to_get().await?;
                let found = core
                    .get(certificate, query.l1_inclusion_block_number)
                    .await?;
                match query.return_encoded_payload {
                    true => found.encoded().await,
                    false => Ok(found.payload),
                }
            }
        }
    };
    let done = done.await;
    core.count(name, "get", &done);
    match done {
        Ok(payload) => (binary(), payload).into_response(),
        Err(failure) => api.get_failed(&failure),
    }
}

/// How this proxy judges and answers, for checks at the start of a rollup's nodes: all of them have to have the same.
#[utoipa::path(
    get,
    path = "/config",
    responses((status = 200, description = "The configuration, without secrets", body = Object)),
    tag = "op"
)]
pub(crate) async fn config(State(api): State<Arc<Api>>) -> Response {
    let core = &api.core;
    let (config, policy) = (&core.config, core.da.policy());
    let stores = &core.stores;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": config.proxy.mode,
        "domain": policy.trust().domain(),
        "commitment": { "da_byte": commitment::DA_BYTE, "version": commitment::VERSION },
        "required_quorums": config.quorums(),
        "recency_blocks": config.policy.recency_blocks,
        "invalid_cert": config.op.invalid_cert,
        "failover": config.op.failover,
        "failover_after": config.op.failover_after,
        "max_payload": config.put.max_payload,
        "dispersers": config.proxy.dispersers.len(),
        "stores": {
            "keccak": stores.keccak.is_some(),
            "cache": stores.cache.is_some(),
            "fallback": stores.fallback.is_some(),
        },
        "arbitrum": config.arbitrum.enabled,
    }))
    .into_response()
}

/// The longest that an answer takes: a body, a place, and a post or a read.
pub(crate) fn longest(core: &Core) -> Duration {
    let config = &core.config;
    2 * config.put_deadline() + config.get_deadline() + Duration::from_secs(30)
}
