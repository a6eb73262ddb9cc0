//! Weights of operators in quorums, their history, and the operator tables made of it.

use std::collections::BTreeMap;

use ashlar_crypto::Coded;
use ashlar_proto::table::{DisperserEntry, OperatorEntry};
use ashlar_proto::{MAX_TABLE_OPERATORS, OperatorId, QuorumId, TableScope};

use super::error::Outcome;
use super::state::inconsistent;
use super::types::*;
use super::{Amount, State, TransactionError};
use ashlar_stake::{OperatorTable, TableError};

impl State {
    pub(super) fn member(&self, service: ServiceId, quorum: QuorumId, id: OperatorId) -> Member {
        self.members
            .get(&(service, quorum, id))
            .copied()
            .unwrap_or_default()
    }

    pub(super) fn active_members(
        &self,
        service: ServiceId,
        quorum: QuorumId,
    ) -> impl Iterator<Item = (OperatorId, &Member)> {
        self.all_members(service, quorum)
            .filter(|(_, member)| member.active)
    }

    fn all_members(
        &self,
        service: ServiceId,
        quorum: QuorumId,
    ) -> impl Iterator<Item = (OperatorId, &Member)> {
        let first = (service, quorum, OperatorId([0; 32]));
        let last = (service, quorum, OperatorId([0xff; 32]));
        self.members
            .range(first..=last)
            .map(|((_, _, id), member)| (*id, member))
    }

    /// Slashable shares of an allocation that stay slashable whatever pending changes do: `⌊shares · certain / m⌋`.
    pub(super) fn certain_shares(
        &self,
        id: OperatorId,
        strategy: StrategyId,
        service: ServiceId,
        quorum: QuorumId,
    ) -> Outcome<Amount> {
        let Some(allocation) = self.allocations.get(&(id, strategy, service, quorum)) else {
            return Ok(Amount::ZERO);
        };
        let certain = allocation.certain();
        let pool = self.pool_ref(id, strategy);
        if certain.is_zero() || pool.magnitude.is_zero() {
            return Ok(Amount::ZERO);
        }
        pool.shares.mul_div(certain.into(), pool.magnitude.into())
    }

    /// `Σ ⌊slashable shares · multiplier / 10^18⌋`.
    pub(super) fn weight_of(
        &self,
        id: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
        config: &QuorumConfig,
    ) -> Outcome<Amount> {
        let mut weight = Amount::ZERO;
        for part in &config.strategies {
            let shares = self.certain_shares(id, part.strategy, service, quorum)?;
            weight = weight.plus(shares.mul_div(part.multiplier, Amount::WAD)?)?;
        }
        Ok(weight)
    }

    /// Takes over what changed in an operator's stake, in one strategy or in any, into its weights.
    pub(super) fn refresh_operator(
        &mut self,
        id: OperatorId,
        strategy: Option<StrategyId>,
    ) -> Outcome {
        let Some(operator) = self.operators.get(&id) else {
            return Ok(());
        };
        let quorums: Vec<_> = operator
            .memberships
            .iter()
            .copied()
            .filter(|key| {
                strategy.is_none_or(|strategy| {
                    self.quorums.get(key).is_some_and(|quorum| {
                        quorum
                            .config
                            .strategies
                            .iter()
                            .any(|part| part.strategy == strategy)
                    })
                })
            })
            .collect();
        for (service, quorum) in quorums {
            self.refresh_member(id, service, quorum)?;
        }
        Ok(())
    }

    /// Computes a member's weight again and writes history if it changed.
    pub(super) fn refresh_member(
        &mut self,
        id: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
    ) -> Outcome {
        let key = (service, quorum, id);
        let Some(member) = self.members.get(&key).copied() else {
            return Ok(());
        };
        let mut weight = Amount::ZERO;
        if member.active {
            let config = &self.quorum_ref(service, quorum)?.config;
            weight = self.weight_of(id, service, quorum, config)?;
            if weight < config.minimum_weight {
                weight = Amount::ZERO;
            }
        }
        if weight == member.weight {
            return Ok(());
        }
        if let Some(member) = self.members.edit(&key) {
            member.weight = weight;
        }
        let totals = self.totals_mut(service, quorum)?;
        totals.weight = totals.weight.minus(member.weight)?.plus(weight)?;
        self.weights
            .insert((service, quorum, id, self.meta.block), weight);
        Ok(())
    }

    pub(super) fn totals_mut(
        &mut self,
        service: ServiceId,
        quorum: QuorumId,
    ) -> Outcome<&mut QuorumTotals> {
        self.totals
            .edit(&(service, quorum))
            .ok_or(inconsistent("a quorum has no totals"))
    }

    pub(super) fn check_in_quorum(
        &self,
        service: ServiceId,
        quorum: QuorumId,
        strategy: StrategyId,
    ) -> Outcome {
        let holds = self
            .quorum_ref(service, quorum)?
            .config
            .strategies
            .iter()
            .any(|part| part.strategy == strategy);
        if holds {
            Ok(())
        } else {
            Err(TransactionError::NotInQuorum { strategy, quorum })
        }
    }

    /// An operator's weight in a quorum at the end of `block`: zero before it joined.
    pub fn weight_at(
        &self,
        service: ServiceId,
        quorum: QuorumId,
        operator: &OperatorId,
        block: Block,
    ) -> Amount {
        self.weights
            .range((service, quorum, *operator, Block(0))..=(service, quorum, *operator, block))
            .next_back()
            .map_or(Amount::ZERO, |(_, weight)| *weight)
    }

