//! Every operation in its smallest form: all candidates run, agree with ours, and are reported.

#![allow(clippy::unwrap_used, clippy::panic)]

use clap::Parser;

use super::command::{CryptoArgs, run_at};
use super::measure::{Pools, compare};
use super::op::Op;
use super::report::{Machine, Record, table};
use super::workload::{OURS, Scale, Workload};
use super::{BenchError, inputs};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: CryptoArgs,
}

fn args(line: &str) -> CryptoArgs {
    let words = std::iter::once("bench").chain(line.split_whitespace());
    Cli::try_parse_from(words)
        .unwrap_or_else(|error| panic!("{error}"))
        .args
}

/// Runs at the smallest scale, once each, and gives back the output's lines.
fn tiny(line: &str) -> (Vec<Record>, String, String) {
    let (mut results, mut notes) = (Vec::new(), Vec::new());
    let args = args(&format!("--time 0 --runs 1 {line}"));
    let json = line.contains("--seed 7");
    let records = run_at(Scale::Tiny, &args, json, &mut results, &mut notes).unwrap();
    (
        records,
        String::from_utf8(results).unwrap(),
        String::from_utf8(notes).unwrap(),
    )
}

fn implementations(records: &[Record], op: Op) -> Vec<&str> {
    records
        .iter()
        .filter(|record| record.op == op.name())
        .map(|record| &record.implementation[..])
        .collect()
}

#[test]
fn all_operations_run_agree_and_are_reported_as_json_lines() {
    let (records, results, notes) = tiny("--seed 7");
    let read: Vec<Record> = results
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(read, records);
    for op in Op::ALL {
        let threads: Vec<_> = records
            .iter()
            .filter(|record| record.op == op.name() && record.implementation == OURS)
            .map(|record| record.threads)
            .collect();
        assert_eq!(
            threads,
            if op.scales() { vec![1, 2] } else { vec![1] },
            "{op}"
        );
    }
    for record in &records {
        assert!(
            record.min_ns > 0 && record.min_ns <= record.median_ns,
            "{record:?}"
        );
        assert_eq!((record.kernel == "-"), (record.implementation != OURS));
    }
    assert_eq!(
        implementations(&records, Op::CommitRow),
        [
            OURS,
            "c-kzg",
            "rust_eth_kzg",
            "blst/pippenger",
            "arkworks/msm"
        ]
    );
    assert_eq!(
        implementations(&records, Op::ExtendX8),
        [OURS, "arkworks/fft", "arkworks/fft-32768-alone"]
    );

    // The names that scripts rely on.
    let first: serde_json::Value = serde_json::from_str(results.lines().next().unwrap()).unwrap();
    for name in [
        "op",
        "impl",
        "kernel",
        "threads",
        "median_ns",
        "min_ns",
        "payload_bytes",
    ] {
        assert!(first.get(name).is_some(), "{name}");
    }
    let notes: serde_json::Value = serde_json::from_str(&notes).unwrap();
    assert_eq!(notes["seed"], 7);
    assert!(notes["machine"]["avx512ifma"].is_boolean());
}

#[test]
fn one_operation_without_peers_as_a_table() {
    let (records, results, notes) = tiny("--op extend_x2 --no-peers --threads 2");
    assert_eq!(implementations(&records, Op::ExtendX2), [OURS]);
    assert_eq!(records[0].threads, 2);
    assert!(results.starts_with("extend_x2\n  ashlar"), "{results}");
    assert!(notes.contains("seed 1"), "{notes}");
}

#[test]
fn a_result_that_differs_stops_the_run() {
    let (one, other) = (
        Workload::new(1, Scale::Tiny, false).unwrap(),
        Workload::new(2, Scale::Tiny, true).unwrap(),
    );
    let mut candidates = one.candidates(Op::ExtendX2, &[1]).unwrap();
    candidates.extend(
        other
            .candidates(Op::ExtendX2, &[1])
            .unwrap()
            .into_iter()
            .skip(1),
    );
    let result = compare(Op::ExtendX2, &candidates, &mut Pools::default());
    assert_eq!(
        result,
        Err(BenchError::Different {
            op: "extend_x2",
            implementation: "c-kzg"
        })
    );
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for line in [
        "--op extend_x3",
        "--threads 0",
        "--time -1",
        "--time x",
        "--time 1e9",
        "--runs 0",
    ] {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        assert!(Cli::try_parse_from(words).is_err(), "{line}");
    }
    assert_eq!(
        args("--op extend_x2 --op commit_row").ops,
        [Op::ExtendX2, Op::CommitRow]
    );
}

#[test]
fn names_of_operations_read_back() {
    for op in Op::ALL {
        assert_eq!(op.name().parse(), Ok(op));
    }
    assert!(
        "Commit_row"
            .parse::<Op>()
            .unwrap_err()
            .to_string()
            .contains("commit_row, cells_and_proofs_7594")
    );
}

#[test]
fn inputs_depend_on_the_seed_only() {
    assert_eq!(inputs::row(3, "row"), inputs::row(3, "row"));
    assert_ne!(inputs::row(3, "row"), inputs::row(4, "row"));
    assert_eq!(
        inputs::bytes(3, "x", 1000)[..100],
        inputs::bytes(3, "x", 100)[..]
    );
    let half = inputs::half_of_the_cells(3);
    assert_eq!(half.len(), 64);
    assert!(half.windows(2).all(|pair| pair[0] < pair[1]) && half.iter().all(|index| *index < 128));
    // A pattern without structure takes some of both halves.
    assert!(half.iter().any(|index| *index < 64) && half.iter().any(|index| *index >= 64));
}

#[test]
fn ratios_are_in_terms_of_ours_on_one_thread() {
    let record = |implementation: &str, threads, median_ns| Record {
        op: "extend_x2".to_owned(),
        implementation: implementation.to_owned(),
        kernel: "-".to_owned(),
        threads,
        median_ns,
        min_ns: median_ns,
        cpu_ns: median_ns * 3 / threads as u64,
        payload_bytes: 131_072,
        runs: 3,
    };
    let text = table(
        Op::ExtendX2,
        &[
            record(OURS, 2, 1_000_000),
            record(OURS, 1, 2_000_000),
            record("peer", 1, 5_000_000),
        ],
    );
    assert!(
        text.lines().nth(1).unwrap().contains("0.50 × cpu  0.25 ×"),
        "{text}"
    );
    assert!(
        text.lines().nth(3).unwrap().contains("2.50 × cpu  2.50 ×"),
        "{text}"
    );
    assert!(text.lines().nth(2).unwrap().contains("65.5 MB/s"), "{text}");
}

#[test]
fn the_machine_reads_back() {
    let machine = Machine::this();
    let text = serde_json::to_string(&machine).unwrap();
    assert_eq!(serde_json::from_str::<Machine>(&text).unwrap(), machine);
    assert!(machine.to_string().contains("avx512ifma"));
}
