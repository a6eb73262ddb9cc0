//! The state, and how a transaction changes it: all of it or nothing.

use std::collections::HashMap;

use alloy_primitives::B256;
use ashlar_crypto::bls::PublicKey;
use ashlar_crypto::hash::sha256;
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_crypto::merkle::MerkleTree;
use ashlar_proto::{Account, BlobKey, Domain, Network, OperatorId, QuorumId, TableRoot};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::book::{MerkleMap, canonical};
use super::error::Outcome;
use super::types::*;
use super::{Amount, Event, Transaction, TransactionError};
use super::{Genesis, Meta};

const STATE_TAG: &[u8] = b"ashlar/ledger-state/1";
const META_TAG: &[u8] = b"ashlar/ledger-meta/1";
const TRAIL_TAG: &[u8] = b"ashlar/ledger-trail/1";
const GENESIS_TAG: &[u8] = b"ashlar/ledger-genesis/1";

/// An operator's public face from a block on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Endpoint {
    pub(super) network_key: NetworkPublicKey,
    pub(super) address: String,
}

macro_rules! state {
    ($($(#[$doc:meta])* $name:ident: $key:ty => $value:ty,)*) => {
        /// The whole ledger at one moment. Deterministic: the same genesis and the same transactions give the same root.
        ///
        /// Memory: some 500 bytes a position with its staker, 200 an open withdrawal, 150 a change of an operator's weight
        /// in a quorum (at most one a block, operator and quorum).
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct State {
            pub(super) meta: Meta,
            $($(#[$doc])* pub(super) $name: MerkleMap<$key, $value>,)*
            #[serde(skip)]
            before: Option<Meta>,
            #[serde(skip)]
            pub(super) events: Vec<Event>,
            /// Decoded keys of registered operators. No part of the state: it follows from `operators`.
            #[serde(skip)]
            pub(super) keys: HashMap<OperatorId, PublicKey>,
        }

        impl State {
            fn empty(meta: Meta) -> Self {
                Self {
                    meta,
                    $($name: MerkleMap::default(),)*
                    before: None,
                    events: Vec::new(),
                    keys: HashMap::new(),
                }
            }

            fn commit(&mut self) {
                self.before = None;
                $(self.$name.commit();)*
            }

            fn rollback(&mut self) {
                if let Some(before) = self.before.take() {
                    self.meta = before;
                }
                self.events.clear();
                $(self.$name.rollback();)*
            }

            /// The state root: SHA-256 Merkle trees over every entry of the state, each kind of entry under its name.
            ///
            /// Costs what changed since it was asked last. Writing changes nothing but caches.
            pub fn root(&mut self) -> B256 {
                let roots = vec![
                    sha256(&[META_TAG, &canonical(&self.meta)]),
                    $(self.$name.root(stringify!($name)),)*
                ];
                sha256(&[STATE_TAG, &MerkleTree::from_leaf_hashes(roots).root()]).into()
            }
        }
    };
}

state! {
    strategies: StrategyId => Strategy,
    stakers: Account => Staker,
    positions: (Account, StrategyId) => Position,
    pools: (OperatorId, StrategyId) => OperatorShares,
    withdrawals: u64 => Withdrawal,
    validators: u64 => Account,
    operators: OperatorId => Operator,
    operator_accounts: Account => OperatorId,
    network_keys: NetworkPublicKey => OperatorId,
    faces: (OperatorId, Block) => Endpoint,
    services: ServiceId => Service,
    dispersers: (ServiceId, u32) => Disperser,
    /// Bond of a disperser that tables show, from the block on, until the next entry's.
    disperser_bonds: (ServiceId, u32, Block) => Amount,
    /// Network keys of the dispersers that tables show.
    disperser_keys: (ServiceId, NetworkPublicKey) => u32,
    head_keys: Account => HeadKey,
    /// Heads that contradict the ledger, by what was signed.
    contradictions: (ServiceId, Block, TableRoot) => Contradiction,
    quorums: (ServiceId, QuorumId) => Quorum,
    totals: (ServiceId, QuorumId) => QuorumTotals,
    members: (ServiceId, QuorumId, OperatorId) => Member,
    allocations: AllocationKey => Allocation,
    /// Weight from the block on, until the next entry's.
    weights: (ServiceId, QuorumId, OperatorId, Block) => Amount,
    requests: u64 => SlashRequest,
    faults: FaultRecord => Block,
    challenges: u64 => OpenChallenge,
    /// Whom, by whom and for which blob the open challenges are.
    challenged: (ServiceId, OperatorId, Account, BlobKey) => u64,
    bonds: Account => BondFund,
    /// Bonds paid out, ever, by account and token.
    bonds_paid: (Account, Account) => Amount,
    markets: ServiceId => PaymentMarket,
    payees: (ServiceId, u32) => Payee,
    payment_accounts: (ServiceId, u32, Account) => PaymentAccount,
    /// Rows a second that are reserved from the block on, until the next entry's.
    reserved: (ServiceId, Block) => u64,
    splits: (OperatorId, ServiceId) => Delayed<u16>,
    roots: u64 => RewardRoot,
    funds: Account => Fund,
    /// Cumulative earnings paid, by earner and token.
    claims: (Account, Account) => Amount,
    sources: B256 => Block,
    vaults: VaultId => Vault,
    vault_parts: (VaultId, OperatorId) => VaultPart,
    vault_accounts: Account => (VaultId, OperatorId),
    vault_shares: (VaultId, Account) => Amount,
    vault_requests: (VaultId, u64) => VaultRequest,
    /// What a vault earned and has not handed on, by token and kind.
    vault_pots: (VaultId, Account, RewardKind) => Amount,
    timers: (Block, u64) => Timer,
}

impl State {
    /// The state before any transaction.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Param`], [`TransactionError::Timing`] or [`TransactionError::Text`] if the genesis breaks a rule.
    pub fn new(genesis: &Genesis) -> Result<Self, TransactionError> {
        check_text("network's name", &genesis.network, 64)?;
        genesis.params.check()?;
        let mut state = Self::empty(Meta {
            network: genesis.network.clone(),
            id: genesis.id(),
            head_key: genesis.head_key,
            block: genesis.block,
            transactions: 0,
            admin: genesis.admin,
            reward_updater: genesis.reward_updater,
            params: genesis.params.clone(),
            trail: genesis.hash(),
            seed: genesis.hash(),
            native: None,
            next_strategy: 1,
            next_service: 1,
            next_vault: 1,
            next_withdrawal: 1,
            next_request: 1,
            next_challenge: 1,
            next_root: 1,
            next_timer: 1,
        });
        state.head_keys.insert(
            genesis.head_key,
            HeadKey {
                from: Block(0),
                until: None,
                succession: None,
            },
        );
        state.commit();
        Ok(state)
    }

    /// Applies a transaction in `block`, which is the ledger's block or a later one. All that was due until then happens
    /// first, in its own block.
    ///
    /// # Errors
    ///
    /// [`TransactionError`]; then the state is what it was, its block included.
    pub fn apply(
        &mut self,
        block: Block,
        transaction: &Transaction,
    ) -> Result<Vec<Event>, TransactionError> {
        self.begin();
        let result =
            self.advance_to(block)
                .and_then(|()| self.execute(transaction.sender, &transaction.action))
                .and_then(|()| {
                    self.meta.transactions = self.meta.transactions.checked_add(1).ok_or(
                        TransactionError::Overflow {
                            what: "the number of transactions",
                        },
                    )?;
                    let trail: B256 = sha256(&[
                        TRAIL_TAG,
                        self.meta.trail.as_slice(),
                        &block.0.to_be_bytes(),
                        transaction.hash().as_slice(),
                    ])
                    .into();
                    self.meta.trail = trail;
                    Ok(())
                });
        self.end(result)
    }

    /// Goes to `block` without a transaction: what is due until then happens.
    ///
    /// # Errors
    ///
    /// [`TransactionError::BlockInPast`].
    pub fn advance(&mut self, block: Block) -> Result<Vec<Event>, TransactionError> {
        self.begin();
        let result = self.advance_to(block);
        self.end(result)
    }

    fn begin(&mut self) {
        self.before = Some(self.meta.clone());
        self.events.clear();
    }

    fn end(&mut self, result: Outcome) -> Result<Vec<Event>, TransactionError> {
        match result {
            Ok(()) => {
                self.commit();
                Ok(std::mem::take(&mut self.events))
            }
            Err(refusal) => {
                self.rollback();
                Err(refusal)
            }
        }
    }

    fn advance_to(&mut self, block: Block) -> Outcome {
        let expected = self.meta.block;
        if block < expected {
            return Err(TransactionError::BlockInPast {
                got: block,
                expected,
            });
        }
        if block > expected {
            self.meta.seed = self.meta.trail;
        }
        while let Some(&key) = self.timers.first_key().filter(|(due, _)| *due <= block) {
            let timer = self
                .timers
                .remove(&key)
                .ok_or(inconsistent("a timer is gone"))?;
            self.meta.block = key.0.max(self.meta.block);
            match timer {
                Timer::Mature(withdrawal) => self.mature(withdrawal)?,
                Timer::Allocation(allocation) => self.allocation_due(allocation)?,
                Timer::Expired(request) => self.expire_request(request),
                Timer::Left(service, quorum, operator) => self.left(service, quorum, operator)?,
                Timer::Unanswered(challenge) => self.unanswered(challenge)?,
                Timer::DisperserGone(service, disperser) => {
                    self.disperser_gone(service, disperser)?;
                }
                Timer::ReservationOver(service, disperser, account) => {
                    self.reservation_over(service, disperser, account)?;
                }
            }
        }
        self.meta.block = block;
        Ok(())
    }

    pub(super) fn at(&mut self, block: Block, timer: Timer) -> Outcome {
        let number = take_number(&mut self.meta.next_timer)?;
        self.timers.insert((block, number), timer);
        Ok(())
    }

    pub(super) fn emit(&mut self, event: Event) {
        self.events.push(event);
    }

    /// The state as canonical JSON, for a snapshot.
    ///
    /// # Errors
    ///
    /// What the JSON library says; no value of the state makes it fail.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// The state of a snapshot. Whoever reads one compares its [`root`](Self::root) with the one it should have.
    ///
    /// # Errors
    ///
    /// What the JSON library says, or that a BLS key does not decode.
    pub fn from_json(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Self>(bytes)?.with_keys()
    }

    /// Decodes the operators' keys, after the state was read from somewhere.
    ///
    /// # Errors
    ///
    /// That a BLS key does not decode.
    pub fn with_keys(mut self) -> Result<Self, serde_json::Error> {
        self.keys = self
            .operators
            .iter()
            .map(|(id, operator)| Ok((*id, PublicKey::from_bytes(&operator.bls_public_key)?)))
            .collect::<Result<_, ashlar_crypto::bls::BlsError>>()
            .map_err(serde_json::Error::custom)?;
        Ok(self)
    }

    /// What everything of a service carries.
    pub fn domain(&self, service: ServiceId) -> Domain {
        self.meta.id.domain(u64::from(service))
    }

    pub(super) fn block(&self) -> Block {
        self.meta.block
    }

    /// The block that is `delay` after this one.
    pub(super) fn after(&self, delay: u64) -> Outcome<Block> {
        self.meta
            .block
            .checked_add(delay)
            .ok_or(TransactionError::Overflow {
                what: "a block number",
            })
    }
}

impl Genesis {
    /// Names the ledger: the first link of its log's chain.
    pub fn hash(&self) -> B256 {
        sha256(&[GENESIS_TAG, &canonical(self)]).into()
    }

    /// The network that the ledger is.
    pub fn id(&self) -> Network {
        Network::ledger(&self.hash())
    }
}

/// Takes the next number.
pub(super) fn take_number<T: Copy + TryFrom<u64> + Into<u64>>(next: &mut T) -> Outcome<T> {
    let number = *next;
    *next = number
        .into()
        .checked_add(1)
        .and_then(|next| T::try_from(next).ok())
        .ok_or(TransactionError::Overflow { what: "a number" })?;
    Ok(number)
}

/// Bytes of a name.
pub const MAX_NAME: usize = 64;
/// Bytes of the reason of a slash.
pub const MAX_REASON: usize = 1024;

/// 1 to `max` bytes.
pub(super) fn check_text(what: &'static str, text: &str, max: usize) -> Outcome {
    let got = text.len();
    if got == 0 || got > max {
        return Err(TransactionError::Text { what, got, max });
    }
    Ok(())
}

pub(super) fn check_amount(what: &'static str, amount: Amount) -> Outcome {
    if amount.is_zero() {
        return Err(TransactionError::ZeroAmount { what });
    }
    Ok(())
}

pub(super) fn check_sender(who: Account, role: &'static str, expected: Account) -> Outcome {
    if who == expected {
        Ok(())
    } else {
        Err(TransactionError::NotAllowed {
            who,
            role,
            expected,
        })
    }
}

pub(super) fn inconsistent(what: &'static str) -> TransactionError {
    TransactionError::Inconsistent { what }
}
