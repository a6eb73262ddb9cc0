//! What can be asked of a state.

use std::collections::BTreeMap;

use ashlar_crypto::bls::PublicKey;
use ashlar_proto::{Account, OperatorId, QuorumId};

use super::Meta;
use super::error::Outcome;
use super::types::*;
use super::{Amount, State, TransactionError};

/// A staker's position and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PositionView {
    /// The strategy.
    pub strategy: StrategyId,
    /// Deposit shares s, which is what a withdrawal names.
    pub shares: Amount,
    /// Scaling factor k, in units of 10^−18.
    pub scaling: Amount,
    /// What it is worth in shares.
    pub withdrawable: Amount,
    /// What that is worth in tokens.
    pub tokens: Amount,
}

/// Sums over a strategy's operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PoolSums {
    /// Shares of operators.
    pub operators: Amount,
    /// Shares in queues and still slashable, of those not delegated too.
    pub queued: Amount,
}

impl State {
    /// Network, block, parameters, roles.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// A strategy.
    pub fn strategy(&self, strategy: StrategyId) -> Option<&Strategy> {
        self.strategies.get(&strategy)
    }

    /// All strategies.
    pub fn strategies(&self) -> impl Iterator<Item = (StrategyId, &Strategy)> {
        self.strategies.iter().map(|(id, record)| (*id, record))
    }

    /// A staker.
    pub fn staker(&self, staker: Account) -> Option<&Staker> {
        self.stakers.get(&staker)
    }

    /// All stakers.
    pub fn stakers(&self) -> impl Iterator<Item = (Account, &Staker)> {
        self.stakers.iter().map(|(id, record)| (*id, record))
    }

    /// A staker's stake in every strategy that it has any in.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`]; no state has such numbers.
    pub fn positions(&self, staker: Account) -> Result<Vec<PositionView>, TransactionError> {
        self.positions
            .range((staker, 0)..=(staker, StrategyId::MAX))
            .map(|((_, strategy), position)| {
                let (_, m, l) = self.factors(staker, *strategy);
                let withdrawable = position.withdrawable(m, l)?;
                Ok(PositionView {
                    strategy: *strategy,
                    shares: position.shares,
                    scaling: position.scaling,
                    withdrawable,
                    tokens: self.strategy_ref(*strategy)?.tokens_for(withdrawable)?,
                })
            })
            .collect()
    }

    /// An open withdrawal.
    pub fn withdrawal(&self, withdrawal: u64) -> Option<&Withdrawal> {
        self.withdrawals.get(&withdrawal)
    }

    /// A staker's open withdrawals, with what each would pay in shares if it were not slashed any more.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`]; no state has such numbers.
    pub fn withdrawals(
        &self,
        staker: Account,
    ) -> Result<Vec<(u64, Withdrawal, Amount)>, TransactionError> {
        let Some(record) = self.stakers.get(&staker) else {
            return Ok(Vec::new());
        };
        record
            .withdrawals
            .iter()
            .filter_map(|number| Some((*number, self.withdrawals.get(number)?)))
            .map(|(number, entry)| Ok((number, entry.clone(), self.payable_now(entry)?)))
            .collect()
    }

    /// An operator.
    pub fn operator(&self, operator: OperatorId) -> Option<&Operator> {
        self.operators.get(&operator)
    }

    /// All operators.
    pub fn operators(&self) -> impl Iterator<Item = (OperatorId, &Operator)> {
        self.operators.iter().map(|(id, record)| (*id, record))
    }

    /// The BLS key of an operator that ever registered.
    pub fn operator_key(&self, operator: &OperatorId) -> Option<&PublicKey> {
        self.keys.get(operator)
    }

