#![allow(clippy::unwrap_used)]

use super::*;
use crate::kernel::forged::{SMALL_PRIMES, encodings, outsider, times};
use crate::kernel::ifma::Emulated;

fn by_all(encodings: &[[u8; POINT_BYTES]]) {
    let expected: Vec<_> = encodings.iter().map(curve::decompress).collect();
    assert_eq!(decompress::<Emulated>(encodings), expected);
    #[cfg(target_arch = "x86_64")]
    if crate::kernel::ifma::Avx512::detected() {
        assert_eq!(
            decompress::<crate::kernel::ifma::Avx512>(encodings),
            expected
        );
    }
}

#[test]
fn points_and_refusals_are_those_of_blst() {
    let encodings = encodings();
    let expected: Vec<_> = encodings.iter().map(curve::decompress).collect();
    for kind in [
        PointError::Encoding,
        PointError::NotOnCurve,
        PointError::NotInSubgroup,
    ] {
        assert!(expected.contains(&Err(kind)), "{kind:?}");
    }
    assert!(expected.iter().flatten().count() > 5);
    by_all(&encodings);
}

/// Every order but r that a point of the curve can have, alone and together with a point of the group.
#[test]
fn points_of_every_small_order_are_refused() {
    let whole = (1..30u64)
        .filter_map(|x| outsider(Fq::from(x)))
        .find(|point| {
            // A point may lack a part.
            let parts = SMALL_PRIMES.map(|prime| SMALL_PRIMES.iter().product::<u64>() / prime);
            parts.iter().all(|part| !times(point, &[*part]).is_zero())
        });
    let (whole, member) = (whole.unwrap(), G1Affine::generator());
    let mut points = Vec::new();
    for divisor in 0..1u32 << SMALL_PRIMES.len() {
        let factors = SMALL_PRIMES.iter().enumerate();
        let left_out = factors.filter(|(at, _)| divisor >> at & 1 == 0);
        let point = times(&whole, &[left_out.map(|(_, prime)| prime).product()]);
        assert_eq!(point.is_zero(), divisor == 0);
        points.extend([point, (point + member).into(), (point - member).into()]);
    }
    let encodings: Vec<_> = points.iter().map(curve::compress).collect();
    let accepted = encodings
        .iter()
        .map(curve::decompress)
        .filter(Result::is_ok);
    assert_eq!(accepted.count(), 3);
    by_all(&encodings);
}

#[test]
fn any_number_of_points_is_decoded() {
    let good = curve::compress(&G1Affine::generator());
    for count in 0..20 {
        by_all(&vec![good; count]);
    }
}

/// (p + 1) / 4, and the image of the endomorphism, as the formulas want them.
#[test]
fn constants_are_those_of_the_curve() {
    let number = Fq::from(16u64);
    assert_eq!(number.pow(ROOT).square(), number);
    assert_eq!(BigInt(ROOT).0[5], Fq::MODULUS.0[5] >> 2);
    let member = G1Affine::generator();
    let image = G1Affine::new_unchecked(member.x * g1::BETA, member.y);
    assert_eq!(-times(&times(&member, &[Z]), &[Z]), image);
}
