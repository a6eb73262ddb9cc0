//! Openings at single points, built on `ark-poly-commit`'s KZG10.

use std::borrow::Cow;

use ark_bls12_381::Bls12_381;
use ark_ff::Field;
use ark_poly::univariate::DensePolynomial;
use ark_poly::{DenseUVPolynomial, Polynomial};
use ark_poly_commit::PCCommitmentState;
use ark_poly_commit::kzg10::{
    Commitment as LibraryCommitment, KZG10, Powers, Proof as LibraryProof, Randomness,
};
use thiserror::Error;

use super::{Commitment, PointError, Proof, ProofBytes};
use crate::field::{Fr, first_non_canonical, fr_from_be, fr_to_be, from_raw, raw_from_be};
use crate::kernel::{self, bit_reverse, root_of_unity};
use crate::{BYTES_PER_ROW, Code, Coded, ELEMENTS_PER_ROW, Setup, curve};

/// A claim about one element of a row, with its proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Position of the element in the row, 0 to 4095.
    pub index: u32,
    /// The element, big-endian.
    pub y: [u8; 32],
    /// The proof.
    pub proof: ProofBytes,
}

/// Why an element cannot be opened, or an opening is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "kzg", blame = Caller)]
pub enum KzgError {
    /// The row has another length.
    #[error("a row has {expected} bytes, not {got}", expected = crate::BYTES_PER_ROW)]
    RowLength {
        /// Bytes given.
        got: usize,
    },
    /// An element of the row is not below the group order.
    #[error("element {index} of the row is not a canonical field element")]
    NonCanonicalElement {
        /// Its position.
        index: usize,
    },
    /// The index is none of the row's.
    #[error("element index {index} is not below {ELEMENTS_PER_ROW}")]
    Index {
        /// The index.
        index: u32,
    },
    /// The point or the value is not below the group order.
    #[error("the {what} of the opening is not a canonical scalar")]
    #[coded(blame = Peer)]
    NonCanonicalScalar {
        /// `point` or `value`.
        what: &'static str,
    },
    /// The proof is no point of the group.
    #[error("proof: {0}")]
    #[coded("proof_point", blame = Peer)]
    Proof(#[from] PointError),
    /// The proof is well-formed and proves something else.
    #[error("the proof does not prove this value at this point")]
    #[coded(blame = Peer)]
    Mismatch,
    /// `ark-poly-commit` refused; it never should on checked inputs.
    #[error("the polynomial commitment library refused: {0}")]
    #[coded(blame = Us)]
    Library(String),
}

type Scheme = KZG10<Bls12_381, DensePolynomial<Fr>>;

/// The point z at which element `index` of a row is the value of the row's polynomial: the 4096th root of unity with the
/// bit-reversed exponent, big-endian. The EVM's precompile 0x0A gets it.
///
/// # Errors
///
/// [`KzgError::Index`] from 4096 on.
pub fn element_point(index: u32) -> Result<[u8; 32], KzgError> {
    point_of(index).map(|point| fr_to_be(&point))
}

/// The point at which element `index` of a row's extension is the value of the row's polynomial, big-endian; the first
/// 4096 are those of [`element_point`]. `None` from `4096 × blowup` on. Cell j holds the elements from `j × cell_len` on.
pub fn extended_point(code: Code, index: u32) -> Option<[u8; 32]> {
    let elements = code.elements();
    if index as usize >= elements {
        return None;
    }
    let exponent = bit_reverse(index as usize, elements.trailing_zeros());
    Some(fr_to_be(&root_of_unity(elements).pow([exponent as u64])))
}

fn point_of(index: u32) -> Result<Fr, KzgError> {
    if index as usize >= ELEMENTS_PER_ROW {
        return Err(KzgError::Index { index });
    }
    let exponent = bit_reverse(index as usize, ELEMENTS_PER_ROW.trailing_zeros());
    Ok(root_of_unity(ELEMENTS_PER_ROW).pow([exponent as u64]))
}

/// Opens element `index` of a row of 131072 bytes: a proof that the commitment's row has this element there.
///
/// # Errors
///
/// [`KzgError::RowLength`], [`KzgError::NonCanonicalElement`], [`KzgError::Index`].
pub fn open_element(setup: &Setup, row: &[u8], index: u32) -> Result<Opening, KzgError> {
    let (y, proof) = open(setup, row, point_of(index)?)?;
    Ok(Opening { index, y, proof })
}

/// Checks an opening of one element, as the EVM's precompile 0x0A does.
///
/// # Errors
///
/// [`KzgError::Index`], [`KzgError::NonCanonicalScalar`], [`KzgError::Proof`], [`KzgError::Mismatch`].
pub fn verify_opening(
    setup: &Setup,
    commitment: &Commitment,
    opening: &Opening,
) -> Result<(), KzgError> {
    verify(
        setup,
        commitment,
        point_of(opening.index)?,
        &opening.y,
        &opening.proof,
    )
}

/// Opens the row's polynomial at any point z: the value y there, and its proof. Numbers are big-endian.
///
/// # Errors
///
/// [`KzgError::RowLength`], [`KzgError::NonCanonicalElement`], [`KzgError::NonCanonicalScalar`].
pub fn open_at(
    setup: &Setup,
    row: &[u8],
    z: &[u8; 32],
) -> Result<([u8; 32], ProofBytes), KzgError> {
    open(setup, row, read("point", z)?)
}

/// Checks an opening at any point z. Numbers are big-endian.
///
/// # Errors
///
/// [`KzgError::NonCanonicalScalar`], [`KzgError::Proof`], [`KzgError::Mismatch`].
pub fn verify_at(
    setup: &Setup,
    commitment: &Commitment,
    z: &[u8; 32],
    y: &[u8; 32],
    proof: &ProofBytes,
) -> Result<(), KzgError> {
    verify(setup, commitment, read("point", z)?, y, proof)
}

fn read(what: &'static str, bytes: &[u8; 32]) -> Result<Fr, KzgError> {
    fr_from_be(bytes).map_err(|_| KzgError::NonCanonicalScalar { what })
}

fn open(setup: &Setup, row: &[u8], z: Fr) -> Result<([u8; 32], ProofBytes), KzgError> {
    if row.len() != BYTES_PER_ROW {
        return Err(KzgError::RowLength { got: row.len() });
    }
    if let Some(index) = first_non_canonical(row) {
        return Err(KzgError::NonCanonicalElement { index });
    }
    let polynomial = DensePolynomial::from_coefficients_vec(coefficients(row));
    let powers = Powers {
        powers_of_g: Cow::Borrowed(setup.monomial()),
        powers_of_gamma_g: Cow::Borrowed(&[]),
    };
    let proof = Scheme::open(&powers, &polynomial, z, &Randomness::empty())
        .map_err(|error| KzgError::Library(error.to_string()))?;
    Ok((
        fr_to_be(&polynomial.evaluate(&z)),
        ProofBytes(curve::compress(&proof.w)),
    ))
}

/// Coefficients of the polynomial of a row of canonical elements.
pub(crate) fn coefficients(row: &[u8]) -> Vec<Fr> {
    let mut coefficients: Vec<_> = row
        .as_chunks()
        .0
        .iter()
        .map(|element| from_raw(&raw_from_be(element)))
        .collect();
    kernel::active().inverse_fft(&mut coefficients);
    coefficients
}

fn verify(
    setup: &Setup,
    commitment: &Commitment,
    z: Fr,
    y: &[u8; 32],
    proof: &ProofBytes,
) -> Result<(), KzgError> {
    let y = read("value", y)?;
    let proof = LibraryProof {
        w: *Proof::try_from(*proof)?.point(),
        random_v: None,
    };
    let commitment = LibraryCommitment(*commitment.point());
    match Scheme::check(setup.verifier_key(), &commitment, z, y, &proof) {
        Ok(true) => Ok(()),
        Ok(false) => Err(KzgError::Mismatch),
        Err(error) => Err(KzgError::Library(error.to_string())),
    }
}

#[cfg(test)]
mod tests;
