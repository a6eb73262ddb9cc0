//! What a node reads back from its disks: nothing panics, and what is accepted is written again the same.
//!
//! Checksums are made here, because no fuzzer finds one by trying. Values whose body is protobuf may hold fields that nobody
//! knows, which are not written again: of them what was read is the same, of all others the bytes are, too.

#![allow(clippy::expect_used, reason = "a fuzz target fails by a panic")]

use std::fmt::Debug;

use ashlar_crypto::bls::SignatureBytes;
use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{CommitmentBytes, ProofBytes};
use ashlar_proto::wire::BatchPlace;
use ashlar_proto::{BatchHeader, BlobHeader, Certificate, ChunkRanges, OperatorId};
use bytes::Bytes;

use super::codec::{self, Kind};
use super::{
    BatchSummary, BlobRecord, Equivocation, IndexProgress, ListedPeer, SequenceId, SignedHeader,
    SignedRecord, Space, StoreError, StoredBatch, WindowId,
};

pub use super::drives::fuzzing::{drive_frame, drive_label, drive_record, stripes};
pub use super::rocks::fuzzing::tally;

/// Kinds of values that [`value`] reads.
const KINDS: u8 = 14;

fn same<T: PartialEq + Debug>(
    value: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, StoreError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    let Ok(read) = decode(value) else { return };
    let again = decode(&encode(&read)).expect("it was just written");
    assert_eq!(again, read);
}

/// A value of the database of the batch `of`: its kind, then its body.
pub fn value(of: &BatchHeader, data: &[u8]) {
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    let at = SequenceId::of(of);
    let key = codec::signed_key(&at);
    let sealed = codec::seal(&key, body);
    let exact = |written: Result<Vec<u8>, StoreError>| {
        if let Ok(written) = written {
            assert_eq!(written, sealed);
        }
    };
    match kind % KINDS {
        0 => same(
            &sealed,
            |value| codec::decode_batch(&key, value),
            |batch| codec::encode_batch(&key, batch),
        ),
        1 => slices(&key, &sealed),
        2 => same(
            &sealed,
            |value| codec::decode_signed(&key, value, &at),
            |record| codec::encode_signed(&key, record),
        ),
        3 => same(
            &sealed,
            |value| codec::decode_equivocation(&key, value),
            |pair| codec::encode_equivocation(&key, pair),
        ),
        4 => exact(
            codec::decode_index(&key, &sealed)
                .map(|(digest, place)| codec::encode_index(&key, &digest, place)),
        ),
        5 => exact(
            codec::decode_summary(&key, &sealed)
                .map(|summary| codec::encode_summary(&key, summary)),
        ),
        6 => exact(
            codec::decode_u64("a number", &key, &sealed)
                .map(|number| codec::encode_u64(&key, number)),
        ),
        7 => exact(
            codec::decode_allowance(&key, &sealed)
                .map(|allowance| codec::encode_allowance(&key, &allowance)),
        ),
        8 => exact(codec::decode_database_id(&key, &sealed).map(|id| codec::seal(&key, &id.0))),
        // As it lies on the disk, checksum and all.
        9 => {
            if let Ok(unsealed) = codec::unseal("a value", &key, body) {
                assert_eq!(codec::seal(&key, unsealed), body);
            }
        }
        10 => keys(body),
        11 => same(
            &sealed,
            |value| codec::decode_certified(&key, value),
            |batch| codec::encode_certified(&key, &batch.certificate, &batch.disperser_signature),
        ),
        12 => same(
            &sealed,
            |value| codec::decode_index_progress(&key, value),
            |progress| codec::encode_index_progress(&key, progress),
        ),
        _ => {
            let name = String::from_utf8_lossy(body);
            if let Some(space) = Space::from_name(&name) {
                assert_eq!(space.name(), name);
            }
        }
    }
}

fn keys(key: &[u8]) {
    if let Ok(at) = codec::sequence_of_key(key) {
        assert_eq!(codec::signed_key(&at), key);
    }
    if let Ok((domain, disperser)) = codec::disperser_of_floor_key(key) {
        assert_eq!(codec::floor_key(&domain, disperser), key);
    }
    if let Some(digest) = codec::digest_of_key(Kind::Directory, key) {
        assert_eq!(codec::directory_key(&digest), key);
    }
    if let Some(digest) = codec::digest_of_key(Kind::Certificate, key) {
        assert_eq!(codec::certificate_key(&digest), key);
    }
}

