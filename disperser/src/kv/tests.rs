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
            "expiry",
            "accounts"
        ],
        "these names are on people's disks"
    );
}

#[test]
fn rocks_keeps_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let payload = vec![7; 3 << 20]; // goes to the value log
    let middle = vec![8; 10 << 10]; // stays in the database
    {
        let kv = RocksKv::open(folder.path(), RocksOptions::default()).unwrap();
        kv.write(
            vec![
                Op::Put(Table::Meta, b"a".to_vec(), b"1".to_vec()),
                Op::PutUntil(Table::Payloads, b"p".to_vec(), payload.clone().into(), 1000),
                Op::PutUntil(Table::Payloads, b"q".to_vec(), middle.clone().into(), 1000),
                Op::Put(Table::Meta, b"b".to_vec(), b"2".to_vec()),
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
    assert_eq!(kv.get(Table::Payloads, b"q").unwrap().unwrap(), middle);
    let all = kv.scan(Table::Payloads, &[], 9).unwrap();
    assert_eq!(
        all,
        [(b"p".to_vec(), payload.clone()), (b"q".to_vec(), middle)]
    );
}

/// Room comes back when all payloads that end within the same five minutes are over, and not before.
#[test]
fn large_payloads_go_when_their_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let kv = RocksKv::open(folder.path(), RocksOptions::default()).unwrap();
    let put = |key: &[u8], until_ms| {
        let value = vec![key[0]; 1 << 20];
        let op = Op::PutUntil(Table::Payloads, key.to_vec(), value.into(), until_ms);
        kv.write(vec![op], true).unwrap();
    };
    put(b"a", 300_000);
    put(b"b", 300_001);
    put(b"c", 900_000);
    let files = || {
        let files = std::fs::read_dir(folder.path().join("values")).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum::<u64>()
            >> 20
    };
    assert_eq!(files(), 3);
    kv.forget(300_000).unwrap();
    assert_eq!(files(), 3);
    kv.forget(300_001).unwrap();
    assert_eq!(files(), 2);
    assert_eq!(
        kv.get(Table::Payloads, b"a").unwrap_err().code(),
        "store.read"
    );
    kv.forget(900_000).unwrap();
    assert_eq!(files(), 1);
    assert_eq!(kv.get(Table::Payloads, b"c").unwrap().unwrap()[0], b'c');
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
        kv.write(vec![Op::Put(Table::Meta, key.to_vec(), vec![])], sync)
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
        kv.write(vec![Op::Put(Table::Meta, b"d".to_vec(), vec![])], true)
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
                    Some(value) => Op::Put(Table::ALL[table], key, value),
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

/// The figures of docs/performance.md. Run by hand, on a disk that does nothing else:
/// `ASHLAR_MEASURE=/path/on/the/disk cargo test --release --workspace --lib kv::tests::what_a_payload_costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn what_a_payload_costs() {
    let written = || ashlar_testing::process::Used::here().written;
    for len in [120_000usize, 300_000, 1 << 20, 16 << 20] {
        let above = match std::env::var_os("ASHLAR_MEASURE") {
            Some(path) => tempfile::tempdir_in(path).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        let payload: Vec<u8> = (0..len as u64)
            .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        let count = (256 << 20) / len;
        for (round, way) in ["plain", "as a payload"].repeat(2).into_iter().enumerate() {
            let folder = above.path().join(round.to_string());
            let kv = RocksKv::open(&folder, RocksOptions::default()).unwrap();
            let (before, mut times) = (written(), Vec::new());
            for n in 0..count as u64 {
                let (key, value) = (n.to_be_bytes().to_vec(), payload.clone());
                let op = match way {
                    "plain" => Op::Put(Table::Payloads, key, value),
                    _ => Op::PutUntil(Table::Payloads, key, value.into(), 1000),
                };
                let started = std::time::Instant::now();
                kv.write(vec![op], true).unwrap();
                times.push(started.elapsed());
            }
            drop(kv);
            let bytes = written() - before;
            times.sort_unstable();
            println!(
                "{len} bytes, {way}: p50 {:.1?} p99 {:.1?}, all {:.1?}, sent to disk {:.2} bytes a byte",
                times[times.len() / 2],
                times[times.len() * 99 / 100],
                times.iter().sum::<std::time::Duration>(),
                bytes as f64 / (count * len) as f64
            );
        }
    }
}
