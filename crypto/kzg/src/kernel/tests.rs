#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ark_bls12_381::G1Projective;
use ark_ec::{AffineRepr, CurveGroup, PrimeGroup};
use ark_ff::{Field, One, PrimeField, Zero};

use super::*;
use crate::testing::{random_scalar, random_scalars};
use crate::{BYTES_PER_ROW, ELEMENTS_PER_ROW, Setup};

/// Every kernel that this machine can run, and the twin of the one that it may not.
fn all() -> Vec<&'static dyn Kernel> {
    KERNELS
        .iter()
        .copied()
        .filter(|kernel| kernel.runs_here())
        .collect()
}

fn random_points(count: usize) -> Vec<G1Affine> {
    (0..count)
        .map(|index| (G1Projective::generator() * random_scalar("point", index)).into_affine())
        .collect()
}

fn integers(scalars: &[Fr]) -> Vec<Integer> {
    scalars
        .iter()
        .map(|scalar| scalar.into_bigint().0)
        .collect()
}

fn naive_msm(points: &[G1Affine], scalars: &[Fr]) -> G1Affine {
    points
        .iter()
        .zip(scalars)
        .map(|(point, scalar)| *point * scalar)
        .sum::<G1Projective>()
        .into_affine()
}

/// Evaluation at each root of unity, one after the other, in bit-reversed order.
fn naive_fft(coefficients: &[Fr]) -> Vec<Fr> {
    let size = coefficients.len();
    (0..size)
        .map(|position| {
            let point =
                root_of_unity(size).pow([bit_reverse(position, size.trailing_zeros()) as u64]);
            coefficients
                .iter()
                .rev()
                .fold(Fr::zero(), |value, coefficient| value * point + coefficient)
        })
        .collect()
}

/// Scalars that break bucket methods: zero, one, the largest, single bits, all ones in a window.
fn awkward_scalars() -> Vec<Fr> {
    let two = Fr::from(2u64);
    let mut scalars = vec![Fr::zero(), Fr::one(), -Fr::one(), -two, two];
    scalars.extend((0..255).step_by(7).map(|bit| two.pow([bit])));
    scalars.extend((1..255).step_by(11).map(|bits| two.pow([bits]) - Fr::one()));
    scalars.extend(random_scalars("awkward", 20));
    scalars
}

#[test]
fn bits_are_reversed() {
    assert_eq!([0, 1, 2, 3].map(|i| bit_reverse(i, 2)), [0, 2, 1, 3]);
    assert_eq!(bit_reverse(0, 0), 0);
    assert_eq!(bit_reverse(1, 12), 2048);
}

#[test]
fn ffts_evaluate() {
    for kernel in all() {
        for log in 0..=7 {
            let coefficients = random_scalars("fft", 1 << log);
            let mut values = coefficients.clone();
            kernel.fft(&mut values);
            assert_eq!(values, naive_fft(&coefficients), "size 2^{log}");
            kernel.inverse_fft(&mut values);
            assert_eq!(values, coefficients, "size 2^{log}");
        }
    }
}

#[test]
fn ffts_agree_with_arkworks_at_full_size() {
    for kernel in all() {
        use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
        for log in [12, 13, 15] {
            let coefficients = random_scalars("arkworks", 1 << log);
            let mut values = coefficients.clone();
            kernel.fft(&mut values);
            let in_order = Radix2EvaluationDomain::<Fr>::new(1 << log)
                .unwrap()
                .fft(&coefficients);
            assert!((0..1 << log).all(|i| values[i] == in_order[bit_reverse(i, log)]));
        }
    }
}

#[test]
fn multi_scalar_multiplications_of_any_points() {
    for kernel in all() {
        for count in [0, 1, 2, 3, 7, 64, 200] {
            let (points, scalars) = (random_points(count), random_scalars("msm", count));
            assert_eq!(
                kernel.msm(&points, &integers(&scalars)),
                naive_msm(&points, &scalars),
                "{count}"
            );
        }
    }
}

#[test]
fn awkward_scalars_and_points() {
    for kernel in all() {
        let scalars = awkward_scalars();
        let mut points = random_points(scalars.len());
        assert_eq!(
            kernel.msm(&points, &integers(&scalars)),
            naive_msm(&points, &scalars)
        );
        // The same point again and again, its opposite, and infinity: additions that have no slope.
        let first = points[0];
        for (index, point) in points.iter_mut().enumerate() {
            match index % 4 {
                0 => *point = first,
                1 => *point = -first,
                2 => *point = G1Affine::zero(),
                _ => {}
            }
        }
        assert_eq!(
            kernel.msm(&points, &integers(&scalars)),
            naive_msm(&points, &scalars)
        );
        let same = vec![first; 9];
        assert_eq!(
            kernel.msm(&same, &[[1, 0, 0, 0]; 9]),
            naive_msm(&same, &[Fr::one(); 9])
        );
        assert!(kernel.msm(&[first, -first], &[[5, 0, 0, 0]; 2]).is_zero());
        assert!(kernel.msm(&points, &vec![[0; 4]; points.len()]).is_zero());
        // As far as the shorter list goes.
        assert_eq!(kernel.msm(&same, &[[1, 0, 0, 0]]), first);
    }
}

