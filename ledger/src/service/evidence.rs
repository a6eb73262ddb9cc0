//! Evidence of faults: who is slashed for it, and how.
//!
//! The service is the one whose domain was signed for. An operator's fault is punished once in each quorum in which it has stake,
//! whatever evidence shows it: the ledger keeps what was punished in its state, under a name that follows from the fault's subject,
//! the service and the quorum. So it is still known after a restart, and to whoever replays the log. A disperser loses its whole
//! bond, so it is punished once as well.

use alloy_primitives::B256;
use ashlar_crypto::{Blame, Coded};
use ashlar_proto::api::Problem;
use ashlar_proto::{Block, OperatorId, QuorumId};
use ashlar_restaking::evidence::{Accused, Fault, ProvenFault, Records};
use ashlar_restaking::{Action, FaultRecord, ServiceId, SlashPart, Standing, State, Wad};

use super::Evidence;

/// Checks evidence against what this ledger recorded of the service that it is about. Takes milliseconds.
///
/// # Errors
///
/// The problem to answer with: it is about no service here, or something does not hold.
pub(crate) fn check(
    state: &State,
    fault: &Fault,
) -> Result<(ServiceId, ProvenFault), Box<Problem>> {
    let domain = fault.domain();
    let records = Records::of_domain(state, &domain).ok_or_else(|| {
        caller(
            422,
            "evidence.other_domain",
            format!(
                "this was signed for the domain {domain}, and no service of this ledger has it"
            ),
        )
    })?;
    let proven = fault.check(&records).map_err(|error| {
        let status = if error.blame() == Blame::Us { 500 } else { 422 };
        Box::new(Problem::from_coded(status, &error))
    })?;
    Ok((records.service(), proven))
}

/// What punishes a fault, in the name of `config.slasher`: of a disperser one action, of an operator one for each quorum in which
/// it has something to slash.
///
/// # Errors
///
/// The problem to answer with: punished before, nothing to slash, or the service has another slasher.
pub(crate) fn plan(
    state: &State,
    config: &Evidence,
    service: ServiceId,
    proven: &ProvenFault,
) -> Result<Vec<Action>, Box<Problem>> {
    let block = state.meta().block;
    let of = state
        .service(service)
        .filter(|of| of.slasher.at(block) == config.slasher);
    let Some(of) = of else {
        return Err(caller(
            422,
            "evidence.other_slasher",
            format!(
                "the fault is proven, but the slasher of service {service} is not the one in whose name this ledger acts, {}",
                config.slasher
            ),
        ));
    };
    let reason = format!(
        "{}, evidence {}",
        proven.kind(),
        B256::from(proven.evidence_hash())
    );
    match proven.accused() {
        Accused::Operator(operator) => {
            let caps = [of.slash_cap, state.meta().params.slash_cap];
            let wad = caps.into_iter().fold(config.wad, Wad::min);
            let quorums = slashes(state, service, operator, wad, proven)?;
            let slash = |(quorum, parts)| Action::SlashByEvidence {
                service,
                quorum,
                parts,
                fault: FaultRecord::of(operator, proven, service, quorum),
                reason: reason.clone(),
            };
            Ok(quorums.into_iter().map(slash).collect())
        }
        Accused::Disperser(disperser) => {
            check_bonded(state, service, disperser)?;
            Ok(vec![Action::SlashDisperser {
                service,
                disperser,
                evidence_hash: proven.evidence_hash().into(),
                reason,
            }])
        }
    }
}

/// What is to be taken from an operator, by quorum: the part `wad` of each allocation.
fn slashes(
    state: &State,
    service: ServiceId,
    operator: OperatorId,
    wad: Wad,
    proven: &ProvenFault,
) -> Result<Vec<(QuorumId, Vec<SlashPart>)>, Box<Problem>> {
    let punished = |quorum| state.fault(&FaultRecord::of(operator, proven, service, quorum));
    let first = state
        .quorums(service)
        .filter_map(|(quorum, _)| punished(quorum))
        .min();
    let mut slashes = Vec::new();
    for (quorum, rules) in state.quorums(service) {
        if punished(quorum).is_some() {
            continue;
        }
        // Punished in some quorums and not in this one: either it had no stake here then, and owes nothing now, or the
        // disk failed in between, and the rest follows.
        if first.is_some_and(|first| {
            let before = first.saturating_sub(1);
            state
                .weight_at(service, quorum, &operator, before)
                .is_zero()
        }) {
            continue;
        }
        let parts: Vec<SlashPart> = rules
            .config
            .strategies
            .iter()
            .map(|part| part.strategy)
            .filter(|strategy| {
                let key = (operator, *strategy, service, quorum);
                state
                    .slashable_shares(&key)
                    .is_ok_and(|shares| !shares.is_zero())
            })
            .map(|strategy| SlashPart { strategy, wad })
            .collect();
        if !parts.is_empty() {
            slashes.push((quorum, parts));
        }
    }
    match first {
        _ if !slashes.is_empty() => Ok(slashes),
        Some(block) => Err(same_fault(block)),
        None => Err(nothing_to_slash(service, &Accused::Operator(operator))),
    }
}

fn check_bonded(state: &State, service: ServiceId, disperser: u32) -> Result<(), Box<Problem>> {
    match state
        .disperser(service, disperser)
        .map(|record| record.standing)
    {
        Some(Standing::Active | Standing::Exiting { .. }) => Ok(()),
        Some(Standing::Slashed { block }) => Err(same_fault(block)),
        Some(Standing::Gone) | None => {
            Err(nothing_to_slash(service, &Accused::Disperser(disperser)))
        }
    }
}

fn same_fault(block: Block) -> Box<Problem> {
    caller(
        409,
        "slash.same_fault",
        format!("this fault was punished in block {block} already"),
    )
}

fn nothing_to_slash(service: ServiceId, accused: &Accused) -> Box<Problem> {
    caller(
        422,
        "evidence.nothing_to_slash",
        format!("the fault is proven, but {accused} has nothing that service {service} can slash"),
    )
}

fn caller(status: u16, code: &str, detail: String) -> Box<Problem> {
    Box::new(Problem::new(status, code, Blame::Caller, detail))
}
