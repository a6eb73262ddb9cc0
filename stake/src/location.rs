//! Where a process finds its operator tables, and who has to vouch for them: the section `[operators]` of every configuration, and
//! the options `--table`, `--head-key` and `--ledger-ca`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ashlar_crypto::Coded;
use ashlar_proto::{Account, Network};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use ashlar_proto::ServiceId;

/// What comes between a ledger's address and the number of a service.
const SERVICES: &str = "/v1/services/";

/// A table file, or a service on a restaking ledger. As text: a path, or the service's URL with the ledger's network
/// behind it (`http://127.0.0.1:7600/v1/services/1#0x…`): anybody may answer at an address, and the network says who
/// should.
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
        /// The ledger's network: from the hash of its genesis.
        network: Network,
    },
}

/// Text that looks like a URL, but not like that of a service on a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[error(
    "{got} is not the URL of a service on a ledger: write it as http://HOST:PORT/v1/services/NUMBER#NETWORK, with a number from 1 on and the ledger's network (0x and 64 digits)"
)]
#[coded("stake.location", blame = Caller)]
pub struct LocationError {
    /// The text.
    pub got: String,
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
        let (location, network) = text.rsplit_once('#').ok_or_else(wrong)?;
        let network = network.parse().map_err(|_| wrong())?;
        let (url, service) = location.rsplit_once(SERVICES).ok_or_else(wrong)?;
        let host = url.split_once("://").map_or("", |(_, host)| host);
        let digits = service.bytes().all(|byte| byte.is_ascii_digit());
        match service.parse() {
            Ok(service) if digits && service > 0 && !host.is_empty() => Ok(Self::Ledger {
                url: url.to_owned(),
                service,
                network,
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
            Self::Ledger {
                url,
                service,
                network,
            } => write!(f, "{url}{SERVICES}{service}#{network}"),
        }
    }
}

/// Most ledgers that are compared with each other.
pub const MAX_SOURCES: usize = 4;

/// Where operator tables come from, and whose signature they need.
///
/// A file on one's own disk counts as vouched for. A table out of a ledger counts only with a head signed by one of `head_keys`,
/// so a ledger without a key is refused. Several ledgers are compared with each other, block by block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableSource {
    /// One file; or up to [`MAX_SOURCES`] URLs of the same service.
    pub tables: Vec<TableLocation>,
    /// The accounts whose heads are believed. A ledger says its own in `ashlar stake init`; keys that follow one of these by a
    /// statement it signed are believed without being named.
    pub head_keys: Vec<Account>,
    /// A PEM file of the certificate authorities that a ledger behind `https://` must be signed by; empty for those that
    /// the operating system trusts.
    pub ca: PathBuf,
}

impl Default for TableSource {
    /// The file `operators.toml`.
    fn default() -> Self {
        PathBuf::from("operators.toml").into()
    }
}

impl From<PathBuf> for TableSource {
    fn from(path: PathBuf) -> Self {
        Self {
            tables: vec![path.into()],
            head_keys: Vec::new(),
            ca: PathBuf::new(),
        }
    }
}

/// What a [`TableSource`] comes down to, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableOrigin<'a> {
    /// A file.
    File(&'a Path),
    /// A service on one or more ledgers; there is a head key.
    Ledgers {
        /// Their addresses, without a slash at the end, each once.
        urls: Vec<&'a str>,
        /// Their network, the same for all of them.
        network: Network,
        /// The service's number, the same on all of them.
        service: ServiceId,
    },
}

