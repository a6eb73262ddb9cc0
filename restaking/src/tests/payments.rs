//! Deposits, vouchers, reservations, refunds: worked numbers and refusals.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use ashlar_crypto::account::AccountSignature;
use ashlar_proto::Account;
use ashlar_stake::{AccountTerms, Reservation};

use super::super::testing::*;
use super::super::*;

/// Whose the disperser is.
const WHO: u8 = 5;
const NOTICE: u64 = 8;

/// Service 1 takes payments, and has disperser 0.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.ok(OWNER, set(payment_terms()));
    let register = World::disperse(&lab.state, 1, account(WHO), 1, 500);
    lab.ok(WHO, register);
    lab
}

fn set(terms: PaymentTerms) -> Action {
    Action::SetPaymentTerms { service: 1, terms }
}

/// Sends in the name of payer 0.
fn send(lab: &mut Lab, action: Action) -> Result<Vec<Event>, &'static str> {
    let before = lab.state.to_json().unwrap();
    let transaction = Transaction {
        sender: payer(0),
        action,
    };
    let result = lab.state.apply(lab.block, &transaction);
    lab.state.check_books().unwrap();
    result.map_err(|refusal| {
        assert_eq!(before, lab.state.to_json().unwrap(), "refused and changed");
        ashlar_crypto::Coded::code(&refusal)
    })
}

fn fund(amount: u64) -> Action {
    Action::FundAccount {
        service: 1,
        disperser: 0,
        amount: amount.into(),
    }
}

fn announce(amount: Option<u64>) -> Action {
    Action::AnnounceRefund {
        service: 1,
        disperser: 0,
        amount: amount.map(Amount::from),
    }
}

const TAKE: Action = Action::TakeRefund {
    service: 1,
    disperser: 0,
};
const CLOSE: Action = Action::CloseAccounts {
    service: 1,
    disperser: 0,
};
const EXIT: Action = Action::ExitDisperser {
    service: 1,
    disperser: 0,
};

fn slash() -> Action {
    Action::SlashDisperser {
        service: 1,
        disperser: 0,
        evidence_hash: B256::repeat_byte(1),
        reason: "two batches under one sequence".into(),
    }
}

/// The voucher of payer 0.
fn voucher(lab: &Lab, cumulative: u64) -> Action {
    World::voucher(&lab.state, 1, 0, 0, cumulative.into())
}

fn reserve(rows_per_second: u32, from: Block, until: Block) -> Action {
    Action::BuyReservation {
        service: 1,
        disperser: 0,
        rows_per_second,
        burst_rows: 50,
        from,
        until,
        most: 1_000_000u64.into(),
    }
}

fn terms(lab: &Lab) -> AccountTerms {
    lab.state.account_terms(1, 0, payer(0)).unwrap()
}

fn books(lab: &Lab) -> [u64; 5] {
    let fund = lab.state.market(1).unwrap().fund;
    [
        fund.paid_in,
        fund.held,
        fund.to_operators,
        fund.to_dispersers,
        fund.returned,
    ]
    .map(|amount| amount.0.to())
}

fn token() -> Account {
    payment_terms().token
}

#[test]
fn vouchers_pay_operators_and_the_disperser() {
    let mut lab = lab();
    send(&mut lab, fund(1000)).unwrap();
    assert_eq!(books(&lab), [1000, 1000, 0, 0, 0]);
    let action = voucher(&lab, 100);
    // 33.33 % of 100, rounded down, are the operators'.
    let events = lab.ok(7, action);
    assert!(events.contains(&Event::VoucherRedeemed {
        service: 1,
        disperser: 0,
        account: payer(0),
        cumulative: 100u64.into(),
        to_disperser: 67u64.into(),
        to_operators: 33u64.into(),
    }));
    assert_eq!(books(&lab), [1000, 900, 33, 67, 0]);
    assert_eq!(lab.state.fund(token()).paid_in, 33u64.into());
    // One after the other, the share is that of the sum: 33.33 % of 103 are 34.3, of 109 36.3.
    for cumulative in [101, 102, 103, 109] {
        let action = voucher(&lab, cumulative);
        lab.ok(7, action);
    }
    assert_eq!(books(&lab), [1000, 891, 36, 73, 0]);
    let now = terms(&lab);
    assert_eq!((now.funded.to(), now.redeemed.to()), (1000u64, 109u64));
    // Operators and stakers are paid by the rewards that there are for everything else.
    lab.join(0, Wad::percent(50));
    let shares = lab.state.reward_shares(1, 0, 36u64.into()).unwrap();
    let sum = shares
        .values()
        .fold(Amount::ZERO, |sum, part| sum.plus(*part).unwrap());
    assert_eq!(sum, 36u64.into());
}

