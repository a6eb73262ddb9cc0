//! The memory of precomputed tables, and the threads that make them.

#[cfg(feature = "rayon")]
use std::sync::Mutex;
use std::sync::OnceLock;

use thiserror::Error;

use crate::Coded;

/// Memory for all tables of multiples, unless [`limit_tables`] says otherwise.
pub const TABLE_BYTES: usize = 512 << 20;

/// Tables that a setup may have: one for commitments, one for the proofs of each cell length.
const TABLES: usize = 8;

static TABLE_LIMIT: OnceLock<usize> = OnceLock::new();

/// Memory is given to tables before it can be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[error(
    "tables of up to {active} bytes are in use already; limit them before the first computation"
)]
#[coded("setup.tables_in_use", blame = Us)]
pub struct TablesInUse {
    /// The limit that holds.
    pub active: usize,
}

/// Limits the memory of all precomputed tables together, [`TABLE_BYTES`] without this call. Less is slower: with an
/// eighth of a table's wish a commitment takes about a tenth longer, and with next to nothing three times as long. What
/// there is to gain ends at 8 MiB for commitments and 25 to 45 MiB for the proofs of each cell length in use.
///
/// # Errors
///
/// [`TablesInUse`] if tables were made under another limit already.
pub fn limit_tables(bytes: usize) -> Result<(), TablesInUse> {
    let active = *TABLE_LIMIT.get_or_init(|| bytes);
    if active == bytes {
        Ok(())
    } else {
        Err(TablesInUse { active })
    }
}

/// Most memory of one table.
pub(crate) fn table_bytes() -> usize {
    *TABLE_LIMIT.get_or_init(|| TABLE_BYTES) / TABLES
}

/// Without a pool the caller does the work.
#[cfg(not(feature = "rayon"))]
pub(crate) fn on_own_threads<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Runs parallel work that a lock waits for on a pool of its own, as large as the current one.
///
/// On the current pool, a thread that waits for its parts takes other work meanwhile, which may ask for the same
/// table, and would then wait for itself.
#[cfg(feature = "rayon")]
pub(crate) fn on_own_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    on_thread(std::thread::Builder::new(), work)
}

#[cfg(feature = "rayon")]
fn on_thread<T: Send>(builder: std::thread::Builder, work: impl FnOnce() -> T + Send) -> T {
    let threads = rayon::current_num_threads();
    // The work stays here, so that it is not lost with a thread that cannot be made.
    let work = Mutex::new(Some(work));
    #[expect(
        clippy::expect_used,
        reason = "a closure that runs once takes it, or else we do"
    )]
    let take = || {
        work.lock()
            .expect("nobody panicked")
            .take()
            .expect("nobody took it")
    };
    let run = || match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(take()),
        // If no thread can be made, the work is done here.
        Err(_) => take()(),
    };
    let result = std::thread::scope(|scope| {
        let thread = builder.spawn_scoped(scope, run).ok();
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    match result {
        Some(Ok(result)) => result,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        None => take()(),
    }
}

#[cfg(all(test, feature = "rayon"))]
mod tests;
