//! A gateway in a process of its own, beside a devnet: it reads for others, and keeps what it has read.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::support::random::payload;
use crate::support::{Devnet, get_json};

struct Gateway {
    process: Child,
    url: String,
}

impl Gateway {
    fn start(devnet: &Devnet) -> Self {
        let mut command =
            devnet.command(["gateway", "run", "--json", "--exit-with-parent", "--config"]);
        command.arg(devnet.folder().join("gw/gateway.toml"));
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.unwrap();
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let running: serde_json::Value = serde_json::from_str(&line).unwrap();
        let url = format!("http://{}", running["http"].as_str().unwrap());
        Self { process, url }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_gateway_reads_for_others_and_needs_nobody_for_what_it_has_read() {
    let mut devnet = Devnet::start();
    let bytes = payload(91, 2_000_000);
    let certificate = devnet.put("p", &bytes);
    let folder = devnet.folder().join("gw");
    let mut init = devnet.command([
        "gateway",
        "init",
        "--json",
        "--http",
        "127.0.0.1:0",
        "--dir",
    ]);
    init.arg(&folder);
    init.args(["--required-quorums", "0", "--max-age", "14d"]);
    init.args(["--disperser", &devnet.file.disperser_url]);
    crate::support::Outcome::of(&mut init).success();
    let gateway = Gateway::start(&devnet);
    crate::support::wait_for("the gateway's operator table", || {
        get_json(&format!("{}/v1/health", gateway.url))["status"] == "ready"
    });

    let read = |devnet: &Devnet, gateway: &Gateway, out: &str| {
        let out = devnet.folder().join(out);
        let mut command = devnet.command(["get", "--json", "--from", "relay", "--disperser"]);
        command.arg(&gateway.url).arg("--cert").arg(&certificate);
        let begin = Instant::now();
        let outcome = crate::support::Outcome::of(command.arg("-o").arg(&out));
        let report = outcome.success();
        assert_eq!(report["via"], "relay", "{report}");
        assert!(std::fs::read(&out).unwrap() == bytes);
        begin.elapsed()
    };
    let first = read(&devnet, &gateway, "first");
    let second = read(&devnet, &gateway, "second");
    println!("first read {first:?}, second {second:?}");
    let status = get_json(&format!("{}/v1/operators", gateway.url));
    assert!(status["operators"].is_array(), "{status}");
    gateway.kill();
    // A SIGKILL later, with neither disperser nor operators.
    devnet.kill_disperser();
    for node in 0..devnet.file.nodes.len() {
        devnet.kill_node(node);
    }
    let gateway = Gateway::start(&devnet);
    read(&devnet, &gateway, "third");
    gateway.kill();
}
