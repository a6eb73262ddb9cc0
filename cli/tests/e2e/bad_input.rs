//! What bad input gets, by command line and by HTTP: a stable code, the right exit code or status, and nothing half-written.

use std::path::PathBuf;

use crate::support::random::payload;
use crate::support::{Devnet, Outcome, http_request, texts};
use ashlar_proto::{Attestation, Bitmap, Certificate, OperatorIndex};
use serde_json::Value;

fn problem(
    devnet: &Devnet,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Value) {
    let url = format!("{}{path}", devnet.file.disperser_url);
    let (status, head, body) = http_request(method, &url, headers, body).expect("an answer");
    assert!(
        head.to_ascii_lowercase()
            .contains("application/problem+json"),
        "{head}"
    );
    (status, serde_json::from_slice(&body).unwrap())
}

#[track_caller]
fn refused(answer: (u16, Value), status: u16, code: &str) {
    assert_eq!(
        (answer.0, answer.1["code"].as_str().unwrap_or_default()),
        (status, code),
        "{}",
        answer.1
    );
}

#[test]
fn http_refuses_with_problem_documents() {
    let devnet = Devnet::start_with(&["--operators", "2"]);
    let raw = [("content-type", "application/octet-stream")];
    refused(
        problem(&devnet, "POST", "/v1/blobs", &raw, b""),
        400,
        "payload.empty",
    );
    refused(
        problem(&devnet, "POST", "/v1/blobs?quorums=9", &raw, b"x"),
        400,
        "quorum.unknown",
    );
    refused(
        problem(&devnet, "POST", "/v1/blobs?version=77", &raw, b"x"),
        400,
        "version.unknown",
    );

    // The declared length alone decides: the body never comes, and the answer does not wait for it.
    let declared = [
        ("content-type", "application/octet-stream"),
        ("content-length", "999999999"),
    ];
    refused(
        problem(&devnet, "POST", "/v1/blobs", &declared, b"only this"),
        413,
        "payload.too_large",
    );

    // An element that is not below the field's modulus, third of its row.
    let mut bytes = vec![0u8; 131_072];
    bytes[64..96].fill(0xff);
    let answer = problem(&devnet, "POST", "/v1/blobs?encoding=eip4844", &raw, &bytes);
    assert_eq!(answer.0, 400, "{}", answer.1);

    let unknown = format!("/v1/blobs/0x{}", "00".repeat(32));
    for tail in ["", "/status", "/certificate", "/events"] {
        refused(
            problem(&devnet, "GET", &format!("{unknown}{tail}"), &[], b""),
            404,
            "blob.unknown",
        );
    }
    let malformed = problem(&devnet, "GET", "/v1/blobs/zzz/status", &[], b"");
    assert_eq!(malformed.0, 400, "{}", malformed.1);
}

#[test]
fn put_refuses_before_anything_is_sent_or_written() {
    let devnet = Devnet::start_with(&["--operators", "2"]);
    let put = |name: &str, bytes: &[u8], more: &[&str]| {
        let file = devnet.write(name, bytes);
        let certificate = devnet.folder().join(format!("{name}.cert"));
        let mut command = devnet.command(["put", "--json"]);
        let outcome = Outcome::of(
            command
                .arg(&file)
                .arg("--cert")
                .arg(&certificate)
                .args(more),
        );
        assert!(!certificate.exists(), "a refused put wrote a certificate");
        outcome
    };
    let empty = put("empty", b"", &[]);
    assert_eq!(
        (empty.code, empty.error()["code"].as_str()),
        (1, Some("payload.empty")),
        "{}",
        empty.stderr
    );
    let large = put("large", &vec![1u8; (16 << 20) + 1], &[]);
    assert_eq!(
        (large.code, large.error()["code"].as_str()),
        (1, Some("payload.too_large")),
        "{}",
        large.stderr
    );
    let quorum = put("quorum", b"x", &["--quorums", "9"]);
    assert_eq!(quorum.code, 1, "{}", quorum.stderr);
    let twice = put("twice", b"x", &["--quorums", "0,0"]);
    assert_eq!(twice.code, 2, "{}", twice.stderr);
    put("option", b"x", &["--no-such-option"]).failure(2, "usage");
    let missing = devnet.run(["put", "no-such-file"]);
    missing.failure(4, "io.not_found");
}

