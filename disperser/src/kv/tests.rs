#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

#[test]
fn column_family_names_are_pinned() {
    let names: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
    assert_eq!(
        names,
        [
            "meta",
            "blobs",
            "payloads",
            "commitments",
            "keys",
            "open",
            "batches",
            "open_batches",
            "certificates",
            "better_certificates",
            "expiry"
        ],
        "these names are on people's disks"
    );
}

#[test]
fn rocks_keeps_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let payload = vec![7; 3 << 20]; // goes to a blob file
    {
        let kv = RocksKv::open(folder.path(), RocksOptions::default()).unwrap();
        kv.write(
            vec![
                Op::put(Table::Meta, b"a".to_vec(), b"1".to_vec()),
                Op::put(Table::Payloads, b"p".to_vec(), payload.clone()),
                Op::put(Table::Meta, b"b".to_vec(), b"2".to_vec()),
                Op::Delete(Table::Meta, b"b".to_vec()),
            ],
            true,
        )
        .unwrap();
    }
    let kv = RocksKv::open(folder.path(), RocksOptions::default()).unwrap();
    assert_eq!(kv.get(Table::Meta, b"a").unwrap().unwrap(), b"1");
    assert_eq!(kv.get(Table::Meta, b"b").unwrap(), None);
    assert_eq!(kv.get(Table::Payloads, b"p").unwrap().unwrap(), payload);
}

#[test]
fn two_processes_cannot_share_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let _kv = RocksKv::open(folder.path(), RocksOptions::default()).unwrap();
    let Err(error) = RocksKv::open(folder.path(), RocksOptions::default()) else {
        panic!("opened twice")
    };
    assert_eq!(error.code(), "store.open");
}

#[test]
fn a_power_cut_takes_what_was_not_synced() {
    let kv = MemoryKv::new();
    let put = |key: &[u8], sync| {
        kv.write(vec![Op::put(Table::Meta, key.to_vec(), vec![])], sync)
            .unwrap()
    };
    put(b"a", false);
    put(b"b", true); // takes everything before it along, as a log does
    put(b"c", false);
    kv.cut_power();
    let left: Vec<Vec<u8>> = kv
        .scan(Table::Meta, &[], 10)
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(left, [b"a".to_vec(), b"b".to_vec()]);
    kv.fail_writes(1);
    assert_eq!(
        kv.write(vec![Op::put(Table::Meta, b"d".to_vec(), vec![])], true)
            .unwrap_err()
            .code(),
        "store.write"
    );
    assert_eq!(kv.get(Table::Meta, b"d").unwrap(), None);
}

fn op() -> impl Strategy<Value = (usize, Vec<u8>, Option<Vec<u8>>)> {
    (
        0usize..3,
        proptest::collection::vec(0u8..4, 0..3),
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..5)),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// The twin does what RocksDB does.
    #[test]
    fn twins(writes in proptest::collection::vec(proptest::collection::vec(op(), 0..6), 0..12), from in proptest::collection::vec(0u8..4, 0..3), limit in 0usize..6) {
        let folder = tempfile::tempdir().unwrap();
        let rocks = RocksKv::open(folder.path(), RocksOptions::default()).unwrap();
        let memory = MemoryKv::new();
        for write in writes {
            let ops: Vec<Op> = write
                .into_iter()
                .map(|(table, key, value)| match value {
                    Some(value) => Op::put(Table::ALL[table], key, value),
                    None => Op::Delete(Table::ALL[table], key),
                })
                .collect();
            rocks.write(ops.clone(), false).unwrap();
            memory.write(ops, false).unwrap();
        }
        for table in Table::ALL {
            prop_assert_eq!(rocks.scan(table, &from, limit).unwrap(), memory.scan(table, &from, limit).unwrap());
            prop_assert_eq!(rocks.scan(table, &[], 100).unwrap(), memory.scan(table, &[], 100).unwrap());
            prop_assert_eq!(rocks.get(table, &from).unwrap(), memory.get(table, &from).unwrap());
        }
    }
}
