use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Everything that is found, and the number of checks.
fn found(
    count: usize,
    halvings: usize,
    one_matter: fn(&usize, &usize) -> bool,
    holds: impl Fn(&[usize]) -> bool,
) -> (Vec<usize>, usize) {
    let statements: Vec<_> = (0..count).collect();
    let checks = Cell::new(0);
    let mut search = Bisection::new(&statements, one_matter, halvings);
    let mut guilty = Vec::new();
    while let Some(one) = search.next(
        |_| false,
        |part| {
            assert!(!part.is_empty());
            checks.set(checks.get() + 1);
            holds(part)
        },
    ) {
        guilty.push(*one);
    }
    (guilty, checks.get())
}

proptest! {
    #[test]
    fn all_that_are_false_are_found_in_order(
        count in 0usize..200,
        bad in prop::collection::btree_set(0usize..200, 0..20),
        halvings in 0usize..300,
    ) {
        let bad: BTreeSet<_> = bad.into_iter().filter(|one| *one < count).collect();
        let holds = |part: &[usize]| !part.iter().any(|one| bad.contains(one));
        let (guilty, checks) = found(count, halvings, |_, _| false, holds);
        prop_assert_eq!(&guilty, &bad.iter().copied().collect::<Vec<_>>());
        // Alone, each costs its halvings and two more; together never more than halvings and one each.
        let each = count.max(1).ilog2() as usize + 3;
        if checks < halvings {
            prop_assert!(checks <= 1 + each * guilty.len());
        }
        prop_assert!(checks <= halvings + each + count);
    }

    #[test]
    fn nobody_is_blamed_who_was_not_refused_alone_whatever_the_check_says(
        count in 1usize..60,
        answers in prop::collection::vec(any::<bool>(), 400),
        halvings in 0usize..100,
    ) {
        let asked = Cell::new(0);
        let (refused, passed) = (RefCell::new(BTreeSet::new()), RefCell::new(BTreeSet::<usize>::new()));
        let (guilty, _) = found(count, halvings, |_, _| false, |part| {
            let answer = answers[asked.replace(asked.get() + 1) % answers.len()];
            if answer {
                passed.borrow_mut().extend(part);
            } else if let [one] = part {
                refused.borrow_mut().insert(*one);
            }
            answer
        });
        prop_assert!(guilty.iter().all(|one| refused.borrow().contains(one)));
        prop_assert!((0..count).all(|one| guilty.contains(&one) || passed.borrow().contains(&one)));
    }
}

#[test]
fn one_false_statement_costs_a_halving_each_and_two() {
    for bad in 0..1024 {
        let (guilty, checks) = found(1024, usize::MAX, |_, _| false, |part| !part.contains(&bad));
        assert_eq!(guilty, [bad]);
        assert!(checks <= 1 + 10 + 2, "{bad}: {checks}");
    }
}

#[test]
fn many_false_statements_cost_one_check_each() {
    let (guilty, checks) = found(1000, 100, |_, _| false, |_| false);
    assert_eq!(guilty.len(), 1000);
    assert!(checks <= 1000 + 2 * 100, "{checks}");
}

#[test]
fn matters_are_checked_whole() {
    // Ten matters of ten; nothing is spent on halving.
    let (guilty, checks) = found(100, 0, |a, b| a / 10 == b / 10, |part| !part.contains(&55));
    assert_eq!(guilty, [55]);
    assert!(checks <= 10 + 4 + 2, "{checks}");
}

#[test]
fn settled_statements_are_not_checked() {
    let statements = [0, 1, 2, 3];
    let mut search = Bisection::new(&statements, |_, _| false, usize::MAX);
    let holds = |part: &[i32]| {
        assert!(part.iter().any(|one| *one > 1));
        false
    };
    assert_eq!(search.next(|one| *one < 2, holds), Some(&2));
}
