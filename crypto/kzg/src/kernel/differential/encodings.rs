//! Compressed points, of all kinds that there are.

use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{BigInteger, PrimeField};

use super::{Choices, Disagreement, compare};
use crate::curve::{self, G1Affine, POINT_BYTES};
use crate::kernel::forged::{SMALL_PRIMES, outsider, times};

/// A point of the curve whose order divides the product of the small primes: of as few of them as chosen.
fn torsion(choices: &mut Choices<'_>) -> G1Affine {
    let outsider = loop {
        if let Some(point) = outsider(choices.base()) {
            break point;
        }
    };
    let one = choices.pick(&SMALL_PRIMES);
    let factors = SMALL_PRIMES.iter().filter(|prime| match one {
        // Of order three, which the curve's points seldom show.
        3 => **prime != 3,
        one => **prime != one && !choices.one_in(4),
    });
    times(&outsider, &[factors.product()])
}

fn member(choices: &mut Choices<'_>) -> G1Affine {
    times(&G1Affine::generator(), &choices.scalar().into_bigint().0)
}

fn encoding(choices: &mut Choices<'_>) -> [u8; POINT_BYTES] {
    let mut bytes = match choices.below(10) {
        0..4 => curve::compress(&member(choices)),
        4 => curve::compress(&torsion(choices)),
        5 => {
            let (member, torsion) = (member(choices), torsion(choices));
            curve::compress(&(member + torsion).into_affine())
        }
        6 => curve::compress(&G1Affine::zero()),
        7 => {
            // Around p, and zero.
            let mut x = <ark_bls12_381::Fq as PrimeField>::MODULUS;
            let distance = (choices.below(4) as u64).into();
            if choices.one_in(2) {
                x.add_with_carry(&distance);
            } else if choices.one_in(2) {
                x.sub_with_borrow(&distance);
            } else {
                x = distance;
            }
            point_of(&x.to_bytes_be())
        }
        8 => point_of(&choices.base().into_bigint().to_bytes_be()),
        _ => std::array::from_fn(|_| choices.below(256) as u8),
    };
    match choices.below(6) {
        0 => bytes[0] ^= 0x20,
        1 => bytes[choices.below(POINT_BYTES)] ^= 1 << choices.below(8),
        2 => bytes[0] ^= (choices.below(8) as u8) << 5,
        _ => {}
    }
    bytes
}

fn point_of(x: &[u8]) -> [u8; POINT_BYTES] {
    let mut bytes: [u8; POINT_BYTES] = std::array::from_fn(|at| x[at]);
    bytes[0] |= 0x80;
    bytes
}

/// Points decoded by every kernel: the portable one's are those of `blst`.
pub(super) fn decoding(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    let count = choices.below(41);
    let encodings: Vec<_> = (0..count).map(|_| encoding(choices)).collect();
    compare(choices, format!("{count} points decoded"), |kernel| {
        kernel.decompress(&encodings)
    })?;
    Ok(count as u64)
}
