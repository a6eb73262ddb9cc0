//! Scalars in eight lanes: extending a row, short transforms of many columns or rows, products.
//!
//! The forward transform splits `x^2n − c²` into `x^n − c` and `x^n + c` from the top down (Cooley-Tukey), so a whole
//! block shares one twiddle and the coset of a block of the extension is nothing but another place in the tree of
//! roots. Multiplying before adding lets numbers grow by at most 2·r a level: twelve levels stay below 26·r, and
//! 2²⁶⁰ is more than 35·r, so nothing is reduced before the end. Nor are limbs carried, except those of a factor: a level
//! adds less than 2⁵⁷ to each.

use std::sync::OnceLock;

use ark_bls12_381::Fr;
use ark_ff::{BigInt, Field, MontConfig, PrimeField};

use super::lanes::{LANES, LIMB_BITS, LIMB_MASK, Lanes};
use super::modulus::{self, Modulus, each, fits, loose_bound, split};
use crate::ELEMENTS_PER_ROW as ELEMENTS;
use crate::kernel::fft::{BLOWUPS, bit_reverse, invert, root_of_unity};

pub(super) const LIMBS: usize = 5;
const WORDS: [u64; 4] = <ark_bls12_381::FrConfig as MontConfig<4>>::MODULUS.0;
pub(super) const R: Modulus<LIMBS> = Modulus::new(&WORDS);
const R1: [u64; LIMBS] = split(&WORDS, 1);
const R2: [u64; LIMBS] = split(&WORDS, 2);
/// Levels of the longest transform: a level adds 2·r to numbers that begin below r. Longer ones are the portable kernel's.
pub(crate) const MAX_LEVELS: u32 = 17;
const _: () = assert!(fits::<LIMBS>(&WORDS, 1 + 2 * MAX_LEVELS as u64));
/// The levels of a row's transforms. The inverse begins below r, the forward one with products, below 2·r.
const ROW_LEVELS: u32 = ELEMENTS.trailing_zeros();
const _: () = assert!(fits::<LIMBS>(&WORDS, 2 + 2 * ROW_LEVELS as u64));
/// 2²⁶⁰ − r.
const NEGATIVE_R: [u64; LIMBS] = negative();

// A level adds a product whose limbs are not carried, and a multiple of r.
const _: () =
    assert!((loose_bound(LIMBS) + (1 << LIMB_BITS)) as u128 * (MAX_LEVELS as u128 + 1) < 1 << 63);

/// One element a lane, limbs of 52 bits, or more where they are not carried.
pub(super) type Wide<L> = [<L as Lanes>::V; LIMBS];
/// The same in memory: limb by limb, eight neighbouring elements.
type Stored = [[u64; LANES]; LIMBS];
/// A twiddle for all lanes alike.
type Twiddle = [u64; LIMBS];

/// Elements in a tile: eight groups of eight, the groups across the lanes.
const TILE: usize = LANES * LANES;
const GROUPS: usize = ELEMENTS / LANES;

const fn negative() -> [u64; LIMBS] {
    let mut out = [0; LIMBS];
    let mut borrow = 0i64;
    let mut at = 0;
    while at < LIMBS {
        let difference = borrow - R1[at] as i64;
        out[at] = difference as u64 & LIMB_MASK;
        borrow = difference >> LIMB_BITS;
        at += 1;
    }
    out
}

/// In Montgomery form, below r.
fn twiddle(value: Fr) -> Twiddle {
    split(&(value * Fr::from(2u64).pow([260])).into_bigint().0, 1)
}

#[inline(always)]
fn splat<L: Lanes>(value: &Twiddle) -> Wide<L> {
    each(
        L::splat(0),
        #[inline(always)]
        |limb| L::splat(value[limb]),
    )
}

#[inline(always)]
fn load<L: Lanes>(from: &Stored) -> Wide<L> {
    each(
        L::splat(0),
        #[inline(always)]
        |limb| L::load(&from[limb]),
    )
}

#[inline(always)]
fn store<L: Lanes>(value: &Wide<L>, to: &mut Stored) {
    for (vector, limb) in value.iter().zip(to) {
        L::store(*vector, limb);
    }
}

