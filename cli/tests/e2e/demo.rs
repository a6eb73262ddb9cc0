//! `ashlar demo`, which is `make demo`: it proves what it says and leaves nothing behind, however it ends.

use std::process::{Command, Stdio};

use crate::support::{Outcome, binary, random, wait_for};

/// Processes whose command line names this folder.
fn processes_of(folder: &std::path::Path) -> Vec<String> {
    let here = folder.to_string_lossy().into_owned();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&here))
        .collect()
}

#[test]
fn the_demo_rebuilds_its_file_without_a_third_of_the_stake_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, random::payload(71, 700_000)).unwrap();
    let dir = folder.path().join("demo");
    let mut command = Command::new(binary());
    command
        .args(["demo", "--json", "--dir"])
        .arg(&dir)
        .arg("--file")
        .arg(&file)
        .stdin(Stdio::null());
    let out = Outcome::of(&mut command).success();
    assert_eq!(out["equal"], true, "{out}");
    assert_eq!(out["payload_sha256"], out["rebuilt_sha256"]);
    assert_eq!(
        (
            out["report"]["via"].as_str(),
            out["report"]["relay"].as_str()
        ),
        (Some("operators"), None),
        "{out}"
    );
    assert_eq!(
        out["verified"]["signed"].as_array().unwrap().len(),
        2,
        "{out}"
    );
    // Exactly the safety threshold, in both quorums; and the killed ones gave nothing.
    assert_eq!(out["killed_percent"], serde_json::json!([33.0, 33.0]));
    for killed in out["killed"].as_array().unwrap() {
        let gave = out["report"]["operators"]
            .as_array()
            .unwrap()
            .iter()
            .any(|operator| operator["operator"] == killed["operator_id"] && operator["good"] != 0);
        assert!(!gave, "a dead operator delivered: {out}");
    }
    // The account paid for it: what was charged was redeemed, and went to the disperser and to operators and stakers, seven tenths.
    let paid = |name: &str| -> u128 { out["payments"][name].as_str().unwrap().parse().unwrap() };
    let price = 2 * 14 * 100_000_000_000 * u128::from(out["certificate"]["rows"].as_u64().unwrap());
    assert_eq!((paid("charged"), paid("redeemed")), (price, price), "{out}");
    assert_eq!(paid("to_operators"), price * 7 / 10, "{out}");
    assert_eq!(paid("to_disperser"), price - price * 7 / 10, "{out}");
    // Slashed by half, as the ledger's configuration says, in both quorums, and seen in a later table.
    let slashed = &out["slashed"];
    let blocks: Vec<u64> = serde_json::from_value(slashed["blocks"].clone()).unwrap();
    assert!(blocks[0] < blocks[1], "{out}");
    assert_eq!(slashed["quorums"].as_array().unwrap().len(), 2, "{out}");
    for fall in slashed["quorums"].as_array().unwrap() {
        let [was, is] = [0, 1].map(|i| fall["stake"][i].as_str().unwrap().parse::<u128>().unwrap());
        assert_eq!(was, 2 * is, "{out}");
    }
    // The disperser lost its whole bond, and its place in a later table.
    let burnt = &out["burnt"];
    assert!(
        burnt["bond"].as_str().unwrap().parse::<u128>().unwrap() > 0,
        "{out}"
    );
    let blocks: Vec<u64> = serde_json::from_value(burnt["blocks"].clone()).unwrap();
    assert!(blocks[0] < blocks[1], "{out}");
    assert!(!dir.exists(), "the demo left its folder");
    assert_eq!(processes_of(folder.path()), Vec::<String>::new());
}

#[test]
fn a_demo_that_is_killed_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let mut demo = Command::new(binary())
        .args(["demo", "--operators", "4", "--dir"])
        .arg(&dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The demo itself, the ledger, four operators and the disperser.
    wait_for("all processes of the demo", || {
        processes_of(folder.path()).len() == 7
    });
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_for("nothing to be left", || {
        processes_of(folder.path()).is_empty()
    });
}
