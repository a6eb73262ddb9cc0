//! `ashlar stake serve`: runs a ledger until it is stopped.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ashlar_ledger::{HeadKeys, LedgerConfig, LedgerService};
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use crate::daemon::{self, Stop};
use crate::error::{CliError, CliResult, Exit};
use crate::ui::Ui;
use crate::{files, keys};

const EXAMPLES: &str = "\
Examples:
  ashlar stake serve --config ledger/ledger.toml
  ashlar stake serve --config ledger/ledger.toml --http 127.0.0.1:0      any free port, which is printed

Ctrl-C or SIGTERM stops it: what was accepted is on the disk. A second signal ends it at once; nothing acknowledged is lost then
either. ashlar stake init makes a configuration.";

/// Options of `ashlar stake serve`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = super::init::CONFIG)]
    pub config: PathBuf,
    /// A file whose first line is the password of the head key [default: that of the configuration, else ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Listen here and not where the configuration says
    #[arg(long, value_name = "IP:PORT")]
    pub http: Option<SocketAddr>,
    /// Stop when standard input closes: for programs that start a ledger
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Runs `ashlar stake serve`.
///
/// # Errors
/// The configuration is none, the ledger cannot be opened, or the service lost a part that it cannot work without.
pub async fn run(ui: Ui, args: &ServeArgs) -> CliResult {
    let mut stop = Stop::listen(args.exit_with_parent)?;
    let config = load(&args.config)?;
    let listen = args.http.unwrap_or(config.listen.http);
    let open = config.access.open;
    let keys = head_keys(args, &config)?;
    let ledger = LedgerService::start(config, keys, listen)
        .await
        .map_err(|error| CliError::coded(Exit::Failure, "the ledger could not start", &error))?;
    let url = ledger.url();
    if open && !ledger.addr.ip().is_loopback() {
        ui.warn("access.open with an address that others can reach: everybody can make stake here");
    }
    ui.data(&json!({ "event": "running", "url": url }), || {
        format!("the ledger runs: {url}")
    })?;
    let broken = daemon::asked_or_broken(&mut stop, ledger.failed()).await;
    daemon::stop_within_deadline("ledger", ledger.shutdown()).await?;
    daemon::ended_well("ledger", broken)
}

/// Reads a ledger's configuration.
///
/// # Errors
/// It is not there, or cannot be used.
pub(super) fn load(path: &Path) -> CliResult<LedgerConfig> {
    daemon::config(path, LedgerConfig::load, "ashlar stake init DIR")
}

/// The password of the head key: from a file that is named, else the configuration's, else it is asked for.
///
/// # Errors
/// The file cannot be read, or nobody answers.
pub(super) fn password(
    named: Option<&Path>,
    config: &LedgerConfig,
) -> CliResult<Zeroizing<String>> {
    let configured = &config.paths.password_file;
    files::password_or_configured(named, configured, "Password of the head key")
}

/// Opens the keys that sign heads.
fn head_keys(args: &ServeArgs, config: &LedgerConfig) -> CliResult<HeadKeys> {
    let paths = &config.paths;
    let password = password(args.password_file.as_deref(), config)?;
    let next = Some(&paths.next_head_key).filter(|path| !path.as_os_str().is_empty());
    let keys = [&paths.head_key]
        .into_iter()
        .chain(next)
        .map(|path| keys::open_account(path, &password))
        .collect::<CliResult<Vec<_>>>()?;
    Ok(HeadKeys::new(keys))
}