    /// An operator's stake by strategy.
    pub fn pools(
        &self,
        operator: OperatorId,
    ) -> impl Iterator<Item = (StrategyId, OperatorShares)> + '_ {
        self.pools
            .range((operator, 0)..=(operator, StrategyId::MAX))
            .map(|((_, strategy), pool)| (*strategy, *pool))
    }

    /// An operator's allocations.
    pub fn allocations(
        &self,
        operator: OperatorId,
    ) -> impl Iterator<Item = (AllocationKey, Allocation)> + '_ {
        self.allocations
            .range(
                (operator, 0, 0, QuorumId::MIN)
                    ..=(operator, StrategyId::MAX, ServiceId::MAX, QuorumId::MAX),
            )
            .map(|(key, allocation)| (*key, *allocation))
    }

    /// Shares of an operator that a quorum can slash now: `⌊shares · allocated / m⌋`, pending decreases included.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`]; no state has such numbers.
    pub fn slashable_shares(&self, key: &AllocationKey) -> Result<Amount, TransactionError> {
        let (operator, strategy, service, quorum) = *key;
        let pool = self.pool_ref(operator, strategy);
        match self.allocations.get(key) {
            Some(allocation)
                if !pool.magnitude.is_zero() && self.can_be_slashed(operator, service, quorum) =>
            {
                pool.shares
                    .mul_div(allocation.magnitude.into(), pool.magnitude.into())
            }
            _ => Ok(Amount::ZERO),
        }
    }

    /// A service.
    pub fn service(&self, service: ServiceId) -> Option<&Service> {
        self.services.get(&service)
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        self.services.iter().map(|(id, record)| (*id, record))
    }

    /// A quorum with its totals.
    pub fn quorum(&self, service: ServiceId, quorum: QuorumId) -> Option<(&Quorum, QuorumTotals)> {
        let key = (service, quorum);
        Some((self.quorums.get(&key)?, *self.totals.get(&key)?))
    }

    /// A service's quorums.
    pub fn quorums(&self, service: ServiceId) -> impl Iterator<Item = (QuorumId, &Quorum)> {
        self.quorums
            .range((service, QuorumId::MIN)..=(service, QuorumId::MAX))
            .map(|((_, id), record)| (*id, record))
    }

    /// Everybody who is or was in a quorum.
    pub fn members(
        &self,
        service: ServiceId,
        quorum: QuorumId,
    ) -> impl Iterator<Item = (OperatorId, Member)> + '_ {
        let (first, last) = (OperatorId([0; 32]), OperatorId([0xff; 32]));
        self.members
            .range((service, quorum, first)..=(service, quorum, last))
            .map(|((_, _, id), member)| (*id, *member))
    }

    /// Open slash requests.
    pub fn slash_requests(&self) -> impl Iterator<Item = (u64, &SlashRequest)> {
        self.requests.iter().map(|(id, record)| (*id, record))
    }

    /// The block in which a fault was punished, or its punishment requested.
    pub fn fault(&self, fault: &FaultRecord) -> Option<Block> {
        self.faults.get(fault).copied()
    }

    /// Open challenges, oldest first.
    pub fn challenges(&self) -> impl Iterator<Item = (u64, &OpenChallenge)> {
        self.challenges.iter().map(|(id, record)| (*id, record))
    }

    /// An open challenge.
    pub fn challenge(&self, challenge: u64) -> Option<&OpenChallenge> {
        self.challenges.get(&challenge)
    }

    /// The bonds of a token.
    pub fn bond_fund(&self, token: Account) -> BondFund {
        self.bonds.get(&token).copied().unwrap_or_default()
    }

    /// What an account was paid of bonds in a token, ever: for answers, and its own that came back.
    pub fn bonds_paid(&self, account: Account, token: Account) -> Amount {
        self.bonds_paid.amount(&(account, token))
    }

    /// A reward root.
    pub fn reward_root(&self, root: u64) -> Option<RewardRoot> {
        self.roots.get(&root).copied()
    }

    /// What was paid in and claimed of a token.
    pub fn fund(&self, token: Account) -> Fund {
        self.funds.get(&token).copied().unwrap_or_default()
    }

    /// What an earner was paid of a token, ever.
    pub fn claimed(&self, earner: Account, token: Account) -> Amount {
        self.claims.amount(&(earner, token))
    }

    /// A vault.
    pub fn vault(&self, vault: VaultId) -> Option<&Vault> {
        self.vaults.get(&vault)
    }

    /// All vaults.
    pub fn vaults(&self) -> impl Iterator<Item = (VaultId, &Vault)> {
        self.vaults.iter().map(|(id, record)| (*id, record))
    }

    /// A vault's operators.
    pub fn vault_profile(
        &self,
        vault: VaultId,
    ) -> impl Iterator<Item = (OperatorId, VaultPart)> + '_ {
        let (first, last) = (OperatorId([0; 32]), OperatorId([0xff; 32]));
        self.vault_parts
            .range((vault, first)..=(vault, last))
            .map(|((_, id), part)| (*id, *part))
    }

    /// A holder's shares of a vault.
    pub fn vault_shares(&self, vault: VaultId, holder: Account) -> Amount {
        self.vault_shares.amount(&(vault, holder))
    }

    /// A vault's open requests, oldest first.
    pub fn vault_requests(&self, vault: VaultId) -> impl Iterator<Item = (u64, VaultRequest)> + '_ {
        self.vault_requests
            .range((vault, 0)..=(vault, u64::MAX))
            .map(|((_, number), request)| (*number, *request))
    }

    /// What a vault earned and has not handed on, by token and kind.
    pub fn vault_pots(
        &self,
        vault: VaultId,
    ) -> impl Iterator<Item = (Account, RewardKind, Amount)> + '_ {
        self.vault_pots
            .iter()
            .filter(move |((of, _, _), _)| *of == vault)
            .map(|((_, token, kind), amount)| (*token, *kind, *amount))
    }

    /// Sums over all operators, by strategy. Walks all pools.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`]; no state has such numbers.
    pub fn pool_sums(&self) -> Result<BTreeMap<StrategyId, PoolSums>, TransactionError> {
        let mut sums: BTreeMap<StrategyId, PoolSums> = BTreeMap::new();
        for ((_, strategy), pool) in self.pools.iter() {
            let sum = sums.entry(*strategy).or_default();
            sum.operators = sum.operators.plus(pool.shares)?;
            sum.queued = sum.queued.plus(pool.queued)?;
        }
        for (strategy, record) in self.strategies.iter() {
            let sum = sums.entry(*strategy).or_default();
            sum.queued = sum.queued.plus(record.idle_queued)?;
        }
        Ok(sums)
    }

    /// Checks that every share and every weight is accounted for, to the unit:
    /// `deposited = idle + operators + queued + matured + paid + slashed + penalised + rounding`, the shares that exist are the
    /// first four, tokens that came in are there or went out, quorums' totals are sums of weights, and
    /// the bonds held are those of open challenges and of dispersers, and payments are those of accounts.
    ///
    /// Walks operators, strategies and members, no stakers. For tests, audits, and after opening a snapshot.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Inconsistent`] names the equation that does not hold.
    pub fn check_books(&self) -> Result<(), TransactionError> {
        let sums = self.pool_sums()?;
        for (id, s) in self.strategies.iter() {
            let sum = sums.get(id).copied().unwrap_or_default();
            let inside = add(&[s.idle, sum.operators, sum.queued, s.matured])?;
            expect(inside == s.shares, "shares of a strategy")?;
            let gone = add(&[s.paid, s.slashed, s.penalised, s.rounding])?;
            expect(inside.plus(gone)? == s.deposited, "deposits of a strategy")?;
            let out = add(&[
                s.balance,
                s.tokens_paid,
                s.tokens_burnt,
                s.tokens_redistributed,
                s.tokens_lost,
            ])?;
            expect(out == s.tokens_in, "tokens of a strategy")?;
            expect(
                !self.is_native(*id) || s.balance == s.shares,
                "shares of native ether",
            )?;
        }
        for ((service, quorum), totals) in self.totals.iter() {
            let (mut weight, mut members) = (Amount::ZERO, 0u32);
            for (_, member) in self.active_members(*service, *quorum) {
                weight = weight.plus(member.weight)?;
                members = members.saturating_add(1);
            }
            expect(weight == totals.weight, "weight of a quorum")?;
            expect(members == totals.members, "members of a quorum")?;
        }
        let (mut held, mut open) = (BTreeMap::new(), BTreeMap::new());
        for (_, challenge) in self.challenges.iter() {
            let sum: &mut Amount = held.entry(challenge.token).or_default();
            *sum = sum.plus(challenge.bond)?;
            *open.entry(challenge.service).or_insert(0u32) += 1;
        }
        let mut bonded = BTreeMap::new();
        for ((service, _), disperser) in self.dispersers.iter() {
            let has_bond = matches!(
                disperser.standing,
                Standing::Active | Standing::Exiting { .. }
            );
            expect(has_bond != disperser.bond.is_zero(), "bond of a disperser")?;
            if has_bond {
                let sum: &mut Amount = held.entry(disperser.token).or_default();
                *sum = sum.plus(disperser.bond)?;
                *bonded.entry(*service).or_insert(0u32) += 1;
            }
        }
        for (token, fund) in self.bonds.iter() {
            // No challenge and no disperser has a bond in it now.
            let sum = held.remove(token).unwrap_or_default();
            expect(sum == fund.held, "bonds held")?;
            let gone = add(&[fund.held, fund.to_operators, fund.returned, fund.burnt])?;
            expect(gone == fund.paid_in, "bonds of a token")?;
        }
        expect(held.is_empty(), "bonds without a fund")?;
        for (id, service) in self.services.iter() {
            let count = open.remove(id).unwrap_or_default();
            expect(count == service.challenges, "open challenges of a service")?;
            let count = bonded.remove(id).unwrap_or_default();
            expect(count == service.bonded, "bonded dispersers of a service")?;
        }
        self.check_payments()
    }
}

fn add(amounts: &[Amount]) -> Outcome<Amount> {
    amounts
        .iter()
        .try_fold(Amount::ZERO, |sum, amount| sum.plus(*amount))
}

pub(super) fn expect(holds: bool, what: &'static str) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(TransactionError::Inconsistent { what })
    }
}
