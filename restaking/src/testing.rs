//! What the ledger's tests share: a small world, random transactions for it, and the invariants.

pub(crate) mod custody;
mod invariants;
mod world;

pub(crate) use custody::custody_terms;
pub(crate) use invariants::Watch;
pub(crate) use world::{World, key, operator_key, payer, payment_terms};

use std::collections::BTreeMap;

use alloy_primitives::B256;

use super::log::Entry;
use super::*;
use ashlar_crypto::Coded;
use ashlar_crypto::account::AccountKey;
use ashlar_proto::{Account, Network};

pub(crate) fn account(number: u8) -> Account {
    Account([number; 20])
}

pub(crate) const ADMIN: u8 = 0xa0;
pub(crate) const ORACLE: u8 = 0xa1;
pub(crate) const UPDATER: u8 = 0xa2;
pub(crate) const OWNER: u8 = 0xb0;
pub(crate) const SLASHER: u8 = 0xb1;
pub(crate) const RESOLVER: u8 = 0xb2;
pub(crate) const EJECTOR: u8 = 0xb3;
pub(crate) const MANAGER: u8 = 0xc0;

/// Delays of a few blocks.
pub(crate) fn params() -> Params {
    Params {
        block_seconds: 12,
        withdrawal_delay: 14,
        deallocation_delay: 16,
        allocation_delay_change: 5,
        slasher_delay: 6,
        split_delay: 4,
        root_delay: 3,
        execution_window: 4,
        slash_cap: Wad::ONE,
        report_interval: 2,
        timing: Timing {
            open_to_challenges: 6,
            challenge: 1,
            response: 3,
            veto: 3,
            margin: 1,
        },
    }
}

pub(crate) fn genesis() -> Genesis {
    Genesis {
        network: "test".into(),
        salt: B256::repeat_byte(7),
        block: Block(1),
        head_key: Account(head_key(0).address()),
        admin: account(ADMIN),
        reward_updater: account(UPDATER),
        params: params(),
    }
}

/// The keys that sign heads, one after the other.
pub(crate) fn head_key(number: u8) -> AccountKey {
    AccountKey::from_bytes(&[0x77 + number; 32]).unwrap()
}

pub(crate) fn network() -> Network {
    genesis().id()
}

pub(crate) fn disperser_terms() -> DisperserTerms {
    DisperserTerms {
        token: account(0xe5),
        min_bond: Amount::from(500u64),
        max: 3,
    }
}

/// A trace in progress.
pub(crate) struct Trace {
    pub(crate) world: World,
    pub(crate) state: State,
    pub(crate) entries: Vec<Entry>,
    pub(crate) accepted: BTreeMap<&'static str, u64>,
    pub(crate) refused: BTreeMap<&'static str, u64>,
    watch: Watch,
}

impl Trace {
    pub(crate) fn new(seed: u64) -> Self {
        let state = State::new(&genesis()).unwrap();
        Self {
            world: World::new(seed),
            state,
            entries: Vec::new(),
            accepted: BTreeMap::new(),
            refused: BTreeMap::new(),
            watch: Watch::default(),
        }
    }

    /// A step: perhaps to a later block, then a transaction; everything is checked after both.
    pub(crate) fn step(&mut self) {
        let block = self.state.meta().block + self.world.blocks();
        let before = self.state.clone();
        self.watch.remember(&before, block);
        let events = self.state.advance(block).unwrap();
        if block > before.meta().block {
            self.entries.push(Entry::Block(block));
        }
        self.watch.compare(&before, &self.state, None, &events);
        let transaction = self.world.next(&self.state);
        self.send(transaction).ok();
    }

    pub(crate) fn send(&mut self, transaction: Transaction) -> Result<(), TransactionError> {
        let block = self.state.meta().block;
        let before = self.state.clone();
        let name = transaction.action.name();
        match self.state.apply(block, &transaction) {
            Ok(events) => {
                *self.accepted.entry(name).or_default() += 1;
                self.world.learn(&transaction, &events);
                self.watch
                    .compare(&before, &self.state, Some(&transaction.action), &events);
                self.entries
                    .push(Entry::Transaction(block, Box::new(transaction)));
                Ok(())
            }
            Err(refusal) => {
                assert!(
                    !matches!(refusal, TransactionError::Inconsistent { .. }),
                    "{refusal}: {transaction:?}"
                );
                assert_eq!(
                    before.to_json().unwrap(),
                    self.state.to_json().unwrap(),
                    "refused and changed: {transaction:?}"
                );
                *self.refused.entry(refusal.code()).or_default() += 1;
                Err(refusal)
            }
        }
    }

    /// What is too dear for every step.
    pub(crate) fn finish(mut self) -> Self {
        self.watch.finish(&self.state);
        let root = self.state.root();
        let mut replayed = State::replay(&genesis(), &self.entries).unwrap();
        assert_eq!(replayed.root(), root, "replay");
        let mut restored = State::from_json(&self.state.to_json().unwrap()).unwrap();
        assert_eq!(restored.root(), root, "snapshot");
        self
    }
}

