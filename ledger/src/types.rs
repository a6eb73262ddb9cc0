//! JSON of the HTTP interface, shared by the service, the client and the commands.
//!
//! Ids, keys and hashes are lower-case hexadecimal with `0x`, amounts and fractions strings of decimal digits, blocks and numbers JSON
//! numbers. Records of the ledger itself ([`Strategy`], [`Operator`], …) are in their own form beside their id.

use std::borrow::{Borrow, Cow};

use alloy_primitives::{B256, Bytes};
use ashlar_crypto::account::AccountSignature;
use ashlar_proto::api::{Bytes32, HexBytes};
use ashlar_proto::{
    Account, Block, HeadKeySuccession, OperatorId, OperatorIndex, QuorumId, SignedHead, TableRoot,
};
use ashlar_restaking::evidence::{Accused, CustodyAnswer, Fault, FaultKind};
use ashlar_restaking::{
    Allocation, Amount, BondFund, Disperser, Event, Fund, Member, OpenChallenge, Operator,
    OperatorShares, Params, Payee, PaymentAccount, PaymentMarket, PositionView, Quorum,
    QuorumTotals, RewardKind, RewardRoot, Service, ServiceId, SlashRequest, Staker, Strategy,
    StrategyId, Vault, VaultId, VaultPart, VaultRequest, Withdrawal,
};
use ashlar_stake::{AccountTerms, Reservation, TableRecord};
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

pub use ashlar_service::health::{HealthReport, Reason, Status};

/// Most items of a page, and what a page has if nobody asks.
pub const MAX_PAGE: usize = 500;

/// The longest that a request waits for a new block or for new events, in milliseconds.
pub const MAX_WAIT_MS: u64 = 30_000;

/// A page of a list. Ask again with `after` = `next` for the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The ledger's block.
    pub block: Block,
    /// Items, in the list's order.
    pub items: Vec<T>,
    /// What to ask for next; none at the end of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Where the ledger stands (`GET /v1/head`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Head {
    /// The network's name; part of what is signed.
    pub network: String,
    /// Hash of the genesis.
    #[schema(value_type = Bytes32)]
    pub genesis: B256,
    /// The block being made.
    pub block: Block,
    /// The newest block that is over and has operator tables.
    pub table_block: Block,
    /// Transactions applied since the genesis.
    pub transactions: u64,
    /// Records in the log.
    pub records: u64,
    /// Link of the last record.
    #[schema(value_type = Bytes32)]
    pub link: B256,
    /// Milliseconds between blocks.
    pub block_ms: u64,
}

/// The state root (`GET /v1/root`): of the state after the record `link`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateRoot {
    /// The block.
    pub block: Block,
    /// Records in the log.
    pub records: u64,
    /// Link of the last record.
    #[schema(value_type = Bytes32)]
    pub link: B256,
    /// The state root.
    #[schema(value_type = Bytes32)]
    pub root: B256,
}

/// A transaction is applied and on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The block it is in.
    pub block: Block,
    /// The number of its record in the log, from 1 on: the cursor of its events.
    pub record: u64,
    /// What it did.
    pub events: Vec<Event>,
}

/// What the service knows of an account's signatures (`GET /v1/accounts/{account}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// The account.
    pub account: Account,
    /// The last nonce that was used; 0 if none was. The next has to be larger.
    pub nonce: u64,
    /// Whether its transactions are taken at all.
    pub allowed: bool,
}

/// Events of one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventsOf {
    /// The record's number, from 1 on; `since` of the next question.
    pub record: u64,
    /// Its block.
    pub block: Block,
    /// What happened, in order.
    pub events: Vec<Event>,
}

/// Events (`GET /v1/events?since=`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// By rising record. Records without events are left out.
    pub items: Vec<EventsOf>,
    /// `since` of the next question: everything up to this record is told.
    pub next: u64,
    /// Records in the log; more is to come if `next` is lower.
    pub records: u64,
}

