//! Computing, apart from the runtime's threads.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

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
    /// So many of this name, 0 for one a core, which others of the machine go before by so many steps of `nice`.
    pub(crate) fn new(
        name: &'static str,
        threads: usize,
        nice: i32,
    ) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |n| format!("{name}-{n}"))
            .start_handler(move |_| {
                // On Linux it is a thread's own. Whoever cannot have it computes as fast as the others.
                if let Err(error) = rustix::process::nice(nice) {
                    tracing::warn!("{name}: no lower priority: {error}");
                }
            })
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
/// Two pools, because a rayon pool takes new jobs last: the proofs of a batch would wait for the encoding of the next one. And where
/// both want a core, the operating system gives encoding a tenth of it.
#[derive(Clone)]
pub(crate) struct ComputePool {
    /// For encoding, and what else has time.
    pub(crate) encoding: Threads,
    /// For what a certificate waits for.
    pub(crate) urgent: Threads,
}

/// The computation panicked: a bug of ours, reported where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl ComputePool {
    /// With so many threads for each of both, 0 for one a core.
    pub(crate) fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        Ok(Self {
            encoding: Threads::new("encode", threads, 10)?,
            urgent: Threads::new("urgent", threads, 0)?,
        })
    }
}

#[cfg(test)]
mod tests;
