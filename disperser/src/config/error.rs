//! Why a configuration is refused.

use std::path::PathBuf;

use ashlar_crypto::{Blame, Coded};
use ashlar_stake::SourceError;

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration {} cannot be read: {detail}", path.display())]
    Read {
        /// Path.
        path: PathBuf,
        /// As the operating system says.
        detail: String,
    },
    /// Not TOML, or a key or type that is not ours.
    #[error("the configuration is not valid: {detail}")]
    Parse {
        /// As the parser says, with the line.
        detail: String,
    },
    /// Something that cannot be said in TOML.
    #[error("the configuration cannot be written: {detail}; use paths in UTF-8")]
    Write {
        /// As the serializer says.
        detail: String,
    },
    /// A value that makes no sense.
    #[error("configuration key {key}: {why}")]
    Invalid {
        /// The key, with its section.
        key: &'static str,
        /// What is wrong and what would be right.
        why: String,
    },
    /// The section `[operators]`.
    #[error("configuration section [operators]: {0}")]
    Operators(#[from] SourceError),
}

impl Coded for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::Read { .. } => "config.read",
            Self::Parse { .. } => "config.parse",
            Self::Write { .. } => "config.write",
            Self::Invalid { .. } => "config.invalid",
            Self::Operators(error) => error.code(),
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }
}
