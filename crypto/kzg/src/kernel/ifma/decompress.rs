//! Compressed points, eight at a time: the square root and the check of the subgroup.
//!
//! Both are the same steps for every point, so the lanes never part. Numbers are reduced by products only: a product of two
//! factors below 2¹⁷·p is below 2·p, and no sum here comes near that.

use ark_bls12_381::{Fq, g1};
use ark_ec::AffineRepr;
use ark_ff::{BigInt, Field, PrimeField};

use super::lanes::{LANES, Lanes};
use super::modulus::{self, each, fits, join, reduce_once, split};
use super::points::{
    Coordinate, LIMBS, P, P1, P2, WORDS, Wide, load, mul, splat, store, to_limbs, zero,
};
use crate::curve::{self, G1Affine, POINT_BYTES, PointError};

/// So few points are decoded faster one by one.
const FEW: usize = 2;
/// The absolute value of z, the parameter of the curve.
const Z: u64 = 0xd201_0000_0001_0000;
/// (p + 1) / 4: to this power a square gives its root, since p is 3 modulo 4.
const ROOT: [u64; 6] = {
    let mut words = WORDS;
    words[0] += 1;
    let mut at = 0;
    while at < 6 {
        let above = if at < 5 { words[at + 1] << 62 } else { 0 };
        words[at] = words[at] >> 2 | above;
        at += 1;
    }
    words
};
const _: () = assert!(WORDS[0] % 4 == 3 && WORDS[0] != u64::MAX);
/// Bits of the exponent read at a time.
const WINDOW: usize = 5;
/// One as a number: a product with it is a number out of the form of the lanes.
const ONE: Coordinate = split(&[1], 1);
const P4: Coordinate = split(&WORDS, 4);
const P8: Coordinate = split(&WORDS, 8);
const P16: Coordinate = split(&WORDS, 16);
const P24: Coordinate = split(&WORDS, 24);
const P32: Coordinate = split(&WORDS, 32);
const _: () = assert!(fits::<LIMBS>(&WORDS, 128));

/// Decodes points as [`curve::decompress`] does.
pub(super) fn decompress<L: Lanes>(
    encodings: &[[u8; POINT_BYTES]],
) -> Vec<Result<G1Affine, PointError>> {
    let mut points = Vec::with_capacity(encodings.len());
    let constants = Constants::new();
    for group in encodings.chunks(LANES) {
        if group.len() <= FEW {
            points.extend(group.iter().map(curve::decompress));
            continue;
        }
        let parsed: [Parsed; LANES] =
            std::array::from_fn(|lane| group.get(lane).map_or(Parsed::Infinity, parse));
        let x = parsed.map(|parsed| match parsed {
            Parsed::Point { x, .. } => split(&x, 1),
            // No matter which: on the curve, and nobody looks at it.
            Parsed::Infinity | Parsed::Bad => [0; LIMBS],
        });
        let found = L::run(
            #[inline(always)]
            || solve::<L>(&x, &constants),
        );
        points.extend(
            (parsed.iter().zip(0..))
                .take(group.len())
                .map(|(parsed, lane)| found.point(parsed, lane)),
        );
    }
    points
}

/// 48 bytes, as far as one looks at them without arithmetic.
#[derive(Clone, Copy)]
enum Parsed {
    Bad,
    Infinity,
    Point {
        /// Below p, little-endian.
        x: [u64; 6],
        /// Whether y is the larger of the two roots.
        larger: bool,
    },
}

fn parse(bytes: &[u8; POINT_BYTES]) -> Parsed {
    const COMPRESSED: u8 = 0x80;
    const INFINITY: u8 = 0x40;
    const LARGER: u8 = 0x20;
    let [first, rest @ ..] = bytes;
    if first & COMPRESSED == 0 {
        return Parsed::Bad;
    }
    if first & INFINITY != 0 {
        let clean = *first == COMPRESSED | INFINITY && rest.iter().all(|byte| *byte == 0);
        return if clean { Parsed::Infinity } else { Parsed::Bad };
    }
    let mut x = [0; 6];
    for (word, bytes) in x.iter_mut().rev().zip(bytes.as_chunks().0) {
        *word = u64::from_be_bytes(*bytes);
    }
    x[5] &= u64::MAX >> 3;
    if x.iter().rev().lt(WORDS.iter().rev()) {
        let larger = first & LARGER != 0;
        Parsed::Point { x, larger }
    } else {
        Parsed::Bad
    }
}

