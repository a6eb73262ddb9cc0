//! Scalars of BLS12-381 and their canonical encoding: 32 bytes, big-endian, below the group order r.

use std::fmt;
use std::ops::{Add, Sub};

pub(crate) use ark_bls12_381::Fr;
use ark_ff::{BigInt, MontConfig, PrimeField};
use thiserror::Error;

use crate::{BYTES_PER_ELEMENT, Coded};

/// Why 32 bytes are not a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "field", blame = Caller)]
pub enum FieldError {
    /// The number is not below the group order r; its canonical encoding is another one.
    #[error("not a canonical scalar: the number is not below the group order")]
    NonCanonical,
}

/// An element of the scalar field.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scalar(pub(crate) Fr);

impl Scalar {
    /// Reads 32 bytes, big-endian.
    ///
    /// # Errors
    ///
    /// [`FieldError::NonCanonical`] if the number is not below r.
    pub fn from_be_bytes(bytes: &[u8; BYTES_PER_ELEMENT]) -> Result<Self, FieldError> {
        fr_from_be(bytes).map(Self)
    }

    /// Writes 32 bytes, big-endian.
    pub fn to_be_bytes(&self) -> [u8; BYTES_PER_ELEMENT] {
        fr_to_be(&self.0)
    }
}

impl From<u64> for Scalar {
    fn from(number: u64) -> Self {
        Self(Fr::from(number))
    }
}

impl Add for Scalar {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Scalar {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scalar(0x{})", hex::encode(self.to_be_bytes()))
    }
}

/// The group order r as little-endian 64-bit limbs.
const MODULUS: [u64; 4] = <ark_bls12_381::FrConfig as MontConfig<4>>::MODULUS.0;

/// The group order r, big-endian.
pub(crate) fn order_be() -> [u8; BYTES_PER_ELEMENT] {
    limbs_to_be(&MODULUS)
}

/// Little-endian limbs of 32 big-endian bytes.
pub(crate) fn limbs(bytes: &[u8; BYTES_PER_ELEMENT]) -> [u64; 4] {
    let (words, _) = bytes.as_chunks::<8>();
    let mut limbs = [0; 4];
    for (limb, word) in limbs.iter_mut().rev().zip(words) {
        *limb = u64::from_be_bytes(*word);
    }
    limbs
}

/// A scalar as an integer below r, in little-endian limbs.
pub(crate) fn integer(scalar: &Fr) -> [u64; 4] {
    scalar.into_bigint().0
}

fn is_canonical(limbs: &[u64; 4]) -> bool {
    limbs.iter().rev().lt(MODULUS.iter().rev())
}

pub(crate) fn fr_from_be(bytes: &[u8; BYTES_PER_ELEMENT]) -> Result<Fr, FieldError> {
    Fr::from_bigint(BigInt(limbs(bytes))).ok_or(FieldError::NonCanonical)
}

pub(crate) fn fr_to_be(scalar: &Fr) -> [u8; BYTES_PER_ELEMENT] {
    limbs_to_be(&scalar.into_bigint().0)
}

fn limbs_to_be(limbs: &[u64; 4]) -> [u8; BYTES_PER_ELEMENT] {
    let mut bytes = [0; BYTES_PER_ELEMENT];
    for (word, limb) in bytes
        .as_chunks_mut::<8>()
        .0
        .iter_mut()
        .zip(limbs.iter().rev())
    {
        *word = limb.to_be_bytes();
    }
    bytes
}

/// Index of the first 32-byte element of `bytes` that is not below r; `None` if all are canonical. Bytes behind the
/// last whole element are not looked at.
pub fn first_non_canonical(bytes: &[u8]) -> Option<usize> {
    bytes
        .as_chunks()
        .0
        .iter()
        .position(|element| !is_canonical(&limbs(element)))
}

/// Takes canonical bytes as they are for the limbs of a Montgomery representation: the element v is read as v·R⁻¹.
///
/// Everything that is linear over the field (FFTs, weighted sums) may work on such elements and write them back with
/// [`raw_to_be`]; the factor cancels, and a conversion of one multiplication an element, in both directions, is saved.
/// Whatever is not linear needs [`from_raw`] first.
///
/// The caller has checked that the bytes are canonical.
pub(crate) fn raw_from_be(bytes: &[u8; BYTES_PER_ELEMENT]) -> Fr {
    Fr::new_unchecked(BigInt(limbs(bytes)))
}

/// The inverse of [`raw_from_be`].
pub(crate) fn raw_to_be(raw: &Fr) -> [u8; BYTES_PER_ELEMENT] {
    limbs_to_be(&raw.0.0)
}

/// The scalar behind an element in raw form.
pub(crate) fn from_raw(raw: &Fr) -> Fr {
    // The limbs of `raw` are the number itself, and multiplying by R² and reducing is what `new` does.
    Fr::new(raw.0)
}

#[cfg(test)]
mod tests;
