//! What the service says about itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::types::{HealthReport, Reason, Status};

/// A reason to be degraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// A write failed: no more transactions.
    Storage,
    /// Heads are not signed: followers see no new block.
    Heads,
    /// The wall clock is not believed: the time in heads goes its own way.
    Clock,
    /// The fast kernel of this CPU computes something else than the portable one, which serves in its place.
    Kernel,
    /// The last snapshot could not be written: opening takes longer.
    Snapshot,
    /// A part that is needed has ended.
    Task(&'static str),
}

impl Cause {
    fn code(self) -> String {
        match self {
            Self::Storage => "storage".into(),
            Self::Heads => "heads".into(),
            Self::Clock => "clock".into(),
            Self::Kernel => "kernel.disagrees".into(),
            Self::Snapshot => "snapshot".into(),
            Self::Task(name) => format!("task.{name}"),
        }
    }
}

#[derive(Debug)]
struct State {
    phase: Status,
    causes: BTreeMap<Cause, String>,
    last_block: Instant,
}

/// The service's health, shared by everybody who knows something about it.
#[derive(Debug)]
pub(crate) struct Health {
    state: Mutex<State>,
    /// Without a new block for so long, blocks have stalled.
    stalled_after: Duration,
}

impl Health {
    pub(crate) fn new(block_time: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Status::Opening,
                causes: BTreeMap::new(),
                last_block: Instant::now(),
            }),
            stalled_after: (block_time * 5).max(Duration::from_secs(5)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn opened(&self) {
        let mut state = self.lock();
        state.phase = Status::Ready;
        state.last_block = Instant::now();
    }

    pub(crate) fn stopping(&self) {
        self.lock().phase = Status::Stopping;
    }

    /// There is a new block.
    pub(crate) fn block(&self) {
        self.lock().last_block = Instant::now();
    }

    pub(crate) fn raise(&self, cause: Cause, message: impl Into<String>) {
        let message = message.into();
        if self.lock().causes.insert(cause, message.clone()).is_none() {
            tracing::error!(cause = cause.code(), "degraded: {message}");
        }
    }

    pub(crate) fn clear(&self, cause: Cause) {
        if self.lock().causes.remove(&cause).is_some() {
            tracing::info!(cause = cause.code(), "no longer degraded by this");
        }
    }

    /// Why nothing can be written any more.
    pub(crate) fn storage_failure(&self) -> Option<String> {
        self.lock().causes.get(&Cause::Storage).cloned()
    }

    /// The whole answer.
    pub(crate) fn report(&self) -> HealthReport {
        let state = self.lock();
        let mut reasons: Vec<Reason> = state
            .causes
            .iter()
            .map(|(cause, message)| Reason {
                code: cause.code(),
                message: message.clone(),
            })
            .collect();
        let age = state.last_block.elapsed();
        if state.phase == Status::Ready && age > self.stalled_after {
            reasons.push(Reason {
                code: "blocks".into(),
                message: format!("no block was made for {} s", age.as_secs()),
            });
        }
        let status = match state.phase {
            Status::Ready if !reasons.is_empty() => Status::Degraded,
            phase => phase,
        };
        HealthReport { status, reasons }
    }
}
