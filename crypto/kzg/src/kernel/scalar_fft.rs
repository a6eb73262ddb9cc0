//! FFTs over scalars as the assembly of `blst` computes with them: a butterfly takes two thirds of the time that it takes in
//! arkworks' portable code. The root one, every block's first, is not multiplied by.
//!
//! As in [`super::base_field`], every operation writes where it is told to.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use ark_ff::BigInt;
use blst::{blst_fr, blst_fr_add, blst_fr_mul, blst_fr_sub};

use super::fft::{BLOWUPS, MAX_LOG, twiddles};
use crate::field::Fr;

/// An element of the scalar field in Montgomery form with R = 2²⁵⁶, below the modulus: the limbs that arkworks has too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element(blst_fr);

impl From<&Fr> for Element {
    fn from(scalar: &Fr) -> Self {
        Self(blst_fr { l: scalar.0.0 })
    }
}

impl From<&Element> for Fr {
    fn from(element: &Element) -> Self {
        Fr::new_unchecked(BigInt(element.0.l))
    }
}

impl Element {
    pub(super) const ZERO: Self = Self(blst_fr { l: [0; 4] });

    // SAFETY of the calls below: `blst` reads and writes the 32 bytes behind each pointer, allows the result to be one
    // of the operands, and the references guarantee that the memory is there.

    /// `self = a · b`.
    #[inline(always)]
    pub(super) fn set_product(&mut self, a: &Self, b: &Self) {
        unsafe { blst_fr_mul(&mut self.0, &a.0, &b.0) }
    }

    /// `self = a − b`.
    #[inline(always)]
    fn set_difference(&mut self, a: &Self, b: &Self) {
        unsafe { blst_fr_sub(&mut self.0, &a.0, &b.0) }
    }

    /// `self = a − self`.
    #[inline(always)]
    fn subtract_from(&mut self, a: &Self) {
        unsafe { blst_fr_sub(&mut self.0, &a.0, &self.0) }
    }

    /// `self += b`.
    #[inline(always)]
    fn add(&mut self, b: &Self) {
        unsafe { blst_fr_add(&mut self.0, &self.0, &b.0) }
    }
}

/// Powers of the roots of one size, forward and inverse.
fn roots(log: u32) -> &'static (Vec<Element>, Vec<Element>) {
    static TABLES: [OnceLock<(Vec<Element>, Vec<Element>)>; MAX_LOG as usize + 1] =
        [const { OnceLock::new() }; MAX_LOG as usize + 1];
    TABLES[log as usize].get_or_init(|| {
        let of = |scalars: &[Fr]| scalars.iter().map(Element::from).collect();
        let table = twiddles(log);
        (of(&table.forward), of(&table.inverse))
    })
}

/// [`super::fft::block_shifts`].
pub(super) fn block_shifts(blowup: usize) -> &'static [Vec<Element>] {
    static TABLES: [OnceLock<Vec<Vec<Element>>>; BLOWUPS] = [const { OnceLock::new() }; BLOWUPS];
    let log = blowup.trailing_zeros();
    TABLES[log as usize].get_or_init(|| {
        let of = |scalars: &Vec<Fr>| scalars.iter().map(Element::from).collect();
        super::fft::block_shifts(1 << log).iter().map(of).collect()
    })
}

/// `(a, b) → (a + b, a − b)`: a butterfly with the root one, of which every block has one.
#[inline(always)]
fn plain(a: &mut Element, b: &mut Element) {
    let before = *a;
    a.add(b);
    b.subtract_from(&before);
}

/// One level of a transform: butterflies over the distance `half`, in each block the first one plain and the others by the powers
/// of the root. `columns` transforms lie side by side.
#[inline(always)]
fn level(
    values: &mut [Element],
    columns: usize,
    half: usize,
    roots: &[Element],
    mut butterfly: impl FnMut(&mut Element, &mut Element, &Element),
) {
    let stride = values.len() / (2 * half * columns);
    for block in values.chunks_exact_mut(2 * half * columns) {
        let (low, high) = block.split_at_mut(half * columns);
        let (low_first, low) = low.split_at_mut(columns);
        let (high_first, high) = high.split_at_mut(columns);
        for (a, b) in low_first.iter_mut().zip(high_first) {
            plain(a, b);
        }
        let rows = low
            .chunks_exact_mut(columns)
            .zip(high.chunks_exact_mut(columns));
        for ((low, high), root) in rows.zip(roots.iter().step_by(stride).skip(1)) {
            for (a, b) in low.iter_mut().zip(high) {
                butterfly(a, b, root);
            }
        }
    }
}

/// Decimation in frequency: ordered input, bit-reversed output. `columns` transforms side by side.
fn forward(values: &mut [Element], columns: usize) {
    let columns = columns.max(1);
    let size = values.len() / columns;
    let (roots, _) = roots(size.trailing_zeros());
    let mut difference = Element::ZERO;
    let mut half = size / 2;
    while half > 0 {
        level(values, columns, half, roots, |a, b, root| {
            difference.set_difference(a, b);
            a.add(b);
            b.set_product(&difference, root);
        });
        half /= 2;
    }
}

/// Decimation in time: bit-reversed input, ordered output, not yet divided by the size.
fn backward(values: &mut [Element], columns: usize) {
    let columns = columns.max(1);
    let size = values.len() / columns;
    let (_, roots) = roots(size.trailing_zeros());
    let mut product = Element::ZERO;
    let mut half = 1;
    while half < size {
        level(values, columns, half, roots, |a, b, root| {
            product.set_product(b, root);
            b.set_difference(a, &product);
            a.add(&product);
        });
        half *= 2;
    }
}

/// Ordered coefficients to bit-reversed evaluations.
pub(super) fn fft(values: &mut [Element]) {
    forward(values, 1);
}

/// The inverse of [`fft`], times the length.
pub(super) fn inverse_fft_unscaled(values: &mut [Element]) {
    backward(values, 1);
}

/// A transform of scalars, taken over into elements and back.
fn over(values: &mut [Fr], transform: impl FnOnce(&mut [Element])) {
    let mut elements: Vec<Element> = values.iter().map(Element::from).collect();
    transform(&mut elements);
    for (value, element) in values.iter_mut().zip(&elements) {
        *value = element.into();
    }
}

/// Ordered columns side by side to bit-reversed evaluations.
pub(super) fn fft_columns(values: &mut [Fr], columns: usize) {
    over(values, |elements| forward(elements, columns));
}

/// The inverse of [`fft_columns`], times the length of a column.
pub(super) fn inverse_fft_columns(values: &mut [Fr], columns: usize) {
    over(values, |elements| backward(elements, columns));
}

#[cfg(test)]
mod tests;