/// `(a + b·w, a − b·w)`; b·w is below 2·r whatever b < 2²⁶⁰ was. Limbs of a, b and the results are not carried.
#[inline(always)]
fn butterfly<L: Lanes>(a: &Wide<L>, b: &Wide<L>, w: &Wide<L>) -> (Wide<L>, Wide<L>) {
    let product = modulus::multiply_loose::<L, LIMBS>(&carry::<L>(b), w, &R);
    let sum = each(
        L::splat(0),
        #[inline(always)]
        |limb| L::add(a[limb], product[limb]),
    );
    let difference = each(
        L::splat(0),
        #[inline(always)]
        |limb| L::sub(L::add(a[limb], L::splat(R2[limb])), product[limb]),
    );
    (sum, difference)
}

/// Two levels of butterflies on places 0, 1, 2 and 3, whose distances are 2 and then 1.
#[inline(always)]
fn down<L: Lanes>(
    [a, b, c, d]: [Wide<L>; 4],
    both: &Wide<L>,
    low: &Wide<L>,
    high: &Wide<L>,
) -> [Wide<L>; 4] {
    let (a, c) = butterfly::<L>(&a, &c, both);
    let (b, d) = butterfly::<L>(&b, &d, both);
    let (a, b) = butterfly::<L>(&a, &b, low);
    let (c, d) = butterfly::<L>(&c, &d, high);
    [a, b, c, d]
}

/// The same with the distances 1 and then 2.
#[inline(always)]
fn up<L: Lanes>(
    [a, b, c, d]: [Wide<L>; 4],
    both: &Wide<L>,
    low: &Wide<L>,
    high: &Wide<L>,
) -> [Wide<L>; 4] {
    let (a, b) = butterfly::<L>(&a, &b, both);
    let (c, d) = butterfly::<L>(&c, &d, both);
    let (a, c) = butterfly::<L>(&a, &c, low);
    let (b, d) = butterfly::<L>(&b, &d, high);
    [a, b, c, d]
}

#[inline(always)]
fn carry<L: Lanes>(a: &Wide<L>) -> Wide<L> {
    modulus::carry::<L, LIMBS>(*a)
}

/// Below r, from anything below 2²⁶⁰, whose limbs need not be carried.
#[inline(always)]
pub(super) fn canonical<L: Lanes>(a: &Wide<L>) -> Wide<L> {
    let a = carry::<L>(a);
    let quotient = L::madd_hi(L::splat(0), a[4], L::splat(RECIPROCAL_SCALED));
    let quotient = L::shr::<RECIPROCAL_SHIFT>(quotient);
    let mut t = a;
    for j in 0..LIMBS {
        t[j] = L::madd_lo(t[j], L::splat(NEGATIVE_R[j]), quotient);
        if j + 1 < LIMBS {
            t[j + 1] = L::madd_hi(t[j + 1], L::splat(NEGATIVE_R[j]), quotient);
        }
    }
    let mut t = modulus::carry::<L, LIMBS>(t);
    // Modulo 2²⁶⁰.
    t[LIMBS - 1] = L::and(t[LIMBS - 1], L::splat(LIMB_MASK));
    modulus::reduce_once::<L, LIMBS>(&modulus::reduce_once::<L, LIMBS>(&t, &R1), &R1)
}

/// The highest limb has 52 bits and r's has 47: the quotient is the limb times this, shifted by 52 and by
/// [`RECIPROCAL_SHIFT`].
const RECIPROCAL_SHIFT: u32 = 46;
const RECIPROCAL_SCALED: u64 = ((1u128 << (52 + RECIPROCAL_SHIFT)) / (R1[4] as u128 + 1)) as u64;
// The multiplier takes 52 bits. A limb over r's highest is at most 1 + 2^(52 − 46) below the quotient by r itself, 2⁻³⁸ and less of
// one: with the rounding down of quotient and reciprocal the number left is below 3·r.
const _: () = assert!(RECIPROCAL_SCALED <= LIMB_MASK && R1[4] >> 46 == 1);
const _: () = assert!(fits::<LIMBS>(&WORDS, 3));

/// The tree of roots: twiddles of blocks of the extension, level by level.
struct Forward {
    /// For each level with blocks of 16 or more, from the top: one twiddle a block.
    levels: Vec<Vec<Twiddle>>,
    /// For each tile: the twiddles of the last three levels, 1 + 2 + 4, a group a lane.
    tiles: Vec<[Stored; 7]>,
}

