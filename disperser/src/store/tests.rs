#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use ashlar_crypto::{CommitmentBytes, identity::NetworkKey};
use ashlar_proto::api::BlobState;

use super::*;
use crate::kv::MemoryKv;
use crate::matrix::{BatchPosition, Matrix};
use crate::state::BatchState;
use crate::testing::{encoded, owner, record, table};

fn open(kv: &MemoryKv) -> Store {
    Store::open(Arc::new(kv.clone()), &owner().public()).unwrap()
}

fn batch_record(matrix: &Matrix, blobs: &[BlobRecord]) -> BatchRecord {
    BatchRecord {
        header: matrix.header().clone(),
        signature: None,
        blobs: blobs.iter().map(|blob| blob.id).collect(),
        state: BatchState::Composed,
        signers: Vec::new(),
        signed: Vec::new(),
        failures: Vec::new(),
        expires_at_ms: 11_000,
    }
}

/// A day of 2026, milliseconds.
const NOW: u64 = 1_790_000_000_000;

/// The number of a batch that is composed at this time.
fn sequence_at(store: &Store, now_ms: u64) -> Sequence {
    let blob = encoded(b"payload", 1);
    let (batch, ..) = store
        .compose(now_ms, &[], |sequence| {
            let place = BatchPosition {
                disperser_id: 5,
                sequence,
                created_at_ms: now_ms,
            };
            let matrix = Matrix::compose(vec![blob], table(&[1, 1]), place).unwrap();
            Ok((batch_record(&matrix, &[]), Vec::new(), ()))
        })
        .unwrap();
    batch.header.sequence
}

/// Composes a batch of one blob and returns its record.
fn compose(store: &Store, payload: &[u8], salt: u64) -> (BatchRecord, BlobRecord) {
    let blob = encoded(payload, salt);
    let mut record = record(payload, salt);
    store
        .accept(&record, Bytes::copy_from_slice(payload), None)
        .unwrap();
    for state in [BlobState::Encoding, BlobState::Encoded, BlobState::Batched] {
        record.go(state, 2000).unwrap();
    }
    record.header = Some(blob.header.clone());
    record.key = Some(blob.key);
    let (batch, mut blobs, ()) = store
        .compose(
            NOW,
            &[(record.id, vec![CommitmentBytes([2; 48])])],
            |sequence| {
                let place = BatchPosition {
                    disperser_id: 5,
                    sequence,
                    created_at_ms: 2000,
                };
                let matrix = Matrix::compose(vec![blob], table(&[1, 1]), place).unwrap();
                let batch = batch_record(&matrix, std::slice::from_ref(&record));
                Ok((batch, vec![record], ()))
            },
        )
        .unwrap();
    (batch, blobs.remove(0))
}

#[test]
fn what_was_accepted_survives_a_power_cut() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let claims = [CommitmentBytes([1; 48])];
    let first = record(b"one", 1);
    store
        .accept(&first, Bytes::from_static(b"one"), Some(&claims))
        .unwrap();
    kv.cut_power();
    let store = open(&kv);
    assert_eq!(store.blob(&first.id).unwrap().unwrap(), first);
    assert_eq!(store.payload(&first.id).unwrap().unwrap(), b"one");
    assert_eq!(store.commitments(&first.id).unwrap().unwrap(), claims);
    assert_eq!(store.open_blobs().unwrap(), [first]);
}

#[test]
fn a_failed_write_accepts_nothing() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    kv.fail_writes(1);
    let blob = record(b"one", 1);
    assert_eq!(
        store
            .accept(&blob, Bytes::from_static(b"one"), None)
            .unwrap_err()
            .code(),
        "store.write"
    );
    assert_eq!(store.blob(&blob.id).unwrap(), None);
    assert_eq!(store.payload(&blob.id).unwrap(), None);
    assert!(store.open_blobs().unwrap().is_empty());
}

#[test]
fn open_blobs_come_in_the_order_of_acceptance() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    for salt in [300u64, 2, 256, 255, 1, 70_000] {
        store
            .accept(&record(b"x", salt), Bytes::from_static(b"x"), None)
            .unwrap();
    }
    let orders: Vec<u64> = store
        .open_blobs()
        .unwrap()
        .iter()
        .map(|blob| blob.order)
        .collect();
    assert_eq!(orders, [1, 2, 255, 256, 300, 70_000]);
}

