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
use super::modulus::{self, Modulus, each, fits, join, loose_bound, split};
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
// Factors are below 4·p, so a product is below 16·p² / 2⁴¹⁶ + p, which is p and next to nothing.
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
/// Two vectors of numbers that go side by side: a product waits for itself, and the other's fill the gaps.
type Two<L> = [Wide<L>; 2];
/// Pairs of points that go side by side.
const STEP: usize = 2 * LANES;

#[inline(always)]
fn two<L: Lanes>(f: impl Fn(usize) -> Wide<L>) -> Two<L> {
    each([L::splat(0); LIMBS], f)
}

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

/// Products, their limbs not carried.
#[inline(always)]
fn mul_two_loose<L: Lanes>(a: &Two<L>, b: &Two<L>) -> Two<L> {
    modulus::multiply_two::<L, LIMBS>(a, b, &P)
}

#[inline(always)]
fn mul_two<L: Lanes>(a: &Two<L>, b: &Two<L>) -> Two<L> {
    let products = mul_two_loose::<L>(a, b);
    two::<L>(
        #[inline(always)]
        |k| modulus::carry::<L, LIMBS>(products[k]),
    )
}

/// Squares, their limbs not carried.
#[inline(always)]
fn square_two<L: Lanes>(a: &Two<L>) -> Two<L> {
    modulus::square_two::<L, LIMBS>(a, &P)
}