/// What lanes gave: bits a lane, and coordinates below p.
struct Solved {
    on_curve: u8,
    in_subgroup: u8,
    /// In arkworks' form.
    x: [Coordinate; LANES],
    /// In arkworks' form, one of the two roots.
    y: [Coordinate; LANES],
    /// The same root as a number.
    root: [Coordinate; LANES],
}

impl Solved {
    fn point(&self, parsed: &Parsed, lane: usize) -> Result<G1Affine, PointError> {
        let larger = match parsed {
            Parsed::Bad => return Err(PointError::Encoding),
            Parsed::Infinity => return Ok(G1Affine::zero()),
            Parsed::Point { larger, .. } => *larger,
        };
        if self.on_curve >> lane & 1 == 0 {
            return Err(PointError::NotOnCurve);
        }
        if self.in_subgroup >> lane & 1 == 0 {
            return Err(PointError::NotInSubgroup);
        }
        let element = |limbs: &Coordinate| Fq::new_unchecked(BigInt(join(limbs)));
        let (x, y) = (element(&self.x[lane]), element(&self.y[lane]));
        let is_larger = BigInt(join(&self.root[lane])) > Fq::MODULUS_MINUS_ONE_DIV_TWO;
        Ok(G1Affine::new_unchecked(
            x,
            if is_larger == larger { y } else { -y },
        ))
    }
}

/// Factors.
struct Constants {
    /// 2⁸³² modulo p: a number into the form of the lanes.
    into: Coordinate,
    /// 2³⁸⁴ modulo p: out of it, into arkworks' form.
    into_ark: Coordinate,
    /// Four, the curve's constant.
    four: Coordinate,
    /// The cube root of one that the endomorphism of −z² multiplies x by.
    beta: Coordinate,
    /// One.
    unit: Coordinate,
}

impl Constants {
    fn new() -> Self {
        let two = Fq::from(2u64);
        // In the form of the lanes a number is 2⁴¹⁶ times as large.
        Self {
            into: to_limbs(&two.pow([416])),
            into_ark: split(&two.pow([384]).into_bigint().0, 1),
            four: to_limbs(&Fq::from(4u64)),
            // arkworks' endomorphism is that of −z²: its square is that of z² − 1, see `Points::endomorphism`.
            beta: to_limbs(&g1::BETA),
            unit: to_limbs(&Fq::ONE),
        }
    }
}

#[inline(always)]
fn square<L: Lanes>(a: &Wide<L>) -> Wide<L> {
    modulus::square::<L, LIMBS>(a, &P)
}

/// Limbs carried, of a sum written limb by limb.
#[inline(always)]
fn sum<L: Lanes>(limb: impl Fn(usize) -> L::V) -> Wide<L> {
    modulus::carry::<L, LIMBS>(each(L::splat(0), limb))
}

/// `a − b + offset`, which is not negative.
#[inline(always)]
fn minus<L: Lanes>(a: &Wide<L>, b: &Wide<L>, offset: &Coordinate) -> Wide<L> {
    modulus::subtract::<L, LIMBS>(a, b, offset)
}

/// Lanes that are zero modulo p.
#[inline(always)]
fn vanishes<L: Lanes>(number: &Wide<L>) -> L::Mask {
    // Times 2⁻⁴¹⁶, a multiple of p is 0 or p.
    let reduced = mul::<L>(number, &splat::<L>(&ONE));
    let less = each(
        L::splat(0),
        #[inline(always)]
        |limb| L::sub(reduced[limb], L::splat(P1[limb])),
    );
    L::either(zero::<L>(&reduced), zero::<L>(&less))
}

