//! Deposits, delegation, withdrawals: where every share is.
//!
//! Each operation moves whole units from one counter to another, so that conservation is exact by construction; what rounding
//! leaves stays in the counter it was in. That every counter covers what is owed out of it:
//!
//! * an operator's shares: `op · 10^36 ≥ Σ ⌊s · k⌋ · m · l` over its stakers. A deposit of d adds at most `d · 10^36` on the
//!   right, a withdrawal takes at least what it moves, and slashing rounds `op` up;
//! * a queue: `B ≥ Σ w · m / m_queued` over its withdrawals. Queueing adds w on both sides, slashing rounds B up, and a
//!   withdrawal that matures takes `⌊w · m / m_queued⌋`.

use std::collections::BTreeSet;

use ashlar_proto::{Account, OperatorId};

use super::error::Outcome;
use super::state::{check_amount, check_sender, inconsistent, take_number};
use super::types::*;
use super::{Amount, Event, State, TransactionError, Wad};

/// Added to shares and to tokens when one is turned into the other, so that the first depositor cannot make the price of a
/// share so high that the next one's deposit rounds to nothing.
pub const VIRTUAL_OFFSET: u64 = 1000;
/// Open withdrawals of one staker: what a report about its validators looks through.
pub const MAX_WITHDRAWALS: usize = 64;
/// Strategies of one staker: what a delegation looks through.
pub const MAX_STRATEGIES: usize = 32;

/// The most shares of a strategy: 10^38 − 1.
pub fn max_shares() -> Amount {
    Amount::from(10u128.pow(38) - 1)
}

/// What a validator has when it starts.
pub fn validator_balance() -> Amount {
    Amount::ether(32)
}

impl Strategy {
    /// Shares for a deposit: `⌊amount · (S + 10^3) / (B + 10^3)⌋`.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`].
    pub fn shares_for(&self, amount: Amount) -> Result<Amount, TransactionError> {
        amount.mul_div(offset(self.shares)?, offset(self.balance)?)
    }

    /// Tokens for shares: `⌊shares · (B + 10^3) / (S + 10^3)⌋`.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`].
    pub fn tokens_for(&self, shares: Amount) -> Result<Amount, TransactionError> {
        shares.mul_div(offset(self.balance)?, offset(self.shares)?)
    }

    /// Takes shares out, with the tokens that they are worth.
    pub(super) fn take_out(&mut self, shares: Amount) -> Outcome<Amount> {
        let tokens = self.tokens_for(shares)?.min(self.balance);
        self.shares = self.shares.minus(shares)?;
        self.balance = self.balance.minus(tokens)?;
        Ok(tokens)
    }
}

fn offset(amount: Amount) -> Outcome<Amount> {
    amount.plus(Amount::from(VIRTUAL_OFFSET))
}

impl Position {
    /// `⌊s · k⌋` of so many of its deposit shares.
    pub(super) fn scaled_shares(&self, shares: Amount) -> Outcome<Amount> {
        shares.mul_div(self.scaling, Amount::WAD)
    }

    /// `⌊⌊s · k⌋ · m · l⌋`: what the position is worth in shares.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Overflow`].
    pub fn withdrawable(&self, magnitude: Wad, factor: Wad) -> Result<Amount, TransactionError> {
        self.scaled_shares(self.shares)?.scaled(magnitude, factor)
    }
}

impl State {
    pub(super) fn strategy_ref(&self, strategy: StrategyId) -> Outcome<&Strategy> {
        self.strategies
            .get(&strategy)
            .ok_or(TransactionError::UnknownStrategy { strategy })
    }

    pub(super) fn strategy_mut(&mut self, strategy: StrategyId) -> Outcome<&mut Strategy> {
        self.strategies
            .edit(&strategy)
            .ok_or(TransactionError::UnknownStrategy { strategy })
    }

    pub(super) fn is_native(&self, strategy: StrategyId) -> bool {
        self.meta.native == Some(strategy)
    }

    /// The operator's pool, made if it has none.
    pub(super) fn pool_mut(
        &mut self,
        operator: OperatorId,
        strategy: StrategyId,
    ) -> Outcome<&mut OperatorShares> {
        let key = (operator, strategy);
        if !self.pools.contains(&key) {
            self.pools.insert(key, OperatorShares::default());
        }
        self.pools.edit(&key).ok_or(inconsistent("a pool is gone"))
    }

