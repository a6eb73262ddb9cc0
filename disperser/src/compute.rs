//! Computing, apart from the runtime's threads.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use ashlar_service::supervise::panic_text;

/// Runs blocking work away from the runtime's threads. `None` if it panicked or the runtime stops.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Threads that compute. Clones share them.
#[derive(Clone)]
pub(crate) struct Threads(Arc<rayon::ThreadPool>);

impl Threads {
    /// So many of this name, 0 for one a core.
    pub(crate) fn new(
        name: &'static str,
        threads: usize,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |n| format!("{name}-{n}"))
            .build()?;
        Ok(Self(Arc::new(pool)))
    }

    /// Runs `work`, with all of them at its disposal. If the caller goes away, the work is finished and its result dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (send, receive) = oneshot::channel();
        self.0.spawn(move || {
            // Without the catch a panic would abort the whole process.
            let result = std::panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
                tracing::error!("a computation panicked: {}", panic_text(panic.as_ref()));
                Panicked
            });
            let _ = send.send(result);
        });
        receive.await.unwrap_or(Err(Panicked))
    }
}

/// Threads for encoding, and others for what certificates wait for: proofs, signatures. The runtime's own threads never compute.
///
/// Two pools, because a rayon pool takes new jobs last: the proofs of a batch would wait for the encoding of the next one. And while a
/// batch is proven encoders pause before their next blob, so that proofs have all cores.
#[derive(Clone)]
pub(crate) struct ComputePool {
    encoding: Threads,
    urgent: Threads,
    gate: Arc<Gate>,
}

/// The computation panicked: a bug of ours, reported where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl ComputePool {
    /// With so many threads for each of both, 0 for one a core.
    pub(crate) fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        Ok(Self {
            encoding: Threads::new("encode", threads)?,
            urgent: Threads::new("urgent", threads)?,
            gate: Arc::default(),
        })
    }

    /// Runs `work` on the threads for encoding; it calls the function that it gets before each blob.
    pub(crate) async fn encode<T: Send + 'static>(
        &self,
        work: impl FnOnce(&(dyn Fn() + Sync)) -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let gate = Arc::clone(&self.gate);
        self.encoding.run(move || work(&|| gate.pass())).await
    }

    /// Runs `work` while encoders pause.
    pub(crate) async fn prove<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let closed = Closed::new(&self.gate);
        let proved = self.urgent.run(work).await;
        drop(closed);
        proved
    }

    /// [`Threads::run`], on those that encoding does not use.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        self.urgent.run(work).await
    }
}

/// Longest pause before one blob: encoding goes on, however many batches are proven.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Holds encoders up while batches are proven.
#[derive(Default)]
struct Gate {
    proving: Mutex<usize>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let proving = self.proving.lock().unwrap_or_else(PoisonError::into_inner);
        if *proving > 0 {
            let closed = |proving: &mut usize| *proving > 0;
            let _ = self
                .opened
                .wait_timeout_while(proving, LONGEST_PAUSE, closed);
        }
    }
}

/// A batch that is being proven.
struct Closed(Arc<Gate>);

impl Closed {
    fn new(gate: &Arc<Gate>) -> Self {
        *gate.proving.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(Arc::clone(gate))
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        let mut proving = self
            .0
            .proving
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *proving -= 1;
        if *proving == 0 {
            self.0.opened.notify_all();
        }
    }
}

#[cfg(test)]
mod tests;
