//! Reproducible random bytes: a seed printed by the test gives the same bytes again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A seed from `ASHLAR_SEED`, or from the clock; printed, so that a failure can be repeated.
    ///
    /// # Panics
    /// If `ASHLAR_SEED` is no number.
    #[expect(clippy::expect_used, reason = "a test that is told nonsense ends")]
    pub fn from_env(test: &str) -> Random {
        let seed = match std::env::var("ASHLAR_SEED") {
            Ok(text) => text.parse().expect("ASHLAR_SEED is a number"),
            Err(_) => std::time::UNIX_EPOCH
                .elapsed()
                .expect("a clock after 1970")
                .as_micros() as u64,
        };
        println!("{test}: ASHLAR_SEED={seed}");
        Random(seed)
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// Whether a coin shows heads.
    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// A number from 0 to 1, without 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Bytes that depend on nothing but their number and the seed.
pub fn payload(seed: u64, len: usize) -> Vec<u8> {
    Random::new(seed).bytes(len)
}

/// A name not used before in this process.
pub fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}
