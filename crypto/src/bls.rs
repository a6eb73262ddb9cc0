//! BLS signatures on BLS12-381 with short signatures: signature in G1 (48 bytes), public key in G2 (96 bytes), by the
//! `blst` library.
//!
//! The suites are those of the IETF draft draft-irtf-cfrg-bls-signature with proofs of possession: messages are signed
//! under [`SIGNATURE_SUITE`], a key proves itself under [`POSSESSION_SUITE`]. Adding up public keys is only
//! safe when each of them has shown its proof of possession once; otherwise a participant could choose its key as
//! "mine minus yours" and sign for both. A table of operators checks the proofs when it is built.
//!
//! [`PublicKeyBytes`] and [`SignatureBytes`] are what came from outside. [`PublicKey`] and [`Signature`] are on the
//! curve, in the subgroup of prime order, and not the point at infinity: no function here has to ask again.

use std::fmt;

use blst::BLST_ERROR;
use blst::min_sig::{
    AggregatePublicKey, AggregateSignature, PublicKey as BlstPublicKey, SecretKey as BlstSecretKey,
    Signature as BlstSignature,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::Coded;
use crate::hex_bytes::impl_hex_bytes;

/// Suite of messages: the draft's proof-of-possession scheme, minimal-signature-size variant.
pub const SIGNATURE_SUITE: &str = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
/// Suite of proofs of possession. Another tag than [`SIGNATURE_SUITE`], so a proof is never a signature of a message.
pub const POSSESSION_SUITE: &str = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

/// Bytes of a compressed public key.
pub const PUBLIC_KEY_LEN: usize = 96;
/// Bytes of a compressed signature.
pub const SIGNATURE_LEN: usize = 48;

/// Why a key, a signature or a proof of possession was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "bls", blame = Peer)]
pub enum BlsError {
    /// A secret key is a number from 1 to r − 1.
    #[error("the bytes are not a BLS secret key: zero, or not below the group order")]
    #[coded(blame = Caller)]
    SecretKey,
    /// Not the compressed encoding of a point of the curve.
    #[error("the bytes are not a compressed point of the curve")]
    Encoding,
    /// On the curve, but outside the subgroup of prime order.
    #[error("the point is outside the subgroup of prime order")]
    Subgroup,
    /// The point at infinity is no key and no signature.
    #[error("the point at infinity is neither a public key nor a signature")]
    Infinity,
    /// The signature is not one of this key for this message.
    #[error("the BLS signature is not valid for this key and message")]
    Signature,
    /// The proof of possession does not belong to this key.
    #[error("the proof of possession is not valid for this key")]
    Possession,
}

impl BlsError {
    fn from_decoding(error: BLST_ERROR) -> Self {
        match error {
            BLST_ERROR::BLST_POINT_NOT_IN_GROUP => Self::Subgroup,
            BLST_ERROR::BLST_PK_IS_INFINITY => Self::Infinity,
            _ => Self::Encoding,
        }
    }
}

/// 96 bytes that claim to be a public key. Text and JSON: hex with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKeyBytes(pub [u8; PUBLIC_KEY_LEN]);
impl_hex_bytes!(PublicKeyBytes, PUBLIC_KEY_LEN);

/// 48 bytes that claim to be a signature. Text and JSON: hex with `0x`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureBytes(pub [u8; SIGNATURE_LEN]);
impl_hex_bytes!(SignatureBytes, SIGNATURE_LEN);

/// A secret key. Wiped from memory when dropped; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct SecretKey(BlstSecretKey);

impl SecretKey {
    /// Derives a key from 32 secret, uniformly random bytes by the draft's `KeyGen` (HKDF; the same bytes give the same key).
    #[allow(clippy::expect_used)] // key_gen fails for fewer than 32 bytes only
    pub fn from_ikm(ikm: &[u8; 32]) -> Self {
        Self(BlstSecretKey::key_gen(ikm, &[]).expect("32 bytes of key material are enough"))
    }

    /// Reads a key as a big-endian number.
    ///
    /// # Errors
    ///
    /// [`BlsError::SecretKey`] for zero and for numbers not below the group order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        BlstSecretKey::from_bytes(bytes)
            .map(Self)
            .map_err(|_| BlsError::SecretKey)
    }

    /// The key as a big-endian number.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs `message`. Deterministic.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, SIGNATURE_SUITE.as_bytes(), &[]))
    }

    /// The proof that the holder of the public key knows the secret one: its signature of the public key's bytes under
    /// [`POSSESSION_SUITE`].
    pub fn prove_possession(&self) -> Signature {
        Signature(self.0.sign(
            &self.public_key().to_bytes().0,
            POSSESSION_SUITE.as_bytes(),
            &[],
        ))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A public key: on the curve, in the subgroup, not infinity. Whether anyone knows its secret key is what
/// [`PublicKey::verify_possession`] asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(BlstPublicKey);

impl PublicKey {
    /// Decodes and checks a compressed key.
    ///
    /// # Errors
    ///
    /// [`BlsError::Encoding`], [`BlsError::Subgroup`] or [`BlsError::Infinity`].
    pub fn from_bytes(bytes: &PublicKeyBytes) -> Result<Self, BlsError> {
        BlstPublicKey::key_validate(&bytes.0)
            .map(Self)
            .map_err(BlsError::from_decoding)
    }

    /// The compressed encoding.
    pub fn to_bytes(&self) -> PublicKeyBytes {
        PublicKeyBytes(self.0.to_bytes())
    }

    /// Checks a signature of `message`; with an aggregate key and an aggregate signature, that all of them signed.
    ///
    /// # Errors
    ///
    /// [`BlsError::Signature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BlsError> {
        self.verify_under(SIGNATURE_SUITE, message, signature)
            .then_some(())
            .ok_or(BlsError::Signature)
    }

    /// Checks a proof of possession of this key.
    ///
    /// # Errors
    ///
    /// [`BlsError::Possession`].
    pub fn verify_possession(&self, proof: &Signature) -> Result<(), BlsError> {
        self.verify_under(POSSESSION_SUITE, &self.to_bytes().0, proof)
            .then_some(())
            .ok_or(BlsError::Possession)
    }

    fn verify_under(&self, suite: &str, message: &[u8], signature: &Signature) -> bool {
        // Neither subgroup check is asked for: both types were checked when they were made.
        signature
            .0
            .verify(false, message, suite.as_bytes(), &[], &self.0, false)
            == BLST_ERROR::BLST_SUCCESS
    }

    /// `None` if the sum is the point at infinity, which is no key.
    fn from_sum(sum: &AggregatePublicKey) -> Option<Self> {
        let key = sum.to_public_key();
        // The sum of members of the subgroup is one of them, so this can only refuse infinity.
        key.validate().ok().map(|()| Self(key))
    }
}

