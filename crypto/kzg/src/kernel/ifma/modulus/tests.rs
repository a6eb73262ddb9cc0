#![allow(clippy::unwrap_used)]

use ark_bls12_381::{Fq, FqConfig, Fr, FrConfig};
use ark_ff::{MontConfig, PrimeField};
use proptest::prelude::*;

use super::*;
use crate::kernel::ifma::Emulated;
use crate::kernel::ifma::lanes::LANES;

/// Limbs of 52 bits as a field element.
fn value<F: PrimeField>(limbs: impl Iterator<Item = u64>) -> F {
    let limbs: Vec<_> = limbs.collect();
    limbs.iter().rev().fold(F::zero(), |sum, limb| {
        sum * F::from(1u64 << LIMB_BITS) + F::from(*limb)
    })
}

fn lane<F: PrimeField, const N: usize>(wide: &[[u64; LANES]; N], lane: usize) -> F {
    value(wide.iter().map(|limb| limb[lane]))
}

/// Numbers of N limbs with a top limb below `top`, eight of them.
fn numbers<const N: usize>(top: u64) -> impl Strategy<Value = [[u64; LANES]; N]> {
    let limb = prop_oneof![3 => 0..=LIMB_MASK, 1 => Just(0), 1 => Just(LIMB_MASK)];
    prop::collection::vec(limb, LANES * N).prop_map(move |limbs| {
        let mut wide = [[0; LANES]; N];
        for (at, limb) in limbs.into_iter().enumerate() {
            wide[at / LANES][at % LANES] = limb;
        }
        for limb in &mut wide[N - 1] {
            *limb %= top;
        }
        wide
    })
}

fn product_agrees<F: PrimeField, const N: usize>(
    words: &[u64],
    a: &[[u64; LANES]; N],
    b: &[[u64; LANES]; N],
) {
    let modulus = Modulus::<N>::new(words);
    let product = multiply::<Emulated, N>(a, b, &modulus);
    let scale = F::from(2u64).pow([52 * N as u64]).inverse().unwrap();
    for at in 0..LANES {
        assert_eq!(
            lane::<F, N>(&product, at),
            lane::<F, N>(a, at) * lane::<F, N>(b, at) * scale
        );
        assert!(product.iter().all(|limb| limb[at] <= LIMB_MASK));
    }
    let (squared, multiplied) = (
        square::<Emulated, N>(a, &modulus),
        multiply::<Emulated, N>(a, a, &modulus),
    );
    assert_eq!(squared, multiplied);
}

/// The ways to multiply against each other.
fn products_agree<const N: usize>(words: &[u64], a: &[[u64; LANES]; N], b: &[[u64; LANES]; N]) {
    let modulus = Modulus::<N>::new(words);
    let [ab, ba] = multiply_two::<Emulated, N>(&[*a, *b], &[*b, *a], &modulus);
    let [aa, bb] = square_two::<Emulated, N>(&[*a, *b], &modulus);
    for (product, a, b) in [(ab, a, b), (ba, b, a), (aa, a, a), (bb, b, b)] {
        let expected = multiply_loose::<Emulated, N>(a, b, &modulus);
        for limbs in [&product, &expected] {
            assert!(limbs.iter().flatten().all(|limb| *limb < loose_bound(N)));
        }
        let carried = carry::<Emulated, N>;
        assert_eq!(carried(product), carried(expected));
    }
}

proptest! {
    #[test]
    fn all_products_agree(
        (a, b) in (numbers::<8>(1 << 20), numbers::<8>(1 << 20)),
        (c, d) in (numbers::<5>(1 << 47), numbers::<5>(1 << 47)),
    ) {
        products_agree::<8>(&FqConfig::MODULUS.0, &a, &b);
        products_agree::<5>(&FrConfig::MODULUS.0, &c, &d);
    }

    #[test]
    fn base_field_products(a in numbers::<8>(1 << 20), b in numbers::<8>(1 << 20)) {
        product_agrees::<Fq, 8>(&FqConfig::MODULUS.0, &a, &b);
    }

    #[test]
    fn scalar_products(a in numbers::<5>(1 << 52), b in numbers::<5>(1 << 47)) {
        product_agrees::<Fr, 5>(&FrConfig::MODULUS.0, &a, &b);
    }

    #[test]
    fn sums_and_differences(a in numbers::<8>(1 << 17), b in numbers::<8>(1 << 17)) {
        // A top limb below 2¹⁷ is below 2·p.
        let (p2, p4): ([u64; 8], [u64; 8]) = (split(&FqConfig::MODULUS.0, 2), split(&FqConfig::MODULUS.0, 4));
        let (sum, difference) = (add::<Emulated, 8>(&a, &b), subtract::<Emulated, 8>(&a, &b, &p2));
        let reduced = reduce_once::<Emulated, 8>(&difference, &p2);
        for at in 0..LANES {
            let (x, y) = (lane::<Fq, 8>(&a, at), lane::<Fq, 8>(&b, at));
            prop_assert_eq!(lane::<Fq, 8>(&sum, at), x + y);
            prop_assert_eq!(lane::<Fq, 8>(&difference, at), x - y);
            prop_assert_eq!(lane::<Fq, 8>(&reduced, at), x - y);
            let limbs = reduced.map(|limb| limb[at]);
            prop_assert!(limbs.iter().all(|limb| *limb <= LIMB_MASK));
            prop_assert!(limbs.iter().rev().lt(p4.iter().rev()));
        }
    }

    #[test]
    fn words_and_limbs(words in any::<[u64; 6]>()) {
        prop_assert_eq!(join::<8, 6>(&split(&words, 1)), words);
    }
}
