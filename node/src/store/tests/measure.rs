//! What a store costs: the figures of docs/performance.md. Run by hand, on a disk that does nothing else:
//! `ASHLAR_MEASURE=/path/on/the/disk cargo test --release --workspace --lib store::tests::measure -- --ignored --nocapture --test-threads 1`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;

const MIB: u64 = 1 << 20;
const BLOBS: u64 = 8;
/// Rows of a blob; five slices of each are held.
const ROWS: u64 = 25;
/// Slice bytes of a batch.
const BATCH: u64 = BLOBS * ROWS * 5 * 2048;

fn folder() -> tempfile::TempDir {
    match std::env::var_os("ASHLAR_MEASURE") {
        Some(path) => tempfile::tempdir_in(path).unwrap(),
        None => tempfile::tempdir().unwrap(),
    }
}

/// Batches whose slices are random bytes; their hashes are fantasy.
fn batch(number: u64) -> BatchRecord {
    let mut random = ashlar_testing::random::Random::new(number);
    let mut batch = sample(1, number, number % 100, 950);
    let one = batch.blobs.swap_remove(0);
    batch.blobs = (0..BLOBS)
        .map(|n| {
            let mut blob = one.clone();
            blob.header.salt = 1000 * number + n;
            blob.header.rows = ROWS as u32;
            blob.header.payload_len = ROWS * 131_072;
            blob.key = blob.header.blob_key();
            let words = (0..BATCH / BLOBS / 8).flat_map(|_| random.below(u64::MAX).to_le_bytes());
            blob.data = words.collect::<Vec<u8>>().into();
            blob
        })
        .collect();
    batch
}

