//! Transactions.

use alloy_primitives::B256;
use ashlar_crypto::bls::{PublicKeyBytes, SignatureBytes};
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::{Account, OperatorId, QuorumId};
use serde::{Deserialize, Serialize};

use super::distribution::RewardClaim;
use super::{
    Amount, CustodyTerms, Disperser, FaultRecord, Params, QuorumConfig, QuorumStrategy, RewardKind,
    ServiceId, SlashPart, StrategyId, StrategyKind, VaultId, Wad,
};

/// What an account wants done. That the sender is who it says is the caller's to check.
///
/// Its JSON has one form: `{"sender": "0x…", "action": {"type": "deposit", …}}`, amounts and fractions as strings of decimal
/// digits, ids and hashes as `0x…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transaction {
    /// Who sends it.
    pub sender: Account,
    /// What it does.
    pub action: Action,
}

/// Bytes in a transaction: lower-case hex with `0x`, one text for each value, and no more of them than fit into a record of the log.
mod bytes {
    use serde::{Deserializer, Serializer};

    use crate::evidence::codec::{deserialize_hex, serialize_hex};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        serialize_hex(bytes, to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        deserialize_hex(from, super::super::log::MAX_PAYLOAD / 2)
    }
}

/// Everything that a transaction can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs)] // fields that say all by their name and type
pub enum Action {
    /// Admin: adds a strategy; its number is in the event.
    AddStrategy {
        name: String,
        kind: StrategyKind,
        asset: Account,
        oracle: Account,
    },
    /// Admin: sets all parameters; what was queued before keeps its delays.
    SetParams { params: Params },
    /// Admin: names who submits reward roots.
    SetRewardUpdater { account: Account },

    /// Oracle: the strategy's tokens are `balance` now (a rebase, in either direction).
    Rebase {
        strategy: StrategyId,
        balance: Amount,
    },
    /// Anybody: adds tokens for nothing in return.
    Donate {
        strategy: StrategyId,
        amount: Amount,
    },
    /// Oracle of native ETH: the staker's pod and validators hold `balance` wei now. Less lowers its beacon factor, more is a
    /// deposit.
    BeaconBalance {
        strategy: StrategyId,
        staker: Account,
        balance: Amount,
    },

    /// Staker: deposits tokens; they follow its delegation.
    Deposit {
        strategy: StrategyId,
        amount: Amount,
    },
    /// Staker: restakes a validator of 32 ETH.
    AddValidator {
        strategy: StrategyId,
        validator: u64,
    },
    /// Staker: delegates all its stake, now and later, to one operator.
    Delegate { operator: OperatorId },
    /// Staker: ends its delegation; all its stake is queued, one withdrawal a strategy.
    Undelegate {},
    /// Staker: undelegates and delegates to another operator; complete the withdrawals as shares to move the stake.
    Redelegate { operator: OperatorId },
    /// Staker: queues a withdrawal of so many deposit shares, or of all.
    QueueWithdrawal {
        strategy: StrategyId,
        shares: Option<Amount>,
    },
    /// Staker: takes a matured withdrawal as tokens, or as shares (a new deposit, with its present operator).
    CompleteWithdrawal { withdrawal: u64, as_shares: bool },

    /// Anybody who is not delegated: becomes an operator; its own stake is delegated to it (solo restaking).
    RegisterOperator {
        bls_public_key: PublicKeyBytes,
        proof_of_possession: SignatureBytes,
        network_key: NetworkPublicKey,
        address: String,
        /// Blocks from an increase of an allocation until it is slashable.
        allocation_delay: u64,
    },
    /// Operator: changes where it listens, or its TLS identity; tables show it from the same block on.
    UpdateOperator {
        network_key: Option<NetworkPublicKey>,
        address: Option<String>,
    },
    /// Operator: announces another allocation delay.
    SetAllocationDelay { blocks: u64 },
    /// Operator: announces its share of a service's rewards, in basis points (1,000 if it never did).
    SetFeeSplit { service: ServiceId, bps: u16 },
    /// Operator: sets the magnitude that a quorum can slash.
    Allocate {
        service: ServiceId,
        quorum: QuorumId,
        strategy: StrategyId,
        magnitude: Wad,
    },
    /// Operator: joins a quorum; if it is full, in place of the smallest.
    OptIn {
        service: ServiceId,
        quorum: QuorumId,
    },
    /// Operator: leaves a quorum; it can be slashed for the deallocation delay still.
    OptOut {
        service: ServiceId,
        quorum: QuorumId,
    },
    /// Operator: takes no more delegations and joins nothing any more. Its stakers stay until they undelegate.
    RetireOperator {},

