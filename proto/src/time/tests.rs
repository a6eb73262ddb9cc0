#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

/// A day of 2026, milliseconds.
const NOW: u64 = 1_790_000_000_000;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn at(wall_ms: u64, monotonic_ms: u64) -> Reading {
    Reading {
        wall_ms,
        monotonic: Duration::from_millis(monotonic_ms),
        head_ms: None,
    }
}

fn with_head(wall_ms: u64, monotonic_ms: u64, head_ms: u64) -> Reading {
    Reading {
        head_ms: Some(head_ms),
        ..at(wall_ms, monotonic_ms)
    }
}

fn code(result: Result<impl std::fmt::Debug, ClockFault>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn the_first_reading_ever_is_believed() {
    let timing = Timekeeper::new(None).read(at(NOW, 5));
    assert_eq!((timing.expiry, timing.signing), (Ok(NOW), Ok(())));
    assert_eq!(timing.accepted_ms, NOW);
    let timing = Timekeeper::new(None).read(with_head(NOW, 5, NOW - SECOND));
    assert_eq!(timing.expiry, Ok(NOW - SECOND));
    assert_eq!(timing.accepted_ms, NOW - SECOND);
}

#[test]
fn a_good_clock_is_followed() {
    let mut keeper = Timekeeper::new(Some(NOW));
    for minute in 0..10_000 {
        let timing = keeper.read(at(NOW + minute * MINUTE, minute * MINUTE));
        assert_eq!(timing.expiry, Ok(NOW + minute * MINUTE));
        assert_eq!(timing.fault(), None);
    }
}

#[test]
fn a_jump_forward_while_running_stops_expiry_until_it_is_taken_back() {
    let mut keeper = Timekeeper::new(Some(NOW));
    keeper.read(at(NOW, 0));
    let jumped = keeper.read(at(NOW + 20 * DAY, MINUTE));
    assert_eq!(
        jumped.expiry,
        Err(ClockFault::Disagrees {
            wall_ms: NOW + 20 * DAY,
            vouched_ms: NOW + MINUTE,
            reference: TimeReference::Monotonic
        })
    );
    assert_eq!(
        jumped.accepted_ms,
        NOW + MINUTE,
        "only what was measured is kept"
    );
    // It stays so, however often it is read and however long it lasts.
    for hour in 1..1000 {
        let timing = keeper.read(at(NOW + 20 * DAY + hour * HOUR, hour * HOUR));
        assert_eq!(code(timing.expiry), "clock.disagrees");
        assert_eq!(timing.accepted_ms, NOW + hour * HOUR);
    }
    let back = keeper.read(at(NOW + 1000 * HOUR, 1000 * HOUR));
    assert_eq!(back.expiry, Ok(NOW + 1000 * HOUR));
    assert_eq!(back.fault(), None);
}

#[test]
fn a_jump_forward_at_start_is_not_believed_however_often_it_starts() {
    let mut durable = NOW;
    for _ in 0..1000 {
        let mut keeper = Timekeeper::new(Some(durable));
        let timing = keeper.read(at(NOW + 20 * DAY, 0));
        assert_eq!(code(timing.expiry), "clock.disagrees");
        durable = keeper.read(at(NOW + 20 * DAY + SECOND, SECOND)).accepted_ms;
    }
    assert_eq!(durable, NOW + 1000 * SECOND, "what was measured, no credit");
}

#[test]
fn a_stop_is_credited_up_to_an_hour() {
    let timing = Timekeeper::new(Some(NOW)).read(at(NOW + HOUR, 0));
    assert_eq!(timing.expiry, Ok(NOW + HOUR));
    let mut keeper = Timekeeper::new(Some(NOW));
    let timing = keeper.read(at(NOW + HOUR + 1, 0));
    assert_eq!(code(timing.expiry), "clock.disagrees");
    assert_eq!(timing.accepted_ms, NOW);
    // The credit is for the first reading alone: not for a jump of half an hour later on.
    let mut keeper = Timekeeper::new(Some(NOW));
    keeper.read(at(NOW, 0));
    let timing = keeper.read(at(NOW + HOUR / 2, SECOND));
    assert_eq!(code(timing.expiry), "clock.disagrees");
}

#[test]
fn a_jump_back_stops_signing_until_the_clock_catches_up() {
    for restarted in [false, true] {
        let mut keeper = Timekeeper::new(Some(NOW));
        keeper.read(at(NOW, 0));
        if restarted {
            keeper = Timekeeper::new(Some(NOW));
        }
        let timing = keeper.read(at(NOW - 20 * DAY, SECOND));
        assert_eq!(code(timing.signing), "clock.behind");
        assert_eq!(code(timing.expiry), "clock.disagrees");
        assert_eq!(timing.accepted_ms, NOW, "the highest time is kept");
        let timing = keeper.read(at(NOW - 31 * SECOND, 2 * SECOND));
        assert_eq!(code(timing.signing), "clock.behind");
        assert_eq!(
            timing.expiry,
            Ok(NOW - 31 * SECOND),
            "late expiry is no harm"
        );
        assert_eq!(
            keeper.read(at(NOW - 30 * SECOND, 3 * SECOND)).signing,
            Ok(())
        );
    }
}

#[test]
fn a_jump_back_and_forth_costs_nothing() {
    let mut keeper = Timekeeper::new(Some(NOW));
    keeper.read(at(NOW, 0));
    keeper.read(at(NOW - DAY, HOUR));
    let timing = keeper.read(at(NOW + 2 * HOUR, 2 * HOUR));
    assert_eq!(timing.expiry, Ok(NOW + 2 * HOUR));
}

#[test]
fn small_steps_are_no_fault() {
    let mut keeper = Timekeeper::new(Some(NOW));
    keeper.read(at(NOW, 0));
    let timing = keeper.read(at(NOW + 2 * SECOND, SECOND));
    assert_eq!(timing.fault(), None);
    assert_eq!(timing.expiry, Ok(NOW + SECOND));
    let timing = keeper.read(at(NOW - 3 * SECOND, 2 * SECOND));
    assert_eq!(timing.fault(), None);
}

#[test]
fn a_head_vouches_for_any_stop() {
    let mut keeper = Timekeeper::new(Some(NOW));
    let timing = keeper.read(with_head(NOW + 3 * DAY, 0, NOW + 3 * DAY - SECOND));
    assert_eq!(timing.expiry, Ok(NOW + 3 * DAY - SECOND));
    assert_eq!(timing.fault(), None);
}

#[test]
fn a_jump_forward_against_a_head_stops_expiry() {
    let mut keeper = Timekeeper::new(Some(NOW));
    let timing = keeper.read(with_head(NOW + 20 * DAY, 0, NOW));
    assert_eq!(
        timing.expiry,
        Err(ClockFault::Disagrees {
            wall_ms: NOW + 20 * DAY,
            vouched_ms: NOW,
            reference: TimeReference::Head
        })
    );
    assert_eq!(timing.accepted_ms, NOW);
    // A head that is wrong alone moves nothing either, and does not stop signing.
    let timing = keeper.read(with_head(NOW + SECOND, SECOND, NOW + 20 * DAY));
    assert_eq!(code(timing.expiry), "clock.disagrees");
    assert_eq!(timing.signing, Ok(()));
    assert_eq!(timing.accepted_ms, NOW + SECOND);
}

#[test]
fn an_old_head_expires_late_and_then_not_at_all() {
    let mut keeper = Timekeeper::new(Some(NOW));
    let timing = keeper.read(with_head(NOW + 10 * MINUTE, 0, NOW));
    assert_eq!(timing.expiry, Ok(NOW));
    let timing = keeper.read(with_head(NOW + 10 * MINUTE + 1, 1, NOW));
    assert_eq!(code(timing.expiry), "clock.disagrees");
}

#[test]
fn without_its_head_the_monotonic_clock_vouches_on() {
    let mut keeper = Timekeeper::new(Some(NOW));
    keeper.read(with_head(NOW + DAY, 0, NOW + DAY));
    let timing = keeper.read(at(NOW + DAY + HOUR, HOUR));
    assert_eq!(timing.expiry, Ok(NOW + DAY + HOUR));
    let timing = keeper.read(at(NOW + 9 * DAY, HOUR + SECOND));
    assert_eq!(code(timing.expiry), "clock.disagrees");
}

#[test]
fn extreme_readings_do_no_harm() {
    for wall in [0, 1, u64::MAX] {
        for durable in [None, Some(0), Some(u64::MAX)] {
            for head_ms in [None, Some(0), Some(u64::MAX)] {
                let mut keeper = Timekeeper::new(durable);
                for monotonic in [Duration::ZERO, Duration::MAX, Duration::ZERO] {
                    keeper.read(Reading {
                        wall_ms: wall,
                        monotonic,
                        head_ms,
                    });
                }
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// True time passes.
    Pass(u64),
    /// The wall clock is set wrong by this much.
    Set(i64),
    /// Stop for a while, start again.
    Restart(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..2 * HOUR).prop_map(Step::Pass),
        2 => (-40 * DAY as i64..40 * DAY as i64).prop_map(Step::Set),
        1 => Just(Step::Set(0)),
        2 => (0..3 * HOUR).prop_map(Step::Restart),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    /// Whatever the wall clock does: without a head, the time for expiry runs ahead of the true time by no more than the
    /// credit of each start; with an honest head, never.
    #[test]
    fn nothing_expires_early(steps in steps(), head in any::<bool>()) {
        let (mut truth, mut monotonic, mut wrong, mut starts) = (NOW, 0u64, 0i64, 1u64);
        let mut keeper = Timekeeper::new(Some(NOW));
        let mut accepted = NOW;
        for step in steps {
            match step {
                Step::Pass(ms) => (truth, monotonic) = (truth + ms, monotonic + ms),
                Step::Set(by) => wrong = by,
                Step::Restart(ms) => {
                    keeper = Timekeeper::new(Some(accepted));
                    (truth, monotonic, starts) = (truth + ms, 0, starts + 1);
                }
            }
            let wall_ms = truth.saturating_add_signed(wrong);
            let reading = Reading {
                wall_ms,
                monotonic: Duration::from_millis(monotonic),
                head_ms: head.then_some(truth),
            };
            let timing = keeper.read(reading);
            prop_assert!(timing.accepted_ms >= accepted, "it never falls");
            accepted = timing.accepted_ms;
            let bound = if head { truth } else { truth + starts * HOUR };
            prop_assert!(accepted <= bound);
            if let Ok(time) = timing.expiry {
                prop_assert!(time <= wall_ms && time <= bound);
            }
        }
    }

    /// A clock that is right is never called wrong, over any stops that need no question.
    #[test]
    fn no_false_alarm(stops in proptest::collection::vec((1..HOUR, 0..50 * MINUTE), 1..50)) {
        let (mut truth, mut durable) = (NOW, NOW);
        for (run, stop) in stops {
            truth += stop;
            let mut keeper = Timekeeper::new(Some(durable));
            for monotonic in [0, run / 2, run] {
                let timing = keeper.read(at(truth + monotonic, monotonic));
                prop_assert_eq!(timing.fault(), None);
                prop_assert_eq!(timing.expiry, Ok(truth + monotonic));
                durable = timing.accepted_ms;
            }
            truth += run;
        }
    }
}
