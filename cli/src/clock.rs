//! What `ashlar node clock accept` and `ashlar disperser clock accept` have in common: the question.

use std::io::{BufRead, IsTerminal};

use crate::error::{CliError, CliResult, Exit};
use crate::ui::{self, Ui};

/// Says what taking this machine's clock for right means, and goes on if a person agrees or `yes` says so. `kept_ms` is the last
/// time that was kept, `ending` what expires by the clock.
///
/// # Errors
/// Nobody agrees (`clock.not_accepted`); or the answer cannot be read.
pub fn confirm(ui: Ui, kept_ms: Option<u64>, clock_ms: u64, ending: &str, yes: bool) -> CliResult {
    let kept = match kept_ms {
        None => "no time was kept yet".to_owned(),
        Some(kept) => {
            let direction = if clock_ms >= kept {
                "later"
            } else {
                "EARLIER: a clock was wrong before, or is now"
            };
            format!(
                "the last time kept is {}; by the clock it is {} {direction}",
                ui::utc(kept),
                ui::span(clock_ms.abs_diff(kept))
            )
        }
    };
    ui.note(format!(
        "this machine's clock says {}\n{kept}\n{ending}",
        ui::utc(clock_ms)
    ));
    if yes || agreed("is that the right time?")? {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Usage,
        "clock.not_accepted",
        "the clock was not accepted, nothing has changed",
    )
    .next("compare it with another clock; then answer with yes, or give --yes"))
}

/// Asks at a terminal. Nobody there is no yes.
///
/// # Errors
/// The answer cannot be read.
pub fn agreed(question: &str) -> CliResult<bool> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Ok(false);
    }
    eprint!("{question} [yes/no] ");
    let mut line = String::new();
    stdin
        .lock()
        .read_line(&mut line)
        .map_err(|error| CliError::io("could not read the answer", &error))?;
    Ok(line.trim() == "yes")
}