#[test]
fn a_sequence_number_is_never_used_twice_not_even_across_power_cuts() {
    let kv = MemoryKv::new();
    let mut seen = std::collections::HashSet::new();
    for round in 0..5u64 {
        let store = open(&kv);
        let (batch, _) = compose(&store, b"payload", round);
        assert!(
            seen.insert(batch.header.sequence),
            "sequence {} twice",
            batch.header.sequence
        );
        kv.cut_power();
        // The batch is as durable as its number.
        assert!(open(&kv).batch(&batch.digest()).unwrap().is_some());
    }
    assert_eq!(open(&kv).open_batches().unwrap().len(), 5);
}

#[test]
fn a_composition_that_is_not_written_does_not_use_its_number() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let least = store.least_sequence().unwrap();
    let failed: Result<(_, _, ()), _> =
        store.compose(NOW, &[], |_| Err(StoreError::Corrupt { what: "a test" }));
    assert_eq!(failed.unwrap_err().code(), "store.corrupt");
    assert_eq!(store.least_sequence().unwrap(), least);
    let (batch, _) = compose(&store, b"payload", 1);
    let sequence = batch.header.sequence;
    assert_eq!(store.least_sequence().unwrap(), Sequence(sequence.0 + 1));
}

#[test]
fn numbers_come_from_the_clock_and_rise_whatever_it_does() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let at = |now_ms| sequence_at(&store, now_ms);
    let first = at(NOW);
    assert_eq!(first.0 >> CHANCE_BITS, NOW);
    assert_eq!(at(NOW + 1000).0 >> CHANCE_BITS, NOW + 1000);
    let highest = at(NOW + 2000);
    // The clock goes back, the numbers do not.
    assert_eq!(at(NOW - 86_400_000), Sequence(highest.0 + 1));
    assert_eq!(at(0), Sequence(highest.0 + 2));
    assert_eq!(at(NOW + 2001).0 >> CHANCE_BITS, NOW + 2001);
    // A clock of the year 300 000 000 is no reason to fall over.
    assert!(at(u64::MAX) > highest);
    assert!(fresh_sequence(NOW, u32::MAX) < fresh_sequence(NOW + 1, 0));
}

#[test]
fn an_older_copy_and_a_new_disk_use_no_number_twice() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let mut used = std::collections::HashSet::new();
    for n in 0..5 {
        assert!(used.insert(sequence_at(&store, NOW + n)));
    }
    let older = kv.copy();
    // Batches that the copy does not know of; some in the same millisecond.
    for n in 0..50 {
        assert!(used.insert(sequence_at(&store, NOW + 10 + n / 4)));
    }
    drop(store);
    for restored in [older, MemoryKv::new()] {
        let store = open(&restored);
        for n in 0..50 {
            assert!(
                used.insert(sequence_at(&store, NOW + 100_000 + n / 4)),
                "a number twice"
            );
        }
    }
}

#[test]
fn a_new_database_has_to_learn_which_numbers_were_used() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    assert_eq!(store.knows_sequence(), Ok(false));
    // As often as it is opened.
    kv.cut_power();
    let store = open(&kv);
    assert_eq!(store.knows_sequence(), Ok(false));
    // A number of tomorrow: this machine's clock was ahead.
    let highest = sequence_at(&open(&MemoryKv::new()), NOW + 86_400_000);
    store.learn_sequence(Some(highest)).unwrap();
    kv.cut_power();
    let store = open(&kv);
    assert_eq!(store.knows_sequence(), Ok(true));
    assert_eq!(sequence_at(&store, NOW), Sequence(highest.0 + GAP));

    // Never down again, and a clock that is right needs no help.
    store.learn_sequence(None).unwrap();
    assert_eq!(sequence_at(&store, NOW), Sequence(highest.0 + GAP + 1));
    let store = open(&MemoryKv::new());
    store.learn_sequence(None).unwrap();
    assert_eq!(sequence_at(&store, NOW).0 >> CHANCE_BITS, NOW);

    // There is nothing above.
    let store = open(&MemoryKv::new());
    let error = store.learn_sequence(Some(Sequence(u64::MAX - 7)));
    assert_eq!(error.unwrap_err().code(), "store.corrupt");
    assert_eq!(store.knows_sequence(), Ok(false));
}

