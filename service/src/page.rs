//! The page that a daemon shows at `/`: a document and a script of its own, and the style and helpers that all pages share.
//!
//! The files are in the binary. The page loads nothing but them, runs no script that stands in the document, and makes no markup out
//! of text (`require-trusted-types-for`). What it shows it asks of the daemon's API.

use ashlar_crypto::sha256;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::content::lists;
use crate::listener::Apps;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// What is a daemon's own in its page.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// What the daemon is: `node`.
    pub name: &'static str,
    /// The document between its head line and its end: `main` and `footer`.
    pub body: &'static str,
    /// That script; it imports what all pages need of `./shared.js`.
    pub script: &'static str,
}

/// A file of a page.
#[derive(Debug, Clone)]
struct File {
    kind: &'static str,
    text: Bytes,
    /// Changes with the text.
    tag: String,
}

impl File {
    fn new(kind: &'static str, text: impl Into<Bytes>) -> Self {
        let text = text.into();
        let hash = sha256(&[&text]);
        let tag = format!("\"{}\"", hex::encode(hash));
        Self { kind, text, tag }
    }

    /// Browsers keep it, and ask each time whether it is another one: after an upgrade no page is made of two versions.
    fn answer(&self, request: &HeaderMap) -> Response {
        let head = [
            (header::ETAG, &*self.tag),
            (header::CACHE_CONTROL, "no-cache"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        if lists(request, header::IF_NONE_MATCH, &self.tag) == Some(true) {
            return (StatusCode::NOT_MODIFIED, head).into_response();
        }
        (head, [(header::CONTENT_TYPE, self.kind)], self.text.clone()).into_response()
    }
}

impl Page {
    fn routes(self) -> Router {
        const CSS: &str = "text/css; charset=utf-8";
        const HTML: &str = "text/html; charset=utf-8";
        const SCRIPT: &str = "text/javascript; charset=utf-8";
        const ICON: &str = "image/svg+xml";
        let document = include_str!("page/document.html")
            .replace("{name}", self.name)
            .replace("{body}", self.body);
        let files = [
            ("/", File::new(HTML, document)),
            ("/page/page.js", File::new(SCRIPT, self.script)),
            (
                "/page/shared.js",
                File::new(SCRIPT, include_str!("page/shared.js")),
            ),
            (
                "/page/style.css",
                File::new(CSS, include_str!("page/style.css")),
            ),
            (
                "/page/icon.svg",
                File::new(ICON, include_str!("page/icon.svg")),
            ),
        ];
        files
            .into_iter()
            .fold(Router::new(), |router, (path, file)| {
                let answer = move |headers: HeaderMap| async move { file.answer(&headers) };
                router.route(path, get(answer))
            })
    }
}

impl Apps {
    /// With a page at `/`, for as long as there are places.
    #[must_use]
    pub fn with_page(self, page: Page) -> Self {
        Self {
            api: self.api.merge(page.routes()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests;
