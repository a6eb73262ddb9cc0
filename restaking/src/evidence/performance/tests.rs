#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const ONE: OperatorId = OperatorId([1; 32]);
const TWO: OperatorId = OperatorId([2; 32]);

fn params() -> PerformanceParams {
    PerformanceParams {
        window_blocks: 100,
        min_asked: 10,
        cooldown_blocks: 300,
        ..PerformanceParams::default()
    }
}

/// The example of `docs/restaking.md`.
#[test]
fn rewards_fall_in_a_straight_line() {
    let reward = |signed| {
        Record {
            asked: 1000,
            signed,
        }
        .reward_bps(&params())
    };
    assert_eq!(
        [reward(1000), reward(980), reward(979)],
        [10_000, 10_000, 9_944]
    );
    assert_eq!(
        [reward(890), reward(801), reward(800), reward(0)],
        [5_000, 55, 0, 0]
    );
    assert_eq!(
        Record {
            asked: 9,
            signed: 0
        }
        .reward_bps(&params()),
        FULL_BPS
    );
    assert_eq!(Record::default().signed_bps(), FULL_BPS);
}

#[test]
fn windows_ejection_and_cooldown() {
    let mut book = PerformanceBook::new(params(), 1000).unwrap();
    assert_eq!(book.window(), (1000, 1099));
    for n in 0..20 {
        book.record(1000 + n, ONE, true).unwrap();
        book.record(1000 + n, TWO, n < 9).unwrap();
    }
    assert_eq!(
        book.record_of(&TWO),
        Record {
            asked: 20,
            signed: 9
        }
    );
    assert_eq!(
        book.record(999, ONE, true).unwrap_err().code(),
        "performance.block"
    );
    assert_eq!(
        book.record(1100, ONE, true).unwrap_err().code(),
        "performance.block"
    );
    assert_eq!(
        book.close(1099),
        Err(PerformanceError::NotOver {
            last: 1099,
            now: 1099
        })
    );
    let outcomes = book.close(1100).unwrap();
    assert_eq!(outcomes.len(), 2);
    assert_eq!(
        (
            outcomes[0].operator,
            outcomes[0].reward_bps,
            outcomes[0].ejected_until
        ),
        (ONE, 10_000, None)
    );
    assert_eq!(
        (
            outcomes[1].operator,
            outcomes[1].reward_bps,
            outcomes[1].ejected_until
        ),
        (TWO, 0, Some(1400))
    );
    assert!(book.may_register(&ONE, 1100));
    assert!(!book.may_register(&TWO, 1399) && book.may_register(&TWO, 1400));
    // Windows stay where they were laid, also after a pause.
    assert_eq!(book.window(), (1100, 1199));
    assert_eq!(book.close(1450).unwrap(), []);
    assert_eq!(book.window(), (1400, 1499));
    assert_eq!(book.ejected.len(), 0);
}

#[test]
fn half_is_enough_to_stay() {
    assert!(
        !Record {
            asked: 10,
            signed: 5
        }
        .ejects(&params())
    );
    assert!(
        Record {
            asked: 10,
            signed: 4
        }
        .ejects(&params())
    );
    assert!(
        !Record {
            asked: 9,
            signed: 0
        }
        .ejects(&params())
    );
}

#[test]
fn rules_that_make_no_sense() {
    for bad in [
        PerformanceParams {
            window_blocks: 0,
            ..params()
        },
        PerformanceParams {
            full_bps: 10_001,
            ..params()
        },
        PerformanceParams {
            zero_bps: 9_800,
            ..params()
        },
        PerformanceParams {
            eject_bps: 8_001,
            ..params()
        },
    ] {
        assert_eq!(
            PerformanceBook::new(bad, 0).unwrap_err().code(),
            "performance.params"
        );
    }
}

#[test]
fn the_number_of_records_is_bounded() {
    let mut book = PerformanceBook::new(params(), 0).unwrap();
    for n in 0..MAX_RECORDS as u64 {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&n.to_be_bytes());
        book.record(0, OperatorId(id), true).unwrap();
    }
    assert_eq!(
        book.record(0, OperatorId([9; 32]), true),
        Err(PerformanceError::TooMany)
    );
    assert_eq!(book.record(0, OperatorId([0; 32]), true), Ok(()));
}

proptest! {
    /// Signing more never earns less.
    #[test]
    fn more_is_never_less(asked in 0u64..10_000, signed in 0u64..10_000) {
        let now = Record { asked, signed: signed.min(asked) };
        let more = Record { asked, signed: (signed + 1).min(asked) };
        prop_assert!(now.reward_bps(&params()) <= more.reward_bps(&params()));
        prop_assert!(now.reward_bps(&params()) <= FULL_BPS);
        prop_assert!(!more.ejects(&params()) || now.ejects(&params()));
    }
}
