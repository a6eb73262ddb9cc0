#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::{Fq, G1Affine, g1};
use ark_ec::AffineRepr;
use ark_ec::CurveGroup;
use ark_ec::hashing::curve_maps::wb::WBMap;
use ark_ec::hashing::map_to_curve_hasher::MapToCurve;
use ark_serialize::CanonicalSerialize;
use proptest::prelude::*;

use super::*;

/// RFC 9380, appendix K.1.
const RFC_TAG: &[u8] = b"QUUX-V01-CS02-with-expander-SHA256-128";

#[test]
fn sha256_of_known_messages() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex::encode(sha256(&[])), empty);
    assert_eq!(hex::encode(sha256(&[b"", b""])), empty);
    assert_eq!(hex::encode(sha256(&[b"abc"])), abc);
    assert_eq!(hex::encode(sha256(&[b"a", b"", b"bc"])), abc);
}

#[test]
fn expand_xmd_of_rfc_9380_k1() {
    for (message, len, expected) in [
        (
            "",
            0x20,
            "68a985b87eb6b46952128911f2a4412bbc302a9d759667f87f7a21d803f07235",
        ),
        (
            "abc",
            0x20,
            "d8ccab23b5985ccea865c6c97b6e5b8350e794e603b4b97902f53a8a0d605615",
        ),
        (
            "abcdef0123456789",
            0x20,
            "eff31487c770a893cfb36f912fbfcbff40d5661771ca4b2cb4eafe524333f5c1",
        ),
        (
            "",
            0x80,
            "af84c27ccfd45d41914fdff5df25293e221afc53d8ad2ac06d5e3e29485dadbee0d121587713a3e0dd4d5e69e93eb7cd\
             4f5df4cd103e188cf60cb02edc3edf18eda8576c412b18ffb658e3dd6ec849469b979d444cf7b26911a08e63cf31f9dc\
             c541708d3491184472c2c29bb749d4286b004ceb5ee6b9a7fa5b646c993f0ced",
        ),
    ] {
        assert_eq!(
            hex::encode(expand_xmd(message.as_bytes(), RFC_TAG, len)),
            expected,
            "{message:?}, {len}"
        );
    }
}

#[test]
fn expand_xmd_lengths() {
    assert!(expand_xmd(b"m", RFC_TAG, 0).is_empty());
    assert_eq!(expand_xmd(b"m", RFC_TAG, 33).len(), 33);
    assert_eq!(
        expand_xmd(b"m", RFC_TAG, MAX_EXPANDED_LEN).len(),
        MAX_EXPANDED_LEN
    );
    // The length is hashed too: a shorter output is no prefix of a longer one.
    assert_ne!(
        expand_xmd(b"m", RFC_TAG, 32),
        expand_xmd(b"m", RFC_TAG, 64)[..32]
    );
}

#[test]
#[should_panic(expected = "at most 8160 bytes")]
fn expand_xmd_refuses_more_than_the_rfc_can_count() {
    expand_xmd(b"m", RFC_TAG, MAX_EXPANDED_LEN + 1);
}

/// Hash to G1 (RFC 9380, `BLS12381G1_XMD:SHA-256_SSWU_RO_`) on our expansion, by the curve maps of arkworks.
fn hash_to_g1(message: &[u8], tag: &[u8]) -> Vec<u8> {
    let uniform = expand_xmd(message, tag, 128);
    let map = |bytes: &[u8]| -> G1Affine {
        WBMap::<g1::Config>::map_to_curve(Fq::from_be_bytes_mod_order(bytes)).unwrap()
    };
    let sum = map(&uniform[..64]) + map(&uniform[64..]);
    let mut out = Vec::new();
    sum.into_affine()
        .clear_cofactor()
        .serialize_compressed(&mut out)
        .unwrap();
    out
}

/// The same by blst: with secret key 1, a signature is the hash of the message.
fn hash_to_g1_by_blst(message: &[u8], tag: &[u8]) -> Vec<u8> {
    let mut one = [0; 32];
    one[31] = 1;
    let one = blst::min_sig::SecretKey::from_bytes(&one).unwrap();
    one.sign(message, tag, &[]).to_bytes().to_vec()
}

#[test]
fn a_long_tag_is_hashed_as_blst_does() {
    for len in [0, 1, 254, 255, 256, 300] {
        let tag = vec![b'x'; len];
        assert_eq!(
            hash_to_g1(b"message", &tag),
            hash_to_g1_by_blst(b"message", &tag),
            "tag of {len} bytes"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn expansion_is_that_of_blst(message in proptest::collection::vec(any::<u8>(), 0..200), tag in proptest::collection::vec(any::<u8>(), 1..80)) {
        prop_assert_eq!(hash_to_g1(&message, &tag), hash_to_g1_by_blst(&message, &tag));
    }

    #[test]
    fn scalars_are_the_expansion_modulo_r(data in proptest::collection::vec(any::<u8>(), 0..100)) {
        // Schoolbook: a byte at a time, with nothing of the library's reduction.
        let mut expected = Fr::from(0u64);
        for byte in expand_xmd(&data, b"ashlar/test/1", 64) {
            expected = expected * Fr::from(256u64) + Fr::from(u64::from(byte));
        }
        prop_assert_eq!(hash_to_scalar("ashlar/test/1", &data).0, expected);
    }
}

#[test]
fn scalars_depend_on_tag_and_data() {
    let base = hash_to_scalar("a", b"data");
    assert_ne!(base, hash_to_scalar("b", b"data"));
    assert_ne!(base, hash_to_scalar("a", b"Data"));
}

/// Pins the function: the row challenge is made by it, so a change would split the network. Computed by a few lines of Python.
#[test]
fn golden_scalar() {
    let scalar = hash_to_scalar("ashlar/row-challenge/1", &[0; 32]);
    assert_eq!(hex::encode(scalar.to_be_bytes()), GOLDEN);
}

const GOLDEN: &str = "44c64d3f9da69369eab9f583451f0f22e14172125fd37048cbb0d73b07d3ee98";
