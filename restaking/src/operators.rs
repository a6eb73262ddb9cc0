//! Operators: registration, opting in and out, allocations.

use std::collections::BTreeSet;

use ashlar_crypto::bls::{PublicKey, PublicKeyBytes, Signature, SignatureBytes};
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::registration::OperatorStatement;
use ashlar_proto::table::{OperatorEntry, operator_id};
use ashlar_proto::{Account, OperatorId, QuorumId};

use super::error::Outcome;
use super::state::{Endpoint, inconsistent};
use super::types::*;
use super::{Amount, Event, State, TransactionError, Wad};

/// Quorums of one operator: how many weights a deposit may change.
pub const MAX_MEMBERSHIPS: usize = 64;
/// An operator's share of rewards before it names one: 10 %.
pub const DEFAULT_SPLIT_BPS: u16 = 1000;
/// The longest allocation delay: about a year of blocks of 12 seconds.
pub const MAX_ALLOCATION_DELAY: u64 = 2_628_000;

/// What an operator registers with.
pub(super) struct NewOperator<'a> {
    pub(super) bls_public_key: &'a PublicKeyBytes,
    pub(super) proof_of_possession: &'a SignatureBytes,
    pub(super) network_key: NetworkPublicKey,
    pub(super) address: &'a str,
    pub(super) statement: &'a SignatureBytes,
    pub(super) allocation_delay: u64,
}

impl State {
    pub(super) fn operator_ref(&self, operator: OperatorId) -> Outcome<&Operator> {
        self.operators
            .get(&operator)
            .ok_or(TransactionError::UnknownOperator { operator })
    }

    fn operator_mut(&mut self, operator: OperatorId) -> Outcome<&mut Operator> {
        self.operators
            .edit(&operator)
            .ok_or(TransactionError::UnknownOperator { operator })
    }

    /// The operator of an account.
    pub(super) fn operator_of(&self, account: Account) -> Outcome<OperatorId> {
        self.operator_accounts
            .get(&account)
            .copied()
            .ok_or(TransactionError::NotOperator { account })
    }

    pub(super) fn register_operator(&mut self, account: Account, new: &NewOperator<'_>) -> Outcome {
        if let Some(&operator) = self.operator_accounts.get(&account) {
            return Err(TransactionError::AccountTaken { operator });
        }
        if let Some(operator) = self
            .stakers
            .get(&account)
            .and_then(|staker| staker.operator)
        {
            return Err(TransactionError::AlreadyDelegated { operator });
        }
        let id = operator_id(new.bls_public_key);
        if self.operators.contains(&id) {
            return Err(TransactionError::KeyTaken { operator: id });
        }
        check_delay(new.allocation_delay)?;
        self.check_face(id, new.bls_public_key, new.network_key, new.address)?;
        // Last of the checks, because they are the dearest: pairings.
        let key = PublicKey::from_bytes(new.bls_public_key)
            .and_then(|key| {
                key.verify_possession(&Signature::from_bytes(new.proof_of_possession)?)?;
                Ok(key)
            })
            .map_err(|source| TransactionError::BlsKey { source })?;
        // The proof of possession is of the key alone, and anybody can copy it from a table. The statement says that
        // the key's holder wants to be here.
        self.check_statement(
            &key,
            &OperatorStatement {
                network: self.meta.id,
                account,
                network_key: new.network_key,
                address: new.address.to_owned(),
                sequence: 0,
            },
            new.statement,
        )?;
        self.operators.insert(
            id,
            Operator {
                account,
                bls_public_key: *new.bls_public_key,
                proof_of_possession: *new.proof_of_possession,
                network_key: new.network_key,
                address: new.address.to_owned(),
                sequence: 0,
                allocation_delay: Delayed::new(new.allocation_delay),
                memberships: BTreeSet::new(),
                leaving: BTreeSet::new(),
                retired: false,
            },
        );
        // Stays if the transaction is refused later on; it is right whatever happens, its name is the key's hash.
        self.keys.insert(id, key);
        self.operator_accounts.insert(account, id);
        self.network_keys.insert(new.network_key, id);
        self.write_face(id)?;
        self.emit(Event::OperatorRegistered {
            operator: id,
            account,
        });
        self.delegate(account, id)
    }

