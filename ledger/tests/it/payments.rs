//! Accounts and payments over HTTP, and the source of payments that a disperser has.

use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use ashlar_crypto::Coded as _;
use ashlar_crypto::account::AccountSignature;
use ashlar_ledger::client::LedgerClient;
use ashlar_ledger::devnet::{DEPOSIT, SERVICE};
use ashlar_ledger::types::{FundView, Page, PayeeView, PaymentAccountView};
use ashlar_ledger::{LedgerPayments, PaymentConfig};
use ashlar_proto::auth::{AccountStatement as _, Voucher};
use ashlar_proto::{Account, Stake};
use ashlar_restaking::{Action, Amount, Event, Transaction};
use ashlar_stake::{AccountTerms, PaymentSource, StakeError};

fn payer() -> Account {
    account(&payer_key())
}

fn voucher(cumulative: u64) -> (Voucher, AccountSignature) {
    let voucher = Voucher {
        account: payer(),
        disperser_id: DISPERSER,
        cumulative: Stake::from(cumulative),
    };
    let signature = voucher.sign(&domain(SERVICE), &payer_key());
    (voucher, signature)
}

fn of_payer(action: Action) -> Transaction {
    Transaction {
        sender: payer(),
        action,
    }
}

/// With answers that are never kept, unless they have to be.
fn open(home: &Home, url: &str, config: PaymentConfig) -> Arc<LedgerPayments> {
    Arc::new(LedgerPayments::open(&home.source(&[url]), config).unwrap())
}

/// A source blocks its caller: on a thread that may.
async fn ask<T: Send + 'static>(
    source: &Arc<LedgerPayments>,
    ask: impl FnOnce(&LedgerPayments) -> T + Send + 'static,
) -> T {
    let source = Arc::clone(source);
    tokio::task::spawn_blocking(move || ask(&source))
        .await
        .unwrap()
}

async fn terms(source: &Arc<LedgerPayments>, who: Account) -> Result<AccountTerms, StakeError> {
    ask(source, move |source| source.terms(DISPERSER, who)).await
}

async fn redeem(
    source: &Arc<LedgerPayments>,
    (voucher, signature): (Voucher, AccountSignature),
) -> Result<(), StakeError> {
    ask(source, move |source| source.redeem(voucher, signature)).await
}

