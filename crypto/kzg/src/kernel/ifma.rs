//! The kernel for CPUs with AVX-512 IFMA: eight numbers at a time, in limbs of 52 bits.
//!
//! Everything is written over [`Lanes`], eight 64-bit lanes with a multiply-add of 52-bit numbers. Two types implement
//! it: the processor's vectors, and arrays in plain Rust, over which every machine tests what only some can run.

mod decompress;
mod lanes;
mod modulus;
mod points;
mod scalars;
mod weighted;

use std::marker::PhantomData;

#[cfg(target_arch = "x86_64")]
pub(super) use lanes::Avx512;
pub(super) use lanes::Emulated;
use lanes::{LANES, Lanes};
#[cfg(any(test, feature = "differential"))]
pub(super) use points::chain_of_products;

use super::points::FixedBases;
use super::portable::Portable;
use super::{Integer, Kernel, g1_fft, msm};
use crate::curve::{G1Affine, POINT_BYTES, PointError};
use crate::field::Fr;

/// The kernel over these lanes.
pub(super) struct Ifma<L>(PhantomData<L>);

impl<L> Ifma<L> {
    pub(super) const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Whether columns fill the lanes, and are short enough for numbers that nothing reduces on the way.
fn in_lanes(values: usize, columns: usize) -> bool {
    columns > 0 && columns.is_multiple_of(LANES) && (values / columns) >> scalars::MAX_LEVELS <= 1
}

impl<L: Lanes> Kernel for Ifma<L> {
    fn name(&self) -> &'static str {
        L::NAME
    }

    fn runs_here(&self) -> bool {
        L::detected()
    }

    fn fft(&self, values: &mut [Fr]) {
        // Short transforms, a small part of any time.
        Portable.fft(values);
    }

    fn inverse_fft(&self, values: &mut [Fr]) {
        Portable.inverse_fft(values);
    }

    fn fft_columns(&self, values: &mut [Fr], columns: usize) {
        if in_lanes(values.len(), columns) {
            scalars::transform_columns::<L>(values, columns, false);
        } else {
            Portable.fft_columns(values, columns);
        }
    }

    fn inverse_fft_columns(&self, values: &mut [Fr], columns: usize) {
        if in_lanes(values.len(), columns) {
            scalars::transform_columns::<L>(values, columns, true);
        } else {
            Portable.inverse_fft_columns(values, columns);
        }
    }

    fn fft_rows(&self, values: &mut [Fr], size: usize) {
        let rest = if size >> scalars::MAX_LEVELS > 1 {
            values
        } else {
            scalars::transform_rows::<L>(values, size, false)
        };
        Portable.fft_rows(rest, size);
    }

    fn inverse_fft_rows(&self, values: &mut [Fr], size: usize) {
        let rest = if size >> scalars::MAX_LEVELS > 1 {
            values
        } else {
            scalars::transform_rows::<L>(values, size, true)
        };
        Portable.inverse_fft_rows(rest, size);
    }

    fn multiply(&self, values: &mut [Fr], factors: &[Fr]) {
        scalars::multiply::<L>(values, factors);
    }

    fn extend(&self, blowup: usize, row: &[u8], parity: &mut [u8]) {
        scalars::extend::<L>(blowup, row, parity);
    }

    fn add_weighted(&self, sums: &mut [Fr], terms: &[(&[u8], Fr)]) {
        weighted::add_weighted::<L>(sums, terms);
    }

    fn decompress(&self, encodings: &[[u8; POINT_BYTES]]) -> Vec<Result<G1Affine, PointError>> {
        decompress::decompress::<L>(encodings)
    }

    fn fixed_bases(&self, bases: &[G1Affine], group: usize, budget: usize) -> Box<dyn FixedBases> {
        Box::new(msm::Tables::<Self>::new(bases, group, budget))
    }

    fn msm(&self, points: &[G1Affine], scalars: &[Integer]) -> G1Affine {
        msm::msm::<Self>(points, scalars)
    }

    fn g1_fft(&self, points: &[G1Affine], size: usize) -> Vec<G1Affine> {
        g1_fft::fft::<Self>(points, size)
    }

    fn g1_inverse_fft(&self, points: Vec<G1Affine>) -> Vec<G1Affine> {
        g1_fft::inverse_fft::<Self>(points)
    }
}

#[cfg(test)]
mod tests;
