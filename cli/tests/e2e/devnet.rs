//! The devnet as a program: nothing outlives it, it tells what ended, and it goes on where it stopped.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use ashlar_cli::devnet::layout::DEFAULT_DIR;

use crate::support::random::payload;
use crate::support::{Devnet, Outcome, alive, binary, http_request, wait_for};

#[test]
fn sigkill_of_the_devnet_leaves_nothing_running() {
    let mut devnet = Devnet::start_with(&["--operators", "3"]);
    let pids = devnet.pids();
    // Three operators, the disperser, the ledger.
    assert_eq!(pids.len(), 5);
    assert!(pids.iter().all(|pid| alive(*pid)));
    devnet.kill_watcher();
    wait_for("all children to stop by themselves", || {
        pids.iter().all(|pid| !alive(*pid))
    });
}

#[test]
fn sigterm_stops_everything_and_the_same_folder_goes_on() {
    let mut devnet = Devnet::start_with(&["--operators", "3"]);
    let bytes = payload(21, 50_000);
    let certificate = devnet.put("before", &bytes);
    let pids = devnet.pids();
    assert_eq!(devnet.terminate(), Some(0));
    assert!(
        pids.iter().all(|pid| !alive(*pid)),
        "something still runs after a clean stop"
    );

    // The same folder again, without saying anything about operators: same keys, same data.
    let dir = devnet.folder().join("devnet");
    let ready = devnet.folder().join("ready-again");
    let mut again = Command::new(binary())
        .args(["devnet", "--exit-with-parent", "--dir"])
        .arg(&dir)
        .arg("--ready-file")
        .arg(&ready)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the second start to be ready", || ready.exists());
    devnet.get_expecting(&certificate, "operators", &bytes);
    devnet.get_expecting(&certificate, "relay", &bytes);

    // While it runs, the folder is taken; and asking for another devnet in it is refused in any case.
    let second = |arguments: &[&str]| {
        let mut command = devnet.command(["devnet", "--json", "--dir"]);
        Outcome::of(command.arg(&dir).args(arguments))
    };
    second(&[]).failure(1, "devnet.running");
    drop(again.stdin.take());
    assert!(again.wait().unwrap().success());
    second(&["--stakes", "1,2,3"]).failure(2, "usage");
}

#[test]
fn a_child_that_dies_is_reported_and_not_started_again() {
    let mut devnet = Devnet::start_with(&["--operators", "3"]);
    let pid = devnet.node(1).pid;
    devnet.kill_node(1);
    let log = devnet.folder().join("devnet.log");
    wait_for("the report", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.contains("operator 1") && text.contains(&pid.to_string()) && text.contains("signal: 9")
    });
    let health = format!("{}/v1/health", devnet.node(1).http);
    assert!(
        crate::support::http_get(&health).is_none(),
        "something answers for a dead operator"
    );
}

#[test]
fn secrets_are_readable_by_their_owner_only_and_encrypted() {
    let devnet = Devnet::start_with(&["--operators", "1"]);
    let dir = &devnet.node(0).dir;
    for name in ["password", "bls.json", "network.json", "staker.json"] {
        let mode = std::fs::metadata(dir.join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777;
        assert_eq!(mode, 0o600, "{name} has mode {mode:o}");
    }
    let keystore: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("bls.json")).unwrap()).unwrap();
    assert_eq!(keystore["version"], 4);
    assert_eq!(keystore["crypto"]["cipher"]["function"], "aes-128-ctr");
}

#[test]
fn an_interrupted_start_leaves_nothing_running() {
    // Standard input is closed from the start: the parent is gone before anything is ready.
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    command
        .args(["devnet", "--exit-with-parent", "--dir"])
        .arg(folder.path().join("net"))
        .stdin(Stdio::null());
    let outcome = Outcome::of(&mut command);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let here = folder.path().to_string_lossy().into_owned();
    wait_for("processes of that folder to be gone", || {
        !std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(Result::ok)
            .any(|entry| {
                std::fs::read(entry.path().join("cmdline"))
                    .is_ok_and(|line| String::from_utf8_lossy(&line).contains(&here))
            })
    });
}

/// Commands in the test's folder find the devnet by themselves.
fn find_it(devnet: &Devnet) {
    let here = devnet.folder().join(DEFAULT_DIR);
    std::fs::create_dir(here.parent().unwrap()).unwrap();
    symlink(devnet.folder().join("devnet"), here).unwrap();
}

/// The refusal of a post that nobody has signed.
fn unsigned(devnet: &Devnet) -> (u16, String) {
    let url = format!("{}/v1/blobs", devnet.file.disperser_url);
    let (status, _, body) = http_request("POST", &url, &[], b"unsigned").unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    (status, problem["code"].as_str().unwrap().to_owned())
}

#[test]
fn a_devnet_that_wants_to_be_paid_is_paid_by_put() {
    let mut devnet = Devnet::start_with(&["--operators", "2", "--accounts", "paid"]);
    assert_eq!(unsigned(&devnet), (401, "auth.missing".to_owned()));
    let file = devnet.write("block", &payload(23, 200_000));
    let put = |more: &[&str]| {
        let mut command = devnet.command(["put", "--json"]);
        Outcome::of(command.arg(&file).args(more))
    };
    let refused = put(&[]).failure(1, "auth.missing");
    assert!(
        refused["next"].to_string().contains("--account"),
        "{refused}"
    );
    put(&["--max-price", "1eth"]).failure(2, "usage");
    find_it(&devnet);
    put(&["--max-price", "2799gwei"]).failure(3, "client.price_above_limit");
    put(&[]).success();
    put(&["--max-price", "2800gwei"]).success();
    // Two rows for 14 days, twice.
    let paid = "5600000000000";
    wait_for("the vouchers to be redeemed", || {
        let shown = devnet.run(["account", "show"]).success();
        shown["terms"]["redeemed"] == paid
    });
    let all = devnet.run(["account", "payments"]).success();
    let payee = &all["payees"][0];
    let parts = [&payee["to_disperser"], &payee["to_operators"]];
    assert_eq!(parts, ["1680000000000", "3920000000000"], "{all}");

    // Whom it serves is part of what it is.
    assert_eq!(devnet.terminate(), Some(0));
    let mut other = devnet.command(["devnet", "--json", "--operators", "2", "--dir"]);
    Outcome::of(other.arg(devnet.folder().join("devnet"))).failure(2, "usage");
}

#[test]
fn a_devnet_with_a_list_serves_its_account() {
    let devnet = Devnet::start_with(&[
        "--operators",
        "1",
        "--no-ledger",
        "--accounts",
        "allow-list",
    ]);
    assert_eq!(unsigned(&devnet), (401, "auth.missing".to_owned()));
    find_it(&devnet);
    devnet.put_with("signed", &payload(24, 1000), &[]);
    let password = devnet.write("password", b"secret\n");
    let key = devnet.folder().join("other.json");
    let mut new = devnet.command(["account", "new", "--json", "--out"]);
    Outcome::of(new.arg(&key).arg("--password-file").arg(&password)).success();
    let file = devnet.write("unlisted", b"unlisted");
    let mut put = devnet.command(["put", "--json"]);
    put.arg(file).arg("--account").arg(key);
    Outcome::of(put.arg("--password-file").arg(password)).failure(1, "account.not_listed");

    let mut unpaid = devnet.command(["devnet", "--json", "--no-ledger", "--accounts", "paid"]);
    let dir = devnet.folder().join("unpaid");
    Outcome::of(unpaid.arg("--dir").arg(dir)).failure(2, "usage");
}
