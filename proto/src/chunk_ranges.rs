//! Sets of chunk indices as runs of neighbouring indices. What an operator holds is a few runs.

use ashlar_crypto::Coded;

use crate::ChunkIndex;

/// Chunk indices are below this in every version.
pub const MAX_CHUNKS: u32 = 4096;
/// Most runs in one list.
pub const MAX_RUNS: usize = 64;

/// A set of chunk indices, as ascending runs (start, length) that neither overlap nor touch, so that a set has one
/// form only. Not empty, at most [`MAX_RUNS`] runs, every index below [`MAX_CHUNKS`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChunkRanges(Vec<(u32, u32)>);

impl ChunkRanges {
    /// Checks a list of runs.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn new(runs: Vec<(u32, u32)>) -> Result<Self, ChunkRangesError> {
        if runs.is_empty() || runs.len() > MAX_RUNS {
            return Err(ChunkRangesError::Count { got: runs.len() });
        }
        let mut free_from = 0; // first index that the next run may start at
        for &(start, len) in &runs {
            if len == 0 {
                return Err(ChunkRangesError::Empty { start });
            }
            if start < free_from {
                return Err(ChunkRangesError::Order { start });
            }
            match start.checked_add(len) {
                Some(end) if end <= MAX_CHUNKS => free_from = end + 1,
                _ => return Err(ChunkRangesError::Index { start, len }),
            }
        }
        Ok(Self(runs))
    }

    /// The runs of strictly ascending indices.
    ///
    /// # Errors
    /// No index, too many runs, indices out of order or out of range.
    pub fn from_indices(indices: &[ChunkIndex]) -> Result<Self, ChunkRangesError> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for &ChunkIndex(index) in indices {
            if index >= MAX_CHUNKS {
                return Err(ChunkRangesError::Index {
                    start: index,
                    len: 1,
                });
            }
            match runs.last_mut() {
                Some((start, len)) if *start + *len == index => *len += 1,
                Some((start, len)) if *start + *len > index => {
                    return Err(ChunkRangesError::Order { start: index });
                }
                _ => runs.push((index, 1)),
            }
        }
        Self::new(runs)
    }

    /// The runs: start and length of each.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.0
    }

    /// Number of indices.
    pub fn count(&self) -> usize {
        self.0.iter().map(|&(_, len)| len as usize).sum()
    }

    /// The indices, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ChunkIndex> + '_ {
        self.0
            .iter()
            .flat_map(|&(start, len)| start..start.saturating_add(len))
            .map(ChunkIndex)
    }

    /// Whether an index is in the set.
    pub fn contains(&self, index: ChunkIndex) -> bool {
        self.position(index).is_some()
    }

    /// Which place an index has among the indices, from 0.
    pub fn position(&self, ChunkIndex(index): ChunkIndex) -> Option<usize> {
        let mut before = 0;
        for &(start, len) in &self.0 {
            if index >= start && index - start < len {
                return Some(before + (index - start) as usize);
            }
            before += len as usize;
        }
        None
    }

    /// The largest index.
    pub fn last(&self) -> ChunkIndex {
        let end = self.0.last().map_or(0, |&(start, len)| start + len);
        ChunkIndex(end.saturating_sub(1))
    }

    /// Whether every index of `self` is in `other`.
    pub fn is_subset_of(&self, other: &ChunkRanges) -> bool {
        self.iter().all(|i| other.contains(i))
    }
}

/// A list of runs that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "runs", blame = Caller)]
pub enum ChunkRangesError {
    /// None or too many.
    #[error("{got} runs of chunk indices, expected 1 to {MAX_RUNS}")]
    Count {
        /// Runs given.
        got: usize,
    },
    /// A run of no index.
    #[error("the run of chunk indices at {start} is empty")]
    Empty {
        /// Its start.
        start: u32,
    },
    /// Not ascending, overlapping, or two runs that should be one.
    #[error("the run of chunk indices at {start} does not stand apart behind the one before it")]
    Order {
        /// Its start.
        start: u32,
    },
    /// An index that no version has.
    #[error(
        "chunk indices {start} and {len} - 1 more: the largest possible index is {MAX_CHUNKS} - 1"
    )]
    Index {
        /// Start of the run.
        start: u32,
        /// Its length.
        len: u32,
    },
}

#[cfg(test)]
mod tests;
