#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn victims_reach_the_threshold_and_never_exceed_it() {
    let plan = Plan::new(Some(8), Some(1), &[]).unwrap();
    // 30 + 3 of 100: exactly 33 %.
    let set = victims(&plan, 33);
    let gone: f64 = plan.shares(&set)[0];
    assert!((gone - 33.0).abs() < 1e-9, "{set:?}");
}

#[test]
fn victims_stay_below_the_threshold_in_every_quorum() {
    for operators in [4, 8, 20] {
        let plan = Plan::new(Some(operators), Some(2), &[]).unwrap();
        let set = victims(&plan, 33);
        assert!(!set.is_empty());
        assert!(
            plan.shares(&set).iter().all(|share| *share <= 33.0),
            "{set:?}"
        );
    }
}

#[test]
fn nobody_is_killed_if_everybody_is_too_large() {
    let plan = Plan::new(None, None, &["50,50".parse().unwrap()]).unwrap();
    assert_eq!(victims(&plan, 33), Vec::<usize>::new());
}
