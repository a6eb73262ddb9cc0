#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::{Bls12_381, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::pairing::Pairing;
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{PrimeField, UniformRand};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use ark_std::rand::SeedableRng;
use proptest::prelude::*;

use super::*;
use crate::Blame;

fn key(n: u8) -> SecretKey {
    SecretKey::from_ikm(&[n; 32])
}

fn keys(n: u8) -> Vec<SecretKey> {
    (1..=n).map(key).collect()
}

fn public(keys: &[SecretKey]) -> Vec<PublicKey> {
    keys.iter().map(SecretKey::public_key).collect()
}

fn compressed<const N: usize>(point: &impl CanonicalSerialize) -> [u8; N] {
    let mut out = Vec::new();
    point.serialize_compressed(&mut out).unwrap();
    out.try_into().unwrap()
}

/// A point of the curve that is not in the subgroup. The cofactors are so large that the first point found is one.
fn outside_g1() -> SignatureBytes {
    let point = (1u64..)
        .find_map(|x| G1Affine::get_point_from_x_unchecked(Fq::from(x), false))
        .unwrap();
    assert!(point.is_on_curve() && !point.is_in_correct_subgroup_assuming_on_curve());
    SignatureBytes(compressed(&point))
}

fn outside_g2() -> PublicKeyBytes {
    let point = (1u64..)
        .find_map(|x| {
            G2Affine::get_point_from_x_unchecked(Fq2::new(Fq::from(x), Fq::from(1)), false)
        })
        .unwrap();
    assert!(point.is_on_curve() && !point.is_in_correct_subgroup_assuming_on_curve());
    PublicKeyBytes(compressed(&point))
}

#[test]
fn signs_and_verifies() {
    let key = key(1);
    let signature = key.sign(b"message");
    assert_eq!(key.public_key().verify(b"message", &signature), Ok(()));
    assert_eq!(
        key.public_key().verify(b"Message", &signature),
        Err(BlsError::Signature)
    );
    assert_eq!(
        super::tests::key(2)
            .public_key()
            .verify(b"message", &signature),
        Err(BlsError::Signature)
    );
    assert_eq!(key.sign(b"message"), signature, "signing is deterministic");
}

/// Everything but the hash of the message, by arkworks: pk = sk·G2 and e(σ, G2) = e(H(m), pk), where H(m) is the signature of
/// the key 1.
#[test]
fn agrees_with_arkworks() {
    let mut rng = ark_std::rand::rngs::StdRng::seed_from_u64(7);
    let scalar = Fr::rand(&mut rng);
    let secret: [u8; 32] = {
        use ark_ff::BigInteger;
        scalar.into_bigint().to_bytes_be().try_into().unwrap()
    };
    let key = SecretKey::from_bytes(&secret).unwrap();
    let public = (G2Affine::generator() * scalar).into_affine();
    assert_eq!(key.public_key().to_bytes().0, compressed::<96>(&public));

    let mut one = [0; 32];
    one[31] = 1;
    let hash = SecretKey::from_bytes(&one)
        .unwrap()
        .sign(b"message")
        .to_bytes();
    let hash = G1Affine::deserialize_compressed(&hash.0[..]).unwrap();
    let signature =
        G1Affine::deserialize_compressed(&key.sign(b"message").to_bytes().0[..]).unwrap();
    assert_eq!(signature, (hash * scalar).into_affine());
    assert_eq!(
        Bls12_381::pairing(signature, G2Affine::generator()),
        Bls12_381::pairing(hash, public)
    );
}

