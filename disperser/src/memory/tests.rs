#![allow(clippy::unwrap_used)]

use super::*;

#[tokio::test]
async fn who_waits_wakes_whoever_can_free_memory() {
    let memory = MemoryBudget::new(10 * UNIT);
    let (wake, stop) = (Notify::new(), CancellationToken::new());
    assert!(memory.fits(10) && !memory.fits(11));
    let held = memory.take(&[0], 8, &wake, &stop).await.unwrap();
    assert_eq!(memory.used(), 8 * UNIT);
    assert!(memory.try_take(&[0], 3).is_none());
    assert!(!memory.is_waited_for());

    let waiting = memory.take(&[0], 3, &wake, &stop);
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
    assert!(memory.take(&[0], 10, &wake, &stop).await.is_none());
    drop(taken);
    assert_eq!(memory.used(), 0);
}

/// Quorums of which nothing comes back have all that they may have: others find memory.
#[tokio::test]
async fn no_quorums_can_take_all_of_it() {
    let memory = MemoryBudget::new(1000 * UNIT);
    let fill = |quorums: &[QuorumId]| {
        let parts = std::iter::from_fn(|| {
            let room = memory.has_room(quorums, 10);
            room.then(|| memory.try_take(quorums, 10).unwrap())
        });
        parts.collect::<Vec<_>>()
    };
    let mut dead = fill(&[1]);
    assert!((70..=76).contains(&dead.len()), "{}", dead.len());
    let alive = fill(&[0]);
    assert!(alive.len() >= 15, "{}", alive.len());
    // Who has nothing may have all that is free.
    assert!(memory.has_room(&[0, 1], 1000));
    let part = dead[0].split(4).unwrap();
    drop(dead);
    memory.freed().await;
    assert_eq!(memory.used(), (10 * alive.len() as u64 + 4) * UNIT);
    drop((alive, part));
    assert!(memory.lanes.lock().is_empty());
}
