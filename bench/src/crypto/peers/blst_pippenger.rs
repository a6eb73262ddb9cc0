//! blst's multi-scalar multiplication, by its safe interface, with the reading of the row and the encoding of the
//! point around it.

use ashlar_crypto::BYTES_PER_ELEMENT;
use blst::min_sig::Signature;
use blst::{MultiPoint, blst_p1_affine, p1_affines};

use super::lagrange_points;
use crate::crypto::BenchError;
use crate::crypto::inputs::RowInputs;
use crate::crypto::measure::Candidate;

const NAME: &str = "blst/pippenger";

/// Bits of the group order.
const SCALAR_BITS: usize = 255;

fn failed(error: blst::BLST_ERROR) -> BenchError {
    BenchError::failed(NAME, format!("{error:?}"))
}

pub(super) fn bases() -> Result<Vec<blst_p1_affine>, BenchError> {
    lagrange_points()
        .map(|bytes| {
            Signature::deserialize(&bytes)
                .map(|point| point.into())
                .map_err(failed)
        })
        .collect()
}

pub(super) fn commit<'a>(bases: &'a [blst_p1_affine], inputs: &'a RowInputs) -> Candidate<'a> {
    let run = move || {
        let mut scalars = inputs.blob.to_vec();
        scalars
            .chunks_exact_mut(BYTES_PER_ELEMENT)
            .for_each(<[u8]>::reverse);
        let sum = bases.mult(&scalars, SCALAR_BITS);
        let affine = p1_affines::from(&[sum]);
        Ok(Signature::from(affine.as_slice()[0]).compress().to_vec())
    };
    Candidate::new(NAME, run).output(run)
}
