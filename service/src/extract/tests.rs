#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    boat: Option<u8>,
    seats: Option<Bounded<1, 4>>,
}

/// The status of a request, and the code of its problem.
async fn ask(uri: &str) -> (u16, Value) {
    let handler = async |InPath((harbour, _)): InPath<(u8, String)>,
                         InQuery(asked): InQuery<Asked>| {
        Json(
            serde_json::json!({ "code": [u64::from(harbour), asked.boat.map_or(0, u64::from), asked.seats.map_or(0, Bounded::get)] }),
        )
    };
    let app = Router::new().route("/{harbour}/{ship}", get(handler));
    let request = Request::get(uri).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), 10_000).await;
    let body: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    (status, body["code"].clone())
}

#[tokio::test]
async fn numbers_are_written_in_one_way() {
    for (uri, numbers) in [
        ("/7/x", [7, 0, 0]),
        ("/0/0x07", [0, 0, 0]),
        ("/255/+x?boat=0&seats=4", [255, 0, 4]),
    ] {
        assert_eq!(ask(uri).await, (200, serde_json::json!(numbers)), "{uri}");
    }
    for (uri, code) in [
        ("/256/x", "request.path"),
        ("/-1/x", "request.path"),
        ("/07/x", "request.path"),
        ("/+7/x", "request.path"),
        ("/%2B7/x", "request.path"),
        ("/7%0A/x", "request.path"),
        ("/%ff/x", "request.path"),
        ("/7/00", "request.path"),
        ("/7/x?boat=%2B1", "request.query"),
        ("/7/x?boat=01", "request.query"),
        ("/7/x?boat=256", "request.query"),
        ("/7/x?boat=", "request.query"),
        ("/7/x?seats=0", "request.query"),
        ("/7/x?seats=5", "request.query"),
        ("/7/x?ship=1", "request.query"),
        ("/7/x?boat=1&boat=2", "request.query"),
    ] {
        assert_eq!(ask(uri).await, (400, code.into()), "{uri}");
    }
}
