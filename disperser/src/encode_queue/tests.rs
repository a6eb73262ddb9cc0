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
        sender: Some(sender),
    }
}

/// What the next tick takes, if all of it fits.
fn tick(queue: &EncodeQueue, now: Instant) -> (ClaimCheck, Vec<BlobId>) {
    let check = queue.turn(4, |_| true, now);
    let taken: Vec<BlobId> = std::iter::from_fn(|| queue.take(check))
        .map(|waiting| waiting.id)
        .collect();
    queue.finish(taken.len());
    (check, taken)
}

#[test]
fn suspects_take_turns_with_everybody_else() {
    let now = Instant::now();
    let [good, bad] = ["10.0.0.1", "10.0.1.1"].map(|ip| Subnet::of(ip.parse::<IpAddr>().unwrap()));
    let queue = EncodeQueue::new(ClaimLimiter::new(Duration::from_secs(1)), Gauge::default());
    queue.claim_limiter.record_false_claim(bad, now);
    queue.push([from(1, good), from(2, bad), from(3, good), from(4, bad)]);
    assert_eq!(queue.length.get(), 4);

    assert_eq!(queue.turn(4, |_| true, now), ClaimCheck::Apart);
    assert_eq!(queue.take(ClaimCheck::Apart), Some(from(2, bad)));
    assert!(!queue.is_idle());
    queue.put_back(from(2, bad), ClaimCheck::Apart);
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
    assert_eq!(queue.turn(4, |_| false, now), ClaimCheck::Together);
}

#[test]
fn a_blob_that_is_taken_is_not_gone() {
    let queue = EncodeQueue::new(ClaimLimiter::new(Duration::ZERO), Gauge::default());
    assert!(queue.is_idle());
    queue.push([QueuedBlob::from(id(1))]);
    assert!(queue.take(ClaimCheck::Together).is_some());
    assert!(!queue.is_idle());
    queue.finish(1);
    assert!(queue.is_idle());
}
