//! Who paid in the demo, and who was paid. What the disperser charged and what the ledger paid out have to agree to the wei.

use ashlar_ledger::LedgerClient;
use ashlar_ledger::client::ClientError;
use ashlar_ledger::devnet::SERVICE;
use ashlar_ledger::types::{FundView, Page, PayeeView};
use ashlar_proto::api::{AccountView, Prices};
use ashlar_proto::{Account, BlobHeader};
use ashlar_restaking::Amount;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::devnet::layout::DevnetFile;
use crate::error::{CliError, CliResult, Exit};
use crate::stake::connection;
use crate::stake::units::{bps_percent, ether, short, whole};
use crate::ui;

/// What a disperser asks for a blob.
pub(super) struct Bill {
    disperser: u32,
    rows: u32,
    price: Amount,
    account: AccountView,
}

/// Who paid, and who was paid, in the smallest unit of the token.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Payments {
    pub(super) account: Account,
    disperser: u32,
    disperser_account: Account,
    rows: u32,
    operators_bps: u16,
    /// By the disperser.
    pub(super) charged: Amount,
    /// The account's vouchers, by the ledger.
    pub(super) redeemed: Amount,
    pub(super) to_disperser: Amount,
    pub(super) to_operators: Amount,
    /// Of the account's deposit.
    left: Amount,
}

/// What the disperser, which still runs, says that the account owes it for its only blob.
///
/// # Errors
/// It does not answer, or has charged another price than it has published.
pub(super) async fn bill(devnet: &DevnetFile, blob: &BlobHeader) -> CliResult<Bill> {
    let base = &devnet.disperser_url;
    let prices: Prices = ask(&format!("{base}/v1/prices")).await?;
    let account = devnet.account.address;
    let account: AccountView = ask(&format!("{base}/v1/accounts/{account}")).await?;
    let price = prices
        .of(blob.version, blob.rows, &blob.quorums)
        .ok_or_else(|| failed("the disperser has no price for the blob"))?;
    agree("charged", Amount(account.charged), Amount(price))?;
    agree("refunded", Amount(account.refunded), Amount::ZERO)?;
    Ok(Bill {
        disperser: prices.disperser_id,
        rows: blob.rows,
        price: Amount(price),
        account,
    })
}

/// What came of it on the ledger, when the disperser has stopped: it hands in what it holds then.
///
/// # Errors
/// The ledger does not answer, or an amount is another one than the disperser's, or than the others add up to.
pub(super) async fn settle(devnet: &DevnetFile, bill: Bill) -> CliResult<Payments> {
    let no_ledger = || failed("this devnet has no ledger");
    let url = &devnet.ledger.as_ref().ok_or_else(no_ledger)?.url;
    let wrong =
        |error: ClientError| connection::failed("could not ask the ledger who was paid", &error);
    let ledger = LedgerClient::parse(url).map_err(wrong)?;
    let account = bill.account.account;
    let of_account = ledger.payment_account(SERVICE, bill.disperser, account);
    let record = of_account.await.map_err(wrong)?.record;
    let market = ledger.payments(SERVICE).await.map_err(wrong)?.market;
    let path = format!("v1/state/services/{SERVICE}/payees");
    let payees: Page<PayeeView> = ledger.query(&path).await.map_err(wrong)?;
    let path = format!("v1/state/rewards/funds/{}", market.terms.token);
    let rewards: FundView = ledger.query(&path).await.map_err(wrong)?;
    let [payee] = payees.items.as_slice() else {
        return Err(failed("not one disperser alone was paid"));
    };

    let (to_disperser, to_operators) = (payee.payee.to_disperser, payee.payee.to_operators);
    let sum = |a: Amount, b: Amount| {
        a.plus(b)
            .map_err(|error| failed("the sums are beyond 256 bits").because(error.to_string()))
    };
    let share = bill.price.basis_points(market.terms.operators_bps);
    let share =
        share.map_err(|error| failed("there is no such share").because(error.to_string()))?;
    let left = record.deposited.saturating_minus(record.redeemed);
    let fund = market.fund;
    for (what, got, expected) in [
        ("vouchers redeemed", record.redeemed, bill.price),
        ("paid to operators and stakers", to_operators, share),
        ("paid in all", sum(to_disperser, to_operators)?, bill.price),
        ("rewards paid in", rewards.fund.paid_in, to_operators),
        ("paid to dispersers", fund.to_dispersers, to_disperser),
        ("left of the deposit", fund.held, left),
        ("deposited", fund.paid_in, sum(fund.held, bill.price)?),
    ] {
        agree(what, got, expected)?;
    }
    Ok(Payments {
        account,
        disperser: bill.disperser,
        disperser_account: payee.account,
        rows: bill.rows,
        operators_bps: market.terms.operators_bps,
        charged: Amount(bill.account.charged),
        redeemed: record.redeemed,
        to_disperser,
        to_operators,
        left,
    })
}

impl Payments {
    /// A table.
    pub(super) fn text(&self) -> String {
        let operators_bps = u64::from(self.operators_bps);
        let rest = bps_percent(10_000u64.saturating_sub(operators_bps));
        let share = bps_percent(operators_bps);
        let payer = || short(self.account);
        let payee = format!(
            "disperser {}, {}",
            self.disperser,
            short(self.disperser_account)
        );
        let charged = format!("was charged for {} rows", self.rows);
        let voucher = "paid, by a voucher redeemed on the ledger".to_owned();
        let rewards = format!("were paid {share}, as rewards");
        let rows = [
            (payer(), charged, self.charged),
            (payer(), voucher, self.redeemed),
            (payer(), "has left of its deposit".to_owned(), self.left),
            (payee, format!("was paid {rest}"), self.to_disperser),
            (
                "operators and stakers".to_owned(),
                rewards,
                self.to_operators,
            ),
        ];
        let rows = rows.map(|(who, what, amount)| vec![who, what, whole(amount)]);
        let table = ui::table(&["who", "what", "ETH"], rows.to_vec());
        let lines = table.lines().map(|line| format!("             {line}\n"));
        lines.collect()
    }

    /// A line.
    pub(super) fn line(&self) -> String {
        format!(
            "{} by account {}: {} to disperser {}, {} to operators and stakers; disperser and ledger agree to the wei",
            ether(self.redeemed),
            short(self.account),
            whole(self.to_disperser),
            self.disperser,
            whole(self.to_operators),
        )
    }
}

async fn ask<T: DeserializeOwned>(url: &str) -> CliResult<T> {
    let answer = crate::http::get_json(url, "the disperser").await?;
    serde_json::from_value(answer).map_err(|error| {
        failed("the disperser does not answer as one of ours").because(error.to_string())
    })
}

fn agree(what: &str, got: Amount, expected: Amount) -> CliResult {
    match got == expected {
        true => Ok(()),
        false => Err(failed("what was charged and what was paid do not agree")
            .because(format!("{what}: {got} wei, expected {expected} wei"))),
    }
}

fn failed(what: &str) -> CliError {
    CliError::new(Exit::Refused, "demo.payments", what)
}
