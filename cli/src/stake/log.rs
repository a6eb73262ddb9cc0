//! `ashlar stake verify-log`: replays a ledger's log and computes its state root anew, without trusting or changing anything.

use std::path::{Path, PathBuf};

use alloy_primitives::B256;
use ashlar_ledger::store::{Store, StoreError};
use ashlar_proto::Block;
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
    pub unfinished_bytes: usize,
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

fn replay(directory: &Path, records: Option<u64>) -> CliResult<Replayed> {
    let found = Store::replay(directory, records).map_err(|error| {
        let exit = match error {
            StoreError::Io { .. } => Exit::Failure,
            StoreError::Malformed { .. } => Exit::Usage,
            _ => Exit::Refused,
        };
        let what = format!("could not replay the log in {}", directory.display());
        CliError::coded(exit, what, &error)
    })?;
    let Some(mut found) = found else {
        let what = format!("there is no ledger in {}", directory.display());
        return Err(CliError::new(Exit::Unavailable, "log.none", what)
            .because("it has no genesis.json")
            .next("name the service's data folder: paths.data in its configuration"));
    };
    found
        .state
        .check_books()
        .map_err(|error| CliError::coded(Exit::Refused, "the books do not balance", &error))?;
    Ok(Replayed {
        network: found.genesis.network.clone(),
        genesis: found.genesis.hash(),
        records: found.tip.records,
        link: found.tip.link,
        block: found.state.meta().block,
        transactions: found.state.meta().transactions,
        root: found.state.root(),
        unfinished_bytes: found.unfinished,
    })
}
