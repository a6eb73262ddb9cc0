//! SHA-256 of many messages of one length, two streams at a time.
//!
//! A round pair of SHA-256 (`sha256rnds2`) needs the one before it, so a single stream leaves the unit idle for half of the time and more.
//! Two independent messages side by side fill the gap. Processors without the instructions hash one message after the
//! other with the library.

use sha2::{Digest, Sha256};

use crate::hash::Hash;

/// Bytes of a block.
const BLOCK: usize = 64;

/// `SHA-256(prefix ‖ message)` of every message.
pub(crate) fn hash_each<M: AsRef<[u8]>>(prefix: u8, messages: &[M]) -> Vec<Hash> {
    let mut hashes = Vec::with_capacity(messages.len());
    for pair in messages.chunks(2) {
        match pair {
            [one, other] => hashes.extend(hash_two(prefix, one.as_ref(), other.as_ref())),
            rest => hashes.extend(rest.iter().map(|m| hash_one(prefix, m.as_ref()))),
        }
    }
    hashes
}

/// One message, by the library.
fn hash_one(prefix: u8, message: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([prefix]);
    hasher.update(message);
    hasher.finalize().into()
}

#[cfg(not(target_arch = "x86_64"))]
fn hash_two(prefix: u8, one: &[u8], other: &[u8]) -> [Hash; 2] {
    [hash_one(prefix, one), hash_one(prefix, other)]
}

#[cfg(target_arch = "x86_64")]
fn hash_two(prefix: u8, one: &[u8], other: &[u8]) -> [Hash; 2] {
    if one.len() == other.len() && x86::runs_here() {
        x86::hash_two(prefix, one, other)
    } else {
        [hash_one(prefix, one), hash_one(prefix, other)]
    }
}

/// The blocks of `prefix ‖ message` with its padding: those that have to be put together, at both ends, and between
/// them those that lie in the message as they are.
#[cfg(any(test, target_arch = "x86_64"))]
struct Blocks<'a> {
    first: Option<[u8; BLOCK]>,
    middle: &'a [[u8; BLOCK]],
    last: [[u8; BLOCK]; 2],
    /// How many of `last` count: the padding needs nine bytes.
    ends: usize,
}

#[cfg(any(test, target_arch = "x86_64"))]
impl<'a> Blocks<'a> {
    fn new(prefix: u8, message: &'a [u8]) -> Self {
        let bits = (message.len() as u64 + 1) * 8;
        let (first, middle, rest) = match message.split_at_checked(BLOCK - 1) {
            Some((head, behind)) => {
                let mut first = [prefix; BLOCK];
                first[1..].copy_from_slice(head);
                let (middle, rest) = behind.as_chunks();
                (Some(first), middle, rest)
            }
            None => (None, Default::default(), message),
        };
        // What is left is shorter than a block, with the prefix before it if nothing came before.
        let mut end = [0; 2 * BLOCK];
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            end[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if first.is_none() {
            put(&[prefix]);
        }
        put(rest);
        put(&[0x80]);
        let ends = if at + 8 <= BLOCK { 1 } else { 2 };
        end[ends * BLOCK - 8..ends * BLOCK].copy_from_slice(&bits.to_be_bytes());
        let mut last = [[0; BLOCK]; 2];
        for (to, from) in last.iter_mut().zip(end.as_chunks().0) {
            *to = *from;
        }
        Self {
            first,
            middle,
            last,
            ends,
        }
    }

    fn iter(&self) -> impl Iterator<Item = &[u8; BLOCK]> {
        let last = self.last.iter().take(self.ends);
        self.first.iter().chain(self.middle).chain(last)
    }
}

/// With the SHA extensions of x86.
#[cfg(target_arch = "x86_64")]
mod x86 {
    #![allow(unsafe_code)]

    use std::arch::x86_64::*;

    use super::{BLOCK, Blocks, Hash};

    /// Fractional parts of the square roots of the first eight primes (FIPS 180-4, section 5.3.3).
    const START: [u32; 8] = [
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
        0x5be0cd19,
    ];

    /// Fractional parts of the cube roots of the first 64 primes (FIPS 180-4, section 4.2.2), four rounds in a row.
    const ROUNDS: [[u32; 4]; 16] = [
        [0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5],
        [0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5],
        [0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3],
        [0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174],
        [0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc],
        [0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da],
        [0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7],
        [0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967],
        [0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13],
        [0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85],
        [0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3],
        [0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070],
        [0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5],
        [0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3],
        [0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208],
        [0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2],
    ];