fn ether(whole: u64) -> Stake {
    Amount::ether(whole).0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disperser_is_paid_and_the_sums_agree() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let config = PaymentConfig {
        fresh: Duration::ZERO,
        ..PaymentConfig::default()
    };
    let source = open(&home, &running.url(), config);

    // The devnet's account has a deposit; whoever nobody knows has nothing.
    let now = terms(&source, payer()).await.unwrap();
    assert_eq!((now.funded, now.redeemed), (ether(DEPOSIT), Stake::ZERO));
    assert!(now.notice > 0 && now.reservation.is_none());
    let stranger = terms(&source, account(&stranger_key())).await.unwrap();
    assert_eq!(stranger.funded, Stake::ZERO);
    let unknown = ask(&source, |source| source.terms(77, payer())).await;
    assert_eq!(unknown.unwrap_err().code(), "state.not_found");

    // Nobody signs but the account. Once more, or a lower one, changes nothing.
    redeem(&source, voucher(1001)).await.unwrap();
    redeem(&source, voucher(1001)).await.unwrap();
    redeem(&source, voucher(5)).await.unwrap();
    assert_eq!(
        terms(&source, payer()).await.unwrap().redeemed,
        Stake::from(1001)
    );
    let view = client.payments(SERVICE).await.unwrap();
    let fund = view.market.fund;
    let share = Amount::from(1001u64)
        .basis_points(view.market.terms.operators_bps)
        .unwrap();
    assert_eq!(fund.to_operators, share);
    assert_eq!(
        fund.to_operators.plus(fund.to_dispersers).unwrap(),
        1001u64.into()
    );
    assert_eq!(fund.paid_in, Amount::ether(DEPOSIT));
    // Who was paid: operators and stakers by the fund of rewards, and the disperser.
    let token = view.market.terms.token;
    let rewards: FundView = client
        .query(&format!("v1/state/rewards/funds/{token}"))
        .await
        .unwrap();
    assert_eq!(rewards.fund.paid_in, share);
    let payees: Page<PayeeView> = client
        .query(&format!("v1/state/services/{SERVICE}/payees"))
        .await
        .unwrap();
    let [payee] = payees.items.as_slice() else {
        panic!("{payees:?}")
    };
    assert_eq!(payee.disperser, DISPERSER);
    assert_eq!(payee.payee.to_disperser, fund.to_dispersers);
    assert_eq!(payee.payee.held, fund.held);
    // And who paid.
    let path = format!("v1/state/services/{SERVICE}/dispersers/{DISPERSER}/accounts");
    let accounts: Page<PaymentAccountView> = client.query(&path).await.unwrap();
    let [one] = accounts.items.as_slice() else {
        panic!("{accounts:?}")
    };
    assert_eq!(one.account, payer());
    assert_eq!(one.record.redeemed, 1001u64.into());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vouchers_that_pay_nothing_leave_no_trace() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let source = open(&home, &running.url(), PaymentConfig::default());
    let before = client.head().await.unwrap().transactions;
    let (honest, signature) = voucher(7);
    let more = Voucher {
        cumulative: Stake::from(8),
        ..honest
    };
    let all = Voucher {
        cumulative: ether(DEPOSIT) + Stake::from(1),
        ..honest
    };
    let foreign = honest.sign(&domain(SECOND_SERVICE), &payer_key());
    for (code, voucher, signature) in [
        ("payment.voucher_signer", more, signature),
        ("payment.voucher_signer", honest, foreign),
        (
            "payment.voucher_above",
            all,
            all.sign(&domain(SERVICE), &payer_key()),
        ),
        (
            "payment.voucher_signature",
            honest,
            AccountSignature([0; 65]),
        ),
    ] {
        let refused = redeem(&source, (voucher, signature)).await;
        assert_eq!(refused.unwrap_err().code(), code);
    }
    assert_eq!(client.head().await.unwrap().transactions, before);
    running.shutdown().await;
}

async fn reserve(client: &LedgerClient) -> Vec<Event> {
    let block = client.head().await.unwrap().block;
    let action = Action::BuyReservation {
        service: SERVICE,
        disperser: DISPERSER,
        rows_per_second: 3,
        burst_rows: 100,
        from: block + 50,
        until: block + 100_000,
        most: Amount::ether(10),
    };
    client.submit(&of_payer(action)).await.unwrap().events
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_account_has_is_asked_once_and_outlives_an_outage() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    client.add_key(payer_key());
    let config = PaymentConfig {
        fresh: Duration::from_millis(200),
        stale: Duration::from_secs(600),
        ..PaymentConfig::default()
    };
    let source = open(&home, &running.url(), config);
    let first = terms(&source, payer()).await.unwrap();
    assert_eq!(terms(&source, payer()).await.unwrap(), first);

    // A reservation and a refund are seen when the answer is no longer fresh.
    let bought = reserve(&client).await;
    assert!(matches!(
        bought.as_slice(),
        [Event::ReservationBought {
            rows_per_second: 3,
            ..
        }]
    ));
    let action = Action::AnnounceRefund {
        service: SERVICE,
        disperser: DISPERSER,
        amount: Some(Amount::ether(1)),
    };
    client.submit(&of_payer(action)).await.unwrap();
    until("the refund", async || {
        let now = terms(&source, payer()).await.unwrap();
        now.reservation.is_some() && now.funded == ether(DEPOSIT - 1)
    })
    .await;

    // While nobody answers, what was known is good; of whom nothing is known, nothing is said.
    running.shutdown().await;
    tokio::time::sleep(Duration::from_millis(250)).await;
    let now = terms(&source, payer()).await.unwrap();
    assert_eq!(now.funded, ether(DEPOSIT - 1));
    terms(&source, account(&stranger_key())).await.unwrap_err();
    redeem(&source, voucher(1)).await.unwrap_err();
}
