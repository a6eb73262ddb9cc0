#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

/// The definitions of RFC 6962, section 2.1, word for word: recursive, over data, without any cleverness.
mod naive {
    use super::*;

    fn split(n: usize) -> usize {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    pub(super) fn root(leaves: &[Vec<u8>]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [leaf] => sha256(&[&[0], leaf]),
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                sha256(&[&[1], &root(left), &root(right)])
            }
        }
    }

    pub(super) fn path(m: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        let (mut path, sibling) = if m < k {
            (path(m, left), root(right))
        } else {
            (path(m - k, right), root(left))
        };
        path.push(sibling);
        path
    }

    /// The roots of the largest subtrees without a leaf of the run, in the order of their leaves.
    pub(super) fn outside(range: Range<usize>, first: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
        let last = first + leaves.len();
        if last <= range.start || range.end <= first {
            return vec![root(leaves)];
        }
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = split(leaves.len());
        let (left, right) = leaves.split_at(k);
        [
            outside(range.clone(), first, left),
            outside(range, first + k, right),
        ]
        .concat()
    }
}

fn leaves(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|i| format!("leaf {i}").into_bytes()).collect()
}

fn hashes(leaves: &[Vec<u8>]) -> Vec<Hash> {
    leaves.iter().map(|leaf| leaf_hash(leaf)).collect()
}

/// The test tree of the Certificate Transparency implementations: roots of its first n leaves.
#[test]
fn roots_of_certificate_transparency() {
    let data = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let data: Vec<Vec<u8>> = data.iter().map(|leaf| hex::decode(leaf).unwrap()).collect();
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    for (n, root) in roots.into_iter().enumerate() {
        assert_eq!(
            hex::encode(MerkleTree::from_leaves(&data[..n]).root()),
            root,
            "{n} leaves"
        );
    }
}

#[test]
fn empty_tree() {
    let tree = MerkleTree::from_leaf_hashes(Vec::new());
    assert!(tree.is_empty());
    assert_eq!(
        (
            tree.len(),
            tree.leaf(0),
            tree.path(0),
            tree.range_proof(0..0)
        ),
        (0, None, None, None)
    );
    assert_eq!(
        verify_path(&tree.root(), 0, 0, [0; 32], &[]),
        Err(MerkleError::OutOfRange {
            start: 0,
            end: 1,
            leaves: 0
        })
    );
}

/// Every tree of up to 20 leaves, every run in it, against the twin.
#[test]
fn small_trees_exhaustively() {
    for n in 1..=20 {
        let data = leaves(n);
        let hashes = hashes(&data);
        let tree = MerkleTree::from_leaves(&data);
        assert_eq!(tree, MerkleTree::from_leaf_hashes(hashes.clone()));
        assert_eq!(tree.len(), n);
        assert_eq!(tree.root(), naive::root(&data));
        assert_eq!(tree.path(n), None);
        for (i, hash) in hashes.iter().enumerate() {
            let path = tree.path(i).unwrap();
            assert_eq!(path, naive::path(i, &data), "path of {i} of {n}");
            assert_eq!(tree.leaf(i), Some(*hash));
            verify_path(&tree.root(), n as u64, i as u64, *hash, &path).unwrap();
        }
        for start in 0..n {
            assert_eq!(tree.range_proof(start..start), None);
            assert_eq!(tree.range_proof(start..n + 1), None);
            for end in start + 1..=n {
                let proof = tree.range_proof(start..end).unwrap();
                let (mut got, mut expected) = (proof.clone(), naive::outside(start..end, 0, &data));
                got.sort();
                expected.sort();
                assert_eq!(got, expected, "{start}..{end} of {n}");
                assert_eq!(
                    proof.len(),
                    range_proof_len(n as u64, start as u64, end as u64)
                );
                verify_range(
                    &tree.root(),
                    n as u64,
                    start as u64,
                    &hashes[start..end],
                    &proof,
                )
                .unwrap();
            }
        }
    }
}

/// A valid proof is valid for one tree size, one position, one length only.
#[test]
fn refuses_every_other_claim_about_a_proof() {
    let n = 13;
    let data = leaves(n);
    let hashes = hashes(&data);
    let tree = MerkleTree::from_leaves(&data);
    let root = tree.root();
    for start in 0..n {
        for end in start + 1..=n {
            let (run, proof) = (&hashes[start..end], tree.range_proof(start..end).unwrap());
            for other in (0..n as u64 + 2).filter(|&other| other != start as u64) {
                assert!(
                    verify_range(&root, n as u64, other, run, &proof).is_err(),
                    "{start}..{end} at {other}"
                );
            }
            for len in 0..proof.len() {
                assert_eq!(
                    verify_range(&root, n as u64, start as u64, run, &proof[..len]),
                    Err(MerkleError::ProofLength {
                        got: len,
                        expected: proof.len()
                    })
                );
            }
            // Not minimal: a node more, even one that belongs there.
            let longer = [&proof[..], &[hashes[0]]].concat();
            assert_eq!(
                verify_range(&root, n as u64, start as u64, run, &longer),
                Err(MerkleError::ProofLength {
                    got: proof.len() + 1,
                    expected: proof.len()
                })
            );
            let shorter_run = &run[..run.len() - 1];
            assert!(verify_range(&root, n as u64, start as u64, shorter_run, &proof).is_err());
            for i in 0..proof.len() {
                let mut wrong = proof.clone();
                wrong[i][31] ^= 1;
                assert_eq!(
                    verify_range(&root, n as u64, start as u64, run, &wrong),
                    Err(MerkleError::RootMismatch)
                );
            }
            for i in 0..run.len() {
                let mut wrong = run.to_vec();
                wrong[i][0] ^= 0x80;
                assert_eq!(
                    verify_range(&root, n as u64, start as u64, &wrong, &proof),
                    Err(MerkleError::RootMismatch)
                );
            }
            let mut wrong_root = root;
            wrong_root[7] ^= 1;
            assert_eq!(
                verify_range(&wrong_root, n as u64, start as u64, run, &proof),
                Err(MerkleError::RootMismatch)
            );
        }
    }
}

