//! SHA-256 in the three shapes that the protocol needs: plain, expanded, and reduced to a scalar.
//!
//! The protocol uses SHA-256 only, because CPUs have instructions for it and the EVM has a precompile. Everything that
//! is hashed for the protocol has a domain tag in front (docs/protocol.md, section 5), so that a digest for one purpose
//! is never one for another.

use ark_ff::PrimeField;
use sha2::{Digest, Sha256};

use crate::field::{Fr, Scalar};

/// A SHA-256 digest.
pub type Hash = [u8; 32];

/// Bytes in one SHA-256 output, `b_in_bytes` of RFC 9380.
const DIGEST_LEN: usize = 32;
/// Bytes in one SHA-256 input block, `s_in_bytes` of RFC 9380.
const BLOCK_LEN: usize = 64;
/// Longest output of [`expand_xmd`]: the RFC counts blocks in one byte.
pub const MAX_EXPANDED_LEN: usize = 255 * DIGEST_LEN;

/// SHA-256 of the concatenation of `parts`.
///
/// The digest does not depend on where one part ends and the next begins. A caller that hashes several parts of
/// variable length has to encode the lengths itself.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// `SHA-256(prefix ‖ message)` of every message, two neighbours side by side where they have one length and the processor has
/// instructions for SHA-256.
pub fn sha256_each<M: AsRef<[u8]>>(prefix: u8, messages: &[M]) -> Vec<Hash> {
    crate::kernel::hash_each(prefix, messages)
}

/// `expand_message_xmd` of RFC 9380, section 5.3.1, with SHA-256: `len` uniform bytes from `msg` under the domain
/// separation tag `dst`.
///
/// A tag of more than 255 bytes is hashed first, as section 5.3.3 of the RFC says.
///
/// # Panics
///
/// If `len` exceeds [`MAX_EXPANDED_LEN`]. The length is a constant of the calling code, never an input.
pub fn expand_xmd(msg: &[u8], dst: &[u8], len: usize) -> Vec<u8> {
    assert!(
        len <= MAX_EXPANDED_LEN,
        "expand_message_xmd yields at most {MAX_EXPANDED_LEN} bytes, not {len}"
    );

    let oversize;
    let dst = if dst.len() > 255 {
        oversize = sha256(&[b"H2C-OVERSIZE-DST-", dst]);
        &oversize[..]
    } else {
        dst
    };
    // Both casts are exact: the tag has at most 255 bytes now, and the length at most 8160.
    let dst_len = [dst.len() as u8];
    let len_be = (len as u16).to_be_bytes();

    let b0 = sha256(&[&[0u8; BLOCK_LEN], msg, &len_be, &[0], dst, &dst_len]);
    let mut out = Vec::with_capacity(len.next_multiple_of(DIGEST_LEN));
    let mut previous = [0u8; DIGEST_LEN];
    for counter in 1..=len.div_ceil(DIGEST_LEN) {
        let mut mixed = b0;
        for (byte, before) in mixed.iter_mut().zip(previous) {
            *byte ^= before;
        }
        previous = sha256(&[&mixed, &[counter as u8], dst, &dst_len]);
        out.extend_from_slice(&previous);
    }
    out.truncate(len);
    out
}

/// A scalar from `data`: 64 bytes of [`expand_xmd`] under `tag`, read big-endian and reduced modulo the order r of
/// the scalar field of BLS12-381.
///
/// 512 bits over a modulus of 255 leave a bias below 2⁻²⁵⁶.
pub fn hash_to_scalar(tag: &str, data: &[u8]) -> Scalar {
    Scalar(Fr::from_be_bytes_mod_order(&expand_xmd(
        data,
        tag.as_bytes(),
        64,
    )))
}

/// Random weights of 128 bits from a seed that the prover did not know: a false statement passes a weighted check
/// with probability 2⁻¹²⁸.
pub(crate) fn random_weights(tag: &str, seed: &[u8; 32], count: usize) -> Vec<Fr> {
    (0..count as u64)
        .map(|index| {
            let digest = sha256(&[tag.as_bytes(), seed, &index.to_be_bytes()]);
            let half = std::array::from_fn(|at| digest[at]);
            Fr::from(u128::from_be_bytes(half))
        })
        .collect()
}

#[cfg(test)]
mod tests;
