//! Clocks that are wrong, on the real binary: Debian's `faketime` library stands between it and the machine's wall clock.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::support::random::payload;
use crate::support::{Devnet, http_get, wait_for};

const TWENTY_DAYS: &str = "+20d";
const RIGHT: &str = "+0";
const BEHIND: &str = "-1h";

/// The wall clock of one process: what it is off by stands in a file, which the library reads each time.
pub struct WallClock(PathBuf);

impl WallClock {
    pub fn new(devnet: &Devnet, off_by: &str) -> Self {
        let clock = Self(devnet.folder().join("clock"));
        clock.set(off_by);
        clock
    }

    /// Whole at once: the library may read at any time.
    pub fn set(&self, off_by: &str) {
        let part = self.0.with_extension("part");
        std::fs::write(&part, format!("{off_by}\n")).unwrap();
        std::fs::rename(&part, &self.0).unwrap();
    }

    /// Starts a process that lives by this clock. Its monotonic clock is the machine's.
    pub fn start(&self, devnet: &Devnet, command: [&str; 2], config: &Path) -> Started {
        let log = std::fs::File::create(config.with_extension("log")).unwrap();
        let child = devnet
            .command([command[0], command[1], "--config", config.to_str().unwrap()])
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.0)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Started(child)
    }
}

pub struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// `make test` installs it.
fn library() -> PathBuf {
    std::fs::read_dir("/usr/lib")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .expect("libfaketime is installed: apt-get install faketime")
}

fn says(url: &str, word: &str) -> bool {
    http_get(url).is_some_and(|(_, body)| body.contains(word))
}

fn ready(url: &str) -> bool {
    http_get(url).is_some_and(|(status, _)| status == 200)
}

#[test]
fn a_nodes_clock_jumps_and_nothing_expires() {
    let mut devnet = Devnet::start_with(&["--operators", "2", "--no-ledger"]);
    let blob = payload(1, 1000);
    let certificate = devnet.put("blob", &blob);
    let entry = devnet.node(0);
    let (config, health) = (
        entry.dir.join("node.toml"),
        format!("{}/v1/health", entry.http),
    );
    let status = format!("{}/v1/status", entry.http);
    wait_for("the operator's signature", || {
        says(&status, r#""signed_batches":1"#)
    });
    devnet.kill_node(0);

    // At start: longer away than a stop is credited, and past the 14 days that data is kept.
    let clock = WallClock::new(&devnet, TWENTY_DAYS);
    let node = clock.start(&devnet, ["node", "run"], &config);
    wait_for("a node that does not believe its clock", || {
        says(&health, "clock.disagrees")
    });
    assert!(says(&status, r#""batches":1"#), "{:?}", http_get(&status));
    clock.set(RIGHT);
    wait_for("the clock to be right", || ready(&health));

    // While it runs.
    clock.set(TWENTY_DAYS);
    wait_for("a node that sees the jump", || {
        says(&health, "clock.disagrees")
    });
    // It alone holds enough of the blob, and gives it out.
    devnet.kill_node(1);
    devnet.get_expecting(&certificate, "operators", &blob);
    devnet.restart_node(1);

    // Back, and further back than it was.
    clock.set(BEHIND);
    wait_for("a node that signs nothing", || {
        says(&health, "clock.behind")
    });
    clock.set(RIGHT);
    wait_for("the clock to be right again", || ready(&health));
    devnet.put("another", &payload(2, 1000));
    wait_for("the operator's second batch", || {
        says(&status, r#""batches":2"#)
    });
    drop(node);
}

#[test]
fn a_dispersers_clock_jumps_and_nothing_accepted_is_lost() {
    let mut devnet = Devnet::start_with(&["--operators", "1", "--no-ledger"]);
    let blob = payload(3, 1000);
    let certificate = devnet.put("blob", &blob);
    let base = devnet.file.disperser_url.clone();
    let health = format!("{base}/v1/health");
    let config = devnet.file.disperser.dir.join("disperser.toml");
    devnet.kill_disperser();

    let clock = WallClock::new(&devnet, TWENTY_DAYS);
    let disperser = clock.start(&devnet, ["disperser", "run"], &config);
    wait_for("a disperser that does not believe its clock", || {
        says(&health, "clock.disagrees")
    });
    devnet.get_expecting(&certificate, "relay", &blob);
    clock.set(RIGHT);
    wait_for("the clock to be right", || ready(&health));

    clock.set(TWENTY_DAYS);
    wait_for("a disperser that sees the jump", || {
        says(&health, "clock.disagrees")
    });
    devnet.get_expecting(&certificate, "relay", &blob);
    clock.set(BEHIND);
    wait_for("a disperser that dates no batch", || {
        says(&health, "clock.behind")
    });
    clock.set(RIGHT);
    wait_for("the clock to be right again", || ready(&health));
    devnet.put("another", &payload(4, 1000));
    drop(disperser);
}
