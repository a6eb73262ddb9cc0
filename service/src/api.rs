//! What the HTTP interfaces of all daemons do alike.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::api::{PROBLEM_TYPE, Problem};
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::header;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde_json::{Map, Value, json};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::health::ReadyReport;
use crate::listener::{Apps, Full};
use crate::metrics::{self, Code};
use crate::{ApiError, Health, HealthReport};

/// A handler that failed, without a word about why. `daemon` is its name in one word, the first part of the code.
pub fn internal(daemon: &str) -> ApiError {
    let code = format!("{daemon}.internal");
    let detail = format!("the request failed inside the {daemon}");
    ApiError::new(500, &code, detail)
}

/// A daemon, as far as the HTTP interfaces of all daemons are alike.
#[derive(Clone)]
pub struct Daemon {
    /// Its name in one word, the first part of its codes.
    pub name: &'static str,
    /// What `/v1/health` and `/v1/ready` say.
    pub health: Arc<Health>,
    /// The text of `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Refused requests, by code.
    pub refused: Family<Code, Counter>,
    /// The longest that an answer takes.
    pub deadline: Duration,
}

impl Daemon {
    /// All that is served: these routes, and what every daemon answers beside them: health, readiness, metrics, and the OpenAPI
    /// document of all.
    pub fn apps<S: Clone + Send + Sync + 'static>(
        &self,
        routes: OpenApiRouter<S>,
        state: S,
    ) -> Apps {
        let (routes, declared) = routes.split_for_parts();
        let (common, _) = common().split_for_parts();
        let document = document(declared).to_string().into();
        let common = common.merge(short_routes());
        let common = common.with_state(self.common(document));
        Apps {
            api: self.finish(routes.with_state(state).merge(common).fallback(unknown)),
            ..self.health_apps()
        }
    }

    /// Health, readiness and metrics alone, of a daemon that serves nothing else.
    pub fn health_apps(&self) -> Apps {
        let health = self.finish(self.health_routes().fallback(unknown));
        Apps {
            api: health.clone(),
            health,
            full: self.finish(self.health_routes().fallback(full)),
        }
    }

    fn common(&self, document: Bytes) -> Common {
        Common {
            daemon: self.clone(),
            document,
        }
    }

    fn health_routes(&self) -> Router {
        Router::new()
            .route("/v1/health", get(health))
            .route("/v1/ready", get(ready))
            .route("/metrics", get(metrics))
            .merge(short_routes())
            .with_state(self.common(Bytes::new()))
    }

    /// A panic is a 500, an answer that takes longer than the deadline a 504, and every refusal names
    /// its path and is counted.
    fn finish(&self, router: Router) -> Router {
        let (name, deadline, refused) = (self.name, self.deadline, self.refused.clone());
        let answer = move |request: Request, next: Next| {
            let refused = refused.clone();
            async move {
                let path = request.uri().path().to_owned();
                let response: Response = tokio::time::timeout(deadline, next.run(request))
                    .await
                    .unwrap_or_else(|_| late(deadline).into_response());
                ApiError::finish(response, &path, |code| {
                    let code = code.to_owned();
                    refused.get_or_create(&Code { code }).inc();
                })
            }
        };
        router
            .method_not_allowed_fallback(|| async {
                unrouted(405, "route.method", "does not have this method")
            })
            .layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| {
                internal(name).into_response()
            }))
            .layer(from_fn(answer))
    }
}

/// What the common handlers answer with.
#[derive(Clone)]
struct Common {
    daemon: Daemon,
    document: Bytes,
}

/// For people, and for probes that know no versions.
fn short_routes() -> Router<Common> {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
}

fn common() -> OpenApiRouter<Common> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(openapi))
}

/// Whether the daemon can work: opening, ready, degraded and why, or stopping.
#[utoipa::path(
    get,
    path = "/v1/health",
    responses(
        (status = 200, description = "Ready", body = HealthReport),
        (status = 503, description = "Opening, degraded or stopping; the reasons are in the body", body = HealthReport),
    ),
    tag = "service"
)]
async fn health(State(common): State<Common>) -> Response {
    common.daemon.health.page()
}

/// Whether the daemon does its job: a node signs, a disperser makes batches, a ledger makes blocks. It may be degraded and do so.
#[utoipa::path(
    get,
    path = "/v1/ready",
    responses(
        (status = 200, description = "It does its job", body = ReadyReport),
        (status = 503, description = "It does not; the reasons are in the body", body = ReadyReport),
    ),
    tag = "service"
)]
async fn ready(State(common): State<Common>) -> Response {
    common.daemon.health.ready_page()
}

