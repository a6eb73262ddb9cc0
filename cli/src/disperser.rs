//! `ashlar disperser`: set up a disperser and run it.

mod own;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ashlar_crypto::NetworkKey;
use ashlar_crypto::keystore::Cost;
use ashlar_disperser::clock::system_clock;
use ashlar_disperser::config::{Accounts, Profile};
use ashlar_disperser::store::StoreError;
use ashlar_disperser::{Disperser, DisperserConfig, Sources};
use ashlar_ledger::{LedgerPayments, PaymentConfig};
use ashlar_proto::api::AccountMode;
use ashlar_stake::{PaymentSource, TableOrigin, TableSource};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::{DisperserOption, TableOption, follow_table};
use crate::daemon::{self, Stop};
use crate::devnet;
use crate::error::{CliError, CliResult, Exit};
use crate::files;
use crate::keys;
use crate::ui::Ui;

/// The configuration's name in a disperser's folder.
const CONFIG: &str = "disperser.toml";

const EXAMPLES: &str = "\
Examples:
  ashlar disperser init --dir /var/lib/ashlar-disperser --table operators.toml
  ashlar disperser init --dir own --own --key rollup.json      a rollup becomes its own disperser, step by step
  ashlar disperser run --config /var/lib/ashlar-disperser/disperser.toml
  ashlar disperser status --disperser http://127.0.0.1:7500
  ashlar disperser clock accept                      after a long stop: this machine's clock is right

Anybody with a registered network key can be a disperser, a rollup for itself too. `init` makes the key, writes a
configuration, and prints what the operator table needs to know; with --own it registers on the ledger, too.";

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
    Init(Box<InitArgs>),
    /// Run a disperser until SIGTERM or Ctrl-C; a second signal ends it at once
    Run(RunArgs),
    /// Show how a running disperser is
    Status(DisperserOption),
    /// What the disperser believes about the time
    Clock(ClockArgs),
}

/// Options of `ashlar disperser clock`.
#[derive(Debug, Args)]
pub struct ClockArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ClockCommand,
}

/// The commands of `ashlar disperser clock`.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Take this machine's clock for right, after a stop of more than an hour or a clock that was wrong. The disperser has to
    /// be stopped. Says what will expire by it, and asks
    Accept(ClockAcceptArgs),
}

/// Options of `ashlar disperser clock accept`.
#[derive(Debug, Args)]
pub struct ClockAcceptArgs {
    /// The disperser's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
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
    /// What it is to be good at, low-latency or high-throughput: batch.profile of the configuration
    #[arg(long, value_name = "NAME", default_value = "high-throughput")]
    pub profile: Profile,
    /// The operator tables that it will follow.
    #[command(flatten)]
    pub table: TableOption,
    /// A file whose first line is the password for the key [default: ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub own: own::OwnArgs,
}

/// Options of `ashlar disperser run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: daemon::ProcessArgs,
}

/// What a devnet sets; everything else keeps its default.
#[derive(Debug)]
pub struct Settings {
    /// TCP address.
    pub http: String,
    /// The operator tables.
    pub tables: TableSource,
    /// How long data is kept, in seconds; 0 is the protocol's own time.
    pub retention_secs: u64,
    /// Who is served, and who pays.
    pub accounts: Accounts,
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
        DisperserCommand::Clock(args) => match args.command {
            ClockCommand::Accept(args) => accept_clock(ui, &args),
        },
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
    config.operators.clone_from(&settings.tables);
    config.store.shutdown_secs = 5;
    // Records and certificates are small: more would fill for an hour.
    config.store.write_buffer_bytes = 16 << 20;
    config.disperse.max_datagram = devnet::DATAGRAM;
    config.store.retention_secs = settings.retention_secs;
    config.accounts.clone_from(&settings.accounts);
    write(&dir.join(CONFIG), &config)
}

fn write(path: &Path, config: &DisperserConfig) -> CliResult {
    let could_not = "could not write the disperser's configuration";
    daemon::write_config(path, config.to_toml(), could_not)
}

pub(crate) fn load(path: &Path) -> CliResult<DisperserConfig> {
    daemon::config(path, DisperserConfig::load, "ashlar disperser init")
}

/// What a disperser hands in to be put on the table.
#[derive(Debug, Serialize)]
struct InitOut {
    config: PathBuf,
    id: u32,
    network_key: String,
}

