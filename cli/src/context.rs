//! Where the disperser and the operator table are when the person does not say: the environment, then a devnet in
//! this folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ashlar_ledger::source::FollowConfig;
use ashlar_ledger::{HttpStakeSource, LedgerClient};
use ashlar_stake::{FileStakeSource, StakeSource, TableLocation};
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

/// Which operator table.
#[derive(Clone, Debug, Default, Args)]
pub struct TableOption {
    /// The operator tables: a file, TOML or JSON, or a service on a restaking ledger,
    /// http://HOST:PORT/v1/services/NUMBER [default: that of the devnet in .ashlar/devnet]
    #[arg(
        long,
        value_name = "FILE|URL",
        env = "ASHLAR_TABLE",
        hide_env_values = true
    )]
    pub table: Option<TableLocation>,
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
    /// Where the tables are.
    ///
    /// # Errors
    /// Nothing was given and there is no devnet here.
    pub fn location(&self) -> CliResult<TableLocation> {
        if let Some(location) = &self.table {
            return Ok(location.clone());
        }
        match devnet_here()? {
            Some(devnet) => Ok(devnet.table),
            None => Err(CliError::usage("no operator table is known").next(
                "name one with --table or ASHLAR_TABLE, or run it in the folder where the devnet was started",
            )),
        }
    }

    /// Opens them, for a command that looks once: with a table at hand.
    ///
    /// # Errors
    /// As [`TableOption::location`], or there is no table.
    pub fn open(&self) -> CliResult<Arc<dyn StakeSource>> {
        open_table(&self.location()?)
    }
}

/// Opens operator tables for a command that looks at them now.
///
/// # Errors
/// A file is missing, malformed, or one of its keys does not prove its possession; a ledger is not reached, or its service
/// has no operators with stake.
pub fn open_table(location: &TableLocation) -> CliResult<Arc<dyn StakeSource>> {
    match location {
        TableLocation::File(path) => open_file(path),
        TableLocation::Ledger { .. } => {
            let source = follow(location)?;
            source
                .wait_ready(LEDGER_PATIENCE)
                .map_err(|error| unusable(location, Exit::Unavailable, &error))?;
            Ok(source)
        }
    }
}

/// Opens operator tables for a daemon. A ledger need not be reachable yet: until it is, the daemon says that it is degraded.
///
/// # Errors
/// A file does not load, or the URL is none.
pub fn follow_table(location: &TableLocation) -> CliResult<Arc<dyn StakeSource>> {
    match location {
        TableLocation::File(path) => open_file(path),
        TableLocation::Ledger { .. } => Ok(follow(location)?),
    }
}

/// A location that holds wherever the process is started.
///
/// # Errors
/// The current folder is unknown.
pub fn absolute(location: &TableLocation) -> CliResult<TableLocation> {
    match location {
        TableLocation::File(path) => std::path::absolute(path)
            .map(TableLocation::from)
            .map_err(|error| CliError::io(format!("could not use {}", path.display()), &error)),
        ledger @ TableLocation::Ledger { .. } => Ok(ledger.clone()),
    }
}

fn open_file(path: &Path) -> CliResult<Arc<dyn StakeSource>> {
    let source = FileStakeSource::open(path).map_err(|error| {
        let exit = if path.exists() {
            Exit::Usage
        } else {
            Exit::Unavailable
        };
        unusable(&path.to_path_buf().into(), exit, &error)
    })?;
    Ok(Arc::new(source))
}

fn follow(location: &TableLocation) -> CliResult<Arc<HttpStakeSource>> {
    let TableLocation::Ledger { url, service } = location else {
        return Err(CliError::usage(format!("{location} is no ledger")));
    };
    let base = url.parse().map_err(|error| {
        CliError::usage(format!("{url} is not the address of a ledger"))
            .because(format!("{error}"))
            .next("write it as http://HOST:PORT/v1/services/NUMBER")
    })?;
    let client =
        LedgerClient::new(base).map_err(|error| unusable(location, Exit::Usage, &error))?;
    let source = HttpStakeSource::start(client, *service, FollowConfig::default())
        .map_err(|error| unusable(location, Exit::Failure, &error))?;
    Ok(Arc::new(source))
}

fn unusable<E: ashlar_crypto::Coded + std::error::Error>(
    location: &TableLocation,
    exit: Exit,
    error: &E,
) -> CliError {
    CliError::coded(
        exit,
        format!("could not use the operator table {location}"),
        error,
    )
}
