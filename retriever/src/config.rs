//! Settings of a retriever.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use ashlar_fetch::plan::PlanConfig;

use crate::http::Server;

/// Where a payload is to be looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Relays first (the cheapest), then operators.
    #[default]
    Auto,
    /// Relays only.
    Relay,
    /// Operators only: needs nobody else to answer.
    Operators,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Relay => "relay",
            Self::Operators => "operators",
        })
    }
}

impl std::str::FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "relay" => Ok(Self::Relay),
            "operators" => Ok(Self::Operators),
            other => Err(format!(
                "unknown source {other:?} (known: auto, relay, operators)"
            )),
        }
    }
}

/// Settings of a [`Retriever`](crate::Retriever). The defaults suit a wide-area network.
///
/// # Memory
///
/// A fetch of a blob of R bytes of rows holds at most 1.3 R of slices, R of rows, R of payload and what failed requests
/// have delivered; it books 4 R from `memory`, and waits while others hold it. An audit adds `audit_in_flight` for the
/// columns on their way; `audits` of them run at once. So the worst case is `memory` (or four times the largest blob,
/// if that is more) plus `audits × (audit_in_flight + 4 R)`. What operators are asked for and have not sent yet is at most
/// `in_flight` bytes, all fetches together.
#[derive(Clone, Debug)]
pub struct RetrieverConfig {
    /// Relays (dispersers), in the order in which they are asked.
    pub relays: Vec<Server>,
    /// Largest payload that is fetched, bytes. Default 16 MiB.
    pub max_payload: u64,
    /// A fetch ends after this time, whatever is missing. Decoding, which needs no network, is not counted. Default 120 s.
    pub deadline: Duration,
    /// Longest wait for a connection to a relay. Default 3 s.
    pub connect_timeout: Duration,
    /// Longest silence of a relay. Default 5 s.
    pub relay_silence: Duration,
    /// Time for a relay, before the transfer time at `min_rate` is added. Default 5 s.
    pub relay_timeout: Duration,
    /// Time for a request to an operator, before the transfer time at `min_rate` is added. Default 5 s.
    pub request_timeout: Duration,
    /// Slowest acceptable transfer, bytes a second. Default 1 MiB/s.
    pub min_rate: u64,
    /// An operator that is silent so long, plus the transfer time at `expected_rate`, is hedged, until enough answers have been
    /// timed; from then on twice the time within which nine of ten came. Default 400 ms.
    pub hedge_after: Duration,
    /// Transfer that a good operator reaches, bytes a second. Default 8 MiB/s.
    pub expected_rate: u64,
    /// What hedging may cost on top of the bytes needed, percent. Default 30.
    pub overhead_percent: u32,
    /// Whether reads are spread over all operators that are good, which costs decoding; or else go to those with the systematic
    /// chunks, which are always the same few. Default true.
    pub spread: bool,
    /// Bytes asked of operators and not here yet, all fetches together; one fetch has at most a quarter of it. Default 64 MiB.
    pub in_flight: u64,
    /// Most requests in flight at once, in one fetch. Default 64.
    pub max_requests: usize,
    /// Largest request for slices, bytes. Default 4 MiB.
    pub max_request: u64,
    /// How often an operator that does not answer is tried. Default 3.
    pub attempts: u32,
    /// First rest of an operator that did not answer; doubles. Default 250 ms.
    pub back_off: Duration,
    /// Bytes that all fetches together may hold. Default 256 MiB.
    pub memory: u64,
    /// Audits that may run at once. Default 2.
    pub audits: usize,
    /// Bytes of chunk columns in flight in one audit. Default 32 MiB.
    pub audit_in_flight: u64,
}

impl Default for RetrieverConfig {
    fn default() -> Self {
        Self {
            relays: Vec::new(),
            max_payload: 16 << 20,
            deadline: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(3),
            relay_silence: Duration::from_secs(5),
            relay_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            min_rate: 1 << 20,
            hedge_after: Duration::from_millis(400),
            expected_rate: 8 << 20,
            overhead_percent: 30,
            spread: true,
            in_flight: 64 << 20,
            max_requests: 64,
            max_request: 4 << 20,
            attempts: 3,
            back_off: Duration::from_millis(250),
            memory: 256 << 20,
            audits: 2,
            audit_in_flight: 32 << 20,
        }
    }
}

impl RetrieverConfig {
    /// The plan for pieces of `unit_bytes` each, of which so many bytes may be in flight; `deadline` counts from the start of the
    /// fetch.
    pub(crate) fn plan(
        &self,
        needed: u32,
        unit_bytes: u64,
        hedge_after: Duration,
        in_flight: u64,
    ) -> PlanConfig {
        PlanConfig {
            needed,
            unit_bytes,
            overhead_percent: self.overhead_percent,
            hedge_after,
            expected_rate: self.expected_rate,
            request_timeout: self.request_timeout,
            min_rate: self.min_rate,
            max_request_bytes: self.max_request,
            max_in_flight_bytes: in_flight,
            max_runs: ashlar_proto::chunk_ranges::MAX_RUNS,
            max_requests: self.max_requests.max(1),
            attempts: self.attempts,
            back_off: self.back_off,
            deadline: self.deadline,
        }
    }

    /// The plan for whole columns of `unit_bytes` each.
    pub(crate) fn audit_plan(
        &self,
        needed: u32,
        unit_bytes: u64,
        hedge_after: Duration,
    ) -> PlanConfig {
        PlanConfig {
            max_request_bytes: (self.audit_in_flight / 4).max(self.max_request),
            ..self.plan(needed, unit_bytes, hedge_after, self.audit_in_flight)
        }
    }
}
