//! Affine additions, many at a time: one field inversion is shared by all (Montgomery's trick), which leaves about
//! six multiplications an addition instead of eleven to sixteen in projective coordinates.

use ark_bls12_381::G1Projective;
use ark_ec::AffineRepr;

use super::base_field::Fe;
use crate::curve::G1Affine;

/// An affine point without arkworks' flag: 96 bytes. Infinity is (0, 0), which is not on the curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Point {
    pub(crate) x: Fe,
    pub(crate) y: Fe,
}

impl Point {
    pub(crate) const INFINITY: Self = Self {
        x: Fe::ZERO,
        y: Fe::ZERO,
    };

    pub(crate) fn is_infinity(&self) -> bool {
        self.x.is_zero() && self.y.is_zero()
    }

    pub(crate) fn negate(&mut self) {
        self.y.negate();
    }

    pub(crate) fn negated(mut self) -> Self {
        self.negate();
        self
    }

    pub(crate) fn to_affine(self) -> G1Affine {
        if self.is_infinity() {
            G1Affine::zero()
        } else {
            G1Affine::new_unchecked(self.x.to_fq(), self.y.to_fq())
        }
    }
}

impl From<&G1Affine> for Point {
    fn from(point: &G1Affine) -> Self {
        point.xy().map_or(Self::INFINITY, |(x, y)| Self {
            x: Fe::new(&x),
            y: Fe::new(&y),
        })
    }
}

/// What the addition of a pair divides by, one pair at a time, and the product of all before it. Zero where nothing is
/// divided, because one of the points, or the sum, is infinity.
#[derive(Clone, Copy)]
struct Term {
    denominator: Fe,
    before: Fe,
}

/// Memory that batched additions reuse.
#[derive(Default)]
pub(crate) struct Scratch {
    terms: Vec<Term>,
}

impl Scratch {
    /// Collects the denominators of `count` pairs, each written by `denominator(index, to)`, and returns the inverse of
    /// the product of those that are not zero.
    fn begin(&mut self, count: usize, mut denominator: impl FnMut(usize, &mut Fe)) -> Fe {
        let empty = Term {
            denominator: Fe::ZERO,
            before: Fe::ONE,
        };
        // One more than pairs: the last holds the whole product. Nothing is copied, see `base_field`.
        self.terms.clear();
        self.terms.resize(count + 1, empty);
        let mut rest = &mut self.terms[..];
        let mut index = 0;
        while let [term, behind @ ..] = rest
            && let Some(next) = behind.first_mut()
        {
            denominator(index, &mut term.denominator);
            if term.denominator.is_zero() {
                next.before = term.before;
            } else {
                next.before.set_product(&term.before, &term.denominator);
            }
            rest = behind;
            index += 1;
        }
        self.terms.pop().unwrap_or(empty).before.inverse()
    }
}

/// Writes the inverse of one denominator; `rest` is the inverse of the product up to and including it, and loses it.
/// False where there is nothing to divide by.
#[inline(always)]
fn next_inverse(term: &Term, rest: &mut Fe, inverse: &mut Fe) -> bool {
    if term.denominator.is_zero() {
        return false;
    }
    inverse.set_product(rest, &term.before);
    rest.multiply(&term.denominator);
    true
}

/// Writes what the addition of two affine points divides by.
#[inline(always)]
fn denominator(a: &Point, b: &Point, to: &mut Fe) {
    to.set_difference(&b.x, &a.x);
    if to.is_zero() {
        // The same point, or opposite ones. No point of the group has y = 0.
        if a.y == b.y {
            to.set_double(&a.y);
        }
    } else if a.is_infinity() || b.is_infinity() {
        *to = Fe::ZERO;
    }
}

/// `a += b`, given the inverse of their [`denominator`]; `inverse` is lost.
#[inline(always)]
fn add_with(a: &mut Point, b: &Point, inverse: &mut Fe) {
    let mut t = Fe::ZERO;
    if a.x == b.x {
        t.set_triple_square(&a.x);
    } else {
        t.set_difference(&b.y, &a.y);
    }
    let slope = inverse;
    slope.multiply(&t);
    t.set_square(slope);
    t.subtract(&a.x);
    t.subtract(&b.x);
    // t is the new x; what is left of the old one gives the new y.
    t.subtract_from(&a.x);
    slope.multiply(&t);
    a.x.subtract(&t);
    a.y.subtract_from(slope);
}

