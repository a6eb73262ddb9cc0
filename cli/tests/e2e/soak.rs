//! A devnet under load for long: data expires while it comes in, every blob is read back once, and no process grows.
//!
//! The seed is printed; `ASHLAR_SEED=…` repeats a run. `ASHLAR_SOAK_SECS` and `ASHLAR_SOAK_RATE` (blobs a second) change how long and
//! how fast.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ashlar_proto::wire::PutBlob;

use crate::support::random::Random;
use crate::support::{Devnet, http_get, http_request, load, wait_for};

/// Bytes of a payload: one row less than a little.
const PAYLOAD: usize = 120_000;
/// Different payloads; blobs with the same one differ in their salt. Their commitments are made before the clock starts.
const PAYLOADS: u64 = 64;
/// Posts and reads under way at most.
const CALLERS: usize = 256;
/// One blob in so many is rebuilt from operators, the others are read from the disperser.
const FROM_OPERATORS: u64 = 50;
/// Time between two looks at memory and disk.
const LOOK: Duration = Duration::from_secs(5);
/// Growth of the resident memory of a process that is allowed, bytes a minute.
const MOST_GROWTH: f64 = 1e6;

struct Soak {
    length: Duration,
    /// Blobs a second.
    rate: f64,
    /// Until then memory may grow: caches fill, and the first data has not expired.
    warm_up: Duration,
    retention_secs: Option<u64>,
    /// Bytes that the folder may take.
    disk: u64,
}

/// What was measured at one time.
struct Look {
    at: Duration,
    /// Resident memory of each process, bytes.
    resident: Vec<f64>,
    disk: u64,
}

#[derive(Default)]
struct Counts {
    certified: AtomicU64,
    from_disperser: AtomicU64,
    from_operators: AtomicU64,
    slowest_ms: AtomicU64,
}

/// The first failure ends the test.
struct LastIfPanicking<'a>(&'a AtomicU64, u64);

impl Drop for LastIfPanicking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(self.1, Ordering::Relaxed);
        }
    }
}

