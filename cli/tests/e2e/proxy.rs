//! A proxy in a process of its own beside a devnet, as an OP batcher and an OP node ask it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::support::random::payload;
use crate::support::{Devnet, get_json, http_request, wait_for};

struct Proxy {
    process: Child,
    url: String,
}

impl Proxy {
    /// In the folder of the devnet, whose disperser and tables it finds there by itself.
    fn start(devnet: &Devnet, more: &[&str]) -> Self {
        let mut command = devnet.command(["proxy", "run", "--json", "--exit-with-parent"]);
        command.args(["--http", "127.0.0.1:0"]);
        command.args(["--disperser", &devnet.file.disperser_url]);
        command.args(["--required-quorums", "0"]);
        let heads = devnet.folder().join("proxy/heads").display().to_string();
        command.args(["--set", &format!("paths.heads={heads}")]);
        let process = command
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = process.spawn().unwrap();
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let running: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = format!("http://{}", running["http"].as_str().unwrap());
        let proxy = Self { process, url };
        wait_for("the proxy's operator table", || {
            get_json(&format!("{}/v1/health", proxy.url))["status"] == "ready"
        });
        proxy
    }

    fn put(&self, bytes: &[u8]) -> (u16, Vec<u8>) {
        let (status, _, body) =
            http_request("POST", &format!("{}/put", self.url), &[], bytes).unwrap();
        (status, body)
    }

    fn get(&self, commitment: &[u8]) -> (u16, Vec<u8>) {
        let url = format!("{}/get/0x{}", self.url, hex(commitment));
        let (status, _, body) = http_request("GET", &url, &[], b"").unwrap();
        (status, body)
    }

    fn metric(&self, name: &str) -> String {
        let url = format!("{}/metrics", self.url);
        let (_, _, text) = http_request("GET", &url, &[], b"").unwrap();
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next());
        value.unwrap_or_default().to_owned()
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_rollups_frames_outlive_its_proxy_its_disperser_and_a_third_of_the_operators() {
    // A table file: a devnet whose operators are all gone ends, and its ledger with it.
    let mut devnet = Devnet::start_with(&["--no-ledger"]);
    let fallback = devnet.folder().join("archive").display().to_string();
    let archive = format!("store.fallback={fallback}");
    let proxy = Proxy::start(&devnet, &["--set", &archive]);
    let frames: Vec<Vec<u8>> = (0..4).map(|seed| payload(seed, 120_000)).collect();
    let mut commitments = Vec::new();
    for frame in &frames {
        let begin = Instant::now();
        let (status, commitment) = proxy.put(frame);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&commitment));
        println!("a frame posted in {:?}", begin.elapsed());
        assert_eq!(commitment[..3], [1, 0xa5, 1]);
        commitments.push(commitment);
    }

    // The answer got lost, and the proxy is killed: its next process finds the same blob.
    proxy.kill();
    let proxy = Proxy::start(&devnet, &["--set", &archive]);
    let (status, again) = proxy.put(&frames[0]);
    assert_eq!(status, 200);
    assert_eq!(proxy.metric("ashlar_proxy_found_again_total"), "1");
    // More operators may have signed by now: it is the same blob, under a certificate that may be another.
    let key = |commitment: &[u8]| {
        let certificate = ashlar_proto::Certificate::from_bytes(&commitment[3..]).unwrap();
        certificate.blob_header.blob_key()
    };
    assert_eq!(key(&again), key(&commitments[0]));

    // Readers need no disperser, and not all operators.
    devnet.kill_disperser();
    devnet.kill_node(0);
    for (frame, commitment) in frames.iter().zip(&commitments) {
        let (status, got) = proxy.get(commitment);
        assert!(status == 200 && got == *frame, "{status}");
    }
    // A frame that cannot be posted is no success, and no 404 for a reader makes an end of the chain.
    let mut other = commitments[0].clone();
    let last = other.len() - 1;
    other[last] ^= 1;
    let (status, got) = proxy.get(&other);
    assert!(status == 200 && got.is_empty(), "{status}");

    // Past all of them: the archive.
    for node in 1..devnet.file.nodes.len() {
        devnet.kill_node(node);
    }
    proxy.kill();
    let proxy = Proxy::start(
        &devnet,
        &[
            "--mode",
            "read-only",
            "--set",
            &archive,
            "--set",
            "get.deadline_secs=10",
        ],
    );
    let (status, got) = proxy.get(&commitments[1]);
    assert!(status == 200 && got == frames[1], "{status}");
    assert_eq!(proxy.put(&frames[0]).0, 403);
    proxy.kill();
    let proxy = Proxy::start(
        &devnet,
        &["--mode", "read-only", "--set", "get.deadline_secs=5"],
    );
    let (status, _) = proxy.get(&commitments[1]);
    assert!(status >= 500, "{status}");
    proxy.kill();
}

/// Runs the stack's own code; it says what it did.
fn conforms(program: &std::path::Path, arguments: &[&str]) {
    let done = std::process::Command::new(program).args(arguments).output();
    let done = done.unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    assert!(
        done.status.success() && said.trim_end().ends_with("conforms"),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

/// Aloud; continuous integration (`CI`) has to run it.
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    println!("SKIPPED: {why}, so the OP Stack's own client is not run");
}

#[test]
fn the_op_stacks_own_client_and_derivation_conform() {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy/conformance");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("conformance");
    let go = ["go", "/usr/local/go/bin/go"].into_iter().find(|go| {
        let asked = std::process::Command::new(go).arg("version").output();
        asked.is_ok_and(|asked| asked.status.success())
    });
    let Some(go) = go else {
        return skip("Go is not installed");
    };
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(go);
        command.args(arguments).current_dir(&sources);
        let done = command.output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.success(), said)
    };
    // It downloads what is missing, and compiles nothing.
    let (has_modules, said) = run(&["list", "-deps", "."]);
    if !has_modules {
        return skip(&format!("its modules cannot be had: {said}"));
    }
    let (built, said) = run(&["build", "-o", &program.display().to_string(), "."]);
    assert!(built, "{said}");

    let devnet = Devnet::start();
    let keccak = devnet.folder().join("keccak").display().to_string();
    let keccak = format!("store.keccak={keccak}");
    let proxy = Proxy::start(&devnet, &["--set", &keccak]);
    conforms(&program, &[&proxy.url]);
    proxy.kill();
    let proxy = Proxy::start(&devnet, &["--mode", "memory", "--set", &keccak]);
    conforms(&program, &[&proxy.url, "memory"]);
    proxy.kill();
}
