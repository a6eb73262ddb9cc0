#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn config(needed: u32) -> PlanConfig {
    PlanConfig {
        needed,
        unit_bytes: 1000,
        overhead_percent: 30,
        hedge_after: ms(100),
        expected_rate: 1_000_000,
        request_timeout: ms(1000),
        min_rate: 1_000_000,
        max_request_bytes: 1_000_000,
        max_in_flight_bytes: 1_000_000,
        max_runs: 64,
        max_requests: 64,
        attempts: 2,
        back_off: ms(50),
        deadline: ms(20_000),
    }
}

const A: OperatorIndex = OperatorIndex(0);
const B: OperatorIndex = OperatorIndex(1);

fn chunks<T: FromIterator<ChunkIndex>>(indices: impl IntoIterator<Item = u32>) -> T {
    indices.into_iter().map(ChunkIndex).collect()
}

fn holder(operator: u32, indices: std::ops::Range<u32>) -> Holder {
    Holder {
        operator: OperatorIndex(operator),
        signer: true,
        indices: chunks(indices),
    }
}

fn asked(step: &Step) -> BTreeSet<ChunkIndex> {
    step.asks
        .iter()
        .flat_map(|ask| ask.indices.clone())
        .collect()
}

#[test]
fn systematic_indices_are_asked_first_and_nothing_else_without_trouble() {
    let mut plan = Plan::new(
        config(8),
        vec![holder(0, 0..4), holder(1, 4..8), holder(2, 8..32)],
        7,
    );
    let mut now = Duration::ZERO;
    loop {
        let step = plan.poll(now);
        assert!(step.stops.is_empty());
        for ask in step.asks {
            assert_ne!(
                ask.operator,
                OperatorIndex(2),
                "parity was asked for while systematic holders answer"
            );
            now += ms(1);
            assert!(plan.settle(now, ask.request, &ask.indices, Verdict::Answered));
        }
        if step.state == State::Done {
            break;
        }
        assert!(matches!(step.state, State::Working { .. }));
    }
    assert_eq!(plan.requested(), 8);
    assert_eq!(plan.failed(), 0);
}

#[test]
fn polling_twice_asks_once() {
    let mut plan = Plan::new(config(8), vec![holder(0, 0..8), holder(1, 8..16)], 7);
    assert!(!plan.poll(Duration::ZERO).asks.is_empty());
    assert!(plan.poll(Duration::ZERO).asks.is_empty());
    assert!(plan.poll(ms(1)).asks.is_empty());
}

#[test]
fn signers_come_before_the_rest_even_for_systematic_indices() {
    let mut absent = holder(0, 0..8);
    absent.signer = false;
    let mut plan = Plan::new(config(8), vec![absent, holder(1, 8..16)], 7);
    let step = plan.poll(Duration::ZERO);
    assert!(step.asks.iter().all(|ask| ask.operator == B), "{step:?}");
}

#[test]
fn the_order_of_operators_depends_on_the_seed_only() {
    let first = |seed| {
        let holders = (0..16).map(|i| holder(i, 100 + i..101 + i)).collect();
        let mut plan = Plan::new(config(4), holders, seed);
        asked(&plan.poll(Duration::ZERO))
    };
    assert_eq!(first(1), first(1));
    let all: BTreeSet<BTreeSet<ChunkIndex>> = (0..20).map(first).collect();
    assert!(all.len() > 10, "{} different orders of 20", all.len());
}

