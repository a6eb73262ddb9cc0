#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn limits() -> BatchLimits {
    BatchLimits {
        interval: 1000 * MS,
        max_rows: 10,
        max_blobs: 4,
    }
}

fn lane(quorums: &[u8]) -> Lane {
    Lane {
        version: 1,
        quorums: quorums.to_vec(),
        alone: None,
    }
}

#[test]
fn the_interval_closes_a_batch() {
    let mut batcher = Batcher::new(limits());
    batcher.push(5 * MS, lane(&[0]), 1, 'a');
    batcher.push(500 * MS, lane(&[0]), 1, 'b');
    assert_eq!(batcher.next_wake(|_| true), Some(1005 * MS));
    assert_eq!(batcher.poll(1004 * MS, false, |_, _| false, |_| true), None);
    assert_eq!(
        batcher.poll(1005 * MS, false, |_, _| false, |_| true),
        Some((lane(&[0]), vec!['a', 'b']))
    );
    assert!(batcher.is_empty());
    assert_eq!(batcher.next_wake(|_| true), None);
}

#[test]
fn rows_or_blobs_fill_a_batch_and_the_rest_waits_on() {
    let mut batcher = Batcher::new(limits());
    for (rows, item) in [(4, 'a'), (4, 'b'), (4, 'c')] {
        batcher.push(Duration::ZERO, lane(&[0]), rows, item);
    }
    assert_eq!(
        batcher.poll(Duration::ZERO, false, |_, _| false, |_| true),
        Some((lane(&[0]), vec!['a', 'b']))
    );
    assert_eq!(
        batcher.poll(Duration::ZERO, false, |_, _| false, |_| true),
        None
    );
    assert_eq!(batcher.len(), 1);
    for item in ['d', 'e', 'f', 'g'] {
        batcher.push(MS, lane(&[0]), 1, item);
    }
    assert_eq!(
        batcher.poll(MS, false, |_, _| false, |_| true),
        Some((lane(&[0]), vec!['c', 'd', 'e', 'f']))
    );
}

#[test]
fn idleness_and_lack_of_memory_close_at_once() {
    for (memory, idle) in [(true, false), (false, true)] {
        let mut batcher = Batcher::new(limits());
        let poll = |batcher: &mut Batcher<_>| {
            let is_idle = |of: &Lane, _: &mut dyn Iterator<Item = &char>| idle && *of == lane(&[0]);
            batcher.poll(Duration::ZERO, memory, is_idle, |_| true)
        };
        assert_eq!(poll(&mut batcher), None);
        batcher.push(Duration::ZERO, lane(&[0]), 1, 'a');
        assert_eq!(
            batcher.poll(Duration::ZERO, false, |_, _| false, |_| true),
            None
        );
        batcher.push(Duration::ZERO, lane(&[1]), 1, 'b');
        assert_eq!(poll(&mut batcher), Some((lane(&[0]), vec!['a'])));
        // What is on its way for one line keeps no other one waiting, and none goes with it.
        assert_eq!(poll(&mut batcher).is_some(), memory);
    }
}

#[test]
fn versions_and_quorums_do_not_mix_and_the_longest_wait_goes_first() {
    let mut batcher = Batcher::new(limits());
    batcher.push(2 * MS, lane(&[0]), 1, 'b');
    batcher.push(MS, lane(&[0, 1]), 1, 'a');
    batcher.push(
        3 * MS,
        Lane {
            version: 2,
            ..lane(&[0])
        },
        1,
        'c',
    );
    batcher.push(4 * MS, lane(&[0]), 1, 'd');
    let mut order = Vec::new();
    while let Some((_, batch)) = batcher.poll(5000 * MS, false, |_, _| false, |_| true) {
        order.push(batch);
    }
    assert_eq!(order, [vec!['a'], vec!['b', 'd'], vec!['c']]);
}

