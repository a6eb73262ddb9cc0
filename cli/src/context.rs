//! Where the disperser and the operator table are when the person does not say: the environment, then a devnet in
//! this folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ashlar_stake::{FileStakeSource, StakeSource};
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

/// Which operator table.
#[derive(Clone, Debug, Default, Args)]
pub struct TableOption {
    /// The operator table, TOML or JSON [default: that of the devnet in .ashlar/devnet]
    #[arg(
        long,
        value_name = "FILE",
        env = "ASHLAR_TABLE",
        hide_env_values = true
    )]
    pub table: Option<PathBuf>,
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
    /// The table file to use.
    ///
    /// # Errors
    /// Nothing was given and there is no devnet here.
    pub fn path(&self) -> CliResult<PathBuf> {
        if let Some(path) = &self.table {
            return Ok(path.clone());
        }
        match devnet_here()? {
            Some(devnet) => Ok(devnet.table),
            None => Err(CliError::usage("no operator table is known").next(
                "name one with --table or ASHLAR_TABLE, or run it in the folder where the devnet was started",
            )),
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`TableOption::path`], or the file does not load.
    pub fn open(&self) -> CliResult<Arc<dyn StakeSource>> {
        let path = self.path()?;
        open_table(&path)
    }
}

/// Opens an operator table file.
///
/// # Errors
/// It is missing, malformed, or one of its keys does not prove its possession.
pub fn open_table(path: &Path) -> CliResult<Arc<dyn StakeSource>> {
    let source = FileStakeSource::open(path).map_err(|error| {
        let exit = if path.exists() {
            Exit::Usage
        } else {
            Exit::Unavailable
        };
        CliError::coded(
            exit,
            format!("could not use the operator table {}", path.display()),
            &error,
        )
    })?;
    Ok(Arc::new(source))
}
