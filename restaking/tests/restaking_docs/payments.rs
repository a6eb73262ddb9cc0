//! What accounts pay, and who gets it.

use ashlar_crypto::account::AccountKey;
use ashlar_proto::auth::{AccountStatement as _, Voucher};

use super::*;

const NOTICE: u64 = 7200;

fn key() -> AccountKey {
    AccountKey::from_bytes(&[7; 32]).unwrap()
}

/// Whom the page calls Alice.
fn payer() -> Account {
    Account(key().address())
}

/// With Bob's disperser, and a share of 70 % for operators and stakers.
fn ledger() -> Ledger {
    let mut ledger = Ledger::market(Params::current());
    let network = NetworkKey::from_seed([9; 32]);
    let statement = DisperserStatement {
        domain: ledger.state.domain(1),
        account: BOB,
        network_key: network.public(),
    };
    ledger.ok(
        BOB,
        Action::RegisterDisperser {
            service: 1,
            network_key: network.public(),
            statement: statement.sign(&network),
            bond: ether(1),
        },
    );
    ledger.ok(
        OWNER,
        Action::SetPaymentTerms {
            service: 1,
            terms: PaymentTerms {
                token: TOKEN,
                operators_bps: 7000,
                row_price: wei("1000000000000"),
                capacity: 800,
                notice: NOTICE,
            },
        },
    );
    ledger
}

fn fund(ledger: &mut Ledger, amount: Amount) {
    ledger.ok(
        payer(),
        Action::FundAccount {
            service: 1,
            disperser: 0,
            amount,
        },
    );
}

fn redeem(ledger: &mut Ledger, cumulative: Amount) {
    let voucher = Voucher {
        account: payer(),
        disperser_id: 0,
        cumulative: cumulative.0,
    };
    let signature = voucher.sign(&ledger.state.domain(1), &key());
    ledger.ok(
        BOB,
        Action::RedeemVoucher {
            service: 1,
            disperser: 0,
            account: payer(),
            cumulative,
            signature,
        },
    );
}

/// To operators and stakers, and to the disperser.
fn paid(ledger: &Ledger) -> [String; 2] {
    let payee = ledger.state.payee(1, 0).unwrap();
    [payee.to_operators, payee.to_disperser].map(|amount| amount.to_string())
}

#[test]
fn vouchers_pay_the_difference() {
    let mut first = ledger();
    fund(&mut first, ether(1));
    redeem(&mut first, wei("100000000000000000"));
    assert_eq!(paid(&first), ["70000000000000000", "30000000000000000"]);
    redeem(&mut first, wei("250000000000000000"));
    assert_eq!(paid(&first), ["175000000000000000", "75000000000000000"]);
    says(
        "The first pays 0.07 to operators and stakers and 0.03 to the disperser, the second the difference: 0.105 and 0.045.",
    );
    let mut small = ledger();
    fund(&mut small, ether(1));
    for cumulative in 1..=101u64 {
        redeem(&mut small, cumulative.into());
    }
    assert_eq!(paid(&small), ["70", "31"]);
    says("operators and stakers get ⌊70 % of 101⌋ = 70 wei, and the disperser 31");
}

#[test]
fn a_reservation_is_paid_for_the_blocks_that_were_served() {
    let mut ledger = ledger();
    let from = ledger.state.meta().block;
    ledger.ok(
        payer(),
        Action::BuyReservation {
            service: 1,
            disperser: 0,
            rows_per_second: 10,
            burst_rows: 600,
            from,
            until: from + 7200,
            most: ether(1),
        },
    );
    let fund = |ledger: &Ledger| ledger.state.market(1).unwrap().fund;
    assert_eq!(fund(&ledger).paid_in, wei("72000000000000000"));
    ledger.pass(3000);
    ledger.ok(
        SLASHER,
        Action::SlashDisperser {
            service: 1,
            disperser: 0,
            evidence_hash: B256::repeat_byte(1),
            reason: "two batches under one sequence".into(),
        },
    );
    ledger.pass(NOTICE);
    assert_eq!(paid(&ledger), ["21000000000000000", "9000000000000000"]);
    assert_eq!(fund(&ledger).returned, wei("42000000000000000"));
    assert!(fund(&ledger).held.is_zero());
    says("10 rows a second for 7,200 blocks cost 0.072 ETH");
    says(
        "0.03 ETH are paid, 0.021 to operators and stakers and 0.009 to the disperser, and 0.042 go back",
    );
}
