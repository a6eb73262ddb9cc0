//! What the state is made of. All of it can be read; only [`State::apply`](super::State::apply) changes it.

mod fault;
mod payments;

use std::collections::BTreeSet;

use alloy_primitives::B256;
use ashlar_crypto::account::AccountSignature;
use ashlar_crypto::bls::{PublicKeyBytes, SignatureBytes};
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::{
    Account, BatchDigest, BlobHeader, BlobKey, HeadKeySuccession, OperatorId, QuorumId,
};
use serde::{Deserialize, Serialize};

pub use ashlar_proto::{Block, ServiceId};
pub use fault::FaultRecord;
pub(super) use payments::NewReservation;
pub use payments::{
    Closing, HeldReservation, Payee, PaymentAccount, PaymentFund, PaymentMarket, PaymentTerms,
    Refund,
};

use super::{Amount, Wad};

/// Number of a strategy, from 1 on in the order of addition.
pub type StrategyId = u32;
/// Number of a vault, from 1 on in the order of creation.
pub type VaultId = u32;

/// An account; none if it is nobody's.
pub(super) fn somebody(account: Option<Account>) -> Option<Account> {
    account.filter(|account| *account != Account::default())
}

/// What a strategy holds: the four restaking modes, and anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum StrategyKind {
    /// Ether of validators of 32, whose withdrawal credentials lead to the staker's pod.
    NativeEth,
    /// A liquid staking token (stETH, rETH, cbETH, …).
    Lst,
    /// Shares of a liquidity pool of ether.
    LpEth,
    /// Shares of a liquidity pool of liquid staking tokens.
    LpLst,
    /// Any other asset (EIGEN, derivatives of bitcoin, …).
    Other,
}

impl StrategyKind {
    /// As in JSON and in what is signed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NativeEth => "native_eth",
            Self::Lst => "lst",
            Self::LpEth => "lp_eth",
            Self::LpLst => "lp_lst",
            Self::Other => "other",
        }
    }
}

/// A strategy: one asset, its shares, and where each share is.
///
/// Always, to the unit: `deposited = idle + Σ operators' shares + Σ queued + matured + paid + slashed + penalised + rounding`
/// and `shares = idle + Σ operators' shares + Σ queued + matured`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Strategy {
    /// For people.
    pub name: String,
    /// What it holds.
    pub kind: StrategyKind,
    /// The asset's token contract; zero for ether.
    pub asset: Account,
    /// Who reports its balance (rebases, or the validators' balances).
    pub oracle: Account,
    /// Shares that exist, at most 10^38 − 1.
    pub shares: Amount,
    /// Tokens behind the shares.
    pub balance: Amount,
    /// Shares ever made by deposits.
    pub deposited: Amount,
    /// Shares of stakers who are not delegated.
    pub idle: Amount,
    /// Shares of withdrawals queued while not delegated; part of "queued".
    pub idle_queued: Amount,
    /// Withdrawals in that queue.
    pub idle_open: u64,
    /// Shares whose withdrawal can be completed.
    pub matured: Amount,
    /// Shares paid out.
    pub paid: Amount,
    /// Shares burnt or redistributed by slashing.
    pub slashed: Amount,
    /// Shares lost by validators' penalties.
    pub penalised: Amount,
    /// Shares that rounding left in a queue when its last withdrawal matured: cancelled, in favour of all other shares.
    pub rounding: Amount,
    /// Tokens that came in by deposits, donations and rebases upwards.
    pub tokens_in: Amount,
    /// Tokens paid to stakers.
    pub tokens_paid: Amount,
    /// Tokens burnt by slashing.
    pub tokens_burnt: Amount,
    /// Tokens handed to the harmed by slashing.
    pub tokens_redistributed: Amount,
    /// Tokens lost by rebases downwards and penalties.
    pub tokens_lost: Amount,
}

/// A staker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Staker {
    /// Whom all its stake is delegated to.
    pub operator: Option<OperatorId>,
    /// Its validators, if it ever had any.
    pub pod: Option<Pod>,
    /// Its open withdrawals.
    pub withdrawals: BTreeSet<u64>,
    /// Strategies in which it has shares.
    pub strategies: BTreeSet<StrategyId>,
}

