#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use ashlar_net::Subnet;

use super::*;

const FIRST: Duration = Duration::from_secs(10);

fn sender(n: u32) -> Party {
    Party::Network(Subnet::of(IpAddr::from((n << 8).to_be_bytes())))
}

#[test]
fn the_backoff_doubles_with_every_lie_after_it_and_is_forgotten_in_the_end() {
    let (book, start) = (ClaimLimiter::new(FIRST), Instant::now());
    let (liar, other) = (sender(1), sender(2));
    book.record_false_claim(liar, start);
    assert_eq!(book.backoff(liar, start), Some(FIRST));
    assert_eq!(book.backoff(other, start), None);
    assert!(book.is_suspect(liar, start) && !book.is_suspect(other, start));

    // What was sent before it was found out counts once.
    for _ in 0..100 {
        book.record_false_claim(liar, start + FIRST / 2);
    }
    let mut now = start + FIRST;
    assert_eq!(book.backoff(liar, now), None);
    assert!(book.is_suspect(liar, now));

    for doubled in [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
        book.record_false_claim(liar, now);
        let backoff = Duration::from_secs(doubled);
        assert_eq!(book.backoff(liar, now), Some(backoff));
        now += backoff;
    }
    assert!(book.is_suspect(liar, now + MEMORY - Duration::from_secs(1)));
    now += MEMORY;
    assert!(!book.is_suspect(liar, now));
    book.record_false_claim(liar, now);
    assert_eq!(book.backoff(liar, now), Some(FIRST), "forgotten");
}

#[test]
fn the_book_is_bounded_and_forgets_first_who_would_be_forgiven_first() {
    let (book, start) = (ClaimLimiter::new(FIRST), Instant::now());
    let mut now = start;
    for n in 0..=CAPACITY as u32 {
        now += Duration::from_millis(1);
        book.record_false_claim(sender(n), now);
    }
    assert_eq!(book.lock().len(), CAPACITY);
    assert!(!book.is_suspect(sender(0), now));
    assert!(book.is_suspect(sender(1), now));
    // A known one needs no room.
    now += FIRST;
    book.record_false_claim(sender(1), now);
    assert_eq!(book.lock().len(), CAPACITY);
    assert!(book.is_suspect(sender(2), now));
}
