//! `ashlar stake evidence`: what proves a fault, and what answers a challenge.

use std::path::{Path, PathBuf};

use ashlar_crypto::{Rows, Setup};
use ashlar_ledger::types::{ChallengeDetail, EvidenceReceipt};
use ashlar_proto::HARD_MAX_PAYLOAD;
use ashlar_restaking::evidence::{CustodyAnswer, Fault, MAX_FAULT_BYTES};
use ashlar_restaking::{MAX_CHALLENGE_ANSWER, OpenChallenge};
use clap::{Args, Subcommand};
use serde_json::json;

use super::connection::{Connection, ConnectionArgs};
use super::events;
use crate::error::{CliError, CliResult, Exit};
use crate::files;
use crate::ui::{Ui, pairs};

const EXAMPLES: &str = "\
Examples:
  ashlar stake evidence show fault.bin           who is accused of what; nothing is sent
  ashlar stake evidence submit fault.bin         the service checks it, and slashes
  ashlar stake evidence answer --challenge 1 --payload blob.bin --out answer.bin
                                                 answers a custody challenge; send it with tx answer-challenge

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
    /// Make the answer to an open custody challenge out of the blob's payload, as anybody can who has it
    Answer {
        /// Number of the challenge
        #[arg(long, value_name = "NUMBER")]
        challenge: u64,
        /// The payload, as `ashlar get` writes it; - reads standard input
        #[arg(long, value_name = "FILE")]
        payload: PathBuf,
        /// Where the answer goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Answer with the whole slice: quicker to make, and much longer [default: with an opening of the element]
        #[arg(long)]
        slice: bool,
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
pub fn run(ui: Ui, args: &EvidenceArgs, connection: &ConnectionArgs) -> CliResult {
    match &args.command {
        EvidenceCommand::Show { file } => {
            let fault = read(file)?;
            let hash = alloy_primitives::B256::from(fault.hash());
            let value = json!({
                "accused": fault.accused(),
                "domain": fault.domain(),
                "kind": fault.kind(),
                "evidence_hash": hash,
                "fault": fault,
            });
            ui.data(&value, || {
                pairs! {
                    "accused": fault.accused(),
                    "of": fault.kind(),
                    "domain": fault.domain(),
                    "evidence": hash,
                }
            })
        }
        EvidenceCommand::Answer {
            challenge,
            payload,
            out: to,
            slice,
        } => {
            let ledger = Connection::new(connection)?;
            let one: ChallengeDetail = ledger.get(&format!("v1/state/challenges/{challenge}"))?;
            let answer = make_answer(&one.challenge, payload, *slice)?;
            files::write_atomically(to, &answer, files::Access::Everyone)?;
            let value = json!({
                "challenge": challenge,
                "row": one.challenge.row,
                "element": one.challenge.element,
                "bytes": answer.len(),
                "out": to,
            });
            ui.data(&value, || {
                let (file, until) = (to.display(), one.challenge.deadline);
                pairs! {
                    "challenge": challenge,
                    "row": one.challenge.row,
                    "element": one.challenge.element,
                    "answer": format!("{} bytes, {file}", answer.len()),
                    "next": format!("ashlar stake tx answer-challenge --challenge {challenge} --answer {file}, until block {until}"),
                }
            })
        }
        EvidenceCommand::Submit { file } => {
            let fault = read(file)?;
            let connection = Connection::new(connection)?;
            let receipt = connection.run(
                "the evidence was not accepted",
                connection.client().submit_evidence(&fault),
            )?;
            ui.data(&receipt, || describe(&receipt))
        }
    }
}

/// The answer's bytes, checked as the ledger will check them.
fn make_answer(challenge: &OpenChallenge, payload: &Path, slice: bool) -> CliResult<Vec<u8>> {
    let blob = &challenge.blob;
    let bytes = files::read(payload, HARD_MAX_PAYLOAD)?;
    let not_it = || {
        CliError::new(
            Exit::Refused,
            "evidence.other_payload",
            format!(
                "{} is not the payload of blob {}",
                payload.display(),
                challenge.blob_key
            ),
        )
        .next("get it by its certificate: ashlar get")
    };
    if bytes.len() as u64 != blob.payload_len {
        return Err(not_it().because(format!(
            "it has {} bytes, the blob's has {}",
            bytes.len(),
            blob.payload_len
        )));
    }
    let rows = Rows::from_payload(&bytes, blob.encoding)
        .map_err(|error| not_it().because(error.to_string()))?;
    let (setup, position) = (Setup::ethereum(), challenge.position());
    let answer = if slice {
        CustodyAnswer::slice_from_rows(setup, blob, &rows, position)
    } else {
        CustodyAnswer::from_rows(setup, blob, &rows, position)
    };
    let answer = answer
        .map_err(|error| not_it().because(error.to_string()))?
        .to_bytes();
    if answer.len() > MAX_CHALLENGE_ANSWER {
        return Err(CliError::new(
            Exit::Failure,
            "evidence.slice_too_long",
            format!(
                "a slice of this blob makes an answer of {} bytes, a transaction has room for {MAX_CHALLENGE_ANSWER}",
                answer.len()
            ),
        )
        .next("leave --slice out: an opening is short, whatever the blob"));
    }
    Ok(answer)
}

fn describe(receipt: &EvidenceReceipt) -> String {
    let mut out = pairs! {
        "proven": receipt.kind,
        "accused": receipt.accused,
        "fault": receipt.subject,
        "evidence": receipt.evidence_hash,
    };
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
fn read(file: &Path) -> CliResult<Fault> {
    let bytes = files::read(file, 2 * MAX_FAULT_BYTES as u64 + 16)?;
    let bytes = match std::str::from_utf8(&bytes) {
        Ok(digits) if digits.trim().starts_with("0x") => {
            hex::decode(digits.trim().trim_start_matches("0x")).map_err(|error| {
                CliError::usage(format!("{} has no hex digits", file.display()))
                    .because(error.to_string())
            })?
        }
        _ => bytes,
    };
    Fault::from_bytes(&bytes).map_err(|error| {
        CliError::coded(
            Exit::Usage,
            format!("{} is no evidence", file.display()),
            &error,
        )
        .next("it has to be the file as whoever found the fault wrote it")
    })
}
