//! The `ashlar` command: devnet, put, get, cert, node, signer, disperser, gateway, proxy, keys, operators, account, stake, bench, demo.
//!
//! One file for each command group holds its options and what it does. Data goes to standard output, everything else
//! to standard error; `--json` makes both machine-readable. Exit codes are those of [`error::Exit`].

pub mod account;
pub mod bench;
pub mod cert;
pub mod clock;
pub mod context;
pub mod daemon;
pub mod demo;
pub mod devnet;
pub mod disperser;
pub mod error;
pub mod files;
pub mod gateway;
pub mod get;
pub mod http;
pub mod keys;
pub mod node;
pub mod operators;
pub mod proxy;
pub mod put;
pub mod reader;
pub mod reference;
pub mod requirements;
pub mod signer;
pub mod stake;
pub mod ui;

use std::process::ExitCode;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use crate::error::{CliError, CliResult, Exit};
use crate::ui::Ui;

const EXIT_CODES: &str = "\
Exit codes:
  0  it worked
  1  it failed
  2  the command line or a configuration file is wrong
  3  a certificate, a signature or bytes from the network did not verify
  4  the blob is not known, a file is not there, or a service cannot be reached
  5  a deadline passed first

Examples:
  ashlar demo                                    see all of it work on this machine, in a minute
  ashlar devnet                                  8 operators and a disperser, until Ctrl-C
  ashlar put block.bin --cert block.cert         in another terminal, same folder
  ashlar get --cert block.cert -o copy.bin --from operators
  ashlar stake show operators                    the stake behind the signatures";

/// Ashlar, a data availability layer: post a blob, get a certificate signed by restaked operators, rebuild the blob from
/// any third of them.
#[derive(Debug, Parser)]
#[command(name = "ashlar", version, about, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    /// Print data as JSON on standard output, and errors as one JSON object on standard error
    #[arg(long, global = true)]
    pub json: bool,

    /// Say more on standard error: -v what happens, -vv details, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// Arithmetic kernel: portable, or ifma on processors with AVX-512 IFMA [default: the fastest that runs here]
    #[arg(
        long,
        global = true,
        env = "ASHLAR_KERNEL",
        value_name = "NAME",
        hide_env_values = true
    )]
    pub kernel: Option<String>,

    /// Say nothing but data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The command groups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start operators and a disperser on this machine, for development
    Devnet(devnet::DevnetArgs),
    /// Post a file and wait for its certificate
    Put(put::PutArgs),
    /// Rebuild a file from its certificate
    Get(get::GetArgs),
    /// Look at a certificate, or check it
    Cert(cert::CertArgs),
    /// Set up and run a storage node
    Node(node::NodeArgs),
    /// Set up and run a remote signer, which holds a storage node's BLS key
    Signer(signer::SignerArgs),
    /// Set up and run a disperser
    Disperser(disperser::DisperserArgs),
    /// Set up and run a gateway, which fetches payloads for others and keeps them
    Gateway(gateway::GatewayArgs),
    /// Run a proxy, the sidecar of a rollup: OP Stack Alt-DA and Arbitrum
    Proxy(proxy::ProxyArgs),
    /// Make keys and look at them
    Keys(keys::KeysArgs),
    /// Look at the operator table
    Operators(operators::OperatorsArgs),
    /// What an account has with a disperser: deposit, reserve, show, take back
    Account(account::AccountArgs),
    /// The restaking ledger: stake, delegate, register, slash, ask; run one
    Stake(Box<stake::StakeArgs>),
    /// Measure how fast this machine is, next to the peers
    Bench(bench::BenchArgs),
    /// Prove it on this machine: post a file, kill operators, rebuild it from the rest
    Demo(demo::DemoArgs),
}

impl Command {
    /// Whether it runs until it is stopped.
    pub fn is_daemon(&self) -> bool {
        match self {
            Self::Node(args) => matches!(args.command, node::NodeCommand::Run(_)),
            Self::Signer(args) => matches!(args.command, signer::SignerCommand::Run(_)),
            Self::Disperser(args) => matches!(args.command, disperser::DisperserCommand::Run(_)),
            Self::Gateway(args) => matches!(args.command, gateway::GatewayCommand::Run(_)),
            Self::Proxy(args) => matches!(args.command, proxy::ProxyCommand::Run(_)),
            Self::Stake(args) => matches!(args.command, stake::StakeCommand::Serve(_)),
            _ => false,
        }
    }
}

/// The whole command line as clap knows it; the reference in `docs/cli.md` is written from it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command, prints its error, returns the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ui = Ui {
        json: cli.json,
        quiet: cli.quiet,
    };
    match choose_kernel(cli.kernel.as_deref()).and_then(|()| run(cli, ui)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.print(ui.json);
            ExitCode::from(error.exit as u8)
        }
    }
}

/// Chooses the arithmetic kernel that was asked for, before anything is computed.
fn choose_kernel(name: Option<&str>) -> CliResult {
    let Some(name) = name else { return Ok(()) };
    ashlar_crypto::use_kernel(name).map_err(|error| {
        let here = ashlar_crypto::kernels().join(", ");
        CliError::coded(
            Exit::Usage,
            "cannot use the kernel of --kernel or ASHLAR_KERNEL",
            &error,
        )
        .next(format!("kernels that run here: {here}"))
    })
}

/// Help and version go to standard output with 0, a wrong command line to standard error with 2.
fn usage(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && json {
        let text = error.render().to_string();
        let first = text
            .lines()
            .next()
            .unwrap_or("")
            .trim_start_matches("error: ")
            .to_owned();
        CliError::usage(first).next("ashlar --help").print(true);
    } else if error.print().is_err() {
        return ExitCode::from(Exit::Failure as u8);
    }
    ExitCode::from(if error.use_stderr() {
        Exit::Usage as u8
    } else {
        0
    })
}

fn run(cli: Cli, ui: Ui) -> CliResult {
    // Daemons log what they do; the other commands speak for themselves and log only what goes wrong.
    daemon::start_logging(&cli, cli.command.is_daemon());
    match cli.command {
        Command::Devnet(args) => daemon::block_on(devnet::run(ui, args)),
        Command::Put(args) => daemon::block_on(put::run(ui, args)),
        Command::Get(args) => daemon::block_on(get::run(ui, args)),
        Command::Cert(args) => cert::run(ui, args),
        Command::Node(args) => node::run(ui, args),
        Command::Signer(args) => signer::run(ui, args),
        Command::Disperser(args) => disperser::run(ui, args),
        Command::Gateway(args) => gateway::run(ui, args),
        Command::Proxy(args) => proxy::run(ui, args),
        Command::Keys(args) => keys::run(ui, args),
        Command::Operators(args) => operators::run(ui, args),
        Command::Account(args) => account::run(ui, args),
        Command::Stake(args) => stake::run(ui, *args),
        Command::Bench(args) => bench::run(ui, args),
        Command::Demo(args) => daemon::block_on(demo::run(ui, args)),
    }
}
