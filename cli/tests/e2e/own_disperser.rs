//! Rollups as their own dispersers, beside the common one: how they become it, what a lost disk does to one, and what one loses that
//! cheats.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ashlar_cli::context::open_table;
use ashlar_crypto::identity::NetworkKey;
use ashlar_proto::{BatchHeader, Certificate};
use ashlar_stake::OperatorTable;
use serde_json::Value;

use crate::support::evil::{self, Batch, Sender};
use crate::support::random::payload;
use crate::support::{Devnet, Outcome, http_get, wait_for};

/// A rollup with a folder for its own disperser.
struct Rollup {
    dir: PathBuf,
    /// Its account's keystore; its password is that of the folder.
    account: PathBuf,
    password: PathBuf,
    http: String,
}

impl Rollup {
    fn new(devnet: &Devnet, name: &str, port: u16) -> Rollup {
        let dir = devnet.folder().join(name);
        std::fs::create_dir(&dir).unwrap();
        let rollup = Rollup {
            account: dir.join("account.json"),
            password: dir.join("password"),
            http: format!("{}:{port}", ashlar_testing::loopback()),
            dir,
        };
        std::fs::write(&rollup.password, format!("of {name}\n")).unwrap();
        let mut new = devnet.command(["account", "new", "--json", "--out"]);
        new.arg(&rollup.account)
            .arg("--password-file")
            .arg(&rollup.password);
        Outcome::of(&mut new).success();
        rollup
    }

    fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    fn key(&self) -> NetworkKey {
        evil::network_key(&self.dir)
    }

    /// `ashlar disperser init --own`, as it is given again after an interruption.
    fn init(&self, devnet: &Devnet, more: &[&str]) -> Command {
        let mut command = devnet.command(["disperser", "init", "--own", "--json", "--dir"]);
        command.arg(&self.dir).args(["--http", &self.http]);
        command.arg("--key").arg(&self.account);
        for option in ["--account-password-file", "--password-file"] {
            command.arg(option).arg(&self.password);
        }
        command.args(more);
        command
    }

    /// Becomes a disperser and runs; its number.
    fn join(&self, devnet: &mut Devnet) -> u32 {
        let out = Outcome::of(&mut self.init(devnet, &["--yes"])).success();
        self.run(devnet);
        number(&out)
    }

    /// Starts its disperser; the process.
    fn run(&self, devnet: &mut Devnet) -> u32 {
        let (command, config) = (["disperser", "run"], "disperser.toml");
        devnet.restart(&command, &self.dir, config, true, &self.url())
    }

    /// A certificate through its disperser, of what its account has signed.
    fn put(&self, devnet: &Devnet, name: &str, bytes: &[u8]) -> BatchHeader {
        let url = self.url();
        let (account, password) = (self.account.to_str(), self.password.to_str());
        let more = [
            ["--disperser", &url],
            ["--account", account.unwrap()],
            ["--password-file", password.unwrap()],
        ];
        header(&devnet.put_with(name, bytes, more.as_flattened()))
    }

    /// Its entry on the ledger, if it has a bond.
    fn bonded(&self, devnet: &Devnet) -> Vec<Value> {
        let service = devnet.run(["stake", "show", "service", "1"]).success();
        let key = self.key().public().to_string();
        let all = service["dispersers"].as_array().unwrap().iter();
        all.filter(|of| of["network_key"] == key.as_str())
            .cloned()
            .collect()
    }
}

fn number(out: &Value) -> u32 {
    out["id"].as_u64().unwrap().try_into().unwrap()
}

fn header(certificate: &Path) -> BatchHeader {
    let bytes = std::fs::read(certificate).unwrap();
    Certificate::from_bytes(&bytes).unwrap().batch_header
}

/// The newest signed table.
fn newest(devnet: &Devnet) -> std::sync::Arc<OperatorTable> {
    open_table(&devnet.file.tables).unwrap().newest().unwrap()
}

/// Codes of what a disperser's health complains about.
fn complaints(url: &str) -> Vec<String> {
    let (_, text) = http_get(&format!("{url}/v1/health")).unwrap_or_default();
    let report: Value = serde_json::from_str(&text).unwrap_or_default();
    let reasons = report["reasons"].as_array().cloned().unwrap_or_default();
    let codes = reasons.iter().filter_map(|reason| reason["code"].as_str());
    codes.map(str::to_owned).collect()
}

