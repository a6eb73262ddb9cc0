//! What comes over the network: certificates, headers, envelopes, frames, bodies.

use std::cell::RefCell;
use std::sync::OnceLock;

use ashlar_proto::api::{BlobStatus, Problem};
use ashlar_proto::auth::header::{MAX_HEADER_BYTES, SignedAuthorization, SignedVoucher};
use ashlar_proto::wire::{
    GetChunks, GetCombined, GetLatest, GetSlices, KeepCertificate, ListBatches, Ping, PutBlob,
    Request, Response, SignBatch, StoreBatch,
};
use ashlar_proto::{
    BatchHeader, BlobHeader, Certificate, CertificatePolicy, Domain, MaxAge, RequiredQuorums,
    TrustedTable, verify_certificate, verify_portable,
};
use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use super::{json, json_without, no_percents, text};
use crate::memory;
use crate::samples::{self, table};

/// Certificates: decoding is canonical, and nothing but the three operators' certificate passes the check.
pub(crate) fn certificate(data: &[u8]) {
    let Ok(certificate) = Certificate::from_bytes(data) else {
        return;
    };
    assert_eq!(
        certificate.to_bytes(),
        data,
        "a certificate has one encoding"
    );
    let policy = CertificatePolicy::new(
        table().domain(),
        RequiredQuorums::all([0]),
        MaxAge::Unbounded,
    );
    let trusted = TrustedTable::trust_on_my_own_word(table());
    let checked = [
        verify_certificate(&certificate, &trusted, &policy),
        verify_portable(&certificate, &trusted.trusted_root(), &policy),
    ];
    for verified in checked.into_iter().flatten() {
        let (batch, _) = samples::batch();
        assert_eq!(
            verified.batch_header(),
            &batch,
            "a batch that nobody signed"
        );
    }
    let _ = certificate
        .to_portable(table())
        .map(|portable| portable.to_bytes());
    let _ = certificate.to_compact().map(|compact| compact.to_bytes());
}

/// ABI-encoded headers: one encoding each, because their hash is their name.
pub(crate) fn headers(data: &[u8]) {
    if let Ok(header) = BlobHeader::abi_decode(data) {
        assert_eq!(header.abi_encode(), data);
        let _ = header.validate();
        let _ = header.slice_bytes();
    }
    if let Ok(header) = BatchHeader::abi_decode(data) {
        assert_eq!(header.abi_encode(), data);
        let _ = header.validate();
        let _ = header.check_blobs(&[samples::blob_header(0)]);
    }
}

/// Request envelopes: what decodes survives a round trip, and the length of its bulk part can be computed.
pub(crate) fn wire_request(data: &[u8]) {
    let Ok(request) = Request::decode(data.to_vec()) else {
        return;
    };
    let (_, _) = (request.bulk_len(), request.answer_limit());
    let again = Request::decode(request.encode()).expect("it was decoded before");
    assert_eq!(again, request);
}

/// Response envelopes: what decodes survives a round trip, and the length of its bulk part can be computed.
pub(crate) fn wire_response(data: &[u8]) {
    let Ok(response) = Response::decode(data.to_vec()) else {
        return;
    };
    let _ = response.bulk_len();
    let again = Response::decode(response.encode()).expect("it was decoded before");
    assert_eq!(again, response);
}

/// Envelopes: whatever decodes or is refused, the memory that it takes is a few times the envelope's length. Only under libFuzzer:
/// `proto/tests/wire_memory.rs` has an allocator that counts, too.
pub(crate) fn wire_memory(data: &[u8]) {
    for request in [true, false] {
        let envelope = data.to_vec();
        // The error outlives the measurement: it may hold text.
        let (kept, peak) = memory::peak(|| {
            if request {
                Request::decode(envelope).map(|_| ()).err()
            } else {
                Response::decode(envelope).map(|_| ()).err()
            }
        });
        let len = data.len();
        assert!(peak <= 8 * len + 4096, "{peak} bytes for {len} ({kept:?})");
    }
}

