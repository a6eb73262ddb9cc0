//! `ashlar stake init`: the folder of a ledger of one's own, ready for `ashlar stake serve`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use ashlar_ledger::service::LedgerConfig;
use ashlar_ledger::service::signing_floor::SigningFloor;
use ashlar_proto::{Account, Block, Network};
use ashlar_restaking::{Genesis, Params, State};
use clap::Args;
use serde::Serialize;

use super::forms;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::keys;
use crate::ui::{Ui, pairs};

/// The configuration's name in a ledger's folder.
pub const CONFIG: &str = "ledger.toml";
/// The genesis's.
pub const GENESIS: &str = "genesis.json";
/// The admin's keystore's.
pub const ADMIN_KEY: &str = "admin.json";
/// The keystore's of the key that signs heads.
pub const HEAD_KEY: &str = "head.json";
/// The file's that says up to which block it has signed.
pub const SIGNED: &str = "signed";

const EXAMPLES: &str = "\
Examples:
  ashlar stake init ledger --password-file password
  ashlar stake init ledger --preset current/1000 --block-ms 1000 --open --password-file password      for trying out
  ashlar stake init --print-params --preset classic > params.json

DIR gets ledger.toml (every key with its meaning), genesis.json (network, roles, parameters: what the ledger begins with,
and cannot be changed later but by the admin's transactions), admin.json (the admin's key, an EIP-2335 keystore that only its
owner can read), head.json (the key that vouches for operator tables: followers are given its account, as --head-key) and
signed (up to which block it has: never put an older copy of it back). Then: ashlar stake serve --config DIR/ledger.toml";

/// Options of `ashlar stake init`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct InitArgs {
    /// The folder; made if it is not there
    #[arg(value_name = "DIR", required_unless_present = "print_params")]
    pub directory: Option<PathBuf>,
    /// The network's name: transactions are signed for it and hold on no other
    #[arg(long, value_name = "NAME", default_value = "ashlar-local")]
    pub network: String,
    /// Delays and caps: classic, current, either with /N to divide the delays, or a JSON file
    #[arg(long, value_name = "PRESET[/N]|FILE", default_value = "current")]
    pub preset: String,
    /// Milliseconds between blocks [default: the block time of the parameters]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub block_ms: Option<u64>,
    /// Where the service will listen
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7600")]
    pub http: SocketAddr,
    /// Take transactions of every account, not only of the admin's and those added to access.accounts
    #[arg(long)]
    pub open: bool,
    /// Who submits reward roots [default: the admin]
    #[arg(long, value_name = "ACCOUNT")]
    pub reward_updater: Option<Account>,
    /// The keystore of an account's key to be the admin's, instead of a new one
    #[arg(long, value_name = "FILE")]
    pub admin_key: Option<PathBuf>,
    /// A file whose first line is the password of the new keys [default: ask twice]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Guessing the password costs milliseconds and not a second: for tests, never for a key that guards something
    #[arg(long)]
    pub light: bool,
    /// Print the parameters as JSON, to change and give back to --preset, and make nothing
    #[arg(long)]
    pub print_params: bool,
}

/// What `init` made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewLedger {
    /// The configuration.
    pub config: PathBuf,
    /// The genesis.
    pub genesis: PathBuf,
    /// The keystore of the admin's key.
    pub admin_key: PathBuf,
    /// Its account.
    pub admin: Account,
    /// The account that signs heads: what followers pin.
    pub head_key: Account,
    /// The network's name.
    pub network: String,
    /// Hash of the genesis: who has the same begins with the same ledger.
    pub genesis_hash: B256,
    /// What follows from it and stands in everything that is signed: followers name it behind the ledger's address.
    pub network_id: Network,
}

/// Runs `ashlar stake init`.
///
/// # Errors
/// The parameters break a rule, a file is there already or cannot be written, or no password is given.
pub fn run(ui: Ui, args: &InitArgs) -> CliResult {
    let params = forms::params(&args.preset)?;
    match (&args.directory, args.print_params) {
        (_, true) => {
            let text = pretty(&params)?;
            ui.data(&params, || text)
        }
        (Some(directory), false) => {
            let made = make(ui, args, directory, params)?;
            ui.data(&made, || {
                pairs! {
                    "configuration": made.config.display(),
                    "genesis": made.genesis.display(),
                    "admin's key": made.admin_key.display(),
                    "admin": made.admin,
                    "head key": made.head_key,
                    "network": made.network,
                    "genesis hash": made.genesis_hash,
                    "network id": made.network_id,
                }
            })?;
            ui.note(format!(
                "next: ashlar stake serve --config {}; whoever follows the tables of its service 1, say, is told: --table \
                 http://{}/v1/services/1#{} --head-key {}",
                made.config.display(),
                args.http,
                made.network_id,
                made.head_key
            ));
            Ok(())
        }
        (None, false) => Err(CliError::usage("no folder was named").next("ashlar stake init DIR")),
    }
}

