//! FFTs over group elements.
use crate::curve::G1Affine;
pub(crate) fn fft(_points: &[G1Affine], _size: usize) -> Vec<G1Affine> {
    unimplemented!("in the next commit")
}
pub(crate) fn inverse_fft(_points: Vec<G1Affine>) -> Vec<G1Affine> {
    unimplemented!("in the next commit")
}
