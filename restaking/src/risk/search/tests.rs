#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::certify;
use super::super::testing::{
    Caps, Dice, every_attack, graph, naive_slack, naive_surplus, random, ratio, service, share,
    slack, unique,
};
use super::*;

const STEPS: u64 = DEFAULT_SEARCH_STEPS;

#[test]
fn secure_beyond_its_certificate() {
    // Two of three have to join, 200 for 160; the certificate charges 160 to 150.
    let graph = graph(
        &[100, 100, 100],
        vec![service("s", 160, share(1, 2), "abc")],
    );
    assert!(!certify(&graph).unwrap().is_certified());
    assert_eq!(find_attack(&graph, STEPS), Ok(None));
    let (exact, attack) = exact_slack(&graph, STEPS).unwrap();
    assert_eq!(exact, slack(1, 4));
    assert_eq!(attack.unwrap().coalition.len(), 2);
}

#[test]
fn together_two_services_pay_what_one_does_not() {
    // Each alone: 60 for 100. Both, by the one operator that they share: 120 for 100.
    let services = vec![
        service("s", 60, share(1, 2), "ab"),
        service("t", 60, share(1, 2), "ac"),
    ];
    let mut graph = graph(&[100, 100, 100], services);
    let attack = find_attack(&graph, STEPS).unwrap().unwrap();
    assert_eq!(attack.coalition.len(), 1);
    assert_eq!(attack.coalition[0].operator, "a");
    assert_eq!(attack.services, ["s", "t"]);
    assert_eq!((attack.profit, attack.stake), (120.into(), 100.into()));
    assert_eq!(exact_slack(&graph, STEPS).unwrap().0, slack(-1, 6));

    // With the same stake allocated, half to each, what the shared operator loses to one is not what it stakes on the other.
    for service in &mut graph.services {
        for edge in &mut service.operators {
            let amount = if edge.name() == "a" { 50 } else { 100 };
            *edge = unique(edge.name(), amount);
        }
    }
    assert_eq!(find_attack(&graph, STEPS), Ok(None));
    // 75 of 150 are needed for either; the cheapest is 100 for 60.
    assert_eq!(exact_slack(&graph, STEPS).unwrap().0, slack(2, 3));
}

#[test]
fn breaking_even_is_no_attack() {
    let graph = graph(&[100], vec![service("s", 100, share(1, 1), "a")]);
    assert_eq!(find_attack(&graph, STEPS), Ok(None));
    assert_eq!(exact_slack(&graph, STEPS).unwrap().0, slack(0, 1));
}

#[test]
fn nothing_to_stake_and_nothing_to_gain() {
    let bare = graph(&[0, 5], vec![service("s", 3, share(1, 2), "a")]);
    let attack = find_attack(&bare, STEPS).unwrap().unwrap();
    assert!(attack.coalition.is_empty() && attack.stake.is_zero());
    assert_eq!(exact_slack(&bare, STEPS).unwrap().0, slack(-1, 1));
    let idle = graph(&[5], vec![service("s", 0, share(1, 2), "a")]);
    assert_eq!(exact_slack(&idle, STEPS), Ok((Slack::Unbounded, None)));
    assert_eq!(find_attack(&idle, STEPS), Ok(None));
}

#[test]
fn a_cap_lowers_the_loss() {
    let mut capped = service("s", 60, share(1, 1), "a");
    capped.slash_cap = Some(share(1, 2));
    let attack = find_attack(&graph(&[100], vec![capped]), STEPS)
        .unwrap()
        .unwrap();
    assert_eq!(attack.weighted_profit, ratio(120, 1));
    assert_eq!((attack.loss, attack.profit), (ratio(50, 1), 60.into()));
}

#[test]
fn the_search_is_the_twin_that_tries_everything() {
    let mut dice = Dice(4);
    let (mut secure, mut insecure) = (0, 0);
    for round in 0..400 {
        let caps = if round % 2 == 0 {
            Caps::None
        } else {
            Caps::Mixed
        };
        let graph = random(&mut dice, 40, 45, caps);
        let surplus = naive_surplus(&graph);
        let found = find_attack(&graph, STEPS).unwrap();
        let value = found
            .as_ref()
            .map(|attack| &attack.weighted_profit - Rational::from_integer(attack.stake.clone()));
        assert_eq!(value, surplus, "{graph:?}");
        assert_eq!(
            exact_slack(&graph, STEPS).unwrap().0,
            naive_slack(&graph),
            "{graph:?}"
        );
        if surplus.is_some() {
            insecure += 1;
        } else {
            secure += 1;
        }
    }
    assert!(
        secure > 50 && insecure > 50,
        "{secure} secure, {insecure} insecure"
    );
}

