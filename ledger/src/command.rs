//! The commands of `ashlar stake`, as a group that a command line embeds.
//!
//! [`StakeArgs`] are its options, [`run`] does what they say. Data goes to one writer, remarks to another; whoever embeds it prints
//! the error and chooses the exit code by [`CommandError`]'s.

pub mod action;
pub mod connection;
pub mod error;
pub mod events;
pub mod evidence;
pub mod files;
pub mod heads;
pub mod init;
pub mod keys;
pub mod kinds;
pub mod log;
pub mod output;
pub mod risk;
pub mod serve;
pub mod show;
pub mod text;
pub mod tx;
pub mod units;
pub mod value;

use std::io::Write;

use clap::{Args, Subcommand};

pub use connection::ConnectionArgs;
pub use error::{CommandError, Exit};
use output::Output;

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

impl StakeCommand {
    /// Whether it runs until it is stopped, so that a log is wanted.
    pub fn is_service(&self) -> bool {
        matches!(self, Self::Serve(_))
    }
}

/// Runs a command: data to `out` (JSON, one object a line, if `json`), remarks to `notes`.
///
/// # Errors
/// What failed, why, and what to do next.
pub fn run(
    args: &StakeArgs,
    json: bool,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> Result<(), CommandError> {
    let out = &mut Output::new(json, out, notes);
    let connection = &args.connection;
    match &args.command {
        StakeCommand::Tx(args) => tx::run(args, connection, out),
        StakeCommand::Show(args) => show::run(args, connection, out),
        StakeCommand::Account(args) => tx::account(args, out),
        StakeCommand::Evidence(args) => evidence::run(args, connection, out),
        StakeCommand::Risk(args) => risk::run(args, connection, out),
        StakeCommand::VerifyLog(args) => log::run(args, out),
        StakeCommand::Init(args) => init::run(args, out),
        StakeCommand::Heads(args) => heads::run(args, out),
        StakeCommand::Serve(args) => serve::run(args, out),
    }
}
