//! Custody challenges and their bonds.

use ashlar_proto::{Account, OperatorId};
use ashlar_restaking::ServiceId;
use ashlar_service::extract::{InPath, InQuery};
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::state::PageQuery;
use super::{Answer, Limit, Shared, found};
use crate::types::{BondFundView, BondsPaidView, ChallengeDetail, ChallengeView, Numbered, Page};

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
    State(state): Shared,
    InQuery(asked): InQuery<ChallengeQuery>,
) -> Answer<Page<ChallengeView>> {
    let ChallengeQuery {
        operator,
        service,
        after,
        limit,
    } = asked;
    state
        .show(move |ledger| {
            let list = ledger.challenges().filter(|(_, record)| {
                operator.is_none_or(|operator| record.operator == operator)
                    && service.is_none_or(|service| record.service == service)
            });
            PageQuery { after, limit }.page(ledger, list, Numbered::new)
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
    State(state): Shared,
    InPath(id): InPath<u64>,
) -> Answer<ChallengeDetail> {
    state
        .show(move |ledger| {
            let challenge = found(ledger.challenge(id), format_args!("open challenge {id}"))?;
            Ok(ChallengeDetail {
                block: ledger.meta().block,
                id,
                challenge: challenge.clone(),
            })
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
    State(state): Shared,
    InPath(token): InPath<Account>,
) -> Answer<BondFundView> {
    state
        .show(move |ledger| {
            let fund = ledger.bond_fund(token);
            Ok(BondFundView { token, fund })
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
    State(state): Shared,
    InPath((token, account)): InPath<(Account, Account)>,
) -> Answer<BondsPaidView> {
    state
        .show(move |ledger| {
            Ok(BondsPaidView {
                account,
                token,
                amount: ledger.bonds_paid(account, token),
            })
        })
        .await
}
