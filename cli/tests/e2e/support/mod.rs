//! A devnet of real processes for one test: started in a folder of its own on free ports, gone when it is dropped.
//!
//! It runs the `ashlar` binary just as a person would. Whatever happens to the test, nothing outlives it: the devnet
//! watches its standard input, and its children watch theirs.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use ashlar_cli::devnet::layout::{DevnetFile, NodeEntry};
use ashlar_proto::Certificate;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub mod browser;
pub mod evil;
pub mod load;
pub mod world;

pub use ashlar_testing::random;

/// No single step of a test may take longer, on a busy machine with two cores.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_ashlar"))
}

pub struct Devnet {
    folder: tempfile::TempDir,
    watcher: Child,
    pub file: DevnetFile,
    /// Processes that a test restarted by itself.
    restarted: Vec<Child>,
    /// Operators that a test ended.
    down: BTreeSet<usize>,
}

impl Devnet {
    /// Eight operators with stakes 30, 20, 15, 10, 10, 7, 5, 3 in quorum 0.
    pub fn start() -> Devnet {
        Devnet::start_with(&[])
    }

    pub fn start_with(arguments: &[&str]) -> Devnet {
        let folder = tempfile::Builder::new()
            .prefix("ashlar-test-")
            .tempdir()
            .unwrap();
        let dir = folder.path().join("devnet");
        let ready = folder.path().join("ready");
        let mut watcher = Command::new(binary())
            .args(["devnet", "--exit-with-parent", "--dir"])
            .arg(&dir)
            .arg("--ready-file")
            .arg(&ready)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::from(
                std::fs::File::create(folder.path().join("devnet.log")).unwrap(),
            ))
            .spawn()
            .unwrap();
        let log = folder.path().join("devnet.log");
        wait_for("the devnet to be ready", || {
            if let Some(status) = watcher.try_wait().unwrap() {
                panic!(
                    "the devnet ended: {status}\n{}",
                    std::fs::read_to_string(&log).unwrap_or_default()
                );
            }
            ready.exists()
        });
        let file = DevnetFile::read(&dir)
            .unwrap()
            .expect("a ready devnet has its file");
        Devnet {
            folder,
            watcher,
            file,
            restarted: Vec::new(),
            down: BTreeSet::new(),
        }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn node(&self, index: usize) -> &NodeEntry {
        &self.file.nodes[index]
    }

