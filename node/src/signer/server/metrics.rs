//! A remote signer's metrics. Names and labels are part of the interface: docs/operator-guide.md lists them.

use std::sync::atomic::AtomicU64;

use ashlar_service::metrics::{Code, seconds};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

ashlar_service::metrics! {
    /// Everything that is counted and measured.
    pub(super) struct Metrics("ashlar_signer") {
        /// Batches signed.
        pub(super) signed: Counter, "signed_batches";
        /// Requests for a signature that was given before.
        pub(super) repeated: Counter, "repeated_batches";
        /// Requests answered with an error, by code.
        pub(super) refused: Family<Code, Counter>, "refused";
        /// Time to record, sync and sign a batch.
        pub(super) sign_seconds: Histogram = seconds(), "sign", Seconds;
        /// Records whose time was over, with a floor in their place.
        pub(super) pruned: Counter, "pruned_records";
        /// Free space on the device.
        pub(super) disk_free: Gauge<u64, AtomicU64>, "disk_free", Bytes;
        /// 1 if the signer is well (GET /v1/health), 0 if not.
        pub(super) ready: Gauge, "ready";
        /// 1 if it signs what it is sent (GET /v1/ready), 0 if not.
        pub(super) signing: Gauge, "signing";
    }
}
