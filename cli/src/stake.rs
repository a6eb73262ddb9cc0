//! `ashlar stake`: the restaking ledger. The commands are the ledger's own; here they get this command line's output, errors
//! and devnet.

use std::io::Write;

use ashlar_ledger::command::error::CommandError;
use ashlar_ledger::command::{self, StakeArgs};

use crate::context::devnet_here;
use crate::error::{CliError, CliResult, Exit};
use crate::ui::Ui;

/// Runs `ashlar stake`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, mut args: StakeArgs) -> CliResult {
    if args.connection.ledger.is_none()
        && let Some(devnet) = devnet_here()?
        && let Some(ledger) = devnet.ledger
    {
        args.connection.ledger = Some(ledger.url);
    }
    let mut notes: Box<dyn Write> = match ui.quiet {
        true => Box::new(std::io::sink()),
        false => Box::new(std::io::stderr()),
    };
    command::run(&args, ui.json, &mut std::io::stdout(), &mut notes).map_err(into_cli_error)
}

/// The same error in this command line's type: same code, same exit code.
fn into_cli_error(error: CommandError) -> CliError {
    let exit = match error.exit {
        command::Exit::Failure => Exit::Failure,
        command::Exit::Usage => Exit::Usage,
        command::Exit::Refused => Exit::Refused,
        command::Exit::Unavailable => Exit::Unavailable,
        command::Exit::Timeout => Exit::Timeout,
    };
    let mut failure = CliError::new(exit, &error.code, error.what.clone());
    failure.blame = error.blame;
    failure.why.clone_from(&error.why);
    failure.next.clone_from(&error.next);
    failure
}
