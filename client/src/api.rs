//! One HTTP request with repetition: what is repeated, how long each attempt may take, how much is read.

use std::time::Duration;

use ashlar_service::http::{Broken, RetryPolicy, exchange, is_worth_repeating};
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Url, header};
use tokio::time::{Instant, sleep};

use crate::ClientError;

/// A request that can be sent again.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// The attempts go round these.
    pub(crate) urls: Vec<Url>,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) accept: Option<&'static str>,
    pub(crate) body: Bytes,
    /// For one attempt, from the connection to the last byte of the answer.
    pub(crate) timeout: Duration,
}

impl Call {
    pub(crate) fn get(url: Url, accept: &'static str, timeout: Duration) -> Self {
        Self {
            method: Method::GET,
            urls: vec![url],
            content_type: None,
            accept: Some(accept),
            body: Bytes::new(),
            timeout,
        }
    }

    fn request(&self, http: &reqwest::Client, url: &Url) -> RequestBuilder {
        let mut request = http.request(self.method.clone(), url.clone());
        if let Some(kind) = self.content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        if let Some(kind) = self.accept {
            request = request.header(header::ACCEPT, kind);
        }
        match self.method {
            Method::GET => request,
            _ => request.body(self.body.clone()),
        }
    }
}

/// A whole answer with a status of success.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// Which of the call's URLs answered.
    pub(crate) url_index: usize,
}

/// Sends the call until it succeeds, is refused for good, the policy gives up or the deadline passes. `max` is the
/// most bytes of the answer that are read.
pub(crate) async fn send(
    http: &reqwest::Client,
    policy: &RetryPolicy,
    call: &Call,
    max: usize,
    deadline: Instant,
) -> Result<Answer, ClientError> {
    let mut attempt = 0u32;
    loop {
        let url_index = attempt as usize % call.urls.len().max(1);
        let Some(url) = call.urls.get(url_index) else {
            return Err(ClientError::NoDisperser);
        };
        attempt += 1;
        let limit = call
            .timeout
            .min(deadline.saturating_duration_since(Instant::now()));
        let (error, after) = match exchange(call.request(http, url), max, limit).await {
            Ok(answer) if answer.is_success() => {
                return Ok(Answer {
                    body: answer.body,
                    url_index,
                });
            }
            Ok(answer) => {
                let error = ClientError::Refused(Box::new(answer.problem()));
                if !is_worth_repeating(answer.status) {
                    return Err(error);
                }
                (error, answer.retry_after)
            }
            Err(error @ Broken::TooLong(_)) => {
                return Err(ClientError::Answer {
                    what: "answer",
                    reason: error.to_string(),
                });
            }
            Err(error) => (
                ClientError::Transport {
                    url: url.to_string(),
                    attempts: attempt,
                    reason: error.to_string(),
                },
                None,
            ),
        };
        let random = getrandom::u64().unwrap_or(0);
        match policy.wait(attempt, after, random) {
            Some(wait) if Instant::now() + wait < deadline => {
                tracing::debug!(%url, attempt, ?wait, %error, "again later");
                sleep(wait).await;
            }
            _ => return Err(error),
        }
    }
}
