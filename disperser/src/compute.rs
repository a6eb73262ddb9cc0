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

/// Threads for encoding, proofs and signatures. The runtime's own threads never compute.
#[derive(Clone)]
pub(crate) struct ComputePool {
    threads: Arc<rayon::ThreadPool>,
}

/// The computation panicked: a bug of ours, reported where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl ComputePool {
    /// With so many threads, 0 for one a core.
    pub(crate) fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|n| format!("compute-{n}"))
            .build()?;
        Ok(Self {
            threads: Arc::new(threads),
        })
    }

    /// Runs `work` on the pool, with all its threads at its disposal. If the caller goes away, the work is finished and its
    /// result dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let (send, receive) = oneshot::channel();
        self.threads.spawn(move || {
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