    pub(super) fn pool_ref(&self, operator: OperatorId, strategy: StrategyId) -> OperatorShares {
        self.pools
            .get(&(operator, strategy))
            .copied()
            .unwrap_or_default()
    }

    fn staker_mut(&mut self, staker: Account) -> Outcome<&mut Staker> {
        if !self.stakers.contains(&staker) {
            self.stakers.insert(staker, Staker::default());
        }
        self.stakers
            .edit(&staker)
            .ok_or(inconsistent("a staker is gone"))
    }

    /// The operator of a staker, its magnitude m and the staker's factor l.
    pub(super) fn factors(
        &self,
        staker: Account,
        strategy: StrategyId,
    ) -> (Option<OperatorId>, Wad, Wad) {
        let record = self.stakers.get(&staker);
        let operator = record.and_then(|record| record.operator);
        let magnitude = operator.map_or(Wad::ONE, |operator| {
            self.pool_ref(operator, strategy).magnitude
        });
        let factor = record
            .and_then(|record| record.pod.as_ref())
            .filter(|_| self.is_native(strategy))
            .map_or(Wad::ONE, |pod| pod.factor);
        (operator, magnitude, factor)
    }

    /// Moves shares into or out of where the stake of `operator` (or of nobody) is.
    fn credit(&mut self, operator: Option<OperatorId>, strategy: StrategyId, d: Amount) -> Outcome {
        let held = match operator {
            Some(operator) => &mut self.pool_mut(operator, strategy)?.shares,
            None => &mut self.strategy_mut(strategy)?.idle,
        };
        *held = held.plus(d)?;
        Ok(())
    }

    fn debit(&mut self, operator: Option<OperatorId>, strategy: StrategyId, d: Amount) -> Outcome {
        let held = match operator {
            Some(operator) => &mut self.pool_mut(operator, strategy)?.shares,
            None => &mut self.strategy_mut(strategy)?.idle,
        };
        *held = held.minus(d)?;
        Ok(())
    }

    fn queue_of(
        &mut self,
        operator: Option<OperatorId>,
        strategy: StrategyId,
    ) -> Outcome<(&mut Amount, &mut u64)> {
        Ok(match operator {
            Some(operator) => {
                let pool = self.pool_mut(operator, strategy)?;
                (&mut pool.queued, &mut pool.open)
            }
            None => {
                let record = self.strategy_mut(strategy)?;
                (&mut record.idle_queued, &mut record.idle_open)
            }
        })
    }

    fn refresh_after(&mut self, operator: Option<OperatorId>, strategy: StrategyId) -> Outcome {
        match operator {
            Some(operator) => self.refresh_operator(operator, Some(strategy)),
            None => Ok(()),
        }
    }

    /// Tokens in, shares out, added to the staker's position.
    pub(super) fn deposit(
        &mut self,
        staker: Account,
        strategy: StrategyId,
        amount: Amount,
    ) -> Outcome<Amount> {
        check_amount("deposit", amount)?;
        let record = self.strategy_mut(strategy)?;
        let shares = record.shares_for(amount)?;
        if shares.is_zero() {
            return Err(TransactionError::NoShares { amount });
        }
        let (total, max) = (record.shares.plus(shares)?, max_shares());
        if total > max {
            return Err(TransactionError::ShareLimit { got: total, max });
        }
        record.shares = total;
        record.balance = record.balance.plus(amount)?;
        record.deposited = record.deposited.plus(shares)?;
        record.tokens_in = record.tokens_in.plus(amount)?;
        self.add_shares(staker, strategy, shares)?;
        self.emit(Event::Deposited {
            staker,
            strategy,
            amount,
            shares,
        });
        Ok(shares)
    }