#[test]
fn concurrent_compositions_take_different_numbers() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let numbers: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u64)
            .map(|salt| {
                let store = store.clone();
                scope.spawn(move || compose(&store, b"payload", salt).0.header.sequence)
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let distinct: std::collections::HashSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), 8, "{numbers:?}");
}

#[test]
fn a_finished_batch_is_not_open_and_its_certificates_are_there() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let (mut batch, mut blob) = compose(&store, b"payload", 1);
    batch.go(BatchState::Dispersing).unwrap();
    blob.go(BlobState::Dispersing, 3000).unwrap();
    batch.go(BatchState::Certified).unwrap();
    blob.go(BlobState::Certified, 4000).unwrap();
    store
        .finish_batch(
            &batch,
            std::slice::from_ref(&blob),
            vec![(blob.id, vec![1, 2, 3])],
        )
        .unwrap();
    kv.cut_power();
    let store = open(&kv);
    assert!(store.open_batches().unwrap().is_empty());
    assert!(store.open_blobs().unwrap().is_empty());
    assert_eq!(store.certificate(&blob.id).unwrap().unwrap(), [1, 2, 3]);
    assert_eq!(store.batch(&batch.digest()).unwrap().unwrap(), batch);
    assert_eq!(store.id_of(&blob.key.unwrap()).unwrap(), Some(blob.id));
    assert_eq!(store.payload(&blob.id).unwrap().unwrap(), b"payload");
}

#[test]
fn a_failed_blob_leaves_its_record_only() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let mut blob = record(b"payload", 1);
    store
        .accept(
            &blob,
            Bytes::from_static(b"payload"),
            Some(&[CommitmentBytes([1; 48])]),
        )
        .unwrap();
    blob.go(BlobState::Failed, 2000).unwrap();
    store.failed(std::slice::from_ref(&blob), true).unwrap();
    assert_eq!(store.payload(&blob.id).unwrap(), None);
    assert_eq!(store.commitments(&blob.id).unwrap(), None);
    assert!(store.open_blobs().unwrap().is_empty());
    assert_eq!(
        store.blob(&blob.id).unwrap().unwrap().state,
        BlobState::Failed
    );
}

#[test]
fn expiry_forgets_what_is_over_and_nothing_else() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let (mut batch, mut done) = compose(&store, b"done", 1); // expires at 11 000
    let open_blob = record(b"open", 2); // expires at 11 000 too
    store
        .accept(&open_blob, Bytes::from_static(b"open"), None)
        .unwrap();
    for state in [BatchState::Dispersing, BatchState::Certified] {
        batch.go(state).unwrap();
    }
    for state in [BlobState::Dispersing, BlobState::Certified] {
        done.go(state, 3000).unwrap();
    }
    store
        .finish_batch(
            &batch,
            std::slice::from_ref(&done),
            vec![(done.id, vec![1])],
        )
        .unwrap();

    assert_eq!(store.expire(10_999, 100).unwrap(), 0);
    assert!(store.blob(&done.id).unwrap().is_some());
    assert_eq!(store.expire(11_000, 100).unwrap(), 2);
    assert_eq!(store.blob(&done.id).unwrap(), None);
    assert_eq!(store.payload(&done.id).unwrap(), None);
    assert_eq!(store.certificate(&done.id).unwrap(), None);
    assert_eq!(store.id_of(&done.key.unwrap()).unwrap(), None);
    assert_eq!(store.batch(&batch.digest()).unwrap(), None);
    // The other one is still on its way.
    assert_eq!(store.payload(&open_blob.id).unwrap().unwrap(), b"open");
}

