//! The answer to a challenge, out of the store.

use ashlar_crypto::{Coded, Rows, Setup};
use ashlar_proto::{BatchDigest, BlobKey, ChunkIndex, ChunkRanges};
use ashlar_restaking::evidence::{CustodyAnswer, CustodyError};
use ashlar_restaking::{MAX_CHALLENGE_ANSWER, OpenChallenge};

use crate::damage::{Damage, Part};
use crate::repair::HealError;
use crate::store::{SequenceId, SignedRecord, Store, StoreError};

/// Why the store gives no answer.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "custody", blame = Us)]
pub(crate) enum AnswerError {
    /// The slice is not there.
    #[error("chunk {chunk} of blob {blob} is not held here")]
    Missing {
        /// The chunk that holds the element.
        chunk: ChunkIndex,
        /// The blob's key.
        blob: BlobKey,
    },
    /// It cannot be read, or is damaged.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is there and does not answer the challenge.
    #[error("what is held does not answer the challenge: {0}")]
    Wrong(CustodyError),
    /// Peers do not give the rows.
    #[error("the rows for an opening, since the slice is too long: {0}")]
    #[coded(transparent, blame = Us)]
    Rows(#[from] HealError),
    /// A ledger has no room for it.
    #[error("the slice makes an answer of {got} bytes, a ledger takes at most {max}")]
    TooLong {
        /// Bytes of the answer.
        got: usize,
        /// Most that a ledger takes.
        max: usize,
    },
}

/// Makes the answer to a challenge, and checks it as the ledger will. Blocks.
///
/// # Errors
/// The slice is missing or damaged, or it is too long.
pub(crate) fn make(
    store: &dyn Store,
    challenge: &OpenChallenge,
) -> Result<CustodyAnswer, AnswerError> {
    let (blob, position) = (&challenge.blob, challenge.position());
    let version = blob.protocol();
    let version = version.map_err(|error| AnswerError::Wrong(CustodyError::BlobHeader(error)))?;
    let chunk = position.chunk(version);
    // Of the batch that was signed; else of another one with the same blob, whose slices are the same.
    let answer = match of_batch(store, challenge, chunk) {
        Ok(Some(answer)) => answer,
        signed => match of_other_batch(store, challenge, chunk) {
            Ok(Some(answer)) => answer,
            other => signed.and(other)?.ok_or(AnswerError::Missing {
                chunk,
                blob: challenge.blob_key,
            })?,
        },
    };
    answer
        .check(Setup::ethereum(), blob, position)
        .map_err(AnswerError::Wrong)?;
    let (got, max) = (answer.to_bytes().len(), MAX_CHALLENGE_ANSWER);
    if got > max {
        return Err(AnswerError::TooLong { got, max });
    }
    Ok(answer)
}

/// `None` if the slice is not in the batch.
fn of_batch(
    store: &dyn Store,
    challenge: &OpenChallenge,
    chunk: ChunkIndex,
) -> Result<Option<CustodyAnswer>, StoreError> {
    let digest = challenge.batch_digest;
    let Some(batch) = store.batch(&digest)? else {
        return Ok(None);
    };
    let mut places = batch.blobs.iter().zip(0u32..);
    match places.find(|(header, _)| **header == challenge.blob) {
        Some((_, place)) => of_blob(store, &digest, place, chunk),
        None => Ok(None),
    }
}

/// Of the youngest batch that holds the blob.
fn of_other_batch(
    store: &dyn Store,
    challenge: &OpenChallenge,
    chunk: ChunkIndex,
) -> Result<Option<CustodyAnswer>, StoreError> {
    match store.find_blob(&challenge.blob_key)? {
        Some((digest, place)) => of_blob(store, &digest, place, chunk),
        None => Ok(None),
    }
}

/// Only the slice that is asked for is read.
fn of_blob(
    store: &dyn Store,
    digest: &BatchDigest,
    place: u32,
    chunk: ChunkIndex,
) -> Result<Option<CustodyAnswer>, StoreError> {
    let Ok(wanted) = ChunkRanges::from_indices(&[chunk]) else {
        return Ok(None);
    };
    let Some(slices) = store.read_slices(digest, place, Some(&wanted))? else {
        return Ok(None);
    };
    let Some(bytes) = slices.slice(chunk)? else {
        return Ok(None);
    };
    let path = slices.path(chunk)?;
    let bytes = bytes.to_vec();
    Ok(Some(CustodyAnswer::Slice { bytes, path }))
}

/// Promises looked through at a time.
const PAGE: usize = 1024;

/// The answer with an opening, out of the rows of the blob. Blocks, some ten milliseconds a row.
///
/// # Errors
/// The rows are not those of the blob.
pub(crate) fn open(challenge: &OpenChallenge, rows: &Rows) -> Result<CustodyAnswer, AnswerError> {
    let (blob, position) = (&challenge.blob, challenge.position());
    CustodyAnswer::from_rows(Setup::ethereum(), blob, rows, position).map_err(AnswerError::Wrong)
}

/// What has to be made anew so that there is an answer; `None` if this operator never promised it, or nothing is damaged. Blocks.
pub(crate) fn damage(
    store: &dyn Store,
    challenge: &OpenChallenge,
    error: &AnswerError,
) -> Option<Damage> {
    if matches!(error, AnswerError::TooLong { .. } | AnswerError::Rows(_)) {
        return None;
    }
    let why = error.to_string();
    let digest = &challenge.batch_digest;
    let Ok(Some(batch)) = store.batch(digest) else {
        let part = Part::Batch(promise_of(store, challenge)?.at);
        return Some(Damage { part, why });
    };
    let mut places = batch.blobs.iter().zip(0u32..);
    let (_, place) = places.find(|(header, _)| **header == challenge.blob)?;
    let part = Part::Blob(SequenceId::of(&batch.header), place);
    Some(Damage { part, why })
}

/// The promise of the challenged batch. Looks through all of them: only its digest is known.
pub(crate) fn promise_of(store: &dyn Store, challenge: &OpenChallenge) -> Option<SignedRecord> {
    let mut after = None;
    loop {
        let page = store.promises(after.as_ref(), PAGE).ok()?;
        after = Some(page.last()?.0);
        let mut records = page.into_iter().filter_map(|(_, record)| record.ok());
        if let Some(found) = records.find(|record| record.digest == challenge.batch_digest) {
            return Some(found);
        }
    }
}