    /// Adds d shares to a position: k' = ⌊⌊(a + d)·WAD/(s + d)⌋·WAD/(m·l)⌋, for the first ones ⌊WAD·WAD/(m·l)⌋.
    fn add_shares(&mut self, staker: Account, strategy: StrategyId, d: Amount) -> Outcome {
        let (operator, m, l) = self.factors(staker, strategy);
        if m.is_zero() || l.is_zero() {
            return Err(TransactionError::FullySlashed { strategy });
        }
        let key = (staker, strategy);
        let after = match self.positions.get(&key) {
            None => Position {
                shares: d,
                scaling: Amount::WAD.unscaled(m, l)?,
            },
            Some(position) => {
                let a = position.withdrawable(m, l)?;
                let shares = position.shares.plus(d)?;
                Position {
                    shares,
                    scaling: a.plus(d)?.mul_div(Amount::WAD, shares)?.unscaled(m, l)?,
                }
            }
        };
        if after.scaling.is_zero() {
            // So little beside what was slashed that it would be worth nothing.
            return Err(TransactionError::NoShares { amount: d });
        }
        self.positions.insert(key, after);
        let record = self.staker_mut(staker)?;
        if record.strategies.insert(strategy) && record.strategies.len() > MAX_STRATEGIES {
            return Err(TransactionError::TooManyStrategies {
                max: MAX_STRATEGIES,
            });
        }
        self.credit(operator, strategy, d)?;
        self.refresh_after(operator, strategy)
    }

    pub(super) fn add_validator(
        &mut self,
        staker: Account,
        strategy: StrategyId,
        validator: u64,
    ) -> Outcome<Amount> {
        self.strategy_ref(strategy)?;
        if !self.is_native(strategy) {
            return Err(TransactionError::NativeOnly { strategy });
        }
        if self.validators.contains(&validator) {
            return Err(TransactionError::ValidatorTaken { validator });
        }
        self.validators.insert(validator, staker);
        let pod = self.staker_mut(staker)?.pod.get_or_insert(Pod {
            factor: Wad::ONE,
            balance: Amount::ZERO,
            validators: 0,
        });
        pod.validators += 1;
        pod.balance = pod.balance.plus(validator_balance())?;
        self.deposit(staker, strategy, validator_balance())
    }

    /// The oracle's report about the balance of a staker's pod and validators.
    pub(super) fn beacon_balance(
        &mut self,
        sender: Account,
        strategy: StrategyId,
        staker: Account,
        balance: Amount,
    ) -> Outcome {
        check_sender(
            sender,
            "strategy's oracle",
            self.strategy_ref(strategy)?.oracle,
        )?;
        if !self.is_native(strategy) {
            return Err(TransactionError::NativeOnly { strategy });
        }
        let (operator, m, old) = self.factors(staker, strategy);
        let pod = self
            .stakers
            .edit(&staker)
            .and_then(|record| record.pod.as_mut())
            .ok_or(TransactionError::NoPod { staker })?;
        let before = std::mem::replace(&mut pod.balance, balance);
        if balance >= before {
            if balance > before {
                self.deposit(staker, strategy, balance.minus(before)?)?;
            }
            return self.sync_vault_of(staker);
        }
        let new = old.mul_div(balance, before)?;
        pod.factor = new;
        let mut lost = Amount::ZERO;
        if let Some(position) = self.positions.get(&(staker, strategy)).copied() {
            // Exactly the part that the invariant of the pool loses, rounded down: the pool still covers the rest.
            lost = position
                .scaled_shares(position.shares)?
                .scaled(m, old.minus(new)?)?;
            self.debit(operator, strategy, lost)?;
        }
        lost = lost.plus(self.shrink_queue(staker, strategy, old, new)?)?;
        let record = self.strategy_mut(strategy)?;
        let tokens = record.take_out(lost)?;
        record.penalised = record.penalised.plus(lost)?;
        record.tokens_lost = record.tokens_lost.plus(tokens)?;
        self.emit(Event::Penalised {
            staker,
            factor: new,
            shares: lost,
        });
        self.sync_vault_of(staker)?;
        self.refresh_after(operator, strategy)
    }

