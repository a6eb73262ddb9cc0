#![allow(clippy::unwrap_used)]

use std::time::Duration;

use crate::record::Party;
use ashlar_proto::Account;

use super::*;
use crate::fair_queue::QUANTUM;
use crate::testing::party;

fn id(n: u8) -> BlobId {
    BlobId([n; 32])
}

fn from(n: u8, party: Party) -> QueuedBlob {
    QueuedBlob {
        id: id(n),
        quorums: vec![0],
        origin: Origin {
            party,
            account: Account([0; 20]),
        },
        rows: 1,
        claimed: true,
    }
}

fn of(n: u8, quorums: &[QuorumId]) -> QueuedBlob {
    QueuedBlob {
        quorums: quorums.to_vec(),
        ..from(n, party(0))
    }
}

fn queue(backoff: Duration) -> EncodeQueue {
    EncodeQueue::new(ClaimLimiter::new(backoff), Gauge::default())
}

/// What the next tick takes, if all of it fits.
fn tick(queue: &EncodeQueue, now: Instant) -> (ClaimCheck, Vec<BlobId>) {
    let turn = queue.turn(now, |_| true).unwrap();
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
    let (good, bad) = (party(0), party(1));
    let queue = queue(Duration::from_secs(1));
    queue.claim_limiter.record_false_claim(bad, now);
    queue.push([from(1, good), from(2, bad), from(3, good), from(4, bad)]);
    assert_eq!(queue.length.get(), 4);

    let turn = queue.turn(now, |_| true).unwrap();
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
    let claimed = false;
    queue.push([QueuedBlob {
        claimed,
        ..from(6, bad)
    }]);
    let turn = queue.turn(now, |_| true).unwrap();
    assert_eq!(turn.check, ClaimCheck::Together);
}

#[test]
fn within_a_line_senders_take_turns() {
    let (queue, now) = (queue(Duration::ZERO), Instant::now());
    let (many, one) = (party(0), party(1));
    queue.push((0..100).map(|n| from(n, many)));
    queue.push([from(100, one)]);
    let (_, order) = tick(&queue, now);
    let at = order.iter().position(|taken| *taken == id(100));
    assert_eq!(at, Some(QUANTUM as usize));
}

#[test]
fn lines_of_quorums_have_ticks_in_turn() {
    let (queue, now) = (queue(Duration::ZERO), Instant::now());
    queue.push([of(1, &[0]), of(2, &[0]), of(3, &[1]), of(4, &[0, 1])]);
    let first = queue.turn(now, |_| true).unwrap();
    assert_eq!(queue.take(&first), Some(of(1, &[0])));
    queue.finish(1);
    for expected in [vec![id(4)], vec![id(3)], vec![id(2)]] {
        assert_eq!(tick(&queue, now).1, expected);
    }
    assert_eq!(queue.turn(now, |_| true), None);
}

#[test]
fn the_blobs_of_a_broken_quorum_wait_and_are_probed_one_at_a_time() {
    let (queue, now) = (queue(Duration::ZERO), Instant::now());
    queue.breaker.broke([1], now);
    queue.push([of(1, &[1]), of(2, &[0, 1]), of(3, &[0])]);
    assert!(!queue.is_idle());
    assert_eq!(tick(&queue, now).1, [id(3)]);
    assert_eq!(queue.turn(now, |_| true), None);
    // They do not keep anybody waiting for company.
    assert!(queue.is_idle());
    let later = now + Duration::from_secs(1);
    let probe = queue.turn(later, |_| true).unwrap();
    assert!(probe.probe);
    assert!(queue.take(&probe).is_some());
    queue.finish(1);
    assert_eq!(queue.turn(later, |_| true), None);
    queue.breaker.works(&[0, 1]);
    assert!(!queue.turn(later, |_| true).unwrap().probe);
}

#[test]
fn a_line_without_memory_lets_others_go_first() {
    let (queue, now) = (queue(Duration::ZERO), Instant::now());
    queue.push([of(1, &[0]), of(2, &[1])]);
    for _ in 0..3 {
        let turn = queue.turn(now, |quorums| quorums != &[0]).unwrap();
        assert_eq!(turn.quorums, [1]);
    }
    assert_eq!(queue.turn(now, |_| false), None);
    assert!(queue.has_open_line());
}

#[test]
fn a_blob_that_is_taken_is_not_gone() {
    let queue = queue(Duration::ZERO);
    assert!(queue.is_idle());
    queue.push([of(1, &[0])]);
    let turn = queue.turn(Instant::now(), |_| true).unwrap();
    assert!(queue.take(&turn).is_some());
    assert!(!queue.is_idle());
    queue.finish(1);
    assert!(queue.is_idle());
}
