//! The kernel for every CPU: arkworks' field types, the assembly of `blst`, our transforms and multi-scalar multiplications.

use super::batch_affine::Batched;
use super::points::FixedBases;
use super::scalar_fft::{self, Element};
use super::{Integer, Kernel, fft, g1_fft, msm};
use crate::curve::{self, G1Affine, POINT_BYTES, PointError};
use crate::field::{Fr, raw_from_be, raw_to_be};
use crate::{BYTES_PER_ROW, ELEMENTS_PER_ROW};

pub(super) struct Portable;

impl Kernel for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn fft(&self, values: &mut [Fr]) {
        scalar_fft::fft_columns(values, 1);
    }

    fn inverse_fft(&self, values: &mut [Fr]) {
        scalar_fft::inverse_fft_columns(values, 1);
        let scale = fft::twiddles(values.len().trailing_zeros()).size_inverse;
        for value in values {
            *value *= scale;
        }
    }

    fn fft_columns(&self, values: &mut [Fr], columns: usize) {
        scalar_fft::fft_columns(values, columns);
    }

    fn inverse_fft_columns(&self, values: &mut [Fr], columns: usize) {
        scalar_fft::inverse_fft_columns(values, columns);
    }

    fn fft_rows(&self, values: &mut [Fr], size: usize) {
        for row in values.chunks_exact_mut(size.max(1)) {
            scalar_fft::fft_columns(row, 1);
        }
    }

    fn inverse_fft_rows(&self, values: &mut [Fr], size: usize) {
        for row in values.chunks_exact_mut(size.max(1)) {
            scalar_fft::inverse_fft_columns(row, 1);
        }
    }

    fn multiply(&self, values: &mut [Fr], factors: &[Fr]) {
        for (value, factor) in values.iter_mut().zip(factors) {
            *value *= factor;
        }
    }

    fn extend(&self, blowup: usize, row: &[u8], parity: &mut [u8]) {
        // Raw form all the way: the transforms are linear.
        let raw = row.as_chunks().0.iter().map(raw_from_be);
        let mut coefficients: Vec<Element> = raw.map(|scalar| Element::from(&scalar)).collect();
        scalar_fft::inverse_fft_unscaled(&mut coefficients);
        let mut values = vec![Element::ZERO; ELEMENTS_PER_ROW];
        for (block, shifts) in parity
            .chunks_exact_mut(BYTES_PER_ROW)
            .zip(scalar_fft::block_shifts(blowup))
        {
            for ((value, coefficient), shift) in values.iter_mut().zip(&coefficients).zip(shifts) {
                value.set_product(coefficient, shift);
            }
            scalar_fft::fft(&mut values);
            for (bytes, value) in block.as_chunks_mut().0.iter_mut().zip(&values) {
                *bytes = raw_to_be(&value.into());
            }
        }
    }

    fn add_weighted(&self, sums: &mut [Fr], terms: &[(&[u8], Fr)]) {
        for (elements, weight) in terms {
            for (sum, element) in sums.iter_mut().zip(elements.as_chunks().0) {
                *sum += raw_from_be(element) * weight;
            }
        }
    }

    fn decompress(&self, encodings: &[[u8; POINT_BYTES]]) -> Vec<Result<G1Affine, PointError>> {
        encodings.iter().map(curve::decompress).collect()
    }

    fn fixed_bases(&self, bases: &[G1Affine], group: usize, budget: usize) -> Box<dyn FixedBases> {
        Box::new(msm::Tables::<Batched>::new(bases, group, budget))
    }

    fn msm(&self, points: &[G1Affine], scalars: &[Integer]) -> G1Affine {
        msm::msm::<Batched>(points, scalars)
    }

    fn g1_fft(&self, points: &[G1Affine], size: usize) -> Vec<G1Affine> {
        g1_fft::fft::<Batched>(points, size)
    }

    fn g1_inverse_fft(&self, points: Vec<G1Affine>) -> Vec<G1Affine> {
        g1_fft::inverse_fft::<Batched>(points)
    }
}