/// A new configuration.
fn configuration(args: &InitArgs, tables: TableSource) -> CliResult<DisperserConfig> {
    let mut config = DisperserConfig::default();
    config.listen.http = args.http;
    config.batch.profile = args.profile;
    config.operators = tables;
    if let Some(path) = &args.password_file {
        config.paths.password_file = files::absolute(path)?;
    }
    Ok(config)
}

fn init(ui: Ui, args: &InitArgs) -> CliResult {
    if args.own.is_wanted() {
        return own::init(ui, args);
    }
    files::create_folder(&args.dir)?;
    let config_path = args.dir.join(CONFIG);
    let key_path = args.dir.join("network.json");
    for path in [&config_path, &key_path] {
        files::refuse_existing(path)?;
    }
    let config = configuration(args, args.table.required()?)?;
    let password = files::password(
        args.password_file.as_deref(),
        "Password for the disperser's new key",
        true,
    )?;
    let (_, network) = keys::new_network(&key_path, &password, Cost::Standard)?;
    write(&config_path, &config)?;

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
            "[[tables.dispersers]]\nid = {}\nnetwork_key = \"{}\"\naccount = \"0x{}\"\nbond = \"1\"\n",
            out.id,
            out.network_key,
            "00".repeat(20)
        )
    })
}

async fn run_disperser(ui: Ui, args: RunArgs) -> CliResult {
    let mut stop = Stop::listen(args.process.exit_with_parent)?;
    let config = load(&args.config)?;
    let (key, sources) = connected(&config, args.process.password_file.as_deref())?;
    let disperser = Disperser::start(config, key, sources)
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

/// A disperser's key, and what it follows.
pub(crate) fn connected(
    config: &DisperserConfig,
    password_file: Option<&Path>,
) -> CliResult<(NetworkKey, Sources)> {
    let password = files::password_or_configured(
        password_file,
        &config.paths.password_file,
        "Password of the disperser's key",
    )?;
    let key = keys::open_network(&config.paths.network_key, &password)?;
    drop(password);
    let stake = follow_table(&config.operators, &config.paths.heads)?;
    let payment = payments(config)?;
    Ok((key, Sources { stake, payment }))
}

/// What accounts have, if they are to pay: out of the ledger that the tables come from.
fn payments(config: &DisperserConfig) -> CliResult<Option<Arc<dyn PaymentSource>>> {
    let pays = config.accounts.mode == AccountMode::Paid;
    if !pays || !matches!(config.operators.origin(), Ok(TableOrigin::Ledgers { .. })) {
        // The disperser says what it lacks.
        return Ok(None);
    }
    let source = LedgerPayments::open(&config.operators, PaymentConfig::default());
    let source = source.map_err(|error| {
        CliError::coded(Exit::Usage, "could not follow what accounts pay", &error)
    })?;
    Ok(Some(Arc::new(source)))
}

/// What `ashlar disperser clock accept` does.
#[derive(Debug, Serialize)]
struct ClockOut {
    kept_ms: Option<u64>,
    accepted_ms: u64,
    /// Blobs and batches whose time is over by it.
    ending: usize,
}

fn accept_clock(ui: Ui, args: &ClockAcceptArgs) -> CliResult {
    let config = load(&args.config)?;
    let failed = |error: &StoreError| {
        CliError::coded(
            Exit::Failure,
            "could not use the disperser's database",
            error,
        )
    };
    let store = Disperser::open_stopped(&config).map_err(|error| {
        CliError::coded(
            Exit::Failure,
            "could not open the disperser's database",
            &error,
        )
        .next("while the disperser runs the database is taken: stop it first")
    })?;
    let accepted_ms = system_clock()();
    let out = ClockOut {
        kept_ms: store.kept_time().map_err(|error| failed(&error))?,
        accepted_ms,
        ending: store
            .ending_by(accepted_ms)
            .map_err(|error| failed(&error))?,
    };
    let ending = match out.ending {
        0 => "nothing that is held expires by it".to_owned(),
        ending => {
            format!(
                "{ending} blobs and batches end by it and will be FORGOTTEN when the disperser runs"
            )
        }
    };
    crate::clock::confirm(ui, out.kept_ms, accepted_ms, &ending, args.yes)?;
    store
        .keep_time(accepted_ms)
        .map_err(|error| failed(&error))?;
    ui.data(&out, || {
        format!("accepted: it is {}", crate::ui::utc(accepted_ms))
    })
}

async fn status(ui: Ui, option: DisperserOption) -> CliResult {
    let base = option.resolve()?;
    let value = crate::http::get_json(&format!("{base}/v1/health"), "the disperser").await?;
    ui.data(&value, || crate::node::outline(&value, 0))
}
