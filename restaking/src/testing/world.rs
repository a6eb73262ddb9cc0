//! Random transactions that have a chance to be accepted.

mod payments;
mod signed;

pub(crate) use payments::{payer, payment_terms};

use std::sync::OnceLock;

use alloy_primitives::B256;
use ashlar_crypto::bls::{PublicKeyBytes, SignatureBytes};
use ashlar_proto::{Account, OperatorId, table::operator_id};

use super::super::distribution::Distribution;
use super::super::*;
use super::*;
use ashlar_testing::{bls_key, network_key};

const KEYS: usize = 8;
const STAKERS: u8 = 7;
/// Transactions that make the cast.
const SCRIPT: usize = 62;

/// BLS keys with proofs, made once.
pub(crate) fn key(index: usize) -> (PublicKeyBytes, SignatureBytes) {
    static MADE: OnceLock<Vec<(PublicKeyBytes, SignatureBytes)>> = OnceLock::new();
    MADE.get_or_init(|| {
        (0..KEYS)
            .map(|index| {
                let key = bls_key(index);
                (
                    key.public_key().to_bytes(),
                    key.prove_possession().to_bytes(),
                )
            })
            .collect()
    })[index]
}

pub(crate) fn operator_key(index: usize) -> OperatorId {
    operator_id(&key(index).0)
}

