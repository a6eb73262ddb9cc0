//! A node's database, its clock and its move to another machine, by command line on the real binary.

use std::path::Path;
use std::process::Stdio;

use crate::support::random::payload;
use crate::support::{Devnet, Outcome, http_get, wait_for};

/// `ashlar node COMMAND… --config DIR/node.toml`, to its end.
fn node(devnet: &Devnet, dir: &Path, command: &[&str]) -> Outcome {
    let config = dir.join("node.toml");
    let config = config.to_str().unwrap();
    let arguments = [&["node"], command, &["--config", config]].concat();
    devnet.run(arguments)
}

/// Keystores, password and configuration, without marker and database: what is carried to another machine.
fn carry(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for name in ["node.toml", "bls.json", "network.json", "password"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn a_key_has_one_database_and_may_move() {
    let mut devnet = Devnet::start_with(&["--operators", "2", "--no-ledger"]);
    devnet.put("blob", &payload(1, 1000));
    let dir = devnet.node(0).dir.clone();
    let status = format!("{}/v1/status", devnet.node(0).http);
    wait_for("the operator's signature", || {
        http_get(&status).is_some_and(|(_, body)| body.contains(r#""signed_batches":1"#))
    });

    // While it runs, its database is taken.
    node(&devnet, &dir, &["clock", "accept", "--yes"]).failure(1, "store.locked");
    node(&devnet, &dir, &["verify"]).failure(1, "store.locked");
    devnet.kill_node(0);
    let verified = node(&devnet, &dir, &["verify"]).success();
    assert_eq!(
        (
            &verified["promises"],
            &verified["blobs"],
            &verified["corrupt"]
        ),
        (&1.into(), &1.into(), &0.into())
    );

    // A volume that is not mounted starts nothing, and nothing is made in its place.
    std::fs::rename(dir.join("data"), dir.join("away")).unwrap();
    node(&devnet, &dir, &["run"]).failure(1, "database.missing");
    std::fs::create_dir(dir.join("data")).unwrap();
    node(&devnet, &dir, &["run"]).failure(1, "database.missing");
    node(&devnet, &dir, &["run", "--new-database"]).failure(1, "database.marker_exists");
    std::fs::remove_dir(dir.join("data")).unwrap();
    std::fs::rename(dir.join("away"), dir.join("data")).unwrap();

    // Nobody at a terminal is no yes.
    node(&devnet, &dir, &["clock", "accept"]).failure(2, "clock.not_accepted");
    let accepted = node(&devnet, &dir, &["clock", "accept", "--yes"]).success();
    assert!(accepted["accepted_ms"].as_u64() >= accepted["kept_ms"].as_u64());
    assert_eq!(accepted["windows_ending"].as_array().unwrap().len(), 0);

    // A snapshot ends nothing and moves nothing.
    let elsewhere = devnet.folder().join("elsewhere");
    carry(&dir, &elsewhere);
    let snapshot = node(
        &devnet,
        &dir,
        &["protection", "export", "--snapshot", "look.json"],
    );
    assert_eq!(snapshot.success()["floors"], 1);
    let import = ["protection", "import", "look.json", "--new-database"];
    node(&devnet, &elsewhere, &import).failure(3, "protection.snapshot");

    // The real one does both, once its file can be written.
    let export = ["protection", "export", "moving.json"];
    assert_eq!(node(&devnet, &dir, &export).success()["floors"], 1);
    node(&devnet, &dir, &export).failure(2, "io.exists");
    let again = ["protection", "export", "again.json"];
    assert_eq!(node(&devnet, &dir, &again).success()["floors"], 1);

    // Started again, the old one serves and says why it does not sign.
    let config = dir.join("node.toml");
    let mut child = devnet
        .command(["node", "run", "--config", config.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let health = format!("{}/v1/health", devnet.node(0).http);
    wait_for("the old node's health", || {
        http_get(&health).is_some_and(|(code, body)| code == 503 && body.contains("database.moved"))
    });
    child.kill().unwrap();
    child.wait().unwrap();

    // The new one: without a file nothing starts, with it once.
    node(&devnet, &elsewhere, &["run"]).failure(1, "database.no_marker");
    let import = ["protection", "import", "moving.json", "--new-database"];
    let done = node(&devnet, &elsewhere, &import).success();
    assert_eq!(
        (done["floors"].as_u64(), done["raised"].as_u64()),
        (Some(1), Some(1))
    );
    node(&devnet, &elsewhere, &import).failure(3, "database.marker_exists");
    let import = ["protection", "import", "moving.json"];
    let done = node(&devnet, &elsewhere, &import).success();
    assert_eq!(done["raised"], 0, "the same floors again");

    // A file from before those floors.
    let text = std::fs::read_to_string(devnet.folder().join("moving.json")).unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    old["floors"][0]["sequence"] = 0.into();
    devnet.write("old.json", old.to_string().as_bytes());
    let import = ["protection", "import", "old.json"];
    node(&devnet, &elsewhere, &import).failure(3, "protection.older");
    // And another operator's.
    let other = devnet.node(1).dir.clone();
    devnet.kill_node(1);
    let import = ["protection", "import", "moving.json"];
    node(&devnet, &other, &import).failure(3, "protection.other_key");
}

#[test]
fn the_doctor_looks_at_a_node_that_runs_and_at_one_that_does_not() {
    let mut devnet = Devnet::start_with(&["--operators", "2"]);
    devnet.put("blob", &payload(1, 1000));
    let dir = devnet.node(0).dir.clone();
    let of = |findings: &serde_json::Value, check: &str| -> Vec<String> {
        let findings = findings["findings"].as_array().unwrap().iter();
        let of_check = findings.filter(|finding| finding["check"] == check);
        of_check
            .map(|finding| finding["grade"].as_str().unwrap().to_owned())
            .collect()
    };
    let well = node(&devnet, &dir, &["doctor"]).success();
    for check in [
        "config",
        "keys",
        "sources",
        "clock",
        "entry",
        "versions",
        "disk space",
        "node",
        "ports",
        "follows",
        "health",
        "reachable",
        "custody",
        "refusals",
    ] {
        assert_eq!(of(&well, check), ["ok"], "{check}: {well}");
    }

    // What it finds is data, also when that is bad.
    devnet.kill_node(0);
    let sick = |devnet: &Devnet| -> serde_json::Value {
        let outcome = node(devnet, &dir, &["doctor"]);
        let code = outcome.error()["code"].clone();
        assert_eq!((outcome.code, code), (1, "node.unwell".into()));
        serde_json::from_str(&outcome.stdout).unwrap()
    };
    let down = sick(&devnet);
    for (check, grades) in [
        ("node", &["fail"][..]),
        ("database", &["ok"]),
        ("ports", &["ok", "ok"]),
        ("entry", &["ok"]),
    ] {
        assert_eq!(of(&down, check), grades, "{check}: {down}");
    }
    // A folder whose volume is not mounted.
    std::fs::rename(dir.join("data"), dir.join("away")).unwrap();
    let lost = sick(&devnet);
    assert_eq!(of(&lost, "database"), ["fail"], "{lost}");
    assert!(lost.to_string().contains("database.missing"), "{lost}");
}

#[test]
fn a_dispersers_clock_is_accepted_by_a_person_while_it_is_stopped() {
    let mut devnet = Devnet::start_with(&["--operators", "1", "--no-ledger"]);
    let dir = devnet.file.disperser.dir.clone();
    let config = dir.join("disperser.toml");
    let accept = |devnet: &Devnet, more: &[&str]| {
        let config = ["--config", config.to_str().unwrap()];
        devnet.run([&["disperser", "clock", "accept"], more, &config].concat())
    };
    accept(&devnet, &["--yes"]).failure(1, "store.open");
    devnet.kill_disperser();
    accept(&devnet, &[]).failure(2, "clock.not_accepted");
    let accepted = accept(&devnet, &["--yes"]).success();
    assert!(accepted["accepted_ms"].as_u64() >= accepted["kept_ms"].as_u64());
    assert_eq!(accepted["ending"], 0);
    std::fs::rename(dir.join("data"), dir.join("away")).unwrap();
    accept(&devnet, &["--yes"]).failure(1, "store.missing");
}
