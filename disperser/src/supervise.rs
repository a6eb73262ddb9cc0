//! Background tasks that never end in silence: if one returns or panics while the disperser is not stopping, it is
//! degraded, and its owner is told.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::health::{Cause, Health};

/// Runs tasks and watches over them. All of them are needed: the end of one means that the process should stop.
#[derive(Debug)]
pub(crate) struct Supervisor {
    health: Arc<Health>,
    stop: CancellationToken,
    fatal: watch::Sender<Option<String>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Supervisor {
    /// One that reports to `health`.
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            stop: CancellationToken::new(),
            fatal: watch::Sender::new(None),
            tasks: Mutex::new(JoinSet::new()),
        }
    }

    /// Cancelled when the disperser stops: tasks select on it.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that runs until the disperser stops.
    pub(crate) fn spawn<F>(&self, name: &'static str, task: F)
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
            fatal.send_replace(Some(message));
        };
        self.tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(watched);
    }

    /// Waits until a task ends that should not, and says why it did.
    pub(crate) async fn failed(&self) -> String {
        let mut fatal = self.fatal.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        loop {
            if let Some(why) = fatal.borrow_and_update().clone() {
                return why;
            }
            if fatal.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Tells all tasks to stop and waits for them, at most `patience`; then they are aborted.
    pub(crate) async fn shutdown(&self, patience: Duration) {
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
