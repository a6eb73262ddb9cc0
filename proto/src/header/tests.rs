#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::{Coded, kzg::CommitmentBytes, payload::Encoding};
use proptest::prelude::*;

use super::*;
use crate::testing::{batch_header, blob_header};

// Golden bytes, computed by a separate script (hand-written ABI, Python's hashlib), never by this code: a change here
// is a change of the protocol.
const BLOB_ABI: &str = "\
0000000000000000000000000000000000000000000000000000000000000020\
0000000000000000000000000000000000000000000000000000000000000001\
0000000000000000000000000000000000000000000000000000000000000000\
00000000000000000000000000000000000000000000000000000000000493e0\
0000000000000000000000000000000000000000000000000000000000000003\
1111111111111111111111111111111111111111111111111111111111111111\
2222222222222222222222222222222222222222222222222222222222222222\
0000000000000000000000000000000000000000000000000000000000000120\
0000000000000000000000000102030405060708090a0b0c0d0e0f1011121314\
0000000000000000000000000000000000000000000000000123456789abcdef\
0000000000000000000000000000000000000000000000000000000000000003\
0001070000000000000000000000000000000000000000000000000000000000";
const BLOB_KEY: &str = "0x442c7a04183a69f7b11c939098d2082ab2ff1dfbc3042b552e960b97b39ff27e";
const BATCH_ABI: &str = "\
6a29179c11a123b418db214f69ac20c76632795db96b775bb5ac26edbdd45c20\
3333333333333333333333333333333333333333333333333333333333333333\
0000000000000000000000000000000000000000000000000000000000000001\
a8f9bb049152694c1e45d763f56f64025702fe90779fe63f97023e42bed95f39\
0000000000000000000000000000000000000000000000000000000000000001\
0000000000000000000000000000000000000000000000000000000000000003\
000000000000000000000000000000000000000000000000000000000012d687\
000000000000000000000000000000000000000000000000000000000000002a\
0000000000000000000000000000000000000000000000000000000000000009\
0000000000000000000000000000000000000000000000000000018bcfe5687b";
const BATCH_DIGEST: &str = "0x1c6b7c72012c357f17c92234f32149e8c6b8f3ed36d2bbe6c2d492daa8af8363";
const SUBMISSION_ID: &str = "0x93f58bca093ae61358fcde98f904fc856fe051ebeaa1ee78ca169c0fb8105962";
const COMMITMENTS_ROOT: &str = "5d9014e6ffee77cb1230159c06669ffd98671aa9c8a5c1909b3da08ff5b53c12";

fn golden_blob() -> BlobHeader {
    blob_header(300_000, &[0, 1, 7], 0x0123_4567_89ab_cdef)
}

#[test]
fn golden_bytes() {
    let blob = golden_blob();
    assert_eq!(hex::encode(blob.abi_encode()), BLOB_ABI);
    assert_eq!(blob.blob_key().to_string(), BLOB_KEY);
    let batch = batch_header(&[blob]);
    assert_eq!(hex::encode(batch.abi_encode()), BATCH_ABI);
    assert_eq!(batch.digest().to_string(), BATCH_DIGEST);
    let submission = Submission {
        version: 1,
        encoding: Encoding::Eip4844,
        payload_len: 131_072,
        quorums: vec![0],
        account: blob_header(1, &[0], 0).account,
        salt: 5,
        payload_sha256: [0x33; 32],
    };
    assert_eq!(submission.id().to_string(), SUBMISSION_ID);
    let commitments = [1, 2, 3].map(|i| CommitmentBytes([i; 48]));
    assert_eq!(
        hex::encode(commitments_root(&commitments)),
        COMMITMENTS_ROOT
    );
}

#[test]
fn only_canonical_bytes_decode() {
    let blob = golden_blob().abi_encode();
    let batch = batch_header(&[golden_blob()]).abi_encode();
    assert_eq!(BlobHeader::abi_decode(&blob), Ok(golden_blob()));
    assert_eq!(
        BatchHeader::abi_decode(&batch),
        Ok(batch_header(&[golden_blob()]))
    );

    let refused = |bytes: &[u8]| BlobHeader::abi_decode(bytes).unwrap_err().code();
    let mut trailing = blob.clone();
    trailing.push(0);
    assert_eq!(refused(&trailing), "header.length");
    for cut in 0..blob.len() {
        assert!(
            BlobHeader::abi_decode(&blob[..cut]).is_err(),
            "cut to {cut} bytes"
        );
    }
    // Padding behind the three quorums.
    let mut padded = blob.clone();
    *padded.last_mut().unwrap() = 1;
    assert_eq!(refused(&padded), "header.not_canonical");
    // A version that does not fit its type.
    let mut wide = blob;
    wide[32 + 31 - 2] = 1;
    assert!(["header.not_canonical", "header.abi"].contains(&refused(&wide)));

    let mut long = batch.clone();
    long.push(0);
    assert_eq!(
        BatchHeader::abi_decode(&long).unwrap_err().code(),
        "header.length"
    );
    let mut wide = batch;
    wide[2 * 32] = 1;
    assert!(BatchHeader::abi_decode(&wide).is_err());
}

