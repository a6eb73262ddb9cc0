//! What goes into a store and what comes out.

use std::collections::{BTreeMap, BTreeSet};

use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{CommitmentBytes, Hash, ProofBytes, bls::SignatureBytes, merkle};
use ashlar_proto::wire::BatchPlace;
use ashlar_proto::{
    BatchDigest, BatchHeader, BlobHeader, BlobKey, ChunkIndex, ChunkRanges, Domain, OperatorId,
    Sequence,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::subrange::{Run, subrange_proof};

/// An expiry window, named by its end in seconds since 1970. Everything in it is dropped then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct WindowId(pub u64);

impl WindowId {
    /// The window of length `window_secs` in which data that expires at `expires_at` lies: data is kept up to one
    /// window longer than it has to be, never shorter.
    pub fn for_expiry(expires_at: u64, window_secs: u64) -> Self {
        let len = window_secs.max(1);
        Self(expires_at.div_ceil(len).saturating_mul(len))
    }
}

/// A batch as it is stored: this operator's slices of every blob with all their proofs.
///
/// The only way from a peer's bytes to one is [`VerifiedBatch`](crate::validate::VerifiedBatch).
#[derive(Debug, Clone)]
pub struct BatchRecord {
    /// Header.
    pub header: BatchHeader,
    /// Its digest.
    pub digest: BatchDigest,
    /// The disperser's signature over the digest.
    pub disperser_signature: NetworkSignature,
    /// Chunk indices held, the same for each blob.
    pub runs: ChunkRanges,
    /// KZG commitments of all rows, in batch order.
    pub commitments: Vec<CommitmentBytes>,
    /// One proof for each chunk index, ascending.
    pub chunk_proofs: Vec<ProofBytes>,
    /// Blobs, in batch order.
    pub blobs: Vec<BlobRecord>,
    /// When it may be dropped, unix seconds.
    pub expires_at: u64,
    /// When nobody can ask for it or challenge it any more, unix seconds: the end of the version's own retention, or of this node's
    /// if that is longer.
    pub owed_until: u64,
}

impl BatchRecord {
    /// Slice bytes of all blobs.
    pub fn bytes(&self) -> u64 {
        self.blobs.iter().map(|b| b.data.len() as u64).sum()
    }
}

/// One blob of a batch, as far as this operator holds it.
#[derive(Debug, Clone)]
pub struct BlobRecord {
    /// Header.
    pub header: BlobHeader,
    /// Its key.
    pub key: BlobKey,
    /// Merkle leaf hash of each slice, ascending by chunk index.
    pub leaves: Vec<Hash>,
    /// Merkle range proof of each run against the blob's chunk root.
    pub proofs: Vec<Vec<Hash>>,
    /// The slices one after another, ascending by chunk index.
    pub data: Bytes,
}

impl BlobRecord {
    /// The slices as values of the store, which share its memory.
    pub(super) fn values(&self) -> impl ExactSizeIterator<Item = Bytes> {
        let slice_bytes = self.data.len() / self.leaves.len().max(1);
        let value = slice_bytes * slices_a_value(slice_bytes);
        let chunks = self.data.chunks(value.max(1));
        chunks.map(|chunk| self.data.slice_ref(chunk))
    }
}

/// A stored batch without its slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// Header.
    pub header: BatchHeader,
    /// The disperser's signature over its digest.
    pub disperser_signature: NetworkSignature,
    /// Chunk indices held.
    pub runs: ChunkRanges,
    /// Blob headers, in batch order.
    pub blobs: Vec<BlobHeader>,
    /// KZG commitments of all rows, in batch order.
    pub commitments: Vec<CommitmentBytes>,
    /// One proof for each chunk index of `runs`, ascending.
    pub chunk_proofs: Vec<ProofBytes>,
}

impl From<&BatchRecord> for StoredBatch {
    fn from(batch: &BatchRecord) -> Self {
        Self {
            header: batch.header.clone(),
            disperser_signature: batch.disperser_signature,
            runs: batch.runs.clone(),
            blobs: batch.blobs.iter().map(|blob| blob.header.clone()).collect(),
            commitments: batch.commitments.clone(),
            chunk_proofs: batch.chunk_proofs.clone(),
        }
    }
}

/// Size of a stored batch, for totals and for those who walk over everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSummary {
    /// Blobs.
    pub blobs: u32,
    /// Slice bytes.
    pub bytes: u64,
}

/// A disperser's sequence number in one service: one digest belongs to it, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceId {
    /// The service.
    pub domain: Domain,
    /// Disperser.
    pub disperser_id: u32,
    /// Its sequence number.
    pub sequence: Sequence,
}