    /// Whether this processor has the instructions.
    pub(super) fn runs_here() -> bool {
        std::is_x86_feature_detected!("sha") && std::is_x86_feature_detected!("avx")
    }

    /// Two messages of one length, on a processor for which [`runs_here`] holds.
    pub(super) fn hash_two(prefix: u8, one: &[u8], other: &[u8]) -> [Hash; 2] {
        let (one, other) = (Blocks::new(prefix, one), Blocks::new(prefix, other));
        // SAFETY: the caller asked `runs_here`; nothing else is required.
        unsafe { compress([&one, &other]) }
    }

    fn words(words: [u32; 4]) -> [u64; 2] {
        [0, 2].map(|i| u64::from(words[i]) | u64::from(words[i + 1]) << 32)
    }

    #[target_feature(enable = "sha,avx")]
    fn vector([low, high]: [u64; 2]) -> __m128i {
        _mm_set_epi64x(high as i64, low as i64)
    }

    /// Four words of a block: big-endian there, as integers here.
    #[target_feature(enable = "sha,avx")]
    fn load(block: &[u8; BLOCK], quarter: usize) -> __m128i {
        let (quarters, _) = block.as_chunks::<16>();
        let (halves, _) = quarters[quarter].as_chunks::<8>();
        let bytes = vector([u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]);
        let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        _mm_shuffle_epi8(bytes, swap)
    }

    /// The streams go in step: what depends on nothing else stands side by side. AVX is wanted for its instructions of three
    /// operands alone: without them the registers do not suffice, and two streams are slower than one.
    #[target_feature(enable = "sha,avx")]
    fn compress<const N: usize>(streams: [&Blocks<'_>; N]) -> [Hash; N] {
        // The instructions want the state as (a, b, e, f) and (c, d, g, h), the first letter in the highest word.
        let [a, b, c, d, e, f, g, h] = START;
        let mut abef = [vector(words([f, e, b, a])); N];
        let mut cdgh = [vector(words([h, g, d, c])); N];
        let mut blocks = streams.map(Blocks::iter);
        loop {
            let next = blocks.each_mut().map(Iterator::next);
            // All streams have the same number of blocks.
            if next.iter().any(Option::is_none) {
                break;
            }
            let next = next.map(|block| block.unwrap_or(&[0; BLOCK]));
            let before = (abef, cdgh);
            // The last sixteen words of each stream's schedule.
            let mut w = [[_mm_setzero_si128(); 4]; N];
            macro_rules! four_rounds {
                ($($i:literal)*) => { $(
                    let constants = vector(words(ROUNDS[$i]));
                    for n in 0..N {
                        w[n][$i % 4] = if $i < 4 {
                            load(next[n], $i % 4)
                        } else {
                            let (last, last_but_one) = (w[n][($i + 3) % 4], w[n][($i + 2) % 4]);
                            let part = _mm_sha256msg1_epu32(w[n][$i % 4], w[n][($i + 1) % 4]);
                            let middle = _mm_alignr_epi8::<4>(last, last_but_one);
                            _mm_sha256msg2_epu32(_mm_add_epi32(part, middle), last)
                        };
                        let sum = _mm_add_epi32(w[n][$i % 4], constants);
                        cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], sum);
                        let sum = _mm_shuffle_epi32::<0b1110>(sum);
                        abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], sum);
                    }
                )* };
            }
            // Written out: in a loop the schedule would go through memory.
            four_rounds!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            for n in 0..N {
                abef[n] = _mm_add_epi32(abef[n], before.0[n]);
                cdgh[n] = _mm_add_epi32(cdgh[n], before.1[n]);
            }
        }
        let mut hashes = [[0; 32]; N];
        for ((hash, abef), cdgh) in hashes.iter_mut().zip(abef).zip(cdgh) {
            let [ef, ab] = [_mm_cvtsi128_si64(abef), _mm_extract_epi64::<1>(abef)];
            let [gh, cd] = [_mm_cvtsi128_si64(cdgh), _mm_extract_epi64::<1>(cdgh)];
            // The first letter is in the upper half.
            for (to, from) in hash.as_chunks_mut().0.iter_mut().zip([ab, cd, ef, gh]) {
                *to = (from as u64).to_be_bytes();
            }
        }
        hashes
    }
}

#[cfg(test)]
mod tests;
