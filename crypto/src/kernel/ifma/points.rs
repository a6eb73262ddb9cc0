//! Affine points of G1 in eight lanes, and additions that share one inversion for a whole batch.
//!
//! In memory a point is two coordinates of eight limbs each, so that a table can be read at random; eight points are
//! transposed into lanes on the way in and back on the way out. What a lane cannot do like the others (equal or opposite
//! points) is marked, left out, and done by the portable kernel afterwards.

use std::sync::OnceLock;

use ark_bls12_381::{Fq, g1};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, BigInteger, Field, MontConfig, PrimeField};

use super::Ifma;
use super::lanes::{LANES, LIMB_BITS, LIMB_MASK, Lanes};
use super::modulus::{self, Modulus, each, fits, join, split};
use crate::curve::G1Affine;
use crate::kernel::base_field::{Fe, prefetch};
use crate::kernel::batch_affine::{self, Batched};
use crate::kernel::fft::invert as inverse_of;
use crate::kernel::points::Points;

pub(super) const LIMBS: usize = 8;
pub(super) const WORDS: [u64; 6] = <ark_bls12_381::FqConfig as MontConfig<6>>::MODULUS.0;
pub(super) const P: Modulus<LIMBS> = Modulus::new(&WORDS);
pub(super) const P1: [u64; LIMBS] = split(&WORDS, 1);
pub(super) const P2: [u64; LIMBS] = split(&WORDS, 2);
const P3: [u64; LIMBS] = split(&WORDS, 3);
const P4: [u64; LIMBS] = split(&WORDS, 4);
// Factors are below 4·p, so a product is below 16·p² / 2⁴¹⁶ + p, which is below 2·p. The largest number is the sum that a
// new x is taken from: a product and 4·p.
const _: () = assert!(fits::<LIMBS>(&WORDS, 16));

/// A coordinate: the number times 2⁴¹⁶ modulo p, between 0 and 2·p, in limbs of 52 bits. An x is below 2·p with limbs
/// below 2⁵²; the limbs of a y may be negative, as long as the number is not.
pub(crate) type Coordinate = [u64; LIMBS];

/// A point. Infinity has x = 0, exactly; no other point of the subgroup has it, since (0, ±2) has order 3.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(crate) struct WidePoint {
    x: Coordinate,
    y: Coordinate,
}

impl WidePoint {
    #[inline(always)]
    fn is_infinity(&self) -> bool {
        self.x == [0; LIMBS]
    }

    /// The opposite point.
    #[inline(always)]
    fn negated(&self) -> Self {
        let mut opposite = *self;
        for (to, bound) in opposite.y.iter_mut().zip(&P2) {
            *to = bound.wrapping_sub(*to);
        }
        opposite
    }
}

pub(super) fn to_limbs(x: &Fq) -> Coordinate {
    // Montgomery's form with 2³⁸⁴, of which arkworks keeps the limbs, is 2³² short.
    split(&(*x * Fq::from(1u64 << 32)).0.0, 1)
}

/// Limbs below 2⁵² from limbs with a sign.
fn carried(limbs: &Coordinate) -> Coordinate {
    let mut carry = 0i64;
    limbs.map(|limb| {
        let sum = (limb as i64).wrapping_add(carry);
        carry = sum >> LIMB_BITS;
        sum as u64 & LIMB_MASK
    })
}

/// The residue of a number up to 4·p.
fn residue(limbs: &Coordinate) -> BigInt<6> {
    let mut number = BigInt(join(&carried(limbs)));
    while number >= Fq::MODULUS {
        number.sub_with_borrow(&Fq::MODULUS);
    }
    number
}

fn from_limbs(limbs: &Coordinate) -> Fq {
    static FACTOR: OnceLock<Fq> = OnceLock::new();
    let factor = FACTOR.get_or_init(|| inverse_of(&Fq::from(1u64 << 32)));
    Fq::new_unchecked(residue(limbs)) * factor
}

pub(super) type Wide<L> = [<L as Lanes>::V; LIMBS];