/// Validators of one staker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pod {
    /// The beacon factor l: what penalties left of every share, in units of 10^−18.
    pub factor: Wad,
    /// Wei in the pod and on its validators.
    pub balance: Amount,
    /// Validators registered, ever.
    pub validators: u64,
}

/// A staker's stake in one strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Deposit shares s.
    pub shares: Amount,
    /// Scaling factor k, in units of 10^−18.
    pub scaling: Amount,
}

/// An operator's stake in one strategy: all who delegate to it together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperatorShares {
    /// Shares.
    pub shares: Amount,
    /// Maximum magnitude m: what slashing left, in units of 10^−18.
    pub magnitude: Wad,
    /// Allocated, including increases that are not in effect yet. At most the magnitude.
    pub encumbered: Wad,
    /// Shares in the queue and still slashable.
    pub queued: Amount,
    /// Withdrawals in the queue and still slashable.
    pub open: u64,
    /// The last block in which a pending decrease takes effect: a later one does not overtake it.
    pub last_decrease: Block,
}

impl Default for OperatorShares {
    fn default() -> Self {
        Self {
            shares: Amount::ZERO,
            magnitude: Wad::ONE,
            encumbered: Wad::ZERO,
            queued: Amount::ZERO,
            open: 0,
            last_decrease: Block(0),
        }
    }
}

/// A queued withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Withdrawal {
    /// Whose it is.
    pub staker: Account,
    /// The operator that the stake was delegated to.
    pub operator: Option<OperatorId>,
    /// The strategy.
    pub strategy: StrategyId,
    /// Shares that left the operator when it was queued.
    pub shares: Amount,
    /// The operator's magnitude then.
    pub magnitude: Wad,
    /// The block it was queued in.
    pub start: Block,
    /// The last block in which it can be slashed.
    pub end: Block,
    /// What is paid, in shares; known once it cannot be slashed any more.
    pub payable: Option<Amount>,
}

/// A value that changes at a block announced before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Delayed<T> {
    current: T,
    pending: Option<(T, Block)>,
}

impl<T: Copy> Delayed<T> {
    /// Holds now.
    pub const fn new(value: T) -> Self {
        Self {
            current: value,
            pending: None,
        }
    }

    /// What holds in `block`.
    pub fn at(&self, block: Block) -> T {
        match self.pending {
            Some((value, from)) if from <= block => value,
            _ => self.current,
        }
    }

    /// The announced value and the block from which it holds, if that is later than `block`.
    pub fn pending(&self, block: Block) -> Option<(T, Block)> {
        self.pending.filter(|(_, from)| *from > block)
    }

    /// Announces a value in `block`, to hold from `from` on. It replaces one that is still pending.
    pub(super) fn set(&mut self, block: Block, value: T, from: Block) {
        self.current = self.at(block);
        self.pending = Some((value, from));
    }
}

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operator {
    /// Its account, which is also a staker delegated to it.
    pub account: Account,
    /// BLS key.
    pub bls_public_key: PublicKeyBytes,
    /// Proof that it holds that key; checked at registration.
    pub proof_of_possession: SignatureBytes,
    /// TLS identity.
    pub network_key: NetworkPublicKey,
    /// `host:port`.
    pub address: String,
    /// How often its network key or address changed: the sequence of its last statement.
    pub sequence: u64,
    /// Blocks from an increase of an allocation until it is slashable.
    pub allocation_delay: Delayed<u64>,
    /// The quorums that it is in.
    pub memberships: BTreeSet<(ServiceId, QuorumId)>,
    /// The quorums that it left and in which it can be slashed still.
    pub leaving: BTreeSet<(ServiceId, QuorumId)>,
    /// It takes no more stake and joins nothing any more.
    pub retired: bool,
}

/// On which terms anybody can be a disperser of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct DisperserTerms {
    /// The token of the bonds.
    pub token: Account,
    /// The least bond.
    pub min_bond: Amount,
    /// Most dispersers with a bond at a time, those that are leaving included: 1 to 4,096.
    pub max: u32,
}

