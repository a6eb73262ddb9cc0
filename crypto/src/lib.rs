//! Cryptography of Ashlar, without IO: all of [`ashlar_kzg`], and beside it what has nothing to do with polynomials.
//!
//! Nothing in this crate opens a file or a socket, reads a clock or draws a random number: fresh randomness comes in
//! as 32-byte seeds from the caller, so that a test can drive everything. No function panics on what a peer sent; errors are
//! typed and [`Coded`].
//!
//! | module | what it holds |
//! |---|---|
//! | [`merkle`] | RFC 6962 trees |
//! | [`bls`], [`identity`], [`account`], [`keystore`] | signatures, network keys, account keys, encrypted key files |

// The derive names this crate, here as elsewhere.
extern crate self as ashlar_crypto;

pub mod account;
pub mod bls;
pub mod identity;
pub mod keystore;
pub mod merkle;

pub use account::{AccountError, AccountKey, AccountSignature};
pub use ashlar_kzg::*;
pub use identity::{NetworkKey, NetworkPublicKey, NetworkSignature};
pub use merkle::{MerkleError, MerkleTree, leaf_hash, leaf_hashes, verify_path, verify_range};
