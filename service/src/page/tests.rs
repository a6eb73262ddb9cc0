#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::body::Body;
use axum::http::{HeaderName, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

const PAGE: Page = Page {
    name: "daemon",
    body: "<main></main>\n",
    script: "export {};",
};

async fn ask(method: &str, path: &str, known: Option<&str>) -> (u16, HeaderMap, String) {
    let api = Router::new().fallback(|| async { StatusCode::NOT_FOUND });
    let apps = Apps {
        health: Router::new(),
        full: Router::new(),
        api,
    };
    let mut request = Request::builder().method(method).uri(path);
    if let Some(known) = known {
        request = request.header(header::IF_NONE_MATCH, known);
    }
    let app = apps.with_page(PAGE).api;
    let answer = app.oneshot(request.body(Body::empty()).unwrap()).await;
    let (head, body) = answer.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.into()).unwrap();
    (head.status.as_u16(), head.headers, text)
}

#[tokio::test]
async fn its_files_are_typed_may_load_nothing_foreign_and_are_asked_for_again_each_time() {
    for (path, kind, begin) in [
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
        (
            "/page/page.js",
            "text/javascript; charset=utf-8",
            "export {};",
        ),
        ("/page/shared.js", "text/javascript; charset=utf-8", "//"),
        ("/page/style.css", "text/css; charset=utf-8", "/*"),
        ("/page/icon.svg", "image/svg+xml", "<svg"),
    ] {
        let (status, head, text) = ask("GET", path, None).await;
        let header = |name: HeaderName| head[name].to_str().unwrap();
        assert_eq!(
            (status, header(header::CONTENT_TYPE)),
            (200, kind),
            "{path}"
        );
        assert!(text.starts_with(begin), "{path}: {text:.20}");
        let policy = header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(header(header::CACHE_CONTROL), "no-cache");
        let tag = header(header::ETAG);
        let (status, head, text) = ask("GET", path, Some(tag)).await;
        assert_eq!((status, text.as_str()), (304, ""), "{path}");
        assert_eq!(head[header::ETAG], tag);
        let (status, ..) = ask("GET", path, Some("\"another\"")).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn it_only_answers_questions_and_leaves_all_else_to_the_api() {
    assert_eq!(ask("POST", "/", None).await.0, 405);
    assert_eq!(ask("GET", "/page/", None).await.0, 404);
    assert_eq!(ask("GET", "/page/../Cargo.toml", None).await.0, 404);
    let (status, _, text) = ask("HEAD", "/", None).await;
    assert_eq!((status, text.as_str()), (200, ""));
}
