//! Small HTTP requests of the command itself: status pages of nodes and dispersers.

use std::time::Duration;

use serde_json::Value;

use crate::error::{CliError, CliResult, Exit};

const DEADLINE: Duration = Duration::from_secs(10);
/// Status pages are small.
const LIMIT: usize = 1 << 20;

/// An HTTP client.
///
/// # Errors
/// TLS cannot be set up in this build.
pub fn client() -> CliResult<reqwest::Client> {
    crate::daemon::install_crypto();
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .build()
        .map_err(|error| {
            CliError::new(Exit::Failure, "http.client", "could not set up HTTP")
                .because(error.to_string())
        })
}

/// `GET url`, which answers with JSON.
///
/// # Errors
/// Nobody answers (4), not in time (5), or with something else (1).
pub async fn get_json(url: &str, who: &str) -> CliResult<Value> {
    let failed = |error: &reqwest::Error| {
        let (exit, code) = if error.is_timeout() {
            (Exit::Timeout, "http.timeout")
        } else if error.is_connect() {
            (Exit::Unavailable, "http.unreachable")
        } else {
            (Exit::Failure, "http.failed")
        };
        CliError::new(exit, code, format!("{who} at {url} did not answer"))
            .because(error.to_string())
            .next("is it running, and is the address right?")
    };
    let mut answer = client()?
        .get(url)
        .timeout(DEADLINE)
        .send()
        .await
        .map_err(|error| failed(&error))?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(bytes) = answer.chunk().await.map_err(|error| failed(&error))? {
        if body.len() + bytes.len() > LIMIT {
            return Err(CliError::new(
                Exit::Failure,
                "http.too_large",
                format!("{who} at {url} answers without end"),
            ));
        }
        body.extend_from_slice(&bytes);
    }
    serde_json::from_slice(&body).map_err(|error| {
        CliError::new(
            Exit::Failure,
            "http.not_json",
            format!("{who} at {url} does not answer as one of ours"),
        )
        .because(format!("HTTP status {status}: {error}"))
    })
}
