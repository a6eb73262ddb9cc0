//! The ledger's state, as it is now.

use std::fmt::Display;

use ashlar_proto::{Account, OperatorId, QuorumId};
use ashlar_restaking::{Amount, ServiceId, State as Ledger, TransactionError, VaultId};
use ashlar_service::ApiError;
use ashlar_service::extract::{InPath, InQuery};
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Limit, Shared, found};
use crate::types::{
    AllocationView, HolderView, MAX_PAGE, MemberView, MembershipView, MetaView, Numbered,
    OperatorDetail, OperatorView, Page, PoolView, PotView, ProfileView, QuorumView, ServiceDetail,
    ServiceView, SlashRequestView, StakerDetail, StrategyView, VaultDetail, VaultView,
    WithdrawalView,
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

pub(super) type Asked<K> = InQuery<PageQuery<K>>;

impl<K: Ord + Copy + Display + ToSchema> PageQuery<K> {
    /// This part of a list whose keys rise.
    pub(super) fn page<V, T>(
        &self,
        ledger: &Ledger,
        list: impl Iterator<Item = (K, V)>,
        mut view: impl FnMut(K, V) -> T,
    ) -> Result<Page<T>, ApiError> {
        let mut wanted = list
            .filter(|(key, _)| self.after.is_none_or(|after| *key > after))
            .peekable();
        let limit = self.limit.map_or(MAX_PAGE as u64, Limit::get);
        let (mut items, mut last) = (Vec::new(), None);
        while (items.len() as u64) < limit {
            let Some((key, value)) = wanted.next() else {
                break;
            };
            items.push(view(key, value));
            last = Some(key);
        }
        Ok(Page {
            block: ledger.meta().block,
            items,
            next: wanted.peek().and(last).map(|key| key.to_string()),
        })
    }
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
pub(crate) async fn meta(State(state): Shared) -> Answer<MetaView> {
    state
        .show(|ledger| {
            let meta = ledger.meta();
            Ok(MetaView {
                network: meta.network.clone(),
                block: meta.block,
                transactions: meta.transactions,
                admin: meta.admin,
                reward_updater: meta.reward_updater,
                params: meta.params.clone(),
            })
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
    State(state): Shared,
    InQuery(asked): Asked<u32>,
) -> Answer<Page<StrategyView>> {
    state
        .show(move |ledger| asked.page(ledger, ledger.strategies(), Numbered::new))
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
    State(state): Shared,
    InQuery(asked): Asked<OperatorId>,
) -> Answer<Page<OperatorView>> {
    state
        .show(move |ledger| asked.page(ledger, ledger.operators(), Numbered::new))
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
    State(state): Shared,
    InPath(id): InPath<OperatorId>,
) -> Answer<OperatorDetail> {
    state.show(move |ledger| operator_detail(ledger, id)).await
}

fn operator_detail(ledger: &Ledger, id: OperatorId) -> Result<OperatorDetail, ApiError> {
    let block = ledger.meta().block;
    let operator = found(ledger.operator(id), format_args!("operator {id}"))?.clone();
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
    State(state): Shared,
    InPath(account): InPath<Account>,
) -> Answer<StakerDetail> {
    state
        .show(move |ledger| {
            let staker = found(ledger.staker(account), format_args!("staker {account}"))?;
            Ok(StakerDetail {
                block: ledger.meta().block,
                account,
                staker: staker.clone(),
                positions: ledger.positions(account).map_err(inconsistent)?,
                withdrawals: withdrawals(ledger, account)?,
            })
        })
        .await
}

/// A staker's open withdrawals.
fn withdrawals(ledger: &Ledger, account: Account) -> Result<Vec<WithdrawalView>, ApiError> {
    let open = ledger.withdrawals(account).map_err(inconsistent)?;
    let views = open
        .into_iter()
        .map(|(id, withdrawal, payable_now)| WithdrawalView {
            id,
            withdrawal,
            payable_now,
        });
    Ok(views.collect())
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
    State(state): Shared,
    InPath(id): InPath<u64>,
) -> Answer<WithdrawalView> {
    state
        .show(move |ledger| {
            let what = format_args!("open withdrawal {id}");
            let staker = found(ledger.withdrawal(id), what)?.staker;
            let mut open = withdrawals(ledger, staker)?.into_iter();
            found(open.find(|withdrawal| withdrawal.id == id), what)
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
    State(state): Shared,
    InQuery(asked): Asked<u32>,
) -> Answer<Page<ServiceView>> {
    state
        .show(move |ledger| asked.page(ledger, ledger.services(), Numbered::new))
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
    State(state): Shared,
    InPath(id): InPath<ServiceId>,
) -> Answer<ServiceDetail> {
    state
        .show(move |ledger| {
            let service = found(ledger.service(id), format_args!("service {id}"))?;
            let quorums = ledger.quorums(id).filter_map(|(quorum, _)| {
                let (record, totals) = ledger.quorum(id, quorum)?;
                Some(QuorumView {
                    service: id,
                    quorum,
                    record: record.clone(),
                    totals,
                })
            });
            let bonded = ledger.dispersers(id);
            let bonded = bonded.filter(|(_, disperser)| !disperser.bond.is_zero());
            Ok(ServiceDetail {
                block: ledger.meta().block,
                id,
                service: service.clone(),
                quorums: quorums.collect(),
                dispersers: bonded
                    .map(|(id, disperser)| Numbered::new(id, disperser))
                    .collect(),
            })
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
    State(state): Shared,
    InPath((id, quorum)): InPath<(ServiceId, QuorumId)>,
    InQuery(asked): Asked<OperatorId>,
) -> Answer<Page<MemberView>> {
    state
        .show(move |ledger| {
            check_quorum(ledger, id, quorum)?;
            asked.page(ledger, ledger.members(id, quorum), |operator, member| {
                MemberView { operator, member }
            })
        })
        .await
}

/// 404 if the service has no such quorum.
pub(super) fn check_quorum(
    ledger: &Ledger,
    service: ServiceId,
    quorum: QuorumId,
) -> Result<(), ApiError> {
    let what = format_args!("quorum {quorum} of service {service}");
    found(ledger.quorum(service, quorum), what).map(drop)
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
    State(state): Shared,
    InQuery(asked): Asked<u64>,
) -> Answer<Page<SlashRequestView>> {
    state
        .show(move |ledger| asked.page(ledger, ledger.slash_requests(), Numbered::new))
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
    State(state): Shared,
    InQuery(asked): Asked<u32>,
) -> Answer<Page<VaultView>> {
    state
        .show(move |ledger| asked.page(ledger, ledger.vaults(), Numbered::new))
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
    State(state): Shared,
    InPath(id): InPath<VaultId>,
) -> Answer<VaultDetail> {
    state
        .show(move |ledger| {
            let vault = found(ledger.vault(id), format_args!("vault {id}"))?;
            Ok(VaultDetail {
                block: ledger.meta().block,
                id,
                vault: vault.clone(),
                holdings: ledger.vault_holdings(id).map_err(inconsistent)?,
                profile: ledger
                    .vault_profile(id)
                    .map(|(operator, part)| ProfileView { operator, part })
                    .collect(),
                requests: ledger
                    .vault_requests(id)
                    .take(MAX_PAGE)
                    .map(|(id, request)| Numbered::new(id, request))
                    .collect(),
                pots: ledger
                    .vault_pots(id)
                    .map(|(token, kind, amount)| PotView {
                        token,
                        kind,
                        amount,
                    })
                    .collect(),
            })
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
    State(state): Shared,
    InPath((id, holder)): InPath<(VaultId, Account)>,
) -> Answer<HolderView> {
    state
        .show(move |ledger| {
            found(ledger.vault(id), format_args!("vault {id}"))?;
            let shares = ledger.vault_shares(id, holder);
            let (tokens, all) = ledger.vault_rate(id).map_err(inconsistent)?;
            let assets = if all.is_zero() {
                Amount::ZERO
            } else {
                shares.mul_div(tokens, all).map_err(inconsistent)?
            };
            Ok(HolderView {
                vault: id,
                holder,
                shares,
                assets,
            })
        })
        .await
}