#[inline(always)]
fn sub_two<L: Lanes>(a: &Two<L>, b: &Two<L>) -> Two<L> {
    two::<L>(
        #[inline(always)]
        |k| sub::<L>(&a[k], &b[k]),
    )
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

/// The inverse of every lane, none of which is zero.
#[inline(always)]
fn invert<L: Lanes>(number: Wide<L>) -> Wide<L> {
    // Products of two, four and all lanes; the inverse of the last gives those of the others.
    let neighbour = exchange::<L, 1>(&number);
    let two = mul::<L>(&number, &neighbour);
    let other_two = exchange::<L, 2>(&two);
    let four = mul::<L>(&two, &other_two);
    let other_four = exchange::<L, 4>(&four);
    let eight = mul::<L>(&four, &other_four);
    let of_eight = splat::<L>(&inverse(&store::<L>(eight)[0]));
    let of_two = mul::<L>(&mul::<L>(&of_eight, &other_four), &other_two);
    mul::<L>(&of_two, &neighbour)
}

/// The inverses of both.
#[inline(always)]
fn invert_two<L: Lanes>(numbers: &Two<L>) -> Two<L> {
    let [a, b] = numbers;
    let inverse = invert::<L>(mul::<L>(a, b));
    mul_two::<L>(&[inverse; 2], &[*b, *a])
}

fn inverse(number: &Coordinate) -> Coordinate {
    // As elements of 2³⁸⁴ the limbs x·2⁴¹⁶ are x·2³²; the inverse of that, in limbs, is x⁻¹·2³⁵², and 2⁴¹⁶ is wanted.
    let correction = Fe::new(&Fq::from(1u128 << 64));
    let mut inverse = Fe::from_limbs(residue(number).0).inverse();
    inverse.multiply(&correction);
    split(&inverse.limbs(), 1)
}

#[inline(always)]
fn exchange<L: Lanes, const DISTANCE: usize>(value: &Wide<L>) -> Wide<L> {
    each(
        L::splat(0),
        #[inline(always)]
        |limb| L::exchange::<DISTANCE>(value[limb]),
    )
}

/// Memory that batches reuse.
pub(crate) struct Terms<L: Lanes> {
    /// Denominators and the products of those before them, for two groups of eight at a time, each with products of its own.
    terms: Vec<(Two<L>, Two<L>)>,
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

/// The unit in which [`settle`] counts: p's highest limb, rounded up.
const UNIT: u64 = P1[LIMBS - 1] + 1;
/// 2⁵² / [`UNIT`].
const PER_UNIT: u64 = (1 << LIMB_BITS) / UNIT;
/// What [`settle`] allows for what the lower limbs take from the highest one.
const SLACK: u64 = 12;
/// Limb by limb: what [`settle`] adds to numbers between (i − 5)·p and (i − 4)·p, or thereabouts.
const MULTIPLES: [[u64; LANES]; LIMBS] = {
    let mut multiples = [[0; LANES]; LIMBS];
    let mut limb = 0;
    while limb < LIMBS {
        let mut index = 0;
        while index < LANES {
            multiples[limb][index] = P1[limb].wrapping_mul(5u64.wrapping_sub(index as u64));
            index += 1;
        }
        limb += 1;
    }
    multiples
};
// A limb below the highest is above −2⁵⁴ and below `loose_bound`: it takes less than 5 of the highest one's units, and gives
// less than 34. So a number is above what the highest limb, less the slack, says even if p's highest limb is rounded up
// five times, and the multiple that is added makes it positive. What is left is below p and a thousandth: the slack, what
// lower limbs give, and rounding are below 100 units.
const _: () = assert!(SLACK >= 5 + 5 && loose_bound(LIMBS) >> LIMB_BITS < 34 && 100 * 1000 < UNIT);

/// A number between −4·p and 2·p, its limbs with a sign and above −2⁵⁴, brought to between 0 and 1.001·p.
#[inline(always)]
fn settle<L: Lanes>(number: &Wide<L>) -> Wide<L> {
    let positive = L::add(number[LIMBS - 1], L::splat(5 * UNIT - SLACK));
    let index = L::madd_hi(L::splat(0), positive, L::splat(PER_UNIT));
    modulus::carry::<L, LIMBS>(each(
        L::splat(0),
        #[inline(always)]
        |limb| L::add(number[limb], L::lookup(&MULTIPLES[limb], index)),
    ))
}

/// A slope and two points give the sum's coordinates.
#[inline(always)]
fn third_point<L: Lanes>(
    slope: &Two<L>,
    x1: &Two<L>,
    y1: &Two<L>,
    x2: &Two<L>,
) -> (Two<L>, Two<L>) {
    let square = square_two::<L>(slope);
    let x = two::<L>(
        #[inline(always)]
        |k| {
            settle::<L>(&each(
                L::splat(0),
                #[inline(always)]
                |limb| L::sub(L::sub(square[k][limb], x1[k][limb]), x2[k][limb]),
            ))
        },
    );
    let product = mul_two_loose::<L>(slope, &sub_two::<L>(x1, &x));
    let y = two::<L>(
        #[inline(always)]
        |k| {
            settle::<L>(&each(
                L::splat(0),
                #[inline(always)]
                |limb| L::sub(product[k][limb], y1[k][limb]),
            ))
        },
    );
    (x, y)
}

/// Which lanes of a group count, when there are `count` pairs.
#[inline(always)]
fn lanes_of(count: usize, group: usize) -> usize {
    count.saturating_sub(group * LANES).min(LANES)
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

/// Collects the denominators of all pairs, ones where nothing is divided, and returns the inverses of their products.
#[inline(always)]
fn collect<'a, L: Lanes>(
    count: usize,
    memory: &mut Terms<L>,
    pair: impl Fn(usize) -> (&'a WidePoint, &'a WidePoint),
) -> Two<L> {
    memory.terms.clear();
    memory.left.clear();
    let unit = splat::<L>(&one());
    let mut products = [unit; 2];
    for step in 0..count.div_ceil(STEP) {
        let mut denominators = [unit; 2];
        for (k, denominator) in denominators.iter_mut().enumerate() {
            let group = 2 * step + k;
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
            *denominator = select::<L>(L::either(infinite, same), &unit, &difference);
        }
        memory.terms.push((denominators, products));
        products = mul_two::<L>(&products, &denominators);
    }
    invert_two::<L>(&products)
}

/// Leaves pairs of a group to the portable kernel: one for each lane of the mask that counts.
#[cold]
fn leave(count: usize, group: usize, left: &mut Vec<u32>, lanes: u8) {
    let lanes = (0..lanes_of(count, group)).filter(|lane| lanes >> lane & 1 == 1);
    left.extend(lanes.map(|lane| (group * LANES + lane) as u32));
}

/// The inverses for the groups of this step, the last one that is left.
#[inline(always)]
fn next_inverse<L: Lanes>(memory: &Terms<L>, step: usize, rest: &mut Two<L>) -> Two<L> {
    let (denominators, before) = &memory.terms[step];
    let inverses = mul_two::<L>(rest, before);
    *rest = mul_two::<L>(rest, denominators);
    inverses
}

/// `first + second` of each lane, given the inverse of the difference of their x.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn sum<L: Lanes>(
    (x1, y1): (&Two<L>, &Two<L>),
    (x2, y2): (&Two<L>, &Two<L>),
    inverse: &Two<L>,
) -> (Two<L>, Two<L>) {
    let slope = mul_two::<L>(&sub_two::<L>(y2, y1), inverse);
    let (mut x, mut y) = third_point::<L>(&slope, x1, y1, x2);
    for k in 0..2 {
        let (first, second) = (zero::<L>(&x1[k]), zero::<L>(&x2[k]));
        x[k] = select::<L>(second, &x1[k], &x[k]);
        y[k] = select::<L>(second, &y1[k], &y[k]);
        x[k] = select::<L>(first, &x2[k], &x[k]);
        y[k] = select::<L>(first, &y2[k], &y[k]);
    }
    (x, y)
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

/// Coordinates of two groups of points.
type Coordinates<L> = (Two<L>, Two<L>);

/// The pairs of a step.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn load_points<'a, L: Lanes>(
    count: usize,
    step: usize,
    pair: &impl Fn(usize) -> (&'a WidePoint, &'a WidePoint),
) -> (Coordinates<L>, Coordinates<L>) {
    let zeros = [[L::splat(0); LIMBS]; 2];
    let (mut x1, mut y1, mut x2, mut y2) = (zeros, zeros, zeros, zeros);
    for k in 0..2 {
        (x1[k], x2[k]) = both::<L>(count, 2 * step + k, pair, |point| &point.x);
        (y1[k], y2[k]) = both::<L>(count, 2 * step + k, pair, |point| &point.y);
    }
    ((x1, y1), (x2, y2))
}

/// Hands out the points of a step, those that count.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn store_points<L: Lanes>(
    count: usize,
    step: usize,
    x: Two<L>,
    y: Two<L>,
    mut to: impl FnMut(usize, WidePoint),
) {
    for k in 0..2 {
        let group = 2 * step + k;
        let (xs, ys) = (store::<L>(x[k]), store::<L>(y[k]));
        let lanes = xs.into_iter().zip(ys).take(lanes_of(count, group));
        for (lane, (x, y)) in lanes.enumerate() {
            to(group * LANES + lane, WidePoint { x, y });
        }
    }
}

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
    for step in (0..count.div_ceil(STEP)).rev() {
        let inverse = next_inverse::<L>(memory, step, &mut rest);
        let second = others.unwrap_or(points);
        let pair = |index: usize| {
            let (a, b) = pairs(index);
            (&points[a], &second[b])
        };
        let (first, second) = load_points::<L>(count, step, &pair);
        let (x, y) = sum::<L>((&first.0, &first.1), (&second.0, &second.1), &inverse);
        store_points::<L>(count, step, x, y, |index, sum| {
            points[pairs(index).0] = sum;
        });
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
    let unit = splat::<L>(&one());
    memory.terms.clear();
    let mut products = [unit; 2];
    for step in 0..count.div_ceil(STEP) {
        let ((x, y), _) = load_points::<L>(count, step, &|index| (&points[index], &points[index]));
        let denominators = two::<L>(
            #[inline(always)]
            |k| {
                // No point of the group has y = 0.
                let twice = modulus::add::<L, LIMBS>(&y[k], &y[k]);
                select::<L>(zero::<L>(&x[k]), &unit, &twice)
            },
        );
        memory.terms.push((denominators, products));
        products = mul_two::<L>(&products, &denominators);
    }
    let mut rest = invert_two::<L>(&products);
    for step in (0..count.div_ceil(STEP)).rev() {
        let inverse = next_inverse::<L>(memory, step, &mut rest);
        let ((x, y), _) = load_points::<L>(count, step, &|index| (&points[index], &points[index]));
        let square = square_two::<L>(&x);
        let triple = two::<L>(
            #[inline(always)]
            |k| {
                modulus::carry::<L, LIMBS>(each(
                    L::splat(0),
                    #[inline(always)]
                    |limb| L::add(L::add(square[k][limb], square[k][limb]), square[k][limb]),
                ))
            },
        );
        let slope = mul_two::<L>(&triple, &inverse);
        let (x3, y3) = third_point::<L>(&slope, &x, &y, &x);
        // Infinity stays as it is: its x is 0, exactly.
        let x3 = two::<L>(
            #[inline(always)]
            |k| select::<L>(zero::<L>(&x[k]), &x[k], &x3[k]),
        );
        store_points::<L>(count, step, x3, y3, |index, point| points[index] = point);
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
    let zero = [splat::<L>(&[0; LIMBS]); 2];
    for step in (0..count.div_ceil(STEP)).rev() {
        let inverse = next_inverse::<L>(memory, step, &mut rest);
        let pair = |index: usize| (&low[index], &high[index]);
        let ((x1, y1), (x2, y2)) = load_points::<L>(count, step, &pair);
        let opposite = sub_two::<L>(&zero, &y2);
        let (x, y) = sum::<L>((&x1, &y1), (&x2, &y2), &inverse);
        store_points::<L>(count, step, x, y, |index, point| low[index] = point);
        let (x, y) = sum::<L>((&x1, &y1), (&x2, &opposite), &inverse);
        store_points::<L>(count, step, x, y, |index, point| high[index] = point);
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
