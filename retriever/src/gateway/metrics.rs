//! The gateway's metrics.

use std::sync::atomic::AtomicU64;

use ashlar_service::metrics::{Code, gauge, seconds};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::scores::OperatorScore;

/// Label: from where a payload came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Via {
    /// `relay`, `operators` or `audit`.
    pub(super) via: String,
}

/// Label: an operator. There are as many series as operators that are remembered, 4096 at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Operator {
    operator: String,
}

/// Labels: an operator, and what it did.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Conduct {
    operator: String,
    /// `answered`, `late`, `refused` or `wrong`.
    conduct: &'static str,
}

ashlar_service::metrics! {
    /// Everything that is counted and measured.
    pub(super) struct Metrics("ashlar_gateway") {
        /// Requests refused, by code.
        pub(super) refused: Family<Code, Counter>, "refused_requests";
        /// Payload bytes that readers asked for.
        pub(super) served_bytes: Counter, "served", Bytes;
        /// Payloads that the cache had.
        pub(super) cache_hits: Counter, "cache_hits";
        /// Payloads that it did not have.
        pub(super) cache_misses: Counter, "cache_misses";
        /// Requests that waited for what another one was getting.
        pub(super) joined: Counter, "joined_requests";
        /// Bytes on disk.
        pub(super) cache_bytes: Gauge, "cache", Bytes;
        /// Payloads on disk.
        pub(super) cache_entries: Gauge, "cache_entries";
        /// Payloads that were forgotten for others.
        pub(super) evicted: Counter, "evicted_entries";
        /// Files that were not what was written, and were dropped.
        pub(super) damaged: Counter, "damaged_entries";
        /// Blobs that are being fetched or read.
        pub(super) flights: Gauge, "flights";
        /// Payloads fetched, by where they came from.
        pub(super) fetches: Family<Via, Counter>, "fetches";
        /// Bytes fetched from relays and operators, also of what was thrown away.
        pub(super) fetched_bytes: Counter, "fetched", Bytes;
        /// Fetches that failed, by code.
        pub(super) failed_fetches: Family<Code, Counter>, "failed_fetches";
        /// A fetch.
        pub(super) fetch_seconds: Histogram = seconds(), "fetch", Seconds;
        /// The silence after which operators are asked twice, without the time of a transfer.
        pub(super) hedge_seconds: Gauge<f64, AtomicU64>, "hedge", Seconds;
        /// Requests to operators since the start, by what they did with them.
        pub(super) operator_requests: Family<Conduct, Gauge>, "operator_requests";
        /// Time of an operator to an answer, without the transfer.
        pub(super) operator_latency: Family<Operator, Gauge<f64, AtomicU64>>, "operator_latency", Seconds;
        /// 1 for an operator that is asked last, for its faults.
        pub(super) operator_avoided: Family<Operator, Gauge>, "operator_avoided";
    }
}

impl Metrics {
    /// Writes what is known about operators.
    pub(super) fn set_operators(&self, scores: &[OperatorScore]) {
        for score in scores {
            let operator = score.operator.to_string();
            for (conduct, count) in [
                ("answered", score.answered),
                ("late", score.late),
                ("refused", score.refused),
                ("wrong", score.wrong),
            ] {
                let label = Conduct {
                    operator: operator.clone(),
                    conduct,
                };
                self.operator_requests
                    .get_or_create(&label)
                    .set(gauge(count));
            }
            let label = Operator { operator };
            if let Some(latency_ms) = score.latency_ms {
                let latency = self.operator_latency.get_or_create(&label);
                latency.set(latency_ms as f64 / 1000.0);
            }
            let avoided = i64::from(score.avoided_ms > 0);
            self.operator_avoided.get_or_create(&label).set(avoided);
        }
    }
}
