//! One error type for all commands: what failed, why, what to do next, and the exit code.
//!
//! Libraries below report typed errors with a stable code and who has to act ([`Coded`]). A command adds what it was
//! doing and what the person can do about it. Nothing here matches on the text of an error.

use std::error::Error as StdError;
use std::io::ErrorKind;

use ashlar_crypto::{Blame, Coded};
use serde_json::json;

/// What the process exits with. The numbers are part of the interface and are printed by `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something failed that no other number describes.
    Failure = 1,
    /// The command line, a configuration file or an environment variable is wrong.
    Usage = 2,
    /// A certificate, a signature, a log or bytes from the network did not verify, or the ledger refuses.
    Refused = 3,
    /// The blob is not known, or the service cannot be reached.
    Unavailable = 4,
    /// A deadline passed first.
    Timeout = 5,
}

/// An error for the person (or the script) in front of the terminal. Its [`Details`] are boxed: results stay small.
#[derive(Debug)]
pub struct CliError(Box<Details>);

/// What a [`CliError`] says.
#[derive(Debug)]
pub struct Details {
    /// The exit code of the process.
    pub exit: Exit,
    /// Stable, dotted: `certificate.threshold`. Scripts match on this.
    pub code: String,
    /// Who has to act, where a lower layer knew.
    pub blame: Option<Blame>,
    /// What this command was doing.
    pub what: String,
    /// Why it failed: the chain of causes, outermost first.
    pub why: Vec<String>,
    /// What to do next.
    pub next: Option<String>,
    /// Facts for scripts, such as the id of a blob that is still on its way.
    pub facts: serde_json::Map<String, serde_json::Value>,
}

/// The result of every command.
pub type CliResult<T = ()> = Result<T, CliError>;

impl CliError {
    /// An error of the command itself, without a cause below it.
    pub fn new(exit: Exit, code: &str, what: impl Into<String>) -> Self {
        CliError(Box::new(Details {
            exit,
            code: code.to_owned(),
            blame: None,
            what: what.into(),
            why: Vec::new(),
            next: None,
            facts: serde_json::Map::new(),
        }))
    }

    /// A typed error of a library, with what the command was doing when it came.
    pub fn coded<E: Coded + StdError>(exit: Exit, what: impl Into<String>, error: &E) -> Self {
        let mut failure = CliError::new(exit, error.code(), what);
        failure.blame = Some(error.blame());
        failure.why = chain(error);
        failure
    }

    /// A file or a socket of this machine failed.
    pub fn io(what: impl Into<String>, error: &std::io::Error) -> Self {
        let (exit, code) = match error.kind() {
            ErrorKind::NotFound => (Exit::Unavailable, "io.not_found"),
            ErrorKind::PermissionDenied => (Exit::Failure, "io.permission"),
            ErrorKind::StorageFull => (Exit::Failure, "io.full"),
            ErrorKind::AlreadyExists => (Exit::Usage, "io.exists"),
            _ => (Exit::Failure, "io.failed"),
        };
        let mut failure = CliError::new(exit, code, what);
        failure.why = chain(error);
        failure
    }

    /// The command line or a file the person wrote is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        CliError::new(Exit::Usage, "usage", what)
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Adds a fact for scripts.
    #[must_use]
    pub fn fact(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    /// Writes the error to standard error: three short lines, or one JSON object.
    pub fn print(&self, json: bool) {
        if json {
            eprintln!("{}", self.to_json());
            return;
        }
        eprintln!("error: {} [{}]", self.what, self.code);
        for why in &self.why {
            eprintln!("  why:  {why}");
        }
        if let Some(next) = &self.next {
            eprintln!("  next: {next}");
        }
    }

    /// The error as the JSON object that `--json` prints.
    pub fn to_json(&self) -> serde_json::Value {
        let mut error = self.facts.clone();
        let blame = self.blame.map(|blame| blame.to_string());
        for (name, value) in [
            ("code", json!(self.code)),
            ("exit", json!(self.exit as u8)),
            ("blame", json!(blame)),
            ("what", json!(self.what)),
            ("why", json!(self.why)),
            ("next", json!(self.next)),
        ] {
            error.insert(name.to_owned(), value);
        }
        json!({ "error": error })
    }
}

impl std::ops::Deref for CliError {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl std::ops::DerefMut for CliError {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.what, self.code)?;
        for why in &self.why {
            write!(f, ": {why}")?;
        }
        Ok(())
    }
}

impl StdError for CliError {}

/// An error and its sources, each once: many error types repeat their source in their own text.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut causes: Vec<String> = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !causes.iter().any(|earlier| earlier.contains(&text)) {
            causes.push(text);
        }
        source = cause.source();
    }
    causes
}
