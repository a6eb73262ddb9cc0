//! The points of the portable kernel: 96 bytes, additions one after the other.

use ark_bls12_381::g1;
use ark_ec::AffineRepr;

use super::base_field::{Fe, prefetch};
use super::points::Points;
use crate::curve::G1Affine;

/// An affine point without arkworks' flag. Infinity is (0, 0), which is not on the curve; no other point of the
/// subgroup has x = 0, since (0, ±2) has order 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Point {
    pub(crate) x: Fe,
    pub(crate) y: Fe,
}

/// Memory that batched additions reuse: for each pair the product of the denominators before it.
#[derive(Default)]
pub(crate) struct Scratch {
    before: Vec<Fe>,
}

impl Scratch {
    /// Multiplies up the denominators of `count` pairs, each written by `denominator(index, to)`, which says no where
    /// nothing is divided, and returns the inverse of the product.
    fn begin(&mut self, count: usize, mut denominator: impl FnMut(usize, &mut Fe) -> bool) -> Fe {
        // One more than pairs: the last holds the whole product. Nothing is copied, see `base_field`.
        self.before.clear();
        self.before.resize(count + 1, Fe::ONE);
        let mut divisor = Fe::ZERO;
        let mut rest = &mut self.before[..];
        let mut index = 0;
        while let [before, behind @ ..] = rest
            && let Some(next) = behind.first_mut()
        {
            if denominator(index, &mut divisor) {
                next.set_product(before, &divisor);
            } else {
                *next = *before;
            }
            rest = behind;
            index += 1;
        }
        #[expect(clippy::expect_used, reason = "the list is one longer than the pairs")]
        let product = self.before.pop().expect("the whole product");
        product.inverse()
    }
}

/// Writes what the addition of two affine points divides by; no where nothing is divided, because one of the points, or
/// the sum, is infinity.
#[inline(always)]
fn denominator(a: &Point, b: &Point, to: &mut Fe) -> bool {
    to.set_difference(&b.x, &a.x);
    if to.maybe_zero() || a.x.maybe_zero() || b.x.maybe_zero() {
        return unlikely_denominator(a, b, to);
    }
    true
}

#[cold]
fn unlikely_denominator(a: &Point, b: &Point, to: &mut Fe) -> bool {
    if is_infinity(a) || is_infinity(b) {
        return false;
    }
    if to.is_zero() {
        // The same point, or opposite ones. No point of the group has y = 0.
        to.set_double(&a.y);
        return a.y == b.y;
    }
    true
}

fn is_infinity(point: &Point) -> bool {
    point.x.is_zero()
}

/// `a += b`, given what it divides by and the inverse of that; both are lost.
#[inline(always)]
fn add_with(a: &mut Point, b: &Point, divisor: &mut Fe, inverse: &mut Fe) {
    let t = divisor;
    t.set_difference(&b.x, &a.x);
    if t.maybe_zero() && t.is_zero() {
        t.set_triple_square(&a.x);
    } else {
        t.set_difference(&b.y, &a.y);
    }
    let slope = inverse;
    slope.multiply(t);
    t.set_square(slope);
    t.subtract(&a.x);
    t.subtract(&b.x);
    // t is the new x; what is left of the old one gives the new y.
    a.x.subtract(t);
    slope.multiply(&a.x);
    a.y.subtract_from(slope);
    a.x.copy_from(t);
}

/// `a += b` where nothing is divided.
fn add_special(a: &mut Point, b: &Point) {
    if is_infinity(a) {
        *a = *b;
    } else if !is_infinity(b) {
        *a = Batched::INFINITY;
    }
}

/// `a += b` with an inversion of its own.
pub(crate) fn add_alone(a: &mut Point, b: &Point) {
    let mut divisor = Fe::ZERO;
    if denominator(a, b, &mut divisor) {
        let mut inverse = divisor.inverse();
        add_with(a, b, &mut divisor, &mut inverse);
    } else {
        add_special(a, b);
    }
}

/// One pair on the way back: `rest` is the inverse of the product up to and including its denominator, and loses it.
#[inline(always)]
fn add_next(a: &mut Point, b: &Point, before: &Fe, rest: &mut Fe) {
    let mut divisor = Fe::ZERO;
    if denominator(a, b, &mut divisor) {
        let mut inverse = Fe::ZERO;
        inverse.set_product(rest, before);
        rest.multiply(&divisor);
        add_with(a, b, &mut divisor, &mut inverse);
    } else {
        add_special(a, b);
    }
}