pub(crate) struct World {
    random: u64,
    started: usize,
    distribution: Distribution,
    roots: Vec<(u64, Distribution)>,
    validators: u64,
    counter: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            started: 0,
            distribution: Distribution::default(),
            roots: Vec::new(),
            validators: 0,
            counter: 0,
        }
    }

    /// splitmix64
    pub(crate) fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.draw() % n.max(1)
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> Option<T> {
        let index = self.below(list.len() as u64) as usize;
        list.get(index).cloned()
    }

    pub(crate) fn blocks(&mut self) -> u64 {
        if self.started < SCRIPT {
            return 0;
        }
        match self.below(12) {
            0..=5 => 0,
            6..=9 => 1,
            10 => self.below(5),
            _ => self.below(20),
        }
    }

    pub(crate) fn learn(&mut self, transaction: &Transaction, events: &[Event]) {
        for event in events {
            if let (Event::RootSubmitted { index, .. }, Action::SubmitRoot { .. }) =
                (event, &transaction.action)
            {
                self.roots.push((*index, self.distribution.clone()));
            }
        }
    }

    fn staker(&mut self) -> Account {
        account(1 + self.below(STAKERS.into()) as u8)
    }

    fn operator_account(&mut self) -> Account {
        account(0x40 + self.operator_index() as u8)
    }

    fn operator(&mut self) -> OperatorId {
        operator_key(self.operator_index())
    }

    /// Mostly one of the first four, who are there from the start.
    fn operator_index(&mut self) -> usize {
        let among = if self.below(4) > 0 { 4 } else { KEYS - 2 };
        self.below(among as u64) as usize
    }

    fn strategy(&mut self) -> StrategyId {
        1 + self.below(3) as u32
    }

    fn token(&mut self, state: &State) -> Account {
        match self.below(3) {
            0 => state.strategy(2).map_or(account(0xe0), |s| s.asset),
            _ => account(0xe0),
        }
    }

    fn wad(&mut self) -> Wad {
        match self.below(6) {
            0 => Wad::ONE,
            1 => Wad(1),
            2 => Wad::percent(self.draw() % 101),
            3 => Wad(self.draw() % 1000),
            _ => Wad(self.draw() % (WAD / 3)),
        }
    }

    fn config(&mut self, quorum: u8) -> QuorumConfig {
        QuorumConfig {
            strategies: (1..=3u32)
                .filter(|strategy| quorum == 0 || *strategy != 1)
                .map(|strategy| QuorumStrategy {
                    strategy,
                    multiplier: Amount::from(WAD / 2 + self.draw() % WAD),
                })
                .collect(),
            minimum_weight: Amount::from(self.below(1000)),
            maximum_operators: if quorum == 0 { 5 } else { 2 },
            churn_bps: 10_000 + self.below(2000) as u32,
            ejection_bps: 6000,
            ejection_window: 10,
            ejection_cooldown: 7,
            redistribute_to: (quorum == 1).then_some(account(0xe9)),
        }
    }

    /// The first transactions make the cast.
    fn first(&mut self) -> Option<Transaction> {
        let step = self.started;
        self.started += 1;
        let (sender, action) = match step {
            0..=2 => (
                account(ADMIN),
                Action::AddStrategy {
                    name: ["ether", "stETH", "LP"][step].into(),
                    kind: [
                        StrategyKind::NativeEth,
                        StrategyKind::Lst,
                        StrategyKind::LpLst,
                    ][step],
                    asset: account([0, 0xe1, 0xe2][step]),
                    oracle: account(ORACLE),
                },
            ),
            3..=4 => (
                account(OWNER),
                Action::RegisterService {
                    name: "data".into(),
                    conditions: "what is slashed".into(),
                    slasher: account(SLASHER),
                    resolver: (step == 4).then_some(account(RESOLVER)),
                    veto_window: if step == 4 { 3 } else { 0 },
                    slash_cap: Wad::ONE,
                    ejector: account(EJECTOR),
                    versions: vec![1],
                    dispersers: disperser_terms(),
                    custody: Some(CustodyTerms {
                        max_open: 5,
                        ..custody_terms()
                    }),
                },
            ),
            5..=8 => {
                let quorum = (step % 2) as u8;
                let config = self.config(quorum);
                (
                    account(OWNER),
                    Action::AddQuorum {
                        service: if step < 7 { 1 } else { 2 },
                        quorum,
                        config,
                    },
                )
            }
            9..=12 => {
                let index = step - 9;
                let delay = self.below(4);
                (account(0x40 + index as u8), Self::register(index, delay))
            }
            13..=20 => {
                let sender = if step.is_multiple_of(2) {
                    self.staker()
                } else {
                    account(0x40 + self.below(4) as u8)
                };
                let strategy = 2 + self.below(2) as u32;
                let amount = some_amount(self.draw(), 50);
                (sender, Action::Deposit { strategy, amount })
            }
            21 => {
                let profile = vec![
                    (operator_key(0), 6000),
                    (operator_key(1), 3000),
                    (operator_key(2), 1000),
                ];
                (
                    account(MANAGER),
                    Action::CreateVault {
                        name: "liquid".into(),
                        strategy: if self.below(4) == 0 { 1 } else { 2 },
                        seed: Amount::ether(1),
                        fee_bps: 1000,
                        fee_recipient: account(MANAGER),
                        cap_up_bps: CAP_UP_BPS,
                        cap_down_bps: CAP_DOWN_BPS,
                        profile,
                    },
                )
            }
            22..=29 => (
                account(0x40 + (step % 4) as u8),
                Action::Deposit {
                    strategy: 2 + (step / 26) as u32,
                    amount: Amount::ether(1 + self.below(300)),
                },
            ),
            30..=61 => {
                let combination = (step - 30) / 4 % 4;
                let service = 1 + (combination % 2) as u32;
                let quorum = (combination / 2) as u8;
                let action = if step < 46 {
                    Action::Allocate {
                        service,
                        quorum,
                        strategy: 2 + (step % 2) as u32,
                        magnitude: Wad(1 + self.below(WAD / 5)),
                    }
                } else {
                    Action::OptIn { service, quorum }
                };
                (account(0x40 + (step % 4) as u8), action)
            }
            _ => return None,
        };
        // Some worlds are left unfinished.
        if step >= 22 && self.below(6) == 0 {
            return None;
        }
        Some(Transaction { sender, action })
    }

    pub(crate) fn next(&mut self, state: &State) -> Transaction {
        if let Some(transaction) = self.first() {
            return transaction;
        }
        let (sender, action) = match self.below(112) {
            100.. => self.of_account(state),
            0..=29 => self.of_staker(state),
            30..=54 => self.of_operator(state),
            55..=74 => self.of_service(state),
            75..=94 => self.of_vault(state),
            _ => self.of_admin(state),
        };
        // Now and then by somebody who may not.
        let sender = if self.below(60) == 0 {
            account(0xee)
        } else {
            sender
        };
        Transaction { sender, action }
    }

    fn of_staker(&mut self, state: &State) -> (Account, Action) {
        let sender = if self.below(4) == 0 {
            self.operator_account()
        } else {
            self.staker()
        };
        let strategy = self.strategy();
        let action = match self.below(12) {
            0..=2 => Action::Deposit {
                strategy: 2 + strategy % 2,
                amount: some_amount(self.draw(), 100),
            },
            3 => {
                self.validators += self.below(2);
                Action::AddValidator {
                    strategy: 1,
                    validator: self.validators,
                }
            }
            4 => Action::Delegate {
                operator: self.operator(),
            },
            5 if self.below(3) == 0 => Action::Undelegate {},
            6 if self.below(2) == 0 => Action::Redelegate {
                operator: self.operator(),
            },
            5..=8 => {
                let held: Vec<_> = state
                    .staker(sender)
                    .map(|staker| staker.strategies.iter().copied().collect())
                    .unwrap_or_default();
                let strategy = self.pick(&held).unwrap_or(strategy);
                let held = state.shares_of(sender, strategy);
                let part = self.below(100);
                Action::QueueWithdrawal {
                    strategy,
                    shares: (part > 10).then(|| held.mul_div(part.into(), 99u64.into()).unwrap()),
                }
            }
            _ => {
                let open: Vec<u64> = state
                    .stakers()
                    .flat_map(|(_, staker)| staker.withdrawals.iter().copied())
                    .collect();
                let withdrawal = self.pick(&open).unwrap_or_default();
                let owner = state.withdrawal(withdrawal).map_or(sender, |w| w.staker);
                return (
                    owner,
                    Action::CompleteWithdrawal {
                        withdrawal,
                        as_shares: self.below(3) == 0,
                    },
                );
            }
        };
        (sender, action)
    }

    fn of_operator(&mut self, state: &State) -> (Account, Action) {
        let sender = self.operator_account();
        let (service, quorum) = (1 + self.below(2) as u32, self.below(2) as u8);
        let action = match self.below(20) {
            0 => {
                let index = sender.0[0] as usize - 0x40;
                Self::register(index, self.below(5))
            }
            1 => {
                let network_key = network_key(100 + self.below(20) as usize);
                let address = format!("10.0.0.{}:7000", self.below(250));
                let known = state.operator_accounts.get(&sender);
                let known = known.and_then(|id| state.operator(*id));
                // Now and then a statement that was used before.
                let next = known.map_or(0, |operator| operator.sequence) + 1;
                let sequence = next - u64::from(self.below(8) == 0);
                Self::update(sender.0[0] as usize - 0x40, network_key, &address, sequence)
            }
            2 => Action::SetAllocationDelay {
                blocks: self.below(6),
            },
            3 => Action::SetFeeSplit {
                service,
                bps: self.below(10_500) as u16,
            },
            4..=11 => Action::Allocate {
                service,
                quorum,
                strategy: self.strategy(),
                magnitude: if self.below(4) == 0 {
                    Wad::ZERO
                } else {
                    self.wad()
                },
            },
            12..=16 => Action::OptIn { service, quorum },
            17..=18 => Action::OptOut { service, quorum },
            _ if self.below(3) == 0 => {
                // Late ones that never joined anything.
                let action = match state.operator_accounts.contains(&account(0x45)) {
                    true => Action::RetireOperator {},
                    false => Self::register(5, 0),
                };
                return (account(0x45), action);
            }
            _ => Action::OptIn { service, quorum },
        };
        (sender, action)
    }

    fn parts(&mut self) -> Vec<SlashPart> {
        let mut parts: Vec<_> = (1..=3)
            .filter(|_| self.below(3) > 0)
            .map(|strategy| SlashPart {
                strategy,
                wad: Wad::ONE,
            })
            .collect();
        for part in &mut parts {
            part.wad = self.wad();
        }
        parts
    }

    fn of_service(&mut self, state: &State) -> (Account, Action) {
        let (service, quorum) = (1 + self.below(2) as u32, self.below(2) as u8);
        let operator = self.operator();
        let reason = "a fault".to_owned();
        let mut parts = self.parts();
        if quorum == 1 {
            parts.retain(|part| part.strategy != 1);
        }
        match self.below(24) {
            21 => self.of_disperser(state, service),
            22 => self.of_source(state, service),
            23 => (
                account(OWNER),
                Action::ActivateVersion {
                    service,
                    version: 1 + self.below(4) as u16,
                    from: state.meta().block + self.below(4),
                },
            ),
            16..=17 => self
                .challenge(state)
                .unwrap_or((account(1), Action::Undelegate {})),
            18..=20 => self
                .answer(state)
                .or_else(|| self.challenge(state))
                .unwrap_or((account(1), Action::Undelegate {})),
            0..=2 => (
                account(SLASHER),
                Action::Slash {
                    service,
                    quorum,
                    operator,
                    parts,
                    reason,
                },
            ),
            3 => (
                account(SLASHER),
                Action::SlashByEvidence {
                    service,
                    quorum,
                    parts,
                    fault: FaultRecord {
                        operator,
                        kind: 1,
                        evidence_hash: B256::repeat_byte(self.below(20) as u8),
                    },
                    reason,
                },
            ),
            4..=6 => {
                let open: Vec<u64> = state.slash_requests().map(|(id, _)| id).collect();
                let Some(request) = self.pick(&open) else {
                    let action = Action::Slash {
                        service: 2,
                        quorum,
                        operator,
                        parts,
                        reason,
                    };
                    return (account(SLASHER), action);
                };
                if self.below(4) == 0 {
                    (account(RESOLVER), Action::VetoSlash { request })
                } else {
                    (account(SLASHER), Action::ExecuteSlash { request })
                }
            }
            7 => (
                account(EJECTOR),
                Action::Eject {
                    service,
                    quorum,
                    operator,
                },
            ),
            8 => {
                let strategies = self.config(quorum).strategies;
                (
                    account(OWNER),
                    Action::SetMultipliers {
                        service,
                        quorum,
                        strategies,
                    },
                )
            }
            9 => (
                account(OWNER),
                Action::SetSlasher {
                    service,
                    slasher: account(SLASHER),
                },
            ),
            10 => self.of_disperser(state, service),
            11 => (
                account(OWNER),
                Action::PayReward {
                    service,
                    token: self.token(state),
                    amount: some_amount(self.draw(), 10),
                    kind: RewardKind::Fee,
                },
            ),
            12..=13 => self.new_root(state, service, quorum),
            14 if self.below(3) == 0 => {
                let roots: Vec<u64> = self.roots.iter().map(|(id, _)| *id).collect();
                // Most often the newest, which may not pay yet.
                let any = self.pick(&roots).unwrap_or_default();
                let root = roots
                    .last()
                    .copied()
                    .filter(|_| any % 2 == 1)
                    .unwrap_or(any);
                (account(UPDATER), Action::DisableRoot { root })
            }
            _ => self.claim(),
        }
    }

    /// Somebody becomes a disperser, adds to its bond, leaves, or is slashed.
    fn of_disperser(&mut self, state: &State, service: ServiceId) -> (Account, Action) {
        let owner = account(5 + self.below(2) as u8);
        let registered: Vec<_> = state
            .dispersers(service)
            .map(|(id, record)| (id, record.account))
            .collect();
        let some = self.pick(&registered);
        match (self.below(8), some) {
            (3, Some((disperser, owner))) => (
                owner,
                Action::TopUpDisperser {
                    service,
                    disperser,
                    amount: some_amount(self.draw(), 10),
                },
            ),
            (4..=6, Some((disperser, owner))) => {
                (owner, Action::ExitDisperser { service, disperser })
            }
            (7, Some((disperser, _))) => (
                account(SLASHER),
                Action::SlashDisperser {
                    service,
                    disperser,
                    evidence_hash: B256::repeat_byte(disperser as u8),
                    reason: "two batches under one sequence".into(),
                },
            ),
            _ => {
                let key = 200 + self.below(4) as usize;
                let bond = 400 + self.below(2000);
                let action = Self::disperse(state, service, owner, key, bond);
                (owner, action)
            }
        }
    }

    fn new_root(&mut self, state: &State, service: u32, quorum: u8) -> (Account, Action) {
        let token = self.token(state);
        let fund = state.fund(token);
        let left = fund.paid_in.minus(fund.claimed).unwrap();
        let amount = left
            .mul_div(self.below(60).into(), 99u64.into())
            .unwrap_or_default();
        let shares = state.reward_shares(service, quorum, amount).unwrap();
        let sum = shares
            .values()
            .try_fold(Amount::ZERO, |sum, part| sum.plus(*part))
            .unwrap();
        assert!(
            shares.is_empty() || sum == amount,
            "a split does not add up"
        );
        for (earner, part) in shares {
            self.distribution.add(earner, token, part).unwrap();
        }
        let root = self.distribution.root();
        (account(UPDATER), Action::SubmitRoot { root })
    }

    fn claim(&mut self) -> (Account, Action) {
        let recent = self.roots.len().saturating_sub(2);
        let at = if self.below(2) == 0 { recent } else { 0 };
        let roots: Vec<_> = self.roots[at.min(self.roots.len())..].to_vec();
        let sender = self.staker();
        let claim = self.pick(&roots).and_then(|(index, distribution)| {
            let earners: Vec<_> = distribution
                .earnings()
                .map(|(earner, _, _)| earner)
                .collect();
            let earner = self.pick(&earners)?;
            let mut claim = distribution.claim(index, earner)?;
            let keep = self.below(3) as usize;
            if claim.tokens.len() > 1 && keep < 2 {
                claim.tokens = vec![claim.tokens[keep].clone()];
            }
            if self.below(15) == 0 {
                claim.tokens[0].cumulative = Amount::ether(1_000_000);
            }
            Some(claim)
        });
        match claim {
            Some(claim) => (sender, Action::ClaimReward { claim }),
            None => (account(UPDATER), Action::SubmitRoot { root: B256::ZERO }),
        }
    }

    fn of_vault(&mut self, state: &State) -> (Account, Action) {
        let vault = 1;
        let staker = self.staker();
        let operator = operator_key(self.below(3) as usize);
        match self.below(18) {
            0..=2 => (
                staker,
                Action::VaultDeposit {
                    vault,
                    amount: some_amount(self.draw(), 100),
                },
            ),
            3..=4 => {
                let amount = (self.below(2) == 0).then(|| some_amount(self.draw(), 20));
                (staker, Action::VaultRequestWithdrawal { vault, amount })
            }
            5..=6 => (
                staker,
                Action::VaultFinalize {
                    vault,
                    count: 1 + self.below(4) as u32,
                },
            ),
            7 => {
                let open: Vec<_> = state.vault_requests(vault).collect();
                let (request, sender) = self
                    .pick(&open)
                    .map_or((0, staker), |(number, request)| (number, request.owner));
                (sender, Action::VaultClaimWithdrawal { vault, request })
            }
            8 => (
                staker,
                Action::VaultTransfer {
                    vault,
                    to: self.staker(),
                    shares: some_amount(self.draw(), 2),
                },
            ),
            9..=10 => {
                let native = state.vault(vault).is_some_and(|v| v.strategy == 1);
                self.validators += u64::from(native);
                (
                    account(MANAGER),
                    Action::VaultStake {
                        vault,
                        validators: if native {
                            vec![1000 + self.validators]
                        } else {
                            Vec::new()
                        },
                    },
                )
            }
            11 => (
                account(MANAGER),
                Action::VaultUnstake {
                    vault,
                    operator,
                    shares: (self.below(2) == 0).then(|| some_amount(self.draw(), 10)),
                },
            ),
            12..=13 => {
                let accounts: Vec<_> = (0..4)
                    .map(|i| vault_account(vault, &operator_key(i)))
                    .collect();
                let open: Vec<u64> = accounts
                    .iter()
                    .filter_map(|a| state.staker(*a))
                    .flat_map(|s| s.withdrawals.iter().copied())
                    .collect();
                let withdrawal = self.pick(&open).unwrap_or_default();
                (staker, Action::VaultCollect { vault, withdrawal })
            }
            14 => (staker, Action::VaultReport { vault }),
            15 => {
                self.counter += 1;
                let source = if self.below(3) == 0 { 1 } else { self.counter };
                (
                    account(MANAGER),
                    Action::VaultSource {
                        vault,
                        source: B256::left_padding_from(&source.to_be_bytes()),
                        kind: if self.below(2) == 0 {
                            RewardKind::Points
                        } else {
                            RewardKind::Incentive
                        },
                        token: self.token(state),
                        amount: some_amount(self.draw(), 5),
                    },
                )
            }
            16 => (
                account(UPDATER),
                Action::VaultDistribute {
                    vault,
                    token: self.token(state),
                },
            ),
            _ => {
                let other = operator_key(3 + self.below(1) as usize);
                let mut profile = vec![(operator_key(0), 5000), (operator_key(1), 3000)];
                profile.push((operator_key(2), 1000));
                profile.push((other, 1000));
                (account(MANAGER), Action::SetProfile { vault, profile })
            }
        }
    }

    fn of_admin(&mut self, state: &State) -> (Account, Action) {
        let strategy = 2 + self.below(2) as u32;
        match self.below(8) {
            0..=1 => {
                let now = state.strategy(strategy).map_or(Amount::ZERO, |s| s.balance);
                // Up by as much as 0.5 %, seldom down.
                let up = self.below(6) > 0;
                let by = now
                    .mul_div(self.below(50).into(), 10_000u64.into())
                    .unwrap();
                let balance = if up {
                    now.plus(by).unwrap()
                } else {
                    now.minus(by).unwrap()
                };
                (account(ORACLE), Action::Rebase { strategy, balance })
            }
            2 => (
                self.staker(),
                Action::Donate {
                    strategy,
                    amount: some_amount(self.draw(), 3),
                },
            ),
            3..=5 => {
                let pods: Vec<_> = state
                    .stakers()
                    .filter_map(|(id, s)| Some((id, s.pod.as_ref()?.balance)))
                    .collect();
                let (staker, balance) = self.pick(&pods).unwrap_or((account(1), Amount::ZERO));
                let per_mille = [0, 500, 900, 990, 999, 1001, 1002][self.below(7) as usize];
                let balance = balance
                    .mul_div(
                        u64::from(per_mille == 0).max(per_mille).into(),
                        1000u64.into(),
                    )
                    .unwrap()
                    .plus(self.below(3).into())
                    .unwrap();
                (
                    account(ORACLE),
                    Action::BeaconBalance {
                        strategy: 1,
                        staker,
                        balance,
                    },
                )
            }
            6 => {
                let mut params = params();
                params.withdrawal_delay += self.below(4);
                params.deallocation_delay -= self.below(4);
                (account(ADMIN), Action::SetParams { params })
            }
            _ => (
                account(ADMIN),
                Action::SetRewardUpdater {
                    account: account(UPDATER),
                },
            ),
        }
    }
}
