//! A payload through real processes and back: by the relay, from operators alone, and by itself choosing.

use crate::support::random::payload;
use crate::support::{Devnet, Outcome};
use serde_json::Value;

/// The larger-than-a-row, smaller-than-an-element and exactly-full payloads that off-by-one mistakes live on.
const SIZES: [usize; 8] = [1, 30, 31, 32, 126_945, 126_946, 131_072, 1_000_003];

#[test]
fn payloads_come_back_byte_for_byte() {
    let devnet = Devnet::start();
    for (seed, size) in (1u64..).zip(SIZES) {
        let bytes = payload(seed, size);
        let certificate = devnet.put(&format!("p{size}"), &bytes);
        for from in ["relay", "operators", "auto"] {
            let report = devnet.get_expecting(&certificate, from, &bytes);
            let expected = if from == "operators" {
                "operators"
            } else {
                "relay"
            };
            assert_eq!(report["via"], expected, "{report}");
            assert_eq!(
                report["skipped"].as_array().map(Vec::len),
                Some(0),
                "{report}"
            );
        }
    }
}

#[test]
fn two_quorums_sign_and_each_reaches_its_threshold() {
    let devnet = Devnet::start_with(&["--quorums", "2"]);
    let bytes = payload(7, 300_000);
    let certificate = devnet.put_with("both", &bytes, &["--quorums", "0,1"]);
    let checked = devnet
        .run([
            "cert",
            "verify",
            certificate.to_str().unwrap(),
            "--required-quorums",
            "0,1",
        ])
        .success();
    let signed = checked["signed"].as_array().unwrap();
    assert_eq!(signed.len(), 2, "{checked}");
    for quorum in signed {
        assert!(quorum["percent"].as_f64().unwrap() >= 55.0, "{checked}");
    }
    devnet.get_expecting(&certificate, "operators", &bytes);

    // A blob of quorum 1 alone is no answer to somebody who insists on quorum 0.
    let only = devnet.put_with("only", b"one quorum", &["--quorums", "1"]);
    devnet
        .run(["cert", "verify", only.to_str().unwrap()])
        .failure(3, "certificate.quorum_missing");
    let whichever = [
        "cert",
        "verify",
        only.to_str().unwrap(),
        "--required-quorums",
        "any",
    ];
    devnet.run(whichever).success();

    // Nor is one that is too old, and outside the devnet's folder a reader has to say what it insists on.
    let old = [
        "cert",
        "verify",
        certificate.to_str().unwrap(),
        "--max-age",
        "0s",
    ];
    devnet.run(old).failure(3, "certificate.expired");
    let elsewhere = |more: &[&str]| {
        let mut command = devnet.command(["cert", "verify", "--json"]);
        command
            .arg(&certificate)
            .args(more)
            .current_dir("/")
            .env_remove("ASHLAR_REQUIRED_QUORUMS")
            .env_remove("ASHLAR_MAX_AGE");
        Outcome::of(&mut command)
    };
    elsewhere(&["--max-age", "1d"]).failure(2, "usage");
    elsewhere(&["--required-quorums", "0"]).failure(2, "usage");
    elsewhere(&["--required-quorums", "0,1", "--max-age", "1d"]).success();
}

#[test]
fn rows_of_eip4844_are_used_as_they_are() {
    let devnet = Devnet::start();
    // Canonical field elements: the top byte of each is zero.
    let mut bytes = payload(11, 2 * 131_072);
    bytes
        .chunks_exact_mut(32)
        .for_each(|element| element[0] = 0);
    let certificate = devnet.put_with("blobs", &bytes, &["--encoding", "eip4844"]);
    let shown = devnet
        .run(["cert", "show", certificate.to_str().unwrap()])
        .success();
    assert_eq!(
        (shown["rows"].as_u64(), shown["encoding"].as_str()),
        (Some(2), Some("eip4844")),
        "{shown}"
    );
    devnet.get_expecting(&certificate, "operators", &bytes);
}

