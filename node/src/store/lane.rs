//! Work on a device that may never answer.
//!
//! A system call on a dead disk or a lost network volume may not return, and nothing ends the thread that made it. So all work on a
//! device is done by threads of its own, a few at most. Whoever asks for it waits for so long and no longer, and takes its locks
//! along when it gives up: no thread that is stuck holds any of them. As long as work that was given up has not ended the device
//! hangs, and more work is refused at once.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::BackendError;

/// Most threads of a device: as many may be stuck.
const THREADS: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// The threads of one device.
#[derive(Debug)]
pub(crate) struct Lane {
    shared: Arc<Shared>,
    patience: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do, or nothing more will be.
    changed: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    /// Pieces of work that nobody waits for any more and that have not ended.
    given_up: usize,
    /// When one ended last.
    ended: Instant,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("queue", &self.queue.len())
            .field("threads", &self.threads)
            .field("given_up", &self.given_up)
            .finish_non_exhaustive()
    }
}

/// How far a piece of work is.
#[derive(Debug)]
enum Phase {
    Queued,
    Running(Instant),
    Ended,
    GivenUp,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does until the lane is closed and nothing is left.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = self.lock();
                state.ended = Instant::now();
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl Lane {
    /// One whose work is given up after `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    queue: VecDeque::new(),
                    threads: 0,
                    idle: 0,
                    given_up: 0,
                    ended: Instant::now(),
                    closed: false,
                }),
                changed: Condvar::new(),
            }),
            patience,
        }
    }

    /// How long a piece of IO may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Whether work that was given up has not ended yet.
    pub(crate) fn hangs(&self) -> bool {
        self.shared.lock().given_up > 0
    }

    fn hanging(&self) -> BackendError {
        BackendError::Hangs {
            secs: self.patience.as_secs_f64(),
        }
    }

    /// Does some work, and waits for it. A panic of it is handed on.
    ///
    /// # Errors
    /// [`BackendError::Hangs`] if the device hangs, or begins to; the work may be done all the same, later.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        self.run_for(self.patience, work)
    }

    /// The same for work that takes longer than a piece of IO.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn run_for<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        if self.hangs() {
            return Err(self.hanging());
        }
        self.wait(patience, work)
    }

    /// Does some work even if the device hangs: then when it answers again, and nobody waits.
    pub(crate) fn finish(&self, work: impl FnOnce() + Send + 'static) {
        let patience = if self.hangs() {
            Duration::ZERO
        } else {
            self.patience
        };
        if let Err(error) = self.wait(patience, work) {
            tracing::warn!(%error, "what is to be closed is closed later");
        }
    }

    fn wait<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, BackendError> {
        let phase = Arc::new(Mutex::new(Phase::Queued));
        let (send, receive) = mpsc::channel();
        let asked = Instant::now();
        let (doing, shared) = (Arc::clone(&phase), Arc::clone(&self.shared));
        self.push(Box::new(move || {
            set_running(&doing);
            let done = catch_unwind(AssertUnwindSafe(work));
            let mut phase = lock(&doing);
            if matches!(*phase, Phase::GivenUp) {
                shared.lock().given_up -= 1;
            } else {
                *phase = Phase::Ended;
                // Nobody has given it up, so somebody receives it.
                let _ = send.send(done);
            }
        }))?;
        let mut left = patience;
        loop {
            match receive.recv_timeout(left) {
                Ok(done) => return done.or_else(|panic: Box<dyn Any + Send>| resume_unwind(panic)),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(BackendError::Io {
                        detail: "a thread of a drive is gone".into(),
                    });
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            let mut phase = lock(&phase);
            let since = match *phase {
                // As long as others make progress before it, it is only their number.
                Phase::Queued => self.shared.lock().ended.max(asked),
                Phase::Running(since) => since,
                Phase::Ended | Phase::GivenUp => continue,
            };
            left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                *phase = Phase::GivenUp;
                self.shared.lock().given_up += 1;
                return Err(self.hanging());
            }
        }
    }

    fn push(&self, job: Job) -> Result<(), BackendError> {
        let mut state = self.shared.lock();
        state.queue.push_back(job);
        if state.idle < state.queue.len() && state.threads < THREADS {
            let shared = Arc::clone(&self.shared);
            let spawned = thread::Builder::new()
                .name("drive".into())
                .spawn(move || shared.serve());
            match spawned {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    state.queue.pop_back();
                    return Err(BackendError::Io {
                        detail: format!("no thread for a drive: {error}"),
                    });
                }
                // The others do it.
                Err(_) => {}
            }
        }
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }
}

fn lock(phase: &Mutex<Phase>) -> MutexGuard<'_, Phase> {
    phase.lock().unwrap_or_else(PoisonError::into_inner)
}

fn set_running(phase: &Mutex<Phase>) {
    let mut phase = lock(phase);
    if matches!(*phase, Phase::Queued) {
        *phase = Phase::Running(Instant::now());
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
