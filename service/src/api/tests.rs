#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::body::Body;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

const DEADLINE: Duration = Duration::from_millis(200);

fn refused() -> Family<Code, Counter> {
    Family::default()
}

async fn ask(refused: &Family<Code, Counter>, method: &str, path: &str) -> (u16, Problem) {
    let router: Router = Router::new()
        .route("/panics", get(|| async { panic!("index 7") as &str }))
        .route("/hangs", get(std::future::pending::<&str>));
    let app = finish(router, "ferry", DEADLINE, refused.clone());
    let request = Request::builder().method(method).uri(path);
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await;
    let response = response.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn whatever_fails_is_a_counted_problem_with_its_path() {
    for (method, path, status, code) in [
        ("GET", "/nowhere", 404, "route.unknown"),
        ("PUT", "/panics", 405, "route.method"),
        ("GET", "/panics", 500, "ferry.internal"),
        ("GET", "/hangs", 504, "request.timeout"),
    ] {
        let refused = refused();
        let (got, problem) = ask(&refused, method, path).await;
        assert_eq!((got, problem.code.as_str()), (status, code));
        assert_eq!(problem.instance.as_deref(), Some(path));
        let code = code.to_owned();
        assert_eq!(refused.get_or_create(&Code { code }).get(), 1);
    }
}
