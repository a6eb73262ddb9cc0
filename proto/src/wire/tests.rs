#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::{Blame, Coded, NetworkSignature, kzg::CommitmentBytes, payload::Encoding};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::{
    Account, Domain,
    testing::{Table, batch_header, blob_header},
};

fn runs() -> ChunkRanges {
    ChunkRanges::new(vec![(3, 2), (500, 1)]).unwrap()
}

fn store_batch() -> StoreBatch {
    let blob_headers = vec![blob_header(1000, &[0], 1), blob_header(200_000, &[0], 2)];
    StoreBatch {
        batch_header: batch_header(&blob_headers),
        disperser_signature: NetworkSignature([0x44; 64]),
        blob_headers,
        runs: runs(),
        chunk_proofs: vec![
            ProofBytes([1; 48]),
            ProofBytes([2; 48]),
            ProofBytes([3; 48]),
        ],
        slice_proofs: vec![
            vec![vec![[4; 32]; 9], vec![[4; 32]]],
            vec![vec![[5; 32]], vec![[6; 32]]],
        ],
    }
}

fn slices() -> Slices {
    Slices {
        blob_header: blob_header(200_000, &[0], 2),
        runs: runs(),
        proofs: vec![vec![[1; 32]; 16], vec![[2; 32]; 9]],
    }
}

fn chunks() -> Chunks {
    let StoreBatch {
        batch_header,
        disperser_signature: _,
        blob_headers,
        runs,
        chunk_proofs,
        slice_proofs,
    } = store_batch();
    Chunks {
        batch_header,
        blob_headers,
        runs,
        chunk_proofs,
        slice_proofs,
    }
}

fn certified() -> CertifiedBatch {
    CertifiedBatch {
        certificate: Table::usual().certify(&[0, 1, 2, 3].map(crate::OperatorIndex), &[0]),
        disperser_signature: NetworkSignature([0x45; 64]),
    }
}

fn place() -> BatchPlace {
    BatchPlace {
        window: 1_700_000_000,
        digest: BatchDigest([6; 32]),
    }
}

fn combined() -> Combined {
    let chunks = chunks();
    Combined {
        batch_header: chunks.batch_header,
        runs: chunks.runs,
        chunk_proofs: chunks.chunk_proofs,
    }
}

fn requests() -> Vec<Request> {
    vec![
        Request::StoreBatch(store_batch()),
        Request::GetSlices(GetSlices {
            blob_key: BlobKey([7; 32]),
            indices: runs(),
        }),
        Request::GetChunks(GetChunks {
            batch_digest: BatchDigest([8; 32]),
            indices: runs(),
        }),
        Request::Ping(Ping { nonce: u64::MAX }),
        Request::Ping(Ping { nonce: 0 }),
        Request::DialMe,
        Request::SignBatch(SignBatch {
            batch_header: store_batch().batch_header,
            disperser_signature: NetworkSignature([6; 64]),
        }),
        Request::KeepCertificate(Box::new(KeepCertificate {
            certificate: certified().certificate,
        })),
        Request::ListBatches(ListBatches { after: None }),
        Request::ListBatches(ListBatches {
            after: Some(place()),
        }),
        Request::GetCombined(GetCombined {
            batch_digest: BatchDigest([8; 32]),
            indices: runs(),
        }),
        Request::GetLatest(GetLatest {
            domain: Domain([3; 32]),
            disperser_id: 0,
        }),
        Request::GetLatest(GetLatest {
            domain: Domain([0; 32]),
            disperser_id: u32::MAX,
        }),
    ]
}

