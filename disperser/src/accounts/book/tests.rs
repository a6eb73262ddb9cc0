#![allow(clippy::unwrap_used)]

use ashlar_crypto::account::AccountSignature;
use ashlar_proto::Block;
use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_790_000_000_000;
const ONE: Size = Size { rows: 1, bytes: 1 };

fn terms(funded: u64) -> AccountTerms {
    AccountTerms {
        block: Block(10),
        funded: Stake::from(funded),
        redeemed: Stake::ZERO,
        notice: 100,
        reservation: None,
    }
}

fn reserved(rows_per_second: u32, burst_rows: u32) -> AccountTerms {
    AccountTerms {
        reservation: Some(Reservation {
            rows_per_second,
            burst_rows,
            from: Block(5),
            until: Block(20),
        }),
        ..terms(0)
    }
}

fn voucher(sum: u64) -> SignedVoucher {
    SignedVoucher {
        cumulative: Stake::from(sum),
        signature: AccountSignature([1; 65]),
    }
}

fn paying(price: u64, signed: Option<u64>, terms: AccountTerms) -> Charging {
    Charging {
        price: Stake::from(price),
        voucher: signed.map(voucher),
        terms: Some(terms),
        ahead: Stake::from(50),
    }
}

fn code(record: &mut AccountRecord, charging: &Charging) -> &'static str {
    let before = record.clone();
    match record.charge(ONE, charging, NOW) {
        Ok(_) => "fine",
        Err(error) => {
            assert_eq!(*record, before, "nothing is charged");
            error.code()
        }
    }
}

#[test]
fn nothing_is_served_on_credit() {
    let mut record = AccountRecord::default();
    let funds = terms(100);
    assert_eq!(
        code(&mut record, &paying(10, None, funds)),
        "voucher.too_low"
    );
    assert_eq!(
        code(&mut record, &paying(10, Some(9), funds)),
        "voucher.too_low"
    );
    assert_eq!(
        code(&mut record, &paying(10, Some(61), funds)),
        "voucher.too_high"
    );
    assert_eq!(
        code(&mut record, &paying(10, Some(10), terms(9))),
        "account.funds"
    );
    assert_eq!(
        code(&mut record, &paying(10, Some(11), terms(10))),
        "account.funds"
    );
    assert_eq!(code(&mut record, &paying(10, Some(30), funds)), "fine");
    // What was signed before covers the next two, in whichever order their vouchers come.
    assert_eq!(code(&mut record, &paying(10, Some(20), funds)), "fine");
    assert_eq!(code(&mut record, &paying(10, None, funds)), "fine");
    assert_eq!(
        code(&mut record, &paying(10, None, funds)),
        "voucher.too_low"
    );
    assert_eq!(record.owed(), Stake::from(30));
    assert_eq!(record.signed(), Stake::from(30));
    // A refund is credit.
    let charge = Charge {
        amount: Stake::from(10),
        day: NOW / DAY_MS,
    };
    record.refund(&charge);
    assert_eq!(code(&mut record, &paying(10, None, funds)), "fine");
    let numbers = record
        .charge(ONE, &paying(10, Some(35), funds), NOW)
        .unwrap_err()
        .numbers();
    assert_eq!(numbers, Some(("35".to_owned(), "40".to_owned())));
}

#[test]
fn before_the_body_only_those_are_refused_who_have_nothing() {
    let record = AccountRecord::default();
    let least = Stake::from(5);
    assert!(record.check(&terms(5), least).is_ok());
    assert!(record.check(&reserved(1, 1), least).is_ok());
    let refused = record.check(&terms(4), least).unwrap_err();
    assert_eq!(refused.code(), "account.funds");
    let over = AccountTerms {
        block: Block(20),
        ..reserved(1, 1)
    };
    assert!(record.check(&over, least).is_err());
}

