//! A 202 is a promise. The disperser is killed at random moments under load, its clock moved, its disk full, its disk failing: every
//! blob that it accepted is certified and can be read, no number was used for two batches, and all certificates of a blob are of one
//! batch.
//!
//! The seed is printed; `ASHLAR_SEED=…` repeats a run as far as processes allow. `make test-long` kills 100 times and does each of the
//! others 20 times, `make test` fewer. The disks need root and `/dev/fuse`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ashlar_node::store::{DiskStore, Store};
use ashlar_proto::{BatchDigest, Certificate, Sequence};
use ashlar_testing::power::{Failure, Mounted, unavailable};
use serde_json::Value;

use crate::clock::{Started, WallClock};
use crate::kills::open;
use crate::support::random::{Random, payload};
use crate::support::{Devnet, PATIENCE, get_json, http_get, http_request, wait_for};

/// Posts under way at a time, and what each waits before the next one.
const POSTERS: u64 = 3;
const PAUSE_MS: u64 = 150;
/// Accepted blobs whose certificate nobody has seen, at most: more would only be encoded anew after each start.
const MAX_OPEN: usize = 48;
/// Longest time between two harms: batches are to be met at every stage, certified ones too.
const BETWEEN_MS: u64 = 4000;
/// A disperser whose disk works again is given so long by somebody in a hurry.
const IMPATIENCE: Duration = Duration::from_secs(3);
/// Accepted blobs that are read from operators, too, at the end.
const FROM_OPERATORS: usize = 20;
/// How far off the clock is put: not believed, behind all that was, further than nodes take, and hardly.
const OFF_BY: [&str; 4] = ["+20d", "-1h", "+35", "+20"];

/// A blob that was accepted.
struct Promise {
    id: String,
    seed: u64,
    len: usize,
    /// A certificate of it that was served before the end.
    seen: Option<BatchDigest>,
}

/// Posts, and what was answered.
struct Load {
    url: String,
    ended: AtomicBool,
    promises: Mutex<Vec<Promise>>,
    /// Answers that promised nothing, or none at all.
    refused: AtomicU64,
}

