//! The ledger's state, as it is now.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use ashlar_proto::api::Problem;
use ashlar_proto::{Account, OperatorId, QuorumId};
use ashlar_restaking::{Amount, Refusal as LedgerRefusal, ServiceId, State as Ledger, VaultId};
use ashlar_service::Refusal;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::IntoParams;

use super::general::query;
use super::{ApiState, parse};
use crate::types::{
    AllocationView, DisperserView, HolderView, MAX_PAGE, MemberView, MembershipView, MetaView,
    OperatorDetail, OperatorView, Page, PoolView, PotView, ProfileView, QuorumView, ServiceDetail,
    ServiceView, SlashRequestView, StakerDetail, StrategyView, VaultDetail, VaultRequestView,
    VaultView, WithdrawalView,
};

/// Which part of a list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// What `next` of the page before said.
    pub(super) after: Option<String>,
    /// Items at most, 1 to 500.
    pub(super) limit: Option<usize>,
}

pub(super) type Asked = Result<Query<PageQuery>, QueryRejection>;

/// What is wanted of a list: after which key, and how many.
pub(super) struct Window<K> {
    after: Option<K>,
    limit: usize,
}

pub(super) fn window<K: FromStr<Err: Display>>(asked: Asked) -> Result<Window<K>, Refusal> {
    window_of(&query(asked)?)
}

pub(super) fn window_of<K: FromStr<Err: Display>>(asked: &PageQuery) -> Result<Window<K>, Refusal> {
    let after = asked.after.as_deref();
    Ok(Window {
        after: after
            .map(|after| parse("place in the list", after))
            .transpose()?,
        limit: asked.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE),
    })
}

/// A page of a list whose keys rise.
pub(super) fn page<K: Ord + Copy + Display, V, T>(
    block: u64,
    window: &Window<K>,
    list: impl Iterator<Item = (K, V)>,
    mut view: impl FnMut(K, V) -> T,
) -> Page<T> {
    let mut wanted = list
        .filter(|(key, _)| window.after.is_none_or(|after| *key > after))
        .peekable();
    let (mut items, mut last) = (Vec::new(), None);
    while items.len() < window.limit {
        let Some((key, value)) = wanted.next() else {
            break;
        };
        items.push(view(key, value));
        last = Some(key);
    }
    let next = wanted.peek().and(last).map(|key| key.to_string());
    Page { block, items, next }
}

/// Numbers that no state has.
pub(super) fn inconsistent(refusal: LedgerRefusal) -> Refusal {
    Refusal::ours(&refusal)
}

/// Network, block, roles and parameters.
#[utoipa::path(
    get,
    path = "/v1/state/meta",
    responses((status = 200, description = "Network, roles, delays and caps", body = Object)),
    tag = "state"
)]
pub(crate) async fn meta(State(state): State<Arc<ApiState>>) -> Result<Json<MetaView>, Refusal> {
    state
        .look(|ledger| {
            let meta = ledger.meta();
            Ok(Json(MetaView {
                network: meta.network.clone(),
                block: meta.block,
                transactions: meta.transactions,
                admin: meta.admin,
                reward_updater: meta.reward_updater,
                params: meta.params.clone(),
            }))
        })
        .await
}

/// Strategies, by number.
#[utoipa::path(
    get,
    path = "/v1/state/strategies",
    params(PageQuery),
    responses((status = 200, description = "A page of strategies: assets, and where their shares are", body = Object)),
    tag = "state"
)]
pub(crate) async fn strategies(
    State(state): State<Arc<ApiState>>,
    asked: Asked,
) -> Result<Json<Page<StrategyView>>, Refusal> {
    let window = window(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.strategies();
            Ok(Json(page(
                ledger.meta().block,
                &window,
                list,
                |id, record| StrategyView {
                    id,
                    strategy: record.clone(),
                },
            )))
        })
        .await
}

