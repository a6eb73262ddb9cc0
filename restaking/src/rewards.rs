//! Rewards in the ledger: funds, roots, claims.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use ashlar_proto::{Account, OperatorId, QuorumId};

use super::distribution::{
    MAX_CLAIM_TOKENS, MAX_PATH, OperatorShare, RewardClaim, share_out, split_reward,
};
use super::error::Outcome;
use super::operators::DEFAULT_SPLIT_BPS;
use super::payments::check_payment;
use super::state::{check_amount, take_number};
use super::types::*;
use super::{Amount, Event, State, TransactionError};

impl State {
    fn fund_mut(&mut self, token: Account) -> Outcome<&mut Fund> {
        if !self.funds.contains(&token) {
            self.funds.insert(token, Fund::default());
        }
        self.funds
            .edit(&token)
            .ok_or(super::state::inconsistent("a fund is gone"))
    }

    /// Each payment is bounded, so that no sum can overflow: what falls due with time pays in, too, and must not fail.
    pub(super) fn pay_in(&mut self, token: Account, amount: Amount) -> Outcome {
        check_payment(amount)?;
        let fund = self.fund_mut(token)?;
        fund.paid_in = fund.paid_in.plus(amount)?;
        Ok(())
    }

    pub(super) fn pay_reward(
        &mut self,
        service: ServiceId,
        token: Account,
        amount: Amount,
        kind: RewardKind,
    ) -> Outcome {
        check_amount("reward", amount)?;
        self.pay_in(token, amount)?;
        self.emit(Event::RewardPaid {
            service,
            token,
            amount,
            kind,
        });
        Ok(())
    }

    pub(super) fn submit_root(&mut self, root: B256) -> Outcome {
        let from = self.after(self.meta.params.root_delay)?;
        let index = take_number(&mut self.meta.next_root)?;
        self.roots.insert(
            index,
            RewardRoot {
                root,
                active_from: from,
                disabled: false,
            },
        );
        self.emit(Event::RootSubmitted { index, root, from });
        Ok(())
    }

    pub(super) fn disable_root(&mut self, root: u64) -> Outcome {
        let block = self.block();
        let entry = self
            .roots
            .edit(&root)
            .filter(|entry| !entry.disabled)
            .ok_or(TransactionError::UnknownRoot { root })?;
        if entry.active_from <= block {
            return Err(TransactionError::RootActive { root });
        }
        entry.disabled = true;
        self.emit(Event::RootDisabled { index: root });
        Ok(())
    }

    pub(super) fn claim_reward(&mut self, claim: &RewardClaim) -> Outcome {
        let longest = claim
            .tokens
            .iter()
            .map(|token| token.path.len())
            .fold(claim.path.len(), usize::max);
        for (what, got, max) in [
            ("tokens in a claim", claim.tokens.len(), MAX_CLAIM_TOKENS),
            ("nodes in a path", longest, MAX_PATH),
        ] {
            if got > max {
                return Err(TransactionError::TooMany { what, got, max });
            }
        }
        let root = claim.root;
        let entry = self
            .roots
            .get(&root)
            .filter(|entry| !entry.disabled)
            .ok_or(TransactionError::UnknownRoot { root })?;
        if self.block() < entry.active_from {
            return Err(TransactionError::RootEarly {
                got: self.block(),
                expected: entry.active_from,
            });
        }
        claim
            .verify(&entry.root)
            .map_err(|source| TransactionError::ClaimProof { source })?;
        if claim.tokens.is_empty() {
            return Err(TransactionError::ZeroAmount { what: "claim" });
        }
        for token in &claim.tokens {
            self.pay_earner(claim.earner, token.token, token.cumulative)?;
        }
        Ok(())
    }