    /// What a table will ask of an operator's entry, and that nobody else has the network key.
    fn check_face(
        &self,
        id: OperatorId,
        bls_public_key: &PublicKeyBytes,
        network_key: NetworkPublicKey,
        address: &str,
    ) -> Outcome {
        OperatorEntry {
            operator_id: id,
            bls_public_key: *bls_public_key,
            network_key,
            address: address.to_owned(),
            stakes: Vec::new(),
        }
        .validate()
        .map_err(|source| TransactionError::Address { source })?;
        network_key
            .check_strength()
            .map_err(|source| TransactionError::NetworkKey { source })?;
        match self.network_keys.get(&network_key) {
            Some(&operator) if operator != id => {
                Err(TransactionError::NetworkKeyTaken { operator })
            }
            _ => Ok(()),
        }
    }

    fn write_face(&mut self, id: OperatorId) -> Outcome {
        let operator = self.operator_ref(id)?;
        let face = Endpoint {
            network_key: operator.network_key,
            address: operator.address.clone(),
        };
        self.faces.insert((id, self.meta.block), face);
        Ok(())
    }

    fn check_statement(
        &self,
        key: &PublicKey,
        statement: &OperatorStatement,
        signature: &SignatureBytes,
    ) -> Outcome {
        statement
            .verify(key, signature)
            .map_err(|source| TransactionError::Statement {
                sequence: statement.sequence,
                source,
            })
    }

    pub(super) fn update_operator(
        &mut self,
        id: OperatorId,
        network_key: NetworkPublicKey,
        address: &str,
        signature: &SignatureBytes,
    ) -> Outcome {
        let now = self.operator_ref(id)?;
        let sequence = now
            .sequence
            .checked_add(1)
            .ok_or(TransactionError::Overflow {
                what: "the number of changes",
            })?;
        self.check_face(id, &now.bls_public_key, network_key, address)?;
        let key = self
            .keys
            .get(&id)
            .ok_or(inconsistent("an operator without its key"))?;
        // Each sequence once, so that whoever gets hold of the account cannot send the operator back to an old address.
        self.check_statement(
            key,
            &OperatorStatement {
                network: self.meta.id,
                account: now.account,
                network_key,
                address: address.to_owned(),
                sequence,
            },
            signature,
        )?;
        // The old key stays its own: tables of old blocks show it.
        self.network_keys.insert(network_key, id);
        let operator = self.operator_mut(id)?;
        operator.network_key = network_key;
        operator.address = address.to_owned();
        operator.sequence = sequence;
        self.write_face(id)?;
        self.emit(Event::OperatorUpdated { operator: id });
        Ok(())
    }

    pub(super) fn set_allocation_delay(&mut self, id: OperatorId, blocks: u64) -> Outcome {
        check_delay(blocks)?;
        let block = self.block();
        let from = self.after(self.meta.params.allocation_delay_change)?;
        self.operator_mut(id)?
            .allocation_delay
            .set(block, blocks, from);
        self.emit(Event::AllocationDelaySet {
            operator: id,
            blocks,
            from,
        });
        Ok(())
    }

    pub(super) fn set_fee_split(
        &mut self,
        operator: OperatorId,
        service: ServiceId,
        bps: u16,
    ) -> Outcome {
        self.service_ref(service)?;
        if bps > 10_000 {
            return Err(TransactionError::Split {
                got: bps,
                max: 10_000,
            });
        }
        let from = self.after(self.meta.params.split_delay)?;
        let mut split = self
            .splits
            .get(&(operator, service))
            .copied()
            .unwrap_or(Delayed::new(DEFAULT_SPLIT_BPS));
        split.set(self.block(), bps, from);
        self.splits.insert((operator, service), split);
        self.emit(Event::FeeSplitSet {
            operator,
            service,
            bps,
            from,
        });
        Ok(())
    }

    pub(super) fn retire(&mut self, id: OperatorId) -> Outcome {
        let operator = self.operator_mut(id)?;
        let got = operator.memberships.len() + operator.leaving.len();
        if got > 0 {
            return Err(TransactionError::StillMember { got });
        }
        if operator.retired {
            return Err(TransactionError::Retired { operator: id });
        }
        operator.retired = true;
        self.emit(Event::OperatorRetired { operator: id });
        Ok(())
    }

