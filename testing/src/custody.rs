//! A blob that operators signed for, as a disperser would have made it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::bls::{SecretKey, aggregate_signatures};
use ashlar_crypto::{CommitmentBytes, Encoding, Rows, Setup, Slices, commit_rows};
use ashlar_proto::{
    Account, Attestation, BatchHeader, Bitmap, BlobHeader, Certificate, TableView, batch_tree,
    commitments_root, operator_id, version,
};

/// A payload with its header.
pub struct Blob {
    /// What was posted.
    pub payload: Vec<u8>,
    /// Its rows.
    pub rows: Rows,
    /// Its header.
    pub header: BlobHeader,
}

/// Of two rows, in quorum 0.
pub fn blob(salt: u64) -> Blob {
    let payload: Vec<u8> = (0..130_000u32).map(|i| (i * 3 + i / 253) as u8).collect();
    let rows = Rows::from_payload(&payload, Encoding::Packed31).unwrap();
    let commitments: Vec<CommitmentBytes> = commit_rows(Setup::ethereum(), &rows)
        .iter()
        .map(|commitment| commitment.to_bytes())
        .collect();
    let slices = Slices::extend(version(1).unwrap().code, &rows);
    let header = BlobHeader {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len: payload.len() as u64,
        rows: rows.count() as u32,
        commitments_root: commitments_root(&commitments),
        chunk_root: slices.tree().root(),
        quorums: vec![0],
        account: Account([1; 20]),
        salt,
    };
    Blob {
        payload,
        rows,
        header,
    }
}

/// The certificate of a batch of this one blob, with the table of its block, signed by these operators.
pub fn certificate(table: &impl TableView, blob: &Blob, signers: &[SecretKey]) -> Certificate {
    let tree = batch_tree(&[blob.header.blob_key()]);
    let batch_header = BatchHeader {
        domain: table.header().domain,
        table_root: table.root(),
        version: 1,
        batch_root: tree.root(),
        blobs: 1,
        rows: blob.header.rows,
        reference_block: table.header().reference_block,
        disperser_id: 0,
        sequence: 70 + blob.header.salt,
        created_at_ms: 1_700_000_000_000,
    };
    let digest = batch_header.digest();
    let places = signers.iter().map(|key| {
        let id = operator_id(&key.public_key().to_bytes());
        let of = |index: &u32| table.operator(*index).unwrap().operator_id == id;
        (0..table.header().operators).find(of).unwrap()
    });
    let signatures: Vec<_> = signers
        .iter()
        .map(|key| key.sign(digest.as_bytes()))
        .collect();
    Certificate {
        blob_header: blob.header.clone(),
        blob_index: 0,
        blob_path: tree.path(0).unwrap(),
        batch_header,
        attestation: Attestation::Compact {
            signers: Bitmap::from_indices(table.header().operators, places).unwrap(),
        },
        signature: aggregate_signatures(&signatures).unwrap().to_bytes(),
    }
}
