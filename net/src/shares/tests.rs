#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn user(n: u8) -> User {
    User::Known(NetworkPublicKey([n; 32]))
}

fn soon() -> Instant {
    Instant::now() + Duration::from_millis(50)
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

async fn lent(shares: &Shares, n: u8, amount: u64) -> (Arc<Claim>, Lease) {
    let claim = Claim::new(user(n));
    let lease = shares.take(&claim, amount, true, far()).await.unwrap();
    (claim, lease)
}

#[tokio::test]
async fn who_is_alone_has_all_and_who_comes_later_gets_its_part_back() {
    let shares = Shares::new(8);
    let mut first = Vec::new();
    for _ in 0..8 {
        first.push(lent(&shares, 1, 1).await);
    }
    assert_eq!(shares.used(), 8);
    // Alone, and nothing is left.
    let refused = shares.take(&Claim::new(user(1)), 1, true, soon()).await;
    assert!(matches!(refused, Err(NetError::Timeout { .. })));

    let second = tokio::spawn({
        let shares = shares.clone();
        async move { lent(&shares, 2, 3).await }
    });
    while first.iter().filter(|(claim, _)| claim.is_revoked()).count() < 3 {
        tokio::task::yield_now().await;
    }
    let revoked: Vec<bool> = first.iter().map(|(claim, _)| claim.is_revoked()).collect();
    assert_eq!(
        revoked,
        [[false; 5].as_slice(), &[true; 3]].concat(),
        "the youngest"
    );
    first.truncate(5);
    let second = second.await.unwrap();
    assert_eq!(shares.used(), 8);
    // The second has 3 of its 4: it gets one more, and not two.
    let more = tokio::spawn({
        let shares = shares.clone();
        async move { lent(&shares, 2, 1).await }
    });
    while !first[4].0.is_revoked() {
        tokio::task::yield_now().await;
    }
    first.truncate(4);
    let more = more.await.unwrap();
    let refused = shares.take(&Claim::new(user(2)), 1, false, far()).await;
    assert!(refused.is_err(), "at once: it is not patient");
    assert!(first.iter().all(|(claim, _)| !claim.is_revoked()));
    drop((first, second, more));
    assert_eq!(shares.used(), 0);
}

#[tokio::test]
async fn what_is_settled_is_not_taken_back() {
    let shares = Shares::new(2);
    let (claim, lease) = lent(&shares, 1, 2).await;
    claim.settle();
    assert!(
        shares
            .take(&Claim::new(user(2)), 1, true, soon())
            .await
            .is_err()
    );
    assert!(!claim.is_revoked());
    drop(lease);
    lent(&shares, 2, 1).await;
    let claim = Claim::new(user(1));
    assert!(claim.revoke());
    claim.settle();
    assert!(claim.is_revoked());
}

#[tokio::test]
async fn who_has_least_is_next() {
    let shares = Shares::new(4);
    let (_a, one) = lent(&shares, 1, 2).await;
    let (_b, two) = lent(&shares, 2, 2).await;
    // Beyond their shares, both; the third within its own, though it comes last.
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut waiting = Vec::new();
    for (n, amount) in [(1, 1), (2, 1), (3, 1)] {
        let (shares, order) = (shares.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let lease = lent(&shares, n, amount).await;
            order.lock().unwrap().push(n);
            drop(lease);
        }));
        tokio::task::yield_now().await;
    }
    drop(two);
    for waiting in waiting {
        waiting.await.unwrap();
    }
    let order = order.lock().unwrap().clone();
    assert!(order.contains(&1) && order[0] != 1, "{order:?}");
    drop(one);
}

/// Small requests of many keep nobody from a large one: it has its turn.
#[tokio::test]
async fn a_large_request_has_its_turn() {
    let shares = Shares::new(8);
    let mut held = Vec::new();
    for n in 0..8 {
        held.push(lent(&shares, n % 2, 1).await);
    }
    let large = tokio::spawn({
        let shares = shares.clone();
        async move { lent(&shares, 9, 6).await }
    });
    tokio::time::sleep(TURN / 4).await;
    assert!(held.iter().all(|(claim, _)| !claim.is_revoked()));
    while !large.is_finished() {
        // Who is asked to gives back, and requests end by themselves; others come.
        held.retain(|(claim, _)| !claim.is_revoked());
        held.pop();
        let claim = Claim::new(user(3));
        let now = Instant::now() + Duration::from_millis(1);
        drop(shares.take(&claim, 1, true, now).await);
    }
    let (claim, _lease) = large.await.unwrap();
    // Beyond its share, but it has the time to end.
    let other = Claim::new(user(3));
    let refused = shares.take(&other, 3, true, soon()).await;
    assert!(refused.is_err() && !claim.is_revoked());
}

#[tokio::test]
async fn more_than_there_is_fails_at_once() {
    let shares = Shares::new(4);
    let refused = shares.take(&Claim::new(user(1)), 5, true, far()).await;
    assert!(matches!(
        refused,
        Err(NetError::TooLarge { got: 5, max: 4, .. })
    ));
    drop(
        Shares::new(u64::MAX)
            .take(&Claim::new(user(1)), u64::MAX, true, far())
            .await
            .unwrap(),
    );
}

proptest! {
    /// Whatever is asked for and given back: never more than there is, all of it comes back, and nobody waits while there is room.
    #[test]
    fn the_sum_is_never_more_than_there_is(steps in proptest::collection::vec((0u8..4, 1u64..6, any::<bool>()), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let shares = Shares::new(10);
            let mut held: Vec<(Arc<Claim>, Lease)> = Vec::new();
            for (n, amount, give_back) in steps {
                if give_back && !held.is_empty() {
                    held.remove(n as usize % held.len());
                } else {
                    let claim = Claim::new(user(n));
                    let now = Instant::now();
                    if let Ok(lease) = shares.take(&claim, amount, true, now).await {
                        held.push((claim, lease));
                    } else {
                        prop_assert!(shares.used() + amount > 10);
                    }
                }
                // Whoever is asked to ends.
                held.retain(|(claim, _)| !claim.is_revoked());
                prop_assert!(shares.used() <= 10);
            }
            held.clear();
            prop_assert_eq!(shares.used(), 0);
            prop_assert!(shares.0.lock().used.is_empty() && shares.0.lock().leases.is_empty());
            Ok(())
        })?;
    }
}