/// The suites are part of every signature that was ever made.
#[test]
fn suites_are_those_of_the_draft() {
    assert_eq!(
        SIGNATURE_SUITE,
        "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
    );
    assert_eq!(
        POSSESSION_SUITE,
        "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
    );
    let raw = BlstSecretKey::from_bytes(&key(1).to_bytes()[..]).unwrap();
    let by_blst = raw.sign(b"m", b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_", &[]);
    assert_eq!(key(1).sign(b"m").to_bytes().0, by_blst.to_bytes());
}

#[test]
fn secret_keys_are_in_range() {
    assert_eq!(
        SecretKey::from_bytes(&[0; 32]).unwrap_err(),
        BlsError::SecretKey
    );
    assert_eq!(
        SecretKey::from_bytes(&[0xff; 32]).unwrap_err(),
        BlsError::SecretKey
    );
    let mut order = [0; 32];
    order.copy_from_slice(
        &hex::decode("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001").unwrap(),
    );
    assert_eq!(
        SecretKey::from_bytes(&order).unwrap_err(),
        BlsError::SecretKey
    );
    order[31] = 0;
    assert_eq!(*SecretKey::from_bytes(&order).unwrap().to_bytes(), order);
}

#[test]
fn debug_keeps_the_secret() {
    assert_eq!(format!("{:?}", key(3)), "SecretKey(..)");
}

#[test]
fn refuses_points_outside_the_subgroup() {
    assert_eq!(
        PublicKey::from_bytes(&outside_g2()),
        Err(BlsError::Subgroup)
    );
    assert_eq!(
        Signature::from_bytes(&outside_g1()),
        Err(BlsError::Subgroup)
    );
}

#[test]
fn refuses_infinity() {
    let (mut public, mut signature) = ([0; 96], [0; 48]);
    public[0] = 0xc0;
    signature[0] = 0xc0;
    assert_eq!(
        PublicKey::from_bytes(&PublicKeyBytes(public)),
        Err(BlsError::Infinity)
    );
    assert_eq!(
        Signature::from_bytes(&SignatureBytes(signature)),
        Err(BlsError::Infinity)
    );
    // Infinity has one encoding.
    for stray in [1, 47] {
        let (mut public, mut signature) = (public, signature);
        public[stray] = 1;
        signature[stray] = 1;
        assert_eq!(
            PublicKey::from_bytes(&PublicKeyBytes(public)),
            Err(BlsError::Encoding)
        );
        assert_eq!(
            Signature::from_bytes(&SignatureBytes(signature)),
            Err(BlsError::Encoding)
        );
    }
    public[0] = 0xe0;
    signature[0] = 0xe0;
    assert_eq!(
        PublicKey::from_bytes(&PublicKeyBytes(public)),
        Err(BlsError::Encoding)
    );
    assert_eq!(
        Signature::from_bytes(&SignatureBytes(signature)),
        Err(BlsError::Encoding)
    );
}

#[test]
fn refuses_other_encodings() {
    let (public, signature) = (key(1).public_key().to_bytes(), key(1).sign(b"m").to_bytes());
    // The flag that says "compressed" missing.
    let (mut p, mut s) = (public, signature);
    p.0[0] &= 0x7f;
    s.0[0] &= 0x7f;
    assert_eq!(PublicKey::from_bytes(&p), Err(BlsError::Encoding));
    assert_eq!(Signature::from_bytes(&s), Err(BlsError::Encoding));
    // A coordinate that is not reduced.
    let (mut p, mut s) = ([0xff; 96], [0xff; 48]);
    p[0] = 0x9f;
    s[0] = 0x9f;
    assert_eq!(
        PublicKey::from_bytes(&PublicKeyBytes(p)),
        Err(BlsError::Encoding)
    );
    assert_eq!(
        Signature::from_bytes(&SignatureBytes(s)),
        Err(BlsError::Encoding)
    );
    // An x without a point: about every second one.
    let off_curve = (1u64..)
        .find(|&x| G1Affine::get_point_from_x_unchecked(Fq::from(x), false).is_none())
        .unwrap();
    let mut s = [0; 48];
    s[0] = 0x80;
    s[40..].copy_from_slice(&off_curve.to_be_bytes());
    assert_eq!(
        Signature::from_bytes(&SignatureBytes(s)),
        Err(BlsError::Encoding)
    );
    assert_eq!(
        PublicKey::from_bytes(&PublicKeyBytes([0; 96])),
        Err(BlsError::Encoding)
    );
}

#[test]
fn the_other_sign_is_another_point() {
    let mut bytes = key(1).sign(b"m").to_bytes();
    bytes.0[0] ^= 0x20;
    let negative = Signature::from_bytes(&bytes).unwrap();
    assert_eq!(
        key(1).public_key().verify(b"m", &negative),
        Err(BlsError::Signature)
    );
}

#[test]
fn possession() {
    let (mine, other) = (key(1), key(2));
    let proof = mine.prove_possession();
    assert_eq!(mine.public_key().verify_possession(&proof), Ok(()));
    assert_eq!(
        other.public_key().verify_possession(&proof),
        Err(BlsError::Possession)
    );
    // A signature of the key's bytes as a message is no proof: otherwise whoever gets operators to sign
    // messages of its choice could register their keys.
    let bytes = mine.public_key().to_bytes();
    assert_eq!(
        mine.public_key().verify_possession(&mine.sign(&bytes.0)),
        Err(BlsError::Possession)
    );
    assert_eq!(
        mine.public_key().verify(&bytes.0, &proof),
        Err(BlsError::Signature)
    );
}

/// What possession is for. Without it, a key chosen as "mine minus yours" signs for both of us.
#[test]
fn a_rogue_key_signs_for_both_and_cannot_prove_itself() {
    let (victim, attacker) = (key(1), key(2));
    let rogue = subtract(&attacker.public_key(), &[victim.public_key()]).unwrap();
    let both = aggregate_public_keys(&[victim.public_key(), rogue]).unwrap();
    assert_eq!(
        both.verify(
            b"never seen by the victim",
            &attacker.sign(b"never seen by the victim")
        ),
        Ok(())
    );

    for proof in [attacker.prove_possession(), victim.prove_possession()] {
        assert_eq!(rogue.verify_possession(&proof), Err(BlsError::Possession));
    }
    let bytes = rogue.to_bytes();
    let forged = Signature(attacker.0.sign(&bytes.0, POSSESSION_SUITE.as_bytes(), &[]));
    assert_eq!(rogue.verify_possession(&forged), Err(BlsError::Possession));
}

#[test]
fn aggregates() {
    let keys = keys(5);
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(b"batch")).collect();
    let all = aggregate_public_keys(&public(&keys)).unwrap();
    let sum = aggregate_signatures(&signatures).unwrap();
    assert_eq!(all.verify(b"batch", &sum), Ok(()));
    assert_eq!(
        all.verify(b"batch", &aggregate_signatures(&signatures[..4]).unwrap()),
        Err(BlsError::Signature)
    );
    let most = aggregate_public_keys(&public(&keys[..4])).unwrap();
    assert_eq!(most.verify(b"batch", &sum), Err(BlsError::Signature));
    // The same key twice counts twice.
    let double = aggregate_public_keys(&[keys[0].public_key(), keys[0].public_key()]).unwrap();
    assert_eq!(
        double.verify(b"batch", &signatures[0]),
        Err(BlsError::Signature)
    );
    assert_eq!(
        double.verify(
            b"batch",
            &aggregate_signatures(&[signatures[0]; 2]).unwrap()
        ),
        Ok(())
    );
}

