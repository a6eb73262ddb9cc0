//! Configuration: a TOML file in which nothing unknown is accepted and every key has a default.
//!
//! A key is declared once, by [`config!`](crate::config!): the comment on its field is its documentation here and the sentence
//! above it in the published example; its default and the range of its values stand beside it.

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::ops::{Bound, RangeBounds};
use std::path::{Path, PathBuf};

use ashlar_crypto::Coded;
use ashlar_stake::{SourceError, TableSource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A key and the sentence about it.
pub type Key = (&'static str, &'static str);

/// A table of a configuration file.
pub trait Section {
    /// Its keys, in the order of the example.
    fn keys() -> Vec<Key>;

    /// Checks the ranges of its values. `section` is its name.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`], the first key that is out of its range.
    fn check_ranges(&self, section: &str) -> Result<(), ConfigError>;
}

impl Section for TableSource {
    fn keys() -> Vec<Key> {
        Self::DOCS.to_vec()
    }

    fn check_ranges(&self, _: &str) -> Result<(), ConfigError> {
        Ok(self.origin().map(drop)?)
    }
}

/// Declares a configuration and its sections. The first struct is the whole: its text is the head of the example. The others are
/// sections; `within` bounds a value.
///
/// The whole gets `example`, `parse`, `load`, `to_toml` and `check_ranges`. It has to have two methods of its own: `validate`,
/// which calls `check_ranges` and looks at what keys ask of each other; and `start_at`, which makes relative paths start at a folder.
///
/// ```
/// # use std::path::Path;
/// # use ashlar_service::ConfigError;
/// ashlar_service::config! {
///     "# Configuration of a ferry.\n",
///     /// Everything that can be set.
///     pub struct FerryConfig {
///         /// Its load.
///         pub load: Load,
///     }
///
///     /// Its load.
///     pub struct Load {
///         /// Most passengers.
///         pub passengers: u32 = 40, within 1..=400;
///     }
/// }
/// impl FerryConfig {
///     fn validate(&self) -> Result<(), ConfigError> {
///         self.check_ranges()
///     }
///     fn start_at(&mut self, _: &Path) {}
/// }
/// assert_eq!(
///     FerryConfig::example(),
///     "# Configuration of a ferry.\n\n[load]\n# Most passengers.\npassengers = 40\n"
/// );
/// let config = FerryConfig::parse("[load]\npassengers = 401\n").unwrap();
/// assert!(config.validate().unwrap_err().to_string().contains("load.passengers"));
/// ```
#[macro_export]
macro_rules! config {
    (
        $head:expr,
        $(#[doc = $all_doc:literal])* pub struct $All:ident {
            $($(#[doc = $part_doc:literal])* pub $part:ident: $Part:ty,)*
        }
        $($(#[doc = $about:literal])* pub struct $Section:ident {
            $($(#[doc = $doc:expr])* pub $key:ident: $Type:ty = $default:expr $(, within $range:expr)?;)*
        })*
    ) => {
        $(#[doc = $all_doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $All { $($(#[doc = $part_doc])* pub $part: $Part,)* }

        impl $All {
            /// The example file: every key with its default and a sentence about it.
            pub fn example() -> String {
                let sections = [$((stringify!($part), <$Part as $crate::config::Section>::keys())),*];
                $crate::config::example(&Self::default(), $head, &sections)
            }

            /// Parses a file's text. Does not validate.
            ///
            /// # Errors
            /// No TOML, an unknown key, or a value of the wrong type; with its line.
            pub fn parse(text: &str) -> Result<Self, $crate::ConfigError> {
                $crate::config::parse(text)
            }

            /// Reads, parses and validates a file, and makes its paths start at its folder.
            ///
            /// # Errors
            /// As [`parse`](Self::parse) and [`validate`](Self::validate), or the file cannot be read.
            pub fn load(path: &::std::path::Path) -> Result<Self, $crate::ConfigError> {
                let mut config = Self::parse(&$crate::config::read(path)?)?;
                config.validate()?;
                config.start_at(path.parent().unwrap_or(::std::path::Path::new("")));
                Ok(config)
            }

            /// As the text of a file, without comments.
            ///
            /// # Errors
            /// A path in it is not UTF-8, which TOML is.
            pub fn to_toml(&self) -> Result<String, $crate::ConfigError> {
                $crate::config::to_toml(self)
            }

            fn check_ranges(&self) -> Result<(), $crate::ConfigError> {
                $($crate::config::Section::check_ranges(&self.$part, stringify!($part))?;)*
                Ok(())
            }
        }

        $(
            $(#[doc = $about])*
            #[derive(Clone, Debug, PartialEq, Eq, ::serde::Serialize, ::serde::Deserialize)]
            #[serde(default, deny_unknown_fields)]
            pub struct $Section { $($(#[doc = $doc])* pub $key: $Type,)* }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)* }
                }
            }

            impl $crate::config::Section for $Section {
                fn keys() -> Vec<$crate::config::Key> {
                    vec![$((stringify!($key), concat!($($doc),*).trim_ascii())),*]
                }

                fn check_ranges(&self, _section: &str) -> Result<(), $crate::ConfigError> {
                    $($($crate::config::within(_section, stringify!($key), &self.$key, $range)?;)?)*
                    Ok(())
                }
            }
        )*
    };
}

/// What a key is that several daemons have.
#[macro_export]
macro_rules! shared_key {
    (listen.health) => {
        "TCP address of a second listener for health and metrics alone: it answers whatever happens on the first, and belongs to the operator. Empty: none."
    };
    (paths.heads) => {
        "Folder in which the heads that a ledger signed are remembered, so that it cannot tell another story later. Keep it with the database."
    };
    (max_datagram) => {
        "Largest UDP datagram to try and to accept, in bytes. Larger ones cost less processor a byte; a connection finds out what its path carries, and 1452 is what nearly all do. 8952 where every host has jumbo frames."
    };
    (accept.trusted_proxies) => {
        "Addresses of reverse proxies: a request from one of them counts as sent by whoever it names in X-Forwarded-For. Without it everybody behind a proxy is one sender."
    };
    (accept.header_timeout_secs) => {
        "A connection that sends no whole request head for so long after the one before is closed, in seconds. More than the 30 for which our clients keep one. For the first head it has five seconds."
    };
}

/// The example of a configuration with these sections.
#[doc(hidden)]
pub fn example<C: Serialize>(defaults: &C, head: &str, sections: &[(&str, Vec<Key>)]) -> String {
    #[expect(
        clippy::expect_used,
        reason = "the defaults are constants, and none of them is a path that is not UTF-8"
    )]
    let defaults = toml::Table::try_from(defaults).expect("the defaults are TOML");
    let mut out = head.to_owned();
    for (section, keys) in sections {
        out.push_str(&format!("\n[{section}]\n"));
        for (key, doc) in keys {
            #[expect(
                clippy::expect_used,
                reason = "keys and values come from the same struct; those of a table source are compared by a test"
            )]
            let value = defaults
                .get(*section)
                .and_then(|values| values.get(*key))
                .expect("a documented key");
            out.push_str(&format!("# {doc}\n{key} = {value}\n"));
        }
    }
    out
}

#[doc(hidden)]
pub fn parse<C: DeserializeOwned>(text: &str) -> Result<C, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Parse {
        detail: error.to_string(),
    })
}

#[doc(hidden)]
pub fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
        path: path.to_path_buf(),
        detail: error.to_string(),
    })
}