    /// A penalty meets what its staker has queued as well, matured or not, until it is paid.
    fn shrink_queue(
        &mut self,
        staker: Account,
        strategy: StrategyId,
        old: Wad,
        new: Wad,
    ) -> Outcome<Amount> {
        let mut lost = Amount::ZERO;
        if old.is_zero() {
            return Ok(lost);
        }
        let Some(record) = self.stakers.get(&staker) else {
            return Ok(lost);
        };
        let open = record.withdrawals.clone();
        for number in open {
            let Some(entry) = self
                .withdrawals
                .edit(&number)
                .filter(|entry| entry.strategy == strategy)
            else {
                continue;
            };
            let shrink = |amount: Amount| amount.mul_div(new.into(), old.into());
            let gone = if let Some(payable) = entry.payable {
                let left = shrink(payable)?;
                entry.payable = Some(left);
                let gone = payable.minus(left)?;
                let record = self.strategy_mut(strategy)?;
                record.matured = record.matured.minus(gone)?;
                gone
            } else {
                let left = shrink(entry.shares)?;
                let cut = entry.shares.minus(left)?;
                entry.shares = left;
                let (operator, queued_at) = (entry.operator, entry.magnitude);
                let m = operator.map_or(Wad::ONE, |id| self.pool_ref(id, strategy).magnitude);
                let gone = cut.mul_div(m.into(), queued_at.into())?;
                let (queued, _) = self.queue_of(operator, strategy)?;
                *queued = queued.minus(gone)?;
                gone
            };
            lost = lost.plus(gone)?;
        }
        Ok(lost)
    }

    pub(super) fn delegate(&mut self, staker: Account, operator: OperatorId) -> Outcome {
        let target = self.operator_ref(operator)?;
        if target.retired {
            return Err(TransactionError::Retired { operator });
        }
        let record = self.staker_mut(staker)?;
        if let Some(operator) = record.operator {
            return Err(TransactionError::AlreadyDelegated { operator });
        }
        let strategies = record.strategies.clone();
        for strategy in strategies {
            let (_, _, l) = self.factors(staker, strategy);
            let m = self.pool_ref(operator, strategy).magnitude;
            if m.is_zero() || l.is_zero() {
                return Err(TransactionError::FullySlashed { strategy });
            }
            let key = (staker, strategy);
            let position = self
                .positions
                .get(&key)
                .ok_or(inconsistent("a position is gone"))?;
            // What it is worth becomes a first deposit with the operator: past slashing is not charged to it.
            let worth = position.withdrawable(Wad::ONE, l)?;
            if worth.is_zero() {
                self.drop_position(staker, strategy)?;
                continue;
            }
            self.positions.insert(
                key,
                Position {
                    shares: worth,
                    scaling: Amount::WAD.unscaled(m, l)?,
                },
            );
            self.debit(None, strategy, worth)?;
            self.credit(Some(operator), strategy, worth)?;
        }
        self.staker_mut(staker)?.operator = Some(operator);
        self.emit(Event::Delegated { staker, operator });
        self.refresh_operator(operator, None)
    }

    pub(super) fn undelegate(&mut self, staker: Account) -> Outcome<OperatorId> {
        let record = self.staker_mut(staker)?;
        let operator = record
            .operator
            .ok_or(TransactionError::NotDelegated { staker })?;
        let strategies = record.strategies.clone();
        if self.operator_accounts.contains(&staker) {
            return Err(TransactionError::OperatorBound { operator });
        }
        for strategy in strategies {
            let shares = self.shares_of(staker, strategy);
            self.queue(staker, strategy, shares)?;
        }
        self.staker_mut(staker)?.operator = None;
        self.emit(Event::Undelegated { staker, operator });
        Ok(operator)
    }

    pub(super) fn redelegate(&mut self, staker: Account, operator: OperatorId) -> Outcome {
        let now = self.stakers.get(&staker).and_then(|record| record.operator);
        if now == Some(operator) {
            return Err(TransactionError::SameOperator { operator });
        }
        self.undelegate(staker)?;
        self.delegate(staker, operator)
    }

    pub(super) fn shares_of(&self, staker: Account, strategy: StrategyId) -> Amount {
        self.positions
            .get(&(staker, strategy))
            .map_or(Amount::ZERO, |position| position.shares)
    }

    fn drop_position(&mut self, staker: Account, strategy: StrategyId) -> Outcome {
        self.positions.remove(&(staker, strategy));
        self.staker_mut(staker)?.strategies.remove(&strategy);
        Ok(())
    }

