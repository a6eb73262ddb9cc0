//! `ashlar node`: set up a storage node, run it, ask how it is.

mod challenges;
mod doctor;
pub(crate) mod upkeep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ashlar_crypto::keystore::Cost;
use ashlar_node::signer::BatchSigner;
use ashlar_node::signer::remote::RemoteSigner;
use ashlar_node::{Database, Node, NodeConfig, NodeKeys};
use ashlar_stake::{TableOrigin, TableSource};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use crate::context::{TableOption, devnet_here, follow_table};
use crate::daemon::{self, Stop};
use crate::devnet;
use crate::error::{CliError, CliResult, Exit};
use crate::files;
use crate::keys::{self, KeyInfo};
use crate::ui::Ui;
use doctor::DoctorArgs;
use upkeep::{ClockCommand, ProtectionCommand, RetireArgs, VerifyArgs};

/// The configuration's name in a node's folder.
const CONFIG: &str = "node.toml";

const EXAMPLES: &str = "\
Examples:
  ashlar node init --dir /var/lib/ashlar --address node1.example.com:7400 --table operators.toml
  ashlar node run --config /var/lib/ashlar/node.toml
  ashlar node status --http http://127.0.0.1:7480
  ashlar node status --operator 3                    operator 3 of the devnet in this folder
  ashlar node doctor --config node1/node.toml        what is wrong, and what to do about it
  ashlar node verify                                 is all that was signed still there? The node has to be stopped
  ashlar node clock accept                           after a long stop: this machine's clock is right
  ashlar node retire                                 another key has taken this one's place: sign no more, serve to the end
  ashlar node protection export moving.json          end signing here, to go on elsewhere
  ashlar node protection import moving.json --new-database

`init` makes keys, their database and a configuration, and prints what the operator table needs to know. A key has one database;
bls.database.json beside its keystore says which.";

/// Options of `ashlar node`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct NodeArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: NodeCommand,
}

/// The commands of `ashlar node`.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// Make keys and a configuration, and print the entry for the operator table
    Init(InitArgs),
    /// Run a node until SIGTERM or Ctrl-C; a second signal ends it at once
    Run(RunArgs),
    /// Show how a running node is
    Status(RunningNodeArgs),
    /// Look at everything that keeps a node from signing, running or not, and say what to do: clock, disk, ports, table, keys, whether
    /// peers reach it, and why batches were refused. Writes 12 MiB into its folder and removes them. Exits with 1 if a check fails
    Doctor(DoctorArgs),
    /// Show the evidence that a running node holds against dispersers that signed two batches under one number
    Equivocations(RunningNodeArgs),
    /// Read back everything that was promised, and check it, while the node is stopped. Nothing is changed: what is damaged,
    /// the node repairs out of what its peers hold
    Verify(VerifyArgs),
    /// The time that data expires by
    Clock {
        /// What to do.
        #[command(subcommand)]
        command: ClockCommand,
    },
    /// End signing for ever, once another key has taken the place of this node's. The node has to be stopped; started again, it
    /// serves what it holds and answers for it until that has expired
    Retire(RetireArgs),
    /// What a key may not sign any more, to take along when a node moves
    Protection {
        /// What to do.
        #[command(subcommand)]
        command: ProtectionCommand,
    },
}

/// Options of `ashlar node init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The node's folder; made if it does not exist
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// The address that the operator table will give for this node
    #[arg(long, value_name = "HOST:PORT")]
    pub address: String,
    /// Where to listen for dispersers and readers, UDP [default: all addresses, the port of --address]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<std::net::SocketAddr>,
    /// Where to listen for the operator's own HTTP, TCP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7480")]
    pub http: std::net::SocketAddr,
    /// The operator tables that the node will follow.
    #[command(flatten)]
    pub table: TableOption,
    /// A file whose first line is the password for the keys [default: ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Options of `ashlar node run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: daemon::ProcessArgs,
    /// Make a new database: once, for a key that has never signed anything. Refused as soon as the key has one
    #[arg(long)]
    pub new_database: bool,
    /// Make a new database in place of the one that this key had and that is lost: once, on an empty disk. Nothing is signed until
    /// peers have said what was promised with it, and all of that is fetched from them
    #[arg(long, conflicts_with = "new_database")]
    pub lost_database: bool,
}

/// Which running node.
#[derive(Debug, Args)]
pub struct RunningNodeArgs {
    /// The node's own HTTP address
    #[arg(long, value_name = "URL", conflicts_with = "operator")]
    pub http: Option<String>,
    /// Which operator of the devnet in this folder
    #[arg(long, value_name = "NUMBER")]
    pub operator: Option<u32>,
}

/// What a devnet sets; everything else keeps its default.
#[derive(Debug)]
pub struct Settings {
    /// UDP address.
    pub quic: String,
    /// TCP address.
    pub http: String,
    /// The operator tables.
    pub tables: TableSource,
    /// How long data is kept, in seconds; 0 is the protocol's own time.
    pub retention_secs: u64,
}

