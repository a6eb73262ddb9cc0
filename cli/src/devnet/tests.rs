#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn stakes(lists: &[&str]) -> Vec<StakeList> {
    lists.iter().map(|list| list.parse().unwrap()).collect()
}

#[test]
fn the_default_plan_is_eight_operators_with_100_stake() {
    let plan = Plan::new(None, None, &[]).unwrap();
    assert_eq!(plan.operators(), 8);
    assert_eq!(plan.stakes.len(), 1);
    assert_eq!(
        plan.stakes[0]
            .iter()
            .fold(Stake::ZERO, |sum, stake| sum + stake),
        Stake::from(100u32)
    );
}

#[test]
fn a_second_quorum_has_the_stakes_in_reverse() {
    let plan = Plan::new(Some(4), Some(2), &stakes(&["4,3,2,1"])).unwrap();
    assert_eq!(
        plan.stakes[1],
        [10u32, 15, 20, 30].map(Stake::from).to_vec()
    );
    assert_eq!(plan.of_operator(0), [4u32, 10].map(Stake::from).to_vec());
}

#[test]
fn contradictions_are_usage_errors() {
    for (operators, quorums, lists) in [
        (Some(3), None, vec!["1,2"]),
        (None, Some(1), vec!["1,2", "3,4"]),
        (None, None, vec!["1,2", "1,2,3"]),
        (None, None, vec!["0,0"]),
        (None, None, vec!["1,0"]),
    ] {
        let error = Plan::new(operators, quorums, &stakes(&lists)).unwrap_err();
        assert_eq!(
            error.exit,
            Exit::Usage,
            "{operators:?} {quorums:?} {lists:?}"
        );
    }
}

#[test]
fn stakes_are_plain_decimal_numbers() {
    for text in ["", "1,", "a", "-1", "1.5", "0x10", "1e3"] {
        assert!(text.parse::<StakeList>().is_err(), "{text:?} was taken");
    }
    assert_eq!("1, 2".parse::<StakeList>().unwrap().0.len(), 2);
}