/// The root that block `index` of a level is split with, c in `x^2n − c²`: the level has `2^level` blocks in the whole
/// domain.
fn split_root(level: u32, index: usize) -> Fr {
    // x^(size / 2^level) = ω^(bit-reversed index · …): half of that exponent, of order 2^(level + 1).
    root_of_unity(2 << level).pow([bit_reverse(index, level) as u64])
}

impl Forward {
    /// For block `block` of a domain of `2^log` rows.
    fn new(log: u32, block: usize) -> Self {
        let levels = (0..9)
            .map(|depth: u32| {
                (0..1usize << depth)
                    .map(|at| twiddle(split_root(log + depth, (block << depth) + at)))
                    .collect()
            })
            .collect();
        let tiles = (0..ELEMENTS / TILE)
            .map(|tile| {
                let mut twiddles = [[[0; LANES]; LIMBS]; 7];
                let mut slots = twiddles.iter_mut();
                for depth in 9u32..12 {
                    let per_group = 1usize << (depth - 9);
                    for (part, slot) in (0..per_group).zip(&mut slots) {
                        for lane in 0..LANES {
                            let at = (tile * LANES + lane) * per_group + part;
                            let root = twiddle(split_root(log + depth, (block << depth) + at));
                            for (limb, value) in slot.iter_mut().zip(root) {
                                limb[lane] = value;
                            }
                        }
                    }
                }
                twiddles
            })
            .collect();
        Self { levels, tiles }
    }
}

/// Forward tables of the blocks behind the systematic one, by the logarithm of the blow-up.
fn forward(blowup: usize) -> &'static [Forward] {
    static TABLES: [OnceLock<Vec<Forward>>; BLOWUPS] = [const { OnceLock::new() }; BLOWUPS];
    let log = blowup.trailing_zeros();
    TABLES[log as usize].get_or_init(|| {
        (1..1usize << log)
            .map(|block| Forward::new(log, block))
            .collect()
    })
}

/// Twiddles of the inverse transform of a row.
struct Inverse {
    /// Levels with half 1, 2, 4: the same for all groups.
    small: [Twiddle; 7],
    /// Levels with half 8 … 2048: vectors of neighbouring twiddles.
    levels: Vec<Vec<Stored>>,
    /// One by the row's length.
    scale: Twiddle,
}

fn inverse() -> &'static Inverse {
    static TABLE: OnceLock<Inverse> = OnceLock::new();
    TABLE.get_or_init(|| {
        let root = |half: usize, at: usize| invert(&root_of_unity(2 * half)).pow([at as u64]);
        let mut small = [[0; LIMBS]; 7];
        let places = [1usize, 2, 4]
            .into_iter()
            .flat_map(|half| (0..half).map(move |at| (half, at)));
        for (slot, (half, at)) in small.iter_mut().zip(places) {
            *slot = twiddle(root(half, at));
        }
        let levels = (3..12)
            .map(|log| {
                let half = 1usize << log;
                (0..half / LANES)
                    .map(|vector| {
                        let mut stored = [[0; LANES]; LIMBS];
                        for lane in 0..LANES {
                            for (limb, value) in stored
                                .iter_mut()
                                .zip(twiddle(root(half, vector * LANES + lane)))
                            {
                                limb[lane] = value;
                            }
                        }
                        stored
                    })
                    .collect()
            })
            .collect();
        let scale = twiddle(invert(&Fr::from(ELEMENTS as u64)));
        Inverse {
            small,
            levels,
            scale,
        }
    })
}

/// Reads a tile: 64 elements of 32 big-endian bytes; vector k holds element k of each group.
#[inline(always)]
fn read_tile<L: Lanes>(bytes: &[u8]) -> [Wide<L>; LANES] {
    let mut tile = [[L::splat(0); LIMBS]; LANES];
    let (lines, _) = bytes.as_chunks::<64>();
    for pair in 0..LANES / 2 {
        let mut words: [L::V; LANES] = each(
            L::splat(0),
            #[inline(always)]
            |group| {
                let (words, _) = lines[group * LANES / 2 + pair].as_chunks::<8>();
                let mut row = [0; LANES];
                for (word, bytes) in row.iter_mut().zip(words) {
                    *word = u64::from_le_bytes(*bytes);
                }
                L::swap_bytes(L::load(&row))
            },
        );
        L::transpose(&mut words);
        tile[2 * pair] = limbs::<L>([words[3], words[2], words[1], words[0]]);
        tile[2 * pair + 1] = limbs::<L>([words[7], words[6], words[5], words[4]]);
    }
    tile
}

