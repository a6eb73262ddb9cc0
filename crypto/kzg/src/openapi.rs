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

/// Regular expression of the integers from 0 to `max`, which has two digits or more, as decimal digits without zeros in front.
///
/// ```
/// let pattern = ashlar_kzg::openapi::decimal("250");
/// assert_eq!(pattern, "0|[1-9][0-9]{0,1}|250|[1-1][0-9]{2}|2[0-4][0-9]{1}");
/// ```
pub fn decimal(max: &str) -> String {
    let mut pattern = format!("0|[1-9][0-9]{{0,{}}}|{max}", max.len() - 2);
    // As long as `max`, equal up to some digit, and less there.
    for (place, digit) in max.char_indices() {
        let (same, least) = (&max[..place], if place == 0 { '1' } else { '0' });
        if least < digit {
            let (most, rest) = (digit as u8 - 1, max.len() - place - 1);
            pattern += &format!("|{same}[{least}-{}][0-9]{{{rest}}}", most as char);
        }
    }
    pattern
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
