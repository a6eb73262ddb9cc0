//! KZG over BLS12-381 for Ethereum's blobs, by kernels that use AVX-512 IFMA where the processor has it: every function of EIP-4844
//! and EIP-7594, and what a data availability layer needs beside them.
//!
//! Nothing in this crate opens a file or a socket, reads a clock or draws a random number: fresh randomness comes in
//! as 32-byte seeds from the caller, so that a test can drive everything.
//!
//! ```
//! use ashlar_kzg::{Setup, eip};
//!
//! let setup = Setup::ethereum();
//! let blob = vec![0; eip::BYTES_PER_BLOB];
//! let commitment = eip::blob_to_kzg_commitment(setup, &blob)?;
//! let proof = eip::compute_blob_kzg_proof(setup, &blob, &commitment)?;
//! assert!(eip::verify_blob_kzg_proof(setup, &blob, &commitment, &proof)?);
//! # Ok::<(), eip::EipError>(())
//! ```
//!
//! Bytes that came from somewhere else have types of their own ([`kzg::CommitmentBytes`], [`kzg::ProofBytes`], plain
//! byte slices); the checked types ([`rows::Rows`], [`kzg::Commitment`], [`kzg::Proof`], [`code::Code`]) can only be
//! made by checking. No function panics on what a peer sent; errors are typed and [`Coded`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`eip`] | every function of EIP-4844 and EIP-7594, bytes in, bytes out |
//! | [`setup`] | the Ethereum ceremony's setup, embedded; others from a file |
//! | [`field`] | scalars and their canonical 32-byte encoding |
//! | [`payload`], [`rows`] | any bytes ↔ rows of field elements, which are blobs of EIP-4844 |
//! | [`code`] | Reed-Solomon extension into slices, and recovery |
//! | [`kzg`] | commitments, bulk check of claimed commitments, single-point openings |
//! | [`batch`] | one multi-proof a column for any number of rows, and its batched check |
//! | [`hash`] | SHA-256: plain, of many messages, expanded, reduced to a scalar |
//!
//! No feature is on by default. `rayon` spreads work over the current rayon pool; without it everything runs on the calling thread.
//! `serde` reads and writes commitments and proofs as text, `openapi` has their schemas.

// The derive names the crate through which the rest of Ashlar has the trait.
extern crate self as ashlar_crypto;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod bisection;
mod blame;
mod curve;
mod fk20;
mod kernel;
mod multiproof;
mod parallel;
mod tables;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub mod batch;
pub mod code;
pub mod eip;
pub mod field;
pub mod hash;
pub mod hex_bytes;
pub mod kzg;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod payload;
pub mod rows;
pub mod setup;

pub use ashlar_derive::Coded;
pub use batch::{
    AggregatedRow, ChunkColumn, ChunkError, RowChallenge, combine_cells, combine_commitments,
    find_bad_chunks, prove_chunks, verify_chunks,
};
pub use blame::{Blame, Coded};
pub use code::{Code, CodeError, RecoverError, Slices, recover, recover_slices};
pub use field::{FieldError, Scalar};
pub use hash::{Hash, hash_to_scalar, sha256};
#[cfg(any(test, feature = "differential"))]
#[doc(hidden)]
pub use kernel::differential;
pub use kernel::{
    KernelDisagreement, KernelError, KernelStatus, kernel_status, kernels, use_kernel,
};
pub use kzg::{
    CheckedClaims, Claim, ClaimError, Commitment, CommitmentBytes, KzgError, Opening, PointError,
    Proof, ProofBytes, check_commitments, commit_rows, open_element, verify_opening,
};
pub use payload::{Encoding, PayloadError, rows_for};
pub use rows::Rows;
pub use setup::{Setup, SetupError};
pub use tables::{TABLE_BYTES, TablesInUse, limit_tables};

/// Field elements in a row: one EIP-4844 blob.
pub const ELEMENTS_PER_ROW: usize = 4096;
/// Bytes of a field element, big-endian.
pub const BYTES_PER_ELEMENT: usize = 32;
/// Bytes of a row, 128 KiB.
pub const BYTES_PER_ROW: usize = ELEMENTS_PER_ROW * BYTES_PER_ELEMENT;

/// Name of the arithmetic kernel in use, as benchmarks report it.
pub fn kernel_name() -> &'static str {
    kernel::active().name()
}