/// A disperser of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Disperser {
    /// Whose it is: who put up the bond and gets it back.
    pub account: Account,
    /// TLS identity, and the key that signs its batches.
    pub network_key: NetworkPublicKey,
    /// The token of the bond.
    pub token: Account,
    /// The bond; nothing once it came back or was burnt.
    pub bond: Amount,
    /// The first block whose table shows it.
    pub from: Block,
    /// The first block whose table does not show it any more.
    pub until: Option<Block>,
    /// Whether it is one still.
    pub standing: Standing,
}

/// What became of a disperser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is in the tables.
    Active,
    /// It left, and can be slashed through this block.
    Exiting {
        /// The last block.
        slashable_until: Block,
    },
    /// It left and has its bond back.
    Gone,
    /// Its bond was burnt.
    Slashed {
        /// When.
        block: Block,
    },
}

/// A protocol version of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActiveVersion {
    /// The version.
    pub version: u16,
    /// The first block that a batch of it may refer to.
    pub from: Block,
}

/// A key that signs heads, or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadKey {
    /// The first block whose head it signs.
    pub from: Block,
    /// The first block whose head its successor signs.
    pub until: Option<Block>,
    /// What the key before it signed about it; the genesis's key has none. Followers check it themselves.
    pub succession: Option<HeadKeySuccession>,
}

impl HeadKey {
    /// Whether it signs the head of this block.
    pub fn signs(&self, block: Block) -> bool {
        self.from <= block && self.until.is_none_or(|until| block < until)
    }
}

/// A head that the source of tables signed, and that contradicts the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The key that signed.
    pub key: Account,
    /// The block's time that it signed, in milliseconds since 1970.
    pub time_ms: u64,
    /// The block in which it was shown.
    pub shown: Block,
    /// Its signature.
    pub signature: AccountSignature,
}

/// A service that operators secure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Service {
    /// Who registered it and runs it.
    pub owner: Account,
    /// For people.
    pub name: String,
    /// For what it slashes. Cannot be changed: operators opted in to this text.
    pub conditions: String,
    /// SHA-256 of the conditions.
    #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Bytes32))]
    pub conditions_hash: B256,
    /// Who slashes.
    pub slasher: Delayed<Account>,
    /// Who may veto a slash.
    pub resolver: Option<Account>,
    /// Blocks in which the resolver may; 0 if there is none.
    pub veto_window: u64,
    /// The most that one slash takes of an allocation.
    pub slash_cap: Wad,
    /// Who ejects.
    pub ejector: Account,
    /// Operators in any of its quorums.
    pub operators: u32,
    /// The protocol versions that it uses, each from a block on for ever, in the order of their activation.
    pub versions: Vec<ActiveVersion>,
    /// On which terms anybody can be its disperser.
    pub dispersers: DisperserTerms,
    /// Dispersers that have a bond.
    pub bonded: u32,
    pub(super) next_disperser: u32,
    /// How its operators can be challenged to show what they hold; not at all if it said nothing. Cannot be changed, as the
    /// conditions: operators opted in to it.
    pub custody: Option<CustodyTerms>,
    /// Open challenges.
    pub challenges: u32,
}

/// On which terms the operators of a service can be challenged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CustodyTerms {
    /// The token of the bonds.
    pub token: Account,
    /// The least bond: what it is worth to an operator to answer.
    pub min_bond: Amount,
    /// Which part of its allocations an operator loses that does not answer, at most the service's cap.
    pub wad: Wad,
    /// Most challenges open at a time, 1 to 65,536.
    pub max_open: u32,
    /// Most of them to one operator, 1 to 1,024, so that nobody gets too many at a time.
    pub max_open_per_operator: u32,
}

/// A challenge that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenChallenge {
    /// The service whose table the certificate was checked with.
    pub service: ServiceId,
    /// Who is asked.
    pub operator: OperatorId,
    /// Who asks, and gets the bond back if nobody answers.
    pub challenger: Account,
    /// The blob.
    pub blob_key: BlobKey,
    /// The batch that the operator signed.
    pub batch_digest: BatchDigest,
    /// Row of the blob.
    pub row: u32,
    /// Element of the row's extension.
    pub element: u32,
    /// When it was opened.
    pub opened: Block,
    /// The last block for an answer.
    pub deadline: Block,
    /// The token of the bond.
    pub token: Account,
    /// What the operator gets for an answer.
    pub bond: Amount,
    /// What the answer is checked against.
    #[serde(with = "crate::evidence::codec::blob_header")]
    #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::HexBytes))]
    pub blob: BlobHeader,
}