fn responses() -> Vec<Response> {
    vec![
        Response::Stored(Stored {
            signature: SignatureBytes([9; 48]),
        }),
        Response::Slices(slices()),
        Response::Chunks(chunks()),
        Response::Pong(Pong {
            nonce: 5,
            software: "ashlar 0.1.0".into(),
            versions: vec![1, 2],
        }),
        Response::Dialed(Dialed {
            address: "node1.example.com:7400".into(),
        }),
        Response::Kept,
        Response::BatchList(BatchList {
            batches: vec![certified(); limits::MAX_LISTED],
            next: Some(place()),
        }),
        Response::BatchList(BatchList {
            batches: Vec::new(),
            next: None,
        }),
        Response::Combined(combined()),
        Response::Latest(None),
        Response::Latest(Some(Latest {
            batch_header: store_batch().batch_header,
            disperser_signature: NetworkSignature([6; 64]),
        })),
        Response::Error(ErrorReply::new("store.not_a_disperser", Blame::Caller, "no").with(1, 2)),
        Response::Error(ErrorReply::new("store.disk_full", Blame::Us, "full")),
        Response::Error(ErrorReply::new("x.y", Blame::Peer, "")),
    ]
}

#[test]
fn messages_round_trip() {
    for request in requests() {
        assert_eq!(
            Request::decode(request.encode()).as_ref(),
            Ok(&request),
            "{}",
            request.kind()
        );
    }
    for response in responses() {
        assert_eq!(
            Response::decode(response.encode()).as_ref(),
            Ok(&response),
            "{}",
            response.kind()
        );
    }
}

#[test]
fn a_page_fits_its_limit_and_goes_on_behind_the_last() {
    let full = BatchList {
        batches: vec![certified(); limits::MAX_LISTED],
        next: Some(place()),
    };
    let limit = Request::ListBatches(ListBatches { after: None }).answer_limit();
    assert!(Response::BatchList(full.clone()).encode().len() <= limit.envelope);
    let more = BatchList {
        batches: vec![certified(); limits::MAX_LISTED + 1],
        ..full.clone()
    };
    let refused = Response::decode(Response::BatchList(more).encode());
    assert_eq!(refused.unwrap_err().code(), "wire.limit");
    // Only compact ones are kept and listed.
    let mut portable = full;
    portable.batches.truncate(1);
    let table = Table::usual();
    portable.batches[0].certificate = portable.batches[0].certificate.to_portable(&table).unwrap();
    let refused = Response::decode(Response::BatchList(portable).encode());
    assert!(refused.is_err());

    // Youngest window first, in a window by digest.
    let at = |window, byte| BatchPlace {
        window,
        digest: BatchDigest([byte; 32]),
    };
    assert!(at(5, 2).is_behind(&at(5, 1)) && at(4, 0).is_behind(&at(5, 9)));
    assert!(!at(5, 1).is_behind(&at(5, 1)) && !at(6, 9).is_behind(&at(5, 0)));
}

/// The error's code for a changed StoreBatch.
fn refused(change: impl FnOnce(&mut pb::StoreBatch)) -> &'static str {
    let mut message = pb::StoreBatch::from(&store_batch());
    change(&mut message);
    let envelope = pb::Request {
        kind: Some(pb::request::Kind::StoreBatch(message)),
    };
    Request::decode(envelope.encode_to_vec())
        .unwrap_err()
        .code()
}