#[test]
fn a_payload_comes_from_standard_input_and_goes_to_standard_output() {
    let devnet = Devnet::start();
    let certificate = devnet.folder().join("stdin.cert");
    let mut put = devnet.command(["put", "-", "--json", "--cert"]);
    Outcome::of_with_input(put.arg(&certificate), b"from a pipe").success();
    let mut get = devnet.command(["get", "-o", "-", "--cert"]);
    let got = Outcome::of(get.arg(&certificate));
    assert_eq!(
        (got.code, got.stdout.as_str()),
        (0, "from a pipe"),
        "{}",
        got.stderr
    );
}

#[test]
fn put_without_waiting_answers_at_once_and_status_events_and_certificate_follow() {
    let devnet = Devnet::start();
    let bytes = payload(12, 40_000);
    let file = devnet.write("later", &bytes);
    let answer = devnet
        .run(["put", file.to_str().unwrap(), "--no-wait"])
        .success();
    let id = answer["id"].as_str().unwrap().to_owned();
    let base = format!("{}/v1/blobs/{id}", devnet.file.disperser_url);

    // The stream ends by itself when the last state is reached.
    let (status, events) = crate::support::http_get(&format!("{base}/events")).unwrap();
    assert_eq!(status, 200, "{events}");
    assert!(events.contains("certified"), "{events}");

    let (status, text) = crate::support::http_get(&format!("{base}/status")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (status, value["state"].as_str()),
        (200, Some("certified")),
        "{text}"
    );

    // Both names of the blob lead to the same certificate.
    let key = value["key"].as_str().unwrap();
    let by_id =
        crate::support::http_request("GET", &format!("{base}/certificate?issued=first"), &[], b"")
            .unwrap();
    let by_key = format!(
        "{}/v1/blobs/{key}/certificate?issued=first",
        devnet.file.disperser_url
    );
    let by_key = crate::support::http_request("GET", &by_key, &[], b"").unwrap();
    assert_eq!((by_id.0, by_key.0), (200, 200));
    assert_eq!(by_id.2, by_key.2);
    let certificate = devnet.write("later.cert", &by_id.2);
    devnet.get_expecting(&certificate, "operators", &bytes);
}

#[test]
fn curl_users_post_the_bytes_and_wait_for_the_certificate() {
    let devnet = Devnet::start();
    let bytes = payload(13, 200_000);
    let url = format!("{}/v1/blobs?wait=certified", devnet.file.disperser_url);
    let headers = [("content-type", "application/octet-stream")];
    let (status, head, body) =
        crate::support::http_request("POST", &url, &headers, &bytes).unwrap();
    assert!(
        status == 200 || status == 201,
        "{head}\n{}",
        String::from_utf8_lossy(&body)
    );
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer["state"], "certified", "{answer}");

    let url = format!(
        "{}/v1/blobs/{}",
        devnet.file.disperser_url,
        answer["key"].as_str().unwrap()
    );
    let (status, _, relayed) = crate::support::http_request("GET", &url, &[], b"").unwrap();
    assert_eq!(status, 200);
    assert!(relayed == bytes, "the relay gave other bytes");
}

#[test]
fn the_portable_form_verifies_with_the_root_alone() {
    let devnet = Devnet::start();
    let certificate = devnet.put("p", b"portable");
    let portable = devnet.folder().join("p.portable");
    let shown = devnet
        .run([
            "cert",
            "portable",
            certificate.to_str().unwrap(),
            "-o",
            portable.to_str().unwrap(),
        ])
        .success();
    assert_eq!(shown["form"], "portable");
    let root = shown["table_root"].as_str().unwrap();
    let domain = shown["domain"].as_str().unwrap();
    let verify = |root: &str, domain: &str| {
        let arguments = [
            "cert",
            "verify",
            "--json",
            "--table-root",
            root,
            "--domain",
            domain,
        ];
        let mut command = devnet.command(arguments);
        Outcome::of(command.arg(&portable).env_remove("ASHLAR_TABLE"))
    };
    assert_eq!(verify(root, domain).success()["verified"], true);

    let other = format!("0x{}", "11".repeat(32));
    verify(&other, domain).failure(3, "certificate.table_root");
    verify(root, &other).failure(3, "certificate.other_domain");
}
