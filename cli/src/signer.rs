//! `ashlar signer`: a process that holds an operator's BLS key for its node.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_crypto::keystore::Cost;
use ashlar_node::Database;
use ashlar_node::database::marker_path;
use ashlar_node::signer::server::{RunningSigner, SignerConfig, SignerKeys};
use ashlar_proto::{Domain, operator_id};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::daemon::{self, Stop};
use crate::error::{CliError, CliResult, Exit};
use crate::files;
use crate::keys;
use crate::node::upkeep::{self, Local, ProtectionCommand};
use crate::ui::Ui;

/// The configuration's name in a signer's folder.
const CONFIG: &str = "signer.toml";

const EXAMPLES: &str = "\
Examples:
  ashlar signer init --dir /var/lib/ashlar-signer --node 0x… --domain 0x…
  ashlar signer run --config /var/lib/ashlar-signer/signer.toml
  ashlar signer protection import moving.json --new-database    for a key that a node signed with until now

The signer keeps what it signed in a database of its own, and refuses a second batch under one number whatever its node says.
The node's network key is in the output of ashlar node init, the domain in that of ashlar operators show.";

/// Options of `ashlar signer`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SignerArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SignerCommand,
}

/// The commands of `ashlar signer`.
#[derive(Debug, Subcommand)]
pub enum SignerCommand {
    /// Make keys, their database and a configuration, and print what the node's configuration needs to know
    Init(InitArgs),
    /// Run a signer until SIGTERM or Ctrl-C; a second signal ends it at once
    Run(RunArgs),
    /// What a key may not sign any more, to take along when a key moves
    Protection {
        /// What to do.
        #[command(subcommand)]
        command: ProtectionCommand,
    },
}

/// Options of `ashlar signer init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The signer's folder; made if it does not exist. A bls.json in it is used, and its database comes with ashlar signer
    /// protection import
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Network key of a node that may ask for signatures; can be repeated
    #[arg(long, value_name = "KEY", required = true)]
    pub node: Vec<NetworkPublicKey>,
    /// Domain of a service to sign for; can be repeated
    #[arg(long, value_name = "DOMAIN", required = true)]
    pub domain: Vec<Domain>,
    /// Where to listen, UDP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7490")]
    pub listen: SocketAddr,
    /// Where to listen for questions about health and metrics, TCP
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7491")]
    pub http: SocketAddr,
    /// A file whose first line is the password for the keys [default: ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Options of `ashlar signer run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: daemon::ProcessArgs,
}

/// Runs `ashlar signer`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: SignerArgs) -> CliResult {
    match args.command {
        SignerCommand::Init(args) => init(ui, &args),
        SignerCommand::Run(args) => daemon::block_on(run_signer(ui, args)),
        SignerCommand::Protection { command } => {
            upkeep::protection(ui, &command, Path::new(CONFIG), local)
        }
    }
}

fn load(path: &Path) -> CliResult<SignerConfig> {
    daemon::config(path, SignerConfig::load, "ashlar signer init")
}

/// What the signer's database is opened with.
fn local(config: &Path) -> CliResult<Local> {
    let config = load(config)?;
    let key = keys::bls_public(&config.paths.bls_key)?;
    Ok((config.database(), key))
}

/// What the node's configuration needs to know, and the operator table.
#[derive(Debug, Serialize)]
struct InitOut {
    config: PathBuf,
    operator_id: String,
    bls_public_key: String,
    proof_of_possession: String,
    network_key: String,
    address: SocketAddr,
    database: bool,
}

fn init(ui: Ui, args: &InitArgs) -> CliResult {
    files::create_folder(&args.dir)?;
    let config_path = args.dir.join(CONFIG);
    let (bls_path, network_path) = (args.dir.join("bls.json"), args.dir.join("network.json"));
    for path in [&config_path, &network_path] {
        files::refuse_existing(path)?;
    }
    let mut config = SignerConfig::default();
    config.listen.quic = args.listen;
    config.listen.http.0 = Some(args.http);
    config.accept.nodes.clone_from(&args.node);
    config.accept.domains.clone_from(&args.domain);
    if let Some(path) = &args.password_file {
        config.paths.password_file = files::absolute(path)?;
    }
    // A key that is there has a history, and its floors have to come first.
    let database = !bls_path.exists();
    let (what, new) = ("Password for the signer's keys", database);
    let password = files::password(args.password_file.as_deref(), what, new)?;
    let key = match database {
        true => keys::new_bls(&bls_path, &password, Cost::Standard)?.0,
        false => keys::open_bls(&bls_path, &password)?,
    };
    let (_, network) = keys::new_network(&network_path, &password, Cost::Standard)?;
    let could_not = "could not write the configuration";
    daemon::write_config(&config_path, config.to_toml(), could_not)?;
    if database {
        upkeep::new_database(&local(&config_path)?)?;
    }
    let public = key.public_key().to_bytes();
    let out = InitOut {
        config: config_path,
        operator_id: operator_id(&public).to_string(),
        bls_public_key: public.to_string(),
        proof_of_possession: keys::possession(&key),
        network_key: network.public_key,
        address: args.listen,
        database,
    };
    ui.note(match database {
        true => format!("wrote {}; made the keys and their database", out.config.display()),
        false => format!(
            "wrote {}; the key {} has no database here yet ({}): ashlar signer protection import FILE --new-database",
            out.config.display(),
            bls_path.display(),
            marker_path(&bls_path).display()
        ),
    });
    ui.note("for the configuration of the node:");
    ui.data(&out, || {
        format!(
            "# operator {}, proof of possession {}\n[signer]\naddress = \"{}\"\nnetwork_key = \"{}\"\nbls_public_key = \"{}\"\n",
            out.operator_id, out.proof_of_possession, out.address, out.network_key, out.bls_public_key
        )
    })
}

async fn run_signer(ui: Ui, args: RunArgs) -> CliResult {
    let mut stop = Stop::listen(args.process.exit_with_parent)?;
    let config = load(&args.config)?;
    let paths = &config.paths;
    let password = files::password_or_configured(
        args.process.password_file.as_deref(),
        &paths.password_file,
        "Password of the signer's keys",
    )?;
    let keys = SignerKeys {
        bls: keys::open_bls(&paths.bls_key, &password)?,
        network: keys::open_network(&paths.network_key, &password)?,
    };
    drop(password);
    let signer = RunningSigner::start(config, keys, Database::Existing)
        .await
        .map_err(|error| CliError::coded(Exit::Failure, "the signer could not start", &error))?;
    let (quic, http) = (signer.quic_addr(), signer.http_addr());
    ui.data(
        &serde_json::json!({ "event": "running", "quic": quic, "http": http }),
        || match http {
            Some(http) => format!("signer runs: QUIC {quic}, HTTP {http}"),
            None => format!("signer runs: QUIC {quic}"),
        },
    )?;
    let broken = daemon::asked_or_broken(&mut stop, signer.failed()).await;
    daemon::stop_within_deadline("signer", signer.shutdown()).await?;
    daemon::ended_well("signer", broken)
}