/// Network, block, roles and parameters (`GET /v1/state/meta`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetaView {
    /// The network's name.
    pub network: String,
    /// The ledger's block.
    pub block: Block,
    /// Transactions applied.
    pub transactions: u64,
    /// Adds strategies and sets parameters.
    pub admin: Account,
    /// Submits reward roots.
    pub reward_updater: Account,
    /// The parameters.
    pub params: Params,
}

/// A record of the ledger's state with its id, in one JSON object. In OpenAPI documents a `Strategy` with its number is a
/// `StrategyView`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbered<K, T> {
    /// Its number or id.
    pub id: K,
    /// As the ledger's state has it.
    #[serde(flatten)]
    pub record: T,
}

impl<K, T: Clone> Numbered<K, T> {
    pub(crate) fn new<R: Borrow<T>>(id: K, record: R) -> Self {
        let record = record.borrow().clone();
        Self { id, record }
    }
}

impl<K: ToSchema, T: ToSchema> PartialSchema for Numbered<K, T> {
    fn schema() -> RefOr<Schema> {
        let id = ObjectBuilder::new()
            .property("id", Ref::from_schema_name(K::name()))
            .required("id");
        AllOfBuilder::new()
            .item(Ref::from_schema_name(T::name()))
            .item(id)
            .into()
    }
}

impl<K: ToSchema, T: ToSchema> ToSchema for Numbered<K, T> {
    fn name() -> Cow<'static, str> {
        format!("{}View", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((K::name().into(), K::schema()));
        schemas.push((T::name().into(), T::schema()));
        K::schemas(schemas);
        T::schemas(schemas);
    }
}

/// A strategy.
pub type StrategyView = Numbered<StrategyId, Strategy>;
/// An operator in a list.
pub type OperatorView = Numbered<OperatorId, Operator>;
/// A service.
pub type ServiceView = Numbered<ServiceId, Service>;
/// A disperser.
pub type DisperserView = Numbered<u32, Disperser>;
/// A slash that waits for its veto window.
pub type SlashRequestView = Numbered<u64, SlashRequest>;
/// An open custody challenge.
pub type ChallengeView = Numbered<u64, OpenChallenge>;
/// A vault.
pub type VaultView = Numbered<VaultId, Vault>;
/// A vault's request.
pub type VaultRequestView = Numbered<u64, VaultRequest>;
/// A reward root.
pub type RewardRootView = Numbered<u64, RewardRoot>;

/// An operator with its stake (`GET /v1/state/operators/{id}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorDetail {
    /// The ledger's block.
    pub block: Block,
    /// Its id.
    pub id: OperatorId,
    /// The operator, as the ledger's state has it.
    pub operator: Operator,
    /// Its stake, all who delegate to it together.
    pub pools: Vec<PoolView>,
    /// What it allocated.
    pub allocations: Vec<AllocationView>,
    /// The quorums that it is in, was in and can be slashed in, with its weight.
    pub memberships: Vec<MembershipView>,
}

/// An operator's stake in one strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PoolView {
    /// The strategy.
    pub strategy: StrategyId,
    /// The operator's stake in the strategy, as the ledger's state has it.
    #[serde(flatten)]
    pub pool: OperatorShares,
}

/// An allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AllocationView {
    /// The strategy.
    pub strategy: StrategyId,
    /// Who can slash it.
    pub service: ServiceId,
    /// In which quorum.
    pub quorum: QuorumId,
    /// The allocation, as the ledger's state has it.
    #[serde(flatten)]
    pub allocation: Allocation,
    /// Shares that can be slashed now.
    pub slashable: Amount,
}

/// An operator in a quorum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MembershipView {
    /// The service.
    pub service: ServiceId,
    /// The quorum.
    pub quorum: QuorumId,
    /// The membership, as the ledger's state has it.
    #[serde(flatten)]
    pub member: Member,
    /// Its part of the service's rewards now, in basis points.
    pub split_bps: u16,
}

