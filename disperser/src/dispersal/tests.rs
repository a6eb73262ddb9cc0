#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

const A: OperatorIndex = OperatorIndex(0);
const B: OperatorIndex = OperatorIndex(1);
const C: OperatorIndex = OperatorIndex(2);
const D: OperatorIndex = OperatorIndex(3);

fn params() -> DispersalParams {
    DispersalParams {
        deadline: 60 * S,
        stall: 600 * S,
        linger: 2 * S,
        straggler_grace: 5 * S,
        attempt_timeout: 10 * S,
        backoff_min: S,
        backoff_max: 8 * S,
        refusal_retries: 2,
        jitter_seed: 7,
    }
}

fn sig(OperatorIndex(n): OperatorIndex) -> SignatureBytes {
    SignatureBytes([n as u8; 48])
}

fn fail(kind: FailureKind) -> Result<SignatureBytes, Failure> {
    Err(Failure {
        kind,
        code: "test.fail".into(),
        message: "it failed".into(),
        blame: Blame::Peer,
    })
}

/// Operators 0.. with these stakes in quorum 0, which needs 55 %.
fn one_quorum(params: DispersalParams, stakes: &[u64]) -> Dispersal {
    with_suspects(params, stakes, &[])
}

fn with_suspects(params: DispersalParams, stakes: &[u64], suspects: &[OperatorIndex]) -> Dispersal {
    let total = stakes.iter().sum::<u64>();
    let members = stakes
        .iter()
        .zip(0..)
        .map(|(stake, operator)| Member {
            operator: OperatorIndex(operator),
            stakes: vec![(0, Stake::from(*stake))],
            suspect: suspects.contains(&OperatorIndex(operator)),
        })
        .collect();
    Dispersal::new(
        params,
        vec![QuorumNeed {
            quorum: 0,
            total: Stake::from(total),
            percent: 55,
        }],
        members,
    )
}

fn sent(actions: &[Action]) -> Vec<OperatorIndex> {
    actions
        .iter()
        .filter_map(|action| match action {
            Action::Send { operator, .. } => Some(*operator),
            _ => None,
        })
        .collect()
}

/// Polls, and answers every verification with "good" but for the operators in `bad`.
fn settle(machine: &mut Dispersal, now: Duration, bad: &[OperatorIndex]) -> Vec<Action> {
    let mut all = Vec::new();
    loop {
        let actions = machine.poll(now);
        let mut again = false;
        for action in actions {
            if let Action::Verify { signatures } = &action {
                again = true;
                machine.verified(signatures.iter().map(|(operator, _)| {
                    let result = match bad.contains(operator) {
                        true => fail(FailureKind::Invalid).map(|_| ()),
                        false => Ok(()),
                    };
                    (*operator, result)
                }));
            }
            all.push(action);
        }
        if !again {
            return all;
        }
    }
}

fn certify(signers: &[OperatorIndex]) -> Action {
    Action::Certify {
        signers: signers.to_vec(),
    }
}

fn improve(signers: &[OperatorIndex]) -> Action {
    Action::Improve {
        signers: signers.to_vec(),
    }
}

#[test]
fn the_certificate_is_issued_at_the_threshold_and_again_when_all_have_signed() {
    let mut machine = one_quorum(params(), &[1, 1, 1, 1]);
    assert_eq!(sent(&machine.poll(Duration::ZERO)), [A, B, C, D]);
    for operator in [A, B] {
        machine.answered(S, operator, Ok(sig(operator)));
        assert_eq!(settle(&mut machine, S, &[]), []);
    }
    machine.answered(S, C, Ok(sig(C)));
    let actions = settle(&mut machine, S, &[]);
    assert_eq!(actions.last(), Some(&certify(&[A, B, C])));
    machine.answered(S, D, Ok(sig(D)));
    let actions = settle(&mut machine, S, &[]);
    assert_eq!(actions[1..], [improve(&[A, B, C, D]), Action::Done]);
    assert_eq!(machine.next_wake(), None);
    assert!(machine.poll(100 * S).is_empty());
}

