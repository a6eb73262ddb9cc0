//! Names and bytes that must not change: data lives for weeks, programs change in between.

use ashlar_crypto::bls::SignatureBytes;
use ashlar_crypto::hash::sha256;
use bytes::Bytes;

use super::super::codec::{self, Kind};
use super::*;

#[test]
fn column_family_names() {
    assert_eq!(Space::Meta.name(), "meta");
    assert_eq!(Space::Signed.name(), "signed");
    assert_eq!(Space::Equivocations.name(), "equivocations");
    assert_eq!(
        Space::Window(WindowId(1_795_000_000)).name(),
        "window-001795000000"
    );
    for space in [
        Space::Meta,
        Space::Signed,
        Space::Equivocations,
        Space::Window(WindowId(0)),
        Space::Window(WindowId(u64::MAX)),
    ] {
        assert_eq!(Space::from_name(&space.name()), Some(space));
    }
    for name in [
        "",
        "default",
        "window-",
        "window-1",
        "window-00000000000x",
        "window-+00000000001",
    ] {
        assert_eq!(Space::from_name(name), None, "{name}");
    }
}

#[test]
fn keys() {
    let digest = BatchDigest([0xaa; 32]);
    let with = |first: u8, rest: &[u8]| [&[first], [0xaa; 32].as_slice(), rest].concat();
    assert_eq!(codec::batch_key(&digest), with(b'b', &[]));
    assert_eq!(codec::directory_key(&digest), with(b'd', &[]));
    assert_eq!(codec::certificate_key(&digest), with(b'c', &[]));
    assert_eq!(codec::index_key(&BlobKey([0xaa; 32])), with(b'k', &[]));
    assert_eq!(
        codec::slices_key(&digest, 0x0102_0304),
        with(b's', &[1, 2, 3, 4])
    );
    assert_eq!(
        codec::slices_value_key(&digest, 0x0102_0304, 5),
        with(b's', &[1, 2, 3, 4, 0, 0, 0, 5])
    );
    let numbers = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2];
    let key = codec::signed_key(&sequence(1, 2));
    assert_eq!(key, [DOMAIN.0.as_slice(), &numbers].concat());
    assert_eq!(codec::sequence_of_key(&key).unwrap(), sequence(1, 2));
    assert!(codec::sequence_of_key(&key[1..]).is_err());
    let floor = codec::floor_key(&DOMAIN, 1);
    assert_eq!(
        floor,
        [b"floor/", DOMAIN.0.as_slice(), &[0, 0, 0, 1]].concat()
    );
    assert_eq!(codec::disperser_of_floor_key(&floor).unwrap(), (DOMAIN, 1));
    assert!(codec::disperser_of_floor_key(&floor[..9]).is_err());
    assert_eq!(Kind::Directory as u8, b'd');
}

#[test]
fn values() {
    let batch = sample(1, 2, 3, 950);
    let mut all = Vec::new();
    let key = codec::batch_key(&batch.digest);
    all.push(codec::encode_batch(&key, &StoredBatch::from(&batch)));
    let key = codec::slices_key(&batch.digest, 1);
    all.push(codec::encode_slices(&key, &batch.runs, &batch.blobs[1]));
    let key = codec::index_key(&batch.blobs[0].key);
    all.push(codec::encode_index(&key, &batch.digest, 7));
    let key = codec::directory_key(&batch.digest);
    all.push(codec::encode_summary(
        &key,
        BatchSummary { blobs: 3, bytes: 4 },
    ));
    let key = codec::signed_key(&sequence(1, 2));
    let mut record = promise(&batch);
    all.push(codec::encode_signed(&key, &record));
    record.signature = Some(SignatureBytes([5; 48]));
    all.push(codec::encode_signed(&key, &record));
    all.push(codec::encode_u64(codec::META_TIME, 7));
    for used in [vec![], vec![(9, 10)]] {
        let allowance = Allowance {
            left: 7,
            held: 8,
            used,
        };
        all.push(codec::encode_allowance(codec::META_ALLOWANCE, &allowance));
    }
    let key = codec::certificate_key(&batch.digest);
    let signature = &batch.disperser_signature;
    all.push(codec::encode_certified(
        &key,
        &certificate(&batch),
        signature,
    ));
    let peer = ListedPeer {
        after: None,
        done: true,
    };
    let progress = IndexProgress {
        may_sign: true,
        done: false,
        held: false,
        since: 0,
        peers: [(ME, peer)].into(),
    };
    all.push(codec::encode_index_progress(codec::META_INDEX, &progress));
    let hashes: Vec<String> = all
        .iter()
        .map(|value| hex::encode(&sha256(&[value])[..8]))
        .collect();
    assert_eq!(hashes, GOLDEN);
}

