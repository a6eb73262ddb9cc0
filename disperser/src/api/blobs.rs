//! A blob's status and its certificate.

use std::sync::Arc;

use ashlar_crypto::Coded;
use ashlar_proto::api::{BlobState, BlobStatus};
use ashlar_proto::{BlobId, Certificate};
use ashlar_service::ApiError;
use ashlar_service::api::Binary;
use ashlar_service::extract::InQuery;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{ApiState, internal_error};
use crate::compute::blocking;
use crate::record::BlobRecord;

/// The blob with this id or key.
pub(super) async fn find(state: &ApiState, name: &str) -> Result<BlobRecord, ApiError> {
    let name: BlobId = name
        .parse()
        .map_err(|error: ashlar_proto::IdError| ApiError::coded(400, &error))?;
    let engine = state.engine()?;
    let registry = Arc::clone(&engine.durable.registry);
    match blocking(move || registry.find(&name.0)).await {
        Some(Ok(Some(record))) => Ok(record),
        Some(Ok(None)) => Err(ApiError::new(
            404,
            "blob.unknown",
            "no blob has this id or key here, or its time is over",
        )),
        Some(Err(error)) => Err(ApiError::ours(&error)),
        None => Err(internal_error()),
    }
}

/// Where the blob is.
#[utoipa::path(
    get,
    path = "/v1/blobs/{key}/status",
    params(("key" = inline(BlobId), Path, description = "Blob id (of the 202) or blob key")),
    responses(
        (status = 200, description = "Where it is", body = BlobStatus),
    ),
    tag = "blobs"
)]
pub(crate) async fn status(
    State(state): State<Arc<ApiState>>,
    Path(key): Path<String>,
) -> Result<Json<BlobStatus>, ApiError> {
    Ok(Json(find(&state, &key).await?.status()))
}

/// Which encoding of a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// For those who hold the operator table.
    #[default]
    Compact,
    /// For those who hold only its root.
    Portable,
}

/// Which encoding of a certificate.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CertificateQuery {
    /// `compact` (default, for holders of the operator table) or `portable` (for holders of its root).
    #[serde(default)]
    #[param(inline)]
    form: Form,
    /// `best` (default, with the most signers so far) or `first` (as it was issued: it never changes).
    #[serde(default)]
    #[param(inline)]
    issued: Issued,
}

/// Which of a blob's certificates. All of them stay valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Issued {
    /// With the most signers so far.
    #[default]
    Best,
    /// As it was issued.
    First,
}

/// The certificate's bytes.
#[utoipa::path(
    get,
    path = "/v1/blobs/{key}/certificate",
    params(("key" = inline(BlobId), Path, description = "Blob id (of the 202) or blob key"), CertificateQuery),
    responses(
        (status = 200, description = "The certificate", body = Binary, content_type = "application/octet-stream"),
        (status = 409, description = "Not certified yet (certificate.not_ready, with Retry-After) or failed (blob.failed)"),
    ),
    tag = "blobs"
)]
pub(crate) async fn certificate(
    State(state): State<Arc<ApiState>>,
    Path(key): Path<String>,
    InQuery(query): InQuery<CertificateQuery>,
) -> Result<Response, ApiError> {
    let record = find(&state, &key).await?;
    match record.state {
        BlobState::Certified => {}
        BlobState::Failed => {
            let why = record.error.map_or_else(String::new, |error| {
                format!(": {} [{}]", error.message, error.code)
            });
            return Err(ApiError::new(
                409,
                "blob.failed",
                format!("the blob failed and has no certificate{why}"),
            ));
        }
        state_now => {
            return Err(ApiError::new(
                409,
                "certificate.not_ready",
                format!("the blob is {state_now}; wait for certified"),
            )
            .retry_after(state.config.accept.retry_after_secs));
        }
    }
    let engine = state.engine()?;
    let work = Arc::clone(&engine);
    let bytes = blocking(move || -> Result<Vec<u8>, ApiError> {
        let store = work.durable.registry.store();
        let stored = match query.issued {
            Issued::Best => store.certificate(&record.id),
            Issued::First => store.issued_certificate(&record.id),
        }
        .map_err(|error| ApiError::ours(&error))?;
        let bytes = stored
            .ok_or_else(|| ApiError::new(410, "blob.gone", "the certificate's time is over"))?;
        match query.form {
            Form::Compact => Ok(bytes),
            Form::Portable => {
                let compact =
                    Certificate::from_bytes(&bytes).map_err(|error| ApiError::ours(&error))?;
                let table = work
                    .stake
                    .table_at(compact.batch_header.reference_block)
                    .map_err(|error| {
                        ApiError::new(
                            503,
                            "stake.unavailable",
                            format!(
                                "the operator table is not at hand [{}]: {error}",
                                error.code()
                            ),
                        )
                    })?;
                let portable = compact
                    .to_portable(&table)
                    .map_err(|error| ApiError::ours(&error))?;
                Ok(portable.to_bytes())
            }
        }
    });
    let bytes = bytes.await.ok_or_else(internal_error)??;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
