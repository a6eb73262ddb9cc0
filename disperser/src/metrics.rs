//! Metrics of every stage, in the text format of OpenMetrics.

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Label: why, in one stable word or code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Reason {
    /// The code.
    pub code: String,
}

/// Labels of an attempt with an operator. There are as many series as operators, times a handful of results.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Attempt {
    /// Operator id.
    pub operator: String,
    /// `signed`, `transient`, `refused` or `invalid`.
    pub result: &'static str,
}

/// Everything that is counted and measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Blobs accepted with a 202, without repeated ones.
    pub accepted_blobs: Counter,
    /// Their payload bytes.
    pub accepted_bytes: Counter,
    /// Requests turned away, by code.
    pub refused: Family<Reason, Counter>,
    /// Blobs neither certified nor failed.
    pub open_blobs: Gauge,
    /// Their payload bytes.
    pub open_bytes: Gauge,
    /// Blobs that wait for an encoder.
    pub encode_queue: Gauge,
    /// Blobs that wait for a batch.
    pub batch_queue: Gauge,
    /// Bytes of encoded blobs in memory.
    pub encoded_memory: Gauge,
    /// Rows encoded.
    pub encoded_rows: Counter,
    /// Seconds of a tick of the encoder.
    pub encode_seconds: Histogram,
    /// Batches composed.
    pub batches: Counter,
    /// Batches that were abandoned.
    pub abandoned_batches: Counter,
    /// Batches on their way.
    pub batches_in_flight: Gauge,
    /// Rows of a batch.
    pub batch_rows: Histogram,
    /// Seconds of the proofs of a batch.
    pub prove_seconds: Histogram,
    /// Seconds from a batch's composition to its certificates.
    pub certify_seconds: Histogram,
    /// Seconds from a blob's acceptance to its certificate.
    pub blob_seconds: Histogram,
    /// Attempts with operators.
    pub attempts: Family<Attempt, Counter>,
    /// Seconds of the attempts that brought a signature.
    pub sign_seconds: Histogram,
    /// Blobs certified.
    pub certified_blobs: Counter,
    /// Their payload bytes.
    pub certified_bytes: Counter,
    /// Blobs failed, by code.
    pub failed_blobs: Family<Reason, Counter>,
    /// Commitments computed to check claimed ones.
    pub claim_checks: Counter,
    /// Blobs whose claimed commitments were false.
    pub false_claims: Counter,
    /// Blobs put into another batch.
    pub requeued_blobs: Counter,
    /// Looks for what has expired: `done`, or the code of the clock fault that forbade them.
    pub expiry_rounds: Family<Reason, Counter>,
    /// 1 if a fast kernel computed wrongly here.
    pub kernel_disagrees: Gauge,
    /// Blobs and batches forgotten at the end of their retention.
    pub expired: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 18));
        let mut metrics = Self {
            registry: Registry::with_prefix("ashlar_disperser"),
            accepted_blobs: Counter::default(),
            accepted_bytes: Counter::default(),
            refused: Family::default(),
            open_blobs: Gauge::default(),
            open_bytes: Gauge::default(),
            encode_queue: Gauge::default(),
            batch_queue: Gauge::default(),
            encoded_memory: Gauge::default(),
            encoded_rows: Counter::default(),
            encode_seconds: seconds(),
            batches: Counter::default(),
            abandoned_batches: Counter::default(),
            batches_in_flight: Gauge::default(),
            batch_rows: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            prove_seconds: seconds(),
            certify_seconds: seconds(),
            blob_seconds: seconds(),
            attempts: Family::default(),
            sign_seconds: seconds(),
            certified_blobs: Counter::default(),
            certified_bytes: Counter::default(),
            failed_blobs: Family::default(),
            claim_checks: Counter::default(),
            false_claims: Counter::default(),
            requeued_blobs: Counter::default(),
            expiry_rounds: Family::default(),
            kernel_disagrees: Gauge::default(),
            expired: Counter::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "accepted_blobs",
            "Blobs accepted, repeated ones not counted",
            self.accepted_blobs.clone(),
        );
        registry.register_with_unit(
            "accepted_payload",
            "Their payload",
            Unit::Bytes,
            self.accepted_bytes.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests refused, by code",
            self.refused.clone(),
        );
        registry.register(
            "open_blobs",
            "Blobs neither certified nor failed",
            self.open_blobs.clone(),
        );
        registry.register_with_unit(
            "open_payload",
            "Their payload",
            Unit::Bytes,
            self.open_bytes.clone(),
        );
        registry.register(
            "encode_queue_blobs",
            "Blobs that wait for an encoder",
            self.encode_queue.clone(),
        );
        registry.register(
            "batch_queue_blobs",
            "Blobs that wait for a batch",
            self.batch_queue.clone(),
        );
        registry.register_with_unit(
            "encoded_memory",
            "Encoded blobs in memory",
            Unit::Bytes,
            self.encoded_memory.clone(),
        );
        registry.register("encoded_rows", "Rows encoded", self.encoded_rows.clone());
        registry.register_with_unit(
            "encode",
            "A tick of the encoder",
            Unit::Seconds,
            self.encode_seconds.clone(),
        );
        registry.register("batches", "Batches composed", self.batches.clone());
        registry.register(
            "abandoned_batches",
            "Batches abandoned",
            self.abandoned_batches.clone(),
        );
        registry.register(
            "batches_in_flight",
            "Batches on their way",
            self.batches_in_flight.clone(),
        );
        registry.register("batch_rows", "Rows of a batch", self.batch_rows.clone());
        registry.register_with_unit(
            "prove",
            "The proofs of a batch",
            Unit::Seconds,
            self.prove_seconds.clone(),
        );
        registry.register_with_unit(
            "certify",
            "From composition to certificates",
            Unit::Seconds,
            self.certify_seconds.clone(),
        );
        registry.register_with_unit(
            "blob",
            "From acceptance to certificate",
            Unit::Seconds,
            self.blob_seconds.clone(),
        );
        registry.register(
            "attempts",
            "Attempts with operators, by result",
            self.attempts.clone(),
        );
        registry.register_with_unit(
            "sign",
            "Attempts that brought a signature",
            Unit::Seconds,
            self.sign_seconds.clone(),
        );
        registry.register(
            "certified_blobs",
            "Blobs certified",
            self.certified_blobs.clone(),
        );
        registry.register_with_unit(
            "certified_payload",
            "Their payload",
            Unit::Bytes,
            self.certified_bytes.clone(),
        );
        registry.register(
            "failed_blobs",
            "Blobs failed, by code",
            self.failed_blobs.clone(),
        );
        registry.register(
            "claim_checks",
            "Commitments computed to check claimed ones",
            self.claim_checks.clone(),
        );
        registry.register(
            "false_claims",
            "Blobs whose claimed commitments were false",
            self.false_claims.clone(),
        );
        registry.register(
            "requeued_blobs",
            "Blobs put into another batch",
            self.requeued_blobs.clone(),
        );
        registry.register(
            "expiry_rounds",
            "Looks for what has expired: done, or the code of the clock fault that forbade them",
            self.expiry_rounds.clone(),
        );
        registry.register(
            "kernel_disagrees",
            "1 if a fast arithmetic kernel computed wrongly here; the portable one works in its place",
            self.kernel_disagrees.clone(),
        );
        registry.register(
            "expired_records",
            "Blobs and batches forgotten at the end of retention",
            self.expired.clone(),
        );
    }

    /// All of it as text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut out, &self.registry);
        out
    }
}
