//! Metrics that are declared once, and their page in the text format of OpenMetrics.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

#[doc(hidden)]
pub use prometheus_client::registry::{Registry, Unit};

/// Label: why, as a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Code {
    /// The code.
    pub code: String,
}

impl From<&str> for Code {
    fn from(code: &str) -> Self {
        Self { code: code.into() }
    }
}

/// A histogram of durations from 0.5 ms to about 130 s.
pub fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 19))
}

/// A histogram of sizes from 1 to 2048.
pub fn sizes() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 12))
}

/// A number as a gauge takes it, the largest that it takes at most.
pub fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The page of a metrics text.
pub fn page(text: String) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The text of everything that is registered.
pub fn text(registry: &Registry) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail; a partial text is better than none.
    if prometheus_client::encoding::text::encode(&mut out, registry).is_err() {
        tracing::error!("metrics could not be encoded");
    }
    out
}

/// Declares a struct of metrics: each with its documentation (which is its help text, too), its type, its name on the page, and
/// its unit, if that belongs into the name. A value that is not the type's default stands behind `=`.
///
/// ```
/// # use prometheus_client::metrics::{counter::Counter, histogram::Histogram};
/// ashlar_service::metrics! {
///     /// All metrics of a ferry.
///     pub struct Metrics("ashlar_ferry") {
///         /// Passengers carried
///         pub passengers: Counter, "passengers";
///         /// A crossing
///         pub crossing: Histogram = ashlar_service::metrics::seconds(), "crossing", Seconds;
///     }
/// }
/// let metrics = Metrics::default();
/// metrics.passengers.inc();
/// assert!(metrics.text().contains("ashlar_ferry_passengers_total 1"));
/// ```
#[macro_export]
macro_rules! metrics {
    ($(#[doc = $about:literal])* $vis:vis struct $Metrics:ident($prefix:literal) {
        $($(#[doc = $doc:literal])* $field_vis:vis $field:ident: $Type:ty $(= $value:expr)?, $name:literal $(, $unit:ident)?;)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug)]
        $vis struct $Metrics {
            registry: $crate::metrics::Registry,
            $($(#[doc = $doc])* $field_vis $field: $Type,)*
        }

        impl Default for $Metrics {
            fn default() -> Self {
                let mut registry = $crate::metrics::Registry::with_prefix($prefix);
                $(
                    let $field: $Type = $crate::metrics!(@value $($value)?);
                    let help = concat!($($doc),*).trim_ascii().trim_end_matches('.');
                    $crate::metrics!(@register registry, $name, help, $field.clone() $(, $unit)?);
                )*
                Self { registry, $($field),* }
            }
        }

        impl $Metrics {
            /// The text of `GET /metrics`, in the OpenMetrics format.
            $vis fn text(&self) -> String {
                $crate::metrics::text(&self.registry)
            }
        }
    };
    (@value) => { Default::default() };
    (@value $value:expr) => { $value };
    (@register $registry:ident, $name:literal, $help:ident, $metric:expr) => {
        $registry.register($name, $help, $metric);
    };
    (@register $registry:ident, $name:literal, $help:ident, $metric:expr, $unit:ident) => {
        $registry.register_with_unit($name, $help, $crate::metrics::Unit::$unit, $metric);
    };
}
