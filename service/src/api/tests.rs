#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::body::Body;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

const DEADLINE: Duration = Duration::from_millis(200);

fn refused() -> Family<Code, Counter> {
    Family::default()
}

fn daemon(refused: &Family<Code, Counter>) -> Daemon {
    Daemon {
        name: "ferry",
        health: Arc::default(),
        metrics: Arc::new(|| "boats 3".to_owned()),
        refused: refused.clone(),
        deadline: DEADLINE,
    }
}

async fn ask(refused: &Family<Code, Counter>, method: &str, path: &str) -> (u16, Problem) {
    let router: Router = Router::new()
        .route("/panics", get(|| async { panic!("index 7") as &str }))
        .route("/hangs", get(std::future::pending::<&str>));
    let app = daemon(refused).finish(router.fallback(unknown));
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

#[tokio::test]
async fn every_daemon_says_how_it_is_and_what_it_answers() {
    let refused = refused();
    let app = daemon(&refused).apps(OpenApiRouter::new(), ()).api;
    let ask = async |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::empty()).unwrap();
        let (head, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header = |name| head.headers.get(name).map(|value| value.to_str().unwrap());
        (
            head.status.as_u16(),
            header("allow").map(str::to_owned),
            body,
        )
    };
    assert_eq!(ask("GET", "/metrics").await, (200, None, "boats 3".into()));
    let (status, _, body) = ask("GET", "/v1/health").await;
    let health: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &health["status"]), (503, &json!("opening")));
    let (status, _, body) = ask("GET", "/v1/ready").await;
    let ready: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &ready["ready"]), (503, &json!(false)));
    let (status, _, body) = ask("GET", "/v1/openapi.json").await;
    let document: Value = serde_json::from_slice(&body).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(status, 200);
    let common = ["/metrics", "/v1/health", "/v1/openapi.json", "/v1/ready"];
    assert_eq!(paths, common);
    let (status, allowed, body) = ask("POST", "/metrics").await;
    assert_eq!((status, allowed.as_deref()), (405, Some("GET,HEAD")));
    let problem: Problem = serde_json::from_slice(&body).unwrap();
    assert_eq!(problem.code, "route.method");
    assert_eq!(ask("HEAD", "/metrics").await, (200, None, Bytes::new()));
}

#[test]
fn a_document_has_what_all_operations_share() {
    let declared: OpenApi = serde_json::from_value(json!({
        "openapi": "3.1.0",
        "info": { "title": "ferry", "version": "1" },
        "paths": {
            "/boats": { "get": { "responses": { "200": { "description": "All" } } } },
            "/boats/{boat}": { "put": {
                "parameters": [{
                    "name": "boat", "in": "path", "required": true,
                    "schema": { "$ref": "#/components/schemas/u16" },
                }],
                "responses": {
                    "200": { "description": "Bought" },
                    "404": { "description": "Sunk" },
                    "503": { "description": "Ebb", "content": { "text/plain": {} } },
                },
            } },
        },
    }))
    .unwrap();
    let document = document(declared);
    let paths = &document["paths"];
    let of = |path: &str, method: &str| {
        let responses = paths[path][method]["responses"].as_object().unwrap();
        responses.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(of("/boats", "get"), ["200", "500", "503", "504"]);
    let all = ["200", "400", "404", "500", "503", "504"];
    assert_eq!(of("/boats/{boat}", "put"), all);
    let put = &paths["/boats/{boat}"]["put"];
    assert_eq!(
        put["parameters"][0]["schema"],
        json!({ "type": "integer", "format": "uint16", "minimum": 0, "maximum": 65535 })
    );
    let sunk = &put["responses"]["404"];
    assert_eq!(sunk["description"], "Sunk");
    let schema = &sunk["content"][PROBLEM_TYPE]["schema"]["$ref"];
    assert_eq!(schema, "#/components/schemas/Problem");
    assert!(document["components"]["schemas"]["Problem"].is_object());
    assert!(put["responses"]["503"]["content"][PROBLEM_TYPE].is_null());
    assert!(paths["/boats"]["get"]["responses"]["200"]["content"].is_null());
}

#[test]
fn integers_are_known_by_every_name_that_a_document_gives_them() {
    for name in ["u64", "uint64", "u-int64"] {
        assert_eq!(integer_bits(name), Some(64), "{name}");
    }
    assert_eq!(integer_bits("int64"), None);
}
