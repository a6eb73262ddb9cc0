//! Nodes are upgraded one by one under load, and the service goes over to another protocol version at a block.
//!
//! A node that is too old for a version is one whose configuration leaves it out: there is only one program to test.

use std::path::PathBuf;
use std::process::{Child, Stdio};

use ashlar_proto::Certificate;
use serde_json::Value;

use crate::support::random::payload;
use crate::support::{Devnet, Outcome, get_json, http_get, wait_for};

fn edit(config: PathBuf, change: impl FnOnce(&mut toml::Table)) {
    let text = std::fs::read_to_string(&config).unwrap();
    let mut toml: toml::Table = text.parse().unwrap();
    change(toml["accept"].as_table_mut().unwrap());
    std::fs::write(&config, toml.to_string()).unwrap();
}

fn posts(devnet: &Devnet, seed: u64) -> Vec<(Child, PathBuf)> {
    let post = |n: u64| {
        let name = format!("load-{seed}-{n}");
        let file = devnet.write(&name, &payload(seed * 10 + n, 50_000));
        let certificate = file.with_extension("cert");
        let mut command = devnet.command(["put"]);
        command.arg(&file).arg("--cert").arg(&certificate);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        (child.unwrap(), certificate)
    };
    (0..3).map(post).collect()
}

/// Stops a node and starts it as another one, while blobs are posted: all of them are certified.
fn upgrade(devnet: &mut Devnet, index: usize, change: impl FnOnce(&mut toml::Table)) {
    let posts = posts(devnet, index as u64);
    devnet.stop_node(index);
    edit(devnet.node(index).dir.join("node.toml"), change);
    devnet.restart_node(index);
    for (mut child, certificate) in posts {
        assert!(child.wait().unwrap().success());
        assert!(certificate.exists());
    }
}

fn old(accept: &mut toml::Table) {
    accept.insert("versions".into(), vec![1].into());
}

fn new(accept: &mut toml::Table) {
    accept.remove("versions");
}

fn health(devnet: &Devnet, index: usize) -> Value {
    get_json(&format!("{}/v1/health", devnet.node(index).http))
}

/// From the block `from` on.
fn activate_version_2(devnet: &Devnet, from: u64) {
    let dir = &devnet.file.ledger.as_ref().unwrap().dir;
    let mut command = devnet.command(["stake", "tx", "activate-version", "--service", "1"]);
    command
        .args(["--version", "2", "--from", &from.to_string()])
        .arg("--key")
        .arg(dir.join("admin.json"))
        .arg("--password-file")
        .arg(dir.join("password"))
        .arg("--json");
    Outcome::of(&mut command).success();
}

fn certificate(path: PathBuf) -> Certificate {
    Certificate::from_bytes(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn eight_nodes_go_over_to_version_2_one_by_one() {
    let mut devnet = Devnet::start();
    (0..8).for_each(|index| upgrade(&mut devnet, index, old));
    devnet.kill_disperser();
    edit(devnet.file.disperser.dir.join("disperser.toml"), |accept| {
        accept.insert("versions".into(), vec![1, 2].into());
    });
    devnet.restart_disperser();

    // Not before the service uses it.
    let bytes = payload(900, 200_000);
    let file = devnet.write("early", &bytes);
    let early = ["put", file.to_str().unwrap(), "--protocol", "2"];
    devnet.run(early).failure(1, "version.not_recorded");
    let head = crate::custody::ledger(&devnet, "head");
    let from = head["block"].as_u64().unwrap() + 5;
    activate_version_2(&devnet, from);
    // All of them say so, and sign what they know.
    for index in 0..8 {
        wait_for("the health of a node that is too old", || {
            let health = health(&devnet, index);
            health["reasons"][0]["code"] == "version"
                && health
                    .to_string()
                    .contains("whose batches this node refuses: 2")
        });
    }
    let all = certificate(devnet.put("first", &payload(901, 10_000)));
    assert_eq!((all.batch_header.version, all.claimed_signers().0), (1, 8));

    (0..7).for_each(|index| upgrade(&mut devnet, index, new));
    let second = devnet.put_with("second", &bytes, &["--protocol", "2"]);
    devnet.get_expecting(&second, "operators", &bytes);
    let second = certificate(second);
    assert_eq!(second.batch_header.version, 2);
    assert!(second.batch_header.reference_block.0 >= from);
    // The three heaviest are enough.
    assert!((3..=7).contains(&second.claimed_signers().0));
    // The one that is left refused it by name.
    let metrics = http_get(&format!("{}/metrics", devnet.node(7).http))
        .unwrap()
        .1;
    let refused = metrics
        .lines()
        .find(|line| line.contains("validate.version_not_served"));
    assert!(
        refused.is_some_and(|line| !line.ends_with(" 0")),
        "{metrics}"
    );
    assert_eq!(health(&devnet, 7)["reasons"][0]["code"], "version");

    upgrade(&mut devnet, 7, new);
    let third = devnet.put_with("third", &bytes, &["--protocol", "2"]);
    devnet.wait_for_signers(&third, 8);
}