/// Limbs of 52 bits from little-endian words.
#[inline(always)]
pub(super) fn limbs<L: Lanes>(w: [L::V; 4]) -> Wide<L> {
    let mask = L::splat(LIMB_MASK);
    [
        L::and(w[0], mask),
        L::and(L::or(L::shr::<52>(w[0]), L::shl::<12>(w[1])), mask),
        L::and(L::or(L::shr::<40>(w[1]), L::shl::<24>(w[2])), mask),
        L::and(L::or(L::shr::<28>(w[2]), L::shl::<36>(w[3])), mask),
        L::shr::<16>(w[3]),
    ]
}

/// The inverse of [`limbs`].
#[inline(always)]
pub(super) fn words<L: Lanes>(l: &Wide<L>) -> [L::V; 4] {
    [
        L::or(l[0], L::shl::<52>(l[1])),
        L::or(L::shr::<12>(l[1]), L::shl::<40>(l[2])),
        L::or(L::shr::<24>(l[2]), L::shl::<28>(l[3])),
        L::or(L::shr::<36>(l[3]), L::shl::<16>(l[4])),
    ]
}

/// Writes a tile of canonical elements.
#[inline(always)]
fn write_tile<L: Lanes>(tile: &[Wide<L>; LANES], bytes: &mut [u8]) {
    let (lines, _) = bytes.as_chunks_mut::<64>();
    for pair in 0..LANES / 2 {
        let (a, b) = (words::<L>(&tile[2 * pair]), words::<L>(&tile[2 * pair + 1]));
        let mut rows = [a[3], a[2], a[1], a[0], b[3], b[2], b[1], b[0]];
        L::transpose(&mut rows);
        for (group, row) in rows.into_iter().enumerate() {
            let mut out = [0; LANES];
            L::store(L::swap_bytes(row), &mut out);
            let line = &mut lines[group * LANES / 2 + pair];
            for (bytes, word) in line.as_chunks_mut::<8>().0.iter_mut().zip(out) {
                *bytes = word.to_le_bytes();
            }
        }
    }
}

/// Vectors of groups become vectors of positions, and back.
#[inline(always)]
fn transpose<L: Lanes>(tile: &mut [Wide<L>; LANES]) {
    for limb in 0..LIMBS {
        let mut rows: [L::V; LANES] = each(
            L::splat(0),
            #[inline(always)]
            |at| tile[at][limb],
        );
        L::transpose(&mut rows);
        for (vector, row) in tile.iter_mut().zip(rows) {
            vector[limb] = row;
        }
    }
}

/// Butterflies of the levels with half 1, 2 or 4 inside a tile, `twiddles` one for each block or place.
#[inline(always)]
fn tile_level<L: Lanes>(
    tile: &mut [Wide<L>; LANES],
    half: usize,
    twiddle: impl Fn(usize, usize) -> Wide<L>,
) {
    for block in 0..LANES / (2 * half) {
        for at in 0..half {
            let low = block * 2 * half + at;
            let (a, b) = butterfly::<L>(&tile[low], &tile[low + half], &twiddle(block, at));
            tile[low] = a;
            tile[low + half] = b;
        }
    }
}

/// Groups that stay in the first-level cache while the levels inside of them are done.
const PART: usize = GROUPS / 4;
// Two levels a pass: a part has those of the tiles, and then four more.
const _: () = assert!(PART == LANES * 16);

