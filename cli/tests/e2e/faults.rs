//! Processes that die without a word, come back, hang, or lie.

use crate::support::random::payload;
use crate::support::{Devnet, Outcome, alive, http_get, http_request, wait_for};
use serde_json::Value;

fn skipped(report: &Value) -> Vec<(String, String)> {
    report["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skip| {
            (
                skip["operator"].as_str().unwrap_or("relay").to_owned(),
                skip["code"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

/// Stakes 30, 20, 15, 10, 10, 7, 5, 3: operators 0 and 7 hold 33 % together, the whole safety threshold.
#[test]
fn sigkill_of_a_third_of_the_stake_and_of_the_disperser_loses_nothing() {
    let mut devnet = Devnet::start();
    let bytes = payload(31, 3_000_000);
    let certificate = devnet.put("p", &bytes);
    devnet.kill_node(0);
    devnet.kill_node(7);
    devnet.kill_disperser();
    devnet.get_expecting(&certificate, "operators", &bytes);
    // `auto` finds the relay gone, says so, and goes on to the operators.
    let report = devnet.get_expecting(&certificate, "auto", &bytes);
    assert_eq!(report["via"], "operators");
    assert!(
        skipped(&report).iter().any(|(who, _)| who == "relay"),
        "{report}"
    );
    // Nobody else is left to ask.
    let (outcome, wrote) = devnet.get(&certificate, "relay");
    assert_eq!((outcome.code, wrote), (4, None), "{}", outcome.stderr);
}

#[test]
fn a_batch_is_certified_without_a_third_of_the_stake() {
    let mut devnet = Devnet::start();
    devnet.kill_node(0);
    devnet.kill_node(7);
    let bytes = payload(32, 100_000);
    let certificate = devnet.put("p", &bytes);
    let checked = devnet
        .run(["cert", "verify", certificate.to_str().unwrap()])
        .success();
    assert_eq!(
        checked["signed"][0]["percent"].as_f64(),
        Some(67.0),
        "{checked}"
    );
    devnet.get_expecting(&certificate, "operators", &bytes);
}

#[test]
fn with_too_little_stake_alive_nothing_is_certified_and_put_says_why() {
    let mut devnet = Devnet::start_with(&["--operators", "3", "--stakes", "50,30,20"]);
    devnet.kill_node(0);
    let file = devnet.write("p", b"who will sign this");
    let out = devnet.folder().join("p.cert");
    let outcome = devnet.run([
        "put",
        file.to_str().unwrap(),
        "--cert",
        out.to_str().unwrap(),
        "--timeout",
        "8",
    ]);
    outcome.failure(5, "client.deadline");
    assert!(
        !out.exists(),
        "a certificate was written although nothing is certified"
    );
    // Nothing is lost: the operator comes back, and the blob is certified without anybody posting it again.
    devnet.restart_node(0);
    let id = outcome.error()["id"].as_str().unwrap().to_owned();
    let url = format!("{}/v1/blobs/{id}/status", devnet.file.disperser_url);
    wait_for("the blob to be certified after all", || {
        http_get(&url).is_some_and(|(_, text)| text.contains("\"certified\""))
    });
}

#[test]
fn an_operator_that_was_killed_comes_back_with_its_data_and_its_word() {
    let mut devnet = Devnet::start();
    let bytes = payload(33, 400_000);
    let certificate = devnet.put("p", &bytes);
    // All others go for good: what comes back must come from the one that was killed, which holds enough alone.
    devnet.kill_node(0);
    for index in 1..8 {
        devnet.kill_node(index);
    }
    let (outcome, wrote) = devnet.get(&certificate, "operators");
    assert_eq!((outcome.code, wrote), (4, None), "{}", outcome.stderr);
    devnet.restart_node(0);
    let report = devnet.get_expecting(&certificate, "operators", &bytes);
    let good: Vec<&Value> = report["operators"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|operator| operator["good"] != 0)
        .collect();
    assert_eq!(good.len(), 1, "{report}");
    assert_eq!(good[0]["operator"], devnet.node(0).operator_id.as_str());
    let status = http_get(&format!("{}/v1/status", devnet.node(0).http)).unwrap();
    assert_eq!(status.0, 200, "{}", status.1);
}

#[test]
fn a_payload_accepted_with_202_is_certified_although_the_disperser_is_killed_right_after() {
    let mut devnet = Devnet::start();
    let bytes = payload(34, 2_000_000);
    let url = format!("{}/v1/blobs", devnet.file.disperser_url);
    let headers = [("content-type", "application/octet-stream")];
    let (status, head, body) = http_request("POST", &url, &headers, &bytes).unwrap();
    devnet.kill_disperser();
    assert_eq!(status, 202, "{head}");
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let id = answer["id"].as_str().unwrap();

    devnet.restart_disperser();
    let base = format!("{url}/{id}");
    wait_for("the blob to be certified after the restart", || {
        let (status, text) = http_get(&format!("{base}/status")).unwrap();
        assert_eq!(
            status, 200,
            "the disperser forgot what it had accepted: {text}"
        );
        assert!(!text.contains("\"failed\""), "{text}");
        text.contains("\"certified\"")
    });
    devnet.get_from_operators(id, &bytes);
}

#[test]
fn a_stop_signal_lets_a_running_put_end_and_a_second_one_ends_a_process_at_once() {
    let devnet = Devnet::start_with(&["--operators", "2"]);
    let pid = devnet.node(1).pid;
    let id = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM).unwrap();
    wait_for("a node to stop on SIGTERM", || !alive(pid));
    // It stopped by itself: the devnet reports an exit code and no signal.
    let log = devnet.folder().join("devnet.log");
    wait_for("the report", || {
        std::fs::read_to_string(&log)
            .is_ok_and(|text| text.contains("operator 1") && text.contains("exit status: 0"))
    });
}

#[test]
fn an_unreachable_disperser_is_said_so() {
    let devnet = Devnet::start_with(&["--operators", "1"]);
    let file = devnet.write("p", b"x");
    let mut command = devnet.command([
        "put",
        "--json",
        "--disperser",
        "http://127.0.0.1:9",
        "--timeout",
        "5",
    ]);
    let outcome = Outcome::of(command.arg(&file));
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
}
