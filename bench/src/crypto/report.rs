//! JSON lines, the table, the machine.

use std::fmt::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::measure::{Candidate, Times};
use super::op::Op;
use super::workload::OURS;

/// One line of `--json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The operation.
    pub op: String,
    /// `ashlar`, or the peer with its setting.
    #[serde(rename = "impl")]
    pub implementation: String,
    /// Our kernel; `-` for peers.
    pub kernel: String,
    /// Threads that it could use.
    pub threads: usize,
    /// Median of all runs, nanoseconds.
    pub median_ns: u64,
    /// The fastest run, nanoseconds.
    pub min_ns: u64,
    /// Median of the CPU time of a run, all threads together, nanoseconds: what to compare on a busy machine.
    pub cpu_ns: u64,
    /// Bytes of payload that one run takes care of.
    pub payload_bytes: u64,
    /// How many runs.
    pub runs: usize,
}

impl Record {
    /// The record of a candidate.
    pub fn new(op: Op, candidate: &Candidate<'_>, times: Times, payload_bytes: u64) -> Self {
        Self {
            op: op.name().to_owned(),
            implementation: candidate.implementation.to_owned(),
            kernel: candidate.kernel.to_owned(),
            threads: candidate.threads,
            median_ns: nanos(times.median),
            min_ns: nanos(times.min),
            cpu_ns: nanos(times.cpu),
            payload_bytes,
            runs: times.runs,
        }
    }

    /// Payload a second by the median, in MB (10⁶ bytes).
    pub fn megabytes_per_second(&self) -> f64 {
        self.payload_bytes as f64 * 1000.0 / self.median_ns.max(1) as f64
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One operation's part of the table. The last two columns are the times in terms of ours, on the fewest threads that
/// ours was measured on: by the clock, and by CPU time.
pub fn table(op: Op, records: &[Record]) -> String {
    let ours = records
        .iter()
        .filter(|record| record.implementation == OURS)
        .min_by_key(|record| record.threads);
    let mut text = format!("{op}\n");
    for record in records {
        let ratio = |of: fn(&Record) -> u64| {
            ours.map_or(f64::NAN, |ours| of(record) as f64 / of(ours).max(1) as f64)
        };
        let threads = match record.threads {
            1 => "1 thread ".to_owned(),
            threads => format!("{threads} threads"),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "  {:<24} {:<8} {threads}  median {:>12}  min {:>12}  cpu {:>12} {:>8.1} MB/s {:>6.2} × cpu {:>5.2} ×",
            record.implementation,
            record.kernel,
            milliseconds(record.median_ns),
            milliseconds(record.min_ns),
            milliseconds(record.cpu_ns),
            record.megabytes_per_second(),
            ratio(|record| record.median_ns),
            ratio(|record| record.cpu_ns),
        );
    }
    text
}

fn milliseconds(nanos: u64) -> String {
    format!("{:.3} ms", nanos as f64 / 1e6)
}

/// What the times depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The CPU's own name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// 52-bit multiply-add over 8 lanes, what the kernel `ifma` needs.
    pub avx512ifma: bool,
    /// Instructions for SHA-256.
    pub sha_ni: bool,
    /// Our kernel.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    pub fn this() -> Self {
        Self {
            cpu: cpu_name(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            avx512ifma: has_avx512ifma(),
            sha_ni: has_sha_ni(),
            kernel: ashlar_crypto::kernel_name().to_owned(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let yes = |there| if there { "yes" } else { "no" };
        write!(
            f,
            "{}, {} cores; avx512ifma {}, sha_ni {}; kernel {}",
            self.cpu,
            self.cores,
            yes(self.avx512ifma),
            yes(self.sha_ni),
            self.kernel
        )
    }
}

fn cpu_name() -> String {
    // Where there is no such file or line, the architecture is all that is known.
    let info = std::fs::read_to_string("/proc/cpuinfo").ok();
    let name = info.as_deref().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(target_arch = "x86_64")]
fn has_avx512ifma() -> bool {
    std::arch::is_x86_feature_detected!("avx512ifma")
}

#[cfg(target_arch = "x86_64")]
fn has_sha_ni() -> bool {
    std::arch::is_x86_feature_detected!("sha")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512ifma() -> bool {
    false
}

#[cfg(not(target_arch = "x86_64"))]
fn has_sha_ni() -> bool {
    false
}
