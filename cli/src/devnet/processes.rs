//! Child processes that cannot outlive us.
//!
//! Each child runs with `--exit-with-parent` and the read end of a pipe as its standard input. The write end lives in this
//! process and nowhere else, so however this process ends, SIGKILL included, the kernel closes it and the child stops.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::error::{CliError, CliResult, Exit};
use crate::files;

/// A child process of a devnet.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    log: PathBuf,
    pid: u32,
    child: Child,
    ended: Option<ExitStatus>,
}

impl Daemon {
    /// Starts `program arguments…`, its output appended to `log`.
    ///
    /// # Errors
    /// The log cannot be opened or the program not be started.
    pub fn start(
        name: &str,
        program: &Path,
        arguments: &[std::ffi::OsString],
        log: &Path,
    ) -> CliResult<Daemon> {
        let open = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(log)
                .map_err(|error| CliError::io(format!("could not open {}", log.display()), &error))
        };
        let failed =
            |error: std::io::Error| CliError::io(format!("could not start the {name}"), &error);
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(open()?))
            .stderr(Stdio::from(open()?))
            // Its own process group: Ctrl-C at the terminal reaches us alone, and we stop them in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pid = child.id().ok_or_else(|| {
            CliError::new(
                Exit::Failure,
                "devnet.child",
                format!("the {name} ended before it began"),
            )
        })?;
        Ok(Daemon {
            name: name.to_owned(),
            log: log.to_path_buf(),
            pid,
            child,
            ended: None,
        })
    }

    /// What we call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// SIGKILL: no last words, no flush. Waits until it is gone.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn kill(&mut self) -> CliResult {
        self.child
            .kill()
            .await
            .map_err(|error| CliError::io(format!("could not kill the {}", self.name), &error))?;
        self.ended();
        Ok(())
    }

    /// SIGTERM, then `patience`, then SIGKILL. Returns whether it went by itself.
    pub async fn stop(&mut self, patience: Duration) -> bool {
        if self.ended().is_some() {
            return true;
        }
        if let Ok(pid) = i32::try_from(self.pid) {
            // It may be gone this very moment; the wait below notices.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if tokio::time::timeout(patience, self.child.wait())
            .await
            .is_ok()
        {
            self.ended();
            return true;
        }
        let _ = self.child.kill().await;
        self.ended();
        false
    }

    /// An error that says that it ended although it should run, with the end of its log.
    pub fn died(&self, status: ExitStatus) -> CliError {
        let mut error = CliError::new(
            Exit::Failure,
            "devnet.child_died",
            format!("the {} (pid {}) ended: {status}", self.name, self.pid),
        );
        for line in last_lines(&self.log, 8) {
            error = error.because(line);
        }
        error.next(format!("its whole log is {}", self.log.display()))
    }
}

fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let Ok(text) = files::read_text(path, 64 << 20) else {
        return Vec::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(count))
        .map(|line| (*line).to_owned())
        .collect()
}

/// Waits until `GET {base}/v1/health` answers 200, or the process ends, or the deadline passes.
///
/// # Errors
/// The process ended, or was not ready in time.
pub async fn wait_healthy(
    http: &reqwest::Client,
    daemon: &mut Daemon,
    base: &str,
    deadline: Instant,
) -> CliResult {
    let url = format!("{base}/v1/health");
    let mut last = String::from("it does not answer");
    loop {
        if let Some(status) = daemon.ended() {
            return Err(daemon.died(status));
        }
        match http.get(&url).timeout(Duration::from_secs(2)).send().await {
            Ok(answer) if answer.status() == reqwest::StatusCode::OK => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let said = answer.text().await;
                last = match said {
                    Ok(text) => format!("{status}: {text}"),
                    Err(error) => format!("{status}: {error}"),
                };
            }
            Err(error) if error.is_connect() => {}
            Err(error) => last = error.to_string(),
        }
        if Instant::now() >= deadline {
            return Err(CliError::new(
                Exit::Timeout,
                "devnet.not_ready",
                format!("the {} did not become ready in time", daemon.name()),
            )
            .because(last)
            .next(format!("its log is {}", daemon.log.display())));
        }
        sleep(Duration::from_millis(50)).await;
    }
}
