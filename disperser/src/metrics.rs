//! Metrics of every stage, in the text format of OpenMetrics.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use ashlar_proto::Stake;
use ashlar_proto::api::BlobState;
use ashlar_service::metrics::{Code, seconds, sizes};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::record::BlobRecord;

/// Labels of an attempt with an operator. There are as many series as operators, times a handful of results.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Attempt {
    /// Operator id.
    pub operator: String,
    /// `signed`, `transient`, `refused` or `invalid`.
    pub result: &'static str,
}

/// Label: a part of the way from a post to its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Stage {
    /// As the metric's help lists them.
    pub stage: &'static str,
}

impl Metrics {
    /// An account was charged so much.
    pub(crate) fn charge(&self, amount: Stake) {
        self.charged.inc_by(f64::from(amount));
    }

    /// What those of these blobs cost that have just failed was given back.
    pub(crate) fn refund(&self, blobs: &[BlobRecord]) {
        let failed = blobs.iter().filter(|blob| blob.state == BlobState::Failed);
        for charge in failed.filter_map(|blob| blob.charge) {
            self.refunded.inc_by(f64::from(charge.amount));
        }
    }

    /// A voucher was handed in, and so much more was paid.
    pub(crate) fn redeem(&self, more: Stake) {
        self.redeemed.inc_by(f64::from(more));
        self.redemptions.get_or_create(&"done".into()).inc();
    }

    /// A stage took so long.
    pub(crate) fn stage(&self, stage: &'static str, took: Duration) {
        self.stage_seconds
            .get_or_create(&Stage { stage })
            .observe(took.as_secs_f64());
    }
}

ashlar_service::metrics! {
    /// Everything that is counted and measured.
    pub struct Metrics("ashlar_disperser") {
        /// Blobs accepted, repeated ones not counted.
        pub accepted_blobs: Counter, "accepted_blobs";
        /// Their payload.
        pub accepted_bytes: Counter, "accepted_payload", Bytes;
        /// Requests refused, by code.
        pub refused: Family<Code, Counter>, "refused_requests";
        /// What accounts were charged for blobs, in the smallest unit of the token.
        pub charged: Counter<f64, AtomicU64>, "charged";
        /// What was given back of it, because blobs failed.
        pub refunded: Counter<f64, AtomicU64>, "refunded";
        /// What the ledger has paid for vouchers that were handed in.
        pub redeemed: Counter<f64, AtomicU64>, "redeemed";
        /// Vouchers handed in: done, or the code of the refusal.
        pub redemptions: Family<Code, Counter>, "redemptions";
        /// Blobs neither certified nor failed.
        pub open_blobs: Gauge, "open_blobs";
        /// Their payload.
        pub open_bytes: Gauge, "open_payload", Bytes;
        /// Blobs that wait for an encoder.
        pub encode_queue: Gauge, "encode_queue_blobs";
        /// Blobs that wait for a batch.
        pub batch_queue: Gauge, "batch_queue_blobs";
        /// Encoded blobs in memory.
        pub encoded_memory: Gauge, "encoded_memory", Bytes;
        /// Rows encoded.
        pub encoded_rows: Counter, "encoded_rows";
        /// Stages: accept (write to disk), queue (wait for an encoder), encode (a tick), batch (wait for a batch), compose (number on disk),
        /// prove, first_signature and threshold (both from the first byte sent on), certify (make certificates), publish (write to disk).
        pub stage_seconds: Family<Stage, Histogram> = Family::new_with_constructor(seconds), "stage", Seconds;
        /// Batches composed.
        pub batches: Counter, "batches";
        /// Batches abandoned.
        pub abandoned_batches: Counter, "abandoned_batches";
        /// Batches on their way.
        pub batches_in_flight: Gauge, "batches_in_flight";
        /// Rows of a batch.
        pub batch_rows: Histogram = sizes(), "batch_rows";
        /// From composition to certificates.
        pub certify_seconds: Histogram = seconds(), "certify", Seconds;
        /// From acceptance to certificate.
        pub blob_seconds: Histogram = seconds(), "blob", Seconds;
        /// Attempts with operators, by result.
        pub attempts: Family<Attempt, Counter>, "attempts";
        /// Attempts that brought a signature.
        pub sign_seconds: Histogram = seconds(), "sign", Seconds;
        /// Signatures of operators that got their part of a batch after it had left the memory.
        pub late_signatures: Counter, "late_signatures";
        /// Blobs certified.
        pub certified_blobs: Counter, "certified_blobs";
        /// Their payload.
        pub certified_bytes: Counter, "certified_payload", Bytes;
        /// Blobs failed, by code.
        pub failed_blobs: Family<Code, Counter>, "failed_blobs";
        /// Commitments computed to check claimed ones.
        pub claim_checks: Counter, "claim_checks";
        /// Blobs whose claimed commitments were false.
        pub false_claims: Counter, "false_claims";
        /// Blobs that were lost by whoever worked on them, and brought back.
        pub lost_blobs: Counter, "lost_blobs";
        /// Blobs put into another batch.
        pub requeued_blobs: Counter, "requeued_blobs";
        /// Looks for what has expired: done, or the code of the clock fault that forbade them.
        pub expiry_rounds: Family<Code, Counter>, "expiry_rounds";
        /// 1 if a fast arithmetic kernel computed wrongly here; the portable one works in its place.
        pub kernel_disagrees: Gauge, "kernel_disagrees";
        /// Payload and slice bytes that readers asked for.
        pub relayed_bytes: Counter, "relayed", Bytes;
        /// Blobs and batches forgotten at the end of retention.
        pub expired: Counter, "expired_records";
    }
}
