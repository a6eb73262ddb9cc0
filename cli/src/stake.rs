//! `ashlar stake`: the restaking ledger.

pub mod connection;
pub mod events;
pub mod evidence;
mod forms;
pub mod heads;
pub mod init;
mod kinds;
pub mod log;
pub mod risk;
pub mod serve;
pub mod show;
mod signer;
mod statements;
pub mod tx;
pub mod units;

use clap::{Args, Subcommand};

use crate::context::devnet_here;
use crate::error::CliResult;
use crate::ui::Ui;
use connection::ConnectionArgs;

const EXAMPLES: &str = "\
Examples:
  ashlar stake init ledger --password-file password      a ledger of your own: configuration, genesis, admin key
  ashlar stake serve --config ledger/ledger.toml         run it, until Ctrl-C
  ashlar stake tx --list                                 everything that can be done
  ashlar stake tx deposit --strategy 2 --amount 1.5eth --key staker.json
  ashlar stake show operators
  ashlar stake risk --profit 1=500eth                    is the stake enough?

docs/restaking.md explains it to stakers and to operators, with one worked example of each number.";

/// Options of `ashlar stake`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StakeArgs {
    /// Which ledger to talk to.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: StakeCommand,
}

/// The commands of `ashlar stake`.
#[derive(Clone, Debug, Subcommand)]
pub enum StakeCommand {
    /// Send a transaction: deposit, delegate, allocate, slash, and all others
    Tx(Box<tx::TxArgs>),
    /// Ask the ledger: strategies, operators, stakers, services, vaults, rewards, tables, events
    Show(show::ShowArgs),
    /// Say which account a key is, or which operator a BLS key makes
    Account(tx::AccountArgs),
    /// Look at evidence of a fault, or submit it
    Evidence(evidence::EvidenceArgs),
    /// Ask whether the stake behind the services is enough: certificate, exact search, shocks
    Risk(risk::RiskArgs),
    /// Replay a ledger's log and compute its state root anew
    VerifyLog(log::VerifyLogArgs),
    /// Make a ledger of your own: configuration, genesis, the admin's key, the key that vouches for tables
    Init(init::InitArgs),
    /// The key that vouches for tables: hand it over, or begin again what it signed
    Heads(heads::HeadsArgs),
    /// Run a ledger until SIGTERM or Ctrl-C; a second signal ends it at once
    Serve(serve::ServeArgs),
}

/// Runs `ashlar stake`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: StakeArgs) -> CliResult {
    let mut connection = args.connection;
    if connection.ledger.is_none()
        && let Some(devnet) = devnet_here()?
    {
        connection.ledger = devnet.ledger.map(|ledger| ledger.url);
    }
    match args.command {
        StakeCommand::Tx(args) => tx::run(ui, *args, &connection),
        StakeCommand::Show(args) => show::run(ui, &args, &connection),
        StakeCommand::Account(args) => tx::account(ui, &args),
        StakeCommand::Evidence(args) => evidence::run(ui, &args, &connection),
        StakeCommand::Risk(args) => risk::run(ui, &args, &connection),
        StakeCommand::VerifyLog(args) => log::run(ui, &args),
        StakeCommand::Init(args) => init::run(ui, &args),
        StakeCommand::Heads(args) => heads::run(ui, &args),
        StakeCommand::Serve(args) => crate::daemon::block_on(serve::run(ui, &args)),
    }
}