#[test]
fn a_reservation_gives_its_burst_and_then_its_rate_and_a_voucher_goes_on() {
    let mut record = AccountRecord::default();
    let free = |record: &mut AccountRecord, now_ms, rows, signed| {
        let size = Size { rows, bytes: 1 };
        record.charge(size, &paying(7, signed, reserved(2, 10)), now_ms)
    };
    for _ in 0..10 {
        let charge = free(&mut record, NOW, 1, None).unwrap();
        assert_eq!(charge.amount, Stake::ZERO);
    }
    let refused = free(&mut record, NOW, 1, None).unwrap_err();
    let exceeded = PayError::ReservationExceeded {
        rows: 1,
        rows_per_second: 2,
        retry_after_secs: 1,
    };
    assert_eq!(refused, exceeded);
    assert!(free(&mut record, NOW + 499, 1, None).is_err());
    free(&mut record, NOW + 500, 1, None).unwrap();
    let large = free(&mut record, NOW + 100_000, 11, None).unwrap_err();
    assert_eq!(large.code(), "reservation.too_small");
    free(&mut record, NOW + 100_000, 10, None).unwrap();
    // A clock that goes back gives a burst, and no more.
    free(&mut record, NOW, 10, None).unwrap();
    assert!(free(&mut record, NOW, 1, None).is_err());
    // With a deposit a voucher takes over.
    let funds = AccountTerms {
        funded: Stake::from(100),
        ..reserved(2, 10)
    };
    let paid = record.charge(ONE, &paying(7, Some(7), funds), NOW).unwrap();
    assert_eq!(paid.amount, Stake::from(7));
    let view = record.view(Account([1; 20]), Some(&funds), NOW + 5000);
    assert_eq!(view.terms.unwrap().reservation.unwrap().rows_now, 10);
    let day = record
        .days
        .iter()
        .find(|of| of.day == NOW / DAY_MS)
        .unwrap();
    assert_eq!((day.blobs, day.rows, day.reserved_rows), (14, 32, 31));
    assert_eq!(day.charged, Stake::from(7));
}

#[test]
fn use_is_kept_for_a_month() {
    let mut record = AccountRecord::default();
    let free = Charging {
        terms: None,
        ..paying(1, None, terms(0))
    };
    for day in 0..100 {
        record.charge(ONE, &free, NOW + day * DAY_MS).unwrap();
    }
    assert_eq!(record.days.len(), DAYS);
    assert_eq!(record.days[0].day, NOW / DAY_MS + 99);
    assert_eq!(record.charged, Stake::ZERO);
    let text = serde_json::to_string(&record).unwrap();
    assert!(text.len() < 8192);
    let read: AccountRecord = serde_json::from_str(&text).unwrap();
    assert_eq!(read, record);
}

/// What happens to an account.
#[derive(Clone, Debug)]
enum Step {
    /// A blob of this price, with a voucher so far from what is owed with it.
    Put { price: u64, off: Option<i64> },
    /// The oldest blob that is there fails.
    Fail,
    /// The deposit is this.
    Fund(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..20u64, proptest::option::of(-10..60i64)).prop_map(|(price, off)| Step::Put { price, off }),
        2 => Just(Step::Fail),
        1 => (0..300u64).prop_map(Step::Fund),
    ]
}

/// The book as one would write it on paper: all blobs, all vouchers.
#[derive(Default)]
struct Paper {
    blobs: Vec<(u64, bool)>,
    vouchers: Vec<u64>,
    funded: u64,
}

impl Paper {
    fn owed(&self) -> u64 {
        let live = self.blobs.iter().filter(|(_, failed)| !failed);
        live.map(|(price, _)| price).sum()
    }

    fn signed(&self) -> u64 {
        self.vouchers.iter().copied().max().unwrap_or(0)
    }

    fn takes(&self, price: u64, given: Option<u64>) -> bool {
        let needed = self.owed() + price;
        let given_fits = given.is_none_or(|given| given <= needed + 50 && given <= self.funded);
        given_fits && needed <= self.funded && needed <= self.signed().max(given.unwrap_or(0))
    }
}

proptest! {
    #[test]
    fn the_book_is_what_one_would_write_on_paper(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut record, mut paper) = (AccountRecord::default(), Paper::default());
        let mut charges: Vec<Charge> = Vec::new();
        let mut highest = Stake::ZERO;
        for step in steps {
            match step {
                Step::Put { price, off } => {
                    let needed = paper.owed() + price;
                    let given = off.map(|off| needed.saturating_add_signed(off));
                    let charging = paying(price, given, terms(paper.funded));
                    let taken = record.charge(ONE, &charging, NOW);
                    prop_assert_eq!(taken.is_ok(), paper.takes(price, given), "{:?}", taken);
                    if let Ok(charge) = taken {
                        prop_assert_eq!(charge.amount, Stake::from(price));
                        charges.push(charge);
                        paper.blobs.push((price, false));
                        paper.vouchers.extend(given);
                    }
                }
                Step::Fail => {
                    if let Some(at) = paper.blobs.iter().position(|(_, failed)| !failed) {
                        paper.blobs[at].1 = true;
                        record.refund(&charges[at]);
                    }
                }
                Step::Fund(funded) => paper.funded = funded,
            }
            prop_assert_eq!(record.owed(), Stake::from(paper.owed()));
            prop_assert_eq!(record.signed(), Stake::from(paper.signed()));
            prop_assert!(record.owed() <= record.signed(), "credit");
            prop_assert!(record.signed() >= highest, "vouchers only rise");
            highest = record.signed();
        }
    }
}