impl Load {
    fn new(devnet: &Devnet) -> Self {
        Self {
            url: format!("{}/v1/blobs", devnet.file.disperser_url),
            ended: AtomicBool::new(false),
            promises: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    fn run(&self, mut random: Random) {
        while !self.ended.load(Ordering::SeqCst) {
            let (seed, len) = (random.next(), 1 + random.below(150_000) as usize);
            if self.look_at_one(&mut random) < MAX_OPEN {
                self.post(seed, len);
            }
            std::thread::sleep(Duration::from_millis(random.below(2 * PAUSE_MS)));
        }
    }

    fn post(&self, seed: u64, len: usize) {
        let url = format!("{}?salt={seed}", self.url);
        let kind = [("content-type", "application/octet-stream")];
        let mut promised = false;
        // An answer that was cut off behind its first line is a promise, and the same post finds the same blob.
        wait_for("a promise to be repeated", || {
            let (status, _, body) =
                http_request("POST", &url, &kind, &payload(seed, len)).unwrap_or_default();
            promised |= matches!(status, 200 | 202);
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            match answer["id"].as_str() {
                Some(id) if matches!(status, 200 | 202) => {
                    self.promises.lock().unwrap().push(Promise {
                        id: id.to_owned(),
                        seed,
                        len,
                        seen: None,
                    });
                    true
                }
                _ if promised => false,
                _ => {
                    self.refused.fetch_add(1, Ordering::SeqCst);
                    true
                }
            }
        });
    }

    fn digest(&self, id: &str, issued: &str) -> Option<BatchDigest> {
        let url = format!("{}/{id}/certificate?issued={issued}", self.url);
        let (status, _, bytes) = http_request("GET", &url, &[], b"")?;
        // What was cut off by a kill is no certificate.
        let certificate = Certificate::from_bytes(&bytes).ok()?;
        (status == 200).then(|| certificate.batch_header.digest())
    }

    /// Remembers the certificate of a blob that has none here yet. Says how many had none.
    fn look_at_one(&self, random: &mut Random) -> usize {
        let (open, chosen) = {
            let promises = self.promises.lock().unwrap();
            let open: Vec<usize> = (0..promises.len())
                .filter(|at| promises[*at].seen.is_none())
                .collect();
            let chosen = open.get(random.below(open.len() as u64) as usize);
            let chosen = chosen.map(|at| (*at, promises[*at].id.clone()));
            (open.len(), chosen)
        };
        if let Some((at, id)) = chosen
            && let Some(digest) = self.digest(&id, "first")
        {
            self.promises.lock().unwrap()[at].seen = Some(digest);
        }
        open
    }

    /// Posts no more, and waits until all that was accepted is certified.
    fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        let promises = self.promises.lock().unwrap();
        for promise in promises.iter() {
            wait_for("what was accepted to be certified", || {
                let status = get_json(&format!("{}/{}/status", self.url, promise.id));
                let state = status["state"].as_str().unwrap_or_default();
                assert_ne!(state, "failed", "{status}");
                state == "certified"
            });
        }
    }

    /// Everything is there, and is what was posted. Says in words what there is.
    fn check(&self, devnet: &Devnet) -> String {
        let promises = self.promises.lock().unwrap();
        let (mut batches, mut compared) = (BTreeSet::new(), 0);
        for (at, promise) in promises.iter().enumerate() {
            let id = &promise.id;
            let first = self.digest(id, "first").expect("a certificate");
            let best = self.digest(id, "best").expect("a certificate");
            let seen = promise.seen.unwrap_or(first);
            assert!(
                first == best && seen == first,
                "{id}: {seen}, {first}, {best}"
            );
            compared += usize::from(promise.seen.is_some());
            batches.insert(first.0);
            let bytes = payload(promise.seed, promise.len);
            let (status, _, relayed) =
                http_request("GET", &format!("{}/{id}", self.url), &[], b"").unwrap();
            assert_eq!(status, 200, "the relay has {id}");
            assert!(relayed == bytes, "the relay has other bytes of {id}");
            if at % promises.len().div_ceil(FROM_OPERATORS).max(1) == 0 {
                devnet.get_from_operators(id, &bytes);
            }
        }
        format!(
            "{} blobs accepted and certified in {} batches, 0 lost; 0 contradictory certificates, {compared} compared with one from before the end; {} posts not accepted",
            promises.len(),
            batches.len(),
            self.refused.load(Ordering::SeqCst)
        )
    }
}

/// All batches that operators, which are stopped, have signed: no number has two. Gives how many there are.
fn sequences(devnet: &Devnet) -> usize {
    let mut numbers: BTreeMap<(u32, Sequence), BatchDigest> = BTreeMap::new();
    for index in 0..devnet.file.nodes.len() {
        let store: DiskStore = open(devnet, index);
        assert!(store.equivocations(None, 1).unwrap().is_empty());
        for window in store.windows().unwrap() {
            for (digest, _) in store.batches_in(window, None, usize::MAX).unwrap() {
                let header = store.batch(&digest).unwrap().unwrap().header;
                let number = (header.disperser_id, header.sequence);
                let first = *numbers.entry(number).or_insert(digest);
                assert_eq!(first, digest, "two batches under {number:?}");
            }
        }
    }
    numbers.len()
}

/// Does something to the disperser again and again under load, and looks what became of its promises.
fn keeps_its_promises(
    test: &str,
    times: u64,
    mut harm: impl FnMut(&mut Devnet, &mut Random),
    devnet: Devnet,
) {
    let started = Instant::now();
    let mut devnet = devnet;
    let mut random = Random::from_env(test);
    let load = Load::new(&devnet);
    std::thread::scope(|scope| {
        for _ in 0..POSTERS {
            let random = Random::new(random.next());
            scope.spawn(|| load.run(random));
        }
        // A poster that never ends would hide why.
        let ended = OnDrop(|| load.ended.store(true, Ordering::SeqCst));
        for _ in 0..times {
            std::thread::sleep(Duration::from_millis(random.below(BETWEEN_MS)));
            harm(&mut devnet, &mut random);
        }
        drop(ended);
    });
    load.end();
    let found = load.check(&devnet);
    (0..devnet.file.nodes.len()).for_each(|index| devnet.kill_node(index));
    let numbers = sequences(&devnet);
    println!(
        "{test}: {times} times, {found}; {numbers} sequence numbers, 0 used twice; {:.0?}",
        started.elapsed()
    );
    let accepted = load.promises.lock().unwrap().len() as u64;
    assert!(accepted >= times, "hardly anything was accepted");
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn devnet() -> Devnet {
    Devnet::start_with(&["--operators", "4", "--no-ledger"])
}

fn kills(test: &str, times: u64) {
    let kill = |devnet: &mut Devnet, _: &mut Random| {
        devnet.kill_disperser();
        devnet.restart_disperser();
    };
    keeps_its_promises(test, times, kill, devnet());
}

fn clocks(test: &str, times: u64) {
    let mut devnet = devnet();
    devnet.kill_disperser();
    let health = format!("{}/v1/health", devnet.file.disperser_url);
    let config = devnet.file.disperser.dir.join("disperser.toml");
    let clock = WallClock::new(&devnet, "+0");
    let start = |devnet: &Devnet| clock.start(devnet, ["disperser", "run"], &config);
    let answers = || http_get(&health).is_some();
    let well = || http_get(&health).is_some_and(|(status, _)| status == 200);
    let mut disperser: Option<Started> = Some(start(&devnet));
    wait_for("the disperser to be ready", well);
    let move_it = |devnet: &mut Devnet, random: &mut Random| {
        clock.set(OFF_BY[random.below(OFF_BY.len() as u64) as usize]);
        std::thread::sleep(Duration::from_millis(random.below(3000)));
        // Half of the time it also starts with the wrong clock.
        if random.coin() {
            drop(disperser.take());
            disperser = Some(start(devnet));
            wait_for("the disperser to answer", answers);
            std::thread::sleep(Duration::from_millis(random.below(1500)));
        }
        clock.set("+0");
        wait_for("the clock to be right", well);
    };
    keeps_its_promises(test, times, move_it, devnet);
}

fn disks(test: &str, times: u64, failure: Failure) {
    if unavailable(test).is_some() {
        return;
    }
    let mut devnet = devnet();
    devnet.kill_disperser();
    let disk = Mounted::over(&devnet.file.disperser.dir).unwrap();
    devnet.restart_disperser();
    let mut done = 0;
    let fail = |devnet: &mut Devnet, random: &mut Random| {
        disk.fail(Some(failure));
        std::thread::sleep(Duration::from_millis(random.below(1500)));
        // Sometimes it dies of something else just then.
        if random.below(4) == 0 {
            devnet.kill_disperser();
        }
        disk.fail(None);
        // It gets well, or ends by itself when it cannot, after a minute; for most of the times that would be a long wait.
        done += 1;
        let patience = if done % 5 == 1 { PATIENCE } else { IMPATIENCE };
        devnet.revive_disperser(patience);
    };
    keeps_its_promises(test, times, fail, devnet);
}

#[test]
fn a_disperser_that_is_killed_four_times() {
    kills("four_kills", 4);
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn a_disperser_that_is_killed_a_hundred_times() {
    kills("hundred_kills", 100);
}

#[test]
fn a_dispersers_clock_is_moved_twice() {
    clocks("clock_twice", 2);
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn a_dispersers_clock_is_moved_twenty_times() {
    clocks("clock_twenty", 20);
}

#[test]
fn a_dispersers_disk_is_full_twice() {
    disks("full_twice", 2, Failure::Full);
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn a_dispersers_disk_is_full_twenty_times() {
    disks("full_twenty", 20, Failure::Full);
}

#[test]
fn a_dispersers_disk_fails_once() {
    disks("fails_once", 1, Failure::Broken);
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn a_dispersers_disk_fails_twenty_times() {
    disks("fails_twenty", 20, Failure::Broken);
}
