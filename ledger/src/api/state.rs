//! The ledger's state, as it is now.

use std::fmt::Display;
use std::sync::Arc;

use ashlar_proto::{Account, Block, OperatorId, QuorumId};
use ashlar_restaking::{Amount, ServiceId, State as Ledger, TransactionError, VaultId};
use ashlar_service::ApiError;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::general::query;
use super::{ApiState, Limit, parse};
use crate::types::{
    AllocationView, DisperserView, HolderView, MAX_PAGE, MemberView, MembershipView, MetaView,
    OperatorDetail, OperatorView, Page, PoolView, PotView, ProfileView, QuorumView, ServiceDetail,
    ServiceView, SlashRequestView, StakerDetail, StrategyView, VaultDetail, VaultRequestView,
    VaultView, WithdrawalView,
};

/// Which part of a list whose items have keys `K`.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery<K: ToSchema> {
    /// What `next` of the page before said.
    #[param(inline)]
    pub(super) after: Option<K>,
    /// Items at most.
    #[param(inline)]
    pub(super) limit: Option<Limit>,
}

pub(super) type Asked<K> = Result<Query<PageQuery<K>>, QueryRejection>;

/// A page of a list whose keys rise.
pub(super) fn page<K: Ord + Copy + Display + ToSchema, V, T>(
    block: Block,
    asked: &PageQuery<K>,
    list: impl Iterator<Item = (K, V)>,
    mut view: impl FnMut(K, V) -> T,
) -> Page<T> {
    let mut wanted = list
        .filter(|(key, _)| asked.after.is_none_or(|after| *key > after))
        .peekable();
    let limit = asked.limit.map_or(MAX_PAGE as u64, Limit::get);
    let (mut items, mut last) = (Vec::new(), None);
    while (items.len() as u64) < limit {
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
pub(super) fn inconsistent(refusal: TransactionError) -> ApiError {
    ApiError::ours(&refusal)
}

/// Network, block, roles and parameters.
#[utoipa::path(
    get,
    path = "/v1/state/meta",
    responses((status = 200, description = "Network, roles, delays and caps", body = MetaView)),
    tag = "state"
)]
pub(crate) async fn meta(State(state): State<Arc<ApiState>>) -> Result<Json<MetaView>, ApiError> {
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
    params(PageQuery<u32>),
    responses((status = 200, description = "A page of strategies: assets, and where their shares are", body = Page<StrategyView>)),
    tag = "state"
)]
pub(crate) async fn strategies(
    State(state): State<Arc<ApiState>>,
    asked: Asked<u32>,
) -> Result<Json<Page<StrategyView>>, ApiError> {
    let asked = query(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.strategies();
            Ok(Json(page(
                ledger.meta().block,
                &asked,
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
    params(PageQuery<OperatorId>),
    responses((status = 200, description = "A page of operators", body = Page<OperatorView>)),
    tag = "state"
)]
pub(crate) async fn operators(
    State(state): State<Arc<ApiState>>,
    asked: Asked<OperatorId>,
) -> Result<Json<Page<OperatorView>>, ApiError> {
    let asked = query(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.operators();
            Ok(Json(page(
                ledger.meta().block,
                &asked,
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
    params(("id" = inline(OperatorId), Path, description = "Operator id, 32 bytes")),
    responses(
        (status = 200, description = "The operator", body = OperatorDetail),
    ),
    tag = "state"
)]
pub(crate) async fn operator(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<OperatorDetail>, ApiError> {
    let id: OperatorId = parse("operator", &id)?;
    state
        .look(move |ledger| operator_detail(ledger, id).map(Json))
        .await
}

fn operator_detail(ledger: &Ledger, id: OperatorId) -> Result<OperatorDetail, ApiError> {
    let block = ledger.meta().block;
    let operator = ledger
        .operator(id)
        .ok_or_else(|| ApiError::not_found(format_args!("operator {id}")))?
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
        .collect::<Result<_, ApiError>>()?;
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
    params(("account" = inline(Account), Path, description = "Account, 20 bytes")),
    responses(
        (status = 200, description = "The staker", body = StakerDetail),
    ),
    tag = "state"
)]
pub(crate) async fn staker(
    State(state): State<Arc<ApiState>>,
    Path(account): Path<String>,
) -> Result<Json<StakerDetail>, ApiError> {
    let account: Account = parse("account", &account)?;
    state
        .look(move |ledger| {
            let staker = ledger
                .staker(account)
                .ok_or_else(|| ApiError::not_found(format_args!("staker {account}")))?
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
        (status = 200, description = "The withdrawal", body = WithdrawalView),
        (status = 404, description = "No such withdrawal, or it was completed"),
    ),
    tag = "state"
)]
pub(crate) async fn withdrawal(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<WithdrawalView>, ApiError> {
    let id: u64 = parse("withdrawal", &id)?;
    state
        .look(move |ledger| {
            let missing = || ApiError::not_found(format_args!("open withdrawal {id}"));
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
    params(PageQuery<u32>),
    responses((status = 200, description = "A page of services", body = Page<ServiceView>)),
    tag = "state"
)]
pub(crate) async fn services(
    State(state): State<Arc<ApiState>>,
    asked: Asked<u32>,
) -> Result<Json<Page<ServiceView>>, ApiError> {
    let asked = query(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.services();
            Ok(Json(page(
                ledger.meta().block,
                &asked,
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
        (status = 200, description = "The service", body = ServiceDetail),
    ),
    tag = "state"
)]
pub(crate) async fn service(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<ServiceDetail>, ApiError> {
    let id: ServiceId = parse("service", &id)?;
    state
        .look(move |ledger| {
            let service = ledger
                .service(id)
                .ok_or_else(|| ApiError::not_found(format_args!("service {id}")))?
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
    params(("id" = u32, Path, description = "Service"), ("quorum" = u8, Path, description = "Quorum"), PageQuery<OperatorId>),
    responses(
        (status = 200, description = "A page of members", body = Page<MemberView>),
    ),
    tag = "state"
)]
pub(crate) async fn members(
    State(state): State<Arc<ApiState>>,
    Path((id, quorum)): Path<(String, String)>,
    asked: Asked<OperatorId>,
) -> Result<Json<Page<MemberView>>, ApiError> {
    let (id, quorum): (ServiceId, QuorumId) = (parse("service", &id)?, parse("quorum", &quorum)?);
    let asked = query(asked)?;
    state
        .look(move |ledger| {
            if ledger.quorum(id, quorum).is_none() {
                return Err(ApiError::not_found(format_args!(
                    "quorum {quorum} of service {id}"
                )));
            }
            let list = ledger.members(id, quorum);
            Ok(Json(page(
                ledger.meta().block,
                &asked,
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
    params(PageQuery<u64>),
    responses((status = 200, description = "A page of requests", body = Page<SlashRequestView>)),
    tag = "state"
)]
pub(crate) async fn slash_requests(
    State(state): State<Arc<ApiState>>,
    asked: Asked<u64>,
) -> Result<Json<Page<SlashRequestView>>, ApiError> {
    let asked = query(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.slash_requests();
            Ok(Json(page(
                ledger.meta().block,
                &asked,
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
    params(PageQuery<u32>),
    responses((status = 200, description = "A page of vaults", body = Page<VaultView>)),
    tag = "state"
)]
pub(crate) async fn vaults(
    State(state): State<Arc<ApiState>>,
    asked: Asked<u32>,
) -> Result<Json<Page<VaultView>>, ApiError> {
    let asked = query(asked)?;
    state
        .look(move |ledger| {
            let list = ledger.vaults();
            Ok(Json(page(
                ledger.meta().block,
                &asked,
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
        (status = 200, description = "The vault", body = VaultDetail),
    ),
    tag = "state"
)]
pub(crate) async fn vault(
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<VaultDetail>, ApiError> {
    let id: VaultId = parse("vault", &id)?;
    state
        .look(move |ledger| {
            let vault = ledger
                .vault(id)
                .ok_or_else(|| ApiError::not_found(format_args!("vault {id}")))?
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
    params(("id" = u32, Path, description = "Vault"), ("account" = inline(Account), Path, description = "Account, 20 bytes")),
    responses(
        (status = 200, description = "Also for an account that has none", body = HolderView),
    ),
    tag = "state"
)]
pub(crate) async fn holder(
    State(state): State<Arc<ApiState>>,
    Path((id, account)): Path<(String, String)>,
) -> Result<Json<HolderView>, ApiError> {
    let (id, holder): (VaultId, Account) = (parse("vault", &id)?, parse("account", &account)?);
    state
        .look(move |ledger| {
            if ledger.vault(id).is_none() {
                return Err(ApiError::not_found(format_args!("vault {id}")));
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
