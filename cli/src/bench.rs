//! `ashlar bench`: how fast this machine is, next to the peers, and how fast a running disperser.

pub mod load;

use std::io::Write;

use ashlar_bench::crypto::BenchError;
use ashlar_bench::crypto::command::{self, CryptoArgs};
use clap::{Args, Subcommand};

use self::load::LoadArgs;
use crate::daemon;
use crate::error::{CliError, CliResult, Exit};
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  ashlar bench crypto --quick                      a first look, in half a minute
  ashlar bench crypto --op commit_row --op extend_x8
  ashlar bench crypto --no-peers --threads 2 --json

Times of one run belong together: compare the ratios, and nothing else should run meanwhile.";

const LOAD_EXAMPLES: &str = "\
Examples:
  ashlar bench load                                  two blobs of 120 kB a second for 20 s, the devnet in this folder
  ashlar bench load --rate 40 --size 1000000 --duration 60 --json
  ashlar bench load --rate max --connections 32      the sustained rate

Times are those of a client on this machine, whose own work is in them.";

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
    /// Post blobs to a running disperser and measure the time to their certificates
    ///
    /// At a fixed rate posts arrive whatever the answers do, and each one's time counts from when it was to arrive. All payloads are
    /// different, and the commitments are made before the clock starts.
    #[command(after_help = LOAD_EXAMPLES)]
    Load(LoadArgs),
}

/// Runs `ashlar bench`.
///
/// # Errors
/// An implementation failed, or gave another result than ours; as [`load::run`].
pub fn run(ui: Ui, args: BenchArgs) -> CliResult {
    let args = match args.command {
        BenchCommand::Crypto(args) => args,
        BenchCommand::Load(args) => return daemon::block_on(load::run(ui, args)),
    };
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
