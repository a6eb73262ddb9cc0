//! `ashlar gateway`: set up a gateway and run it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ashlar_retriever::gateway::{Gateway, GatewayConfig};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::{TableOption, follow_table};
use crate::daemon::{self, Stop};
use crate::error::{CliError, CliResult, Exit};
use crate::files;
use crate::get;
use crate::requirements::{Age, Quorums};
use crate::ui::Ui;

/// The configuration's name in a gateway's folder.
const CONFIG: &str = "gateway.toml";

const EXAMPLES: &str = "\
Examples:
  ashlar gateway init --dir gw --table operators.toml --required-quorums 0 --max-age 14d --disperser https://disperser.example
  ashlar gateway run --config gw/gateway.toml
  ashlar gateway status --gateway http://127.0.0.1:7700
  ashlar get --cert block.cert -o block.bin --disperser http://127.0.0.1:7700      it reads like a disperser's relay

Anybody can run one: it needs no key and no registration. It fetches payloads from dispersers and operators, checks them under a
policy of its own, keeps them on disk, and serves them over HTTP.";

/// Options of `ashlar gateway`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GatewayArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: GatewayCommand,
}

/// The commands of `ashlar gateway`.
#[derive(Debug, Subcommand)]
pub enum GatewayCommand {
    /// Write a configuration
    Init(InitArgs),
    /// Run a gateway until SIGTERM or Ctrl-C; a second signal ends it at once
    Run(RunArgs),
    /// Show how a running gateway is, and what it has learned about operators
    Status(StatusArgs),
}

/// Options of `ashlar gateway init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The gateway's folder; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Where to listen, TCP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7700")]
    pub http: SocketAddr,
    /// A disperser that is asked for certificates and payloads; may be given several times
    #[arg(long = "disperser", value_name = "URL")]
    pub dispersers: Vec<String>,
    /// Quorums that must have signed, such as 0,1
    #[arg(long, value_name = "LIST")]
    pub required_quorums: Quorums,
    /// How old a certificate may be, such as 14d, 36h, 10m or 90s
    #[arg(long, value_name = "AGE")]
    pub max_age: Age,
    /// The operator tables that it will follow.
    #[command(flatten)]
    pub table: TableOption,
}

/// Options of `ashlar gateway run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Stop when standard input closes: for programs that start a gateway
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Options of `ashlar gateway status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The gateway's HTTP address
    #[arg(
        long,
        value_name = "URL",
        env = "ASHLAR_GATEWAY",
        hide_env_values = true,
        default_value = "http://127.0.0.1:7700"
    )]
    pub gateway: String,
}

/// Runs `ashlar gateway`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: GatewayArgs) -> CliResult {
    match args.command {
        GatewayCommand::Init(args) => init(ui, &args),
        GatewayCommand::Run(args) => daemon::block_on(run_gateway(ui, args)),
        GatewayCommand::Status(args) => daemon::block_on(status(ui, args)),
    }
}

fn load(path: &Path) -> CliResult<GatewayConfig> {
    daemon::config(path, GatewayConfig::load, "ashlar gateway init")
}

#[derive(Debug, Serialize)]
struct InitOut {
    config: PathBuf,
}

fn init(ui: Ui, args: &InitArgs) -> CliResult {
    files::create_folder(&args.dir)?;
    let path = args.dir.join(CONFIG);
    files::refuse_existing(&path)?;
    let unusable = |what: &str, next: &str| CliError::usage(what.to_owned()).next(next.to_owned());
    let mut config = GatewayConfig::default();
    config.listen.http = args.http;
    config.operators = args.table.required()?;
    config.fetch.dispersers.clone_from(&args.dispersers);
    config.policy.required_quorums = match &args.required_quorums {
        Quorums::These(quorums) => quorums.clone(),
        Quorums::Any => {
            let what = "a gateway answers for certain quorums, not for any";
            return Err(unusable(what, "--required-quorums 0"));
        }
    };
    config.policy.max_age_secs = match args.max_age {
        Age::Most(most) => most.as_secs(),
        Age::Unbounded => {
            let what = "a gateway fetches from operators, which hold data for a time only";
            return Err(unusable(what, "--max-age 14d"));
        }
    };
    let could_not = "could not write the gateway's configuration";
    let text = config.validate().and_then(|()| config.to_toml());
    daemon::write_config(&path, text, could_not)?;
    let out = InitOut { config: path };
    ui.data(&out, || format!("wrote {}", out.config.display()))
}

async fn run_gateway(ui: Ui, args: RunArgs) -> CliResult {
    let mut stop = Stop::listen(args.exit_with_parent)?;
    let config = load(&args.config)?;
    let stake = follow_table(&config.operators, &config.paths.heads)?;
    let gateway = Gateway::start(config, stake, get::network()?)
        .await
        .map_err(|error| CliError::coded(Exit::Failure, "the gateway could not start", &error))?;
    let http = gateway.http_addr();
    ui.data(
        &serde_json::json!({ "event": "running", "http": http }),
        || format!("gateway runs: HTTP {http}"),
    )?;
    let broken = daemon::asked_or_broken(&mut stop, gateway.failed()).await;
    daemon::stop_within_deadline("gateway", gateway.shutdown()).await?;
    daemon::ended_well("gateway", broken)
}

async fn status(ui: Ui, args: StatusArgs) -> CliResult {
    let base = args.gateway.trim_end_matches('/');
    let page =
        async |path: &str| crate::http::get_json(&format!("{base}/v1/{path}"), "the gateway").await;
    let mut value = page("health").await?;
    let operators = page("operators").await?;
    if let Some(status) = value.as_object_mut() {
        status.insert("operators".to_owned(), operators);
    }
    ui.data(&value, || crate::node::outline(&value, 0))
}
