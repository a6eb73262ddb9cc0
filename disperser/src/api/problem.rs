//! Errors as problem documents (RFC 9457).

use std::fmt::Display;

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::api::{PROBLEM_TYPE, Problem};
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::ApiState;

/// A request that is refused.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    problem: Box<Problem>,
    retry_after_secs: Option<u64>,
}

impl Refusal {
    /// Status below 500: the caller has to act; else we.
    pub(crate) fn new(status: u16, code: &str, detail: impl Display) -> Self {
        let blame = if status < 500 {
            Blame::Caller
        } else {
            Blame::Us
        };
        Self {
            problem: Box::new(Problem::new(status, code, blame, detail)),
            retry_after_secs: None,
        }
    }

    pub(crate) fn blamed(status: u16, code: &str, blame: Blame, detail: impl Display) -> Self {
        Self {
            problem: Box::new(Problem::new(status, code, blame, detail)),
            retry_after_secs: None,
        }
    }

    /// An error of the caller.
    pub(crate) fn bad(error: &(impl Coded + Display)) -> Self {
        Self::blamed(400, error.code(), error.blame(), error)
    }

    /// An error of ours.
    pub(crate) fn ours(error: &(impl Coded + Display)) -> Self {
        tracing::error!(code = error.code(), "{error}");
        Self::blamed(500, error.code(), error.blame(), error)
    }

    /// 503: come back later.
    pub(crate) fn busy(state: &ApiState, code: &str, detail: impl Display) -> Self {
        let mut refusal = Self::new(503, code, detail);
        refusal.retry_after_secs = Some(state.config.accept.retry_after_secs);
        refusal
    }

    pub(crate) fn with(self, got: impl Display, expected: impl Display) -> Self {
        Self {
            problem: Box::new(self.problem.with(got, expected)),
            ..self
        }
    }

    pub(crate) fn retry_after(mut self, secs: u64) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// Writes the path into a problem that a handler returned, and has it counted.
    pub(crate) fn finish(mut response: Response, path: &str, count: impl FnOnce(&str)) -> Response {
        let Some(refusal) = response.extensions_mut().remove::<Self>() else {
            return response;
        };
        count(&refusal.problem.code);
        refusal.build(Some(path))
    }

    fn build(self, path: Option<&str>) -> Response {
        let mut problem = *self.problem.clone();
        if let Some(path) = path {
            problem = problem.at(path);
        }
        let status =
            StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // As JSON it is strings and numbers: if that failed, axum would answer 500.
        let mut response = (status, Json(problem)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_TYPE));
        if let Some(secs) = self.retry_after_secs {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        if path.is_none() {
            response.extensions_mut().insert(self);
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.build(None)
    }
}
