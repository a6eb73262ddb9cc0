//! Load on a disperser: blobs that are all different, with commitments that were made before the clock starts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ashlar_cli::bench::load::Percentiles;
use ashlar_crypto::{Encoding, Rows, Setup, commit_rows};
use ashlar_proto::Account;
use ashlar_proto::api::{BlobState, BlobStatus, PUT_BLOB_TYPE};
use ashlar_proto::wire::PutBlob;

pub use ashlar_testing::process::Used;

use super::random::payload;
use super::{Devnet, get_json, http_request, wait_for};

/// The blob that this seed gives.
pub fn blob(seed: u64, len: usize) -> PutBlob {
    let payload = payload(seed, len);
    let rows = Rows::from_payload(&payload, Encoding::Packed31).unwrap();
    let commitments = commit_rows(Setup::ethereum(), &rows);
    PutBlob {
        version: ashlar_proto::DEFAULT_VERSION,
        encoding: Encoding::Packed31,
        quorums: vec![0],
        account: Account::default(),
        salt: 0,
        commitments: commitments.iter().map(|each| each.to_bytes()).collect(),
        payload: payload.into(),
    }
}

/// Posts a blob until it is taken, and waits for its certificate.
pub fn put(devnet: &Devnet, blob: &PutBlob) -> BlobStatus {
    put_bytes(devnet, &blob.encode())
}

fn put_bytes(devnet: &Devnet, body: &[u8]) -> BlobStatus {
    let base = &devnet.file.disperser_url;
    let mut status = None;
    wait_for("a blob to be accepted", || {
        let url = format!("{base}/v1/blobs?wait=certified");
        let answer = http_request("POST", &url, &[("content-type", PUT_BLOB_TYPE)], body);
        let (code, _, body) = answer.expect("the disperser answers");
        let taken = code == 200 || code == 202;
        let told_to_wait = code == 429 || code == 503;
        assert!(
            taken || told_to_wait,
            "{code}: {}",
            String::from_utf8_lossy(&body)
        );
        status = taken.then(|| serde_json::from_slice::<BlobStatus>(&body).unwrap());
        taken
    });
    let mut status = status.unwrap();
    wait_for("a blob to be certified", || {
        if status.state != BlobState::Certified {
            let now = get_json(&format!("{base}/v1/blobs/{}/status", status.id));
            status = serde_json::from_value(now).unwrap();
        }
        assert_ne!(status.state, BlobState::Failed, "{:?}", status.error);
        status.state == BlobState::Certified
    });
    status
}

/// When blobs are posted.
#[derive(Clone, Copy)]
pub enum Arrivals {
    /// So many a second, whatever the answers to the others do.
    Rate(f64),
    /// So many are under way at any time.
    UnderWay(usize),
}

/// Posts and callers under way at most.
const CALLERS: usize = 512;

/// What came of a load.
pub struct Pace {
    blobs: usize,
    /// From the post to the certificate.
    pub milliseconds: Percentiles,
    /// From the first post to the last certificate.
    pub took: Duration,
    /// Bytes of all payloads.
    pub bytes: u64,
}

impl Pace {
    /// Payload bytes a second, in units of 10^6.
    pub fn megabytes(&self) -> f64 {
        self.bytes as f64 / self.took.as_secs_f64() / 1e6
    }
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Percentiles { p50, p90, p99, max } = self.milliseconds;
        write!(
            f,
            "{} blobs, {:.1} MB/s; p50 {p50:.0} ms, p90 {p90:.0} ms, p99 {p99:.0} ms, most {max:.0} ms",
            self.blobs,
            self.megabytes(),
        )
    }
}

/// Blobs of this length from this seed on, ready to be posted.
pub fn bodies(seed: u64, count: usize, len: usize) -> Vec<Vec<u8>> {
    let body = |at| blob(seed.wrapping_add(at), len).encode();
    (0..count as u64).map(body).collect()
}

/// Posts them all and waits for their certificates.
pub fn run(devnet: &Devnet, bodies: &[Vec<u8>], payload_len: usize, arrivals: Arrivals) -> Pace {
    let (next, times) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let start = Instant::now();
    let callers = match arrivals {
        Arrivals::Rate(_) => CALLERS,
        Arrivals::UnderWay(callers) => callers,
    };
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(body) = bodies.get(at) else { break };
                    let posted = match arrivals {
                        Arrivals::Rate(rate) => {
                            let due = Duration::from_secs_f64(at as f64 / rate);
                            std::thread::sleep(due.saturating_sub(start.elapsed()));
                            due
                        }
                        Arrivals::UnderWay(_) => start.elapsed(),
                    };
                    put_bytes(devnet, body);
                    let took = start.elapsed() - posted;
                    times.lock().unwrap().push(took.as_secs_f64() * 1e3);
                }
            });
        }
    });
    Pace {
        took: start.elapsed(),
        bytes: (bodies.len() * payload_len) as u64,
        blobs: bodies.len(),
        milliseconds: Percentiles::of(times.into_inner().unwrap()).expect("something is posted"),
    }
}

/// Memory of a process in bytes, by the name that the kernel has for it: `VmRSS` now, `VmHWM` at most.
pub fn memory(pid: u32, which: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kib = line.and_then(|line| line.strip_prefix(':')?.trim().strip_suffix(" kB"));
    kib.unwrap().parse::<u64>().unwrap() << 10
}
