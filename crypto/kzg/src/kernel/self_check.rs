//! What a kernel has to get right before it is used.

use ark_bls12_381::Fq;
use ark_ff::{AdditiveGroup, Field};
use thiserror::Error;

use super::forged::{Relation, encodings, unfold};
use super::portable::Portable;
use super::{Integer, Kernel};
use crate::curve::G1Affine;
use crate::field::Fr;
use crate::{BYTES_PER_ROW, Coded, ELEMENTS_PER_ROW};

/// A kernel computed something else than the portable one: a fault of the processor, or a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[error(
    "the kernel `{kernel}` computes `{operation}` wrongly on this machine; `portable` is right, report it"
)]
#[coded("kernel.disagrees", blame = Us)]
pub struct KernelDisagreement {
    /// The kernel.
    pub kernel: &'static str,
    /// What it computed.
    pub operation: &'static str,
}

/// Whether a kernel gives what the portable one gives, on work that goes through all of its arithmetic and all exceptional
/// cases of it: about ten milliseconds.
pub(super) fn check(kernel: &dyn Kernel) -> Result<(), KernelDisagreement> {
    if kernel.name() == Portable.name() {
        return Ok(());
    }
    let same =
        |operation, work: &dyn Fn(&dyn Kernel) -> Vec<G1Affine>| compare(kernel, operation, work);
    scalars(kernel)?;
    let encodings = encodings();
    compare(kernel, "decompress", |kernel| kernel.decompress(&encodings))?;
    let integers: Vec<_> = (0..32).map(integer).collect();
    let group = Portable.g1_fft(&[ark_ec::AffineRepr::generator(); 4], 32);
    same("msm", &|kernel| vec![kernel.msm(&group, &integers)])?;
    // One bucket, folded half onto half: the pairs come together after no, one and two sums.
    let pairs = exceptional();
    let ones = vec![[1, 0, 0, 0]; 4 * pairs.len()];
    let mut word = 1u64;
    let mut chord = || {
        word += 1;
        (Fq::from(word).pow([3, word]), Fq::from(word))
    };
    let once = unfold(&pairs, &mut chord);
    let twice = unfold(&once, &mut chord);
    for points in [&pairs, &once, &twice] {
        same("msm", &|kernel| vec![kernel.msm(points, &ones)])?;
    }
    same("fixed_bases", &|kernel| {
        let bases = kernel.fixed_bases(&once, once.len(), usize::MAX);
        vec![bases.msm(&ones), bases.msm(&integers)]
    })?;
    // A transform of two is a butterfly; the others have their first ones over halves, and over neighbours.
    let (first, second) = pairs.split_at(pairs.len() / 2);
    same("g1_fft", &|kernel| {
        let pairs = first.iter().zip(second);
        pairs
            .flat_map(|(a, b)| kernel.g1_fft(&[*a, *b], 2))
            .collect()
    })?;
    let halves = [&first[1..9], &second[1..9]].concat();
    let neighbours: Vec<_> = (0..16).map(|at| halves[at % 2 * 8 + at / 2]).collect();
    same("g1_fft", &|kernel| kernel.g1_fft(&halves, 16))?;
    same("g1_inverse_fft", &|kernel| {
        kernel.g1_inverse_fft(neighbours.clone())
    })
}

fn integer(at: u64) -> Integer {
    let word = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [word, !word, word.rotate_left(13), word >> 2]
}

/// Every relation of two points, once and once more: the first points, and then the second ones.
fn exceptional() -> Vec<G1Affine> {
    let point = |at: u64| {
        let x = Fq::from(at + 2).pow([at + 77, 5]);
        G1Affine::new_unchecked(x, x.square() + Fq::from(at))
    };
    let pairs = Relation::ALL.iter().chain(&Relation::ALL).zip(0..);
    let pairs: Vec<_> = pairs
        .map(|(relation, at)| relation.pair(point(2 * at), point(2 * at + 1), 1 + u128::from(at)))
        .collect();
    let half = |at: usize| pairs.iter().map(move |pair| pair[at]);
    half(0).chain(half(1)).collect()
}

fn scalars(kernel: &dyn Kernel) -> Result<(), KernelDisagreement> {
    // Any canonical elements will do: a top byte of 0x71 is below that of the group order.
    let row: Vec<u8> = (0..BYTES_PER_ROW)
        .map(|at| match at % 32 {
            0 => (at / 32 % 0x72) as u8,
            byte => (at / 32 * 167 + byte * 59) as u8,
        })
        .collect();
    compare(kernel, "extend", |kernel| {
        let mut parity = vec![0; BYTES_PER_ROW];
        kernel.extend(2, &row, &mut parity);
        parity
    })?;
    let mut values: Vec<Fr> = row
        .as_chunks()
        .0
        .iter()
        .take(ELEMENTS_PER_ROW / 16)
        .map(crate::field::raw_from_be)
        .collect();
    // The largest, and nothing.
    (values[0], values[1], values[9]) = (-Fr::ONE, Fr::ZERO, -Fr::ONE);
    let over = |operation, work: &dyn Fn(&dyn Kernel, &mut Vec<Fr>)| {
        compare(kernel, operation, |kernel| {
            let mut values = values.clone();
            work(kernel, &mut values);
            values
        })
    };
    let reversed: Vec<_> = values.iter().rev().copied().collect();
    over("multiply", &|kernel, values| {
        kernel.multiply(values, &reversed);
        kernel.multiply(values, &reversed[..9]);
    })?;
    over("fft", &|kernel, values| kernel.fft(values))?;
    over("inverse_fft", &|kernel, values| kernel.inverse_fft(values))?;
    over("fft_columns", &|kernel, values| {
        kernel.fft_columns(values, 8)
    })?;
    over("inverse_fft_columns", &|kernel, values| {
        kernel.inverse_fft_columns(values, 8);
    })?;
    over("fft_rows", &|kernel, values| kernel.fft_rows(values, 16))?;
    over("inverse_fft_rows", &|kernel, values| {
        kernel.inverse_fft_rows(values, 16);
    })?;
    // More terms than are added up without a reduction.
    let terms: Vec<_> = reversed.iter().map(|weight| (&row[..], *weight)).collect();
    over("add_weighted", &|kernel, values| {
        kernel.add_weighted(&mut values[..37], &terms[..150]);
    })
}

fn compare<T: PartialEq>(
    kernel: &dyn Kernel,
    operation: &'static str,
    work: impl Fn(&dyn Kernel) -> T,
) -> Result<(), KernelDisagreement> {
    if work(kernel) == work(&Portable) {
        return Ok(());
    }
    let kernel = kernel.name();
    Err(KernelDisagreement { kernel, operation })
}
