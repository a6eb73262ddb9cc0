#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn bonds(of: &[(u32, u64)]) -> impl Iterator<Item = (u32, Stake)> + Clone {
    of.iter().map(|&(id, bond)| (id, Stake::from(bond)))
}

/// 2400 bytes a day: 100 an hour.
fn daily(of: &[(u32, u64)]) -> DailyBytes {
    let mut daily = DailyBytes::new(Duration::ZERO);
    daily.set_dispersers(bonds(of), Duration::ZERO);
    daily.set_rate(2400, Duration::ZERO);
    daily
}

/// What is left of a disperser's own share.
fn own(daily: &DailyBytes, id: u32, now: Duration) -> u64 {
    daily.shares.get(id, now.as_nanos()).1
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
    let mut before = daily(&[(1, 1), (2, 1)]);
    // Its share, and the lending.
    before.take(1, 1200, Duration::ZERO).unwrap();
    before.take(1, 600, Duration::ZERO).unwrap();
    let kept = before.keep(5000, 6 * HOUR);
    assert_eq!((kept.left, kept.held), (1800, 5000));
    assert_eq!(kept.used, [(1, 18 * 3600 * 1000)]);
    // 200 bytes more are held than when it was kept; the node was away for an hour.
    for table_first in [true, false] {
        let mut after = DailyBytes::new(Duration::ZERO);
        after.restore(&kept, 5200, HOUR, Duration::ZERO);
        for table in [table_first, !table_first] {
            if table {
                after.set_dispersers(bonds(&[(1, 1), (2, 1)]), Duration::ZERO);
            } else {
                after.set_rate(2400, Duration::ZERO);
            }
        }
        assert_eq!(after.left(Duration::ZERO), 1700);
        assert_eq!(own(&after, 1, Duration::ZERO), 350, "seven hours' worth");
        assert_eq!(own(&after, 2, Duration::ZERO), 1200);
        // 150 are left beside what is left of the shares.
        assert!(after.take(1, 501, Duration::ZERO).is_err());
        after.take(1, 350, Duration::ZERO).unwrap();
        after.take(2, 1200, Duration::ZERO).unwrap();
    }
}

/// Bytes used of one share are used of the next one.
#[test]
fn a_changed_table_changes_shares_and_forgets_nothing() {
    let mut daily = daily(&[(1, 1), (2, 1)]);
    daily.take(1, 900, Duration::ZERO).unwrap();
    daily.take(2, 300, Duration::ZERO).unwrap();
    // Its share was 1200 and is 1800: 900 are left; the other's was 1200 and is 600.
    daily.set_dispersers(bonds(&[(1, 3), (2, 1)]), Duration::ZERO);
    let left = [1, 2].map(|id| own(&daily, id, Duration::ZERO));
    assert_eq!(left, [900, 300]);
    // A third one comes, and nobody has used less than before: 900 of 480, 300 of 240.
    daily.set_dispersers(bonds(&[(1, 2), (2, 1), (3, 7)]), Duration::ZERO);
    let left = [1, 2, 3].map(|id| own(&daily, id, Duration::ZERO));
    assert_eq!(left, [0, 0, 1680]);
    // There were 3000; they are worth what they can be had for.
    assert_eq!(daily.left(Duration::ZERO), 1800);
    daily.take(3, 1680, Duration::ZERO).unwrap();
    // Whoever left is gone, and what it used is not.
    daily.set_dispersers(bonds(&[(2, 1)]), Duration::ZERO);
    assert_eq!(daily.take(2, 2400, Duration::ZERO).unwrap_err().left, 120);
    // In a day all of it is there.
    daily.take(2, 2400, DAY).unwrap();
}

#[test]
fn bonds_of_any_size() {
    let now = Duration::ZERO;
    let mut daily = DailyBytes::new(now);
    let whale = Stake::MAX - Stake::from(2);
    let shares = [(1, whale), (2, Stake::from(1)), (3, Stake::from(1))];
    daily.set_dispersers(shares.into_iter(), now);
    daily.set_rate(1 << 40, now);
    // Beside the largest bond that there can be theirs are nothing; they live on what it leaves.
    assert_eq!([1, 2, 3].map(|id| own(&daily, id, now)), [1 << 40, 0, 0]);
    daily.take(2, 1 << 37, now).unwrap();
    daily.take(1, 1 << 40, now).unwrap();
    // A millionth is a millionth.
    let shares = [(1, Stake::from(999_999) << 200), (2, Stake::from(1) << 200)];
    daily.set_dispersers(shares.into_iter(), now);
    let (small, _) = daily.shares.get(2, 0);
    assert!(small.abs_diff((1 << 40) / 1_000_000) <= 1, "{small}");
    // All the bytes that there can be.
    daily.set_rate(u64::MAX, now);
    assert_eq!(daily.shares.all, u64::MAX - 1);
    assert!(daily.take(2, 1 << 50, now).is_err());
    // Nobody shares.
    daily.set_dispersers(std::iter::empty(), now);
    daily.take(1, 1 << 20, DAY).unwrap();
}