impl TableSource {
    /// What each key is for, in the order of the struct; for examples of configurations.
    pub const DOCS: &'static [(&'static str, &'static str)] = &[
        (
            "tables",
            "Operator tables: one file (TOML or JSON), or the URL of a service on a restaking ledger, with the ledger's network behind it: https://HOST/v1/services/NUMBER#0x…. Up to 4 such URLs are compared with each other, block by block.",
        ),
        (
            "head_keys",
            "The accounts that sign the ledger's heads, as ashlar stake init printed them: a table that none of them vouches for is not used. A ledger needs at least one; a file needs none.",
        ),
        (
            "ca",
            "PEM file of the certificate authorities that https:// ledgers are checked against; empty: those of the operating system.",
        ),
    ];

    /// Relative paths made to start at `folder`.
    #[must_use]
    pub fn starting_at(self, folder: &Path) -> Self {
        Self {
            tables: self
                .tables
                .into_iter()
                .map(|location| location.starting_at(folder))
                .collect(),
            head_keys: self.head_keys,
            ca: if self.ca.as_os_str().is_empty() {
                self.ca
            } else {
                folder.join(self.ca)
            },
        }
    }

    /// The file of certificate authorities, if one is named.
    pub fn ca(&self) -> Option<&Path> {
        Some(self.ca.as_path()).filter(|path| !path.as_os_str().is_empty())
    }

    /// Checks what the parts ask of each other.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    pub fn origin(&self) -> Result<TableOrigin<'_>, SourceError> {
        let got = self.tables.len();
        if got > MAX_SOURCES {
            return Err(SourceError::TooMany { got });
        }
        let mut urls = Vec::with_capacity(got);
        let mut services = Vec::with_capacity(got);
        for location in &self.tables {
            match location {
                TableLocation::File(path) if got == 1 => {
                    if !self.head_keys.is_empty() || self.ca().is_some() {
                        return Err(SourceError::FileWithKeys { path: path.clone() });
                    }
                    return Ok(TableOrigin::File(path));
                }
                TableLocation::File(path) => {
                    return Err(SourceError::FileAmongOthers { path: path.clone() });
                }
                TableLocation::Ledger { url, .. } if urls.contains(&url.as_str()) => {
                    return Err(SourceError::Twice { url: url.clone() });
                }
                TableLocation::Ledger {
                    url,
                    service,
                    network,
                } => {
                    urls.push(url.as_str());
                    services.push((*network, *service));
                }
            }
        }
        let &[(network, service), ..] = services.as_slice() else {
            return Err(SourceError::Nothing);
        };
        if services.iter().any(|other| *other != (network, service)) {
            return Err(SourceError::Services {
                location: self.to_string(),
            });
        }
        if self.head_keys.is_empty() {
            return Err(SourceError::NoHeadKey {
                location: self.to_string(),
            });
        }
        if self.ca().is_some() && !urls.iter().any(|url| url.starts_with("https://")) {
            return Err(SourceError::CaWithoutTls {
                location: self.to_string(),
            });
        }
        Ok(TableOrigin::Ledgers {
            urls,
            network,
            service,
        })
    }
}

impl fmt::Display for TableSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, location) in self.tables.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{location}")?;
        }
        Ok(())
    }
}

/// Operator tables that cannot be followed as they are described.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "stake", blame = Caller)]
pub enum SourceError {
    /// Neither file nor ledger.
    #[error("no operator tables are named: give a file, or the URL of a service on a ledger")]
    #[coded("no_source")]
    Nothing,
    /// More than are compared.
    #[error("{got} sources of operator tables are named, at most {MAX_SOURCES} are compared")]
    #[coded("too_many_sources")]
    TooMany {
        /// How many.
        got: usize,
    },
    /// A file has nobody to be compared with.
    #[error("{} is a file: it is followed alone, not beside others", path.display())]
    FileAmongOthers {
        /// The file.
        path: PathBuf,
    },
    /// A file is vouched for by whoever wrote it to this disk. Head keys beside it would never be checked.
    #[error("{} is a file: head keys and certificate authorities are for ledgers; leave them out", path.display())]
    FileWithKeys {
        /// The file.
        path: PathBuf,
    },
    /// One ledger compared with itself.
    #[error("the ledger {url} is named twice")]
    #[coded("source_twice")]
    Twice {
        /// Its address.
        url: String,
    },
    /// Services that are not the same one.
    #[error("{location} are not one service of one network: only the same one can be compared")]
    #[coded("services_differ")]
    Services {
        /// The ledgers.
        location: String,
    },
    /// A ledger whose tables nobody vouches for.
    #[error(
        "no head key is named for {location}: without one, anybody on the way could serve tables of his own. Name the account that ashlar stake init printed (--head-key, or head_keys in [operators])"
    )]
    NoHeadKey {
        /// The ledgers.
        location: String,
    },
    /// Certificate authorities, and nothing to check by them.
    #[error("certificate authorities are named, but {location} is not https://")]
    CaWithoutTls {
        /// The ledgers.
        location: String,
    },
}

#[cfg(test)]
mod tests;
