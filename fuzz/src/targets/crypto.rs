//! Points, rows, codes, trees and keystores.

use ashlar_crypto::bls::{PublicKey, PublicKeyBytes, Signature, SignatureBytes};
use ashlar_crypto::keystore::{KeystoreError, MAX_PASSWORD_LEN, decrypt, inspect};
use ashlar_crypto::merkle::{MerkleTree, leaf_hash, verify_range};
use ashlar_crypto::payload::Encoding;
use ashlar_crypto::{
    BYTES_PER_ROW, Code, Commitment, CommitmentBytes, Proof, ProofBytes, Rows, recover, rows_for,
};

use super::text;
use crate::choices::Choices;

/// Payload → rows → payload.
pub(crate) fn payload(data: &[u8]) {
    let Some((selector, payload)) = data.split_first() else {
        return;
    };
    let encoding = Encoding::try_from(selector & 1).expect("0 and 1 are encodings");
    let len = payload.len() as u64;
    match Rows::from_payload(payload, encoding) {
        Ok(rows) => {
            assert_eq!(
                rows_for(encoding, len).expect("it was encoded"),
                rows.count() as u32
            );
            assert_eq!(
                rows.to_payload(encoding, len).expect("it was encoded"),
                payload
            );
        }
        Err(_) if encoding == Encoding::Packed31 => assert!(payload.is_empty()),
        Err(_) => {}
    }
}

/// Bytes claimed to be rows. The input sets some elements of otherwise empty rows, because nobody writes 128 KiB.
pub(crate) fn rows(data: &[u8]) {
    let mut choices = Choices::new(data);
    let count = usize::from(choices.byte() % 4);
    let [fitting, ragged] = choices.array();
    let len = u64::from_be_bytes(choices.array());
    let mut bytes = vec![0; count * BYTES_PER_ROW];
    while !choices.is_empty() {
        let at = usize::from(choices.number()) * 32 % bytes.len().max(1);
        if let Some(place) = bytes.get_mut(at..at + 32) {
            place.copy_from_slice(&choices.array::<32>());
        } else {
            break;
        }
    }
    if fitting & 1 == 1
        && let Some(head) = bytes.get_mut(..32)
    {
        head.fill(0);
        head[2..10].copy_from_slice(&len.to_be_bytes());
    }
    if ragged > 127 {
        bytes.truncate(bytes.len().saturating_sub(usize::from(ragged - 127)));
    }
    let Ok(rows) = Rows::from_bytes(bytes.clone()) else {
        return;
    };
    assert_eq!(rows.as_bytes(), bytes);
    for encoding in [Encoding::Packed31, Encoding::Eip4844] {
        if let Ok(payload) = rows.to_payload(encoding, len) {
            let again = Rows::from_payload(&payload, encoding).expect("it came out of rows");
            assert_eq!(again.as_bytes(), bytes, "one payload has one encoding");
        }
    }
}

/// Points of both groups: what decodes, encodes to the same bytes.
pub(crate) fn points(data: &[u8]) {
    if let Some(&bytes) = data.first_chunk::<48>() {
        if let Ok(point) = Commitment::try_from(CommitmentBytes(bytes)) {
            assert_eq!(point.to_bytes(), CommitmentBytes(bytes));
        }
        if let Ok(point) = Proof::try_from(ProofBytes(bytes)) {
            assert_eq!(point.to_bytes(), ProofBytes(bytes));
        }
        if let Ok(point) = Signature::from_bytes(&SignatureBytes(bytes)) {
            assert_eq!(point.to_bytes(), SignatureBytes(bytes));
            assert!(
                Proof::try_from(ProofBytes(bytes)).is_ok(),
                "the two libraries disagree"
            );
        }
    }
    if let Some(&bytes) = data.first_chunk::<96>()
        && let Ok(point) = PublicKey::from_bytes(&PublicKeyBytes(bytes))
    {
        assert_eq!(point.to_bytes(), PublicKeyBytes(bytes));
    }
}

/// Merkle proofs: any claim at all, then an honest proof, which any change spoils.
pub(crate) fn merkle(data: &[u8]) {
    let mut choices = Choices::new(data);
    let [leaves, start, len, run, nodes] = choices.array();
    let (count, at) = (choices.number().into(), choices.number().into());
    let claimed: Vec<[u8; 32]> = (0..run % 4).map(|_| choices.array()).collect();
    let proof: Vec<[u8; 32]> = (0..nodes % 4).map(|_| choices.array()).collect();
    // It may even hold: the root of one leaf is the leaf's hash.
    let _ = verify_range(&[0; 32], count, at, &claimed, &proof);

    let leaves: Vec<[u8; 1]> = (0..=leaves).map(|leaf| [leaf]).collect();
    let tree = MerkleTree::from_leaves(&leaves);
    let start = usize::from(start) % leaves.len();
    let end = (start + 1 + usize::from(len)).min(leaves.len());
    let honest = tree.range_proof(start..end).expect("it lies in the tree");
    let run: Vec<_> = leaves[start..end]
        .iter()
        .map(|leaf| leaf_hash(leaf))
        .collect();
    let (count, at) = (leaves.len() as u64, start as u64);
    verify_range(&tree.root(), count, at, &run, &honest).expect("an honest proof");

    let mut proof = honest.clone();
    while !choices.is_empty() {
        let [place, bit] = choices.array();
        let nodes = proof.len();
        if let Some(node) = proof.get_mut(usize::from(place) % nodes.max(1)) {
            node[usize::from(bit) / 8] ^= 1 << (bit % 8);
        }
    }
    assert_eq!(
        verify_range(&tree.root(), count, at, &run, &proof).is_ok(),
        proof == honest
    );
}

/// Slices claimed to belong to one blob: wrong indices, lengths, elements and combinations.
pub(crate) fn slices(data: &[u8]) {
    let mut choices = Choices::new(data);
    let code = Code::new(2, 128).expect("the code of EIP-7594");
    let [rows, wrong_len] = choices.array();
    let rows = usize::from(rows % 3);
    let mut claims = Vec::new();
    while !choices.is_empty() {
        let [index, byte, whole] = choices.array();
        let len = match whole & 1 {
            0 => rows * code.cell_bytes(),
            _ => usize::from(wrong_len),
        };
        claims.push((u32::from(index) % 200, vec![byte; len]));
    }
    let slices: Vec<(u32, &[u8])> = claims
        .iter()
        .map(|(index, bytes)| (*index, bytes.as_slice()))
        .collect();
    if let Ok(recovered) = recover(code, rows, &slices) {
        assert_eq!(recovered.count(), rows);
    }
}

/// EIP-2335 keystores, up to where the key derivation would begin: a password that is too long is refused last before it.
pub(crate) fn keystore(data: &[u8]) {
    let Some(json) = text(data) else { return };
    let _ = inspect(json);
    let endless = "x".repeat(MAX_PASSWORD_LEN + 1);
    let refusal = decrypt(json, &endless).expect_err("the password is too long");
    if matches!(refusal, KeystoreError::PasswordTooLong { .. }) {
        assert!(inspect(json).is_ok(), "what can be opened can be shown");
    }
}
