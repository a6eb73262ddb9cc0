//! Liquid restaking vaults.
//!
//! A vault's rate is `assets / shares`. Deposits mint down, withdrawals burn up, so rounding leaves the rate where it
//! is or raises it. `assets` follows what the vault really holds by reports, within caps. The ledger itself executes
//! slashes and knows them to the unit, so they enter at once, for all holders. The seed, which nobody can withdraw,
//! covers the few wei that staking rounds away.

use ashlar_crypto::hash::sha256;
use ashlar_proto::{Account, OperatorId};

use super::error::Outcome;
use super::stake::validator_balance;
use super::state::{MAX_NAME, check_amount, check_sender, check_text, take_number};
use super::types::*;
use super::{Amount, Event, State, TransactionError};

const ACCOUNT_TAG: &[u8] = b"ashlar/vault-account/1";

/// Who holds the seeds.
pub const LOCKED: Account = Account([0; 20]);
/// The least seed of a vault, in the smallest unit.
pub const MIN_SEED: u64 = 1_000_000_000;
/// What a vault may hold less than it counts without a loss being pending: rounding, in the smallest unit.
pub const TOLERANCE: u64 = 1_000_000;
/// Operators of a risk profile.
pub const MAX_PROFILE: usize = 32;
/// The largest fee: 20 % of rewards.
pub const MAX_FEE_BPS: u16 = 2000;
/// Default cap of a report upwards.
pub const CAP_UP_BPS: u16 = 25;
/// Default cap of a report downwards.
pub const CAP_DOWN_BPS: u16 = 3;
/// Requests in one finalisation.
pub const MAX_FINALIZE: u32 = 100;
/// Validators in one staking.
pub const MAX_VALIDATORS: usize = 100;

/// What a vault is created with.
pub(super) struct NewVault<'a> {
    pub(super) name: &'a str,
    pub(super) strategy: StrategyId,
    pub(super) seed: Amount,
    pub(super) fee_bps: u16,
    pub(super) fee_recipient: Account,
    pub(super) cap_up_bps: u16,
    pub(super) cap_down_bps: u16,
    pub(super) profile: &'a [(OperatorId, u16)],
}

/// The account with which a vault stakes with an operator: a staker delegates to one operator, so it has one for each.
pub fn vault_account(vault: VaultId, operator: &OperatorId) -> Account {
    let [.., a, b, c, d] = vault.to_be_bytes();
    let hash = sha256(&[ACCOUNT_TAG, &[a, b, c, d], operator.as_bytes()]);
    let mut account = Account::default();
    for (to, from) in account.0.iter_mut().zip(hash) {
        *to = from;
    }
    account
}

fn config(what: &'static str, got: u64, min: u64, max: u64) -> Outcome {
    if (min..=max).contains(&got) {
        Ok(())
    } else {
        Err(TransactionError::VaultConfig {
            what,
            got,
            min,
            max,
        })
    }
}

impl State {
    fn vault_ref(&self, vault: VaultId) -> Outcome<&Vault> {
        self.vaults
            .get(&vault)
            .ok_or(TransactionError::UnknownVault { vault })
    }

    fn vault_mut(&mut self, vault: VaultId) -> Outcome<&mut Vault> {
        self.vaults
            .edit(&vault)
            .ok_or(TransactionError::UnknownVault { vault })
    }

    pub(super) fn check_manager(&self, sender: Account, vault: VaultId) -> Outcome {
        check_sender(sender, "vault's manager", self.vault_ref(vault)?.manager)
    }

    fn parts_of(&self, vault: VaultId) -> Vec<(OperatorId, VaultPart)> {
        let (first, last) = (OperatorId([0; 32]), OperatorId([0xff; 32]));
        self.vault_parts
            .range((vault, first)..=(vault, last))
            .map(|((_, operator), part)| (*operator, *part))
            .collect()
    }