#[test]
fn signatures_are_verified_in_bulk_and_only_when_they_could_be_enough() {
    let mut machine = one_quorum(params(), &[20, 20, 20, 20, 20]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    assert!(machine.poll(S).is_empty());
    machine.answered(S, B, Ok(sig(B)));
    assert!(machine.poll(S).is_empty(), "40 % is not enough to look");
    machine.answered(S, C, Ok(sig(C)));
    let expected = Action::Verify {
        signatures: vec![(A, sig(A)), (B, sig(B)), (C, sig(C))],
    };
    assert_eq!(machine.poll(S), [expected]);
    assert!(machine.poll(S).is_empty(), "one verification at a time");
}

#[test]
fn better_certificates_come_after_the_linger_and_at_the_end() {
    let mut machine = one_quorum(params(), &[30, 30, 20, 10, 10]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    machine.answered(S, B, Ok(sig(B)));
    let actions = settle(&mut machine, S, &[]);
    assert_eq!(actions.last(), Some(&certify(&[A, B])));
    assert_eq!(machine.next_wake(), Some(3 * S));
    machine.answered(2 * S, C, Ok(sig(C)));
    assert!(settle(&mut machine, 2 * S, &[]).is_empty());
    let actions = settle(&mut machine, 3 * S, &[]);
    assert_eq!(actions.last(), Some(&improve(&[A, B, C])));
    // The last one hangs: the one before may still sign, until the grace is over.
    assert_eq!(machine.next_wake(), Some(6 * S));
    machine.answered(5 * S, D, Ok(sig(D)));
    assert!(settle(&mut machine, 5 * S, &[]).is_empty());
    let hangs: Vec<_> = machine.under_way().collect();
    assert_eq!(hangs, [OperatorIndex(4)]);
    let actions = settle(&mut machine, 6 * S, &[]);
    assert_eq!(actions[1..], [improve(&[A, B, C, D]), Action::Done]);
}

#[test]
fn without_further_signatures_nothing_better_is_made() {
    let mut machine = one_quorum(params(), &[60, 40]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    let actions = settle(&mut machine, S, &[]);
    assert_eq!(actions.last(), Some(&certify(&[A])));
    // Its attempts go on meanwhile.
    machine.answered(S, B, fail(FailureKind::Transient));
    assert!(machine.poll(S).is_empty());
    let wake = machine.next_wake().unwrap();
    assert_eq!(sent(&settle(&mut machine, wake, &[])), [B]);
    assert!(settle(&mut machine, 3 * S, &[]).is_empty());
    assert_eq!(machine.poll(6 * S), [Action::Done]);
}

#[test]
fn who_failed_of_late_is_asked_when_the_certificate_is_out() {
    let mut machine = with_suspects(params(), &[30, 30, 40], &[C]);
    assert_eq!(sent(&machine.poll(Duration::ZERO)), [A, B]);
    assert_eq!(machine.next_wake(), Some(S));
    machine.answered(100 * MS, A, Ok(sig(A)));
    machine.answered(100 * MS, B, Ok(sig(B)));
    let actions = settle(&mut machine, 100 * MS, &[]);
    assert!(actions.contains(&certify(&[A, B])), "{actions:?}");
    assert_eq!(sent(&actions), [C]);
    machine.answered(200 * MS, C, Ok(sig(C)));
    let actions = settle(&mut machine, 200 * MS, &[]);
    assert_eq!(actions[1..], [improve(&[A, B, C]), Action::Done]);

    // If it is needed, it is asked after a back-off.
    let mut machine = with_suspects(params(), &[30, 70], &[B]);
    assert_eq!(sent(&machine.poll(Duration::ZERO)), [A]);
    assert_eq!(sent(&machine.poll(S)), [B]);
}

#[test]
fn a_suspects_signature_is_looked_at_apart() {
    let mut machine = with_suspects(params(), &[30, 30, 40], &[A]);
    machine.poll(Duration::ZERO);
    machine.poll(S);
    machine.answered(S, A, Ok(sig(A)));
    machine.answered(S, B, Ok(sig(B)));
    machine.answered(S, C, Ok(sig(C)));
    let without = Action::Verify {
        signatures: vec![(B, sig(B)), (C, sig(C))],
    };
    let with = Action::Verify {
        signatures: vec![(A, sig(A))],
    };
    let actions = settle(&mut machine, S, &[A]);
    assert_eq!(actions, [without, certify(&[B, C]), with, Action::Done]);

    // Where the others are not enough, all of them are looked at.
    let mut machine = with_suspects(params(), &[30, 30, 40], &[A]);
    machine.poll(S);
    machine.answered(S, A, Ok(sig(A)));
    machine.answered(S, B, Ok(sig(B)));
    let both = Action::Verify {
        signatures: vec![(A, sig(A)), (B, sig(B))],
    };
    assert_eq!(machine.poll(S), [both]);
}

#[test]
fn a_dispersal_says_once_that_it_waits_long() {
    let params = DispersalParams {
        stall: 3 * S,
        ..params()
    };
    let mut machine = one_quorum(params, &[50, 50]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    assert!(machine.poll(S).is_empty());
    assert_eq!(machine.next_wake(), Some(3 * S));
    assert_eq!(machine.poll(3 * S), [Action::Stalled]);
    assert_eq!(machine.lacking(), [0]);
    assert_eq!(machine.next_wake(), Some(60 * S));
    assert!(machine.poll(4 * S).is_empty());
    machine.answered(5 * S, B, Ok(sig(B)));
    assert_eq!(machine.lacking(), [0u8; 0]);
    let actions = settle(&mut machine, 5 * S, &[]);
    assert_eq!(actions[1..], [certify(&[A, B]), Action::Done]);
}

#[test]
fn a_slow_operator_delays_nobody() {
    let mut machine = one_quorum(params(), &[30, 30, 40]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    machine.answered(S, B, Ok(sig(B)));
    let actions = settle(&mut machine, S, &[]);
    assert_eq!(actions.last(), Some(&certify(&[A, B])));
}

#[test]
fn retries_back_off_double_and_stay_within_their_bounds() {
    let mut machine = one_quorum(params(), &[40, 60]);
    assert_eq!(sent(&machine.poll(Duration::ZERO)), [A, B]);
    machine.answered(Duration::ZERO, A, Ok(sig(A)));
    let mut now = Duration::ZERO;
    let mut pauses = Vec::new();
    for attempt in 1..=6u32 {
        machine.answered(now, B, fail(FailureKind::Transient));
        assert!(machine.poll(now).is_empty());
        let wake = machine.next_wake().unwrap();
        let full = (S * (1 << (attempt - 1))).min(8 * S);
        assert!(
            wake - now >= full / 2 && wake - now <= full,
            "pause {:?} of {full:?}",
            wake - now
        );
        assert!(sent(&machine.poll(wake - MS)).is_empty());
        pauses.push((wake - now).as_secs_f64() / full.as_secs_f64());
        now = wake;
        let actions = machine.poll(now);
        assert!(
            matches!(actions[..], [Action::Send { operator: B, attempt: a, .. }] if a == attempt + 1)
        );
    }
    // It jitters.
    assert!(
        pauses
            .windows(2)
            .any(|pair| (pair[0] - pair[1]).abs() > 0.01),
        "{pauses:?}"
    );
}

#[test]
fn a_refusal_is_repeated_a_few_times_and_an_invalid_answer_never() {
    let mut machine = one_quorum(params(), &[25, 25, 50]);
    machine.poll(Duration::ZERO);
    machine.answered(Duration::ZERO, A, fail(FailureKind::Invalid));
    let mut now = Duration::ZERO;
    for _ in 0..2 {
        machine.answered(now, B, fail(FailureKind::Refused));
        assert!(machine.poll(now).is_empty());
        now = machine.next_wake().unwrap();
        assert_eq!(sent(&machine.poll(now)), [B]);
    }
    machine.answered(now, B, fail(FailureKind::Refused));
    // 50 % are left: out of reach, and nothing is gained by waiting for the deadline.
    assert_eq!(
        machine.poll(now),
        [Action::Fail {
            reason: FailReason::OutOfReach
        }]
    );
    let failed: Vec<_> = machine
        .unsigned()
        .map(|(operator, attempts, _)| (operator, attempts))
        .collect();
    assert_eq!(failed, [(A, 1), (B, 3), (C, 1)]);
}

#[test]
fn a_bad_signature_is_blamed_and_the_others_suffice_or_do_not() {
    let mut machine = one_quorum(params(), &[30, 30, 40]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    machine.answered(S, C, Ok(sig(C)));
    assert!(
        !settle(&mut machine, S, &[A])
            .iter()
            .any(|a| matches!(a, Action::Certify { .. } | Action::Fail { .. }))
    );
    assert_eq!(machine.signed()[0].signed, Stake::from(40));
    machine.answered(2 * S, B, Ok(sig(B)));
    let actions = settle(&mut machine, 2 * S, &[A]);
    assert!(
        actions.contains(&Action::Certify {
            signers: vec![B, C]
        }),
        "{actions:?}"
    );

    let mut machine = one_quorum(params(), &[50, 50]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    machine.answered(S, B, Ok(sig(B)));
    let actions = settle(&mut machine, S, &[B]);
    assert_eq!(
        actions.last(),
        Some(&Action::Fail {
            reason: FailReason::OutOfReach
        })
    );
}

#[test]
fn the_deadline_fails_the_batch_but_not_before_what_came_was_looked_at() {
    let mut machine = one_quorum(params(), &[50, 50]);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    assert!(machine.poll(59 * S).is_empty());
    let actions = settle(&mut machine, 60 * S, &[]);
    assert_eq!(
        actions,
        [
            Action::Verify {
                signatures: vec![(A, sig(A))]
            },
            Action::Fail {
                reason: FailReason::Deadline
            }
        ]
    );
    assert_eq!(machine.signed()[0].signed, Stake::from(50));
    assert_eq!(machine.next_wake(), None);
}

#[test]
fn no_attempt_outlives_the_deadline() {
    let mut machine = one_quorum(params(), &[50, 50]);
    machine.poll(Duration::ZERO);
    machine.answered(54 * S, A, fail(FailureKind::Transient));
    let wake = machine.next_wake().unwrap();
    let actions = machine.poll(wake);
    assert!(
        matches!(actions[..], [Action::Send { timeout, .. }] if timeout == 60 * S - wake),
        "{actions:?}"
    );
}

#[test]
fn every_quorum_has_to_be_reached() {
    let members = vec![
        Member {
            operator: A,
            stakes: vec![(0, Stake::from(90)), (1, Stake::from(10))],
            suspect: false,
        },
        Member {
            operator: B,
            stakes: vec![(0, Stake::from(10)), (1, Stake::from(90))],
            suspect: false,
        },
    ];
    let need = |quorum| QuorumNeed {
        quorum,
        total: Stake::from(100),
        percent: 55,
    };
    let mut machine = Dispersal::new(params(), vec![need(0), need(1)], members);
    machine.poll(Duration::ZERO);
    machine.answered(S, A, Ok(sig(A)));
    assert!(
        settle(&mut machine, S, &[]).is_empty(),
        "90 % of one quorum is nothing"
    );
    machine.answered(S, B, Ok(sig(B)));
    assert!(settle(&mut machine, S, &[]).contains(&Action::Certify {
        signers: vec![A, B]
    }));
}

#[test]
fn a_dispersal_without_members_or_needs_fails_and_does_not_certify() {
    let need = QuorumNeed {
        quorum: 0,
        total: Stake::from(1),
        percent: 55,
    };
    let mut machine = Dispersal::new(params(), vec![need], Vec::new());
    assert_eq!(
        machine.poll(Duration::ZERO),
        [Action::Fail {
            reason: FailReason::OutOfReach
        }]
    );
    let member = Member {
        operator: A,
        stakes: Vec::new(),
        suspect: false,
    };
    let mut machine = Dispersal::new(params(), Vec::new(), vec![member]);
    let actions = machine.poll(Duration::ZERO);
    assert!(
        !actions.iter().any(|a| matches!(a, Action::Certify { .. })),
        "{actions:?}"
    );
}

#[test]
fn answers_that_nobody_waits_for_change_nothing() {
    let mut machine = one_quorum(params(), &[50, 50]);
    machine.answered(Duration::ZERO, A, Ok(sig(OperatorIndex(9))));
    machine.answered(Duration::ZERO, OperatorIndex(77), Ok(sig(A)));
    machine.verified([(A, Ok(())), (OperatorIndex(77), Ok(()))]);
    assert!(machine.signed()[0].signed.is_zero());
    assert_eq!(sent(&machine.poll(Duration::ZERO)), [A, B]);
    machine.answered(S, A, Ok(sig(A)));
    machine.answered(S, A, fail(FailureKind::Invalid)); // a second answer to one request
    assert!(sent(&machine.poll(S)).is_empty());
}

/// What an operator of a random run does: after how long it answers each attempt, and with what.
#[derive(Debug, Clone)]
struct Temper {
    stake: u64,
    delay_ms: u64,
    /// Attempts that fail first; `None` for one that never signs.
    failures: Option<u32>,
    bad_signature: bool,
    suspect: bool,
}

fn tempers() -> impl Strategy<Value = Vec<Temper>> {
    let one = (
        1u64..1000,
        0u64..20_000,
        proptest::option::weighted(0.8, 0u32..4),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.2),
    );
    let one = one.prop_map(
        |(stake, delay_ms, failures, bad_signature, suspect)| Temper {
            stake,
            delay_ms,
            failures,
            bad_signature,
            suspect,
        },
    );
    proptest::collection::vec(one, 1..12)
}

proptest! {
    /// Driven by its own wakes, a dispersal always ends: certified with enough stake that really signed, or failed, and
    /// by the deadline; and nobody is asked twice at once.
    #[test]
    fn every_run_ends_and_certifies_only_what_was_signed(tempers in tempers()) {
        let params = params();
        let stakes: Vec<u64> = tempers.iter().map(|t| t.stake).collect();
        let total: u64 = stakes.iter().sum();
        let suspects: Vec<OperatorIndex> = (0..)
            .map(OperatorIndex)
            .zip(&tempers)
            .filter_map(|(operator, temper)| temper.suspect.then_some(operator))
            .collect();
        let mut machine = with_suspects(params, &stakes, &suspects);
        // Time of the answer, operator, attempt.
        let mut pending: Vec<(Duration, OperatorIndex, u32, Duration)> = Vec::new();
        let mut now = Duration::ZERO;
        let mut decided = None;
        let mut certified = 0;
        for _ in 0..10_000 {
            let mut over = false;
            for action in machine.poll(now) {
                match action {
                    Action::Send { operator, attempt, timeout } => {
                        prop_assert!(decided != Some(false));
                        prop_assert!(pending.iter().all(|p| p.1 != operator), "asked twice at once");
                        let delay = Duration::from_millis(tempers[operator.0 as usize].delay_ms);
                        pending.push((now + delay.min(timeout), operator, attempt, timeout));
                    }
                    Action::Verify { signatures } => {
                        let results: Vec<_> = signatures
                            .iter()
                            .map(|(operator, _)| match tempers[operator.0 as usize].bad_signature {
                                true => (*operator, fail(FailureKind::Invalid).map(|_| ())),
                                false => (*operator, Ok(())),
                            })
                            .collect();
                        machine.verified(results);
                    }
                    Action::Certify { signers } | Action::Improve { signers } => {
                        prop_assert!(signers.len() > certified && (certified == 0) == decided.is_none());
                        certified = signers.len();
                        let signed: u64 = signers.iter().map(|o| stakes[o.0 as usize]).sum();
                        prop_assert!(signed * 100 >= total * 55);
                        for operator in &signers {
                            let temper = &tempers[operator.0 as usize];
                            prop_assert!(!temper.bad_signature && temper.failures.is_some());
                        }
                        prop_assert!(now <= params.deadline + params.straggler_grace);
                        decided = Some(true);
                    }
                    Action::Stalled => prop_assert!(decided.is_none()),
                    Action::Fail { .. } => {
                        prop_assert!(decided.is_none());
                        prop_assert!(now <= params.deadline);
                        decided = Some(false);
                        over = true;
                    }
                    Action::Done => {
                        prop_assert_eq!(decided, Some(true));
                        over = true;
                    }
                }
            }
            if over {
                prop_assert_eq!(machine.next_wake(), None);
                break;
            }
            let wake = machine.next_wake().unwrap_or(now).max(now);
            pending.sort();
            match pending.first().copied() {
                Some((at, operator, attempt, timeout)) if at <= wake => {
                    pending.remove(0);
                    now = at.max(now);
                    let temper = &tempers[operator.0 as usize];
                    let late = Duration::from_millis(temper.delay_ms) >= timeout;
                    let signs = !late && temper.failures.is_some_and(|failures| attempt > failures);
                    let result = if signs { Ok(sig(operator)) } else { fail(FailureKind::Transient) };
                    machine.answered(now, operator, result);
                }
                _ => now = wake,
            }
        }
        prop_assert!(decided.is_some(), "it never ended");
    }
}