/// Below p, of a product with a number below p.
#[inline(always)]
fn canonical<L: Lanes>(product: &Wide<L>) -> [Coordinate; LANES] {
    store::<L>(reduce_once::<L, LIMBS>(product, &P1))
}

/// Points from their x.
#[inline(always)]
fn solve<L: Lanes>(x: &[Coordinate; LANES], constants: &Constants) -> Solved {
    let into_ark = splat::<L>(&constants.into_ark);
    let x = mul::<L>(&load::<L>(|lane| &x[lane]), &splat::<L>(&constants.into));
    let (cube, four) = (mul::<L>(&square::<L>(&x), &x), splat::<L>(&constants.four));
    let right = sum::<L>(
        #[inline(always)]
        |limb| L::add(cube[limb], four[limb]),
    );
    let y = root::<L>(&right);
    let on_curve = vanishes::<L>(&minus::<L>(&square::<L>(&y), &right, &P4));
    let in_subgroup = L::but_not(
        in_subgroup::<L>(&x, &y, constants),
        // (0, ±2) has order 3; it fails the check, too, as every point of a small order.
        vanishes::<L>(&x),
    );
    Solved {
        on_curve: L::bits(on_curve),
        in_subgroup: L::bits(in_subgroup),
        x: canonical::<L>(&mul::<L>(&x, &into_ark)),
        y: canonical::<L>(&mul::<L>(&y, &into_ark)),
        root: canonical::<L>(&mul::<L>(&y, &splat::<L>(&ONE))),
    }
}

/// A square root, where there is one.
#[inline(always)]
fn root<L: Lanes>(number: &Wide<L>) -> Wide<L> {
    // The odd powers.
    let twice = square::<L>(number);
    let mut powers = [*number; 1 << (WINDOW - 1)];
    for at in 1..powers.len() {
        powers[at] = mul::<L>(&powers[at - 1], &twice);
    }
    let bit = |at: usize| ROOT[at / 64] >> (at % 64) & 1;
    let mut at = 6 * 64 - ROOT[5].leading_zeros() as usize;
    let mut result = None;
    while at > 0 {
        // A zero, or a window that ends with a one.
        let mut low = at - 1;
        let mut window = 0;
        if bit(low) == 1 {
            low = at.saturating_sub(WINDOW);
            while bit(low) == 0 {
                low += 1;
            }
            window = (low..at)
                .rev()
                .fold(0, |window, at| window << 1 | bit(at) as usize);
        }
        result = Some(match result {
            None => powers[window / 2],
            Some(mut result) => {
                for _ in low..at {
                    result = square::<L>(&result);
                }
                if window != 0 {
                    result = mul::<L>(&result, &powers[window / 2]);
                }
                result
            }
        });
        at = low;
    }
    result.unwrap_or(powers[0])
}

/// Lanes whose point of the curve is in the subgroup of order r: those with −z²·P = φ(P), φ the endomorphism that
/// multiplies x by β (Scott, eprint 2021/1130).
///
/// The formulas for a sum are wrong where a multiple that they meet is infinite or ±P, in the first half, or ±z·P, in the
/// second. Then Z becomes 0 and stays 0, and the lane is refused. Rightly so: the point's order divides then a number that
/// is neither 0 nor as large as r.
#[inline(always)]
fn in_subgroup<L: Lanes>(x: &Wide<L>, y: &Wide<L>, constants: &Constants) -> L::Mask {
    let (beta, unit) = (splat::<L>(&constants.beta), splat::<L>(&constants.unit));
    let (mut base_x, mut base_y, mut base_z) = (*x, *y, unit);
    for _ in 0..2 {
        // The formulas do not know the curve's constant. So X and Y are an affine point, of another curve: that with
        // 4·Z⁶, on which all Z are smaller by the factor Z.
        let (mut x, mut y, mut z) = (base_x, base_y, unit);
        for bit in (0..Z.ilog2()).rev() {
            (x, y, z) = double::<L>(&x, &y, &z);
            if Z >> bit & 1 == 1 {
                (x, y, z) = add::<L>(&x, &y, &z, &base_x, &base_y);
            }
        }
        (base_x, base_y, base_z) = (x, y, mul::<L>(&z, &base_z));
    }
    // X = β·x·Z², −Y = y·Z³.
    let square_z = square::<L>(&base_z);
    let claimed = mul::<L>(&mul::<L>(x, &beta), &square_z);
    let same_x = vanishes::<L>(&minus::<L>(&base_x, &claimed, &P2));
    let claimed = mul::<L>(&mul::<L>(y, &base_z), &square_z);
    let opposite_y = vanishes::<L>(&sum::<L>(
        #[inline(always)]
        |limb| L::add(base_y[limb], claimed[limb]),
    ));
    let both = L::but_not(same_x, L::but_not(same_x, opposite_y));
    L::but_not(both, vanishes::<L>(&base_z))
}

