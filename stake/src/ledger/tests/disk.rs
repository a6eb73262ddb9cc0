//! The log and the store.

use std::fs;
use std::path::Path;

use super::super::log::{Entry, LogError, Read, Tip};
use super::super::store::{Store, StoreError};
use super::super::testing::*;
use super::super::*;

fn trace(seed: u64, steps: usize) -> Trace {
    let mut trace = Trace::new(seed);
    for _ in 0..steps {
        trace.step();
    }
    trace
}

fn open(directory: &Path) -> Result<(Store, store::Recovery), StoreError> {
    Store::open(directory, &genesis())
}

#[test]
fn a_record_is_bound_to_all_before_it() {
    let entries = trace(1, 60).entries;
    let mut tip = Tip::of(&genesis());
    let records: Vec<_> = entries
        .iter()
        .map(|entry| tip.write(entry).unwrap())
        .collect();
    let bytes = records.concat();
    let (mut reader, mut at, mut back) = (Tip::of(&genesis()), 0, Vec::new());
    while let Read::Record(entry, length) = reader.read(&bytes[at..]).unwrap() {
        back.push(entry);
        at += length;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(back, entries);
    assert_eq!(reader, tip);
    // Every cut within a record is seen as one.
    for cut in 1..records[0].len() {
        assert_eq!(Tip::of(&genesis()).read(&records[0][..cut]), Ok(Read::Cut));
    }
    // Every flipped byte is seen, and so is a record at another place.
    for at in 0..records[0].len() {
        let mut bad = records[0].clone();
        bad[at] ^= 1;
        assert!(Tip::of(&genesis()).read(&bad).is_err(), "byte {at}");
    }
    assert_eq!(
        Tip::of(&genesis()).read(&records[1]),
        Err(LogError::Header { record: 0 })
    );
}

#[test]
fn a_store_opens_where_it_was_left() {
    let directory = tempfile::tempdir().unwrap();
    let mut trace = trace(2, 120);
    let (first, second) = trace.entries.split_at(70);
    let (mut store, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery, store::Recovery::default());
    for result in store.apply_all(first.to_vec()).unwrap() {
        result.unwrap();
    }
    assert!(matches!(
        open(directory.path()),
        Err(StoreError::Locked { .. })
    ));
    store.snapshot().unwrap();
    for result in store.apply_all(second.to_vec()).unwrap() {
        result.unwrap();
    }
    let (root, tip) = (store.root(), store.tip());
    assert_eq!(root, trace.state.root());
    drop(store);
    let (mut store, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery.replayed as usize, second.len());
    assert_eq!((store.root(), store.tip()), (root, tip));
    // It goes on, and a refusal writes nothing.
    let refused = Transaction {
        sender: account(1),
        action: Action::Undelegate {},
    };
    let block = store.state().meta().block;
    assert!(matches!(
        store.apply(block - 1, refused.clone()),
        Err(StoreError::Refused(_))
    ));
    assert_eq!(store.tip(), tip);
    store.advance(block + 1).unwrap();
    drop(store);
    fs::remove_file(directory.path().join("snapshot.json")).unwrap();
    let (store, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery.replayed, tip.records + 1);
    assert_eq!(store.state().meta().block, block + 1);
    drop(store);
    let mut other = genesis();
    other.network = "other".into();
    assert!(matches!(
        Store::open(directory.path(), &other),
        Err(StoreError::OtherGenesis { .. })
    ));
}

#[test]
fn a_torn_end_is_cut_off_and_kept_and_damage_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let entries = trace(3, 80).entries;
    let (mut store, _) = open(directory.path()).unwrap();
    store.apply_all(entries.clone()).unwrap();
    let tip = store.tip();
    drop(store);
    let log = directory.path().join("ledger.log");
    let whole = fs::read(&log).unwrap();
    let mut longer = tip;
    let next = longer.write(&Entry::Block(1 << 30)).unwrap();
    for (cut, zeros) in [
        (1, 0),
        (20, 0),
        (next.len() - 1, 0),
        (0, 500),
        (21, 32),
        (9, 600),
        (30, 4000),
    ] {
        let mut bytes = whole.clone();
        bytes.extend_from_slice(&next[..cut]);
        bytes.extend(vec![0; zeros]);
        fs::write(&log, &bytes).unwrap();
        let (store, recovery) = open(directory.path()).unwrap();
        let torn = recovery.torn.unwrap();
        assert_eq!(torn.offset as usize, whole.len());
        assert_eq!(torn.bytes as usize, cut + zeros);
        assert_eq!(fs::read(torn.kept_in).unwrap(), bytes[whole.len()..]);
        assert_eq!(store.tip(), tip);
        drop(store);
        assert_eq!(fs::read(&log).unwrap(), whole);
    }
    // A byte in the middle: nothing is changed.
    for at in [0, 8, 30, whole.len() / 2] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x40;
        fs::write(&log, &bytes).unwrap();
        assert!(
            matches!(open(directory.path()), Err(StoreError::Damaged { .. })),
            "byte {at}"
        );
        assert_eq!(fs::read(&log).unwrap(), bytes);
    }
}

#[test]
fn a_snapshot_that_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let entries = trace(4, 60).entries;
    let (mut store, _) = open(directory.path()).unwrap();
    store.apply_all(entries).unwrap();
    store.snapshot().unwrap();
    drop(store);
    let path = directory.path().join("snapshot.json");
    let good = fs::read_to_string(&path).unwrap();
    let bad = good.replacen("\"transactions\":", "\"transactions\":1", 1);
    fs::write(&path, bad).unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(StoreError::Snapshot { .. })
    ));
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(StoreError::Malformed { .. })
    ));
    fs::write(&path, &good).unwrap();
    fs::write(directory.path().join("ledger.log"), b"").unwrap();
    assert!(matches!(
        open(directory.path()),
        Err(StoreError::Snapshot { .. })
    ));
}