#[test]
fn every_rule_of_a_blob_header() {
    let broken = |change: &dyn Fn(&mut BlobHeader)| {
        let mut header = golden_blob();
        change(&mut header);
        let error = header.validate().unwrap_err();
        // What is refused in memory is refused on the wire.
        assert_eq!(
            BlobHeader::abi_decode(&header.abi_encode())
                .map_err(|e| e.code() == error.code() || e.code() == "header.length"),
            Err(true)
        );
        error.code()
    };
    assert_eq!(broken(&|h| h.version = 9), "version.unknown");
    assert_eq!(broken(&|h| h.quorums = vec![]), "header.quorum_count");
    assert_eq!(
        broken(&|h| h.quorums = (0..17).collect()),
        "header.quorum_count"
    );
    assert_eq!(broken(&|h| h.quorums = vec![1, 0]), "header.quorum_order");
    assert_eq!(
        broken(&|h| h.quorums = vec![0, 1, 1]),
        "header.quorum_order"
    );
    assert_eq!(broken(&|h| h.payload_len = 0), "payload.empty");
    assert_eq!(
        broken(&|h| h.payload_len = HARD_MAX_PAYLOAD + 1),
        "payload.too_large"
    );
    assert_eq!(broken(&|h| h.rows = 2), "header.rows");
    assert_eq!(broken(&|h| h.rows = 4), "header.rows");
    // Whole rows only.
    assert!(!broken(&|h| h.encoding = Encoding::Eip4844).is_empty());

    let mut unknown_encoding = golden_blob().abi_encode();
    unknown_encoding[3 * 32 - 1] = 2;
    assert_eq!(
        BlobHeader::abi_decode(&unknown_encoding),
        Err(HeaderError::Encoding { got: 2 })
    );
}

#[test]
fn every_rule_of_a_batch_header() {
    let broken = |change: &dyn Fn(&mut BatchHeader)| {
        let mut header = batch_header(&[golden_blob()]);
        change(&mut header);
        let error = header.validate().unwrap_err();
        assert_eq!(
            BatchHeader::abi_decode(&header.abi_encode()).unwrap_err(),
            error
        );
        error.code()
    };
    assert_eq!(broken(&|h| h.version = 0), "version.unknown");
    assert_eq!(broken(&|h| h.rows = HARD_MAX_BATCH_ROWS + 1), "batch.rows");
    assert_eq!(broken(&|h| h.blobs = 0), "batch.blobs");
    assert_eq!(broken(&|h| h.blobs = 4), "batch.blobs");
}

#[test]
fn a_batch_has_its_blobs_and_no_others() {
    let blobs = [
        blob_header(1000, &[0, 1], 1),
        blob_header(200_000, &[0, 1], 2),
    ];
    let batch = batch_header(&blobs);
    assert_eq!(batch.check_blobs(&blobs), Ok(()));
    let code =
        |batch: &BatchHeader, blobs: &[BlobHeader]| batch.check_blobs(blobs).unwrap_err().code();
    assert_eq!(code(&batch, &blobs[..1]), "batch.blob_count");
    assert_eq!(
        code(&batch, &[blobs[1].clone(), blobs[0].clone()]),
        "batch.root"
    );
    assert_eq!(
        code(
            &BatchHeader {
                rows: 4,
                ..batch.clone()
            },
            &blobs
        ),
        "batch.row_count"
    );
    let mut other = blobs.clone();
    other[1].version = 2;
    assert_eq!(code(&batch_header(&other), &other), "batch.mixed_versions");
    let mut other = blobs;
    other[1].quorums = vec![0];
    assert_eq!(code(&batch_header(&other), &other), "batch.mixed_quorums");
}

#[test]
fn configured_limits() {
    let limits = Limits {
        max_payload: 100,
        max_batch_rows: 3,
        max_batch_blobs: 2,
    };
    assert_eq!(limits.check_payload(100), Ok(()));
    assert_eq!(
        limits.check_payload(101).unwrap_err().code(),
        "payload.too_large"
    );
    assert_eq!(limits.check_payload(0).unwrap_err().code(), "payload.empty");
    let batch = batch_header(&[golden_blob()]);
    assert_eq!(limits.check_batch(&batch), Ok(()));
    assert_eq!(
        limits
            .check_batch(&BatchHeader {
                rows: 4,
                ..batch.clone()
            })
            .unwrap_err()
            .code(),
        "batch.rows"
    );
    assert_eq!(
        limits
            .check_batch(&BatchHeader { blobs: 3, ..batch })
            .unwrap_err()
            .code(),
        "batch.blobs"
    );
}

proptest! {
    #[test]
    fn blob_headers_round_trip(
        payload_len in 1u64..=HARD_MAX_PAYLOAD,
        quorums in proptest::collection::btree_set(any::<u8>(), 1..=16),
        roots in any::<([u8; 32], [u8; 32])>(),
        account in any::<[u8; 20]>(),
        salt in any::<u64>(),
    ) {
        let quorums: Vec<u8> = quorums.into_iter().collect();
        let mut header = blob_header(payload_len, &quorums, salt);
        (header.commitments_root, header.chunk_root) = roots;
        header.account = Account(account);
        prop_assert_eq!(header.abi_encode().len(), BLOB_HEADER_BYTES);
        prop_assert_eq!(BlobHeader::abi_decode(&header.abi_encode()), Ok(header));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = BlobHeader::abi_decode(&bytes);
        let _ = BatchHeader::abi_decode(&bytes);
    }

    #[test]
    fn a_changed_byte_is_another_header_or_none(at in 0usize..384, change in 1u8..) {
        let mut bytes = golden_blob().abi_encode();
        bytes[at] ^= change;
        if let Ok(header) = BlobHeader::abi_decode(&bytes) {
            prop_assert_ne!(header.blob_key(), golden_blob().blob_key());
            prop_assert_eq!(header.abi_encode(), bytes);
        }
    }
}
