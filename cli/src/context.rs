//! Where the disperser and the operator table are when the person does not say: the environment, then a devnet in
//! this folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ashlar_ledger::HttpStakeSource;
use ashlar_ledger::source::FollowConfig;
use ashlar_proto::Account;
use ashlar_stake::{FileStakeSource, StakeSource, TableLocation, TableOrigin, TableSource};
use clap::Args;

use crate::devnet::layout::{DEFAULT_DIR, DevnetFile};
use crate::error::{CliError, CliResult, Exit};

/// Which disperser.
#[derive(Clone, Debug, Default, Args)]
pub struct DisperserOption {
    /// The disperser's HTTP address [default: that of the devnet in .ashlar/devnet]
    #[arg(
        long,
        value_name = "URL",
        env = "ASHLAR_DISPERSER",
        hide_env_values = true
    )]
    pub disperser: Option<String>,
}

/// Commands that look at a ledger's table once wait so long for it.
const LEDGER_PATIENCE: Duration = Duration::from_secs(20);

/// Which operator tables, and who vouches for them.
#[derive(Clone, Debug, Default, Args)]
pub struct TableOption {
    /// The operator tables: a file, TOML or JSON, or a service on a restaking ledger,
    /// https://HOST/v1/services/NUMBER#NETWORK; several ledgers, each with --table or with commas between them, are compared
    #[arg(
        long,
        value_name = "FILE|URL",
        env = "ASHLAR_TABLE",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub table: Vec<TableLocation>,
    /// An account whose signed heads are believed, as ashlar stake init printed it; a ledger needs one
    #[arg(
        long = "head-key",
        value_name = "ACCOUNT",
        env = "ASHLAR_HEAD_KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub head_keys: Vec<Account>,
    /// The certificate authorities that an https:// ledger is checked against, PEM [default: the operating system's]
    #[arg(
        long,
        value_name = "FILE",
        env = "ASHLAR_LEDGER_CA",
        hide_env_values = true
    )]
    pub ledger_ca: Option<PathBuf>,
}

/// The devnet of this folder, if one was started here.
pub fn devnet_here() -> CliResult<Option<DevnetFile>> {
    DevnetFile::read(Path::new(DEFAULT_DIR))
}

impl DisperserOption {
    /// The URL to use, without a slash at its end.
    ///
    /// # Errors
    /// Nothing was given and there is no devnet here, or it is no `http(s)` URL.
    pub fn resolve(&self) -> CliResult<String> {
        let url = match &self.disperser {
            Some(url) => url.clone(),
            None => match devnet_here()? {
                Some(devnet) => devnet.disperser_url,
                None => {
                    return Err(CliError::usage("no disperser is known").next(
                        "name one with --disperser or ASHLAR_DISPERSER, or start a devnet in this folder: ashlar devnet",
                    ));
                }
            },
        };
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(
                CliError::usage(format!("{url} is not the URL of a disperser"))
                    .next("write it as http://host:port or https://host"),
            );
        }
        Ok(url.trim_end_matches('/').to_owned())
    }
}

impl TableOption {
    /// What was given, with paths that hold wherever the process is started; `None` if nothing was.
    ///
    /// # Errors
    /// It does not fit together, such as a ledger without a head key; or the current folder is unknown.
    pub fn given(&self) -> CliResult<Option<TableSource>> {
        if self.table.is_empty() {
            if !self.head_keys.is_empty() || self.ledger_ca.is_some() {
                return Err(
                    CliError::usage("head keys or authorities are named, and no ledger")
                        .next("name the ledger with --table or ASHLAR_TABLE"),
                );
            }
            return Ok(None);
        }
        let folder = std::env::current_dir()
            .map_err(|error| CliError::io("could not find the current folder", &error))?;
        let source = TableSource {
            tables: self.table.clone(),
            head_keys: self.head_keys.clone(),
            ca: self.ledger_ca.clone().unwrap_or_default(),
        }
        .starting_at(&folder);
        source
            .origin()
            .map_err(|error| unusable(&source, Exit::Usage, &error))?;
        Ok(Some(source))
    }

    /// What was given, for a command that writes it into a configuration.
    ///
    /// # Errors
    /// As [`TableOption::given`], or nothing was.
    pub fn required(&self) -> CliResult<TableSource> {
        self.given()?.ok_or_else(|| {
            CliError::usage("no operator table is named")
                .next("name one with --table or ASHLAR_TABLE")
        })
    }

    /// What was given, else the devnet's in this folder.
    ///
    /// # Errors
    /// As [`TableOption::given`], or nothing was given and there is no devnet here.
    pub fn source(&self) -> CliResult<TableSource> {
        if let Some(source) = self.given()? {
            return Ok(source);
        }
        match devnet_here()? {
            Some(devnet) => Ok(devnet.tables),
            None => Err(CliError::usage("no operator table is known").next(
                "name one with --table or ASHLAR_TABLE, or run it in the folder where the devnet was started",
            )),
        }
    }

    /// Opens them, for a command that looks once: with a table at hand.
    ///
    /// # Errors
    /// As [`TableOption::source`], or there is no table.
    pub fn open(&self) -> CliResult<Arc<dyn StakeSource>> {
        open_table(&self.source()?)
    }
}

/// Opens operator tables for a command that looks at them now. It remembers nothing for the next one.
///
/// # Errors
/// A file is missing, malformed, or one of its keys does not prove its possession; a ledger is not reached, or its service
/// has no operators with stake, or nobody who is believed vouches for its table.
pub fn open_table(source: &TableSource) -> CliResult<Arc<dyn StakeSource>> {
    match source.origin() {
        Ok(TableOrigin::Ledgers { .. }) => {
            let followed = follow(source, None)?;
            followed
                .wait_ready(LEDGER_PATIENCE)
                .map_err(|error| unusable(source, Exit::Unavailable, &error))?;
            Ok(followed)
        }
        Ok(TableOrigin::File(path)) => open_file(source, path),
        Err(error) => Err(unusable(source, Exit::Usage, &error)),
    }
}

/// Opens operator tables for a daemon, which remembers a ledger's heads in `memory`. A ledger need not be reachable yet: until
/// it is, the daemon says that it is degraded.
///
/// # Errors
/// A file does not load, the description does not fit together, or what is remembered cannot be read.
pub fn follow_table(source: &TableSource, memory: &Path) -> CliResult<Arc<dyn StakeSource>> {
    match source.origin() {
        Ok(TableOrigin::Ledgers { .. }) => Ok(follow(source, Some(memory))?),
        Ok(TableOrigin::File(path)) => open_file(source, path),
        Err(error) => Err(unusable(source, Exit::Usage, &error)),
    }
}

fn open_file(source: &TableSource, path: &Path) -> CliResult<Arc<dyn StakeSource>> {
    let file = FileStakeSource::open(path).map_err(|error| {
        let exit = if path.exists() {
            Exit::Usage
        } else {
            Exit::Unavailable
        };
        unusable(source, exit, &error)
    })?;
    Ok(Arc::new(file))
}

fn follow(source: &TableSource, memory: Option<&Path>) -> CliResult<Arc<HttpStakeSource>> {
    let config = FollowConfig {
        memory: memory.map(Path::to_path_buf),
        ..FollowConfig::default()
    };
    HttpStakeSource::open(source, config)
        .map(Arc::new)
        .map_err(|error| unusable(source, Exit::Usage, &error))
}

fn unusable<E: ashlar_crypto::Coded + std::error::Error>(
    source: &TableSource,
    exit: Exit,
    error: &E,
) -> CliError {
    CliError::coded(
        exit,
        format!("could not use the operator tables of {source}"),
        error,
    )
}