#[test]
fn a_silent_operator_is_hedged_second_by_second() {
    // 10 needed, 3 spare: the window of an operator is 3.
    let mut plan = Plan::new(config(10), vec![holder(0, 0..10), holder(1, 10..30)], 7);
    let step = plan.poll(Duration::ZERO);
    assert_eq!(step.asks.len(), 1);
    let silent = step.asks[0].clone();
    assert_eq!(
        (silent.operator, silent.indices.as_slice()),
        (A, &chunks::<Vec<_>>(0..3)[..])
    );
    // hedge_after plus 3 units at 1 MB/s.
    assert_eq!(step.state, State::Working { wake_at: ms(103) });

    assert!(plan.poll(ms(102)).asks.is_empty());
    let step = plan.poll(ms(103));
    assert_eq!(step.asks.len(), 1);
    assert_eq!(step.asks[0].operator, B);
    assert_eq!(step.asks[0].indices, chunks::<Vec<_>>(10..13));
    assert!(plan.settle(
        ms(110),
        step.asks[0].request,
        &chunks::<Vec<_>>(10..13),
        Verdict::Answered
    ));

    // The window has doubled; everything that the silent operator owed is asked for elsewhere now.
    let step = plan.poll(ms(110));
    assert_eq!(step.asks[0].indices, chunks::<Vec<_>>(13..19));
    assert!(plan.settle(
        ms(115),
        step.asks[0].request,
        &step.asks[0].indices,
        Verdict::Answered
    ));
    let step = plan.poll(ms(115));
    assert_eq!(step.asks[0].indices, [ChunkIndex(19)]);
    assert!(plan.settle(
        ms(120),
        step.asks[0].request,
        &[ChunkIndex(19)],
        Verdict::Answered
    ));

    let step = plan.poll(ms(120));
    assert_eq!(step.state, State::Done);
    assert_eq!(
        step.stops,
        [Stop {
            request: silent.request,
            operator: A,
            reason: StopReason::Overtaken
        }]
    );
    assert_eq!(plan.requested(), 13);
    assert!(!plan.settle(
        ms(121),
        silent.request,
        &chunks::<Vec<_>>(0..3),
        Verdict::Answered
    ));
}

#[test]
fn a_late_answer_still_counts_until_the_deadline_of_its_request() {
    let mut plan = Plan::new(config(3), vec![holder(0, 0..3), holder(1, 3..6)], 7);
    let mut asks = plan.poll(Duration::ZERO).asks;
    assert_eq!(asks.len(), 1);
    while asks[0].indices.len() < 3 {
        let ask = asks.remove(0);
        assert!(plan.settle(ms(1), ask.request, &ask.indices, Verdict::Answered));
        asks = plan.poll(ms(1)).asks;
        if asks.is_empty() || plan.good().len() + asks[0].indices.len() == 3 {
            break;
        }
    }
    let slow = asks[0].clone();
    let hedge = plan.poll(ms(500));
    assert_eq!(hedge.asks.len(), 1, "{hedge:?}");
    assert_eq!(hedge.asks[0].operator, B);
    assert!(plan.settle(ms(600), slow.request, &slow.indices, Verdict::Answered));
    assert_eq!(plan.poll(ms(600)).state, State::Done);
}

#[test]
fn an_answer_that_is_being_checked_is_neither_late_nor_hedged() {
    let mut plan = Plan::new(config(10), vec![holder(0, 0..10), holder(1, 10..30)], 7);
    let ask = plan.poll(Duration::ZERO).asks.remove(0);
    plan.received(ms(50), ask.request);
    // Far beyond hedge_after and the request's deadline.
    let step = plan.poll(ms(5_000));
    assert!(step.asks.iter().all(|ask| ask.operator == A), "{step:?}");
    assert!(step.stops.is_empty());
    assert!(plan.settle(ms(5_001), ask.request, &ask.indices, Verdict::Answered));
    assert_eq!(plan.good().len(), ask.indices.len());
    assert_eq!(plan.failed(), 0);
    // Nothing is owed: reporting it again changes nothing.
    plan.received(ms(5_002), ask.request);
}