impl SequenceId {
    /// The number that a batch has.
    pub fn of(header: &BatchHeader) -> Self {
        Self {
            domain: header.domain,
            disperser_id: header.disperser_id,
            sequence: header.sequence,
        }
    }
}

impl std::fmt::Display for SequenceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "sequence {} of disperser {} in domain {}",
            self.sequence, self.disperser_id, self.domain
        )
    }
}

/// Every sequence number of a disperser up to this one is spent: nothing is promised under it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// The service.
    pub domain: Domain,
    /// Disperser.
    pub disperser_id: u32,
    /// The highest number that is spent.
    pub sequence: Sequence,
}

/// How much may be stored, as it is kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes that may still be stored.
    pub left: u64,
    /// Slice bytes that were held when this was kept: more of them now have been stored since.
    pub held: u64,
    /// Dispersers that had used of their shares, each with the milliseconds until its share would be whole.
    pub used: Vec<(u32, u64)>,
}

/// The name of a database, random, made with it. 16 bytes, in text hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DatabaseId(pub [u8; 16]);

impl std::fmt::Display for DatabaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl std::fmt::Debug for DatabaseId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// A batch header with its disperser's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeader {
    /// Header.
    pub header: BatchHeader,
    /// The disperser's signature over its digest.
    pub signature: NetworkSignature,
}

/// Two batches that a disperser signed under one sequence number: evidence against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivocation {
    /// What came first.
    pub first: SignedHeader,
    /// What came later.
    pub second: SignedHeader,
}

impl Equivocation {
    /// The number that both batches have.
    pub fn at(&self) -> SequenceId {
        SequenceId::of(&self.first.header)
    }
}

/// The promise: this digest, and no other, under this disperser's sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRecord {
    /// Whose number.
    pub at: SequenceId,
    /// The one batch.
    pub digest: BatchDigest,
    /// When the promise is over, unix seconds.
    pub owed_until: u64,
    /// Its header, as the disperser signed it: enough to find the batch elsewhere, should it be lost here.
    pub offered: SignedHeader,
    /// The window that its data lies in until it expires.
    pub window: WindowId,
    /// The signature, once it was made.
    pub signature: Option<SignatureBytes>,
}

impl SignedRecord {
    /// The promise to keep a batch in a window, not signed yet. It is over at `owed_until`, unix seconds.
    pub fn new(offered: SignedHeader, window: WindowId, owed_until: u64) -> Self {
        Self {
            at: SequenceId::of(&offered.header),
            digest: offered.header.digest(),
            offered,
            window,
            owed_until,
            signature: None,
        }
    }
}

/// How far a database that was made anew, or was away for long, has taken the index of batches from peers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexProgress {
    /// Whether batches may be signed meanwhile: enough peers were asked, or floors cover what was signed before.
    pub may_sign: bool,
    /// Whether all of it is over.
    pub done: bool,
    /// Whether the data of all that had been promised was here, after that: nothing is looked for any more.
    pub held: bool,
    /// Only what expires after this is asked for, unix seconds.
    pub since: u64,
    /// The peers that were asked so far.
    pub peers: BTreeMap<OperatorId, ListedPeer>,
}

/// How far one peer has been asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ListedPeer {
    /// Where its last page ended.
    pub after: Option<BatchPlace>,
    /// Whether that was the last one.
    pub done: bool,
}

/// When nobody can ask for a batch or challenge it any more, by its version, unix seconds.
pub(crate) fn retention_end(header: &BatchHeader, retention_secs: u64) -> u64 {
    let created = header.created_at_ms.div_ceil(1000);
    created.saturating_add(retention_secs)
}

/// Bytes of slices that lie in one value: as many as fit, at least one. A value is read as a whole, and each costs a write some
/// microseconds.
const VALUE_BYTES: usize = 64 << 10;

/// How many slices of this length lie in one value.
pub(crate) fn slices_a_value(slice_bytes: usize) -> usize {
    (VALUE_BYTES / slice_bytes.max(1)).max(1)
}

/// Slices of one blob, as read from the store: checked when taken out.
#[derive(Debug, Clone)]
pub struct BlobSlices {
    pub(super) header: BlobHeader,
    pub(super) runs: ChunkRanges,
    pub(super) leaves: Vec<Hash>,
    pub(super) proofs: Vec<Vec<Hash>>,
    pub(super) slice_bytes: usize,
    /// The values that were read, by number.
    pub(super) values: BTreeMap<u32, Bytes>,
}

impl BlobSlices {
    /// Header of the blob.
    pub fn header(&self) -> &BlobHeader {
        &self.header
    }

