//! One kind of entry of the ledger's state: an ordered map that can be rolled back and hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use ashlar_crypto::hash::{Hash, sha256};
use ashlar_crypto::merkle::{MerkleTree, leaf_hash};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Amount;

const BUCKET_TAG: &[u8] = b"ashlar/ledger-bucket/1";
const BOOK_TAG: &[u8] = b"ashlar/ledger-book/1";
/// Leaves are spread over this many subtrees, so that one changed entry costs one small subtree.
const BUCKETS: usize = 256;

/// What a key of a [`Book`] can do.
pub(super) trait Key: Ord + Clone + Serialize + DeserializeOwned {}
impl<T: Ord + Clone + Serialize + DeserializeOwned> Key for T {}

/// Entries by key. Changes since the last [`commit`](Book::commit) can be taken back.
#[derive(Clone, Debug)]
pub(super) struct MerkleMap<K, V> {
    rows: BTreeMap<K, V>,
    /// What each changed key held before, in the order of the changes.
    undo: Vec<(K, Option<V>)>,
    /// Keys changed since the last root.
    dirty: BTreeSet<K>,
    leaves: Vec<BTreeMap<K, Hash>>,
    roots: Vec<Hash>,
    /// The root, while nothing has changed.
    last: Option<Hash>,
}

impl<K, V> Default for MerkleMap<K, V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            undo: Vec::new(),
            dirty: BTreeSet::new(),
            leaves: Vec::new(),
            roots: Vec::new(),
            last: None,
        }
    }
}

impl<K: Key> MerkleMap<K, Amount> {
    /// The amount that stands there; where nothing does, it is zero.
    pub(super) fn amount(&self, key: &K) -> Amount {
        self.rows.get(key).map_or(Amount::ZERO, |amount| *amount)
    }
}

impl<K: Key, V: Clone + Serialize> MerkleMap<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    pub(super) fn range<R: RangeBounds<K>>(
        &self,
        range: R,
    ) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.range(range)
    }

    pub(super) fn first_key(&self) -> Option<&K> {
        self.rows.first_key_value().map(|(key, _)| key)
    }

    /// The entry, to be changed.
    pub(super) fn edit(&mut self, key: &K) -> Option<&mut V> {
        let row = self.rows.get_mut(key)?;
        if self.undo.last().is_none_or(|(last, _)| last != key) {
            self.undo.push((key.clone(), Some(row.clone())));
        }
        Some(row)
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        let before = self.rows.insert(key.clone(), value);
        self.undo.push((key, before));
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let before = self.rows.remove(key)?;
        self.undo.push((key.clone(), Some(before.clone())));
        Some(before)
    }

    /// Keeps the changes.
    pub(super) fn commit(&mut self) {
        self.dirty.extend(self.undo.drain(..).map(|(key, _)| key));
    }

    /// Takes the changes back.
    pub(super) fn rollback(&mut self) {
        while let Some((key, before)) = self.undo.pop() {
            match before {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// A commitment to all entries under the book's name. Costs the entries changed since the last call, and their subtrees.
    pub(super) fn root(&mut self, name: &str) -> Hash {
        if let Some(last) = self.last.filter(|_| self.dirty.is_empty()) {
            return last;
        }
        if self.leaves.is_empty() {
            self.leaves = vec![BTreeMap::new(); BUCKETS];
            self.roots = vec![MerkleTree::from_leaf_hashes(Vec::new()).root(); BUCKETS];
        }
        let mut touched = BTreeSet::new();
        while let Some(key) = self.dirty.pop_first() {
            let key_bytes = canonical(&key);
            let [bucket, ..] = sha256(&[BUCKET_TAG, &key_bytes]);
            // A byte, and as many buckets.
            let leaves = &mut self.leaves[usize::from(bucket)];
            touched.insert(usize::from(bucket));
            match self.rows.get(&key) {
                Some(row) => {
                    let mut leaf = (key_bytes.len() as u64).to_be_bytes().to_vec();
                    leaf.extend_from_slice(&key_bytes);
                    leaf.extend_from_slice(&canonical(row));
                    leaves.insert(key, leaf_hash(&leaf));
                }
                None => {
                    leaves.remove(&key);
                }
            }
        }
        for bucket in touched {
            let leaves = self.leaves[bucket].values().copied().collect();
            self.roots[bucket] = MerkleTree::from_leaf_hashes(leaves).root();
        }
        let all = MerkleTree::from_leaf_hashes(self.roots.clone()).root();
        let root = sha256(&[
            BOOK_TAG,
            &(name.len() as u64).to_be_bytes(),
            name.as_bytes(),
            &(self.rows.len() as u64).to_be_bytes(),
            &all,
        ]);
        self.last = Some(root);
        root
    }
}

/// The bytes that stand for a value: its JSON without white space, fields in the order of their declaration.
#[expect(
    clippy::expect_used,
    reason = "memory takes every byte, and every type of the state has a JSON form: a test writes all of them"
)]
pub(super) fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("a value of the state has a JSON form")
}

impl<K: Serialize, V: Serialize> Serialize for MerkleMap<K, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.rows.iter())
    }
}

impl<'de, K: Key, V: DeserializeOwned> Deserialize<'de> for MerkleMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let rows: BTreeMap<K, V> = Vec::<(K, V)>::deserialize(from)?.into_iter().collect();
        let dirty = rows.keys().cloned().collect();
        Ok(Self {
            rows,
            dirty,
            ..Self::default()
        })
    }
}
