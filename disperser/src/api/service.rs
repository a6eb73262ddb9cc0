//! The operator table.

use std::sync::Arc;

use ashlar_crypto::Coded;
use ashlar_proto::{Block, Domain};
use ashlar_service::ApiError;
use ashlar_service::extract::InQuery;
use ashlar_stake::{StakeError, TableRecord};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{ApiState, internal_error};
use crate::compute::blocking;

/// Which operator table.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OperatorsQuery {
    /// Its reference block; the newest if there is none.
    #[param(inline)]
    block: Option<Block>,
}

/// An operator table with its service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperatorsView {
    domain: Domain,
    table: TableRecord,
}

/// An operator table as the disperser knows it.
///
/// For information: what a certificate is worth depends on the table that its reader trusts, not on this answer.
#[utoipa::path(
    get,
    path = "/v1/operators",
    params(OperatorsQuery),
    responses(
        (status = 200, description = "The service's domain, and the table as in a table file", body = OperatorsView),
        (status = 404, description = "There is no table of that block"),
    ),
    tag = "service"
)]
pub(crate) async fn operators(
    State(state): State<Arc<ApiState>>,
    InQuery(query): InQuery<OperatorsQuery>,
) -> Result<Json<OperatorsView>, ApiError> {
    let engine = state.engine()?;
    let stake = Arc::clone(&engine.stake);
    let table = blocking(move || {
        let block = query.block.map_or_else(|| stake.head(), Ok)?;
        stake.table_at(block)
    });
    match table.await {
        Some(Ok(table)) => match TableRecord::from_table(&table) {
            Some(record) => Ok(Json(OperatorsView {
                domain: table.domain(),
                table: record,
            })),
            None => Err(ApiError::new(
                503,
                "stake.no_proofs",
                "the source of this table keeps no proofs of possession",
            )),
        },
        Some(Err(error @ StakeError::UnknownBlock { .. })) => {
            Err(ApiError::new(404, error.code(), error))
        }
        Some(Err(error)) => Err(state.busy("stake.unavailable", error)),
        None => Err(internal_error()),
    }
}
