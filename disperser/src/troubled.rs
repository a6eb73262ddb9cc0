//! What failed lately, and how long each is left alone for it: longer with every failure.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ashlar_service::Backoff;

#[derive(Clone, Copy, Debug)]
struct Trouble {
    failures: u32,
    until: Instant,
}

/// Those that failed and have not worked since. There are as few of them as there are operators or quorums.
#[derive(Debug)]
pub(crate) struct Troubled<K> {
    pause: Backoff,
    all: Mutex<BTreeMap<K, Trouble>>,
}

impl<K: Ord> Troubled<K> {
    pub(crate) fn new(pause: Backoff) -> Self {
        Self {
            pause,
            all: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Trouble>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when it is left alone, which may be over; `None` if it is not in trouble.
    pub(crate) fn until(&self, key: &K) -> Option<Instant> {
        self.lock().get(key).map(|trouble| trouble.until)
    }

    /// It failed. What was on its way when it did counts once.
    pub(crate) fn failed(&self, key: K, now: Instant) {
        let mut all = self.lock();
        let trouble = all.entry(key).or_insert(Trouble {
            failures: 0,
            until: now,
        });
        if trouble.until <= now {
            trouble.until = now + self.pause.jittered(trouble.failures);
            trouble.failures = trouble.failures.saturating_add(1);
        }
    }

    /// It works.
    pub(crate) fn works(&self, key: &K) {
        self.lock().remove(key);
    }
}
