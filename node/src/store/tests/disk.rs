//! What only a disk can do: come back, be taken, break.

use ashlar_crypto::bls::SignatureBytes;
use ashlar_testing::files::copy_folder;

use super::*;

pub(super) type RocksStore = TableStore<RocksBackend>;

pub(super) fn open(folder: &std::path::Path) -> Result<RocksStore, StoreError> {
    let options = RocksOptions {
        create: true,
        ..RocksOptions::new(folder)
    };
    let backend = RocksBackend::open(options).map_err(|source| StoreError::Backend {
        doing: "open",
        source,
    })?;
    TableStore::create(backend, ME, ID, WINDOW)
}

#[test]
fn everything_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let batches = [sample(1, 1, 1, 950), sample(1, 2, 2, 1950)];
    let store = open(folder.path()).unwrap();
    for batch in &batches {
        let mut record = store.commit(batch).unwrap();
        record.signature = Some(SignatureBytes([9; 48]));
        store.record_signature(&record).unwrap();
    }
    let before = store.totals();
    // No flush, no close: what counts is in the write-ahead log.
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!(store.totals(), before);
    assert_eq!(
        store.windows().unwrap(),
        vec![WindowId(1000), WindowId(2000)]
    );
    for batch in &batches {
        assert_eq!(
            store.batch(&batch.digest).unwrap().unwrap().header,
            batch.header
        );
        store
            .batch_slices(&batch.digest, 1)
            .unwrap()
            .unwrap()
            .check(512)
            .unwrap();
        let record = store
            .signed(&sequence(1, batch.header.sequence.0))
            .unwrap()
            .unwrap();
        assert_eq!(record.signature, Some(SignatureBytes([9; 48])));
    }
    assert!(matches!(
        store.commit(&sample(1, 1, 3, 950)),
        Err(StoreError::Conflict { .. })
    ));
}

#[test]
fn dropped_windows_stay_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let batch = sample(1, 1, 1, 950);
    let store = open(folder.path()).unwrap();
    store.commit(&batch).unwrap();
    store.expire(1000).unwrap();
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!(store.windows().unwrap(), vec![]);
    assert_eq!(store.totals(), Totals::default());
    assert!(store.signed(&sequence(1, 1)).unwrap().is_some());
}

#[test]
fn other_window_lengths_live_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let batch = sample(1, 1, 1, 950);
    open(folder.path()).unwrap().commit(&batch).unwrap();
    let backend = RocksBackend::open(RocksOptions::new(folder.path())).unwrap();
    let store = TableStore::open(backend, ME, 7).unwrap();
    store.commit(&sample(1, 2, 2, 950)).unwrap();
    assert_eq!(
        store.windows().unwrap(),
        vec![WindowId(952), WindowId(1000)]
    );
    assert!(store.batch(&batch.digest).unwrap().is_some());
}

#[test]
fn a_database_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let backend = RocksBackend::open(RocksOptions::new(folder.path())).unwrap();
    let other = OperatorId([8; 32]);
    match TableStore::open(backend, other, WINDOW) {
        Err(error @ StoreError::WrongOperator { found, expected }) => {
            assert_eq!((found, expected), (ME, other));
            assert_eq!(error.code(), "store.wrong_operator");
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn a_database_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let _held = open(folder.path()).unwrap();
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "store.locked", "{error}");
}

/// A folder that lost its database, an empty volume in its place: recovering makes no new one.
#[test]
fn nothing_is_made_where_a_database_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let missing = RocksBackend::open(RocksOptions::new(&data)).map(|_| ());
    assert_eq!(missing.unwrap_err().code(), "store.io");
    assert!(!data.join("CURRENT").exists());

    let store = open(&data).unwrap();
    store.commit(&sample(1, 1, 1, 950)).unwrap();
    std::fs::rename(&data, folder.path().join("away")).unwrap();
    std::fs::create_dir(&data).unwrap();
    // RocksDB itself leaves files there when it closes; what is no longer the node's database is not used.
    let error = store.backend().recover(&mark()).unwrap_err();
    assert_eq!(error.code(), "store.replaced", "{error}");
    let error = store.commit(&sample(1, 2, 2, 950)).unwrap_err();
    assert_eq!(error.code(), "store.closed", "{error}");
    drop(store);
    let backend = RocksBackend::open(RocksOptions::new(&data)).unwrap();
    let error = TableStore::open(backend, ME, WINDOW).map(|_| ());
    assert_eq!(error.unwrap_err().code(), "store.empty");
}

/// What says that a database is still the same one.
fn mark() -> Put {
    let key = super::super::codec::META_DATABASE;
    Put {
        space: Space::Meta,
        key: key.to_vec(),
        value: Some(super::super::codec::seal(key, &ID.0).into()),
    }
}

