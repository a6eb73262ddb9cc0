//! What accounts pay dispersers.

use ashlar_proto::Account;
use ashlar_restaking::{Disperser, ServiceId, State as Ledger};
use ashlar_service::ApiError;
use ashlar_service::extract::{InPath, InQuery};
use axum::extract::State;

use super::state::{Asked, PageQuery};
use super::{Answer, Shared, found};
use crate::types::{Page, PayeeView, PaymentAccountDetail, PaymentAccountView, PaymentsView};

/// What a service is paid for, at which price, how much of its capacity is reserved now, and where the tokens are.
#[utoipa::path(
    get,
    path = "/v1/state/services/{id}/payments",
    params(("id" = u32, Path, description = "Service")),
    responses((status = 200, description = "Terms and sums", body = PaymentsView)),
    tag = "payments"
)]
pub(crate) async fn payments(
    State(state): Shared,
    InPath(id): InPath<ServiceId>,
) -> Answer<PaymentsView> {
    state
        .show(move |ledger| {
            let what = format_args!("service {id} with terms of payment");
            let block = ledger.meta().block;
            Ok(PaymentsView {
                block,
                market: *found(ledger.market(id), what)?,
                reserved_rows: ledger.reserved_rows(id, block),
            })
        })
        .await
}

/// Who was paid, by number: dispersers that accounts deposited with, what went to each of them, and to operators and stakers for it.
#[utoipa::path(
    get,
    path = "/v1/state/services/{id}/payees",
    params(("id" = u32, Path, description = "Service"), PageQuery<u32>),
    responses((status = 200, description = "A page of dispersers", body = Page<PayeeView>)),
    tag = "payments"
)]
pub(crate) async fn payees(
    State(state): Shared,
    InPath(id): InPath<ServiceId>,
    InQuery(asked): Asked<u32>,
) -> Answer<Page<PayeeView>> {
    state
        .show(move |ledger| {
            found(ledger.service(id), format_args!("service {id}"))?;
            let list = ledger.payees(id).filter_map(|(disperser, payee)| {
                let account = ledger.disperser(id, disperser)?.account;
                Some((disperser, (account, payee)))
            });
            asked.page(ledger, list, |disperser, (account, payee)| PayeeView {
                disperser,
                account,
                payee: *payee,
            })
        })
        .await
}

fn disperser(ledger: &Ledger, service: ServiceId, disperser: u32) -> Result<&Disperser, ApiError> {
    let what = format_args!("disperser {disperser} of service {service}");
    found(ledger.disperser(service, disperser), what)
}

/// Who pays a disperser, by account: deposits, reservations, and what was paid of them.
#[utoipa::path(
    get,
    path = "/v1/state/services/{id}/dispersers/{disperser}/accounts",
    params(("id" = u32, Path, description = "Service"), ("disperser" = u32, Path, description = "Disperser"), PageQuery<Account>),
    responses((status = 200, description = "A page of accounts", body = Page<PaymentAccountView>)),
    tag = "payments"
)]
pub(crate) async fn accounts(
    State(state): Shared,
    InPath((id, number)): InPath<(ServiceId, u32)>,
    InQuery(asked): Asked<Account>,
) -> Answer<Page<PaymentAccountView>> {
    state
        .show(move |ledger| {
            disperser(ledger, id, number)?;
            let list = ledger.payment_accounts(id, number);
            asked.page(ledger, list, |account, record| PaymentAccountView {
                account,
                record: *record,
            })
        })
        .await
}

/// What an account has with a disperser: what the disperser can count on, and what was paid.
#[utoipa::path(
    get,
    path = "/v1/state/services/{id}/dispersers/{disperser}/accounts/{account}",
    params(
        ("id" = u32, Path, description = "Service"),
        ("disperser" = u32, Path, description = "Disperser"),
        ("account" = inline(Account), Path, description = "Account, 20 bytes"),
    ),
    responses((status = 200, description = "Also for an account that has nothing", body = PaymentAccountDetail)),
    tag = "payments"
)]
pub(crate) async fn account(
    State(state): Shared,
    InPath((id, number, account)): InPath<(ServiceId, u32, Account)>,
) -> Answer<PaymentAccountDetail> {
    state
        .show(move |ledger| {
            disperser(ledger, id, number)?;
            let what = format_args!("service {id} with terms of payment");
            found(ledger.market(id), what)?;
            let terms = ledger
                .account_terms(id, number, account)
                .map_err(super::state::inconsistent)?;
            let record = ledger.payment_account(id, number, account);
            Ok(PaymentAccountDetail {
                account,
                terms: terms.into(),
                record: record.copied().unwrap_or_default(),
            })
        })
        .await
}