#[test]
fn the_budget_stops_hedging_and_a_failure_reopens_it() {
    // Five operators of two indices each hang; spare is 1, so one hedge and no more until a deadline passes.
    let mut holders: Vec<Holder> = (0..5).map(|i| holder(i, 2 * i..2 * i + 2)).collect();
    holders.push(holder(5, 10..30));
    let mut config = config(5);
    config.attempts = 1;
    let mut plan = Plan::new(config, holders, 7);
    let mut most = 0;
    let mut now = Duration::ZERO;
    let mut done = false;
    for _ in 0..100 {
        let step = plan.poll(now);
        for ask in &step.asks {
            if ask.operator == OperatorIndex(5) {
                assert!(plan.settle(now, ask.request, &ask.indices, Verdict::Answered));
            }
        }
        most = most.max(plan.requested() - plan.failed());
        match step.state {
            State::Working { wake_at } => now = if step.asks.is_empty() { wake_at } else { now },
            state => {
                assert_eq!(state, State::Done);
                done = true;
                break;
            }
        }
    }
    assert!(done);
    assert!(most <= 6, "{most} of 6");
    assert!(plan.failed() > 0);
}

#[test]
fn a_liar_is_dropped_with_everything_it_owes() {
    let mut config = config(8);
    config.max_request_bytes = 1000;
    let mut plan = Plan::new(config, vec![holder(0, 0..8), holder(1, 8..16)], 7);
    let step = plan.poll(Duration::ZERO);
    assert_eq!(step.asks.len(), 2, "one index a request, a window of two");
    assert!(plan.settle(ms(5), step.asks[0].request, &[], Verdict::Drop));
    let next = plan.poll(ms(5));
    assert_eq!(
        next.stops,
        [Stop {
            request: step.asks[1].request,
            operator: A,
            reason: StopReason::Dropped
        }]
    );
    assert!(next.asks.iter().all(|ask| ask.operator == B));
    assert_eq!(plan.failed(), 2);
}

#[test]
fn an_unreachable_operator_rests_and_is_tried_again_then_given_up() {
    let mut plan = Plan::new(config(4), vec![holder(0, 0..8)], 7);
    let first = plan.poll(Duration::ZERO);
    assert!(plan.settle(ms(10), first.asks[0].request, &[], Verdict::Retry));
    let step = plan.poll(ms(10));
    assert!(step.asks.is_empty());
    let State::Working { wake_at } = step.state else {
        panic!("{step:?}")
    };
    assert!(wake_at >= ms(60) && wake_at <= ms(73), "{wake_at:?}");
    let second = plan.poll(wake_at);
    assert_eq!(second.asks.len(), 1);
    assert!(plan.settle(wake_at, second.asks[0].request, &[], Verdict::Retry));
    assert_eq!(
        plan.poll(wake_at).state,
        State::Exhausted {
            good: 0,
            reachable: 0
        }
    );
}

#[test]
fn what_an_operator_does_not_have_is_not_asked_of_it_again() {
    let mut plan = Plan::new(config(4), vec![holder(0, 0..4), holder(1, 4..8)], 7);
    let mut now = Duration::ZERO;
    let mut seen = BTreeSet::new();
    loop {
        let step = plan.poll(now);
        if step.state == State::Done {
            break;
        }
        assert!(matches!(step.state, State::Working { .. }), "{step:?}");
        for ask in step.asks {
            now += ms(1);
            for index in &ask.indices {
                assert!(seen.insert((ask.operator, *index)), "asked twice");
            }
            // Operator 0 has lost everything but index 0.
            let good: Vec<_> = ask
                .indices
                .iter()
                .copied()
                .filter(|index| ask.operator == B || index.0 == 0)
                .collect();
            assert!(plan.settle(now, ask.request, &good, Verdict::Answered));
        }
    }
    assert!(plan.good().contains(&ChunkIndex(0)));
}

#[test]
fn too_few_indices_are_known_at_once() {
    let mut plan = Plan::new(config(9), vec![holder(0, 0..4), holder(1, 2..8)], 7);
    assert_eq!(
        plan.poll(Duration::ZERO).state,
        State::Exhausted {
            good: 0,
            reachable: 8
        }
    );
    assert!(plan.poll(ms(1)).asks.is_empty());
}

