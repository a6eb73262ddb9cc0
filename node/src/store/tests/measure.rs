//! What a store costs: the figures of docs/performance.md. Run by hand, on a disk that does nothing else:
//! `ASHLAR_MEASURE=/path/on/the/disk cargo test --release --workspace --lib store::tests::measure -- --ignored --nocapture --test-threads 1`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ashlar_testing::process::Used;

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

/// A batch whose slices are random bytes, so many a blob; their hashes are fantasy.
fn batch_of(number: u64, blob_bytes: u64) -> BatchRecord {
    static BYTES: OnceLock<bytes::Bytes> = OnceLock::new();
    let bytes = BYTES.get_or_init(|| {
        let mut random = ashlar_testing::random::Random::new(1);
        let words = (0..2 * MIB / 8).flat_map(|_| random.next().to_le_bytes());
        words.collect::<Vec<u8>>().into()
    });
    let mut batch = sample(1, number, number % 100, 950);
    let one = batch.blobs.swap_remove(0);
    batch.blobs = (0..BLOBS)
        .map(|n| {
            let mut blob = one.clone();
            blob.header.salt = 1000 * number + n;
            blob.header.rows = (blob_bytes / 10_240) as u32;
            blob.header.payload_len = u64::from(blob.header.rows) * 131_072;
            blob.key = blob.header.blob_key();
            let from = (1000 * number + n) * 64 % MIB;
            blob.data = bytes.slice(from as usize..(from + blob_bytes) as usize);
            blob
        })
        .collect();
    batch
}

fn batch(number: u64) -> BatchRecord {
    batch_of(number, BATCH / BLOBS)
}

/// Seconds of CPU that this process has used, with all its threads.
fn cpu() -> f64 {
    Used::here().processor
}

