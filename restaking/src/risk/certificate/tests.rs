#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::testing::{graph, ratio, service, share, slack, unique};
use super::*;

#[test]
fn one_service_by_hand() {
    // T = 90 / (1/2 · 300) = 3/5 for each of the three.
    let graph = graph(&[100, 100, 100], vec![service("s", 90, share(1, 2), "abc")]);
    let certificate = certify(&graph).unwrap();
    assert_eq!(certificate.gamma, slack(2, 3));
    assert!(certificate.is_certified());
    assert_eq!(certificate.worst.unwrap().operator, "a");
    assert!(
        certificate
            .loads
            .iter()
            .all(|load| load.load == ratio(3, 5))
    );
}

#[test]
fn two_services_by_hand() {
    // T_a = 30 / (1/3 · 200) + 20 / (1/2 · 100) = 9/20 + 8/20; T_b = 9/20.
    let services = vec![
        service("s", 30, share(1, 3), "ab"),
        service("t", 20, share(1, 2), "a"),
    ];
    let certificate = certify(&graph(&[100, 100], services)).unwrap();
    assert_eq!(certificate.loads[0].load, ratio(17, 20));
    assert_eq!(certificate.loads[1].load, ratio(9, 20));
    assert_eq!(certificate.gamma, slack(3, 17));
    assert_eq!(certificate.worst.unwrap().operator, "a");
}

#[test]
fn the_limit_itself_is_not_certified() {
    let at =
        |profit| certify(&graph(&[100], vec![service("s", profit, share(1, 1), "a")])).unwrap();
    assert_eq!(at(100).gamma, slack(0, 1));
    assert!(!at(100).is_certified());
    assert!(at(99).is_certified());
    assert_eq!(at(120).gamma, slack(-1, 6));
}

#[test]
fn a_slash_cap_counts_as_more_profit() {
    let mut capped = service("s", 45, share(1, 2), "abc");
    capped.slash_cap = Some(share(1, 2));
    let certificate = certify(&graph(&[100, 100, 100], vec![capped])).unwrap();
    assert_eq!(certificate.gamma, slack(2, 3));
}

#[test]
fn unique_stake_decouples() {
    // (1 + γ) π = α · slashable: s has 1/2 · 80 / 30, t has 1/2 · 60 / 20, what is left backs nothing.
    let mut s = service("s", 30, share(1, 2), "");
    s.operators = vec![unique("a", 50), unique("b", 30)];
    let mut t = service("t", 20, share(1, 2), "");
    t.operators = vec![unique("a", 50), unique("b", 10)];
    let certificate = certify(&graph(&[100, 100], vec![s, t])).unwrap();
    assert_eq!(certificate.gamma, slack(1, 3));
    let worst = certificate.worst.unwrap();
    assert_eq!(
        (worst.operator.as_str(), worst.service.as_deref()),
        ("a", Some("s"))
    );
    let of_t: Vec<_> = certificate
        .loads
        .iter()
        .filter(|l| l.pool.service.as_deref() == Some("t"))
        .collect();
    assert_eq!(of_t.len(), 2);
    assert!(of_t.iter().all(|load| load.slack == slack(1, 2)));
    // b keeps 60 for whatever else it may join.
    let rest = certificate
        .loads
        .iter()
        .find(|l| l.pool.operator == "b" && l.pool.service.is_none());
    assert_eq!(rest.unwrap().stake, 60.into());
    assert_eq!(rest.unwrap().slack, Slack::Unbounded);
}

#[test]
fn operators_without_stake_are_skipped() {
    let certificate =
        certify(&graph(&[0, 100], vec![service("s", 10, share(1, 2), "ab")])).unwrap();
    assert_eq!(certificate.loads.len(), 1);
    assert_eq!(certificate.worst.unwrap().operator, "b");
    assert_eq!(certificate.gamma, slack(4, 1));
}

#[test]
fn profit_without_stake_fails_at_once() {
    for operators in ["", "a"] {
        let services = vec![
            service("safe", 1, share(1, 1), "b"),
            service("bare", 10, share(1, 2), operators),
        ];
        let certificate = certify(&graph(&[0, 100], services)).unwrap();
        assert_eq!(certificate.gamma, slack(-1, 1));
        assert_eq!(
            (certificate.worst.clone(), certificate.is_certified()),
            (None, false)
        );
        assert_eq!(certificate.unbacked, ["bare"]);
    }
}

#[test]
fn without_profit_there_is_nothing_to_gain() {
    for graph in [
        Graph::default(),
        graph(&[], vec![service("s", 0, share(1, 2), "")]),
        graph(&[5], vec![service("s", 0, share(1, 2), "a")]),
    ] {
        let certificate = certify(&graph).unwrap();
        assert_eq!(
            (certificate.gamma.clone(), certificate.is_certified()),
            (Slack::Unbounded, true)
        );
        assert_eq!(certificate.worst, None);
    }
}

#[test]
fn numbers_of_any_size() {
    let mut large = graph(&[1, 1], vec![service("s", 1, share(1, 3), "ab")]);
    large
        .operators
        .iter_mut()
        .for_each(|o| o.stake = ashlar_proto::Stake::MAX);
    large.services[0].profit = ashlar_proto::Stake::MAX;
    // T = M / (1/3 · 2 M) = 3/2.
    assert_eq!(certify(&large).unwrap().gamma, slack(-1, 3));
}

#[test]
fn a_bad_graph_is_refused() {
    assert!(certify(&graph(&[1], vec![service("s", 1, share(1, 2), "b")])).is_err());
}
