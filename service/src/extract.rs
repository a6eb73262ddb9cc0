//! What handlers take out of a request: refused with a problem document, if it is not as the OpenAPI document has it.

use ashlar_proto::wire::cut_text;
use axum::extract::{FromRequestParts, Path, Query, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, de};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::ApiError;

/// Longest text about what is wrong with a path or a query, bytes.
const MAX_DETAIL: usize = 300;

/// What a path names.
#[derive(Debug, Clone, Copy)]
pub struct InPath<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let refused =
            |text: String| ApiError::new(400, "request.path", cut_text(&text, MAX_DETAIL));
        let raw = RawPathParams::from_request_parts(parts, state).await;
        let raw = raw.map_err(|error| refused(error.body_text()))?;
        check_numbers(&raw).map_err(refused)?;
        let path = Path::from_request_parts(parts, state).await;
        let Path(value) = path.map_err(|error| refused(error.body_text()))?;
        Ok(Self(value))
    }
}

/// What a query asks for.
#[derive(Debug, Clone, Copy)]
pub struct InQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let refused =
            |text: String| ApiError::new(400, "request.query", cut_text(&text, MAX_DETAIL));
        let raw = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(raw) = raw.map_err(|error| refused(error.body_text()))?;
        check_numbers(raw.iter().map(|(key, value)| (&**key, &**value))).map_err(refused)?;
        let query = Query::try_from_uri(&parts.uri);
        let Query(value) = query.map_err(|error| refused(error.body_text()))?;
        Ok(Self(value))
    }
}

/// There is one way to write a number: no sign in front, no zeros.
fn check_numbers<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<(), String> {
    for (name, text) in texts {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if number && (digits != text || (digits.starts_with('0') && digits != "0")) {
            return Err(format!(
                "{name}: a number has no sign and no zeros in front, got {text:?}"
            ));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests;
