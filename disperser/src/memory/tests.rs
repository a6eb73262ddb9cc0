#![allow(clippy::unwrap_used)]

use super::*;

#[tokio::test]
async fn who_waits_wakes_whoever_can_free_memory() {
    let memory = MemoryBudget::new(10 * UNIT);
    let (wake, stop) = (Notify::new(), CancellationToken::new());
    assert!(memory.fits(10) && !memory.fits(11));
    let held = memory.take(8, &wake, &stop).await.unwrap();
    assert_eq!(memory.used(), 8 * UNIT);
    assert!(memory.try_take(3).is_none());
    assert!(!memory.is_waited_for());

    let waiting = memory.take(3, &wake, &stop);
    let freeing = async {
        wake.notified().await;
        assert!(memory.is_waited_for());
        drop(held);
    };
    let (taken, ()) = tokio::join!(waiting, freeing);
    assert_eq!(memory.used(), 3 * UNIT);
    assert!(!memory.is_waited_for());

    // Who waits when the disperser stops gets nothing.
    stop.cancel();
    assert!(memory.take(10, &wake, &stop).await.is_none());
    drop(taken);
    assert_eq!(memory.used(), 0);
}
