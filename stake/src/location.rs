//! Where a process finds its operator tables: the value of `--table` and of `paths.operators`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ashlar_crypto::{Blame, Coded};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ledger::ServiceId;

/// What comes between a ledger's address and the number of a service.
const SERVICES: &str = "/v1/services/";

/// A table file, or a service on a restaking ledger. As text: a path, or the service's URL
/// (`http://127.0.0.1:7600/v1/services/1`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum TableLocation {
    /// A file of tables, TOML or JSON.
    File(PathBuf),
    /// The tables of a service on a ledger.
    Ledger {
        /// The ledger's address, without a slash at its end.
        url: String,
        /// The service's number there.
        service: ServiceId,
    },
}

/// Text that looks like a URL, but not like that of a service on a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{got} is not the URL of a service on a ledger: write it as http://HOST:PORT/v1/services/NUMBER, with a number from 1 on"
)]
pub struct LocationError {
    /// The text.
    pub got: String,
}

impl Coded for LocationError {
    fn code(&self) -> &'static str {
        "stake.location"
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }
}

impl TableLocation {
    /// A relative path made to start at `folder`; a URL stays as it is.
    #[must_use]
    pub fn starting_at(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            ledger @ Self::Ledger { .. } => ledger,
        }
    }
}

impl FromStr for TableLocation {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if !(text.starts_with("http://") || text.starts_with("https://")) {
            return Ok(Self::File(text.into()));
        }
        let wrong = || LocationError {
            got: text.to_owned(),
        };
        let (url, service) = text.rsplit_once(SERVICES).ok_or_else(wrong)?;
        let host = url.split_once("://").map_or("", |(_, host)| host);
        let digits = service.bytes().all(|byte| byte.is_ascii_digit());
        match service.parse() {
            Ok(service) if digits && service > 0 && !host.is_empty() => Ok(Self::Ledger {
                url: url.to_owned(),
                service,
            }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for TableLocation {
    type Error = LocationError;

    fn try_from(text: String) -> Result<Self, LocationError> {
        text.parse()
    }
}

impl From<TableLocation> for String {
    fn from(location: TableLocation) -> String {
        location.to_string()
    }
}

impl From<PathBuf> for TableLocation {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl fmt::Display for TableLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Ledger { url, service } => write!(f, "{url}{SERVICES}{service}"),
        }
    }
}

#[cfg(test)]
mod tests;