/// Bytes that this process has sent to disks.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io
        .lines()
        .find(|line| line.starts_with("write_bytes"))
        .unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn on_disk(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => on_disk(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}

fn rocks(folder: &Path, create: bool) -> RocksBackend {
    let options = RocksOptions {
        create,
        write_buffer_bytes: 64 << 20,
        ..RocksOptions::new(folder)
    };
    RocksBackend::open(options).unwrap()
}

fn five(folder: &Path, create: bool) -> Drives<RocksBackend> {
    let options = DrivesOptions {
        folders: (0..5).map(|n| folder.join(n.to_string())).collect(),
        parity: 2,
        create,
        patience: PATIENCE,
    };
    Drives::open(options, |folder, create| {
        let options = RocksOptions {
            create,
            write_buffer_bytes: 16 << 20,
            ..RocksOptions::new(folder)
        };
        RocksBackend::open(options)
    })
    .unwrap()
}

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

/// Commits batches one after another, and says what it cost.
fn commits<B: Backend>(what: &str, folder: &Path, backend: B, count: u64) -> TableStore<B> {
    let store = TableStore::create(backend, ME, ID, WINDOW).unwrap();
    let before = written();
    let mut times = Vec::new();
    for number in 0..count {
        let batch = batch(number);
        let started = Instant::now();
        store.commit(&batch).unwrap();
        times.push(started.elapsed());
    }
    let total: Duration = times.iter().sum();
    let bytes = count * BATCH;
    println!(
        "{what}: {:.0} MB/s, commit p50 {:.1?} p99 {:.1?}, sent to disk {:.2} bytes a byte of slices, on disk {:.2}",
        bytes as f64 / 1e6 / total.as_secs_f64(),
        quantile(&mut times, 50),
        quantile(&mut times, 99),
        (written() - before) as f64 / bytes as f64,
        on_disk(folder) as f64 / bytes as f64,
    );
    let mut reads: Vec<Duration> = (0..count)
        .map(|number| {
            let started = Instant::now();
            let slices = store.batch_slices(&batch_digest(number), 3).unwrap();
            assert!(slices.is_some());
            started.elapsed()
        })
        .collect();
    println!(
        "{what}: read of a blob p50 {:.1?} p99 {:.1?}",
        quantile(&mut reads, 50),
        quantile(&mut reads, 99)
    );
    store
}

fn batch_digest(number: u64) -> BatchDigest {
    sample(1, number, number % 100, 950).digest
}

#[test]
#[ignore = "a measurement"]
fn one_drive_and_five() {
    let sync = folder();
    let mut times: Vec<Duration> = (0..300)
        .map(|n| {
            let path = sync.path().join("sync");
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .unwrap();
            std::io::Write::write_all(&mut file, &[n as u8; 4096]).unwrap();
            let started = Instant::now();
            file.sync_data().unwrap();
            started.elapsed()
        })
        .collect();
    println!(
        "sync of 4 KiB: p50 {:.1?} p99 {:.1?}",
        quantile(&mut times, 50),
        quantile(&mut times, 99)
    );
    for round in 0..2 {
        println!("round {round}");
        let one = folder();
        commits("one drive", one.path(), rocks(one.path(), true), 250);
        let one = folder();
        let lane = std::sync::Arc::new(Lane::new(PATIENCE));
        let path = one.path().to_path_buf();
        let watched = Watched::open(&lane, move || Ok(rocks(&path, true))).unwrap();
        commits("one drive, as a node has it", one.path(), watched, 250);
        let one = folder();
        let log = folder();
        let plain = RocksBackend::open(RocksOptions {
            create: true,
            write_buffer_bytes: 64 << 20,
            min_blob_bytes: u64::MAX,
            ..RocksOptions::new(one.path())
        });
        commits("one drive, plain values", one.path(), plain.unwrap(), 250);
        let one = folder();
        let apart = RocksBackend::open(RocksOptions {
            create: true,
            write_buffer_bytes: 64 << 20,
            log_path: Some(log.path().to_path_buf()),
            ..RocksOptions::new(one.path())
        });
        commits("one drive, log elsewhere", one.path(), apart.unwrap(), 250);
        let all = folder();
        commits(
            "five drives, parity 2",
            all.path(),
            five(all.path(), true),
            250,
        );
    }
}

/// Two of five drives are emptied while batches are written and read.
#[test]
#[ignore = "a measurement"]
fn a_rebuild_of_two_drives() {
    let all = folder();
    let store = commits(
        "five drives, parity 2",
        all.path(),
        five(all.path(), true),
        250,
    );
    let before = all.path().to_path_buf();
    for drive in ["1", "3"] {
        let drive: PathBuf = before.join(drive);
        while std::fs::remove_dir_all(&drive).is_err() {}
        std::fs::create_dir(&drive).unwrap();
    }
    let (done, next, reads) = (
        AtomicBool::new(false),
        AtomicU64::new(250),
        AtomicU64::new(0),
    );
    let (store, done, next, reads) = (&store, &done, &next, &reads);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut times = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let batch = batch(next.load(Ordering::SeqCst));
                let started = Instant::now();
                store.commit(&batch).unwrap();
                times.push(started.elapsed());
                next.fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(50));
            }
            times
        });
        let reader = scope.spawn(move || {
            let mut times = Vec::new();
            while !done.load(Ordering::SeqCst) {
                let number = reads.fetch_add(7, Ordering::SeqCst) % 250;
                let started = Instant::now();
                assert!(
                    store
                        .batch_slices(&batch_digest(number), 3)
                        .unwrap()
                        .is_some()
                );
                times.push(started.elapsed());
                std::thread::sleep(Duration::from_millis(10));
            }
            times
        });
        let (started, sent) = (Instant::now(), written());
        let mut bytes = 0;
        while let Some(more) = store.tend_drives().unwrap() {
            bytes += more;
        }
        let took = started.elapsed();
        done.store(true, Ordering::SeqCst);
        let (mut writes, mut reads) = (writer.join().unwrap(), reader.join().unwrap());
        println!(
            "two of five drives rebuilt: {} MiB in {took:.1?} ({:.0} MB/s), {} MiB sent to disk; meanwhile {} commits p50 {:.1?} p99 {:.1?}, {} reads p50 {:.1?} p99 {:.1?}",
            bytes >> 20,
            bytes as f64 / 1e6 / took.as_secs_f64(),
            (written() - sent) >> 20,
            writes.len(),
            quantile(&mut writes, 50),
            quantile(&mut writes, 99),
            reads.len(),
            quantile(&mut reads, 50),
            quantile(&mut reads, 99),
        );
    });
    let drives = store.drives();
    assert!(
        drives.iter().all(|drive| drive.state == DriveState::InSync),
        "{drives:?}"
    );
    // Others may go now, and all is there.
    for drive in ["0", "4"] {
        while std::fs::remove_dir_all(before.join(drive)).is_err() {}
    }
    let _ = store.tend_drives();
    for number in 0..next.load(Ordering::SeqCst) {
        let batch = batch(number);
        for (index, blob) in (0..).zip(&batch.blobs) {
            let slices = store.batch_slices(&batch.digest, index).unwrap().unwrap();
            let read: Vec<u8> = slices.values.into_values().flatten().collect();
            assert_eq!(read, blob.data, "{number} {index}");
        }
    }
}

#[test]
#[ignore = "a measurement"]
fn the_code_of_the_drives() {
    let value: Vec<u8> = (0..4 * MIB).map(|n| (n * 31 % 251) as u8).collect();
    let code = reed_solomon_erasure::galois_8::ReedSolomon::new(3, 2).unwrap();
    let size = value.len().div_ceil(3);
    let mut shards: Vec<Vec<u8>> = value.chunks(size).map(<[u8]>::to_vec).collect();
    shards.resize(3, Vec::new());
    shards.iter_mut().for_each(|shard| shard.resize(size, 0));
    shards.resize(5, vec![0; size]);
    let mut times: Vec<Duration> = (0..20)
        .map(|_| {
            let started = Instant::now();
            code.encode(&mut shards).unwrap();
            started.elapsed()
        })
        .collect();
    println!(
        "parity of 4 MiB, 3 + 2: {:.0} MB/s",
        value.len() as f64 / 1e6 / quantile(&mut times, 50).as_secs_f64()
    );
}