    fn pay_earner(&mut self, earner: Account, token: Account, cumulative: Amount) -> Outcome {
        let key = (earner, token);
        let before = self.claims.amount(&key);
        if cumulative <= before {
            return Err(TransactionError::NotRising {
                got: cumulative,
                expected: before,
            });
        }
        let amount = cumulative.minus(before)?;
        let fund = self.fund_mut(token)?;
        let left = fund.paid_in.minus(fund.claimed)?;
        if amount > left {
            return Err(TransactionError::NoFunds {
                got: left,
                expected: amount,
            });
        }
        fund.claimed = fund.claimed.plus(amount)?;
        self.claims.insert(key, cumulative);
        if let Some(&(vault, _)) = self.vault_accounts.get(&earner) {
            self.vault_earned(vault, token, amount)?;
        }
        self.emit(Event::RewardClaimed {
            earner,
            token,
            amount,
        });
        Ok(())
    }

    /// An operator's split of a service's rewards in `block`, in basis points.
    pub fn fee_split(&self, operator: OperatorId, service: ServiceId, block: Block) -> u16 {
        self.splits
            .get(&(operator, service))
            .map_or(DEFAULT_SPLIT_BPS, |split| split.at(block))
    }

    /// Who gets what of a reward for a quorum, as its stake is now: by operators' weights, then by [`split_reward`], stakers
    /// by what their positions weigh in the quorum. Adds up to `amount` exactly; empty if the quorum has no weight.
    ///
    /// Walks all stakers once: for whoever makes a distribution, not for a transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError::UnknownService`], [`TransactionError::UnknownQuorum`], [`TransactionError::Overflow`].
    pub fn reward_shares(
        &self,
        service: ServiceId,
        quorum: QuorumId,
        amount: Amount,
    ) -> Result<BTreeMap<Account, Amount>, TransactionError> {
        let config = &self.quorum_ref(service, quorum)?.config;
        let mut shares: BTreeMap<OperatorId, OperatorShare> = BTreeMap::new();
        for (id, member) in self.active_members(service, quorum) {
            let share = OperatorShare {
                account: self.operator_ref(id)?.account,
                weight: member.weight,
                split_bps: self.fee_split(id, service, self.meta.block),
                stakers: Vec::new(),
            };
            shares.insert(id, share);
        }
        for (staker, record) in self.stakers.iter() {
            let Some(share) = record.operator.and_then(|id| shares.get_mut(&id)) else {
                continue;
            };
            let mut weight = Amount::ZERO;
            for part in &config.strategies {
                let (_, m, l) = self.factors(*staker, part.strategy);
                if let Some(position) = self.positions.get(&(*staker, part.strategy)) {
                    let worth = position.withdrawable(m, l)?;
                    weight = weight.plus(worth.mul_div(part.multiplier, Amount::WAD)?)?;
                }
            }
            if !weight.is_zero() {
                share.stakers.push((*staker, weight));
            }
        }
        split_reward(amount, &shares.into_values().collect::<Vec<_>>())
    }

    /// One reward distribution across vaults: what each vault took into it goes to the vault's holders by share, and who
    /// holds shares of several vaults gets one sum a token. Shares that are locked as a vault's seed earn nothing. Adds up
    /// exactly; what a vault without holders earned goes to its fee recipient.
    ///
    /// `taken` is what [`Event::VaultDistributed`](super::Event::VaultDistributed) said, vault by vault: each fee, point and
    /// incentive entered a vault's pot once, and leaves it once.
    ///
    /// # Errors
    ///
    /// [`TransactionError::UnknownVault`], [`TransactionError::Overflow`].
    pub fn vault_rewards(
        &self,
        taken: &[(VaultId, Account, Amount)],
    ) -> Result<BTreeMap<(Account, Account), Amount>, TransactionError> {
        let mut sums: BTreeMap<(Account, Account), Amount> = BTreeMap::new();
        for &(vault, token, amount) in taken {
            let record = self
                .vaults
                .get(&vault)
                .ok_or(TransactionError::UnknownVault { vault })?;
            let (holders, weights): (Vec<_>, Vec<_>) = self
                .vault_holders(vault)
                .filter(|(holder, _)| *holder != super::vaults::LOCKED)
                .unzip();
            let parts = match share_out(amount, &weights)? {
                Some(parts) => holders.into_iter().zip(parts).collect(),
                None => vec![(record.fee_recipient, amount)],
            };
            for (holder, part) in parts {
                let sum = sums.entry((holder, token)).or_default();
                *sum = sum.plus(part)?;
            }
        }
        Ok(sums)
    }
}
