//! EIP-7594: cells of extended blobs and their proofs.

use std::collections::HashMap;

use crate::parallel::*;
use ark_ff::{One, PrimeField, Zero};

use super::{Bytes32, Bytes48, EipError, blob_elements, elements, points, same_count};
use crate::code::{extend_row, recover_extended};
use crate::curve;
use crate::field::{Fr, fr_to_be};
use crate::hash::sha256;
use crate::kzg::coefficients;
use crate::multiproof::{self, WeightedProof, WeightedValues};
use crate::{BYTES_PER_ROW, Code, ELEMENTS_PER_ROW, Setup, kernel};

const BATCH_DOMAIN: &[u8; 16] = b"RCKZGCBATCH__V1_";

/// Cells of an extended blob.
pub const CELLS_PER_EXT_BLOB: usize = 128;
/// Bytes of a cell.
pub const BYTES_PER_CELL: usize = 2048;

/// A cell: 64 field elements.
pub type Cell = [u8; BYTES_PER_CELL];

/// The code of EIP-7594.
const CODE: Code = match Code::new(2, CELLS_PER_EXT_BLOB as u32) {
    Ok(code) => code,
    Err(_) => panic!("the code of EIP-7594"),
};

/// Room for all cells, filled in place: they are 256 KiB.
fn no_cells() -> Vec<Cell> {
    vec![[0; BYTES_PER_CELL]; CELLS_PER_EXT_BLOB]
}

fn extended(blob: &[u8]) -> Vec<Cell> {
    let mut cells = no_cells();
    extend_row(kernel::active(), CODE, blob, cells.as_flattened_mut());
    cells
}

fn prove(setup: &Setup, blob: &[u8]) -> Vec<Bytes48> {
    setup
        .prove_cells(CODE, &coefficients(blob))
        .iter()
        .map(curve::compress)
        .collect()
}

