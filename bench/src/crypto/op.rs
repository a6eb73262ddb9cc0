//! The operations, and what each of them covers.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An operation that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Commitment to one row of random elements, bytes to bytes (`blob_to_kzg_commitment` of EIP-4844).
    CommitRow,
    /// `compute_cells_and_kzg_proofs` of EIP-7594: 128 cells and 128 proofs of one row.
    CellsAndProofs7594,
    /// `compute_cells` of EIP-7594: one row extended to twice its length, bytes to bytes.
    ExtendX2,
    /// One row extended to eight times its length in the code of protocol version 1, bytes to bytes.
    ExtendX8,
    /// `verify_cell_kzg_proof_batch` of EIP-7594 over all 128 cells of one row.
    VerifyCells128,
    /// All 128 cells of a row from 64 of them, picked at random; no proofs. The peers have no such function. One is put together
    /// from the crates that `rust_eth_kzg` is made of, as it recovers before it proves.
    RecoverCells64,
    /// `recover_cells_and_kzg_proofs` of EIP-7594 from the same 64 cells.
    RecoverCellsAndProofs64,
    /// A disperser's work on a batch of 64 MiB in four blobs that come with their commitments: pack, check the
    /// commitments in bulk, extend, hash, make headers, aggregate, prove all 512 chunks.
    EncodeBatch64MibV1,
    /// The same for one blob of 16 MiB whose commitments the disperser computes.
    Encode16MibV1WithCommit,
    /// The 512 proofs of a batch of protocol version 1 from its aggregated row.
    ProveBatchV1,
    /// The 4096 proofs of a batch of version 2.
    ProveBatchV2,
    /// The 2048 proofs of a batch of version 3.
    ProveBatchV3,
    /// A node's check of the 64 MiB batch with 1/8 of the stake, 48 chunks: headers, commitments' roots, slices' hashes
    /// and range proofs, decoding of commitments and proofs, one pairing check.
    CheckBatch64MibShare8,
    /// The same with 1/100 of the stake, 4 chunks.
    CheckBatch64MibShare100,
}

impl Op {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 14] = [
        Self::CommitRow,
        Self::CellsAndProofs7594,
        Self::ExtendX2,
        Self::ExtendX8,
        Self::VerifyCells128,
        Self::RecoverCells64,
        Self::RecoverCellsAndProofs64,
        Self::ProveBatchV1,
        Self::ProveBatchV2,
        Self::ProveBatchV3,
        Self::Encode16MibV1WithCommit,
        Self::EncodeBatch64MibV1,
        Self::CheckBatch64MibShare8,
        Self::CheckBatch64MibShare100,
    ];

    /// Its name in results and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommitRow => "commit_row",
            Self::CellsAndProofs7594 => "cells_and_proofs_7594",
            Self::ExtendX2 => "extend_x2",
            Self::ExtendX8 => "extend_x8",
            Self::VerifyCells128 => "verify_cells_128",
            Self::RecoverCells64 => "recover_cells_64",
            Self::RecoverCellsAndProofs64 => "recover_cells_and_proofs_64",
            Self::EncodeBatch64MibV1 => "encode_batch_64mib_v1",
            Self::Encode16MibV1WithCommit => "encode_16mib_v1_with_commit",
            Self::ProveBatchV1 => "prove_batch_v1",
            Self::ProveBatchV2 => "prove_batch_v2",
            Self::ProveBatchV3 => "prove_batch_v3",
            Self::CheckBatch64MibShare8 => "check_batch_64mib_share_8",
            Self::CheckBatch64MibShare100 => "check_batch_64mib_share_100",
        }
    }

    /// Whether it takes seconds a run, and a batch of 16 or 64 MiB as input.
    pub const fn is_heavy(self) -> bool {
        matches!(
            self,
            Self::EncodeBatch64MibV1
                | Self::Encode16MibV1WithCommit
                | Self::CheckBatch64MibShare8
                | Self::CheckBatch64MibShare100
        )
    }

    /// Whether it is measured on two threads as well: throughput has to grow with the threads.
    pub const fn scales(self) -> bool {
        matches!(
            self,
            Self::EncodeBatch64MibV1 | Self::Encode16MibV1WithCommit
        )
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no operation of this name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no operation is called {got:?}; there are {}", Op::ALL.map(Op::name).join(", "))]
pub struct UnknownOp {
    /// The name.
    pub got: String,
}

impl FromStr for Op {
    type Err = UnknownOp;

    fn from_str(text: &str) -> Result<Self, UnknownOp> {
        Self::ALL
            .into_iter()
            .find(|op| op.name() == text)
            .ok_or_else(|| UnknownOp {
                got: text.to_owned(),
            })
    }
}