impl Soak {
    fn run(mut self, test: &str) {
        let of_env = |name: &str| {
            std::env::var(name)
                .ok()
                .map(|text| text.parse::<f64>().unwrap())
        };
        if let Some(secs) = of_env("ASHLAR_SOAK_SECS") {
            self.length = Duration::from_secs_f64(secs);
        }
        self.rate = of_env("ASHLAR_SOAK_RATE").unwrap_or(self.rate);
        let mut random = Random::from_env(test);
        let seed = random.next();
        let mut options = Vec::new();
        if let Some(secs) = self.retention_secs {
            options.extend(["--retention-secs".to_owned(), secs.to_string()]);
        }
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let devnet = Devnet::start_with(&options);
        let bodies: Vec<PutBlob> = (0..PAYLOADS)
            .map(|at| load::blob(seed ^ at, PAYLOAD))
            .collect();
        let (counts, looks) = (Counts::default(), Mutex::new(Vec::new()));
        let first_key = Mutex::new(None);
        let (start, next) = (Instant::now(), AtomicU64::new(0));
        let count = (self.length.as_secs_f64() * self.rate) as u64;
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    let _last = LastIfPanicking(&next, count);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            break;
                        }
                        // Each comes at its time, whatever the answers to the others do.
                        let due = Duration::from_secs_f64(number as f64 / self.rate);
                        std::thread::sleep(due.saturating_sub(start.elapsed()));
                        let key = put_and_get(&devnet, &bodies, number, &counts);
                        first_key.lock().unwrap().get_or_insert(key);
                        let late = start.elapsed().saturating_sub(due).as_millis() as u64;
                        counts.slowest_ms.fetch_max(late, Ordering::Relaxed);
                    }
                });
            }
            scope.spawn(|| {
                while next.load(Ordering::Relaxed) < count {
                    let look = look(&devnet, start.elapsed());
                    assert!(look.disk <= self.disk, "{} bytes on disk", look.disk);
                    looks.lock().unwrap().push(look);
                    std::thread::sleep(LOOK);
                }
            });
        });
        let took = start.elapsed();
        let looks = looks.into_inner().unwrap();
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        assert_eq!(read(&counts.certified), count);
        println!(
            "{test}: {count} blobs of {PAYLOAD} bytes in {:.0} s ({:.2} MB/s), {} read from the disperser, {} rebuilt from operators, the slowest after {} ms; at most {:.2} GB on disk",
            took.as_secs_f64(),
            count as f64 * PAYLOAD as f64 / took.as_secs_f64() / 1e6,
            read(&counts.from_disperser),
            read(&counts.from_operators),
            read(&counts.slowest_ms),
            looks.iter().map(|look| look.disk).max().unwrap() as f64 / 1e9,
        );
        self.check_expiry(&devnet, &first_key.into_inner().unwrap().unwrap(), took);
        self.check_growth(&devnet, &looks);
    }

    /// What came first is forgotten by now, everywhere.
    fn check_expiry(&self, devnet: &Devnet, first_key: &str, took: Duration) {
        let Some(retention) = self.retention_secs.map(Duration::from_secs) else {
            return;
        };
        if took < retention * 2 {
            println!("too short to look at what expires");
            return;
        }
        let url = format!("{}/v1/blobs/{first_key}/status", devnet.file.disperser_url);
        wait_for("the first blob to be forgotten", || {
            http_get(&url).is_some_and(|(status, _)| status == 404)
        });
        for node in &devnet.file.nodes {
            let (_, metrics) = http_get(&format!("{}/metrics", node.http)).unwrap();
            let dropped = metrics
                .lines()
                .filter(|line| line.contains("window") && line.contains("dropped"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum::<f64>();
            assert!(dropped > 0.0, "operator {} dropped no window", node.index);
        }
    }

    fn check_growth(&self, devnet: &Devnet, looks: &[Look]) {
        let warm: Vec<&Look> = looks
            .iter()
            .filter(|look| look.at >= self.warm_up)
            .collect();
        assert!(warm.len() >= 10, "too short: {} looks", warm.len());
        let mut grown = Vec::new();
        let names = names(devnet);
        for (process, name) in names.iter().enumerate() {
            let points = warm
                .iter()
                .map(|look| (look.at.as_secs_f64() / 60.0, look.resident[process]));
            let slope = slope(&points.collect::<Vec<_>>());
            let (first, last) = (
                warm[0].resident[process],
                warm[warm.len() - 1].resident[process],
            );
            println!(
                "{name}: {:.0} MB after the warm-up, {:.0} MB at the end, {:+.2} MB a minute",
                first / 1e6,
                last / 1e6,
                slope / 1e6
            );
            if slope > MOST_GROWTH {
                grown.push(name);
            }
        }
        assert!(grown.is_empty(), "these grow: {grown:?}");
    }
}

/// In the order of [`Devnet::pids`].
fn names(devnet: &Devnet) -> Vec<String> {
    let mut names: Vec<String> = (0..devnet.file.nodes.len())
        .map(|index| format!("operator {index}"))
        .collect();
    names.push("disperser".to_owned());
    names.extend(devnet.file.ledger.as_ref().map(|_| "ledger".to_owned()));
    names
}

/// Posts a blob, waits for its certificate, and reads it back; its key.
fn put_and_get(devnet: &Devnet, bodies: &[PutBlob], number: u64, counts: &Counts) -> String {
    let blob = PutBlob {
        salt: number,
        ..bodies[(number % bodies.len() as u64) as usize].clone()
    };
    let status = load::put(devnet, &blob);
    let key = status.key.unwrap().to_string();
    if number.is_multiple_of(FROM_OPERATORS) {
        devnet.get_from_operators(&key, &blob.payload);
        counts.from_operators.fetch_add(1, Ordering::Relaxed);
    } else {
        let url = format!("{}/v1/blobs/{key}", devnet.file.disperser_url);
        let (code, _, read) = http_request("GET", &url, &[], b"").unwrap();
        assert_eq!(code, 200, "{}", String::from_utf8_lossy(&read));
        assert!(
            read == blob.payload,
            "blob {number} came back as other bytes"
        );
        counts.from_disperser.fetch_add(1, Ordering::Relaxed);
    }
    counts.certified.fetch_add(1, Ordering::Relaxed);
    key
}

fn look(devnet: &Devnet, at: Duration) -> Look {
    Look {
        at,
        resident: devnet
            .pids()
            .into_iter()
            .map(|pid| load::memory(pid, "VmRSS") as f64)
            .collect(),
        disk: size(devnet.folder()),
    }
}

/// Bytes of all files under a folder; those that go away meanwhile do not count.
fn size(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(of) if of.is_dir() => size(&entry.path()),
        Ok(of) => of.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Of the straight line that fits best (least squares).
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let rise: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    let run: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    rise / run
}

#[test]
#[ignore = "an hour; run by `make test-long`"]
fn an_hour_under_load_while_data_expires() {
    let soak = Soak {
        length: Duration::from_secs(3600),
        rate: 12.0,
        warm_up: Duration::from_secs(1200),
        retention_secs: Some(600),
        disk: 40_000_000_000,
    };
    soak.run("an_hour_under_load");
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn five_minutes_under_heavy_load() {
    let soak = Soak {
        length: Duration::from_secs(300),
        rate: 60.0,
        warm_up: Duration::from_secs(150),
        retention_secs: None,
        disk: 45_000_000_000,
    };
    soak.run("five_minutes_under_heavy_load");
}
