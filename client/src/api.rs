//! One HTTP request: how long it may take, how much is read, and its repetition at one server.

use std::time::Duration;

use ashlar_service::http::{Answer, Broken, RetryPolicy, Server, exchange, is_worth_repeating};
use bytes::Bytes;
use reqwest::{RequestBuilder, Url, header};
use tokio::time::{Instant, sleep};

use crate::ClientError;
use crate::submission::Post;

/// A request that can be sent again.
pub(crate) struct Call<'a> {
    pub(crate) server: &'a Server,
    pub(crate) url: Url,
    pub(crate) accept: &'static str,
    /// What an account signs for it.
    pub(crate) signed: Vec<(&'static str, String)>,
    /// What is posted, if it is no GET.
    pub(crate) post: Option<&'a Post>,
    /// For one attempt, from the connection to the last byte of the answer.
    pub(crate) timeout: Duration,
    /// Most bytes of the answer that are read.
    pub(crate) max: usize,
}

impl Call<'_> {
    fn request(&self, http: &reqwest::Client) -> RequestBuilder {
        let request = match self.post {
            Some(post) => http
                .post(self.url.clone())
                .header(header::CONTENT_TYPE, post.content_type)
                .body(post.body.clone()),
            None => http.get(self.url.clone()),
        };
        let signed = self.signed.iter();
        signed.fold(
            request.header(header::ACCEPT, self.accept),
            |request, (name, value)| request.header(*name, value),
        )
    }

    /// One attempt; `attempt` counts from 1.
    pub(crate) async fn once(
        &self,
        http: &reqwest::Client,
        attempt: u32,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = self.timeout.min(left);
        match exchange(self.server.send(self.request(http)), self.max, limit).await {
            Ok(answer) if answer.is_success() => Ok(answer),
            Ok(answer) => Err(ClientError::Refused {
                problem: Box::new(answer.problem()),
                retry_after: answer.retry_after,
            }),
            Err(error @ Broken::TooLong(_)) => Err(ClientError::Answer {
                what: "answer",
                reason: error.to_string(),
            }),
            Err(error) => Err(ClientError::Transport {
                url: self.url.to_string(),
                attempts: attempt,
                sent: !matches!(error, Broken::Transport { sent: false, .. }),
                reason: error.to_string(),
            }),
        }
    }

    /// Attempts until one succeeds, is refused for good, the policy gives up or the deadline passes.
    pub(crate) async fn send(
        &self,
        http: &reqwest::Client,
        policy: &RetryPolicy,
        deadline: Instant,
    ) -> Result<Bytes, ClientError> {
        let mut attempt = 1;
        loop {
            let error = match self.once(http, attempt, deadline).await {
                Ok(answer) => return Ok(answer.body.into()),
                Err(error) => error,
            };
            match pause(policy, attempt, &error) {
                Some(wait) if Instant::now() + wait < deadline => {
                    tracing::debug!(url = %self.url, attempt, ?wait, %error, "again later");
                    sleep(wait).await;
                }
                _ => return Err(error),
            }
            attempt += 1;
        }
    }
}

/// How long to wait before the same server is asked the same again, after so many attempts; `None` if not at all.
pub(crate) fn pause(policy: &RetryPolicy, attempt: u32, error: &ClientError) -> Option<Duration> {
    let after = match error {
        ClientError::Transport { .. } => None,
        ClientError::Refused {
            problem,
            retry_after,
        } if is_worth_repeating(problem.status) => *retry_after,
        _ => return None,
    };
    policy.wait(attempt, after, random())
}

/// For what is only to be scattered: without any randomness it is only less polite.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