#[test]
fn large_multiplications_are_split() {
    for kernel in all() {
        let mut points = random_points(64);
        while points.len() < 10_000 {
            points.extend_from_within(..);
        }
        let scalars = random_scalars("large", points.len());
        let folded: Vec<_> = (0..64)
            .map(|i| scalars.iter().skip(i).step_by(64).sum())
            .collect();
        assert_eq!(
            kernel.msm(&points, &integers(&scalars)),
            naive_msm(&points[..64], &folded)
        );
    }
}

#[test]
fn fixed_bases() {
    for kernel in all() {
        let scalars = awkward_scalars();
        let points = random_points(scalars.len());
        // All windows in the table, some of them, and one alone.
        for budget in [usize::MAX, 96 * 7 * points.len(), 0] {
            let bases = kernel.fixed_bases(&points, points.len(), budget);
            assert_eq!(
                bases.msm(&integers(&scalars)),
                naive_msm(&points, &scalars),
                "{budget}"
            );
            assert_eq!(
                bases.msm(&integers(&scalars[..5])),
                naive_msm(&points[..5], &scalars[..5])
            );
            assert!(bases.msm(&[]).is_zero());
            assert!(bases.msm(&vec![[0; 4]; points.len()]).is_zero());
        }
    }
}

#[test]
fn grouped_fixed_bases() {
    for kernel in all() {
        for (group, budget) in [
            (1, usize::MAX),
            (2, usize::MAX),
            (8, 96 * 7 * 32),
            (64, usize::MAX),
        ] {
            let mut points = random_points(4 * group);
            points[group] = G1Affine::zero();
            let scalars = random_scalars("grouped", 4 * group);
            let bases = kernel.fixed_bases(&points, group, budget);
            let sums = bases.msm_groups(&integers(&scalars));
            assert_eq!(sums.len(), 4);
            for (at, sum) in sums.iter().enumerate() {
                let range = at * group..(at + 1) * group;
                assert_eq!(*sum, naive_msm(&points[range.clone()], &scalars[range]));
            }
        }
    }
}

#[test]
fn group_ffts_evaluate() {
    for kernel in all() {
        for (len, size) in [
            (1, 1),
            (1, 2),
            (1, 8),
            (2, 2),
            (4, 4),
            (4, 32),
            (8, 16),
            (16, 16),
        ] {
            let points = random_points(len);
            let values = kernel.g1_fft(&points, size);
            assert_eq!(values.len(), size);
            for (position, value) in values.iter().enumerate() {
                let root =
                    root_of_unity(size).pow([bit_reverse(position, size.trailing_zeros()) as u64]);
                let powers: Vec<_> = (0..len as u64).map(|i| root.pow([i])).collect();
                assert_eq!(
                    *value,
                    naive_msm(&points, &powers),
                    "{len} of {size}, {position}"
                );
            }
        }
    }
}

#[test]
fn group_ffts_are_inverted() {
    for kernel in all() {
        for log in 0..6 {
            let size = 1usize << log;
            let mut points = random_points(size);
            if size > 3 {
                points[1] = G1Affine::zero();
                points[3] = points[2];
            }
            let back = kernel.g1_inverse_fft(kernel.g1_fft(&points, size));
            let scaled: Vec<_> = points
                .iter()
                .map(|point| (*point * Fr::from(size as u64)).into_affine())
                .collect();
            assert_eq!(back, scaled);
        }
        let zeros = vec![G1Affine::zero(); 16];
        assert_eq!(kernel.g1_fft(&zeros, 64), vec![G1Affine::zero(); 64]);
        assert_eq!(kernel.g1_inverse_fft(zeros.clone()), zeros);
    }
}

#[test]
fn all_kernels_agree() {
    for kernel in all() {
        assert_eq!(self_check::check(kernel), Ok(()));
    }
    let names: Vec<_> = all().iter().map(|kernel| kernel.name()).collect();
    assert!(names.contains(&"portable") && names.contains(&"ifma-emulated"));
}

#[test]
fn rows_are_extended() {
    let random: Vec<u8> = random_scalars("row", ELEMENTS_PER_ROW)
        .iter()
        .flat_map(crate::field::fr_to_be)
        .collect();
    let largest = crate::field::fr_to_be(&-Fr::one()).repeat(ELEMENTS_PER_ROW);
    for kernel in all() {
        for blowup in [1, 2, 4, 8] {
            let mut parity = vec![1; BYTES_PER_ROW * (blowup - 1)];
            let mut expected = parity.clone();
            kernel.extend(blowup, &random, &mut parity);
            portable::Portable.extend(blowup, &random, &mut expected);
            assert!(parity == expected, "{} ×{blowup}", kernel.name());
            // A constant row is extended by the same constant.
            for row in [&largest, &vec![0; BYTES_PER_ROW]] {
                kernel.extend(blowup, row, &mut parity);
                assert!(parity.chunks(32).all(|element| element == &row[..32]));
            }
        }
    }
}

