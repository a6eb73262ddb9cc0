//! What every long-running command shares: the runtime, logs, signals, and the watch on the parent process.

use std::future::Future;
use std::io::{IsTerminal, Read};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::Cli;
use crate::error::{CliError, CliResult, Exit};

/// How long a graceful stop may take before the process ends anyway.
pub const STOP_DEADLINE: Duration = Duration::from_secs(40);

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

/// Becomes true once: at the first SIGINT or SIGTERM, or when the parent's end of standard input closes. The second
/// signal ends the process at once.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: watch::Receiver<bool>,
}

impl Stop {
    /// Starts listening. With `with_parent`, the end of standard input means that the parent is gone: a process that
    /// holds the other end of the pipe cannot die, not even by SIGKILL, without our noticing.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn listen(with_parent: bool) -> CliResult<Stop> {
        let (tell, asked) = watch::channel(false);
        let failed = |error: std::io::Error| CliError::io("could not listen for signals", &error);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let signals = tell.clone();
        tokio::spawn(async move {
            let mut before = false;
            loop {
                let number = tokio::select! {
                    received = interrupt.recv() => received.map(|()| 2),
                    received = terminate.recv() => received.map(|()| 15),
                };
                let Some(number) = number else { return };
                if before {
                    std::process::exit(128 + number);
                }
                before = true;
                // Nobody listening any more means that we are past the point of stopping.
                let _ = signals.send(true);
            }
        });
        if with_parent {
            // A thread, not a task: a blocked read of standard input would hold up the end of the runtime.
            std::thread::Builder::new()
                .name("parent-watch".to_owned())
                .spawn(move || {
                    let mut sink = [0u8; 64];
                    let mut input = std::io::stdin().lock();
                    loop {
                        match input.read(&mut sink) {
                            Ok(0) => break,
                            Ok(_) => {}
                            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                            Err(_) => break,
                        }
                    }
                    let _ = tell.send(true);
                    // The parent cannot ask a second time, so the deadline does.
                    std::thread::sleep(STOP_DEADLINE);
                    std::process::exit(Exit::Timeout as i32);
                })
                .map_err(|error| {
                    CliError::io("could not start the watch on the parent process", &error)
                })?;
        }
        Ok(Stop { asked })
    }

    /// Returns when somebody asked to stop.
    pub async fn asked(&mut self) {
        // The sender lives as long as the signal task; without it nobody can ask any more, which is a stop as well.
        let _ = self.asked.wait_for(|asked| *asked).await;
    }
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