/// A staker (`GET /v1/state/stakers/{account}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StakerDetail {
    /// The ledger's block.
    pub block: Block,
    /// Its account.
    pub account: Account,
    /// The staker, as the ledger's state has it.
    pub staker: Staker,
    /// Its stake, by strategy, and what it is worth.
    pub positions: Vec<PositionView>,
    /// Its open withdrawals.
    pub withdrawals: Vec<WithdrawalView>,
}

/// An open withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WithdrawalView {
    /// Its number.
    pub id: u64,
    /// The withdrawal, as the ledger's state has it.
    #[serde(flatten)]
    pub withdrawal: Withdrawal,
    /// Shares that it would pay if it were slashed no more.
    pub payable_now: Amount,
}

/// A service with its quorums (`GET /v1/state/services/{id}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceDetail {
    /// The ledger's block.
    pub block: Block,
    /// Its number.
    pub id: ServiceId,
    /// The service, as the ledger's state has it.
    pub service: Service,
    /// Its quorums.
    pub quorums: Vec<QuorumView>,
    /// The dispersers that have a bond, by number.
    pub dispersers: Vec<DisperserView>,
}

/// A quorum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuorumView {
    /// Its service.
    pub service: ServiceId,
    /// Its number.
    pub quorum: QuorumId,
    /// Its rules.
    #[serde(flatten)]
    pub record: Quorum,
    /// Weight, members, ejections.
    pub totals: QuorumTotals,
}

/// A member of a quorum, now or before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// The operator.
    pub operator: OperatorId,
    /// The membership, as the ledger's state has it.
    #[serde(flatten)]
    pub member: Member,
}

/// An open custody challenge (`GET /v1/state/challenges/{id}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeDetail {
    /// The ledger's block.
    pub block: Block,
    /// Its number.
    pub id: u64,
    /// The challenge, as the ledger's state has it.
    pub challenge: OpenChallenge,
}

/// The bonds of challenges in a token (`GET /v1/state/bonds/{token}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BondFundView {
    /// The token.
    pub token: Account,
    /// The token's bonds, as the ledger's state has it.
    #[serde(flatten)]
    pub fund: BondFund,
}

/// What an account was paid of bonds in a token, ever (`GET /v1/state/bonds/{token}/paid/{account}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BondsPaidView {
    /// The account.
    pub account: Account,
    /// The token.
    pub token: Account,
    /// How much: for answers, and its own bonds that came back.
    pub amount: Amount,
}

/// A vault with its operators and what it is worth (`GET /v1/state/vaults/{id}`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultDetail {
    /// The ledger's block.
    pub block: Block,
    /// Its number.
    pub id: VaultId,
    /// The vault, as the ledger's state has it.
    pub vault: Vault,
    /// Tokens that it holds, wherever they are; its rate follows with the next report.
    pub holdings: Amount,
    /// Its operators.
    pub profile: Vec<ProfileView>,
    /// Open requests, oldest first; the first [`MAX_PAGE`].
    pub requests: Vec<VaultRequestView>,
    /// What it earned and has not handed on.
    pub pots: Vec<PotView>,
}

/// A vault's operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProfileView {
    /// The operator.
    pub operator: OperatorId,
    /// The vault's stake with the operator, as the ledger's state has it.
    #[serde(flatten)]
    pub part: VaultPart,
}

/// What a vault earned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PotView {
    /// The token.
    pub token: Account,
    /// What for.
    pub kind: RewardKind,
    /// How much.
    pub amount: Amount,
}

/// An account's shares of a vault (`GET /v1/state/vaults/{id}/holders/{account}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HolderView {
    /// The vault.
    pub vault: VaultId,
    /// The holder.
    pub holder: Account,
    /// Its shares.
    pub shares: Amount,
    /// What they are worth in tokens at the vault's rate, rounded down.
    pub assets: Amount,
}

/// A token's fund (`GET /v1/state/rewards/funds/{token}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FundView {
    /// The token.
    pub token: Account,
    /// The fund, as the ledger's state has it.
    #[serde(flatten)]
    pub fund: Fund,
}

