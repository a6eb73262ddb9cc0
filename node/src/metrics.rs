//! Prometheus metrics. Names and labels are part of the interface: docs/operator-guide.md lists them.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Label of refused and failed requests: the error's stable code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CodeLabel {
    /// The code.
    pub code: String,
}

/// Label of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabel {
    /// `store_batch`, `get_slices`, `get_chunks` or `ping`.
    pub request: &'static str,
}

/// All metrics of a node.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests by kind.
    pub requests: Family<RequestLabel, Counter>,
    /// Requests answered with an error, by code.
    pub refused: Family<CodeLabel, Counter>,
    /// Batches stored and signed, repeats not counted.
    pub signed: Counter,
    /// Repeated batches that got their signature again.
    pub repeated: Counter,
    /// Bytes received in accepted batches.
    pub stored_bytes: Counter,
    /// Bytes of slices served.
    pub served_bytes: Counter,
    /// Seconds of checking a batch.
    pub validate_seconds: Histogram,
    /// Seconds of writing and syncing a batch.
    pub commit_seconds: Histogram,
    /// Requests being answered.
    pub in_flight: Family<RequestLabel, Gauge>,
    /// Batches held.
    pub batches: Gauge,
    /// Slice bytes held.
    pub bytes: Gauge,
    /// Expiry windows held.
    pub windows: Gauge,
    /// Free bytes on the device.
    pub disk_free: Gauge<u64, AtomicU64>,
    /// Windows dropped.
    pub windows_dropped: Counter,
    /// Blobs scrubbed.
    pub scrubbed: Counter,
    /// Blobs or batches found corrupt.
    pub corrupt: Counter,
    /// 1 if healthy and open, else 0.
    pub ready: Gauge,
    /// Pairs of batches held as evidence against dispersers.
    pub equivocations: Gauge<u64, AtomicU64>,
    /// Seconds that the wall clock is ahead of the time that data expires by.
    pub clock_ahead_seconds: Gauge,
    /// 1 if the fast kernel disagrees with the portable one, else 0.
    pub kernel_disagrees: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("ashlar_node");
        // From 1 ms to about 30 s.
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let metrics = Self {
            requests: Family::default(),
            refused: Family::default(),
            signed: Counter::default(),
            repeated: Counter::default(),
            stored_bytes: Counter::default(),
            served_bytes: Counter::default(),
            validate_seconds: seconds(),
            commit_seconds: seconds(),
            in_flight: Family::default(),
            batches: Gauge::default(),
            bytes: Gauge::default(),
            windows: Gauge::default(),
            disk_free: Gauge::default(),
            windows_dropped: Counter::default(),
            scrubbed: Counter::default(),
            corrupt: Counter::default(),
            ready: Gauge::default(),
            equivocations: Gauge::default(),
            clock_ahead_seconds: Gauge::default(),
            kernel_disagrees: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("requests", "Requests by kind", metrics.requests.clone());
        registry.register(
            "refused",
            "Requests answered with an error, by code",
            metrics.refused.clone(),
        );
        registry.register(
            "signed_batches",
            "Batches stored and signed",
            metrics.signed.clone(),
        );
        registry.register(
            "repeated_batches",
            "Repeated batches answered with their signature",
            metrics.repeated.clone(),
        );
        registry.register_with_unit(
            "stored",
            "Bytes of accepted batches",
            Unit::Bytes,
            metrics.stored_bytes.clone(),
        );
        registry.register_with_unit(
            "served",
            "Bytes of slices served",
            Unit::Bytes,
            metrics.served_bytes.clone(),
        );
        registry.register_with_unit(
            "validate",
            "Time to check a batch",
            Unit::Seconds,
            metrics.validate_seconds.clone(),
        );
        registry.register_with_unit(
            "commit",
            "Time to write and sync a batch",
            Unit::Seconds,
            metrics.commit_seconds.clone(),
        );
        registry.register(
            "in_flight",
            "Requests being answered",
            metrics.in_flight.clone(),
        );
        registry.register("batches", "Batches held", metrics.batches.clone());
        registry.register_with_unit("slices", "Slices held", Unit::Bytes, metrics.bytes.clone());
        registry.register("windows", "Expiry windows held", metrics.windows.clone());
        registry.register_with_unit(
            "disk_free",
            "Free space on the device",
            Unit::Bytes,
            metrics.disk_free.clone(),
        );
        registry.register(
            "windows_dropped",
            "Expiry windows dropped",
            metrics.windows_dropped.clone(),
        );
        registry.register(
            "scrubbed_blobs",
            "Blobs read and checked by the scrub",
            metrics.scrubbed.clone(),
        );
        registry.register(
            "corrupt",
            "Blobs and batches found corrupt",
            metrics.corrupt.clone(),
        );
        registry.register(
            "ready",
            "1 if the node is ready, 0 if not",
            metrics.ready.clone(),
        );
        registry.register(
            "equivocations",
            "Pairs of batches held as evidence against dispersers",
            metrics.equivocations.clone(),
        );
        registry.register_with_unit(
            "clock_ahead",
            "Wall clock less the time that is accepted",
            Unit::Seconds,
            metrics.clock_ahead_seconds.clone(),
        );
        registry.register(
            "kernel_disagrees",
            "1 if the fast kernel disagrees with the portable one, which serves in its place",
            metrics.kernel_disagrees.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    /// The text of `GET /metrics`, in the OpenMetrics format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail; a partial text is better than none.
        if prometheus_client::encoding::text::encode(&mut out, &self.registry).is_err() {
            tracing::error!("metrics could not be encoded");
        }
        out
    }
}