    /// The operator table of a service at the end of `block`, which is over if it is before the ledger's; at the ledger's
    /// block it is what holds so far.
    ///
    /// Costs about 10 µs an operator that ever joined, and less than that a disperser that ever was; never looks at stakers.
    ///
    /// # Errors
    ///
    /// [`TableQueryError`].
    pub fn table_at(
        &self,
        service: ServiceId,
        block: Block,
    ) -> Result<OperatorTable, TableQueryError> {
        let head = self.meta.block;
        if block > head {
            return Err(TableQueryError::Future { block, head });
        }
        if !self.services.contains(&service) {
            return Err(TableQueryError::Service { service });
        }
        let mut stakes: BTreeMap<OperatorId, Vec<(QuorumId, ashlar_proto::Stake)>> =
            BTreeMap::new();
        for ((_, quorum), _) in self
            .quorums
            .range((service, QuorumId::MIN)..=(service, QuorumId::MAX))
        {
            for (id, _) in self.all_members(service, *quorum) {
                let weight = self.weight_at(service, *quorum, &id, block);
                if !weight.is_zero() {
                    stakes.entry(id).or_default().push((*quorum, weight.0));
                }
            }
        }
        if stakes.len() > MAX_TABLE_OPERATORS as usize {
            return Err(TableError::TooManyOperators {
                got: stakes.len(),
                max: MAX_TABLE_OPERATORS as usize,
            }
            .into());
        }
        let mut entries = Vec::with_capacity(stakes.len());
        for (id, stakes) in stakes {
            let (Some(operator), Some(key), Some((_, face))) = (
                self.operators.get(&id),
                self.keys.get(&id),
                self.faces.range((id, Block(0))..=(id, block)).next_back(),
            ) else {
                let missing = format!("the registration of operator {id}, which has weight,");
                return Err(TableQueryError::Inconsistent { missing });
            };
            let entry = OperatorEntry {
                operator_id: id,
                bls_public_key: operator.bls_public_key,
                network_key: face.network_key,
                address: face.address.clone(),
                stakes,
            };
            entries.push((entry, *key, operator.proof_of_possession));
        }
        let dispersers = self
            .dispersers(service)
            .filter(|(_, of)| of.from <= block && of.until.is_none_or(|until| block < until))
            .map(|(id, of)| {
                let (_, bond) = self.last_bond(service, id, block).ok_or_else(|| {
                    let missing = format!("the bond of disperser {id}");
                    TableQueryError::Inconsistent { missing }
                })?;
                Ok(DisperserEntry {
                    id,
                    network_key: of.network_key,
                    account: of.account,
                    bond: bond.0,
                })
            })
            .collect::<Result<_, TableQueryError>>()?;
        let mut versions: Vec<u16> = self.versions_at(service, block).collect();
        versions.sort_unstable();
        let scope = TableScope {
            domain: self.domain(service),
            reference_block: block,
            versions,
        };
        Ok(OperatorTable::from_proven(scope, entries, dispersers)?)
    }

    /// What a disperser's bond was at the end of `block`, and since when: that is never before it registered.
    pub(super) fn last_bond(
        &self,
        service: ServiceId,
        disperser: u32,
        block: Block,
    ) -> Option<(Block, Amount)> {
        self.disperser_bonds
            .range((service, disperser, Block(0))..=(service, disperser, block))
            .next_back()
            .map(|((_, _, from), bond)| (*from, *bond))
    }

    /// The last block, up to `block`, in which anything in a service's table changed; `None` if nothing ever did.
    pub fn table_changed_at(&self, service: ServiceId, block: Block) -> Option<Block> {
        let quorums = self
            .quorums
            .range((service, QuorumId::MIN)..=(service, QuorumId::MAX));
        let weights = quorums
            .flat_map(|((_, quorum), _)| {
                self.all_members(service, *quorum)
                    .map(|(id, _)| (*quorum, id))
            })
            .flat_map(|(quorum, id)| {
                let weight = self
                    .weights
                    .range((service, quorum, id, Block(0))..=(service, quorum, id, block))
                    .next_back()
                    .map(|((_, _, _, from), _)| *from);
                let face = self
                    .faces
                    .range((id, Block(0))..=(id, block))
                    .next_back()
                    .map(|((_, from), _)| *from);
                weight.into_iter().chain(face.filter(|_| weight.is_some()))
            });
        let dispersers = self.dispersers(service).flat_map(|(id, of)| {
            let raised = self.last_bond(service, id, block).map(|(from, _)| from);
            raised.into_iter().chain(of.until)
        });
        let versions = self
            .services
            .get(&service)
            .into_iter()
            .flat_map(|service| service.versions.iter().map(|version| version.from));
        let announced = dispersers.chain(versions).filter(|change| *change <= block);
        weights.chain(announced).max()
    }
}

/// Why there is no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "ledger", blame = Caller)]
pub enum TableQueryError {
    /// The block is to come.
    #[error("block {block} is to come, the ledger is in block {head}")]
    #[coded("future_block")]
    Future {
        /// Asked for.
        block: Block,
        /// The ledger's.
        head: Block,
    },
    /// No such service.
    #[error("there is no service {service}")]
    #[coded("service.unknown")]
    Service {
        /// Asked for.
        service: ServiceId,
    },
    /// A record is missing: a bug.
    #[error("{missing} is missing; this is a bug, please report it with the log")]
    #[coded(blame = Us)]
    Inconsistent {
        /// Which.
        missing: String,
    },
    /// The entries are no table; most often because nobody has weight.
    #[error(transparent)]
    Table(#[from] TableError),
}
