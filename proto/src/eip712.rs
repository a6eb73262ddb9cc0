//! Hashes that accounts sign: EIP-712, so that every Ethereum wallet shows what it signs.
//!
//! The EIP712Domain is `(string name = "Ashlar", string version = "1", bytes32 salt)`. The salt is the [`Network`](crate::Network) for
//! registrations and ledger transactions and the [`Domain`](crate::Domain) for everything of one service; `chainId` and
//! `verifyingContract` are left out, because not every network has them.

use alloy_primitives::B256;
use alloy_sol_types::{Eip712Domain, SolStruct};
use ashlar_crypto::hash::Hash;

/// The EIP712Domain with this salt.
pub fn eip712_domain(salt: [u8; 32]) -> Eip712Domain {
    Eip712Domain::new(
        Some("Ashlar".into()),
        Some("1".into()),
        None,
        None,
        Some(B256::from(salt)),
    )
}

/// What an account signs: `keccak256(0x1901 | domain separator | struct hash)`.
pub fn signing_hash<T: SolStruct>(salt: impl Into<[u8; 32]>, value: &T) -> Hash {
    value.eip712_signing_hash(&eip712_domain(salt.into())).0
}

#[cfg(test)]
mod tests;
