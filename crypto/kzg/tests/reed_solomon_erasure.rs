//! Why the erasure code is our own.
//!
//! `reed-solomon-erasure` is generic over its field, and its documentation does not say that the field has to have
//! characteristic two. Its Gaussian elimination adds where it has to subtract, which is the same only there. Over a prime
//! field it answers `Ok` and returns other data. This test documents that; if it fails one day, the crate has been
//! repaired.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use reed_solomon_erasure::{Field, ReedSolomon, galois_8};

const P: u32 = 257;

/// The integers modulo 257.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Prime;

impl Field for Prime {
    const ORDER: usize = P as usize;
    type Elem = u32;

    fn add(a: u32, b: u32) -> u32 {
        (a + b) % P
    }

    fn mul(a: u32, b: u32) -> u32 {
        a * b % P
    }

    fn div(a: u32, b: u32) -> u32 {
        assert!(b != 0);
        Self::mul(a, Self::exp(b, P as usize - 2))
    }

    fn exp(a: u32, n: usize) -> u32 {
        (0..n).fold(1, |power, _| Self::mul(power, a))
    }

    fn zero() -> u32 {
        0
    }

    fn one() -> u32 {
        1
    }

    fn nth_internal(n: usize) -> u32 {
        n as u32
    }
}

/// Encodes 3 shards into 6, loses the first three, and asks for them again.
fn round_trip<F: Field>(
    data: [Vec<F::Elem>; 3],
) -> (Result<(), reed_solomon_erasure::Error>, bool) {
    let code = ReedSolomon::<F>::new(3, 3).unwrap();
    let mut shards = data.to_vec();
    shards.resize(6, vec![F::zero(); data[0].len()]);
    code.encode(&mut shards).unwrap();
    let mut received: Vec<_> = shards.iter().cloned().map(Some).collect();
    received[..3].fill(None);
    let answer = code.reconstruct(&mut received);
    let same = received
        .iter()
        .zip(&shards)
        .all(|(received, sent)| received.as_ref() == Some(sent));
    (answer, same)
}

#[test]
fn the_field_of_the_test_is_a_field() {
    for a in 1..P {
        assert_eq!(Prime::mul(a, Prime::div(1, a)), 1);
    }
}

#[test]
fn over_a_prime_field_it_returns_wrong_data_with_ok() {
    let (answer, same) = round_trip::<Prime>([vec![1, 2, 3], vec![44, 55, 66], vec![200, 0, 256]]);
    assert_eq!(answer, Ok(()));
    assert!(!same);
}

#[test]
fn over_its_own_field_it_is_right() {
    let (answer, same) =
        round_trip::<galois_8::Field>([vec![1, 2, 3], vec![44, 55, 66], vec![200, 0, 255]]);
    assert_eq!(answer, Ok(()));
    assert!(same);
}
