//! One HTTP request with repetition: what is repeated, how long each attempt may take, how much is read.

use std::time::Duration;

use ashlar_retriever::http::chain;
use bytes::Bytes;
use reqwest::{Method, Response, Url};
use tokio::time::{Instant, sleep, timeout_at};

use crate::problem::{self, MAX_PROBLEM_BYTES};
use crate::retry::{is_worth_repeating, retry_after};
use crate::{ClientError, Problem, RetryPolicy};

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
}

/// A whole answer with a status of success.
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
    /// Which of the call's URLs answered.
    pub(crate) url_index: usize,
}

enum Attempt {
    Done(Vec<u8>),
    /// Not reached, or broken off: the reason.
    Broken(String),
    Refused(Problem, Option<Duration>),
    Unusable(ClientError),
}

/// Sends the call until it succeeds, is refused for good, the policy gives up or the deadline passes. `limit` is the
/// most bytes of the answer that are read.
pub(crate) async fn send(
    http: &reqwest::Client,
    policy: &RetryPolicy,
    call: &Call,
    limit: usize,
    deadline: Instant,
) -> Result<Answer, ClientError> {
    let mut attempt = 0u32;
    loop {
        let url_index = attempt as usize % call.urls.len().max(1);
        let Some(url) = call.urls.get(url_index) else {
            return Err(ClientError::NoDisperser);
        };
        attempt += 1;
        let until = deadline.min(Instant::now() + call.timeout);
        let outcome = timeout_at(until, once(http, call, url, limit))
            .await
            .unwrap_or_else(|_| Attempt::Broken("no answer in time".to_owned()));
        let (error, after) = match outcome {
            Attempt::Done(body) => return Ok(Answer { body, url_index }),
            Attempt::Unusable(error) => return Err(error),
            Attempt::Broken(reason) => (
                ClientError::Transport {
                    url: url.to_string(),
                    attempts: attempt,
                    reason,
                },
                None,
            ),
            Attempt::Refused(problem, after) => {
                let repeat = is_worth_repeating(problem.status);
                let error = ClientError::Refused(Box::new(problem));
                if !repeat {
                    return Err(error);
                }
                (error, after)
            }
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

async fn once(http: &reqwest::Client, call: &Call, url: &Url, limit: usize) -> Attempt {
    let mut request = http.request(call.method.clone(), url.clone());
    if let Some(kind) = call.content_type {
        request = request.header(http::header::CONTENT_TYPE, kind);
    }
    if let Some(kind) = call.accept {
        request = request.header(http::header::ACCEPT, kind);
    }
    if call.method != Method::GET {
        request = request.body(call.body.clone());
    }
    let answer = match request.send().await {
        Ok(answer) => answer,
        Err(error) => return Attempt::Broken(chain(&error.without_url())),
    };
    if !answer.status().is_success() {
        return refusal(answer).await;
    }
    match read(answer, limit).await {
        Ok(Some(body)) => Attempt::Done(body),
        Ok(None) => Attempt::Unusable(ClientError::Answer {
            what: "answer",
            reason: format!("it has more than {limit} bytes"),
        }),
        Err(error) => Attempt::Broken(chain(&error.without_url())),
    }
}

async fn refusal(answer: Response) -> Attempt {
    let after = header(&answer, http::header::RETRY_AFTER).and_then(|value| retry_after(&value));
    Attempt::Refused(read_problem(answer).await, after)
}

/// The problem document of an answer that is no success.
pub(crate) async fn read_problem(answer: Response) -> Problem {
    let status = answer.status().as_u16();
    let kind = header(&answer, http::header::CONTENT_TYPE);
    let location = header(&answer, http::header::LOCATION);
    // A refusal whose words cannot be read is one all the same: its status says so.
    let body = match read(answer, MAX_PROBLEM_BYTES).await {
        Ok(Some(body)) => body,
        Ok(None) | Err(_) => Vec::new(),
    };
    let mut problem = problem::parse(status, kind.as_deref(), &body);
    if let Some(location) = location.filter(|_| (300..400).contains(&status)) {
        problem.detail = format!("redirects are not followed; this one leads to {location}");
    }
    problem
}

fn header(answer: &Response, name: http::HeaderName) -> Option<String> {
    let value = answer.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// The body, `None` if it is longer than `limit`.
async fn read(mut answer: Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if chunk.len() > limit - body.len() {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
