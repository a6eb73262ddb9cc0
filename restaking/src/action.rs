//! Transactions.
//!
//! There is [one list](crate::transactions) of them: each with its name, its fields (with the type in Rust and the one that is signed), what it
//! is for, and what carries it out. The enum [`Action`] and its JSON, the structs of [`sol`] that are signed, the names and the dispatch
//! follow from it here, and the commands of `ashlar stake tx` in the command line.

mod list;
mod payments;

use alloy_primitives::B256;
use ashlar_crypto::account::AccountSignature;
use ashlar_crypto::bls::{PublicKeyBytes, SignatureBytes};
use ashlar_crypto::hash::sha256;
use ashlar_crypto::identity::{NetworkPublicKey, NetworkSignature};
use ashlar_proto::{Account, Block, OperatorId, QuorumId, TableRoot};
use serde::{Deserialize, Serialize};

use super::distribution::RewardClaim;
use super::error::Outcome;
use super::operators::NewOperator;
use super::services::{NewService, Slash};
use super::signed::Signed;
use super::typed_data::Visit;
use super::types::{NewReservation, somebody};
use super::vaults::NewVault;
use super::{
    Amount, CustodyTerms, DisperserTerms, Event, FaultRecord, Params, PaymentTerms, QuorumConfig,
    QuorumStrategy, RewardKind, ServiceId, SlashPart, State, StrategyId, StrategyKind,
    TransactionError, VaultId, Wad,
};

const TAG: &[u8] = b"ashlar/ledger-transaction/2";

/// What an account wants done. That the sender is who it says is the caller's to check.
///
/// Its JSON has one form: `{"sender": "0x…", "action": {"type": "deposit", …}}`, amounts and fractions as strings of decimal
/// digits, ids and hashes as `0x…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// Basis points: a ten-thousandth.
pub type Bps = u16;
/// An operator of a vault's risk profile, and its part of the stake; 10,000 together.
pub type ProfilePart = (OperatorId, Bps);
/// A text of many lines.
pub type Text = String;
/// Something of a format of its own, as bytes.
pub type Encoded = Vec<u8>;

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

/// Makes the enum and the structs of the list.
macro_rules! actions {
    ($state:ident, $sender:ident; $(
        $(#[doc = $doc:literal])+
        $text:literal $name:ident $(by $hand:ident)? {
            $(
                $(#[doc = $help:literal])*
                $(#[arg($($arg:tt)*)])?
                $(#[command($($command:tt)*)])?
                $(#[serde($($serde:tt)*)])?
                $field:ident: $type:ty as $sol:ident $([$($list:tt)?])?
            ),* $(,)?
        }
        $group:ident $who:literal: $example:literal
        => $run:expr;
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
                $name { $($(#[doc = $help])* $(#[serde($($serde)*)])? $field: $type),* },
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
                    return Err(TransactionError::VaultAccount { staker: $sender });
                }
                match action {
                    $(Action::$name { $($field),* } => $run,)*
                }
            }
        }
    };
}

crate::transactions! { actions }

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Action {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};

        let names = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(Self::NAMES.iter().copied()));
        ObjectBuilder::new()
            .description(Some(
                "The type of the transaction, and the fields of this type",
            ))
            .property("type", names)
            .required("type")
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Action {}

/// As many as these; none if it is all.
fn part(amount: Option<Amount>) -> Option<Amount> {
    amount.filter(|amount| *amount != Amount::ALL)
}
