//! Which function carries out which action, and who may send it.

use ashlar_proto::Account;

use super::operators::NewOperator;
use super::refusal::Outcome;
use super::services::{MAX_NAME, NewService, Slash};
use super::state::{check_sender, check_text, take_number};
use super::types::{Strategy, StrategyKind};
use super::vaults::{CAP_DOWN_BPS, CAP_UP_BPS, NewVault};
use super::{Action, Amount, Event, Params, Refusal, State};

impl State {
    /// Carries out an action. On an error the caller rolls back.
    pub(super) fn execute(&mut self, sender: Account, action: &Action) -> Outcome {
        if self.vault_accounts.contains(&sender) {
            return Err(Refusal::VaultAccount { staker: sender });
        }
        match action {
            Action::AddStrategy {
                name,
                kind,
                asset,
                oracle,
            } => {
                self.check_admin(sender)?;
                self.add_strategy(name, *kind, *asset, *oracle)
            }
            Action::SetParams { params } => {
                self.check_admin(sender)?;
                self.set_params(params)
            }
            Action::SetRewardUpdater { account } => {
                self.check_admin(sender)?;
                self.meta.reward_updater = *account;
                self.emit(Event::RewardUpdaterSet { account: *account });
                Ok(())
            }
            Action::Rebase { strategy, balance } => self.rebase(sender, *strategy, *balance),
            Action::Donate { strategy, amount } => self.donate(*strategy, *amount),
            Action::BeaconBalance {
                strategy,
                staker,
                balance,
            } => self.beacon_balance(sender, *strategy, *staker, *balance),
            Action::Deposit { strategy, amount } => {
                self.strategy_ref(*strategy)?;
                if self.is_native(*strategy) {
                    return Err(Refusal::NotNative {
                        strategy: *strategy,
                    });
                }
                self.deposit(sender, *strategy, *amount).map(drop)
            }
            Action::AddValidator {
                strategy,
                validator,
            } => self.add_validator(sender, *strategy, *validator).map(drop),
            Action::Delegate { operator } => self.delegate(sender, *operator),
            Action::Undelegate {} => self.undelegate(sender).map(drop),
            Action::Redelegate { operator } => self.redelegate(sender, *operator),
            Action::QueueWithdrawal { strategy, shares } => {
                self.queue_withdrawal(sender, *strategy, *shares).map(drop)
            }
            Action::CompleteWithdrawal {
                withdrawal,
                as_shares,
            } => self.complete(sender, *withdrawal, *as_shares).map(drop),
            Action::RegisterOperator {
                bls_public_key,
                proof_of_possession,
                network_key,
                address,
                allocation_delay,
            } => self.register_operator(
                sender,
                &NewOperator {
                    bls_public_key,
                    proof_of_possession,
                    network_key: *network_key,
                    address,
                    allocation_delay: *allocation_delay,
                },
            ),
            Action::UpdateOperator {
                network_key,
                address,
            } => {
                let id = self.operator_of(sender)?;
                self.update_operator(id, *network_key, address.as_deref())
            }
            Action::SetAllocationDelay { blocks } => {
                let id = self.operator_of(sender)?;
                self.set_allocation_delay(id, *blocks)
            }
            Action::SetFeeSplit { service, bps } => {
                let id = self.operator_of(sender)?;
                self.set_fee_split(id, *service, *bps)
            }
            Action::Allocate {
                service,
                quorum,
                strategy,
                magnitude,
            } => {
                let id = self.operator_of(sender)?;
                self.allocate((id, *strategy, *service, *quorum), *magnitude)
            }
            Action::OptIn { service, quorum } => {
                let id = self.operator_of(sender)?;
                self.opt_in(id, *service, *quorum)
            }
            Action::OptOut { service, quorum } => {
                let id = self.operator_of(sender)?;
                self.opt_out(id, *service, *quorum)
            }
            Action::RetireOperator {} => {
                let id = self.operator_of(sender)?;
                self.retire(id)
            }
            other => self.execute_service(sender, other),
        }
    }

    fn execute_service(&mut self, sender: Account, action: &Action) -> Outcome {
        match action {
            Action::RegisterService {
                name,
                conditions,
                slasher,
                resolver,
                veto_window,
                slash_cap,
                ejector,
                dispersers,
                custody,
            } => self.register_service(
                sender,
                &NewService {
                    name,
                    conditions,
                    slasher: *slasher,
                    resolver: *resolver,
                    veto_window: *veto_window,
                    slash_cap: *slash_cap,
                    ejector: *ejector,
                    dispersers,
                    custody: *custody,
                },
            ),
            Action::AddQuorum {
                service,
                quorum,
                config,
            } => {
                self.check_owner(sender, *service)?;
                self.add_quorum(*service, *quorum, config)
            }
            Action::SetMultipliers {
                service,
                quorum,
                strategies,
            } => {
                self.check_owner(sender, *service)?;
                self.set_multipliers(*service, *quorum, strategies)
            }
            Action::SetSlasher { service, slasher } => {
                self.check_owner(sender, *service)?;
                self.set_slasher(*service, *slasher)
            }
            Action::SetDispersers {
                service,
                dispersers,
            } => {
                self.check_owner(sender, *service)?;
                self.set_dispersers(*service, dispersers)
            }
            Action::Eject {
                service,
                quorum,
                operator,
            } => self.eject(sender, *service, *quorum, *operator),
            Action::Slash {
                service,
                quorum,
                operator,
                parts,
                reason,
            } => self.slash(
                sender,
                &Slash {
                    service: *service,
                    quorum: *quorum,
                    operator: *operator,
                    parts,
                    reason,
                    fault: None,
                },
            ),
            Action::SlashByEvidence {
                service,
                quorum,
                parts,
                fault,
                reason,
            } => self.slash(
                sender,
                &Slash {
                    service: *service,
                    quorum: *quorum,
                    operator: fault.operator,
                    parts,
                    reason,
                    fault: Some(*fault),
                },
            ),
            Action::OpenChallenge {
                service,
                operator,
                certificate,
                bond,
            } => self.open_challenge(sender, *service, *operator, certificate, *bond),
            Action::AnswerChallenge { challenge, answer } => {
                self.answer_challenge(*challenge, answer)
            }
            Action::VetoSlash { request } => self.veto(sender, *request),
            Action::ExecuteSlash { request } => self.execute_request(sender, *request),
            Action::PayReward {
                service,
                token,
                amount,
                kind,
            } => {
                self.check_owner(sender, *service)?;
                self.pay_reward(*service, *token, *amount, *kind)
            }
            Action::SubmitRoot { root } => {
                self.check_updater(sender)?;
                self.submit_root(*root)
            }
            Action::DisableRoot { root } => {
                self.check_updater(sender)?;
                self.disable_root(*root)
            }
            Action::ClaimReward { claim } => self.claim_reward(claim),
            other => self.execute_vault(sender, other),
        }
    }