    /// All holders of a vault's shares, the locked seed's among them; shares in the withdrawal queue belong to nobody.
    pub fn vault_holders(&self, vault: VaultId) -> impl Iterator<Item = (Account, Amount)> + '_ {
        self.vault_shares
            .range((vault, Account([0; 20]))..=(vault, Account([0xff; 20])))
            .map(|((_, holder), shares)| (*holder, *shares))
    }

    fn add_vault_shares(&mut self, vault: VaultId, holder: Account, d: Amount) -> Outcome {
        let key = (vault, holder);
        let before = self.vault_shares.amount(&key);
        if !d.is_zero() {
            self.vault_shares.insert(key, before.plus(d)?);
        }
        Ok(())
    }

    fn take_vault_shares(&mut self, vault: VaultId, holder: Account, d: Amount) -> Outcome {
        let key = (vault, holder);
        let got = self.vault_shares.amount(&key);
        if d > got {
            return Err(TransactionError::VaultShares { got, expected: d });
        }
        if d == got {
            self.vault_shares.remove(&key);
        } else {
            self.vault_shares.insert(key, got.minus(d)?);
        }
        Ok(())
    }

    pub(super) fn create_vault(&mut self, manager: Account, new: &NewVault<'_>) -> Outcome {
        check_text("vault's name", new.name, MAX_NAME)?;
        self.strategy_ref(new.strategy)?;
        let expected = Amount::from(MIN_SEED);
        if new.seed < expected {
            return Err(TransactionError::VaultSeed {
                got: new.seed,
                expected,
            });
        }
        config("fee_bps", new.fee_bps.into(), 0, MAX_FEE_BPS.into())?;
        config("cap_up_bps", new.cap_up_bps.into(), 1, 1000)?;
        config("cap_down_bps", new.cap_down_bps.into(), 1, 1000)?;
        let vault = take_number(&mut self.meta.next_vault)?;
        self.vaults.insert(
            vault,
            Vault {
                manager,
                name: new.name.to_owned(),
                strategy: new.strategy,
                fee_bps: new.fee_bps,
                fee_recipient: new.fee_recipient,
                cap_up_bps: new.cap_up_bps,
                cap_down_bps: new.cap_down_bps,
                assets: new.seed,
                shares: new.seed,
                buffer: new.seed,
                reserved: Amount::ZERO,
                asked: Amount::ZERO,
                next_request: 1,
                next_final: 1,
                reported_at: self.meta.block,
            },
        );
        self.add_vault_shares(vault, LOCKED, new.seed)?;
        self.emit(Event::VaultCreated { vault });
        self.set_profile(vault, new.profile)
    }

    pub(super) fn set_profile(&mut self, vault: VaultId, profile: &[(OperatorId, u16)]) -> Outcome {
        config(
            "number of operators",
            profile.len() as u64,
            1,
            MAX_PROFILE as u64,
        )?;
        let sum = profile.iter().map(|(_, bps)| u64::from(*bps)).sum();
        config("sum of weights", sum, 10_000, 10_000)?;
        for (index, (operator, _)) in profile.iter().enumerate() {
            let twice = profile
                .iter()
                .skip(index + 1)
                .any(|(other, _)| other == operator);
            config("mentions of an operator", 1 + u64::from(twice), 1, 1)?;
        }
        self.sync_vault(vault)?;
        for (operator, part) in self.parts_of(vault) {
            if !profile.iter().any(|(id, _)| *id == operator) {
                if !part.seen.is_zero() {
                    return Err(TransactionError::ProfileInUse { operator });
                }
                self.vault_parts.remove(&(vault, operator));
            }
        }
        for &(operator, weight_bps) in profile {
            let account = vault_account(vault, &operator);
            if !self.vault_accounts.contains(&account) {
                self.delegate(account, operator)?;
                self.vault_accounts.insert(account, (vault, operator));
            }
            let seen = self
                .vault_parts
                .get(&(vault, operator))
                .map_or(Amount::ZERO, |part| part.seen);
            self.vault_parts.insert(
                (vault, operator),
                VaultPart {
                    account,
                    weight_bps,
                    seen,
                },
            );
        }
        self.emit(Event::ProfileSet { vault });
        Ok(())
    }

    /// What slashing took since the vault looked last, in tokens, rounded up; and the shares that each part has now.
    fn vault_losses(&self, vault: VaultId) -> Outcome<(Amount, Vec<(OperatorId, Amount)>)> {
        let strategy = self.vault_ref(vault)?.strategy;
        let record = self.strategy_ref(strategy)?;
        let (mut loss, mut all) = (Amount::ZERO, Vec::new());
        for (operator, part) in self.parts_of(vault) {
            let now = self.shares_with_queue(part.account, strategy)?;
            if now != part.seen {
                all.push((operator, now));
            }
            let gone = part.seen.saturating_minus(now);
            if !gone.is_zero() {
                loss = loss
                    .plus(record.tokens_for(gone)?)?
                    .plus(Amount::from(1u64))?;
            }
        }
        Ok((loss, all))
    }

    /// Takes over slashing: when it happens, and once more at the start of every transaction of the vault.
    fn sync_vault(&mut self, vault: VaultId) -> Outcome {
        let (loss, parts) = self.vault_losses(vault)?;
        self.note_parts(vault, &parts);
        if loss.is_zero() {
            return Ok(());
        }
        let record = self.vault_mut(vault)?;
        record.assets = record.assets.saturating_minus(loss);
        let assets = record.assets;
        self.emit(Event::VaultSlashed {
            vault,
            loss,
            assets,
        });
        Ok(())
    }

    /// Right after a slash, at the price of a share that it was executed at: later the same shares may be worth more.
    pub(super) fn sync_vaults_with(&mut self, operator: OperatorId) -> Outcome {
        let hit: Vec<_> = self
            .vaults
            .iter()
            .map(|(vault, _)| *vault)
            .filter(|vault| self.vault_parts.contains(&(*vault, operator)))
            .collect();
        hit.into_iter().try_for_each(|vault| self.sync_vault(vault))
    }

    /// The same after a report about a staker's validators.
    pub(super) fn sync_vault_of(&mut self, staker: Account) -> Outcome {
        match self.vault_accounts.get(&staker) {
            Some(&(vault, _)) => self.sync_vault(vault),
            None => Ok(()),
        }
    }

    fn note_parts(&mut self, vault: VaultId, parts: &[(OperatorId, Amount)]) {
        for (operator, seen) in parts {
            if let Some(part) = self.vault_parts.edit(&(vault, *operator)) {
                part.seen = *seen;
            }
        }
    }

    /// After the vault itself moved stake: what it has now is neither gain nor loss.
    fn resync_vault(&mut self, vault: VaultId) -> Outcome {
        let (_, parts) = self.vault_losses(vault)?;
        self.note_parts(vault, &parts);
        Ok(())
    }

    /// What the vault really holds, in tokens.
    ///
    /// # Errors
    ///
    /// [`TransactionError::UnknownVault`], [`TransactionError::Overflow`].
    pub fn vault_holdings(&self, vault: VaultId) -> Result<Amount, TransactionError> {
        let record = self.vault_ref(vault)?;
        let strategy = self.strategy_ref(record.strategy)?;
        let mut sum = record.buffer;
        for (_, part) in self.parts_of(vault) {
            let shares = self.shares_with_queue(part.account, record.strategy)?;
            sum = sum.plus(strategy.tokens_for(shares)?)?;
        }
        Ok(sum)
    }

    /// The vault's rate as (assets, shares).
    ///
    /// # Errors
    ///
    /// [`TransactionError::UnknownVault`], [`TransactionError::Overflow`].
    pub fn vault_rate(&self, vault: VaultId) -> Result<(Amount, Amount), TransactionError> {
        let (loss, _) = self.vault_losses(vault)?;
        let record = self.vault_ref(vault)?;
        Ok((record.assets.saturating_minus(loss), record.shares))
    }

    /// Nobody gets in or out at a rate that is known to be too high.
    fn check_no_loss(&self, vault: VaultId) -> Outcome {
        let expected = self.vault_ref(vault)?.assets;
        let got = self.vault_holdings(vault)?;
        if got.plus(Amount::from(TOLERANCE))? < expected {
            return Err(TransactionError::VaultLossPending { got, expected });
        }
        Ok(())
    }

    pub(super) fn vault_deposit(
        &mut self,
        account: Account,
        vault: VaultId,
        amount: Amount,
    ) -> Outcome {
        self.sync_vault(vault)?;
        check_amount("deposit", amount)?;
        self.check_no_loss(vault)?;
        let record = self.vault_mut(vault)?;
        if record.assets.is_zero() {
            return Err(TransactionError::VaultEmpty { vault });
        }
        let shares = amount.mul_div(record.shares, record.assets)?;
        if shares.is_zero() {
            return Err(TransactionError::VaultNoShares { amount });
        }
        record.assets = record.assets.plus(amount)?;
        record.buffer = record.buffer.plus(amount)?;
        record.shares = record.shares.plus(shares)?;
        let (got, max) = (record.shares.max(record.assets), super::stake::max_shares());
        if got > max {
            return Err(TransactionError::ShareLimit { got, max });
        }
        self.add_vault_shares(vault, account, shares)?;
        self.emit(Event::VaultDeposited {
            vault,
            account,
            amount,
            shares,
        });
        Ok(())
    }

    pub(super) fn vault_request(
        &mut self,
        account: Account,
        vault: VaultId,
        amount: Option<Amount>,
    ) -> Outcome {
        self.sync_vault(vault)?;
        let record = self.vault_ref(vault)?;
        if record.assets.is_zero() {
            return Err(TransactionError::VaultEmpty { vault });
        }
        let (shares, asked) = match amount {
            Some(amount) => (amount.mul_div_up(record.shares, record.assets)?, amount),
            None => {
                let shares = self.vault_shares.amount(&(vault, account));
                (shares, shares.mul_div(record.assets, record.shares)?)
            }
        };
        check_amount("request", asked)?;
        self.take_vault_shares(vault, account, shares)?;
        let record = self.vault_mut(vault)?;
        let request = take_number(&mut record.next_request)?;
        record.asked = record.asked.plus(asked)?;
        self.vault_requests.insert(
            (vault, request),
            VaultRequest {
                owner: account,
                shares,
                asked,
                payable: None,
            },
        );
        self.emit(Event::VaultWithdrawalRequested {
            vault,
            request,
            account,
            shares,
            asked,
        });
        Ok(())
    }

    /// Requests in their order, at the rate before the first of them: `min(asked, ⌊shares · rate⌋)`.
    pub(super) fn vault_finalize(&mut self, vault: VaultId, count: u32) -> Outcome {
        config("count", count.into(), 1, MAX_FINALIZE.into())?;
        self.sync_vault(vault)?;
        self.check_no_loss(vault)?;
        let frozen = self.vault_ref(vault)?.clone();
        if frozen.next_final >= frozen.next_request {
            return Err(TransactionError::VaultQueueEmpty { vault });
        }
        let last = frozen
            .next_final
            .saturating_add(count.into())
            .min(frozen.next_request);
        for request in frozen.next_final..last {
            let Some(entry) = self.vault_requests.edit(&(vault, request)) else {
                continue;
            };
            let worth = entry.shares.mul_div(frozen.assets, frozen.shares)?;
            let payable = entry.asked.min(worth);
            entry.payable = Some(payable);
            let (shares, asked) = (entry.shares, entry.asked);
            let record = self.vault_mut(vault)?;
            if payable > record.buffer {
                if request == frozen.next_final {
                    return Err(TransactionError::VaultBuffer {
                        got: record.buffer,
                        expected: payable,
                    });
                }
                if let Some(entry) = self.vault_requests.edit(&(vault, request)) {
                    entry.payable = None;
                }
                break;
            }
            record.buffer = record.buffer.minus(payable)?;
            record.reserved = record.reserved.plus(payable)?;
            record.assets = record.assets.minus(payable)?;
            record.shares = record.shares.minus(shares)?;
            record.asked = record.asked.minus(asked)?;
            record.next_final = request.saturating_add(1);
            self.emit(Event::VaultWithdrawalFinal {
                vault,
                request,
                payable,
            });
        }
        Ok(())
    }

    pub(super) fn vault_claim(
        &mut self,
        account: Account,
        vault: VaultId,
        request: u64,
    ) -> Outcome {
        self.vault_ref(vault)?;
        let amount = self
            .vault_requests
            .get(&(vault, request))
            .filter(|entry| entry.owner == account)
            .ok_or(TransactionError::UnknownVaultRequest { request })?
            .payable
            .ok_or(TransactionError::NotFinal { request })?;
        self.vault_requests.remove(&(vault, request));
        let record = self.vault_mut(vault)?;
        record.reserved = record.reserved.minus(amount)?;
        self.emit(Event::VaultWithdrawalPaid {
            vault,
            request,
            account,
            amount,
        });
        Ok(())
    }

    pub(super) fn vault_transfer(
        &mut self,
        from: Account,
        vault: VaultId,
        to: Account,
        shares: Amount,
    ) -> Outcome {
        self.vault_ref(vault)?;
        check_amount("transfer", shares)?;
        self.take_vault_shares(vault, from, shares)?;
        self.add_vault_shares(vault, to, shares)?;
        self.emit(Event::VaultTransferred {
            vault,
            from,
            to,
            shares,
        });
        Ok(())
    }

    /// Stakes what is at hand and not asked for, with the operators that have less than their part.
    pub(super) fn vault_stake(&mut self, vault: VaultId, validators: &[u64]) -> Outcome {
        if validators.len() > MAX_VALIDATORS {
            return Err(TransactionError::TooMany {
                what: "validators",
                got: validators.len(),
                max: MAX_VALIDATORS,
            });
        }
        self.sync_vault(vault)?;
        let record = self.vault_ref(vault)?;
        let strategy = record.strategy;
        let mut free = record.buffer.saturating_minus(record.asked);
        let mut wanting = self.vault_deficits(vault, free)?;
        let mut any = false;
        if self.is_native(strategy) {
            for &validator in validators {
                let (got, expected) = (free, validator_balance());
                if got < expected {
                    return Err(TransactionError::VaultBuffer { got, expected });
                }
                wanting.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0)));
                let Some((operator, account, deficit)) = wanting.first_mut() else {
                    break;
                };
                *deficit = deficit.saturating_minus(expected);
                let (operator, account) = (*operator, *account);
                let shares = self.add_validator(account, strategy, validator)?;
                free = got.minus(expected)?;
                self.vault_paid(vault, operator, expected, shares)?;
                any = true;
            }
        } else {
            if let Some(&strategy_validator) = validators.first() {
                return Err(TransactionError::ValidatorTaken {
                    validator: strategy_validator,
                });
            }
            for (operator, account, deficit) in wanting {
                let amount = deficit.min(free);
                if self.strategy_ref(strategy)?.shares_for(amount)?.is_zero() {
                    continue;
                }
                let shares = self.deposit(account, strategy, amount)?;
                free = free.minus(amount)?;
                self.vault_paid(vault, operator, amount, shares)?;
                any = true;
            }
        }
        if !any {
            return Err(TransactionError::VaultBuffer {
                got: free,
                expected: if self.is_native(strategy) {
                    validator_balance()
                } else {
                    Amount::from(1u64)
                },
            });
        }
        self.resync_vault(vault)
    }

    fn vault_paid(
        &mut self,
        vault: VaultId,
        operator: OperatorId,
        amount: Amount,
        shares: Amount,
    ) -> Outcome {
        let record = self.vault_mut(vault)?;
        record.buffer = record.buffer.minus(amount)?;
        self.emit(Event::VaultStaked {
            vault,
            operator,
            amount,
            shares,
        });
        Ok(())
    }

    /// By how much each operator has less than its part, if `free` is staked as well. Operators that were slashed entirely
    /// or have retired get nothing.
    fn vault_deficits(
        &self,
        vault: VaultId,
        free: Amount,
    ) -> Outcome<Vec<(OperatorId, Account, Amount)>> {
        let strategy = self.vault_ref(vault)?.strategy;
        let record = self.strategy_ref(strategy)?;
        let (mut total, mut staked) = (free, Vec::new());
        for (operator, part) in self.parts_of(vault) {
            let (_, m, l) = self.factors(part.account, strategy);
            let shares = match self.positions.get(&(part.account, strategy)) {
                Some(position) => position.withdrawable(m, l)?,
                None => Amount::ZERO,
            };
            let value = record.tokens_for(shares)?;
            total = total.plus(value)?;
            let dead = m.is_zero() || l.is_zero() || self.operator_ref(operator)?.retired;
            staked.push((operator, part, value, dead));
        }
        staked
            .into_iter()
            .filter(|(_, _, _, dead)| !dead)
            .map(|(operator, part, value, _)| {
                let target = total.basis_points(part.weight_bps)?;
                Ok((operator, part.account, target.saturating_minus(value)))
            })
            .collect()
    }

    pub(super) fn vault_unstake(
        &mut self,
        vault: VaultId,
        operator: OperatorId,
        shares: Option<Amount>,
    ) -> Outcome {
        self.sync_vault(vault)?;
        let strategy = self.vault_ref(vault)?.strategy;
        let account = self
            .vault_parts
            .get(&(vault, operator))
            .ok_or(TransactionError::NotInProfile { operator })?
            .account;
        self.queue_withdrawal(account, strategy, shares)?;
        self.resync_vault(vault)
    }

    pub(super) fn vault_collect(&mut self, vault: VaultId, withdrawal: u64) -> Outcome {
        self.sync_vault(vault)?;
        let account = self
            .withdrawals
            .get(&withdrawal)
            .map(|entry| entry.staker)
            .filter(|staker| {
                self.vault_accounts
                    .get(staker)
                    .is_some_and(|(of, _)| *of == vault)
            })
            .ok_or(TransactionError::UnknownWithdrawal { withdrawal })?;
        let tokens = self.complete(account, withdrawal, false)?;
        let record = self.vault_mut(vault)?;
        record.buffer = record.buffer.plus(tokens)?;
        self.resync_vault(vault)
    }

    /// Takes the difference between what the vault holds and what it counts into the rate, within the caps.
    pub(super) fn vault_report(&mut self, vault: VaultId) -> Outcome {
        let expected = self
            .vault_ref(vault)?
            .reported_at
            .saturating_add(self.meta.params.report_interval);
        let block = self.block();
        if block < expected {
            return Err(TransactionError::ReportEarly {
                got: block,
                expected,
            });
        }
        self.sync_vault(vault)?;
        let holdings = self.vault_holdings(vault)?;
        let record = self.vault_mut(vault)?;
        record.reported_at = block;
        let before = record.assets;
        let mut fee_shares = Amount::ZERO;
        if holdings > before {
            let cap = before.basis_points(record.cap_up_bps)?;
            let gain = holdings.minus(before)?.min(cap);
            let fee = gain.basis_points(record.fee_bps)?;
            let after = before.plus(gain)?;
            record.assets = after;
            if !fee.is_zero() {
                fee_shares = fee.mul_div(record.shares, after.minus(fee)?)?;
                record.shares = record.shares.plus(fee_shares)?;
            }
        } else if holdings.plus(Amount::from(TOLERANCE))? < before {
            let cap = before.basis_points(record.cap_down_bps)?;
            record.assets = before.minus(before.minus(holdings)?.min(cap))?;
        }
        let (after, recipient) = (record.assets, record.fee_recipient);
        self.add_vault_shares(vault, recipient, fee_shares)?;
        self.emit(Event::VaultReported {
            vault,
            before,
            after,
            fee_shares,
        });
        Ok(())
    }

    /// A reward for one of the vault's stakes: its own asset goes to the buffer and enters the rate with the next report, any
    /// other token waits for the next distribution.
    pub(super) fn vault_earned(
        &mut self,
        vault: VaultId,
        token: Account,
        amount: Amount,
    ) -> Outcome {
        let strategy = self.vault_ref(vault)?.strategy;
        if self.strategy_ref(strategy)?.asset == token {
            let record = self.vault_mut(vault)?;
            record.buffer = record.buffer.plus(amount)?;
            return Ok(());
        }
        self.fill_pot(vault, token, RewardKind::Fee, amount)
    }

    fn fill_pot(
        &mut self,
        vault: VaultId,
        token: Account,
        kind: RewardKind,
        amount: Amount,
    ) -> Outcome {
        let key = (vault, token, kind);
        let before = self.vault_pots.amount(&key);
        self.vault_pots.insert(key, before.plus(amount)?);
        Ok(())
    }

    pub(super) fn vault_source(
        &mut self,
        vault: VaultId,
        source: alloy_primitives::B256,
        kind: RewardKind,
        token: Account,
        amount: Amount,
    ) -> Outcome {
        check_amount("source", amount)?;
        if !matches!(kind, RewardKind::Incentive | RewardKind::Points) {
            // Fees and bounties are counted where they are claimed, and only there.
            return Err(TransactionError::VaultConfig {
                what: "kind of source (2 incentive, 3 points)",
                got: kind as u64,
                min: RewardKind::Incentive as u64,
                max: RewardKind::Points as u64,
            });
        }
        if let Some(&block) = self.sources.get(&source) {
            return Err(TransactionError::SameSource { block });
        }
        self.sources.insert(source, self.meta.block);
        self.fill_pot(vault, token, kind, amount)?;
        self.emit(Event::VaultSourceNoted {
            vault,
            source,
            amount,
        });
        Ok(())
    }

    pub(super) fn vault_distribute(&mut self, vault: VaultId, token: Account) -> Outcome {
        self.vault_ref(vault)?;
        let mut any = false;
        for kind in [
            RewardKind::Fee,
            RewardKind::Bounty,
            RewardKind::Incentive,
            RewardKind::Points,
        ] {
            let Some(amount) = self.vault_pots.remove(&(vault, token, kind)) else {
                continue;
            };
            any = true;
            if kind != RewardKind::Points {
                // It was claimed once for the vault; its holders claim it a second time, out of the same tokens.
                self.pay_in(token, amount)?;
            }
            self.emit(Event::VaultDistributed {
                vault,
                token,
                kind,
                amount,
            });
        }
        if any {
            Ok(())
        } else {
            Err(TransactionError::ZeroAmount {
                what: "vault's pot in this token",
            })
        }
    }
}
