//! Background tasks that never end in silence.
//!
//! A task says what its end means. If it returns or panics while the daemon is not stopping, its [`OnEnd`] happens.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::health::{Cause, Health};

/// What the end of a task means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEnd {
    /// Nothing, if it returned; a panic degrades.
    Normal,
    /// The daemon goes on, degraded.
    Degrade,
    /// The daemon has to stop: [`Supervisor::failed`] says why.
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
            tasks: Mutex::default(),
        }
    }

    /// What it reports to.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Cancelled when the daemon stops: tasks select on it.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task.
    pub fn spawn(
        &self,
        name: &'static str,
        on_end: OnEnd,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        self.watch(name, on_end, async move {
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(()) if on_end == OnEnd::Normal => None,
                Ok(()) => Some(format!("the task {name} ended")),
                Err(panic) => Some(panicked(name, panic.as_ref())),
            }
        })
    }

    /// Starts a thread of its own. Its work says in an error why it ended.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn spawn_thread(
        &self,
        name: &'static str,
        on_end: OnEnd,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> std::io::Result<()> {
        let (done, end) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let why = match catch_unwind(AssertUnwindSafe(work)) {
                    Ok(Ok(())) if on_end == OnEnd::Normal => None,
                    Ok(Ok(())) => Some(format!("the thread {name} ended")),
                    Ok(Err(why)) => Some(why),
                    Err(panic) => Some(panicked(name, panic.as_ref())),
                };
                // Nobody watches any more when the supervisor is gone.
                let _ = done.send(why);
            })?;
        self.watch(name, on_end, async move {
            let died = || Some(format!("the thread {name} ended without a word"));
            end.await.unwrap_or_else(|_| died())
        });
        Ok(())
    }

    fn watch(
        &self,
        name: &'static str,
        on_end: OnEnd,
        end: impl Future<Output = Option<String>> + Send + 'static,
    ) -> AbortHandle {
        let (health, stop) = (Arc::clone(&self.health), self.stop.clone());
        let fatal = self.fatal.clone();
        let watched = async move {
            let Some(why) = end.await else { return };
            if stop.is_cancelled() || health.is_stopping() {
                return;
            }
            tracing::error!("{why}");
            health.raise(Cause::task(name), why.clone());
            if on_end == OnEnd::Stop {
                fatal.send_replace(Some(why));
            }
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.spawn(watched)
    }

    /// Waits until a task ends that the daemon cannot live without, and says why it did.
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
            let left = tasks.len();
            tracing::warn!("{left} tasks did not stop in {patience:?} and are aborted");
            tasks.shutdown().await;
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Tasks that look at the token must not take their being aborted for an accident.
        self.stop.cancel();
    }
}

fn panicked(name: &str, panic: &(dyn Any + Send)) -> String {
    format!("{name} panicked: {}", panic_text(panic))
}

/// The text of a panic, if it has one.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}

#[cfg(test)]
mod tests;
