#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn waits_double_up_to_the_maximum_and_end() {
    let policy = RetryPolicy::default();
    let waits: Vec<_> = (1..6)
        .map(|attempt| policy.wait(attempt, None, 0).unwrap().as_millis())
        .collect();
    assert_eq!(waits, [200, 400, 800, 1600, 3200]);
    assert_eq!(policy.wait(6, None, 0), None);
    let patient = RetryPolicy {
        attempts: u32::MAX,
        ..policy
    };
    assert_eq!(patient.wait(4_000_000, None, 0), Some(patient.max));
}

#[test]
fn the_jitter_takes_half_at_most() {
    let policy = RetryPolicy::default();
    for random in [0, 1, 99_999, 100_000, 100_001, u64::MAX] {
        let wait = policy.wait(1, None, random).unwrap();
        assert!(
            wait >= Duration::from_millis(100) && wait <= Duration::from_millis(200),
            "{wait:?}"
        );
    }
    assert_ne!(policy.wait(1, None, 0), policy.wait(1, None, 5_000));
}

#[test]
fn retry_after_is_a_lower_bound_within_reason() {
    let policy = RetryPolicy::default();
    let asked = Some(Duration::from_secs(7));
    assert_eq!(policy.wait(1, asked, 3), asked);
    assert_eq!(policy.wait(1, Some(Duration::ZERO), 0), Some(policy.base));
    assert_eq!(policy.wait(1, Some(Duration::from_secs(61)), 0), None);
    assert_eq!(RetryPolicy::never().wait(1, None, 0), None);
}

#[test]
fn retry_after_takes_whole_seconds_only() {
    assert_eq!(retry_after(" 12 "), Some(Duration::from_secs(12)));
    assert_eq!(
        retry_after("99999999999999999999999"),
        Some(Duration::from_secs(u64::MAX))
    );
    for text in ["", "-1", "1.5", "Fri, 31 Dec 1999 23:59:59 GMT"] {
        assert_eq!(retry_after(text), None, "{text}");
    }
}

#[test]
fn only_statuses_that_pass_are_repeated() {
    let repeated: Vec<u16> = (100..600)
        .filter(|status| is_worth_repeating(*status))
        .collect();
    assert_eq!(repeated, [429, 502, 503, 504]);
}
