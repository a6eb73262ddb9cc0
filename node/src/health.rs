//! What the node says about itself: opening, ready, or degraded and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// A reason to be degraded. Each is raised and cleared by one part of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A write to the database failed; it is tried again with back-off.
    Storage,
    /// Less free disk space than configured.
    DiskSpace,
    /// Stored data does not match its hashes.
    Corruption,
    /// The operator table cannot be read.
    OperatorTable,
    /// Somebody vouched for two operator tables of one block: none is believed any more.
    Contradiction,
    /// This operator is not in the newest operator table, or with another network key.
    NotRegistered,
    /// The wall clock is behind a time that was reached before.
    ClockBehind,
    /// Wall clock and what vouches for it disagree: nothing expires.
    ClockDisagrees,
    /// The protection file was exported for moving: another database signs now.
    Moved,
    /// The fast kernel of this CPU computes something else than the portable one, which serves in its place.
    Kernel,
    /// A disperser signed two batches under one number. Not this node's fault: a notice, the node is as well as before.
    Equivocation,
    /// A background task ended.
    Task(&'static str),
}

impl Cause {
    /// Stable name.
    pub fn code(self) -> String {
        match self {
            Self::Storage => "storage".into(),
            Self::DiskSpace => "disk_space".into(),
            Self::Corruption => "corruption".into(),
            Self::OperatorTable => "operator_table".into(),
            Self::Contradiction => "head.contradiction".into(),
            Self::NotRegistered => "not_registered".into(),
            Self::ClockBehind => "clock.behind".into(),
            Self::ClockDisagrees => "clock.disagrees".into(),
            Self::Moved => "database.moved".into(),
            Self::Kernel => "kernel.disagrees".into(),
            Self::Equivocation => "disperser.equivocation".into(),
            Self::Task(name) => format!("task.{name}"),
        }
    }

    /// Whether batches must not be accepted while it lasts.
    pub fn stops_signing(self) -> bool {
        matches!(
            self,
            Self::Storage | Self::DiskSpace | Self::Contradiction | Self::ClockBehind | Self::Moved
        )
    }

    /// Whether it is only for the operator to know: the node is not degraded by it.
    pub fn is_notice(self) -> bool {
        matches!(self, Self::Equivocation)
    }
}

/// One line of the answer to "are you well?".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The database is being opened; nothing is served.
    Opening,
    /// Everything works.
    Ready,
    /// Something does not; see the reasons.
    Degraded,
    /// The node is stopping.
    Stopping,
}

/// Why the node is degraded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Stable name of the cause.
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// In one word.
    pub status: Status,
    /// Every cause that is raised.
    pub reasons: Vec<Reason>,
    /// What the operator should know, and the node cannot be blamed for.
    pub notices: Vec<Reason>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    causes: BTreeMap<Cause, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Stopping,
}

/// The node's health, shared by everybody who knows something about it.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
    /// Woken when a cause is raised that somebody has to do something about.
    raised: tokio::sync::Notify,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Opening,
                causes: BTreeMap::new(),
            }),
            raised: tokio::sync::Notify::new(),
        }
    }
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The database is open and requests are answered.
    pub fn opened(&self) {
        let mut state = self.state();
        if state.phase == Phase::Opening {
            state.phase = Phase::Open;
        }
    }

    /// The node is going down.
    pub fn stopping(&self) {
        self.state().phase = Phase::Stopping;
    }

    /// Something does not work. Logged when it is new.
    pub fn raise(&self, cause: Cause, message: impl Into<String>) {
        let message = message.into();
        let before = self.state().causes.insert(cause, message.clone());
        if before.is_none() {
            let effect = if cause.is_notice() {
                "notice"
            } else {
                "degraded"
            };
            tracing::warn!(cause = cause.code(), "{effect}: {message}");
            self.raised.notify_one();
        }
    }

    /// It works again.
    pub fn clear(&self, cause: Cause) {
        if self.state().causes.remove(&cause).is_some() {
            tracing::info!(cause = cause.code(), "works again");
        }
    }

    /// Whether a cause is raised.
    pub fn is_raised(&self, cause: Cause) -> bool {
        self.state().causes.contains_key(&cause)
    }

    /// Waits until a new cause is raised. For one waiter.
    pub async fn wait_raised(&self) {
        self.raised.notified().await;
    }

    /// `Ok` if batches may be accepted.
    ///
    /// # Errors
    /// The first reason that stops signing.
    pub fn may_sign(&self) -> Result<(), Reason> {
        let state = self.state();
        if state.phase != Phase::Open {
            return Err(Reason {
                code: "not_open".into(),
                message: "the node is starting or stopping".into(),
            });
        }
        match state.causes.iter().find(|(cause, _)| cause.stops_signing()) {
            Some((cause, message)) => Err(Reason {
                code: cause.code(),
                message: message.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The whole answer.
    pub fn report(&self) -> HealthReport {
        let state = self.state();
        let raised = |notices: bool| {
            let chosen = state
                .causes
                .iter()
                .filter(|(cause, _)| cause.is_notice() == notices);
            chosen
                .map(|(cause, message)| Reason {
                    code: cause.code(),
                    message: message.clone(),
                })
                .collect::<Vec<_>>()
        };
        let (reasons, notices) = (raised(false), raised(true));
        let status = match state.phase {
            Phase::Opening => Status::Opening,
            Phase::Stopping => Status::Stopping,
            Phase::Open if reasons.is_empty() => Status::Ready,
            Phase::Open => Status::Degraded,
        };
        HealthReport {
            status,
            reasons,
            notices,
        }
    }
}

#[cfg(test)]
mod tests;