/// The first 4 of 13 leaves and the right-hand rest say nothing about a tree of 8 leaves with other nodes: sizes change the
/// shape, so that where the number of nodes happens to fit, the root does not.
#[test]
fn refuses_most_other_sizes_and_all_that_change_the_shape_of_the_path() {
    let tree = MerkleTree::from_leaves(leaves(13));
    let leaf = tree.leaf(12).unwrap();
    let path = tree.path(12).unwrap();
    assert_eq!(path.len(), 2, "the lone leaf at the end has a short path");
    for size in (0..40).filter(|&size| size != 13) {
        assert!(
            verify_path(&tree.root(), size, 12, leaf, &path).is_err(),
            "size {size}"
        );
    }
}

#[test]
fn refuses_empty_runs_and_positions_outside() {
    let tree = MerkleTree::from_leaves(leaves(5));
    let root = tree.root();
    let hashes = hashes(&leaves(5));
    assert_eq!(
        verify_range(&root, 5, 0, &[], &[]),
        Err(MerkleError::EmptyRange)
    );
    assert_eq!(
        verify_range(&root, 5, 0, &[], &[root]),
        Err(MerkleError::EmptyRange)
    );
    assert_eq!(
        verify_range(&root, 5, 4, &hashes[3..5], &[]),
        Err(MerkleError::OutOfRange {
            start: 4,
            end: 6,
            leaves: 5
        })
    );
    assert_eq!(
        verify_path(&root, 5, u64::MAX, hashes[0], &[]),
        Err(MerkleError::OutOfRange {
            start: u64::MAX,
            end: u64::MAX,
            leaves: 5
        })
    );
    // The largest sizes that a header can state cost a path's length of hashes and do not overflow.
    assert_eq!(
        verify_path(&root, u64::MAX, u64::MAX - 1, hashes[0], &[root; 63]),
        Err(MerkleError::RootMismatch)
    );
}

/// A node can not be passed off as a leaf, because leaves and nodes hash differently.
#[test]
fn an_inner_node_is_no_leaf() {
    let tree = MerkleTree::from_leaves(leaves(4));
    let hashes = hashes(&leaves(4));
    let node: Vec<u8> = [hashes[0], hashes[1]].concat();
    let right = node_hash(&hashes[2], &hashes[3]);
    assert_eq!(
        verify_path(&tree.root(), 2, 0, leaf_hash(&node), &[right]),
        Err(MerkleError::RootMismatch)
    );
}

#[test]
fn codes_are_stable() {
    let codes = [
        MerkleError::OutOfRange {
            start: 0,
            end: 0,
            leaves: 0,
        },
        MerkleError::EmptyRange,
        MerkleError::ProofLength {
            got: 0,
            expected: 0,
        },
        MerkleError::RootMismatch,
    ]
    .map(|error| error.code());
    assert_eq!(
        codes,
        [
            "merkle.out_of_range",
            "merkle.empty_range",
            "merkle.proof_length",
            "merkle.root_mismatch"
        ]
    );
}

proptest! {
    #[test]
    fn agrees_with_the_twin(data in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..70), 1..300), a: prop::sample::Index, b: prop::sample::Index) {
        let n = data.len();
        let tree = MerkleTree::from_leaves(&data);
        prop_assert_eq!(tree.root(), naive::root(&data));
        let (a, b) = (a.index(n), b.index(n));
        prop_assert_eq!(tree.path(a).unwrap(), naive::path(a, &data));
        let range = a.min(b)..a.max(b) + 1;
        let proof = tree.range_proof(range.clone()).unwrap();
        let run = hashes(&data[range.clone()]);
        prop_assert_eq!(verify_range(&tree.root(), n as u64, range.start as u64, &run, &proof), Ok(()));
        let mut sorted = proof.clone();
        sorted.sort();
        let mut expected = naive::outside(range, 0, &data);
        expected.sort();
        prop_assert_eq!(sorted, expected);
    }

    /// Whatever a peer claims: no panic, and no proof of anything.
    #[test]
    fn arbitrary_claims_are_refused(root: Hash, count: u64, start: u64, run in proptest::collection::vec(any::<Hash>(), 0..9), proof in proptest::collection::vec(any::<Hash>(), 0..70)) {
        prop_assert!(verify_range(&root, count, start, &run, &proof).is_err());
        prop_assert!(verify_range(&root, count % 100, start % 100, &run, &proof).is_err());
    }
}
