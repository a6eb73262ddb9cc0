//! `ashlar bench crypto` without the rest of `ashlar`, which takes long to compile:
//! `cargo run --release -p ashlar-bench --example crypto -- --help`.

use std::process::ExitCode;

use ashlar_bench::crypto::command::{CryptoArgs, run};
use clap::Parser;

#[derive(Parser)]
struct Cli {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    args: CryptoArgs,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(
        &cli.args,
        cli.json,
        &mut std::io::stdout(),
        &mut std::io::stderr(),
    ) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
