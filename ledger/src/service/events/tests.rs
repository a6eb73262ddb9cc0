#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn event(number: u64) -> Event {
    Event::RootDisabled { index: number }
}

/// Records 11 to 16 of a ledger that began with 10, of which 12 and 15 have no events.
fn log(most: usize) -> EventLog {
    let log = EventLog::new(most, 10);
    for record in 11..=16 {
        if matches!(record, 12 | 15) {
            log.push(record, Block(record), &[]);
        } else {
            log.push(record, Block(record), &[event(record), event(record)]);
        }
    }
    log
}

fn records(page: &EventPage) -> Vec<u64> {
    page.items.iter().map(|item| item.record).collect()
}

#[test]
fn pages_lead_to_the_end() {
    let log = log(100);
    let page = log.page(0, 3).unwrap();
    assert_eq!(records(&page), [11, 13, 14]);
    assert_eq!((page.next, page.records), (14, 16));
    assert_eq!(page.items[1].events, [event(13), event(13)]);
    let page = log.page(page.next, 3).unwrap();
    assert_eq!(records(&page), [16]);
    assert_eq!(page.next, 16);
    let page = log.page(page.next, 3).unwrap();
    assert_eq!((records(&page), page.next), (vec![], 16));
    // Nothing of a record without events, but it is told.
    let page = log.page(14, 1).unwrap();
    assert_eq!((records(&page), page.next), (vec![16], 16));
}

#[test]
fn the_oldest_are_forgotten_and_that_is_said() {
    let log = log(2);
    assert_eq!(log.page(11, 10), Err(13));
    assert_eq!(log.page(12, 10), Err(13));
    assert_eq!(records(&log.page(13, 10).unwrap()), [14, 16]);
    assert_eq!(records(&log.page(0, 10).unwrap()), [14, 16]);
}

#[test]
fn what_was_before_the_start_is_not_here() {
    let log = EventLog::new(5, 10);
    assert_eq!(log.page(9, 10), Err(10));
    let page = log.page(10, 10).unwrap();
    assert_eq!((records(&page), page.next, page.records), (vec![], 10, 10));
    // A cursor of another ledger, or of one that lost its end.
    assert_eq!(log.page(99, 10).unwrap().next, 99);
}
