//! From payloads to encoded blobs: rows, commitments, extension, slices, chunk root, header. No IO and no clock.
//!
//! Slices are kept in memory from here to the end of the blob's batch, within the budget `encode.memory_bytes`; they are
//! computed again only after a restart. They lie slice-major, so the run of slices that an operator gets is one piece of
//! memory and is sent without a copy, however many operators get it.

use std::collections::HashMap;
use std::sync::Arc;

use ashlar_crypto::{
    Claim, ClaimError, Coded, CommitmentBytes, MerkleTree, PayloadError, Rows, Setup, Slices,
    check_commitments, commit_rows, sha256,
};
use ashlar_proto::{BlobHeader, BlobId, BlobKey, HeaderError, Submission, commitments_root};
use bytes::Bytes;
use rayon::prelude::*;

use crate::record::BlobRecord;

/// A blob to encode.
#[derive(Debug, Clone)]
pub struct EncodeInput {
    /// Its record.
    pub record: BlobRecord,
    /// Its payload.
    pub payload: Bytes,
    /// Its hash is that of the id: it has not been on a disk since it was hashed.
    pub hashed: bool,
    /// The stored commitments. They are always checked, because a disk may return other bytes.
    pub commitments: Option<Vec<CommitmentBytes>>,
}

/// How the claims of one tick are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimCheck {
    /// All of them with one commitment, as long as all are true.
    Together,
    /// Each by itself: they come from senders of false ones.
    Apart,
    /// Not now: [`check_claims`] does it with those of the whole batch.
    Later,
}

/// What became of one tick.
#[derive(Debug)]
pub struct EncodedTick {
    /// One result for each blob, in order.
    pub blobs: Vec<(BlobRecord, Result<EncodedBlob, EncodeError>)>,
    /// Commitments computed to check claims.
    pub checks: usize,
}

/// A blob ready for a batch.
#[derive(Debug, Clone)]
pub struct EncodedBlob {
    /// Its name since it was posted.
    pub id: BlobId,
    /// Its header.
    pub header: BlobHeader,
    /// Its key.
    pub key: BlobKey,
    /// Its rows.
    pub rows: Rows,
    /// The rows' commitments.
    pub commitments: Vec<CommitmentBytes>,
    /// They were computed here, and are on no disk.
    pub computed: bool,
    /// They are claimed, and nobody has checked them.
    pub unchecked: bool,
    /// All slices, slice-major.
    pub slices: Bytes,
    /// Bytes of a slice.
    pub slice_bytes: usize,
    /// The tree over the slices.
    pub tree: MerkleTree,
}

impl EncodedBlob {
    /// The slices of `len` chunk indices from `start` on, one behind the other; `None` past the end.
    pub fn run(&self, start: u32, len: u32) -> Option<Bytes> {
        let from = (start as usize).checked_mul(self.slice_bytes)?;
        let to = from.checked_add((len as usize).checked_mul(self.slice_bytes)?)?;
        (to <= self.slices.len()).then(|| self.slices.slice(from..to))
    }
}

impl EncodeError {
    /// Whether it is what was posted that is wrong.
    pub fn is_the_clients(&self) -> bool {
        matches!(self, Self::Payload(_) | Self::Claim(_) | Self::Header(_))
    }
}

/// Encodes the blobs of one tick: one result each, in order. Their claims are checked with the random `seed`, which must be
/// fresh; a false one fails its blob alone. Runs on the current rayon pool.
pub fn encode_tick(
    setup: &Setup,
    inputs: Vec<EncodeInput>,
    check: ClaimCheck,
    seed: [u8; 32],
) -> EncodedTick {
    let prepared: Vec<(EncodeInput, Result<Rows, EncodeError>)> = inputs
        .into_par_iter()
        .map(|input| {
            let rows = prepare(&input);
            (input, rows)
        })
        .collect();
    let later = check == ClaimCheck::Later;
    let claims: Vec<Claim<'_>> = prepared
        .iter()
        .filter(|_| !later)
        .filter_map(|(input, rows)| {
            let (rows, commitments) = (rows.as_ref().ok()?, input.commitments.as_ref()?);
            Some(Claim { rows, commitments })
        })
        .collect();
    let together = match check {
        ClaimCheck::Apart => 1,
        ClaimCheck::Together | ClaimCheck::Later => claims.len().max(1),
    };
    let check_now = || {
        let mut checks = 0;
        let mut checked = Vec::with_capacity(claims.len());
        for claims in claims.chunks(together) {
            let of_chunk = check_commitments(setup, claims, seed);
            checks += of_chunk.commitments;
            checked.extend(of_chunk.results);
        }
        assert_eq!(checked.len(), claims.len(), "one result a claim");
        (checks, checked)
    };
    let extend = || {
        let each = prepared.par_iter();
        let extended = each.map(|(input, rows)| match rows {
            Ok(rows) => extend(input, rows),
            Err(error) => Err(error.clone()),
        });
        extended.collect::<Vec<_>>()
    };
    // One commitment, whatever the number of claims, which is mostly one thread's work: beside the extension of the rows.
    let ((checks, checked), extended) = rayon::join(check_now, extend);
    let mut checked = checked.into_iter();
    let claims: Vec<Option<Result<(), ClaimError>>> = prepared
        .iter()
        .map(|(input, rows)| match (rows, &input.commitments) {
            (Ok(_), Some(_)) if !later => checked.next().map(|result| result.map(|_| ())),
            _ => None,
        })
        .collect();
    let blobs = prepared
        .into_par_iter()
        .zip(extended)
        .zip(claims)
        .map(|(((input, rows), extended), claim)| {
            let result = rows.and_then(|rows| encode_one(setup, &input, rows, extended?, claim));
            (input.record, result)
        })
        .collect();
    EncodedTick { blobs, checks }
}