/// `a += b` where nothing is divided.
fn add_special(a: &mut Point, b: &Point) {
    if a.is_infinity() {
        *a = *b;
    } else if !b.is_infinity() {
        *a = Point::INFINITY;
    }
}

/// `points[a] += points[b]` for each pair (a, b), a before b; no position comes twice.
pub(crate) fn add_within(points: &mut [Point], pairs: &[(u32, u32)], scratch: &mut Scratch) {
    let mut rest = scratch.begin(pairs.len(), |index, to| {
        let (a, b) = pairs[index];
        denominator(&points[a as usize], &points[b as usize], to);
    });
    let mut inverse = Fe::ZERO;
    for ((a, b), term) in pairs.iter().zip(&scratch.terms).rev() {
        let (low, high) = points.split_at_mut(*b as usize);
        let (a, b) = (&mut low[*a as usize], &high[0]);
        if next_inverse(term, &mut rest, &mut inverse) {
            add_with(a, b, &mut inverse);
        } else {
            add_special(a, b);
        }
    }
}

/// `points[i] += others[i]`.
pub(crate) fn add(points: &mut [Point], others: &[Point], scratch: &mut Scratch) {
    let mut rest = scratch.begin(points.len().min(others.len()), |index, to| {
        denominator(&points[index], &others[index], to);
    });
    let mut inverse = Fe::ZERO;
    for ((a, b), term) in points.iter_mut().zip(others).zip(&scratch.terms).rev() {
        if next_inverse(term, &mut rest, &mut inverse) {
            add_with(a, b, &mut inverse);
        } else {
            add_special(a, b);
        }
    }
}

/// `(low[i], high[i]) = (low[i] + high[i], low[i] − high[i])`. Both divide by the same number.
pub(crate) fn butterflies(low: &mut [Point], high: &mut [Point], scratch: &mut Scratch) {
    let mut rest = scratch.begin(low.len().min(high.len()), |index, to| {
        let (a, b) = (&low[index], &high[index]);
        to.set_difference(&b.x, &a.x);
        // Equal or opposite points: one of the two results needs another division, see below.
        if a.is_infinity() || b.is_infinity() {
            *to = Fe::ZERO;
        }
    });
    let mut inverse = Fe::ZERO;
    for ((a, b), term) in low
        .iter_mut()
        .zip(high.iter_mut())
        .zip(&scratch.terms)
        .rev()
    {
        let (mut minus, opposite) = (*a, b.negated());
        if next_inverse(term, &mut rest, &mut inverse) {
            let mut again = inverse;
            add_with(&mut minus, &opposite, &mut again);
            add_with(a, b, &mut inverse);
        } else {
            // Infinities and equal or opposite points: rare except where everything is zero, and then cheap.
            add_alone(&mut minus, &opposite);
            add_alone(a, b);
        }
        *b = minus;
    }
}

/// `a += b` with an inversion of its own.
fn add_alone(a: &mut Point, b: &Point) {
    let mut divisor = Fe::ZERO;
    denominator(a, b, &mut divisor);
    if divisor.is_zero() {
        add_special(a, b);
    } else {
        add_with(a, b, &mut divisor.inverse());
    }
}

/// Doubles every point, `times` times, at a shared inversion a round.
pub(crate) fn double(points: &mut [Point], times: usize, scratch: &mut Scratch) {
    let mut inverse = Fe::ZERO;
    for _ in 0..times {
        let mut rest = scratch.begin(points.len(), |index, to| to.set_double(&points[index].y));
        for (a, term) in points.iter_mut().zip(&scratch.terms).rev() {
            // Infinity stays as it is.
            if next_inverse(term, &mut rest, &mut inverse) {
                let same = *a;
                add_with(a, &same, &mut inverse);
            }
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
