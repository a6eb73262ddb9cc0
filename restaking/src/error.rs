//! Why a transaction is refused.

use ashlar_crypto::Coded;
use ashlar_proto::{Account, Block, OperatorId, QuorumId};
use thiserror::Error;

use super::{Amount, ServiceId, StrategyId, VaultId, Wad};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident { $($field:ident : $type:ty),* $(,)? } = $code:literal $(by $blame:ident)?, $text:literal;)*) => {
        /// Why a transaction is refused. It changed nothing. The text says what was expected and what to do; the fields
        /// are the numbers and names in it.
        #[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
        #[coded(blame = Caller)]
        #[allow(missing_docs)] // the fields are named in the texts
        pub enum TransactionError {
            $($(#[$doc])* #[error($text)] #[coded($code $(, blame = $blame)?)] $name { $($field: $type),* },)*
        }

        impl TransactionError {
            /// Every code there is.
            pub const CODES: &'static [&'static str] = &[$($code),*];
        }
    };
}

errors! {
    // Of any transaction.
    /// A block before the ledger's.
    BlockInPast { got: Block, expected: Block } = "ledger.block_in_past", "block {got} is over, the ledger is in block {expected}: send the transaction with that block or a later one";
    /// A result does not fit in its type.
    Overflow { what: &'static str } = "ledger.overflow", "{what} does not fit in the ledger's integers: use smaller amounts";
    /// The state contradicts itself: a bug.
    Inconsistent { what: &'static str } = "ledger.inconsistent" by Us, "the ledger's state is inconsistent ({what}); this is a bug, please report it with the log";
    /// The sender may not do that.
    NotAllowed { who: Account, role: &'static str, expected: Account } = "ledger.not_allowed", "account {who} is not the {role}, {expected}: send it from that account";
    /// A name or text is empty or too long.
    Text { what: &'static str, got: usize, max: usize } = "ledger.text", "the {what} has {got} bytes: 1 to {max} are allowed";
    /// An amount of zero.
    ZeroAmount { what: &'static str } = "ledger.zero_amount", "the {what} is zero: name a positive amount";
    /// A list with too many entries.
    TooMany { what: &'static str, got: usize, max: usize } = "ledger.too_many", "{got} {what}, at most {max} are allowed";

    // Parameters.
    /// A parameter out of its range.
    Param { name: &'static str, got: u64, min: u64, max: u64 } = "params.range", "the parameter {name} is {got}, allowed are {min} to {max}";
    /// The timing rule.
    Timing { got: u64, expected: u64 } = "params.timing", "a fault takes up to {got} blocks to be punished, but stake can leave after {expected}: shorten the challenge, response, veto or margin times, or lengthen the withdrawal and deallocation delays";

    // Strategies and positions.
    /// No such strategy.
    UnknownStrategy { strategy: StrategyId } = "strategy.unknown", "there is no strategy {strategy}";
    /// One strategy holds all validators.
    SecondNative { first: StrategyId } = "strategy.second_native", "strategy {first} is for native ETH already, there is one such strategy";
    /// Validators and tokens are different things.
    NativeOnly { strategy: StrategyId } = "strategy.native_only", "strategy {strategy} is not for native ETH: deposit its token instead";
    /// Native ETH comes as validators.
    NotNative { strategy: StrategyId } = "strategy.native", "strategy {strategy} is for native ETH: its balance changes by validators and their reports only";
    /// The deposit is worth less than one share.
    NoShares { amount: Amount } = "strategy.no_shares", "{amount} is worth less than one share: deposit more";
    /// The limit of total shares.
    ShareLimit { got: Amount, max: Amount } = "strategy.share_limit", "the strategy would have {got} shares, at most {max} are allowed: deposit less";
    /// Nothing can be added to what was slashed entirely.
    FullySlashed { strategy: StrategyId } = "position.fully_slashed", "the stake in strategy {strategy} is slashed entirely, nothing can be added to it: choose another operator";
    /// Fewer shares than asked for.
    NotEnoughShares { got: Amount, expected: Amount } = "position.not_enough_shares", "{expected} shares are asked for, the position has {got}: ask for fewer";
    /// Nothing would be withdrawn.
    NothingToWithdraw { strategy: StrategyId } = "position.nothing_to_withdraw", "the shares in strategy {strategy} are worth nothing: ask for more shares, if there are any";
    /// More strategies than a staker may hold.
    TooManyStrategies { max: usize } = "position.too_many_strategies", "a staker holds at most {max} strategies: withdraw from one first";
    /// The validator is somebody's already.
    ValidatorTaken { validator: u64 } = "validator.taken", "validator {validator} is restaked already";
    /// A report about a pod that is not there.
    NoPod { staker: Account } = "validator.no_pod", "staker {staker} has no validators";

    // Delegation and withdrawals.
    /// Delegated already.
    AlreadyDelegated { operator: OperatorId } = "delegation.already", "the stake is delegated to {operator}: undelegate or redelegate";
    /// Not delegated.
    NotDelegated { staker: Account } = "delegation.none", "staker {staker} is not delegated to anybody";
    /// An operator's own stake stays with it.
    OperatorBound { operator: OperatorId } = "delegation.operator", "an operator's own stake stays with it ({operator}): withdraw it instead";
    /// To where it is already.
    SameOperator { operator: OperatorId } = "delegation.same", "the stake is delegated to {operator} already";
    /// The account is a vault's.
    VaultAccount { staker: Account } = "delegation.vault_account", "account {staker} belongs to a vault: use the vault's transactions";
    /// No such withdrawal.
    UnknownWithdrawal { withdrawal: u64 } = "withdrawal.unknown", "there is no open withdrawal {withdrawal}";
    /// Slashable still.
    WithdrawalEarly { got: Block, expected: Block } = "withdrawal.early", "it is block {got}, the withdrawal can be completed from block {expected} on";
    /// Too many open ones.
    TooManyWithdrawals { max: usize } = "withdrawal.too_many", "a staker has at most {max} open withdrawals: complete one first";

    // Operators.
    /// No such operator.
    UnknownOperator { operator: OperatorId } = "operator.unknown", "there is no operator {operator}";
    /// The account is none of an operator.
    NotOperator { account: Account } = "operator.account", "account {account} is not an operator's: register first";
    /// One account, one operator.
    AccountTaken { operator: OperatorId } = "operator.account_taken", "the account is operator {operator} already";
    /// The key is in use.
    KeyTaken { operator: OperatorId } = "operator.key_taken", "operator {operator} has registered this BLS key already";
    /// The network key is in use.
    NetworkKeyTaken { operator: OperatorId } = "operator.network_key_taken", "operator {operator} uses this network key already";
    /// The BLS key or its proof is not valid.
    BlsKey { source: ashlar_crypto::bls::BlsError } = "operator.bls_key", "the BLS key or its proof of possession is not valid ({source}): make the proof with the key that is registered";
    /// The BLS key did not sign for this account, network key and address.
    Statement { sequence: u64, source: ashlar_crypto::bls::BlsError } = "operator.statement", "the BLS key's statement number {sequence} of this account, network key and address on this network does not hold ({source}): sign it with the operator's BLS key";
    /// The network key is weak.
    NetworkKey { source: ashlar_crypto::identity::IdentityError } = "operator.network_key", "the network key cannot be used: {source}";
    /// The address is none.
    Address { source: ashlar_proto::EntryError } = "operator.address", "{source}";
    /// The operator has left.
    Retired { operator: OperatorId } = "operator.retired", "operator {operator} has retired: choose another one";
    /// It has to leave its services first.
    StillMember { got: usize } = "operator.still_member", "the operator is in {got} quorums or can still be slashed there: leave them and wait for the delay";
    /// More than all.
    Split { got: u16, max: u16 } = "operator.split", "a split of {got} basis points is not allowed, at most {max}";
    /// The delay is too long.
    AllocationDelay { got: u64, max: u64 } = "operator.allocation_delay", "an allocation delay of {got} blocks is not allowed, at most {max}";
    /// Too many quorums.
    TooManyQuorums { max: usize } = "operator.too_many_quorums", "an operator is in at most {max} quorums: leave one first";

    // Services.
    /// No such service.
    UnknownService { service: ServiceId } = "service.unknown", "there is no service {service}";
    /// No such quorum.
    UnknownQuorum { service: ServiceId, quorum: QuorumId } = "service.unknown_quorum", "service {service} has no quorum {quorum}";
    /// The quorum is there already.
    QuorumTaken { service: ServiceId, quorum: QuorumId } = "service.quorum_taken", "service {service} has a quorum {quorum} already";
    /// The configuration breaks a rule.
    QuorumConfig { what: &'static str, got: u64, min: u64, max: u64 } = "service.quorum_config", "the quorum's {what} is {got}, allowed are {min} to {max}";
    /// Strategies must rise.
    StrategyOrder { first: StrategyId, second: StrategyId } = "service.strategy_order", "strategy {second} follows {first}: name each once, by rising number";
    /// A strategy of the quorum was left out.
    StrategyMissing { strategy: StrategyId } = "service.strategy_missing", "strategy {strategy} is left out, but operators are slashable in it: give it the multiplier 0 instead";
    /// The veto window is longer than the timing rule counts on.
    VetoWindow { got: u64, max: u64 } = "service.veto_window", "a veto window of {got} blocks is not allowed, at most {max}";
    /// A veto needs somebody who may veto.
    Resolver { window: u64 } = "service.resolver", "a veto window ({window} blocks) and a resolver belong together: give both or neither";
    /// Native ETH cannot be handed to others.
    RedistributeNative { strategy: StrategyId } = "service.redistribute_native", "strategy {strategy} is native ETH, which can only be burnt: leave out the recipient or the strategy";
    /// More dispersers than a table can have, or none at all.
    DisperserTerms { got: u32, max: u32 } = "service.dispersers", "{got} dispersers at most are not allowed, 1 to {max} are";
    /// A service uses a protocol version.
    Versions { got: usize, max: usize } = "service.versions", "{got} protocol versions are named: name 1 to {max}, each once, by rising number";
    /// A version that this software does not know.
    VersionUnknown { version: u16 } = "service.version_unknown", "there is no protocol version {version}";
    /// Recorded already.
    VersionActive { version: u16, from: Block } = "service.version_active", "the service uses version {version} from block {from} on already";
    /// What was signed in a block that is over was signed under the rules of then.
    VersionEarly { got: Block, expected: Block } = "service.version_early", "a version cannot be used from block {got} on, at the earliest from block {expected}";
    /// More operators than the service's protocol versions can assign chunks to.
    VersionOperators { got: u32, version: u16, max: u32 } = "service.version_operators", "{got} operators are more than the {max} of protocol version {version}, which the service uses";
    /// Member already.
    AlreadyMember { service: ServiceId, quorum: QuorumId } = "service.already_member", "the operator is in quorum {quorum} of service {service} already";
    /// No member.
    NotMember { service: ServiceId, quorum: QuorumId } = "service.not_member", "the operator is not in quorum {quorum} of service {service}";
    /// Left, but slashable still.
    StillSlashable { got: Block, expected: Block } = "service.still_slashable", "it is block {got}; the operator left the quorum and can come back from block {expected} on";
    /// Ejected lately.
    CoolingDown { got: Block, expected: Block } = "service.cooling_down", "it is block {got}; the operator was ejected and can come back from block {expected} on";
    /// Too little stake.
    BelowMinimum { got: Amount, expected: Amount } = "service.below_minimum", "the operator's weight is {got}, the quorum asks for {expected}: allocate more stake to it";
    /// Full, and not larger than the smallest by enough.
    QuorumFull { got: Amount, expected: Amount } = "service.quorum_full", "the quorum is full and the weight of {got} does not reach the {expected} that evict its smallest operator";
    /// More operators than a table has room for.
    ServiceFull { max: u32 } = "service.full", "the service's quorums together have {max} operators, which is as many as its protocol versions allow";
    /// Too much ejected lately.
    EjectionRate { got: Amount, max: Amount, until: Block } = "service.ejection_rate", "weight {got} would be ejected in this window, at most {max} may: wait until block {until}";

    // Allocations and slashing.
    /// The quorum does not hold the strategy.
    NotInQuorum { strategy: StrategyId, quorum: QuorumId } = "allocation.not_in_quorum", "quorum {quorum} does not count strategy {strategy}";
    /// One change at a time.
    AllocationPending { until: Block } = "allocation.pending", "the allocation has a change pending until block {until}: wait for it";
    /// No change.
    AllocationSame { magnitude: Wad } = "allocation.same", "the allocation is {magnitude} already";
    /// More than there is.
    Magnitude { got: Wad, max: Wad } = "allocation.magnitude", "magnitude {got} is asked for, {max} can be allocated: lower another allocation first";
    /// Wads and strategies of a slash.
    SlashWad { got: Wad, max: Wad } = "slash.wad", "a slash of {got} is not allowed: it must be from 1 to {max} (in units of 10^-18)";
    /// The list is not by rising strategy.
    SlashOrder { first: StrategyId, second: StrategyId } = "slash.order", "strategy {second} follows {first}: name each once, by rising number";
    /// Nothing is named.
    SlashEmpty { strategies: usize } = "slash.empty", "a slash names at least one strategy, not {strategies}";
    /// The operator cannot be slashed by this quorum.
    NotSlashable { operator: OperatorId } = "slash.not_slashable", "operator {operator} is not in the quorum, and the time in which it could be slashed after leaving is over";
    /// Nothing allocated.
    NothingToSlash { operator: OperatorId } = "slash.nothing", "operator {operator} has nothing allocated to the quorum in the strategies named";
    /// The fault was punished before.
    SameFault { block: Block } = "slash.same_fault", "this fault was punished in block {block} already";
    /// No such request.
    UnknownRequest { request: u64 } = "slash.unknown_request", "there is no open slash request {request}";
    /// Too late for a veto.
    VetoLate { got: Block, expected: Block } = "slash.veto_late", "it is block {got}, the veto window ended with block {expected}";
    /// Within the veto window still.
    SlashEarly { got: Block, expected: Block } = "slash.early", "it is block {got}, the request can be executed from block {expected} on";

    // Dispersers.
    /// No such disperser.
    UnknownDisperser { service: ServiceId, disperser: u32 } = "disperser.unknown", "service {service} has no disperser {disperser}";
    /// The bond is too small, or absurd.
    DisperserBond { got: Amount, min: Amount } = "disperser.bond", "the bond is {got}, allowed are {min} to 10^38 - 1";
    /// No place is left.
    DispersersFull { max: u32 } = "disperser.full", "the service has {max} dispersers with a bond, which is as many as can be: wait until one is gone";
    /// The network key is another's.
    DisperserKeyTaken { disperser: u32 } = "disperser.key_taken", "disperser {disperser} of the service uses this network key";
    /// The network key did not say that it is this account's.
    DisperserStatement { source: ashlar_crypto::identity::IdentityError } = "disperser.statement", "the network key's statement for this account and service does not hold ({source}): sign it with the key that is registered";
    /// It leaves already.
    DisperserExiting { disperser: u32, until: Block } = "disperser.exiting", "disperser {disperser} has left, its bond can be slashed through block {until} and comes back after it";
    /// It has left.
    DisperserGone { disperser: u32 } = "disperser.gone", "disperser {disperser} has left and has its bond back";
    /// It was slashed.
    DisperserSlashed { disperser: u32, block: Block } = "disperser.slashed", "disperser {disperser} lost its bond in block {block}";
    /// Accounts have something with it, and nobody told them.
    DepositsOpen { disperser: u32, held: Amount } = "disperser.deposits_open", "accounts have {held} with disperser {disperser}: close its accounts (close_accounts), and leave after the notice";
    /// Accounts have something with it, and the notice runs.
    DepositsNotice { got: Block, expected: Block } = "disperser.deposits_notice", "it is block {got}; accounts were told that the disperser leaves, and it can from block {expected} on";

    // Accounts and payments.
    /// Terms of payment out of range.
    PaymentTerms { what: &'static str, got: u64, min: u64, max: u64 } = "service.payments", "the {what} of the terms of payment is {got}, allowed are {min} to {max}";
    /// What was agreed to.
    PaymentTermsFixed { service: ServiceId } = "payment.terms_fixed", "the payment token, the operators' share and the notice of service {service} stay as they were set first: change the price or the capacity only";
    /// The service has no terms.
    NoPayments { service: ServiceId } = "payment.not_taken", "service {service} takes no payments: its owner has set no terms (set_payment_terms)";
    /// An absurd amount.
    PaymentAmount { got: Amount, max: Amount } = "payment.amount", "an amount of {got} is more than anybody has: at most {max} are allowed";
    /// Nothing was ever deposited or reserved.
    UnknownPaymentAccount { account: Account, disperser: u32 } = "payment.unknown_account", "account {account} never had anything with disperser {disperser}";
    /// The disperser takes nothing any more.
    AccountsClosed { disperser: u32, ends: Block } = "payment.closed", "the accounts of disperser {disperser} are closed: vouchers count before block {ends}, from then on accounts take what is left";
    /// The bytes are no signature.
    VoucherSignature { source: ashlar_crypto::account::AccountError } = "payment.voucher_signature", "the voucher is not signed: {source}";
    /// Somebody else's, or of something else.
    VoucherSigner { got: Account, expected: Account } = "payment.voucher_signer", "the signature is account {got}'s, expected {expected}: sign exactly this voucher, for this disperser, under this service's domain";
    /// A higher one was redeemed.
    VoucherBelow { got: Amount, expected: Amount } = "payment.voucher_below", "the voucher says {got}, and {expected} are paid already: hand in a higher one";
    /// More than was deposited.
    VoucherAbove { got: Amount, expected: Amount } = "payment.voucher_above", "the voucher says {got}, and deposits cover {expected}: deposit more, or hand in a lower one";
    /// More than there is.
    RefundAmount { got: Amount, expected: Amount } = "payment.refund_amount", "{expected} are asked for, {got} are left of the deposit: ask for less";
    /// Nothing was announced, or nothing is left.
    NoRefund { account: Account } = "payment.no_refund", "there is nothing for account {account} to take: announce a refund first";
    /// The notice runs.
    RefundEarly { got: Block, expected: Block } = "payment.refund_early", "it is block {got}, the refund can be taken from block {expected} on";
    /// A number of a reservation out of range.
    ReservationRange { what: &'static str, got: u64, min: u64, max: u64 } = "reservation.range", "the {what} of the reservation is {got}, allowed are {min} to {max}";
    /// One at a time, and this does not make it longer.
    ReservationOpen { until: Block } = "reservation.open", "the account has a reservation with this disperser until block {until}: buy the next one then, or make it longer by as many rows from that block on, while the price is the same";
    /// Not so much is left.
    ReservationCapacity { got: u64, expected: u64 } = "reservation.capacity", "{expected} rows a second are asked for, {got} are left in a block of that time: reserve fewer, or for another time";
    /// Too many at a time.
    ReservationsFull { max: u32 } = "reservation.full", "the service has {max} reservations, which is as many as can be: wait until one is over";
    /// Dearer than expected.
    ReservationPrice { got: Amount, expected: Amount } = "reservation.price", "the reservation costs {got}, and at most {expected} are offered";

    // Heads.
    /// Nobody can know its table yet.
    HeadEarly { block: Block, expected: Block } = "head.early", "block {block} is not over: show the head from block {expected} on";
    /// Not by the key that signs heads.
    HeadKey { block: Block } = "head.key", "the head is not signed by the key that signs this ledger's heads of block {block}";
    /// It is right.
    HeadAgrees { block: Block } = "head.agrees", "the head says of block {block} what the ledger says: there is nothing to record";
    /// Recorded already.
    HeadKnown { block: Block } = "head.known", "this head was recorded in block {block}";
    /// The present key did not name this successor.
    HeadSuccession { expected: Account } = "head.succession", "the succession is not signed by the present head key, {expected}";

    /// The key before signs nothing then.
    HeadKeyBlock { got: Block, expected: Block } = "head.key_block", "the successor signs from block {got} on, possible is block {expected} or later: the present key signs the block before";
    /// It signed heads before.
    HeadKeyUsed { key: Account } = "head.key_used", "account {key} signs heads or did so before: name another one";

    // Custody challenges.
    /// Terms of custody out of range.
    CustodyTerms { what: &'static str, got: u64, min: u64, max: u64 } = "service.custody", "the {what} of the terms of custody is {got}, allowed are {min} to {max}";
    /// The service takes no challenges.
    NoChallenges { service: ServiceId } = "challenge.not_taken", "service {service} was registered without terms of custody: its operators cannot be challenged";
    /// The bond is too small, or absurd.
    ChallengeBond { got: Amount, min: Amount } = "challenge.bond", "the bond is {got}, allowed are {min} to 10^38 - 1";
    /// Too many at a time, for the service or for one operator.
    TooManyChallenges { whom: &'static str, max: u32 } = "challenge.too_many", "{max} challenges to {whom} are open, which is as many as can be: wait until one ends";
    /// One at a time.
    SameChallenge { challenge: u64 } = "challenge.same", "challenge {challenge} of this account to this operator for this blob is open: wait until it ends";
    /// The bytes are no certificate.
    CertificateForm { source: ashlar_proto::CertificateDecodeError } = "challenge.certificate_form", "the certificate cannot be read: {source}";
    /// There was no table.
    NoTable { service: ServiceId, block: Block } = "challenge.no_table", "service {service} had no operator table at the certificate's block, {block}";
    /// The reference block is not over.
    ChallengeEarly { got: Block, expected: Block } = "challenge.early", "it is block {got}; the batch can be challenged from block {expected} on";
    /// The custody period is over.
    ChallengeLate { got: Block, expected: Block } = "challenge.late", "it is block {got}; the batch could be challenged through block {expected}";
    /// The certificate is of another service or network.
    ChallengeDomain { got: ashlar_proto::Domain, expected: ashlar_proto::Domain } = "challenge.other_domain", "the certificate is of the domain {got}, the service's is {expected}: challenge the operator in the service that it signed for";
    /// The certificate does not hold.
    Certificate { source: Box<ashlar_proto::CertificateError> } = "challenge.certificate", "the certificate does not hold with the table of its block: {source}";
    /// The operator owes nothing.
    NoDuty { source: Box<crate::evidence::CustodyError> } = "challenge.no_duty", "there is nothing to ask the operator for: {source}";
    /// No such challenge.
    UnknownChallenge { challenge: u64 } = "challenge.unknown", "there is no open challenge {challenge}: it was answered, its deadline is over, or it never was";
    /// The bytes are no answer.
    AnswerForm { source: crate::evidence::EvidenceDecodeError } = "challenge.answer_form", "the answer cannot be read: {source}";
    /// The answer shows something else.
    WrongAnswer { source: Box<crate::evidence::CustodyError> } = "challenge.wrong_answer", "the answer does not show the element that is asked for: {source}";

    // Rewards.
    /// No such root.
    UnknownRoot { root: u64 } = "reward.unknown_root", "there is no reward root {root}, or it was withdrawn";
    /// Not active yet.
    RootEarly { got: Block, expected: Block } = "reward.root_early", "it is block {got}, the reward root pays from block {expected} on";
    /// Active already.
    RootActive { root: u64 } = "reward.root_active", "reward root {root} pays already and cannot be withdrawn";
    /// The proof is wrong.
    ClaimProof { source: ashlar_crypto::merkle::MerkleError } = "reward.proof", "the claim does not lead to the root: {source}";
    /// Nothing new.
    NotRising { got: Amount, expected: Amount } = "reward.not_rising", "cumulative earnings of {got} are claimed, {expected} were paid already: claim against a newer root";
    /// Not funded.
    NoFunds { got: Amount, expected: Amount } = "reward.no_funds", "{expected} are claimed, {got} are left of what was paid in";
    /// The kind of source pays no tokens.
    SameSource { block: Block } = "reward.same_source", "this source was counted in block {block} already";

    // Vaults.
    /// No such vault.
    UnknownVault { vault: VaultId } = "vault.unknown", "there is no vault {vault}";
    /// Fee, caps or weights out of range.
    VaultConfig { what: &'static str, got: u64, min: u64, max: u64 } = "vault.config", "the vault's {what} is {got}, allowed are {min} to {max}";
    /// The locked first deposit is too small.
    VaultSeed { got: Amount, expected: Amount } = "vault.seed", "the vault's first deposit, which stays in it, is {got}: at least {expected} are needed";
    /// No shares for it.
    VaultNoShares { amount: Amount } = "vault.no_shares", "{amount} is worth less than one share of the vault: deposit more";
    /// Nothing is left in it.
    VaultEmpty { vault: VaultId } = "vault.empty", "vault {vault} was slashed entirely: nothing can be added or asked for";
    /// A loss has not been taken over into the rate yet.
    VaultLossPending { got: Amount, expected: Amount } = "vault.loss_pending", "the vault holds {got} and counts {expected}: report until the loss is in the rate";
    /// Fewer shares than needed.
    VaultShares { got: Amount, expected: Amount } = "vault.shares", "{expected} vault shares are needed, the account has {got}";
    /// No such request.
    UnknownVaultRequest { request: u64 } = "vault.unknown_request", "the vault has no request {request} of this account";
    /// Not finalised.
    NotFinal { request: u64 } = "vault.not_final", "request {request} is still in the queue";
    /// Nothing to do, or not enough in the buffer for the next in the queue.
    VaultBuffer { got: Amount, expected: Amount } = "vault.buffer", "the vault has {got} at hand and needs {expected}: unstake and collect first";
    /// The queue is empty.
    VaultQueueEmpty { vault: VaultId } = "vault.queue_empty", "nobody waits in the queue of vault {vault}";
    /// Reports have a pace.
    ReportEarly { got: Block, expected: Block } = "vault.report_early", "it is block {got}, the next report is possible from block {expected} on";
    /// The operator is not in the profile.
    NotInProfile { operator: OperatorId } = "vault.not_in_profile", "operator {operator} is not in the vault's risk profile";
    /// The profile still has stake there.
    ProfileInUse { operator: OperatorId } = "vault.profile_in_use", "the vault still has stake with operator {operator}: give it the weight 0 instead of leaving it out";
}

/// What the functions of the ledger return.
pub(super) type Outcome<T = ()> = Result<T, TransactionError>;
