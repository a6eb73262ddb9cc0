#![allow(clippy::unwrap_used)]

use super::*;
use crate::curve::{G1Affine, POINT_BYTES, PointError};
use crate::field::Fr;
use crate::kernel::{FixedBases, Integer};

/// The portable kernel, but for one multiplication by one.
struct Faulty;

impl Kernel for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }
    fn fft(&self, values: &mut [Fr]) {
        Portable.fft(values);
    }
    fn inverse_fft(&self, values: &mut [Fr]) {
        Portable.inverse_fft(values);
    }
    fn fft_columns(&self, values: &mut [Fr], columns: usize) {
        Portable.fft_columns(values, columns);
    }
    fn inverse_fft_columns(&self, values: &mut [Fr], columns: usize) {
        Portable.inverse_fft_columns(values, columns);
    }
    fn fft_rows(&self, values: &mut [Fr], size: usize) {
        Portable.fft_rows(values, size);
    }
    fn inverse_fft_rows(&self, values: &mut [Fr], size: usize) {
        Portable.inverse_fft_rows(values, size);
    }
    fn multiply(&self, values: &mut [Fr], factors: &[Fr]) {
        Portable.multiply(values, factors);
    }
    fn extend(&self, blowup: usize, row: &[u8], parity: &mut [u8]) {
        Portable.extend(blowup, row, parity);
    }
    fn add_weighted(&self, sums: &mut [Fr], terms: &[(&[u8], Fr)]) {
        Portable.add_weighted(sums, terms);
    }
    fn decompress(&self, encodings: &[[u8; POINT_BYTES]]) -> Vec<Result<G1Affine, PointError>> {
        Portable.decompress(encodings)
    }
    fn fixed_bases(&self, bases: &[G1Affine], group: usize, budget: usize) -> Box<dyn FixedBases> {
        Portable.fixed_bases(bases, group, budget)
    }
    /// A point that is not on the curve.
    fn msm(&self, points: &[G1Affine], scalars: &[Integer]) -> G1Affine {
        let mut point = Portable.msm(points, scalars);
        point.x += point.y;
        point
    }
    fn g1_fft(&self, points: &[G1Affine], size: usize) -> Vec<G1Affine> {
        Portable.g1_fft(points, size)
    }
    fn g1_inverse_fft(&self, points: Vec<G1Affine>) -> Vec<G1Affine> {
        Portable.g1_inverse_fft(points)
    }
}

const FAULT: KernelDisagreement = KernelDisagreement {
    kernel: "faulty",
    operation: "msm",
};

#[test]
fn kernels_are_chosen_by_name() {
    assert_eq!(
        find("wide").err(),
        Some(KernelError::Unknown {
            name: "wide".into()
        })
    );
    assert_eq!(find("portable").unwrap().name(), "portable");
    match find("ifma") {
        Ok(kernel) => assert!(kernel.runs_here()),
        Err(error) => assert_eq!(error, KernelError::NotHere { name: "ifma" }),
    }
}

#[test]
fn a_kernel_that_disagrees_is_passed_over() {
    let (kernel, refused) = choose(&[&Faulty, &Portable]);
    assert_eq!((kernel.name(), refused), ("portable", Some(FAULT)));
    let (kernel, refused) = choose(&[&Portable, &Faulty]);
    assert_eq!((kernel.name(), refused), ("portable", None));
    let (kernel, refused) = choose(&[&Faulty]);
    assert_eq!((kernel.name(), refused), ("portable", Some(FAULT)));
    assert_eq!(FAULT.code(), "kernel.disagrees");
    assert_eq!(KernelError::from(FAULT).code(), "kernel.disagrees");
}

#[test]
fn a_result_off_the_curve_is_computed_again() {
    let point: G1Affine = ark_ec::AffineRepr::generator();
    let work = |kernel: &'static dyn Kernel| kernel.msm(&[point], &[[1, 0, 0, 0]]);
    let result = run_checked(&Faulty, "msm", work, G1Affine::is_on_curve);
    assert_eq!(result, (point, Some(FAULT)));
    let result = run_checked(&Portable, "msm", work, G1Affine::is_on_curve);
    assert_eq!(result, (point, None));
}

#[test]
#[should_panic(expected = "is on the curve")]
fn nothing_stands_behind_the_portable_kernel() {
    run_checked(&Portable, "msm", |_| (), |()| false);
}

#[test]
fn tables_belong_to_their_kernel() {
    let tables = PerKernel::default();
    assert_eq!(*tables.get_or_init(&Faulty, || 1), 1);
    assert_eq!(*tables.get_or_init(&Portable, || 2), 2);
    assert_eq!(*tables.get_or_init(&Faulty, || 3), 1);
}
