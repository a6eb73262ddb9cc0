//! `ashlar operators`: the operator table, with stake, share and chunks of each operator.

use ashlar_proto::{Block, OperatorId, OperatorIndex, QuorumId, TableAccess};
use ashlar_stake::{Assignment, OperatorTable};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cert::percent;
use crate::context::TableOption;
use crate::error::{CliError, CliResult, Exit};
use crate::ui::{self, Ui};

const EXAMPLES: &str = "\
Examples:
  ashlar operators show                              the devnet in this folder
  ashlar operators show --table operators.toml --block 1200
  ashlar operators show --protocol 2 --json          chunk counts of protocol version 2";

/// Options of `ashlar operators`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct OperatorsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: OperatorsCommand,
}

/// The commands of `ashlar operators`.
#[derive(Debug, Subcommand)]
pub enum OperatorsCommand {
    /// Show the operators of a table: stake, share and chunks in each quorum
    Show(ShowArgs),
}

/// Options of `ashlar operators show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub table: TableOption,
    /// The table at this block [default: the newest]
    #[arg(long, value_name = "NUMBER")]
    pub block: Option<Block>,
    /// The protocol version that decides how chunks are shared out
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    pub protocol: u16,
}

/// The table as this command prints it.
#[derive(Debug, Serialize)]
pub struct TableOut {
    /// The block at which it is the state.
    pub reference_block: Block,
    /// The service whose operators these are.
    pub domain: String,
    /// Its root.
    pub table_root: String,
    /// Total stake of each quorum.
    pub totals: Vec<QuorumTotal>,
    /// Chunks of a batch in all, and how many rebuild it.
    pub chunks: u32,
    /// Chunks that rebuild a batch.
    pub needed: u32,
    /// By rising id, as in the table.
    pub operators: Vec<OperatorOut>,
    /// Who may send batches.
    pub dispersers: Vec<DisperserOut>,
}

/// One quorum.
#[derive(Debug, Serialize)]
pub struct QuorumTotal {
    /// Its number.
    pub quorum: QuorumId,
    /// Its stake, decimal.
    pub total: String,
}

/// One operator.
#[derive(Debug, Serialize)]
pub struct OperatorOut {
    /// Index in the table.
    pub index: OperatorIndex,
    /// Its id.
    pub operator_id: OperatorId,
    /// Where it listens.
    pub address: String,
    /// Its TLS identity.
    pub network_key: String,
    /// Its stakes.
    pub stakes: Vec<StakeOut>,
}

/// An operator's stake in a quorum.
#[derive(Debug, Serialize)]
pub struct StakeOut {
    /// The quorum.
    pub quorum: QuorumId,
    /// Decimal.
    pub stake: String,
    /// Of the quorum's total.
    pub percent: f64,
    /// Chunks of a batch of this quorum alone.
    pub chunks: u32,
}

/// A registered disperser.
#[derive(Debug, Serialize)]
pub struct DisperserOut {
    /// Its number.
    pub id: u32,
    /// Its TLS identity.
    pub network_key: String,
    /// Account of its bond.
    pub account: String,
    /// Its bond, decimal.
    pub bond: String,
}

/// Runs `ashlar operators`.
///
/// # Errors
/// There is no such table, or no such protocol version.
pub fn run(ui: Ui, args: OperatorsArgs) -> CliResult {
    let OperatorsCommand::Show(args) = args.command;
    let source = args.table.open()?;
    let failed = |error: &ashlar_stake::StakeError| {
        CliError::coded(Exit::Unavailable, "there is no such operator table", error)
    };
    let block = match args.block {
        Some(block) => block,
        None => source.head().map_err(|error| failed(&error))?,
    };
    let table = source.table_at(block).map_err(|error| failed(&error))?;
    let out = describe(&table, args.protocol)?;
    ui.data(&out, || out.text())
}

/// The table with everybody's chunks.
///
/// # Errors
/// The protocol version is not known, or the table is too large for it.
pub fn describe(table: &OperatorTable, protocol: u16) -> CliResult<TableOut> {
    let version = ashlar_proto::version(protocol).map_err(|error| {
        CliError::coded(Exit::Usage, "there is no such protocol version", &error)
    })?;
    let totals = &table.header().totals;
    let mut assignments = Vec::with_capacity(totals.len());
    for &(quorum, total) in totals {
        let assignment = Assignment::compute(table, version, &[quorum]).map_err(|error| {
            CliError::coded(
                Exit::Usage,
                format!("chunks of quorum {quorum} cannot be shared out"),
                &error,
            )
        })?;
        assignments.push((quorum, total, assignment));
    }
    let operators = (0..)
        .map(OperatorIndex)
        .zip(table.operators())
        .map(|(index, operator)| OperatorOut {
            index,
            operator_id: operator.operator_id,
            address: operator.address.clone(),
            network_key: operator.network_key.to_string(),
            stakes: assignments
                .iter()
                .filter(|(quorum, _, _)| !operator.stake(*quorum).is_zero())
                .map(|(quorum, total, assignment)| {
                    let stake = operator.stake(*quorum);
                    StakeOut {
                        quorum: *quorum,
                        stake: stake.to_string(),
                        percent: percent(stake, *total),
                        chunks: u32::try_from(assignment.chunks(index).len()).unwrap_or(u32::MAX),
                    }
                })
                .collect(),
        })
        .collect();
    Ok(TableOut {
        reference_block: table.header().reference_block,
        domain: table.domain().to_string(),
        table_root: table.root().to_string(),
        totals: totals
            .iter()
            .map(|(quorum, total)| QuorumTotal {
                quorum: *quorum,
                total: total.to_string(),
            })
            .collect(),
        chunks: version.code.chunks(),
        needed: version.code.needed(),
        operators,
        dispersers: table
            .dispersers()
            .iter()
            .map(|disperser| DisperserOut {
                id: disperser.id,
                network_key: disperser.network_key.to_string(),
                account: disperser.account.to_string(),
                bond: disperser.bond.to_string(),
            })
            .collect(),
    })
}

impl TableOut {
    fn text(&self) -> String {
        let mut rows = Vec::new();
        for operator in &self.operators {
            for stake in &operator.stakes {
                rows.push(vec![
                    operator.index.to_string(),
                    short(&operator.operator_id.to_string()),
                    operator.address.clone(),
                    stake.quorum.to_string(),
                    ui::stake(&stake.stake),
                    format!("{:.2} %", stake.percent),
                    stake.chunks.to_string(),
                ]);
            }
        }
        let totals: Vec<String> = self
            .totals
            .iter()
            .map(|total| format!("quorum {}: {}", total.quorum, ui::stake(&total.total)))
            .collect();
        let dispersers: Vec<String> = self
            .dispersers
            .iter()
            .map(|disperser| disperser.id.to_string())
            .collect();
        format!(
            "service {}\ntable {} at block {}\ntotal stake: {}; dispersers: {}; any {} of {} chunks rebuild a batch\n\n{}",
            self.domain,
            self.table_root,
            self.reference_block,
            totals.join(", "),
            dispersers.join(", "),
            self.needed,
            self.chunks,
            ui::table(
                &[
                    "index", "operator", "address", "quorum", "stake", "share", "chunks"
                ],
                rows
            )
        )
    }
}

/// `0x1234abcd…`: enough of an id to tell it from its neighbours.
pub fn short(id: &str) -> String {
    match id.get(..10) {
        Some(head) if id.len() > 10 => format!("{head}…"),
        _ => id.to_owned(),
    }
}