    /// Anybody: registers a service; its number is in the event.
    RegisterService {
        name: String,
        /// For what it slashes.
        conditions: String,
        slasher: Account,
        resolver: Option<Account>,
        veto_window: u64,
        slash_cap: Wad,
        ejector: Account,
        dispersers: Vec<Disperser>,
        /// On which terms its operators can be challenged to show what they hold; without them they cannot.
        custody: Option<CustodyTerms>,
    },
    /// Service's owner: adds a quorum.
    AddQuorum {
        service: ServiceId,
        quorum: QuorumId,
        config: QuorumConfig,
    },
    /// Service's owner: sets multipliers and adds strategies; none can be taken away, but its multiplier can be 0.
    SetMultipliers {
        service: ServiceId,
        quorum: QuorumId,
        strategies: Vec<QuorumStrategy>,
    },
    /// Service's owner: announces another slasher.
    SetSlasher {
        service: ServiceId,
        slasher: Account,
    },
    /// Service's owner: lists its dispersers; tables show them from the same block on.
    SetDispersers {
        service: ServiceId,
        dispersers: Vec<Disperser>,
    },
    /// Service's ejector: removes an operator for bad service. Nothing is slashed.
    Eject {
        service: ServiceId,
        quorum: QuorumId,
        operator: OperatorId,
    },
    /// Service's slasher: slashes, or asks for it if the service has a veto window.
    Slash {
        service: ServiceId,
        quorum: QuorumId,
        operator: OperatorId,
        parts: Vec<SlashPart>,
        reason: String,
    },
    /// Service's slasher: the same, for a fault whose evidence it has checked; each fault once.
    SlashByEvidence {
        service: ServiceId,
        quorum: QuorumId,
        parts: Vec<SlashPart>,
        fault: FaultRecord,
        reason: String,
    },
    /// Anybody: asks an operator that signed for a blob to show an element of it, which the ledger picks, and pays the bond for it.
    OpenChallenge {
        service: ServiceId,
        operator: OperatorId,
        /// The blob's certificate, as bytes: what shows that the operator owes it.
        #[serde(with = "bytes")]
        certificate: Vec<u8>,
        bond: Amount,
    },
    /// Anybody: shows the element that a challenge asks for; the bond goes to the operator.
    AnswerChallenge {
        challenge: u64,
        /// A [`CustodyAnswer`](crate::evidence::CustodyAnswer), as bytes.
        #[serde(with = "bytes")]
        answer: Vec<u8>,
    },
    /// Service's resolver: ends a slash request.
    VetoSlash { request: u64 },
    /// Service's slasher: executes a request after its veto window.
    ExecuteSlash { request: u64 },

    /// Service's owner: pays tokens in for rewards.
    PayReward {
        service: ServiceId,
        token: Account,
        amount: Amount,
        kind: RewardKind,
    },
    /// Reward updater: a new root of cumulative earnings.
    SubmitRoot { root: B256 },
    /// Reward updater: withdraws a root that does not pay yet.
    DisableRoot { root: u64 },
    /// Anybody: pays an earner what a root says beyond what it got before.
    ClaimReward { claim: RewardClaim },

    /// Anybody: creates a vault; the seed is a deposit that stays in it for ever.
    CreateVault {
        name: String,
        strategy: StrategyId,
        seed: Amount,
        fee_bps: u16,
        fee_recipient: Account,
        /// Defaults: 25 and 3 basis points.
        cap_up_bps: Option<u16>,
        cap_down_bps: Option<u16>,
        /// The risk profile: operators and their part of the stake in basis points, 10,000 together.
        profile: Vec<(OperatorId, u16)>,
    },
    /// Vault's manager: sets the risk profile.
    SetProfile {
        vault: VaultId,
        profile: Vec<(OperatorId, u16)>,
    },
    /// Anybody: deposits tokens for vault shares.
    VaultDeposit { vault: VaultId, amount: Amount },
    /// Holder: asks for so many tokens, or for what all its shares are worth.
    VaultRequestWithdrawal {
        vault: VaultId,
        amount: Option<Amount>,
    },
    /// Anybody: finalises up to `count` (1 to 100) requests, first come, first served, at one rate.
    VaultFinalize { vault: VaultId, count: u32 },
    /// Holder: takes what a final request pays.
    VaultClaimWithdrawal { vault: VaultId, request: u64 },
    /// Holder: gives vault shares to another account.
    VaultTransfer {
        vault: VaultId,
        to: Account,
        shares: Amount,
    },
    /// Vault's manager: stakes what is at hand and not asked for, by the risk profile; for native ETH with these new validators.
    VaultStake {
        vault: VaultId,
        validators: Vec<u64>,
    },
    /// Vault's manager: queues a withdrawal of so many deposit shares, or of all, from an operator.
    VaultUnstake {
        vault: VaultId,
        operator: OperatorId,
        shares: Option<Amount>,
    },
    /// Anybody: takes a matured withdrawal of the vault's into its buffer.
    VaultCollect { vault: VaultId, withdrawal: u64 },
    /// Anybody: takes gains and losses since the last report into the rate, within the caps; the fee is taken of gains.
    VaultReport { vault: VaultId },
    /// Vault's manager: notes points or incentives for the vault's holders; each source once, whatever vault it is noted for.
    VaultSource {
        vault: VaultId,
        source: B256,
        kind: RewardKind,
        token: Account,
        amount: Amount,
    },
    /// Reward updater: takes what a vault earned in a token into the next distribution to its holders.
    VaultDistribute { vault: VaultId, token: Account },
}

