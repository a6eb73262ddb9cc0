//! Custody challenges and their bonds.

use std::sync::Arc;

use ashlar_proto::{Account, OperatorId};
use ashlar_restaking::ServiceId;
use ashlar_service::ApiError;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::general::query;
use super::state::{PageQuery, page};
use super::{ApiState, Limit, parse};
use crate::types::{BondFundView, BondsPaidView, ChallengeDetail, ChallengeView, Page};

/// Which challenges.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChallengeQuery {
    /// Those to this operator.
    #[param(inline)]
    operator: Option<OperatorId>,
    /// Those of this service.
    service: Option<ServiceId>,
    /// What `next` of the page before said.
    after: Option<u64>,
    /// Items at most.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Open challenges, oldest first: what an operator looks at once a day.
#[utoipa::path(
    get,
    path = "/v1/state/challenges",
    params(ChallengeQuery),
    responses(
        (status = 200, description = "A page of challenges: who is asked for which element, until when, for which bond", body = Page<ChallengeView>),
    ),
    tag = "state"
)]
pub(crate) async fn challenges(
    State(state): State<Arc<ApiState>>,
    asked: Result<Query<ChallengeQuery>, QueryRejection>,
) -> Result<Json<Page<ChallengeView>>, ApiError> {
    let ChallengeQuery {
        operator,
        service,
        after,
        limit,
    } = query(asked)?;
    let window = PageQuery { after, limit };
    state
        .look(move |ledger| {
            let list = ledger.challenges().filter(|(_, record)| {
                operator.is_none_or(|operator| record.operator == operator)
                    && service.is_none_or(|service| record.service == service)
            });
            Ok(Json(page(
                ledger.meta().block,
                &window,
                list,
                |id, record| ChallengeView {
                    id,
                    challenge: record.clone(),
                },
            )))
        })
        .await
}

/// One open challenge, with the blob's header: what an answer is checked against.
#[utoipa::path(
    get,
    path = "/v1/state/challenges/{id}",
    params(("id" = u64, Path, description = "Number of the challenge")),
    responses(
        (status = 200, description = "The challenge", body = ChallengeDetail),
    ),
    tag = "state"
)]
pub(crate) async fn challenge(
    State(state): State<Arc<ApiState>>,
    Path(challenge): Path<String>,
) -> Result<Json<ChallengeDetail>, ApiError> {
    let id: u64 = parse("challenge", &challenge)?;
    state
        .look(move |ledger| {
            let record = ledger
                .challenge(id)
                .ok_or_else(|| ApiError::not_found(format_args!("open challenge {id}")))?;
            Ok(Json(ChallengeDetail {
                block: ledger.meta().block,
                id,
                challenge: record.clone(),
            }))
        })
        .await
}

/// The bonds of challenges in a token: paid in, held, paid to operators, given back.
#[utoipa::path(
    get,
    path = "/v1/state/bonds/{token}",
    params(("token" = inline(Account), Path, description = "Token contract, 20 bytes")),
    responses(
        (status = 200, description = "Also for a token that never came in", body = BondFundView),
    ),
    tag = "state"
)]
pub(crate) async fn bonds(
    State(state): State<Arc<ApiState>>,
    Path(token): Path<String>,
) -> Result<Json<BondFundView>, ApiError> {
    let token: Account = parse("account", &token)?;
    state
        .look(move |ledger| {
            let fund = ledger.bond_fund(token);
            Ok(Json(BondFundView { token, fund }))
        })
        .await
}

/// What an account was paid of bonds in a token, ever: for answers, and its own that came back.
#[utoipa::path(
    get,
    path = "/v1/state/bonds/{token}/paid/{account}",
    params(
        ("token" = inline(Account), Path, description = "Token contract, 20 bytes"),
        ("account" = inline(Account), Path, description = "Account, 20 bytes"),
    ),
    responses(
        (status = 200, description = "Also for an account that was never paid", body = BondsPaidView),
    ),
    tag = "state"
)]
pub(crate) async fn bonds_paid(
    State(state): State<Arc<ApiState>>,
    Path((token, account)): Path<(String, String)>,
) -> Result<Json<BondsPaidView>, ApiError> {
    let (token, account): (Account, Account) =
        (parse("account", &token)?, parse("account", &account)?);
    state
        .look(move |ledger| {
            Ok(Json(BondsPaidView {
                account,
                token,
                amount: ledger.bonds_paid(account, token),
            }))
        })
        .await
}
