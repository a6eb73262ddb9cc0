//! Prices, and what an account has used and owes.

use std::sync::Arc;

use ashlar_proto::Account;
use ashlar_proto::api::{AccountView, Prices};
use ashlar_service::ApiError;
use axum::Json;
use axum::extract::{Path, State};

use super::gate::{account_record, disperser_id};
use super::{ApiState, internal_error};
use crate::compute::blocking;

/// Whom this disperser serves, and what it asks.
#[utoipa::path(
    get,
    path = "/v1/prices",
    responses(
        (status = 200, description = "What a blob costs, and what is signed for it", body = Prices),
        (status = 503, description = "The disperser is not in the operator table (service.not_registered)"),
    ),
    tag = "accounts"
)]
pub(crate) async fn prices(State(state): State<Arc<ApiState>>) -> Result<Json<Prices>, ApiError> {
    let engine = Arc::clone(state.engine()?);
    let work = move || {
        let disperser_id = disperser_id(&state, &engine)?;
        Ok(state.config.prices(engine.stake.domain(), disperser_id))
    };
    let prices: Result<Prices, ApiError> = blocking(work).await.ok_or_else(internal_error)?;
    Ok(Json(prices?))
}

/// What an account has used and owes here, and what it has on the ledger.
///
/// One that has posted nothing owes nothing.
#[utoipa::path(
    get,
    path = "/v1/accounts/{address}",
    params(("address" = inline(Account), Path, description = "The account")),
    responses(
        (status = 200, description = "The account", body = AccountView),
    ),
    tag = "accounts"
)]
pub(crate) async fn account(
    State(state): State<Arc<ApiState>>,
    Path(address): Path<String>,
) -> Result<Json<AccountView>, ApiError> {
    let account: Account = address
        .parse()
        .map_err(|error: ashlar_proto::IdError| ApiError::coded(400, &error))?;
    let engine = Arc::clone(state.engine()?);
    let work = move || {
        let record = account_record(&engine, account)?;
        let now_ms = engine.durable.clock.wall_ms();
        // Without the ledger, or without us in its table, the rest is still true.
        let id = engine.disperser_id().ok().flatten();
        let payment = engine.payment.as_ref().zip(id);
        let terms = payment.and_then(|(payment, id)| payment.terms(id, account).ok());
        Ok(record.view(account, terms.as_ref(), now_ms))
    };
    let view: Result<AccountView, ApiError> = blocking(work).await.ok_or_else(internal_error)?;
    Ok(Json(view?))
}