/// The head of a blob's slices. No slice was read with it, so none may be found.
fn slices(key: &[u8], sealed: &[u8]) {
    let Ok(read) = codec::decode_slices(key, sealed) else {
        return;
    };
    let blob = BlobRecord {
        header: read.header.clone(),
        key: read.header.blob_key(),
        leaves: read.leaves.clone(),
        proofs: read.proofs.clone(),
        data: Bytes::new(),
    };
    let written = codec::encode_slices(key, &read.runs, &blob);
    let again = codec::decode_slices(key, &written).expect("it was just written");
    assert_eq!(
        (&again.header, &again.runs, &again.leaves, &again.proofs),
        (&read.header, &read.runs, &read.leaves, &read.proofs)
    );
    for index in read.runs.iter().take(8) {
        assert!(read.slice(index).is_err());
        let _ = read.path(index);
    }
    let _ = read.value_numbers(None);
    let _ = read.check(512);
}

/// Values of the batch of a certificate to start from, for [`value`].
pub fn values(certificate: &Certificate, blobs: &[BlobHeader]) -> Vec<(&'static str, Vec<u8>)> {
    let of = &certificate.batch_header;
    let at = SequenceId::of(of);
    let key = codec::signed_key(&at);
    let runs = ChunkRanges::new(vec![(0, 2), (5, 1)]).expect("rising runs");
    let offered = SignedHeader {
        header: of.clone(),
        signature: NetworkSignature([3; 64]),
    };
    let batch = StoredBatch {
        header: of.clone(),
        disperser_signature: offered.signature,
        runs: runs.clone(),
        blobs: blobs.to_vec(),
        commitments: vec![CommitmentBytes([4; 48]); 2],
        chunk_proofs: vec![ProofBytes([5; 48]); 3],
    };
    let header = blobs.first().expect("a blob").clone();
    let blob = BlobRecord {
        key: header.blob_key(),
        header,
        leaves: vec![[6; 32]; 3],
        proofs: vec![vec![[7; 32]; 2]; 2],
        data: Bytes::new(),
    };
    let promise = SignedRecord {
        signature: Some(SignatureBytes([8; 48])),
        ..SignedRecord::new(offered.clone(), WindowId(9), 10)
    };
    let pair = Equivocation {
        first: offered.clone(),
        second: offered,
    };
    let summary = BatchSummary { blobs: 3, bytes: 4 };
    let listed = ListedPeer {
        after: Some(BatchPlace {
            window: 9,
            digest: of.digest(),
        }),
        done: false,
    };
    let progress = IndexProgress {
        may_sign: true,
        done: false,
        held: false,
        since: 7,
        peers: [(OperatorId([9; 32]), listed)].into(),
    };
    let body = |kind: u8, sealed: Vec<u8>| {
        let body = codec::unseal("a value", &key, &sealed).expect("it was just sealed");
        [&[kind], body].concat()
    };
    vec![
        ("batch", body(0, codec::encode_batch(&key, &batch))),
        ("slices", body(1, codec::encode_slices(&key, &runs, &blob))),
        ("signed", body(2, codec::encode_signed(&key, &promise))),
        (
            "equivocation",
            body(3, codec::encode_equivocation(&key, &pair)),
        ),
        ("index", body(4, codec::encode_index(&key, &of.digest(), 1))),
        ("summary", body(5, codec::encode_summary(&key, summary))),
        ("number", vec![6, 0, 0, 0, 0, 0, 0, 0, 7]),
        ("allowance", [vec![7; 17], vec![0; 16]].concat()),
        ("database", vec![8; 17]),
        ("sealed", [vec![9], codec::encode_u64(&key, 7)].concat()),
        ("key", [vec![10], key.clone()].concat()),
        (
            "floor",
            [vec![10], codec::floor_key(&at.domain, 1)].concat(),
        ),
        (
            "directory",
            [vec![10], codec::directory_key(&of.digest())].concat(),
        ),
        (
            "certificate",
            body(
                11,
                codec::encode_certified(&key, certificate, &batch.disperser_signature),
            ),
        ),
        (
            "index_progress",
            body(12, codec::encode_index_progress(&key, &progress)),
        ),
        ("space", b"\x0dwindow-000000000009".to_vec()),
    ]
}