/// What an earner was paid of a token, ever (`GET /v1/state/rewards/claimed/{earner}/{token}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClaimedView {
    /// The earner.
    pub earner: Account,
    /// The token.
    pub token: Account,
    /// How much.
    pub amount: Amount,
}

/// Who gets what of a reward (`GET /v1/state/rewards/shares?service=&quorum=&amount=`): an item of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareView {
    /// Who.
    pub account: Account,
    /// How much.
    pub amount: Amount,
}

/// What a service is paid for, and what came of it (`GET /v1/state/services/{id}/payments`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentsView {
    /// The ledger's block.
    pub block: Block,
    /// Terms, and where the tokens are, as the ledger's state has it.
    #[serde(flatten)]
    pub market: PaymentMarket,
    /// Rows a second that are reserved in this block.
    pub reserved_rows: u64,
}

/// Who was paid: an item of `GET /v1/state/services/{id}/payees`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayeeView {
    /// The disperser.
    pub disperser: u32,
    /// Its account, to which its part was paid.
    pub account: Account,
    /// What accounts have with it and paid it, as the ledger's state has it.
    #[serde(flatten)]
    pub payee: Payee,
}

/// Who pays a disperser: an item of `GET /v1/state/services/{id}/dispersers/{disperser}/accounts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentAccountView {
    /// The account.
    pub account: Account,
    /// What it has and what it paid, as the ledger's state has it.
    #[serde(flatten)]
    pub record: PaymentAccount,
}

/// What an account has with a disperser (`GET /v1/state/services/{id}/dispersers/{disperser}/accounts/{account}`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentAccountDetail {
    /// The account.
    pub account: Account,
    /// As a disperser counts with it.
    pub terms: AccountTermsView,
    /// As the ledger's state has it.
    pub record: PaymentAccount,
}

/// What a disperser can count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountTermsView {
    /// The block that this is the state of.
    pub block: Block,
    /// Vouchers up to this sum are covered when all that was announced is taken back.
    pub funded: Amount,
    /// The highest voucher that was redeemed.
    pub redeemed: Amount,
    /// Blocks from an announcement until it takes effect.
    pub notice: u64,
    /// Rows that the account need not pay one by one.
    pub reservation: Option<ReservationView>,
}

/// A reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReservationView {
    /// Rows a second in the long run.
    pub rows_per_second: u32,
    /// Rows at once, at most.
    pub burst_rows: u32,
    /// The first block that it counts in.
    pub from: Block,
    /// The first block that it counts in no more.
    pub until: Block,
}

impl From<AccountTerms> for AccountTermsView {
    fn from(terms: AccountTerms) -> Self {
        Self {
            block: terms.block,
            funded: Amount(terms.funded),
            redeemed: Amount(terms.redeemed),
            notice: terms.notice,
            reservation: terms.reservation.map(|of| ReservationView {
                rows_per_second: of.rows_per_second,
                burst_rows: of.burst_rows,
                from: of.from,
                until: of.until,
            }),
        }
    }
}

impl From<AccountTermsView> for AccountTerms {
    fn from(view: AccountTermsView) -> Self {
        Self {
            block: view.block,
            funded: view.funded.0,
            redeemed: view.redeemed.0,
            notice: view.notice,
            reservation: view.reservation.map(|of| Reservation {
                rows_per_second: of.rows_per_second,
                burst_rows: of.burst_rows,
                from: of.from,
                until: of.until,
            }),
        }
    }
}

/// `POST /v1/vouchers`: anybody may send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoucherBody {
    /// The service whose domain it is signed for.
    pub service: ServiceId,
    /// Who is paid.
    pub disperser: u32,
    /// Who pays, and signed it.
    pub account: Account,
    /// All that the account owes the disperser by vouchers, ever.
    pub cumulative: Amount,
    /// The account's signature, 65 bytes as hex.
    pub signature: AccountSignature,
}

