#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::testing::{Caps, Dice, graph, random, ratio, service, share, slack};
use super::super::{DEFAULT_SEARCH_STEPS as STEPS, certify};
use super::*;

fn shock(names: &[&str]) -> Shock {
    Shock {
        operators: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Each service is backed by two neighbours; once one is gone, the other attacks, and its other service is left to the next.
fn chain() -> Graph {
    let services = vec![
        service("ab", 60, share(1, 1), "ab"),
        service("bc", 60, share(1, 1), "bc"),
        service("cd", 60, share(1, 1), "cd"),
    ];
    graph(&[100, 50, 50, 50], services)
}

#[test]
fn a_chain_falls_step_by_step() {
    // T_b = 60/150 + 60/100 = 1, T_c = 60/100 + 60/100 = 6/5: not certified, yet nothing happens without a shock.
    let calm = simulate(&chain(), &shock(&[]), STEPS).unwrap();
    assert_eq!(calm.steps.len(), 0);
    assert_eq!((calm.psi, calm.loss), (ratio(0, 1), ratio(0, 1)));

    let cascade = simulate(&chain(), &shock(&["a"]), STEPS).unwrap();
    assert_eq!(cascade.psi, ratio(2, 5));
    // b, c and d all fall: 180 for 150 at once is the most that can be had.
    assert_eq!(cascade.loss, ratio(1, 1));
    assert_eq!((cascade.bound, cascade.length_bound), (None, None));
}

#[test]
fn the_numbers_of_a_certified_network_by_hand() {
    let services = vec![service("s", 60, share(1, 2), "abcd")];
    // T = 60 / 200 = 3/10, γ* = 7/3.
    let graph = graph(&[100, 100, 100, 100], services);
    let cascade = simulate(&graph, &shock(&["a", "a"]), STEPS).unwrap();
    assert_eq!(cascade.gamma, slack(7, 3));
    assert_eq!((&cascade.psi, &cascade.loss), (&ratio(1, 4), &ratio(1, 4)));
    // (1 + 3/7) / 4, and 100 / (7/3 · 100).
    assert_eq!(cascade.bound, Some(ratio(5, 14)));
    assert_eq!(cascade.length_bound, Some(ratio(3, 7)));
    assert!(cascade.steps.is_empty());
}

#[test]
fn services_that_nobody_backs_any_more_are_named() {
    let services = vec![
        service("s", 60, share(1, 2), "a"),
        service("t", 0, share(1, 2), "a"),
    ];
    let cascade = simulate(&graph(&[100, 50], services), &shock(&["a"]), STEPS).unwrap();
    assert_eq!(cascade.abandoned, ["s"]);
    assert_eq!(cascade.loss, ratio(2, 3));
}

#[test]
fn others_join_while_it_still_pays() {
    // 100 would do; b's 50 fits below the profit of 160 too, c's 20 does not any more.
    let graph = graph(&[100, 50, 20], vec![service("s", 160, share(1, 2), "abc")]);
    let cascade = simulate(&graph, &shock(&[]), STEPS).unwrap();
    assert_eq!(cascade.steps.len(), 1);
    assert_eq!(cascade.steps[0].attack.stake, 150.into());
    assert_eq!(cascade.loss, ratio(15, 17));
}

#[test]
fn without_profit_only_the_shock_is_lost() {
    let graph = graph(&[100, 100], vec![service("s", 0, share(1, 2), "ab")]);
    let cascade = simulate(&graph, &shock(&["a"]), STEPS).unwrap();
    assert_eq!(cascade.bound, Some(ratio(1, 2)));
    assert_eq!(cascade.loss, ratio(1, 2));
}

#[test]
fn refusals() {
    let error = simulate(&chain(), &shock(&["nobody"]), STEPS).unwrap_err();
    assert_eq!(error.code(), "risk.shock_operator");
    assert_eq!(
        simulate(&chain(), &shock(&["a"]), 0).unwrap_err().code(),
        "risk.search_steps"
    );
    let mut bad = chain();
    bad.operators.clear();
    assert_eq!(
        simulate(&bad, &shock(&[]), STEPS).unwrap_err().code(),
        "risk.unknown_operator"
    );
    assert!(worst_shock(&bad, &share(1, 2), STEPS).is_err());
}

#[test]
fn the_worst_shock_keeps_to_its_budget() {
    let worst = worst_shock(&chain(), &share(1, 5), STEPS).unwrap();
    assert_eq!(worst.psi, ratio(1, 5));
    // c goes; b and d follow, 100 for 120; a alone would pay 100 for 60.
    assert_eq!(worst.shock.operators, ["c"]);
    assert_eq!(worst.loss, ratio(3, 5));
    let none = worst_shock(&Graph::default(), &share(1, 5), STEPS).unwrap();
    assert_eq!(none.loss, ratio(0, 1));
    // The same answer every time.
    assert_eq!(worst_shock(&chain(), &share(1, 5), STEPS).unwrap(), worst);
}

#[test]
fn no_cascade_passes_its_bounds() {
    let mut dice = Dice(7);
    let (mut bounded, mut fell) = (0, 0);
    let check = |cascade: &Cascade| {
        if cascade.psi.is_zero() || cascade.gamma == Slack::Unbounded {
            return (0, 0);
        }
        let (Some(bound), Some(length)) = (&cascade.bound, &cascade.length_bound) else {
            return (0, 0);
        };
        assert!(cascade.loss < *bound, "{cascade:?}");
        assert!(
            Rational::from_integer(cascade.steps.len().into()) < *length,
            "{cascade:?}"
        );
        (1, usize::from(!cascade.steps.is_empty()))
    };
    for round in 0..500 {
        let caps = if round % 2 == 0 {
            Caps::None
        } else {
            Caps::Mixed
        };
        let graph = random(&mut dice, 60, 30, caps);
        if !certify(&graph).unwrap().is_certified() {
            continue;
        }
        let mut cascades = vec![worst_shock(&graph, &share(1, 3), STEPS).unwrap()];
        for operator in &graph.operators {
            let shock = Shock {
                operators: vec![operator.name.clone()],
            };
            cascades.push(simulate(&graph, &shock, STEPS).unwrap());
        }
        for cascade in &cascades {
            let (a, b) = check(cascade);
            bounded += a;
            fell += b;
        }
    }
    assert!(
        bounded > 300 && fell > 10,
        "{bounded} with a bound, {fell} with a step"
    );
}
