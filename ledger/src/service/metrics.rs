//! Metrics, in the text format of OpenMetrics.

use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Label: a stable code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Code {
    pub(crate) code: String,
}

/// Label: a transaction's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
}

/// Everything that is counted and measured.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) block: Gauge,
    pub(crate) signed_block: Gauge,
    pub(crate) records: Gauge,
    pub(crate) accounts: Gauge,
    pub(crate) queue: Gauge,
    pub(crate) waiters: Gauge,
    pub(crate) applied: Family<Kind, Counter>,
    pub(crate) refused: Family<Code, Counter>,
    pub(crate) slashed: Counter,
    pub(crate) group: Histogram,
    pub(crate) commit_seconds: Histogram,
    pub(crate) snapshot_seconds: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        let mut metrics = Self {
            registry: Registry::with_prefix("ashlar_ledger"),
            block: Gauge::default(),
            signed_block: Gauge::default(),
            records: Gauge::default(),
            accounts: Gauge::default(),
            queue: Gauge::default(),
            waiters: Gauge::default(),
            applied: Family::default(),
            refused: Family::default(),
            slashed: Counter::default(),
            group: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            commit_seconds: seconds(),
            snapshot_seconds: seconds(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("block", "The ledger's block", self.block.clone());
        registry.register(
            "signed_block",
            "The newest block with a signed head, of any service; -1 for none",
            self.signed_block.clone(),
        );
        registry.register("records", "Records in the log", self.records.clone());
        registry.register(
            "accounts",
            "Accounts that ever signed",
            self.accounts.clone(),
        );
        registry.register(
            "queue_transactions",
            "Transactions that wait for the writer",
            self.queue.clone(),
        );
        registry.register(
            "waiters",
            "Requests that wait for a new block",
            self.waiters.clone(),
        );
        registry.register(
            "applied_transactions",
            "Transactions applied, by type",
            self.applied.clone(),
        );
        registry.register(
            "refused_requests",
            "Requests refused, by code",
            self.refused.clone(),
        );
        registry.register(
            "proven_faults",
            "Faults whose evidence was accepted",
            self.slashed.clone(),
        );
        registry.register(
            "group_transactions",
            "Entries made durable together",
            self.group.clone(),
        );
        registry.register_with_unit(
            "commit",
            "From a group's first entry to its sync",
            Unit::Seconds,
            self.commit_seconds.clone(),
        );
        registry.register_with_unit(
            "snapshot",
            "Snapshots",
            Unit::Seconds,
            self.snapshot_seconds.clone(),
        );
    }

    /// All of it as text.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut out, &self.registry);
        out
    }
}