impl OpenChallenge {
    /// The element asked for.
    pub fn position(&self) -> crate::evidence::Position {
        crate::evidence::Position {
            row: self.row,
            element: self.element,
        }
    }

    /// The challenge as evidence knows it.
    pub fn challenge(&self) -> crate::evidence::Challenge {
        crate::evidence::Challenge {
            challenger: self.challenger,
            blob_key: self.blob_key,
            batch_digest: self.batch_digest,
            position: self.position(),
            operator: self.operator,
            opened_block: self.opened,
            deadline_block: self.deadline,
            bond: self.bond.0,
        }
    }
}

/// The bonds of a token. Always `paid_in = held + to_operators + returned + burnt`, and `held` is the sum of the bonds of open
/// challenges and of dispersers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BondFund {
    /// Came in with challenges and dispersers.
    pub paid_in: Amount,
    /// Of open challenges and of dispersers.
    pub held: Amount,
    /// Paid out for answers.
    pub to_operators: Amount,
    /// Given back to challengers that got no answer, and to dispersers that left.
    pub returned: Amount,
    /// Of dispersers that were slashed.
    pub burnt: Amount,
}

/// One asset of a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct QuorumStrategy {
    /// The strategy.
    pub strategy: StrategyId,
    /// Weight of 10^18 shares, up to 10^27: the asset's price.
    pub multiplier: Amount,
}

/// The rules of a quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct QuorumConfig {
    /// What counts in it: by rising strategy, 1 to 32.
    pub strategies: Vec<QuorumStrategy>,
    /// The least weight of an operator. An operator below it has weight zero.
    pub minimum_weight: Amount,
    /// 1 to 1024.
    pub maximum_operators: u32,
    /// In a full quorum, who wants in needs this share of the smallest operator's weight, in basis points: 10,000 to 100,000.
    pub churn_bps: u32,
    /// Of the quorum's weight, as much can be ejected in a window: 0 to 10,000 basis points.
    pub ejection_bps: u16,
    /// The window, in blocks; 1 at least.
    pub ejection_window: u64,
    /// Blocks before an ejected operator can come back.
    pub ejection_cooldown: u64,
    /// Who gets what is slashed; burnt if nobody is named.
    pub redistribute_to: Option<Account>,
}

/// A quorum: an operator set of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quorum {
    /// Its rules.
    pub config: QuorumConfig,
}

/// What changes in a quorum with every stake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QuorumTotals {
    /// Sum of the members' weights.
    pub weight: Amount,
    /// Members.
    pub members: u32,
    /// Start of the ejection window.
    pub window_start: Block,
    /// The quorum's weight when the window began.
    pub window_weight: Amount,
    /// Weight ejected in it.
    pub ejected: Amount,
}

/// An operator in a quorum, now or before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Member {
    /// It is in.
    pub active: bool,
    /// It left, and can be slashed through this block.
    pub slashable_until: Option<Block>,
    /// It was ejected, and can come back from this block on.
    pub banned_until: Block,
    /// Its weight now; zero if it is not in, or below the minimum.
    pub weight: Amount,
}

/// A change of an allocation that is not in effect yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Pending {
    /// More by this much from the block on.
    Up {
        /// By how much.
        by: Wad,
        /// From which block on.
        from: Block,
    },
    /// Less by this much from the block on.
    Down {
        /// By how much.
        by: Wad,
        /// From which block on.
        from: Block,
    },
}

/// The part of an operator's stake in one strategy that one quorum can slash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Allocation {
    /// In effect, and slashable.
    pub magnitude: Wad,
    /// The change to come.
    pub pending: Option<Pending>,
}