/// Amounts small and large, round and odd.
pub(crate) fn some_amount(random: u64, scale: u64) -> Amount {
    let odd = random >> 8;
    Amount::from(match random % 5 {
        0 => u128::from(odd % 10),
        1 => u128::from(odd % 100_000),
        2 => u128::from(odd % 1_000_000_007) * 1_000_003,
        3 => u128::from(1 + odd % scale) * 1_000_000_000_000_000_000,
        _ => u128::from(odd) * u128::from(1 + odd % scale),
    })
}

/// A ledger for directed tests.
pub(crate) struct Lab {
    pub(crate) state: State,
    pub(crate) block: Block,
}

impl Lab {
    /// Strategies 1 (native), 2 and 3; operators 0 and 1 with 100 whole tokens each in 2; service 1 without veto, service 2
    /// with; each with quorum 0 over all strategies and quorum 1 over 2 and 3 that redistributes.
    pub(crate) fn new() -> Self {
        let mut lab = Self {
            state: State::new(&genesis()).unwrap(),
            block: Block(1),
        };
        for (step, kind) in [
            StrategyKind::NativeEth,
            StrategyKind::Lst,
            StrategyKind::LpLst,
        ]
        .into_iter()
        .enumerate()
        {
            let action = Action::AddStrategy {
                name: "asset".into(),
                kind,
                asset: account([0, 0xe1, 0xe2][step]),
                oracle: account(ORACLE),
            };
            lab.ok(ADMIN, action);
        }
        lab.ok(OWNER, lab.service(None, 0));
        lab.ok(OWNER, lab.service(Some(RESOLVER), 3));
        for service in 1..=2 {
            for quorum in 0..=1 {
                let config = lab.config(quorum);
                lab.ok(
                    OWNER,
                    Action::AddQuorum {
                        service,
                        quorum,
                        config,
                    },
                );
            }
        }
        for index in 0..2 {
            lab.ok(0x40 + index, World::register(index.into(), 0));
            lab.ok(
                0x40 + index,
                Action::Deposit {
                    strategy: 2,
                    amount: Amount::ether(100),
                },
            );
        }
        lab
    }

    pub(crate) fn service(&self, resolver: Option<u8>, veto_window: u64) -> Action {
        Action::RegisterService {
            name: "data".into(),
            conditions: "double signing".into(),
            slasher: account(SLASHER),
            resolver: resolver.map(account),
            veto_window,
            slash_cap: Wad::ONE,
            ejector: account(EJECTOR),
            versions: vec![1],
            dispersers: disperser_terms(),
            custody: Some(custody_terms()),
        }
    }

    pub(crate) fn config(&self, quorum: u8) -> QuorumConfig {
        QuorumConfig {
            strategies: (if quorum == 0 { 1..=3 } else { 2..=3 })
                .map(|strategy| QuorumStrategy {
                    strategy,
                    multiplier: Amount::WAD,
                })
                .collect(),
            minimum_weight: Amount::from(1000u64),
            maximum_operators: 1,
            churn_bps: 11_000,
            ejection_bps: 10_000,
            ejection_window: 10,
            ejection_cooldown: 7,
            redistribute_to: (quorum == 1).then_some(account(0xe9)),
        }
    }

    pub(crate) fn send(
        &mut self,
        sender: u8,
        action: Action,
    ) -> Result<Vec<Event>, TransactionError> {
        let before = self.state.to_json().unwrap();
        let sender = account(sender);
        let result = self
            .state
            .apply(self.block, &Transaction { sender, action });
        if result.is_err() {
            assert_eq!(before, self.state.to_json().unwrap(), "refused and changed");
        }
        self.state.check_books().unwrap();
        result
    }

    pub(crate) fn ok(&mut self, sender: u8, action: Action) -> Vec<Event> {
        self.send(sender, action).unwrap()
    }

    pub(crate) fn code(&mut self, sender: u8, action: Action) -> &'static str {
        let refusal = self.send(sender, action).unwrap_err();
        assert!(!refusal.to_string().is_empty());
        refusal.code()
    }

    pub(crate) fn pass(&mut self, blocks: u64) {
        self.block = self.block + blocks;
        self.state.advance(self.block).unwrap();
    }

    /// Operator `index` allocates to service 1, quorum 0, strategy 2, and joins.
    pub(crate) fn join(&mut self, index: u8, magnitude: Wad) {
        self.ok(
            0x40 + index,
            Action::Allocate {
                service: 1,
                quorum: 0,
                strategy: 2,
                magnitude,
            },
        );
        self.ok(
            0x40 + index,
            Action::OptIn {
                service: 1,
                quorum: 0,
            },
        );
    }

    pub(crate) fn slash(&self, index: usize, wad: Wad) -> Action {
        Action::Slash {
            service: 1,
            quorum: 0,
            operator: operator_key(index),
            parts: vec![SlashPart { strategy: 2, wad }],
            reason: "double signing".into(),
        }
    }
}
