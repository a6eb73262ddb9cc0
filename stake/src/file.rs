//! The table file: its shape, in TOML or JSON, and how it is read and written.

mod source;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use ashlar_crypto::bls::{PublicKeyBytes, SignatureBytes};
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::table::{DisperserEntry, OperatorEntry, TableScope, operator_id};
use ashlar_proto::{Account, Block, Domain, Network, OperatorId, OperatorIndex, QuorumId, Stake};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use source::FileStakeSource;

use crate::{OperatorTable, PossessionCache, Registration, StakeError, TableError};

/// Largest file read: 16 MiB, which is some 15,000 operators. A table in memory takes about as much.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// Longest name of a network, in bytes.
const MAX_NETWORK_NAME: usize = 64;

/// How the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// TOML, <https://toml.io>.
    Toml,
    /// JSON.
    Json,
}

impl FileFormat {
    /// JSON if the name ends in `.json`, else TOML.
    pub fn of(path: &Path) -> Self {
        match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("json") => Self::Json,
            _ => Self::Toml,
        }
    }

    /// `TOML` or `JSON`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Json => "JSON",
        }
    }
}

/// The whole file: one or more tables, each the state from its block on until the next one's.
///
/// A file that follows the network keeps old tables for as long as batches of their blocks are stored, and never changes
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableFile {
    /// Name of the network, 1 to 64 bytes: what is signed by these tables counts under this name and no other.
    pub network: String,
    /// Which of the network's services the tables are of.
    #[serde(default)]
    pub service: u64,
    /// The tables, in any order, no block twice.
    pub tables: Vec<TableRecord>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TableRecord {
    /// Its reference block.
    pub block: Block,
    /// The protocol versions that the service uses at that block; the first one if nothing is said.
    #[serde(default = "first_version")]
    pub versions: Vec<u16>,
    /// The registered dispersers, in any order.
    #[serde(default)]
    pub dispersers: Vec<DisperserRecord>,
    /// The operators, in any order.
    pub operators: Vec<OperatorRecord>,
}

fn first_version() -> Vec<u16> {
    vec![ashlar_proto::DEFAULT_VERSION]
}

/// A registered disperser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DisperserRecord {
    /// Its number in batch headers.
    pub id: u32,
    /// TLS identity.
    pub network_key: NetworkPublicKey,
    /// Account of its bond.
    pub account: Account,
    /// Its bond, not zero. Operators share their daily bytes among dispersers in proportion to it, so in a file that no ledger stands
    /// behind it is just a weight: the same for all of them if all shall have the same.
    #[serde(with = "stake_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Decimal))]
    pub bond: Stake,
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OperatorRecord {
    /// Follows from the BLS key and may be left out; if it is there it must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_id: Option<OperatorId>,
    /// Compressed BLS public key.
    pub bls_public_key: PublicKeyBytes,
    /// Proof that the operator holds its BLS key.
    pub proof_of_possession: SignatureBytes,
    /// TLS identity.
    pub network_key: NetworkPublicKey,
    /// Where it listens: `host:port`.
    pub address: String,
    /// Stake by quorum.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::BTreeMap<String, ashlar_proto::api::Decimal>))]
    pub stakes: Stakes,
}

/// Stake by quorum, in any order in the file, rising here. In the file: the quorum's number as key, and as value a decimal or
/// `0x` text (written so, because neither format has integers of 256 bits) or an integer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stakes(pub Vec<(QuorumId, Stake)>);

impl Serialize for Stakes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (quorum, stake) in &self.0 {
            map.serialize_entry(&quorum.to_string(), &stake.to_string())?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Stakes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StakesVisitor;

        impl<'de> Visitor<'de> for StakesVisitor {
            type Value = Stakes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of quorum numbers (0 to 255) to stakes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stakes, A::Error> {
                let mut stakes = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    let quorum: QuorumId = parse_quorum(&key).ok_or_else(|| {
                        A::Error::custom(format!("{key:?} is no quorum number (0 to 255)"))
                    })?;
                    let stake = map
                        .next_value::<StakeValue>()?
                        .parse()
                        .map_err(A::Error::custom)?;
                    if stakes.iter().any(|&(known, _)| known == quorum) {
                        return Err(A::Error::custom(format!("quorum {quorum} is named twice")));
                    }
                    stakes.push((quorum, stake));
                }
                stakes.sort_by_key(|&(quorum, _)| quorum);
                Ok(Stakes(stakes))
            }
        }

        deserializer.deserialize_map(StakesVisitor)
    }
}

/// One spelling for each number, so that no quorum is named twice under two.
fn parse_quorum(text: &str) -> Option<QuorumId> {
    text.parse()
        .ok()
        .filter(|quorum: &QuorumId| quorum.to_string() == text)
}

