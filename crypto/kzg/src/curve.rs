//! Between the two curve libraries: arkworks' points everywhere inside the crate, `blst` for decoding single points, subgroup
//! checks and pairings, where it is several times faster. Many points are decoded by the kernel in use.
//!
//! Both keep a base-field element as six 64-bit limbs of its Montgomery form with R = 2³⁸⁴, so a point passes from
//! one to the other as it is. A test compares the two on random points and on infinity.

use ark_bls12_381::{Fq, Fq2};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, Zero};
use blst::min_sig::{PublicKey as BlstG2, Signature as BlstG1};
use blst::{BLST_ERROR, blst_fp, blst_fp2, blst_fp12, blst_p1_affine, blst_p2_affine};
use thiserror::Error;

pub(crate) use ark_bls12_381::{G1Affine, G1Projective, G2Affine};

use crate::Coded;

/// Bytes of a compressed G1 point.
pub const POINT_BYTES: usize = 48;
/// Bytes of an uncompressed G1 point.
pub(crate) const G1_RAW_BYTES: usize = 96;
/// Bytes of an uncompressed G2 point.
pub(crate) const G2_RAW_BYTES: usize = 192;

/// Why 48 bytes are not a point of the group G1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "point", blame = Peer)]
pub enum PointError {
    /// Wrong flag bits, a coordinate that is not below the field modulus, or an infinity with other bits set.
    #[error("not a canonical encoding of a compressed G1 point")]
    Encoding,
    /// No point of the curve has this coordinate.
    #[error("the point is not on the curve")]
    NotOnCurve,
    /// A point of the curve, but outside the subgroup of prime order.
    #[error("the point is on the curve but not in the subgroup of prime order")]
    NotInSubgroup,
}

fn fq_to_blst(element: &Fq) -> blst_fp {
    blst_fp { l: element.0.0 }
}

fn fq_from_blst(element: &blst_fp) -> Fq {
    Fq::new_unchecked(BigInt(element.l))
}

fn fq2_to_blst(element: &Fq2) -> blst_fp2 {
    blst_fp2 {
        fp: [fq_to_blst(&element.c0), fq_to_blst(&element.c1)],
    }
}

fn fq2_from_blst(element: &blst_fp2) -> Fq2 {
    let [c0, c1] = &element.fp;
    Fq2::new(fq_from_blst(c0), fq_from_blst(c1))
}

fn g1_to_blst(point: &G1Affine) -> blst_p1_affine {
    match point.xy() {
        Some((x, y)) => blst_p1_affine {
            x: fq_to_blst(&x),
            y: fq_to_blst(&y),
        },
        None => blst_p1_affine::default(),
    }
}

fn g1_from_blst(point: &blst_p1_affine) -> G1Affine {
    let (x, y) = (fq_from_blst(&point.x), fq_from_blst(&point.y));
    // blst's infinity; (0, 0) is not on the curve.
    if x.is_zero() && y.is_zero() {
        G1Affine::zero()
    } else {
        G1Affine::new_unchecked(x, y)
    }
}

fn g2_to_blst(point: &G2Affine) -> blst_p2_affine {
    match point.xy() {
        Some((x, y)) => blst_p2_affine {
            x: fq2_to_blst(&x),
            y: fq2_to_blst(&y),
        },
        None => blst_p2_affine::default(),
    }
}

fn g2_from_blst(point: &blst_p2_affine) -> G2Affine {
    let (x, y) = (fq2_from_blst(&point.x), fq2_from_blst(&point.y));
    if x.is_zero() && y.is_zero() {
        G2Affine::zero()
    } else {
        G2Affine::new_unchecked(x, y)
    }
}

fn point_error(error: BLST_ERROR) -> PointError {
    match error {
        BLST_ERROR::BLST_POINT_NOT_ON_CURVE => PointError::NotOnCurve,
        BLST_ERROR::BLST_POINT_NOT_IN_GROUP => PointError::NotInSubgroup,
        _ => PointError::Encoding,
    }
}

/// Decodes a compressed G1 point; infinity is allowed.
pub(crate) fn decompress(bytes: &[u8; POINT_BYTES]) -> Result<G1Affine, PointError> {
    let point = BlstG1::sig_validate(bytes, false).map_err(point_error)?;
    Ok(g1_from_blst((&point).into()))
}

/// The canonical encoding of a G1 point.
pub(crate) fn compress(point: &G1Affine) -> [u8; POINT_BYTES] {
    BlstG1::from(g1_to_blst(point)).compress()
}

/// Decodes an uncompressed G1 point and finds it on the curve; infinity is allowed.
pub(crate) fn g1_from_raw(bytes: &[u8; G1_RAW_BYTES]) -> Result<G1Affine, PointError> {
    let point = BlstG1::deserialize(bytes).map_err(point_error)?;
    Ok(g1_from_blst((&point).into()))
}

/// A compressed G1 point of the curve, uncompressed.
pub(crate) fn g1_to_raw(bytes: &[u8; POINT_BYTES]) -> Result<[u8; G1_RAW_BYTES], PointError> {
    let point = BlstG1::uncompress(bytes).map_err(point_error)?;
    Ok(point.serialize())
}

/// A compressed G2 point of the curve, uncompressed.
pub(crate) fn g2_to_raw(bytes: &[u8; G1_RAW_BYTES]) -> Result<[u8; G2_RAW_BYTES], PointError> {
    let point = BlstG2::uncompress(bytes).map_err(point_error)?;
    Ok(point.serialize())
}

/// Decodes an uncompressed G2 point and finds it on the curve.
pub(crate) fn g2_from_raw(bytes: &[u8; G2_RAW_BYTES]) -> Result<G2Affine, PointError> {
    let point = BlstG2::deserialize(bytes).map_err(point_error)?;
    Ok(g2_from_blst((&point).into()))
}

/// Whether a G1 point of the curve is in the subgroup; infinity is. Twenty times the time of decoding it.
pub(crate) fn g1_in_subgroup(point: &G1Affine) -> Result<(), PointError> {
    BlstG1::from(g1_to_blst(point))
        .validate(false)
        .map_err(point_error)
}

/// Whether a G2 point of the curve is in the subgroup, and not infinity.
pub(crate) fn g2_in_subgroup(point: &G2Affine) -> Result<(), PointError> {
    BlstG2::from(g2_to_blst(point))
        .validate()
        .map_err(point_error)
}

/// Whether e(a, b) = e(c, d). Any of the points may be infinity.
pub(crate) fn pairings_equal(a: &G1Affine, b: &G2Affine, c: &G1Affine, d: &G2Affine) -> bool {
    blst_fp12::finalverify(&miller_loop(a, b), &miller_loop(c, d))
}

fn miller_loop(p: &G1Affine, q: &G2Affine) -> blst_fp12 {
    if p.is_zero() || q.is_zero() {
        return blst_fp12::default();
    }
    blst_fp12::miller_loop(&g2_to_blst(q), &g1_to_blst(p))
}

#[cfg(test)]
mod tests;