/// The 128 cells of a blob.
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::NonCanonical`].
pub fn compute_cells(blob: &[u8]) -> Result<Vec<Cell>, EipError> {
    Ok(extended(blob_elements(blob)?))
}

/// The 128 cells of a blob and their proofs.
///
/// # Errors
///
/// [`EipError::Length`], [`EipError::NonCanonical`].
pub fn compute_cells_and_kzg_proofs(
    setup: &Setup,
    blob: &[u8],
) -> Result<(Vec<Cell>, Vec<Bytes48>), EipError> {
    let blob = blob_elements(blob)?;
    Ok((extended(blob), prove(setup, blob)))
}

/// Whether every cell is the one with its index of its commitment's blob; one pairing check for all. The entries of
/// the four lists belong together, a commitment comes once for each of its cells. No cells are fine.
///
/// # Errors
///
/// [`EipError::Count`], [`EipError::Index`], [`EipError::Length`], [`EipError::NonCanonical`], [`EipError::Point`].
pub fn verify_cell_kzg_proof_batch<C: AsRef<[u8]>, D: AsRef<[u8]>, P: AsRef<[u8]>>(
    setup: &Setup,
    commitments: &[C],
    cell_indices: &[u64],
    cells: &[D],
    proofs: &[P],
) -> Result<bool, EipError> {
    let count = cells.len();
    same_count("commitments", count, commitments.len())?;
    same_count("cell indices", count, cell_indices.len())?;
    same_count("proofs", count, proofs.len())?;

    // Each commitment once, in order of appearance.
    let mut unique: Vec<&[u8]> = Vec::new();
    let mut known = HashMap::new();
    let mut rows = Vec::with_capacity(count);
    for commitment in commitments {
        let commitment = commitment.as_ref();
        let row = *known.entry(commitment).or_insert_with(|| {
            unique.push(commitment);
            unique.len() as u64 - 1
        });
        rows.push(row);
    }
    let commitments = points("commitment", &unique)?;
    let points = points("proof", proofs)?;
    if count == 0 {
        return Ok(true);
    }
    let challenge = compute_challenge(&unique, &rows, cell_indices, cells, proofs)?;

    let mut commitment_weights = vec![Fr::zero(); commitments.len()];
    let mut terms: HashMap<u32, Vec<(&[u8], Fr)>> = HashMap::new();
    let mut weighted = Vec::with_capacity(count);
    let mut weight = Fr::one();
    for (((row, index), cell), proof) in rows.iter().zip(cell_indices).zip(cells).zip(&points) {
        // Checked to be below 128 while hashing.
        let index = *index as u32;
        if let Some(sum) = commitment_weights.get_mut(*row as usize) {
            *sum += weight;
        }
        terms
            .entry(index)
            .or_default()
            .push((cell.as_ref(), weight));
        weighted.push(WeightedProof {
            index,
            proof,
            weight,
        });
        weight *= challenge;
    }
    let terms: Vec<_> = terms.into_iter().collect();
    let sums: Vec<_> = terms
        .par_iter()
        .map(|(index, terms)| {
            let mut values = vec![Fr::zero(); CODE.cell_len()];
            kernel::active().add_weighted(&mut values, terms);
            (*index, values)
        })
        .collect();
    let values: Vec<_> = sums
        .iter()
        .map(|(index, values)| WeightedValues {
            index: *index,
            values,
            weight: Fr::one(),
        })
        .collect();
    Ok(multiproof::check(
        setup,
        CODE,
        &commitments,
        &commitment_weights,
        &values,
        &weighted,
    ))
}

/// The challenge that weighs the cells in [`verify_cell_kzg_proof_batch`]: a hash of all inputs, reduced to a field
/// element. `commitments` are without duplicates, `commitment_indices` say which belongs to which cell.
///
/// # Errors
///
/// [`EipError::Count`], [`EipError::Index`], [`EipError::Length`], [`EipError::NonCanonical`].
pub fn compute_verify_cell_kzg_proof_batch_challenge<
    C: AsRef<[u8]>,
    D: AsRef<[u8]>,
    P: AsRef<[u8]>,
>(
    commitments: &[C],
    commitment_indices: &[u64],
    cell_indices: &[u64],
    cells: &[D],
    proofs: &[P],
) -> Result<Bytes32, EipError> {
    compute_challenge(commitments, commitment_indices, cell_indices, cells, proofs)
        .map(|scalar| fr_to_be(&scalar))
}

fn compute_challenge<C: AsRef<[u8]>, D: AsRef<[u8]>, P: AsRef<[u8]>>(
    commitments: &[C],
    commitment_indices: &[u64],
    cell_indices: &[u64],
    cells: &[D],
    proofs: &[P],
) -> Result<Fr, EipError> {
    let count = cells.len();
    same_count("commitment indices", count, commitment_indices.len())?;
    same_count("cell indices", count, cell_indices.len())?;
    same_count("proofs", count, proofs.len())?;
    let numbers = [ELEMENTS_PER_ROW, CODE.cell_len(), commitments.len(), count]
        .map(|n| (n as u64).to_be_bytes());
    let mut parts: Vec<&[u8]> = vec![BATCH_DOMAIN];
    parts.extend(numbers.iter().map(|number| &number[..]));
    for commitment in commitments {
        parts.push(sized("commitment", commitment.as_ref(), 48)?);
    }
    let indices: Vec<_> = commitment_indices
        .iter()
        .zip(cell_indices)
        .map(|(row, index)| (row.to_be_bytes(), index.to_be_bytes()))
        .collect();
    for (at, (row, index)) in commitment_indices.iter().zip(cell_indices).enumerate() {
        check_index("commitment", *row, commitments.len())?;
        check_index("cell", *index, CELLS_PER_EXT_BLOB)?;
        if let (Some((row, index)), Some(cell), Some(proof)) =
            (indices.get(at), cells.get(at), proofs.get(at))
        {
            parts.extend([&row[..], &index[..]]);
            parts.push(elements("cell", cell.as_ref(), BYTES_PER_CELL)?);
            parts.push(sized("proof", proof.as_ref(), 48)?);
        }
    }
    Ok(Fr::from_be_bytes_mod_order(&sha256(&parts)))
}

fn sized<'a>(what: &'static str, bytes: &'a [u8], expected: usize) -> Result<&'a [u8], EipError> {
    if bytes.len() == expected {
        Ok(bytes)
    } else {
        Err(EipError::Length {
            what,
            expected,
            got: bytes.len(),
        })
    }
}

fn check_index(what: &'static str, index: u64, end: usize) -> Result<(), EipError> {
    let end = end as u64;
    if index < end {
        Ok(())
    } else {
        Err(EipError::Index { what, index, end })
    }
}

/// All 128 cells and proofs from at least 64 cells in strictly rising order of their indices.
///
/// Where more than 64 cells are given, they must all belong to one polynomial. The specification leaves that case open:
/// `rust_eth_kzg` refuses it, too, while `c-kzg` answers with cells that are the blob of none. To return something else than what
/// was given would hide a fault.
///
/// # Errors
///
/// [`EipError::Count`], [`EipError::Index`], [`EipError::Order`], [`EipError::Length`], [`EipError::NonCanonical`],
/// [`EipError::Recover`] for too few cells, [`EipError::Inconsistent`].
pub fn recover_cells_and_kzg_proofs<D: AsRef<[u8]>>(
    setup: &Setup,
    cell_indices: &[u64],
    cells: &[D],
) -> Result<(Vec<Cell>, Vec<Bytes48>), EipError> {
    let cells = recover_cells(cell_indices, cells)?;
    let (blob, _) = cells.as_flattened().split_at(BYTES_PER_ROW);
    let proofs = prove(setup, blob);
    Ok((cells, proofs))
}

/// [`recover_cells_and_kzg_proofs`] without the proofs, in a thirtieth of the time.
///
/// # Errors
///
/// As [`recover_cells_and_kzg_proofs`].
pub fn recover_cells<D: AsRef<[u8]>>(
    cell_indices: &[u64],
    cells: &[D],
) -> Result<Vec<Cell>, EipError> {
    same_count("cells", cell_indices.len(), cells.len())?;
    let mut given = Vec::with_capacity(cells.len());
    let mut previous = None;
    for (index, cell) in cell_indices.iter().zip(cells) {
        check_index("cell", *index, CELLS_PER_EXT_BLOB)?;
        if let Some(previous) = previous
            .replace(*index)
            .filter(|previous| previous >= index)
        {
            return Err(EipError::Order {
                previous,
                index: *index,
            });
        }
        given.push((
            *index as u32,
            elements("cell", cell.as_ref(), BYTES_PER_CELL)?,
        ));
    }
    let mut recovered = no_cells();
    recover_extended(CODE, &given, recovered.as_flattened_mut())?;
    let differs = |(index, cell): &&(u32, &[u8])| {
        (recovered.get(*index as usize)).is_none_or(|found| found != cell)
    };
    match given.iter().find(differs) {
        None => Ok(recovered),
        Some((index, _)) => Err(EipError::Inconsistent {
            index: u64::from(*index),
        }),
    }
}
