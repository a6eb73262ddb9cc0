//! What is known to be damaged: the list from the scrub and the custody agent to the [repair](crate::repair).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_service::Backoff;
use ashlar_service::metrics::gauge;
use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::health;
use crate::shared::Shared;
use crate::store::SequenceId;

/// Damaged parts known at a time, some 300 bytes each; when there are so many, the scrub waits.
const MOST: usize = 1 << 16;
/// Failing parts that the status names.
const SHOWN: usize = 16;
/// First and longest pause before a part is tried again.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(10),
    max: Duration::from_secs(3600),
};

/// Something that can be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The list of everything.
    List,
    /// A signed record.
    Record(SequenceId),
    /// A batch, but for its slices.
    Batch(SequenceId),
    /// The slices of one of its blobs.
    Blob(SequenceId, u32),
}

/// A damaged part, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) part: Part,
    pub(crate) why: String,
}

/// What the status says about repairs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct RepairStatus {
    /// Parts known to be damaged: batches, and slices of blobs.
    pub damaged: u64,
    /// Of those, parts that could not be made anew so far.
    pub failing: u64,
    /// The first of those, and why.
    pub examples: Vec<String>,
    /// Parts made anew since the start.
    pub repaired: u64,
}

#[derive(Debug)]
struct Entry {
    why: String,
    attempts: u32,
    due: Instant,
    problem: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    parts: BTreeMap<Part, Entry>,
    /// To be tried before all others.
    urgent: BTreeSet<Part>,
    repaired: u64,
}

/// What is damaged, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    state: Mutex<State>,
    pub(crate) news: Notify,
}

impl Repairs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// More that is damaged. What is known already stays as it is.
    pub(crate) fn add(&self, damage: Vec<Damage>) {
        if damage.is_empty() {
            return;
        }
        let mut state = self.state();
        for Damage { part, why } in damage {
            if state.parts.len() >= MOST {
                break;
            }
            state.parts.entry(part).or_insert_with(|| Entry {
                why,
                attempts: 0,
                due: Instant::now(),
                problem: None,
            });
        }
        drop(state);
        self.news.notify_one();
    }

    /// Somebody waits for this one: it comes first, and now.
    pub(crate) fn add_urgent(&self, damage: Damage) {
        let part = damage.part;
        {
            let mut state = self.state();
            if state.urgent.len() < MOST {
                state.urgent.insert(part);
            }
            if let Some(entry) = state.parts.get_mut(&part) {
                entry.due = Instant::now();
            }
        }
        self.add(vec![damage]);
        self.news.notify_one();
    }

    pub(crate) fn is_full(&self) -> bool {
        self.state().parts.len() >= MOST
    }

    /// A whole scrub has found these and no others.
    pub(crate) fn keep_only(&self, found: &BTreeSet<Part>) {
        let mut state = self.state();
        state.parts.retain(|part, _| found.contains(part));
        state.urgent.retain(|part| found.contains(part));
    }

    /// The part to try now, or when the next one is due.
    pub(crate) fn next(&self) -> Result<Part, Option<Instant>> {
        let mut state = self.state();
        let now = Instant::now();
        while let Some(part) = state.urgent.pop_first() {
            if state.parts.contains_key(&part) {
                return Ok(part);
            }
        }
        let first = state.parts.iter().min_by_key(|(_, entry)| entry.due);
        match first {
            Some((part, entry)) if entry.due <= now => Ok(*part),
            first => Err(first.map(|(_, entry)| entry.due)),
        }
    }

    pub(crate) fn healed(&self, part: &Part) {
        let mut state = self.state();
        if state.parts.remove(part).is_some() {
            state.repaired += 1;
        }
    }

    pub(crate) fn failed(&self, part: &Part, problem: String) {
        let mut state = self.state();
        if let Some(entry) = state.parts.get_mut(part) {
            entry.due = Instant::now() + BACKOFF.jittered(entry.attempts);
            entry.attempts = entry.attempts.saturating_add(1);
            entry.problem = Some(problem);
        }
    }

    pub(crate) fn status(&self) -> RepairStatus {
        let state = self.state();
        let failing = state.parts.values().filter(|entry| entry.problem.is_some());
        let examples = failing.clone().take(SHOWN).map(|entry| {
            let problem = entry.problem.as_deref().unwrap_or_default();
            format!("{}; not repaired: {problem}", entry.why)
        });
        RepairStatus {
            damaged: state.parts.len() as u64,
            failing: failing.clone().count() as u64,
            examples: examples.collect(),
            repaired: state.repaired,
        }
    }

    /// Tells health and metrics.
    pub(crate) fn publish(&self, shared: &Shared) {
        let status = self.status();
        let first = self.state().parts.values().next().map(|e| e.why.clone());
        shared.metrics.damaged.set(gauge(status.damaged));
        let damaged =
            first.map(|why| format!("{} parts are damaged; first: {why}", status.damaged));
        shared.health.set(health::CORRUPTION, damaged);
        let failing = status.examples.first().map(|example| {
            format!(
                "{} parts are damaged and could not be made anew: nothing is signed until they are; first: {example}",
                status.failing
            )
        });
        shared.health.set(health::DAMAGE, failing);
        shared.facts.set(|facts| facts.repair = status);
    }
}