/// Checks the claims of encoded blobs, those of a group with one commitment as long as all are true: the false ones, and the number
/// of commitments that it took. `seed` as for [`encode_tick`]. Runs on the current rayon pool.
pub fn check_claims<'a>(
    setup: &Setup,
    groups: impl Iterator<Item = &'a [Arc<EncodedBlob>]>,
    seed: [u8; 32],
) -> (HashMap<BlobId, EncodeError>, usize) {
    let (mut refused, mut commitments) = (HashMap::new(), 0);
    for group in groups {
        let claims = group.iter().map(|blob| Claim {
            rows: &blob.rows,
            commitments: &blob.commitments,
        });
        let checked = check_commitments(setup, &claims.collect::<Vec<_>>(), seed);
        commitments += checked.commitments;
        let results = group.iter().zip(checked.results);
        refused.extend(results.filter_map(|(blob, result)| {
            let error = result.err()?;
            Some((blob.id, EncodeError::Claim(error)))
        }));
    }
    (refused, commitments)
}

/// The slices of a blob and their tree.
fn extend(input: &EncodeInput, rows: &Rows) -> Result<(Slices, MerkleTree), EncodeError> {
    let version = ashlar_proto::version(input.record.version).map_err(HeaderError::from)?;
    let slices = Slices::extend(version.code, rows);
    let tree = MerkleTree::from_slices(&slices);
    Ok((slices, tree))
}

fn prepare(input: &EncodeInput) -> Result<Rows, EncodeError> {
    let record = &input.record;
    if input.hashed {
        return Ok(Rows::from_payload(&input.payload, record.encoding)?);
    }
    // The id is a hash over the payload's hash: what comes back from the disk is what was posted, or an error.
    let submission = Submission {
        version: record.version,
        encoding: record.encoding,
        payload_len: input.payload.len() as u64,
        quorums: record.quorums.clone(),
        account: record.account,
        salt: record.salt,
        payload_sha256: sha256(&[&input.payload]),
    };
    if submission.id() != record.id {
        return Err(EncodeError::PayloadChanged);
    }
    Ok(Rows::from_payload(&input.payload, record.encoding)?)
}

fn encode_one(
    setup: &Setup,
    input: &EncodeInput,
    rows: Rows,
    (slices, tree): (Slices, MerkleTree),
    claim: Option<Result<(), ClaimError>>,
) -> Result<EncodedBlob, EncodeError> {
    let record = &input.record;
    let unchecked = claim.is_none() && input.commitments.is_some();
    let commitments = match (claim, &input.commitments) {
        (Some(Err(error)), _) => {
            return Err(if record.claimed {
                EncodeError::Claim(error)
            } else {
                EncodeError::Stored(error)
            });
        }
        (_, Some(commitments)) => commitments.clone(),
        (_, None) => commit_rows(setup, &rows)
            .iter()
            .map(|c| c.to_bytes())
            .collect(),
    };
    let header = record.make_header(commitments_root(&commitments), tree.root());
    header.validate()?;
    if record
        .header
        .as_ref()
        .is_some_and(|before| *before != header)
    {
        return Err(EncodeError::HeaderChanged);
    }
    Ok(EncodedBlob {
        id: record.id,
        key: header.blob_key(),
        header,
        rows,
        computed: input.commitments.is_none(),
        unchecked,
        commitments,
        slice_bytes: slices.slice_bytes(),
        slices: Bytes::from(slices.into_bytes()),
        tree,
    })
}

/// Why a blob cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "encode", blame = Us)]
pub enum EncodeError {
    /// The payload does not fit its encoding.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The commitments that came with the blob are false.
    #[error("false commitments: {0}; compute them again or post the payload without them")]
    #[coded(transparent)]
    Claim(ClaimError),
    /// The header breaks a rule.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The payload on disk is not the one that was posted.
    #[error("the stored payload is not the one that was posted")]
    PayloadChanged,
    /// The commitments on disk, which were true once, are not.
    #[error("the stored commitments are not those of the payload: {0}")]
    #[coded("stored_commitments")]
    Stored(ClaimError),
    /// Encoding the blob again gave another header.
    #[error("encoding the blob again gave another header")]
    HeaderChanged,
    /// The payload or the record is not there.
    #[error("the stored payload is missing")]
    PayloadMissing,
    /// The payload or the record cannot be read, while others can.
    #[error("the stored payload cannot be read: {detail}")]
    #[coded("payload_unreadable")]
    PayloadUnreadable {
        /// As the database says.
        detail: String,
    },
    /// The encoder panicked.
    #[error("the encoder failed")]
    Panicked,
}

#[cfg(test)]
mod tests;
