#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

#[test]
fn waits_grow_to_the_bound() {
    let backoff = Backoff {
        base: Duration::from_millis(100),
        max: Duration::from_millis(350),
    };
    let longest: Vec<_> = (0..4).map(|n| backoff.delay(n, 0).as_millis()).collect();
    assert_eq!(longest, [100, 200, 350, 350]);
    // 50 ms of a half of 50 ms is all of it; of a half of 100 ms it is 150 of 200 ms.
    assert_eq!(backoff.delay(0, 50_000_000), Duration::from_millis(50));
    assert_eq!(backoff.delay(1, 50_000_000), Duration::from_millis(150));
}

proptest! {
    #[test]
    fn always_within_bounds(base in 0u64..10_000, max in 0u64..100_000, failure in any::<u32>(), random in any::<u64>()) {
        let backoff = Backoff { base: Duration::from_millis(base), max: Duration::from_millis(max) };
        let delay = backoff.delay(failure, random);
        let factor = 2f64.powi(failure.min(40) as i32);
        let ceiling = (base as f64 * factor).min(max as f64) / 1000.0;
        prop_assert!(delay.as_secs_f64() <= ceiling + 1e-6);
        prop_assert!(delay.as_secs_f64() >= ceiling / 2.0 - 1e-6);
    }
}