#[inline(always)]
pub(super) fn load<'a, L: Lanes>(coordinate: impl Fn(usize) -> &'a Coordinate) -> Wide<L> {
    let mut rows: Wide<L> = each(
        L::splat(0),
        #[inline(always)]
        |lane| L::load(coordinate(lane)),
    );
    L::transpose(&mut rows);
    rows
}

#[inline(always)]
pub(super) fn store<L: Lanes>(mut value: Wide<L>) -> [Coordinate; LANES] {
    L::transpose(&mut value);
    let mut rows = [[0; LIMBS]; LANES];
    for (row, vector) in rows.iter_mut().zip(value) {
        L::store(vector, row);
    }
    rows
}

#[inline(always)]
pub(super) fn mul<L: Lanes>(a: &Wide<L>, b: &Wide<L>) -> Wide<L> {
    modulus::multiply::<L, LIMBS>(a, b, &P)
}

/// `a − b` for b up to 2·p.
#[inline(always)]
fn sub<L: Lanes>(a: &Wide<L>, b: &Wide<L>) -> Wide<L> {
    modulus::subtract::<L, LIMBS>(a, b, &P2)
}

#[inline(always)]
pub(super) fn splat<L: Lanes>(value: &Coordinate) -> Wide<L> {
    each(
        L::splat(0),
        #[inline(always)]
        |limb| L::splat(value[limb]),
    )
}

#[inline(always)]
fn select<L: Lanes>(mask: L::Mask, yes: &Wide<L>, no: &Wide<L>) -> Wide<L> {
    each(
        L::splat(0),
        #[inline(always)]
        |limb| L::select(mask, yes[limb], no[limb]),
    )
}

#[inline(always)]
pub(super) fn zero<L: Lanes>(x: &Wide<L>) -> L::Mask {
    let mut any = x[0];
    for limb in &x[1..] {
        any = L::or(any, *limb);
    }
    L::zero_lanes(any)
}

/// Lanes in which a difference made by [`sub`] of two numbers below 2·p may be zero modulo p: it is above 0 and below 4·p,
/// and its lowest limb tells all but one in 2⁵⁰ of the others.
#[inline(always)]
fn maybe_zero<L: Lanes>(difference: &Wide<L>) -> L::Mask {
    let low = difference[0];
    let [one, two, three] = [P1[0], P2[0], P3[0]];
    L::either(
        L::either(is::<L>(low, one), is::<L>(low, two)),
        is::<L>(low, three),
    )
}

/// Lanes in which a difference as in [`maybe_zero`] is zero modulo p.
#[inline(always)]
fn is_zero<L: Lanes>(difference: &Wide<L>) -> L::Mask {
    let equals = |multiple: &Coordinate| {
        zero::<L>(&each(
            L::splat(0),
            #[inline(always)]
            |limb| L::sub(difference[limb], L::splat(multiple[limb])),
        ))
    };
    L::either(L::either(equals(&P1), equals(&P2)), equals(&P3))
}

/// Lanes that hold this number.
#[inline(always)]
fn is<L: Lanes>(limb: L::V, number: u64) -> L::Mask {
    L::zero_lanes(L::sub(limb, L::splat(number)))
}

/// One as a coordinate.
fn one() -> Coordinate {
    to_limbs(&Fq::ONE)
}

/// The inverse of every lane; zero of zero.
#[inline(always)]
fn invert<L: Lanes>(product: Wide<L>) -> Wide<L> {
    // As elements of 2³⁸⁴ the limbs x·2⁴¹⁶ are x·2³²; the inverse of that, in limbs, is x⁻¹·2³⁵², and 2⁴¹⁶ is wanted.
    let correction = Fe::new(&Fq::from(1u128 << 64));
    let values = store::<L>(product).map(|row| Fe::from_limbs(residue(&row).0));
    // Montgomery's trick again, over the lanes.
    let mut before = [Fe::ONE; LANES];
    let mut all = Fe::ONE;
    for (before, value) in before.iter_mut().zip(&values) {
        *before = all;
        all.multiply(value);
    }
    let mut rest = all.inverse();
    let mut inverses = [[0; LIMBS]; LANES];
    for ((inverse, before), value) in inverses.iter_mut().zip(&before).zip(&values).rev() {
        let mut product = Fe::ZERO;
        product.set_product(&rest, before);
        product.multiply(&correction);
        *inverse = split(&product.limbs(), 1);
        rest.multiply(value);
    }
    load::<L>(|lane| &inverses[lane])
}

