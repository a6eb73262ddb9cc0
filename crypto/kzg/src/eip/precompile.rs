//! What the EVM asks for: versioned hashes, and the point evaluation precompile at 0x0A.

use super::{Bytes32, Bytes48, EipError, verify_kzg_proof};
use crate::field::order_be;
use crate::hash::sha256;
use crate::{ELEMENTS_PER_ROW, Setup};

/// First byte of a versioned hash.
pub const VERSIONED_HASH_VERSION_KZG: u8 = 1;
/// Bytes that the precompile takes: versioned hash, z, y, commitment, proof.
pub const POINT_EVALUATION_INPUT_BYTES: usize = 192;
/// Bytes that the precompile returns.
pub const POINT_EVALUATION_OUTPUT_BYTES: usize = 64;

/// The hash under which a transaction names a blob: the version, then the commitment's SHA-256 from its second byte on.
pub fn kzg_commitment_to_versioned_hash(commitment: &Bytes48) -> Bytes32 {
    let mut hash = sha256(&[commitment]);
    hash[0] = VERSIONED_HASH_VERSION_KZG;
    hash
}

/// The precompile's input.
pub fn point_evaluation_input(
    commitment: &Bytes48,
    z: &Bytes32,
    y: &Bytes32,
    proof: &Bytes48,
) -> [u8; POINT_EVALUATION_INPUT_BYTES] {
    let hash = kzg_commitment_to_versioned_hash(commitment);
    let mut input = [0; POINT_EVALUATION_INPUT_BYTES];
    let parts: [&[u8]; 5] = [&hash, z, y, commitment, proof];
    let bytes = parts.into_iter().flatten();
    input
        .iter_mut()
        .zip(bytes)
        .for_each(|(to, from)| *to = *from);
    input
}

/// The precompile at 0x0A: its output for an input that proves what it says, which is the number of a blob's elements and the
/// group order, 32 bytes each, big-endian. An error is what makes a call of it fail.
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::VersionedHash`], [`EipError::NonCanonical`], [`EipError::Point`], [`EipError::Proof`].
pub fn point_evaluation(
    setup: &Setup,
    input: &[u8],
) -> Result<[u8; POINT_EVALUATION_OUTPUT_BYTES], EipError> {
    let length = EipError::Length {
        what: "input",
        expected: POINT_EVALUATION_INPUT_BYTES,
        got: input.len(),
    };
    let (hash, rest) = input.split_first_chunk::<32>().ok_or(length)?;
    let (z, rest) = rest.split_first_chunk::<32>().ok_or(length)?;
    let (y, rest) = rest.split_first_chunk::<32>().ok_or(length)?;
    let (commitment, rest) = rest.split_first_chunk::<48>().ok_or(length)?;
    let proof: &Bytes48 = rest.try_into().map_err(|_| length)?;
    if kzg_commitment_to_versioned_hash(commitment) != *hash {
        return Err(EipError::VersionedHash);
    }
    if !verify_kzg_proof(setup, commitment, z, y, proof)? {
        return Err(EipError::Proof);
    }
    let mut output = [0; POINT_EVALUATION_OUTPUT_BYTES];
    let (elements, order) = output.split_at_mut(32);
    elements[24..].copy_from_slice(&(ELEMENTS_PER_ROW as u64).to_be_bytes());
    order.copy_from_slice(&order_be());
    Ok(output)
}
