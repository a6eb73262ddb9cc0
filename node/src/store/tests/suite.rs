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

fn with_drives(test: fn(Box<dyn Store>)) {
    let folder = tempfile::tempdir().unwrap();
    let options = DrivesOptions {
        folders: (0..5).map(|n| folder.path().join(n.to_string())).collect(),
        parity: 2,
        create: true,
        patience: PATIENCE,
    };
    let backend = Drives::open(options, |folder, create| {
        RocksBackend::open(RocksOptions {
            create,
            ..RocksOptions::new(folder)
        })
    });
    test(Box::new(
        TableStore::create(backend.unwrap(), ME, ID, WINDOW).unwrap(),
    ));
}

macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        mod memory { $(#[test] fn $name() { super::with_memory(super::$name); })* }
        mod rocks { $(#[test] fn $name() { super::with_rocks(super::$name); })* }
        mod drives { $(#[test] fn $name() { super::with_drives(super::$name); })* }
    };
}

suite![
    what_goes_in_comes_out,
    parts_of_slices_verify,
    nothing_is_there_at_first,
    one_digest_a_sequence,
    repeats_are_idempotent,
    signature_is_kept,
    certificates_make_an_index,
    a_promise_is_noted_once,
    the_progress_of_the_index_is_kept,
    signature_needs_its_record,
    windows_expire_whole_and_records_stay,
    expired_data_can_be_stored_again,
    the_same_blob_in_two_batches,
    batches_are_listed_in_pages,
    one_winner_among_many,
    probe_works,
    a_number_belongs_to_its_domain,
    time_is_kept,
    records_that_are_over_give_way_to_a_floor,
    an_allowance_is_kept,
    slices_are_read_by_themselves,
    one_pair_of_evidence_a_number,
    evidence_is_bounded,
    what_was_lost_of_a_promise_is_restored,
    the_place_of_the_scrub_is_kept,
];

fn what_goes_in_comes_out(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    let record = store.commit(&batch).unwrap();
    assert_eq!(record, promise(&batch));
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
        signature: Some(SignatureBytes([3; 48])),
        ..promise(&batch)
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

fn records_that_are_over_give_way_to_a_floor(store: Box<dyn Store>) {
    let commit = |number: u64, expires_at: u64, owed_until: u64| {
        let batch = BatchRecord {
            owed_until,
            ..sample(1, number, number, expires_at)
        };
        store.commit(&batch).unwrap();
        batch
    };
    let numbers = |disperser: u64| -> Vec<u64> {
        let signed = |n: &u64| {
            store
                .signed(&sequence(disperser as u32, *n))
                .unwrap()
                .is_some()
        };
        (1..=9).filter(signed).collect()
    };
    let spent = || -> Vec<(u32, u64)> {
        let floors = store.spent().unwrap();
        floors
            .iter()
            .map(|f| (f.disperser_id, f.sequence.0))
            .collect()
    };
    commit(1, 950, 950);
    let second = commit(3, 950, 950);
    commit(5, 950, 5000);
    commit(7, 2000, 2000);
    store.commit(&sample(2, 4, 44, 950)).unwrap();
    store.commit(&sample(3, 9, 99, 3000)).unwrap();
    let before = spent();

    assert_eq!(store.prune(u64::MAX).unwrap(), 0, "its data is there");
    store.expire(1000).unwrap();
    assert_eq!(store.prune(949).unwrap(), 0, "its time is not over");
    assert_eq!(store.prune(1000).unwrap(), 3);
    assert_eq!(store.prune(1000).unwrap(), 0);
    assert_eq!(
        (numbers(1), numbers(2), numbers(3)),
        (vec![5, 7], vec![], vec![9])
    );
    assert_eq!(spent(), before);
    // All numbers up to the floor are spent, also those that were never promised.
    for number in 1..=3 {
        let refused = store.commit(&sample(1, number, 70 + number, 2000));
        assert!(matches!(
            refused,
            Err(StoreError::BelowFloor {
                floor: Sequence(3),
                ..
            })
        ));
        assert!(store.may_promise(&sequence(1, number)).is_err());
    }
    assert!(matches!(
        store.commit(&second),
        Err(StoreError::BelowFloor { .. })
    ));
    store.commit(&sample(1, 4, 74, 2000)).unwrap();
    assert!(matches!(
        store.commit(&sample(1, 7, 77, 2000)),
        Err(StoreError::Conflict { .. })
    ));
    // One whose time is not over yet keeps those behind it.
    store.expire(2000).unwrap();
    assert_eq!(store.prune(2000).unwrap(), 1);
    assert_eq!(numbers(1), [5, 7]);
    assert_eq!(store.prune(5000).unwrap(), 2);
    assert_eq!(spent(), before);
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
            used: (0..(left % 4) as u32).map(|id| (id, left)).collect(),
        };
        store.keep_allowance(&allowance).unwrap();
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

fn what_was_lost_of_a_promise_is_restored(store: Box<dyn Store>) {
    let [first, second] = [sample(1, 1, 1, 950), sample(2, 7, 2, 1050)];
    let mut promises = Vec::new();
    for batch in [&first, &second] {
        let record = store.commit(batch).unwrap();
        promises.push((record.at, record));
    }
    let listed = |after: Option<&SequenceId>, limit| -> Vec<(SequenceId, SignedRecord)> {
        let page = store.promises(after, limit).unwrap().into_iter();
        page.map(|(at, record)| (at, record.unwrap())).collect()
    };
    assert_eq!(listed(None, 9), promises);
    assert_eq!(listed(None, 1), promises[..1]);
    assert_eq!(listed(Some(&promises[0].0), 9), promises[1..]);

    // As if the window had been lost before its time.
    let record = &promises[0].1;
    assert_eq!(store.expire(1000).unwrap(), [record.window]);
    store
        .restore_batch(record, &StoredBatch::from(&first))
        .unwrap();
    for (blob, place) in first.blobs.iter().zip(0..) {
        store
            .restore_slices(record, &first.runs, place, blob)
            .unwrap();
        assert_eq!(
            store.find_blob(&blob.key).unwrap(),
            Some((first.digest, place))
        );
        let slices = store.batch_slices(&first.digest, place).unwrap().unwrap();
        slices.check(512).unwrap();
    }
    assert_eq!(
        store.batch(&first.digest).unwrap(),
        Some(StoredBatch::from(&first))
    );
    let totals = store.totals();
    assert_eq!((totals.batches, totals.blobs, totals.windows), (2, 4, 2));
    assert_eq!(totals.bytes, first.bytes() + second.bytes());
    assert_eq!(store.batches_in(record.window, None, 9).unwrap().len(), 1);
    // Twice counts once.
    store
        .restore_batch(record, &StoredBatch::from(&first))
        .unwrap();
    assert_eq!(store.totals(), totals);
    assert_eq!(store.expire(1000).unwrap(), [record.window]);

    // Nothing is restored that was not promised, and no promise is changed.
    let other = promise(&sample(1, 1, 9, 950));
    let refused = store.restore_batch(&other, &StoredBatch::from(&first));
    assert!(matches!(refused, Err(StoreError::NoRecord { .. })));
    let refused = store.restore_slices(&other, &first.runs, 0, &first.blobs[0]);
    assert!(matches!(refused, Err(StoreError::NoRecord { .. })));
    store.restore_record(&other).unwrap();
    assert_eq!(store.signed(&other.at).unwrap().as_ref(), Some(record));
    let fresh = promise(&sample(1, 2, 9, 950));
    store.restore_record(&fresh).unwrap();
    assert_eq!(store.signed(&fresh.at).unwrap(), Some(fresh));
}

fn the_place_of_the_scrub_is_kept(store: Box<dyn Store>) {
    assert_eq!(store.scrub_position().unwrap(), None);
    store.keep_scrub_position(Some(&sequence(3, 4))).unwrap();
    assert_eq!(store.scrub_position().unwrap(), Some(sequence(3, 4)));
    store.keep_scrub_position(None).unwrap();
    assert_eq!(store.scrub_position().unwrap(), None);
}

fn certificates_make_an_index(store: Box<dyn Store>) {
    let batches = [
        sample(1, 1, 1, 950),
        sample(1, 2, 2, 960),
        sample(1, 3, 3, 1050),
    ];
    for batch in &batches {
        let record = promise(batch);
        let certificate = certificate(batch);
        // Only of what was promised.
        let refused = store.keep_certificate(&record, &certificate);
        assert!(matches!(refused, Err(StoreError::NoRecord { .. })));
        assert_eq!(store.certificate(&batch.digest).unwrap(), None);
        store.commit(batch).unwrap();
        store.keep_certificate(&record, &certificate).unwrap();
        let kept = store.certificate(&batch.digest).unwrap().unwrap();
        assert_eq!(kept.certificate, certificate);
        assert_eq!(kept.disperser_signature, batch.disperser_signature);
    }
    let digests = |window, after, limit| {
        let page = store.certified_in(WindowId(window), after, limit).unwrap();
        assert!(page.iter().all(|(_, certified)| certified.is_some()));
        page.into_iter()
            .map(|(digest, _)| digest)
            .collect::<Vec<_>>()
    };
    let mut first = [batches[0].digest, batches[1].digest];
    first.sort_by_key(|digest| digest.0);
    assert_eq!(digests(1000, None, 9), first);
    assert_eq!(digests(1000, None, 1), first[..1]);
    assert_eq!(digests(1000, Some(first[0]), 9), first[1..]);
    assert_eq!(digests(1100, None, 9), [batches[2].digest]);
    store.expire(1000).unwrap();
    assert_eq!(store.certificate(&batches[0].digest).unwrap(), None);
    assert!(store.certificate(&batches[2].digest).unwrap().is_some());
}

fn a_promise_is_noted_once(store: Box<dyn Store>) {
    let batch = sample(1, 1, 1, 950);
    let record = promise(&batch);
    // Below a floor, too: it was promised before.
    let floor = Floor {
        domain: DOMAIN,
        disperser_id: 1,
        sequence: Sequence(5),
    };
    store.raise_floors(&[floor]).unwrap();
    assert!(store.note_promise(&record, &certificate(&batch)).unwrap());
    assert!(!store.note_promise(&record, &certificate(&batch)).unwrap());
    assert_eq!(store.signed(&record.at).unwrap(), Some(record));
    assert!(store.certificate(&batch.digest).unwrap().is_some());
    let rival = sample(1, 1, 2, 950);
    let refused = store.note_promise(&promise(&rival), &certificate(&rival));
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
    let refused = store.commit(&rival);
    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
}

fn the_progress_of_the_index_is_kept(store: Box<dyn Store>) {
    assert_eq!(store.index_progress().unwrap(), None);
    let mut progress = IndexProgress::default();
    store.keep_index_progress(&progress).unwrap();
    assert_eq!(store.index_progress().unwrap(), Some(progress.clone()));
    progress.may_sign = true;
    for (n, after) in [
        (1, None),
        (
            2,
            Some(ashlar_proto::wire::BatchPlace {
                window: 7,
                digest: BatchDigest([9; 32]),
            }),
        ),
    ] {
        let done = n == 1;
        let peer = ListedPeer { after, done };
        progress.peers.insert(OperatorId([n; 32]), peer);
    }
    (progress.done, progress.held) = (true, true);
    store.keep_index_progress(&progress).unwrap();
    assert_eq!(store.index_progress().unwrap(), Some(progress));
}
