//! Evidence of faults: who is slashed for it, and how.
//!
//! A fault is punished once in each quorum in which the operator has stake, whatever evidence shows it: the ledger keeps
//! what was punished in its state, under a name that follows from the fault's subject, the service and the quorum. So it is
//! still known after a restart, and to whoever replays the log.

use std::sync::{Arc, RwLock};

use alloy_primitives::B256;
use ashlar_crypto::{Blame, Setup};
use ashlar_proto::api::Problem;
use ashlar_stake::evidence::{Chain, EvidenceError, Fault, ProvenFault};
use ashlar_stake::ledger::store::Store;
use ashlar_stake::ledger::{Action, FaultRecord, LedgerStakeSource, SlashPart, State, Transaction};
use ashlar_stake::{OperatorTable, StakeSource as _};

use super::Evidence;

/// The tables of a service, as the checks of evidence ask for them.
struct Tables<'a>(&'a LedgerStakeSource<RwLock<Store>>);

impl Chain for Tables<'_> {
    fn table_at(&self, block: u64) -> Option<Arc<OperatorTable>> {
        self.0.table_at(block).ok()
    }

    /// The newest block that is over: no honest operator signed for a later one, because nobody was told of one.
    fn head(&self) -> u64 {
        self.0.head().unwrap_or_default()
    }
}

/// Checks evidence against the tables that were. Takes milliseconds.
///
/// # Errors
///
/// What does not hold.
pub(crate) fn check(
    source: &LedgerStakeSource<RwLock<Store>>,
    fault: &Fault,
    setup: &Setup,
) -> Result<ProvenFault, EvidenceError> {
    fault.check(&Tables(source), setup)
}

/// The transactions that punish a fault: one for each quorum in which the operator has something to slash.
///
/// # Errors
///
/// The problem to answer with: punished before, nothing to slash, or the configuration does not fit the ledger.
pub(crate) fn plan(
    state: &State,
    config: &Evidence,
    proven: &ProvenFault,
) -> Result<Vec<Transaction>, Box<Problem>> {
    let operator = proven.operator();
    let id = config.service;
    let block = state.meta().block;
    let misfit = |what: String| {
        tracing::error!("evidence cannot be acted upon: {what}");
        Box::new(Problem::new(
            500,
            "evidence.not_configured",
            Blame::Us,
            format!("the fault is proven, but this ledger's service cannot slash: {what}"),
        ))
    };
    let service = state
        .service(id)
        .ok_or_else(|| misfit(format!("there is no service {id} in the ledger")))?;
    let slasher = service.slasher.at(block);
    if slasher != config.slasher {
        return Err(misfit(format!(
            "the slasher of service {id} is {slasher}, configured is {}",
            config.slasher
        )));
    }
    let wad = config
        .wad
        .min(service.slash_cap)
        .min(state.meta().params.slash_cap);
    let punished: Vec<u64> = state
        .quorums(id)
        .filter_map(|(quorum, _)| state.fault(&FaultRecord::of(proven, id, quorum)))
        .collect();
    let first = punished.iter().min().copied();
    let mut transactions = Vec::new();
    for (quorum, rules) in state.quorums(id) {
        let fault = FaultRecord::of(proven, id, quorum);
        if state.fault(&fault).is_some() {
            continue;
        }
        // Punished in some quorums and not in this one: either it had no stake here then, and owes nothing now, or the
        // disk failed in between, and the rest follows.
        if first.is_some_and(|first| {
            let before = first.saturating_sub(1);
            state.weight_at(id, quorum, &operator, before).is_zero()
        }) {
            continue;
        }
        let parts: Vec<SlashPart> = rules
            .config
            .strategies
            .iter()
            .map(|part| part.strategy)
            .filter(|strategy| {
                let key = (operator, *strategy, id, quorum);
                state
                    .slashable_shares(&key)
                    .is_ok_and(|shares| !shares.is_zero())
            })
            .map(|strategy| SlashPart { strategy, wad })
            .collect();
        if parts.is_empty() {
            continue;
        }
        let action = Action::SlashByEvidence {
            service: id,
            quorum,
            parts,
            fault,
            reason: format!(
                "{}, evidence {}",
                proven.kind(),
                B256::from(proven.evidence_hash())
            ),
        };
        transactions.push(Transaction {
            sender: slasher,
            action,
        });
    }
    if !transactions.is_empty() {
        return Ok(transactions);
    }
    Err(Box::new(match first {
        Some(first) => Problem::new(
            409,
            "slash.same_fault",
            Blame::Caller,
            format!("this fault was punished in block {first} already"),
        ),
        None => Problem::new(
            422,
            "evidence.nothing_to_slash",
            Blame::Caller,
            format!(
                "the fault is proven, but operator {operator} has nothing that service {id} can slash"
            ),
        ),
    }))
}