#[doc(hidden)]
pub fn to_toml<C: Serialize>(config: &C) -> Result<String, ConfigError> {
    toml::to_string(config).map_err(|error| ConfigError::Write {
        detail: error.to_string(),
    })
}

#[doc(hidden)]
pub fn within<T: PartialOrd + Debug>(
    section: &str,
    key: &str,
    got: &T,
    allowed: impl RangeBounds<T>,
) -> Result<(), ConfigError> {
    if allowed.contains(got) {
        return Ok(());
    }
    let why = match (allowed.start_bound(), allowed.end_bound()) {
        (Bound::Included(least), Bound::Included(most)) => {
            format!("it has to be {least:?} to {most:?}")
        }
        (Bound::Included(least), _) => format!("it has to be at least {least:?}"),
        (_, most) => format!("it has to be within {most:?}"),
    };
    let got = format!("{got:?}");
    Err(ConfigError::invalid(&format!("{section}.{key}"), got, why))
}

/// Checks a value that another one bounds from below; `what` says which.
///
/// # Errors
/// [`ConfigError::Invalid`].
pub fn at_least(key: &str, got: u64, least: u64, what: &str) -> Result<(), ConfigError> {
    if got >= least {
        return Ok(());
    }
    let why = format!("it has to be at least {least}: {what}");
    Err(ConfigError::invalid(key, got, why))
}

/// Makes relative paths start at a folder. An empty one stays empty: it names nothing.
pub fn start_at<'a>(folder: &Path, paths: impl IntoIterator<Item = &'a mut PathBuf>) {
    for path in paths {
        if !path.as_os_str().is_empty() {
            *path = folder.join(&*path);
        }
    }
}

/// An address, or none: the empty text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OptionalAddress(pub Option<SocketAddr>);

impl TryFrom<String> for OptionalAddress {
    type Error = std::net::AddrParseError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let address = (!text.is_empty()).then(|| text.parse()).transpose()?;
        Ok(Self(address))
    }
}

impl From<OptionalAddress> for String {
    fn from(address: OptionalAddress) -> Self {
        address
            .0
            .map(|address| address.to_string())
            .unwrap_or_default()
    }
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "config", blame = Caller)]
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
        /// As the encoder says.
        detail: String,
    },
    /// A value that makes no sense.
    #[error("configuration key {key}: it is {got}; {why}")]
    Invalid {
        /// The key, with its section.
        key: String,
        /// Its value.
        got: String,
        /// What would be right.
        why: String,
    },
    /// The section `[operators]`.
    #[error("configuration section [operators]: {0}")]
    #[coded(transparent, blame = Caller)]
    Operators(#[from] SourceError),
}

impl ConfigError {
    /// [`ConfigError::Invalid`].
    pub fn invalid(key: &str, got: impl Display, why: impl Into<String>) -> Self {
        Self::Invalid {
            key: key.to_owned(),
            got: got.to_string(),
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests;
