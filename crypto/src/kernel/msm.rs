//! Multi-scalar multiplication.
use super::Integer;
use crate::curve::G1Affine;

pub(crate) struct FixedBases;
impl FixedBases {
    pub(crate) fn new(_points: &[G1Affine]) -> Self {
        unimplemented!("in the next commit")
    }
    pub(crate) fn msm(&self, _scalars: &[Integer]) -> G1Affine {
        unimplemented!("in the next commit")
    }
}
pub(crate) fn msm(_points: &[G1Affine], _scalars: &[Integer]) -> G1Affine {
    unimplemented!("in the next commit")
}
