//! Random traces over all transactions.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // asks how many traces are wanted

use std::collections::BTreeMap;

use super::testing::{Trace, World, account, some_amount};
use super::*;

const STEPS: usize = 200;

fn run(seed: u64) -> Trace {
    // Whatever fails says with which seed.
    let mut trace = Trace::new(seed);
    let mut check = World::new(seed ^ 0x5eed);
    for _ in 0..STEPS {
        trace.step();
        if check.below(10) == 0 {
            nobody_gains(&trace.state, &mut check);
        }
    }
    trace.finish()
}

/// Deposit and withdraw everything, with nobody else doing anything: never more than doing without the deposit, plus it.
fn nobody_gains(state: &State, random: &mut World) {
    let strategy = 2 + random.below(2) as u32;
    let staker = account(1 + random.below(7) as u8);
    let amount = some_amount(random.draw(), 100);
    let leave = |mut state: State| -> Option<Amount> {
        let block = state.meta().block;
        let held = state.positions(staker).unwrap();
        if !held.iter().any(|position| position.strategy == strategy) {
            return Some(Amount::ZERO);
        }
        let send = |action| Transaction {
            sender: staker,
            action,
        };
        let shares = None;
        let queued = state.apply(block, &send(Action::QueueWithdrawal { strategy, shares }));
        let withdrawal = match queued {
            Ok(events) => events.iter().find_map(|event| match event {
                Event::WithdrawalQueued { withdrawal, .. } => Some(*withdrawal),
                _ => None,
            })?,
            Err(TransactionError::NothingToWithdraw { .. }) => return Some(Amount::ZERO),
            Err(_) => return None,
        };
        // Matured in the hands of nobody else: the window is closed at once, so that no other queue's dust comes in.
        state.mature(withdrawal).unwrap();
        Some(state.complete(staker, withdrawal, false).unwrap())
    };
    let mut with = state.clone();
    let deposit = Transaction {
        sender: staker,
        action: Action::Deposit { strategy, amount },
    };
    if with.apply(state.meta().block, &deposit).is_err() {
        return;
    }
    if let (Some(without), Some(with)) = (leave(state.clone()), leave(with)) {
        let most = without.plus(amount).unwrap();
        assert!(with <= most, "{staker} gains: {with} out of {most}");
    }
}

/// How often each kind of transaction was accepted, and each refusal met.
type Counts = (BTreeMap<&'static str, u64>, BTreeMap<&'static str, u64>);

fn run_many(first: u64, traces: u64) -> Counts {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let of_thread = |thread: u64| {
        let (mut accepted, mut refused) = Counts::default();
        for seed in (first..first + traces).filter(|seed| seed % threads == thread) {
            let trace = std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
                eprintln!("trace with seed {seed} failed");
                std::panic::resume_unwind(panic)
            });
            merge(&mut accepted, trace.accepted);
            merge(&mut refused, trace.refused);
        }
        (accepted, refused)
    };
    let (mut accepted, mut refused) = Counts::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || of_thread(thread)))
            .collect();
        for thread in running {
            let counts = thread.join().unwrap();
            merge(&mut accepted, counts.0);
            merge(&mut refused, counts.1);
        }
    });
    (accepted, refused)
}

fn merge(sums: &mut BTreeMap<&'static str, u64>, counts: BTreeMap<&'static str, u64>) {
    for (name, count) in counts {
        *sums.entry(name).or_default() += count;
    }
}

fn traces_from_env(default: u64) -> u64 {
    std::env::var("ASHLAR_TRACES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn random_traces_keep_every_invariant() {
    run_many(0x1000_0000, traces_from_env(500));
}

#[test]
#[ignore = "minutes: 10,000 traces of 200 steps, for make test-long"]
fn long_random_traces_keep_every_invariant() {
    run_many(0x2000_0000, traces_from_env(10_000));
}

/// The traces above reach everything: with fixed seeds every kind of transaction is accepted.
#[test]
fn traces_accept_every_kind_of_transaction() {
    let (accepted, refused) = run_many(7, 40);
    let missing: Vec<_> = Action::NAMES
        .iter()
        .filter(|name| !accepted.contains_key(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "never accepted: {missing:?}\naccepted {accepted:?}\nrefused {refused:?}"
    );
    eprintln!("accepted {accepted:?}\nrefused {refused:?}");
}
