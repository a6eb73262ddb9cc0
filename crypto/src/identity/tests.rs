#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::Blame;

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// RFC 8032, section 7.1, test 1.
#[test]
fn key_and_signature_of_rfc_8032() {
    let key = NetworkKey::from_seed(bytes(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    ));
    assert_eq!(
        key.public().0,
        bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    );
    let signature = bytes(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    );
    assert_eq!(key.sign(b""), signature);
    assert_eq!(key.public().verify(b"", &signature), Ok(()));
    assert_eq!(
        key.public().verify(b"x", &signature),
        Err(IdentityError::Signature)
    );
    assert_eq!(
        NetworkKey::from_seed([1; 32])
            .public()
            .verify(b"", &signature),
        Err(IdentityError::Signature)
    );
}

/// RFC 8410, section 10: the examples of a private and a public key, and that they belong together.
#[test]
fn encodings_of_rfc_8410() {
    let key = NetworkKey::from_seed(bytes(
        "d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
    ));
    assert_eq!(
        hex::encode(&key.pkcs8_der()[..]),
        "302e020100300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842"
    );
    assert_eq!(
        hex::encode(key.public().spki_der()),
        "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}

#[test]
fn spki_has_one_encoding() {
    let key = NetworkKey::from_seed([1; 32]).public();
    let der = key.spki_der();
    assert_eq!(NetworkPublicKey::from_spki_der(&der), Ok(key));
    for len in 0..der.len() {
        assert_eq!(
            NetworkPublicKey::from_spki_der(&der[..len]),
            Err(IdentityError::Spki),
            "{len} bytes"
        );
    }
    assert_eq!(
        NetworkPublicKey::from_spki_der(&[&der[..], &[0]].concat()),
        Err(IdentityError::Spki)
    );
    for i in 0..12 {
        let mut other = der;
        other[i] ^= 1;
        assert_eq!(
            NetworkPublicKey::from_spki_der(&other),
            Err(IdentityError::Spki),
            "byte {i}"
        );
    }
}

/// That the list is right, and why it is there: for each key on it, a "signature" of zero (R the identity, S = 0) that nobody's
/// secret made passes for some of a few messages.
#[test]
fn weak_keys_are_refused_because_anybody_signs_for_them() {
    let mut signature = [0; 64];
    signature[0] = 1;
    for weak in WEAK_KEYS {
        for sign in [0, 0x80] {
            let mut key = NetworkPublicKey(weak);
            key.0[31] |= sign;
            assert_eq!(key.check_strength(), Err(IdentityError::WeakKey), "{key}");
        }
        let key = NetworkPublicKey(weak);
        assert!(
            (0..200u8).any(|message| key.verify(&[message], &signature).is_ok()),
            "{key} is not weak"
        );
    }
    let honest = NetworkKey::from_seed([7; 32]).public();
    assert_eq!(honest.check_strength(), Ok(()));
    assert!((0..200u8).all(|message| honest.verify(&[message], &signature).is_err()));
}

#[test]
fn debug_keeps_the_secret() {
    let key = NetworkKey::from_seed([0xab; 32]);
    let text = format!("{key:?}");
    assert!(
        text.contains(&key.public().to_string()) && !text.contains("abababab"),
        "{text}"
    );
    assert_eq!(**key.seed(), [0xab; 32]);
}

#[test]
fn codes_are_stable() {
    let codes = [
        IdentityError::Spki,
        IdentityError::WeakKey,
        IdentityError::Signature,
    ]
    .map(|error| error.code());
    assert_eq!(
        codes,
        ["identity.spki", "identity.weak_key", "identity.signature"]
    );
    assert_eq!(IdentityError::Spki.blame(), Blame::Peer);
}

proptest! {
    #[test]
    fn arbitrary_der_never_panics(der in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(NetworkPublicKey::from_spki_der(&der).is_err());
    }

    #[test]
    fn arbitrary_signatures_are_refused(key: [u8; 32], signature in proptest::collection::vec(any::<u8>(), 64)) {
        let signature: [u8; 64] = signature.try_into().unwrap();
        prop_assert_eq!(NetworkPublicKey(key).verify(b"m", &signature), Err(IdentityError::Signature));
    }

    #[test]
    fn text_round_trips(key: [u8; 32]) {
        let key = NetworkPublicKey(key);
        prop_assert_eq!(key.to_string().parse::<NetworkPublicKey>().unwrap(), key);
        prop_assert_eq!(serde_json::from_str::<NetworkPublicKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    }
}