    pub(super) fn opt_in(
        &mut self,
        id: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
    ) -> Outcome {
        let block = self.block();
        let config = self.quorum_ref(service, quorum)?.config.clone();
        let operator = self.operator_ref(id)?;
        if operator.retired {
            return Err(TransactionError::Retired { operator: id });
        }
        if operator.memberships.len() >= MAX_MEMBERSHIPS {
            return Err(TransactionError::TooManyQuorums {
                max: MAX_MEMBERSHIPS,
            });
        }
        let first_here = !operator.memberships.iter().any(|(of, _)| *of == service);
        let member = self.member(service, quorum, id);
        if member.active {
            return Err(TransactionError::AlreadyMember { service, quorum });
        }
        if let Some(until) = member.slashable_until {
            return Err(TransactionError::StillSlashable {
                got: block,
                expected: until.saturating_add(1),
            });
        }
        if block < member.banned_until {
            return Err(TransactionError::CoolingDown {
                got: block,
                expected: member.banned_until,
            });
        }
        let weight = self.weight_of(id, service, quorum, &config)?;
        if weight < config.minimum_weight {
            return Err(TransactionError::BelowMinimum {
                got: weight,
                expected: config.minimum_weight,
            });
        }
        if self.totals_mut(service, quorum)?.members >= config.maximum_operators {
            self.make_room(service, quorum, &config, weight)?;
        }
        if first_here {
            let (_, max) = self.operator_limit(service)?;
            let record = self
                .services
                .edit(&service)
                .ok_or(TransactionError::UnknownService { service })?;
            if record.operators >= max {
                return Err(TransactionError::ServiceFull { max });
            }
            record.operators += 1;
        }
        self.members.insert(
            (service, quorum, id),
            Member {
                active: true,
                slashable_until: None,
                banned_until: Block(0),
                weight: Amount::ZERO,
            },
        );
        self.operator_mut(id)?.memberships.insert((service, quorum));
        let totals = self.totals_mut(service, quorum)?;
        totals.members += 1;
        self.refresh_member(id, service, quorum)?;
        self.emit(Event::OptedIn {
            operator: id,
            service,
            quorum,
            weight,
        });
        Ok(())
    }

    /// Evicts the smallest member (of equals, the one with the largest id) if the newcomer is larger by enough.
    fn make_room(
        &mut self,
        service: ServiceId,
        quorum: QuorumId,
        config: &QuorumConfig,
        weight: Amount,
    ) -> Outcome {
        let mut smallest: Option<(Amount, OperatorId)> = None;
        for (id, member) in self.active_members(service, quorum) {
            if smallest.is_none_or(|(least, _)| member.weight <= least) {
                smallest = Some((member.weight, id));
            }
        }
        let (least, evicted) = smallest.ok_or(inconsistent("a full quorum has no members"))?;
        let expected = least
            .mul_div_up(
                Amount::from(u64::from(config.churn_bps)),
                Amount::from(10_000u64),
            )?
            .max(least.plus(Amount::from(1u64))?);
        if weight < expected {
            return Err(TransactionError::QuorumFull {
                got: weight,
                expected,
            });
        }
        self.leave(evicted, service, quorum, true)
    }

    pub(super) fn opt_out(
        &mut self,
        id: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
    ) -> Outcome {
        self.quorum_ref(service, quorum)?;
        if !self.member(service, quorum, id).active {
            return Err(TransactionError::NotMember { service, quorum });
        }
        self.leave(id, service, quorum, false)
    }

    /// Ends a membership. The operator can be slashed for the deallocation delay still.
    pub(super) fn leave(
        &mut self,
        id: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
        evicted: bool,
    ) -> Outcome {
        let until = self.after(self.meta.params.deallocation_delay)?;
        let member = self
            .members
            .edit(&(service, quorum, id))
            .ok_or(TransactionError::NotMember { service, quorum })?;
        member.active = false;
        member.slashable_until = Some(until);
        self.refresh_member(id, service, quorum)?;
        let totals = self.totals_mut(service, quorum)?;
        totals.members = totals
            .members
            .checked_sub(1)
            .ok_or(inconsistent("the number of members"))?;
        let operator = self.operator_mut(id)?;
        operator.memberships.remove(&(service, quorum));
        operator.leaving.insert((service, quorum));
        if !operator.memberships.iter().any(|(of, _)| *of == service) {
            let record = self
                .services
                .edit(&service)
                .ok_or(TransactionError::UnknownService { service })?;
            record.operators = record
                .operators
                .checked_sub(1)
                .ok_or(inconsistent("the number of a service's operators"))?;
        }
        self.at(until.saturating_add(1), Timer::Left(service, quorum, id))?;
        self.emit(Event::OptedOut {
            operator: id,
            service,
            quorum,
            slashable_until: until,
            evicted,
        });
        Ok(())
    }

