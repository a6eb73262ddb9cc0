//! Background tasks that never end in silence.
//!
//! A task says what its end means. If it returns or panics while the node is not stopping, the node is degraded at
//! least; if it cannot live without the task, the owner of the [`Supervisor`] is told to stop.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::health::{Cause, Health};

/// What the end of a task means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEnd {
    /// The node goes on, degraded.
    Degrade,
    /// The node has to stop.
    Stop,
}

/// Runs tasks and watches over them.
#[derive(Debug)]
pub struct Supervisor {
    health: Arc<Health>,
    stop: CancellationToken,
    fatal: watch::Sender<Option<String>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Supervisor {
    /// One that reports to `health`.
    pub fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            stop: CancellationToken::new(),
            fatal: watch::Sender::new(None),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    /// Cancelled when the node stops: tasks select on it.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task.
    pub fn spawn<F>(&self, name: &'static str, on_end: OnEnd, task: F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (health, stop, fatal) = (
            Arc::clone(&self.health),
            self.stop.clone(),
            self.fatal.clone(),
        );
        let watched = async move {
            let end = std::panic::AssertUnwindSafe(task).catch_unwind().await;
            if stop.is_cancelled() {
                return;
            }
            let message = match end {
                Ok(()) => format!("the task {name} ended"),
                Err(panic) => format!("the task {name} panicked: {}", panic_text(panic.as_ref())),
            };
            tracing::error!("{message}");
            health.raise(Cause::Task(name), message.clone());
            if on_end == OnEnd::Stop {
                fatal.send_replace(Some(message));
            }
        };
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(watched)
    }

    /// Waits until a task ends that the node cannot live without, and says why it did.
    pub async fn failed(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        match fatal.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(why)) => why.clone(),
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Tells all tasks to stop and waits for them, at most `patience`; then they are aborted.
    pub async fn shutdown(&self, patience: Duration) {
        self.stop.cancel();
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!(
                "{} tasks did not stop in {patience:?} and are aborted",
                tasks.len()
            );
            tasks.shutdown().await;
        }
    }
}

/// The text of a panic, if it has one.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests;