/// The newest table of a service (`GET /v1/services/{id}/head`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableHead {
    /// The service.
    pub service: ServiceId,
    /// The head of the newest block in which somebody has stake: domain, block, time, the table's root, and the signature by the
    /// ledger's head key (EIP-712).
    pub signed: SignedHead,
    /// Milliseconds between blocks.
    pub block_ms: u64,
}

impl TableHead {
    /// The block.
    pub fn block(&self) -> Block {
        self.signed.head.block
    }
}

/// Who signs heads (`GET /v1/head-keys`). Whoever pinned an earlier key follows it to the present one by what each signed about the
/// next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeadKeysView {
    /// Hash of the genesis.
    #[schema(value_type = Bytes32)]
    pub genesis: B256,
    /// The present key's account.
    pub key: Account,
    /// By rising block.
    pub successions: Vec<HeadKeySuccession>,
}

/// A whole table (`GET /v1/services/{id}/tables/{block}`), proofs of possession included: whoever gets it computes the root again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableView {
    /// The service.
    pub service: ServiceId,
    /// Its root.
    pub root: TableRoot,
    /// The head that vouches for it; a block that was never signed has none.
    pub signed: Option<SignedHead>,
    /// The last block, up to this one, in which anything but the block's number changed in the table.
    pub changed_at: Option<Block>,
    /// What it is made of.
    pub table: TableRecord,
}

/// A table's root (`GET /v1/services/{id}/tables/{block}/root`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TableRootView {
    /// The service.
    pub service: ServiceId,
    /// The block.
    pub block: Block,
    /// Its root.
    pub root: TableRoot,
    /// As in [`TableView`].
    pub signed: Option<SignedHead>,
    /// As in [`TableView`].
    pub changed_at: Option<Block>,
}

/// Proves one operator of a table to somebody who has only the table's root
/// (`GET /v1/services/{id}/tables/{block}/operators/{operator}`). The root is `sha256("ashlar/table/3" | header)`, the header has the
/// operators' root, and the path leads there from the leaf `sha256(00 | entry)` at `index` of `operators`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WitnessView {
    /// The service.
    pub service: ServiceId,
    /// The block.
    pub block: Block,
    /// The table's root.
    pub root: TableRoot,
    /// The table's header, ABI-encoded.
    #[schema(value_type = HexBytes)]
    pub header: Bytes,
    /// Operators in the table.
    pub operators: u32,
    /// Root of their tree (RFC 6962), from the header.
    #[schema(value_type = Bytes32)]
    pub operators_root: B256,
    /// The operator.
    pub operator: OperatorId,
    /// Its place, from 0 on.
    pub index: OperatorIndex,
    /// Its entry, ABI-encoded.
    #[schema(value_type = HexBytes)]
    pub entry: Bytes,
    /// Hashes from the leaf to the operators' root, lowest first.
    #[schema(value_type = Vec<Bytes32>)]
    pub path: Vec<B256>,
}

/// `POST /v1/evidence`: anybody may send it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceBody {
    /// The claim, as `0x` and hexadecimal digits.
    pub fault: Fault,
}

/// `POST /v1/answers`: anybody may send it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerBody {
    /// Number of the challenge.
    pub challenge: u64,
    /// The answer, as `0x` and hexadecimal digits.
    #[schema(value_type = HexBytes)]
    pub answer: CustodyAnswer,
}

/// What was done about evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceReceipt {
    /// Who did it: `{"operator": "0x…"}`, or `{"disperser": 3}`.
    pub accused: Accused,
    /// What it was.
    pub kind: FaultKind,
    /// Names the fault: the same for every proof of it.
    #[schema(value_type = Bytes32)]
    pub subject: B256,
    /// Names this proof.
    #[schema(value_type = Bytes32)]
    pub evidence_hash: B256,
    /// One for each quorum in which the operator was slashed, or asked to be where the service has a veto window; of a
    /// disperser one.
    pub receipts: Vec<Receipt>,
}