/// A backend without the marks of a node is nobody's.
#[test]
fn an_empty_database_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let options = RocksOptions {
        create: true,
        ..RocksOptions::new(folder.path())
    };
    let backend = RocksBackend::open(options).unwrap();
    let error = TableStore::open(backend, ME, WINDOW).map(|_| ());
    assert_eq!(error.unwrap_err().code(), "store.empty");
}

#[test]
fn recovery_reopens_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let batch = sample(1, 1, 1, 950);
    store.commit(&batch).unwrap();
    store.backend().recover(&mark()).unwrap();
    store
        .batch_slices(&batch.digest, 0)
        .unwrap()
        .unwrap()
        .check(512)
        .unwrap();
    store.commit(&sample(1, 2, 2, 950)).unwrap();
    assert!(matches!(
        store.commit(&sample(1, 1, 3, 950)),
        Err(StoreError::Conflict { .. })
    ));
}

/// A database whose log was cut in the middle of a record opens with what was before it; one whose log is broken in the
/// middle does not open: what was signed behind that place would be forgotten.
#[test]
fn torn_log_is_cut_and_broken_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    for n in 1..=3 {
        store.commit(&sample(1, n, n, 950)).unwrap();
    }
    drop(store);
    let log = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let bytes = std::fs::read(&log).unwrap();

    let torn = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), torn.path()).unwrap();
    std::fs::write(
        torn.path().join(log.file_name().unwrap()),
        &bytes[..bytes.len() - 100],
    )
    .unwrap();
    let store = open(torn.path()).unwrap();
    assert!(store.signed(&sequence(1, 2)).unwrap().is_some());
    assert_eq!(
        store.signed(&sequence(1, 3)).unwrap(),
        None,
        "its write was not complete, so it was not acknowledged"
    );
    drop(store);

    let broken = tempfile::tempdir().unwrap();
    copy_folder(folder.path(), broken.path()).unwrap();
    let mut bad = bytes;
    let middle = bad.len() / 2;
    bad[middle] ^= 0xff;
    std::fs::write(broken.path().join(log.file_name().unwrap()), &bad).unwrap();
    let error = open(broken.path()).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "store.database_corrupt", "{error}");
}

/// On a real small file system (any folder on one of 64 to 512 MiB): full means no signature, reading goes on, and with
/// room again writing works without a restart.
#[test]
#[ignore = "needs a small file system in ASHLAR_TEST_SMALL_DISK, such as a tmpfs of 128 MiB"]
fn a_real_disk_fills_up() {
    let root = std::env::var_os("ASHLAR_TEST_SMALL_DISK").expect("ASHLAR_TEST_SMALL_DISK");
    let folder = tempfile::tempdir_in(root).unwrap();
    let store = open(&folder.path().join("db")).unwrap();
    let ballast = folder.path().join("ballast");
    std::fs::write(&ballast, vec![0; 40 << 20]).unwrap();
    let mut stored = Vec::new();
    let error = loop {
        let number = stored.len() as u64;
        assert!(number < 2000, "the file system is too large for this test");
        let mut batch = sample(1, number, number, 950);
        // Larger, so that it ends soon; the hashes do not fit any more, which only a check would see.
        for blob in &mut batch.blobs {
            let rows = blob.header.rows as usize;
            blob.header.rows = 64 * rows as u32;
            blob.header.payload_len *= 64;
            blob.data = vec![number as u8; 64 * blob.data.len()].into();
        }
        match store.commit(&batch) {
            Ok(_) => stored.push(batch),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "store.no_space", "{error}");
    for batch in &stored {
        let slices = store.batch_slices(&batch.digest, 1).unwrap().unwrap();
        assert_eq!(slices.runs(), &batch.runs);
        assert!(
            store
                .signed(&sequence(1, batch.header.sequence.0))
                .unwrap()
                .is_some()
        );
    }
    // The last pages too. Recovery gives up the torn end of the log, so that a probe may find room once or twice.
    let rest = folder.path().join("rest");
    let fill = || {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&rest)?;
        loop {
            std::io::Write::write_all(&mut file, &[0; 4096])?;
        }
    };
    let full = (0..50).find_map(|_| {
        let _: std::io::Result<()> = fill();
        store.probe().err()
    });
    let error = full.unwrap();
    assert_eq!(error.code(), "store.no_space", "{error}");
    assert!(
        store.batch(&stored[0].digest).unwrap().is_some(),
        "a failed probe does not end reading"
    );

    std::fs::remove_file(&ballast).unwrap();
    std::fs::remove_file(&rest).unwrap();
    store.probe().unwrap();
    let next = sample(1, 10_000, 10_000, 950);
    store.commit(&next).unwrap();
    store
        .batch_slices(&next.digest, 0)
        .unwrap()
        .unwrap()
        .check(512)
        .unwrap();
    for batch in &stored {
        assert!(store.batch_slices(&batch.digest, 0).unwrap().is_some());
    }
}