/// One damage, the code it must get, and the damaged certificate.
fn damages(good: &Certificate, bytes: &[u8], other: &Certificate) -> Vec<(&'static str, Vec<u8>)> {
    let changed = |change: &dyn Fn(&mut Certificate)| {
        let mut certificate = good.clone();
        change(&mut certificate);
        certificate.to_bytes()
    };
    let signers = |keep: &dyn Fn(u32) -> bool| {
        let Attestation::Compact { signers } = &good.attestation else {
            panic!("put writes compact certificates")
        };
        let kept =
            Bitmap::from_indices(signers.len(), signers.iter().filter(|index| keep(index.0)))
                .unwrap();
        Attestation::Compact { signers: kept }
    };
    let mut other_magic = bytes.to_vec();
    other_magic[0] ^= 1;
    let mut trailing = bytes.to_vec();
    trailing.push(0);
    vec![
        ("certificate.magic", other_magic),
        ("certificate.truncated", bytes[..bytes.len() - 1].to_vec()),
        ("certificate.trailing", trailing),
        (
            "certificate.blob_path",
            changed(&|c| c.blob_header.salt ^= 1),
        ),
        (
            "certificate.blob_path",
            changed(&|c| c.batch_header.batch_root[0] ^= 1),
        ),
        (
            "certificate.signature_invalid",
            changed(&|c| c.batch_header.sequence.0 += 1),
        ),
        (
            "certificate.signature_invalid",
            changed(&|c| c.batch_header.created_at_ms += 1),
        ),
        (
            "certificate.signature_invalid",
            changed(&|c| c.signature = other.signature),
        ),
        (
            "certificate.signature_malformed",
            changed(&|c| c.signature.0 = [0xff; 48]),
        ),
        (
            "certificate.other_domain",
            changed(&|c| c.batch_header.domain.0[0] ^= 1),
        ),
        (
            "certificate.table_root",
            changed(&|c| c.batch_header.table_root.0[0] ^= 1),
        ),
        (
            "certificate.signature_invalid",
            changed(&|c| c.attestation = signers(&|index| index != 0)),
        ),
        (
            "certificate.no_signers",
            changed(&|c| c.attestation = signers(&|_| false)),
        ),
        (
            "certificate.bitmap_length",
            changed(&|c| {
                c.attestation = Attestation::Compact {
                    signers: Bitmap::from_indices(7, (0..7).map(OperatorIndex)).unwrap(),
                }
            }),
        ),
    ]
}

#[test]
fn every_damage_to_a_certificate_has_its_own_code() {
    let devnet = Devnet::start();
    let path = devnet.put("p", &payload(41, 70_000));
    let other =
        Certificate::from_bytes(&std::fs::read(devnet.put("q", &payload(42, 70_000))).unwrap())
            .unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let good = Certificate::from_bytes(&bytes).unwrap();
    for (number, (code, damaged)) in damages(&good, &bytes, &other).into_iter().enumerate() {
        let file = devnet.write(&format!("damaged-{number}"), &damaged);
        devnet
            .run(["cert", "verify", file.to_str().unwrap()])
            .failure(3, code);
        // `get` checks before it asks anybody, and writes nothing.
        let (outcome, wrote) = devnet.get(&file, "auto");
        outcome.failure(3, code);
        assert_eq!(wrote, None);
    }
    // Every truncation is refused; none is taken for something else.
    for len in 0..bytes.len() {
        assert!(
            Certificate::from_bytes(&bytes[..len]).is_err(),
            "cut to {len} bytes"
        );
    }
    let untouched = devnet
        .run(["cert", "verify", path.to_str().unwrap()])
        .success();
    assert_eq!(untouched["verified"], true);
}