impl Allocation {
    /// What is slashable for certain whatever pending changes do: decreases count, increases do not.
    pub fn certain(&self) -> Wad {
        match self.pending {
            Some(Pending::Down { by, .. }) => Wad(self.magnitude.0.saturating_sub(by.0)),
            _ => self.magnitude,
        }
    }
}

/// Names an allocation.
pub type AllocationKey = (OperatorId, StrategyId, ServiceId, QuorumId);

/// One strategy of a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SlashPart {
    /// The strategy.
    pub strategy: StrategyId,
    /// Which part of the allocation, from 1 to the cap.
    pub wad: Wad,
}

/// A slash that waits for its veto window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SlashRequest {
    /// The service.
    pub service: ServiceId,
    /// The quorum.
    pub quorum: QuorumId,
    /// The operator.
    pub operator: OperatorId,
    /// How much of what.
    pub parts: Vec<SlashPart>,
    /// Why.
    pub reason: String,
    /// Proven by evidence, if it was.
    pub fault: Option<FaultRecord>,
    /// The resolver may veto through this block.
    pub veto_until: Block,
    /// It can be executed through this block.
    pub execute_until: Block,
}

/// A root of cumulative rewards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RewardRoot {
    /// The root.
    #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Bytes32))]
    pub root: B256,
    /// It pays from this block on.
    pub active_from: Block,
    /// It was withdrawn before.
    pub disabled: bool,
}

/// Tokens for rewards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Fund {
    /// Paid in by services, and of what accounts paid dispersers.
    pub paid_in: Amount,
    /// Claimed; never more than was paid in.
    pub claimed: Amount,
}

/// What a payment or a distribution is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    /// A service's running fee.
    Fee,
    /// A service's bounty.
    Bounty,
    /// A token given on top by a project.
    Incentive,
    /// Points: counted, without a token behind them.
    Points,
}

impl RewardKind {
    /// As in JSON and in what is signed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fee => "fee",
            Self::Bounty => "bounty",
            Self::Incentive => "incentive",
            Self::Points => "points",
        }
    }
}

/// A liquid restaking vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Vault {
    /// Who runs it.
    pub manager: Account,
    /// For people.
    pub name: String,
    /// What it takes.
    pub strategy: StrategyId,
    /// Of rewards, at most 2,000 basis points.
    pub fee_bps: u16,
    /// Who gets the fee, in shares.
    pub fee_recipient: Account,
    /// A report raises the rate by at most this much, in basis points.
    pub cap_up_bps: u16,
    /// A report lowers the rate by at most this much, in basis points.
    pub cap_down_bps: u16,
    /// Tokens that count in the rate.
    pub assets: Amount,
    /// Vault shares that exist.
    pub shares: Amount,
    /// Tokens at hand and in nobody's name.
    pub buffer: Amount,
    /// Tokens at hand for finalised requests.
    pub reserved: Amount,
    /// What open requests ask for, together.
    pub asked: Amount,
    /// Number of the next request.
    pub next_request: u64,
    /// The first request that is not final.
    pub next_final: u64,
    /// Block of the last report.
    pub reported_at: Block,
}

/// What a vault has with one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VaultPart {
    /// The account that stakes there for the vault.
    pub account: Account,
    /// Its part of the vault's stake, in basis points.
    pub weight_bps: u16,
    /// Its shares, open withdrawals included, when the vault looked last.
    pub seen: Amount,
}

/// A request to withdraw from a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VaultRequest {
    /// Whose it is.
    pub owner: Account,
    /// Vault shares given.
    pub shares: Amount,
    /// What they were worth when it was made.
    pub asked: Amount,
    /// What is paid; known once it is final.
    pub payable: Option<Amount>,
}

/// Something that happens at a block announced before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// A withdrawal's window closes.
    Mature(u64),
    /// A pending change of an allocation takes effect.
    Allocation(AllocationKey),
    /// A slash request was not executed in time.
    Expired(u64),
    /// An operator that left a quorum cannot be slashed there any more.
    Left(ServiceId, QuorumId, OperatorId),
    /// A challenge's deadline is over.
    Unanswered(u64),
    /// A disperser that left cannot be slashed any more.
    DisperserGone(ServiceId, u32),
    /// A reservation's last block is over.
    ReservationOver(ServiceId, u32, Account),
}