/// Operators, by id.
#[utoipa::path(
    get,
    path = "/v1/state/operators",
    params(PageQuery),
    responses((status = 200, description = "A page of operators", body = Object)),
    tag = "state"
)]
pub(crate) async fn operators(
    State(state): State<Arc<ApiState>>,
    asked: Asked,
) -> Result<Json<Page<OperatorView>>, Refusal> {
    let window = window(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.operators();
            Ok(Json(page(
                ledger.meta().block,
                &window,
                list,
                |id, record| OperatorView {
                    id,
                    operator: record.clone(),
                },
            )))
        })
        .await
}

/// An operator with its stake, its allocations and its quorums.
#[utoipa::path(
    get,
    path = "/v1/state/operators/{id}",
    params(("id" = String, Path, description = "Operator id, 32 bytes")),
    responses(
        (status = 200, description = "The operator", body = Object),
        (status = 404, description = "No such operator", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "state"
)]
pub(crate) async fn operator(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<OperatorDetail>, Refusal> {
    let id: OperatorId = parse("operator", &id)?;
    state
        .look(move |ledger| operator_detail(ledger, id).map(Json))
        .await
}

fn operator_detail(ledger: &Ledger, id: OperatorId) -> Result<OperatorDetail, Refusal> {
    let block = ledger.meta().block;
    let operator = ledger
        .operator(id)
        .ok_or_else(|| Refusal::not_found(format_args!("operator {id}")))?
        .clone();
    let allocations = ledger
        .allocations(id)
        .map(|(key, allocation)| {
            let (_, strategy, service, quorum) = key;
            let slashable = ledger.slashable_shares(&key).map_err(inconsistent)?;
            Ok(AllocationView {
                strategy,
                service,
                quorum,
                allocation,
                slashable,
            })
        })
        .collect::<Result<_, Refusal>>()?;
    let mut quorums: Vec<(ServiceId, QuorumId)> = ledger
        .services()
        .flat_map(|(service, _)| {
            ledger
                .quorums(service)
                .map(move |(quorum, _)| (service, quorum))
        })
        .collect();
    quorums.retain(|key| operator.memberships.contains(key) || operator.leaving.contains(key));
    let memberships = quorums
        .into_iter()
        .filter_map(|(service, quorum)| {
            let (_, member) = ledger
                .members(service, quorum)
                .find(|(member, _)| *member == id)?;
            Some(MembershipView {
                service,
                quorum,
                member,
                split_bps: ledger.fee_split(id, service, block),
            })
        })
        .collect();
    Ok(OperatorDetail {
        block,
        id,
        pools: ledger
            .pools(id)
            .map(|(strategy, pool)| PoolView { strategy, pool })
            .collect(),
        allocations,
        memberships,
        operator,
    })
}

/// A staker with its positions and its open withdrawals.
#[utoipa::path(
    get,
    path = "/v1/state/stakers/{account}",
    params(("account" = String, Path, description = "Account, 20 bytes")),
    responses(
        (status = 200, description = "The staker", body = Object),
        (status = 404, description = "No such staker", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "state"
)]
pub(crate) async fn staker(
    State(state): State<Arc<ApiState>>,
    Path(account): Path<String>,
) -> Result<Json<StakerDetail>, Refusal> {
    let account: Account = parse("account", &account)?;
    state
        .look(move |ledger| {
            let staker = ledger
                .staker(account)
                .ok_or_else(|| Refusal::not_found(format_args!("staker {account}")))?
                .clone();
            let withdrawals = ledger
                .withdrawals(account)
                .map_err(inconsistent)?
                .into_iter()
                .map(|(id, withdrawal, payable_now)| WithdrawalView {
                    id,
                    withdrawal,
                    payable_now,
                })
                .collect();
            Ok(Json(StakerDetail {
                block: ledger.meta().block,
                account,
                staker,
                positions: ledger.positions(account).map_err(inconsistent)?,
                withdrawals,
            }))
        })
        .await
}

/// An open withdrawal.
#[utoipa::path(
    get,
    path = "/v1/state/withdrawals/{id}",
    params(("id" = u64, Path, description = "Number")),
    responses(
        (status = 200, description = "The withdrawal", body = Object),
        (status = 404, description = "No such withdrawal, or it was completed", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "state"
)]
pub(crate) async fn withdrawal(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<WithdrawalView>, Refusal> {
    let id: u64 = parse("withdrawal", &id)?;
    state
        .look(move |ledger| {
            let missing = || Refusal::not_found(format_args!("open withdrawal {id}"));
            let staker = ledger.withdrawal(id).ok_or_else(missing)?.staker;
            ledger
                .withdrawals(staker)
                .map_err(inconsistent)?
                .into_iter()
                .find(|(number, ..)| *number == id)
                .map(|(id, withdrawal, payable_now)| {
                    Json(WithdrawalView {
                        id,
                        withdrawal,
                        payable_now,
                    })
                })
                .ok_or_else(missing)
        })
        .await
}

/// Services, by number.
#[utoipa::path(
    get,
    path = "/v1/state/services",
    params(PageQuery),
    responses((status = 200, description = "A page of services", body = Object)),
    tag = "state"
)]
pub(crate) async fn services(
    State(state): State<Arc<ApiState>>,
    asked: Asked,
) -> Result<Json<Page<ServiceView>>, Refusal> {
    let window = window(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.services();
            Ok(Json(page(
                ledger.meta().block,
                &window,
                list,
                |id, record| ServiceView {
                    id,
                    service: record.clone(),
                },
            )))
        })
        .await
}