/// Twice a point in Jacobian coordinates (dbl-2009-l). X is below 26·p, Y below 18·p, Z below 3·p, before and after.
#[inline(always)]
fn double<L: Lanes>(x: &Wide<L>, y: &Wide<L>, z: &Wide<L>) -> (Wide<L>, Wide<L>, Wide<L>) {
    let a = square::<L>(x);
    let b = square::<L>(y);
    let c = square::<L>(&b);
    let s = square::<L>(&sum::<L>(
        #[inline(always)]
        |limb| L::add(x[limb], b[limb]),
    ));
    // Four times x·y², below 11·p.
    let d = sum::<L>(
        #[inline(always)]
        |limb| {
            let half = L::sub(s[limb], L::add(a[limb], c[limb]));
            L::add(L::shl::<1>(half), L::splat(P8[limb]))
        },
    );
    let e = sum::<L>(
        #[inline(always)]
        |limb| L::add(L::shl::<1>(a[limb]), a[limb]),
    );
    let f = square::<L>(&e);
    let x3 = sum::<L>(
        #[inline(always)]
        |limb| L::add(L::sub(f[limb], L::shl::<1>(d[limb])), L::splat(P24[limb])),
    );
    let left = mul::<L>(&e, &minus::<L>(&d, &x3, &P32));
    let y3 = sum::<L>(
        #[inline(always)]
        |limb| {
            L::add(
                L::sub(left[limb], L::shl::<3>(c[limb])),
                L::splat(P16[limb]),
            )
        },
    );
    let product = mul::<L>(y, z);
    let z3 = sum::<L>(
        #[inline(always)]
        |limb| L::shl::<1>(product[limb]),
    );
    (x3, y3, z3)
}

/// The sum of a point in Jacobian coordinates and an affine one, bounds as in [`double`]. Z is 0 if it was, and if the
/// two have the same x.
#[inline(always)]
fn add<L: Lanes>(
    x: &Wide<L>,
    y: &Wide<L>,
    z: &Wide<L>,
    other_x: &Wide<L>,
    other_y: &Wide<L>,
) -> (Wide<L>, Wide<L>, Wide<L>) {
    let square_z = square::<L>(z);
    let u = mul::<L>(other_x, &square_z);
    let s = mul::<L>(&mul::<L>(other_y, z), &square_z);
    let h = minus::<L>(&u, x, &P32);
    let r = minus::<L>(&s, y, &P32);
    let square_h = square::<L>(&h);
    let cube_h = mul::<L>(&square_h, &h);
    let v = mul::<L>(x, &square_h);
    let square_r = square::<L>(&r);
    // Below 6·p.
    let x3 = sum::<L>(
        #[inline(always)]
        |limb| {
            let less = L::add(L::shl::<1>(v[limb]), cube_h[limb]);
            L::add(L::sub(square_r[limb], less), L::splat(P4[limb]))
        },
    );
    let left = mul::<L>(&r, &minus::<L>(&v, &x3, &P8));
    let y3 = minus::<L>(&left, &mul::<L>(y, &cube_h), &P2);
    (x3, y3, mul::<L>(z, &h))
}

#[cfg(test)]
mod tests;
