//! Rewards: roots, funds, what was claimed, who would get what.

use std::sync::Arc;

use ashlar_crypto::Coded;
use ashlar_proto::{Account, QuorumId};
use ashlar_restaking::{Amount, ServiceId};
use ashlar_service::ApiError;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::general::query;
use super::state::{Asked, PageQuery, page};
use super::{ApiState, Limit, parse};
use crate::types::{ClaimedView, FundView, Page, RewardRootView, ShareView};

/// Roots of cumulative earnings, by number.
#[utoipa::path(
    get,
    path = "/v1/state/rewards/roots",
    params(PageQuery<u64>),
    responses((status = 200, description = "A page of roots", body = Page<RewardRootView>)),
    tag = "rewards"
)]
pub(crate) async fn roots(
    State(state): State<Arc<ApiState>>,
    asked: Asked<u64>,
) -> Result<Json<Page<RewardRootView>>, ApiError> {
    let asked = query(asked)?;
    state
        .look(move |ledger| {
            // Numbered without gaps.
            let list = (1u64..).map_while(|id| Some((id, ledger.reward_root(id)?)));
            Ok(Json(page(
                ledger.meta().block,
                &asked,
                list,
                |id, record| RewardRootView { id, record },
            )))
        })
        .await
}

/// What was paid in and claimed of a token.
#[utoipa::path(
    get,
    path = "/v1/state/rewards/funds/{token}",
    params(("token" = inline(Account), Path, description = "The token's contract, 20 bytes")),
    responses((status = 200, description = "Also for a token of which nothing was paid in", body = FundView)),
    tag = "rewards"
)]
pub(crate) async fn fund(
    State(state): State<Arc<ApiState>>,
    Path(token): Path<String>,
) -> Result<Json<FundView>, ApiError> {
    let token: Account = parse("token", &token)?;
    state
        .look(move |ledger| {
            Ok(Json(FundView {
                token,
                fund: ledger.fund(token),
            }))
        })
        .await
}

/// What an earner was paid of a token, ever.
#[utoipa::path(
    get,
    path = "/v1/state/rewards/claimed/{earner}/{token}",
    params(("earner" = inline(Account), Path, description = "Account, 20 bytes"), ("token" = inline(Account), Path, description = "The token's contract, 20 bytes")),
    responses((status = 200, description = "Zero if it never was", body = ClaimedView)),
    tag = "rewards"
)]
pub(crate) async fn claimed(
    State(state): State<Arc<ApiState>>,
    Path((earner, token)): Path<(String, String)>,
) -> Result<Json<ClaimedView>, ApiError> {
    let (earner, token): (Account, Account) = (parse("account", &earner)?, parse("token", &token)?);
    state
        .look(move |ledger| {
            Ok(Json(ClaimedView {
                earner,
                token,
                amount: ledger.claimed(earner, token),
            }))
        })
        .await
}

/// Of which reward.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SharesQuery {
    /// The service.
    service: ServiceId,
    /// Its quorum.
    quorum: QuorumId,
    /// The reward, in base units.
    #[param(inline)]
    amount: Amount,
    /// What `next` of the page before said.
    #[param(inline)]
    after: Option<Account>,
    /// Items at most.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Who would get what of a reward for a quorum, as its stake is now, by account. Walks all stakers.
#[utoipa::path(
    get,
    path = "/v1/state/rewards/shares",
    params(SharesQuery),
    responses(
        (status = 200, description = "A page of accounts and amounts", body = Page<ShareView>),
        (status = 404, description = "No such quorum"),
        (status = 422, description = "The amount is too large to share"),
    ),
    tag = "rewards"
)]
pub(crate) async fn shares(
    State(state): State<Arc<ApiState>>,
    asked: Result<Query<SharesQuery>, QueryRejection>,
) -> Result<Json<Page<ShareView>>, ApiError> {
    let asked = query(asked)?;
    let window = PageQuery {
        after: asked.after,
        limit: asked.limit,
    };
    state
        .look(move |ledger| {
            let (service, quorum) = (asked.service, asked.quorum);
            if ledger.quorum(service, quorum).is_none() {
                return Err(ApiError::not_found(format_args!(
                    "quorum {quorum} of service {service}"
                )));
            }
            let shares = ledger
                .reward_shares(service, quorum, asked.amount)
                .map_err(|refusal| match refusal.blame() {
                    ashlar_crypto::Blame::Us => ApiError::ours(&refusal),
                    _ => ApiError::coded(422, &refusal),
                })?;
            Ok(Json(page(
                ledger.meta().block,
                &window,
                shares.into_iter(),
                |account, amount| ShareView { account, amount },
            )))
        })
        .await
}
