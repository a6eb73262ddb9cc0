//! `ashlar stake …` by itself: the command group without the rest of the command line.
//!
//! `cargo run --release -p ashlar-ledger --example stake -- show head`

use std::process::ExitCode;

use ashlar_ledger::command::{StakeArgs, run};
use clap::Parser;

/// The commands of `ashlar stake`.
#[derive(Debug, Parser)]
#[command(name = "ashlar stake")]
struct Stake {
    /// Print data as JSON on standard output, and errors as one JSON object on standard error
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    stake: StakeArgs,
}

fn main() -> ExitCode {
    let line = Stake::parse();
    let (mut out, mut notes) = (std::io::stdout(), std::io::stderr());
    match run(&line.stake, line.json, &mut out, &mut notes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if line.json {
                eprintln!("{}", error.to_json());
            } else {
                eprintln!("error: {} [{}]", error.what, error.code);
                for why in &error.why {
                    eprintln!("  why:  {why}");
                }
                if let Some(next) = &error.next {
                    eprintln!("  next: {next}");
                }
            }
            ExitCode::from(error.exit as u8)
        }
    }
}