#[test]
fn the_deadline_ends_it() {
    let mut plan = Plan::new(config(4), vec![holder(0, 0..8)], 7);
    let step = plan.poll(Duration::ZERO);
    assert_eq!(step.asks.len(), 1);
    let end = plan.poll(ms(20_000));
    assert_eq!(end.state, State::DeadlinePassed { good: 0 });
    assert!(
        end.stops
            .iter()
            .all(|stop| stop.reason == StopReason::Expired)
    );
    assert_eq!(plan.poll(ms(30_000)).state, end.state);
}

#[test]
fn only_indices_asked_for_count() {
    let mut plan = Plan::new(config(4), vec![holder(0, 0..8)], 7);
    let step = plan.poll(Duration::ZERO);
    assert!(plan.settle(
        ms(1),
        step.asks[0].request,
        &chunks::<Vec<_>>(4..8),
        Verdict::Answered
    ));
    assert!(plan.good().is_empty());
}

#[test]
fn in_flight_limits_hold() {
    let mut config = config(64);
    config.max_in_flight_bytes = 5000;
    config.max_request_bytes = 2000;
    config.max_requests = 2;
    let mut plan = Plan::new(config, (0..64).map(|i| holder(i, i..i + 1)).collect(), 7);
    assert_eq!(plan.poll(Duration::ZERO).asks.len(), 2);
}

#[test]
fn requests_are_cut_by_size_and_by_runs() {
    let parts = |indices: &[u32], largest, max_runs| -> Vec<Vec<u32>> {
        parts(&chunks::<Vec<_>>(indices.to_vec()), largest, max_runs)
            .iter()
            .map(|part| part.iter().map(|index| index.0).collect())
            .collect()
    };
    assert_eq!(parts(&[], 4, 2), Vec::<Vec<u32>>::new());
    assert_eq!(parts(&[1, 2, 3, 4, 5], 2, 9), [&[1, 2][..], &[3, 4], &[5]]);
    assert_eq!(parts(&[1, 2, 4, 6, 7], 9, 2), [&[1, 2, 4][..], &[6, 7]]);
    assert_eq!(parts(&[1, 3, 5], 9, 1), [&[1][..], &[3], &[5]]);
    assert_eq!(parts(&[u32::MAX], 0, 0), [&[u32::MAX][..]]);
}

fn known(good: &[u32], avoided: &[u32]) -> impl Fn(OperatorIndex) -> Standing {
    let (good, avoided) = (good.to_vec(), avoided.to_vec());
    move |operator| Standing {
        trust: if good.contains(&operator.0) {
            Trust::Good
        } else if avoided.contains(&operator.0) {
            Trust::Avoided
        } else {
            Trust::Unknown
        },
        cost: 1.0 + f64::from(operator.0),
    }
}

/// Eight operators with equal parts of version 1's chunks.
fn eighths() -> Vec<Holder> {
    (0..8).map(|i| holder(i, i * 48..(i + 1) * 48)).collect()
}

#[test]
fn a_plan_that_knows_its_operators_spreads_and_asks_fast_ones_more_often() {
    let mut config = config(64);
    config.max_in_flight_bytes = u64::MAX;
    let mut units = [0; 8];
    for seed in 0..200 {
        let all = known(&[0, 1, 2, 3, 4, 5, 6, 7], &[]);
        let mut plan = Plan::with_known(config.clone(), eighths(), all, seed);
        let step = plan.poll(Duration::ZERO);
        assert_eq!(asked(&step).len(), 64, "all of it at once");
        for ask in step.asks {
            units[ask.operator.0 as usize] += ask.indices.len();
        }
    }
    // Costs are 1 to 8.
    assert!(units.iter().all(|units| *units > 0), "{units:?}");
    assert!(units[0] > units[3] && units[3] > units[7], "{units:?}");
}