/// Memory that batches reuse.
pub(crate) struct Terms<L: Lanes> {
    /// A denominator and the product of those before it, for each group of eight.
    terms: Vec<(Wide<L>, Wide<L>)>,
    /// Pairs left to the portable kernel.
    left: Vec<u32>,
}

impl<L: Lanes> Default for Terms<L> {
    fn default() -> Self {
        Self {
            terms: Vec::new(),
            left: Vec::new(),
        }
    }
}

/// A slope and two points give the sum's coordinates.
#[inline(always)]
fn third_point<L: Lanes>(
    slope: &Wide<L>,
    x1: &Wide<L>,
    y1: &Wide<L>,
    x2: &Wide<L>,
) -> (Wide<L>, Wide<L>) {
    let square = mul::<L>(slope, slope);
    // Below p + 4·p and a little.
    let x = modulus::carry::<L, LIMBS>(each(
        L::splat(0),
        #[inline(always)]
        |limb| {
            let sum = L::add(square[limb], L::splat(P4[limb]));
            L::sub(L::sub(sum, x1[limb]), x2[limb])
        },
    ));
    let x = modulus::reduce_once::<L, LIMBS>(&modulus::reduce_once::<L, LIMBS>(&x, &P4), &P2);
    let y = sub::<L>(&mul::<L>(slope, &sub::<L>(x1, &x)), y1);
    (x, modulus::reduce_once::<L, LIMBS>(&y, &P2))
}

/// Which lanes of a group count, when there are `count` pairs.
#[inline(always)]
fn lanes_of(count: usize, group: usize) -> usize {
    (count - group * LANES).min(LANES)
}

/// Eight pairs of points: `a(i)` and `b(i)` for i from `group · 8`. The last pair fills the lanes beyond `count`.
#[inline(always)]
fn both<'a, L: Lanes>(
    count: usize,
    group: usize,
    pair: &impl Fn(usize) -> (&'a WidePoint, &'a WidePoint),
    part: impl Fn(&'a WidePoint) -> &'a Coordinate,
) -> (Wide<L>, Wide<L>) {
    let at = |lane: usize| (group * LANES + lane).min(count - 1);
    (
        load::<L>(
            #[inline(always)]
            |lane| part(pair(at(lane)).0),
        ),
        load::<L>(
            #[inline(always)]
            |lane| part(pair(at(lane)).1),
        ),
    )
}

/// Collects the denominators of all pairs, ones where nothing is divided, and returns the inverse of their product.
#[inline(always)]
fn collect<'a, L: Lanes>(
    count: usize,
    memory: &mut Terms<L>,
    pair: impl Fn(usize) -> (&'a WidePoint, &'a WidePoint),
) -> Wide<L> {
    memory.terms.clear();
    memory.left.clear();
    let unit = splat::<L>(&one());
    let mut product = unit;
    for group in 0..count.div_ceil(LANES) {
        let (x1, x2) = both::<L>(count, group, &pair, |point| &point.x);
        let infinite = L::either(zero::<L>(&x1), zero::<L>(&x2));
        let difference = sub::<L>(&x2, &x1);
        // What the lowest limb does not tell apart is rare: only then the others are looked at. Exactly the lanes that
        // divide by one are those left out here and the infinite ones, which need no sum.
        let mut same = L::but_not(maybe_zero::<L>(&difference), infinite);
        if L::bits(same) != 0 {
            same = L::but_not(is_zero::<L>(&difference), infinite);
            leave(count, group, &mut memory.left, L::bits(same));
        }
        let denominator = select::<L>(L::either(infinite, same), &unit, &difference);
        memory.terms.push((denominator, product));
        product = mul::<L>(&product, &denominator);
    }
    invert::<L>(product)
}

