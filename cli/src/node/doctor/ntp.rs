//! Whether anything keeps this machine's clock right.
//!
//! The kernel knows it (adjtimex(2)), and `timedatectl` says it: for systemd-timesyncd, chrony and ntpd alike, as all of them tell the kernel.

use std::time::Duration;

use tokio::process::Command;

use super::Report;

/// For an answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks whether something corrects the clock, and did so lately. If nobody can say, why.
pub(super) async fn is_kept() -> Result<bool, String> {
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .kill_on_drop(true)
        .output();
    let answer = tokio::time::timeout(DEADLINE, asked).await;
    let answer = answer.map_err(|_| format!("no answer in {} s", DEADLINE.as_secs()))?;
    let answer = answer.map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', "; ");
    match text(&answer.stdout).as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(text(&answer.stderr)),
    }
}

/// Says what was answered.
pub(super) fn look(report: &mut Report, asked: Result<bool, String>) {
    const CHECK: &str = "ntp";
    match asked {
        Ok(true) => report.ok(CHECK, "something keeps the clock"),
        Ok(false) => report.warn(
            CHECK,
            "nothing keeps this machine's clock: sooner or later the node refuses every batch",
            "run chrony, or timedatectl set-ntp true; in a container or a virtual machine, on its host. It shows after some minutes",
        ),
        Err(why) => report.unknown(
            CHECK,
            format!("timedatectl does not say whether the clock is kept: {why}"),
        ),
    }
}
