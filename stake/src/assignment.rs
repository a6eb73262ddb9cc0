//! Which chunks each operator stores (docs/protocol.md, section 8).
//!
//! # The rule
//!
//! A batch has c chunks, any `needed = c / blowup` of which rebuild it, and the protocol version allows n operators in a quorum.
//! In one quorum, operators by id, operator i gets `k_i = ⌈stake_i · (c − n) / total⌉` consecutive chunk indices, from 0 on. For
//! each further quorum (by rising number) an operator first uses again indices that it already holds, lowest first, then
//! takes the lowest ones that nobody has in this quorum yet. What an operator holds in the end is the union over the quorums,
//! of which only the lowest `needed` are kept.
//!
//! # Why it fits
//!
//! n is the version's `max_operators`, not the number of operators present: it is the n of the reconstruction threshold
//! r, and with it an operator's share does not change when another one joins. Rounding up adds less than 1 to each share and a
//! quorum has m ≤ n operators, so `Σ k_i < (c − n) + m ≤ c`: the indices of a quorum never run out.
//!
//! # Why every set S of operators with stake ≥ r · total of any one quorum rebuilds the batch
//!
//! With `r = c / ((c − n) · blowup)`. If what a member of S holds was cut, that member has exactly `needed` different chunks,
//! and rebuilds alone. If nobody's was cut, each member holds all indices it was given in this quorum; no index is given
//! twice in one quorum, so together they hold `Σ_S k_i ≥ Σ_S stake_i · (c − n) / total ≥ r · (c − n) = needed` different ones.
//! The cut must come last, after the union: an operator that was cut in one quorum may then rely on it in every other one.

use std::collections::BTreeSet;

use alloy_primitives::U512;
use ashlar_proto::params::ProtocolVersion;
use ashlar_proto::{ChunkIndex, OperatorIndex, QuorumId, Stake};

use crate::{AssignmentError, OperatorTable};

/// The chunks of each operator for the batches of some quorums. The same for everybody who has the same table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// By operator index; each list rises.
    chunks: Vec<Vec<ChunkIndex>>,
    /// By chunk index; each list rises.
    holders: Vec<Vec<OperatorIndex>>,
}

impl Assignment {
    /// Assigns the chunks of a batch of these quorums. Their order does not matter, and naming one twice adds nothing.
    ///
    /// # Errors
    ///
    /// [`AssignmentError`]: a version that the service does not use at the table's block, no quorum, one without stake, or one with
    /// more operators than the version allows.
    pub fn compute(
        table: &OperatorTable,
        version: &ProtocolVersion,
        quorums: &[QuorumId],
    ) -> Result<Self, AssignmentError> {
        let chunks = version.code.chunks();
        let shared = chunks
            .checked_sub(version.max_operators)
            .filter(|&shared| shared > 0)
            .ok_or(AssignmentError::Version {
                version: version.id,
                chunks,
                max_operators: version.max_operators,
            })?;
        if !table.versions().contains(&version.id) {
            return Err(AssignmentError::VersionNotRecorded {
                version: version.id,
                block: table.reference_block(),
                recorded: table.versions().to_vec(),
            });
        }
        let quorums: BTreeSet<QuorumId> = quorums.iter().copied().collect();
        if quorums.is_empty() {
            return Err(AssignmentError::NoQuorums);
        }

        let mut held: Vec<BTreeSet<ChunkIndex>> = vec![BTreeSet::new(); table.operators().len()];
        for quorum in quorums {
            let total = table
                .total(quorum)
                .ok_or(AssignmentError::UnknownQuorum { quorum })?;
            let shares: Vec<u32> = table
                .operators()
                .iter()
                .map(|entry| share(entry.stake(quorum), shared, total))
                .collect();
            let got = shares.iter().filter(|&&share| share > 0).count();
            if got > version.max_operators as usize {
                let max = version.max_operators;
                return Err(AssignmentError::TooManyOperators {
                    quorum,
                    version: version.id,
                    got,
                    max,
                });
            }
            let assigned = assign_quorum(&held, &shares, chunks);
            for (all, new) in held.iter_mut().zip(assigned) {
                all.extend(new);
            }
        }

        let needed = version.code.needed() as usize;
        Ok(Self::from_chunks(
            held.into_iter()
                .map(|all| all.into_iter().take(needed).collect())
                .collect(),
            chunks,
        ))
    }

