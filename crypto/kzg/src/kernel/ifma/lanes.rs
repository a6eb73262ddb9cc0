//! Eight 64-bit lanes with the multiply-add of 52-bit numbers: AVX-512 IFMA, and a twin in plain Rust that every
//! machine can test against.
//!
//! Beside the calls into the assembly of `blst` the only `unsafe` of the kernels.

/// Bits of a limb: what the multiplier takes.
pub(crate) const LIMB_BITS: u32 = 52;
/// The low 52 bits.
pub(crate) const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// Lanes of a vector.
pub(crate) const LANES: usize = 8;

/// Vectors of eight unsigned 64-bit numbers; all arithmetic wraps.
pub(crate) trait Lanes: Copy + Send + Sync + 'static {
    /// What the kernel over these lanes is called.
    const NAME: &'static str;

    /// Whether this processor has the instructions.
    fn detected() -> bool;

    /// A vector.
    type V: Copy + Send + Sync;
    /// A yes or no for each lane.
    type Mask: Copy;

    fn splat(x: u64) -> Self::V;
    fn load(from: &[u64; LANES]) -> Self::V;
    fn store(v: Self::V, to: &mut [u64; LANES]);
    fn add(a: Self::V, b: Self::V) -> Self::V;
    fn sub(a: Self::V, b: Self::V) -> Self::V;
    fn and(a: Self::V, b: Self::V) -> Self::V;
    fn or(a: Self::V, b: Self::V) -> Self::V;
    fn shl<const N: u32>(a: Self::V) -> Self::V;
    fn shr<const N: u32>(a: Self::V) -> Self::V;
    /// Shifts right and keeps the sign.
    fn sar<const N: u32>(a: Self::V) -> Self::V;
    /// `acc + low 52 bits of a·b`, of whose factors the low 52 bits count.
    fn madd_lo(acc: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// `acc + (a·b >> 52)`, of whose factors the low 52 bits count.
    fn madd_hi(acc: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// Lanes that are zero.
    fn zero_lanes(a: Self::V) -> Self::Mask;
    /// Lanes with the highest bit set.
    fn negative_lanes(a: Self::V) -> Self::Mask;
    /// Lanes that are in either.
    fn either(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// `yes` where the mask says so, `no` elsewhere.
    fn select(mask: Self::Mask, yes: Self::V, no: Self::V) -> Self::V;
    /// Lanes that are in `a` and not in `b`.
    fn but_not(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// The lanes in the mask, the first lane in the lowest bit.
    fn bits(mask: Self::Mask) -> u8;
    /// Lane j of vector i becomes lane i of vector j.
    fn transpose(rows: &mut [Self::V; LANES]);
    /// The entry of the table that the low three bits of each lane name.
    fn lookup(table: &[u64; LANES], index: Self::V) -> Self::V;
    /// Lane i gets lane i ^ DISTANCE, the distance 1, 2 or 4.
    fn exchange<const DISTANCE: usize>(a: Self::V) -> Self::V;
    /// Reverses the bytes of each lane.
    fn swap_bytes(a: Self::V) -> Self::V;
    /// Runs `work` compiled for the instructions of these lanes.
    fn run<R>(work: impl FnOnce() -> R) -> R;
}

/// The same in plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Emulated;

fn map(a: [u64; LANES], f: impl Fn(u64) -> u64) -> [u64; LANES] {
    a.map(f)
}

fn zip(a: [u64; LANES], b: [u64; LANES], f: impl Fn(u64, u64) -> u64) -> [u64; LANES] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a & LIMB_MASK) * u128::from(b & LIMB_MASK)
}

impl Lanes for Emulated {
    const NAME: &'static str = "ifma-emulated";

    fn detected() -> bool {
        true
    }
    type V = [u64; LANES];
    type Mask = [bool; LANES];

    fn splat(x: u64) -> Self::V {
        [x; LANES]
    }
    fn load(from: &[u64; LANES]) -> Self::V {
        *from
    }
    fn store(v: Self::V, to: &mut [u64; LANES]) {
        *to = v;
    }
    fn add(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, u64::wrapping_add)
    }
    fn sub(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, u64::wrapping_sub)
    }
    fn and(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a & b)
    }
    fn or(a: Self::V, b: Self::V) -> Self::V {
        zip(a, b, |a, b| a | b)
    }
    fn shl<const N: u32>(a: Self::V) -> Self::V {
        map(a, |a| a << N)
    }
    fn shr<const N: u32>(a: Self::V) -> Self::V {
        map(a, |a| a >> N)
    }
    fn sar<const N: u32>(a: Self::V) -> Self::V {
        map(a, |a| (a as i64 >> N) as u64)
    }
    fn madd_lo(acc: Self::V, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| acc[i].wrapping_add(product(a[i], b[i]) as u64 & LIMB_MASK))
    }
    fn madd_hi(acc: Self::V, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| acc[i].wrapping_add((product(a[i], b[i]) >> LIMB_BITS) as u64))
    }
    fn zero_lanes(a: Self::V) -> Self::Mask {
        a.map(|a| a == 0)
    }
    fn negative_lanes(a: Self::V) -> Self::Mask {
        a.map(|a| a >> 63 == 1)
    }
    fn either(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        std::array::from_fn(|i| a[i] || b[i])
    }
    fn select(mask: Self::Mask, yes: Self::V, no: Self::V) -> Self::V {
        std::array::from_fn(|i| if mask[i] { yes[i] } else { no[i] })
    }
    fn but_not(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        std::array::from_fn(|i| a[i] && !b[i])
    }
    fn bits(mask: Self::Mask) -> u8 {
        mask.iter()
            .rev()
            .fold(0, |bits, lane| bits << 1 | u8::from(*lane))
    }
    fn transpose(rows: &mut [Self::V; LANES]) {
        *rows = std::array::from_fn(|j| std::array::from_fn(|i| rows[i][j]));
    }
    fn lookup(table: &[u64; LANES], index: Self::V) -> Self::V {
        map(index, |index| table[index as usize % LANES])
    }
    fn exchange<const DISTANCE: usize>(a: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i ^ DISTANCE])
    }
    fn swap_bytes(a: Self::V) -> Self::V {
        map(a, u64::swap_bytes)
    }
    fn run<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;