/// First bytes of the SHA-256 of each value above. If this changes, so must `FORMAT`.
const GOLDEN: [&str; 11] = [
    "cf5e47d1962c2b7a",
    "721cd03c647277c1",
    "fc109c75ef7936fb",
    "f01ed06b46171b7f",
    "6981cd33c13a2649",
    "158bf6b49b778af9",
    "310fdf19dd4aeb26",
    "6dd38a90f464c481",
    "540ea4c4388006e8",
    "a75cdbd5e437f159",
    "bd260fca399b62ca",
];

#[test]
fn every_flipped_byte_is_noticed() {
    let batch = sample(1, 2, 3, 950);
    let key = codec::batch_key(&batch.digest);
    let value = codec::encode_batch(&key, &StoredBatch::from(&batch));
    for place in 0..value.len() {
        let mut bad = value.clone();
        bad[place] ^= 1;
        assert!(
            matches!(
                codec::decode_batch(&key, &bad),
                Err(StoreError::Corrupt { .. })
            ),
            "byte {place}"
        );
    }
    for len in 0..value.len() {
        assert!(codec::decode_batch(&key, &value[..len]).is_err());
    }
    let elsewhere = codec::batch_key(&BatchDigest([1; 32]));
    assert!(
        codec::decode_batch(&elsewhere, &value).is_err(),
        "a value at another's key"
    );

    let key = codec::signed_key(&sequence(1, 2));
    let record = promise(&batch);
    let value = codec::encode_signed(&key, &record);
    assert_eq!(
        codec::decode_signed(&key, &value, &sequence(1, 2)).unwrap(),
        record
    );
    for place in 0..value.len() {
        let mut bad = value.clone();
        bad[place] ^= 0x80;
        assert!(
            codec::decode_signed(&key, &bad, &sequence(1, 2)).is_err(),
            "byte {place}"
        );
    }
}

#[test]
fn every_flipped_byte_of_slices_is_noticed() {
    let batch = sample_of(|_| 10, 1, 2, 3, 950);
    let key = codec::slices_key(&batch.digest, 0);
    let head = codec::encode_slices(&key, &batch.runs, &batch.blobs[0]);
    let values: Vec<Vec<u8>> = batch.blobs[0].values().map(Vec::from).collect();
    assert_eq!(values.len(), 2);
    let whole = |head: &[u8], values: &[Vec<u8>]| {
        let mut slices = codec::decode_slices(&key, head)?;
        for (value, number) in values.iter().zip(0u32..) {
            slices.values.insert(number, Bytes::from(value.clone()));
        }
        slices.check(512)
    };
    whole(&head, &values).unwrap();
    for place in 0..head.len() {
        let mut bad = head.clone();
        bad[place] ^= 1;
        assert!(whole(&bad, &values).is_err(), "byte {place}");
        assert!(whole(&head[..place], &values).is_err(), "cut to {place}");
    }
    for number in 0..values.len() {
        // Bytes of every slice.
        for place in (0..values[number].len()).step_by(97) {
            let mut bad = values.clone();
            bad[number][place] ^= 1;
            assert!(whole(&head, &bad).is_err(), "byte {place} of {number}");
        }
        for len in (0..values[number].len()).step_by(1013) {
            let mut bad = values.clone();
            bad[number].truncate(len);
            assert!(whole(&head, &bad).is_err(), "{number} cut to {len}");
        }
        assert!(whole(&head, &values[..number]).is_err());
    }
}
