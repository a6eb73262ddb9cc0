//! The run as a command: what `ashlar bench crypto` does.

use std::io::Write;
use std::time::Duration;

use clap::Args;

use super::BenchError;
use super::measure::{Effort, Pools, compare, measure};
use super::op::Op;
use super::report::{Machine, Record, table};
use super::workload::{Scale, Workload};

/// Options of `ashlar bench crypto`.
#[derive(Clone, Debug, Args)]
pub struct CryptoArgs {
    /// Measure only this operation; can be given several times
    #[arg(long = "op", value_name = "NAME")]
    pub ops: Vec<Op>,
    /// Threads of our engine; peers always run on one [default: 1, whole batches on 2 as well]
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroU16>,
    /// Measure the peers, too (the default)
    #[arg(long, overrides_with = "no_peers")]
    pub peers: bool,
    /// Measure only our own engine
    #[arg(long)]
    pub no_peers: bool,
    /// Small batches and few runs: half a minute instead of several, for a first look
    #[arg(long)]
    pub quick: bool,
    /// Time for each implementation of each operation, in seconds [default: 3, with --quick 0.2]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub time: Option<Duration>,
    /// Runs of each implementation at least, also if that takes longer [default: 5, of whole batches 3; with --quick 2]
    #[arg(long, value_name = "N")]
    pub runs: Option<std::num::NonZeroU16>,
    /// What the inputs are made from
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if time <= Duration::from_secs(3600) => Ok(time),
        _ => Err("not between 0 and 3600".to_owned()),
    }
}

impl CryptoArgs {
    fn ops(&self) -> Vec<Op> {
        if self.ops.is_empty() {
            Op::ALL.to_vec()
        } else {
            self.ops.clone()
        }
    }

    fn threads(&self, op: Op) -> Vec<usize> {
        match self.threads {
            Some(threads) => vec![usize::from(threads.get())],
            None if op.scales() => vec![1, 2],
            None => vec![1],
        }
    }

    fn effort(&self, op: Op) -> Effort {
        let (time, runs) = match (self.quick, op.is_heavy()) {
            (true, _) => (Duration::from_millis(200), 2),
            (false, true) => (Duration::from_secs(3), 3),
            (false, false) => (Duration::from_secs(3), 5),
        };
        Effort {
            time: self.time.unwrap_or(time),
            runs: self.runs.map_or(runs, |runs| usize::from(runs.get())),
        }
    }
}

/// Compares and measures; writes one JSON object a line or the table to `results` as they come, and what the times
/// depend on to `notes`.
///
/// # Errors
/// An implementation failed or gave another result than ours, or the output is closed.
pub fn run(
    args: &CryptoArgs,
    json: bool,
    results: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<Vec<Record>, BenchError> {
    let scale = if args.quick {
        Scale::Quick
    } else {
        Scale::Full
    };
    run_at(scale, args, json, results, notes)
}

pub(crate) fn run_at(
    scale: Scale,
    args: &CryptoArgs,
    json: bool,
    results: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<Vec<Record>, BenchError> {
    let closed = |error: std::io::Error| BenchError::Output(error.to_string());
    let machine = Machine::this();
    if json {
        let line =
            serde_json::json!({ "machine": machine, "seed": args.seed, "quick": args.quick });
        writeln!(notes, "{line}").map_err(closed)?;
    } else {
        writeln!(notes, "{machine}; seed {}", args.seed).map_err(closed)?;
    }
    let workload = Workload::new(args.seed, scale, !args.no_peers)?;
    let mut pools = Pools::default();
    let mut all = Vec::new();
    for op in args.ops() {
        let candidates = workload.candidates(op, &args.threads(op))?;
        compare(op, &candidates, &mut pools)?;
        let times = measure(&candidates, &mut pools, args.effort(op))?;
        let payload = workload.payload_bytes(op);
        let records: Vec<_> = candidates
            .iter()
            .zip(times)
            .map(|(candidate, times)| Record::new(op, candidate, times, payload))
            .collect();
        if json {
            for record in &records {
                let line = serde_json::to_string(record)
                    .map_err(|error| BenchError::Output(error.to_string()))?;
                writeln!(results, "{line}").map_err(closed)?;
            }
        } else {
            write!(results, "{}", table(op, &records)).map_err(closed)?;
        }
        results.flush().map_err(closed)?;
        all.extend(records);
    }
    Ok(all)
}
