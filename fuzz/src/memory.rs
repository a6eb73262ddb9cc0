//! What one piece of work takes, if the program has an allocator that tells.

use std::cell::Cell;

thread_local! {
    /// Below zero when more is given back than was taken: what came from outside of the work.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// So many bytes were taken on this thread.
pub fn taken(bytes: usize) {
    let now = NOW.get().wrapping_add_unsigned(bytes);
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

/// So many bytes were given back.
pub fn given_back(bytes: usize) {
    NOW.set(NOW.get().wrapping_sub_unsigned(bytes));
}

/// Does some work, and says how many bytes more than before it held at most.
pub(crate) fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    NOW.set(0);
    PEAK.set(0);
    let done = work();
    (done, PEAK.get().unsigned_abs())
}
