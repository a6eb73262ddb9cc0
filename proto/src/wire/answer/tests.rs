#![allow(clippy::unwrap_used)]

use ashlar_crypto::{Blame, bls::SignatureBytes, kzg::ProofBytes};

use super::*;
use crate::{
    BatchDigest, BlobKey, ChunkIndex,
    testing::{batch_header, blob_header},
    wire::{Chunks, ErrorReply, Ping, Pong, Response, Slices, Stored},
};

/// As many runs as there can be.
fn scattered() -> ChunkRanges {
    ChunkRanges::from_indices(&(0..64).map(|i| ChunkIndex(2 * i)).collect::<Vec<_>>()).unwrap()
}

fn fits(response: &Response, limit: AnswerLimit) {
    let (envelope, bulk) = (response.encode().len(), response.bulk_len().unwrap());
    assert!(
        envelope <= limit.envelope,
        "{}: {envelope} {limit:?}",
        response.kind()
    );
    assert!(bulk <= limit.bulk, "{}: {bulk} {limit:?}", response.kind());
    // And the limit says something.
    assert!(
        limit.envelope <= 2 * envelope.max(512),
        "{}: {envelope} {limit:?}",
        response.kind()
    );
}

#[test]
fn the_longest_small_answers_fit() {
    let text = |len| "x".repeat(len);
    let limit = Request::Ping(Ping { nonce: 1 }).answer_limit();
    assert_eq!(limit, AnswerLimit::SMALL);
    fits(
        &Response::Pong(Pong {
            nonce: u64::MAX,
            software: text(limits::MAX_SHORT_TEXT),
            versions: (u16::MAX - 63..=u16::MAX).collect(),
        }),
        limit,
    );
    fits(
        &Response::Stored(Stored {
            signature: SignatureBytes([1; 48]),
        }),
        limit,
    );
    let error = ErrorReply::new(
        &text(limits::MAX_CODE),
        Blame::Us,
        text(limits::MAX_MESSAGE),
    );
    let short = text(limits::MAX_SHORT_TEXT);
    fits(&error.with(&short, &short).into(), limit);
}

#[test]
fn the_longest_slices_fit_and_take_what_was_asked_for() {
    let blob = blob_header(1 << 20, &(0..16).collect::<Vec<_>>(), 1);
    let asked = GetSlices {
        blob_key: BlobKey([1; 32]),
        indices: scattered(),
    };
    let limit = asked.answer_limit(&blob).unwrap();
    let answer = |runs: ChunkRanges| {
        Response::Slices(Slices {
            blob_header: blob.clone(),
            proofs: vec![vec![[7; 32]; limits::MAX_RANGE_PROOF]; runs.as_slice().len()],
            runs,
        })
    };
    fits(&answer(scattered()), limit);
    assert_eq!(
        limit.bulk,
        64 * blob.slice_bytes().unwrap() as u64,
        "not a byte more than 64 slices"
    );
    // A run may come back in pieces.
    let asked = GetSlices {
        indices: ChunkRanges::new(vec![(0, 127)]).unwrap(),
        ..asked
    };
    fits(&answer(scattered()), asked.answer_limit(&blob).unwrap());
    // Without the header the bulk part may be that of the largest blob.
    let alone = Request::GetSlices(asked).answer_limit();
    assert!(alone.bulk > limit.bulk && alone.envelope >= limit.envelope);
}

#[test]
fn the_longest_chunks_fit() {
    let blobs: Vec<_> = (0..50)
        .map(|salt| blob_header(1 << 18, &(0..16).collect::<Vec<_>>(), salt))
        .collect();
    let batch = batch_header(&blobs);
    let asked = GetChunks {
        batch_digest: BatchDigest([1; 32]),
        indices: scattered(),
    };
    let limit = asked.answer_limit(&batch).unwrap();
    let answer = Response::Chunks(Chunks {
        batch_header: batch.clone(),
        chunk_proofs: vec![ProofBytes([1; 48]); 64],
        slice_proofs: vec![vec![vec![[7; 32]; limits::MAX_RANGE_PROOF]; 64]; blobs.len()],
        blob_headers: blobs,
        runs: scattered(),
    });
    fits(&answer, limit);
    assert_eq!(limit.bulk, answer.bulk_len().unwrap());
    // Never beyond the hard limits, whatever a header says.
    let alone = Request::GetChunks(asked).answer_limit();
    assert_eq!(alone.envelope, limits::MAX_ENVELOPE);
    assert_eq!(alone.bulk, limits::HARD_MAX_BULK);
}
