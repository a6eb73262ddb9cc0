//! The end of the demo: an operator signs two batches under one number, and so does the disperser. Somebody shows the signatures to
//! the ledger: the operator's stake falls, the disperser's bond is burnt.

use std::sync::Arc;
use std::time::Duration;

use ashlar_ledger::LedgerClient;
use ashlar_ledger::types::EvidenceReceipt;
use ashlar_proto::{BatchHeader, Block, OperatorId, QuorumId, Stake, TableAccess};
use ashlar_restaking::evidence::{
    DispersedBatch, DisperserEquivocation, DoubleSigning, Fault, SignedBatch,
};
use ashlar_restaking::{Amount, Event};
use ashlar_stake::{OperatorTable, StakeSource};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::cert::percent;
use crate::devnet::layout::{DevnetFile, NodeEntry};
use crate::error::{CliError, CliResult, Exit};
use crate::{files, keys, ui};

/// How long the ledger may take to make the block that shows the slash.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of the operator.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Slashed {
    pub(super) operator: u32,
    pub(super) operator_id: String,
    /// The fault's name on the ledger: it is punished once.
    pub(super) subject: String,
    /// The last table before the evidence, and the first that shows the slash.
    pub(super) blocks: [Block; 2],
    pub(super) quorums: Vec<StakeChange>,
}

/// The operator's stake in one quorum, before and after.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StakeChange {
    pub(super) quorum: QuorumId,
    pub(super) stake: [String; 2],
    pub(super) percent: [f64; 2],
}

impl Slashed {
    /// A line for each quorum.
    pub(super) fn text(&self) -> String {
        let [before, after] = self.blocks;
        let mut lines = format!(
            "             the table of block {after} shows it; that of block {before} stays what it was\n"
        );
        for change in &self.quorums {
            let ([stake, left], [share, now]) = (&change.stake, change.percent);
            lines.push_str(&format!(
                "             quorum {}: stake {} → {}, {share:.2} % → {now:.2} % of all\n",
                change.quorum,
                ui::stake(stake),
                ui::stake(left),
            ));
        }
        lines
    }
}

/// What became of the disperser.
#[derive(Clone, Debug, Serialize)]
pub(super) struct SlashedDisperser {
    pub(super) disperser: u32,
    /// The fault's name on the ledger: it is punished once.
    pub(super) subject: String,
    /// In the smallest unit of its token.
    pub(super) bond: Amount,
    /// The last table with the disperser, and the first without it.
    pub(super) blocks: [Block; 2],
}

impl SlashedDisperser {
    /// A line.
    pub(super) fn text(&self) -> String {
        format!(
            "             its bond of {} is burnt, and the table of block {} has no disperser {} any more",
            ui::stake(&self.bond.to_string()),
            self.blocks[1],
            self.disperser
        )
    }
}

/// Signs `header`, which the operator has signed already, and another one under its number with the operator's key; submits both
/// as evidence; waits for the table that shows the slash.
///
/// # Errors
/// The devnet has no ledger, the ledger refuses the evidence, or no table shows the slash in time.
pub(super) async fn double_sign(
    devnet: &DevnetFile,
    node: &NodeEntry,
    header: &BatchHeader,
    stake: &Arc<dyn StakeSource>,
) -> CliResult<Slashed> {
    let client = client(devnet)?;
    let password = files::password(Some(&node.dir.join("password")), "", false)?;
    let key = keys::open_bls(&node.dir.join("bls.json"), &password)?;
    let id = ashlar_proto::operator_id(&key.public_key().to_bytes());

    let before = newest(stake).await?;
    let mut second = header.clone();
    second.created_at_ms += 1;
    let fault = Fault::DoubleSigning(DoubleSigning::new(
        id,
        SignedBatch::sign(&key, header.clone()),
        SignedBatch::sign(&key, second),
    ));
    let receipt = submit(&client, &fault).await?;
    let after = table_that(stake, |after| !falls(&before, after, &id).is_empty()).await?;
    Ok(Slashed {
        operator: node.index,
        operator_id: id.to_string(),
        subject: receipt.subject.to_string(),
        blocks: [&before, &after].map(|table| table.header().reference_block),
        quorums: falls(&before, &after, &id),
    })
}