#[test]
fn strangers_are_asked_for_little_and_those_avoided_last() {
    let mut config = config(64);
    config.max_in_flight_bytes = u64::MAX;
    let mut plan = Plan::with_known(config, eighths(), known(&[], &[3, 4]), 7);
    let step = plan.poll(Duration::ZERO);
    // A quarter of the 19 that hedging may cost, of each.
    assert!(step.asks.iter().all(|ask| ask.indices.len() <= 4));
    assert!(
        step.asks
            .iter()
            .all(|ask| ![3, 4].contains(&ask.operator.0))
    );
    assert_eq!(asked(&step).len(), 19, "and no more than that of all");
    // Whoever sends something wrong makes everybody's share smaller, and who sends good things gets more.
    let mut now = ms(1);
    for (n, ask) in step.asks.iter().enumerate() {
        if n < 2 {
            plan.settle(now, ask.request, &[], Verdict::Drop);
            plan.spoilt(4 * 1000, 0);
        } else if n == 2 {
            plan.settle(now, ask.request, &ask.indices, Verdict::Answered);
        }
    }
    now = ms(2);
    let next = plan.poll(now);
    let of = |operator| {
        next.asks
            .iter()
            .filter(|ask| ask.operator == operator)
            .map(|ask| ask.indices.len())
            .sum::<usize>()
    };
    assert_eq!(of(step.asks[2].operator), 8);
    assert!(step.asks[3..].iter().all(|ask| of(ask.operator) == 0));
    assert!(
        [3, 4]
            .map(OperatorIndex)
            .iter()
            .all(|avoided| of(*avoided) == 0 || of(*avoided) == 2)
    );
}

// ---- A simulated network: every operator behaves in its own way, time jumps from event to event. ----

#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Good {
        latency: u64,
    },
    Hangs,
    Dead {
        latency: u64,
    },
    Lies {
        latency: u64,
    },
    /// Fails once, answers from then on.
    Flaky {
        latency: u64,
    },
    /// Has only every second index.
    Holes {
        latency: u64,
    },
}

struct Run {
    state: State,
    plan: Plan,
    ended: Duration,
    true_goods: BTreeSet<ChunkIndex>,
}

