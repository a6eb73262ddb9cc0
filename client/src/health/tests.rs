#![allow(clippy::unwrap_used)]

use super::*;

fn trouble(book: &mut Book, index: usize, now: Instant) {
    book.failed(index, Fault::Trouble, "client.unreachable", now, 0);
}

#[test]
fn the_configured_order_holds_until_somebody_fails() {
    let now = Instant::now();
    let mut book = Book::new(3);
    assert_eq!(book.order(now), [0, 1, 2]);
    trouble(&mut book, 0, now);
    assert_eq!(book.order(now), [1, 2, 0]);
    assert_eq!(
        book.all()[0].rests_until,
        None,
        "one failure is no reason to rest"
    );
    trouble(&mut book, 1, now);
    trouble(&mut book, 1, now);
    assert_eq!(book.order(now), [2, 0, 1]);
    book.works(1);
    assert_eq!(book.order(now), [1, 2, 0]);
}

#[test]
fn failures_in_a_row_rest_longer_and_a_lie_an_hour() {
    let now = Instant::now();
    let mut book = Book::new(2);
    for _ in 0..3 {
        trouble(&mut book, 0, now);
    }
    let rest = |book: &Book, index: usize| book.all()[index].rests_until.unwrap() - now;
    assert_eq!(rest(&book, 0), Duration::from_secs(5));
    trouble(&mut book, 0, now);
    assert_eq!(rest(&book, 0), Duration::from_secs(10));
    for _ in 0..40 {
        trouble(&mut book, 0, now);
    }
    assert_eq!(rest(&book, 0), Duration::from_secs(300));

    book.failed(1, Fault::Lie, "certificate.threshold", now, 0);
    assert_eq!(rest(&book, 1), Duration::from_secs(3600));
    assert_eq!(book.all()[1].last, Some("certificate.threshold"));
    // Who rests for less long comes first, and nobody is left out.
    assert_eq!(book.order(now), [0, 1]);
    // A rest that is over is none; the failures still count until it works.
    assert_eq!(book.order(now + Duration::from_secs(301)), [0, 1]);
    book.works(0);
    assert_eq!(book.all()[0], Health::default());
}
