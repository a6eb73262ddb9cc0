//! Points for tests of the exceptional cases. The formulas for sums hold off the curve too, so a point may be any two
//! numbers. Two points, or two sums of points, can be given any relation.
//!
//! Such points are no group, so the results of two kernels can be compared only if both add in the same order.

use ark_bls12_381::Fq;
use ark_ec::AffineRepr;
use ark_ff::{Field, MontConfig};

use super::fft;
use crate::curve::G1Affine;

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
