#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const RATE: u64 = 8 << 20;

fn id(number: u8) -> OperatorId {
    OperatorId([number; 32])
}

fn seen(operator: u8, conduct: Conduct, after_ms: u64) -> Observation {
    Observation {
        operator: id(operator),
        address: format!("127.0.0.{operator}:1"),
        conduct,
        after: Duration::from_millis(after_ms),
        bytes: 0,
        code: format!("{conduct:?}"),
        reason: "as the test wants it".into(),
    }
}

fn trust(scores: &Scores, now: Instant, operator: u8) -> Trust {
    scores.standing(now, &id(operator)).trust
}

#[test]
fn a_liar_is_avoided_for_longer_each_time_and_probed_in_between() {
    let (scores, mut now) = (Scores::default(), Instant::now());
    assert_eq!(trust(&scores, now, 1), Trust::Unknown);
    scores.learn(now, RATE, &[seen(1, Conduct::Answered, 5)]);
    assert_eq!(trust(&scores, now, 1), Trust::Good);
    let mut last = Duration::ZERO;
    for _ in 0..4 {
        // Several wrong answers in one fetch, between good ones, are one lie.
        let wrong = seen(1, Conduct::Wrong, 5);
        let fetch = [wrong.clone(), seen(1, Conduct::Answered, 5), wrong];
        scores.learn(now, RATE, &fetch);
        assert_eq!(trust(&scores, now, 1), Trust::Avoided);
        let avoided = Duration::from_millis(scores.all(now)[0].avoided_ms);
        assert!(avoided > last, "{avoided:?} after {last:?}");
        last = avoided;
        now += avoided + Duration::from_millis(1);
        // On probation: asked again, for little.
        assert_eq!(trust(&scores, now, 1), Trust::Unknown);
    }
    let view = &scores.all(now)[0];
    assert_eq!((view.wrong, view.answered), (8, 5));
    assert_eq!(view.last_fault.as_ref().unwrap().code, "Wrong");
    // In the end it is forgiven.
    now += Duration::from_secs(7 * 24 * 3600);
    scores.learn(now, RATE, &[seen(1, Conduct::Answered, 5)]);
    assert_eq!(trust(&scores, now, 1), Trust::Good);
}

#[test]
fn one_miss_is_forgiven_and_several_are_not() {
    let (scores, now) = (Scores::default(), Instant::now());
    scores.learn(now, RATE, &[seen(1, Conduct::Answered, 5)]);
    let before = scores.standing(now, &id(1)).cost;
    scores.learn(
        now,
        RATE,
        &[seen(1, Conduct::Late, 500), seen(1, Conduct::Refused, 5)],
    );
    assert_eq!(trust(&scores, now, 1), Trust::Good);
    assert!(scores.standing(now, &id(1)).cost > before);
    scores.learn(now, RATE, &[seen(1, Conduct::Refused, 5)]);
    assert_eq!(trust(&scores, now, 1), Trust::Avoided);
    let later = now + AVOID + Duration::from_millis(1);
    assert_eq!(trust(&scores, later, 1), Trust::Good);
    scores.learn(later, RATE, &[seen(1, Conduct::Answered, 5)]);
    assert!(scores.standing(later, &id(1)).cost < 2.0 * before);
}

#[test]
fn hedges_follow_what_was_measured() {
    let (scores, now) = (Scores::default(), Instant::now());
    let (configured, most) = (Duration::from_millis(400), Duration::from_secs(2));
    let hedge = |scores: &Scores| scores.hedge_after(configured, most);
    for n in 0..MIN_SAMPLES as u64 {
        assert_eq!(hedge(&scores), configured);
        scores.learn(now, RATE, &[seen(1, Conduct::Answered, 100 + n % 2)]);
    }
    assert_eq!(hedge(&scores), Duration::from_millis(202));
    // Waiting in vain counts, refusals do not.
    for _ in 0..SAMPLES {
        scores.learn(now, RATE, &[seen(2, Conduct::Late, 700)]);
        scores.learn(now, RATE, &[seen(3, Conduct::Refused, 0)]);
    }
    assert_eq!(hedge(&scores), Duration::from_millis(1400));
    for _ in 0..SAMPLES {
        scores.learn(now, RATE, &[seen(1, Conduct::Answered, 1)]);
    }
    assert_eq!(hedge(&scores), MIN_HEDGE);
}

#[test]
fn transfers_are_no_latency_and_memory_is_bounded() {
    let (scores, mut now) = (Scores::default(), Instant::now());
    let large = Observation {
        bytes: RATE,
        ..seen(1, Conduct::Answered, 1020)
    };
    scores.learn(now, RATE, &[large]);
    let view = &scores.all(now)[0];
    assert_eq!(view.latency_ms, Some(20));
    assert_eq!(view.bytes_per_second, Some(RATE * 1000 / 1020));
    for number in 0..MAX_OPERATORS as u32 + 10 {
        now += Duration::from_millis(1);
        let mut operator = [0xff; 32];
        operator[..4].copy_from_slice(&number.to_be_bytes());
        let one = Observation {
            operator: OperatorId(operator),
            ..seen(0, Conduct::Answered, 1)
        };
        scores.learn(now, RATE, &[one]);
    }
    assert_eq!(scores.all(now).len(), MAX_OPERATORS);
    assert_eq!(
        trust(&scores, now, 1),
        Trust::Unknown,
        "the oldest is forgotten"
    );
}
