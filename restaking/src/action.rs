//! Transactions.
//!
//! There is one list of them, below: each with its name, its fields (with the type in Rust and the one that is signed) and what
//! carries it out. The enum [`Action`] and its JSON, the structs of [`sol`] that are signed, the names and the dispatch follow from it.

use alloy_primitives::B256;
use ashlar_crypto::account::AccountSignature;
use ashlar_crypto::bls::{PublicKeyBytes, SignatureBytes};
use ashlar_crypto::hash::sha256;
use ashlar_crypto::identity::{NetworkPublicKey, NetworkSignature};
use ashlar_proto::{Account, OperatorId, QuorumId, TableRoot};
use serde::{Deserialize, Serialize};

use super::distribution::RewardClaim;
use super::operators::NewOperator;
use super::refusal::Outcome;
use super::services::{NewService, Slash};
use super::signed::Signed;
use super::typed_data::Visit;
use super::vaults::NewVault;
use super::{
    Amount, CustodyTerms, DisperserTerms, Event, FaultRecord, Params, QuorumConfig, QuorumStrategy,
    Refusal, RewardKind, ServiceId, SlashPart, State, StrategyId, StrategyKind, VaultId, Wad,
};

const TAG: &[u8] = b"ashlar/ledger-transaction/2";

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

