//! What a daemon says about itself: opening, ready, or degraded and why.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a cause does while it is raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Notice,
    Degrades,
    Halts,
}

/// A reason to be degraded. Each is raised and cleared by one part of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    code: Cow<'static, str>,
    effect: Effect,
}

impl Cause {
    /// Something does not work; the daemon goes on.
    pub const fn degrades(code: &'static str) -> Self {
        Self {
            code: Cow::Borrowed(code),
            effect: Effect::Degrades,
        }
    }

    /// As [`degrades`](Self::degrades), and [`Health::may_work`] refuses: the daemon is not [ready](Health::ready).
    pub const fn halts(code: &'static str) -> Self {
        Self {
            code: Cow::Borrowed(code),
            effect: Effect::Halts,
        }
    }

    /// For the operator to know; the daemon is as well as before.
    pub const fn notice(code: &'static str) -> Self {
        Self {
            code: Cow::Borrowed(code),
            effect: Effect::Notice,
        }
    }

    /// A background task ended.
    pub fn task(name: &str) -> Self {
        Self {
            code: format!("task.{name}").into(),
            effect: Effect::Degrades,
        }
    }

    /// Stable name.
    pub fn code(&self) -> &str {
        &self.code
    }
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// What is on disk is being opened; nothing else is served.
    Opening,
    /// Everything works.
    Ready,
    /// Something does not; see the reasons.
    Degraded,
    /// It is stopping.
    Stopping,
}

/// A cause that is raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// Stable name of the cause.
    pub code: String,
    /// What happened, for people.
    pub message: String,
}

/// The answer to `GET /v1/health`; its status is 200 if the daemon is ready, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthReport {
    /// In one word.
    pub status: Status,
    /// Why it is degraded.
    pub reasons: Vec<Reason>,
    /// What the operator should know, and the daemon cannot be blamed for.
    #[serde(default)]
    pub notices: Vec<Reason>,
}

/// The answer to `GET /v1/ready`; its status is 200 if the daemon does its job, else 503.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadyReport {
    /// Whether it does its job.
    pub ready: bool,
    /// What keeps it from that.
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    #[default]
    Opening,
    Open,
    Stopping,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    raised: BTreeMap<Cow<'static, str>, (Effect, String)>,
}

impl State {
    fn reasons(&self, matches: impl Fn(Effect) -> bool) -> Vec<Reason> {
        let raised = self.raised.iter();
        let chosen = raised.filter(|(_, (effect, _))| matches(*effect));
        chosen
            .map(|(code, (_, message))| Reason {
                code: code.to_string(),
                message: message.clone(),
            })
            .collect()
    }
}

/// A daemon's health, shared by everybody who knows something about it.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    /// Woken when a cause is raised that somebody has to do something about.
    woken: tokio::sync::Notify,
}

impl Health {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on disk is open, and requests are answered. Who is stopping does not open again.
    pub fn opened(&self) {
        let mut state = self.state();
        if state.phase == Phase::Opening {
            state.phase = Phase::Open;
        }
    }

    /// The daemon is going down: the end of a task is no accident any more.
    pub fn stopping(&self) {
        self.state().phase = Phase::Stopping;
    }

    /// Whether it is going down.
    pub fn is_stopping(&self) -> bool {
        self.state().phase == Phase::Stopping
    }

    /// Raises a cause, or replaces its message. Logged when it is new.
    pub fn raise(&self, cause: Cause, message: impl Into<String>) {
        let (message, effect) = (message.into(), cause.effect);
        let raised = (effect, message.clone());
        let before = self.state().raised.insert(cause.code.clone(), raised);
        if before.is_none() {
            let code = cause.code();
            match effect {
                Effect::Notice => tracing::warn!(cause = code, "notice: {message}"),
                _ => tracing::warn!(cause = code, "degraded: {message}"),
            }
            self.woken.notify_one();
        }
    }

    /// Raises a cause for this reason, or clears it if there is none.
    pub fn set(&self, cause: Cause, why: Option<impl Into<String>>) {
        match why {
            Some(why) => self.raise(cause, why),
            None => self.clear(cause),
        }
    }

    /// It works again.
    pub fn clear(&self, cause: Cause) {
        if self.state().raised.remove(&cause.code).is_some() {
            tracing::info!(cause = cause.code(), "works again");
        }
    }

    /// The message of a cause that is raised.
    pub fn raised(&self, cause: Cause) -> Option<String> {
        let state = self.state();
        let (_, message) = state.raised.get(&cause.code)?;
        Some(message.clone())
    }

    /// Waits until a new cause is raised. For one waiter.
    pub async fn wait_raised(&self) {
        self.woken.notified().await;
    }

    /// `Ok` if the daemon may do what it is there for.
    ///
    /// # Errors
    /// It is starting or stopping, or the first cause that [halts](Cause::halts) it.
    pub fn may_work(&self) -> Result<(), Reason> {
        let halting = self.ready().reasons;
        halting.into_iter().next().map_or(Ok(()), Err)
    }

    /// Whether the daemon does its job, and everything that keeps it from that.
    pub fn ready(&self) -> ReadyReport {
        let state = self.state();
        let mut reasons = state.reasons(|effect| effect == Effect::Halts);
        if state.phase != Phase::Open {
            let not_open = Reason {
                code: "not_open".into(),
                message: "the service is starting or stopping".into(),
            };
            reasons.insert(0, not_open);
        }
        ReadyReport {
            ready: reasons.is_empty(),
            reasons,
        }
    }

    /// The whole answer.
    pub fn report(&self) -> HealthReport {
        let state = self.state();
        let reasons = state.reasons(|effect| effect != Effect::Notice);
        let status = match state.phase {
            Phase::Opening => Status::Opening,
            Phase::Stopping => Status::Stopping,
            Phase::Open if reasons.is_empty() => Status::Ready,
            Phase::Open => Status::Degraded,
        };
        HealthReport {
            status,
            reasons,
            notices: state.reasons(|effect| effect == Effect::Notice),
        }
    }

    /// The answer to `GET /v1/health`: 200 if ready, 503 with the reasons if not.
    pub fn page(&self) -> Response {
        let report = self.report();
        page(report.status == Status::Ready, report)
    }

    /// The answer to `GET /v1/ready`: 200 if the daemon does its job, 503 with the reasons if not.
    pub fn ready_page(&self) -> Response {
        let report = self.ready();
        page(report.ready, report)
    }
}

fn page(well: bool, report: impl Serialize) -> Response {
    let status = match well {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report)).into_response()
}

#[cfg(test)]
mod tests;
