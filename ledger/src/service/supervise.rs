//! Background tasks that never end in silence.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::ServiceError;
use super::health::{Cause, Health};

/// Runs tasks and watches over them. All of them are needed: the end of one means that the process should stop.
#[derive(Debug)]
pub(crate) struct Supervisor {
    health: Arc<Health>,
    stop: CancellationToken,
    ending: Arc<AtomicBool>,
    fatal: watch::Sender<Option<String>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Supervisor {
    pub(crate) fn new(health: Arc<Health>) -> Self {
        Self {
            health,
            stop: CancellationToken::new(),
            ending: Arc::default(),
            fatal: watch::Sender::new(None),
            tasks: Mutex::default(),
        }
    }

    /// Cancelled when the service stops.
    pub(crate) fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// From now on the end of a task is no accident.
    pub(crate) fn expect_end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Starts a task that runs until the service stops.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.watch(name, async move {
            let end = AssertUnwindSafe(task).catch_unwind().await;
            match end {
                Ok(()) => format!("the task {name} ended"),
                Err(panic) => format!("the task {name} panicked: {}", text(panic.as_ref())),
            }
        });
    }

    /// Starts a thread that runs until the service stops.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Internal`] if the operating system gives none.
    pub(crate) fn spawn_thread(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<(), String> + Send + 'static,
    ) -> Result<(), ServiceError> {
        let (done, end) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("ledger-{name}"))
            .spawn(move || {
                let end = std::panic::catch_unwind(AssertUnwindSafe(work));
                let message = match end {
                    Ok(Ok(())) => format!("the thread {name} ended"),
                    Ok(Err(why)) => why,
                    Err(panic) => format!("the thread {name} panicked: {}", text(panic.as_ref())),
                };
                let _ = done.send(message);
            })
            .map_err(|error| ServiceError::Internal {
                what: format!("cannot start the thread {name}: {error}"),
            })?;
        self.watch(name, async move {
            end.await
                .unwrap_or_else(|_| format!("the thread {name} ended without a word"))
        });
        Ok(())
    }

    fn watch(&self, name: &'static str, end: impl Future<Output = String> + Send + 'static) {
        let (health, stop, fatal, ending) = (
            Arc::clone(&self.health),
            self.stop.clone(),
            self.fatal.clone(),
            Arc::clone(&self.ending),
        );
        let watched = async move {
            let message = end.await;
            if stop.is_cancelled() || ending.load(Ordering::Relaxed) {
                return;
            }
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
        loop {
            if let Some(why) = fatal.borrow_and_update().clone() {
                return why;
            }
            // The sender lives in `self`: there is always another change to wait for.
            if fatal.changed().await.is_err() {
                return std::future::pending().await;
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
            tracing::warn!("{} tasks are aborted after {patience:?}", tasks.len());
            tasks.shutdown().await;
        }
    }
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into())
}
