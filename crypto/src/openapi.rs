//! Schemas of text in JSON, for OpenAPI documents.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};

/// A text that the whole of this regular expression matches.
pub fn text(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!("^({pattern})$")))
        .into()
}

/// Gives a type the schema of a [`text`] under its own name.
#[macro_export]
macro_rules! text_schema {
    ($name:ident, $pattern:expr) => {
        impl ::utoipa::PartialSchema for $name {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::Schema> {
                $crate::openapi::text(&$pattern)
            }
        }

        impl ::utoipa::ToSchema for $name {}
    };
}