#[cfg(target_arch = "x86_64")]
mod avx512 {
    #![allow(unsafe_code)]
    // SAFETY of every block here: the intrinsics need AVX-512 F, DQ, BW and IFMA. The kernel over `Avx512` is
    // only ever used after `detected` has answered yes, and these functions only inside of `run`. Loads and stores go through references to whole arrays.

    use super::{LANES, Lanes};
    use core::arch::x86_64::*;

    /// AVX-512 IFMA.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512ifma,bmi2,adx")]
    fn with_features<R>(work: impl FnOnce() -> R) -> R {
        work()
    }

    impl Lanes for Avx512 {
        const NAME: &'static str = "ifma";

        fn detected() -> bool {
            std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512ifma")
                && std::is_x86_feature_detected!("bmi2")
                && std::is_x86_feature_detected!("adx")
        }
        type V = __m512i;
        type Mask = __mmask8;

        #[inline(always)]
        fn splat(x: u64) -> __m512i {
            unsafe { _mm512_set1_epi64(x as i64) }
        }
        #[inline(always)]
        fn load(from: &[u64; LANES]) -> __m512i {
            unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
        }
        #[inline(always)]
        fn store(v: __m512i, to: &mut [u64; LANES]) {
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), v) }
        }
        #[inline(always)]
        fn add(a: __m512i, b: __m512i) -> __m512i {
            unsafe { _mm512_add_epi64(a, b) }
        }
        #[inline(always)]
        fn sub(a: __m512i, b: __m512i) -> __m512i {
            unsafe { _mm512_sub_epi64(a, b) }
        }
        #[inline(always)]
        fn and(a: __m512i, b: __m512i) -> __m512i {
            unsafe { _mm512_and_si512(a, b) }
        }
        #[inline(always)]
        fn or(a: __m512i, b: __m512i) -> __m512i {
            unsafe { _mm512_or_si512(a, b) }
        }
        #[inline(always)]
        fn shl<const N: u32>(a: __m512i) -> __m512i {
            unsafe { _mm512_slli_epi64::<N>(a) }
        }
        #[inline(always)]
        fn shr<const N: u32>(a: __m512i) -> __m512i {
            unsafe { _mm512_srli_epi64::<N>(a) }
        }
        #[inline(always)]
        fn sar<const N: u32>(a: __m512i) -> __m512i {
            unsafe { _mm512_srai_epi64::<N>(a) }
        }
        #[inline(always)]
        fn madd_lo(acc: __m512i, a: __m512i, b: __m512i) -> __m512i {
            unsafe { _mm512_madd52lo_epu64(acc, a, b) }
        }
        #[inline(always)]
        fn madd_hi(acc: __m512i, a: __m512i, b: __m512i) -> __m512i {
            unsafe { _mm512_madd52hi_epu64(acc, a, b) }
        }
        #[inline(always)]
        fn zero_lanes(a: __m512i) -> __mmask8 {
            unsafe { _mm512_testn_epi64_mask(a, a) }
        }
        #[inline(always)]
        fn negative_lanes(a: __m512i) -> __mmask8 {
            unsafe { _mm512_movepi64_mask(a) }
        }
        #[inline(always)]
        fn either(a: __mmask8, b: __mmask8) -> __mmask8 {
            a | b
        }
        #[inline(always)]
        fn select(mask: __mmask8, yes: __m512i, no: __m512i) -> __m512i {
            unsafe { _mm512_mask_blend_epi64(mask, no, yes) }
        }
        #[inline(always)]
        fn but_not(a: __mmask8, b: __mmask8) -> __mmask8 {
            a & !b
        }
        #[inline(always)]
        fn bits(mask: __mmask8) -> u8 {
            mask
        }
        #[inline(always)]
        fn transpose(r: &mut [__m512i; LANES]) {
            unsafe {
                // Pairs of lanes, then quarters, then halves.
                let a: [__m512i; 8] = [
                    _mm512_unpacklo_epi64(r[0], r[1]),
                    _mm512_unpackhi_epi64(r[0], r[1]),
                    _mm512_unpacklo_epi64(r[2], r[3]),
                    _mm512_unpackhi_epi64(r[2], r[3]),
                    _mm512_unpacklo_epi64(r[4], r[5]),
                    _mm512_unpackhi_epi64(r[4], r[5]),
                    _mm512_unpacklo_epi64(r[6], r[7]),
                    _mm512_unpackhi_epi64(r[6], r[7]),
                ];
                // a[0] = r0[0] r1[0] | r0[2] r1[2] | r0[4] r1[4] | r0[6] r1[6]; a[2] the same of r2, r3.
                #[inline(always)]
                unsafe fn low(x: __m512i, y: __m512i) -> __m512i {
                    unsafe { _mm512_shuffle_i64x2::<0b10_00_10_00>(x, y) }
                }
                #[inline(always)]
                unsafe fn high(x: __m512i, y: __m512i) -> __m512i {
                    unsafe { _mm512_shuffle_i64x2::<0b11_01_11_01>(x, y) }
                }
                // low(a0, a2): quarters a0.0 a0.2 a2.0 a2.2
                let b: [__m512i; 8] = [
                    low(a[0], a[2]),  // r0[0]r1[0] r0[4]r1[4] r2[0]r3[0] r2[4]r3[4]
                    low(a[1], a[3]),  // column 1 and 5
                    high(a[0], a[2]), // columns 2 and 6
                    high(a[1], a[3]), // columns 3 and 7
                    low(a[4], a[6]),
                    low(a[5], a[7]),
                    high(a[4], a[6]),
                    high(a[5], a[7]),
                ];
                for column in 0..4 {
                    r[column] = low(b[column], b[column + 4]);
                    r[column + 4] = high(b[column], b[column + 4]);
                }
            }
        }
        #[inline(always)]
        fn lookup(table: &[u64; LANES], index: __m512i) -> __m512i {
            unsafe { _mm512_permutexvar_epi64(index, Self::load(table)) }
        }
        #[inline(always)]
        fn exchange<const DISTANCE: usize>(a: __m512i) -> __m512i {
            const { assert!(matches!(DISTANCE, 1 | 2 | 4)) };
            unsafe {
                match DISTANCE {
                    1 => _mm512_permutex_epi64::<0b10_11_00_01>(a),
                    2 => _mm512_permutex_epi64::<0b01_00_11_10>(a),
                    _ => _mm512_shuffle_i64x2::<0b01_00_11_10>(a, a),
                }
            }
        }
        #[inline(always)]
        fn swap_bytes(a: __m512i) -> __m512i {
            unsafe {
                let order = _mm512_set_epi64(
                    0x08090a0b_0c0d0e0f,
                    0x00010203_04050607,
                    0x08090a0b_0c0d0e0f,
                    0x00010203_04050607,
                    0x08090a0b_0c0d0e0f,
                    0x00010203_04050607,
                    0x08090a0b_0c0d0e0f,
                    0x00010203_04050607,
                );
                _mm512_shuffle_epi8(a, order)
            }
        }
        #[inline(always)]
        fn run<R>(work: impl FnOnce() -> R) -> R {
            unsafe { with_features(work) }
        }
    }
}