#[test]
fn what_a_disperser_can_declare_wrongly() {
    let run = |start, len| pb::Run { start, len };
    assert_eq!(refused(|m| m.batch_header = Bytes::new()), "header.length");
    assert_eq!(
        refused(|m| m.blob_headers[0] = vec![0; 5000].into()),
        "header.length"
    );
    assert_eq!(refused(|m| m.blob_headers.truncate(1)), "wire.count");
    assert_eq!(
        refused(|m| {
            m.blob_headers.truncate(1);
            m.slice_proofs.truncate(1);
        }),
        "batch.blob_count"
    );
    assert_eq!(
        refused(|m| m.blob_headers[0] = m.blob_headers[1].clone()),
        "batch.row_count"
    );
    assert_eq!(
        refused(|m| m.blob_headers = vec![m.blob_headers[0].clone(); limits::MAX_BLOBS + 1]),
        "wire.limit"
    );
    assert_eq!(
        refused(|m| {
            let mut other = blob_header(1000, &[0], 1);
            other.version = 2;
            m.blob_headers[0] = other.abi_encode().into();
        }),
        "batch.mixed_versions"
    );
    assert_eq!(refused(|m| m.runs.clear()), "wire.count");
    assert_eq!(
        refused(|m| {
            m.runs.clear();
            m.slice_proofs.iter_mut().for_each(|p| p.runs.clear());
        }),
        "runs.count"
    );
    assert_eq!(refused(|m| m.runs = vec![run(1, 1); 65]), "wire.limit");
    assert_eq!(refused(|m| m.runs[0].len = 0), "runs.empty");
    assert_eq!(refused(|m| m.runs.reverse()), "runs.order");
    assert_eq!(refused(|m| m.runs[1].start = u32::MAX), "runs.index");
    assert_eq!(refused(|m| m.runs[1] = run(512, 1)), "wire.chunk_index");
    assert_eq!(
        refused(|m| m.chunk_proofs = m.chunk_proofs.slice(1..)),
        "wire.length"
    );
    assert_eq!(
        refused(|m| m.chunk_proofs = m.chunk_proofs.slice(48..)),
        "wire.count"
    );
    assert_eq!(refused(|m| m.slice_proofs.truncate(1)), "wire.count");
    assert_eq!(
        refused(|m| m.slice_proofs[1].runs.truncate(1)),
        "wire.count"
    );
    assert_eq!(
        refused(|m| m.slice_proofs[1].runs[0] = vec![0; 31].into()),
        "wire.length"
    );
    assert_eq!(
        refused(|m| m.slice_proofs[1].runs[0] = vec![0; 25 * 32].into()),
        "wire.limit"
    );
}

#[test]
fn what_an_operator_can_answer_wrongly() {
    let code = |kind| {
        let envelope = pb::Response { kind: Some(kind) };
        Response::decode(envelope.encode_to_vec())
            .unwrap_err()
            .code()
    };
    use pb::response::Kind;
    assert_eq!(
        code(Kind::Stored(pb::Stored {
            signature: vec![0; 47].into()
        })),
        "wire.length"
    );
    let good_slices = || match pb::Response::decode(&*Response::Slices(slices()).encode())
        .unwrap()
        .kind
    {
        Some(Kind::Slices(m)) => m,
        _ => panic!("not slices"),
    };
    assert_eq!(
        code(Kind::Slices(pb::Slices {
            proofs: None,
            ..good_slices()
        })),
        "wire.count"
    );
    assert_eq!(
        code(Kind::Slices(pb::Slices {
            runs: vec![],
            ..good_slices()
        })),
        "runs.count"
    );
    let outside = vec![pb::Run { start: 511, len: 2 }];
    assert_eq!(
        code(Kind::Slices(pb::Slices {
            runs: outside,
            ..good_slices()
        })),
        "wire.chunk_index"
    );
    assert_eq!(
        code(Kind::Slices(pb::Slices {
            blob_header: Bytes::new(),
            ..good_slices()
        })),
        "header.length"
    );
    let good_chunks = || match pb::Response::decode(&*Response::Chunks(chunks()).encode())
        .unwrap()
        .kind
    {
        Some(Kind::Chunks(m)) => m,
        _ => panic!("not chunks"),
    };
    assert_eq!(
        code(Kind::Chunks(pb::Chunks {
            chunk_proofs: Bytes::new(),
            ..good_chunks()
        })),
        "wire.count"
    );
    assert_eq!(
        code(Kind::Chunks(pb::Chunks {
            slice_proofs: vec![],
            ..good_chunks()
        })),
        "wire.count"
    );
    assert_eq!(
        code(Kind::Chunks(pb::Chunks {
            blob_headers: vec![],
            ..good_chunks()
        })),
        "wire.count"
    );

    let pong = |software: String, versions| {
        Kind::Pong(pb::Pong {
            nonce: 0,
            software,
            versions,
        })
    };
    assert_eq!(code(pong("x".repeat(129), vec![1])), "wire.limit");
    assert_eq!(code(pong(String::new(), (0..65).collect())), "wire.limit");
    assert_eq!(code(pong(String::new(), vec![65_536])), "wire.value");
    assert_eq!(code(pong(String::new(), vec![2, 1])), "wire.version_order");

    let error = || pb::Error {
        code: "a.b".into(),
        blame: 1,
        ..Default::default()
    };
    assert_eq!(
        code(Kind::Error(pb::Error {
            blame: 0,
            ..error()
        })),
        "wire.value"
    );
    assert_eq!(
        code(Kind::Error(pb::Error {
            blame: 9,
            ..error()
        })),
        "wire.value"
    );
    assert_eq!(
        code(Kind::Error(pb::Error {
            code: "x".repeat(65),
            ..error()
        })),
        "wire.limit"
    );
    assert_eq!(
        code(Kind::Error(pb::Error {
            message: "x".repeat(513),
            ..error()
        })),
        "wire.limit"
    );
    assert_eq!(
        code(Kind::Error(pb::Error {
            got: "x".repeat(129),
            ..error()
        })),
        "wire.limit"
    );
}

