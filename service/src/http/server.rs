//! Whom to ask: somebody at a URL, or, in the same way and without a socket, an HTTP API in this process.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, header};
use futures::future::BoxFuture;
use reqwest::{RequestBuilder, Url};
use tower::ServiceExt as _;

use super::HttpError;
use crate::listener::Sender;

/// A name that nobody can have (RFC 6761, section 6.4): written down somewhere, it leads nowhere.
const NOWHERE: &str = "http://embedded.invalid";

/// An HTTP API in this process.
pub trait LocalApi: Send + Sync {
    /// Answers a request. Whoever drops the answer wants no more of it.
    fn answer(
        &self,
        request: Request<reqwest::Body>,
    ) -> BoxFuture<'static, Response<reqwest::Body>>;
}

impl LocalApi for Router {
    fn answer(
        &self,
        request: Request<reqwest::Body>,
    ) -> BoxFuture<'static, Response<reqwest::Body>> {
        let mut request = request.map(Body::new);
        let here = Sender(IpAddr::V4(Ipv4Addr::LOCALHOST));
        request.extensions_mut().insert(here);
        let answered = self.clone().oneshot(request);
        Box::pin(async move {
            let answer = answered.await.unwrap_or_else(|never| match never {});
            answer.map(|body| reqwest::Body::wrap_stream(body.into_data_stream()))
        })
    }
}

/// Whom to ask: somebody at a checked base URL (`http` or `https`, with a host, without query and fragment), or an API in this process.
#[derive(Clone)]
pub struct Server {
    url: Url,
    local: Option<Arc<dyn LocalApi>>,
}

impl Server {
    /// Checks a base URL as people write it; a path in front of the API is allowed (`https://host/ashlar`).
    ///
    /// # Errors
    ///
    /// [`HttpError::Url`].
    pub fn at(text: &str) -> Result<Self, HttpError> {
        let refuse = |reason: &str| HttpError::Url {
            url: text.to_owned(),
            reason: reason.to_owned(),
        };
        let mut url = Url::parse(text.trim()).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("the scheme must be http or https"));
        }
        if !url.has_host() {
            return Err(refuse("there is no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse(
                "credentials do not belong into a URL: it is printed and logged",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("a base URL has no query and no fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self { url, local: None })
    }

    /// An API in this process. It has a URL all the same, which leads nowhere.
    #[expect(
        clippy::expect_used,
        reason = "the constant is a URL: a test of this module makes one"
    )]
    pub fn local(api: Arc<dyn LocalApi>) -> Self {
        Self {
            local: Some(api),
            ..Self::at(NOWHERE).expect("a URL")
        }
    }

    /// Its URL with a path behind it; `path` starts without a slash.
    #[must_use]
    pub fn join(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{path}"));
        url
    }

    /// Whether TLS is needed.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Sends a request for one of its URLs, to the head of the answer.
    ///
    /// # Errors
    ///
    /// It is not reached, or the connection breaks off.
    pub async fn send(&self, request: RequestBuilder) -> reqwest::Result<reqwest::Response> {
        let Some(api) = &self.local else {
            return request.send().await;
        };
        let mut request = Request::try_from(request.build()?)?;
        if let Some(body) = request.body().as_bytes() {
            let length = body.len().into();
            request.headers_mut().insert(header::CONTENT_LENGTH, length);
        }
        Ok(api.answer(request).await.into())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

#[cfg(test)]
mod tests;
