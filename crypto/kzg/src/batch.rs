//! The aggregated proof of a batch (docs/protocol.md, section 7): one KZG multi-proof a chunk, for all rows together.

use std::collections::HashSet;

use crate::parallel::*;
use ark_ff::{Field, One, Zero};
use thiserror::Error;

use crate::bisection::Bisection;
use crate::curve::G1Affine;
use crate::field::{Fr, first_non_canonical, from_raw, integer, raw_to_be};
use crate::hash::{Hash, hash_to_scalar, random_weights};
use crate::multiproof::{self, WeightedProof, WeightedValues};
use crate::rows::add_weighted_rows;
use crate::{
    Code, Coded, Commitment, ELEMENTS_PER_ROW, Proof, ProofBytes, Rows, Setup, curve, kernel,
};

/// γ, the challenge that combines the rows of a batch into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowChallenge(Fr);

impl RowChallenge {
    /// Derives γ from the batch digest, which binds every commitment and every slice.
    pub fn new(batch_digest: &Hash) -> Self {
        Self(hash_to_scalar("ashlar/row-challenge/1", batch_digest).0)
    }
}

/// f_γ = Σ γ^i row_i over the rows of a batch, built as the rows pass by; 128 KiB, however many rows the batch has.
#[derive(Clone)]
pub struct AggregatedRow {
    challenge: Fr,
    next: Fr,
    rows: usize,
    sums: Vec<Fr>,
}

impl AggregatedRow {
    /// The empty sum.
    pub fn new(challenge: RowChallenge) -> Self {
        Self {
            challenge: challenge.0,
            next: Fr::one(),
            rows: 0,
            sums: vec![Fr::zero(); ELEMENTS_PER_ROW],
        }
    }

    /// Adds the next rows of the batch, in batch order. Runs on all threads of the current rayon pool.
    pub fn absorb(&mut self, rows: &Rows) {
        let weights =
            std::iter::successors(Some(self.next), |weight| Some(*weight * self.challenge));
        add_weighted_rows(
            &mut self.sums,
            &rows.iter().zip(weights).collect::<Vec<_>>(),
        );
        self.next *= self.challenge.pow([rows.count() as u64]);
        self.rows += rows.count();
    }

    /// Rows absorbed so far.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

/// One column of a batch with its proof: what a node stores of chunk `index`.
#[derive(Clone, Debug)]
pub struct ChunkColumn<'a> {
    /// Which chunk.
    pub index: u32,
    /// Slice `index` of every blob of the batch, in batch order; all rows of the batch together.
    pub pieces: Vec<&'a [u8]>,
    /// The chunk's proof.
    pub proof: Proof,
}

/// Which check of a set of chunks failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "chunk", blame = Peer)]
pub enum ChunkError {
    /// There are no rows to check against.
    #[error("a batch has at least one row")]
    NoRows,
    /// An index that the code does not have.
    #[error("chunk index {index} is not below {chunks}")]
    IndexOutOfRange {
        /// The index.
        index: u32,
        /// Chunks of the code.
        chunks: u32,
    },
    /// The same index twice.
    #[error("chunk index {index} comes twice")]
    DuplicateIndex {
        /// The index.
        index: u32,
    },
    /// A column that has another length than the batch's rows need.
    #[error("chunk {index} has {got} bytes instead of {expected}")]
    Length {
        /// The chunk.
        index: u32,
        /// Bytes it needs.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// A piece that is not whole cells.
    #[error("piece {piece} of chunk {index} has {got} bytes, which is no whole number of cells")]
    PieceLength {
        /// The chunk.
        index: u32,
        /// Which piece of it.
        piece: usize,
        /// Bytes it has.
        got: usize,
    },
    /// An element that is not below the group order.
    #[error("element {element} of piece {piece} of chunk {index} is not a canonical field element")]
    NonCanonical {
        /// The chunk.
        index: u32,
        /// Which piece of it.
        piece: usize,
        /// The element in the piece.
        element: usize,
    },
    /// All input is well-formed, but the pairing equation does not hold.
    #[error("the proofs do not fit the chunks and commitments")]
    ProofMismatch,
}

/// A well-formed column: the weighted sum of its cells is all that the equation needs.
struct Combined<'a> {
    index: u32,
    /// Σ γ^i v_i, in raw form.
    values: Vec<Fr>,
    proof: &'a Proof,
}

