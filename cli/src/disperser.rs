//! `ashlar disperser`: set up a disperser and run it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ashlar_crypto::keystore::Cost;
use ashlar_disperser::{Disperser, DisperserConfig};
use ashlar_stake::TableLocation;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::{DisperserOption, follow_table};
use crate::daemon::{self, Stop};
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::keys;
use crate::ui::Ui;

/// The configuration's name in a disperser's folder.
const CONFIG: &str = "disperser.toml";

const EXAMPLES: &str = "\
Examples:
  ashlar disperser init --dir /var/lib/ashlar-disperser --table operators.toml
  ashlar disperser run --config /var/lib/ashlar-disperser/disperser.toml
  ashlar disperser status --disperser http://127.0.0.1:7500

Anybody with a registered network key can be a disperser, a rollup for itself too. `init` makes the key, writes a
configuration, and prints what the operator table needs to know.";

/// Options of `ashlar disperser`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DisperserArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DisperserCommand,
}

/// The commands of `ashlar disperser`.
#[derive(Debug, Subcommand)]
pub enum DisperserCommand {
    /// Make a key and a configuration, and print the entry for the operator table
    Init(InitArgs),
    /// Run a disperser until SIGTERM or Ctrl-C; a second signal ends it at once
    Run(RunArgs),
    /// Show how a running disperser is
    Status(DisperserOption),
}

/// Options of `ashlar disperser init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The disperser's folder; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to listen for clients, TCP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7500")]
    pub http: SocketAddr,
    /// The number under which it will be registered
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub id: u32,
    /// The operator tables that it will follow: a file, or http://HOST:PORT/v1/services/NUMBER on a restaking ledger
    #[arg(
        long,
        value_name = "FILE|URL",
        env = "ASHLAR_TABLE",
        hide_env_values = true
    )]
    pub table: TableLocation,
    /// A file whose first line is the password for the key [default: ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Options of `ashlar disperser run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// A file whose first line is the password [default: that of the configuration, else ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Stop when standard input closes: for programs that start a disperser
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// What a devnet sets; everything else keeps its default.
#[derive(Debug)]
pub struct Settings {
    /// TCP address.
    pub http: String,
    /// The operator tables.
    pub table: TableLocation,
}

/// Runs `ashlar disperser`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: DisperserArgs) -> CliResult {
    match args.command {
        DisperserCommand::Init(args) => init(ui, &args),
        DisperserCommand::Run(args) => daemon::block_on(run_disperser(ui, args)),
        DisperserCommand::Status(option) => daemon::block_on(status(ui, option)),
    }
}

/// Writes `DIR/disperser.toml` of a devnet's disperser.
///
/// # Errors
/// An address is none, or the folder cannot be written.
pub fn write_config(dir: &Path, settings: &Settings) -> CliResult {
    let mut config = DisperserConfig::default();
    config.listen.http = settings
        .http
        .parse()
        .map_err(|_| CliError::usage(format!("{} is not an address", settings.http)))?;
    config.paths.operators.clone_from(&settings.table);
    config.store.shutdown_secs = 5;
    files::write_atomically(
        &dir.join(CONFIG),
        config.to_toml().as_bytes(),
        Access::Everyone,
    )
}

/// What a disperser hands in to be put on the table.
#[derive(Debug, Serialize)]
struct InitOut {
    config: PathBuf,
    id: u32,
    network_key: String,
}

fn init(ui: Ui, args: &InitArgs) -> CliResult {
    files::create_folder(&args.dir)?;
    let config_path = args.dir.join(CONFIG);
    let key_path = args.dir.join("network.json");
    for path in [&config_path, &key_path] {
        keys::refuse_existing(path)?;
    }
    let absolute = |path: &Path| {
        std::path::absolute(path)
            .map_err(|error| CliError::io(format!("could not use {}", path.display()), &error))
    };
    let mut config = DisperserConfig::default();
    config.listen.http = args.http;
    config.paths.operators = crate::context::absolute(&args.table)?;
    if let Some(path) = &args.password_file {
        config.paths.password_file = absolute(path)?;
    }
    let password = files::password(
        args.password_file.as_deref(),
        "Password for the disperser's new key",
        true,
    )?;
    let (_, network) = keys::new_network(&key_path, &password, Cost::Standard)?;
    files::write_atomically(&config_path, config.to_toml().as_bytes(), Access::Everyone)?;

    let out = InitOut {
        config: config_path,
        id: args.id,
        network_key: network.public_key,
    };
    ui.note(format!(
        "wrote {} and {}",
        out.config.display(),
        key_path.display()
    ));
    ui.note("hand this in for the operator table, with the account of your bond:");
    ui.data(&out, || {
        format!(
            "[[tables.dispersers]]\nid = {}\nnetwork_key = \"{}\"\naccount = \"0x{}\"\n",
            out.id,
            out.network_key,
            "00".repeat(20)
        )
    })
}

async fn run_disperser(ui: Ui, args: RunArgs) -> CliResult {
    let mut stop = Stop::listen(args.exit_with_parent)?;
    let config = DisperserConfig::load(&args.config).map_err(|error| {
        CliError::coded(
            Exit::Usage,
            format!("could not use the configuration {}", args.config.display()),
            &error,
        )
        .next("ashlar disperser init writes one that works")
    })?;
    let password_file = args.password_file.clone().or_else(|| {
        let configured = config.paths.password_file.clone();
        configured.exists().then_some(configured)
    });
    let password = files::password(
        password_file.as_deref(),
        "Password of the disperser's key",
        false,
    )?;
    let key = keys::open_network(&config.paths.network_key, &password)?;
    drop(password);
    let stake = follow_table(&config.paths.operators)?;
    let disperser = Disperser::start(config, key, stake)
        .await
        .map_err(|error| CliError::coded(Exit::Failure, "the disperser could not start", &error))?;
    let http = disperser.http_addr();
    ui.data(
        &serde_json::json!({ "event": "running", "http": http }),
        || format!("disperser runs: HTTP {http}"),
    )?;
    let broken = daemon::asked_or_broken(&mut stop, disperser.failed()).await;
    daemon::stop_within_deadline("disperser", disperser.shutdown()).await?;
    daemon::ended_well("disperser", broken)
}

async fn status(ui: Ui, option: DisperserOption) -> CliResult {
    let base = option.resolve()?;
    let value = crate::http::get_json(&format!("{base}/v1/health"), "the disperser").await?;
    ui.data(&value, || crate::node::outline(&value, 0))
}