/// The coefficients of a row (bit-reversed evaluations, canonical bytes), in order; below 2·r and carried.
#[inline(always)]
fn coefficients<L: Lanes>(row: &[u8], values: &mut [Stored]) {
    let tables = inverse();
    let parts = row.chunks_exact(PART * LANES * 32);
    for (bytes, part) in parts.zip(values.chunks_exact_mut(PART)) {
        for (bytes, groups) in bytes
            .chunks_exact(TILE * 32)
            .zip(part.chunks_exact_mut(LANES))
        {
            let mut tile = read_tile::<L>(bytes);
            tile_level::<L>(&mut tile, 1, |_, _| splat::<L>(&tables.small[0]));
            tile_level::<L>(&mut tile, 2, |_, at| splat::<L>(&tables.small[1 + at]));
            tile_level::<L>(&mut tile, 4, |_, at| splat::<L>(&tables.small[3 + at]));
            transpose::<L>(&mut tile);
            for half in [1, 2, 4usize] {
                let twiddles = &tables.levels[half.trailing_zeros() as usize];
                tile_level::<L>(&mut tile, half, |_, at| load::<L>(&twiddles[at]));
            }
            for (vector, stored) in tile.iter().zip(groups) {
                store::<L>(vector, stored);
            }
        }
        up_levels::<L>(tables, part, LANES, |value| value);
        up_levels::<L>(tables, part, 4 * LANES, |value| value);
    }
    let scale = splat::<L>(&tables.scale);
    up_levels::<L>(
        tables,
        values,
        PART,
        #[inline(always)]
        |value| modulus::multiply::<L, LIMBS>(&carry::<L>(&value), &scale, &R),
    );
}

/// Two levels of the inverse transform: butterflies of groups at a distance of `half`, then twice that.
#[inline(always)]
fn up_levels<L: Lanes>(
    tables: &Inverse,
    values: &mut [Stored],
    half: usize,
    finish: impl Fn(Wide<L>) -> Wide<L>,
) {
    let log = half.trailing_zeros() as usize;
    let both = &tables.levels[log];
    let (low, high) = tables.levels[log + 1].split_at(half);
    for block in values.chunks_exact_mut(4 * half) {
        for (at, both) in both.iter().enumerate() {
            let four = each(
                [L::splat(0); LIMBS],
                #[inline(always)]
                |place| load::<L>(&block[place * half + at]),
            );
            let (low, high) = (load::<L>(&low[at]), load::<L>(&high[at]));
            let four = up::<L>(four, &load::<L>(both), &low, &high);
            for (place, value) in four.into_iter().enumerate() {
                store::<L>(&finish(value), &mut block[place * half + at]);
            }
        }
    }
}

/// Evaluates the coefficients on one block and writes canonical bytes.
#[inline(always)]
fn evaluate<L: Lanes>(
    tables: &Forward,
    coefficients: &[Stored],
    values: &mut [Stored],
    out: &mut [u8],
) {
    let twiddles = |depth: usize, at: usize| {
        let low = &tables.levels[depth + 1][2 * at..];
        (&tables.levels[depth][at], &low[0], &low[1])
    };
    down_levels::<L>(twiddles(0, 0), Some(coefficients), values);
    let parts = values.chunks_exact_mut(PART);
    for (part, (values, out)) in parts
        .zip(out.chunks_exact_mut(PART * LANES * 32))
        .enumerate()
    {
        down_levels::<L>(twiddles(2, part), None, values);
        let quarters = values.chunks_exact_mut(PART / 4);
        for (quarter, values) in quarters.enumerate() {
            down_levels::<L>(twiddles(4, 4 * part + quarter), None, values);
        }
        let first = part * PART / LANES;
        for (at, (groups, bytes)) in values
            .chunks_exact(LANES)
            .zip(out.chunks_exact_mut(TILE * 32))
            .enumerate()
        {
            evaluate_tile::<L>(tables, first + at, groups, bytes);
        }
    }
}

/// Two levels of the forward transform over one block: butterflies of groups at a distance of half the block, and then of a
/// quarter. The values are read from `from`, if there is one.
#[inline(always)]
fn down_levels<L: Lanes>(
    (both, low, high): (&Twiddle, &Twiddle, &Twiddle),
    from: Option<&[Stored]>,
    values: &mut [Stored],
) {
    let [both, low, high] = [splat::<L>(both), splat::<L>(low), splat::<L>(high)];
    let quarter = values.len() / 4;
    for at in 0..quarter {
        let from = from.unwrap_or(values);
        let four = each(
            [L::splat(0); LIMBS],
            #[inline(always)]
            |place| load::<L>(&from[place * quarter + at]),
        );
        let four = down::<L>(four, &both, &low, &high);
        for (place, value) in four.iter().enumerate() {
            store::<L>(value, &mut values[place * quarter + at]);
        }
    }
}

