//! Runs over every backend.

use std::sync::Arc;

use ashlar_crypto::bls::SignatureBytes;
use ashlar_crypto::merkle::{leaf_hash, verify_range};

use super::*;

fn with_memory(test: fn(Box<dyn Store>)) {
    test(Box::new(
        TableStore::create(MemoryBackend::new(), ME, ID, WINDOW).unwrap(),
    ));
}

fn with_rocks(test: fn(Box<dyn Store>)) {
    let folder = tempfile::tempdir().unwrap();
    let options = RocksOptions {
        create: true,
        ..RocksOptions::new(folder.path())
    };
    let backend = RocksBackend::open(options).unwrap();
    test(Box::new(
        TableStore::create(backend, ME, ID, WINDOW).unwrap(),
    ));
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod memory { $(#[test] fn $name() { super::with_memory(super::$name); })* }
        mod rocks { $(#[test] fn $name() { super::with_rocks(super::$name); })* }
    };
}

suite![
    what_goes_in_comes_out,
    parts_of_slices_verify,
    nothing_is_there_at_first,
    one_digest_a_sequence,
    repeats_are_idempotent,
    signature_is_kept,
    signature_needs_its_record,
    windows_expire_whole_and_records_stay,
    expired_data_can_be_stored_again,
    the_same_blob_in_two_batches,
    batches_are_listed_in_pages,
    one_winner_among_many,
    probe_works,
    a_number_belongs_to_its_domain,
    time_is_kept,
    an_allowance_is_kept,
    slices_are_read_by_themselves,
    one_pair_of_evidence_a_number,
    evidence_is_bounded,
];

fn what_goes_in_comes_out(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    let record = store.commit(&batch).unwrap();
    assert_eq!(
        record,
        SignedRecord {
            at: sequence(1, 1),
            digest: batch.digest,
            signature: None
        }
    );
    assert_eq!(store.signed(&sequence(1, 1)).unwrap(), Some(record));

    let stored = store.batch(&batch.digest).unwrap().unwrap();
    assert_eq!(stored.header, batch.header);
    assert_eq!(stored.disperser_signature, batch.disperser_signature);
    assert_eq!(stored.runs, batch.runs);
    assert_eq!(stored.commitments, batch.commitments);
    assert_eq!(stored.chunk_proofs, batch.chunk_proofs);
    assert_eq!(
        stored.blobs,
        batch
            .blobs
            .iter()
            .map(|b| b.header.clone())
            .collect::<Vec<_>>()
    );

    for (index, blob) in batch.blobs.iter().enumerate() {
        assert_eq!(
            store.find_blob(&blob.key).unwrap(),
            Some((batch.digest, index as u32))
        );
        let slices = store
            .batch_slices(&batch.digest, index as u32)
            .unwrap()
            .unwrap();
        assert_eq!(slices.header(), &blob.header);
        let all: Vec<u8> = slices
            .runs()
            .iter()
            .flat_map(|i| slices.slice(i).unwrap().unwrap().to_vec())
            .collect();
        assert_eq!(all, blob.data);
        assert_eq!(slices.slice(ChunkIndex(4)).unwrap(), None);
        slices.check(512).unwrap();
    }
    let bytes = batch.bytes();
    assert_eq!(
        store.totals(),
        Totals {
            batches: 1,
            blobs: 2,
            bytes,
            windows: 1
        }
    );
    assert_eq!(store.windows().unwrap(), vec![WindowId(1000)]);
}

fn parts_of_slices_verify(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    store.commit(&batch).unwrap();
    let slices = store.batch_slices(&batch.digest, 1).unwrap().unwrap();
    for (start, len) in [(0, 3), (0, 1), (1, 1), (1, 2), (9, 2), (10, 1)] {
        let wanted = ChunkRanges::new(vec![(start, len)]).unwrap();
        let proofs = slices.proofs_for(&wanted, 512).unwrap();
        let leaves: Vec<Hash> = wanted
            .iter()
            .map(|i| leaf_hash(&slices.slice(i).unwrap().unwrap()))
            .collect();
        let [proof] = proofs.as_slice() else {
            panic!("one run, one proof")
        };
        verify_range(
            &slices.header().chunk_root,
            512,
            u64::from(start),
            &leaves,
            proof,
        )
        .unwrap();
    }
    for not_held in [vec![(3, 1)], vec![(0, 4)], vec![(0, 1), (11, 1)]] {
        assert_eq!(
            slices.proofs_for(&ChunkRanges::new(not_held).unwrap(), 512),
            None
        );
    }
}

fn nothing_is_there_at_first(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    assert_eq!(store.signed(&sequence(1, 1)).unwrap(), None);
    assert_eq!(store.batch(&batch.digest).unwrap(), None);
    assert!(store.batch_slices(&batch.digest, 0).unwrap().is_none());
    assert_eq!(store.find_blob(&batch.blobs[0].key).unwrap(), None);
    assert_eq!(store.windows().unwrap(), vec![]);
    assert_eq!(store.totals(), Totals::default());
    assert_eq!(store.batches_in(WindowId(1000), None, 9).unwrap(), vec![]);
    assert_eq!(store.expire(u64::MAX).unwrap(), vec![]);
}

fn one_digest_a_sequence(store: Box<dyn Store>) {
    let (first, second) = (sample(1, 1, 1, 950), sample(1, 1, 2, 950));
    store.commit(&first).unwrap();
    match store.commit(&second) {
        Err(StoreError::Conflict {
            at,
            existing,
            offered,
        }) => {
            assert_eq!(at, sequence(1, 1));
            assert_eq!((existing, offered), (first.digest, second.digest));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        store.batch(&second.digest).unwrap(),
        None,
        "nothing of the second one was written"
    );
    assert_eq!(store.find_blob(&second.blobs[0].key).unwrap(), None);
    // The numbers of another disperser, and other numbers of this one, are free.
    store.commit(&sample(2, 1, 3, 950)).unwrap();
    store.commit(&sample(1, 2, 4, 950)).unwrap();
    store.commit(&sample(1, 1 + 64, 5, 950)).unwrap();
    assert_eq!(store.totals().batches, 4);
}

fn repeats_are_idempotent(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    let first = store.commit(&batch).unwrap();
    assert_eq!(store.commit(&batch).unwrap(), first);
    assert_eq!(store.totals().batches, 1);
}

fn signature_is_kept(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    let mut record = store.commit(&batch).unwrap();
    record.signature = Some(SignatureBytes([3; 48]));
    store.record_signature(&record).unwrap();
    assert_eq!(store.signed(&sequence(1, 1)).unwrap(), Some(record.clone()));
    assert_eq!(store.commit(&batch).unwrap(), record);
}

fn signature_needs_its_record(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    let mut record = SignedRecord {
        at: sequence(1, 1),
        digest: batch.digest,
        signature: Some(SignatureBytes([3; 48])),
    };
    assert!(matches!(
        store.record_signature(&record),
        Err(StoreError::NoRecord { .. })
    ));
    store.commit(&batch).unwrap();
    record.digest = BatchDigest([0; 32]);
    assert!(matches!(
        store.record_signature(&record),
        Err(StoreError::NoRecord { .. })
    ));
    assert_eq!(
        store.signed(&sequence(1, 1)).unwrap().unwrap().signature,
        None
    );
}

fn windows_expire_whole_and_records_stay(store: Box<dyn Store>) {
    let early = [sample(1, 1, 1, 901), sample(1, 2, 2, 1000)];
    let late = sample(1, 3, 3, 1001);
    for batch in early.iter().chain([&late]) {
        store.commit(batch).unwrap();
    }
    assert_eq!(
        store.windows().unwrap(),
        vec![WindowId(1000), WindowId(1100)]
    );
    assert_eq!(store.expire(999).unwrap(), vec![]);
    assert_eq!(store.expire(1000).unwrap(), vec![WindowId(1000)]);
    assert_eq!(store.windows().unwrap(), vec![WindowId(1100)]);
    for batch in &early {
        assert_eq!(store.batch(&batch.digest).unwrap(), None);
        assert!(store.batch_slices(&batch.digest, 0).unwrap().is_none());
        assert_eq!(store.find_blob(&batch.blobs[0].key).unwrap(), None);
        assert!(
            store
                .signed(&sequence(1, batch.header.sequence.0))
                .unwrap()
                .is_some(),
            "the record outlives the data"
        );
    }
    assert!(store.batch_slices(&late.digest, 1).unwrap().is_some());
    let bytes = late.bytes();
    assert_eq!(
        store.totals(),
        Totals {
            batches: 1,
            blobs: 2,
            bytes,
            windows: 1
        }
    );
    assert!(matches!(
        store.commit(&sample(1, 1, 9, 1050)),
        Err(StoreError::Conflict { .. })
    ));
}

fn expired_data_can_be_stored_again(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    let mut record = store.commit(&batch).unwrap();
    record.signature = Some(SignatureBytes([3; 48]));
    store.record_signature(&record).unwrap();
    store.expire(1000).unwrap();
    // Not by the record alone: who says that it holds the batch must hold it.
    assert_eq!(store.commit(&batch).unwrap(), record);
    assert!(store.batch_slices(&batch.digest, 1).unwrap().is_some());
    assert_eq!(store.totals().batches, 1);
}

fn the_same_blob_in_two_batches(store: Box<dyn Store>) {
    let (first, second) = (sample(1, 1, 1, 950), sample(1, 2, 1, 1950));
    assert_eq!(first.blobs[0].key, second.blobs[0].key);
    store.commit(&second).unwrap();
    store.commit(&first).unwrap();
    assert_eq!(
        store.find_blob(&first.blobs[0].key).unwrap(),
        Some((second.digest, 0)),
        "what lives longer"
    );
    store.expire(1000).unwrap();
    assert_eq!(
        store.find_blob(&first.blobs[0].key).unwrap(),
        Some((second.digest, 0))
    );
}

fn batches_are_listed_in_pages(store: Box<dyn Store>) {
    let mut digests: Vec<BatchDigest> = (0..7)
        .map(|n| {
            let batch = sample(1, n, n, 950);
            store.commit(&batch).unwrap();
            batch.digest
        })
        .collect();
    store.commit(&sample(1, 99, 99, 2000)).unwrap();
    digests.sort();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = store.batches_in(WindowId(1000), after, 3).unwrap();
        assert!(page.len() <= 3);
        let Some((last, summary)) = page.last() else {
            break;
        };
        assert_eq!(summary.blobs, 2);
        after = Some(*last);
        seen.extend(page.into_iter().map(|(digest, _)| digest));
    }
    assert_eq!(seen, digests);
}

fn one_winner_among_many(store: Box<dyn Store>) {
    let store: Arc<dyn Store> = store.into();
    let outcomes: Vec<Result<SignedRecord, StoreError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|salt| {
                let store = Arc::clone(&store);
                scope.spawn(move || store.commit(&sample(1, 1, salt, 950)))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let winners: Vec<&SignedRecord> = outcomes.iter().flatten().collect();
    let [winner] = winners.as_slice() else {
        panic!("{outcomes:?}")
    };
    assert_eq!(
        store.signed(&sequence(1, 1)).unwrap().as_ref(),
        Some(*winner)
    );
    assert_eq!(store.totals().batches, 1);
    for error in outcomes.iter().filter_map(|o| o.as_ref().err()) {
        assert!(
            matches!(error, StoreError::Conflict { existing, .. } if *existing == winner.digest)
        );
    }
}

fn probe_works(store: Box<dyn Store>) {
    store.probe().unwrap();
    store.commit(&sample(1, 1, 1, 950)).unwrap();
    store.probe().unwrap();
    assert_eq!(store.totals().batches, 1);
}

fn a_number_belongs_to_its_domain(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    store.commit(&batch).unwrap();
    let mut elsewhere = sample(1, 1, 2, 950);
    elsewhere.header.domain = Domain([0xee; 32]);
    elsewhere.digest = elsewhere.header.digest();
    let record = store.commit(&elsewhere).unwrap();
    assert_eq!(record.at, SequenceId::of(&elsewhere.header));
    assert_ne!(record.at, sequence(1, 1));
    assert_eq!(
        store.signed(&sequence(1, 1)).unwrap().unwrap().digest,
        batch.digest
    );
    let spent = store.spent().unwrap();
    assert_eq!(spent.len(), 2, "{spent:?}");
}

fn time_is_kept(store: Box<dyn Store>) {
    assert_eq!(store.kept_time().unwrap(), None);
    for time in [5, u64::MAX, 7] {
        store.keep_time(time).unwrap();
        assert_eq!(store.kept_time().unwrap(), Some(time));
    }
}

fn an_allowance_is_kept(store: Box<dyn Store>) {
    assert_eq!(store.kept_allowance().unwrap(), None);
    for left in [5, u64::MAX, 7] {
        let allowance = Allowance {
            left,
            held: left / 3,
        };
        store.keep_allowance(allowance).unwrap();
        assert_eq!(store.kept_allowance().unwrap(), Some(allowance));
    }
}

/// Slices of 80 KiB and of 20 KiB: one a value, three a value.
fn slices_are_read_by_themselves(store: Box<dyn Store>) {
    let batch = sample_of(|salt| if salt % 2 == 0 { 40 } else { 10 }, 1, 1, 1, 950);
    store.commit(&batch).unwrap();
    // Held are 0, 1, 2, 9 and 10.
    for (blob, wanted, values) in [
        (0, vec![(1, 1)], 1),
        (0, vec![(0, 1), (2, 1), (9, 2)], 4),
        (1, vec![(1, 1)], 1),
        (1, vec![(0, 3)], 1),
        (1, vec![(2, 1), (9, 1)], 2),
        (1, vec![(2, 1), (30, 1)], 1),
    ] {
        let wanted = ChunkRanges::new(wanted).unwrap();
        let read = store.read_slices(&batch.digest, blob, Some(&wanted));
        let slices = read.unwrap().unwrap();
        assert_eq!(slices.values.len(), values, "blob {blob}: {wanted:?}");
        let record = &batch.blobs[blob as usize];
        for index in wanted.iter().filter(|index| batch.runs.contains(*index)) {
            let place = batch.runs.position(index).unwrap() * slices.slice_bytes();
            let expected = &record.data[place..place + slices.slice_bytes()];
            assert_eq!(slices.slice(index).unwrap().unwrap(), expected);
        }
    }
    let all = store.batch_slices(&batch.digest, 0).unwrap().unwrap();
    assert_eq!(all.values.len(), 5);
    all.check(512).unwrap();
    // What was not read is not there.
    let one = ChunkRanges::new(vec![(0, 1)]).unwrap();
    let one = store.read_slices(&batch.digest, 0, Some(&one)).unwrap();
    let refused = one.unwrap().slice(ChunkIndex(9));
    assert!(matches!(refused, Err(StoreError::Corrupt { .. })));
}

fn equivocation(disperser_id: u32, sequence: u64, salt: u64) -> Equivocation {
    let signed = |salt: u64| SignedHeader {
        header: sample(disperser_id, sequence, salt, 950).header,
        signature: NetworkSignature([salt as u8; 64]),
    };
    Equivocation {
        first: signed(salt),
        second: signed(salt + 1),
    }
}

fn one_pair_of_evidence_a_number(store: Box<dyn Store>) {
    assert_eq!(store.equivocations(None, 9).unwrap(), []);
    let pair = equivocation(1, 1, 1);
    assert!(store.keep_equivocation(&pair).unwrap());
    assert!(!store.keep_equivocation(&pair).unwrap());
    assert!(!store.keep_equivocation(&equivocation(1, 1, 5)).unwrap());
    let other = equivocation(2, 1, 1);
    assert!(store.keep_equivocation(&other).unwrap());
    assert_eq!(
        store.equivocations(None, 9).unwrap(),
        [pair.clone(), other.clone()]
    );
    assert_eq!(store.equivocations(Some(&pair.at()), 9).unwrap(), [other]);
    assert_eq!(store.equivocations(None, 1).unwrap(), [pair]);
}

fn evidence_is_bounded(store: Box<dyn Store>) {
    for number in 0..2 * MAX_EQUIVOCATIONS as u64 {
        let kept = store
            .keep_equivocation(&equivocation(1, number, 1))
            .unwrap();
        assert_eq!(kept, number < MAX_EQUIVOCATIONS as u64);
    }
    // Of another disperser there is room.
    assert!(store.keep_equivocation(&equivocation(2, 1, 1)).unwrap());
    assert_eq!(
        store.equivocations(None, 999).unwrap().len(),
        MAX_EQUIVOCATIONS + 1
    );
}
