//! What a transaction did.

use alloy_primitives::B256;
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::{Account, BlobKey, Block, OperatorId, QuorumId, TableRoot};
use serde::{Deserialize, Serialize};

use super::{Amount, PaymentTerms, RewardKind, ServiceId, StrategyId, VaultId, Wad};

/// One thing that happened. In JSON `{"type": "deposited", …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[allow(missing_docs)] // fields that say all by their name and type
pub enum Event {
    /// A new strategy.
    StrategyAdded { strategy: StrategyId },
    /// Other parameters hold.
    ParamsSet {},
    /// Another account submits reward roots.
    RewardUpdaterSet { account: Account },
    /// The strategy's tokens are another number.
    BalanceChanged {
        strategy: StrategyId,
        before: Amount,
        after: Amount,
    },
    /// A deposit, with the shares made for it.
    Deposited {
        staker: Account,
        strategy: StrategyId,
        amount: Amount,
        shares: Amount,
    },
    /// Validators lost stake.
    Penalised {
        staker: Account,
        factor: Wad,
        shares: Amount,
    },
    /// Stake follows an operator.
    Delegated {
        staker: Account,
        operator: OperatorId,
    },
    /// Stake does not follow it any more.
    Undelegated {
        staker: Account,
        operator: OperatorId,
    },
    /// A withdrawal; it can be completed from the block after `slashable_until` on.
    WithdrawalQueued {
        withdrawal: u64,
        staker: Account,
        strategy: StrategyId,
        shares: Amount,
        slashable_until: Block,
    },
    /// A withdrawal cannot be slashed any more.
    WithdrawalMatured { withdrawal: u64, shares: Amount },
    /// Tokens were paid, or shares were added again (then `tokens` is zero).
    WithdrawalCompleted {
        withdrawal: u64,
        staker: Account,
        shares: Amount,
        tokens: Amount,
    },
    /// A new operator.
    OperatorRegistered {
        operator: OperatorId,
        account: Account,
    },
    /// Its address or TLS identity changed.
    OperatorUpdated { operator: OperatorId },
    /// Its allocation delay changes.
    AllocationDelaySet {
        operator: OperatorId,
        blocks: u64,
        from: Block,
    },
    /// Its fee split changes.
    FeeSplitSet {
        operator: OperatorId,
        service: ServiceId,
        bps: u16,
        from: Block,
    },
    /// An allocation is this much from a block on.
    Allocated {
        operator: OperatorId,
        strategy: StrategyId,
        service: ServiceId,
        quorum: QuorumId,
        magnitude: Wad,
        from: Block,
    },
    /// A pending change took effect.
    AllocationInEffect {
        operator: OperatorId,
        strategy: StrategyId,
        service: ServiceId,
        quorum: QuorumId,
        magnitude: Wad,
    },
    /// An operator joined.
    OptedIn {
        operator: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
        weight: Amount,
    },
    /// An operator left, or was evicted by a larger one.
    OptedOut {
        operator: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
        slashable_until: Block,
        evicted: bool,
    },
    /// An operator was ejected.
    Ejected {
        operator: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
        weight: Amount,
        banned_until: Block,
    },
    /// An operator takes no more stake.
    OperatorRetired { operator: OperatorId },
    /// A new service.
    ServiceRegistered {
        service: ServiceId,
        #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Bytes32))]
        conditions_hash: B256,
    },
    /// A new quorum.
    QuorumAdded {
        service: ServiceId,
        quorum: QuorumId,
    },
    /// Other multipliers hold.
    MultipliersSet {
        service: ServiceId,
        quorum: QuorumId,
    },
    /// Another account slashes.
    SlasherSet {
        service: ServiceId,
        slasher: Account,
        from: Block,
    },
    /// A service uses a protocol version from a block on.
    VersionActivated {
        service: ServiceId,
        version: u16,
        from: Block,
    },
    /// A new disperser.
    DisperserRegistered {
        service: ServiceId,
        disperser: u32,
        account: Account,
        network_key: NetworkPublicKey,
        token: Account,
        bond: Amount,
    },
    /// A disperser's bond is this much now.
    DisperserBondRaised {
        service: ServiceId,
        disperser: u32,
        token: Account,
        bond: Amount,
    },
    /// A disperser left; its bond comes back in the block after `slashable_until`.
    DisperserExiting {
        service: ServiceId,
        disperser: u32,
        slashable_until: Block,
    },
    /// A disperser that left has its bond back.
    DisperserBondReturned {
        service: ServiceId,
        disperser: u32,
        account: Account,
        token: Account,
        bond: Amount,
    },
    /// A disperser's bond was burnt.
    DisperserSlashed {
        service: ServiceId,
        disperser: u32,
        token: Account,
        bond: Amount,
        #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Bytes32))]
        evidence_hash: B256,
    },
    /// The source of tables signed a head that the ledger contradicts.
    SourceContradicted {
        service: ServiceId,
        block: Block,
        signed_root: TableRoot,
        key: Account,
    },
    /// Another key signs heads.
    HeadKeyRotated {
        successor: Account,
        from_block: Block,
    },
    /// A slash waits for its veto window.
    SlashRequested {
        request: u64,
        operator: OperatorId,
        veto_until: Block,
    },
    /// A slash of one strategy: what it took of the allocation, and which shares.
    Slashed {
        operator: OperatorId,
        service: ServiceId,
        quorum: QuorumId,
        strategy: StrategyId,
        magnitude: Wad,
        shares: Amount,
        queued_shares: Amount,
        tokens: Amount,
        redistributed_to: Option<Account>,
    },
    /// An operator is asked for an element of a blob.
    ChallengeOpened {
        challenge: u64,
        service: ServiceId,
        operator: OperatorId,
        challenger: Account,
        blob_key: BlobKey,
        row: u32,
        element: u32,
        deadline: Block,
        token: Account,
        bond: Amount,
    },
    /// The element was shown, and the bond paid to the operator's account.
    ChallengeAnswered {
        challenge: u64,
        operator: OperatorId,
        account: Account,
        token: Account,
        bond: Amount,
    },
    /// The deadline is over: the bond went back to the challenger. What the operator loses follows.
    ChallengeUnanswered {
        challenge: u64,
        operator: OperatorId,
        challenger: Account,
        token: Account,
        bond: Amount,
    },
    /// A request is over.
    SlashVetoed { request: u64 },
    /// Tokens for rewards.
    RewardPaid {
        service: ServiceId,
        token: Account,
        amount: Amount,
        kind: RewardKind,
    },
    /// A root that pays from a block on.
    RootSubmitted {
        index: u64,
        #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Bytes32))]
        root: B256,
        from: Block,
    },
    /// A root was withdrawn.
    RootDisabled { index: u64 },
    /// An earner was paid.
    RewardClaimed {
        earner: Account,
        token: Account,
        amount: Amount,
    },
    /// Accounts pay on other terms.
    PaymentTermsSet {
        service: ServiceId,
        terms: PaymentTerms,
    },
    /// An account deposited; vouchers up to `covered` are.
    AccountFunded {
        service: ServiceId,
        disperser: u32,
        account: Account,
        amount: Amount,
        covered: Amount,
    },
    /// An account takes so much back from a block on; nothing, if the amount is zero.
    RefundAnnounced {
        service: ServiceId,
        disperser: u32,
        account: Account,
        amount: Amount,
        from: Block,
    },
    /// An account has tokens back.
    RefundTaken {
        service: ServiceId,
        disperser: u32,
        account: Account,
        amount: Amount,
    },
    /// An account paid by a voucher.
    VoucherRedeemed {
        service: ServiceId,
        disperser: u32,
        account: Account,
        cumulative: Amount,
        to_disperser: Amount,
        to_operators: Amount,
    },
    /// An account has rows reserved.
    ReservationBought {
        service: ServiceId,
        disperser: u32,
        account: Account,
        rows_per_second: u32,
        burst_rows: u32,
        from: Block,
        until: Block,
        cost: Amount,
    },
    /// The blocks of a reservation before `until` are paid.
    ReservationPaid {
        service: ServiceId,
        disperser: u32,
        account: Account,
        until: Block,
        to_disperser: Amount,
        to_operators: Amount,
    },
    /// A disperser takes nothing any more; accounts take what is left from block `ends` on.
    AccountsClosed {
        service: ServiceId,
        disperser: u32,
        ends: Block,
    },
    /// A new vault.
    VaultCreated { vault: VaultId },
    /// Another risk profile.
    ProfileSet { vault: VaultId },
    /// Vault shares were made for tokens.
    VaultDeposited {
        vault: VaultId,
        account: Account,
        amount: Amount,
        shares: Amount,
    },
    /// A request joined the queue.
    VaultWithdrawalRequested {
        vault: VaultId,
        request: u64,
        account: Account,
        shares: Amount,
        asked: Amount,
    },
    /// A request is final.
    VaultWithdrawalFinal {
        vault: VaultId,
        request: u64,
        payable: Amount,
    },
    /// A request was paid.
    VaultWithdrawalPaid {
        vault: VaultId,
        request: u64,
        account: Account,
        amount: Amount,
    },
    /// Vault shares changed hands.
    VaultTransferred {
        vault: VaultId,
        from: Account,
        to: Account,
        shares: Amount,
    },
    /// The vault staked tokens with an operator.
    VaultStaked {
        vault: VaultId,
        operator: OperatorId,
        amount: Amount,
        shares: Amount,
    },
    /// A slash was shared by all holders.
    VaultSlashed {
        vault: VaultId,
        loss: Amount,
        assets: Amount,
    },
    /// Gains or losses entered the rate.
    VaultReported {
        vault: VaultId,
        before: Amount,
        after: Amount,
        fee_shares: Amount,
    },
    /// Points or incentives were noted.
    VaultSourceNoted {
        vault: VaultId,
        #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Bytes32))]
        source: B256,
        amount: Amount,
    },
    /// A vault's earnings go to its holders.
    VaultDistributed {
        vault: VaultId,
        token: Account,
        kind: RewardKind,
        amount: Amount,
    },
}