fn make(ui: Ui, args: &InitArgs, directory: &Path, params: Params) -> CliResult<NewLedger> {
    let at = |name: &str| directory.join(name);
    // All of them before the first is written: what is there is somebody's ledger.
    for name in [CONFIG, GENESIS, ADMIN_KEY, HEAD_KEY, SIGNED] {
        files::refuse_existing(&at(name))?;
    }
    // What could be refused is tried before there is anything that somebody has to clean up.
    let nobody = Account([0; 20]);
    genesis_of(args, &params, nobody, nobody)?;
    let known = match &args.admin_key {
        Some(path) => Some((path.clone(), keys::account(path)?)),
        None => None,
    };
    let password = files::password(
        args.password_file.as_deref(),
        "Password for the new keys",
        true,
    )?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| CliError::io(format!("could not make {}", directory.display()), &error))?;
    if args.light {
        ui.note("the keys' password is cheap to guess (--light): for tests only");
    }
    let cost = keys::cost(args.light);
    let (admin_key, admin) = match known {
        Some(known) => known,
        None => {
            let (key, _) = keys::new_account(&at(ADMIN_KEY), &password, cost)?;
            (at(ADMIN_KEY), Account(key.address()))
        }
    };
    let (head_key, _) = keys::new_account(&at(HEAD_KEY), &password, cost)?;
    let head_key = Account(head_key.address());
    let genesis = genesis_of(args, &params, admin, head_key)?;
    let json = pretty(&genesis)?;
    files::write_atomically(
        &at(GENESIS),
        format!("{json}\n").as_bytes(),
        Access::Everyone,
    )?;
    SigningFloor::create(&at(SIGNED), genesis.hash(), Block(0)).map_err(|error| {
        CliError::coded(Exit::Failure, "could not prepare the head key", &error)
    })?;
    let mut config = LedgerConfig::default();
    if let Some(path) = &args.password_file {
        config.paths.password_file = files::absolute(path)?;
    }
    config.listen.http = args.http;
    config.blocks.interval_ms = args
        .block_ms
        .unwrap_or_else(|| params.block_seconds.saturating_mul(1000));
    config.access.open = args.open;
    config.access.accounts = vec![admin];
    config.validate().map_err(|error| {
        CliError::coded(
            Exit::Usage,
            "the configuration would not be accepted",
            &error,
        )
    })?;
    // Last: a folder with a configuration is a whole one.
    files::write_atomically(&at(CONFIG), commented(&config).as_bytes(), Access::Everyone)?;
    Ok(NewLedger {
        config: at(CONFIG),
        genesis: at(GENESIS),
        admin_key,
        admin,
        head_key,
        network: genesis.network.clone(),
        genesis_hash: genesis.hash(),
        network_id: genesis.id(),
    })
}

/// The genesis, checked as the ledger will check it.
fn genesis_of(
    args: &InitArgs,
    params: &Params,
    admin: Account,
    head_key: Account,
) -> CliResult<Genesis> {
    let genesis = Genesis {
        network: args.network.clone(),
        salt: B256::from(files::random()?),
        head_key,
        block: Block(1),
        admin,
        reward_updater: args.reward_updater.unwrap_or(admin),
        params: params.clone(),
    };
    State::new(&genesis).map_err(|error| {
        CliError::coded(Exit::Usage, "no ledger can begin with this", &error)
            .next("start from a preset: ashlar stake init --print-params --preset current")
    })?;
    Ok(genesis)
}

fn pretty(value: &impl Serialize) -> CliResult<String> {
    serde_json::to_string_pretty(value).map_err(|error| {
        CliError::new(Exit::Failure, "output.json", "could not write it as JSON")
            .because(error.to_string())
    })
}

/// What stands above a configuration that was made here.
const HEAD: &str = "# Ashlar restaking ledger, as ashlar stake init made it. Every key is shown; one that is left out has its default.\n";

/// The published example, which explains every key, with the values of `config`.
#[expect(
    clippy::expect_used,
    reason = "a configuration is read from TOML and has a TOML form"
)]
pub fn commented(config: &LedgerConfig) -> String {
    let values = toml::Table::try_from(config).expect("a configuration has a TOML form");
    let mut out = HEAD.to_owned();
    let mut section = String::new();
    for line in LedgerConfig::example().lines().skip(1) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut section);
        }
        let value = line
            .split_once(" = ")
            .filter(|_| !line.starts_with('#'))
            .and_then(|(key, _)| Some((key, values.get(&section)?.get(key)?)));
        let _ = match value {
            Some((key, value)) => writeln!(out, "{key} = {value}"),
            None => writeln!(out, "{line}"),
        };
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests;
