//! EIP-4844: commitments to blobs, proofs at one point.

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{One, PrimeField, Zero};

use super::{Bytes32, Bytes48, EipError, blob_elements, point, same_count, scalar};
use crate::curve::{self, G1Affine};
use crate::field::integer;
use crate::field::{Fr, fr_to_be};
use crate::hash::sha256;
use crate::kernel;
use crate::kzg::{coefficients, commit_row};
use crate::{BYTES_PER_ROW, ELEMENTS_PER_ROW, Setup};

const CHALLENGE_DOMAIN: &[u8; 16] = b"FSBLOBVERIFY_V1_";
const BATCH_DOMAIN: &[u8; 16] = b"RCKZGBATCH___V1_";

/// The commitment to a blob.
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::NonCanonical`].
pub fn blob_to_kzg_commitment(setup: &Setup, blob: &[u8]) -> Result<Bytes48, EipError> {
    Ok(curve::compress(&commit_row(
        setup.committer(1),
        blob_elements(blob)?,
    )))
}

/// The value y of a blob's polynomial at z, and the proof of it: (proof, y).
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::NonCanonical`].
pub fn compute_kzg_proof(
    setup: &Setup,
    blob: &[u8],
    z: &[u8],
) -> Result<(Bytes48, Bytes32), EipError> {
    let blob = blob_elements(blob)?;
    let (proof, y) = open(setup, blob, scalar("z", z)?);
    Ok((curve::compress(&proof), fr_to_be(&y)))
}

/// Quotient and remainder by X − z in one pass over the coefficients, which needs no case for z in the domain.
fn divide(coefficients: &mut [Fr], z: Fr) -> Fr {
    let mut carry = Fr::zero();
    for coefficient in coefficients.iter_mut().rev() {
        let value = *coefficient + carry * z;
        *coefficient = std::mem::replace(&mut carry, value);
    }
    carry
}

fn open(setup: &Setup, blob: &[u8], z: Fr) -> (G1Affine, Fr) {
    let kernel = kernel::active();
    let mut quotient = coefficients(blob);
    let y = divide(&mut quotient, z);
    // Back to values: the tables are over the Lagrange form.
    kernel.fft(&mut quotient);
    let proof = setup
        .committer(1)
        .commit(&quotient.iter().map(integer).collect::<Vec<_>>());
    (proof, y)
}

fn evaluate(blob: &[u8], z: Fr) -> Fr {
    coefficients(blob)
        .iter()
        .rev()
        .fold(Fr::zero(), |value, coefficient| value * z + coefficient)
}

