//! Affine additions, many at a time: one field inversion is shared by all (Montgomery's trick), which leaves about
//! six multiplications an addition instead of eleven to sixteen in projective coordinates.

use ark_bls12_381::{Fq, G1Projective};
use ark_ec::AffineRepr;
use ark_ff::{AdditiveGroup, Field, One, Zero};

use crate::curve::G1Affine;

/// An affine point without arkworks' flag: 96 bytes. Infinity is (0, 0), which is not on the curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Point {
    pub(crate) x: Fq,
    pub(crate) y: Fq,
}

impl Point {
    pub(crate) const INFINITY: Self = Self {
        x: Fq::ZERO,
        y: Fq::ZERO,
    };

    pub(crate) fn is_infinity(&self) -> bool {
        self.x.is_zero() && self.y.is_zero()
    }

    pub(crate) fn negated(&self) -> Self {
        Self {
            x: self.x,
            y: -self.y,
        }
    }

    pub(crate) fn to_affine(self) -> G1Affine {
        if self.is_infinity() {
            G1Affine::zero()
        } else {
            G1Affine::new_unchecked(self.x, self.y)
        }
    }
}

impl From<&G1Affine> for Point {
    fn from(point: &G1Affine) -> Self {
        point.xy().map_or(Self::INFINITY, |(x, y)| Self { x, y })
    }
}

/// What an addition of two affine points divides by; `None` if it needs no division because one of them, or the sum,
/// is infinity.
fn denominator(a: &Point, b: &Point) -> Option<Fq> {
    let difference = b.x - a.x;
    if !difference.is_zero() {
        return (!a.is_infinity() && !b.is_infinity()).then_some(difference);
    }
    // The same point, or opposite ones. No point of the group has y = 0.
    (a.y == b.y && !a.is_infinity()).then(|| a.y.double())
}

/// The sum, given the inverse of [`denominator`].
fn sum(a: &Point, b: &Point, inverse: Option<Fq>) -> Point {
    let Some(inverse) = inverse else {
        return match (a.is_infinity(), b.is_infinity()) {
            (true, _) => *b,
            (_, true) => *a,
            _ => Point::INFINITY,
        };
    };
    let slope = if a.x == b.x {
        let square = a.x.square();
        (square.double() + square) * inverse
    } else {
        (b.y - a.y) * inverse
    };
    let x = slope.square() - a.x - b.x;
    Point {
        x,
        y: slope * (a.x - x) - a.y,
    }
}

/// Memory that batched additions reuse.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Denominator of each addition (one where there is none) and the product of all before it.
    terms: Vec<(Fq, Fq)>,
}

impl Scratch {
    /// Collects the denominators of a batch and returns the inverse of their product.
    fn begin(&mut self, denominators: impl Iterator<Item = Option<Fq>>) -> Fq {
        self.terms.clear();
        let mut product = Fq::one();
        self.terms
            .extend(denominators.map(|denominator| match denominator {
                Some(denominator) => {
                    let before = product;
                    product *= denominator;
                    (denominator, before)
                }
                None => (Fq::ZERO, Fq::ZERO),
            }));
        // A product of non-zero factors.
        product.inverse().unwrap_or(Fq::ZERO)
    }
}

/// The inverse of one denominator; `rest` is the inverse of the product up to and including it, and loses it.
fn next_inverse((denominator, before): &(Fq, Fq), rest: &mut Fq) -> Option<Fq> {
    if denominator.is_zero() {
        return None;
    }
    let inverse = *rest * before;
    *rest *= denominator;
    Some(inverse)
}

/// `points[at[i]] += others[i]`; the positions are different from each other.
pub(crate) fn add_at(points: &mut [Point], at: &[u32], others: &[Point], scratch: &mut Scratch) {
    let mut rest = scratch.begin(
        at.iter()
            .zip(others)
            .map(|(at, b)| denominator(&points[*at as usize], b)),
    );
    for ((at, b), term) in at.iter().zip(others).zip(&scratch.terms).rev() {
        let inverse = next_inverse(term, &mut rest);
        let a = &mut points[*at as usize];
        *a = sum(a, b, inverse);
    }
}

/// `points[i] += others[i]`.
pub(crate) fn add(points: &mut [Point], others: &[Point], scratch: &mut Scratch) {
    let mut rest = scratch.begin(points.iter().zip(others).map(|(a, b)| denominator(a, b)));
    for ((a, b), term) in points.iter_mut().zip(others).zip(&scratch.terms).rev() {
        let inverse = next_inverse(term, &mut rest);
        *a = sum(a, b, inverse);
    }
}

/// `(low[i], high[i]) = (low[i] + high[i], low[i] − high[i])`. Both divide by the same number.
pub(crate) fn butterflies(low: &mut [Point], high: &mut [Point], scratch: &mut Scratch) {
    let mut special = Vec::new();
    let mut rest = scratch.begin(
        low.iter()
            .zip(high.iter())
            .enumerate()
            .map(|(index, (a, b))| {
                let difference = b.x - a.x;
                let plain = !difference.is_zero() && !a.is_infinity() && !b.is_infinity();
                if !plain {
                    special.push(index);
                }
                plain.then_some(difference)
            }),
    );
    for ((a, b), term) in low
        .iter_mut()
        .zip(high.iter_mut())
        .zip(&scratch.terms)
        .rev()
    {
        let Some(inverse) = next_inverse(term, &mut rest) else {
            continue;
        };
        let (plus, minus) = (
            sum(a, b, Some(inverse)),
            sum(a, &b.negated(), Some(inverse)),
        );
        (*a, *b) = (plus, minus);
    }
    // Infinities and equal or opposite points: rare except where everything is zero, and then cheap.
    for index in special {
        let (a, b) = (low[index], high[index]);
        let plus = denominator(&a, &b).and_then(|d| d.inverse());
        low[index] = sum(&a, &b, plus);
        let b = b.negated();
        let minus = denominator(&a, &b).and_then(|d| d.inverse());
        high[index] = sum(&a, &b, minus);
    }
}

/// Doubles every point, `times` times, at a shared inversion a round.
pub(crate) fn double(points: &mut [Point], times: usize, scratch: &mut Scratch) {
    for _ in 0..times {
        let mut rest = scratch.begin(points.iter().map(|a| denominator(a, a)));
        for (a, term) in points.iter_mut().zip(&scratch.terms).rev() {
            let inverse = next_inverse(term, &mut rest);
            *a = sum(a, a, inverse);
        }
    }
}

/// Affine form of projective points.
pub(crate) fn normalize(points: &[G1Projective]) -> Vec<Point> {
    use ark_ec::CurveGroup;
    G1Projective::normalize_batch(points)
        .iter()
        .map(Point::from)
        .collect()
}