#[test]
fn a_refund_comes_after_its_notice_and_never_takes_what_was_signed() {
    let mut lab = lab();
    send(&mut lab, fund(1000)).unwrap();
    send(&mut lab, announce(Some(700))).unwrap();
    // The disperser sees at once what will be there in the end.
    assert_eq!(terms(&lab).funded.to::<u64>(), 300);
    assert_eq!(send(&mut lab, TAKE), Err("payment.refund_early"));
    lab.pass(NOTICE - 1);
    assert_eq!(send(&mut lab, TAKE), Err("payment.refund_early"));
    // What it had before that, it hands in during the notice.
    let action = voucher(&lab, 600);
    lab.ok(7, action);
    assert_eq!(terms(&lab).funded.to::<u64>(), 600);
    lab.pass(1);
    send(&mut lab, TAKE).unwrap();
    assert_eq!(books(&lab), [1000, 0, 199, 401, 400]);
    assert_eq!(send(&mut lab, TAKE), Err("payment.no_refund"));
    // Announced, and taken back.
    send(&mut lab, fund(50)).unwrap();
    send(&mut lab, announce(None)).unwrap();
    send(&mut lab, announce(Some(0))).unwrap();
    assert_eq!(terms(&lab).funded.to::<u64>(), 650);
    lab.pass(NOTICE);
    assert_eq!(send(&mut lab, TAKE), Err("payment.no_refund"));
}

#[test]
fn a_reservation_is_earned_block_by_block() {
    let mut lab = lab();
    let (from, until) = (lab.block + 2, lab.block + 12);
    // 10 rows for 10 blocks at 7.
    send(&mut lab, reserve(10, from, until)).unwrap();
    assert_eq!(books(&lab), [700, 700, 0, 0, 0]);
    assert_eq!(
        terms(&lab).reservation,
        Some(Reservation {
            rows_per_second: 10,
            burst_rows: 50,
            from,
            until
        })
    );
    assert_eq!(lab.state.reserved_rows(1, lab.block), 0);
    assert_eq!(lab.state.reserved_rows(1, from), 10);
    assert_eq!(lab.state.reserved_rows(1, until), 0);
    // With a voucher, what was earned is paid too: 3 blocks, and 30.
    lab.pass(5);
    send(&mut lab, fund(30)).unwrap();
    let action = voucher(&lab, 30);
    lab.ok(7, action);
    assert_eq!(books(&lab), [730, 490, 79, 161, 0]);
    lab.pass(6);
    assert!(terms(&lab).reservation.is_some());
    lab.pass(1);
    assert_eq!(terms(&lab).reservation, None);
    assert_eq!(books(&lab), [730, 0, 243, 487, 0]);
    assert_eq!(lab.state.reserved.iter().count(), 0);
    // The next one.
    let now = lab.block;
    send(&mut lab, reserve(100, now, now + 1)).unwrap();
}