    /// The time in which an operator that left can be slashed is over.
    pub(super) fn left(&mut self, service: ServiceId, quorum: QuorumId, id: OperatorId) -> Outcome {
        self.members
            .edit(&(service, quorum, id))
            .ok_or(inconsistent("a member is gone"))?
            .slashable_until = None;
        self.operator_mut(id)?.leaving.remove(&(service, quorum));
        Ok(())
    }

    /// In the quorum, or left and still within reach.
    pub(super) fn can_be_slashed(
        &self,
        id: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
    ) -> bool {
        let member = self.member(service, quorum, id);
        member.active || member.slashable_until.is_some()
    }

    pub(super) fn allocate(&mut self, key: AllocationKey, target: Wad) -> Outcome {
        let (id, strategy, service, quorum) = key;
        let block = self.block();
        self.check_in_quorum(service, quorum, strategy)?;
        let delay = self.operator_ref(id)?.allocation_delay.at(block);
        let mut allocation = self.allocations.get(&key).copied().unwrap_or_default();
        match allocation.pending {
            Some(Pending::Up { from, .. } | Pending::Down { from, .. }) => {
                return Err(TransactionError::AllocationPending { until: from });
            }
            None => {}
        }
        let now = allocation.magnitude;
        if target == now {
            return Err(TransactionError::AllocationSame { magnitude: now });
        }
        let mut from = block;
        if target > now {
            let by = target.minus(now)?;
            from = self.after(delay)?;
            let pool = self.pool_mut(id, strategy)?;
            let free = pool.magnitude.minus(pool.encumbered)?;
            if by > free {
                return Err(TransactionError::Magnitude {
                    got: target,
                    max: now.plus(free)?,
                });
            }
            pool.encumbered = pool.encumbered.plus(by)?;
            if from == block {
                allocation.magnitude = target;
            } else {
                allocation.pending = Some(Pending::Up { by, from });
            }
        } else {
            let by = now.minus(target)?;
            let slashable = self.can_be_slashed(id, service, quorum);
            let later = self
                .after(self.meta.params.deallocation_delay)?
                .saturating_add(1);
            let pool = self.pool_mut(id, strategy)?;
            if slashable {
                from = later.max(pool.last_decrease);
                pool.last_decrease = from;
                allocation.pending = Some(Pending::Down { by, from });
            } else {
                pool.encumbered = pool.encumbered.minus(by)?;
                allocation.magnitude = target;
            }
        }
        self.allocations.insert(key, allocation);
        if from > block {
            self.at(from, Timer::Allocation(key))?;
        }
        self.emit(Event::Allocated {
            operator: id,
            strategy,
            service,
            quorum,
            magnitude: target,
            from,
        });
        self.refresh_member(id, service, quorum)
    }

    /// A pending change takes effect.
    pub(super) fn allocation_due(&mut self, key: AllocationKey) -> Outcome {
        let (operator, strategy, service, quorum) = key;
        let Some(allocation) = self.allocations.edit(&key) else {
            return Ok(());
        };
        match allocation.pending.take() {
            Some(Pending::Up { by, .. }) => {
                allocation.magnitude = allocation.magnitude.plus(by)?;
            }
            Some(Pending::Down { by, .. }) => {
                allocation.magnitude = allocation.magnitude.minus(by)?;
                let pool = self.pool_mut(operator, strategy)?;
                pool.encumbered = pool.encumbered.minus(by)?;
            }
            None => return Ok(()),
        }
        let magnitude = self
            .allocations
            .get(&key)
            .map_or(Wad::ZERO, |allocation| allocation.magnitude);
        self.emit(Event::AllocationInEffect {
            operator,
            strategy,
            service,
            quorum,
            magnitude,
        });
        self.refresh_member(operator, service, quorum)
    }
}

fn check_delay(got: u64) -> Outcome {
    if got > MAX_ALLOCATION_DELAY {
        return Err(TransactionError::AllocationDelay {
            got,
            max: MAX_ALLOCATION_DELAY,
        });
    }
    Ok(())
}