    /// A file in the test's folder.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// `ashlar ARGUMENTS…` with this devnet's disperser and table in the environment.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .current_dir(self.folder())
            .env("ASHLAR_DISPERSER", &self.file.disperser_url)
            .env("ASHLAR_TABLE", texts(&self.file.tables.tables))
            .envs(
                Some(("ASHLAR_HEAD_KEY", texts(&self.file.tables.head_keys)))
                    .filter(|(_, keys)| !keys.is_empty()),
            )
            .envs(
                self.file
                    .ledger
                    .as_ref()
                    .map(|ledger| ("ASHLAR_LEDGER", &ledger.url)),
            )
            .env("ASHLAR_REQUIRED_QUORUMS", "0")
            .env("ASHLAR_MAX_AGE", "14d")
            .env_remove("ASHLAR_LOG")
            .stdin(Stdio::null());
        command
    }

    /// Runs `ashlar --json ARGUMENTS…` to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        Outcome::of(self.command(arguments).arg("--json"))
    }

    /// `ashlar put`, which must work; the path of the certificate that all operators who are up have signed.
    pub fn put(&self, name: &str, payload: &[u8]) -> PathBuf {
        let certificate = self.put_with(name, payload, &[]);
        let up = self.file.nodes.len() - self.down.len();
        self.wait_for_signers(&certificate, u32::try_from(up).unwrap());
        certificate
    }

    /// Waits until so many operators have signed; the file gets the certificate that says so.
    pub fn wait_for_signers(&self, certificate: &Path, signers: u32) {
        let first = Certificate::from_bytes(&std::fs::read(certificate).unwrap()).unwrap();
        let key = first.blob_header.blob_key();
        let url = format!("{}/v1/blobs/{key}/certificate", self.file.disperser_url);
        wait_for("all operators to sign", || {
            let (_, _, bytes) = http_request("GET", &url, &[], b"").unwrap_or_default();
            let better = Certificate::from_bytes(&bytes).ok();
            let enough = better.is_some_and(|better| better.claimed_signers().0 >= signers);
            if enough {
                std::fs::write(certificate, bytes).unwrap();
            }
            enough
        });
    }

    /// The same without a wait for more signatures than a certificate needs.
    pub fn put_with(&self, name: &str, payload: &[u8], more: &[&str]) -> PathBuf {
        let file = self.write(name, payload);
        let certificate = self.folder().join(format!("{name}.cert"));
        let mut command = self.command(["put"]);
        command
            .arg(&file)
            .arg("--cert")
            .arg(&certificate)
            .args(more)
            .arg("--json");
        Outcome::of(&mut command).success();
        assert!(certificate.exists(), "put wrote no certificate");
        certificate
    }

    /// `ashlar get`: its report and the bytes it wrote, if it did.
    pub fn get(&self, certificate: &Path, from: &str) -> (Outcome, Option<Vec<u8>>) {
        let out = self.folder().join(format!("out-{}", random::name()));
        let mut command = self.command(["get", "--cert"]);
        command
            .arg(certificate)
            .arg("-o")
            .arg(&out)
            .args(["--from", from, "--json"]);
        let outcome = Outcome::of(&mut command);
        let bytes = std::fs::read(&out).ok();
        if let Some(bytes) = &bytes {
            assert!(
                outcome.code == 0,
                "get failed and yet left {} bytes",
                bytes.len()
            );
        }
        (outcome, bytes)
    }

    /// `ashlar get`, which must give these bytes.
    pub fn get_expecting(&self, certificate: &Path, from: &str, expected: &[u8]) -> Value {
        let (outcome, bytes) = self.get(certificate, from);
        let report = outcome.success();
        let bytes = bytes.expect("get wrote its file");
        assert!(
            bytes == expected,
            "get from {from} gave other bytes ({} and not {})",
            bytes.len(),
            expected.len()
        );
        report
    }

    /// The payload of a blob out of what operators hold, by the certificate that the disperser has; it must be these bytes.
    pub fn get_from_operators(&self, blob: &str, expected: &[u8]) {
        let url = format!("{}/v1/blobs/{blob}/certificate", self.file.disperser_url);
        let (_, _, certificate) = http_request("GET", &url, &[], b"").unwrap();
        let file = self.write(&format!("{blob}.cert"), &certificate);
        self.get_expecting(&file, "operators", expected);
        std::fs::remove_file(file).unwrap();
    }

    /// SIGKILL to an operator, and its end.
    pub fn kill_node(&mut self, index: usize) {
        let pid = self.file.nodes[index].pid;
        self.down.insert(index);
        self.kill(pid);
    }

    /// SIGKILL to the disperser, and its end.
    pub fn kill_disperser(&mut self) {
        self.kill(self.file.disperser.pid);
    }

    /// SIGKILL to the ledger, and its end.
    pub fn kill_ledger(&mut self) {
        self.kill(self.file.ledger.as_ref().unwrap().pid);
    }

    /// SIGTERM to an operator, and its end.
    pub fn stop_node(&mut self, index: usize) {
        self.down.insert(index);
        self.stop(self.file.nodes[index].pid);
    }

    /// SIGTERM to a process, and its end.
    pub fn stop(&mut self, pid: u32) {
        self.end(pid, Signal::SIGTERM);
    }

    /// SIGKILL to a process, and its end.
    pub fn kill(&mut self, pid: u32) {
        self.end(pid, Signal::SIGKILL);
    }

    fn end(&mut self, pid: u32, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
        if let Some(at) = self.restarted.iter().position(|child| child.id() == pid) {
            self.restarted.remove(at).wait().unwrap();
        }
        // The devnet reaps its own children; until then the process exists as a zombie, and once its last other thread is gone it holds
        // no port and no lock.
        wait_for(
            "a killed process to be gone",
            || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
                Err(_) => true,
                Ok(stat) => {
                    let state = stat.rsplit(')').next().map(str::trim_start);
                    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
                    state.is_some_and(|state| state.starts_with('Z'))
                        && threads.map_or(0, Iterator::count) <= 1
                }
            },
        );
    }

    /// Starts a killed operator again with its own files; returns when it is ready.
    pub fn restart_node(&mut self, index: usize) {
        let dir = self.file.nodes[index].dir.clone();
        let http = self.file.nodes[index].http.clone();
        let pid = self.restart(&["node", "run"], &dir, "node.toml", true, &http);
        self.file.nodes[index].pid = pid;
        self.down.remove(&index);
    }

    /// Starts a killed disperser again with its own files; returns when it is ready.
    pub fn restart_disperser(&mut self) {
        let dir = self.file.disperser.dir.clone();
        let url = self.file.disperser_url.clone();
        let command = ["disperser", "run"];
        self.file.disperser.pid = self.restart(&command, &dir, "disperser.toml", true, &url);
    }

    /// Waits until the disperser is ready, and starts it as an init system does whenever it has ended. Whoever is not patient ends it
    /// when it is not ready by then.
    pub fn revive_disperser(&mut self, patience: Duration) {
        let health = format!("{}/v1/health", self.file.disperser_url);
        let start = Instant::now();
        while http_get(&health).is_none_or(|(status, _)| status != 200) {
            let pid = self.file.disperser.pid;
            let mut running = self.restarted.iter_mut().filter(|child| child.id() == pid);
            match running.next().map(|child| child.try_wait().unwrap()) {
                Some(None) if start.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Some(None) => {
                    self.kill_disperser();
                    self.restart_disperser();
                }
                _ => self.restart_disperser(),
            }
        }
    }

    /// Starts a killed ledger again with its own files; returns when it is ready.
    pub fn restart_ledger(&mut self) {
        let ledger = self.file.ledger.clone().unwrap();
        let command = ["stake", "serve"];
        let pid = self.restart(&command, &ledger.dir, "ledger.toml", false, &ledger.url);
        self.file.ledger.as_mut().unwrap().pid = pid;
    }

    /// Starts a process with the files in a folder, its log beside that; returns when it is ready.
    pub fn restart(
        &mut self,
        command: &[&str],
        dir: &Path,
        config: &str,
        has_password: bool,
        base: &str,
    ) -> u32 {
        let pid = self.spawn(command, dir, config, has_password);
        let url = format!("{base}/v1/health");
        wait_for("a restarted process to be ready", || {
            http_get(&url).is_some_and(|(status, _)| status == 200)
        });
        pid
    }

    /// The same without a wait.
    pub fn spawn(&mut self, command: &[&str], dir: &Path, config: &str, has_password: bool) -> u32 {
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(dir.with_extension("log"))
            .unwrap();
        let password = [
            OsStr::new("--password-file").to_owned(),
            dir.join("password").into(),
        ];
        let child = Command::new(binary())
            .args(command)
            .args(["--exit-with-parent", "--config"])
            .arg(dir.join(config))
            .args(password.iter().filter(|_| has_password))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let pid = child.id();
        self.restarted.push(child);
        pid
    }

    /// The pids of everything this devnet started.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.file.nodes.iter().map(|node| node.pid).collect();
        pids.push(self.file.disperser.pid);
        pids.extend(self.file.ledger.as_ref().map(|ledger| ledger.pid));
        pids
    }

    /// SIGKILL to the process that watches over the devnet: it cannot clean up.
    pub fn kill_watcher(&mut self) {
        self.watcher.kill().unwrap();
        self.watcher.wait().unwrap();
    }

    /// SIGTERM to the watcher, and its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        kill(
            Pid::from_raw(i32::try_from(self.watcher.id()).unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        let mut status = None;
        wait_for("the devnet to end", || {
            status = self.watcher.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    fn print_logs(&self) {
        let mut logs = vec![
            self.folder().join("devnet.log"),
            self.file.disperser.dir.join("log"),
        ];
        logs.extend(self.file.ledger.iter().map(|ledger| ledger.dir.join("log")));
        logs.extend(self.file.nodes.iter().map(|node| node.dir.join("log")));
        // Of processes that were started again, it is beside their folder.
        let again = logs.iter().filter_map(|log| log.parent());
        let again: Vec<PathBuf> = again.map(|dir| dir.with_extension("log")).collect();
        for log in logs.into_iter().chain(again) {
            print_log(&log);
        }
    }
}

/// The end of a process's log, for whoever looks why a test failed.
fn print_log(log: &Path) {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return;
    }
    eprintln!("---- {} (last lines)", log.display());
    for line in lines.iter().skip(lines.len().saturating_sub(15)) {
        eprintln!("{line}");
    }
}

impl Drop for Devnet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        for child in &mut self.restarted {
            let _ = child.kill();
            let _ = child.wait();
        }
        // Closing its standard input asks it to stop its children and to end.
        drop(self.watcher.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if !matches!(self.watcher.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// Runs a command to its end, within [`PATIENCE`].
    pub fn of(command: &mut Command) -> Outcome {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Outcome::from(wait_output(child))
    }

    /// The same with something on standard input.
    pub fn of_with_input(command: &mut Command, input: &[u8]) -> Outcome {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // A reader that refuses early closes its end; what it says then is what the test looks at.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let outcome = Outcome::from(wait_output(child));
        writer.join().unwrap();
        outcome
    }

    /// Its data; it must have worked.
    #[track_caller]
    pub fn success(&self) -> Value {
        assert!(
            self.code == 0,
            "exit code {}\nstdout: {}\nstderr: {}",
            self.code,
            self.stdout,
            self.stderr
        );
        serde_json::from_str(self.stdout.lines().last().unwrap_or("null")).unwrap()
    }

    /// Its error object; it must have failed with this exit code and this stable code, and printed no data.
    #[track_caller]
    pub fn failure(&self, exit: i32, code: &str) -> Value {
        let error = self.error();
        assert_eq!(
            (self.code, error["code"].as_str().unwrap_or_default()),
            (exit, code),
            "stdout: {}\nstderr: {}",
            self.stdout,
            self.stderr
        );
        assert_eq!(self.stdout, "", "a command that fails prints no data");
        error
    }

    /// The error object, whatever it is. A daemon's log may go on behind it.
    #[track_caller]
    pub fn error(&self) -> Value {
        let lines = self.stderr.lines().rev();
        let mut errors = lines.filter_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line.get("error").cloned()
        });
        let error = errors.next();
        error.unwrap_or_else(|| panic!("no JSON error on stderr: {}", self.stderr))
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Outcome {
        Outcome {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn wait_output(child: Child) -> Output {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (done, finished) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if finished.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    guard.join().unwrap();
    output
}

/// Polls until `condition` holds; panics after [`PATIENCE`].
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            Instant::now() < deadline,
            "waited {} s for {what}",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process exists and is no zombie.
pub fn alive(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => false,
        Ok(stat) => !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z')),
    }
}

/// One plain HTTP/1.1 GET without a client library: status and body. `None` when nobody answers.
pub fn http_get(url: &str) -> Option<(u16, String)> {
    let (status, _, body) = http_request("GET", url, &[], b"")?;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The same of JSON; `null` when nobody answers with any.
pub fn get_json(url: &str) -> Value {
    let (_, text) = http_get(url).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// One plain HTTP/1.1 request: status, head, body. Written by hand so that a test can send what a client library would not.
pub fn http_request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Option<(u16, String, Vec<u8>)> {
    use std::io::Read;
    let rest = url.strip_prefix("http://").unwrap();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = std::net::TcpStream::connect(authority).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head =
        format!("{method} /{path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
    {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(body);
    let (mut answer, mut part) = (Vec::new(), vec![0; 64 << 10]);
    // Some servers keep the connection whatever they are asked.
    while !is_whole(&answer) {
        match stream.read(&mut part) {
            Ok(0) | Err(_) => break,
            Ok(read) => answer.extend_from_slice(&part[..read]),
        }
    }
    let split = head_end(&answer)?;
    let head = String::from_utf8_lossy(&answer[..split]).into_owned();
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let mut body = answer[split + 4..].to_vec();
    if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        body = unchunk(&body);
    }
    Some((status, head, body))
}

fn head_end(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n")
}

/// Whether all is there that the head tells the length of.
fn is_whole(answer: &[u8]) -> bool {
    let length = head_end(answer).and_then(|split| {
        let head = String::from_utf8_lossy(&answer[..split]).to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))?;
        Some(split + 4 + length.trim().parse::<usize>().ok()?)
    });
    length.is_some_and(|length| answer.len() >= length)
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size =
            usize::from_str_radix(String::from_utf8_lossy(&rest[..end]).trim(), 16).unwrap_or(0);
        if size == 0 || rest.len() < end + 2 + size {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = rest.get(end + 4 + size..).unwrap_or_default();
    }
    body
}

/// As an environment variable takes several values.
pub fn texts<T: ToString>(items: &[T]) -> String {
    items
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}