/// Files of payloads go when nobody reads them any more, and not while a blob of the same time is open.
#[test]
fn room_of_large_payloads_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let kv = crate::kv::RocksKv::open(folder.path(), crate::kv::RocksOptions::default()).unwrap();
    let owner = NetworkKey::from_seed([9; 32]).public();
    let store = Store::open(Arc::new(kv), &owner).unwrap();
    let files = || {
        std::fs::read_dir(folder.path().join("values"))
            .unwrap()
            .count()
    };
    let payload = |n: u8| vec![n; 1 << 20];
    let mut first = record(b"first", 1);
    let second = record(b"second", 2);
    for (blob, n) in [(&first, 1), (&second, 2)] {
        store.accept(blob, payload(n).into(), None).unwrap();
    }
    assert_eq!(files(), 1);
    first.go(BlobState::Failed, 2000).unwrap();
    store.failed(std::slice::from_ref(&first), false).unwrap();
    let over = first.expires_at_ms + 600_000;
    assert_eq!(store.expire(over, 100).unwrap(), 1);
    assert_eq!(store.payload(&first.id).unwrap(), None);
    assert_eq!(store.payload(&second.id).unwrap().unwrap(), payload(2));
    let mut second = second;
    second.go(BlobState::Failed, 2000).unwrap();
    store.failed(std::slice::from_ref(&second), false).unwrap();
    assert_eq!(store.expire(over, 100).unwrap(), 1);
    assert_eq!(files(), 0);
}

#[test]
fn a_blob_posted_again_lives_until_its_new_time() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let mut blob = record(b"payload", 1);
    store
        .accept(&blob, Bytes::from_static(b"payload"), None)
        .unwrap();
    blob.go(BlobState::Failed, 2000).unwrap();
    store.failed(std::slice::from_ref(&blob), true).unwrap();
    let mut again = record(b"payload", 1);
    again.expires_at_ms = 50_000;
    store
        .accept(&again, Bytes::from_static(b"payload"), None)
        .unwrap();
    store.expire(20_000, 100).unwrap();
    assert_eq!(store.payload(&blob.id).unwrap().unwrap(), b"payload");
}

#[test]
fn another_disperser_or_format_is_refused() {
    let kv = MemoryKv::new();
    open(&kv);
    let other = NetworkKey::from_seed([1; 32]).public();
    let refused = |kv: &MemoryKv| {
        Store::open(Arc::new(kv.clone()), &other)
            .map(|_| ())
            .unwrap_err()
            .code()
    };
    assert_eq!(refused(&kv), "store.owner");
    kv.write(
        vec![Op::Put(
            Table::Meta,
            META_FORMAT.to_vec(),
            b"something".to_vec(),
        )],
        true,
    )
    .unwrap();
    assert_eq!(refused(&kv), "store.format");
}

#[test]
fn unreadable_records_are_errors_and_no_panics() {
    let kv = MemoryKv::new();
    let store = open(&kv);
    let blob = record(b"payload", 1);
    store
        .accept(
            &blob,
            Bytes::from_static(b"payload"),
            Some(&[CommitmentBytes([1; 48])]),
        )
        .unwrap();
    let put = |table, key: &[u8], value: &[u8]| {
        kv.write(vec![Op::Put(table, key.to_vec(), value.to_vec())], true)
            .unwrap();
    };
    put(Table::Blobs, &blob.id.0, b"{");
    assert_eq!(store.blob(&blob.id).unwrap_err().code(), "store.corrupt");
    put(Table::Commitments, &blob.id.0, &[0; 47]);
    assert_eq!(
        store.commitments(&blob.id).unwrap_err().code(),
        "store.corrupt"
    );
    put(Table::Open, &[0; 8], b"short");
    assert_eq!(store.open_blobs().unwrap_err().code(), "store.corrupt");
    put(Table::OpenBatches, &[0; 8], &[1; 32]);
    assert_eq!(store.open_batches().unwrap_err().code(), "store.corrupt");
    put(Table::Expiry, b"short", b"");
    assert_eq!(
        store.expire(u64::MAX, 10).unwrap_err().code(),
        "store.corrupt"
    );
    put(Table::Meta, META_SEQUENCE, b"short");
    assert_eq!(store.least_sequence().unwrap_err().code(), "store.corrupt");
    put(Table::Meta, META_TIME, b"short");
    assert_eq!(store.kept_time().unwrap_err().code(), "store.corrupt");
}