/// Points of the portable kernel.
pub(crate) struct Batched;

impl Points for Batched {
    type Point = Point;
    type Scratch = Scratch;

    const INFINITY: Point = Point {
        x: Fe::ZERO,
        y: Fe::ZERO,
    };

    fn import(point: &G1Affine) -> Point {
        point.xy().map_or(Self::INFINITY, |(x, y)| Point {
            x: Fe::new(&x),
            y: Fe::new(&y),
        })
    }

    fn export(point: &Point) -> G1Affine {
        if is_infinity(point) {
            G1Affine::zero()
        } else {
            G1Affine::new_unchecked(point.x.to_fq(), point.y.to_fq())
        }
    }

    #[inline(always)]
    fn negated(point: &Point) -> Point {
        let mut opposite = *point;
        opposite.y.negate();
        opposite
    }

    #[inline(always)]
    fn prefetch(point: &Point) {
        prefetch(point);
    }

    fn endomorphism(points: &mut [Point]) {
        // The endomorphism of λ multiplies x by the square of arkworks' β, which belongs to the other cube root.
        let beta = Fe::new(&(g1::BETA * g1::BETA));
        for point in points {
            point.x.multiply(&beta);
        }
    }

    fn add_within(points: &mut [Point], pairs: &[(u32, u32)], scratch: &mut Scratch) {
        let mut rest = scratch.begin(pairs.len(), |index, to| {
            let (a, b) = pairs[index];
            denominator(&points[a as usize], &points[b as usize], to)
        });
        for ((a, b), before) in pairs.iter().zip(&scratch.before).rev() {
            let (low, high) = points.split_at_mut(*b as usize);
            add_next(&mut low[*a as usize], &high[0], before, &mut rest);
        }
    }

    fn add(points: &mut [Point], others: &[Point], scratch: &mut Scratch) {
        let mut rest = scratch.begin(points.len().min(others.len()), |index, to| {
            denominator(&points[index], &others[index], to)
        });
        for ((a, b), before) in points.iter_mut().zip(others).zip(&scratch.before).rev() {
            add_next(a, b, before, &mut rest);
        }
    }

    fn double(points: &mut [Point], times: usize, scratch: &mut Scratch) {
        let (mut divisor, mut inverse, mut t) = (Fe::ZERO, Fe::ZERO, Fe::ZERO);
        for _ in 0..times {
            let mut rest = scratch.begin(points.len(), |index, to| {
                to.set_double(&points[index].y);
                // Infinity stays as it is.
                !is_infinity(&points[index])
            });
            for (a, before) in points.iter_mut().zip(&scratch.before).rev() {
                if is_infinity(a) {
                    continue;
                }
                divisor.set_double(&a.y);
                inverse.set_product(&rest, before);
                rest.multiply(&divisor);
                t.set_triple_square(&a.x);
                inverse.multiply(&t);
                t.set_square(&inverse);
                t.subtract(&a.x);
                t.subtract(&a.x);
                a.x.subtract(&t);
                inverse.multiply(&a.x);
                a.y.subtract_from(&inverse);
                a.x.copy_from(&t);
            }
        }
    }

    fn butterflies(low: &mut [Point], high: &mut [Point], scratch: &mut Scratch) {
        // Both results divide by the same number, except for equal or opposite points.
        let plain = |a: &Point, b: &Point, to: &mut Fe| {
            to.set_difference(&b.x, &a.x);
            !(to.maybe_zero() || a.x.maybe_zero() || b.x.maybe_zero())
                || !(to.is_zero() || is_infinity(a) || is_infinity(b))
        };
        let mut rest = scratch.begin(low.len().min(high.len()), |index, to| {
            plain(&low[index], &high[index], to)
        });
        let (mut divisor, mut inverse) = (Fe::ZERO, Fe::ZERO);
        let pairs = low.iter_mut().zip(high.iter_mut());
        for ((a, b), before) in pairs.zip(&scratch.before).rev() {
            let (mut minus, opposite) = (*a, Self::negated(b));
            if plain(a, b, &mut divisor) {
                inverse.set_product(&rest, before);
                rest.multiply(&divisor);
                let mut again = inverse;
                add_with(&mut minus, &opposite, &mut divisor, &mut again);
                add_with(a, b, &mut divisor, &mut inverse);
            } else {
                // Rare except where everything is zero, and then cheap.
                add_alone(&mut minus, &opposite);
                add_alone(a, b);
            }
            *b = minus;
        }
    }
}
