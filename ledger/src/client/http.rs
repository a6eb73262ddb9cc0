//! Requests: one attempt, and as many as patience allows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::http::{Method, StatusCode, header};
use ashlar_crypto::Blame;
use ashlar_proto::api::Problem;
use ashlar_proto::wire::cut_text;
use bytes::Bytes;
use reqwest::Url;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig as TlsConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClientConfig, ClientError, Instant, LedgerClient};

/// An error answer is read up to here.
const MAX_PROBLEM: usize = 64 << 10;
/// Longest `Retry-After` that is obeyed within the deadline.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    retry_after: Option<Duration>,
}

/// An attempt without an answer.
pub(super) struct Failure {
    error: ClientError,
    /// The request may have reached the service.
    sent: bool,
}

impl From<Failure> for ClientError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

pub(super) fn client(base: &Url, config: &ClientConfig) -> Result<reqwest::Client, ClientError> {
    let tls = |error: rustls::Error| ClientError::Setup {
        reason: error.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = TlsConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let mut rustls = match (base.scheme(), &config.ca) {
        ("https", Some(path)) => builder.with_root_certificates(authorities(path)?),
        ("https", None) => builder.with_platform_verifier().map_err(tls)?,
        // Plain HTTP works on a machine without CA certificates.
        _ => builder.with_root_certificates(RootCertStore::empty()),
    }
    .with_no_client_auth();
    rustls.alpn_protocols = vec![b"http/1.1".to_vec()];
    reqwest::Client::builder()
        .tls_backend_preconfigured(rustls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(config.connect_timeout)
        .pool_idle_timeout(Duration::from_secs(30))
        .user_agent(concat!("ashlar-ledger/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ClientError::Setup {
            reason: chain(&error),
        })
}

/// The certificates of a PEM file.
fn authorities(path: &Path) -> Result<RootCertStore, ClientError> {
    let failed = |reason: String| ClientError::Authorities {
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

/// An error with its causes in one line; the library's own text leaves them out.
fn chain(error: &dyn std::error::Error) -> String {
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

pub(super) fn to_body<T: Serialize>(value: &T) -> Result<Bytes, ClientError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| ClientError::Setup {
            reason: error.to_string(),
        })
}

pub(super) fn read_json<T: DeserializeOwned>(url: &Url, body: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Answer {
        url: url.to_string(),
        reason: error.to_string(),
    })
}

/// The problem document of an error answer, or one made from its status: a proxy in between answers in its own way.
fn problem(status: StatusCode, body: &[u8]) -> Problem {
    let read = serde_json::from_slice::<Problem>(body).ok();
    let status = status.as_u16();
    match read {
        Some(mut problem) => {
            // Cut and cleaned: it ends up in terminals.
            problem.code = cut_text(&problem.code, 100);
            problem.detail = cut_text(&problem.detail, 1000);
            problem.title = cut_text(&problem.title, 100);
            problem
        }
        None => {
            let blame = if status < 500 {
                Blame::Caller
            } else {
                Blame::Us
            };
            let detail = format!("HTTP status {status}");
            Problem::new(status, &format!("http.{status}"), blame, detail)
        }
    }
}

fn jitter(full: Duration) -> Duration {
    let half = u64::try_from(full.as_micros() / 2).unwrap_or(u64::MAX - 1);
    // Without randomness everybody waits in full, which is only less polite.
    let random = getrandom::u64().unwrap_or(0);
    full.saturating_sub(Duration::from_micros(random % (half + 1)))
}

impl LedgerClient {
    pub(super) fn url(&self, path: &str) -> Result<Url, ClientError> {
        let base = self.inner.base.as_str().trim_end_matches('/');
        let text = format!("{base}/{}", path.trim_start_matches('/'));
        text.parse::<Url>().map_err(|error| ClientError::Url {
            got: text,
            reason: error.to_string(),
        })
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, Some(body), None).await
    }

    /// Attempts until there is an answer, the deadline passes, or the attempts are used up. `extra` is time that the service
    /// is asked to take.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        extra: Option<Duration>,
    ) -> Result<T, ClientError> {
        let url = self.url(path)?;
        let config = &self.inner.config;
        let deadline = Instant::now() + config.deadline + extra.unwrap_or(Duration::ZERO);
        let mut wait = config.backoff;
        // An attempt that may have reached the service: its answer decides, whatever the later ones say.
        let mut maybe_done: Option<String> = None;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let result = self.attempt(&method, &url, body.clone(), extra).await;
            let (error, retry_after) = match result {
                Ok(answer) if answer.status.is_success() => return read_json(&url, &answer.body),
                Ok(answer) => {
                    let busy = matches!(answer.status.as_u16(), 429 | 502 | 503 | 504);
                    let problem = problem(answer.status, &answer.body);
                    // The nonce is used: by our own lost attempt, or by somebody else's. We cannot know.
                    if let (Some(reason), "transaction.nonce") =
                        (&maybe_done, problem.code.as_str())
                    {
                        return Err(ClientError::Unknown {
                            reason: reason.clone(),
                        });
                    }
                    let problem = Box::new(problem);
                    let error = ClientError::Refused { problem };
                    if !busy {
                        return Err(error);
                    }
                    (error, answer.retry_after)
                }
                Err(Failure { error, sent }) => {
                    if sent && body.is_some() {
                        maybe_done = Some(error.to_string());
                    }
                    (error, None)
                }
            };
            let pause = jitter(wait).max(retry_after.unwrap_or(Duration::ZERO));
            let late = Instant::now() + pause >= deadline;
            if attempt >= config.attempts.max(1) || late || pause > MAX_RETRY_AFTER {
                return Err(match maybe_done {
                    Some(reason) => ClientError::Unknown { reason },
                    None => error,
                });
            }
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(config.backoff * 16);
        }
    }

    pub(super) async fn attempt(
        &self,
        method: &Method,
        url: &Url,
        body: Option<Bytes>,
        extra: Option<Duration>,
    ) -> Result<Answer, Failure> {
        let config = &self.inner.config;
        let limit = config.attempt_timeout + extra.unwrap_or(Duration::ZERO);
        let mut request = self.inner.http.request(method.clone(), url.clone());
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let failed = |error: reqwest::Error| Failure {
            sent: !error.is_connect(),
            error: ClientError::Unreachable {
                url: url.to_string(),
                reason: chain(&error.without_url()),
            },
        };
        let exchange = async {
            let mut response = request.send().await.map_err(failed)?;
            let status = response.status();
            let retry_after = response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok())
                .map(Duration::from_secs);
            let most = if status.is_success() {
                config.max_answer
            } else {
                MAX_PROBLEM
            };
            let mut body = Vec::new();
            while let Some(bytes) = response.chunk().await.map_err(failed)? {
                if body.len() + bytes.len() > most {
                    return Err(Failure {
                        sent: true,
                        error: ClientError::Answer {
                            url: url.to_string(),
                            reason: format!("it has more than {most} bytes"),
                        },
                    });
                }
                body.extend_from_slice(&bytes);
            }
            Ok(Answer {
                status,
                body: body.into(),
                retry_after,
            })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Failure {
                sent: true,
                error: ClientError::Timeout {
                    url: url.to_string(),
                    millis: limit.as_millis(),
                },
            }),
        }
    }
}
