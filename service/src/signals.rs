//! Who asks a process to stop: signals, and the end of its parent.

use std::io::Read as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long a graceful stop may take before the process ends anyway.
pub const STOP_DEADLINE: Duration = ashlar_proto::times::STOP;

/// What the process exits with when a stop that its parent caused takes longer than [`STOP_DEADLINE`].
const LATE: i32 = 5;

/// The operating system lets us listen for nobody.
#[derive(Debug, thiserror::Error)]
#[error("could not listen for signals: {0}")]
pub struct ListenError(#[from] pub std::io::Error);

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
    /// The signal handlers, or the thread that reads standard input, cannot be had.
    pub fn listen(with_parent: bool) -> Result<Self, ListenError> {
        let (tell, asked) = watch::channel(false);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
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
                    read_to_end();
                    let _ = tell.send(true);
                    // The parent cannot ask a second time, so the deadline does.
                    std::thread::sleep(STOP_DEADLINE);
                    std::process::exit(LATE);
                })?;
        }
        Ok(Self { asked })
    }

    /// Returns when somebody asked to stop.
    pub async fn asked(&mut self) {
        // The sender lives as long as the signal task; without it nobody can ask any more, which is a stop as well.
        let _ = self.asked.wait_for(|asked| *asked).await;
    }
}

fn read_to_end() {
    let (mut sink, mut input) = ([0u8; 64], std::io::stdin().lock());
    loop {
        match input.read(&mut sink) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
