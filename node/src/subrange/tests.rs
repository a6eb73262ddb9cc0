#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::merkle::{MerkleTree, leaf_hash, verify_range};
use proptest::prelude::*;

use super::*;

fn tree(leaves: u64) -> (MerkleTree, Vec<Hash>) {
    let hashes: Vec<Hash> = (0..leaves).map(|i| leaf_hash(&i.to_be_bytes())).collect();
    (MerkleTree::from_leaf_hashes(hashes.clone()), hashes)
}

#[test]
fn every_part_of_every_run_of_small_trees() {
    for leaves in 1..=17u64 {
        let (tree, hashes) = tree(leaves);
        for start in 0..leaves {
            for end in start + 1..=leaves {
                let proof = tree.range_proof(start as usize..end as usize).unwrap();
                let run = Run {
                    leaf_count: leaves,
                    start,
                    leaves: &hashes[start as usize..end as usize],
                    proof: &proof,
                };
                for from in start..end {
                    for to in from + 1..=end {
                        let expected = tree.range_proof(from as usize..to as usize).unwrap();
                        assert_eq!(
                            subrange_proof(run, from..to),
                            Some(expected),
                            "{leaves} {start}..{end} {from}..{to}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn refuses_what_is_no_part() {
    let (tree, hashes) = tree(16);
    let proof = tree.range_proof(4..8).unwrap();
    let run = Run {
        leaf_count: 16,
        start: 4,
        leaves: &hashes[4..8],
        proof: &proof,
    };
    assert_eq!(subrange_proof(run, 3..5), None);
    assert_eq!(subrange_proof(run, 7..9), None);
    assert_eq!(subrange_proof(run, 5..5), None);
    assert_eq!(
        subrange_proof(
            Run {
                proof: &proof[1..],
                ..run
            },
            5..6
        ),
        None
    );
}

proptest! {
    #[test]
    fn narrowed_proofs_verify(leaves in 1u64..600, a in 0u64..600, b in 0u64..600, c in 0u64..600, d in 0u64..600) {
        let mut cuts = [a % leaves, b % leaves, c % leaves, d % leaves];
        cuts.sort_unstable();
        let [start, from, to, end] = cuts;
        let (to, end) = (to + 1, end + 1);
        let (tree, hashes) = tree(leaves);
        let proof = tree.range_proof(start as usize..end as usize).unwrap();
        let run = Run { leaf_count: leaves, start, leaves: &hashes[start as usize..end as usize], proof: &proof };
        let narrowed = subrange_proof(run, from..to).unwrap();
        prop_assert!(verify_range(&tree.root(), leaves, from, &hashes[from as usize..to as usize], &narrowed).is_ok());
    }
}
