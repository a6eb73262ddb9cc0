//! The stake behind the signatures: a devnet on its ledger, changed by real transactions while it runs.

use serde_json::Value;

use crate::support::random::payload;
use crate::support::{Devnet, http_get, http_request, wait_for};

/// The stake of a devnet's operator in a quorum, in the newest table.
fn stake(devnet: &Devnet, operator: usize, quorum: u64) -> u128 {
    let table = devnet.run(["operators", "show"]).success();
    let id = devnet.node(operator).operator_id.as_str();
    table["operators"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["operator_id"] == id)
        .flat_map(|entry| entry["stakes"].as_array().unwrap())
        .find(|stake| stake["quorum"] == quorum)
        .map_or(0, |stake| stake["stake"].as_str().unwrap().parse().unwrap())
}

/// `ashlar stake tx …` with a key out of an operator's folder.
fn send(
    devnet: &Devnet,
    operator: usize,
    key: &str,
    arguments: &[&str],
) -> crate::support::Outcome {
    let dir = &devnet.node(operator).dir;
    let (key, password) = (dir.join(key), dir.join("password"));
    let mut all = vec!["stake", "tx"];
    all.extend(arguments);
    all.extend(["--key", key.to_str().unwrap()]);
    all.extend(["--password-file", password.to_str().unwrap()]);
    devnet.run(all)
}

#[test]
fn a_deposit_raises_the_operators_stake_and_the_next_blob_is_signed_with_it() {
    let devnet = Devnet::start_with(&["--stakes", "40,30,20,10"]);
    const ETHER: u128 = 1_000_000_000_000_000_000;
    assert_eq!(stake(&devnet, 3, 0), 320 * ETHER);
    let before = payload(91, 40_000);
    let old = devnet.put("before", &before);

    // Strategy 2 is stETH, a share of which weighs an ether.
    let deposit = ["deposit", "--strategy", "2", "--amount", "320eth"];
    // The operator's staker has no stETH yet and has not allocated it; the operator allocates everything that is in the pool.
    send(&devnet, 3, "staker.json", &deposit).success();
    let allocate = [
        "allocate",
        "--service",
        "1",
        "--quorum",
        "0",
        "--strategy",
        "2",
        "--magnitude",
        "100%",
    ];
    send(&devnet, 3, "account.json", &allocate).success();
    wait_for("a table with the deposit", || {
        stake(&devnet, 3, 0) == 640 * ETHER
    });

    let after = payload(92, 40_000);
    let certificate = devnet.put("after", &after);
    let shown = devnet
        .run(["cert", "verify", certificate.to_str().unwrap()])
        .success();
    assert_eq!(
        shown["signed"][0]["total"].as_str().unwrap(),
        (3520 * ETHER).to_string(),
        "{shown}"
    );
    // The certificate of before is checked with the table of its own block, which history keeps.
    let shown = devnet
        .run(["cert", "verify", old.to_str().unwrap()])
        .success();
    assert_eq!(
        shown["signed"][0]["total"].as_str().unwrap(),
        (3200 * ETHER).to_string(),
        "{shown}"
    );
    devnet.get_expecting(&old, "operators", &before);
    devnet.get_expecting(&certificate, "operators", &after);
}

#[test]
fn without_the_ledger_blobs_are_certified_health_says_it_and_it_comes_back() {
    let mut devnet = Devnet::start_with(&["--operators", "3"]);
    devnet.put("with", &payload(93, 20_000));
    devnet.kill_ledger();
    let health = |base: &str| {
        let (_, text) = http_get(&format!("{base}/v1/health")).unwrap_or_default();
        serde_json::from_str::<Value>(&text).unwrap_or_default()
    };
    let disperser = devnet.file.disperser_url.clone();
    let node = devnet.node(0).http.clone();
    for base in [&disperser, &node] {
        wait_for("health to say that the table is not followed", || {
            let report = health(base);
            report["status"] == "degraded" && report.to_string().contains("operator_table")
        });
    }
    // The tables known so far go on to hold.
    let bytes = payload(94, 20_000);
    let url = format!("{disperser}/v1/blobs?wait=certified");
    let (status, head, body) = http_request("POST", &url, &[], &bytes).unwrap();
    assert!(matches!(status, 200 | 201), "{head}");
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["state"], "certified", "{answer}");
    let url = format!(
        "{disperser}/v1/blobs/{}/certificate",
        answer["key"].as_str().unwrap()
    );
    let (status, _, certificate) = http_request("GET", &url, &[], b"").unwrap();
    assert_eq!(status, 200);
    let certificate = devnet.write("without.cert", &certificate);
    // A reader that has no table yet cannot check it now, and says why.
    let shown = devnet.run(["cert", "verify", certificate.to_str().unwrap()]);
    assert_eq!(shown.code, 4, "{}", shown.stderr);

    devnet.restart_ledger();
    for base in [&disperser, &node] {
        wait_for("health to be ready again", || {
            health(base)["status"] == "ready"
        });
    }
    devnet.get_expecting(&certificate, "operators", &bytes);
}

#[test]
fn transactions_that_break_a_rule_are_refused_and_change_nothing() {
    let devnet = Devnet::start_with(&["--operators", "2"]);
    let shares = || devnet.run(["stake", "show", "strategies"]).success();
    let before = shares();
    // More than it has, and an operator that is none.
    let withdraw = [
        "queue-withdrawal",
        "--strategy",
        "1",
        "--shares",
        "1000000eth",
    ];
    let outcome = send(&devnet, 0, "staker.json", &withdraw);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    let delegate = ["delegate", "--operator", &format!("0x{}", "11".repeat(32))];
    let outcome = send(&devnet, 0, "staker.json", &delegate);
    assert_eq!(outcome.code, 3, "{}", outcome.stderr);
    assert_eq!(shares(), before);
}
