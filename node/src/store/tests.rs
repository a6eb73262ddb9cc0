#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! One suite over both backends, golden names and bytes, and what only a disk can do.

mod crash;
mod disk;
mod golden;
mod hangs;
mod measure;
mod model;
mod power;
mod suite;
mod torn;

use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{CommitmentBytes, Encoding, Hash, ProofBytes, merkle::MerkleTree};
use ashlar_proto::{
    Account, BatchHeader, BlobHeader, BlobKey, Block, ChunkIndex, ChunkRanges, Domain, OperatorId,
    Sequence, TableRoot, batch_tree, commitments_root,
};

use super::*;

pub(crate) const ME: OperatorId = OperatorId([7; 32]);
pub(crate) const DOMAIN: Domain = Domain([0xd0; 32]);
/// Nothing hangs, but the machine may be busy.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
const WINDOW: u64 = 100;
const ID: DatabaseId = DatabaseId([0x1d; 16]);

pub(crate) fn sequence(disperser_id: u32, sequence: u64) -> SequenceId {
    SequenceId {
        domain: DOMAIN,
        disperser_id,
        sequence: Sequence(sequence),
    }
}

/// A batch with right Merkle trees and digests; its points and cells are fantasy, which a store does not care about.
pub(crate) fn sample(disperser_id: u32, sequence: u64, salt: u64, expires_at: u64) -> BatchRecord {
    sample_of(
        |salt| 1 + (salt % 2) as u32,
        disperser_id,
        sequence,
        salt,
        expires_at,
    )
}

/// The same, with one to three rows a blob: small and large writes, for a store that calls 40 KiB large.
fn mixed(disperser_id: u32, sequence: u64, salt: u64, expires_at: u64) -> BatchRecord {
    sample_of(
        |salt| 1 + (salt / 100 % 3) as u32,
        disperser_id,
        sequence,
        salt,
        expires_at,
    )
}

/// The same, with so many rows a blob.
fn sample_of(
    rows: fn(u64) -> u32,
    disperser_id: u32,
    sequence: u64,
    salt: u64,
    expires_at: u64,
) -> BatchRecord {
    let blob = |salt, runs: &ChunkRanges| blob(salt, rows(salt), runs);
    let runs = ChunkRanges::new(vec![(0, 3), (9, 2)]).unwrap();
    let blobs: Vec<(BlobRecord, Vec<CommitmentBytes>)> =
        (0..2).map(|n| blob(salt * 100 + n, &runs)).collect();
    let commitments: Vec<CommitmentBytes> = blobs.iter().flat_map(|(_, c)| c.clone()).collect();
    let blobs: Vec<BlobRecord> = blobs.into_iter().map(|(b, _)| b).collect();
    let keys: Vec<BlobKey> = blobs.iter().map(|b| b.key).collect();
    let header = BatchHeader {
        domain: DOMAIN,
        table_root: TableRoot([0x7a; 32]),
        version: 1,
        batch_root: batch_tree(&keys).root(),
        blobs: 2,
        rows: commitments.len() as u32,
        reference_block: Block(5),
        disperser_id,
        sequence: Sequence(sequence),
        created_at_ms: 1_700_000_000_000,
    };
    BatchRecord {
        digest: header.digest(),
        header,
        disperser_signature: NetworkSignature([0x51; 64]),
        chunk_proofs: runs.iter().map(|i| ProofBytes([i.0 as u8; 48])).collect(),
        runs,
        commitments,
        blobs,
        expires_at,
        owed_until: expires_at,
    }
}

/// The promise to keep a batch, as a store makes it.
fn promise(batch: &BatchRecord) -> SignedRecord {
    let offered = SignedHeader {
        header: batch.header.clone(),
        signature: batch.disperser_signature,
    };
    SignedRecord::new(
        offered,
        WindowId::for_expiry(batch.expires_at, WINDOW),
        batch.owed_until,
    )
}

/// A certificate whose signers and signature are fantasy.
fn certificate(batch: &BatchRecord) -> Certificate {
    let keys: Vec<BlobKey> = batch.blobs.iter().map(|b| b.key).collect();
    let signers = [0, 2].map(ashlar_proto::OperatorIndex);
    Certificate {
        blob_header: batch.blobs[0].header.clone(),
        blob_index: 0,
        blob_path: batch_tree(&keys).path(0).unwrap(),
        batch_header: batch.header.clone(),
        attestation: ashlar_proto::Attestation::Compact {
            signers: ashlar_proto::Bitmap::from_indices(9, signers).unwrap(),
        },
        signature: ashlar_crypto::bls::SignatureBytes([6; 48]),
    }
}

fn blob(salt: u64, rows: u32, runs: &ChunkRanges) -> (BlobRecord, Vec<CommitmentBytes>) {
    let slice = |index: ChunkIndex| vec![(salt as u8) ^ (index.0 as u8); rows as usize * 2048];
    let tree = MerkleTree::from_leaves((0..512).map(ChunkIndex).map(slice));
    let commitments: Vec<CommitmentBytes> =
        (0..rows).map(|r| CommitmentBytes([r as u8; 48])).collect();
    let header = BlobHeader {
        version: 1,
        encoding: Encoding::Eip4844,
        payload_len: u64::from(rows) * 131_072,
        rows,
        commitments_root: commitments_root(&commitments),
        chunk_root: tree.root(),
        quorums: vec![0],
        account: Account([1; 20]),
        salt,
    };
    let leaves: Vec<Hash> = runs
        .iter()
        .map(|i| tree.leaf(i.0 as usize).unwrap())
        .collect();
    let proofs = runs
        .as_slice()
        .iter()
        .map(|&(start, len)| {
            tree.range_proof(start as usize..(start + len) as usize)
                .unwrap()
        })
        .collect();
    let data: Vec<u8> = runs.iter().flat_map(slice).collect();
    (
        BlobRecord {
            key: header.blob_key(),
            header,
            leaves,
            proofs,
            data: data.into(),
        },
        commitments,
    )
}