/// A request costs about the same with 4,096 dispersers as with 16.
#[test]
fn thousands_of_dispersers_cost_no_more_than_a_few() {
    let time = |dispersers: u32| {
        let mut daily = DailyBytes::new(Duration::ZERO);
        let all = (0..dispersers).map(|id| (id, Stake::from(1 + id % 7)));
        daily.set_dispersers(all, Duration::ZERO);
        daily.set_rate(1 << 40, Duration::ZERO);
        let started = std::time::Instant::now();
        let mut taken = 0;
        for step in 0..200_000u32 {
            let now = Duration::from_millis(u64::from(step) * 300);
            // More than a share of 4,096, and often more than what others leave.
            let id = step.wrapping_mul(2_654_435_761) % dispersers;
            taken += u32::from(daily.take(id, 1 << 23, now).is_ok());
        }
        assert!(taken > 50_000, "{taken}");
        started.elapsed()
    };
    let few = (0..3).map(|_| time(16)).min().unwrap();
    let many = (0..3).map(|_| time(4096)).min().unwrap();
    assert!(many < few * 30, "{many:?} for many, {few:?} for few");
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

#[derive(Debug, Clone)]
enum Step {
    Take(u32, u64),
    GiveBack,
    Rate(u64),
    Bonds([u64; 4]),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0u32..5, 0u64..3000).prop_map(|(id, bytes)| Step::Take(id, bytes)),
        3 => Just(Step::GiveBack),
        1 => (0u64..5000).prop_map(Step::Rate),
        1 => proptest::array::uniform4(0u64..9).prop_map(Step::Bonds),
        1 => Just(Step::Restart),
    ]
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

    /// Also when the table, the disk and the process change under it. What is known in sums is what there is one by one.
    #[test]
    fn whatever_changes_the_whole_is_never_exceeded(steps in proptest::collection::vec((step(), 0u64..40_000), 1..100)) {
        let mut now = Duration::ZERO;
        let mut daily = daily(&[(0, 1), (1, 2), (2, 5)]);
        let mut table = vec![(0, 1), (1, 2), (2, 5)];
        let (mut rate, mut held, mut last) = (2400u64, 0u64, None);
        // What was there, what flowed in, all at the highest rate; and what was taken out of it.
        let mut most = 3000.0;
        for (step, pause) in steps {
            now += Duration::from_secs(pause);
            most += rate as f64 * pause as f64 / 86_400.0;
            match step {
                Step::Take(id, bytes) => {
                    let before = daily.left(now);
                    match daily.take(id, bytes, now) {
                        Ok(taken) => {
                            held += bytes;
                            prop_assert_eq!(daily.left(now), before - bytes);
                            last = Some(taken);
                        }
                        Err(refused) => {
                            prop_assert!(bytes > refused.left && refused.left <= refused.share);
                            prop_assert!(refused.after <= DAY && !refused.after.is_zero());
                        }
                    }
                }
                Step::GiveBack => if let Some(taken) = last.take() {
                    daily.give_back(taken);
                    held -= taken.bytes;
                },
                Step::Rate(a_day) => {
                    daily.set_rate(a_day, now);
                    rate = a_day;
                }
                Step::Bonds(of) => {
                    let before: Vec<_> = (0..4).map(|id| daily.shares.get(id, now.as_nanos())).collect();
                    table = (0..).zip(of).filter(|(_, bond)| *bond > 0).collect();
                    daily.set_dispersers(bonds(&table), now);
                    for ((id, _), (share, left)) in table.iter().map(|t| (*t, before[t.0 as usize])) {
                        let (new, now_left) = daily.shares.get(id, now.as_nanos());
                        let used = (share - left).min(new);
                        prop_assert!((new - now_left).abs_diff(used) <= 1, "{used} of {share}, then {} of {new}", new - now_left);
                    }
                }
                Step::Restart => {
                    let before: Vec<_> = (0..4).map(|id| daily.shares.get(id, now.as_nanos())).collect();
                    let kept = daily.keep(held, now);
                    daily = DailyBytes::new(Duration::ZERO);
                    // The process's own clock begins anew; the stop took no time.
                    now = Duration::ZERO;
                    daily.restore(&kept, held, Duration::ZERO, now);
                    daily.set_rate(rate, now);
                    daily.set_dispersers(bonds(&table), now);
                    let after: Vec<_> = (0..4).map(|id| daily.shares.get(id, 0)).collect();
                    for (before, after) in before.iter().zip(&after) {
                        prop_assert!(before.0 == after.0 && after.1 <= before.1 && before.1 - after.1 <= 1);
                    }
                    last = None;
                }
            }
            prop_assert!(held as f64 <= most, "{held} of {most}");
            let at = now.as_nanos();
            daily.shares.settle(at);
            let sum: u64 = table.iter().map(|(id, _)| daily.shares.get(*id, at).1).sum();
            let reserved = daily.shares.left(at);
            prop_assert!(reserved >= sum && reserved <= sum + table.len() as u64, "{reserved} for {sum}");
            prop_assert!(daily.shares.all <= rate);
        }
    }
}