/// Leaves pairs of a group to the portable kernel: one for each lane of the mask that counts.
#[cold]
fn leave(count: usize, group: usize, left: &mut Vec<u32>, lanes: u8) {
    let lanes = (0..lanes_of(count, group)).filter(|lane| lanes >> lane & 1 == 1);
    left.extend(lanes.map(|lane| (group * LANES + lane) as u32));
}

/// The inverse for the group that `terms` ends with.
#[inline(always)]
fn next_inverse<L: Lanes>(memory: &Terms<L>, group: usize, rest: &mut Wide<L>) -> Wide<L> {
    let (denominator, before) = &memory.terms[group];
    let inverse = mul::<L>(rest, before);
    *rest = mul::<L>(rest, denominator);
    inverse
}

/// `first + second` of each lane, given the inverse of the difference of their x.
#[inline(always)]
fn sum<L: Lanes>(
    (x1, y1): (&Wide<L>, &Wide<L>),
    (x2, y2): (&Wide<L>, &Wide<L>),
    inverse: &Wide<L>,
) -> (Wide<L>, Wide<L>) {
    let (first, second) = (zero::<L>(x1), zero::<L>(x2));
    let slope = mul::<L>(&sub::<L>(y2, y1), inverse);
    let (x, y) = third_point::<L>(&slope, x1, y1, x2);
    let (x, y) = (select::<L>(second, x1, &x), select::<L>(second, y1, &y));
    (select::<L>(first, x2, &x), select::<L>(first, y2, &y))
}

/// Adds pairs by the portable kernel.
fn add_portably(a: &WidePoint, b: &WidePoint) -> WidePoint {
    let narrow = |point: &WidePoint| Batched::import(&export(point));
    let mut sum = narrow(a);
    batch_affine::add_alone(&mut sum, &narrow(b));
    import(&Batched::export(&sum))
}

fn import(point: &G1Affine) -> WidePoint {
    point.xy().map_or(INFINITY, |(x, y)| WidePoint {
        x: to_limbs(&x),
        y: to_limbs(&y),
    })
}

fn export(point: &WidePoint) -> G1Affine {
    if point.is_infinity() {
        G1Affine::zero()
    } else {
        G1Affine::new_unchecked(from_limbs(&point.x), from_limbs(&point.y))
    }
}

const INFINITY: WidePoint = WidePoint {
    x: [0; LIMBS],
    y: [0; LIMBS],
};

#[inline(always)]
fn add_pairs<L: Lanes>(
    points: &mut [WidePoint],
    others: Option<&[WidePoint]>,
    pairs: impl Fn(usize) -> (usize, usize),
    count: usize,
    memory: &mut Terms<L>,
) {
    if count == 0 {
        return;
    }
    let mut rest = {
        let second = others.unwrap_or(points);
        collect::<L>(count, memory, |index| {
            let (a, b) = pairs(index);
            (&points[a], &second[b])
        })
    };
    let specials: Vec<_> = memory
        .left
        .iter()
        .map(|index| {
            let (a, b) = pairs(*index as usize);
            (a, add_portably(&points[a], &others.unwrap_or(points)[b]))
        })
        .collect();
    for group in (0..count.div_ceil(LANES)).rev() {
        let inverse = next_inverse::<L>(memory, group, &mut rest);
        let second = others.unwrap_or(points);
        let pair = |index: usize| {
            let (a, b) = pairs(index);
            (&points[a], &second[b])
        };
        let (x1, x2) = both::<L>(count, group, &pair, |point| &point.x);
        let (y1, y2) = both::<L>(count, group, &pair, |point| &point.y);
        let (x, y) = sum::<L>((&x1, &y1), (&x2, &y2), &inverse);
        let (xs, ys) = (store::<L>(x), store::<L>(y));
        let lanes = xs.into_iter().zip(ys).take(lanes_of(count, group));
        for (lane, (x, y)) in lanes.enumerate() {
            points[pairs(group * LANES + lane).0] = WidePoint { x, y };
        }
    }
    for (at, sum) in specials {
        points[at] = sum;
    }
}

