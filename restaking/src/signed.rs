//! What is signed of a transaction: Solidity structs beside the ledger's own types, and the way from these to those.

use alloy_primitives::{Address, B256, Bytes, U256};
use ashlar_crypto::account::AccountSignature;
use ashlar_crypto::bls::{PublicKeyBytes, SignatureBytes};
use ashlar_crypto::identity::{NetworkPublicKey, NetworkSignature};
use ashlar_proto::{Account, Block, OperatorId, TableRoot};

use super::distribution::{RewardClaim, TokenClaim};
use super::{
    Amount, CustodyTerms, DisperserTerms, FaultRecord, Params, PaymentTerms, QuorumConfig,
    QuorumStrategy, RewardKind, SlashPart, StrategyKind, Timing, Wad,
};

/// What a value of the ledger is in a signed struct.
///
/// A signed struct has no optional fields. A value that is left out is signed as one that has no other use: the largest
/// amount for "all of it", the zero address for "nobody", terms that are all zero for "no terms". Carrying a
/// transaction out reads them as none too, so that one signature has one meaning.
pub(super) trait Signed<T> {
    fn signed(&self) -> T;
}

macro_rules! same {
    ($($type:ty),*) => {$(
        impl Signed<$type> for $type {
            fn signed(&self) -> $type {
                self.clone()
            }
        }
    )*};
}

same!(u8, u16, u32, u64, bool, String, B256);

macro_rules! words {
    ($($type:ty => $signed:ty, |$value:ident| $how:expr;)*) => {$(
        impl Signed<$signed> for $type {
            fn signed(&self) -> $signed {
                let $value = self;
                $how
            }
        }
    )*};
}

words! {
    Amount => U256, |amount| amount.0;
    Option<Amount> => U256, |amount| amount.unwrap_or(Amount::ALL).0;
    Wad => u64, |wad| wad.0;
    Block => u64, |block| block.0;
    Account => Address, |account| account.0.into();
    Option<Account> => Address, |account| account.map_or(Address::ZERO, |account| account.signed());
    OperatorId => B256, |id| id.0.into();
    TableRoot => B256, |root| root.0.into();
    NetworkPublicKey => B256, |key| key.0.into();
    NetworkSignature => Bytes, |signature| signature.0.into();
    PublicKeyBytes => Bytes, |key| key.0.into();
    SignatureBytes => Bytes, |signature| signature.0.into();
    AccountSignature => Bytes, |signature| signature.0.into();
    Vec<u8> => Bytes, |bytes| Bytes::copy_from_slice(bytes);
    StrategyKind => String, |kind| kind.name().to_owned();
    RewardKind => String, |kind| kind.name().to_owned();
    (OperatorId, u16) => sol::ProfilePart, |part| sol::ProfilePart { operator: part.0.signed(), weight_bps: part.1 };
    Option<CustodyTerms> => sol::CustodyTerms, |terms| terms.unwrap_or_default().signed();
}

impl<T: Signed<S>, S> Signed<Vec<S>> for Vec<T> {
    fn signed(&self) -> Vec<S> {
        self.iter().map(Signed::signed).collect()
    }
}

macro_rules! structs {
    ($($name:ident { $($field:ident: $sol:ident $([$($list:tt)?])?),* $(,)? })*) => {
        /// The Solidity structs inside of transactions.
        #[allow(missing_docs)]
        pub(super) mod sol {
            alloy_sol_types::sol! {
                #[derive(serde::Serialize)]
                struct ProfilePart {
                    bytes32 operator;
                    uint16 weight_bps;
                }

                $(
                    #[derive(serde::Serialize)]
                    struct $name {
                        $($sol $([$($list)?])? $field;)*
                    }
                )*
            }
        }

        $(
            impl Signed<sol::$name> for $name {
                fn signed(&self) -> sol::$name {
                    // A field that is not signed does not compile.
                    let Self { $($field),* } = self;
                    sol::$name { $($field: $field.signed()),* }
                }
            }
        )*
    };
}

structs! {
    Timing {
        open_to_challenges: uint64,
        challenge: uint64,
        response: uint64,
        veto: uint64,
        margin: uint64,
    }
    Params {
        block_seconds: uint64,
        withdrawal_delay: uint64,
        deallocation_delay: uint64,
        allocation_delay_change: uint64,
        slasher_delay: uint64,
        split_delay: uint64,
        root_delay: uint64,
        execution_window: uint64,
        slash_cap: uint64,
        report_interval: uint64,
        timing: Timing,
    }
    CustodyTerms {
        token: address,
        min_bond: uint256,
        wad: uint64,
        max_open: uint32,
        max_open_per_operator: uint32,
    }
    DisperserTerms {
        token: address,
        min_bond: uint256,
        max: uint32,
    }
    PaymentTerms {
        token: address,
        operators_bps: uint16,
        row_price: uint256,
        capacity: uint32,
        notice: uint64,
    }
    QuorumStrategy {
        strategy: uint32,
        multiplier: uint256,
    }
    QuorumConfig {
        strategies: QuorumStrategy[],
        minimum_weight: uint256,
        maximum_operators: uint32,
        churn_bps: uint32,
        ejection_bps: uint16,
        ejection_window: uint64,
        ejection_cooldown: uint64,
        redistribute_to: address,
    }
    SlashPart {
        strategy: uint32,
        wad: uint64,
    }
    FaultRecord {
        operator: bytes32,
        kind: uint8,
        evidence_hash: bytes32,
    }
    TokenClaim {
        token: address,
        cumulative: uint256,
        index: uint64,
        path: bytes32[],
    }
    RewardClaim {
        root: uint64,
        earner: address,
        earners: uint64,
        earners_root: bytes32,
        index: uint64,
        path: bytes32[],
        token_count: uint64,
        tokens_root: bytes32,
        tokens: TokenClaim[],
    }
}
