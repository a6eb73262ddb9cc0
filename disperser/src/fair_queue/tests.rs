#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::testing::party;

fn origin(net: u8, account: u8) -> Origin {
    Origin {
        party: party(net),
        account: Account([account; 20]),
    }
}

/// Takes everything.
fn drain<T>(queue: &mut FairQueue<T>) -> Vec<T> {
    std::iter::from_fn(|| queue.pop()).collect()
}

#[test]
fn who_floods_the_queue_waits_behind_itself() {
    let mut queue = FairQueue::default();
    for n in 0..1000 {
        queue.push(&origin(1, 1), 1, ("flood", n));
    }
    for n in 0..20 {
        queue.push(&origin(2, 2), 1, ("honest", n));
    }
    let order = drain(&mut queue);
    let last = order.iter().position(|taken| *taken == ("honest", 19));
    // Three turns of eight rows, and as many of the flood before.
    assert_eq!(last, Some(24 + 16 + 3));
}

#[test]
fn accounts_that_a_sender_makes_up_have_its_turns_alone() {
    let mut queue = FairQueue::default();
    for account in 0..100 {
        queue.push(&origin(1, account), QUANTUM, "made up");
    }
    for _ in 0..3 {
        queue.push(&origin(2, 1), QUANTUM, "honest");
    }
    let order = drain(&mut queue);
    let place = |at: usize| {
        order
            .iter()
            .enumerate()
            .filter(|(_, o)| **o == "honest")
            .nth(at)
    };
    assert_eq!(place(2).unwrap().0, 5);
}

#[test]
fn a_blob_of_many_turns_comes_when_others_had_as_many() {
    let mut queue = FairQueue::default();
    queue.push(&origin(1, 1), 10 * QUANTUM, 0);
    for n in 1..=30 {
        queue.push(&origin(2, 1), QUANTUM, n);
    }
    let order = drain(&mut queue);
    assert_eq!(order.iter().position(|n| *n == 0), Some(9));
}

#[test]
fn what_is_taken_out_is_gone_and_the_rest_stays() {
    let mut queue = FairQueue::default();
    for n in 0..10 {
        queue.push(&origin(n % 3, n % 2), 1, n);
    }
    let out = queue.take_out(|of| *of == party(0), |n| *n != 6);
    assert_eq!(out.into_iter().collect::<HashSet<_>>(), [0, 3, 9].into());
    assert_eq!(queue.len(), 7);
    let left: HashSet<_> = drain(&mut queue).into_iter().collect();
    assert_eq!(left, [1, 2, 4, 5, 6, 7, 8].into());
    assert!(queue.is_empty());
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8, u8, u64),
    Pop,
    PopAndPutBack,
    TakeOut(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..4, 0u8..3, 1u64..40).prop_map(|(net, account, rows)| Step::Push(net, account, rows)),
        3 => Just(Step::Pop),
        1 => Just(Step::PopAndPutBack),
        1 => (0u8..4).prop_map(Step::TakeOut),
    ]
}

proptest! {
    /// Nothing is lost, nothing comes twice, an account's blobs come in their order, and what is put back comes next.
    #[test]
    fn nothing_is_lost(steps in prop::collection::vec(step(), 0..200)) {
        let mut queue = FairQueue::default();
        let mut waiting: HashMap<(u8, u8), VecDeque<usize>> = HashMap::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(net, account, rows) => {
                    queue.push(&origin(net, account), rows, ((net, account), rows, n));
                    waiting.entry((net, account)).or_default().push_back(n);
                }
                Step::Pop => {
                    let expected = waiting.values().map(VecDeque::len).sum::<usize>() > 0;
                    let taken = queue.pop();
                    prop_assert_eq!(taken.is_some(), expected);
                    if let Some((of, _, n)) = taken {
                        prop_assert_eq!(waiting.get_mut(&of).unwrap().pop_front(), Some(n));
                    }
                }
                Step::PopAndPutBack => {
                    if let Some(taken) = queue.pop() {
                        let ((net, account), rows, _) = taken;
                        queue.put_back(&origin(net, account), rows, taken);
                        prop_assert_eq!(queue.pop(), Some(taken));
                        queue.put_back(&origin(net, account), rows, taken);
                    }
                }
                Step::TakeOut(net) => {
                    let out = queue.take_out(|of| *of == party(net), |(_, rows, _)| rows % 2 == 0);
                    for (of, _, n) in out {
                        prop_assert_eq!(of.0, net);
                        waiting.get_mut(&of).unwrap().retain(|waits| *waits != n);
                    }
                }
            }
            prop_assert_eq!(queue.len(), waiting.values().map(VecDeque::len).sum::<usize>());
        }
        for (of, _, n) in drain(&mut queue) {
            prop_assert_eq!(waiting.get_mut(&of).unwrap().pop_front(), Some(n));
        }
        prop_assert!(waiting.values().all(VecDeque::is_empty));
        // And nothing is remembered of who does not wait.
        prop_assert!(queue.parties.turns.is_empty() && queue.parties.order.is_empty());
    }

    /// While one account waits every other has at most the turns that this one has, and what was left of the one before: for each of
    /// its blobs as many quanta as the blob takes, and one more.
    #[test]
    fn nobody_starves(
        floods in prop::collection::vec(prop::collection::vec(1u64..40, 1..60), 1..6),
        mine in prop::collection::vec(1u64..40, 1..20),
        by_account in any::<bool>(),
    ) {
        const LARGEST: u64 = 40;
        // All of one network, or each of its own.
        let of = |n: usize| if by_account { origin(0, n as u8) } else { origin(n as u8, 0) };
        let mut queue = FairQueue::default();
        for (n, flood) in floods.iter().enumerate() {
            for rows in flood {
                queue.push(&of(n + 1), *rows, (n + 1, *rows));
            }
        }
        for rows in &mine {
            queue.push(&of(0), *rows, (0, *rows));
        }
        let mut served: HashMap<usize, u64> = HashMap::new();
        for _ in 0..mine.len() {
            served.clear();
            let rows = loop {
                let (who, rows) = queue.pop().unwrap();
                if who == 0 {
                    break rows;
                }
                *served.entry(who).or_default() += rows;
            };
            let turns = rows.div_ceil(QUANTUM) + 1;
            for (who, served) in &served {
                prop_assert!(*served < turns * QUANTUM + LARGEST, "{who} had {served} rows before {rows} of mine");
            }
        }
    }
}