impl Action {
    /// The `type` in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddStrategy { .. } => "add_strategy",
            Self::SetParams { .. } => "set_params",
            Self::SetRewardUpdater { .. } => "set_reward_updater",
            Self::Rebase { .. } => "rebase",
            Self::Donate { .. } => "donate",
            Self::BeaconBalance { .. } => "beacon_balance",
            Self::Deposit { .. } => "deposit",
            Self::AddValidator { .. } => "add_validator",
            Self::Delegate { .. } => "delegate",
            Self::Undelegate {} => "undelegate",
            Self::Redelegate { .. } => "redelegate",
            Self::QueueWithdrawal { .. } => "queue_withdrawal",
            Self::CompleteWithdrawal { .. } => "complete_withdrawal",
            Self::RegisterOperator { .. } => "register_operator",
            Self::UpdateOperator { .. } => "update_operator",
            Self::SetAllocationDelay { .. } => "set_allocation_delay",
            Self::SetFeeSplit { .. } => "set_fee_split",
            Self::Allocate { .. } => "allocate",
            Self::OptIn { .. } => "opt_in",
            Self::OptOut { .. } => "opt_out",
            Self::RetireOperator {} => "retire_operator",
            Self::RegisterService { .. } => "register_service",
            Self::AddQuorum { .. } => "add_quorum",
            Self::SetMultipliers { .. } => "set_multipliers",
            Self::SetSlasher { .. } => "set_slasher",
            Self::SetDispersers { .. } => "set_dispersers",
            Self::Eject { .. } => "eject",
            Self::Slash { .. } => "slash",
            Self::SlashByEvidence { .. } => "slash_by_evidence",
            Self::OpenChallenge { .. } => "open_challenge",
            Self::AnswerChallenge { .. } => "answer_challenge",
            Self::VetoSlash { .. } => "veto_slash",
            Self::ExecuteSlash { .. } => "execute_slash",
            Self::PayReward { .. } => "pay_reward",
            Self::SubmitRoot { .. } => "submit_root",
            Self::DisableRoot { .. } => "disable_root",
            Self::ClaimReward { .. } => "claim_reward",
            Self::CreateVault { .. } => "create_vault",
            Self::SetProfile { .. } => "set_profile",
            Self::VaultDeposit { .. } => "vault_deposit",
            Self::VaultRequestWithdrawal { .. } => "vault_request_withdrawal",
            Self::VaultFinalize { .. } => "vault_finalize",
            Self::VaultClaimWithdrawal { .. } => "vault_claim_withdrawal",
            Self::VaultTransfer { .. } => "vault_transfer",
            Self::VaultStake { .. } => "vault_stake",
            Self::VaultUnstake { .. } => "vault_unstake",
            Self::VaultCollect { .. } => "vault_collect",
            Self::VaultReport { .. } => "vault_report",
            Self::VaultSource { .. } => "vault_source",
            Self::VaultDistribute { .. } => "vault_distribute",
        }
    }

    /// Every name there is.
    pub const NAMES: &'static [&'static str] = &[
        "add_strategy",
        "set_params",
        "set_reward_updater",
        "rebase",
        "donate",
        "beacon_balance",
        "deposit",
        "add_validator",
        "delegate",
        "undelegate",
        "redelegate",
        "queue_withdrawal",
        "complete_withdrawal",
        "register_operator",
        "update_operator",
        "set_allocation_delay",
        "set_fee_split",
        "allocate",
        "opt_in",
        "opt_out",
        "retire_operator",
        "register_service",
        "add_quorum",
        "set_multipliers",
        "set_slasher",
        "set_dispersers",
        "eject",
        "slash",
        "slash_by_evidence",
        "open_challenge",
        "answer_challenge",
        "veto_slash",
        "execute_slash",
        "pay_reward",
        "submit_root",
        "disable_root",
        "claim_reward",
        "create_vault",
        "set_profile",
        "vault_deposit",
        "vault_request_withdrawal",
        "vault_finalize",
        "vault_claim_withdrawal",
        "vault_transfer",
        "vault_stake",
        "vault_unstake",
        "vault_collect",
        "vault_report",
        "vault_source",
        "vault_distribute",
    ];
}
