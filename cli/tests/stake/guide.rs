//! The session of `docs/restaking.md`, part "Run a ledger": every command is run as it is written there, against a service that the
//! session itself makes and starts, and prints what the page says. Only the block time is shorter and the port is any free one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::{command, keystores, run};

const PAGE: &str = include_str!("../../../docs/restaking.md");
/// Instead of the page's.
const BLOCK_MS: &str = "400";
const DEADLINE: Duration = Duration::from_secs(60);

/// A command of the page, and what it says that it prints.
#[derive(Debug)]
struct Step {
    line: &'static str,
    prints: Vec<&'static str>,
}

fn steps() -> Vec<Step> {
    let begin = PAGE.find("\n## Run a ledger").unwrap();
    let end = PAGE.find("\n## The commands").unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in PAGE[begin..end].lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            _ => match line.strip_prefix("$ ") {
                Some(line) => steps.push(Step {
                    line,
                    prints: Vec::new(),
                }),
                None => steps.last_mut().unwrap().prints.push(line),
            },
        }
    }
    steps
}

/// Whether a text has this form: `…` stands for anything.
fn has_form(text: &str, form: &str) -> bool {
    let mut parts = form.split('…');
    let Some(rest) = text.strip_prefix(parts.next().unwrap()) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    let mut rest = rest;
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// A line whose shortened ids (`0x0717b259…8108`) are `0x…`: keys are new each time.
fn without_ids(line: &str) -> String {
    let mut parts = line.split("0x");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let cut = part.split_once('…').and_then(|(head, tail)| {
            let (end, rest) = tail.split_at_checked(4)?;
            (head.len() == 8 && hex(head) && hex(end)).then_some(rest)
        });
        out.push_str("0x");
        match cut {
            Some(rest) => {
                out.push('…');
                out.push_str(rest);
            }
            None => out.push_str(part),
        }
    }
    out
}

/// Words of a line, with quotes and variables.
fn words(line: &str, variables: &BTreeMap<String, String>) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => all.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    all.push(word);
    assert!(!quoted, "{line}");
    all.retain(|word| !word.is_empty());
    for word in &mut all {
        if let Some(name) = word.strip_prefix('$') {
            *word = variables
                .get(name)
                .unwrap_or_else(|| panic!("${name} in {line}"))
                .clone();
        }
    }
    all
}

/// A shell that knows as much as the page needs.
#[derive(Default)]
struct Shell {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
    password_file: Option<String>,
    url: Option<String>,
    /// Stops when its standard input closes.
    service: Option<Child>,
}

impl Shell {
    fn run(&mut self, line: &str) -> String {
        if let Some((name, command)) = line.split_once("=$(") {
            let text = self.run(command.strip_suffix(')').unwrap());
            self.variables
                .insert(name.to_owned(), text.trim().to_owned());
            return String::new();
        }
        let words = words(line, &self.variables);
        let list: Vec<&str> = words.iter().map(String::as_str).collect();
        match list.as_slice() {
            ["umask", "077"] => String::new(),
            // Instead of `head -c 24 /dev/urandom | base64`.
            ["head", .., ">", file] => {
                let text = format!("{}\n", keystores::PASSWORD);
                std::fs::write(self.folder.join(file), text).unwrap();
                String::new()
            }
            ["export", word] => {
                let file = word.strip_prefix("ASHLAR_STAKE_PASSWORD_FILE=").unwrap();
                self.password_file = Some(file.to_owned());
                String::new()
            }
            ["sleep", seconds] => {
                self.wait_blocks(seconds.parse().unwrap());
                String::new()
            }
            ["ashlar", "stake", "serve", rest @ .., "&"] => self.serve(rest),
            ["ashlar", rest @ ..] => self.ashlar(rest),
            _ => panic!("the page has a command that this test cannot run: {line}"),
        }
    }

    fn ashlar(&self, words: &[&str]) -> String {
        let mut line = words.to_vec();
        if let (["stake", "tx", ..], Some(file)) = (words, &self.password_file) {
            line.extend(["--password-file", file]);
        }
        if let (["stake", ..], Some(url)) = (words, &self.url) {
            line.extend(["--ledger", url]);
        }
        if words.starts_with(&["stake", "init"]) {
            let at = line.iter().position(|word| *word == "--block-ms").unwrap();
            line[at + 1] = BLOCK_MS;
        }
        if words.starts_with(&["stake", "init"]) || words.starts_with(&["keys", "new"]) {
            line.push("--light");
        }
        run(&self.folder, &line).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn serve(&mut self, words: &[&str]) -> String {
        let mut line = vec!["stake", "serve"];
        line.extend(words);
        line.extend(["--http", "127.0.0.1:0", "--exit-with-parent"]);
        let mut service = command(&self.folder, &line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut text = String::new();
        let mut lines = BufReader::new(service.stdout.take().unwrap());
        lines.read_line(&mut text).unwrap();
        let url = text.trim().strip_prefix("the ledger runs: ").unwrap();
        self.url = Some(url.to_owned());
        self.service = Some(service);
        text
    }

    fn wait_blocks(&self, blocks: u64) {
        let head = || {
            let text = self.ashlar(&["stake", "show", "head", "--json"]);
            let head: serde_json::Value = serde_json::from_str(&text).unwrap();
            head["block"].as_u64().unwrap()
        };
        let (start, begin) = (head(), Instant::now());
        while head() < start + blocks {
            assert!(begin.elapsed() < DEADLINE, "the ledger makes no blocks");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Compares what was printed with what the page says; a line of `…` alone stands for any lines.
fn compare(step: &Step, printed: &str) {
    if step.prints.is_empty() {
        return;
    }
    let mut rest: Vec<&str> = printed.lines().collect();
    let mut open = false;
    for form in &step.prints {
        if *form == "…" {
            open = true;
            continue;
        }
        let wanted = without_ids(form);
        let place = rest
            .iter()
            .position(|line| has_form(&without_ids(line), &wanted));
        let place = match place {
            Some(place) if open || place == 0 => place,
            _ => panic!("`{}` prints\n{printed}\nand not\n{form}", step.line),
        };
        rest.drain(..=place);
        open = false;
    }
    assert!(
        open || rest.is_empty(),
        "`{}` prints also\n{}",
        step.line,
        rest.join("\n")
    );
}

#[test]
fn the_session_of_the_guide_runs_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let mut shell = Shell {
        folder: folder.path().to_owned(),
        ..Shell::default()
    };
    let steps = steps();
    assert!(steps.len() > 25, "{steps:?}");
    for step in &steps {
        let printed = shell.run(step.line);
        compare(step, &printed);
    }
    assert!(
        std::fs::read_to_string(file("risk.svg"))
            .unwrap()
            .starts_with("<svg")
    );
    // What the replay of the log says is what the service says, once nothing moves any more.
    let mut service = shell.service.take().unwrap();
    drop(service.stdin.take());
    assert!(service.wait().unwrap().success());
    let text = shell.ashlar(&["stake", "verify-log", "ledger/data", "--json"]);
    let replayed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(replayed["transactions"].as_u64().unwrap() > 10);
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file("ledger/admin.json")), 0o600);
    assert_eq!(mode(&file("ledger")), 0o700);
}