#[inline(always)]
fn double<L: Lanes>(points: &mut [WidePoint], memory: &mut Terms<L>) {
    let count = points.len();
    if count == 0 {
        return;
    }
    let at = |group: usize, lane: usize| (group * LANES + lane).min(count - 1);
    let unit = splat::<L>(&one());
    memory.terms.clear();
    let mut product = unit;
    for group in 0..count.div_ceil(LANES) {
        let x = load::<L>(|lane| &points[at(group, lane)].x);
        let y = load::<L>(|lane| &points[at(group, lane)].y);
        // No point of the group has y = 0.
        let twice = modulus::add::<L, LIMBS>(&y, &y);
        let denominator = select::<L>(zero::<L>(&x), &unit, &twice);
        memory.terms.push((denominator, product));
        product = mul::<L>(&product, &denominator);
    }
    let mut rest = invert::<L>(product);
    for group in (0..count.div_ceil(LANES)).rev() {
        let inverse = next_inverse::<L>(memory, group, &mut rest);
        let x = load::<L>(|lane| &points[at(group, lane)].x);
        let y = load::<L>(|lane| &points[at(group, lane)].y);
        let square = mul::<L>(&x, &x);
        let triple = modulus::carry::<L, LIMBS>(each(
            L::splat(0),
            #[inline(always)]
            |limb| L::add(L::add(square[limb], square[limb]), square[limb]),
        ));
        let slope = mul::<L>(&triple, &inverse);
        // Of infinity the slope is 0, and so is x3, exactly: 4·p − 0 − 0, reduced.
        let (x3, y3) = third_point::<L>(&slope, &x, &y, &x);
        let (xs, ys) = (store::<L>(x3), store::<L>(y3));
        for ((to, x), y) in points.iter_mut().skip(group * LANES).zip(xs).zip(ys) {
            *to = WidePoint { x, y };
        }
    }
}

#[inline(always)]
fn butterflies<L: Lanes>(low: &mut [WidePoint], high: &mut [WidePoint], memory: &mut Terms<L>) {
    let count = low.len().min(high.len());
    if count == 0 {
        return;
    }
    let mut rest = collect::<L>(count, memory, |index| (&low[index], &high[index]));
    let specials: Vec<_> = memory
        .left
        .iter()
        .map(|index| {
            let (a, b) = (&low[*index as usize], &high[*index as usize]);
            let (plus, minus) = (add_portably(a, b), add_portably(a, &b.negated()));
            (*index as usize, plus, minus)
        })
        .collect();
    let zero = splat::<L>(&[0; LIMBS]);
    for group in (0..count.div_ceil(LANES)).rev() {
        let inverse = next_inverse::<L>(memory, group, &mut rest);
        let pair = |index: usize| (&low[index], &high[index]);
        let (x1, x2) = both::<L>(count, group, &pair, |point| &point.x);
        let (y1, y2) = both::<L>(count, group, &pair, |point| &point.y);
        let opposite = sub::<L>(&zero, &y2);
        let (x, y) = sum::<L>((&x1, &y1), (&x2, &y2), &inverse);
        let (xs, ys) = (store::<L>(x), store::<L>(y));
        for ((to, x), y) in low.iter_mut().skip(group * LANES).zip(xs).zip(ys) {
            *to = WidePoint { x, y };
        }
        let (x, y) = sum::<L>((&x1, &y1), (&x2, &opposite), &inverse);
        let (xs, ys) = (store::<L>(x), store::<L>(y));
        for ((to, x), y) in high.iter_mut().skip(group * LANES).zip(xs).zip(ys) {
            *to = WidePoint { x, y };
        }
    }
    for (at, plus, minus) in specials {
        (low[at], high[at]) = (plus, minus);
    }
}

