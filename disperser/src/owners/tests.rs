#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures::FutureExt as _;

use super::*;

const A: BlobId = BlobId([1; 32]);
const B: BlobId = BlobId([2; 32]);

#[tokio::test]
async fn what_an_owner_drops_comes_back_later_each_time() {
    let owners = Arc::new(Owners::default());
    let owned = owners.own(A).unwrap();
    assert!(owners.own(A).is_none(), "one owner at a time");
    assert!(owners.has(&A) && !owned.is_shaky());
    drop(owned);
    let mut pauses = Vec::new();
    for losses in 1..=2 {
        assert!(owners.has(&A) && owners.own(A).is_none());
        let began = Instant::now();
        let owned = owners.next_lost().await;
        pauses.push(began.elapsed());
        assert_eq!((owned.id(), owned.losses()), (A, losses));
        drop(owned);
    }
    assert!(pauses[0] >= Duration::from_millis(400), "{pauses:?}");
    assert!(pauses[1] >= Duration::from_millis(900), "{pauses:?}");

    // Its losses are remembered in the queue, and forgotten in the end.
    owners.next_lost().await.back();
    assert!(!owners.has(&A));
    let owned = owners.own(A).unwrap();
    assert_eq!((owned.losses(), owners.shaky()), (3, 1));
    owned.done();
    assert_eq!(owners.shaky(), 0);
    assert!(!owners.own(A).unwrap().is_shaky());
}

#[tokio::test]
async fn a_panic_loses_what_its_task_owned_and_nothing_else() {
    let owners = Arc::new(Owners::default());
    let kept = owners.own(B).unwrap();
    let owned = owners.own(A).unwrap();
    let task = tokio::spawn(async move {
        let _owned = owned;
        std::panic::resume_unwind(Box::new("told to"));
    });
    assert!(task.await.unwrap_err().is_panic());
    let lost = owners.next_lost().await;
    assert_eq!(lost.id(), A);
    assert!(owners.next_lost().now_or_never().is_none());
    lost.done();
    kept.back();
    assert!(!owners.has(&A) && !owners.has(&B));
}
