//! Small HTTP requests of the command itself: status pages of nodes and dispersers.

use std::time::Duration;

use ashlar_service::http::{self, Authorities, Broken, exchange};
use serde_json::Value;

use crate::error::{CliError, CliResult, Exit};

const DEADLINE: Duration = Duration::from_secs(10);
/// For answers that take their time: the longest of a daemon's own deadlines.
pub const PATIENT: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(5);
/// Status pages are small.
const LIMIT: usize = 1 << 20;

/// An HTTP client.
///
/// # Errors
/// TLS cannot be set up on this machine.
pub fn client(https: bool) -> CliResult<reqwest::Client> {
    http::client(Authorities::needed(https), CONNECT)
        .and_then(http::build)
        .map_err(|error| CliError::coded(Exit::Failure, "could not set up HTTP", &error))
}

/// `GET url`, which answers with JSON, within 10 s.
///
/// # Errors
/// Nobody answers (4), not in time (5), or with something else (1).
pub async fn get_json(url: &str, who: &str) -> CliResult<Value> {
    get_json_within(url, who, DEADLINE).await
}

/// As [`get_json`], within another time.
///
/// # Errors
/// As [`get_json`].
pub async fn get_json_within(url: &str, who: &str, deadline: Duration) -> CliResult<Value> {
    let request = client(url.starts_with("https:"))?.get(url);
    let answer = exchange(request.send(), LIMIT, deadline)
        .await
        .map_err(|broken| {
            let (exit, code) = match broken {
                Broken::Timeout(_) => (Exit::Timeout, "http.timeout"),
                Broken::Transport { sent: false, .. } => (Exit::Unavailable, "http.unreachable"),
                Broken::Transport { .. } => (Exit::Failure, "http.failed"),
                Broken::TooLong(_) => (Exit::Failure, "http.too_large"),
            };
            CliError::new(exit, code, format!("{who} at {url} did not answer"))
                .because(broken.to_string())
                .next("is it running, and is the address right?")
        })?;
    serde_json::from_slice(&answer.body).map_err(|error| {
        CliError::new(
            Exit::Failure,
            "http.not_json",
            format!("{who} at {url} does not answer as one of ours"),
        )
        .because(format!("HTTP status {}: {error}", answer.status))
    })
}
