//! How many files a process may open.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files to `needed`, or to what the operating system lets us, and says what it is then. It is never lowered.
pub fn raise_limit(needed: usize) -> usize {
    let wanted = u64::try_from(needed).unwrap_or(u64::MAX);
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        tracing::warn!("the limit of open files cannot be read");
        return needed;
    };
    let raised = wanted.min(hard);
    let limit = match raised > soft {
        true if setrlimit(Resource::RLIMIT_NOFILE, raised, hard).is_ok() => raised,
        _ => soft,
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}
