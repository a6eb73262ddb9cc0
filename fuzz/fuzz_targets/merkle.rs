#![no_main]
//! Merkle proofs: honest ones are accepted, and any change to one is refused.

use ashlar_crypto::merkle::{MerkleTree, leaf_hash, verify_range};
use libfuzzer_sys::fuzz_target;

type Claim = (u64, u64, Vec<[u8; 32]>, Vec<[u8; 32]>);

fuzz_target!(|input: (u8, u8, u8, Vec<(u8, u8)>, Claim)| {
    let (leaves, start, len, changes, claim) = input;
    // Any claim at all. It may even hold: the root of one leaf is the leaf's hash.
    let (count, at, run, proof) = claim;
    let _ = verify_range(&[0; 32], count, at, &run, &proof);

    let leaves: Vec<[u8; 1]> = (0..=leaves).map(|leaf| [leaf]).collect();
    let tree = MerkleTree::from_leaves(&leaves);
    let start = usize::from(start) % leaves.len();
    let end = (start + 1 + usize::from(len)).min(leaves.len());
    let mut proof = tree.range_proof(start..end).expect("it lies in the tree");
    let run: Vec<_> = leaves[start..end]
        .iter()
        .map(|leaf| leaf_hash(leaf))
        .collect();
    let (count, at) = (leaves.len() as u64, start as u64);
    verify_range(&tree.root(), count, at, &run, &proof).expect("an honest proof");

    let honest = proof.clone();
    for (place, bit) in changes {
        let nodes = proof.len();
        if let Some(node) = proof.get_mut(usize::from(place) % nodes.max(1)) {
            node[usize::from(bit) / 8] ^= 1 << (bit % 8);
        }
    }
    assert_eq!(
        verify_range(&tree.root(), count, at, &run, &proof).is_ok(),
        proof == honest
    );
});
