//! A devnet in which each process has a host of its own: network namespaces, joined by links that delay, lose and reorder packets.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ashlar_cli::devnet::Plan;
use ashlar_cli::devnet::layout::{DEFAULT_DIR, DevnetFile};
use ashlar_cli::devnet::setup::{Listener, create_at};
use ashlar_disperser::DisperserConfig;
use ashlar_testing::hosts::Hosts;
use ashlar_testing::random::Random;
use ashlar_testing::switch::{Link, Switch};
use serde_json::Value;

use super::{Outcome, binary, http_get, http_request, print_log, wait_for};

/// The disperser's host.
pub const DISPERSER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
/// The host of those who post and read.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 101);
/// Looks at everything over perfect links, whatever happens to the others'.
const CONTROL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);

/// An operator's host.
pub fn operator(index: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 1 + u8::try_from(index).unwrap())
}

/// Eight operators with stakes 30, 20, 15, 10, 10, 7, 5, 3, a disperser and a client.
pub struct World {
    pub hosts: Hosts,
    pub file: DevnetFile,
    pub random: Random,
    seed: u64,
    folder: tempfile::TempDir,
    nodes: Vec<Child>,
    disperser: Child,
}

impl World {
    /// With this link between any two. `None`, and said aloud, where there are no hosts to be had.
    pub fn start(
        test: &str,
        link: Link,
        change: impl FnOnce(&mut DisperserConfig),
    ) -> Option<World> {
        let mut random = Random::from_env(test);
        let seed = random.next();
        let plan = Plan::new(None, None, &[]).unwrap();
        let mut addresses: Vec<_> = (0..plan.operators()).map(operator).collect();
        addresses.extend([DISPERSER, CLIENT, CONTROL]);
        let mut switch = Switch::new(seed, link);
        switch.set_host(CONTROL, Link::PERFECT);
        let hosts = match Hosts::new(&addresses, switch) {
            Ok(hosts) => hosts,
            Err(error) => {
                println!("{test}: SKIPPED, there are no network namespaces or devices: {error}");
                return None;
            }
        };
        let folder = tempfile::Builder::new()
            .prefix("ashlar-hosts-")
            .tempdir()
            .unwrap();
        // Commands in the folder find it by themselves.
        let dir = folder.path().join(DEFAULT_DIR);
        std::fs::create_dir_all(&dir).unwrap();
        let file = create_at(&dir, &plan, false, |listener| match listener {
            Listener::Disperser => format!("{DISPERSER}:7500"),
            Listener::Ledger => unreachable!("there is none"),
            Listener::NodeQuic(index) => format!("{}:7400", operator(index)),
            Listener::NodeHttp(index) => format!("{}:7480", operator(index)),
        })
        .unwrap();
        let path = file.disperser.dir.join("disperser.toml");
        let mut config = DisperserConfig::load(&path).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_toml().unwrap()).unwrap();