/// A stake or a bond in the file: a decimal or `0x` text, or an integer.
mod stake_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use super::{Stake, StakeValue};

    pub(super) fn serialize<S: Serializer>(
        stake: &Stake,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(stake)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Stake, D::Error> {
        StakeValue::deserialize(from)?
            .parse()
            .map_err(D::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a stake: decimal digits or 0x and hexadecimal ones in quotes, or an integer"
)]
enum StakeValue {
    Integer(u64),
    Text(String),
}

impl StakeValue {
    fn parse(self) -> Result<Stake, String> {
        match self {
            Self::Integer(value) => Ok(Stake::from(value)),
            Self::Text(text) => {
                let (digits, radix) = text
                    .strip_prefix("0x")
                    .map_or((text.as_str(), 10), |hex| (hex, 16));
                Some(digits)
                    .filter(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)))
                    .and_then(|digits| Stake::from_str_radix(digits, u64::from(radix)).ok())
                    .ok_or_else(|| {
                        format!("{text:?} is no stake: expected decimal digits, or 0x and hexadecimal ones, below 2^256")
                    })
            }
        }
    }
}

impl From<&Registration> for OperatorRecord {
    fn from(registration: &Registration) -> Self {
        let entry = &registration.entry;
        Self {
            operator_id: Some(entry.operator_id),
            bls_public_key: entry.bls_public_key,
            proof_of_possession: registration.proof_of_possession,
            network_key: entry.network_key,
            address: entry.address.clone(),
            stakes: Stakes(entry.stakes.clone()),
        }
    }
}

impl From<&DisperserEntry> for DisperserRecord {
    fn from(entry: &DisperserEntry) -> Self {
        Self {
            id: entry.id,
            network_key: entry.network_key,
            account: entry.account,
            bond: entry.bond,
        }
    }
}

impl OperatorRecord {
    fn registration(&self) -> Registration {
        Registration {
            entry: OperatorEntry {
                operator_id: operator_id(&self.bls_public_key),
                bls_public_key: self.bls_public_key,
                network_key: self.network_key,
                address: self.address.clone(),
                stakes: self.stakes.0.clone(),
            },
            proof_of_possession: self.proof_of_possession,
        }
    }
}

impl TableRecord {
    /// The record that a table can be made from again. `None` if the table was made without proofs of possession.
    pub fn from_table(table: &OperatorTable) -> Option<Self> {
        let operators = table
            .operators()
            .iter()
            .zip(0..)
            .map(|(entry, index)| {
                let proof_of_possession = *table.proof_of_possession(OperatorIndex(index))?;
                Some(OperatorRecord::from(&Registration {
                    entry: entry.clone(),
                    proof_of_possession,
                }))
            })
            .collect::<Option<_>>()?;
        Some(Self {
            block: table.reference_block(),
            versions: table.versions().to_vec(),
            dispersers: table
                .dispersers()
                .iter()
                .map(DisperserRecord::from)
                .collect(),
            operators,
        })
    }

    /// Builds the table; `path` is for errors.
    fn build(
        &self,
        domain: Domain,
        path: &Path,
        cache: &mut PossessionCache,
    ) -> Result<OperatorTable, StakeError> {
        for record in &self.operators {
            let expected = operator_id(&record.bls_public_key);
            if let Some(got) = record.operator_id.filter(|got| *got != expected) {
                return Err(StakeError::OperatorId {
                    path: path.into(),
                    block: self.block,
                    got,
                    expected,
                });
            }
        }
        self.table(domain, self.block, cache)
            .map_err(|source| StakeError::Table {
                path: path.into(),
                block: self.block,
                source: Box::new(source),
            })
    }

    /// The table that the record describes, as that of `reference_block`; every proof of possession is checked. Operator ids follow
    /// from the keys, not from what is written.
    ///
    /// # Errors
    ///
    /// [`TableError`] names the operator or disperser that breaks a rule.
    pub fn table(
        &self,
        domain: Domain,
        reference_block: Block,
        cache: &mut PossessionCache,
    ) -> Result<OperatorTable, TableError> {
        let registrations = self
            .operators
            .iter()
            .map(OperatorRecord::registration)
            .collect();
        let dispersers = self
            .dispersers
            .iter()
            .map(|record| DisperserEntry {
                id: record.id,
                network_key: record.network_key,
                account: record.account,
                bond: record.bond,
            })
            .collect();
        let scope = TableScope {
            domain,
            reference_block,
            versions: self.versions.clone(),
        };
        OperatorTable::register_cached(scope, registrations, dispersers, cache)
    }
}

impl TableFile {
    /// Reads a file; its format follows from its name ([`FileFormat::of`]). The tables in it are not built yet.
    ///
    /// # Errors
    ///
    /// [`StakeError::Io`], [`StakeError::TooLarge`] or [`StakeError::Malformed`].
    pub fn read(path: &Path) -> Result<Self, StakeError> {
        let file = File::open(path).map_err(|error| io_error("read", path, &error))?;
        Self::read_open(&file, path)
    }

