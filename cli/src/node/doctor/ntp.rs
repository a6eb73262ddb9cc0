//! Whether anything keeps this machine's clock right, as its kernel says.

// One system call that no crate wraps.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use nix::libc::{STA_UNSYNC, adjtimex, timex};

use super::Report;
use crate::ui;

/// A source of time that keeps a clock keeps it closer.
const CLOSE: Duration = Duration::from_secs(1);

/// What the kernel knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Discipline {
    /// Something corrects the clock, and did so lately.
    pub(super) synchronised: bool,
    /// The most that it may be wrong by. Grows until the next correction.
    pub(super) max_error: Duration,
}

impl Discipline {
    /// Asks the kernel.
    ///
    /// # Errors
    /// It does not say: a sandbox forbids the question, or there is no such call.
    pub(super) fn of_this_machine() -> io::Result<Self> {
        let mut about = MaybeUninit::<timex>::zeroed();
        // SAFETY: all zeros are a `timex`, whose `modes` say that nothing is to be changed; the kernel writes into it and keeps nothing.
        let (state, about) = unsafe { (adjtimex(about.as_mut_ptr()), about.assume_init()) };
        if state < 0 {
            return Err(io::Error::last_os_error());
        }
        let micros = u64::try_from(about.maxerror).unwrap_or(u64::MAX);
        Ok(Self {
            synchronised: about.status & STA_UNSYNC == 0,
            max_error: Duration::from_micros(micros),
        })
    }
}

/// Says what the kernel said.
pub(super) fn look(report: &mut Report, asked: io::Result<Discipline>) {
    const CHECK: &str = "ntp";
    let Discipline {
        synchronised,
        max_error,
    } = match asked {
        Ok(discipline) => discipline,
        Err(error) => {
            let says = format!("the kernel does not say whether the clock is kept: {error}");
            return report.unknown(CHECK, says);
        }
    };
    let wrong = ui::millis(u64::try_from(max_error.as_millis()).unwrap_or(u64::MAX));
    match (synchronised, max_error <= CLOSE) {
        (true, true) => report.ok(
            CHECK,
            format!("the clock is kept, and at most {wrong} wrong"),
        ),
        (true, false) => report.warn(
            CHECK,
            format!("the clock is kept, and may be {wrong} wrong"),
            "its source of time is far away or silent: name nearer NTP servers",
        ),
        (false, _) => report.warn(
            CHECK,
            "nothing keeps this machine's clock: sooner or later the node refuses every batch",
            "run chrony, or timedatectl set-ntp true; in a container or a virtual machine, on its host. It shows after some minutes",
        ),
    }
}
