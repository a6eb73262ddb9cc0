#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::LazyLock;

use ashlar_crypto::Blame;
use ashlar_proto::Stake;

use super::*;
use crate::accounts::book::Charge;
use crate::dispersal::{Failure, FailureKind};
use crate::encoder::EncodedBlob;
use crate::matrix::BatchPosition;
use crate::record::OperatorFailure;
use crate::testing::{encoded, record as blob, table};

/// A batch of one blob, on its way.
fn began(activity: &Activity, sequence: u64) -> BatchRecord {
    let place = BatchPosition {
        disperser_id: 5,
        sequence: Sequence(sequence),
        created_at_ms: 2000,
    };
    static BLOB: LazyLock<Arc<EncodedBlob>> = LazyLock::new(|| encoded(&[1; 100], 1));
    let blobs = vec![Arc::clone(&BLOB)];
    let matrix = Matrix::compose(blobs, table(&[10, 20, 70]), place).unwrap();
    let record = BatchRecord {
        header: matrix.header().clone(),
        signature: None,
        blobs: Vec::new(),
        state: BatchState::Composed,
        signers: Vec::new(),
        signed: Vec::new(),
        failures: Vec::new(),
        expires_at_ms: 11_000,
    };
    let mut first = blob(&[1; 100], 1);
    first.go(BlobState::Encoding, 1200).unwrap();
    activity.began(&record, &matrix, Some(first));
    record
}

fn failed(operator: u32, code: Option<&str>) -> OperatorFailure {
    let failure = code.map(|code| Failure {
        kind: FailureKind::Transient,
        code: code.to_owned(),
        message: String::new(),
        blame: Blame::Peer,
    });
    OperatorFailure {
        operator: OperatorIndex(operator),
        attempts: 1,
        failure,
    }
}

/// Of each operator by index: whether it signs, batches signed and missed, and the last failure.
fn operators(activity: &Activity) -> Vec<(bool, u32, u32, Option<String>)> {
    let table = table(&[10, 20, 70]);
    let shown = activity.operators(&table, |_| false);
    let of = |entry: &ashlar_proto::OperatorEntry| {
        let shown = shown
            .iter()
            .find(|shown| shown.operator_id == entry.operator_id);
        let shown = shown.unwrap();
        (
            shown.signs,
            shown.signed,
            shown.missed,
            shown.failure.clone(),
        )
    };
    table.operators().iter().map(of).collect()
}

#[test]
fn a_batch_is_seen_on_its_way_and_who_signs_late_has_signed() {
    let activity = Activity::default();
    let mut record = began(&activity, 1);
    let shown = || activity.batches().remove(0);
    let stages = shown().stages;
    assert_eq!(
        (shown().submitted_at_ms, stages.encoding_ms),
        (1000, Some(1200))
    );
    assert_eq!(
        (stages.batched_ms, stages.dispersing_ms),
        (Some(2000), None)
    );

    record.go(BatchState::Dispersing).unwrap();
    activity.changed(&record, 2100);
    let (signed, total) = (Stake::from(7), Stake::from(10));
    let quorum = QuorumSigned {
        quorum: 0,
        signed,
        total,
    };
    activity.answered(&record.digest(), vec![quorum]);
    assert_eq!(shown().signed, [SignedQuorum::from(quorum)]);

    record.go(BatchState::Certified).unwrap();
    record.signers = vec![OperatorIndex(1), OperatorIndex(2)];
    record.failures = vec![failed(0, None)];
    activity.changed(&record, 3000);
    assert_eq!((shown().state, shown().signers), (BatchState::Certified, 2));
    assert_eq!(shown().stages.certified_ms, Some(3000));
    // It may yet sign.
    assert_eq!(operators(&activity)[0], (true, 0, 0, None));
    record.failures = vec![failed(0, Some("net.timeout"))];
    activity.changed(&record, 3100);
    let missed = (false, 0, 1, Some("net.timeout".to_owned()));
    assert_eq!(
        operators(&activity),
        [missed, (true, 1, 0, None), (true, 1, 0, None)]
    );
    // Nor does it answer by the end.
    record.failures = vec![failed(0, None)];
    activity.changed(&record, 3110);
    assert_eq!(operators(&activity)[0].2, 0);
    activity.over(&record, 3120, None);
    assert_eq!(operators(&activity)[0], (false, 0, 1, None));
    record.signers.insert(0, OperatorIndex(0));
    activity.changed(&record, 3200);
    assert_eq!(operators(&activity)[0], (true, 1, 0, None));
    assert!(activity.lock().failures.len() <= 3);
    assert_eq!(shown().stages.certified_ms, Some(3000));
    // What was decided is not undone by an answer that was under way.
    activity.answered(&record.digest(), Vec::new());
    assert_eq!(shown().signers, 3);
}

