#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use ashlar_crypto::bls::SecretKey;

fn key(n: u8) -> SecretKey {
    SecretKey::from_ikm(&[n; 32])
}

fn answers(message: &[u8], count: u8) -> Vec<Signed> {
    (0..count)
        .map(|n| {
            (
                OperatorIndex(n.into()),
                key(n).public_key(),
                key(n).sign(message).to_bytes(),
            )
        })
        .collect()
}

#[test]
fn all_good() {
    let results = verify_signatures(b"digest", &answers(b"digest", 7));
    assert_eq!(results.len(), 7);
    assert!(results.iter().all(Result::is_ok));
    assert!(verify_signatures(b"digest", &[]).is_empty());
}

#[test]
fn every_kind_of_bad_one_is_blamed_and_no_other() {
    let mut all = answers(b"digest", 9);
    all[1].2 = key(1).sign(b"another digest").to_bytes();
    all[3].2 = SignatureBytes([0xff; 48]); // no point
    all[4].2 = all[5].2; // somebody else's
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    all[8].2 = SignatureBytes(infinity);
    let results = verify_signatures(b"digest", &all);
    let bad: Vec<usize> = results
        .iter()
        .enumerate()
        .filter(|(_, r)| r.is_err())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(bad, [1, 3, 4, 8]);
    assert_eq!(results[1], Err(BlsError::Signature));
    assert_eq!(results[3], Err(BlsError::Encoding));
    assert_eq!(results[8], Err(BlsError::Infinity));
}

#[test]
fn all_bad() {
    let results = verify_signatures(b"digest", &answers(b"something else", 5));
    assert!(results.iter().all(|r| *r == Err(BlsError::Signature)));
}

#[test]
fn what_is_called_good_makes_a_sum_that_verifies() {
    let mut all = answers(b"digest", 6);
    all[2].2 = all[3].2;
    let results = verify_signatures(b"digest", &all);
    let (keys, signatures): (Vec<_>, Vec<_>) = results
        .iter()
        .zip(&all)
        .filter_map(|(r, (_, key, _))| Some((*key, r.ok()?)))
        .unzip();
    assert_eq!(keys.len(), 5);
    let sum = aggregate_signatures(&signatures).unwrap();
    aggregate_public_keys(&keys)
        .unwrap()
        .verify(b"digest", &sum)
        .unwrap();
}
