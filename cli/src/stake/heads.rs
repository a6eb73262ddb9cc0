//! `ashlar stake heads`: the key that vouches for tables.

use std::path::PathBuf;

use alloy_primitives::B256;
use ashlar_ledger::LedgerConfig;
use ashlar_ledger::service::signing_floor::SigningFloor;
use ashlar_ledger::service::{accept_clock, genesis_of};
use ashlar_proto::{Account, Block, HeadKeySuccession, Network};
use clap::{Args, Subcommand};
use serde_json::json;

use super::serve;
use crate::error::{CliError, CliResult, Exit};
use crate::reader::now_ms;
use crate::ui::Ui;
use crate::{files, keys};

const EXAMPLES: &str = "\
Examples:
  ashlar stake heads succeed --config ledger/ledger.toml --key next-head.json --from 120000
  ashlar stake heads reset --config ledger/ledger.toml --above 118203
  ashlar stake heads accept-clock --config ledger/ledger.toml

succeed has the present head key sign that another one follows it from a block on, and prints the transaction that records it.
Name the new key as paths.next_head_key and start the ledger again before that block.

accept-clock is for a ledger whose health says clock although the clock is right: it was stopped for long. Stop it, look at the clock,
accept it, start it.

reset is for a ledger whose file paths.signed is lost or damaged: nothing at or below BLOCK will ever be signed. Take the highest
block that any follower has seen (head in ashlar node status).";

/// Options of `ashlar stake heads`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct HeadsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: HeadsCommand,
}

/// The commands of `ashlar stake heads`.
#[derive(Clone, Debug, Subcommand)]
pub enum HeadsCommand {
    /// Have the head key sign which key follows it
    Succeed(SucceedArgs),
    /// Begin the file of what was signed anew, after it was lost
    Reset(ResetArgs),
    /// Believe this machine's clock from the next start on, after a stop of more than an hour or a wrong clock
    AcceptClock(AcceptClockArgs),
}

/// Options of `ashlar stake heads succeed`.
#[derive(Clone, Debug, Args)]
pub struct SucceedArgs {
    /// The ledger's configuration
    #[arg(long, value_name = "FILE", default_value = super::init::CONFIG)]
    pub config: PathBuf,
    /// The keystore of the key that follows; it needs no password
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The first block that it signs: far enough ahead to record it before
    #[arg(long, value_name = "BLOCK")]
    pub from: Block,
    /// A file whose first line is the password of the head key [default: that of the configuration, else ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Options of `ashlar stake heads reset`.
#[derive(Clone, Debug, Args)]
pub struct ResetArgs {
    /// The ledger's configuration
    #[arg(long, value_name = "FILE", default_value = super::init::CONFIG)]
    pub config: PathBuf,
    /// The highest block that the keys may have signed
    #[arg(long, value_name = "BLOCK")]
    pub above: Block,
}

/// Options of `ashlar stake heads accept-clock`.
#[derive(Clone, Debug, Args)]
pub struct AcceptClockArgs {
    /// The ledger's configuration
    #[arg(long, value_name = "FILE", default_value = super::init::CONFIG)]
    pub config: PathBuf,
}

/// Runs `ashlar stake heads`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: &HeadsArgs) -> CliResult {
    match &args.command {
        HeadsCommand::Succeed(args) => succeed(ui, args),
        HeadsCommand::Reset(args) => reset(ui, args),
        HeadsCommand::AcceptClock(args) => accept(ui, args),
    }
}

fn succeed(ui: Ui, args: &SucceedArgs) -> CliResult {
    let config = serve::load(&args.config)?;
    let network = Network::ledger(&genesis(&config)?.0);
    let successor = keys::account(&args.key)?;
    let password = serve::password(args.password_file.as_deref(), &config)?;
    let key = keys::open_account(&config.paths.head_key, &password)?;
    if successor == Account(key.address()) {
        return Err(
            CliError::usage(format!("{successor} is the head key itself"))
                .next("make another one: ashlar keys new account --out next-head.json"),
        );
    }
    let succession = HeadKeySuccession::sign(&key, network, successor, args.from);
    ui.data(&succession, || {
        format!(
            "ashlar stake tx rotate-head-key --successor {successor} --from-block {} --head-signature {}",
            succession.from_block, succession.signature
        )
    })
}

fn reset(ui: Ui, args: &ResetArgs) -> CliResult {
    let config = serve::load(&args.config)?;
    let path = &config.paths.signed;
    files::refuse_existing(path)?;
    let next = args.above.checked_add(1).ok_or_else(|| {
        CliError::usage("no block would be left to sign").next("name a block that was signed")
    })?;
    SigningFloor::create(path, genesis(&config)?, next)
        .map_err(|error| CliError::coded(Exit::Failure, "could not begin the file", &error))?;
    ui.data(&json!({ "signed": path, "next": next }), || {
        format!("{}: heads are signed from block {next} on", path.display())
    })
}

fn accept(ui: Ui, args: &AcceptClockArgs) -> CliResult {
    let config = serve::load(&args.config)?;
    let wall_ms = now_ms()?;
    accept_clock(&config.paths.data, wall_ms)
        .map_err(|error| CliError::coded(Exit::Failure, "could not keep the time", &error))?;
    ui.data(&json!({ "accepted_ms": wall_ms }), || {
        format!("{wall_ms} ms since 1970 is believed from the ledger's next start on")
    })
}

/// Hash of the genesis of the ledger that is there, or is to be begun.
fn genesis(config: &LedgerConfig) -> CliResult<B256> {
    genesis_of(config)
        .map(|genesis| genesis.hash())
        .map_err(|error| CliError::coded(Exit::Usage, "the ledger has no genesis", &error))
}
