//! `ashlar bench`: how fast this machine is, next to the peers.

use std::io::Write;

use ashlar_bench::crypto::BenchError;
use ashlar_bench::crypto::command::{self, CryptoArgs};
use clap::{Args, Subcommand};

use crate::error::{CliError, CliResult, Exit};
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  ashlar bench crypto --quick                      a first look, in half a minute
  ashlar bench crypto --op commit_row --op extend_x8
  ashlar bench crypto --no-peers --threads 2 --json

Times of one run belong together: compare the ratios, and nothing else should run meanwhile.";

/// Options of `ashlar bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The commands of `ashlar bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Measure commitments, extension, proofs and checks, ours and the peers' in one run
    ///
    /// Before anything is timed, all results are compared byte for byte. With --json, one object a line.
    #[command(after_help = EXAMPLES)]
    Crypto(CryptoArgs),
}

/// Runs `ashlar bench`.
///
/// # Errors
/// An implementation failed, or gave another result than ours.
pub fn run(ui: Ui, args: BenchArgs) -> CliResult {
    let BenchCommand::Crypto(args) = args.command;
    let mut notes: Box<dyn Write> = match ui.quiet {
        true => Box::new(std::io::sink()),
        false => Box::new(std::io::stderr()),
    };
    command::run(&args, ui.json, &mut std::io::stdout(), &mut notes)
        .map(drop)
        .map_err(|error: BenchError| {
            CliError::coded(Exit::Failure, "the benchmark stopped", &error)
        })
}
