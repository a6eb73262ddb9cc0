//! A disperser's work on a batch and a node's check of it, made of the engine's public parts as the services do it.

use std::ops::Range;

use ashlar_crypto::kzg::{decode_commitments, decode_proofs};
use ashlar_crypto::{
    AggregatedRow, ChunkColumn, Claim, Commitment, CommitmentBytes, Encoding, Hash, MerkleTree,
    ProofBytes, RowChallenge, Rows, Setup, Slices, check_commitments, commit_rows, leaf_hashes,
    prove_chunks, verify_chunks, verify_range,
};
use ashlar_proto::{
    Account, BatchHeader, BlobHeader, Block, Domain, ProtocolVersion, Sequence, TableRoot,
    batch_tree, commitments_root,
};

use super::BenchError;

fn failed(reason: impl std::fmt::Display) -> BenchError {
    BenchError::failed("ashlar", reason)
}

/// One payload, and its commitments if the client sent them along.
pub(crate) struct Posted {
    /// The bytes.
    pub(crate) payload: Vec<u8>,
    /// Its commitments.
    pub(crate) commitments: Option<Vec<CommitmentBytes>>,
}

/// A batch as a disperser has it when it starts to send.
pub(crate) struct Encoded {
    header: BatchHeader,
    blobs: Vec<EncodedBlob>,
    proofs: Vec<ProofBytes>,
}

struct EncodedBlob {
    header: BlobHeader,
    commitments: Vec<CommitmentBytes>,
    slices: Slices,
    tree: MerkleTree,
}

/// Pack, commit or check commitments, extend, hash, make headers, aggregate, prove.
pub(crate) fn encode(
    setup: &Setup,
    version: &ProtocolVersion,
    posted: &[Posted],
    seed: [u8; 32],
) -> Result<Encoded, BenchError> {
    let rows = posted
        .iter()
        .map(|one| Rows::from_payload(&one.payload, Encoding::Packed31))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    // All claims of a batch at once; who claims nothing has his commitments computed.
    let claims: Vec<_> = posted
        .iter()
        .zip(&rows)
        .filter_map(|(one, rows)| {
            one.commitments
                .as_ref()
                .map(|commitments| Claim { rows, commitments })
        })
        .collect();
    let mut checked = check_commitments(setup, &claims, seed).results.into_iter();
    let mut blobs = Vec::with_capacity(posted.len());
    for (one, rows) in posted.iter().zip(&rows) {
        let commitments = match one.commitments {
            Some(_) => checked
                .next()
                .ok_or_else(|| failed("fewer results than claims"))?
                .map_err(failed)?,
            None => commit_rows(setup, rows),
        };
        blobs.push(encode_blob(version, one.payload.len(), rows, &commitments));
    }
    let keys: Vec<_> = blobs.iter().map(|blob| blob.header.blob_key()).collect();
    let header = BatchHeader {
        domain: Domain::default(),
        table_root: TableRoot::default(),
        version: version.id,
        batch_root: batch_tree(&keys).root(),
        blobs: blobs.len() as u32,
        rows: blobs.iter().map(|blob| blob.header.rows).sum(),
        reference_block: Block(1),
        disperser_id: 0,
        sequence: Sequence(1),
        created_at_ms: 0,
    };
    let mut aggregated = AggregatedRow::new(RowChallenge::new(&header.digest().0));
    for rows in &rows {
        aggregated.absorb(rows);
    }
    let proofs = prove_chunks(setup, version.code, &aggregated);
    Ok(Encoded {
        header,
        blobs,
        proofs,
    })
}

fn encode_blob(
    version: &ProtocolVersion,
    payload_len: usize,
    rows: &Rows,
    commitments: &[Commitment],
) -> EncodedBlob {
    let commitments: Vec<_> = commitments.iter().map(Commitment::to_bytes).collect();
    let slices = Slices::extend(version.code, rows);
    let tree = MerkleTree::from_slices(&slices);
    let header = BlobHeader {
        version: version.id,
        encoding: Encoding::Packed31,
        payload_len: payload_len as u64,
        rows: rows.count() as u32,
        commitments_root: commitments_root(&commitments),
        chunk_root: tree.root(),
        quorums: vec![0],
        account: Account::default(),
        salt: 0,
    };
    EncodedBlob {
        header,
        commitments,
        slices,
        tree,
    }
}

