#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use super::*;

fn id(n: u8) -> BlobId {
    BlobId([n; 32])
}

fn from(n: u8, sender: Subnet) -> QueuedBlob {
    QueuedBlob {
        id: id(n),
        quorums: vec![0],
        sender: Some(sender),
    }
}

fn of(n: u8, quorums: &[QuorumId]) -> QueuedBlob {
    QueuedBlob {
        id: id(n),
        quorums: quorums.to_vec(),
        sender: None,
    }
}

fn queue(backoff: Duration) -> EncodeQueue {
    EncodeQueue::new(ClaimLimiter::new(backoff), Gauge::default())
}

/// What the next tick takes, if all of it fits.
fn tick(queue: &EncodeQueue, now: Instant) -> (ClaimCheck, Vec<BlobId>) {
    let turn = queue.turn(4, |_| true, now).unwrap();
    let most = if turn.probe { 1 } else { usize::MAX };
    let taken: Vec<BlobId> = std::iter::from_fn(|| queue.take(&turn))
        .map(|waiting| waiting.id)
        .take(most)
        .collect();
    queue.finish(taken.len());
    (turn.check, taken)
}

#[test]
fn suspects_take_turns_with_everybody_else() {
    let now = Instant::now();
    let [good, bad] = ["10.0.0.1", "10.0.1.1"].map(|ip| Subnet::of(ip.parse::<IpAddr>().unwrap()));
    let queue = queue(Duration::from_secs(1));
    queue.claim_limiter.record_false_claim(bad, now);
    queue.push([from(1, good), from(2, bad), from(3, good), from(4, bad)]);
    assert_eq!(queue.length.get(), 4);

    let turn = queue.turn(4, |_| true, now).unwrap();
    assert_eq!(turn.check, ClaimCheck::Apart);
    assert_eq!(queue.take(&turn), Some(from(2, bad)));
    assert!(!queue.is_idle());
    queue.put_back(from(2, bad), &turn);
    assert_eq!(queue.length.get(), 4);

    assert_eq!(
        tick(&queue, now),
        (ClaimCheck::Together, vec![id(1), id(3)])
    );
    queue.push([from(5, good)]);
    assert_eq!(tick(&queue, now), (ClaimCheck::Apart, vec![id(2), id(4)]));
    assert_eq!(tick(&queue, now), (ClaimCheck::Together, vec![id(5)]));
    assert!(queue.is_idle());
    assert_eq!(queue.length.get(), 0);

    // Without claims nobody is a suspect.
    queue.push([from(6, bad)]);
    let turn = queue.turn(4, |_| false, now).unwrap();
    assert_eq!(turn.check, ClaimCheck::Together);
}

#[test]
fn lines_of_quorums_have_ticks_in_turn() {
    let (queue, now) = (queue(Duration::ZERO), Instant::now());
    queue.push([of(1, &[0]), of(2, &[0]), of(3, &[1]), of(4, &[0, 1])]);
    let first = queue.turn(1, |_| true, now).unwrap();
    assert_eq!(queue.take(&first), Some(of(1, &[0])));
    queue.finish(1);
    for expected in [vec![id(4)], vec![id(3)], vec![id(2)]] {
        assert_eq!(tick(&queue, now).1, expected);
    }
    assert_eq!(queue.turn(1, |_| true, now), None);
}

#[test]
fn the_blobs_of_a_broken_quorum_wait_and_are_probed_one_at_a_time() {
    let (queue, now) = (queue(Duration::ZERO), Instant::now());
    queue.breaker.broke([1], now);
    queue.push([of(1, &[1]), of(2, &[0, 1]), of(3, &[0])]);
    assert!(!queue.is_idle());
    assert_eq!(tick(&queue, now).1, [id(3)]);
    assert_eq!(queue.turn(1, |_| true, now), None);
    // They do not keep anybody waiting for company.
    assert!(queue.is_idle());
    let later = now + Duration::from_secs(1);
    let probe = queue.turn(1, |_| true, later).unwrap();
    assert!(probe.probe);
    assert!(queue.take(&probe).is_some());
    queue.finish(1);
    assert_eq!(queue.turn(1, |_| true, later), None);
    queue.breaker.works(&[0, 1]);
    assert!(!queue.turn(1, |_| true, later).unwrap().probe);
}

#[test]
fn a_blob_that_is_taken_is_not_gone() {
    let queue = queue(Duration::ZERO);
    assert!(queue.is_idle());
    queue.push([of(1, &[0])]);
    let turn = queue.turn(1, |_| true, Instant::now()).unwrap();
    assert!(queue.take(&turn).is_some());
    assert!(!queue.is_idle());
    queue.finish(1);
    assert!(queue.is_idle());
}