    /// Chunk indices held.
    pub fn runs(&self) -> &ChunkRanges {
        &self.runs
    }

    /// Bytes of one slice.
    pub fn slice_bytes(&self) -> usize {
        self.slice_bytes
    }

    /// The numbers of the values in which the slices of `wanted` lie, as far as they are held; of all if it is `None`.
    pub(super) fn value_numbers(&self, wanted: Option<&ChunkRanges>) -> BTreeSet<u32> {
        let per = slices_a_value(self.slice_bytes);
        let wanted = wanted.unwrap_or(&self.runs).iter();
        wanted
            .filter_map(|index| self.runs.position(index))
            .map(|place| (place / per) as u32)
            .collect()
    }

    /// The slice of a chunk index, or `None` if it is not held. It must be one of those that were read.
    ///
    /// # Errors
    /// Its bytes are missing, or do not have the hash that was stored with them.
    pub fn slice(&self, index: ChunkIndex) -> Result<Option<Bytes>, StoreError> {
        let Some(place) = self.runs.position(index) else {
            return Ok(None);
        };
        let per = slices_a_value(self.slice_bytes);
        let value = self.values.get(&((place / per) as u32));
        let from = (place % per) * self.slice_bytes;
        let slice = value.and_then(|value| {
            let slice = value.get(from..from + self.slice_bytes)?;
            Some(value.slice_ref(slice))
        });
        match (slice, self.leaves.get(place)) {
            (Some(slice), Some(leaf)) if merkle::leaf_hash(&slice) == *leaf => Ok(Some(slice)),
            _ => Err(StoreError::Corrupt {
                what: "a slice",
                detail: format!(
                    "blob {}, chunk {index}: its bytes have another hash",
                    self.header.blob_key()
                ),
            }),
        }
    }

    /// Merkle range proofs for those runs of `wanted`, which must be a subset of what is held; `None` if it is not.
    pub fn proofs_for(&self, wanted: &ChunkRanges, chunks: u32) -> Option<Vec<Vec<Hash>>> {
        wanted
            .as_slice()
            .iter()
            .map(|&(start, len)| {
                let mut place = 0;
                for (held, proof) in self.runs.as_slice().iter().zip(&self.proofs) {
                    let (held_start, held_len) = *held;
                    let leaves = self.leaves.get(place..place + held_len as usize)?;
                    if start >= held_start && start + len <= held_start + held_len {
                        let run = Run {
                            leaf_count: u64::from(chunks),
                            start: u64::from(held_start),
                            leaves,
                            proof,
                        };
                        return subrange_proof(run, u64::from(start)..u64::from(start + len));
                    }
                    place += held_len as usize;
                }
                None
            })
            .collect()
    }

    /// The Merkle path of one slice that is held.
    ///
    /// # Errors
    /// What is stored gives none.
    pub fn path(&self, index: ChunkIndex) -> Result<Vec<Hash>, StoreError> {
        let corrupt = |why: String| StoreError::Corrupt {
            what: "a Merkle proof",
            detail: format!("blob {}, chunk {index}: {why}", self.header.blob_key()),
        };
        let version = self.header.protocol();
        let chunks = version
            .map_err(|error| corrupt(error.to_string()))?
            .code
            .chunks();
        let alone =
            ChunkRanges::from_indices(&[index]).map_err(|error| corrupt(error.to_string()))?;
        self.proofs_for(&alone, chunks)
            .and_then(|mut proofs| proofs.pop())
            .ok_or_else(|| corrupt("it is cut off".into()))
    }

    /// Checks every slice, and the Merkle proofs against the chunk root of the header.
    ///
    /// # Errors
    /// What is corrupt first.
    pub fn check(&self, chunks: u32) -> Result<(), StoreError> {
        for index in self.runs.iter() {
            self.slice(index)?;
        }
        let mut place = 0;
        for (&(start, len), proof) in self.runs.as_slice().iter().zip(&self.proofs) {
            let corrupt = |why: String| StoreError::Corrupt {
                what: "a Merkle proof",
                detail: format!(
                    "blob {}, chunks from {start}: {why}",
                    self.header.blob_key()
                ),
            };
            let leaves = self
                .leaves
                .get(place..place + len as usize)
                .ok_or_else(|| corrupt("its leaves are missing".into()))?;
            merkle::verify_range(
                &self.header.chunk_root,
                u64::from(chunks),
                u64::from(start),
                leaves,
                proof,
            )
            .map_err(|error| corrupt(error.to_string()))?;
            place += len as usize;
        }
        Ok(())
    }
}