/// A whole message as it comes on a stream, read as a server reads requests and as a client reads answers. What is taken was
/// there from the first byte to the last.
pub(crate) fn frame(data: &[u8]) {
    thread_local! {
        static RUNTIME: RefCell<Runtime> = RefCell::new(
            Builder::new_current_thread().enable_time().build().expect("a runtime"),
        );
    }
    let framed = |envelope: &[u8], bulk: &Bytes| {
        let mut message = (envelope.len() as u32).to_be_bytes().to_vec();
        message.extend_from_slice(envelope);
        message.extend_from_slice(&(bulk.len() as u64).to_be_bytes());
        message.extend_from_slice(bulk);
        Bytes::from(message)
    };
    let message = Bytes::copy_from_slice(data);
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async {
            if let Ok((request, bulk)) = ashlar_net::fuzzing::request(&message).await {
                let again = framed(&request.encode(), &bulk);
                let read = ashlar_net::fuzzing::request(&again).await;
                assert_eq!(read.expect("it was just framed"), (request, bulk));
            }
            for request in requests() {
                if let Ok((answer, bulk)) = ashlar_net::fuzzing::answer(request, &message).await {
                    let again = framed(&answer.encode(), &bulk);
                    let read = ashlar_net::fuzzing::answer(request, &again).await;
                    assert_eq!(read.expect("it was just framed"), (answer, bulk));
                }
            }
        });
    });
}

/// One request of each kind.
pub(crate) fn requests() -> &'static [Request; 10] {
    static REQUESTS: OnceLock<[Request; 10]> = OnceLock::new();
    REQUESTS.get_or_init(make_requests)
}

fn make_requests() -> [Request; 10] {
    let (batch_header, blob_headers) = samples::batch();
    let runs = samples::runs();
    let blob = blob_headers[0].blob_key();
    let [certificate, _] = samples::certificates();
    let batch_digest = batch_header.digest();
    [
        Request::KeepCertificate(Box::new(KeepCertificate { certificate })),
        Request::ListBatches(ListBatches {
            after: Some(samples::batch_place()),
        }),
        Request::GetCombined(GetCombined {
            batch_digest,
            indices: runs.clone(),
        }),
        Request::DialMe,
        Request::SignBatch(SignBatch {
            batch_header: batch_header.clone(),
            disperser_signature: samples::disperser_signature(),
        }),
        Request::GetSlices(GetSlices {
            blob_key: blob,
            indices: runs.clone(),
        }),
        Request::GetChunks(GetChunks {
            batch_digest,
            indices: runs.clone(),
        }),
        Request::StoreBatch(StoreBatch {
            batch_header,
            disperser_signature: samples::disperser_signature(),
            slice_proofs: vec![samples::proofs(); blob_headers.len()],
            blob_headers,
            runs,
            chunk_proofs: samples::chunk_proofs(),
        }),
        Request::Ping(Ping { nonce: 7 }),
        Request::GetLatest(GetLatest {
            domain: Domain([4; 32]),
            disperser_id: 3,
        }),
    ]
}

/// The protobuf body of a submission.
pub(crate) fn put_blob(data: &[u8]) {
    let Ok(put) = PutBlob::decode(data.to_vec()) else {
        return;
    };
    let again = PutBlob::decode(put.encode()).expect("it was decoded before");
    assert_eq!(again, put);
    assert!(put.encode().len() as u64 <= PutBlob::max_len(put.payload.len() as u64));
}

/// The headers that an account signs for a submission: what is read has one meaning, and stands for nobody but its signer.
pub(crate) fn auth_headers(data: &[u8]) {
    let Some(text) = text(data) else {
        return;
    };
    let (domain, account) = (table().domain(), samples::account());
    if let Ok(signed) = text.parse::<SignedAuthorization>() {
        assert!(text.len() <= MAX_HEADER_BYTES);
        let again = signed.to_string();
        assert_eq!(again.parse(), Ok(signed));
        if let Ok(authorized) = signed.verify(domain, samples::DISPERSER, samples::DEADLINE) {
            let (ours, theirs) = (samples::authorization(), samples::granted());
            let known = [ours, theirs]
                .iter()
                .any(|of| (of.authorization, of.account) == (signed.authorization, signed.account));
            assert!(known, "nobody signed this: {signed}");
            assert_eq!(authorized.account(), account);
        }
    }
    if let Ok(signed) = text.parse::<SignedVoucher>() {
        assert!(text.len() <= MAX_HEADER_BYTES);
        assert_eq!(signed.to_string().parse(), Ok(signed));
        if signed.verify(domain, account, samples::DISPERSER).is_ok() {
            let ours = samples::voucher().cumulative;
            assert_eq!(signed.cumulative, ours, "nobody signed this: {signed}");
        }
    }
}

/// What a disperser answers in JSON.
pub(crate) fn disperser_json(data: &[u8]) {
    let without = |status: &mut BlobStatus| {
        if let Some(batch) = &mut status.batch {
            no_percents(&mut batch.signed);
        }
    };
    json_without(without, data);
    json::<Problem>(data);
}