fn simulate(config: &PlanConfig, holders: &[Holder], behaviours: &[Behaviour], seed: u64) -> Run {
    let mut plan = Plan::new(config.clone(), holders.to_vec(), seed);
    let allowance = u64::from(config.needed + config.spare());
    let mut now = Duration::ZERO;
    let mut due: Vec<(Duration, RequestId, Vec<ChunkIndex>, Verdict)> = Vec::new();
    let mut failed_once: BTreeSet<OperatorIndex> = BTreeSet::new();
    let mut in_flight: BTreeMap<RequestId, usize> = BTreeMap::new();
    let mut true_goods = BTreeSet::new();
    for _ in 0..200_000 {
        let step = plan.poll(now);
        assert!(
            plan.requested() - plan.failed() <= allowance,
            "budget: {} - {} > {allowance}",
            plan.requested(),
            plan.failed()
        );
        for stop in &step.stops {
            assert!(in_flight.remove(&stop.request).is_some());
            due.retain(|event| event.1 != stop.request);
        }
        for ask in &step.asks {
            assert!(!ask.indices.is_empty());
            assert!(ask.indices.is_sorted());
            let runs = 1 + ask
                .indices
                .windows(2)
                .filter(|pair| pair[0].0 + 1 != pair[1].0)
                .count();
            assert!(runs <= config.max_runs);
            assert!(now + ask.timeout <= config.deadline);
            in_flight.insert(ask.request, ask.indices.len());
            let behaviour = behaviours[ask.operator.0 as usize];
            let (latency, good, verdict) = match behaviour {
                Behaviour::Good { latency } => (latency, ask.indices.clone(), Verdict::Answered),
                Behaviour::Hangs => continue,
                Behaviour::Dead { latency } => (latency, vec![], Verdict::Retry),
                Behaviour::Lies { latency } => (latency, vec![], Verdict::Drop),
                Behaviour::Flaky { latency } if failed_once.insert(ask.operator) => {
                    (latency, vec![], Verdict::Retry)
                }
                Behaviour::Flaky { latency } => (latency, ask.indices.clone(), Verdict::Answered),
                Behaviour::Holes { latency } => (
                    latency,
                    ask.indices
                        .iter()
                        .copied()
                        .filter(|i| i.0 % 2 == 0)
                        .collect(),
                    Verdict::Answered,
                ),
            };
            due.push((now + ms(latency), ask.request, good, verdict));
        }
        assert!(in_flight.len() <= config.max_requests);
        let units: usize = in_flight.values().sum();
        assert!(
            units as u64 * config.unit_bytes <= config.max_in_flight_bytes.max(config.unit_bytes)
        );
        let State::Working { wake_at } = step.state else {
            assert!(in_flight.is_empty(), "everything is stopped at the end");
            return Run {
                state: step.state,
                plan,
                ended: now,
                true_goods,
            };
        };
        due.sort_by_key(|event| event.0);
        if due.first().is_some_and(|event| event.0 <= wake_at) {
            let (at, request, good, verdict) = due.remove(0);
            now = now.max(at);
            in_flight.remove(&request);
            if plan.settle(now, request, &good, verdict) {
                true_goods.extend(good);
            }
        } else {
            assert!(wake_at > now, "the plan makes no progress at {now:?}");
            now = wake_at;
        }
    }
    panic!("the plan did not end");
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        6 => (1u64..400).prop_map(|latency| Behaviour::Good { latency }),
        1 => Just(Behaviour::Hangs),
        1 => (1u64..400).prop_map(|latency| Behaviour::Dead { latency }),
        1 => (1u64..400).prop_map(|latency| Behaviour::Lies { latency }),
        1 => (1u64..400).prop_map(|latency| Behaviour::Flaky { latency }),
        1 => (1u64..400).prop_map(|latency| Behaviour::Holes { latency }),
    ]
}

#[derive(Debug, Clone)]
struct Scene {
    config: PlanConfig,
    holders: Vec<Holder>,
    behaviours: Vec<Behaviour>,
    seed: u64,
}