/// Metrics in the text format of OpenMetrics.
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, description = "Metrics", body = String, content_type = "application/openmetrics-text")),
    tag = "service"
)]
async fn metrics(State(common): State<Common>) -> Response {
    metrics::page((common.daemon.metrics)())
}

/// This document.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    responses((status = 200, description = "The OpenAPI document", body = Object)),
    tag = "service"
)]
async fn openapi(State(common): State<Common>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, common.document).into_response()
}

async fn unknown() -> ApiError {
    unrouted(404, "route.unknown", "is none of this API's")
}

async fn full(Extension(full): Extension<Full>) -> ApiError {
    full.refusal()
}

fn unrouted(status: u16, code: &str, what: &str) -> ApiError {
    let detail = format!("the path {what}; GET /v1/openapi.json lists them");
    ApiError::new(status, code, detail)
}

fn late(deadline: Duration) -> ApiError {
    ApiError::from(Problem::new(
        504,
        "request.timeout",
        ashlar_crypto::Blame::Us,
        format!(
            "there was no answer within {} s; whether the request was carried out shows when it is sent again",
            deadline.as_secs()
        ),
    ))
}

/// In documents: a body of bytes.
#[derive(Debug)]
pub struct Binary;

impl PartialSchema for Binary {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .into()
    }
}

impl ToSchema for Binary {}

/// The OpenAPI document of what the handlers declare and of what every daemon answers: a status of 400 or more that is declared without
/// a body has a [`Problem`], problems that need no word at the handler are added, and integers have the bounds of their types.
fn document(mut declared: OpenApi) -> Value {
    declared.merge(common().into_openapi());
    let mut schemas = vec![(Problem::name().into_owned(), Problem::schema())];
    Problem::schemas(&mut schemas);
    let components = declared.components.get_or_insert_default();
    components.schemas.extend(schemas);
    let mut document = json!(declared);
    let paths = document["paths"].as_object_mut();
    for operation in paths.into_iter().flat_map(|paths| {
        let items = paths.values_mut().filter_map(Value::as_object_mut);
        items.flat_map(Map::values_mut)
    }) {
        let takes = |place: &str| {
            let mut parameters = operation["parameters"].as_array().into_iter().flatten();
            parameters.any(|parameter| parameter["in"] == place)
        };
        let (path, body) = (takes("path"), operation.get("requestBody").is_some());
        let input = path || takes("query") || body;
        let Some(responses) = operation["responses"].as_object_mut() else {
            continue;
        };
        for (status, comes, description) in [
            ("400", input, "Something in the request is wrong"),
            ("404", path, "There is no such thing here"),
            ("408", body, "The body came too slowly"),
            ("413", body, "The body is too large"),
            ("500", true, "The server failed; its log says why"),
            ("503", true, "Opening, stopping, or busy; see Retry-After"),
            ("504", true, "There was no answer in time"),
        ] {
            if comes {
                let response = json!({ "description": description });
                responses.entry(status).or_insert(response);
            }
        }
        for (status, response) in responses {
            if status.as_str() >= "400" && response.get("content").is_none() {
                let schema = json!({ "$ref": "#/components/schemas/Problem" });
                response["content"] = json!({ PROBLEM_TYPE: { "schema": schema } });
            }
        }
    }
    bound(&mut document);
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| integer_bits(name).is_none());
    }
    document
}

/// The width of an unsigned integer, by its name or its format.
fn integer_bits(name: &str) -> Option<u32> {
    match name {
        "u8" | "uint8" | "u-int8" => Some(8),
        "u16" | "uint16" | "u-int16" => Some(16),
        "u32" | "uint32" | "u-int32" => Some(32),
        "u64" | "uint64" | "u-int64" => Some(64),
        _ => None,
    }
}

/// Gives integers the bounds of their types. Aliases of integers come as references to schemas that nobody wrote.
fn bound(value: &mut Value) {
    if let Value::Object(map) = value {
        let alias = map.get("$ref").and_then(Value::as_str);
        let alias = alias.and_then(|name| name.strip_prefix("#/components/schemas/"));
        let format = map.get("format").and_then(Value::as_str);
        if let Some(bits) = alias.or(format).and_then(integer_bits) {
            map.remove("$ref");
            map.entry("type").or_insert(json!("integer"));
            map.insert("format".into(), json!(format!("uint{bits}")));
            map.insert("minimum".into(), json!(0));
            map.insert("maximum".into(), json!(u64::MAX >> (64 - bits)));
        }
        map.values_mut().for_each(bound);
    } else if let Value::Array(items) = value {
        items.iter_mut().for_each(bound);
    }
}

#[cfg(test)]
mod tests;