#[test]
fn an_abandoned_batch_says_why() {
    let activity = Activity::default();
    let mut record = began(&activity, 1);
    record.failures = vec![failed(2, Some("net.unreachable"))];
    record.go(BatchState::Abandoned).unwrap();
    activity.over(&record, 9000, Some("dispersal.out_of_reach"));
    let shown = activity.batches().remove(0);
    assert_eq!(shown.error.as_deref(), Some("dispersal.out_of_reach"));
    assert_eq!(shown.stages.failed_ms, Some(9000));
    assert_eq!(operators(&activity)[2].2, 1);
    // In trouble first, then the most stake.
    let shown = activity.operators(&table(&[10, 20, 70]), |_| false);
    let signs: Vec<_> = shown.iter().map(|operator| operator.signs).collect();
    assert_eq!(signs, [false, true, true]);
    let percent = |at: usize| shown[at].stakes[0].percent;
    assert!(percent(1) > percent(2), "{shown:?}");
}

#[test]
fn nothing_grows_without_end() {
    let activity = Activity::default();
    let metrics = Metrics::default();
    for sequence in 0..KEPT as u64 + 10 {
        began(&activity, sequence);
    }
    assert_eq!(activity.lock().batches.len(), KEPT);
    assert_eq!(activity.batches().len(), SHOWN);
    assert_eq!(activity.batches()[0].sequence, Sequence(KEPT as u64 + 9));
    activity.certified((0..TIMED as u64 + 10).map(Duration::from_millis));
    for at_ms in 0..SAMPLES as u64 + 10 {
        activity.sample(&metrics, at_ms);
    }
    assert_eq!(activity.samples().len(), SAMPLES);
    assert!(activity.lock().times.is_empty());
}

#[test]
fn a_sample_has_the_times_since_the_last_one() {
    let activity = Activity::default();
    let metrics = Metrics::default();
    activity.sample(&metrics, 1);
    activity.certified((1..=100).rev().map(Duration::from_millis));
    activity.sample(&metrics, 2);
    activity.sample(&metrics, 3);
    let times: Vec<_> = activity
        .samples()
        .iter()
        .map(|sample| (sample.median_ms, sample.p95_ms))
        .collect();
    assert_eq!(times, [(None, None), (Some(51), Some(96)), (None, None)]);
}

#[test]
fn accounts_are_counted_and_the_quietest_is_forgotten() {
    let activity = Activity::default();
    let posts = |account: u16, amount: Option<u64>, at_ms| {
        let mut record = blob(&[1; 100], 1);
        record.account.0[..2].copy_from_slice(&account.to_be_bytes());
        record.charge = amount.map(|amount| Charge {
            amount: Stake::from(amount),
            day: 0,
        });
        record.submitted_at_ms = at_ms;
        activity.accepted(&record);
    };
    posts(1, Some(5), 1000);
    posts(2, None, 1001);
    posts(1, Some(7), 1002);
    let [first, second] = &activity.accounts()[..] else {
        panic!("two accounts have posted")
    };
    assert_eq!((first.blobs, first.rows, first.bytes), (2, 2, 200));
    assert_eq!((first.charged, first.last_ms), (Stake::from(12u64), 1002));
    assert_eq!((second.blobs, second.charged), (1, Stake::ZERO));

    (3..1026).for_each(|account| posts(account, None, 2000));
    assert_eq!(activity.lock().accounts.len(), ACCOUNTS);
    let shown = activity.accounts();
    assert_eq!((shown.len(), &shown[0]), (ACCOUNTS_SHOWN, first));
    assert!(!activity.lock().accounts.contains_key(&second.account));
}
