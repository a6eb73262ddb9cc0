//! The end of the demo: an operator signs two batches under one number, somebody shows both signatures to the ledger, and
//! the operator's stake falls.

use std::sync::Arc;
use std::time::Duration;

use ashlar_ledger::LedgerClient;
use ashlar_proto::{BatchHeader, OperatorId, QuorumId, Stake, TableView};
use ashlar_stake::evidence::{DoubleSigning, Fault, SignedBatch};
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
    pub(super) blocks: [u64; 2],
    pub(super) quorums: Vec<Fall>,
}

/// The operator's stake in one quorum, before and after.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fall {
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
        for fall in &self.quorums {
            let ([stake, left], [share, now]) = (&fall.stake, fall.percent);
            lines.push_str(&format!(
                "             quorum {}: stake {} → {}, {share:.2} % → {now:.2} % of all\n",
                fall.quorum,
                ui::stake(stake),
                ui::stake(left),
            ));
        }
        lines
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
    let failed = |what: &str| CliError::new(Exit::Failure, "demo.slashing", what);
    let ledger = devnet
        .ledger
        .as_ref()
        .ok_or_else(|| failed("this devnet has no ledger"))?;
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
    let client = LedgerClient::parse(&ledger.url)
        .map_err(|error| CliError::coded(Exit::Failure, "could not reach the ledger", &error))?;
    let receipt = client.submit_evidence(&fault).await.map_err(|error| {
        CliError::coded(Exit::Refused, "the ledger refuses the evidence", &error)
    })?;

    let deadline = Instant::now() + PATIENCE;
    loop {
        let after = newest(stake).await?;
        let quorums = falls(&before, &after, &id);
        if !quorums.is_empty() {
            return Ok(Slashed {
                operator: node.index,
                operator_id: id.to_string(),
                subject: receipt.subject.to_string(),
                blocks: [&before, &after].map(|table| table.header().reference_block),
                quorums,
            });
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
    let table = tokio::task::spawn_blocking(move || stake.table_at(stake.head()?))
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
fn falls(before: &OperatorTable, after: &OperatorTable, id: &OperatorId) -> Vec<Fall> {
    let stake = |table: &OperatorTable, quorum| {
        let index = table.find(id);
        index
            .and_then(|index| table.operators().get(index as usize))
            .map_or(Stake::ZERO, |operator| operator.stake(quorum))
    };
    before
        .quorums()
        .filter_map(|quorum| {
            let tables = [before, after];
            let stakes = tables.map(|table| stake(table, quorum));
            let [was, is] = stakes;
            (is < was).then(|| Fall {
                quorum,
                stake: stakes.map(|stake| stake.to_string()),
                percent: tables.map(|table| {
                    percent(
                        stake(table, quorum),
                        table.total(quorum).unwrap_or_default(),
                    )
                }),
            })
        })
        .collect()
}