/// A service with its quorums and the dispersers that have a bond.
#[utoipa::path(
    get,
    path = "/v1/state/services/{id}",
    params(("id" = u32, Path, description = "Service")),
    responses(
        (status = 200, description = "The service", body = Object),
        (status = 404, description = "No such service", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "state"
)]
pub(crate) async fn service(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<ServiceDetail>, Refusal> {
    let id: ServiceId = parse("service", &id)?;
    state
        .look(move |ledger| {
            let service = ledger
                .service(id)
                .ok_or_else(|| Refusal::not_found(format_args!("service {id}")))?
                .clone();
            let quorums = ledger
                .quorums(id)
                .filter_map(|(quorum, _)| {
                    let (record, totals) = ledger.quorum(id, quorum)?;
                    Some(QuorumView {
                        service: id,
                        quorum,
                        record: record.clone(),
                        totals,
                    })
                })
                .collect();
            Ok(Json(ServiceDetail {
                block: ledger.meta().block,
                id,
                service,
                quorums,
                dispersers: ledger
                    .dispersers(id)
                    .filter(|(_, disperser)| !disperser.bond.is_zero())
                    .map(|(id, disperser)| DisperserView {
                        id,
                        disperser: *disperser,
                    })
                    .collect(),
            }))
        })
        .await
}

/// Who is, or was, in a quorum, by id.
#[utoipa::path(
    get,
    path = "/v1/state/services/{id}/quorums/{quorum}/members",
    params(("id" = u32, Path, description = "Service"), ("quorum" = u8, Path, description = "Quorum"), PageQuery),
    responses(
        (status = 200, description = "A page of members", body = Object),
        (status = 404, description = "No such quorum", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "state"
)]
pub(crate) async fn members(
    State(state): State<Arc<ApiState>>,
    Path((id, quorum)): Path<(String, String)>,
    asked: Asked,
) -> Result<Json<Page<MemberView>>, Refusal> {
    let (id, quorum): (ServiceId, QuorumId) = (parse("service", &id)?, parse("quorum", &quorum)?);
    let window = window(asked)?;
    state
        .look(move |ledger| {
            if ledger.quorum(id, quorum).is_none() {
                return Err(Refusal::not_found(format_args!(
                    "quorum {quorum} of service {id}"
                )));
            }
            let list = ledger.members(id, quorum);
            Ok(Json(page(
                ledger.meta().block,
                &window,
                list,
                |operator, member| MemberView { operator, member },
            )))
        })
        .await
}

/// Slashes that wait for their veto window, by number.
#[utoipa::path(
    get,
    path = "/v1/state/slash-requests",
    params(PageQuery),
    responses((status = 200, description = "A page of requests", body = Object)),
    tag = "state"
)]
pub(crate) async fn slash_requests(
    State(state): State<Arc<ApiState>>,
    asked: Asked,
) -> Result<Json<Page<SlashRequestView>>, Refusal> {
    let window = window(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.slash_requests();
            Ok(Json(page(
                ledger.meta().block,
                &window,
                list,
                |id, record| SlashRequestView {
                    id,
                    request: record.clone(),
                },
            )))
        })
        .await
}

