#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use tokio::time::Instant;

use super::Budget;
use crate::{NetError, Phase};

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

#[tokio::test]
async fn bytes_come_back_with_the_last_slice() {
    let budget = Budget::new(64 << 10);
    let reservation = budget.reserve(64 << 10, soon()).await.unwrap();
    let bytes = reservation.attach(vec![7; 64 << 10]);
    let slice = bytes.slice(100..200);
    drop(reservation);
    drop(bytes);
    assert_eq!(budget.available(), 0);
    let refused = budget.reserve(1, soon()).await;
    assert!(
        matches!(
            refused,
            Err(NetError::Timeout {
                phase: Phase::Memory,
                ..
            })
        ),
        "{refused:?}"
    );
    drop(slice);
    assert_eq!(budget.available(), 64 << 10);
}

#[tokio::test]
async fn more_than_there_is_fails_at_once() {
    let budget = Budget::new(8192);
    let far = Instant::now() + Duration::from_secs(3600);
    assert!(matches!(
        budget.reserve(8193, far).await,
        Err(NetError::TooLarge {
            got: 8193,
            max: 8192,
            ..
        })
    ));
    assert!(matches!(
        budget.reserve(u64::MAX, far).await,
        Err(NetError::TooLarge { .. })
    ));
}

#[tokio::test]
async fn a_waiter_gets_what_another_gives_back() {
    let budget = Budget::new(8192);
    let first = budget.reserve(8192, soon()).await.unwrap();
    let waiting = tokio::spawn({
        let budget = budget.clone();
        async move {
            budget
                .reserve(4096, Instant::now() + Duration::from_secs(60))
                .await
                .is_ok()
        }
    });
    drop(first);
    assert!(waiting.await.unwrap());
}

#[tokio::test]
async fn what_is_not_free_now_is_not_waited_for() {
    let budget = Budget::new(8 << 10);
    let first = budget.try_reserve(5 << 10).unwrap();
    assert!(budget.try_reserve(1).is_none());
    assert!(budget.try_reserve(u64::MAX).is_none());
    drop(first);
    assert!(budget.try_reserve(8 << 10).is_some());
}
