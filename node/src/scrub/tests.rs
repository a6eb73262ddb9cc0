#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::store::tests::{ME, sample};
use crate::store::{
    Backend, BatchRecord, DatabaseId, Durability, MemoryBackend, MemoryStore, Put, Space,
};

const SECOND: u64 = 1000;

/// Two batches in the window that ends at 1000, one in that of 1100.
fn store() -> (MemoryStore, Vec<BatchRecord>) {
    let store = MemoryStore::create(MemoryBackend::new(), ME, DatabaseId([1; 16]), 100).unwrap();
    let batches = vec![
        sample(1, 1, 1, 950),
        sample(1, 2, 2, 950),
        sample(2, 1, 3, 1050),
    ];
    for batch in &batches {
        store.commit(batch).unwrap();
    }
    (store, batches)
}

fn scrub(store: &dyn Store) -> ScrubReport {
    let mut report = verify(store, |_| {});
    report.seconds = 0;
    report
}

fn flip_last_byte(store: &MemoryStore, space: Space, prefix: &[u8]) {
    let listed = store.backend().scan(space, prefix, None, 1).unwrap();
    let (key, value) = listed[0].clone();
    let mut value = value.to_vec();
    *value.last_mut().unwrap() ^= 1;
    let put = Put {
        space,
        key,
        value: Some(value.into()),
    };
    let mut puts = std::iter::once(put);
    let backend = store.backend();
    backend.write(&mut puts, 0, Durability::Synced).unwrap();
}

#[test]
fn all_that_was_promised_is_looked_for() {
    let (store, batches) = store();
    let clean = scrub(&store);
    let bytes = batches.iter().map(BatchRecord::bytes).sum();
    let expected = ScrubReport {
        promises: 3,
        batches: 3,
        blobs: 6,
        bytes,
        ..ScrubReport::default()
    };
    assert_eq!(clean, expected);

    // Lost before its time: no entry is left that could tell.
    store.backend().drop_window(WindowId(1000)).unwrap();
    let report = scrub(&store);
    assert_eq!((report.promises, report.batches, report.corrupt), (3, 1, 2));
    assert!(report.examples[0].contains("missing"), "{report:?}");

    // In its time, it is not owed any more.
    store.keep_time(999 * SECOND).unwrap();
    assert_eq!(scrub(&store).corrupt, 2);
    store.keep_time(1000 * SECOND).unwrap();
    assert_eq!(scrub(&store).corrupt, 0);
    store.keep_time(5000 * SECOND).unwrap();
    assert_eq!(scrub(&store).batches, 1, "what is there is read");
}

#[test]
fn every_kind_of_damage_has_its_name() {
    let (store, batches) = store();
    let promise = |at: usize| {
        store
            .signed(&SequenceId::of(&batches[at].header))
            .unwrap()
            .unwrap()
    };
    let window = Space::Window(WindowId(1100));
    flip_last_byte(&store, window, b"s");
    let checked = check_promise(&store, &promise(2));
    assert_eq!(checked.damage.len(), 1);
    assert_eq!(checked.damage[0].part, Part::Blob(promise(2).at, 0));
    flip_last_byte(&store, window, b"b");
    let checked = check_promise(&store, &promise(2));
    assert_eq!(checked.damage[0].part, Part::Batch(promise(2).at));
    assert_eq!(check_promise(&store, &promise(0)).damage, []);
}

#[test]
fn a_record_that_is_lost_is_told_by_its_batch() {
    let (store, batches) = store();
    let at = SequenceId::of(&batches[0].header);
    let known = store.signed(&at).unwrap().unwrap();
    flip_last_byte(&store, Space::Signed, &[]);
    assert!(store.signed(&at).is_err());
    let report = scrub(&store);
    assert_eq!(report.corrupt, 1);
    assert!(
        report.examples[0].contains("can be written anew"),
        "{report:?}"
    );

    let mut pass = Pass::new(None);
    while pass.step(&store, true).is_some() {}
    assert_eq!((pass.report.corrupt, pass.report.restored), (0, 1));
    // It is owed as long as the version says at least: nobody knows any more whether it was less.
    let restored = store.signed(&at).unwrap().unwrap();
    assert!(restored.owed_until >= known.owed_until);
    let owed_until = known.owed_until;
    assert_eq!(
        SignedRecord {
            owed_until,
            ..restored
        },
        known
    );

    // Without the batch there is nothing to tell it.
    flip_last_byte(&store, Space::Signed, &[]);
    store.backend().drop_window(WindowId(1000)).unwrap();
    let report = scrub(&store);
    assert!(
        report
            .examples
            .iter()
            .any(|why| why.contains("no batch tells it")),
        "{report:?}"
    );
}

#[test]
fn a_pass_that_was_interrupted_goes_on() {
    let (store, batches) = store();
    let mut pass = Pass::new(Some(SequenceId::of(&batches[0].header)));
    while pass.step(&store, true).is_some() {}
    assert_eq!((pass.report.promises, pass.report.blobs), (2, 4));
    assert_eq!(store.scrub_position().unwrap(), None);
}