/// Whether the proof shows that the commitment's polynomial has the value y at z.
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::NonCanonical`], [`EipError::Point`].
pub fn verify_kzg_proof(
    setup: &Setup,
    commitment: &[u8],
    z: &[u8],
    y: &[u8],
    proof: &[u8],
) -> Result<bool, EipError> {
    let claim = Claim {
        commitment: point("commitment", commitment)?,
        z: scalar("z", z)?,
        y: scalar("y", y)?,
        proof: point("proof", proof)?,
    };
    Ok(verify(setup, &[claim], Fr::one()))
}

/// That a polynomial has the value y at z.
struct Claim {
    commitment: G1Affine,
    z: Fr,
    y: Fr,
    proof: G1Affine,
}

/// Checks claims together, weighted with the powers of `challenge`:
/// `e(Σ r^i (C_i − y_i [1]₁ + z_i π_i), [1]₂) = e(Σ r^i π_i, [τ]₂)`.
fn verify(setup: &Setup, claims: &[Claim], challenge: Fr) -> bool {
    let weights: Vec<_> =
        std::iter::successors(Some(Fr::one()), |weight| Some(*weight * challenge))
            .take(claims.len())
            .collect();
    let (mut points, mut scalars) = (Vec::new(), Vec::new());
    let mut value = Fr::zero();
    for (claim, weight) in claims.iter().zip(&weights) {
        points.extend([claim.commitment, claim.proof]);
        scalars.extend([integer(weight), integer(&(claim.z * weight))]);
        value += claim.y * weight;
    }
    let left = (kernel::msm(&points, &scalars) - G1Affine::generator() * value).into_affine();
    let proofs: Vec<_> = claims.iter().map(|claim| claim.proof).collect();
    let right = kernel::msm(&proofs, &weights.iter().map(integer).collect::<Vec<_>>());
    curve::pairings_equal(&left, setup.g2_power(0), &right, setup.g2_power(1))
}

/// The challenge at which a blob proof opens the blob: a hash of blob and commitment, reduced to a field element.
///
/// # Errors
///
/// [`EipError::Length`].
pub fn compute_challenge(blob: &[u8], commitment: &[u8]) -> Result<Bytes32, EipError> {
    for (what, bytes, expected) in [
        ("blob", blob, BYTES_PER_ROW),
        ("commitment", commitment, 48),
    ] {
        if bytes.len() != expected {
            return Err(EipError::Length {
                what,
                expected,
                got: bytes.len(),
            });
        }
    }
    Ok(fr_to_be(&challenge(blob, commitment)))
}

fn challenge(blob: &[u8], commitment: &[u8]) -> Fr {
    let degree = (ELEMENTS_PER_ROW as u128).to_be_bytes();
    Fr::from_be_bytes_mod_order(&sha256(&[CHALLENGE_DOMAIN, &degree, blob, commitment]))
}

/// The proof that a blob belongs to a commitment. The commitment is not recomputed.
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::NonCanonical`], [`EipError::Point`].
pub fn compute_blob_kzg_proof(
    setup: &Setup,
    blob: &[u8],
    commitment: &[u8],
) -> Result<Bytes48, EipError> {
    let _ = point("commitment", commitment)?;
    let blob = blob_elements(blob)?;
    let (proof, _) = open(setup, blob, challenge(blob, commitment));
    Ok(curve::compress(&proof))
}

/// Whether the proof shows that the blob belongs to the commitment.
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::NonCanonical`], [`EipError::Point`].
pub fn verify_blob_kzg_proof(
    setup: &Setup,
    blob: &[u8],
    commitment: &[u8],
    proof: &[u8],
) -> Result<bool, EipError> {
    Ok(verify(
        setup,
        &[blob_claim(blob, commitment, proof)?],
        Fr::one(),
    ))
}

fn blob_claim(blob: &[u8], commitment: &[u8], proof: &[u8]) -> Result<Claim, EipError> {
    let blob = blob_elements(blob)?;
    let (point_c, proof) = (point("commitment", commitment)?, point("proof", proof)?);
    let z = challenge(blob, commitment);
    Ok(Claim {
        commitment: point_c,
        z,
        y: evaluate(blob, z),
        proof,
    })
}

/// Whether every proof shows that its blob belongs to its commitment; one pairing check for all. No blobs are fine.
///
/// # Errors
///
/// [`EipError::Count`], and for each blob as [`verify_blob_kzg_proof`].
pub fn verify_blob_kzg_proof_batch<B: AsRef<[u8]>, C: AsRef<[u8]>, P: AsRef<[u8]>>(
    setup: &Setup,
    blobs: &[B],
    commitments: &[C],
    proofs: &[P],
) -> Result<bool, EipError> {
    same_count("commitments", blobs.len(), commitments.len())?;
    same_count("proofs", blobs.len(), proofs.len())?;
    let mut transcript = BATCH_DOMAIN.to_vec();
    transcript.extend_from_slice(&(ELEMENTS_PER_ROW as u64).to_be_bytes());
    transcript.extend_from_slice(&(blobs.len() as u64).to_be_bytes());
    let mut claims = Vec::with_capacity(blobs.len());
    for ((blob, commitment), proof) in blobs.iter().zip(commitments).zip(proofs) {
        let claim = blob_claim(blob.as_ref(), commitment.as_ref(), proof.as_ref())?;
        transcript.extend_from_slice(commitment.as_ref());
        transcript.extend_from_slice(&fr_to_be(&claim.z));
        transcript.extend_from_slice(&fr_to_be(&claim.y));
        transcript.extend_from_slice(proof.as_ref());
        claims.push(claim);
    }
    if claims.is_empty() {
        return Ok(true);
    }
    Ok(verify(
        setup,
        &claims,
        Fr::from_be_bytes_mod_order(&sha256(&[&transcript])),
    ))
}
