//! The session of `docs/restaking.md`, part "Run a ledger": every command is run as it is written there, against a service that the
//! session itself makes and starts, and prints what the page says. Only the block time is shorter and the port is any free one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ashlar_crypto::keystore::KeyKind;
use ashlar_ledger::command::output::Output;
use ashlar_ledger::command::{StakeArgs, StakeCommand, run, serve};
use clap::Parser;

mod keystores;

const PAGE: &str = include_str!("../../docs/restaking.md");
/// Instead of the page's.
const BLOCK_MS: &str = "400";
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
struct Cli {
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    stake: StakeArgs,
}

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

struct Lines(mpsc::Sender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A shell that knows as much as the page needs.
#[derive(Default)]
struct Shell {
    variables: BTreeMap<String, String>,
    password_file: Option<String>,
    url: Option<String>,
    service: Option<(
        tokio::sync::oneshot::Sender<()>,
        std::thread::JoinHandle<()>,
    )>,
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
                std::fs::write(file, format!("{}\n", keystores::PASSWORD)).unwrap();
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
            // That command is not this crate's.
            [
                "ashlar",
                "keys",
                "new",
                kind,
                "--out",
                out,
                "--password-file",
                _,
            ] => {
                let kind = match *kind {
                    "bls" => KeyKind::Bls,
                    "network" => KeyKind::Network,
                    _ => KeyKind::Account,
                };
                let seed = out.bytes().fold(0u8, u8::wrapping_add);
                keystores::write(Path::new(out), kind, seed);
                String::new()
            }
            ["ashlar", "stake", "serve", rest @ .., "&"] => self.serve(rest),
            ["ashlar", "stake", rest @ ..] => self.stake(rest),
            _ => panic!("the page has a command that this test cannot run: {line}"),
        }
    }

    fn parse(&self, words: &[&str]) -> Cli {
        let mut line = vec!["ashlar"];
        line.extend(words);
        if let (["tx", ..], Some(file)) = (words, &self.password_file) {
            line.extend(["--password-file", file]);
        }
        if let Some(url) = &self.url {
            line.extend(["--ledger", url]);
        }
        if words.first() == Some(&"init") {
            let at = line.iter().position(|word| *word == "--block-ms").unwrap();
            line[at + 1] = BLOCK_MS;
            line.push("--light");
        }
        Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
    }

    fn stake(&self, words: &[&str]) -> String {
        let cli = self.parse(words);
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        run(&cli.stake, cli.json, &mut out, &mut notes)
            .unwrap_or_else(|error| panic!("{words:?}: {error}"));
        String::from_utf8(out).unwrap()
    }

    fn serve(&mut self, words: &[&str]) -> String {
        let mut line = vec!["serve"];
        line.extend(words);
        line.extend(["--http", "127.0.0.1:0"]);
        let StakeCommand::Serve(args) = self.parse(&line).stake.command else {
            panic!("{words:?}")
        };
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let mut data = Lines(tell);
            let mut notes = std::io::sink();
            let mut out = Output::new(false, &mut data, &mut notes);
            tokio::runtime::Runtime::new()
                .unwrap()
                .block_on(serve::until(&args, &mut out, async {
                    let _ = stopped.await;
                }))
                .unwrap();
        });
        self.service = Some((stop, thread));
        let text = told.recv_timeout(DEADLINE).unwrap();
        let url = text.trim().strip_prefix("the ledger runs: ").unwrap();
        self.url = Some(url.to_owned());
        text
    }

    fn wait_blocks(&self, blocks: u64) {
        let head = || {
            let text = self.stake(&["show", "head", "--json"]);
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
        let place = rest.iter().position(|line| has_form(line, form));
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

// One test: it changes the folder of this process, as the page's session stays in one.
#[test]
fn the_session_of_the_guide_runs_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let mut shell = Shell::default();
    let steps = steps();
    assert!(steps.len() > 25, "{steps:?}");
    for step in &steps {
        let printed = shell.run(step.line);
        compare(step, &printed);
    }
    assert!(
        std::fs::read_to_string("risk.svg")
            .unwrap()
            .starts_with("<svg")
    );
    // What the replay of the log says is what the service says, once nothing moves any more.
    let (stop, thread) = shell.service.take().unwrap();
    stop.send(()).unwrap();
    thread.join().unwrap();
    let text = shell.stake(&["verify-log", "ledger/data", "--json"]);
    let replayed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(replayed["transactions"].as_u64().unwrap() > 10);
    use std::os::unix::fs::PermissionsExt;
    let mode = |file: &str| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("ledger/admin.json"), 0o600);
    assert_eq!(mode("ledger"), 0o700);
}