    /// Queues deposit shares, of all if none are named.
    pub(super) fn queue_withdrawal(
        &mut self,
        staker: Account,
        strategy: StrategyId,
        shares: Option<Amount>,
    ) -> Outcome<u64> {
        self.strategy_ref(strategy)?;
        let shares = shares.unwrap_or_else(|| self.shares_of(staker, strategy));
        self.queue(staker, strategy, shares)?
            .ok_or(TransactionError::NothingToWithdraw { strategy })
    }

    /// Takes x deposit shares out of a position and puts what they are worth into the queue. `None` if that is nothing.
    fn queue(&mut self, staker: Account, strategy: StrategyId, x: Amount) -> Outcome<Option<u64>> {
        let (operator, magnitude, l) = self.factors(staker, strategy);
        let key = (staker, strategy);
        let Some(position) = self.positions.get(&key).copied() else {
            return if x.is_zero() {
                Ok(None)
            } else {
                Err(TransactionError::NotEnoughShares {
                    got: Amount::ZERO,
                    expected: x,
                })
            };
        };
        if x > position.shares {
            return Err(TransactionError::NotEnoughShares {
                got: position.shares,
                expected: x,
            });
        }
        let shares = position.scaled_shares(x)?.scaled(magnitude, l)?;
        let left = position.shares.minus(x)?;
        if left.is_zero() {
            self.drop_position(staker, strategy)?;
        } else if let Some(position) = self.positions.edit(&key) {
            position.shares = left;
        }
        if shares.is_zero() {
            return Ok(None);
        }
        self.debit(operator, strategy, shares)?;
        let (queued, open) = self.queue_of(operator, strategy)?;
        *queued = queued.plus(shares)?;
        *open += 1;
        let start = self.block();
        let end = self.after(self.meta.params.withdrawal_delay)?;
        let number = take_number(&mut self.meta.next_withdrawal)?;
        let record = self.staker_mut(staker)?;
        if record.withdrawals.len() >= MAX_WITHDRAWALS {
            return Err(TransactionError::TooManyWithdrawals {
                max: MAX_WITHDRAWALS,
            });
        }
        record.withdrawals.insert(number);
        self.withdrawals.insert(
            number,
            Withdrawal {
                staker,
                operator,
                strategy,
                shares,
                magnitude,
                start,
                end,
                payable: None,
            },
        );
        self.at(end.saturating_add(1), Timer::Mature(number))?;
        self.emit(Event::WithdrawalQueued {
            withdrawal: number,
            staker,
            strategy,
            shares,
            slashable_until: end,
        });
        self.refresh_after(operator, strategy)?;
        Ok(Some(number))
    }

    /// The window of a withdrawal has closed: what it pays is fixed.
    pub(super) fn mature(&mut self, number: u64) -> Outcome {
        let Some(entry) = self.withdrawals.edit(&number) else {
            return Ok(());
        };
        let (operator, strategy) = (entry.operator, entry.strategy);
        let (shares, queued_at) = (entry.shares, entry.magnitude);
        let now = operator.map_or(Wad::ONE, |id| self.pool_ref(id, strategy).magnitude);
        let payable = shares.mul_div(now.into(), queued_at.into())?;
        self.withdrawals
            .edit(&number)
            .ok_or(inconsistent("a withdrawal is gone"))?
            .payable = Some(payable);
        let (queued, open) = self.queue_of(operator, strategy)?;
        *queued = queued.minus(payable)?;
        *open = open
            .checked_sub(1)
            .ok_or(inconsistent("the length of a queue"))?;
        // Nobody is owed what rounding left in an empty queue.
        let dust = if *open == 0 {
            std::mem::take(queued)
        } else {
            Amount::ZERO
        };
        let native = self.is_native(strategy);
        let record = self.strategy_mut(strategy)?;
        record.matured = record.matured.plus(payable)?;
        record.rounding = record.rounding.plus(dust)?;
        record.shares = record.shares.minus(dust)?;
        if native {
            // One share is one wei there, always.
            record.balance = record.balance.minus(dust)?;
            record.tokens_lost = record.tokens_lost.plus(dust)?;
        }
        self.emit(Event::WithdrawalMatured {
            withdrawal: number,
            shares: payable,
        });
        Ok(())
    }

