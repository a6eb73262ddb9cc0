//! Points for tests of the exceptional cases. The formulas for sums hold off the curve too, so a point may be any two
//! numbers. Two points, or two sums of points, can be given any relation.
//!
//! Such points are no group, so the results of two kernels can be compared only if both add in the same order.

use ark_bls12_381::{Fq, G1Projective};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field, MontConfig, Zero};

use super::fft;
use crate::curve::{self, G1Affine, POINT_BYTES};

/// How two points stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    /// Not at all.
    None,
    /// x in the form of the lanes differs by a multiple of 2⁵²: the lowest limb is the same.
    Limb,
    /// The same, but for p: the limb is the same when one of the numbers is not reduced.
    LimbAndModulus,
    /// x in the form of `blst` differs by a multiple of 2⁶⁴: the lowest word is the same.
    Word,
    /// The same point.
    Equal,
    /// Opposite points.
    Opposite,
    /// The first is infinity.
    FirstInfinite,
    /// The second is infinity.
    SecondInfinite,
    /// Both are infinity.
    BothInfinite,
}

impl Relation {
    pub(super) const ALL: [Self; 9] = [
        Self::None,
        Self::Limb,
        Self::LimbAndModulus,
        Self::Word,
        Self::Equal,
        Self::Opposite,
        Self::FirstInfinite,
        Self::SecondInfinite,
        Self::BothInfinite,
    ];

    /// Two points that stand so: `first`, and one made of `second` and of the factor `k`, not zero.
    pub(super) fn pair(self, first: G1Affine, second: G1Affine, k: u128) -> [G1Affine; 2] {
        const LOW_LIMB: u64 =
            <ark_bls12_381::FqConfig as MontConfig<6>>::MODULUS.0[0] & ((1 << 52) - 1);
        let moved = |shift: u64, factor: Fq| {
            let x = first.x + factor * power_of_two(shift);
            G1Affine::new_unchecked(x, second.y)
        };
        match self {
            Self::None => [first, second],
            Self::Limb => [first, moved(416 - 52, Fq::from(k))],
            Self::LimbAndModulus => {
                let factor = Fq::from(k) * Fq::from(1u64 << 52) + Fq::from(LOW_LIMB);
                [first, moved(416, factor)]
            }
            Self::Word => [first, moved(384 - 64, Fq::from(k))],
            Self::Equal => [first, first],
            Self::Opposite => [first, -first],
            Self::FirstInfinite => [G1Affine::zero(), second],
            Self::SecondInfinite => [first, G1Affine::zero()],
            Self::BothInfinite => [G1Affine::zero(); 2],
        }
    }
}

/// 2 to the power of minus `shift`.
fn power_of_two(shift: u64) -> Fq {
    fft::invert(&Fq::from(2u64).pow([shift]))
}

/// Two points whose sum by the chord is `sum`: the first with this x, on a chord of this slope.
pub(super) fn summands(sum: &G1Affine, x: Fq, slope: Fq) -> [G1Affine; 2] {
    let Some((sum_x, sum_y)) = sum.xy() else {
        let first = G1Affine::new_unchecked(x, slope);
        return [first, -first];
    };
    let other = slope.square() - x - sum_x;
    let y = slope * (x - sum_x) - sum_y;
    [
        G1Affine::new_unchecked(x, y),
        G1Affine::new_unchecked(other, y + slope * (other - x)),
    ]
}

/// Twice as many points: folding the upper half onto the lower gives `sums`. `chord` gives the x and the slope of each.
pub(super) fn unfold(sums: &[G1Affine], mut chord: impl FnMut() -> (Fq, Fq)) -> Vec<G1Affine> {
    let pairs: Vec<_> = sums
        .iter()
        .map(|sum| {
            let (x, slope) = chord();
            summands(sum, x, slope)
        })
        .collect();
    let half = |at: usize| pairs.iter().map(move |pair| pair[at]);
    half(0).chain(half(1)).collect()
}

/// The primes that divide the order of the curve beside r, the order of the group. Their product is 1 − z, z the curve's
/// parameter, and no point outside of the group has another order than a divisor of (1 − z) · r.
pub(super) const SMALL_PRIMES: [u64; 5] = [3, 11, 10_177, 859_267, 52_437_899];

/// `k · point` for any point of the curve: arkworks' own product is for those of the group.
pub(super) fn times(point: &G1Affine, k: &[u64]) -> G1Affine {
    let mut product = G1Projective::zero();
    for word in k.iter().rev() {
        for bit in (0..u64::BITS).rev() {
            product.double_in_place();
            if word >> bit & 1 == 1 {
                product += point;
            }
        }
    }
    product.into_affine()
}

/// A point of the curve that r sends to infinity: of no order in common with the group. `None` if no point has this x.
pub(super) fn outsider(x: Fq) -> Option<G1Affine> {
    let point = G1Affine::get_point_from_x_unchecked(x, false)?;
    Some(times(
        &point,
        &<ark_bls12_381::FrConfig as MontConfig<4>>::MODULUS.0,
    ))
}

/// Compressed points, and what is none: all reasons to refuse one, twice, at places that are no multiple of each other.
pub(super) fn encodings() -> Vec<[u8; POINT_BYTES]> {
    let member = G1Affine::generator();
    let (good, infinity) = (curve::compress(&member), curve::compress(&G1Affine::zero()));
    let changed = |mut bytes: [u8; POINT_BYTES], at: usize, bits: u8| {
        bytes[at] ^= bits;
        bytes
    };
    let small = |x: u8| changed(changed([0; POINT_BYTES], 0, 0x80), POINT_BYTES - 1, x);
    let mut encodings = vec![
        good,
        infinity,
        changed(good, 0, 0x20),
        changed(good, 0, 0x80),
        changed(good, 0, 0x40),
        changed(good, 47, 1),
        changed(infinity, 0, 0x20),
        changed(infinity, 47, 1),
        [0x9f; POINT_BYTES],
        [0xff; POINT_BYTES],
    ];
    encodings.extend((0..6).map(small));
    let outsiders = (1..).map(|x: u64| Fq::from(x)).filter_map(outsider);
    if let Some(outsider) = outsiders.take(1).next() {
        for prime in SMALL_PRIMES {
            let all: u64 = SMALL_PRIMES.iter().product();
            let torsion = times(&outsider, &[all / prime]);
            encodings.push(curve::compress(&torsion));
            encodings.push(curve::compress(&(torsion + member).into_affine()));
        }
    }
    encodings.extend_from_within(..);
    encodings.push(good);
    encodings
}