/// Bytes that this process has sent to disks.
fn written() -> u64 {
    Used::here().written
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

/// `large`: from how many bytes on a write goes to the log of values.
fn rocks(folder: &Path, large: usize) -> RocksBackend {
    let options = RocksOptions {
        create: true,
        write_buffer_bytes: 64 << 20,
        large_write_bytes: large,
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
    let (before, used) = (written(), cpu());
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
        "{what}: {:.0} MB/s, {:.2} s of CPU a GB, commit p50 {:.1?} p99 {:.1?}, sent to disk {:.2} bytes a byte of slices, on disk {:.2}",
        bytes as f64 / 1e6 / total.as_secs_f64(),
        (cpu() - used) * 1e9 / bytes as f64,
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
        commits("one drive", one.path(), rocks(one.path(), 0), 250);
        let one = folder();
        let lane = std::sync::Arc::new(Lane::new(PATIENCE));
        let path = one.path().to_path_buf();
        let watched = Watched::open(&lane, move || Ok(rocks(&path, 0))).unwrap();
        commits("one drive, as a node has it", one.path(), watched, 250);
        let one = folder();
        let never = rocks(one.path(), usize::MAX);
        commits("one drive, no log of values", one.path(), never, 250);
        let all = folder();
        commits(
            "five drives, parity 2",
            all.path(),
            five(all.path(), true),
            250,
        );
    }
}

/// From which size of a write on two syncs take no longer than one of all the bytes.
#[test]
#[ignore = "a measurement"]
fn small_and_large_writes() {
    for blob_bytes in [10_240, 20_480, 40_960, 61_440, 122_880, 256_000] {
        let folders = [folder(), folder()];
        let stores = [0, usize::MAX].map(|large| {
            let folder = folders[usize::from(large == 0)].path();
            TableStore::create(rocks(folder, large), ME, ID, WINDOW).unwrap()
        });
        let (mut times, mut used) = ([Vec::new(), Vec::new()], [0.0, 0.0]);
        for round in 0..20 {
            for ((store, times), used) in stores.iter().zip(&mut times).zip(&mut used) {
                let before = cpu();
                for number in 30 * round..30 * (round + 1) {
                    let batch = batch_of(number, blob_bytes);
                    let started = Instant::now();
                    store.commit(&batch).unwrap();
                    times.push(started.elapsed());
                }
                *used += cpu() - before;
            }
        }
        let [with, without] = &mut times;
        println!(
            "{} KiB of slices: with the log of values p50 {:.2?} p99 {:.2?} ({:.2} s of CPU), without p50 {:.2?} p99 {:.2?} ({:.2} s of CPU)",
            (BLOBS * blob_bytes) >> 10,
            quantile(with, 50),
            quantile(with, 99),
            used[0],
            quantile(without, 50),
            quantile(without, 99),
            used[1],
        );
    }
}

/// What RocksDB itself offers for values that are written once: a file of its own for each batch, taken in as it is; or no log,
/// and a flush for each batch. Both make a file a batch.
#[test]
#[ignore = "a measurement"]
fn other_ways_to_write_once() {
    use rocksdb::{DB, FlushOptions, IngestExternalFileOptions, Options, SstFileWriter};
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4 / 1024
    };
    for (way, count, bytes) in [
        ("ingest", 250, BATCH),
        ("flush", 250, BATCH),
        ("ingest", 4_000, 16_384),
    ] {
        let folder = folder();
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_max_open_files(512);
        options.set_compression_type(rocksdb::DBCompressionType::None);
        options.set_disable_auto_compactions(true);
        options.set_level_zero_slowdown_writes_trigger(1 << 30);
        options.set_level_zero_stop_writes_trigger(1 << 30);
        options.set_enable_blob_files(way == "flush");
        options.set_min_blob_size(4096);
        let db = DB::open(&options, folder.path().join("db")).unwrap();
        let (before, used, memory) = (written(), cpu(), resident());
        let mut times = Vec::new();
        for number in 0..count {
            let batch = batch_of(number, bytes / BLOBS);
            let mut values: Vec<(Vec<u8>, &[u8])> = batch
                .blobs
                .iter()
                .flat_map(|blob| blob.data.chunks(64 << 10))
                .zip(0u32..)
                .map(|(value, n)| ([&batch.digest.0[..], &n.to_be_bytes()].concat(), value))
                .collect();
            values.sort_unstable();
            let started = Instant::now();
            let mut synced = rocksdb::WriteOptions::default();
            if way == "ingest" {
                let path = folder.path().join(format!("{number}.sst"));
                let mut file = SstFileWriter::create(&options);
                file.open(&path).unwrap();
                for (key, value) in &values {
                    file.put(key, value).unwrap();
                }
                file.finish().unwrap();
                let mut ingest = IngestExternalFileOptions::default();
                ingest.set_move_files(true);
                db.ingest_external_file_opts(&ingest, vec![path]).unwrap();
                synced.set_sync(true);
                db.put_opt(b"record", [0; 200], &synced).unwrap();
            } else {
                synced.disable_wal(true);
                for (key, value) in &values {
                    db.put_opt(key, value, &synced).unwrap();
                }
                db.flush_opt(&FlushOptions::default()).unwrap();
            }
            times.push(started.elapsed());
        }
        let tenth = times.len() / 10;
        let last = quantile(&mut times[9 * tenth..].to_vec(), 50);
        let first = quantile(&mut times[..tenth].to_vec(), 50);
        println!(
            "{way}, {count} batches of {} KiB: {:.2} s of CPU a GB, p50 {:.1?} (first tenth {first:.1?}, last {last:.1?}) p99 {:.1?}, sent to disk {:.2} bytes a byte, {} MiB of memory more",
            bytes >> 10,
            (cpu() - used) * 1e9 / (bytes * count) as f64,
            quantile(&mut times, 50),
            quantile(&mut times, 99),
            (written() - before) as f64 / (bytes * count) as f64,
            resident() - memory,
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
