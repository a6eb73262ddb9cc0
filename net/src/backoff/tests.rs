#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use proptest::prelude::*;

use super::Backoff;

#[test]
fn waits_grow_to_the_bound_and_end() {
    let backoff = Backoff {
        base: Duration::from_millis(100),
        max: Duration::from_millis(350),
        attempts: 4,
    };
    let longest: Vec<_> = (0..5).map(|n| backoff.delay(n, 50_000_000)).collect();
    // 50 ms of a half of 50 ms is all of it; of a half of 100 ms it is 150 of 200 ms.
    assert_eq!(longest[0], Some(Duration::from_millis(100)));
    assert_eq!(longest[1], Some(Duration::from_millis(150)));
    assert_eq!(longest[2], Some(Duration::from_millis(225)));
    assert_eq!(longest[3], Some(Duration::from_millis(225)));
    assert_eq!(longest[4], None);
}

proptest! {
    #[test]
    fn always_within_bounds(base in 0u64..10_000, max in 0u64..100_000, attempt in any::<u32>(), random in any::<u64>()) {
        let backoff = Backoff { base: Duration::from_millis(base), max: Duration::from_millis(max), attempts: u32::MAX };
        match backoff.delay(attempt, random) {
            Some(delay) => {
                let factor = 2f64.powi(attempt.min(40) as i32);
                let ceiling = (base as f64 * factor).min(max as f64) / 1000.0;
                prop_assert!(delay.as_secs_f64() <= ceiling + 1e-6);
                prop_assert!(delay.as_secs_f64() >= ceiling / 2.0 - 1e-6);
            }
            None => prop_assert_eq!(attempt, u32::MAX),
        }
    }
}