#[test]
fn not_a_message() {
    assert_eq!(Request::decode(vec![]), Err(WireError::UnknownKind));
    assert_eq!(Response::decode(vec![]), Err(WireError::UnknownKind));
    assert_eq!(Request::decode(vec![0xff; 10]), Err(WireError::Malformed));
    assert_eq!(Response::decode(vec![0xff; 10]), Err(WireError::Malformed));
    assert_eq!(
        Request::decode(vec![0; limits::MAX_ENVELOPE + 1])
            .unwrap_err()
            .code(),
        "wire.limit"
    );
    let get = pb::GetSlices {
        blob_key: vec![0; 31].into(),
        runs: vec![pb::Run { start: 0, len: 1 }],
    };
    let envelope = pb::Request {
        kind: Some(pb::request::Kind::GetSlices(get)),
    };
    assert_eq!(
        Request::decode(envelope.encode_to_vec())
            .unwrap_err()
            .code(),
        "wire.length"
    );
}

#[test]
fn texts_of_errors_are_cut_and_printable() {
    let error = ErrorReply::new("a.b", Blame::Us, "\u{1b}[31mred\n".repeat(100))
        .with("\u{e9}".repeat(100), "");
    let got = match Response::decode(Response::Error(error).encode()) {
        Ok(Response::Error(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(got.message.len() <= limits::MAX_MESSAGE);
    assert!(got.message.starts_with("?[31mred?"), "{}", got.message);
    assert_eq!(got.got, Some("\u{e9}".repeat(64)));
    assert_eq!(got.expected, None);
    // Control characters that a peer sends are replaced on the way in, too.
    let raw = pb::Error {
        code: "a\u{1b}.b".into(),
        blame: 1,
        message: "x\ry".into(),
        ..Default::default()
    };
    let envelope = pb::Response {
        kind: Some(pb::response::Kind::Error(raw)),
    };
    match Response::decode(envelope.encode_to_vec()) {
        Ok(Response::Error(error)) => assert_eq!((&*error.code, &*error.message), ("a?.b", "x?y")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn layouts_tile_the_bulk_part() {
    // Version 1: cells of 64 elements, 2048 bytes. Blobs of 1 and 2 rows, three indices.
    let store = store_batch().layout().unwrap();
    assert_eq!(store.len(), 3 * 48 + 3 * 3 * 2048);
    assert_eq!(store.commitments(), 0..144);
    let expected = [
        (0, 0, 0),
        (0, 1, 2048),
        (0, 2, 4096),
        (1, 0, 6144),
        (1, 1, 10240),
        (1, 2, 14336),
    ];
    for (blob, place, at) in expected {
        let len = 2048 * (blob + 1);
        assert_eq!(store.slice(blob, place), Some(144 + at..144 + at + len));
    }
    let chunks = chunks().layout().unwrap();
    assert_eq!(chunks.len(), store.len());
    let expected = [
        (0, 0, 0),
        (1, 0, 2048),
        (0, 1, 6144),
        (1, 1, 8192),
        (0, 2, 12288),
        (1, 2, 14336),
    ];
    for (blob, place, at) in expected {
        let len = 2048 * (blob + 1);
        assert_eq!(chunks.slice(blob, place), Some(144 + at..144 + at + len));
    }
    let slices = slices().layout().unwrap();
    assert_eq!(slices.len(), 3 * 4096);
    assert_eq!(slices.slice(0, 2), Some(8192..12288));
    for (layout, by_blob) in [(store, true), (chunks, false), (slices, true)] {
        assert_eq!(layout.slice(layout.blobs(), 0), None);
        assert_eq!(layout.slice(0, layout.indices()), None);
        let bulk: Bytes = (0..layout.len())
            .map(|i| i as u8)
            .collect::<Vec<_>>()
            .into();
        let short = bulk.slice(1..);
        assert_eq!(
            layout.clone().view(short).unwrap_err().code(),
            "wire.bulk_length"
        );
        let view = layout.clone().view(bulk.clone()).unwrap();
        let mut bytes = view.commitments().len();
        for place in 0..layout.indices() {
            let column = view.column(place).unwrap();
            bytes += column.iter().map(|s| s.len()).sum::<usize>();
            for (blob, slice) in column.iter().enumerate() {
                assert_eq!(view.slice_bytes(blob, place).unwrap(), *slice);
                assert_eq!(view.blob(blob).unwrap()[place], *slice);
                if let Some(together) = view.blob_bytes(blob) {
                    assert_eq!(together, view.blob(blob).unwrap().concat());
                }
            }
        }
        assert_eq!(view.blob_bytes(0).is_some(), by_blob);
        assert_eq!(view.blob_bytes(layout.blobs()), None);
        assert_eq!(bytes, bulk.len());
        assert_eq!(view.column(layout.indices()), None);
        assert_eq!(view.blob(layout.blobs()), None);
    }
}

#[test]
fn only_messages_with_data_imply_a_bulk_part() {
    let with = |lens: Vec<u64>| lens.into_iter().zip(0..).filter(|(len, _)| *len > 0);
    let lens = requests().iter().map(|r| r.bulk_len().unwrap()).collect();
    assert!(with(lens).eq([(144 + 9 * 2048, 0)]));
    let lens = responses().iter().map(|r| r.bulk_len().unwrap()).collect();
    let (slices, chunks, combined) = (3 * 4096, 144 + 9 * 2048, 3 * 2048);
    assert!(with(lens).eq([(slices, 1), (chunks, 2), (combined, 8)]));
}

#[test]
fn the_largest_legal_batch_fits_the_limits() {
    // 1024 blobs of one row, sixteen quorums each, an operator with as many chunks as it can have, in 4 runs.
    let quorums: Vec<u8> = (0..16).collect();
    let blob_headers: Vec<_> = (0..1024)
        .map(|salt| blob_header(1000, &quorums, salt))
        .collect();
    let runs = ChunkRanges::new(vec![(1, 15), (33, 15), (101, 17), (301, 17)]).unwrap();
    let batch = StoreBatch {
        batch_header: batch_header(&blob_headers),
        disperser_signature: NetworkSignature([0; 64]),
        blob_headers,
        chunk_proofs: vec![ProofBytes([0; 48]); runs.count()],
        slice_proofs: vec![vec![vec![[0; 32]; 18]; 4]; 1024],
        runs,
    };
    assert!(batch.layout().unwrap().len() <= limits::MAX_BULK);
    let envelope = Request::StoreBatch(batch.clone()).encode();
    assert!(envelope.len() <= limits::MAX_ENVELOPE, "{}", envelope.len());
    assert_eq!(Request::decode(envelope), Ok(Request::StoreBatch(batch)));
}

fn put_blob(payload: Vec<u8>, commitments: usize) -> PutBlob {
    PutBlob {
        version: 1,
        encoding: Encoding::Packed31,
        quorums: vec![0, 1],
        account: Account([3; 20]),
        salt: 4,
        commitments: vec![CommitmentBytes([5; 48]); commitments],
        payload: payload.into(),
    }
}

#[test]
fn put_blob_round_trips_and_refuses() {
    for put in [
        put_blob(vec![1], 0),
        put_blob(vec![1; 200_000], 2),
        put_blob(vec![9; 1000], 1),
    ] {
        let bytes = put.encode();
        assert!(bytes.len() as u64 <= PutBlob::max_len(put.payload.len() as u64));
        assert_eq!(PutBlob::decode(bytes), Ok(put));
    }
    let code = |put: PutBlob| PutBlob::decode(put.encode()).unwrap_err().code();
    let good = || put_blob(vec![1; 1000], 1);
    assert_eq!(code(put_blob(vec![], 0)), "payload.empty");
    assert_eq!(code(put_blob(vec![1; 1000], 2)), "wire.count");
    assert_eq!(
        code(PutBlob {
            version: 9,
            ..good()
        }),
        "version.unknown"
    );
    assert_eq!(
        code(PutBlob {
            quorums: vec![],
            ..good()
        }),
        "header.quorum_count"
    );
    assert_eq!(
        code(PutBlob {
            quorums: vec![2, 1],
            ..good()
        }),
        "header.quorum_order"
    );
    let raw = |change: &dyn Fn(&mut pb::PutBlob)| {
        let mut m = pb::PutBlob::decode(&*good().encode()).unwrap();
        change(&mut m);
        PutBlob::decode(m.encode_to_vec()).unwrap_err().code()
    };
    assert_eq!(raw(&|m| m.version = 65_537), "wire.value");
    assert_eq!(raw(&|m| m.encoding = 2), "wire.value");
    assert_eq!(raw(&|m| m.encoding = 256), "wire.value");
    assert_eq!(raw(&|m| m.account = vec![0; 19].into()), "wire.length");
    assert_eq!(raw(&|m| m.commitments = vec![0; 47].into()), "wire.length");
    assert_eq!(
        raw(&|m| m.payload = vec![0; HARD + 1].into()),
        "payload.too_large"
    );
    // Not whole rows.
    assert!(!raw(&|m| m.encoding = 1).is_empty());
    assert_eq!(PutBlob::decode(vec![0xff; 9]), Err(WireError::Malformed));
}

const HARD: usize = crate::HARD_MAX_PAYLOAD as usize;

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = Request::decode(bytes.clone());
        let _ = Response::decode(bytes.clone());
        let _ = PutBlob::decode(bytes);
    }

    #[test]
    fn changed_messages_never_panic(
        which in 0usize..12,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (requests, responses) = (requests(), responses());
        let mut bytes = match which {
            0..5 => requests[which].encode(),
            _ => responses[which - 5].encode(),
        };
        for (at, value) in changes {
            if let Some(at) = (!bytes.is_empty()).then(|| at.index(bytes.len())) {
                bytes[at] = value;
            }
        }
        if let Ok(request) = Request::decode(bytes.clone()) {
            prop_assert_eq!(Request::decode(request.encode()), Ok(request));
        }
        if let Ok(response) = Response::decode(bytes.clone()) {
            prop_assert_eq!(Response::decode(response.encode()), Ok(response));
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = Request::decode(bytes.clone());
        let _ = Response::decode(bytes);
    }
}