    fn from_chunks(by_operator: Vec<Vec<ChunkIndex>>, chunks: u32) -> Self {
        let mut holders = vec![Vec::new(); chunks as usize];
        for (operator, held) in (0..).map(OperatorIndex).zip(&by_operator) {
            for &chunk in held {
                if let Some(list) = holders.get_mut(chunk.0 as usize) {
                    list.push(operator);
                }
            }
        }
        Self {
            chunks: by_operator,
            holders,
        }
    }

    /// The chunks of the operator at this index of the table, rising; none for an operator outside the batch's quorums
    /// or past the end of the table.
    pub fn chunks(&self, operator: OperatorIndex) -> &[ChunkIndex] {
        self.chunks
            .get(operator.0 as usize)
            .map_or(&[], Vec::as_slice)
    }

    /// The operators that hold this chunk, rising; often one, possibly none, one for each quorum at most.
    pub fn holders(&self, chunk: ChunkIndex) -> impl Iterator<Item = OperatorIndex> + '_ {
        self.holders
            .get(chunk.0 as usize)
            .into_iter()
            .flatten()
            .copied()
    }

    /// Indices of the operators that hold anything, rising: those with stake in one of the quorums.
    pub fn operators(&self) -> impl Iterator<Item = OperatorIndex> + '_ {
        (0..)
            .map(OperatorIndex)
            .zip(&self.chunks)
            .filter(|(_, held)| !held.is_empty())
            .map(|(operator, _)| operator)
    }
}

/// `⌈stake · shared / total⌉`, at most `shared`.
///
/// A stake has 256 bits and `shared` has 32, so 512 bits hold the product and the rounding.
fn share(stake: Stake, shared: u32, total: Stake) -> u32 {
    let product = U512::from(stake) * U512::from(shared);
    // A stake is part of the total: the quotient is at most `shared`, and the total is not zero.
    let share = product.div_ceil(U512::from(total));
    #[expect(
        clippy::expect_used,
        reason = "the total is a sum that this stake is part of"
    )]
    u32::try_from(share)
        .ok()
        .filter(|share| *share <= shared)
        .expect("a share is no more than the whole")
}

/// The indices of each operator in one quorum: `shares[i]` of them, none given twice, as many as possible from `held[i]`.
fn assign_quorum(
    held: &[BTreeSet<ChunkIndex>],
    shares: &[u32],
    chunks: u32,
) -> Vec<Vec<ChunkIndex>> {
    let mut given = vec![false; chunks as usize];
    let mut assigned = Vec::with_capacity(shares.len());
    for (own, &share) in held.iter().zip(shares) {
        let mut indices = Vec::with_capacity(share as usize);
        for &index in own {
            if indices.len() == share as usize {
                break;
            }
            // From the third quorum on, another operator may hold the same index and have used it first.
            if let Some(slot) = given.get_mut(index.0 as usize).filter(|slot| !**slot) {
                *slot = true;
                indices.push(index);
            }
        }
        assigned.push(indices);
    }
    let mut free = (0..chunks)
        .map(ChunkIndex)
        .zip(given)
        .filter_map(|(index, given)| (!given).then_some(index));
    for (indices, &share) in assigned.iter_mut().zip(shares) {
        let missing = (share as usize).saturating_sub(indices.len());
        indices.extend(free.by_ref().take(missing));
    }
    assigned
}

#[cfg(test)]
mod tests;