impl Encoded {
    /// What two encoders of the same batch have to agree on: everything is bound by the digest or is a proof.
    pub(crate) fn fingerprint(&self) -> Vec<u8> {
        let mut bytes = self.header.digest().0.to_vec();
        bytes.extend(self.proofs.iter().flat_map(|proof| proof.0));
        bytes
    }

    /// What a node with these chunks is sent.
    pub(crate) fn dispersal(&self, chunks: Range<u32>) -> Result<Dispersal, BenchError> {
        let outside = || failed("chunks outside the code");
        let blobs = self.blobs.iter().map(|blob| {
            let slices = chunks
                .clone()
                .map(|index| blob.slices.slice(index).map(<[u8]>::to_vec));
            Ok(SentBlob {
                header: blob.header.clone(),
                commitments: blob.commitments.clone(),
                slices: slices.collect::<Option<_>>().ok_or_else(outside)?,
                range_proof: blob
                    .tree
                    .range_proof(chunks.start as usize..chunks.end as usize)
                    .ok_or_else(outside)?,
            })
        });
        let proofs = self
            .proofs
            .get(chunks.start as usize..chunks.end as usize)
            .ok_or_else(outside)?;
        Ok(Dispersal {
            header: self.header.clone(),
            blobs: blobs.collect::<Result<_, BenchError>>()?,
            first: chunks.start,
            proofs: proofs.to_vec(),
        })
    }
}

/// A node's part of a batch, as it comes from the network.
#[derive(Clone)]
pub(crate) struct Dispersal {
    header: BatchHeader,
    blobs: Vec<SentBlob>,
    first: u32,
    proofs: Vec<ProofBytes>,
}

#[derive(Clone)]
struct SentBlob {
    header: BlobHeader,
    commitments: Vec<CommitmentBytes>,
    slices: Vec<Vec<u8>>,
    range_proof: Vec<Hash>,
}

impl Dispersal {
    /// The same with a proof that belongs to another chunk: only the pairing check can find it.
    pub(crate) fn with_a_false_proof(&self) -> Self {
        let mut tampered = self.clone();
        tampered.proofs.reverse();
        tampered
    }

    /// The same with one bit of a slice turned over: the hashes find it.
    pub(crate) fn with_a_false_slice(&self) -> Self {
        let mut tampered = self.clone();
        let slice = tampered
            .blobs
            .first_mut()
            .and_then(|blob| blob.slices.last_mut());
        if let Some(byte) = slice.and_then(|slice| slice.last_mut()) {
            *byte ^= 1;
        }
        tampered
    }
}

/// The node's check of what it is sent, all of it but the sender, the clock and its assignment.
pub(crate) fn check(
    setup: &Setup,
    version: &ProtocolVersion,
    sent: &Dispersal,
    seed: [u8; 32],
) -> Result<bool, BenchError> {
    let keys: Vec<_> = sent
        .blobs
        .iter()
        .map(|blob| blob.header.blob_key())
        .collect();
    if batch_tree(&keys).root() != sent.header.batch_root {
        return Ok(false);
    }
    for blob in &sent.blobs {
        let leaves = leaf_hashes(&blob.slices);
        let (chunks, first) = (u64::from(version.code.chunks()), u64::from(sent.first));
        if commitments_root(&blob.commitments) != blob.header.commitments_root
            || verify_range(
                &blob.header.chunk_root,
                chunks,
                first,
                &leaves,
                &blob.range_proof,
            )
            .is_err()
        {
            return Ok(false);
        }
    }
    let commitments: Vec<_> = sent
        .blobs
        .iter()
        .flat_map(|blob| &blob.commitments)
        .copied()
        .collect();
    let commitments = decode_commitments(&commitments).map_err(|(_, error)| failed(error))?;
    let proofs = decode_proofs(&sent.proofs).map_err(|(_, error)| failed(error))?;
    let columns: Vec<_> = proofs
        .into_iter()
        .enumerate()
        .map(|(at, proof)| ChunkColumn {
            index: sent.first + at as u32,
            pieces: sent
                .blobs
                .iter()
                .filter_map(|blob| blob.slices.get(at).map(Vec::as_slice))
                .collect(),
            proof,
        })
        .collect();
    let challenge = RowChallenge::new(&sent.header.digest().0);
    Ok(verify_chunks(setup, version.code, challenge, &commitments, &columns, seed).is_ok())
}