    fn execute_vault(&mut self, sender: Account, action: &Action) -> Outcome {
        match action {
            Action::CreateVault {
                name,
                strategy,
                seed,
                fee_bps,
                fee_recipient,
                cap_up_bps,
                cap_down_bps,
                profile,
            } => self.create_vault(
                sender,
                &NewVault {
                    name,
                    strategy: *strategy,
                    seed: *seed,
                    fee_bps: *fee_bps,
                    fee_recipient: *fee_recipient,
                    cap_up_bps: cap_up_bps.unwrap_or(CAP_UP_BPS),
                    cap_down_bps: cap_down_bps.unwrap_or(CAP_DOWN_BPS),
                    profile,
                },
            ),
            Action::SetProfile { vault, profile } => {
                self.check_manager(sender, *vault)?;
                self.set_profile(*vault, profile)
            }
            Action::VaultDeposit { vault, amount } => self.vault_deposit(sender, *vault, *amount),
            Action::VaultRequestWithdrawal { vault, amount } => {
                self.vault_request(sender, *vault, *amount)
            }
            Action::VaultFinalize { vault, count } => self.vault_finalize(*vault, *count),
            Action::VaultClaimWithdrawal { vault, request } => {
                self.vault_claim(sender, *vault, *request)
            }
            Action::VaultTransfer { vault, to, shares } => {
                self.vault_transfer(sender, *vault, *to, *shares)
            }
            Action::VaultStake { vault, validators } => {
                self.check_manager(sender, *vault)?;
                self.vault_stake(*vault, validators)
            }
            Action::VaultUnstake {
                vault,
                operator,
                shares,
            } => {
                self.check_manager(sender, *vault)?;
                self.vault_unstake(*vault, *operator, *shares)
            }
            Action::VaultCollect { vault, withdrawal } => self.vault_collect(*vault, *withdrawal),
            Action::VaultReport { vault } => self.vault_report(*vault),
            Action::VaultSource {
                vault,
                source,
                kind,
                token,
                amount,
            } => {
                self.check_manager(sender, *vault)?;
                self.vault_source(*vault, *source, *kind, *token, *amount)
            }
            Action::VaultDistribute { vault, token } => {
                self.check_updater(sender)?;
                self.vault_distribute(*vault, *token)
            }
            // Every other action was handled before this function was reached.
            _ => Err(super::state::bug("an action without a function")),
        }
    }

    fn check_admin(&self, sender: Account) -> Outcome {
        check_sender(sender, "admin", self.meta.admin)
    }

    fn check_updater(&self, sender: Account) -> Outcome {
        check_sender(sender, "reward updater", self.meta.reward_updater)
    }

    fn add_strategy(
        &mut self,
        name: &str,
        kind: StrategyKind,
        asset: Account,
        oracle: Account,
    ) -> Outcome {
        check_text("strategy's name", name, MAX_NAME)?;
        let native = kind == StrategyKind::NativeEth;
        if let Some(first) = self.meta.native.filter(|_| native) {
            return Err(Refusal::SecondNative { first });
        }
        let strategy = take_number(&mut self.meta.next_strategy)?;
        if native {
            self.meta.native = Some(strategy);
        }
        let none = Amount::ZERO;
        self.strategies.insert(
            strategy,
            Strategy {
                name: name.to_owned(),
                kind,
                asset,
                oracle,
                shares: none,
                balance: none,
                deposited: none,
                idle: none,
                idle_queued: none,
                idle_open: 0,
                matured: none,
                paid: none,
                slashed: none,
                penalised: none,
                rounding: none,
                tokens_in: none,
                tokens_paid: none,
                tokens_burnt: none,
                tokens_redistributed: none,
                tokens_lost: none,
            },
        );
        self.emit(Event::StrategyAdded { strategy });
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> Outcome {
        params.check()?;
        if let Some(got) = self
            .services
            .iter()
            .map(|(_, service)| service.veto_window)
            .max()
            .filter(|got| *got > params.timing.veto)
        {
            return Err(Refusal::VetoWindow {
                got,
                max: params.timing.veto,
            });
        }
        self.meta.params = params.clone();
        self.emit(Event::ParamsSet {});
        Ok(())
    }
}