/// Signs `header`, which the disperser has signed already, and another one under its number with the disperser's key; submits both as
/// evidence; waits for the table without the disperser.
///
/// # Errors
/// As of [`double_sign`].
pub(super) async fn equivocate(
    devnet: &DevnetFile,
    header: &BatchHeader,
    stake: &Arc<dyn StakeSource>,
) -> CliResult<SlashedDisperser> {
    let client = client(devnet)?;
    let dir = &devnet.disperser.dir;
    let password = files::password(Some(&dir.join("password")), "", false)?;
    let key = keys::open_network(&dir.join("network.json"), &password)?;

    let before = newest(stake).await?;
    let mut second = header.clone();
    second.created_at_ms += 1;
    let fault = Fault::DisperserEquivocation(DisperserEquivocation::new(
        DispersedBatch::sign(&key, header.clone()),
        DispersedBatch::sign(&key, second),
    ));
    let receipt = submit(&client, &fault).await?;
    let events = receipt.receipts.iter().flat_map(|receipt| &receipt.events);
    let bond = events
        .filter_map(|event| match event {
            Event::DisperserSlashed { bond, .. } => Some(*bond),
            _ => None,
        })
        .next()
        .ok_or_else(|| failed("the ledger burnt no bond"))?;
    let disperser = header.disperser_id;
    let after = table_that(stake, |after| after.disperser(disperser).is_none()).await?;
    Ok(SlashedDisperser {
        disperser,
        subject: receipt.subject.to_string(),
        bond,
        blocks: [&before, &after].map(|table| table.header().reference_block),
    })
}

fn failed(what: &str) -> CliError {
    CliError::new(Exit::Failure, "demo.slashing", what)
}

fn client(devnet: &DevnetFile) -> CliResult<LedgerClient> {
    let ledger = devnet
        .ledger
        .as_ref()
        .ok_or_else(|| failed("this devnet has no ledger"))?;
    LedgerClient::parse(&ledger.url)
        .map_err(|error| CliError::coded(Exit::Failure, "could not reach the ledger", &error))
}

async fn submit(client: &LedgerClient, fault: &Fault) -> CliResult<EvidenceReceipt> {
    client
        .submit_evidence(fault)
        .await
        .map_err(|error| CliError::coded(Exit::Refused, "the ledger refuses the evidence", &error))
}

/// The first table seen that is as the fault leaves it.
async fn table_that(
    stake: &Arc<dyn StakeSource>,
    shows: impl Fn(&OperatorTable) -> bool,
) -> CliResult<Arc<OperatorTable>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let table = newest(stake).await?;
        if shows(&table) {
            return Ok(table);
        }
        if Instant::now() >= deadline {
            return Err(failed("no table shows the slash")
                .because(format!("{} s have passed", PATIENCE.as_secs())));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn newest(stake: &Arc<dyn StakeSource>) -> CliResult<Arc<OperatorTable>> {
    let stake = Arc::clone(stake);
    let table = tokio::task::spawn_blocking(move || stake.newest())
        .await
        .map_err(|error| {
            CliError::new(
                Exit::Failure,
                "demo.slashing",
                "the look at the table failed",
            )
            .because(error.to_string())
        })?;
    table.map_err(|error| {
        CliError::coded(
            Exit::Unavailable,
            "the newest operator table cannot be read",
            &error,
        )
    })
}

/// The quorums in which the operator has less than before.
fn falls(before: &OperatorTable, after: &OperatorTable, id: &OperatorId) -> Vec<StakeChange> {
    let stake = |table: &OperatorTable, quorum| {
        let index = table.find(id);
        index
            .and_then(|index| table.operator(index))
            .map_or(Stake::ZERO, |operator| operator.stake(quorum))
    };
    before
        .quorums()
        .filter_map(|quorum| {
            let tables = [before, after];
            let stakes = tables.map(|table| stake(table, quorum));
            let [was, is] = stakes;
            (is < was).then(|| StakeChange {
                quorum,
                stake: stakes.map(|stake| stake.to_string()),
                percent: tables.map(|table| {
                    // A quorum that lost its last stake is in the table no more.
                    let total = table.total(quorum).unwrap_or(Stake::ZERO);
                    percent(stake(table, quorum), total)
                }),
            })
        })
        .collect()
}
