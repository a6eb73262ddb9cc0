//! Patience of a repair: it has time, and leaves readers theirs.

use std::time::Duration;

use ashlar_fetch::plan::PlanConfig;

/// Bytes a second below which a fetch is given up: the time that it may take grows with it.
const MIN_RATE: u64 = 256 << 10;

/// The plan for `needed` pieces of `unit_bytes` each.
pub(super) fn plan(needed: u32, unit_bytes: u64) -> PlanConfig {
    let bytes = u64::from(needed).saturating_mul(unit_bytes);
    PlanConfig {
        needed,
        unit_bytes,
        overhead_percent: 30,
        hedge_after: Duration::from_secs(2),
        expected_rate: 4 << 20,
        request_timeout: Duration::from_secs(10),
        min_rate: MIN_RATE,
        max_request_bytes: 4 << 20,
        max_in_flight_bytes: 16 << 20,
        max_runs: ashlar_proto::chunk_ranges::MAX_RUNS,
        max_requests: 16,
        attempts: 2,
        back_off: Duration::from_secs(1),
        deadline: Duration::from_secs(60) + Duration::from_secs(bytes / MIN_RATE),
    }
}