/// The last six levels, over eight groups: three between groups, and three inside of them.
#[inline(always)]
fn evaluate_tile<L: Lanes>(tables: &Forward, at: usize, groups: &[Stored], bytes: &mut [u8]) {
    let mut tile: [Wide<L>; LANES] = each(
        [L::splat(0); LIMBS],
        #[inline(always)]
        |group| load::<L>(&groups[group]),
    );
    for (level, half) in [4, 2, 1usize].into_iter().enumerate() {
        let twiddles = &tables.levels[6 + level][at << level..];
        tile_level::<L>(&mut tile, half, |block, _| splat::<L>(&twiddles[block]));
    }
    transpose::<L>(&mut tile);
    let twiddles = &tables.tiles[at];
    tile_level::<L>(&mut tile, 4, |_, _| load::<L>(&twiddles[0]));
    tile_level::<L>(&mut tile, 2, |block, _| load::<L>(&twiddles[1 + block]));
    tile_level::<L>(&mut tile, 1, |block, _| load::<L>(&twiddles[3 + block]));
    for vector in &mut tile {
        *vector = canonical::<L>(vector);
    }
    write_tile::<L>(&tile, bytes);
}

/// The rest of a row's extension; see the kernel's `extend`.
pub(crate) fn extend<L: Lanes>(blowup: usize, row: &[u8], parity: &mut [u8]) {
    let mut coefficients_of = vec![[[0; LANES]; LIMBS]; GROUPS];
    let mut values = coefficients_of.clone();
    L::run(
        #[inline(always)]
        || {
            coefficients::<L>(row, &mut coefficients_of);
            for (tables, out) in forward(blowup)
                .iter()
                .zip(parity.chunks_exact_mut(ELEMENTS * 32))
            {
                evaluate::<L>(tables, &coefficients_of, &mut values, out);
            }
        },
    );
}

/// Twiddles of transforms of 2^log numbers.
struct Short {
    /// Forward: block b of level d at 2^d + b.
    forward: Vec<Twiddle>,
    /// Inverse: place p of the level with half h at h + p.
    inverse: Vec<Twiddle>,
}

fn short(log: u32) -> &'static Short {
    static TABLES: [OnceLock<Short>; MAX_LEVELS as usize + 1] =
        [const { OnceLock::new() }; MAX_LEVELS as usize + 1];
    TABLES[log as usize].get_or_init(|| {
        let entries = |entry: &dyn Fn(u32, usize) -> Fr| {
            let first = std::iter::once([0; LIMBS]);
            let levels = (0..log).flat_map(|level| (0..1usize << level).map(move |at| (level, at)));
            first
                .chain(levels.map(|(level, at)| twiddle(entry(level, at))))
                .collect()
        };
        Short {
            forward: entries(&split_root),
            inverse: entries(&|level, at| invert(&root_of_unity(2 << level)).pow([at as u64])),
        }
    })
}

/// Eight elements in Montgomery's or raw form, whatever they are: their limbs.
#[inline(always)]
fn gather<L: Lanes>(element: impl Fn(usize) -> [u64; 4]) -> Wide<L> {
    let mut words = [[0; LANES]; 4];
    for lane in 0..LANES {
        for (word, part) in words.iter_mut().zip(element(lane)) {
            word[lane] = part;
        }
    }
    limbs::<L>(each(
        L::splat(0),
        #[inline(always)]
        |word| L::load(&words[word]),
    ))
}

/// The inverse of [`gather`], for canonical elements.
#[inline(always)]
fn scatter<L: Lanes>(value: &Wide<L>, mut to: impl FnMut(usize, [u64; 4])) {
    let mut lanes = [[0; LANES]; 4];
    for (lanes, word) in lanes.iter_mut().zip(words::<L>(value)) {
        L::store(word, lanes);
    }
    let [a, b, c, d] = lanes;
    for lane in 0..LANES {
        to(lane, [a[lane], b[lane], c[lane], d[lane]]);
    }
}