    fn read_open(file: &File, path: &Path) -> Result<Self, StakeError> {
        let mut text = String::new();
        // One byte more than the limit tells a file of the limit from a longer one, whatever its metadata say.
        file.take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(|error| io_error("read", path, &error))?;
        Self::from_text(&text, FileFormat::of(path), path)
    }

    /// Reads text; `path` is for errors only.
    ///
    /// # Errors
    ///
    /// [`StakeError::TooLarge`] or [`StakeError::Malformed`].
    pub fn from_text(text: &str, format: FileFormat, path: &Path) -> Result<Self, StakeError> {
        let got = text.len() as u64;
        if got > MAX_FILE_BYTES {
            return Err(StakeError::TooLarge {
                path: path.into(),
                got,
                max: MAX_FILE_BYTES,
            });
        }
        let malformed = |reason: String| StakeError::Malformed {
            path: path.into(),
            format: format.name(),
            reason,
        };
        match format {
            FileFormat::Toml => toml::from_str(text).map_err(|error| malformed(error.to_string())),
            FileFormat::Json => {
                serde_json::from_str(text).map_err(|error| malformed(error.to_string()))
            }
        }
    }

    /// The file's text.
    ///
    /// # Errors
    ///
    /// [`StakeError::Malformed`] if the format's library cannot write a value; `path` is for errors only.
    pub fn to_text(&self, format: FileFormat, path: &Path) -> Result<String, StakeError> {
        let malformed = |reason: String| StakeError::Malformed {
            path: path.into(),
            format: format.name(),
            reason,
        };
        match format {
            FileFormat::Toml => toml::to_string(self).map_err(|error| malformed(error.to_string())),
            FileFormat::Json => serde_json::to_string_pretty(self)
                .map(|text| text + "\n")
                .map_err(|error| malformed(error.to_string())),
        }
    }

    /// Writes the file so that a reader sees the old content or the new one, whole, and so that the new one survives a power
    /// cut once this returns: to a new file beside it, synced, renamed over it.
    ///
    /// # Errors
    ///
    /// [`StakeError::Io`], or [`StakeError::Malformed`] as [`to_text`](Self::to_text).
    pub fn write(&self, path: &Path) -> Result<(), StakeError> {
        let text = self.to_text(FileFormat::of(path), path)?;
        write_atomically(path, text.as_bytes()).map_err(|error| io_error("write", path, &error))
    }

    /// The service that the tables are of: `file` is the kind of the network, its name the anchor. `path` is for errors only.
    ///
    /// # Errors
    ///
    /// [`StakeError::NetworkName`].
    pub fn domain(&self, path: &Path) -> Result<Domain, StakeError> {
        if self.network.is_empty() || self.network.len() > MAX_NETWORK_NAME {
            return Err(StakeError::NetworkName {
                path: path.into(),
                got: self.network.len(),
                max: MAX_NETWORK_NAME,
            });
        }
        Ok(Network::file(&self.network).domain(self.service))
    }

    /// Builds the tables, by rising block. Every proof of possession is checked. `path` is for errors only.
    ///
    /// # Errors
    ///
    /// [`StakeError::NetworkName`], [`StakeError::NoTables`], [`StakeError::DuplicateBlock`], or what is wrong with the first bad table.
    pub fn tables(&self, path: &Path) -> Result<Vec<OperatorTable>, StakeError> {
        self.tables_cached(path, &mut PossessionCache::default())
    }

    fn tables_cached(
        &self,
        path: &Path,
        cache: &mut PossessionCache,
    ) -> Result<Vec<OperatorTable>, StakeError> {
        let domain = self.domain(path)?;
        if self.tables.is_empty() {
            return Err(StakeError::NoTables { path: path.into() });
        }
        let mut blocks = BTreeSet::new();
        // Before any table is built: that costs nothing, building costs a pairing an operator.
        if let Some(twice) = self
            .tables
            .iter()
            .find(|record| !blocks.insert(record.block))
        {
            return Err(StakeError::DuplicateBlock {
                path: path.into(),
                block: twice.block,
            });
        }
        let mut tables = self
            .tables
            .iter()
            .map(|record| record.build(domain, path, cache))
            .collect::<Result<Vec<_>, _>>()?;
        tables.sort_by_key(OperatorTable::reference_block);
        Ok(tables)
    }
}

fn io_error(action: &'static str, path: &Path, error: &std::io::Error) -> StakeError {
    StakeError::Io {
        action,
        path: path.into(),
        reason: error.to_string(),
    }
}

fn write_atomically(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".operators-").suffix(".tmp");
    // A table is public, and other processes run under other users; the default would be for the owner's eyes only.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself is durable only when the directory is.
    fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests;
