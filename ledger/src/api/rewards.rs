//! Rewards: roots, funds, what was claimed, who would get what.

use ashlar_crypto::Coded;
use ashlar_proto::{Account, QuorumId};
use ashlar_restaking::{Amount, ServiceId};
use ashlar_service::ApiError;
use ashlar_service::extract::{InPath, InQuery};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::state::{Asked, PageQuery, check_quorum};
use super::{Answer, Limit, Shared};
use crate::types::{ClaimedView, FundView, Numbered, Page, RewardRootView, ShareView};

/// Roots of cumulative earnings, by number.
#[utoipa::path(
    get,
    path = "/v1/state/rewards/roots",
    params(PageQuery<u64>),
    responses((status = 200, description = "A page of roots", body = Page<RewardRootView>)),
    tag = "rewards"
)]
pub(crate) async fn roots(
    State(state): Shared,
    InQuery(asked): Asked<u64>,
) -> Answer<Page<RewardRootView>> {
    state
        .show(move |ledger| {
            // Numbered without gaps.
            let list = (1u64..).map_while(|id| Some((id, ledger.reward_root(id)?)));
            asked.page(ledger, list, Numbered::new)
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
pub(crate) async fn fund(State(state): Shared, InPath(token): InPath<Account>) -> Answer<FundView> {
    state
        .show(move |ledger| {
            let fund = ledger.fund(token);
            Ok(FundView { token, fund })
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
    State(state): Shared,
    InPath((earner, token)): InPath<(Account, Account)>,
) -> Answer<ClaimedView> {
    state
        .show(move |ledger| {
            Ok(ClaimedView {
                earner,
                token,
                amount: ledger.claimed(earner, token),
            })
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
    State(state): Shared,
    InQuery(asked): InQuery<SharesQuery>,
) -> Answer<Page<ShareView>> {
    let SharesQuery {
        service,
        quorum,
        amount,
        after,
        limit,
    } = asked;
    state
        .show(move |ledger| {
            check_quorum(ledger, service, quorum)?;
            let shares = ledger.reward_shares(service, quorum, amount);
            let shares = shares.map_err(|refusal| match refusal.blame() {
                ashlar_crypto::Blame::Us => ApiError::ours(&refusal),
                _ => ApiError::coded(422, &refusal),
            })?;
            PageQuery { after, limit }.page(ledger, shares.into_iter(), |account, amount| {
                ShareView { account, amount }
            })
        })
        .await
}
