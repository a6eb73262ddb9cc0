//! A ledger's directory: the log, the snapshot, and what a power cut leaves of them.

use std::fs;
use std::path::Path;

use alloy_primitives::B256;
use ashlar_ledger::store::{Recovery, Store, StoreError};
use ashlar_proto::{Account, Block};
use ashlar_restaking::log::Entry;
use ashlar_restaking::{Action, Amount, Genesis, Params, State, StrategyKind, Transaction};

fn account(number: u8) -> Account {
    Account([number; 20])
}

fn genesis() -> Genesis {
    Genesis {
        network: "test".into(),
        salt: B256::repeat_byte(7),
        block: Block(1),
        head_key: account(0xa1),
        admin: account(0xa0),
        reward_updater: account(0xa2),
        params: Params::current().faster(1000),
    }
}

/// A strategy, and then deposits of many accounts, with steps to later blocks in between.
fn entries(count: u64) -> Vec<Entry> {
    let transaction =
        |block, sender, action| Entry::Transaction(block, Box::new(Transaction { sender, action }));
    let strategy = Action::AddStrategy {
        name: "asset".into(),
        kind: StrategyKind::Lst,
        asset: account(0xe1),
        oracle: account(0xa3),
    };
    let mut entries = vec![transaction(Block(1), account(0xa0), strategy)];
    for number in 1..count {
        let block = Block(1 + number / 3);
        entries.push(if number % 3 == 0 {
            Entry::Block(block)
        } else {
            let deposit = Action::Deposit {
                strategy: 1,
                amount: Amount::from(1_000_000 + number),
            };
            transaction(block, account(1 + (number % 16) as u8), deposit)
        });
    }
    entries
}

fn open(directory: &Path) -> Result<(Store, Recovery), StoreError> {
    Store::open(directory, &genesis())
}

fn write(store: &mut Store, entries: &[Entry]) {
    for result in store.apply_all(entries.to_vec()).unwrap() {
        result.unwrap();
    }
}

#[test]
fn a_store_opens_where_it_was_left() {
    let directory = tempfile::tempdir().unwrap();
    let entries = entries(120);
    let (first, second) = entries.split_at(70);
    let (mut store, recovery) = open(directory.path()).unwrap();
    assert_eq!(recovery, Recovery::default());
    write(&mut store, first);
    assert!(matches!(
        open(directory.path()),
        Err(StoreError::Locked { .. })
    ));
    store.snapshot().unwrap();
    write(&mut store, second);
    let (root, tip) = (store.root(), store.tip());
    assert_eq!(root, State::replay(&genesis(), &entries).unwrap().root());
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
        store.apply(block.saturating_sub(1), refused.clone()),
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
    let (mut store, _) = open(directory.path()).unwrap();
    write(&mut store, &entries(80));
    let tip = store.tip();
    drop(store);
    let log = directory.path().join("ledger.log");
    let whole = fs::read(&log).unwrap();
    let mut longer = tip;
    let next = longer.write(&Entry::Block(Block(1 << 30))).unwrap();
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
    let (mut store, _) = open(directory.path()).unwrap();
    write(&mut store, &entries(60));
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