/// The cell of f_γ in one column: Σ γ^i v_i over its cells v_i, of all rows of the batch, in their order. It is what
/// [`prove_chunks`] proves, and as many of them as the rows need cells make f_γ itself: [`recover`](crate::recover), as one row.
///
/// # Errors
/// A piece is no whole number of cells, or an element is not canonical.
pub fn combine_cells(
    code: Code,
    challenge: RowChallenge,
    index: u32,
    pieces: &[&[u8]],
) -> Result<Vec<u8>, ChunkError> {
    let cell = code.cell_bytes();
    if let Some((piece, bytes)) =
        (pieces.iter().enumerate()).find(|(_, p)| !p.len().is_multiple_of(cell))
    {
        return Err(ChunkError::PieceLength {
            index,
            piece,
            got: bytes.len(),
        });
    }
    let rows = pieces.iter().map(|piece| piece.len() / cell).sum();
    let values = combine_values(code, &powers(challenge.0, rows), index, pieces)?;
    Ok(values.iter().flat_map(raw_to_be).collect())
}

/// What f_γ is committed to with: Σ γ^i C_i over the commitments of all rows. Together with combined cells it makes a batch of one
/// row, which [`verify_chunks`] and [`prove_chunks`] take like any other. `None` if there are no rows.
pub fn combine_commitments(
    challenge: RowChallenge,
    commitments: &[Commitment],
) -> Option<Commitment> {
    if commitments.is_empty() {
        return None;
    }
    let weights: Vec<_> = powers(challenge.0, commitments.len())
        .iter()
        .map(integer)
        .collect();
    Some(Commitment::from_point(kernel::msm(
        &points(commitments),
        &weights,
    )))
}

/// Proves all chunks of a batch: proof j belongs to chunk j. FK20, on all threads of the current rayon pool; the time
/// does not depend on the number of rows. The first call for a cell length makes tables (see [`Setup::prepare`]).
pub fn prove_chunks(setup: &Setup, code: Code, row: &AggregatedRow) -> Vec<ProofBytes> {
    let mut coefficients: Vec<_> = row.sums.iter().map(from_raw).collect();
    kernel::active().inverse_fft(&mut coefficients);
    let proofs = setup.prove_cells(code, &coefficients);
    proofs
        .par_iter()
        .map(|proof| ProofBytes(curve::compress(proof)))
        .collect()
}

/// Checks that every column is what the commitments commit to, with ONE pairing check for all of them.
///
/// `commitments` are those of all rows of the batch, in order. `seed` is fresh randomness from the operating system:
/// whoever made the proofs must not have known it. Runs on all threads of the current rayon pool. No columns at all
/// are fine.
///
/// # Errors
///
/// [`ChunkError`] names the first check that failed; [`ChunkError::ProofMismatch`] does not tell which of the columns
/// is wrong, [`find_bad_chunks`] does.
pub fn verify_chunks(
    setup: &Setup,
    code: Code,
    challenge: RowChallenge,
    commitments: &[Commitment],
    columns: &[ChunkColumn<'_>],
    seed: [u8; 32],
) -> Result<(), ChunkError> {
    if commitments.is_empty() {
        return Err(ChunkError::NoRows);
    }
    let mut seen = HashSet::with_capacity(columns.len());
    for column in columns {
        check_shape(code, commitments.len(), column)?;
        if !seen.insert(column.index) {
            return Err(ChunkError::DuplicateIndex {
                index: column.index,
            });
        }
    }
    let powers = powers(challenge.0, commitments.len());
    let combined: Vec<_> = columns
        .par_iter()
        .map(|column| combine(code, &powers, column))
        .collect();
    let combined = combined.into_iter().collect::<Result<Vec<_>, _>>()?;
    let combined: Vec<_> = combined.iter().collect();
    let points = points(commitments);
    if holds(setup, code, &points, &powers, &combined, &seed) {
        Ok(())
    } else {
        Err(ChunkError::ProofMismatch)
    }
}

/// The indices of the columns that [`verify_chunks`] alone would refuse, ascending: all of the malformed ones, and those whose
/// proof did not fit when it was checked alone, which bisection leads to. With good columns only, it costs as much as [`verify_chunks`].
///
/// Without commitments every column is bad. A column that comes twice is judged twice.
pub fn find_bad_chunks(
    setup: &Setup,
    code: Code,
    challenge: RowChallenge,
    commitments: &[Commitment],
    columns: &[ChunkColumn<'_>],
    seed: [u8; 32],
) -> Vec<u32> {
    let powers = powers(challenge.0, commitments.len());
    let judged: Vec<_> = columns
        .par_iter()
        .map(|column| {
            let well_formed =
                !commitments.is_empty() && check_shape(code, commitments.len(), column).is_ok();
            well_formed
                .then(|| combine(code, &powers, column).ok())
                .flatten()
                .ok_or(column.index)
        })
        .collect();
    let (mut good, mut bad) = (Vec::with_capacity(columns.len()), Vec::new());
    for one in &judged {
        match one {
            Ok(combined) => good.push(combined),
            Err(index) => bad.push(*index),
        }
    }
    let points = points(commitments);
    let check = |commitments: &[G1Affine], weights: &[Fr], part: &[&Combined<'_>]| {
        holds(setup, code, commitments, weights, part, &seed)
    };
    if !check(&points, &powers, &good) {
        // C_γ, once for all halvings.
        let weights: Vec<_> = powers.iter().map(integer).collect();
        let row = [kernel::msm(&points, &weights)];
        let mut search = Bisection::new(&good, |_, _| false, good.len());
        while let Some(one) = search.next(|_| false, |part| check(&row, &[Fr::one()], part)) {
            bad.push(one.index);
        }
    }
    bad.sort_unstable();
    bad.dedup();
    bad
}

fn check_shape(code: Code, rows: usize, column: &ChunkColumn<'_>) -> Result<(), ChunkError> {
    let index = column.index;
    if index >= code.chunks() {
        return Err(ChunkError::IndexOutOfRange {
            index,
            chunks: code.chunks(),
        });
    }
    let cell = code.cell_bytes();
    if let Some((piece, bytes)) = column
        .pieces
        .iter()
        .enumerate()
        .find(|(_, piece)| !piece.len().is_multiple_of(cell))
    {
        return Err(ChunkError::PieceLength {
            index,
            piece,
            got: bytes.len(),
        });
    }
    let got = column.pieces.iter().map(|piece| piece.len()).sum();
    let expected = rows * cell;
    if got != expected {
        return Err(ChunkError::Length {
            index,
            expected,
            got,
        });
    }
    Ok(())
}

/// Σ γ^i v_i of a column of the right shape.
fn combine<'a>(
    code: Code,
    powers: &[Fr],
    column: &'a ChunkColumn<'_>,
) -> Result<Combined<'a>, ChunkError> {
    Ok(Combined {
        index: column.index,
        values: combine_values(code, powers, column.index, &column.pieces)?,
        proof: &column.proof,
    })
}