impl Transaction {
    /// Names the transaction: a hash of its sender and of what it does.
    pub fn hash(&self) -> B256 {
        sha256(&[TAG, &self.sender.0, self.action.struct_hash().as_slice()]).into()
    }
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

/// `"name" Struct { field: RustType as SolidityType, … } => what carries it out;`, with `state` and `sender` in scope of the latter
/// and the fields as references.
macro_rules! actions {
    ($state:ident, $sender:ident; $(
        $(#[doc = $doc:literal])*
        $text:literal $name:ident {
            $($(#[$meta:meta])* $field:ident: $type:ty as $sol:ident $([$($list:tt)?])?),* $(,)?
        } => $run:expr;
    )*) => {
        /// The Solidity structs that are signed, one for each transaction. `nonce` is the sender's.
        #[allow(missing_docs)]
        pub mod sol {
            pub use super::super::signed::sol::*;

            alloy_sol_types::sol! {
                $(
                    #[derive(serde::Serialize)]
                    struct $name {
                        $($sol $([$($list)?])? $field;)*
                        uint64 nonce;
                    }
                )*
            }
        }

        /// Everything that a transaction can do.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", deny_unknown_fields)]
        #[allow(missing_docs)] // fields that say all by their name and type
        pub enum Action {
            $(
                $(#[doc = $doc])*
                #[serde(rename = $text)]
                $name { $($(#[$meta])* $field: $type),* },
            )*
        }

        impl Action {
            /// Every name there is.
            pub const NAMES: &'static [&'static str] = &[$($text),*];

            /// The `type` in JSON.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $text,)*
                }
            }

            /// Hands the struct that is signed to a visitor.
            pub(super) fn visit<V: Visit>(&self, nonce: u64, visitor: V) -> V::Output {
                match self {
                    $(Self::$name { $($field),* } => visitor.visit(&sol::$name {
                        $($field: $field.signed(),)*
                        nonce,
                    }),)*
                }
            }
        }

        impl State {
            /// Carries out an action. On an error the caller rolls back.
            pub(super) fn execute(&mut self, $sender: Account, action: &Action) -> Outcome {
                let $state = self;
                if $state.vault_accounts.contains(&$sender) {
                    return Err(Refusal::VaultAccount { staker: $sender });
                }
                match action {
                    $(Action::$name { $($field),* } => $run,)*
                }
            }
        }
    };
}

actions! {
    state, sender;

    /// Admin: adds a strategy; its number is in the event.
    "add_strategy" AddStrategy {
        name: String as string,
        kind: StrategyKind as string,
        asset: Account as address,
        oracle: Account as address,
    } => {
        state.check_admin(sender)?;
        state.add_strategy(name, *kind, *asset, *oracle)
    };
    /// Admin: sets all parameters; what was queued before keeps its delays.
    "set_params" SetParams { params: Params as Params } => {
        state.check_admin(sender)?;
        state.set_params(params)
    };
    /// Admin: names who submits reward roots.
    "set_reward_updater" SetRewardUpdater { account: Account as address } => {
        state.check_admin(sender)?;
        state.meta.reward_updater = *account;
        state.emit(Event::RewardUpdaterSet { account: *account });
        Ok(())
    };

    /// Oracle: the strategy's tokens are `balance` now (a rebase, in either direction).
    "rebase" Rebase {
        strategy: StrategyId as uint32,
        balance: Amount as uint256,
    } => state.rebase(sender, *strategy, *balance);
    /// Anybody: adds tokens for nothing in return.
    "donate" Donate {
        strategy: StrategyId as uint32,
        amount: Amount as uint256,
    } => state.donate(*strategy, *amount);
    /// Oracle of native ETH: the staker's pod and validators hold `balance` wei now. Less lowers its beacon factor, more is a
    /// deposit.
    "beacon_balance" BeaconBalance {
        strategy: StrategyId as uint32,
        staker: Account as address,
        balance: Amount as uint256,
    } => state.beacon_balance(sender, *strategy, *staker, *balance);

    /// Staker: deposits tokens; they follow its delegation.
    "deposit" Deposit {
        strategy: StrategyId as uint32,
        amount: Amount as uint256,
    } => {
        state.strategy_ref(*strategy)?;
        if state.is_native(*strategy) {
            return Err(Refusal::NotNative { strategy: *strategy });
        }
        state.deposit(sender, *strategy, *amount).map(drop)
    };
    /// Staker: restakes a validator of 32 ETH.
    "add_validator" AddValidator {
        strategy: StrategyId as uint32,
        validator: u64 as uint64,
    } => state.add_validator(sender, *strategy, *validator).map(drop);
    /// Staker: delegates all its stake, now and later, to one operator.
    "delegate" Delegate { operator: OperatorId as bytes32 } => state.delegate(sender, *operator);
    /// Staker: ends its delegation; all its stake is queued, one withdrawal a strategy.
    "undelegate" Undelegate {} => state.undelegate(sender).map(drop);
    /// Staker: undelegates and delegates to another operator; complete the withdrawals as shares to move the stake.
    "redelegate" Redelegate { operator: OperatorId as bytes32 } => state.redelegate(sender, *operator);
    /// Staker: queues a withdrawal of so many deposit shares, or of all.
    "queue_withdrawal" QueueWithdrawal {
        strategy: StrategyId as uint32,
        /// None, or 2^256 − 1: all.
        shares: Option<Amount> as uint256,
    } => state.queue_withdrawal(sender, *strategy, part(*shares)).map(drop);
    /// Staker: takes a matured withdrawal as tokens, or as shares (a new deposit, with its present operator).
    "complete_withdrawal" CompleteWithdrawal {
        withdrawal: u64 as uint64,
        as_shares: bool as bool,
    } => state.complete(sender, *withdrawal, *as_shares).map(drop);

    /// Anybody who is not delegated: becomes an operator; its own stake is delegated to it (solo restaking).
    "register_operator" RegisterOperator {
        bls_public_key: PublicKeyBytes as bytes,
        proof_of_possession: SignatureBytes as bytes,
        network_key: NetworkPublicKey as bytes32,
        address: String as string,
        /// By the BLS key: the [`OperatorStatement`](ashlar_proto::registration::OperatorStatement) of this account, network key and
        /// address, with the sequence 0.
        statement: SignatureBytes as bytes,
        /// Blocks from an increase of an allocation until it is slashable.
        allocation_delay: u64 as uint64,
    } => state.register_operator(
        sender,
        &NewOperator {
            bls_public_key,
            proof_of_possession,
            network_key: *network_key,
            address,
            statement,
            allocation_delay: *allocation_delay,
        },
    );
    /// Operator: changes where it listens, or its TLS identity; tables show it from the same block on.
    "update_operator" UpdateOperator {
        network_key: NetworkPublicKey as bytes32,
        address: String as string,
        /// By the BLS key: the statement of the new network key and address, with the operator's next sequence.
        statement: SignatureBytes as bytes,
    } => {
        let id = state.operator_of(sender)?;
        state.update_operator(id, *network_key, address, statement)
    };
    /// Operator: announces another allocation delay.
    "set_allocation_delay" SetAllocationDelay { blocks: u64 as uint64 } => {
        let id = state.operator_of(sender)?;
        state.set_allocation_delay(id, *blocks)
    };
    /// Operator: announces its share of a service's rewards, in basis points (1,000 if it never did).
    "set_fee_split" SetFeeSplit {
        service: ServiceId as uint32,
        bps: u16 as uint16,
    } => {
        let id = state.operator_of(sender)?;
        state.set_fee_split(id, *service, *bps)
    };
    /// Operator: sets the magnitude that a quorum can slash.
    "allocate" Allocate {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
        strategy: StrategyId as uint32,
        magnitude: Wad as uint64,
    } => {
        let id = state.operator_of(sender)?;
        state.allocate((id, *strategy, *service, *quorum), *magnitude)
    };
    /// Operator: joins a quorum; if it is full, in place of the smallest.
    "opt_in" OptIn {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
    } => {
        let id = state.operator_of(sender)?;
        state.opt_in(id, *service, *quorum)
    };
    /// Operator: leaves a quorum; it can be slashed for the deallocation delay still.
    "opt_out" OptOut {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
    } => {
        let id = state.operator_of(sender)?;
        state.opt_out(id, *service, *quorum)
    };
    /// Operator: takes no more delegations and joins nothing any more. Its stakers stay until they undelegate.
    "retire_operator" RetireOperator {} => {
        let id = state.operator_of(sender)?;
        state.retire(id)
    };

    /// Anybody: registers a service; its number is in the event.
    "register_service" RegisterService {
        name: String as string,
        /// For what it slashes.
        conditions: String as string,
        slasher: Account as address,
        /// None, or the zero address: nobody.
        resolver: Option<Account> as address,
        veto_window: u64 as uint64,
        slash_cap: Wad as uint64,
        ejector: Account as address,
        /// The protocol versions that it uses from now on, rising, at least one.
        versions: Vec<u16> as uint16[],
        /// On which terms anybody can be its disperser.
        dispersers: DisperserTerms as DisperserTerms,
        /// On which terms its operators can be challenged to show what they hold; without them (all zero, in the signed struct)
        /// they cannot.
        custody: Option<CustodyTerms> as CustodyTerms,
    } => state.register_service(
        sender,
        &NewService {
            name,
            conditions,
            slasher: *slasher,
            resolver: somebody(*resolver),
            veto_window: *veto_window,
            slash_cap: *slash_cap,
            ejector: *ejector,
            versions,
            dispersers: *dispersers,
            custody: custody.filter(|terms| *terms != CustodyTerms::default()),
        },
    );
    /// Service's owner: from a later block on, the service uses this protocol version too.
    "activate_version" ActivateVersion {
        service: ServiceId as uint32,
        version: u16 as uint16,
        /// Later than the ledger's block.
        from: u64 as uint64,
    } => {
        state.check_owner(sender, *service)?;
        state.activate_version(*service, *version, *from)
    };
    /// Service's owner: adds a quorum.
    "add_quorum" AddQuorum {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
        config: QuorumConfig as QuorumConfig,
    } => {
        state.check_owner(sender, *service)?;
        state.add_quorum(*service, *quorum, config)
    };
    /// Service's owner: sets multipliers and adds strategies; none can be taken away, but its multiplier can be 0.
    "set_multipliers" SetMultipliers {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
        strategies: Vec<QuorumStrategy> as QuorumStrategy[],
    } => {
        state.check_owner(sender, *service)?;
        state.set_multipliers(*service, *quorum, strategies)
    };
    /// Service's owner: announces another slasher.
    "set_slasher" SetSlasher {
        service: ServiceId as uint32,
        slasher: Account as address,
    } => {
        state.check_owner(sender, *service)?;
        state.set_slasher(*service, *slasher)
    };
    /// Anybody: becomes a disperser of a service, against a bond; its number is in the event. Tables show it from the same block on.
    "register_disperser" RegisterDisperser {
        service: ServiceId as uint32,
        network_key: NetworkPublicKey as bytes32,
        /// By the network key: the [`DisperserStatement`](ashlar_proto::registration::DisperserStatement) of this account.
        statement: NetworkSignature as bytes,
        bond: Amount as uint256,
    } => state.register_disperser(sender, *service, *network_key, statement, *bond);
    /// Disperser: adds to its bond.
    "top_up_disperser" TopUpDisperser {
        service: ServiceId as uint32,
        disperser: u32 as uint32,
        amount: Amount as uint256,
    } => state.top_up_disperser(sender, *service, *disperser, *amount);
    /// Disperser: leaves the tables at once; its bond comes back after the deallocation delay.
    "exit_disperser" ExitDisperser {
        service: ServiceId as uint32,
        disperser: u32 as uint32,
    } => state.exit_disperser(sender, *service, *disperser);
    /// Service's slasher: burns a disperser's bond, for a fault whose evidence it has checked. It leaves the tables at once.
    "slash_disperser" SlashDisperser {
        service: ServiceId as uint32,
        disperser: u32 as uint32,
        evidence_hash: B256 as bytes32,
        reason: String as string,
    } => state.slash_disperser(sender, *service, *disperser, *evidence_hash, reason);
    /// Service's ejector: removes an operator for bad service. Nothing is slashed.
    "eject" Eject {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
        operator: OperatorId as bytes32,
    } => state.eject(sender, *service, *quorum, *operator);
    /// Service's slasher: slashes, or asks for it if the service has a veto window.
    "slash" Slash {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
        operator: OperatorId as bytes32,
        parts: Vec<SlashPart> as SlashPart[],
        reason: String as string,
    } => state.slash(
        sender,
        &Slash {
            service: *service,
            quorum: *quorum,
            operator: *operator,
            parts,
            reason,
            fault: None,
        },
    );
    /// Service's slasher: the same, for a fault whose evidence it has checked; each fault once.
    "slash_by_evidence" SlashByEvidence {
        service: ServiceId as uint32,
        quorum: QuorumId as uint8,
        parts: Vec<SlashPart> as SlashPart[],
        fault: FaultRecord as FaultRecord,
        reason: String as string,
    } => state.slash(
        sender,
        &Slash {
            service: *service,
            quorum: *quorum,
            operator: fault.operator,
            parts,
            reason,
            fault: Some(*fault),
        },
    );
    /// Anybody: asks an operator that signed for a blob to show an element of it, which the ledger picks, and pays the bond for it.
    "open_challenge" OpenChallenge {
        service: ServiceId as uint32,
        operator: OperatorId as bytes32,
        /// The blob's certificate, as bytes: what shows that the operator owes it.
        #[serde(with = "bytes")]
        certificate: Vec<u8> as bytes,
        bond: Amount as uint256,
    } => state.open_challenge(sender, *service, *operator, certificate, *bond);
    /// Anybody: shows the element that a challenge asks for; the bond goes to the operator.
    "answer_challenge" AnswerChallenge {
        challenge: u64 as uint64,
        /// A [`CustodyAnswer`](crate::evidence::CustodyAnswer), as bytes.
        #[serde(with = "bytes")]
        answer: Vec<u8> as bytes,
    } => state.answer_challenge(*challenge, answer);
    /// Service's resolver: ends a slash request.
    "veto_slash" VetoSlash { request: u64 as uint64 } => state.veto(sender, *request);
    /// Service's slasher: executes a request after its veto window.
    "execute_slash" ExecuteSlash { request: u64 as uint64 } => state.execute_request(sender, *request);

    /// Anybody: shows a head that the source of tables signed and that contradicts the ledger. Operators that believed it are acquitted.
    "submit_head" SubmitHead {
        service: ServiceId as uint32,
        block: u64 as uint64,
        /// What the head says of the block's time, in milliseconds since 1970.
        time_ms: u64 as uint64,
        /// What it says of the table; another one than the ledger's own.
        table_root: TableRoot as bytes32,
        signature: AccountSignature as bytes,
    } => state.submit_head(*service, *block, *time_ms, *table_root, signature);
    /// Anybody: hands over what the present head key signed about its successor.
    "rotate_head_key" RotateHeadKey {
        /// The new key's account.
        successor: Account as address,
        /// The first block whose head it signs.
        from_block: u64 as uint64,
        signature: AccountSignature as bytes,
    } => state.rotate_head_key(*successor, *from_block, signature);

    /// Service's owner: pays tokens in for rewards.
    "pay_reward" PayReward {
        service: ServiceId as uint32,
        token: Account as address,
        amount: Amount as uint256,
        kind: RewardKind as string,
    } => {
        state.check_owner(sender, *service)?;
        state.pay_reward(*service, *token, *amount, *kind)
    };
    /// Reward updater: a new root of cumulative earnings.
    "submit_root" SubmitRoot { root: B256 as bytes32 } => {
        state.check_updater(sender)?;
        state.submit_root(*root)
    };
    /// Reward updater: withdraws a root that does not pay yet.
    "disable_root" DisableRoot { root: u64 as uint64 } => {
        state.check_updater(sender)?;
        state.disable_root(*root)
    };
    /// Anybody: pays an earner what a root says beyond what it got before.
    "claim_reward" ClaimReward { claim: RewardClaim as RewardClaim } => state.claim_reward(claim);

    /// Anybody: creates a vault; the seed is a deposit that stays in it for ever.
    "create_vault" CreateVault {
        name: String as string,
        strategy: StrategyId as uint32,
        seed: Amount as uint256,
        fee_bps: u16 as uint16,
        fee_recipient: Account as address,
        /// Usual: 25 and 3 basis points.
        cap_up_bps: u16 as uint16,
        cap_down_bps: u16 as uint16,
        /// The risk profile: operators and their part of the stake in basis points, 10,000 together.
        profile: Vec<(OperatorId, u16)> as ProfilePart[],
    } => state.create_vault(
        sender,
        &NewVault {
            name,
            strategy: *strategy,
            seed: *seed,
            fee_bps: *fee_bps,
            fee_recipient: *fee_recipient,
            cap_up_bps: *cap_up_bps,
            cap_down_bps: *cap_down_bps,
            profile,
        },
    );
    /// Vault's manager: sets the risk profile.
    "set_profile" SetProfile {
        vault: VaultId as uint32,
        profile: Vec<(OperatorId, u16)> as ProfilePart[],
    } => {
        state.check_manager(sender, *vault)?;
        state.set_profile(*vault, profile)
    };
    /// Anybody: deposits tokens for vault shares.
    "vault_deposit" VaultDeposit {
        vault: VaultId as uint32,
        amount: Amount as uint256,
    } => state.vault_deposit(sender, *vault, *amount);
    /// Holder: asks for so many tokens, or for what all its shares are worth.
    "vault_request_withdrawal" VaultRequestWithdrawal {
        vault: VaultId as uint32,
        /// None, or 2^256 − 1: all.
        amount: Option<Amount> as uint256,
    } => state.vault_request(sender, *vault, part(*amount));
    /// Anybody: finalises up to `count` (1 to 100) requests, first come, first served, at one rate.
    "vault_finalize" VaultFinalize {
        vault: VaultId as uint32,
        count: u32 as uint32,
    } => state.vault_finalize(*vault, *count);
    /// Holder: takes what a final request pays.
    "vault_claim_withdrawal" VaultClaimWithdrawal {
        vault: VaultId as uint32,
        request: u64 as uint64,
    } => state.vault_claim(sender, *vault, *request);
    /// Holder: gives vault shares to another account.
    "vault_transfer" VaultTransfer {
        vault: VaultId as uint32,
        to: Account as address,
        shares: Amount as uint256,
    } => state.vault_transfer(sender, *vault, *to, *shares);
    /// Vault's manager: stakes what is at hand and not asked for, by the risk profile; for native ETH with these new validators.
    "vault_stake" VaultStake {
        vault: VaultId as uint32,
        validators: Vec<u64> as uint64[],
    } => {
        state.check_manager(sender, *vault)?;
        state.vault_stake(*vault, validators)
    };
    /// Vault's manager: queues a withdrawal of so many deposit shares, or of all, from an operator.
    "vault_unstake" VaultUnstake {
        vault: VaultId as uint32,
        operator: OperatorId as bytes32,
        /// None, or 2^256 − 1: all.
        shares: Option<Amount> as uint256,
    } => {
        state.check_manager(sender, *vault)?;
        state.vault_unstake(*vault, *operator, part(*shares))
    };
    /// Anybody: takes a matured withdrawal of the vault's into its buffer.
    "vault_collect" VaultCollect {
        vault: VaultId as uint32,
        withdrawal: u64 as uint64,
    } => state.vault_collect(*vault, *withdrawal);
    /// Anybody: takes gains and losses since the last report into the rate, within the caps; the fee is taken of gains.
    "vault_report" VaultReport { vault: VaultId as uint32 } => state.vault_report(*vault);
    /// Vault's manager: notes points or incentives for the vault's holders; each source once, whatever vault it is noted for.
    "vault_source" VaultSource {
        vault: VaultId as uint32,
        source: B256 as bytes32,
        kind: RewardKind as string,
        token: Account as address,
        amount: Amount as uint256,
    } => {
        state.check_manager(sender, *vault)?;
        state.vault_source(*vault, *source, *kind, *token, *amount)
    };
    /// Reward updater: takes what a vault earned in a token into the next distribution to its holders.
    "vault_distribute" VaultDistribute {
        vault: VaultId as uint32,
        token: Account as address,
    } => {
        state.check_updater(sender)?;
        state.vault_distribute(*vault, *token)
    };
}

/// As many as these; none if it is all.
fn part(amount: Option<Amount>) -> Option<Amount> {
    amount.filter(|amount| *amount != Amount::ALL)
}

/// An account; none if it is nobody's.
pub(super) fn somebody(account: Option<Account>) -> Option<Account> {
    account.filter(|account| *account != Account::default())
}
