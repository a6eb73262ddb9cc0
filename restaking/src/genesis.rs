//! What a ledger begins with, and what it knows once.

use alloy_primitives::B256;
use ashlar_proto::{Account, Block, Network};
use serde::{Deserialize, Serialize};

use super::Params;
use super::types::{ServiceId, StrategyId, VaultId};

/// What the whole ledger knows once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The network's name.
    pub network: String,
    /// What is signed for this ledger carries it.
    pub id: Network,
    /// Whose key signs heads, or is going to: the last successor.
    pub head_key: Account,
    /// The block of the last change.
    pub block: Block,
    /// Transactions applied.
    pub transactions: u64,
    /// Adds strategies and sets parameters.
    pub admin: Account,
    /// Submits reward roots.
    pub reward_updater: Account,
    /// The parameters.
    pub params: Params,
    /// Hash of every transaction so far, in its order.
    pub(super) trail: B256,
    /// What the trail was when the block began: what anybody can know before it sends a transaction for this block, and nobody can
    /// choose within it.
    pub(super) seed: B256,
    /// The strategy for native ETH.
    pub native: Option<StrategyId>,
    pub(super) next_strategy: StrategyId,
    pub(super) next_service: ServiceId,
    pub(super) next_vault: VaultId,
    pub(super) next_withdrawal: u64,
    pub(super) next_request: u64,
    pub(super) next_challenge: u64,
    pub(super) next_root: u64,
    pub(super) next_timer: u64,
}

/// What a ledger begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// The network's name, 1 to 64 bytes, for people.
    pub network: String,
    /// 32 random bytes, so that no two ledgers have one hash, and nothing signed for one counts in another.
    pub salt: B256,
    /// Whose key signs the heads of its tables, from the first block on.
    pub head_key: Account,
    /// The first block.
    pub block: Block,
    /// Adds strategies and sets parameters.
    pub admin: Account,
    /// Submits reward roots.
    pub reward_updater: Account,
    /// The parameters.
    pub params: Params,
}
