//! Merkle trees in the shape of RFC 6962 (section 2.1), with SHA-256: a leaf is `H(00 | data)`, a node `H(01 | left | right)`.
//!
//! A tree of n leaves splits at the largest power of two below n, so no leaf is ever duplicated and no padding is
//! hashed. Two kinds of proof: the audit path of one leaf, and the proof of a run of neighbouring leaves, which
//! shares what their paths have in common.
//!
//! The number of leaves is part of every check. It is not in the root, so it has to come from a source as trusted
//! as the root (a header that is hashed with it); with it, the shape of the tree is fixed and a proof has exactly
//! one valid length.

use std::ops::Range;

use rayon::prelude::*;
use thiserror::Error;

use crate::hash::{Hash, sha256, sha256_each};
use crate::{Coded, Slices};

/// Why a Merkle proof was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "merkle", blame = Peer)]
pub enum MerkleError {
    /// The position, or the end of the run, lies outside the tree.
    #[error("leaves {start}..{end} do not lie in a tree of {leaves} leaves")]
    OutOfRange {
        /// First position asked for.
        start: u64,
        /// One past the last position asked for (saturating).
        end: u64,
        /// Leaves in the tree.
        leaves: u64,
    },
    /// A run of no leaves proves nothing.
    #[error("a range proof needs at least one leaf")]
    EmptyRange,
    /// The proof has too few or too many nodes for this position in this tree.
    #[error("the Merkle proof has {got} nodes, its position needs {expected}")]
    ProofLength {
        /// Nodes in the proof.
        got: usize,
        /// Nodes that the position and the tree's size ask for.
        expected: usize,
    },
    /// The leaves and nodes hash to another root.
    #[error("the Merkle proof leads to another root")]
    RootMismatch,
}

/// Hash of a leaf: `H(00 | data)`.
pub fn leaf_hash(data: &[u8]) -> Hash {
    sha256(&[&[0x00], data])
}

/// Leaves that one thread hashes in a row.
const LEAVES_A_TASK: usize = 16;

/// [`leaf_hash`] of every leaf, on all threads; leaves of one length are hashed side by side, which is faster than one by one.
pub fn leaf_hashes<L: AsRef<[u8]> + Sync>(leaves: &[L]) -> Vec<Hash> {
    leaves
        .par_chunks(LEAVES_A_TASK)
        .flat_map_iter(|some| sha256_each(0x00, some))
        .collect()
}

/// Hash of an inner node: `H(01 | left | right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[0x01], left, right])
}

/// A whole tree in memory, for those who make proofs. About 64 bytes a leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerkleTree {
    /// Level 0 holds the leaf hashes; each further level pairs up the one below, and an odd node at the end moves up
    /// unchanged. That is the same tree as RFC 6962's recursive definition.
    levels: Vec<Vec<Hash>>,
}

impl MerkleTree {
    /// The tree over `leaves`, in order.
    pub fn from_leaves<I>(leaves: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        Self::from_leaf_hashes(
            leaves
                .into_iter()
                .map(|leaf| leaf_hash(leaf.as_ref()))
                .collect(),
        )
    }

    /// The tree over leaves that are hashed already (by [`leaf_hash`]).
    pub fn from_leaf_hashes(hashes: Vec<Hash>) -> Self {
        let mut levels = vec![hashes];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = pair_up(None, below, None);
            levels.push(above);
        }
        Self { levels }
    }

    /// The tree whose leaves are a blob's slices; its root is the blob header's `chunk_root`.
    pub fn from_slices(slices: &Slices) -> Self {
        let slices: Vec<&[u8]> = slices.iter().collect();
        Self::from_leaf_hashes(leaf_hashes(&slices))
    }

    /// The root; of a tree without leaves `H("")`, as the RFC defines it.
    pub fn root(&self) -> Hash {
        self.levels
            .last()
            .and_then(|top| top.first())
            .copied()
            .unwrap_or_else(|| sha256(&[]))
    }

    /// Number of leaves.
    pub fn len(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    /// True for the tree without leaves.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hash of leaf `index`, or `None` past the end.
    pub fn leaf(&self, index: usize) -> Option<Hash> {
        self.levels.first()?.get(index).copied()
    }

    /// Audit path of leaf `index`: siblings from the leaf upwards. `None` past the end.
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        self.range_proof(index..index.checked_add(1)?)
    }

    /// Proof of the leaves in `range`: see [`verify_range`] for the order of its nodes. `None` if the range is empty or leaves the tree.
    pub fn range_proof(&self, range: Range<usize>) -> Option<Vec<Hash>> {
        if range.is_empty() || range.end > self.len() {
            return None;
        }
        let mut proof = Vec::new();
        let (mut start, mut end) = (range.start, range.end);
        for level in &self.levels {
            if start % 2 == 1 {
                proof.push(*level.get(start - 1)?);
            }
            if end % 2 == 1
                && let Some(right) = level.get(end)
            {
                proof.push(*right);
            }
            start /= 2;
            end = end.div_ceil(2);
        }
        Some(proof)
    }
}