#[test]
fn two_rollups_disperse_for_themselves_and_one_that_cheats_harms_nobody_else() {
    let mut devnet = Devnet::start_with(&["--stakes", "10,10,10,10"]);
    let good = Rollup::new(&devnet, "rollup-good", 19_101);
    let bad = Rollup::new(&devnet, "rollup-bad", 19_102);
    let common = header(&devnet.put("common", &payload(201, 20_000)));
    let numbers = [good.join(&mut devnet), bad.join(&mut devnet)];
    assert_eq!((common.disperser_id, numbers), (0, [1, 2]));
    assert_eq!(
        good.put(&devnet, "good", &payload(202, 20_000))
            .disperser_id,
        1
    );
    let certified = bad.put(&devnet, "bad", &payload(203, 20_000));
    assert_eq!(certified.disperser_id, 2);
    // Each serves its own rollup alone.
    let file = devnet.write("strange", b"somebody else's");
    let mut strange = devnet.command(["put", "--json", "--disperser", &good.url()]);
    strange.arg(&file).arg("--account").arg(&bad.account);
    strange.arg("--password-file").arg(&bad.password);
    Outcome::of(&mut strange).failure(1, "account.not_listed");

    let over = AtomicBool::new(false);
    let (mine, everybodys) = std::thread::scope(|scope| {
        let devnet = &devnet;
        let posting = |through: &'static str| {
            let (good, over) = (&good, &over);
            scope.spawn(move || {
                let mut certified = 0;
                while !over.load(Ordering::SeqCst) {
                    let name = format!("{through}-{certified}");
                    let bytes = payload(300 + certified, 20_000);
                    match through {
                        "own" => good.put(devnet, &name, &bytes),
                        _ => header(&devnet.put_with(&name, &bytes, &[])),
                    };
                    certified += 1;
                }
                certified
            })
        };
        let posting = [posting("own"), posting("common")];

        // A second batch under a number that is used: every operator refuses it, and keeps the proof.
        let table = newest(devnet);
        let sender = Sender::new(&bad.key());
        let mut second = Batch::honest(&table, &payload(204, 1000), certified.sequence.0);
        second.disperser_id = certified.disperser_id;
        for answer in sender.send_to_all(&table, &second.seal()) {
            assert_eq!(answer, Err("store.sequence_conflict".to_owned()));
        }
        let held = devnet.run(["node", "equivocations", "--http", &devnet.node(0).http]);
        let evidence = held.success()["pairs"][0]["evidence"]
            .as_str()
            .unwrap()
            .to_owned();
        let file = devnet.write("fault", evidence.as_bytes());
        let [before] = &bad.bonded(devnet)[..] else {
            panic!("it has one bond")
        };
        assert_eq!(before["bond"], "10000000000000000000", "{before}");
        let submit = ["stake", "evidence", "submit", file.to_str().unwrap()];
        let receipt = devnet.run(submit).success();
        assert_eq!(receipt["accused"]["disperser"], 2, "{receipt}");
        // The bond is burnt, and a table without it follows.
        assert_eq!(bad.bonded(devnet), Vec::<Value>::new());
        wait_for("a table without the cheat", || {
            newest(devnet).disperser(2).is_none()
        });
        let table = newest(devnet);
        let ids: Vec<_> = table.dispersers().iter().map(|entry| entry.id).collect();
        assert_eq!(ids, [0, 1]);
        let mut third = Batch::honest(&table, &payload(205, 1000), certified.sequence.0 + 1000);
        third.disperser_id = 2;
        for answer in sender.send_to_all(&table, &third.seal()) {
            assert_eq!(answer, Err("validate.not_a_disperser".to_owned()));
        }
        wait_for("the cheat's disperser to say it", || {
            complaints(&bad.url()) == ["not_registered"]
        });
        std::thread::sleep(Duration::from_secs(2));
        over.store(true, Ordering::SeqCst);
        let [mine, everybodys] = posting.map(|posting| posting.join().unwrap());
        (mine, everybodys)
    });
    eprintln!(
        "certified meanwhile: {mine} through the own disperser, {everybodys} through the common one"
    );
    assert!(mine >= 3 && everybodys >= 3, "{mine} {everybodys}");
    assert_eq!(complaints(&good.url()), Vec::<String>::new());
    assert_eq!(complaints(&devnet.file.disperser_url), Vec::<String>::new());
    // Nor does the walk put up a second bond for it.
    let again = Outcome::of(&mut bad.init(&devnet, &["--yes"]));
    again.failure(3, "disperser.left");
    assert_eq!(bad.bonded(&devnet), Vec::<Value>::new());
}