        let start = |host, what, dir: &Path| hosts.on(host, || spawn(what, dir));
        let nodes = file.nodes.iter().enumerate();
        let world = World {
            nodes: nodes
                .map(|(index, node)| start(operator(index), "node", &node.dir))
                .collect(),
            disperser: start(DISPERSER, "disperser", &file.disperser.dir),
            hosts,
            file,
            random,
            seed,
            folder,
        };
        for node in &world.file.nodes {
            world.wait_ready(&node.http);
        }
        world.wait_ready(&world.file.disperser_url);
        Some(world)
    }

    /// What a process answers, over a link on which nothing is lost.
    pub fn look(&self, url: &str) -> Option<(u16, String)> {
        self.hosts.on(CONTROL, || http_get(url))
    }

    fn wait_ready(&self, base: &str) {
        let url = format!("{base}/v1/health");
        wait_for("a process to be ready", || {
            self.look(&url).is_some_and(|(status, _)| status == 200)
        });
    }

    /// The sum of a metric of the disperser over all labels of which this is one.
    pub fn count(&self, metric: &str, label: &str) -> u64 {
        sum(&self.metrics(&self.file.disperser_url), metric, label)
    }

    /// How many batches an operator has signed since it was started.
    pub fn signed_batches(&self, index: usize) -> u64 {
        let page = self.metrics(&self.file.nodes[index].http);
        sum(&page, "ashlar_node_signed_batches_total", "")
    }

    fn metrics(&self, base: &str) -> String {
        self.look(&format!("{base}/metrics")).unwrap().1
    }

    /// The disperser's health.
    pub fn health(&self) -> (u16, String) {
        let url = format!("{}/v1/health", self.file.disperser_url);
        self.look(&url).unwrap()
    }

    /// Posts as `curl` would, from the client's host; the blob's id.
    pub fn post(&self, payload: &[u8]) -> String {
        let (status, answer) = self.post_to("/v1/blobs", payload);
        assert_eq!(status, 202, "{answer}");
        answer["id"].as_str().unwrap().to_owned()
    }

    /// The same, and waits for the certificate: the id, and how long it took, from the first packet of the connection on.
    pub fn post_and_wait(&self, payload: &[u8]) -> (String, Duration) {
        let began = Instant::now();
        let (status, answer) = self.post_to("/v1/blobs?wait=certified", payload);
        assert_eq!(
            (status, &answer["state"]),
            (200, &"certified".into()),
            "{answer}"
        );
        (answer["id"].as_str().unwrap().to_owned(), began.elapsed())
    }

    fn post_to(&self, path: &str, payload: &[u8]) -> (u16, Value) {
        let url = format!("{}{path}", self.file.disperser_url);
        let headers = [("content-type", "application/octet-stream")];
        let post = || http_request("POST", &url, &headers, payload);
        let (status, _, body) = self.hosts.on(CLIENT, post).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Where a blob is: `queued`, …, `certified` or `failed`.
    pub fn state(&self, id: &str) -> String {
        let url = format!("{}/v1/blobs/{id}/status", self.file.disperser_url);
        let (status, text) = self.look(&url).unwrap();
        assert_eq!(
            status, 200,
            "the disperser forgot what it had accepted: {text}"
        );
        let status: Value = serde_json::from_str(&text).unwrap();
        status["state"].as_str().unwrap().to_owned()
    }

    /// Fetches a blob's certificate, and with it the payload from the operators, which must be this.
    pub fn get_expecting(&self, id: &str, payload: &[u8]) {
        let url = format!("{}/v1/blobs/{id}/certificate", self.file.disperser_url);
        let ask = || http_request("GET", &url, &[], b"");
        let (status, _, body) = self.hosts.on(CLIENT, ask).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let certificate = self.write(&format!("{id}.cert"), &body);
        let out = self.folder.path().join(format!("{id}.out"));
        let (certificate, out) = (certificate.to_str().unwrap(), out.to_str().unwrap());
        self.run(&[
            "get",
            "--cert",
            certificate,
            "-o",
            out,
            "--from",
            "operators",
        ])
        .success();
        assert!(
            std::fs::read(out).unwrap() == payload,
            "other bytes came back"
        );
    }

    /// `ashlar ARGUMENTS… --json` on the client's host.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .arg("--json")
            .current_dir(self.folder.path())
            .env_remove("ASHLAR_LOG")
            .stdin(Stdio::null());
        self.hosts.on(CLIENT, || Outcome::of(&mut command))
    }

    /// A file in the test's folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// SIGKILL to an operator, and its end.
    pub fn kill_node(&mut self, index: usize) {
        end(&mut self.nodes[index]);
    }

    /// Starts a killed operator with the files in its folder; returns when it is ready.
    pub fn restart_node(&mut self, index: usize) {
        let dir = &self.file.nodes[index].dir;
        self.nodes[index] = self.hosts.on(operator(index), || spawn("node", dir));
        self.wait_ready(&self.file.nodes[index].http);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(end);
        end(&mut self.disperser);
        if std::thread::panicking() {
            let count = self.hosts.switch().count();
            println!("seed of the links {}, packets: {count:?}", self.seed);
            for node in &self.file.nodes {
                print_log(&node.dir.join("log"));
            }
            print_log(&self.file.disperser.dir.join("log"));
        }
    }
}

/// On the host that the thread is on. It ends when we do.
fn spawn(what: &str, dir: &Path) -> Child {
    let log = std::fs::File::options()
        .append(true)
        .create(true)
        .open(dir.join("log"));
    Command::new(binary())
        .args([what, "run", "--exit-with-parent", "--config"])
        .arg(dir.join(format!("{what}.toml")))
        .arg("--password-file")
        .arg(dir.join("password"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn sum(page: &str, metric: &str, label: &str) -> u64 {
    let lines = page
        .lines()
        .filter(|line| line.starts_with(metric) && line.contains(label));
    lines
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}
