//! The newest events, in memory.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ashlar_proto::Block;
use ashlar_restaking::Event;

use crate::types::{EventPage, EventsOf};

#[derive(Debug)]
struct Kept {
    items: VecDeque<EventsOf>,
    /// Everything after this record is here.
    since: u64,
    /// The last record.
    records: u64,
}

/// Events of the records since the start, the oldest forgotten first.
#[derive(Debug)]
pub(crate) struct EventLog {
    most: usize,
    kept: Mutex<Kept>,
}

impl EventLog {
    /// Nothing yet; the log has so many records.
    pub(crate) fn new(most: usize, records: u64) -> Self {
        Self {
            most,
            kept: Mutex::new(Kept {
                items: VecDeque::new(),
                since: records,
                records,
            }),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, record: u64, block: Block, events: &[Event]) {
        let mut kept = self.kept();
        kept.records = record;
        if events.is_empty() {
            return;
        }
        kept.items.push_back(EventsOf {
            record,
            block,
            events: events.to_vec(),
        });
        while kept.items.len() > self.most {
            if let Some(gone) = kept.items.pop_front() {
                kept.since = gone.record;
            }
        }
    }

    /// Up to `limit` records with events after `since`; 0 for the oldest that are kept. An error says after which record events
    /// are kept.
    pub(crate) fn page(&self, since: u64, limit: usize) -> Result<EventPage, u64> {
        let kept = self.kept();
        if since != 0 && since < kept.since {
            return Err(kept.since);
        }
        // Records rise: the first one wanted is found by halving.
        let start = kept.items.partition_point(|item| item.record <= since);
        let items: Vec<EventsOf> = kept.items.range(start..).take(limit).cloned().collect();
        let all = kept.items.len() - start == items.len();
        let next = match items.last() {
            Some(last) if !all => last.record,
            _ => kept.records.max(since),
        };
        Ok(EventPage {
            items,
            next,
            records: kept.records,
        })
    }
}

#[cfg(test)]
mod tests;