/// Eight transforms at a time: element i of the transform in lane l is at `place(i, l)`. Numbers grow by 2·r a level,
/// see the module; not divided by the length.
#[inline(always)]
fn transform<L: Lanes>(
    values: &mut [Fr],
    memory: &mut [Stored],
    inverse: bool,
    place: impl Fn(usize, usize) -> usize,
) {
    let size = memory.len();
    let tables = short(size.trailing_zeros());
    for (index, stored) in memory.iter_mut().enumerate() {
        let wide = gather::<L>(|lane| values[place(index, lane)].0.0);
        store::<L>(&wide, stored);
    }
    if inverse {
        let mut half = 1;
        while half < size {
            for block in memory.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), w) in low.iter_mut().zip(high).zip(&tables.inverse[half..]) {
                    let w = splat::<L>(w);
                    let (plus, minus) = butterfly::<L>(&load::<L>(a), &load::<L>(b), &w);
                    store::<L>(&plus, a);
                    store::<L>(&minus, b);
                }
            }
            half *= 2;
        }
    } else {
        let mut half = size / 2;
        while half > 0 {
            let level = size / (2 * half);
            let blocks = memory.chunks_exact_mut(2 * half);
            for (block, w) in blocks.zip(&tables.forward[level..]) {
                let w = splat::<L>(w);
                let (low, high) = block.split_at_mut(half);
                for (a, b) in low.iter_mut().zip(high) {
                    let (plus, minus) = butterfly::<L>(&load::<L>(a), &load::<L>(b), &w);
                    store::<L>(&plus, a);
                    store::<L>(&minus, b);
                }
            }
            half /= 2;
        }
    }
    for (index, stored) in memory.iter().enumerate() {
        scatter::<L>(&canonical::<L>(&load::<L>(stored)), |lane, words| {
            values[place(index, lane)] = Fr::new_unchecked(BigInt(words));
        });
    }
}

/// Transforms of columns side by side, a multiple of eight of them.
pub(crate) fn transform_columns<L: Lanes>(values: &mut [Fr], columns: usize, inverse: bool) {
    let size = values.len() / columns.max(1);
    let mut memory = vec![[[0; LANES]; LIMBS]; size];
    L::run(
        #[inline(always)]
        || {
            for first in (0..columns).step_by(LANES) {
                transform::<L>(
                    values,
                    &mut memory,
                    inverse,
                    #[inline(always)]
                    |index, lane| index * columns + first + lane,
                );
            }
        },
    );
}

/// Transforms of rows of `size`, eight at a time; the rest, fewer than eight rows, comes back.
pub(crate) fn transform_rows<L: Lanes>(values: &mut [Fr], size: usize, inverse: bool) -> &mut [Fr] {
    let eight = size.max(1) * LANES;
    let mut memory = vec![[[0; LANES]; LIMBS]; size.max(1)];
    let whole = values.len() / eight * eight;
    let (whole, rest) = values.split_at_mut(whole);
    L::run(
        #[inline(always)]
        || {
            for rows in whole.chunks_exact_mut(eight) {
                transform::<L>(
                    rows,
                    &mut memory,
                    inverse,
                    #[inline(always)]
                    |index, lane| lane * size + index,
                );
            }
        },
    );
    rest
}

/// `values[i] *= factors[i]`.
pub(crate) fn multiply<L: Lanes>(values: &mut [Fr], factors: &[Fr]) {
    let count = values.len().min(factors.len());
    let (values, factors) = (&mut values[..count], &factors[..count]);
    let whole = count / LANES * LANES;
    L::run(
        #[inline(always)]
        || {
            let groups = values.chunks_exact_mut(LANES);
            for (values, factors) in groups.zip(factors.chunks_exact(LANES)) {
                let value = gather::<L>(|lane| values[lane].0.0);
                // arkworks' form has the factor 2²⁵⁶, the product divides by 2²⁶⁰.
                let factor = gather::<L>(|lane| factors[lane].0.0);
                let factor = modulus::carry::<L, LIMBS>(each(
                    L::splat(0),
                    #[inline(always)]
                    |limb| L::shl::<4>(factor[limb]),
                ));
                let product = modulus::multiply::<L, LIMBS>(&value, &factor, &R);
                scatter::<L>(&canonical::<L>(&product), |lane, words| {
                    values[lane] = Fr::new_unchecked(BigInt(words));
                });
            }
        },
    );
    for (value, factor) in values.iter_mut().zip(factors).skip(whole) {
        *value *= factor;
    }
}