#[test]
fn a_walk_that_is_interrupted_anywhere_goes_on_and_registers_once() {
    let mut devnet = Devnet::start_with(&["--operators", "2"]);
    let rollup = Rollup::new(&devnet, "own", 19_103);
    // Nobody agrees: a key and a configuration are there, and no bond.
    let unsaid = Outcome::of(&mut rollup.init(&devnet, &[]));
    unsaid.failure(2, "disperser.not_agreed");
    let key = std::fs::read(rollup.dir.join("network.json")).unwrap();
    assert_eq!(rollup.bonded(&devnet), Vec::<Value>::new());
    let too_small = Outcome::of(&mut rollup.init(&devnet, &["--yes", "--bond", "1wei"]));
    too_small.failure(3, "disperser.bond");

    // Killed after so many milliseconds, until it comes to its end.
    let mut walks = 0;
    for ms in (0..).step_by(500) {
        let mut command = rollup.init(&devnet, &["--yes", "--bond", "12eth"]);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(ms));
        child.kill().unwrap();
        walks += 1;
        if child.wait().unwrap().success() {
            break;
        }
    }
    eprintln!("{} walks were killed", walks - 1);
    let out = Outcome::of(&mut rollup.init(&devnet, &["--yes"])).success();
    let [entry] = &rollup.bonded(&devnet)[..] else {
        panic!("registered once")
    };
    assert_eq!(
        (number(&out), entry["bond"].as_str()),
        (1, Some("12000000000000000000"))
    );
    assert!(std::fs::read(rollup.dir.join("network.json")).unwrap() == key);
    rollup.run(&mut devnet);
    rollup.put(&devnet, "first", &payload(211, 20_000));

    // More bond, and the way out: the bond comes back when nothing can be proven any more.
    let tx = |kind: &str, more: &[&str]| {
        let mut command =
            devnet.command(["stake", "tx", kind, "--service", "1", "--disperser", "1"]);
        command.args(more).arg("--key").arg(&rollup.account);
        command
            .arg("--password-file")
            .arg(&rollup.password)
            .arg("--json");
        Outcome::of(&mut command)
    };
    tx("top-up-disperser", &["--amount", "3eth"]).success();
    assert_eq!(rollup.bonded(&devnet)[0]["bond"], "15000000000000000000");
    tx("exit-disperser", &[]).success();
    tx("exit-disperser", &[]).failure(3, "disperser.exiting");
    assert!(rollup.bonded(&devnet)[0]["standing"]["exiting"].is_object());
    let again = Outcome::of(&mut rollup.init(&devnet, &["--yes"]));
    again.failure(3, "disperser.left");

    // A folder of something else is left alone.
    let other = Rollup::new(&devnet, "other", 19_104);
    let theirs = Rollup {
        dir: rollup.dir.clone(),
        ..other
    };
    let refused = Outcome::of(&mut theirs.init(&devnet, &["--yes"]));
    refused.failure(2, "disperser.other_account");
    std::fs::remove_file(rollup.dir.join("network.json")).unwrap();
    let lost = Outcome::of(&mut rollup.init(&devnet, &["--yes"]));
    lost.failure(2, "disperser.key_missing");
}

#[test]
fn a_lost_database_is_begun_anew_without_a_number_twice() {
    let mut devnet = Devnet::start_with(&["--stakes", "10,10,10,10"]);
    let rollup = Rollup::new(&devnet, "own", 19_105);
    Outcome::of(&mut rollup.init(&devnet, &["--yes"])).success();
    let pid = rollup.run(&mut devnet);
    let mut used = Vec::new();
    for n in 0..5 {
        let header = rollup.put(&devnet, &format!("before-{n}"), &payload(220 + n, 20_000));
        used.push(header.sequence);
    }
    devnet.kill(pid);
    std::fs::remove_dir_all(rollup.dir.join("data")).unwrap();

    // A quarter of the stake is too little: 45 % may not have signed a certificate.
    for index in [0, 1, 2] {
        devnet.kill_node(index);
    }
    let command = ["disperser", "run"];
    devnet.spawn(&command, &rollup.dir, "disperser.toml", true);
    wait_for("health to say why there is no batch", || {
        complaints(&rollup.url()).contains(&"sequence_unknown".to_owned())
    });
    let file = devnet.write("waits", &payload(230, 20_000));
    let mut put = devnet.command(["put", "--json", "--no-wait", "--disperser", &rollup.url()]);
    put.arg(&file).arg("--account").arg(&rollup.account);
    put.arg("--password-file").arg(&rollup.password);
    let accepted = Outcome::of(&mut put).success()["id"].clone();

    for index in [0, 1, 2] {
        devnet.restart_node(index);
    }
    wait_for("the disperser to go on", || {
        complaints(&rollup.url()).is_empty()
    });
    for n in 0..5 {
        let header = rollup.put(&devnet, &format!("after-{n}"), &payload(240 + n, 20_000));
        let highest = used.iter().max().unwrap();
        assert!(header.sequence > *highest, "{used:?} {header:?}");
        used.push(header.sequence);
    }
    // What it took in meanwhile is certified, too.
    let url = format!(
        "{}/v1/blobs/{}/status",
        rollup.url(),
        accepted.as_str().unwrap()
    );
    let (_, status) = http_get(&url).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["state"], "certified", "{status}");
    // Nobody has seen two batches under one number.
    for index in 0..4 {
        let held = devnet.run(["node", "equivocations", "--http", &devnet.node(index).http]);
        assert_eq!(held.success()["held"], 0);
    }
}
