//! What every error of the project can say about itself: a stable code, and who has to act.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Who has to act to make an error go away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blame {
    /// Whoever called: its input does not satisfy what the function's documentation asks for.
    Caller,
    /// The other end of a connection, or whoever produced the bytes that were checked.
    Peer,
    /// This process or its machine: a bug, a full disk, a broken file of ours.
    Us,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Caller => "caller",
            Self::Peer => "peer",
            Self::Us => "us",
        })
    }
}

/// An error with a code that programs can match and a party that has to act.
pub trait Coded {
    /// A stable, dotted name, for example `payload.too_large`. It never changes once published; the message may.
    fn code(&self) -> &'static str;

    /// Who has to act.
    fn blame(&self) -> Blame;
}
