//! The folder of a devnet: which files are in it and how they are named.
//!
//! ```text
//! DIR/devnet.json            what runs where; read by `put`, `get`, … in the same folder
//! DIR/ledger/                ledger.toml, admin.json, head.json, password, data/, log; the stake behind the operators
//! DIR/operators.toml         the operator table, of a devnet without a ledger
//! DIR/lock                   held while a devnet runs here
//! DIR/node-<i>/              node.toml, bls.json, network.json, staker.json, password, data/, heads/, log
//! DIR/account/               account.json, password; the account that posts, with a deposit on the ledger
//! DIR/disperser/             disperser.toml, network.json, password, data/, heads/, log
//! ```

use std::path::{Path, PathBuf};

use ashlar_proto::Account;
use ashlar_proto::api::AccountMode;
use ashlar_stake::TableSource;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::requirements::ReaderDefaults;

/// Where a devnet lives when nobody says otherwise.
pub const DEFAULT_DIR: &str = ".ashlar/devnet";

/// What `devnet.json` holds. All paths are absolute.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DevnetFile {
    /// The process that watches over the others.
    pub pid: u32,
    /// The disperser's HTTP address.
    pub disperser_url: String,
    /// The operator tables: of the service on the devnet's ledger, with the key that vouches for them, or a file.
    pub tables: TableSource,
    /// What those who read certificates in this folder insist on, unless they say otherwise.
    pub reader: ReaderDefaults,
    /// How long data is kept, in seconds; 0 is the protocol's own time.
    #[serde(default)]
    pub retention_secs: u64,
    /// Whom the disperser serves.
    pub accounts: AccountMode,
    /// The operators, in the order in which they were made (their index in the table is another: there they are sorted
    /// by id).
    pub nodes: Vec<NodeEntry>,
    /// The disperser.
    pub disperser: DisperserEntry,
    /// The account that posts and pays: it has a deposit with the disperser, if there is a ledger.
    pub account: AccountEntry,
    /// The restaking ledger, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerEntry>,
}

/// The account of a devnet that posts and pays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountEntry {
    /// Its address.
    pub address: Account,
    /// Its keystore.
    pub key: PathBuf,
    /// The file with its password.
    pub password_file: PathBuf,
}

/// The ledger of a devnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerEntry {
    /// Its process.
    pub pid: u32,
    /// Its HTTP address.
    pub url: String,
    /// Its folder.
    pub dir: PathBuf,
}

/// One operator of a devnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// Which one, from 0.
    pub index: u32,
    /// Its id in the operator table.
    pub operator_id: String,
    /// Its process.
    pub pid: u32,
    /// Its QUIC address.
    pub quic: String,
    /// Its HTTP address, for health, status and metrics.
    pub http: String,
    /// Its folder.
    pub dir: PathBuf,
    /// Its stake in each quorum, decimal.
    pub stakes: Vec<String>,
}

/// The disperser of a devnet.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisperserEntry {
    /// Its process.
    pub pid: u32,
    /// Its folder.
    pub dir: PathBuf,
}

impl DevnetFile {
    /// The file in a devnet's folder.
    pub fn path(dir: &Path) -> PathBuf {
        dir.join("devnet.json")
    }

    /// Reads `DIR/devnet.json`; `None` when there is none.
    ///
    /// # Errors
    /// It is there but not readable as a devnet file.
    pub fn read(dir: &Path) -> CliResult<Option<DevnetFile>> {
        let path = Self::path(dir);
        if !path.exists() {
            return Ok(None);
        }
        let text = files::read_text(&path, 1 << 20)?;
        serde_json::from_str(&text).map(Some).map_err(|error| {
            CliError::new(Exit::Usage, "devnet.file", format!("{} is not a devnet file", path.display()))
                .because(error.to_string())
                .next("remove the folder and start the devnet again, or name --disperser and --table yourself")
        })
    }

    /// Writes it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, dir: &Path) -> CliResult {
        let text = serde_json::to_vec_pretty(self).map_err(|error| {
            CliError::new(Exit::Failure, "devnet.file", "could not write devnet.json")
                .because(error.to_string())
        })?;
        files::write_atomically(&Self::path(dir), &text, Access::Everyone)
    }
}
