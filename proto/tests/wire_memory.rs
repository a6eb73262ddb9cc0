//! What an envelope costs its receiver: a decoder behind an allocator that counts.

#![allow(unsafe_code, clippy::unwrap_used)] // an allocator is an unsafe trait

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use ashlar_crypto::{Coded, kzg::ProofBytes, payload::Encoding};
use ashlar_proto::{
    Account, BatchHeader, BlobHeader, ChunkIndex, ChunkRanges, Domain, TableRoot,
    wire::{Chunks, Request, Response, WireError, limits},
};
use ashlar_proto::{Block, Sequence};
use bytes::Bytes;

struct Counting;

thread_local! {
    /// Bytes allocated now, and the most there were.
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn more(bytes: usize) {
    HELD.with(|held| {
        let (now, peak) = held.get();
        held.set((now + bytes, peak.max(now + bytes)));
    });
}

fn less(bytes: usize) {
    HELD.with(|held| {
        let (now, peak) = held.get();
        held.set((now.saturating_sub(bytes), peak));
    });
}

// SAFETY: everything is left to the system's allocator; counting touches none of its memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        less(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The result, and the most bytes that were allocated on the way to it.
fn counted<T>(work: impl FnOnce() -> T) -> (T, usize) {
    HELD.with(|held| held.set((0, 0)));
    let result = work();
    (result, HELD.with(Cell::get).1)
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A field with bytes in it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(bytes.len()), bytes].concat()
}

/// This over and over, as often as it fits into an envelope with a little room for what goes around it.
fn full(of: &[u8]) -> Vec<u8> {
    of.repeat((limits::MAX_ENVELOPE - 64) / of.len())
}

/// What the refusal may cost: nothing that grows with the envelope.
const NOTHING: usize = 1024;

fn refused<T>(what: &str, envelope: Vec<u8>, decode: impl Fn(Bytes) -> Result<T, WireError>) {
    assert!(envelope.len() > limits::MAX_ENVELOPE - 128 && envelope.len() <= limits::MAX_ENVELOPE);
    let envelope = Bytes::from(envelope);
    let (code, peak) = counted(|| decode(envelope).err().map(|error| error.code()));
    assert!(
        matches!(
            code,
            Some("wire.limit" | "wire.count" | "wire.unknown_field" | "header.length")
        ),
        "{what}: {code:?}"
    );
    assert!(peak <= NOTHING, "{what}: {peak} bytes were allocated");
}

#[test]
fn sixteen_mebibytes_of_empty_fields_are_refused_for_nothing() {
    // Every field of a batch, as it is in a request and in an answer, and one that does not exist.
    for number in 1..=7 {
        let what = format!("field {number} of a batch");
        let batch = full(&field(number, b""));
        refused(&what, field(1, &batch), Request::decode);
        refused(&what, field(3, &batch), Response::decode);
    }
    // One level below: 8 million proofs of one blob, and 4 million blobs with one.
    let one_blob = field(5, &full(&field(1, b"")));
    let many_blobs = full(&field(5, &field(1, b"")));
    for proofs in [one_blob, many_blobs] {
        refused("proofs", field(1, &proofs), Request::decode);
        refused("proofs", field(3, &proofs), Response::decode);
    }
    for number in 1..=3 {
        let what = format!("field {number} of a message");
        let fields = full(&field(number, b""));
        refused(&what, field(2, &fields), Request::decode);
        refused(&what, field(3, &fields), Request::decode);
        refused(&what, field(2, &fields), Response::decode);
    }
    let proofs = field(3, &full(&field(1, b"")));
    refused("proofs of slices", field(2, &proofs), Response::decode);
    // A pong's versions, each in a field or all in one.
    refused("versions", field(4, &full(&[0x18, 0])), Response::decode);
    refused(
        "versions",
        field(4, &field(3, &full(&[0]))),
        Response::decode,
    );
    refused("texts", field(15, &full(&field(3, b""))), Response::decode);
    // The envelope itself.
    refused("pings", full(&field(4, b"")), Request::decode);
    refused("pongs", full(&field(4, b"")), Response::decode);
}

/// The batch with most small parts: as many blobs as there can be, as many runs, and a hash for each.
#[test]
fn what_is_accepted_costs_a_few_times_its_length() {
    let blob = |salt| BlobHeader {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len: 1,
        rows: 1,
        commitments_root: [1; 32],
        chunk_root: [2; 32],
        quorums: vec![0],
        account: Account([3; 20]),
        salt,
    };
    let blob_headers: Vec<_> = (0..limits::MAX_BLOBS as u64).map(blob).collect();
    let indices: Vec<_> = (0..64).map(|i| ChunkIndex(2 * i)).collect();
    let answer = Response::Chunks(Chunks {
        batch_header: BatchHeader {
            version: 1,
            domain: Domain([7; 32]),
            table_root: TableRoot([8; 32]),
            batch_root: [4; 32],
            blobs: limits::MAX_BLOBS as u32,
            rows: limits::MAX_BLOBS as u32,
            reference_block: Block(1),
            disperser_id: 1,
            sequence: Sequence(1),
            created_at_ms: 1,
        },
        slice_proofs: vec![vec![vec![[5; 32]]; indices.len()]; blob_headers.len()],
        blob_headers,
        runs: ChunkRanges::from_indices(&indices).unwrap(),
        chunk_proofs: vec![ProofBytes([6; 48]); indices.len()],
    });
    let envelope = Bytes::from(answer.encode());
    let len = envelope.len();
    assert!(len > limits::MAX_ENVELOPE / 2 && len <= limits::MAX_ENVELOPE);
    let (decoded, peak) = counted(|| Response::decode(envelope).unwrap());
    assert!(decoded == answer);
    assert!(peak < 5 * len, "{peak} bytes for an envelope of {len}");
}
