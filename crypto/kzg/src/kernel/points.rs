//! Affine points of G1 as a kernel keeps them, and what it can do with many at a time.

use super::Integer;
use crate::curve::{G1Affine, G1Projective};

/// Points of one representation, all in the subgroup, and batched affine additions: one field inversion is shared by
/// all of a batch (Montgomery's trick), which leaves about six multiplications an addition instead of eleven to sixteen
/// in projective coordinates.
///
/// Additions are complete: equal points, opposite points and infinity are allowed everywhere.
pub(crate) trait Points: Send + Sync + 'static {
    /// A point, infinity included.
    type Point: Copy + Send + Sync;
    /// Memory that calls reuse.
    type Scratch: Default;

    /// The neutral element.
    const INFINITY: Self::Point;

    /// From arkworks' form. The point is in the subgroup, as everywhere in the kernels.
    fn import(point: &G1Affine) -> Self::Point;

    /// Into arkworks' form.
    fn export(point: &Self::Point) -> G1Affine;

    /// The opposite point.
    fn negated(point: &Self::Point) -> Self::Point;

    /// Asks the processor to fetch a point that is read soon.
    fn prefetch(point: &Self::Point);

    /// Multiplies every point by λ = z² − 1, z the parameter of the curve: x by a cube root of one.
    fn endomorphism(points: &mut [Self::Point]);

    /// `points[a] += points[b]` for each pair (a, b), a before b; no position comes twice.
    fn add_within(points: &mut [Self::Point], pairs: &[(u32, u32)], scratch: &mut Self::Scratch);

    /// `points[i] += others[i]`.
    fn add(points: &mut [Self::Point], others: &[Self::Point], scratch: &mut Self::Scratch);

    /// Doubles every point, `times` times, at a shared inversion a round.
    fn double(points: &mut [Self::Point], times: usize, scratch: &mut Self::Scratch);

    /// `(low[i], high[i]) = (low[i] + high[i], low[i] − high[i])`, at one inversion for both.
    fn butterflies(low: &mut [Self::Point], high: &mut [Self::Point], scratch: &mut Self::Scratch);
}

/// Bases with precomputed multiples, in the representation of the kernel that made them.
pub(crate) trait FixedBases: Send + Sync {
    /// `Σ scalars[i] · bases[i]` over the first group; fewer scalars than bases are allowed.
    fn msm(&self, scalars: &[Integer]) -> G1Affine;

    /// One multiplication a group: `scalars` has as many entries as there are bases.
    fn msm_groups(&self, scalars: &[Integer]) -> Vec<G1Projective>;
}
