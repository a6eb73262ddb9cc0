//! A blob that operators signed for, as a disperser would have made it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::bls::{SecretKey, aggregate_signatures};
use ashlar_crypto::{CommitmentBytes, Encoding, MerkleTree, Rows, Setup, Slices, commit_rows};
use ashlar_proto::{
    Account, Attestation, BatchHeader, Bitmap, BlobHeader, Certificate, OperatorIndex, Sequence,
    TableAccess, batch_tree, commitments_root, operator_id, version,
};

/// A payload, and what its disperser makes of it.
pub struct Blob {
    /// What was posted.
    pub payload: Vec<u8>,
    /// Its rows.
    pub rows: Rows,
    /// The rows' commitments.
    pub commitments: Vec<CommitmentBytes>,
    /// The extended rows, by chunk.
    pub slices: Slices,
    /// Its header.
    pub header: BlobHeader,
}

impl Blob {
    /// Of this payload, in quorum 0.
    pub fn of(payload: Vec<u8>, salt: u64) -> Self {
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
            chunk_root: MerkleTree::from_slices(&slices).root(),
            quorums: vec![0],
            account: Account([1; 20]),
            salt,
        };
        Self {
            payload,
            rows,
            commitments,
            slices,
            header,
        }
    }
}

/// Of two rows.
pub fn blob(salt: u64) -> Blob {
    let payload = (0..130_000u32).map(|i| (i * 3 + i / 253) as u8);
    Blob::of(payload.collect(), salt)
}

/// The certificate of a batch of this one blob, with the table of its block, signed by these operators; `None` if one of them is not
/// on the table, or nobody signed.
pub fn certificate(
    table: &impl TableAccess,
    blob: &BlobHeader,
    signers: &[SecretKey],
) -> Option<Certificate> {
    let tree = batch_tree(&[blob.blob_key()]);
    let batch_header = BatchHeader {
        domain: table.header().domain,
        table_root: table.root(),
        version: 1,
        batch_root: tree.root(),
        blobs: 1,
        rows: blob.rows,
        reference_block: table.header().reference_block,
        disperser_id: 0,
        sequence: Sequence(70 + blob.salt),
        created_at_ms: 1_700_000_000_000,
    };
    let digest = batch_header.digest();
    let operators = table.header().operators;
    let place = |key: &SecretKey| {
        let id = operator_id(&key.public_key().to_bytes());
        (0..operators)
            .map(OperatorIndex)
            .find(|index| table.operator(*index).unwrap().operator_id == id)
    };
    let places: Vec<_> = signers.iter().map(place).collect::<Option<_>>()?;
    let signatures: Vec<_> = signers
        .iter()
        .map(|key| key.sign(digest.as_bytes()))
        .collect();
    Some(Certificate {
        blob_header: blob.clone(),
        blob_index: 0,
        blob_path: tree.path(0).unwrap(),
        batch_header,
        attestation: Attestation::Compact {
            signers: Bitmap::from_indices(operators, places).unwrap(),
        },
        signature: aggregate_signatures(&signatures)?.to_bytes(),
    })
}