impl TryFrom<PublicKeyBytes> for PublicKey {
    type Error = BlsError;

    fn try_from(bytes: PublicKeyBytes) -> Result<Self, BlsError> {
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.to_bytes())
    }
}

/// A signature, or a sum of signatures: on the curve, in the subgroup, not infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(BlstSignature);

impl Signature {
    /// Decodes and checks a compressed signature.
    ///
    /// # Errors
    ///
    /// [`BlsError::Encoding`], [`BlsError::Subgroup`] or [`BlsError::Infinity`].
    pub fn from_bytes(bytes: &SignatureBytes) -> Result<Self, BlsError> {
        BlstSignature::sig_validate(&bytes.0, true)
            .map(Self)
            .map_err(BlsError::from_decoding)
    }

    /// The compressed encoding.
    pub fn to_bytes(&self) -> SignatureBytes {
        SignatureBytes(self.0.to_bytes())
    }
}

impl TryFrom<SignatureBytes> for Signature {
    type Error = BlsError;

    fn try_from(bytes: SignatureBytes) -> Result<Self, BlsError> {
        Self::from_bytes(&bytes)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.to_bytes())
    }
}

/// The sum of `keys`: the key under which the sum of their signatures of one message verifies. The keys must have
/// proven possession. `None` if there are none, or if they cancel out.
pub fn aggregate_public_keys(keys: &[PublicKey]) -> Option<PublicKey> {
    PublicKey::from_sum(&sum_public_keys(keys)?)
}

/// `aggregate` without `keys`: what is left when the non-signers are taken out of the sum of all. `None` if nothing
/// is left.
pub fn subtract(aggregate: &PublicKey, keys: &[PublicKey]) -> Option<PublicKey> {
    let mut left = AggregatePublicKey::from_public_key(&aggregate.0);
    if let Some(gone) = sum_public_keys(keys) {
        left.sub_aggregate(&gone);
    }
    PublicKey::from_sum(&left)
}

/// The sum of `signatures`. `None` if there are none, or if they cancel out.
pub fn aggregate_signatures(signatures: &[Signature]) -> Option<Signature> {
    let (first, rest) = signatures.split_first()?;
    let mut sum = AggregateSignature::from_signature(&first.0);
    for signature in rest {
        // Cannot fail: the check of the summand, the only thing that can, is switched off.
        sum.add_signature(&signature.0, false).ok()?;
    }
    let signature = sum.to_signature();
    signature.validate(true).ok().map(|()| Signature(signature))
}

fn sum_public_keys(keys: &[PublicKey]) -> Option<AggregatePublicKey> {
    let (first, rest) = keys.split_first()?;
    let mut sum = AggregatePublicKey::from_public_key(&first.0);
    for key in rest {
        // Cannot fail: the check of the summand, the only thing that can, is switched off.
        sum.add_public_key(&key.0, false).ok()?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests;
