//! What went wrong, for the person or the script in front of the terminal.

use std::error::Error as StdError;
use std::io::ErrorKind;

use ashlar_crypto::{Blame, Coded};

/// What kind of failure it is; the numbers are the exit codes of the `ashlar` command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something failed that no other number describes.
    Failure = 1,
    /// The command line or a file that a person wrote is wrong.
    Usage = 2,
    /// The ledger refused the transaction, or evidence, a signature or a log did not verify.
    Refused = 3,
    /// A file is not there, something is not known, or the service cannot be reached.
    Unavailable = 4,
    /// A deadline passed first.
    Timeout = 5,
}

/// What failed, why, and what to do next. Its details are boxed: results stay small.
#[derive(Debug)]
pub struct CommandError(Box<Details>);

/// What a [`CommandError`] says.
#[derive(Debug)]
pub struct Details {
    /// The kind of failure.
    pub exit: Exit,
    /// Stable, dotted. Scripts match on this.
    pub code: String,
    /// Who has to act, where a lower layer knew.
    pub blame: Option<Blame>,
    /// What this command was doing.
    pub what: String,
    /// Why it failed, outermost cause first.
    pub why: Vec<String>,
    /// What to do next.
    pub next: Option<String>,
}

/// The result of every command.
pub type CommandResult<T = ()> = Result<T, CommandError>;

impl CommandError {
    /// An error of the command itself.
    pub fn new(exit: Exit, code: impl Into<String>, what: impl Into<String>) -> Self {
        Self(Box::new(Details {
            exit,
            code: code.into(),
            blame: None,
            what: what.into(),
            why: Vec::new(),
            next: None,
        }))
    }

    /// The command line or a file that a person wrote is wrong.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "usage", what)
    }

    /// A typed error of a library, with what the command was doing when it came.
    pub fn coded<E: Coded + StdError>(exit: Exit, what: impl Into<String>, error: &E) -> Self {
        let mut failure = Self::new(exit, error.code(), what);
        failure.0.blame = Some(error.blame());
        failure.0.why = chain(error);
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
        let mut failure = Self::new(exit, code, what);
        failure.0.why = chain(error);
        failure
    }

    /// Another code: that of the problem document, which may be newer than this program.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        code.clone_into(&mut self.0.code);
        self
    }

    /// Adds a cause.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.0.why.push(why.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.0.next = Some(next.into());
        self
    }

    /// The error as the JSON object that `--json` prints to standard error.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({ "error": {
            "code": self.code,
            "exit": self.exit as u8,
            "blame": self.blame.map(|blame| blame.to_string()),
            "what": self.what,
            "why": self.why,
            "next": self.next,
        } })
    }
}

impl std::ops::Deref for CommandError {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.what, self.code)?;
        for why in &self.why {
            write!(f, ": {why}")?;
        }
        Ok(())
    }
}

impl StdError for CommandError {}

impl Coded for CommandError {
    /// Always `stake.command`: the code of this very error is [`Details::code`].
    fn code(&self) -> &'static str {
        "stake.command"
    }

    fn blame(&self) -> Blame {
        self.blame.unwrap_or(match self.exit {
            Exit::Usage | Exit::Refused => Blame::Caller,
            Exit::Unavailable | Exit::Timeout => Blame::Peer,
            Exit::Failure => Blame::Us,
        })
    }
}

/// An error and its sources, each once: many error types repeat their source in their own text.
fn chain(error: &dyn StdError) -> Vec<String> {
    let mut causes = vec![error.to_string()];
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
