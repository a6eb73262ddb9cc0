#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// 2400 bytes a day: 100 an hour.
fn daily(bonds: &[(u32, u128)]) -> DailyBytes {
    let mut daily = DailyBytes::new(Duration::ZERO);
    daily.set_dispersers(bonds.iter().copied(), Duration::ZERO);
    daily.set_rate(2400, Duration::ZERO);
    daily
}

#[test]
fn shares_are_in_proportion_to_bonds_and_more_is_lent() {
    let mut daily = daily(&[(1, 3), (2, 1)]);
    assert_eq!(daily.left(Duration::ZERO), 3000, "a day and six hours");
    // A share of 1800, and the six hours that are nobody's.
    daily.take(1, 1800, Duration::ZERO).unwrap();
    let refused = daily.take(1, 1300, Duration::ZERO).unwrap_err();
    assert_eq!((refused.left, refused.share), (0, 1800));
    // The other has its share, and what is left beside that.
    daily.take(2, 600, Duration::ZERO).unwrap();
    daily.take(2, 600, Duration::ZERO).unwrap();
    assert!(daily.take(2, 1, Duration::ZERO).is_err());
    // In a day both have theirs again.
    assert!(daily.take(1, 1800, HOUR).is_err());
    daily.take(1, 1800, DAY).unwrap();
    daily.take(2, 600, DAY).unwrap();
}

#[test]
fn what_is_not_used_is_lent_and_lending_ends_at_the_day_of_the_others() {
    let mut daily = daily(&[(1, 1), (2, 1)]);
    // Its share of 1200, then 600 of the lending; 1200 stay for the other.
    let mut lent = 0;
    while daily.take(1, 100, Duration::ZERO).is_ok() {
        lent += 100;
    }
    assert_eq!(lent, 1800);
    let refused = daily.take(1, 100, Duration::ZERO).unwrap_err();
    // Its share grows by 50 an hour, and the full share of the other lets 50 flow past it.
    assert_eq!(refused.after, 2 * HOUR);
    daily.take(2, 1200, Duration::ZERO).unwrap();
    daily.take(1, 100, refused.after).unwrap();
    // Alone, one gets all that flows in.
    let mut taken = 0;
    for hour in 3..500 {
        while daily.take(1, 10, HOUR * hour).is_ok() {
            taken += 10;
        }
    }
    let a_day = taken * 24 / 497;
    assert!((2200..=2400).contains(&a_day), "{a_day}");
}

#[test]
fn strangers_to_the_table_have_no_share_and_what_is_given_back_is_there() {
    let mut daily = daily(&[(1, 1)]);
    assert!(daily.take(7, 601, Duration::ZERO).is_err());
    let taken = daily.take(1, 2400, Duration::ZERO).unwrap();
    assert!(daily.take(1, 700, Duration::ZERO).is_err());
    daily.give_back(taken);
    daily.take(1, 2400, Duration::ZERO).unwrap();
    // Nothing flows: nothing is taken.
    daily.set_rate(0, Duration::ZERO);
    let refused = daily.take(1, 1, DAY * 30).unwrap_err();
    assert_eq!(refused.after, DAY);
}

#[test]
fn a_restart_gives_nothing() {
    let mut before = daily(&[(1, 1)]);
    before.take(1, 2400, Duration::ZERO).unwrap();
    let kept = Allowance {
        left: before.left(Duration::ZERO),
        held: 5000,
    };
    assert_eq!(kept.left, 600);
    // 200 bytes more are held than when it was kept; the node was away for an hour.
    let mut after = DailyBytes::new(Duration::ZERO);
    after.restore(kept, 5200, HOUR);
    after.set_dispersers([(1, 1)].into_iter(), Duration::ZERO);
    after.set_rate(2400, Duration::ZERO);
    assert_eq!(after.left(Duration::ZERO), 500);
    assert!(after.take(1, 501, Duration::ZERO).is_err());
}

#[test]
fn what_flows_in_fits_on_the_disk() {
    let (room, kept) = (1 << 40, 14 * DAY + 6 * HOUR);
    let a_day = daily_bytes(room, kept);
    let most = u128::from(a_day) * (kept.as_millis() + 30 * HOUR.as_millis()) / DAY.as_millis();
    assert!(most <= u128::from(room) && most > u128::from(room) * 99 / 100);
    assert_eq!(daily_bytes(0, kept), 0);
    assert!(daily_bytes(u64::MAX, Duration::MAX) < u64::MAX);
}

proptest! {
    /// Whoever takes whatever and whenever: never more than flows in and was there, and everybody's share can be had.
    #[test]
    fn never_more_than_there_is(steps in proptest::collection::vec((0u32..3, 0u64..3000, 0u64..40), 1..100)) {
        let mut daily = daily(&[(0, 1), (1, 2), (2, 5)]);
        let (mut hours, mut taken) = (0, 0);
        let mut own = [300u64, 600, 1500];
        for (id, bytes, pause) in steps {
            hours += pause;
            let shares = [300u64, 600, 1500];
            for (own, share) in own.iter_mut().zip(shares) {
                *own = (*own + share * pause / 24).min(share);
            }
            let now = HOUR * hours as u32;
            match daily.take(id, bytes, now) {
                Ok(got) => {
                    taken += bytes;
                    if got.own {
                        own[id as usize] = own[id as usize].saturating_sub(bytes);
                    }
                }
                Err(refused) => prop_assert!(bytes > own[id as usize], "{refused:?}, {} should be left", own[id as usize]),
            }
            prop_assert!(taken <= 3000 + 100 * hours);
        }
    }
}
