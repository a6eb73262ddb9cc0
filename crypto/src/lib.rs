//! Field and curve kernels, KZG, erasure code, batch matrix, Merkle trees, BLS signatures and keystores of Ashlar, without IO.
//!
//! Nothing in this crate opens a file or a socket, reads a clock or draws a random number: fresh randomness comes in
//! as 32-byte seeds from the caller, so that a test can drive everything.
//!
//! Bytes that came from somewhere else have types of their own ([`kzg::CommitmentBytes`], [`kzg::ProofBytes`], plain
//! byte slices); the checked types ([`rows::Rows`], [`kzg::Commitment`], [`kzg::Proof`], [`code::Code`]) can only be
//! made by checking. No function panics on what a peer sent; errors are typed and [`Coded`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`field`] | scalars and their canonical 32-byte encoding |
//! | [`payload`], [`rows`] | payload ↔ rows, both encodings |
//! | [`code`] | Reed-Solomon extension into slices, and recovery |
//! | [`setup`] | the Ethereum ceremony's setup, embedded |
//! | [`kzg`] | commitments, bulk check of claimed commitments, single-point openings |
//! | [`batch`] | one multi-proof a chunk for all rows of a batch, and its batched check |
//! | [`eip`] | every function of EIP-4844 and EIP-7594, bytes in, bytes out |
//! | [`hash`], [`merkle`] | SHA-256, RFC 6962 trees |
//! | [`bls`], [`identity`], [`account`], [`keystore`] | signatures, network keys, account keys, encrypted key files |

// The derive names this crate, here as elsewhere.
extern crate self as ashlar_crypto;

mod bisection;
mod blame;
mod curve;
mod fk20;
mod kernel;
mod multiproof;
mod tables;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;

pub mod account;
pub mod batch;
pub mod bls;
pub mod code;
pub mod eip;
pub mod field;
pub mod hash;
pub mod hex_bytes;
pub mod identity;
pub mod keystore;
pub mod kzg;
pub mod merkle;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod payload;
pub mod rows;
pub mod setup;

pub use account::{AccountError, AccountKey, AccountSignature};
pub use ashlar_derive::Coded;
pub use batch::{
    AggregatedRow, ChunkColumn, ChunkError, RowChallenge, combine_cells, combine_commitments,
    find_bad_chunks, prove_chunks, verify_chunks,
};
pub use blame::{Blame, Coded};
pub use code::{Code, CodeError, RecoverError, Slices, recover, recover_slices};
pub use field::{FieldError, Scalar};
pub use hash::{Hash, hash_to_scalar, sha256};
pub use identity::{NetworkKey, NetworkPublicKey, NetworkSignature};
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
pub use merkle::{MerkleError, MerkleTree, leaf_hash, leaf_hashes, verify_path, verify_range};
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
