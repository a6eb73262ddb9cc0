//! What the disperser says about itself: opening, ready, or degraded and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// A reason to be degraded. Each is raised and cleared by one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The database fails.
    Storage,
    /// The operator table cannot be read, or not the newest one.
    OperatorTable,
    /// This disperser is not in the newest operator table.
    NotRegistered,
    /// The last batch of the default quorums found too few signatures.
    Dispersal,
    /// The wall clock differs from what vouches for it: nothing expires, and mostly no batch is made.
    ClockDisagrees,
    /// The wall clock is behind a time that was reached before: no batch is made.
    ClockBehind,
    /// A fast kernel computed wrongly here: the portable one works in its place.
    Kernel,
    /// A background task ended.
    Task(&'static str),
}

impl Cause {
    /// Stable name.
    pub fn code(self) -> String {
        match self {
            Self::Storage => "storage".into(),
            Self::OperatorTable => "operator_table".into(),
            Self::NotRegistered => "not_registered".into(),
            Self::Dispersal => "dispersal".into(),
            Self::ClockDisagrees => "clock.disagrees".into(),
            Self::ClockBehind => "clock.behind".into(),
            Self::Kernel => "kernel.disagrees".into(),
            Self::Task(name) => format!("task.{name}"),
        }
    }
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The database is being opened; nothing else is served.
    Opening,
    /// Everything works.
    Ready,
    /// Something does not; see the reasons.
    Degraded,
    /// It is stopping.
    Stopping,
}

/// Why it is degraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reason {
    /// Stable name of the cause.
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct HealthReport {
    /// In one word.
    pub status: Status,
    /// Every cause that is raised.
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Stopping,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    causes: BTreeMap<Cause, String>,
}

/// The disperser's health, shared by everybody who knows something about it.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Opening,
                causes: BTreeMap::new(),
            }),
        }
    }
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database is open.
    pub fn opened(&self) {
        self.lock().phase = Phase::Open;
    }

    /// It is stopping.
    pub fn stopping(&self) {
        self.lock().phase = Phase::Stopping;
    }

    /// Raises a cause, or replaces its message.
    pub fn raise(&self, cause: Cause, message: impl Into<String>) {
        let message = message.into();
        let before = self.lock().causes.insert(cause, message.clone());
        if before.is_none() {
            tracing::warn!(cause = cause.code(), "degraded: {message}");
        }
    }

    /// Clears a cause.
    pub fn clear(&self, cause: Cause) {
        if self.lock().causes.remove(&cause).is_some() {
            tracing::info!(cause = cause.code(), "no longer degraded by this");
        }
    }

    /// The whole answer.
    pub fn report(&self) -> HealthReport {
        let state = self.lock();
        let status = match state.phase {
            Phase::Opening => Status::Opening,
            Phase::Stopping => Status::Stopping,
            Phase::Open if state.causes.is_empty() => Status::Ready,
            Phase::Open => Status::Degraded,
        };
        let reasons = state
            .causes
            .iter()
            .map(|(cause, message)| Reason {
                code: cause.code(),
                message: message.clone(),
            })
            .collect();
        HealthReport { status, reasons }
    }
}