    /// Pays a matured withdrawal in tokens, or adds its shares again. Gives the tokens.
    pub(super) fn complete(
        &mut self,
        staker: Account,
        number: u64,
        as_shares: bool,
    ) -> Outcome<Amount> {
        let entry = self
            .withdrawals
            .get(&number)
            .filter(|entry| entry.staker == staker)
            .ok_or(TransactionError::UnknownWithdrawal { withdrawal: number })?;
        let strategy = entry.strategy;
        let shares = entry.payable.ok_or(TransactionError::WithdrawalEarly {
            got: self.block(),
            expected: entry.end.saturating_add(1),
        })?;
        self.withdrawals.remove(&number);
        self.staker_mut(staker)?.withdrawals.remove(&number);
        let native = self.is_native(strategy);
        let record = self.strategy_mut(strategy)?;
        record.matured = record.matured.minus(shares)?;
        let mut tokens = Amount::ZERO;
        if !as_shares {
            tokens = record.take_out(shares)?;
            record.paid = record.paid.plus(shares)?;
            record.tokens_paid = record.tokens_paid.plus(tokens)?;
            if native && let Some(pod) = self.staker_mut(staker)?.pod.as_mut() {
                pod.balance = pod.balance.minus(tokens)?;
            }
        } else if !shares.is_zero() {
            self.add_shares(staker, strategy, shares)?;
        }
        self.emit(Event::WithdrawalCompleted {
            withdrawal: number,
            staker,
            shares,
            tokens,
        });
        Ok(tokens)
    }

    pub(super) fn rebase(
        &mut self,
        sender: Account,
        strategy: StrategyId,
        balance: Amount,
    ) -> Outcome {
        let native = self.is_native(strategy);
        let record = self.strategy_mut(strategy)?;
        check_sender(sender, "strategy's oracle", record.oracle)?;
        if native {
            return Err(TransactionError::NotNative { strategy });
        }
        let before = std::mem::replace(&mut record.balance, balance);
        if balance >= before {
            record.tokens_in = record.tokens_in.plus(balance.minus(before)?)?;
        } else {
            record.tokens_lost = record.tokens_lost.plus(before.minus(balance)?)?;
        }
        self.emit(Event::BalanceChanged {
            strategy,
            before,
            after: balance,
        });
        Ok(())
    }

    pub(super) fn donate(&mut self, strategy: StrategyId, amount: Amount) -> Outcome {
        check_amount("donation", amount)?;
        let native = self.is_native(strategy);
        let record = self.strategy_mut(strategy)?;
        if native {
            return Err(TransactionError::NotNative { strategy });
        }
        let before = record.balance;
        let after = before.plus(amount)?;
        record.balance = after;
        record.tokens_in = record.tokens_in.plus(amount)?;
        self.emit(Event::BalanceChanged {
            strategy,
            before,
            after,
        });
        Ok(())
    }

    /// Shares of a staker in a strategy with all its open withdrawals there.
    pub(super) fn shares_with_queue(
        &self,
        staker: Account,
        strategy: StrategyId,
    ) -> Outcome<Amount> {
        let (_, m, l) = self.factors(staker, strategy);
        let mut sum = match self.positions.get(&(staker, strategy)) {
            Some(position) => position.withdrawable(m, l)?,
            None => Amount::ZERO,
        };
        let none = BTreeSet::new();
        let open = self
            .stakers
            .get(&staker)
            .map_or(&none, |record| &record.withdrawals);
        for number in open {
            if let Some(entry) = self
                .withdrawals
                .get(number)
                .filter(|entry| entry.strategy == strategy)
            {
                sum = sum.plus(self.payable_now(entry)?)?;
            }
        }
        Ok(sum)
    }

    /// What a withdrawal would pay, in shares, if it were not slashed any more.
    pub(super) fn payable_now(&self, entry: &Withdrawal) -> Outcome<Amount> {
        if let Some(payable) = entry.payable {
            return Ok(payable);
        }
        let m = entry
            .operator
            .map_or(Wad::ONE, |id| self.pool_ref(id, entry.strategy).magnitude);
        entry.shares.mul_div(m.into(), entry.magnitude.into())
    }
}
