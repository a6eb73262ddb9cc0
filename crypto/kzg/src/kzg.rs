//! KZG commitments to rows, the bulk check of commitments that somebody else claims, and openings of single elements.

mod claims;
mod opening;

use std::fmt;

use crate::parallel::*;

use crate::curve::{self, G1Affine};
use crate::field::limbs;
use crate::hex_bytes::impl_hex_bytes;
use crate::setup::Committer;
use crate::{Rows, Setup, kernel};

pub use crate::curve::{POINT_BYTES, PointError};
pub use claims::{CheckedClaims, Claim, ClaimError, check_commitments};
pub(crate) use opening::coefficients;
pub use opening::{
    KzgError, Opening, element_point, extended_point, open_at, open_element, verify_at,
    verify_opening,
};

/// A commitment as it came: 48 bytes that nobody has looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitmentBytes(pub [u8; POINT_BYTES]);
impl_hex_bytes!(CommitmentBytes, POINT_BYTES);

/// A proof as it came: 48 bytes that nobody has looked at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProofBytes(pub [u8; POINT_BYTES]);
impl_hex_bytes!(ProofBytes, POINT_BYTES);

macro_rules! checked_point {
    ($(#[$doc:meta])* $name:ident, $bytes:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name {
            point: G1Affine,
            bytes: $bytes,
        }

        impl $name {
            /// The encoding, 48 bytes.
            pub fn to_bytes(&self) -> $bytes {
                self.bytes
            }

            /// The point. Only for this crate: the arithmetic library is no part of the public API.
            pub(crate) fn point(&self) -> &G1Affine {
                &self.point
            }

            #[allow(dead_code)]
            pub(crate) fn from_point(point: G1Affine) -> Self {
                Self { point, bytes: $bytes(curve::compress(&point)) }
            }
        }

        impl TryFrom<$bytes> for $name {
            type Error = PointError;

            fn try_from(bytes: $bytes) -> Result<Self, PointError> {
                curve::decompress(&bytes.0).map(|point| Self { point, bytes })
            }
        }

        impl From<$name> for $bytes {
            fn from(checked: $name) -> Self {
                checked.bytes
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.bytes.fmt(f)
            }
        }
    };
}

checked_point! {
    /// A commitment that is a point of the group, in its one canonical encoding. Whether it commits to the row in
    /// question is another matter: [`check_commitments`] and [`crate::verify_chunks`] tell.
    Commitment, CommitmentBytes
}
checked_point! {
    /// A proof that is a point of the group, in its one canonical encoding. Whether it proves anything is another
    /// matter.
    Proof, ProofBytes
}

/// Decodes many commitments on all threads of the current rayon pool.
///
/// # Errors
///
/// The index of the first bad one, and what is wrong with it.
pub fn decode_commitments(
    bytes: &[CommitmentBytes],
) -> Result<Vec<Commitment>, (usize, PointError)> {
    let encodings: Vec<_> = bytes.iter().map(|bytes| bytes.0).collect();
    let points = kernel::decompress(&encodings)?.into_iter().zip(bytes);
    Ok(points
        .map(|(point, bytes)| Commitment {
            point,
            bytes: *bytes,
        })
        .collect())
}

/// Decodes many proofs on all threads of the current rayon pool.
///
/// # Errors
///
/// The index of the first bad one, and what is wrong with it.
pub fn decode_proofs(bytes: &[ProofBytes]) -> Result<Vec<Proof>, (usize, PointError)> {
    let encodings: Vec<_> = bytes.iter().map(|bytes| bytes.0).collect();
    let points = kernel::decompress(&encodings)?.into_iter().zip(bytes);
    Ok(points
        .map(|(point, bytes)| Proof {
            point,
            bytes: *bytes,
        })
        .collect())
}

/// Commits to every row; the commitments are those of EIP-4844, and checked to be on the curve. Runs on all threads of the
/// current rayon pool: 11 ms of one thread a row over AVX-512 IFMA, 26 ms elsewhere. From the moment that a process has had so
/// many rows that a table of multiples pays, 7 and 20 ms.
pub fn commit_rows(setup: &Setup, rows: &Rows) -> Vec<Commitment> {
    let committer = setup.committer(rows.count());
    let points: Vec<_> = rows
        .as_bytes()
        .par_chunks_exact(crate::BYTES_PER_ROW)
        .map(|row| commit_row(committer, row))
        .collect();
    points.into_iter().map(Commitment::from_point).collect()
}

/// Commitment to one row of canonical elements.
pub(crate) fn commit_row(committer: Committer<'_>, row: &[u8]) -> G1Affine {
    let scalars: Vec<_> = row.as_chunks().0.iter().map(limbs).collect();
    committer.commit(&scalars)
}

#[cfg(test)]
mod tests;
