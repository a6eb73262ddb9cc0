//! Choices, from a fuzzer's bytes or from a seed.

use ark_bls12_381::{Fq, Fr};
use ark_ff::{Field, PrimeField};

/// Gives choices: those of the bytes first, pseudo-random ones afterwards.
pub struct Choices<'a> {
    bytes: &'a [u8],
    state: u64,
}

impl<'a> Choices<'a> {
    /// All choices follow from the seed.
    pub fn from_seed(seed: u64) -> Self {
        Self {
            bytes: &[],
            state: seed,
        }
    }

    /// The first choices are the bytes', and the others follow from their number and the last eight of them.
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        let seed = bytes.iter().rev().take(8);
        let state = seed.fold(bytes.len() as u64, |state, byte| {
            state << 8 | u64::from(*byte)
        });
        Self { bytes, state }
    }

    /// A word that the seed decides alone (splitmix64).
    pub(super) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let choice = if let Some((byte, rest)) = self.bytes.split_first()
            && end <= 256
        {
            self.bytes = rest;
            u64::from(*byte)
        } else {
            self.word() >> 11
        };
        (choice % end.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }

    fn words<const N: usize>(&mut self) -> [u64; N] {
        std::array::from_fn(|_| self.word())
    }

    /// Words among which nothing, everything and single bits are common.
    fn edge_words<const N: usize>(&mut self) -> [u64; N] {
        std::array::from_fn(|_| match self.below(6) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            3 => u64::MAX << self.below(64),
            4 => u64::MAX >> self.below(64),
            _ => self.word(),
        })
    }

    /// An element of the base field, limbs of its representation at the edges in half of all cases.
    pub(super) fn base(&mut self) -> Fq {
        let words = if self.one_in(2) {
            self.words::<6>()
        } else {
            self.edge_words()
        };
        // The words are those of Montgomery's form with 2³⁸⁴, or with 2⁴¹⁶.
        let number = Fq::from_le_bytes_mod_order(&words.map(u64::to_le_bytes).concat());
        if self.one_in(2) {
            Fq::new_unchecked(number.into_bigint())
        } else {
            Fq::new_unchecked(number.into_bigint()) * shift_down()
        }
    }

    /// A scalar: edges in half of all cases.
    pub(super) fn scalar(&mut self) -> Fr {
        match self.below(8) {
            0 => Fr::from(0u64),
            1 => -Fr::from(1 + self.below(3) as u64),
            2 => Fr::from(1 + self.below(40) as u64),
            3 => {
                let words = self.edge_words::<4>();
                let number = Fr::from_le_bytes_mod_order(&words.map(u64::to_le_bytes).concat());
                Fr::new_unchecked(number.into_bigint())
            }
            _ => Fr::from_le_bytes_mod_order(&self.words::<4>().map(u64::to_le_bytes).concat()),
        }
    }
}

/// 2⁻³²: from one of Montgomery's forms to the other.
fn shift_down() -> Fq {
    use std::sync::OnceLock;
    static FACTOR: OnceLock<Fq> = OnceLock::new();
    *FACTOR.get_or_init(|| super::super::fft::invert(&Fq::from(2u64).pow([32])))
}
