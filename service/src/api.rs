//! What the routers of all daemons do alike.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::api::{PROBLEM_TYPE, Problem};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{OpenApi, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::metrics::{self, Code};
use crate::{ApiError, Health};

/// A handler that failed, without a word about why. `daemon` is its name in one word, the first part of the code.
pub fn internal(daemon: &str) -> ApiError {
    let code = format!("{daemon}.internal");
    let detail = format!("the request failed inside the {daemon}");
    ApiError::new(500, &code, detail)
}

/// Finishes an API: what is not routed is refused, a panic is a 500, an answer that takes longer than `deadline` a 504, and every
/// refusal names its path and is counted in `refused`.
pub fn finish<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    daemon: &'static str,
    deadline: Duration,
    refused: Family<Code, Counter>,
) -> Router<S> {
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
        .fallback(move || async move { unrouted(404, "route.unknown", "is none of this API's") })
        .method_not_allowed_fallback(move || async move {
            unrouted(405, "route.method", "does not have this method")
        })
        .layer(CatchPanicLayer::custom(move |_: Box<dyn Any + Send>| {
            internal(daemon).into_response()
        }))
        .layer(from_fn(answer))
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

/// Health and metrics alone, for a listener of their own. `text` is the page of metrics.
pub fn health_router(
    health: Arc<Health>,
    text: impl Fn() -> String + Clone + Send + Sync + 'static,
) -> Router {
    let page = get(move || async move { health.page() });
    Router::new()
        .route("/health", page.clone())
        .route("/v1/health", page)
        .route(
            "/metrics",
            get(move || async move { metrics::page(text()) }),
        )
}

/// A number in a query: what is out of these bounds is refused, and the document states them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> Bounded<MIN, MAX> {
    /// The number; none if it is out of bounds.
    pub fn new(number: u64) -> Option<Self> {
        (MIN..=MAX).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(from)?;
        Self::new(number).ok_or_else(|| {
            de::Error::custom(format_args!("{number} is not between {MIN} and {MAX}"))
        })
    }
}

impl<const MIN: u64, const MAX: u64> PartialSchema for Bounded<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(MIN))
            .maximum(Some(MAX))
            .into()
    }
}

impl<const MIN: u64, const MAX: u64> ToSchema for Bounded<MIN, MAX> {}

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

/// The OpenAPI document of what the handlers declare, with what is the same for all of them: a status of 400 or more that is declared without
/// a body has a [`Problem`], problems that need no word at the handler are added, and integers have the bounds of their types.
pub fn document(mut declared: OpenApi) -> Value {
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
