//! The proxy's metrics.

use ashlar_service::metrics::{Code, seconds};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Labels: which interface was asked for what, and the HTTP status or JSON-RPC outcome of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Asked {
    /// `generic`, `standard`, `keccak` or `arbitrum`.
    pub(crate) api: &'static str,
    /// `put` or `get`.
    pub(crate) what: &'static str,
    /// `ok`, or the code of the failure.
    pub(crate) outcome: &'static str,
}

/// Label: from where a payload came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct From {
    /// `network`, `cache` or `fallback`.
    pub(crate) from: &'static str,
}

/// Label: one of the stores.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Store {
    /// `keccak`, `cache` or `fallback`.
    pub(crate) store: &'static str,
}

ashlar_service::metrics! {
    /// Everything that is counted and measured.
    pub(crate) struct Metrics("ashlar_proxy") {
        /// Requests refused, by code.
        pub(crate) refused: Family<Code, Counter>, "refused_requests";
        /// Requests, by interface, kind and outcome.
        pub(crate) requests: Family<Asked, Counter>, "requests";
        /// A payload posted, to its certificate.
        pub(crate) put_seconds: Histogram = seconds(), "put", Seconds;
        /// A payload read.
        pub(crate) get_seconds: Histogram = seconds(), "get", Seconds;
        /// Payload bytes posted.
        pub(crate) put_bytes: Counter, "put", Bytes;
        /// Payload bytes read.
        pub(crate) get_bytes: Counter, "get", Bytes;
        /// Payloads that were posted before, and found.
        pub(crate) found_again: Counter, "found_again";
        /// Payloads read, by where they came from.
        pub(crate) reads: Family<From, Counter>, "reads";
        /// Objects that were not what was written, and were refused.
        pub(crate) damaged: Family<Store, Counter>, "damaged_objects";
        /// Damaged objects that were written anew.
        pub(crate) healed: Family<Store, Counter>, "healed_objects";
        /// Times that a store failed or was silent.
        pub(crate) store_failures: Family<Store, Counter>, "store_failures";
        /// Certificates that are good for nothing, by code.
        pub(crate) invalid: Family<Code, Counter>, "invalid_certificates";
        /// Posts in a row that have failed.
        pub(crate) failures_in_a_row: Gauge, "failures_in_a_row";
    }
}
