//! The aggregated proof of a batch (DESIGN section 5): one KZG multi-proof a chunk, for all rows together.

use thiserror::Error;

use crate::field::Scalar;
use crate::hash::{Hash, hash_to_scalar};
use crate::{Blame, Code, Coded, Commitment, Proof, ProofBytes, Rows, Setup};

/// γ, the challenge that combines the rows of a batch into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowChallenge(Scalar);

impl RowChallenge {
    /// Derives γ from the batch digest, which binds every commitment and every slice.
    pub fn new(batch_digest: &Hash) -> Self {
        Self(hash_to_scalar("ashlar/row-challenge/1", batch_digest))
    }
}

/// Σ γ^i row_i over the rows of a batch, built as the rows pass by.
#[derive(Clone)]
pub struct AggregatedRow {
    challenge: Scalar,
    next: Scalar,
    rows: usize,
    sums: Vec<Scalar>,
}

impl AggregatedRow {
    /// The empty sum.
    pub fn new(challenge: RowChallenge) -> Self {
        use ark_ff::{One, Zero};
        Self {
            challenge: challenge.0,
            next: Scalar::one(),
            rows: 0,
            sums: vec![Scalar::zero(); crate::ELEMENTS_PER_ROW],
        }
    }

    /// Adds the next rows of the batch, in batch order.
    pub fn absorb(&mut self, rows: &Rows) {
        let _ = (rows, self.challenge, self.next);
        unimplemented!("in the next commit")
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
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
    /// Everything is well-formed, and the pairing equation does not hold.
    #[error("the proofs do not fit the chunks and commitments")]
    ProofMismatch,
}

impl Coded for ChunkError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoRows => "chunk.no_rows",
            Self::IndexOutOfRange { .. } => "chunk.index_out_of_range",
            Self::DuplicateIndex { .. } => "chunk.duplicate_index",
            Self::Length { .. } => "chunk.length",
            Self::PieceLength { .. } => "chunk.piece_length",
            Self::NonCanonical { .. } => "chunk.non_canonical",
            Self::ProofMismatch => "chunk.proof_mismatch",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Peer
    }
}

/// All chunk proofs of the batch.
pub fn prove_chunks(setup: &Setup, code: Code, row: &AggregatedRow) -> Vec<ProofBytes> {
    let _ = (setup, code, row, &row.sums);
    unimplemented!("in the next commit")
}

/// Checks chunks with ONE pairing check.
pub fn verify_chunks(
    setup: &Setup,
    code: Code,
    challenge: RowChallenge,
    commitments: &[Commitment],
    columns: &[ChunkColumn<'_>],
    seed: [u8; 32],
) -> Result<(), ChunkError> {
    let _ = (setup, code, challenge, commitments, columns, seed);
    unimplemented!("in the next commit")
}

/// The indices of the chunks that fail, ascending.
pub fn find_bad_chunks(
    setup: &Setup,
    code: Code,
    challenge: RowChallenge,
    commitments: &[Commitment],
    columns: &[ChunkColumn<'_>],
    seed: [u8; 32],
) -> Vec<u32> {
    let _ = (setup, code, challenge, commitments, columns, seed);
    unimplemented!("in the next commit")
}
