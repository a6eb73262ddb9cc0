//! arkworks: its multi-scalar multiplication and its FFT, with the reading of rows and the writing of results around
//! them; and the FFT alone, which has neither.

use ark_bls12_381::{Fq, Fr, G1Affine, G1Projective};
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{BigInt, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_serialize::CanonicalSerialize;
use ashlar_crypto::ELEMENTS_PER_ROW;

use super::{bit_reverse, lagrange_points};
use crate::crypto::BenchError;
use crate::crypto::inputs::RowInputs;
use crate::crypto::measure::Candidate;

const MSM: &str = "arkworks/msm";
const EXTEND: &str = "arkworks/fft";
const BARE: &str = "arkworks/fft-32768-alone";

pub(super) fn bases() -> Result<Vec<G1Affine>, BenchError> {
    let points: Vec<_> = lagrange_points()
        .map(|bytes| {
            let (x, y) = bytes.split_at(48);
            G1Affine::new_unchecked(
                Fq::from_be_bytes_mod_order(x),
                Fq::from_be_bytes_mod_order(y),
            )
        })
        .collect();
    match points.iter().all(G1Affine::is_on_curve) && points.len() == ELEMENTS_PER_ROW {
        true => Ok(points),
        false => Err(BenchError::failed(
            MSM,
            "the setup file is not what was expected",
        )),
    }
}

/// The elements as integers, little-endian limbs.
fn integers(row: &[u8]) -> impl Iterator<Item = BigInt<4>> {
    row.as_chunks::<32>().0.iter().map(|element| {
        let mut limbs = [0; 4];
        for (limb, bytes) in limbs
            .iter_mut()
            .zip(element.as_chunks::<8>().0.iter().rev())
        {
            *limb = u64::from_be_bytes(*bytes);
        }
        BigInt::new(limbs)
    })
}

fn scalars(row: &[u8]) -> Result<Vec<Fr>, BenchError> {
    let read = integers(row).map(Fr::from_bigint).collect::<Option<_>>();
    read.ok_or_else(|| BenchError::failed(EXTEND, "an element is not canonical"))
}

pub(super) fn commit<'a>(bases: &'a [G1Affine], inputs: &'a RowInputs) -> Candidate<'a> {
    let run = move || {
        let scalars: Vec<_> = integers(&inputs.blob[..]).collect();
        let mut bytes = Vec::with_capacity(48);
        G1Projective::msm_bigint(bases, &scalars)
            .into_affine()
            .serialize_compressed(&mut bytes)
            .map_err(|error| BenchError::failed(MSM, error))?;
        Ok(bytes)
    };
    Candidate::new(MSM, run).output(run)
}

fn domain(size: usize) -> Result<Radix2EvaluationDomain<Fr>, BenchError> {
    Radix2EvaluationDomain::new(size).ok_or_else(|| BenchError::failed(EXTEND, "no such domain"))
}

/// Rows lie in bit-reversed order, arkworks' transforms in natural order.
fn reorder(values: &mut [Fr]) {
    let bits = values.len().trailing_zeros();
    for index in 0..values.len() {
        let other = bit_reverse(index, bits);
        if index < other {
            values.swap(index, other);
        }
    }
}

pub(super) fn extend(blowup: usize, inputs: &RowInputs) -> Result<Candidate<'_>, BenchError> {
    let (short, long) = (
        domain(ELEMENTS_PER_ROW)?,
        domain(blowup * ELEMENTS_PER_ROW)?,
    );
    let run = move || {
        let mut values = scalars(&inputs.blob[..])?;
        reorder(&mut values);
        short.ifft_in_place(&mut values);
        long.fft_in_place(&mut values);
        reorder(&mut values);
        let mut bytes = Vec::with_capacity(values.len() * 32);
        for value in &values {
            bytes.extend(
                value
                    .into_bigint()
                    .0
                    .iter()
                    .rev()
                    .flat_map(|limb| limb.to_be_bytes()),
            );
        }
        Ok(bytes)
    };
    Ok(Candidate::new(EXTEND, run).output(run))
}

/// The transform of `size` coefficients, already in memory as field elements.
pub(super) fn bare_fft(size: usize, inputs: &RowInputs) -> Result<Candidate<'_>, BenchError> {
    let domain = domain(size)?;
    let row = scalars(&inputs.blob[..])?;
    let coefficients: Vec<_> = row.iter().copied().cycle().take(size).collect();
    Ok(Candidate::new(BARE, move || {
        let mut values = coefficients.clone();
        domain.fft_in_place(&mut values);
        Ok(values)
    }))
}