/// Runs `ashlar node`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: NodeArgs) -> CliResult {
    match args.command {
        NodeCommand::Init(args) => init(ui, &args),
        NodeCommand::Run(args) => daemon::block_on(run_node(ui, args)),
        NodeCommand::Doctor(args) => doctor::run(ui, &args),
        NodeCommand::Status(which) => daemon::block_on(status(ui, &which)),
        NodeCommand::Equivocations(which) => daemon::block_on(upkeep::equivocations(ui, &which)),
        NodeCommand::Verify(args) => upkeep::verify(ui, &args),
        NodeCommand::Clock { command } => upkeep::clock(ui, &command),
        NodeCommand::Retire(args) => upkeep::retire(ui, &args),
        NodeCommand::Protection { command } => {
            upkeep::protection(ui, &command, Path::new(CONFIG), upkeep::local)
        }
    }
}

/// Writes `DIR/node.toml` of a devnet's operator, whose keys are there, and makes its database.
///
/// # Errors
/// An address is none, or the folder cannot be written.
pub fn write_config(dir: &Path, settings: &Settings) -> CliResult {
    let mut config = NodeConfig::default();
    config.listen.quic = address(&settings.quic)?;
    config.listen.http = address(&settings.http)?;
    config.operators.clone_from(&settings.tables);
    // Many nodes share one machine here: little memory, and no long good-byes.
    config.load.memory_bytes = 768 << 20;
    config.store.min_free_bytes = 256 << 20;
    config.tasks.shutdown_secs = 5;
    config.listen.max_datagram = devnet::DATAGRAM;
    if settings.retention_secs > 0 {
        config.store.retention_secs = settings.retention_secs;
        config.store.window_secs = (settings.retention_secs / 10).max(1);
        // Whatever may still be sent is younger than what is forgotten.
        config.accept.max_age_secs = settings.retention_secs / 2;
    }
    write(&dir.join(CONFIG), &config)?;
    upkeep::new_database(&upkeep::local(&dir.join(CONFIG))?)
}

fn write(path: &Path, config: &NodeConfig) -> CliResult {
    let could_not = format!("could not write {}", path.display());
    daemon::write_config(path, config.to_toml(), &could_not)
}

fn load(path: &Path) -> CliResult<NodeConfig> {
    daemon::config(path, NodeConfig::load, "ashlar node init")
}

fn address(text: &str) -> CliResult<std::net::SocketAddr> {
    text.parse().map_err(|_| {
        CliError::usage(format!("{text} is not an address")).next("write it as 127.0.0.1:7400")
    })
}

/// What an operator hands in to be put on the table.
#[derive(Debug, Serialize)]
struct InitOut {
    config: PathBuf,
    operator_id: String,
    bls_public_key: String,
    proof_of_possession: String,
    network_key: String,
    address: String,
}

fn init(ui: Ui, args: &InitArgs) -> CliResult {
    let port: u16 = match args
        .address
        .rsplit_once(':')
        .map(|(host, port)| (host, port.parse()))
    {
        Some((host, Ok(port))) if !host.is_empty() && port != 0 => port,
        _ => {
            return Err(CliError::usage(format!("{} is not host:port", args.address))
                .next("give the address by which others reach this node: --address node1.example.com:7400"));
        }
    };
    files::create_folder(&args.dir)?;
    let config_path = args.dir.join(CONFIG);
    let (bls_path, network_path) = (args.dir.join("bls.json"), args.dir.join("network.json"));
    for path in [&config_path, &bls_path, &network_path] {
        files::refuse_existing(path)?;
    }
    let tables = args.table.required()?;
    let password = files::password(
        args.password_file.as_deref(),
        "Password for the node's new keys",
        true,
    )?;
    let (key, bls): (_, KeyInfo) = keys::new_bls(&bls_path, &password, Cost::Standard)?;
    let (_, network) = keys::new_network(&network_path, &password, Cost::Standard)?;

    let mut config = NodeConfig::default();
    config.listen.quic = args.listen.unwrap_or_else(|| ([0, 0, 0, 0], port).into());
    config.listen.http = args.http;
    config.operators = tables;
    if let Some(path) = &args.password_file {
        config.paths.password_file = files::absolute(path)?;
    }
    write(&config_path, &config)?;
    upkeep::new_database(&upkeep::local(&config_path)?)?;

    let out = InitOut {
        config: config_path,
        operator_id: ashlar_proto::operator_id(&key.public_key().to_bytes()).to_string(),
        bls_public_key: bls.public_key,
        proof_of_possession: keys::possession(&key),
        network_key: network.public_key,
        address: args.address.clone(),
    };
    ui.note(format!(
        "wrote {}, {} and {}; made the database of these keys",
        out.config.display(),
        bls_path.display(),
        network_path.display()
    ));
    ui.note(match config.operators.origin() {
        Ok(TableOrigin::Ledgers { urls, .. }) => format!(
            "register these keys on the ledger: ashlar stake tx register-operator --help (--ledger {}); as an entry of a table file \
             they would be:",
            urls.join(" or ")
        ),
        _ => {
            "hand this in for the operator table; the stake in it, 1 in quorum 0, is a placeholder:"
                .to_owned()
        }
    });
    ui.data(&out, || {
        format!(
            "[[tables.operators]]\noperator_id = \"{}\"\nbls_public_key = \"{}\"\nproof_of_possession = \"{}\"\n\
             network_key = \"{}\"\naddress = \"{}\"\nstakes = {{ 0 = \"1\" }}\n",
            out.operator_id, out.bls_public_key, out.proof_of_possession, out.network_key, out.address
        )
    })
}

