//! `ashlar stake …` as a person or a script runs it: the binary, in a folder of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod everything;
mod guide;
mod keystores;

use std::path::Path;
use std::process::{Command, Stdio};

/// What a command says that failed.
#[derive(Debug)]
struct Failure {
    exit: i32,
    code: String,
    why: Vec<String>,
    next: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// `ashlar WORDS…` in a folder, with nothing of the environment of whoever runs the tests.
fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashlar"));
    command.args(words).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ASHLAR_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end: its data, or its error.
fn run(folder: &Path, words: &[&str]) -> Result<String, Failure> {
    let output = command(folder, words).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    let line = errors.lines().find(|line| line.starts_with("error: "));
    let failure = match line.and_then(|line| line.strip_suffix(']')?.rsplit_once('[')) {
        Some((_, code)) => Failure {
            exit: output.status.code().unwrap(),
            code: code.to_owned(),
            why: after(&errors, "  why:  ").collect(),
            next: after(&errors, "  next: ").next(),
        },
        None => {
            let line = errors.lines().last().unwrap_or_default();
            let object: serde_json::Value = serde_json::from_str(line)
                .unwrap_or_else(|_| panic!("{words:?}: {}\n{errors}", output.status));
            let error = &object["error"];
            assert_eq!(error["exit"], output.status.code().unwrap());
            Failure {
                exit: output.status.code().unwrap(),
                code: error["code"].as_str().unwrap().to_owned(),
                why: serde_json::from_value(error["why"].clone()).unwrap(),
                next: serde_json::from_value(error["next"].clone()).unwrap(),
            }
        }
    };
    assert!(
        output.stdout.is_empty(),
        "a command that fails prints no data"
    );
    Err(failure)
}

fn after<'a>(errors: &'a str, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    let lines = errors
        .lines()
        .filter_map(move |line| line.strip_prefix(prefix));
    lines.map(str::to_owned)
}