#[test]
fn weighted_elements_are_added() {
    let (sums, elements) = (random_scalars("sums", 70), random_scalars("elements", 70));
    let bytes: Vec<u8> = elements.iter().flat_map(crate::field::fr_to_be).collect();
    for kernel in all() {
        for weight in [
            Fr::zero(),
            Fr::one(),
            random_scalar("weight", 0),
            -Fr::one(),
        ] {
            let mut raw: Vec<_> = sums
                .iter()
                .map(|sum| crate::field::raw_from_be(&crate::field::fr_to_be(sum)))
                .collect();
            kernel.add_weighted(&mut raw, &[(&bytes, weight)]);
            for ((raw, sum), element) in raw.iter().zip(&sums).zip(&elements) {
                assert_eq!(crate::field::from_raw(raw), *sum + weight * element);
            }
        }
    }
}

#[test]
fn many_transforms_at_a_time() {
    for kernel in all() {
        for (size, count) in [
            (1, 8),
            (2, 3),
            (8, 8),
            (16, 1),
            (64, 24),
            (128, 64),
            (32, 13),
        ] {
            let rows = random_scalars("many", size * count);
            let expected: Vec<_> = rows
                .chunks(size)
                .flat_map(|row| {
                    let mut row = row.to_vec();
                    portable::Portable.fft(&mut row);
                    row
                })
                .collect();
            let turned = |rows: &[Fr]| -> Vec<Fr> {
                (0..size * count)
                    .map(|at| rows[at % count * size + at / count])
                    .collect()
            };
            let scaled: Vec<_> = rows
                .iter()
                .map(|value| *value * Fr::from(size as u64))
                .collect();
            let context = (kernel.name(), size, count);
            let mut values = rows.clone();
            kernel.fft_rows(&mut values, size);
            assert!(values == expected, "{context:?}");
            kernel.inverse_fft_rows(&mut values, size);
            assert!(values == scaled, "{context:?}");
            let mut values = turned(&rows);
            kernel.fft_columns(&mut values, count);
            assert!(values == turned(&expected), "{context:?}");
            kernel.inverse_fft_columns(&mut values, count);
            assert!(values == turned(&scaled), "{context:?}");
        }
    }
}

#[test]
fn products() {
    for kernel in all() {
        for count in [0, 1, 8, 21] {
            let mut values = random_scalars("values", count);
            let mut factors = random_scalars("factors", count);
            if count > 1 {
                (values[0], factors[0]) = (-Fr::one(), -Fr::one());
                factors[1] = Fr::zero();
            }
            let expected: Vec<_> = values.iter().zip(&factors).map(|(a, b)| *a * b).collect();
            kernel.multiply(&mut values, &factors);
            assert_eq!(values, expected, "{}", kernel.name());
        }
    }
}

/// Sums that agree in one limb of x, which no kernel may take for equal.
#[test]
fn colliding_blobs_are_committed_to_as_by_c_kzg() {
    use c_kzg::{Blob, ethereum_kzg_settings};
    let blobs = differential::colliding_blobs();
    assert!(blobs.len() >= 16 && blobs.iter().all(|elements| elements.len() == 8));
    let expected = |elements: &[usize]| {
        let mut blob = vec![0; BYTES_PER_ROW];
        for at in elements {
            blob[at * 32 + 31] = 1;
        }
        let blob = Blob::from_bytes(&blob).unwrap();
        let commitment = ethereum_kzg_settings(0).blob_to_kzg_commitment(&blob);
        commitment.unwrap().to_bytes().into_inner()
    };
    let expected: Vec<_> = blobs.iter().map(|elements| expected(elements)).collect();
    let setup = Setup::ethereum();
    for kernel in all() {
        // As commitments are made, with all windows in the table, and as a plain sum.
        let bases = kernel.fixed_bases(setup.lagrange(), ELEMENTS_PER_ROW, usize::MAX);
        for (elements, expected) in blobs.iter().zip(&expected) {
            let mut scalars = vec![[0; 4]; ELEMENTS_PER_ROW];
            for at in elements {
                scalars[*at] = [1, 0, 0, 0];
            }
            let sum = bases.msm(&scalars);
            let context = (kernel.name(), elements);
            assert!(crate::curve::compress(&sum) == *expected, "{context:?}");
            let sum = kernel.msm(setup.lagrange(), &scalars);
            assert!(crate::curve::compress(&sum) == *expected, "{context:?}");
        }
    }
}
