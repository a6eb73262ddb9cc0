//! What the tests of all kernels do not reach: the two kinds of lanes against each other, and pairs that have no slope.

#![allow(clippy::unwrap_used)]

use ark_bls12_381::G1Projective;
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use proptest::prelude::*;

use super::*;
use crate::kernel::points::Points;
use crate::testing::random_scalar;

type Wide = Ifma<Emulated>;

/// Points among which equal ones, opposite ones and infinity are common.
fn point() -> impl Strategy<Value = G1Affine> {
    prop_oneof![
        3 => (0usize..1000).prop_map(|seed| {
            (G1Projective::generator() * random_scalar("wide", seed)).into_affine()
        }),
        1 => Just(G1Affine::zero()),
        1 => Just(G1Affine::generator()),
        1 => Just(-G1Affine::generator()),
    ]
}

fn imported(points: &[G1Affine]) -> Vec<<Wide as Points>::Point> {
    points.iter().map(Wide::import).collect()
}

fn exported(points: &[<Wide as Points>::Point]) -> Vec<G1Affine> {
    points.iter().map(Wide::export).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn additions(pairs in prop::collection::vec((point(), point()), 0..40)) {
        let (a, b): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let (mut low, mut high) = (imported(&a), imported(&b));
        let mut scratch = Default::default();
        let sums: Vec<_> = pairs.iter().map(|(a, b)| (*a + b).into_affine()).collect();
        let differences: Vec<_> = pairs.iter().map(|(a, b)| (*a - b).into_affine()).collect();

        let mut points = low.clone();
        Wide::add(&mut points, &high, &mut scratch);
        prop_assert_eq!(&exported(&points), &sums);

        let opposites: Vec<_> = high.iter().map(Wide::negated).collect();
        let mut points = low.clone();
        Wide::add(&mut points, &opposites, &mut scratch);
        prop_assert_eq!(&exported(&points), &differences);

        let mut points = [low.clone(), high.clone()].concat();
        let count = low.len() as u32;
        let pairs: Vec<_> = (0..count).map(|at| (at, count + at)).collect();
        Wide::add_within(&mut points, &pairs, &mut scratch);
        prop_assert_eq!(&exported(&points[..low.len()]), &sums);

        // Sums of sums, whose coordinates are not reduced like those of imported points.
        let again: Vec<_> = sums.iter().map(|sum| (*sum + sum).into_affine()).collect();
        let mut points = exported(&points[..low.len()]).iter().map(Wide::import).collect::<Vec<_>>();
        let same = points.clone();
        Wide::add(&mut points, &same, &mut scratch);
        prop_assert_eq!(&exported(&points), &again);

        Wide::butterflies(&mut low, &mut high, &mut scratch);
        prop_assert_eq!(&exported(&low), &sums);
        prop_assert_eq!(&exported(&high), &differences);
    }

    #[test]
    fn doublings(points in prop::collection::vec(point(), 0..20), times in 0usize..4) {
        let mut doubled = imported(&points);
        Wide::double(&mut doubled, times, &mut Default::default());
        let expected: Vec<_> = points
            .iter()
            .map(|point| (*point * Fr::from(1u64 << times)).into_affine())
            .collect();
        prop_assert_eq!(exported(&doubled), expected);
    }
}

/// Every operation of the processor's lanes against the arrays, where the processor has them.
#[cfg(target_arch = "x86_64")]
#[test]
fn lanes_agree() {
    use lanes::LANES;

    fn all<L: Lanes>(a: &[u64; LANES], b: &[u64; LANES], c: &[u64; LANES]) -> Vec<[u64; LANES]> {
        L::run(
            #[inline(always)]
            || {
                let table = *c;
                let (a, b, c) = (L::load(a), L::load(b), L::load(c));
                let one = L::splat(1);
                let mask = |mask| L::select(mask, one, a);
                let mut rows = [a, b, c, one, L::add(a, b), L::sub(a, c), b, a];
                L::transpose(&mut rows);
                let bits = L::bits(L::but_not(L::negative_lanes(a), L::zero_lanes(c)));
                let mut out = vec![
                    L::add(a, b),
                    L::sub(a, b),
                    L::and(a, b),
                    L::or(a, b),
                    L::shl::<12>(a),
                    L::shr::<52>(a),
                    L::sar::<52>(a),
                    L::madd_lo(c, a, b),
                    L::madd_hi(c, a, b),
                    mask(L::zero_lanes(c)),
                    mask(L::negative_lanes(a)),
                    mask(L::either(L::zero_lanes(c), L::negative_lanes(b))),
                    L::splat(bits.into()),
                    L::swap_bytes(a),
                    L::lookup(&table, b),
                    L::exchange::<1>(a),
                    L::exchange::<2>(a),
                    L::exchange::<4>(a),
                ];
                out.extend(rows);
                let stored = out.into_iter().map(|vector| {
                    let mut row = [0; LANES];
                    L::store(vector, &mut row);
                    row
                });
                stored.collect()
            },
        )
    }

    if !Avx512::detected() {
        return;
    }
    for seed in 0..200usize {
        let row = |part: usize| -> [u64; LANES] {
            std::array::from_fn(|lane| match (seed + lane * part) % 11 {
                0 => 0,
                1 => u64::MAX,
                2 => lanes::LIMB_MASK,
                _ => random_scalar("lanes", seed * 64 + part * 8 + lane).0.0[0],
            })
        };
        let (a, b, c) = (row(1), row(2), row(3));
        assert_eq!(
            all::<Avx512>(&a, &b, &c),
            all::<Emulated>(&a, &b, &c),
            "{a:?} {b:?} {c:?}"
        );
    }
}
