#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn rates_are_numbers_or_max() {
    assert_eq!("max".parse(), Ok(Rate::Max));
    assert_eq!("0.5".parse(), Ok(Rate::Fixed(0.5)));
    for wrong in ["0", "-1", "nan", "inf", "", "fast"] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
    }
}

#[test]
fn percentiles_are_times_that_were_measured() {
    let all = Percentiles::of((1..=200).rev().map(f64::from).collect()).unwrap();
    let expected = Percentiles {
        p50: 100.0,
        p90: 180.0,
        p99: 198.0,
        max: 200.0,
    };
    assert_eq!(all, expected);
    let one = Percentiles::of(vec![3.0]).unwrap();
    assert_eq!((one.p50, one.p99, one.max), (3.0, 3.0, 3.0));
    assert_eq!(Percentiles::of(Vec::new()), None);
}

#[test]
fn a_report_counts_what_failed_by_code() {
    let mut tally = Tally::default();
    tally.note(Ok(Duration::from_millis(80)));
    tally.note(Err("intake.full".to_owned()));
    tally.note(Err("intake.full".to_owned()));
    let report = tally.report(1_000_000, Duration::from_millis(500));
    assert_eq!((report.posts, report.certified), (3, 1));
    assert_eq!(report.failed["intake.full"], 2);
    assert_eq!(report.payload_mb_per_second, 2.0);
}

#[test]
fn payloads_differ_and_are_made_again() {
    let payloads = Payloads {
        seed: 7,
        size: 1001,
        quorums: vec![0],
        commitments: Vec::new(),
        count: 2,
    };
    assert_eq!(payloads.bytes(0).len(), 1001);
    assert_eq!(payloads.bytes(0), payloads.bytes(0));
    assert_ne!(payloads.bytes(0), payloads.bytes(1));
    assert_eq!(payloads.body(0), payloads.bytes(0));
}