fn combine_values(
    code: Code,
    powers: &[Fr],
    index: u32,
    pieces: &[&[u8]],
) -> Result<Vec<Fr>, ChunkError> {
    for (piece, bytes) in pieces.iter().enumerate() {
        if let Some(element) = first_non_canonical(bytes) {
            return Err(ChunkError::NonCanonical {
                index,
                piece,
                element,
            });
        }
    }
    let cells = pieces
        .iter()
        .flat_map(|piece| piece.chunks_exact(code.cell_bytes()));
    let terms: Vec<_> = cells.zip(powers.iter().copied()).collect();
    let mut values = vec![Fr::zero(); code.cell_len()];
    kernel::active().add_weighted(&mut values, &terms);
    Ok(values)
}

/// 1, γ, γ², …
fn powers(challenge: Fr, count: usize) -> Vec<Fr> {
    std::iter::successors(Some(Fr::one()), |power| Some(*power * challenge))
        .take(count)
        .collect()
}

fn points(commitments: &[Commitment]) -> Vec<G1Affine> {
    commitments
        .iter()
        .map(|commitment| *commitment.point())
        .collect()
}

/// Whether the columns fit Σ weight · commitment, which is C_γ.
fn holds(
    setup: &Setup,
    code: Code,
    commitments: &[G1Affine],
    weights: &[Fr],
    columns: &[&Combined<'_>],
    seed: &[u8; 32],
) -> bool {
    if columns.is_empty() {
        return true;
    }
    let column_weights = random_weights("ashlar/chunk-weights/1", seed, columns.len());
    let total: Fr = column_weights.iter().sum();
    let commitment_weights: Vec<_> = weights.iter().map(|weight| *weight * total).collect();
    let values: Vec<_> = columns
        .iter()
        .zip(&column_weights)
        .map(|(column, weight)| WeightedValues {
            index: column.index,
            values: &column.values,
            weight: *weight,
        })
        .collect();
    let proofs: Vec<_> = columns
        .iter()
        .zip(&column_weights)
        .map(|(column, weight)| WeightedProof {
            index: column.index,
            proof: column.proof.point(),
            weight: *weight,
        })
        .collect();
    multiproof::check(
        setup,
        code,
        commitments,
        &commitment_weights,
        &values,
        &proofs,
    )
}

#[cfg(test)]
mod tests;
