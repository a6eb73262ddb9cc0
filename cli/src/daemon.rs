//! What every long-running command shares: the runtime, logs, and a stop in good order.

use std::future::Future;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ashlar_service::ConfigError;
use ashlar_service::signals::ListenError;
use clap::Args;
use tracing_subscriber::EnvFilter;

pub use ashlar_service::signals::{STOP_DEADLINE, Stop};

use crate::Cli;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};

/// Options of every command that runs a daemon with keys.
#[derive(Debug, Args)]
pub struct ProcessArgs {
    /// A file whose first line is the password [default: that of the configuration, else ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Stop when standard input closes: for programs that start this one
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Logs to standard error. `ASHLAR_LOG` (the syntax of `RUST_LOG`: `info,ashlar_node=debug`) wins over `-v` and `-q`.
pub(crate) fn start_logging(cli: &Cli, daemon: bool) {
    let level = match (cli.quiet, cli.verbose, daemon) {
        (true, _, _) => "error",
        (false, 0, false) => "error",
        (false, 0, true) => "info,quinn=warn,h2=warn",
        (false, 1, _) => "info",
        (false, 2, _) => "debug",
        (false, _, _) => "trace",
    };
    let filter = std::env::var("ASHLAR_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second call in one process (tests) finds the first subscriber in place; that is fine.
    let _ = if cli.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
}

/// Runs an async command on a runtime of its own and leaves without waiting for stragglers.
pub(crate) fn block_on<T>(future: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::io("could not start the async runtime", &error))?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

impl From<ListenError> for CliError {
    fn from(ListenError(error): ListenError) -> Self {
        CliError::io("could not listen for signals", &error)
    }
}

/// A daemon's configuration. `init` is the command that writes one.
pub(crate) fn config<T>(
    path: &Path,
    load: impl FnOnce(&Path) -> Result<T, ConfigError>,
    init: &str,
) -> CliResult<T> {
    load(path).map_err(|error| {
        let what = format!("could not use the configuration {}", path.display());
        CliError::coded(Exit::Usage, what, &error).next(format!("{init} writes one that works"))
    })
}

/// Writes the configuration that `init` has made. `could_not` says what failed if it is none.
pub(crate) fn write_config(
    path: &Path,
    text: Result<String, ConfigError>,
    could_not: &str,
) -> CliResult {
    let text = text.map_err(|error| CliError::coded(Exit::Usage, could_not, &error))?;
    files::write_atomically(path, text.as_bytes(), Access::Everyone)
}

/// Waits until somebody asks to stop, or until the daemon loses a part that it cannot live without; then the reason.
pub async fn asked_or_broken(
    stop: &mut Stop,
    broken: impl Future<Output = String>,
) -> Option<String> {
    tokio::select! {
        () = stop.asked() => None,
        why = broken => Some(why),
    }
}

/// How a daemon ends that has stopped: well if it was asked to, with a failure if it had to, so that an init system
/// starts it again.
///
/// # Errors
/// [`Exit::Failure`] with the reason.
pub fn ended_well(name: &str, broken: Option<String>) -> CliResult {
    match broken {
        None => Ok(()),
        Some(why) => Err(CliError::new(
            Exit::Failure,
            "daemon.task_ended",
            format!("the {name} lost a part that it cannot work without"),
        )
        .because(why)
        .next("nothing that was signed or accepted is lost; start it again, and report it")),
    }
}

/// Runs the end of a daemon under [`STOP_DEADLINE`].
///
/// # Errors
/// [`Exit::Timeout`] when it takes longer.
pub async fn stop_within_deadline(name: &str, end: impl Future<Output = ()>) -> CliResult {
    tokio::time::timeout(STOP_DEADLINE, end).await.map_err(|_| {
        CliError::new(
            Exit::Timeout,
            "daemon.stop_timeout",
            format!("the {name} did not stop in time"),
        )
        .because(format!("{} seconds passed", STOP_DEADLINE.as_secs()))
        .next("nothing that was signed or accepted is lost; start it again")
    })
}

/// Chooses the TLS implementation of this process: ring, for HTTP as for QUIC. Once; later calls change nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