/// Vaults, by number.
#[utoipa::path(
    get,
    path = "/v1/state/vaults",
    params(PageQuery),
    responses((status = 200, description = "A page of vaults", body = Object)),
    tag = "state"
)]
pub(crate) async fn vaults(
    State(state): State<Arc<ApiState>>,
    asked: Asked,
) -> Result<Json<Page<VaultView>>, Refusal> {
    let window = window(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.vaults();
            Ok(Json(page(
                ledger.meta().block,
                &window,
                list,
                |id, record| VaultView {
                    id,
                    vault: record.clone(),
                },
            )))
        })
        .await
}

/// A vault with its operators, its requests, and what it is worth.
#[utoipa::path(
    get,
    path = "/v1/state/vaults/{id}",
    params(("id" = u32, Path, description = "Vault")),
    responses(
        (status = 200, description = "The vault", body = Object),
        (status = 404, description = "No such vault", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "state"
)]
pub(crate) async fn vault(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<VaultDetail>, Refusal> {
    let id: VaultId = parse("vault", &id)?;
    state
        .look(move |ledger| {
            let vault = ledger
                .vault(id)
                .ok_or_else(|| Refusal::not_found(format_args!("vault {id}")))?
                .clone();
            Ok(Json(VaultDetail {
                block: ledger.meta().block,
                id,
                vault,
                holdings: ledger.vault_holdings(id).map_err(inconsistent)?,
                profile: ledger
                    .vault_profile(id)
                    .map(|(operator, part)| ProfileView { operator, part })
                    .collect(),
                requests: ledger
                    .vault_requests(id)
                    .take(MAX_PAGE)
                    .map(|(id, request)| VaultRequestView { id, request })
                    .collect(),
                pots: ledger
                    .vault_pots(id)
                    .map(|(token, kind, amount)| PotView {
                        token,
                        kind,
                        amount,
                    })
                    .collect(),
            }))
        })
        .await
}

/// An account's shares of a vault.
#[utoipa::path(
    get,
    path = "/v1/state/vaults/{id}/holders/{account}",
    params(("id" = u32, Path, description = "Vault"), ("account" = String, Path, description = "Account, 20 bytes")),
    responses(
        (status = 200, description = "Also for an account that has none", body = Object),
        (status = 404, description = "No such vault", body = Problem, content_type = "application/problem+json"),
    ),
    tag = "state"
)]
pub(crate) async fn holder(
    State(state): State<Arc<ApiState>>,
    Path((id, account)): Path<(String, String)>,
) -> Result<Json<HolderView>, Refusal> {
    let (id, holder): (VaultId, Account) = (parse("vault", &id)?, parse("account", &account)?);
    state
        .look(move |ledger| {
            if ledger.vault(id).is_none() {
                return Err(Refusal::not_found(format_args!("vault {id}")));
            }
            let shares = ledger.vault_shares(id, holder);
            let (tokens, all) = ledger.vault_rate(id).map_err(inconsistent)?;
            let assets = if all.is_zero() {
                Amount::ZERO
            } else {
                shares.mul_div(tokens, all).map_err(inconsistent)?
            };
            Ok(Json(HolderView {
                vault: id,
                holder,
                shares,
                assets,
            }))
        })
        .await
}
