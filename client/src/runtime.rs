//! The clock of this machine, and its threads that may block.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::ClientError;

/// Runs a computation where it holds up nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ClientError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ClientError::Internal(error.to_string()))
}

/// Milliseconds since 1970 by this machine's clock.
pub(crate) fn now_ms() -> Result<u64, ClientError> {
    let wrong = |reason: String| ClientError::Internal(format!("this machine's clock: {reason}"));
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| wrong(error.to_string()))?;
    u64::try_from(since.as_millis()).map_err(|error| wrong(error.to_string()))
}
