//! Names of things: newtypes, so that a blob key is never taken for a batch digest.
//!
//! In text (JSON, command line, HTTP paths) all of them are lower-case hexadecimal with `0x`.

use std::{fmt, str::FromStr};

use ashlar_crypto::Coded;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Number of a quorum: one staked asset or group of operators. An operator can be in several.
pub type QuorumId = u8;

/// Stake in one quorum, in the smallest unit of its asset. Integers only.
pub type Stake = alloy_primitives::U256;

/// Text that is not the hexadecimal form of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[error("{what}: expected 0x and {expected} lower-case hexadecimal digits, got {got}")]
#[coded("id.malformed", blame = Caller)]
pub struct IdError {
    /// Which kind of id was expected.
    pub what: &'static str,
    /// Digits expected behind `0x`.
    pub expected: usize,
    /// What came: the length, or the first thing wrong.
    pub got: String,
}

fn parse<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], IdError> {
    let fail = |got: String| IdError {
        what,
        expected: 2 * N,
        got,
    };
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| fail("no 0x in front".into()))?;
    if digits.len() != 2 * N {
        return Err(fail(format!("{} digits", digits.len())));
    }
    // One text for one id: upper case would make two strings name the same thing.
    if let Some(c) = digits.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
        return Err(fail(format!("the character {c:?}")));
    }
    let mut out = [0; N];
    hex::decode_to_slice(digits, &mut out).map_err(|e| fail(e.to_string()))?;
    Ok(out)
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $len:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// From a slice of exactly the right length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }

        impl From<$name> for [u8; $len] {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "0x{}", hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse($what, text).map(Self)
            }
        }

        #[cfg(feature = "openapi")]
        ashlar_crypto::text_schema!($name, format!("0x[0-9a-f]{{{}}}", 2 * $len));

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id!(
    /// A blob: `H("ashlar/blob/1" | abi.encode(BlobHeader))`.
    BlobKey, 32, "blob key"
);
id!(
    /// A batch, and what operators sign: `H("ashlar/batch/2" | abi.encode(BatchHeader))`.
    BatchDigest, 32, "batch digest"
);
id!(
    /// An operator: `H("ashlar/operator/1" | compressed BLS public key)`.
    OperatorId, 32, "operator id"
);
id!(
    /// A network: one ledger, one registry contract, or one operator file. See [`domain`](crate::domain).
    Network, 32, "network"
);
id!(
    /// One service of a network: what everything that is signed for it carries. See [`domain`](crate::domain).
    Domain, 32, "domain"
);
id!(
    /// An operator table: `H("ashlar/table/3" | abi.encode(TableHeader))`.
    TableRoot, 32, "table root"
);
id!(
    /// A submission, known before its blob is encoded: `H("ashlar/submission/1" | abi.encode(Submission))`.
    BlobId, 32, "blob id"
);
id!(
    /// An account that pays or is paid: an Ethereum address.
    Account, 20, "account"
);

#[cfg(test)]
mod tests;