#[test]
fn a_reservation_is_made_longer_before_it_ends() {
    let mut lab = lab();
    let now = lab.block;
    send(&mut lab, reserve(10, now, now + 10)).unwrap();
    lab.pass(8);
    send(&mut lab, reserve(10, now + 10, now + 15)).unwrap();
    assert_eq!(terms(&lab).reservation.unwrap().until, now + 15);
    assert_eq!(lab.state.market(1).unwrap().reservations, 1);
    // 10 rows for 15 blocks at 7. It goes on over what was its end.
    assert_eq!(books(&lab), [1050, 1050, 0, 0, 0]);
    lab.pass(4);
    assert!(terms(&lab).reservation.is_some());
    assert_eq!(lab.state.reserved_rows(1, lab.block), 10);
    // At another price it is another one.
    let dearer = PaymentTerms {
        row_price: 8u64.into(),
        ..payment_terms()
    };
    lab.ok(OWNER, set(dearer));
    let longer = reserve(10, now + 15, now + 20);
    assert_eq!(send(&mut lab, longer), Err("reservation.open"));
    lab.pass(3);
    assert_eq!(terms(&lab).reservation, None);
    assert_eq!(books(&lab), [1050, 0, 349, 701, 0]);
    assert_eq!(lab.state.reserved.iter().count(), 0);
    assert_eq!(lab.state.market(1).unwrap().reservations, 0);
}

#[test]
fn rows_are_never_sold_twice() {
    let mut lab = lab();
    let now = lab.block;
    let of = |number: u8, rows, from: u64, until: u64| Transaction {
        sender: payer(number),
        action: reserve(rows, now + from, now + until),
    };
    lab.state.apply(now, &of(0, 60, 0, 10)).unwrap();
    lab.state.apply(now, &of(1, 40, 5, 15)).unwrap();
    // Block 9 is full.
    let refusal = lab.state.apply(now, &of(2, 1, 9, 20)).unwrap_err();
    assert_eq!(
        refusal,
        TransactionError::ReservationCapacity {
            got: 0,
            expected: 1
        }
    );
    lab.state.apply(now, &of(2, 60, 10, 20)).unwrap();
    // Less capacity takes nothing from those who have some, and sells nothing more.
    let terms = PaymentTerms {
        capacity: 50,
        ..payment_terms()
    };
    lab.ok(OWNER, set(terms));
    lab.pass(20);
    assert_eq!(lab.state.market(1).unwrap().reservations, 0);
    assert_eq!(lab.state.reserved.iter().count(), 0);
}

#[test]
fn a_disperser_closes_its_accounts_before_it_leaves() {
    let mut lab = lab();
    send(&mut lab, fund(1000)).unwrap();
    let now = lab.block;
    send(&mut lab, reserve(1, now, now + 100)).unwrap();
    assert_eq!(lab.code(WHO, EXIT), "disperser.deposits_open");
    lab.ok(WHO, CLOSE);
    assert_eq!(lab.code(WHO, EXIT), "disperser.deposits_notice");
    assert_eq!(lab.code(WHO, CLOSE), "payment.closed");
    // Nothing new, and the reservation counts to the end of the notice.
    assert_eq!(send(&mut lab, fund(1)), Err("payment.closed"));
    assert_eq!(send(&mut lab, announce(None)), Err("payment.closed"));
    assert_eq!(terms(&lab).funded.to::<u64>(), 0);
    assert_eq!(terms(&lab).reservation.unwrap().until, now + NOTICE);
    lab.pass(NOTICE - 1);
    let action = voucher(&lab, 100);
    lab.ok(7, action);
    assert_eq!(send(&mut lab, TAKE), Err("payment.refund_early"));
    lab.pass(1);
    let action = voucher(&lab, 200);
    assert_eq!(lab.code(7, action), "payment.closed");
    lab.ok(WHO, EXIT);
    // 900, and 92 of the 100 blocks.
    send(&mut lab, TAKE).unwrap();
    assert_eq!(books(&lab), [1700, 0, 51, 105, 1544]);
    assert_eq!(lab.state.reserved_rows(1, lab.block), 0);
    assert_eq!(send(&mut lab, TAKE), Err("payment.no_refund"));
    lab.pass(100);
    assert_eq!(lab.state.reserved.iter().count(), 0);
}

