//! `ashlar stake evidence`: what proves a fault.

use std::path::{Path, PathBuf};

use ashlar_stake::evidence::{Fault, MAX_FAULT_BYTES};
use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::{Connection, ConnectionArgs};
use super::error::{CommandError, CommandResult, Exit};
use super::output::Output;
use super::{events, files, text};
use crate::types::EvidenceReceipt;

const EXAMPLES: &str = "\
Examples:
  ashlar stake evidence show fault.bin           who is accused of what; nothing is sent
  ashlar stake evidence submit fault.bin         the service checks it, and slashes

A file has the fault's bytes, or their hex digits. Anybody may submit evidence: it proves itself. docs/restaking.md lists
the faults.";

/// Options of `ashlar stake evidence`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EvidenceArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: EvidenceCommand,
}

/// The commands of `ashlar stake evidence`.
#[derive(Clone, Debug, Subcommand)]
pub enum EvidenceCommand {
    /// Send it to the ledger, which checks it and slashes
    Submit {
        /// The evidence; - reads standard input
        file: PathBuf,
    },
    /// Say what it claims; whether that holds, only the check says
    Show {
        /// The evidence; - reads standard input
        file: PathBuf,
    },
}

/// Runs `ashlar stake evidence`.
///
/// # Errors
/// The file is no evidence, the service cannot be reached, or it refuses.
pub fn run(
    args: &EvidenceArgs,
    connection: &ConnectionArgs,
    out: &mut Output<'_>,
) -> CommandResult {
    match &args.command {
        EvidenceCommand::Show { file } => {
            let fault = read(file)?;
            let hash = alloy_primitives::B256::from(fault.hash());
            let value = json!({
                "operator": fault.operator(),
                "kind": fault.kind(),
                "evidence_hash": hash,
                "fault": fault,
            });
            out.data(&value, || {
                text::pairs(&[
                    ("accused", fault.operator().to_string()),
                    ("of", fault.kind().to_string()),
                    ("evidence", hash.to_string()),
                ])
            })
        }
        EvidenceCommand::Submit { file } => {
            let fault = read(file)?;
            let connection = Connection::new(connection)?;
            let receipt = connection.run(
                "the evidence was not accepted",
                connection.client().submit_evidence(&fault),
            )?;
            out.data(&receipt, || describe(&receipt))
        }
    }
}

fn describe(receipt: &EvidenceReceipt) -> String {
    let mut out = text::pairs(&[
        ("proven", receipt.kind.to_string()),
        ("operator", receipt.operator.to_string()),
        ("fault", receipt.subject.to_string()),
        ("evidence", receipt.evidence_hash.to_string()),
    ]);
    for receipt in &receipt.receipts {
        out.push_str(&format!(
            "block {}, record {}\n",
            receipt.block, receipt.record
        ));
        out.push_str(&events::lines(&receipt.events));
    }
    out
}

/// A fault from a file of its bytes or of their hex digits.
fn read(file: &Path) -> CommandResult<Fault> {
    let bytes = files::read(file, 2 * MAX_FAULT_BYTES as u64 + 16)?;
    let bytes = match std::str::from_utf8(&bytes) {
        Ok(digits) if digits.trim().starts_with("0x") => {
            hex::decode(digits.trim().trim_start_matches("0x")).map_err(|error| {
                CommandError::usage(format!("{} has no hex digits", file.display()))
                    .because(error.to_string())
            })?
        }
        _ => bytes,
    };
    Fault::from_bytes(&bytes).map_err(|error| {
        CommandError::coded(
            Exit::Usage,
            format!("{} is no evidence", file.display()),
            &error,
        )
        .next("it has to be the file as whoever found the fault wrote it")
    })
}
