//! Bodies of requests, bounded in bytes, time and memory.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::time::Instant;

use crate::ApiError;
use crate::capacity::Held;

/// A body takes memory in such steps, as its bytes arrive.
const STEP: u64 = 256 << 10;

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Most bytes.
    pub max: u64,
    /// Most time for all of it.
    pub timeout: Duration,
    /// Least bytes a second, on average.
    pub min_rate: u64,
    /// A body may be slower than that for so long.
    pub grace: Duration,
}

impl BodyLimits {
    /// Five seconds: the connection warms up, and small bodies are through.
    pub const GRACE: Duration = Duration::from_secs(5);

    /// The most memory that a body of `max` bytes takes: without a declared length its buffer may be twice as large.
    pub const fn memory(max: u64) -> u64 {
        max.saturating_mul(2).saturating_add(STEP)
    }
}

/// The length that a request's head states, if it does.
///
/// # Errors
/// It is no number.
pub fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    let no_number = || ApiError::new(400, "request.content_length", "Content-Length is no number");
    parsed.map(Some).ok_or_else(no_number)
}

/// Reads a body: one byte more than `limits.max` ends it, whatever was declared. `memory` grows with what arrives.
///
/// # Errors
/// `too_large` of the bytes that came; 408 if it is too slow, 400 if it breaks off; what [`Held::more`] refuses.
pub async fn read_body(
    mut body: Body,
    declared: Option<u64>,
    limits: BodyLimits,
    memory: &mut Held,
    too_large: impl Fn(u64) -> ApiError,
) -> Result<Bytes, ApiError> {
    // Before a byte of it is read: the caller waits for nothing.
    if let Some(declared) = declared.filter(|declared| *declared > limits.max) {
        return Err(too_large(declared));
    }
    let begin = Instant::now();
    let deadline = begin + limits.timeout;
    let late = |detail: String| ApiError::new(408, "request.timeout", detail);
    // What was declared is at most `max`, and of what is set aside for it only pages are memory that were written to. Without it the
    // buffer grows with what comes.
    let mut all = BytesMut::with_capacity(usize::try_from(declared.unwrap_or(0)).unwrap_or(0));
    let mut taken = 0;
    loop {
        let pace = Duration::from_millis(all.len() as u64 * 1000 / limits.min_rate.max(1));
        let due = deadline.min(begin + limits.grace + pace);
        let frame = tokio::select! {
            frame = tokio::time::timeout_at(due, body.frame()) => frame,
            wanted = memory.wanted() => return Err(wanted),
        };
        let frame = frame.map_err(|_| match due < deadline {
            true => late(format!(
                "the body comes slower than {} bytes a second",
                limits.min_rate
            )),
            false => late(format!(
                "the body did not arrive within {} s",
                limits.timeout.as_secs()
            )),
        })?;
        let Some(frame) = frame else {
            memory.settle();
            return Ok(all.freeze());
        };
        let broken =
            |error| ApiError::new(400, "request.body", format!("the body broke off: {error}"));
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            let got = all.len() as u64 + data.len() as u64;
            if got > limits.max {
                return Err(too_large(got));
            }
            // A buffer that grows has twice as much as it needs.
            let needed = if declared.is_some() { got } else { 2 * got };
            if needed > taken {
                let more = (needed - taken).next_multiple_of(STEP);
                memory.more(more).await?;
                taken += more;
            }
            all.extend_from_slice(&data);
        }
    }
}

#[cfg(test)]
mod tests;