#[test]
fn a_blob_that_was_lost_goes_alone() {
    let mut batcher = Batcher::new(limits());
    let alone = Some(BlobId([7; 32]));
    batcher.push(MS, lane(&[0]), 1, 'a');
    batcher.push(
        2 * MS,
        Lane {
            alone,
            ..lane(&[0])
        },
        1,
        'b',
    );
    batcher.push(3 * MS, lane(&[0]), 1, 'c');
    let mut order = Vec::new();
    while let Some((_, batch)) = batcher.poll(5000 * MS, false, |_, _| false, |_| true) {
        order.push(batch);
    }
    assert_eq!(order, [vec!['a', 'c'], vec!['b']]);
}

#[test]
fn a_blob_larger_than_a_batch_goes_alone_and_does_not_block() {
    let mut batcher = Batcher::new(limits());
    batcher.push(Duration::ZERO, lane(&[0]), 1000, 'a');
    batcher.push(Duration::ZERO, lane(&[0]), 1, 'b');
    assert_eq!(
        batcher.poll(Duration::ZERO, false, |_, _| false, |_| true),
        Some((lane(&[0]), vec!['a']))
    );
}

proptest! {
    /// Every blob leaves in exactly one batch, in order within its lane, within the limits, and not later than its interval.
    #[test]
    fn nothing_is_lost_or_late(blobs in proptest::collection::vec((0u64..300, 0u8..3, 1u32..10), 1..60)) {
        let limits = limits();
        let mut batcher = Batcher::new(limits);
        let mut left: Vec<(Lane, usize, Duration)> = Vec::new();
        let mut now = Duration::ZERO;
        let mut rows_of = Vec::new();
        let take = |batcher: &mut Batcher<usize>, left: &mut Vec<(Lane, usize, Duration)>, rows_of: &[u32], now| {
            while let Some((lane, batch)) = batcher.poll(now, false, |_, _| false, |_| true) {
                assert!(batch.len() <= limits.max_blobs);
                assert!(batch.iter().map(|b| rows_of[*b]).sum::<u32>() <= limits.max_rows);
                left.extend(batch.into_iter().map(|b| (lane.clone(), b, now)));
            }
        };
        let mut pushed = Vec::new();
        for (number, (pause, quorum, rows)) in blobs.into_iter().enumerate() {
            let next = now + Duration::from_millis(pause);
            while let Some(wake) = batcher.next_wake(|_| true).filter(|wake| *wake <= next) {
                take(&mut batcher, &mut left, &rows_of, wake);
            }
            now = next;
            rows_of.push(rows);
            pushed.push(now);
            batcher.push(now, lane(&[quorum]), rows, number);
            take(&mut batcher, &mut left, &rows_of, now);
        }
        while let Some(wake) = batcher.next_wake(|_| true) {
            take(&mut batcher, &mut left, &rows_of, wake);
        }
        prop_assert!(batcher.is_empty());
        let mut seen: Vec<usize> = left.iter().map(|(_, number, _)| *number).collect();
        for quorum in 0..3 {
            let of_lane: Vec<usize> = left.iter().filter(|(l, ..)| *l == lane(&[quorum])).map(|(_, n, _)| *n).collect();
            prop_assert!(of_lane.windows(2).all(|pair| pair[0] < pair[1]));
        }
        for (_, number, at) in &left {
            prop_assert!(*at <= pushed[*number] + limits.interval);
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..pushed.len()).collect::<Vec<_>>());
    }
}

#[test]
fn a_lane_without_a_place_waits_and_the_others_go() {
    let mut batcher = Batcher::new(limits());
    batcher.push(Duration::ZERO, lane(&[0]), 1, "full");
    batcher.push(MS, lane(&[1]), 1, "free");
    let is_free = |lane: &Lane| lane.quorums != [0];
    let (_, batch) = batcher.poll(2 * MS, false, |_, _| true, is_free).unwrap();
    assert_eq!(batch, ["free"]);
    assert_eq!(batcher.poll(5000 * MS, true, |_, _| false, is_free), None);
    assert_eq!(batcher.next_wake(is_free), None);
    assert!(batcher.next_wake(|_| true).is_some());
}
