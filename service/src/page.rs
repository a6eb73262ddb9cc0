//! The page that a daemon shows at `/`: a document and a script of its own, and the style and helpers that all pages share.
//!
//! The files are in the binary. The page loads nothing but them, runs no script that stands in the document, and makes no markup out
//! of text (`require-trusted-types-for`). What it shows it asks of the daemon's API.

use ashlar_crypto::sha256;
use axum::Router;
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
    /// The document. It loads `page/page.js` as a module and `page/style.css`.
    pub html: &'static str,
    /// That script; it imports what all pages need of `./shared.js`.
    pub script: &'static str,
}

/// A file of a page.
#[derive(Debug, Clone)]
struct File {
    kind: &'static str,
    text: &'static str,
    /// Changes with the text.
    tag: String,
}

impl File {
    fn new(kind: &'static str, text: &'static str) -> Self {
        let hash = sha256(&[text.as_bytes()]);
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
        (head, [(header::CONTENT_TYPE, self.kind)], self.text).into_response()
    }
}

impl Page {
    fn routes(self) -> Router {
        const CSS: &str = "text/css; charset=utf-8";
        const HTML: &str = "text/html; charset=utf-8";
        const SCRIPT: &str = "text/javascript; charset=utf-8";
        let shared = include_str!("page/shared.js");
        let files = [
            ("/", HTML, self.html),
            ("/page/page.js", SCRIPT, self.script),
            ("/page/shared.js", SCRIPT, shared),
            ("/page/style.css", CSS, include_str!("page/style.css")),
            (
                "/page/icon.svg",
                "image/svg+xml",
                include_str!("page/icon.svg"),
            ),
        ];
        files
            .into_iter()
            .fold(Router::new(), |router, (path, kind, text)| {
                let file = File::new(kind, text);
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
