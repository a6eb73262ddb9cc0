//! Requests: one attempt, and as many as patience allows.

use std::time::Duration;

use ::http::{Method, header};
use ashlar_service::http::{
    self, Answer, Authorities, Broken, HttpError, RetryPolicy, exchange, is_worth_repeating,
};
use bytes::Bytes;
use reqwest::Url;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClientConfig, ClientError, Instant, LedgerClient};

pub(super) fn client(base: &Url, config: &ClientConfig) -> Result<reqwest::Client, ClientError> {
    let authorities = match &config.ca {
        Some(path) if base.scheme() == "https" => Authorities::File(path),
        _ => Authorities::needed(base.scheme() == "https"),
    };
    let builder = http::client(authorities, config.connect_timeout)?;
    Ok(http::build(builder)?)
}

impl From<HttpError> for ClientError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Authorities { path, reason } => Self::Authorities { path, reason },
            other => Self::Setup {
                reason: other.to_string(),
            },
        }
    }
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
        let policy = RetryPolicy {
            attempts: config.attempts,
            base: config.backoff,
            max: config.backoff * 16,
            ..RetryPolicy::default()
        };
        // An attempt that may have reached the service: its answer decides, whatever the later ones say.
        let mut maybe_done: Option<String> = None;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (error, retry_after) = match self.attempt(&method, &url, body.clone(), extra).await
            {
                Ok(answer) if answer.is_success() => return read_json(&url, &answer.body),
                Ok(answer) => {
                    let problem = Box::new(answer.problem());
                    // The nonce is used: by our own lost attempt, or by somebody else's. We cannot know.
                    if problem.code == "transaction.nonce"
                        && let Some(reason) = maybe_done
                    {
                        return Err(ClientError::Unknown { reason });
                    }
                    let error = ClientError::Refused { problem };
                    if !is_worth_repeating(answer.status) {
                        return Err(error);
                    }
                    (error, answer.retry_after)
                }
                Err(broken) => {
                    let sent = !matches!(broken, Broken::Transport { sent: false, .. });
                    let error = failure(&url, broken);
                    if sent && body.is_some() {
                        maybe_done = Some(error.to_string());
                    }
                    (error, None)
                }
            };
            let random = getrandom::u64().unwrap_or(0);
            match policy.wait(attempt, retry_after, random) {
                Some(pause) if Instant::now() + pause < deadline => {
                    tokio::time::sleep(pause).await;
                }
                _ => {
                    return Err(match maybe_done {
                        Some(reason) => ClientError::Unknown { reason },
                        None => error,
                    });
                }
            }
        }
    }

    pub(super) async fn attempt(
        &self,
        method: &Method,
        url: &Url,
        body: Option<Bytes>,
        extra: Option<Duration>,
    ) -> Result<Answer, Broken> {
        let config = &self.inner.config;
        let limit = config.attempt_timeout + extra.unwrap_or(Duration::ZERO);
        let mut request = self.inner.http.request(method.clone(), url.clone());
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        exchange(request.send(), config.max_answer, limit).await
    }
}

pub(super) fn failure(url: &Url, broken: Broken) -> ClientError {
    let (url, reason) = (url.to_string(), broken.to_string());
    match broken {
        Broken::Transport { .. } => ClientError::Unreachable { url, reason },
        Broken::Timeout(limit) => ClientError::Timeout {
            url,
            millis: limit.as_millis(),
        },
        Broken::TooLong(_) => ClientError::Answer { url, reason },
    }
}
