//! The devnet as a program: nothing outlives it, it tells what ended, and it goes on where it stopped.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::random::payload;
use crate::support::{Devnet, Outcome, alive, binary, wait_for};

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