#[test]
fn of_a_slashed_disperser_accounts_get_back_what_is_not_owed() {
    let mut lab = lab();
    send(&mut lab, fund(1000)).unwrap();
    let now = lab.block;
    send(&mut lab, reserve(10, now, now + 100)).unwrap();
    lab.pass(10);
    lab.ok(SLASHER, slash());
    // It serves no more from this block on; what it holds it can hand in.
    assert_eq!(terms(&lab).reservation, None);
    lab.pass(NOTICE - 1);
    let action = voucher(&lab, 300);
    lab.ok(7, action);
    assert_eq!(send(&mut lab, TAKE), Err("payment.refund_early"));
    lab.pass(1);
    send(&mut lab, TAKE).unwrap();
    // 300, and 10 blocks of 70.
    assert_eq!(books(&lab), [8000, 0, 333, 667, 7000]);
}

#[test]
fn a_reservation_of_a_slashed_disperser_ends_by_itself_too() {
    let mut lab = lab();
    let now = lab.block;
    send(&mut lab, reserve(10, now + 4, now + 6)).unwrap();
    lab.ok(SLASHER, slash());
    lab.pass(6);
    assert_eq!(books(&lab), [140, 0, 0, 0, 140]);
}

/// Codes met by directed transactions.
pub(super) fn refusals() -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    let mut expect = |code: &'static str, got: Result<Vec<Event>, &'static str>| {
        assert_eq!(Err(code), got);
        met.insert(code);
    };

    // Terms.
    let mut lab = Lab::new();
    let register = World::disperse(&lab.state, 1, account(WHO), 1, 500);
    lab.ok(WHO, register);
    expect("payment.not_taken", send(&mut lab, fund(1)));
    let change = |change: fn(&mut PaymentTerms)| {
        let mut terms = payment_terms();
        change(&mut terms);
        set(terms)
    };
    for (code, bad) in [
        ("service.payments", change(|t| t.operators_bps = 10_001)),
        ("service.payments", change(|t| t.notice = 0)),
        ("service.payments", change(|t| t.notice = MAX_NOTICE + 1)),
        ("ledger.zero_amount", change(|t| t.row_price = Amount::ZERO)),
        ("payment.amount", change(|t| t.row_price = Amount::ALL)),
    ] {
        expect(code, Err(lab.code(OWNER, bad)));
    }
    expect("ledger.not_allowed", send(&mut lab, set(payment_terms())));
    lab.ok(OWNER, set(payment_terms()));
    for bad in [
        change(|t| t.token = account(1)),
        change(|t| t.operators_bps += 1),
        change(|t| t.notice += 1),
    ] {
        expect("payment.terms_fixed", Err(lab.code(OWNER, bad)));
    }

    // Somebody's absurd reward must not keep reservations from being paid.
    let reward = Action::PayReward {
        service: 1,
        token: token(),
        amount: Amount::ALL,
        kind: RewardKind::Fee,
    };
    expect("payment.amount", Err(lab.code(OWNER, reward)));

    // Deposits and refunds.
    let nobody = Action::FundAccount {
        service: 1,
        disperser: 9,
        amount: 1u64.into(),
    };
    expect("disperser.unknown", send(&mut lab, nobody));
    expect("ledger.zero_amount", send(&mut lab, fund(0)));
    let much = Action::FundAccount {
        service: 1,
        disperser: 0,
        amount: max_shares().plus(1u64.into()).unwrap(),
    };
    expect("payment.amount", send(&mut lab, much));
    expect("payment.unknown_account", send(&mut lab, announce(Some(1))));
    expect("payment.unknown_account", send(&mut lab, TAKE));
    send(&mut lab, fund(100)).unwrap();
    expect("payment.refund_amount", send(&mut lab, announce(Some(101))));
    expect("payment.no_refund", send(&mut lab, TAKE));
    send(&mut lab, announce(None)).unwrap();
    expect("payment.refund_early", send(&mut lab, TAKE));

    // Vouchers.
    let good = voucher(&lab, 50);
    let forge = |forge: &dyn Fn(&mut AccountSignature, &mut u32, &mut Amount)| {
        let mut action = good.clone();
        if let Action::RedeemVoucher {
            signature,
            disperser,
            cumulative,
            ..
        } = &mut action
        {
            forge(signature, disperser, cumulative);
        }
        action
    };
    let unsigned = forge(&|signature, _, _| *signature = AccountSignature([0; 65]));
    expect("payment.voucher_signature", send(&mut lab, unsigned));
    let more = forge(&|_, _, cumulative| *cumulative = 51u64.into());
    expect("payment.voucher_signer", send(&mut lab, more));
    let foreign = World::voucher(&lab.state, 2, 0, 0, 50u64.into());
    let Action::RedeemVoucher { signature: of, .. } = foreign else {
        unreachable!()
    };
    let foreign = forge(&|signature, _, _| *signature = of);
    expect("payment.voucher_signer", send(&mut lab, foreign));
    let register = World::disperse(&lab.state, 1, account(WHO), 2, 500);
    lab.ok(WHO, register);
    let unknown = forge(&|_, disperser, _| *disperser = 9);
    expect("disperser.unknown", send(&mut lab, unknown));
    // Of another disperser, with which the account has nothing.
    let other = forge(&|_, disperser, _| *disperser = 1);
    expect("payment.voucher_above", send(&mut lab, other));
    let above = voucher(&lab, 101);
    expect("payment.voucher_above", send(&mut lab, above));
    lab.ok(7, good.clone());
    expect("payment.voucher_below", send(&mut lab, good));
    let below = voucher(&lab, 49);
    expect("payment.voucher_below", send(&mut lab, below));

    // Reservations.
    let now = lab.block;
    for bad in [
        reserve(0, now, now + 1),
        reserve(10, Block(0), now + 1),
        reserve(10, now, now),
        reserve(10, now, now + MAX_RESERVATION_BLOCKS + 1),
    ] {
        expect("reservation.range", send(&mut lab, bad));
    }
    let mut burst = reserve(1, now, now + 1);
    if let Action::BuyReservation { burst_rows, .. } = &mut burst {
        *burst_rows = MAX_BURST_SECONDS + 1;
    }
    expect("reservation.range", send(&mut lab, burst));
    let large = reserve(101, now, now + 1);
    expect("reservation.capacity", send(&mut lab, large));
    let mut dear = reserve(10, now, now + 10);
    if let Action::BuyReservation { most, .. } = &mut dear {
        *most = 699u64.into();
    }
    expect("reservation.price", send(&mut lab, dear));
    let mut full = lab.state.clone();
    full.markets.edit(&1).unwrap().reservations = MAX_RESERVATIONS;
    let transaction = Transaction {
        sender: payer(0),
        action: reserve(1, now, now + 1),
    };
    let refusal = full.apply(now, &transaction).unwrap_err();
    expect(
        "reservation.full",
        Err(ashlar_crypto::Coded::code(&refusal)),
    );
    send(&mut lab, reserve(1, now, now + 1)).unwrap();
    for other in [reserve(2, now + 1, now + 2), reserve(1, now + 2, now + 3)] {
        expect("reservation.open", send(&mut lab, other));
    }

    // A disperser that leaves.
    expect("disperser.deposits_open", Err(lab.code(WHO, EXIT)));
    expect("ledger.not_allowed", send(&mut lab, CLOSE));
    lab.ok(WHO, CLOSE);
    expect("disperser.deposits_notice", Err(lab.code(WHO, EXIT)));
    expect("payment.closed", send(&mut lab, fund(1)));
    lab.pass(NOTICE);
    lab.ok(WHO, EXIT);
    expect("disperser.exiting", send(&mut lab, fund(1)));
    met
}
