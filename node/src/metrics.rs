//! Prometheus metrics. Names and labels are part of the interface: docs/operator-guide.md lists them.

use std::sync::atomic::AtomicU64;

use ashlar_service::metrics::{Code, seconds};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Label of requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabel {
    /// As [`Request::kind`](ashlar_proto::wire::Request::kind) says.
    pub request: &'static str,
}

/// Label of connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ConnectionLabel {
    /// `known`, `stranger` or `half_open`.
    pub kind: &'static str,
}

/// Label of expiry windows. There are as many as the retention has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WindowLabel {
    /// Its end, seconds since 1970.
    pub window: u64,
}

ashlar_service::metrics! {
    /// Everything that is counted and measured.
    pub struct Metrics("ashlar_node") {
        /// Requests by kind.
        pub requests: Family<RequestLabel, Counter>, "requests";
        /// Requests answered with an error, by code.
        pub refused: Family<Code, Counter>, "refused";
        /// Batches stored and signed.
        pub signed: Counter, "signed_batches";
        /// Repeated batches answered with their signature.
        pub repeated: Counter, "repeated_batches";
        /// Bytes of accepted batches.
        pub stored_bytes: Counter, "stored", Bytes;
        /// Bytes of slices served.
        pub served_bytes: Counter, "served", Bytes;
        /// Time for the slices of a batch to arrive.
        pub receive_seconds: Histogram = seconds(), "receive", Seconds;
        /// Time to check a batch.
        pub validate_seconds: Histogram = seconds(), "validate", Seconds;
        /// Time to write, sync and sign a batch.
        pub commit_seconds: Histogram = seconds(), "commit", Seconds;
        /// Time to sign a batch that is synced.
        pub sign_seconds: Histogram = seconds(), "sign", Seconds;
        /// Syncs of the database's log; batches that come together share one.
        pub syncs: Counter, "syncs";
        /// Time that they took.
        pub sync_seconds: Counter<f64, AtomicU64>, "sync", Seconds;
        /// Requests being answered.
        pub in_flight: Family<RequestLabel, Gauge>, "in_flight";
        /// Connections of peers, by kind.
        pub connections: Family<ConnectionLabel, Gauge>, "connections";
        /// Newest block with an operator table.
        pub head: Gauge, "head_block";
        /// Batches held.
        pub batches: Gauge, "batches";
        /// Slices held.
        pub bytes: Gauge, "slices", Bytes;
        /// Expiry windows held.
        pub windows: Gauge, "windows";
        /// Batches held, by the end of their window.
        pub window_batches: Family<WindowLabel, Gauge>, "window_batches";
        /// Slices held, by the end of their window.
        pub window_bytes: Family<WindowLabel, Gauge>, "window_slices", Bytes;
        /// Free space on the device.
        pub disk_free: Gauge<u64, AtomicU64>, "disk_free", Bytes;
        /// Drives, of several, that hold everything.
        pub drives_in_sync: Gauge, "drives_in_sync";
        /// Drives that are not used because they failed.
        pub drives_failed: Gauge, "drives_failed";
        /// Bytes copied to drives that are rebuilt.
        pub rebuilt_bytes: Counter, "rebuilt", Bytes;
        /// Values that were missing or wrong on one drive, and were made again from the others, since the start.
        pub healed: Gauge, "healed_values";
        /// Slices that may be stored a day.
        pub daily_bytes: Gauge<u64, AtomicU64>, "daily", Bytes;
        /// Expiry windows dropped.
        pub windows_dropped: Counter, "windows_dropped";
        /// Blobs read and checked by the scrub.
        pub scrubbed: Counter, "scrubbed_blobs";
        /// Blobs and batches found corrupt or missing.
        pub corrupt: Counter, "corrupt";
        /// Parts known to be damaged: batches, and slices of blobs.
        pub damaged: Gauge, "damaged";
        /// Damaged parts made anew.
        pub repaired: Counter, "repaired";
        /// Attempts to make a damaged part anew that failed, by code.
        pub repair_failed: Family<Code, Counter>, "repair_failed";
        /// Bytes that peers sent for it.
        pub repair_bytes: Counter, "repair", Bytes;
        /// Answers of peers that did not help with a repair, by code.
        pub repair_skipped: Family<Code, Counter>, "repair_skipped";
        /// Batches that peers listed for a database that was made anew, each as often as it was listed.
        pub index_listed: Counter, "index_listed";
        /// Promises found among them.
        pub index_promises: Counter, "index_promises";
        /// Times that a peer's index was not to be had or was false, by code.
        pub index_failed: Family<Code, Counter>, "index_failed";
        /// 1 if the node is well (GET /v1/health), 0 if not.
        pub ready: Gauge, "ready";
        /// 1 if the node signs what it is sent (GET /v1/ready), 0 if not.
        pub signing: Gauge, "signing";
        /// Pairs of batches held as evidence against dispersers.
        pub equivocations: Gauge<u64, AtomicU64>, "equivocations";
        /// Wall clock less the time that is accepted.
        pub clock_ahead_seconds: Gauge, "clock_ahead", Seconds;
        /// Open custody challenges to this operator.
        pub challenges_open: Gauge, "custody_open";
        /// Blocks to the nearest deadline of an open custody challenge; 0 also if none is open.
        pub challenge_blocks_left: Gauge, "custody_blocks_left";
        /// Custody challenges that a ledger took an answer to.
        pub challenges_answered: Counter, "custody_answered";
        /// Attempts to answer a custody challenge that failed, by code.
        pub challenges_failed: Family<Code, Counter>, "custody_failed";
        /// Custody challenges that ended without an answer of this node.
        pub challenges_missed: Counter, "custody_missed";
        /// 1 if the fast kernel disagrees with the portable one, which serves in its place.
        pub kernel_disagrees: Gauge, "kernel_disagrees";
    }
}
