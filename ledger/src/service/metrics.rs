//! Metrics, in the text format of OpenMetrics.

use ashlar_service::metrics::{Code, seconds, sizes};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Label: a transaction's type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Kind {
    pub(crate) kind: &'static str,
}

ashlar_service::metrics! {
    /// Everything that is counted and measured.
    pub(crate) struct Metrics("ashlar_ledger") {
        /// The ledger's block.
        pub(crate) block: Gauge, "block";
        /// The newest block with a signed head, of any service; -1 for none.
        pub(crate) signed_block: Gauge, "signed_block";
        /// Records in the log.
        pub(crate) records: Gauge, "records";
        /// Accounts that ever signed.
        pub(crate) accounts: Gauge, "accounts";
        /// Transactions that wait for the writer.
        pub(crate) queue: Gauge, "queue_transactions";
        /// Requests that wait for a new block.
        pub(crate) waiters: Gauge, "waiters";
        /// Transactions applied, by type.
        pub(crate) applied: Family<Kind, Counter>, "applied_transactions";
        /// Requests refused, by code.
        pub(crate) refused: Family<Code, Counter>, "refused_requests";
        /// Faults whose evidence was accepted.
        pub(crate) slashed: Counter, "proven_faults";
        /// Entries made durable together.
        pub(crate) group: Histogram = sizes(), "group_transactions";
        /// From a group's first entry to its sync.
        pub(crate) commit_seconds: Histogram = seconds(), "commit", Seconds;
        /// Snapshots.
        pub(crate) snapshot_seconds: Histogram = seconds(), "snapshot", Seconds;
    }
}