#[test]
fn the_table_of_another_network_is_not_the_certificates() {
    // The other ledger first: it is never behind, so it has a table for every block of ours.
    let other = Devnet::start_with(&["--operators", "2"]);
    let devnet = Devnet::start_with(&["--operators", "2"]);
    let certificate = devnet.put("p", b"mine");
    let mut command = devnet.command(["cert", "verify", "--json"]);
    command
        .env("ASHLAR_TABLE", texts(&other.file.tables.tables))
        .env("ASHLAR_HEAD_KEY", texts(&other.file.tables.head_keys));
    Outcome::of(command.arg(&certificate)).failure(3, "certificate.other_domain");
}

#[test]
fn get_never_leaves_a_part_of_a_file_and_never_replaces_one_by_less() {
    let mut devnet = Devnet::start_with(&["--operators", "2"]);
    let certificate = devnet.put("p", &payload(43, 200_000));
    for index in 0..2 {
        devnet.kill_node(index);
    }
    let out = devnet.write("out", b"what was there before");
    let mut command = devnet.command(["get", "--json", "--from", "operators", "--cert"]);
    let outcome = Outcome::of(command.arg(&certificate).arg("-o").arg(&out));
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(std::fs::read(&out).unwrap(), b"what was there before");
    let left: Vec<PathBuf> = std::fs::read_dir(devnet.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "part")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn keys_ask_for_a_password_and_never_overwrite() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "correct horse\n").unwrap();
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "battery staple\n").unwrap();
    let key = folder.path().join("bls.json");
    let keys = |arguments: &[&str], password: Option<&PathBuf>| {
        let mut command = std::process::Command::new(crate::support::binary());
        command
            .args(["keys", "--json"])
            .args(arguments)
            .stdin(std::process::Stdio::null());
        // No terminal: a prompt cannot be answered, and must not be waited for.
        if let Some(path) = password {
            command.arg("--password-file").arg(path);
        }
        Outcome::of(&mut command)
    };
    let key_text = key.to_str().unwrap();
    let made = keys(
        &["new", "bls", "--light", "--out", key_text],
        Some(&password),
    )
    .success();
    keys(
        &["new", "bls", "--light", "--out", key_text],
        Some(&password),
    )
    .failure(2, "io.exists");
    let shown = keys(&["show", key_text], None).success();
    assert_eq!(
        (&shown["operator_id"], &shown["public_key"]),
        (&made["operator_id"], &made["public_key"])
    );
    let proven = keys(&["show", key_text, "--possession"], Some(&password)).success();
    assert_eq!(proven["proof_of_possession"], made["proof_of_possession"]);
    keys(&["show", key_text, "--possession"], Some(&wrong)).failure(2, "keystore.wrong_password");
    let damaged = folder.path().join("damaged.json");
    std::fs::write(&damaged, "{}").unwrap();
    let outcome = keys(&["show", damaged.to_str().unwrap()], None);
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
}

#[test]
fn commands_teach() {
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::support::binary());
        // A folder without a devnet, an environment without our variables.
        command
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env_remove("ASHLAR_DISPERSER")
            .env_remove("ASHLAR_TABLE")
            .stdin(std::process::Stdio::null());
        Outcome::of(&mut command)
    };
    let help = run(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Exit codes:") && help.stderr.is_empty());
    let homeless = run(&["--json", "operators", "show"]).failure(2, "usage");
    assert!(
        homeless["next"].as_str().unwrap().contains("ASHLAR_TABLE"),
        "{homeless}"
    );
    // Without --json the same is said in words, on standard error, and nothing on standard output.
    let words = run(&["operators", "show"]);
    assert_eq!((words.code, words.stdout.as_str()), (2, ""));
    assert!(
        words.stderr.starts_with("error: ") && words.stderr.contains("next: "),
        "{}",
        words.stderr
    );
}
