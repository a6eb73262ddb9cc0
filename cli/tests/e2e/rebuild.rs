//! A node's disk is replaced by an empty one while blobs are posted: what it had promised comes back from its peers.

use std::process::Stdio;

use ashlar_proto::Certificate;
use serde_json::Value;

use crate::support::random::payload;
use crate::support::{Devnet, get_json, http_get, http_request, wait_for};

fn status(devnet: &Devnet) -> Value {
    get_json(&format!("{}/v1/status", devnet.node(0).http))
}

fn verify(devnet: &Devnet) -> Value {
    let config = devnet.node(0).dir.join("node.toml");
    let config = config.to_str().unwrap();
    devnet.run(["node", "verify", "--config", config]).success()
}

/// How often the certificate of a blob is handed to an operator: as it was issued to those who are in it, and to all when more have
/// signed.
fn handed_over(devnet: &Devnet, certificate: &std::path::Path) -> u64 {
    let best = Certificate::from_bytes(&std::fs::read(certificate).unwrap()).unwrap();
    let key = best.blob_header.blob_key();
    let base = &devnet.file.disperser_url;
    let url = format!("{base}/v1/blobs/{key}/certificate?issued=first");
    let (_, _, first) = http_request("GET", &url, &[], b"").unwrap();
    let first = Certificate::from_bytes(&first).unwrap();
    let [first, best] = [first, best].map(|certificate| u64::from(certificate.claimed_signers().0));
    first + if best > first { best } else { 0 }
}

fn kept_certificates(devnet: &Devnet, index: usize) -> u64 {
    let (_, metrics) = http_get(&format!("{}/metrics", devnet.node(index).http)).unwrap();
    let line = metrics
        .lines()
        .find(|line| line.starts_with(r#"ashlar_node_requests_total{request="keep_certificate"}"#));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// Changes a key of the node's section `[tasks]`.
fn set_rate(devnet: &Devnet, rate: i64) {
    let path = devnet.node(0).dir.join("node.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut toml: toml::Table = text.parse().unwrap();
    let tasks = toml
        .entry("tasks")
        .or_insert_with(|| toml::Table::new().into());
    tasks
        .as_table_mut()
        .unwrap()
        .insert("repair_bytes_per_sec".into(), rate.into());
    std::fs::write(&path, toml.to_string()).unwrap();
}

#[test]
fn an_empty_disk_is_filled_under_load_and_through_a_kill() {
    let mut devnet = Devnet::start_with(&["--operators", "5"]);
    let mut certificates = Vec::new();
    for n in 0..8u64 {
        let bytes = payload(900 + n, 150_000);
        let certificate = devnet.put(&format!("before-{n}"), &bytes);
        certificates.push((certificate, bytes));
    }
    let expected: u64 = certificates
        .iter()
        .map(|(certificate, _)| handed_over(&devnet, certificate))
        .sum();
    wait_for("certificates at all who signed", || {
        let asked = (0..5).map(|index| kept_certificates(&devnet, index));
        asked.sum::<u64>() >= expected
    });
    devnet.kill_node(0);
    let before = verify(&devnet);
    assert_eq!(before["corrupt"], 0);
    let promises = before["promises"].as_u64().unwrap();
    assert!(promises > 0);

    // The disk is dead, and there is another one in its place.
    let dir = devnet.node(0).dir.clone();
    std::fs::remove_dir_all(dir.join("data")).unwrap();
    let config = dir.join("node.toml");
    let run = ["node", "run", "--config", config.to_str().unwrap()];
    devnet.run(run).failure(1, "database.missing");
    set_rate(&devnet, 400_000);
    let mut child = devnet
        .command([&run[..], &["--lost-database", "--exit-with-parent"]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Peers have spoken, and it signs again. The data is still on its way.
    wait_for("the index", || status(&devnet)["index"]["may_sign"] == true);
    let bytes = payload(990, 150_000);
    let certificate = devnet.put("meanwhile", &bytes);
    certificates.push((certificate, bytes));
    let found = status(&devnet)["repair"].clone();
    child.kill().unwrap();
    child.wait().unwrap();

    // Killed in the middle, it goes on; the flag is refused from now on.
    devnet
        .run([&run[..], &["--lost-database"]].concat())
        .failure(1, "database.in_use");
    set_rate(&devnet, 64 << 20);
    devnet.restart_node(0);
    wait_for("the repair", || {
        let status = status(&devnet);
        status["index"]["done"] == true && status["repair"]["damaged"] == 0
    });
    devnet.kill_node(0);
    let after = verify(&devnet);
    assert_eq!(after["corrupt"], 0, "{after}; when it was killed: {found}");
    assert!(
        after["promises"].as_u64().unwrap() >= promises,
        "{before} {after}"
    );

    devnet.restart_node(0);
    for (certificate, bytes) in &certificates {
        devnet.get_expecting(certificate, "operators", bytes);
    }
    // A challenge for a batch of before.
    crate::custody::challenge(&devnet, &certificates[0].0);
    crate::custody::wait_for_answer(&devnet);
    crate::custody::check_events(&devnet);
}
