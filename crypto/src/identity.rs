//! Network identities: ed25519 keys (RFC 8032), by `ring`. A node, a disperser or a client is, on the network, its
//! public key; TLS shows it as a raw public key (RFC 7250), in the encodings of RFC 8410.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Coded;
use crate::hex_bytes::impl_hex_bytes;

/// DER of `SubjectPublicKeyInfo { algorithm: Ed25519, subjectPublicKey: 32 bytes }` up to the key.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// DER of PKCS #8 version 1 with an Ed25519 private key up to the seed.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The y coordinates (little-endian, sign bit clear) of the points of order 1, 2, 4 and 8, in every encoding that decodes to
/// them. Under such a key some signatures are valid for almost any message, and anybody can make them.
const WEAK_KEYS: [[u8; 32]; 7] = [
    // y = 0, order 4
    [0; 32],
    // y = 1, the identity
    with_ends(0x01, 0x00, 0x00),
    // y = p - 1 = -1, order 2
    with_ends(0xec, 0xff, 0x7f),
    // y = p and y = p + 1: 0 and 1 again, not reduced
    with_ends(0xed, 0xff, 0x7f),
    with_ends(0xee, 0xff, 0x7f),
    // the two y of order 8
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

const fn with_ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut bytes = [middle; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// Why an identity or its signature was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "identity", blame = Peer)]
pub enum IdentityError {
    /// Not the DER of an ed25519 `SubjectPublicKeyInfo`.
    #[error("the bytes are not the DER encoding of an ed25519 public key")]
    Spki,
    /// A key of small order, under which anybody can sign.
    #[error("the network key has small order: anybody could sign in its name")]
    WeakKey,
    /// The signature is not one of this key for this message.
    #[error("the ed25519 signature is not valid for this key and message")]
    Signature,
}

/// An ed25519 secret key, kept as its seed. Wiped from memory when dropped; `Debug` shows the public key only.
#[derive(Clone)]
pub struct NetworkKey {
    seed: Zeroizing<[u8; 32]>,
    public: NetworkPublicKey,
}

impl NetworkKey {
    /// The key of a seed: 32 secret, uniformly random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let public = NetworkPublicKey(public_of(&key_pair(&seed)));
        Self { seed, public }
    }

    /// The public key.
    pub fn public(&self) -> NetworkPublicKey {
        self.public
    }

    /// The seed, for a keystore.
    pub fn seed(&self) -> &Zeroizing<[u8; 32]> {
        &self.seed
    }

    /// PKCS #8, version 1, as TLS libraries take it.
    pub fn pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        // Exact capacity: growing would leave a copy of the seed behind.
        let mut der = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + 32));
        der.extend_from_slice(&PKCS8_PREFIX);
        der.extend_from_slice(&self.seed[..]);
        der
    }

    /// Signs `message`. Deterministic.
    #[allow(clippy::expect_used)] // a length that the standard fixes
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        key_pair(&self.seed)
            .sign(message)
            .as_ref()
            .try_into()
            .expect("an ed25519 signature has 64 bytes")
    }
}

#[allow(clippy::expect_used)] // fails for another length only
fn key_pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed of 32 bytes is an ed25519 key")
}

#[allow(clippy::expect_used)] // a length that the standard fixes
fn public_of(pair: &Ed25519KeyPair) -> [u8; 32] {
    pair.public_key()
        .as_ref()
        .try_into()
        .expect("an ed25519 public key has 32 bytes")
}

impl fmt::Debug for NetworkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkKey({})", self.public)
    }
}

/// 32 bytes that name a peer. Text and JSON: hex with `0x`. That the peer holds the secret key is shown by TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkPublicKey(pub [u8; 32]);
impl_hex_bytes!(NetworkPublicKey, 32);

impl NetworkPublicKey {
    /// The DER `SubjectPublicKeyInfo` (RFC 8410), 44 bytes.
    pub fn spki_der(&self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..SPKI_PREFIX.len()].copy_from_slice(&SPKI_PREFIX);
        der[SPKI_PREFIX.len()..].copy_from_slice(&self.0);
        der
    }

    /// Reads the one DER encoding that [`spki_der`](Self::spki_der) writes.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Spki`] for everything else, other algorithms included.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, IdentityError> {
        der.strip_prefix(&SPKI_PREFIX)
            .and_then(|key| key.try_into().ok())
            .map(Self)
            .ok_or(IdentityError::Spki)
    }

    /// Refuses the keys of small order. To be asked before a key is registered anywhere.
    ///
    /// # Errors
    ///
    /// [`IdentityError::WeakKey`].
    pub fn check_strength(&self) -> Result<(), IdentityError> {
        let mut without_sign = self.0;
        without_sign[31] &= 0x7f;
        if WEAK_KEYS.contains(&without_sign) {
            Err(IdentityError::WeakKey)
        } else {
            Ok(())
        }
    }

    /// Checks a signature.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), IdentityError> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .map_err(|_| IdentityError::Signature)
    }
}

/// An ed25519 signature, 64 bytes, unchecked. Text and JSON: hex with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkSignature(pub [u8; 64]);
impl_hex_bytes!(NetworkSignature, 64);

#[cfg(test)]
mod tests;