#[test]
fn the_certificate_never_exceeds_the_exact_slack() {
    let mut dice = Dice(5);
    let (mut equal, mut certified) = (0, 0);
    for _ in 0..600 {
        let graph = random(&mut dice, 60, 25, Caps::Mixed);
        let gamma = certify(&graph).unwrap().gamma;
        let (exact, _) = exact_slack(&graph, STEPS).unwrap();
        assert!(gamma <= exact, "{gamma:?} > {exact:?}: {graph:?}");
        equal += usize::from(gamma == exact);
        certified += usize::from(gamma.is_positive());
    }
    assert!(
        equal > 10 && equal < 590 && certified > 50,
        "{equal} {certified}"
    );
}

/// The argument of the module's page: slack with counted profits is slack against what slashing takes.
#[test]
fn mixed_caps_are_counted_on_the_safe_side() {
    let mut dice = Dice(6);
    let mut checked = 0;
    for _ in 0..150 {
        let graph = random(&mut dice, 60, 15, Caps::Mixed);
        let Slack::Finite(gamma) = naive_slack(&graph) else {
            continue;
        };
        for attack in every_attack(&graph) {
            assert!(
                (Rational::one() + &gamma) * &attack.profit <= attack.loss || gamma.is_negative()
            );
            checked += usize::from(gamma.is_positive() && !attack.profit.is_zero());
        }
    }
    assert!(checked > 1000, "{checked}");
}

#[test]
fn too_large_is_refused() {
    let operators: String = (b'a'..=b'z').map(char::from).collect();
    let stakes = vec![1; MAX_SEARCH_POOLS + 1];
    let mut large = graph(&stakes, vec![service("s", 1, share(1, 2), "")]);
    for (at, operator) in large.operators.iter_mut().enumerate() {
        operator.name = format!("{operators}{at}");
    }
    large.services[0].operators = large
        .operators
        .iter()
        .map(|o| super::super::Edge::Common(o.name.clone()))
        .collect();
    let error = find_attack(&large, STEPS).unwrap_err();
    assert!(
        matches!(
            error,
            SearchError::TooLarge {
                got: 65,
                max: 64,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        exact_slack(&large, STEPS).unwrap_err().code(),
        "risk.search_too_large"
    );
    let many = (0..=MAX_SEARCH_SERVICES)
        .map(|at| service(&format!("s{at}"), 1, share(1, 2), "a"))
        .collect();
    let error = find_attack(&graph(&[9], many), STEPS).unwrap_err();
    assert_eq!(error.code(), "risk.search_too_large");
}

#[test]
fn steps_run_out() {
    let services = vec![
        service("s", 60, share(1, 2), "ab"),
        service("t", 60, share(1, 2), "ac"),
    ];
    let graph = graph(&[100, 100, 100], services);
    let stopped = |steps| match find_attack(&graph, steps) {
        Err(SearchError::Steps { max, known }) => {
            assert_eq!(max, steps);
            known
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(stopped(0), None);
    assert_eq!(stopped(1), None);
    // The second branch puts the shared operator in: an attack, and whether it is the best is not known yet.
    let known = stopped(2).unwrap();
    assert_eq!((known.stake, known.profit), (100.into(), 120.into()));
    let message = find_attack(&graph, 2).unwrap_err().to_string();
    assert!(message.ends_with("costs 100 and gains 120"), "{message}");
    assert_eq!(
        exact_slack(&graph, 2).unwrap_err().code(),
        "risk.search_steps"
    );
    assert!(matches!(
        find_attack(
            &Graph {
                services: vec![service("s", 1, share(1, 2), "z")],
                ..graph
            },
            STEPS
        ),
        Err(SearchError::Graph(_))
    ));
}

/// The largest search that is allowed, on a certified network: the first branch settles it.
#[test]
fn a_certified_network_is_settled_in_one_step() {
    let mut large = graph(
        &[100; MAX_SEARCH_POOLS],
        vec![service("s", 1000, share(1, 3), "")],
    );
    for (at, operator) in large.operators.iter_mut().enumerate() {
        operator.name = format!("operator-{at}");
    }
    large.services[0].operators = large
        .operators
        .iter()
        .map(|o| super::super::Edge::Common(o.name.clone()))
        .collect();
    assert!(certify(&large).unwrap().is_certified());
    assert_eq!(find_attack(&large, 1), Ok(None));
}
