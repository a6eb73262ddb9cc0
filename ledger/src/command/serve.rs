//! `ashlar stake serve`: runs a ledger until it is stopped.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::error::{CommandError, CommandResult, Exit};
use super::output::Output;
use super::{files, keys};
use crate::service::{HeadKeys, LedgerConfig, LedgerService};

/// How long a stop may take before the process ends anyway.
const STOP_DEADLINE: Duration = Duration::from_secs(50);

const EXAMPLES: &str = "\
Examples:
  ashlar stake serve --config ledger/ledger.toml
  ashlar stake serve --config ledger/ledger.toml --http 127.0.0.1:0      any free port, which is printed

Ctrl-C or SIGTERM stops it: what was accepted is on the disk. A second signal ends it at once; nothing acknowledged is lost then
either. ashlar stake init makes a configuration.";

/// Options of `ashlar stake serve`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = super::init::CONFIG)]
    pub config: PathBuf,
    /// A file whose first line is the password of the head key [default: that of the configuration, else ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Listen here and not where the configuration says
    #[arg(long, value_name = "IP:PORT")]
    pub http: Option<SocketAddr>,
    /// Stop when standard input closes: for programs that start a ledger
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Runs `ashlar stake serve`.
///
/// # Errors
/// The configuration is none, the ledger cannot be opened, or the service lost a part that it cannot work without.
pub fn run(args: &ServeArgs, out: &mut Output<'_>) -> CommandResult {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::io("could not start", &error))?;
    let result = runtime.block_on(async {
        let stop = asked_to_stop(args.exit_with_parent)?;
        until(args, out, stop).await
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    result
}

/// Runs it until `stop` is over.
///
/// # Errors
/// As [`run`].
pub async fn until(
    args: &ServeArgs,
    out: &mut Output<'_>,
    stop: impl Future<Output = ()>,
) -> CommandResult {
    let config = load(&args.config)?;
    let listen = args.http.unwrap_or(config.listen.http);
    let open = config.access.open;
    let keys = head_keys(args, &config)?;
    let ledger = LedgerService::start(config, keys, listen)
        .await
        .map_err(|error| {
            CommandError::coded(Exit::Failure, "the ledger could not start", &error)
        })?;
    let url = ledger.url();
    if open && !ledger.addr.ip().is_loopback() {
        out.note(
            "warning: access.open with an address that others can reach: everybody can make stake here",
        );
    }
    out.data(&json!({ "event": "running", "url": url }), || {
        format!("the ledger runs: {url}")
    })?;
    let broken = tokio::select! {
        () = stop => None,
        why = ledger.failed() => Some(why),
    };
    tokio::time::timeout(STOP_DEADLINE, ledger.shutdown())
        .await
        .map_err(|_| {
            CommandError::new(
                Exit::Timeout,
                "daemon.stop_timeout",
                "the ledger did not stop in time",
            )
            .because(format!("{} seconds passed", STOP_DEADLINE.as_secs()))
            .next("nothing that was acknowledged is lost; start it again")
        })?;
    match broken {
        None => Ok(()),
        Some(why) => Err(CommandError::new(
            Exit::Failure,
            "daemon.task_ended",
            "the ledger lost a part that it cannot work without",
        )
        .because(why)
        .next("nothing that was acknowledged is lost; start it again, and report it")),
    }
}

/// Reads a ledger's configuration.
///
/// # Errors
/// It is not there, or cannot be used.
pub(super) fn load(path: &Path) -> CommandResult<LedgerConfig> {
    LedgerConfig::load(path).map_err(|error| {
        CommandError::coded(
            Exit::Usage,
            format!("could not use the configuration {}", path.display()),
            &error,
        )
        .next("ashlar stake init DIR writes one that works")
    })
}

/// The password of the head key: from a file that is named, else the configuration's, else it is asked for.
///
/// # Errors
/// The file cannot be read, or nobody answers.
pub(super) fn password(
    named: Option<&Path>,
    config: &LedgerConfig,
) -> CommandResult<Zeroizing<String>> {
    let configured = Some(config.paths.password_file.as_path()).filter(|path| path.exists());
    files::password(named.or(configured), "Password of the head key", false)
}

/// Opens the keys that sign heads.
fn head_keys(args: &ServeArgs, config: &LedgerConfig) -> CommandResult<HeadKeys> {
    let paths = &config.paths;
    let password = password(args.password_file.as_deref(), config)?;
    let next = Some(&paths.next_head_key).filter(|path| !path.as_os_str().is_empty());
    let keys = [&paths.head_key]
        .into_iter()
        .chain(next)
        .map(|path| keys::open_account(path, &password))
        .collect::<CommandResult<Vec<_>>>()?;
    Ok(HeadKeys::new(keys))
}

/// Over at the first SIGINT or SIGTERM, or when the parent's end of standard input closes. A second signal ends the process at
/// once.
fn asked_to_stop(with_parent: bool) -> CommandResult<impl Future<Output = ()> + Send + use<>> {
    let failed = |error: std::io::Error| CommandError::io("could not listen for signals", &error);
    let (tell, mut asked) = tokio::sync::watch::channel(false);
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
            // Nobody listening any more means that it is stopping already.
            let _ = signals.send(true);
        }
    });
    if with_parent {
        // A thread, not a task: a blocked read of standard input would hold up the end of the runtime. The other end of the pipe
        // closes however the parent ends.
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
                CommandError::io("could not start the watch on the parent process", &error)
            })?;
    }
    Ok(async move {
        // The sender lives as long as the signal task; without it nobody can ask any more, which is a stop as well.
        let _ = asked.wait_for(|asked| *asked).await;
    })
}
