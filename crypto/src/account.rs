//! Accounts: secp256k1 keys, their Ethereum addresses, and signatures from which the address is recovered.
//!
//! What is signed is always a 32-byte hash that says by itself what it is for (EIP-712). A signature has 65 bytes, `r | s | v`
//! with `v` 27 or 28, and `s` in the lower half of the range (EIP-2): one signature has one encoding.

use std::fmt;

use k256::ecdsa::{RecoveryId, Signature, SigningKey, VerifyingKey};
use sha3::{Digest, Keccak256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Coded;
use crate::hex_bytes::impl_hex_bytes;

/// Keccak-256, Ethereum's hash.
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

/// Why a key or a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "account", blame = Caller)]
pub enum AccountError {
    /// Zero, or not below the order of the group.
    #[error(
        "these 32 bytes are no secp256k1 key: expected a number from 1 to the group's order less 1"
    )]
    Key,
    /// The last byte is neither 27 nor 28.
    #[error("the signature's last byte is {got}, expected 27 or 28")]
    RecoveryId {
        /// What it is.
        got: u8,
    },
    /// `s` lies in the upper half of its range: the other encoding of a signature that anybody can make from it (EIP-2).
    #[error("the signature's s is in the upper half of its range, which EIP-2 refuses")]
    HighS,
    /// No key gives this signature of this hash.
    #[error("the account's signature is malformed: no key gives it")]
    Signature,
}

/// A secp256k1 secret key. Wiped from memory when dropped; `Debug` shows the address only.
#[derive(Clone)]
pub struct AccountKey {
    secret: Zeroizing<[u8; 32]>,
    signing: SigningKey,
    address: [u8; 20],
}

impl AccountKey {
    /// The key of these 32 bytes, big-endian. Random bytes fail with a chance of 2^-128.
    ///
    /// # Errors
    ///
    /// [`AccountError::Key`].
    pub fn from_bytes(secret: &[u8; 32]) -> Result<Self, AccountError> {
        let signing = SigningKey::from_slice(secret).map_err(|_| AccountError::Key)?;
        let address = address_of(signing.verifying_key());
        Ok(Self {
            secret: Zeroizing::new(*secret),
            signing,
            address,
        })
    }

    /// The Ethereum address: the last 20 bytes of Keccak-256 of the public key.
    pub fn address(&self) -> [u8; 20] {
        self.address
    }

    /// The secret, for a keystore.
    pub fn secret(&self) -> &Zeroizing<[u8; 32]> {
        &self.secret
    }

    /// Signs a hash. Deterministic (RFC 6979).
    pub fn sign_prehash(&self, hash: &[u8; 32]) -> AccountSignature {
        let (signature, id) = self.signing.sign_prehash_recoverable(hash);
        let mut out = [0; 65];
        out[..64].copy_from_slice(&signature.to_bytes());
        out[64] = 27 + u8::from(id.is_y_odd());
        AccountSignature(out)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey(0x{})", hex::encode(self.address))
    }
}

/// A signature by an account, 65 bytes, unchecked. Text and JSON: hex with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountSignature(pub [u8; 65]);
impl_hex_bytes!(AccountSignature, 65);

impl AccountSignature {
    /// The address whose key signed this hash. There is one for nearly every signature: compare it with the one expected.
    ///
    /// # Errors
    ///
    /// [`AccountError`] if no key gives this signature, or if it is not in its one encoding.
    pub fn recover(&self, hash: &[u8; 32]) -> Result<[u8; 20], AccountError> {
        let (scalars, v) = self.0.split_at(64);
        let &[v] = v else {
            return Err(AccountError::Signature);
        };
        let id = v
            .checked_sub(27)
            .filter(|id| *id < 2)
            .and_then(RecoveryId::from_byte)
            .ok_or(AccountError::RecoveryId { got: v })?;
        let signature = Signature::from_slice(scalars).map_err(|_| AccountError::Signature)?;
        if signature != signature.normalize_s() {
            return Err(AccountError::HighS);
        }
        VerifyingKey::recover_from_prehash(hash, &signature, id)
            .map(|key| address_of(&key))
            .map_err(|_| AccountError::Signature)
    }
}

fn address_of(key: &VerifyingKey) -> [u8; 20] {
    let point = key.to_sec1_point(false);
    let mut address = [0; 20];
    // The point is `04 | x | y`.
    let hash = keccak256(&point.as_bytes()[1..]);
    address.copy_from_slice(&hash[12..]);
    address
}

#[cfg(test)]
mod tests;