impl<L: Lanes> Points for Ifma<L> {
    type Point = WidePoint;
    type Scratch = Terms<L>;

    const INFINITY: WidePoint = INFINITY;

    fn import(point: &G1Affine) -> WidePoint {
        import(point)
    }

    fn export(point: &WidePoint) -> G1Affine {
        export(point)
    }

    fn is_infinity(point: &WidePoint) -> bool {
        point.is_infinity()
    }

    #[inline(always)]
    fn negated(point: &WidePoint) -> WidePoint {
        point.negated()
    }

    #[inline(always)]
    fn prefetch(point: &WidePoint) {
        prefetch(point);
    }

    fn endomorphism(points: &mut [WidePoint]) {
        let beta = to_limbs(&(g1::BETA * g1::BETA));
        L::run(
            #[inline(always)]
            || {
                let beta = splat::<L>(&beta);
                for group in points.chunks_mut(LANES) {
                    let last = group.len() - 1;
                    let x = load::<L>(|lane| &group[lane.min(last)].x);
                    // Zero stays zero, exactly.
                    let xs = store::<L>(mul::<L>(&x, &beta));
                    for (point, x) in group.iter_mut().zip(xs) {
                        point.x = x;
                    }
                }
            },
        );
    }

    fn add_within(points: &mut [WidePoint], pairs: &[(u32, u32)], memory: &mut Terms<L>) {
        L::run(
            #[inline(always)]
            || {
                add_pairs::<L>(
                    points,
                    None,
                    #[inline(always)]
                    |index| (pairs[index].0 as usize, pairs[index].1 as usize),
                    pairs.len(),
                    memory,
                );
            },
        );
    }

    fn add(points: &mut [WidePoint], others: &[WidePoint], memory: &mut Terms<L>) {
        let count = points.len().min(others.len());
        L::run(
            #[inline(always)]
            || {
                add_pairs::<L>(
                    points,
                    Some(others),
                    #[inline(always)]
                    |index| (index, index),
                    count,
                    memory,
                );
            },
        );
    }

    fn double(points: &mut [WidePoint], times: usize, memory: &mut Terms<L>) {
        for _ in 0..times {
            L::run(
                #[inline(always)]
                || double::<L>(points, memory),
            );
        }
    }

    fn butterflies(low: &mut [WidePoint], high: &mut [WidePoint], memory: &mut Terms<L>) {
        L::run(
            #[inline(always)]
            || butterflies::<L>(low, high, memory),
        );
    }
}

/// `(a, b) → (b, a · b)`, so many times, over numbers as large as factors may be: each is given with the multiple of p, up to
/// three, that is added. `None` if a product is not below 2·p.
#[cfg(any(test, feature = "differential"))]
pub(crate) fn chain_of_products<L: Lanes>(
    factors: &[[(Fq, u64); LANES]; 2],
    times: usize,
) -> Option<[Fq; LANES]> {
    let multiples = [split(&WORDS, 0), P1, P2, P3];
    let limbs = factors.map(|row| {
        row.map(|(number, multiple)| {
            let (limbs, added) = (to_limbs(&number), multiples[multiple as usize]);
            carried(&std::array::from_fn(|limb| limbs[limb] + added[limb]))
        })
    });
    let products = L::run(
        #[inline(always)]
        || {
            let (mut a, mut b) = (
                load::<L>(|lane| &limbs[0][lane]),
                load::<L>(|lane| &limbs[1][lane]),
            );
            for _ in 0..times {
                (a, b) = (b, mul::<L>(&a, &b));
            }
            store::<L>(b)
        },
    );
    let below = |limbs: &Coordinate| limbs.iter().rev().lt(P2.iter().rev());
    products
        .iter()
        .all(below)
        .then(|| products.map(|product| from_limbs(&product)))
}
