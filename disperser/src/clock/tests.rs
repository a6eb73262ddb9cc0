#![allow(clippy::unwrap_used)]

use std::time::Duration;

use ashlar_crypto::Coded;

use super::*;

/// A day of 2026, milliseconds.
const NOW: u64 = 1_790_000_000_000;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Readings so long after the start.
fn at(monotonic_ms: u64, wall_ms: u64, head_ms: Option<u64>) -> Reading {
    Reading {
        wall_ms,
        monotonic: Duration::from_millis(monotonic_ms),
        head_ms,
    }
}

fn codes(status: ClockStatus) -> (Option<&'static str>, Option<&'static str>) {
    (
        status.expiry.err().map(|fault| fault.code()),
        status.batching.err().map(|fault| fault.code()),
    )
}

const FINE: (Option<&str>, Option<&str>) = (None, None);

#[test]
fn a_clock_that_jumps_while_running_stops_both_until_it_comes_back() {
    for head in [false, true] {
        let head = |ms: u64| head.then_some(NOW + ms);
        let mut judge = ClockJudge::new(Some(NOW));
        assert_eq!(codes(judge.read(at(0, NOW, head(0)))), FINE);
        let forward = judge.read(at(SECOND, NOW + 20 * DAY, head(SECOND)));
        assert_eq!(
            codes(forward),
            (Some("clock.disagrees"), Some("clock.disagrees"))
        );
        assert_eq!(forward.accepted_ms, NOW + SECOND);
        let back = judge.read(at(2 * SECOND, NOW + 2 * SECOND, head(2 * SECOND)));
        assert_eq!(codes(back), FINE);
        let behind = judge.read(at(3 * SECOND, NOW - 20 * DAY, head(3 * SECOND)));
        assert_eq!(
            codes(behind),
            (Some("clock.disagrees"), Some("clock.behind"))
        );
        assert!(
            behind.promise_ms >= NOW + 2 * SECOND,
            "a promise does not begin in the past"
        );
        let back = judge.read(at(4 * SECOND, NOW + 4 * SECOND, head(4 * SECOND)));
        assert_eq!(codes(back), FINE);
    }
}

#[test]
fn a_clock_that_is_wrong_at_start_stops_both() {
    for (wall, batching) in [
        (NOW + 20 * DAY, "clock.disagrees"),
        (NOW - 20 * DAY, "clock.behind"),
    ] {
        for head in [None, Some(NOW + MINUTE)] {
            let status = ClockJudge::new(Some(NOW)).read(at(0, wall, head));
            assert_eq!(codes(status), (Some("clock.disagrees"), Some(batching)));
        }
    }
    // Nothing was ever kept: then a head alone can say so.
    for wall in [NOW + 20 * DAY, NOW - 20 * DAY] {
        let status = ClockJudge::new(None).read(at(0, wall, Some(NOW)));
        assert_eq!(
            codes(status),
            (Some("clock.disagrees"), Some("clock.disagrees"))
        );
        assert!(status.promise_ms >= NOW);
        assert_eq!(codes(ClockJudge::new(None).read(at(0, wall, None))), FINE);
    }
}

#[test]
fn a_ledger_that_stands_still_stops_expiry_and_no_batch() {
    let mut judge = ClockJudge::new(Some(NOW));
    assert_eq!(codes(judge.read(at(0, NOW, Some(NOW)))), FINE);
    for minute in 1..10_000 {
        let ms = minute * MINUTE;
        let status = judge.read(at(ms, NOW + ms, Some(NOW)));
        let expected = (minute > 10).then_some("clock.disagrees");
        assert_eq!(codes(status), (expected, None));
    }
    // A jump is still seen.
    let status = judge.read(at(10_000 * MINUTE, NOW + 40 * DAY, Some(NOW)));
    assert_eq!(
        codes(status),
        (Some("clock.disagrees"), Some("clock.disagrees"))
    );
}

#[test]
fn a_head_vouches_for_a_long_stop_and_measuring_goes_on_from_there() {
    let mut judge = ClockJudge::new(Some(NOW));
    let monday = NOW + 3 * DAY;
    assert_eq!(
        codes(judge.read(at(0, monday, Some(monday - SECOND)))),
        FINE
    );
    // The ledger stops now.
    let status = judge.read(at(HOUR, monday + HOUR, Some(monday - SECOND)));
    assert_eq!(codes(status), (Some("clock.disagrees"), None));
    // Without any head a person has to say that the stop was so long.
    let status = ClockJudge::new(Some(NOW)).read(at(0, monday, None));
    assert_eq!(
        codes(status),
        (Some("clock.disagrees"), Some("clock.disagrees"))
    );
}
