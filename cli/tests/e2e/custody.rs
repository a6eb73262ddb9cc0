//! Custody challenges on a real ledger, to a node that was down when they were opened.

use std::process::Stdio;

use serde_json::Value;

use crate::support::random::payload;
use crate::support::{Devnet, get_json, wait_for};

pub fn ledger(devnet: &Devnet, path: &str) -> Value {
    let url = &devnet.file.ledger.as_ref().unwrap().url;
    get_json(&format!("{url}/v1/{path}"))
}

/// Asks operator 0 for an element of the blob of a certificate. Gives the challenge as the ledger lists it.
pub fn challenge(devnet: &Devnet, certificate: &std::path::Path) -> Value {
    let node = devnet.node(0);
    let (key, password) = (node.dir.join("staker.json"), node.dir.join("password"));
    let tx = ["stake", "tx", "open-challenge", "--service", "1"];
    let mut command = devnet.command(tx);
    command
        .args(["--operator", &node.operator_id, "--bond", "1eth"])
        .arg("--certificate")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .arg("--password-file")
        .arg(password)
        .arg("--json");
    crate::support::Outcome::of(&mut command).success();
    let list = ledger(devnet, "state/challenges");
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    list["items"][0].clone()
}

fn wait_for_block(devnet: &Devnet, block: u64) {
    wait_for("a block of the ledger", || {
        ledger(devnet, "head")["block"].as_u64() >= Some(block)
    });
}

pub fn wait_for_answer(devnet: &Devnet) {
    wait_for("the challenge to be closed", || {
        ledger(devnet, "state/challenges")["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
    });
}

/// The stakes of the newest table.
fn stakes(devnet: &Devnet) -> Value {
    devnet.run(["operators", "show"]).success()["operators"].clone()
}

/// That the ledger's events have an answer, and nothing was taken from anybody.
pub fn check_events(devnet: &Devnet) {
    let events = ledger(devnet, "events?since=0").to_string();
    assert!(events.contains("challenge_answered"), "{events}");
    for bad in ["challenge_unanswered", "slash"] {
        assert!(!events.contains(bad), "{bad} in {events}");
    }
}

#[test]
fn a_node_that_was_down_past_half_of_the_time_answers_and_is_not_slashed() {
    let mut devnet = Devnet::start_with(&["--operators", "1"]);
    let certificate = devnet.put("asked", &payload(71, 300_000));
    let before = stakes(&devnet);
    devnet.kill_node(0);
    let open = challenge(&devnet, &certificate);
    let (opened, deadline) = (
        open["opened"].as_u64().unwrap(),
        open["deadline"].as_u64().unwrap(),
    );
    wait_for_block(&devnet, opened + (deadline - opened) / 2 + 2);
    // Ready again means that no deadline is near any more.
    devnet.restart_node(0);
    wait_for_answer(&devnet);
    let status = format!("{}/v1/status", devnet.node(0).http);
    wait_for("the node's status", || {
        let custody = get_json(&status)["custody"].clone();
        (custody["answered"].as_u64(), custody["open_count"].as_u64()) == (Some(1), Some(0))
    });
    wait_for_block(&devnet, deadline + 2);
    check_events(&devnet);
    assert_eq!(stakes(&devnet), before);
}

#[test]
fn one_of_two_ledgers_is_dead_the_disk_is_full_and_the_challenge_is_answered() {
    let mut devnet = Devnet::start_with(&["--operators", "1"]);
    let certificate = devnet.put("asked", &payload(72, 20_000));
    devnet.kill_node(0);
    challenge(&devnet, &certificate);
    // Nobody listens on port 1.
    let table = devnet.file.tables.tables[0].to_string();
    let (_, place) = table.split_once("/v1/").unwrap();
    let config = devnet.node(0).dir.join("node.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut toml: toml::Table = text.parse().unwrap();
    toml["custody"]["ledgers"] = vec![format!("http://127.0.0.1:1/v1/{place}"), table].into();
    toml["custody"]["poll_secs"] = 1.into();
    toml["store"]["min_free_bytes"] = i64::MAX.into();
    std::fs::write(&config, toml.to_string()).unwrap();

    let mut child = devnet
        .command(["node", "run", "--exit-with-parent", "--config"])
        .arg(&config)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_answer(&devnet);
    check_events(&devnet);
    let health = format!("{}/v1/health", devnet.node(0).http);
    wait_for("health", || {
        let report = get_json(&health);
        let said = report.to_string();
        said.contains("disk_space")
            && report["notices"].to_string().contains("custody.ledger")
            && !report["reasons"].to_string().contains("custody")
    });
    child.kill().unwrap();
    child.wait().unwrap();
}