/// Files of the log of values.
fn value_files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder.join("values")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    files
}

/// Slices of a large write lie in a file of their window, and go with it; those of a small one do not.
#[test]
fn large_writes_lie_in_the_log_of_values() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let small = sample(1, 1, 1, 950);
    store.commit(&small).unwrap();
    assert_eq!(value_files(folder.path()), [] as [std::path::PathBuf; 0]);
    let large: Vec<BatchRecord> = (2..6)
        .map(|n| {
            let mut batch = wide(4, 2, n);
            batch.expires_at = 950 + 100 * (n % 2);
            batch
        })
        .collect();
    for batch in &large {
        store.commit(batch).unwrap();
    }
    assert_eq!(value_files(folder.path()).len(), 2, "one for each window");
    let bytes: u64 = large.iter().map(BatchRecord::bytes).sum();
    let files = value_files(folder.path());
    let on_disk: u64 = files
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert_eq!(on_disk, bytes, "every byte once, and nothing else");
    let check = |store: &RocksStore, batch: &BatchRecord| {
        for index in 0..batch.blobs.len() as u32 {
            let slices = store.batch_slices(&batch.digest, index).unwrap().unwrap();
            slices.check(512).unwrap();
        }
    };
    drop(store);
    let store = open(folder.path()).unwrap();
    large.iter().chain([&small]).for_each(|b| check(&store, b));

    // A slice that is damaged is not served; the others are.
    let mut bytes = std::fs::read(&files[0]).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&files[0], &bytes).unwrap();
    let damaged: Vec<&BatchRecord> = large
        .iter()
        .filter(|batch| store.batch_slices(&batch.digest, 0).is_err())
        .collect();
    assert_eq!(damaged.len(), 1);
    let error = store.batch_slices(&damaged[0].digest, 0).unwrap_err();
    assert_eq!(error.code(), "store.database_corrupt", "{error}");
    check(&store, &small);

    assert_eq!(store.expire(1000).unwrap(), vec![WindowId(1000)]);
    assert_eq!(value_files(folder.path()), files[1..]);
    // What a crash between the two left is removed at the next start.
    std::fs::write(&files[0], "left over").unwrap();
    drop(store);
    let store = open(folder.path()).unwrap();
    assert_eq!(value_files(folder.path()), files[1..]);
    let kept = large.iter().filter(|batch| batch.expires_at > 1000);
    kept.for_each(|batch| check(&store, batch));
}

/// A batch of so many blobs with so many rows each, of which this operator holds 64 chunks.
fn wide(blobs: u64, rows: u32, number: u64) -> BatchRecord {
    let runs = ChunkRanges::new(vec![(0, 64)]).unwrap();
    let (records, commitments): (Vec<BlobRecord>, Vec<Vec<CommitmentBytes>>) =
        (0..blobs).map(|salt| blob(salt, rows, &runs)).unzip();
    let mut batch = sample(1, number, 1, 950);
    batch.header.blobs = blobs as u32;
    batch.digest = batch.header.digest();
    batch.runs = runs;
    batch.blobs = records;
    batch.commitments = commitments.concat();
    batch
}

/// Prints what it costs to write a batch, and to read one slice of it.
#[test]
#[ignore = "minutes; run by `make test-long`"]
fn what_values_cost() {
    for (blobs, rows) in [(512, 1), (16, 32), (4, 128)] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let mut batch = wide(blobs, rows, 1);
        let mut commits = Vec::new();
        for number in 1..=7 {
            batch.header.sequence = Sequence(number);
            batch.digest = batch.header.digest();
            let started = std::time::Instant::now();
            store.commit(&batch).unwrap();
            commits.push(started.elapsed());
        }
        let mut reads = Vec::new();
        for n in 0..1000u64 {
            let one = ChunkRanges::new(vec![((n % 64) as u32, 1)]).unwrap();
            let started = std::time::Instant::now();
            let index = (n * 7 % blobs) as u32;
            let read = store.read_slices(&batch.digest, index, Some(&one));
            let slices = read.unwrap().unwrap();
            slices.slice(ChunkIndex((n % 64) as u32)).unwrap().unwrap();
            reads.push(started.elapsed());
        }
        commits.sort_unstable();
        reads.sort_unstable();
        println!(
            "{blobs} blobs of {rows} rows, {} MiB: commit {:.1?}, one slice {:.1?}, p99 {:.1?}",
            batch.bytes() >> 20,
            commits[3],
            reads[500],
            reads[990]
        );
    }
}
