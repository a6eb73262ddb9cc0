//! Cutting a Merkle range proof down to a part of its run.
//!
//! A node keeps the proof of each run of slices that it was sent. Who asks for fewer slices gets a proof for just
//! those: what it needs is either in the old proof or follows from the leaves of the run.

use std::ops::Range;

use ashlar_crypto::{Hash, merkle::node_hash};

/// A run of leaves with its range proof (layout: `ashlar_crypto::merkle::verify_range`).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Leaves in the whole tree.
    pub(crate) leaf_count: u64,
    /// Position of the run's first leaf.
    pub(crate) start: u64,
    /// Hashes of the run's leaves.
    pub(crate) leaves: &'a [Hash],
    /// Its range proof.
    pub(crate) proof: &'a [Hash],
}

/// The range proof of `part`, which must be a non-empty part of the run; `None` if it is not, or if the run's proof is
/// too short. Whether the proof is right is not checked here: a wrong one gives a wrong one.
pub(crate) fn subrange_proof(run: Run<'_>, part: Range<u64>) -> Option<Vec<Hash>> {
    let (mut start, mut end) = (run.start, run.start.checked_add(run.leaves.len() as u64)?);
    if part.is_empty() || part.start < start || part.end > end || end > run.leaf_count {
        return None;
    }
    let (mut from, mut to, mut width) = (part.start, part.end, run.leaf_count);
    let mut proof = run.proof.iter().copied();
    let mut nodes = run.leaves.to_vec();
    let mut out = Vec::new();
    while width > 1 {
        // What is known of this level: the run and its outer neighbours. `first` is the position of nodes[0].
        let mut first = start;
        if start % 2 == 1 {
            nodes.insert(0, proof.next()?);
            first -= 1;
        }
        if end % 2 == 1 && end < width {
            nodes.push(proof.next()?);
        }
        let node = |position: u64| {
            nodes
                .get(usize::try_from(position.checked_sub(first)?).ok()?)
                .copied()
        };
        if from % 2 == 1 {
            out.push(node(from - 1)?);
        }
        if to % 2 == 1 && to < width {
            out.push(node(to)?);
        }
        nodes = nodes
            .chunks(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(node_hash(left, right)),
                [alone] => Some(*alone),
                _ => None,
            })
            .collect();
        (start, end, width) = (start / 2, end.div_ceil(2), width.div_ceil(2));
        (from, to) = (from / 2, to.div_ceil(2));
    }
    Some(out)
}

#[cfg(test)]
mod tests;