fn scene() -> impl Strategy<Value = Scene> {
    (
        1u32..40,
        prop::collection::vec((behaviour(), any::<bool>(), 0u32..120, 1u32..40), 1..14),
        any::<u64>(),
        1u64..20,
        1u64..60,
        1usize..12,
    )
        .prop_map(|(needed, operators, seed, request, window, requests)| {
            let mut config = config(needed);
            config.max_request_bytes = request * 1000;
            config.max_in_flight_bytes = window * 1000;
            config.max_requests = requests;
            config.max_runs = requests;
            config.deadline = ms(600_000);
            let holders = operators
                .iter()
                .enumerate()
                .map(|(i, (_, signer, start, len))| Holder {
                    operator: OperatorIndex(i as u32),
                    signer: *signer,
                    indices: chunks(*start..start + len),
                })
                .collect();
            Scene {
                config,
                holders,
                behaviours: operators.iter().map(|operator| operator.0).collect(),
                seed,
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_ends_with_enough_or_with_a_true_shortage(scene in scene()) {
        let run = simulate(&scene.config, &scene.holders, &scene.behaviours, scene.seed);
        prop_assert!(run.plan.good().is_subset(&run.true_goods));
        // What operators that work would have delivered.
        let mut available: BTreeSet<ChunkIndex> = BTreeSet::new();
        for (holder, behaviour) in scene.holders.iter().zip(&scene.behaviours) {
            match behaviour {
                Behaviour::Good { .. } | Behaviour::Flaky { .. } => available.extend(&holder.indices),
                Behaviour::Holes { .. } => available.extend(holder.indices.iter().filter(|i| i.0 % 2 == 0)),
                Behaviour::Hangs | Behaviour::Dead { .. } | Behaviour::Lies { .. } => {}
            }
        }
        match run.state {
            State::Done => prop_assert!(run.plan.good().len() >= scene.config.needed as usize),
            State::Exhausted { good, reachable } => {
                prop_assert!(available.len() < scene.config.needed as usize, "{available:?}");
                prop_assert!(reachable < scene.config.needed);
                prop_assert!(good <= reachable);
            }
            other => prop_assert!(false, "{other:?} at {:?}", run.ended),
        }
    }

    #[test]
    fn without_trouble_exactly_what_is_needed_is_requested(
        needed in 1u32..64,
        latencies in prop::collection::vec(1u64..99, 1..10),
        seed in any::<u64>(),
    ) {
        let share = 64 / latencies.len() as u32 + 1;
        let holders: Vec<Holder> = (0..latencies.len() as u32)
            .map(|i| holder(i, i * share * 2..(i + 1) * share * 2))
            .collect();
        let behaviours: Vec<Behaviour> =
            latencies.iter().map(|latency| Behaviour::Good { latency: *latency }).collect();
        let run = simulate(&config(needed), &holders, &behaviours, seed);
        prop_assert_eq!(run.state, State::Done);
        prop_assert_eq!(run.plan.requested(), u64::from(needed));
        let systematic: BTreeSet<_> = chunks(0..needed);
        prop_assert_eq!(run.plan.good(), &systematic);
    }

    /// A third of the operators sends nothing but wrong bytes, and nothing is known about anybody: what arrives stays within
    /// the budget.
    #[test]
    fn a_third_of_liars_costs_no_more_than_hedging_may(
        thirds in 2u32..12,
        seed in any::<u64>(),
        latency in 1u64..50,
    ) {
        let mut config = config(64);
        config.max_in_flight_bytes = u64::MAX;
        let operators = 3 * thirds;
        let share = (512 - operators) / operators;
        let holders = (0..operators).map(|i| holder(i, i * share..(i + 1) * share)).collect();
        let mut plan = Plan::with_known(config, holders, known(&[], &[]), seed);
        let (mut now, mut arrived) = (Duration::ZERO, 0);
        for _ in 0..1000 {
            let step = plan.poll(now);
            if step.state == State::Done {
                break;
            }
            prop_assert!(matches!(step.state, State::Working { .. }), "{:?}", step.state);
            now += ms(latency);
            for ask in step.asks {
                let liar = ask.operator.0 < thirds;
                let good = if liar { vec![] } else { ask.indices.clone() };
                let verdict = if liar { Verdict::Drop } else { Verdict::Answered };
                if plan.settle(now, ask.request, &good, verdict) {
                    arrived += ask.indices.len() as u64;
                    plan.spoilt(ask.indices.len() as u64 * 1000, good.len());
                }
            }
        }
        prop_assert!(plan.good().len() >= 64);
        // Beyond what hedging may cost, each further liar is asked for one.
        prop_assert!(arrived <= 64 + 19 + u64::from(thirds), "{arrived}");
    }

    #[test]
    fn one_hanging_operator_never_costs_a_whole_request_timeout(
        operators in 4u32..20,
        hanging in 0u32..4,
        seed in any::<u64>(),
    ) {
        // Eight times the blob is held in equal parts, as version 1 has it.
        let config = config(64);
        let share = 512 / operators;
        let holders: Vec<Holder> = (0..operators).map(|i| holder(i, i * share..(i + 1) * share)).collect();
        let behaviours: Vec<Behaviour> = (0..operators)
            .map(|i| if i == hanging { Behaviour::Hangs } else { Behaviour::Good { latency: 10 } })
            .collect();
        let run = simulate(&config, &holders, &behaviours, seed);
        prop_assert_eq!(run.state, State::Done);
        prop_assert!(run.ended < config.request_timeout, "{:?}", run.ended);
        prop_assert!(run.plan.requested() <= 64 + 19);
    }
}