#[test]
fn nothing_and_what_cancels_out_has_no_aggregate() {
    assert_eq!(aggregate_public_keys(&[]), None);
    assert_eq!(aggregate_signatures(&[]), None);
    let mut negative = key(1).sign(b"m").to_bytes();
    negative.0[0] ^= 0x20;
    let negative = Signature::from_bytes(&negative).unwrap();
    assert_eq!(aggregate_signatures(&[key(1).sign(b"m"), negative]), None);
    let mut negative = key(1).public_key().to_bytes();
    negative.0[0] ^= 0x20;
    let negative = PublicKey::from_bytes(&negative).unwrap();
    assert_eq!(
        aggregate_public_keys(&[key(1).public_key(), negative]),
        None
    );
}

#[test]
fn bytes_round_trip_as_hex() {
    let public = key(1).public_key().to_bytes();
    let text = public.to_string();
    assert!(text.starts_with("0x") && text.len() == 2 + 192);
    assert_eq!(text.parse::<PublicKeyBytes>().unwrap(), public);
    assert_eq!(
        serde_json::from_str::<PublicKeyBytes>(&serde_json::to_string(&public).unwrap()).unwrap(),
        public
    );
    let signature = key(1).sign(b"m").to_bytes();
    assert_eq!(
        serde_json::from_str::<SignatureBytes>(&serde_json::to_string(&signature).unwrap())
            .unwrap(),
        signature
    );
}

#[test]
fn codes_and_blame() {
    for (error, code, blame) in [
        (BlsError::SecretKey, "bls.secret_key", Blame::Caller),
        (BlsError::Encoding, "bls.encoding", Blame::Peer),
        (BlsError::Subgroup, "bls.subgroup", Blame::Peer),
        (BlsError::Infinity, "bls.infinity", Blame::Peer),
        (BlsError::Signature, "bls.signature", Blame::Peer),
        (BlsError::Possession, "bls.possession", Blame::Peer),
    ] {
        assert_eq!((error.code(), error.blame()), (code, blame));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Taking the non-signers out of the sum of all is the sum of the signers.
    #[test]
    fn subtracting_is_summing_the_rest(signers in proptest::collection::vec(any::<bool>(), 1..12)) {
        let all = public(&keys(signers.len() as u8));
        let (signed, missing): (Vec<_>, Vec<_>) = all.iter().zip(&signers).partition(|(_, signed)| **signed);
        let signed: Vec<PublicKey> = signed.into_iter().map(|(key, _)| *key).collect();
        let missing: Vec<PublicKey> = missing.into_iter().map(|(key, _)| *key).collect();
        let aggregate = aggregate_public_keys(&all).unwrap();
        prop_assert_eq!(subtract(&aggregate, &missing), aggregate_public_keys(&signed));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_round_trip(public in proptest::collection::vec(any::<u8>(), 96), signature in proptest::collection::vec(any::<u8>(), 48)) {
        let public = PublicKeyBytes(public.try_into().unwrap());
        if let Ok(key) = PublicKey::try_from(public) {
            prop_assert_eq!(key.to_bytes(), public);
        }
        let signature = SignatureBytes(signature.try_into().unwrap());
        if let Ok(point) = Signature::try_from(signature) {
            prop_assert_eq!(point.to_bytes(), signature);
        }
    }
}
