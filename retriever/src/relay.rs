//! The relay path: one GET, the declared length as a hard cap.

use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::BlobKey;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::http::{Server, chain};
use crate::verify::VerifyError;

/// Why a relay did not help.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "relay", blame = Peer)]
pub enum RelayError {
    /// No connection, or it broke.
    #[error("the relay cannot be reached: {reason}")]
    Transport {
        /// What the HTTP library says.
        reason: String,
    },
    /// It took too long.
    #[error("the relay did not deliver within {after_ms} ms")]
    Timeout {
        /// Milliseconds waited.
        after_ms: u64,
    },
    /// It answered with another status than 200.
    #[error("the relay answered with status {status}")]
    #[coded(code = if *status == 404 { "relay.not_found" } else { "relay.status" })]
    Status {
        /// HTTP status.
        status: u16,
    },
    /// It has another number of bytes than the certificate says.
    #[error("the relay has {got} bytes or more, the certificate says {expected}")]
    Length {
        /// Bytes declared by the relay, or received when it was cut off.
        got: u64,
        /// Bytes that the certificate says.
        expected: u64,
    },
    /// The bytes are not those that were certified.
    #[error("the relay sent other bytes than those certified: {0}")]
    #[coded("wrong_payload")]
    Wrong(VerifyError),
}

/// Fetches the payload of `key`, exactly `payload_len` bytes, before `deadline`. The bytes are **not checked** beyond
/// their number. Memory: `payload_len` and one chunk of the HTTP library.
///
/// # Errors
///
/// [`RelayError`], never [`RelayError::Wrong`].
pub async fn download(
    http: &reqwest::Client,
    relay: &Server,
    key: &BlobKey,
    payload_len: u64,
    deadline: Instant,
) -> Result<Vec<u8>, RelayError> {
    let start = Instant::now();
    let late = |_| RelayError::Timeout {
        after_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    let broken = |error: reqwest::Error| {
        if error.is_timeout() {
            late(())
        } else {
            RelayError::Transport {
                reason: chain(&error.without_url()),
            }
        }
    };
    let url = relay.join(&format!("v1/blobs/{key}"));
    let mut answer = timeout_at(deadline, relay.send(http.get(url)))
        .await
        .map_err(|_| late(()))?
        .map_err(broken)?;
    if answer.status().as_u16() != 200 {
        return Err(RelayError::Status {
            status: answer.status().as_u16(),
        });
    }
    if let Some(got) = answer.content_length()
        && got != payload_len
    {
        return Err(RelayError::Length {
            got,
            expected: payload_len,
        });
    }
    // Grown as bytes arrive: a relay that sends nothing costs nothing.
    let mut payload = Vec::new();
    while let Some(chunk) = timeout_at(deadline, answer.chunk())
        .await
        .map_err(|_| late(()))?
        .map_err(broken)?
    {
        let got = payload.len() as u64 + chunk.len() as u64;
        if got > payload_len {
            return Err(RelayError::Length {
                got,
                expected: payload_len,
            });
        }
        payload.extend_from_slice(&chunk);
    }
    if payload.len() as u64 != payload_len {
        return Err(RelayError::Length {
            got: payload.len() as u64,
            expected: payload_len,
        });
    }
    Ok(payload)
}

/// How long a relay may take for so many bytes.
pub(crate) fn allowance(base: Duration, bytes: u64, min_rate: u64) -> Duration {
    base + Duration::from_millis(bytes.saturating_mul(1000) / min_rate.max(1))
}