/// Checks that `leaf` is the hash of leaf `index` in the tree of `leaf_count` leaves under `root`.
///
/// # Errors
///
/// [`MerkleError`] when the position is outside the tree, the path has another length than the position needs, or the root differs.
pub fn verify_path(
    root: &Hash,
    leaf_count: u64,
    index: u64,
    leaf: Hash,
    path: &[Hash],
) -> Result<(), MerkleError> {
    verify_range(root, leaf_count, index, &[leaf], path)
}

/// Checks that `leaves` are the hashes of the leaves from `start` on in the tree of `leaf_count` leaves under `root`.
///
/// The proof's nodes come level by level from the leaves upwards; in each level first the node to the left of the
/// run if the run starts at an odd position, then the node to its right if it ends at one and such a node exists.
/// There is one valid proof of one length for each (tree, run); for a run of one leaf it is RFC 6962's audit path.
///
/// Costs one hash a node visited: about `leaves.len() + proof.len()`; nothing is allocated but the run itself.
///
/// # Errors
///
/// [`MerkleError`] when the run is empty or leaves the tree, the proof has another length than it needs, or the root differs.
pub fn verify_range(
    root: &Hash,
    leaf_count: u64,
    start: u64,
    leaves: &[Hash],
    proof: &[Hash],
) -> Result<(), MerkleError> {
    if leaves.is_empty() {
        return Err(MerkleError::EmptyRange);
    }
    let run = leaves.len() as u64;
    let end = start.saturating_add(run);
    if start >= leaf_count || run > leaf_count - start {
        return Err(MerkleError::OutOfRange {
            start,
            end,
            leaves: leaf_count,
        });
    }
    let expected = range_proof_len(leaf_count, start, end);
    if proof.len() != expected {
        return Err(MerkleError::ProofLength {
            got: proof.len(),
            expected,
        });
    }

    let mut nodes = leaves.to_vec();
    let mut proof = proof.iter();
    let (mut width, mut start, mut end) = (leaf_count, start, end);
    while width > 1 {
        // The length was checked above, so the iterator cannot run dry; if it could, the root would differ.
        let left = if start % 2 == 1 { proof.next() } else { None };
        let right = if end % 2 == 1 && end < width {
            proof.next()
        } else {
            None
        };
        nodes = pair_up(left, &nodes, right);
        start /= 2;
        end = end.div_ceil(2);
        width = width.div_ceil(2);
    }
    match nodes.as_slice() {
        [computed] if computed == root => Ok(()),
        _ => Err(MerkleError::RootMismatch),
    }
}

/// Number of nodes in the proof of the run `start..end` in a tree of `leaf_count` leaves; the run must lie in the tree.
pub fn range_proof_len(leaf_count: u64, start: u64, end: u64) -> usize {
    let (mut width, mut start, mut end) = (leaf_count, start, end);
    let mut nodes = 0;
    while width > 1 {
        nodes += usize::from(start % 2 == 1) + usize::from(end % 2 == 1 && end < width);
        start /= 2;
        end = end.div_ceil(2);
        width = width.div_ceil(2);
    }
    nodes
}

/// One level up: the run with its outer neighbours, hashed in pairs; a node without partner moves up as it is.
fn pair_up(left: Option<&Hash>, run: &[Hash], right: Option<&Hash>) -> Vec<Hash> {
    let mut above = Vec::with_capacity(run.len() / 2 + 1);
    let mut pending: Option<&Hash> = None;
    for node in left.into_iter().chain(run).chain(right) {
        match pending.take() {
            Some(first) => above.push(node_hash(first, node)),
            None => pending = Some(node),
        }
    }
    above.extend(pending.copied());
    above
}

#[cfg(test)]
mod tests;
