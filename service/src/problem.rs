//! Errors as problem documents (RFC 9457): written by servers as an [`ApiError`], [read](parse) by clients.

use std::fmt::Display;

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::api::{PROBLEM_TYPE, Problem};
use ashlar_proto::wire::cut_text;
use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// Most bytes of an error answer that are read.
pub const MAX_PROBLEM_BYTES: usize = 64 << 10;

/// Longest text that is kept of a problem's member, bytes.
const MAX_TEXT: usize = 1000;

/// A request that is refused.
#[derive(Debug, Clone)]
pub struct ApiError {
    problem: Box<Problem>,
    headers: HeaderMap,
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::from(Box::new(problem))
    }
}

impl From<Box<Problem>> for ApiError {
    fn from(problem: Box<Problem>) -> Self {
        Self {
            problem,
            headers: HeaderMap::new(),
        }
    }
}

impl ApiError {
    /// Status below 500: the caller has to act; else we.
    pub fn new(status: u16, code: &str, detail: impl Display) -> Self {
        Problem::new(status, code, blame_of(status), detail).into()
    }

    /// A typed error, blamed as it says.
    pub fn coded(status: u16, error: &(impl Coded + Display)) -> Self {
        Problem::from_coded(status, error).into()
    }

    /// An error of ours: logged, and 500.
    pub fn ours(error: &(impl Coded + Display)) -> Self {
        tracing::error!(code = error.code(), "{error}");
        Self::coded(500, error)
    }

    /// 404.
    pub fn not_found(what: impl Display) -> Self {
        Self::new(404, "state.not_found", format!("there is no {what} here"))
    }

    /// 503: come back later.
    pub fn busy(code: &str, detail: impl Display, retry_after_secs: u64) -> Self {
        Self::new(503, code, detail).retry_after(retry_after_secs)
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.problem.status
    }

    /// What came, and what would have been right.
    #[must_use]
    pub fn with(self, got: impl Display, expected: impl Display) -> Self {
        Self {
            problem: Box::new(self.problem.with(got, expected)),
            ..self
        }
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn retry_after(self, secs: u64) -> Self {
        self.header(header::RETRY_AFTER, secs)
    }

    /// Sets a header of the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl Display) -> Self {
        // A value that is none is left out: a refusal is one without it.
        if let Ok(value) = HeaderValue::from_str(&value.to_string()) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Writes the path into a problem that a handler returned, and has it counted.
    pub(crate) fn finish(mut response: Response, path: &str, count: impl FnOnce(&str)) -> Response {
        let Some(mut refusal) = response.extensions_mut().remove::<Self>() else {
            return response;
        };
        count(&refusal.problem.code);
        *refusal.problem = refusal.problem.at(path);
        refusal.build()
    }

    fn build(&self) -> Response {
        let status =
            StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // As JSON it is strings and numbers: if that failed, axum would answer 500.
        let mut response = (status, Json(&self.problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        headers.extend(self.headers.clone());
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.build();
        response.extensions_mut().insert(self);
        response
    }
}

fn blame_of(status: u16) -> Blame {
    if status < 500 {
        Blame::Caller
    } else {
        Blame::Us
    }
}

/// Makes a problem of an error answer. Whatever is missing or has another shape is made up from the status: a proxy in
/// front of a daemon answers in its own way, and an error about an error helps nobody. Texts are cut, and control
/// characters replaced: they end up in terminals.
#[must_use]
pub fn parse(status: u16, content_type: Option<&str>, body: &[u8]) -> Problem {
    let is_json = content_type.is_some_and(|kind| {
        let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind).trim();
        kind.eq_ignore_ascii_case(PROBLEM_TYPE) || kind.eq_ignore_ascii_case("application/json")
    });
    let document = is_json
        .then(|| serde_json::from_slice::<Value>(body).ok())
        .flatten();
    let field = |name: &str| text(document.as_ref()?.get(name)?);
    let code = field("code").unwrap_or_else(|| format!("http.{status}"));
    let blame = match field("blame").as_deref() {
        Some("caller") => Blame::Caller,
        Some("peer") => Blame::Peer,
        Some("us") => Blame::Us,
        _ => blame_of(status.max(399)),
    };
    let detail = field("detail").unwrap_or_else(|| {
        let line = String::from_utf8_lossy(body);
        let line = line.lines().next().map_or("", str::trim);
        if document.is_some() || line.is_empty() {
            format!("HTTP status {status}")
        } else {
            cut_text(line, 200)
        }
    });
    let mut problem = Problem::new(status, &code, blame, detail);
    if let Some(kind) = field("type") {
        problem.kind = kind;
    }
    if let Some(title) = field("title") {
        problem.title = title;
    }
    problem.instance = field("instance");
    problem.got = field("got");
    problem.expected = field("expected");
    problem
}

/// Strings as they are, numbers and the like as JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(cut_text(text, MAX_TEXT)),
        other => Some(cut_text(&other.to_string(), MAX_TEXT)),
    }
}

#[cfg(test)]
mod tests;
