//! A set of operators by their index in the table.

use crate::OperatorIndex;

/// A set of indices below a fixed length. Index i is bit `i % 8` (from the low end) of byte `i / 8`; bits behind the
/// last index are zero, which the constructors guarantee.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bitmap {
    len: u32,
    bytes: Vec<u8>,
}

impl Bitmap {
    /// The empty set of indices below `len`.
    pub fn new(len: u32) -> Self {
        Self {
            len,
            bytes: vec![0; (len as usize).div_ceil(8)],
        }
    }

    /// From its bytes; `None` if their number is not `ceil(len / 8)` or a bit behind the last index is set.
    pub fn from_bytes(len: u32, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != (len as usize).div_ceil(8) {
            return None;
        }
        let used = len % 8;
        if used != 0 && bytes.last().is_some_and(|last| last >> used != 0) {
            return None;
        }
        Some(Self {
            len,
            bytes: bytes.to_vec(),
        })
    }

    /// The set of these indices; `None` if one of them is `len` or more.
    pub fn from_indices(
        len: u32,
        indices: impl IntoIterator<Item = OperatorIndex>,
    ) -> Option<Self> {
        let mut set = Self::new(len);
        indices.into_iter().all(|i| set.insert(i)).then_some(set)
    }

    /// Adds an index; false if it is out of range.
    pub fn insert(&mut self, OperatorIndex(index): OperatorIndex) -> bool {
        if index >= self.len {
            return false;
        }
        if let Some(byte) = self.bytes.get_mut(index as usize / 8) {
            *byte |= 1 << (index % 8);
        }
        true
    }

    /// Whether the index is in the set.
    pub fn contains(&self, OperatorIndex(index): OperatorIndex) -> bool {
        index < self.len
            && self
                .bytes
                .get(index as usize / 8)
                .is_some_and(|b| b >> (index % 8) & 1 == 1)
    }

    /// Number of indices that could be in the set.
    // `is_empty` would read as "no member", which is `count() == 0`.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Number of indices in the set.
    pub fn count(&self) -> u32 {
        self.bytes.iter().map(|b| b.count_ones()).sum()
    }

    /// The indices in the set, ascending.
    pub fn iter(&self) -> impl Iterator<Item = OperatorIndex> + '_ {
        (0..self.len)
            .map(OperatorIndex)
            .filter(|&i| self.contains(i))
    }

    /// The indices not in the set, ascending.
    pub fn iter_missing(&self) -> impl Iterator<Item = OperatorIndex> + '_ {
        (0..self.len)
            .map(OperatorIndex)
            .filter(|&i| !self.contains(i))
    }

    /// `⌈len / 8⌉` bytes; see the type for the order of the bits.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
