//! The base field of the curve, by the assembly of `blst`: a product takes about four fifths of the time it takes in
//! arkworks' portable code.
//!
//! Every operation writes where it is told to. Returning values would cost more than the calls: the assembly stores
//! word by word, a copy right behind it loads two words at a time, and the processor waits for the stores to retire.

#![allow(unsafe_code)]

use ark_bls12_381::Fq;
use ark_ff::{BigInt, Field};
use blst::{blst_fp, blst_fp_eucl_inverse, blst_fp_mul, blst_fp_sqr, blst_fp_sub};

/// An element in Montgomery form with R = 2³⁸⁴, below the modulus: the limbs that arkworks has too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fe(blst_fp);

impl Fe {
    pub(crate) const ZERO: Self = Self(blst_fp { l: [0; 6] });
    pub(crate) const ONE: Self = Self(blst_fp {
        l: <Fq as Field>::ONE.0.0,
    });

    pub(crate) const fn new(element: &Fq) -> Self {
        Self(blst_fp { l: element.0.0 })
    }

    /// From the limbs of Montgomery's form, below the modulus.
    pub(crate) const fn from_limbs(limbs: [u64; 6]) -> Self {
        Self(blst_fp { l: limbs })
    }

    /// The limbs of Montgomery's form.
    pub(crate) const fn limbs(&self) -> [u64; 6] {
        self.0.l
    }

    pub(crate) fn to_fq(self) -> Fq {
        Fq::new_unchecked(BigInt(self.0.l))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0.l == [0; 6]
    }

    /// No if it is not zero; yes if it is, and about once in 2⁶⁴ otherwise. One word to look at instead of six.
    #[inline(always)]
    pub(crate) fn maybe_zero(&self) -> bool {
        self.0.l[0] == 0
    }

    /// `self = other`, word by word, for an `other` that the assembly has just written.
    #[inline(always)]
    pub(crate) fn copy_from(&mut self, other: &Self) {
        for (to, from) in self.0.l.iter_mut().zip(&other.0.l) {
            // SAFETY: a reference is readable. Volatile keeps the compiler from reading two words at a time.
            *to = unsafe { std::ptr::read_volatile(from) };
        }
    }

    // SAFETY of the calls below: `blst` reads and writes the 48 bytes behind each pointer, allows the result to be one
    // of the operands, and the references guarantee that the memory is there.

    /// `self = a · b`.
    #[inline(always)]
    pub(crate) fn set_product(&mut self, a: &Self, b: &Self) {
        unsafe { blst_fp_mul(&mut self.0, &a.0, &b.0) }
    }

    /// `self *= b`.
    #[inline(always)]
    pub(crate) fn multiply(&mut self, b: &Self) {
        unsafe { blst_fp_mul(&mut self.0, &self.0, &b.0) }
    }

    /// `self = a²`.
    #[inline(always)]
    pub(crate) fn set_square(&mut self, a: &Self) {
        unsafe { blst_fp_sqr(&mut self.0, &a.0) }
    }

    /// `self = a − b`.
    #[inline(always)]
    pub(crate) fn set_difference(&mut self, a: &Self, b: &Self) {
        unsafe { blst_fp_sub(&mut self.0, &a.0, &b.0) }
    }

    /// `self −= b`.
    #[inline(always)]
    pub(crate) fn subtract(&mut self, b: &Self) {
        unsafe { blst_fp_sub(&mut self.0, &self.0, &b.0) }
    }

    /// `self = a − self`.
    #[inline(always)]
    pub(crate) fn subtract_from(&mut self, a: &Self) {
        unsafe { blst_fp_sub(&mut self.0, &a.0, &self.0) }
    }

    /// `self = 3 · a²`.
    #[inline(always)]
    pub(crate) fn set_triple_square(&mut self, a: &Self) {
        unsafe {
            blst_fp_sqr(&mut self.0, &a.0);
            blst::blst_fp_mul_by_3(&mut self.0, &self.0);
        }
    }

    /// `self = 2 · a`.
    #[inline(always)]
    pub(crate) fn set_double(&mut self, a: &Self) {
        unsafe { blst::blst_fp_add(&mut self.0, &a.0, &a.0) }
    }

    /// `self = −self`.
    #[inline(always)]
    pub(crate) fn negate(&mut self) {
        unsafe { blst::blst_fp_cneg(&mut self.0, &self.0, true) }
    }

    /// The inverse; zero of zero.
    pub(crate) fn inverse(&self) -> Self {
        let mut inverse = Self::ZERO;
        if !self.is_zero() {
            unsafe { blst_fp_eucl_inverse(&mut inverse.0, &self.0) }
        }
        inverse
    }
}

/// Asks the processor to fetch a value that is read soon.
#[inline(always)]
pub(crate) fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let start = std::ptr::from_ref(value).cast::<i8>();
        let mut at = 0;
        while at < size_of::<T>() {
            // SAFETY: fetching is allowed at any address, and this one is inside of the value.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(start.add(at)) };
            at += 64;
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}

#[cfg(test)]
mod tests;
