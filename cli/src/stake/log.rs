//! `ashlar stake verify-log`: replays a ledger's log and computes its state root anew, without trusting or changing anything.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use ashlar_ledger::store::Store;
use ashlar_proto::Block;
use ashlar_restaking::State;
use ashlar_restaking::log::{Read, Tip};
use clap::Args;
use serde::Serialize;

use crate::error::{CliError, CliResult, Exit};
use crate::ui::{Ui, pairs};

const EXAMPLES: &str = "\
Examples:
  ashlar stake verify-log .ashlar/ledger/data
  ashlar stake verify-log .ashlar/ledger/data --root 0x5f…      fails unless this is the root

Every record's link is checked, every transaction is applied again, and the books are balanced. The folder may be a copy,
or that of a running service: it is only read.";

/// Options of `ashlar stake verify-log`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyLogArgs {
    /// The ledger's folder, with genesis.json and ledger.log
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// The state root that it has to have, as `ashlar stake show head` or somebody else told
    #[arg(long, value_name = "HASH")]
    pub root: Option<B256>,
    /// The link that its last record has to have
    #[arg(long, value_name = "HASH")]
    pub link: Option<B256>,
    /// Read only so many records, to see the root that was
    #[arg(long, value_name = "NUMBER")]
    pub records: Option<u64>,
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// The network's name.
    pub network: String,
    /// Hash of the genesis.
    pub genesis: B256,
    /// Records read.
    pub records: u64,
    /// Link of the last of them.
    pub link: B256,
    /// The ledger's block after it.
    pub block: Block,
    /// Transactions applied.
    pub transactions: u64,
    /// The state root.
    pub root: B256,
    /// Bytes of an unfinished record at the end, as a power cut or a writer at work leaves.
    pub unfinished_bytes: u64,
}

/// Runs `ashlar stake verify-log`.
///
/// # Errors
/// The folder holds no ledger, the log is damaged, a record is refused, or a root or link is another than expected.
pub fn run(ui: Ui, args: &VerifyLogArgs) -> CliResult {
    let found = replay(&args.directory, args.records)?;
    let expect = |what: &str, got: B256, expected: Option<B256>| {
        match expected {
        Some(expected) if expected != got => Err(CliError::new(
            Exit::Refused,
            "log.mismatch",
            format!("the {what} is not the expected one"),
        )
        .because(format!("got {got}, expected {expected}"))
        .next("compare records and block: the log may be shorter than the one you expect, or another one")),
        _ => Ok(()),
    }
    };
    expect("state root", found.root, args.root)?;
    expect("last link", found.link, args.link)?;
    ui.data(&found, || {
        let mut text = pairs! {
            "network": found.network,
            "genesis": found.genesis,
            "records": found.records,
            "link": found.link,
            "block": found.block,
            "transactions": found.transactions,
            "root": found.root,
        };
        if found.unfinished_bytes > 0 {
            let bytes = found.unfinished_bytes;
            text.push_str(&format!(
                "unfinished    {bytes} bytes at the end, never acknowledged\n"
            ));
        }
        text
    })
}

/// Replays the log in a folder, or its first records.
///
/// # Errors
/// As [`run`].
pub fn replay(directory: &Path, limit: Option<u64>) -> CliResult<Replayed> {
    let genesis = Store::genesis(directory)
        .map_err(|error| {
            CliError::coded(
                Exit::Usage,
                format!("could not read the ledger in {}", directory.display()),
                &error,
            )
        })?
        .ok_or_else(|| {
            CliError::new(
                Exit::Unavailable,
                "log.none",
                format!("there is no ledger in {}", directory.display()),
            )
            .because("it has no genesis.json")
            .next("name the service's data folder: data_dir in its configuration")
        })?;
    let path = directory.join("ledger.log");
    let io =
        |error: std::io::Error| CliError::io(format!("could not read {}", path.display()), &error);
    let mut reader = match File::open(&path) {
        Ok(file) => BufReader::with_capacity(CHUNK, file),
        Err(error) => return Err(io(error)),
    };
    let mut state = State::new(&genesis)
        .map_err(|error| CliError::coded(Exit::Refused, "the genesis breaks a rule", &error))?;
    let mut tip = Tip::of(&genesis);
    let (mut buffer, mut start, mut offset, mut at_end) = (Vec::new(), 0usize, 0u64, false);
    let unfinished = loop {
        if limit.is_some_and(|limit| tip.records >= limit) {
            break 0;
        }
        let rest = &buffer[start..];
        match tip.read(rest) {
            Ok(Read::Record(entry, length)) => {
                state.follow(&entry).map_err(|error| {
                    let what = format!("record {} is refused", tip.records.saturating_sub(1));
                    CliError::coded(Exit::Refused, what, &error)
                        .next("the log was written by another version, or by a ledger that breaks its rules")
                })?;
                start += length;
                offset += length as u64;
            }
            Ok(Read::End | Read::Cut) if !at_end => {
                buffer.drain(..start);
                start = 0;
                let got = (&mut reader)
                    .take(CHUNK as u64)
                    .read_to_end(&mut buffer)
                    .map_err(io)?;
                at_end = got == 0;
            }
            Ok(Read::End) => break 0,
            Ok(Read::Cut) => break rest.len() as u64,
            Err(error) => {
                let what = format!("{} is damaged at byte {offset}", path.display());
                return Err(CliError::coded(Exit::Refused, what, &error)
                    .next("restore it from a copy; up to that byte it is whole"));
            }
        }
    };
    state
        .check_books()
        .map_err(|error| CliError::coded(Exit::Refused, "the books do not balance", &error))?;
    Ok(Replayed {
        network: genesis.network.clone(),
        genesis: genesis.hash(),
        records: tip.records,
        link: tip.link,
        block: state.meta().block,
        transactions: state.meta().transactions,
        root: state.root(),
        unfinished_bytes: unfinished,
    })
}

/// Read at once.
const CHUNK: usize = 4 << 20;
