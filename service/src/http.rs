//! The HTTP client below those of disperser, relay and ledger: TLS without process-wide state, no redirects, every wait and
//! every answer bounded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_proto::api::Problem;
use reqwest::{Response, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use thiserror::Error;

use crate::Backoff;
use crate::problem::{self, MAX_PROBLEM_BYTES};

pub use server::{LocalApi, Server};

mod server;

/// Why a URL or a client is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "http", blame = Us)]
pub enum HttpError {
    /// Not a URL that can be asked.
    #[error("{url:?} is not a usable URL: {reason}")]
    #[coded(blame = Caller)]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// TLS could not be set up, usually because the machine has no CA certificates.
    #[error("https cannot be used: {reason} (are the system's CA certificates installed?)")]
    Tls {
        /// What the TLS library says.
        reason: String,
    },
    /// The file of certificate authorities cannot be used.
    #[error("the certificate authorities in {} cannot be used: {reason}", path.display())]
    #[coded("ca", blame = Caller)]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built: {reason}")]
    Build {
        /// What the HTTP library says.
        reason: String,
    },
}

/// Whose certificates a server may show.
#[derive(Clone, Copy, Debug)]
pub enum Authorities<'a> {
    /// Nobody's: plain `http` works on a machine without CA certificates; `https` fails.
    Nobody,
    /// Of those that the operating system trusts.
    System,
    /// Of those in a PEM file, and no others.
    File(&'a Path),
}

impl Authorities<'_> {
    /// The system's, if one of the servers is behind `https`.
    pub fn needed(https: bool) -> Self {
        if https { Self::System } else { Self::Nobody }
    }
}

/// An HTTP client that follows no redirects (a relay could point anywhere) and needs no process-wide crypto provider.
///
/// # Errors
///
/// [`HttpError`], but no [`HttpError::Url`].
pub fn client(
    authorities: Authorities<'_>,
    connect_timeout: Duration,
) -> Result<reqwest::ClientBuilder, HttpError> {
    let tls = |reason: rustls::Error| HttpError::Tls {
        reason: reason.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let mut config = match authorities {
        Authorities::Nobody => builder.with_root_certificates(RootCertStore::empty()),
        Authorities::System => builder.with_platform_verifier().map_err(tls)?,
        Authorities::File(path) => builder.with_root_certificates(read_authorities(path)?),
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("ashlar/", env!("CARGO_PKG_VERSION"))))
}

/// Builds it.
///
/// # Errors
///
/// [`HttpError::Build`].
pub fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, HttpError> {
    builder.build().map_err(|error| HttpError::Build {
        reason: chain(&error),
    })
}

/// The certificates of a PEM file.
fn read_authorities(path: &Path) -> Result<RootCertStore, HttpError> {
    let failed = |reason: String| HttpError::Authorities {
        path: path.to_path_buf(),
        reason,
    };
    let mut store = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(failed("it holds no certificate".into()));
    }
    Ok(store)
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After` in its form of whole seconds.
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: Vec<u8>,
    headers: header::HeaderMap,
}

impl Answer {
    /// Whether it is what was asked for.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The problem document of an answer that is no success, or what can be made of it.
    pub fn problem(&self) -> Problem {
        let content_type = self.header(header::CONTENT_TYPE.as_str());
        let mut problem = problem::parse(self.status, content_type, &self.body);
        if let Some(location) = self.header(header::LOCATION.as_str())
            && (300..400).contains(&self.status)
        {
            problem.detail = format!("redirects are not followed; this one leads to {location}");
        }
        problem
    }
}

/// An attempt without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// Not reached, or broken off. `sent`: the request may have arrived.
    #[error("{reason}")]
    Transport {
        /// What the HTTP library says.
        reason: String,
        /// Whether the request may have arrived.
        sent: bool,
    },
    /// Not in time. The request may have arrived.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// More bytes than are read.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
}

/// One attempt: from the connection to the last byte of the answer within `limit`. `sent` is the request on its way. Of a success at most `max` bytes are read; an
/// error answer is cut, for its status says enough.
///
/// # Errors
///
/// [`Broken`].
pub async fn exchange(
    sent: impl Future<Output = reqwest::Result<Response>>,
    max: usize,
    limit: Duration,
) -> Result<Answer, Broken> {
    let once = async {
        let response = sent.await.map_err(|error| broken(&error.without_url()))?;
        read(response, max).await
    };
    let late = |_| Err(Broken::Timeout(limit));
    tokio::time::timeout(limit, once).await.unwrap_or_else(late)
}

/// The rest of an answer whose head has come, as [`exchange`] reads it.
///
/// # Errors
///
/// [`Broken`], and none for an error answer.
pub async fn read(mut response: Response, max: usize) -> Result<Answer, Broken> {
    let mut answer = Answer {
        status: response.status().as_u16(),
        retry_after: None,
        headers: std::mem::take(response.headers_mut()),
        body: Vec::new(),
    };
    let after = answer.header(header::RETRY_AFTER.as_str());
    answer.retry_after = after.and_then(retry_after);
    let success = answer.is_success();
    let most = if success { max } else { MAX_PROBLEM_BYTES };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if chunk.len() <= most - answer.body.len() => {
                answer.body.extend_from_slice(&chunk);
            }
            Ok(None) => return Ok(answer),
            // A refusal whose words cannot be read is one all the same: its status says so.
            _ if !success => {
                answer.body.clear();
                return Ok(answer);
            }
            Ok(Some(_)) => return Err(Broken::TooLong(most)),
            Err(error) => return Err(broken(&error.without_url())),
        }
    }
}

fn broken(error: &reqwest::Error) -> Broken {
    Broken::Transport {
        reason: chain(error),
        sent: !error.is_connect(),
    }
}

/// An error with all its causes in one line: reqwest's own text says "error sending request" and little more.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// How often and how patiently a request is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, at least 1.
    pub attempts: u32,
    /// Wait after the first failure; doubles with each.
    pub base: Duration,
    /// Longest wait that the policy chooses by itself.
    pub max: Duration,
    /// Longest `Retry-After` that is obeyed; a server that asks for more is given up.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// 6 attempts, from 200 ms to 10 s, `Retry-After` up to 60 s.
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_millis(200),
            max: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One attempt, no wait.
    #[must_use]
    pub fn never() -> Self {
        Self {
            attempts: 1,
            ..Self::default()
        }
    }

    /// The wait after attempt number `attempt` (from 1) has failed, `None` if that was the last one. `random` is any
    /// number: it takes away up to half of the wait, so that clients that failed together do not come back together.
    /// What the server asked for in `Retry-After` is a lower bound, never shortened.
    #[must_use]
    pub fn wait(
        &self,
        attempt: u32,
        retry_after: Option<Duration>,
        random: u64,
    ) -> Option<Duration> {
        if attempt >= self.attempts.max(1) {
            return None;
        }
        if retry_after.is_some_and(|wait| wait > self.max_retry_after) {
            return None;
        }
        let backoff = Backoff {
            base: self.base,
            max: self.max,
        };
        let wait = backoff.delay(attempt.saturating_sub(1), random);
        Some(wait.max(retry_after.unwrap_or(Duration::ZERO)))
    }
}

/// Statuses that say "later": too many requests, bad gateway, unavailable, gateway timeout.
#[must_use]
pub fn is_worth_repeating(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// `Retry-After` in its form of whole seconds (RFC 9110, section 10.2.3). The form with a date is ignored: it needs a
/// clock that agrees with the server's.
#[must_use]
pub fn retry_after(value: &str) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod retry_tests;
#[cfg(test)]
mod tests;