async fn run_node(ui: Ui, args: RunArgs) -> CliResult {
    let mut stop = Stop::listen(args.process.exit_with_parent)?;
    let config = load(&args.config)?;
    let which = match (args.new_database, args.lost_database) {
        (true, _) => Database::New,
        (_, true) => Database::Lost,
        _ => Database::Existing,
    };
    let keys = open_keys(&config, args.process.password_file.as_deref())?;
    let stake = follow_table(&config.operators, &config.paths.heads)?;
    let challenges = challenges::sources(&config)?;
    let node = Node::start(config, keys, stake, challenges, which)
        .await
        .map_err(|error| CliError::coded(Exit::Failure, "the node could not start", &error))?;
    let (quic, http) = (node.quic_addr(), node.http_addr());
    ui.data(
        &serde_json::json!({ "event": "running", "quic": quic, "http": http }),
        || format!("node runs: QUIC {quic}, HTTP {http}"),
    )?;
    let broken = daemon::asked_or_broken(&mut stop, node.failed()).await;
    daemon::stop_within_deadline("node", node.shutdown()).await?;
    daemon::ended_well("node", broken)
}

/// Opens the node's keystores; the BLS key may be a remote signer's. Needs a tokio runtime around it.
fn open_keys(config: &NodeConfig, password_file: Option<&Path>) -> CliResult<NodeKeys> {
    let (paths, prompt) = (&config.paths, "Password of the node's keys");
    let password = files::password_or_configured(password_file, &paths.password_file, prompt)?;
    let network = keys::open_network(&paths.network_key, &password)?;
    let next = Some(&paths.next_network_key).filter(|path| path.exists());
    let next_network = next
        .map(|path| keys::open_network(path, &password))
        .transpose()?;
    let could_not = "could not prepare to talk to the remote signer";
    let remote = config
        .remote_signer()
        .map_err(|error| CliError::coded(Exit::Usage, could_not, &error))?;
    let bls: Arc<dyn BatchSigner> = match remote {
        Some(at) => {
            let signer = RemoteSigner::new(&at, &network);
            Arc::new(signer.map_err(|error| CliError::coded(Exit::Failure, could_not, &error))?)
        }
        None => Arc::new(keys::open_bls(&paths.bls_key, &password)?),
    };
    Ok(NodeKeys {
        bls,
        network,
        next_network,
    })
}

impl RunningNodeArgs {
    /// Where the node's HTTP answers.
    fn base(&self) -> CliResult<String> {
        match (&self.http, self.operator, devnet_here()?) {
            (Some(url), _, _) => Ok(url.trim_end_matches('/').to_owned()),
            (None, Some(index), Some(devnet)) => devnet
                .nodes
                .iter()
                .find(|node| node.index == index)
                .map(|node| node.http.clone())
                .ok_or_else(|| CliError::usage(format!("the devnet here has no operator {index}"))),
            (None, None, _) => Ok("http://127.0.0.1:7480".to_owned()),
            (None, Some(_), None) => Err(CliError::usage("there is no devnet in this folder")
                .next("name the node's own address: --http http://127.0.0.1:7480")),
        }
    }
}

async fn status(ui: Ui, which: &RunningNodeArgs) -> CliResult {
    let base = which.base()?;
    let value = crate::http::get_json(&format!("{base}/v1/status"), "the node").await?;
    ui.data(&value, || outline(&value, 0))
}

/// A JSON object as indented `key: value` lines.
pub fn outline(value: &Value, depth: usize) -> String {
    let pad = "  ".repeat(depth);
    let scalar = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| match value {
                Value::Object(_) => format!("{pad}{key}:\n{}", outline(value, depth + 1)),
                Value::Array(items) if items.iter().any(Value::is_object) => {
                    let lines: String = items.iter().map(|item| outline(item, depth + 1)).collect();
                    format!("{pad}{key}:\n{lines}")
                }
                other => format!("{pad}{key}: {}\n", scalar(other)),
            })
            .collect(),
        other => format!("{pad}{}\n", scalar(other)),
    }
}
