//! Fuzz targets: one for each reader of bytes from outside. Beyond "no panic", each checks what a reader promises: what it accepts,
//! it writes again as the same bytes, or as bytes that mean the same.
//!
//! Each is a function of bytes. libFuzzer runs them (`make fuzz`), and the test of this crate does, over the corpus in git.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a target fails by a panic, and samples are known to be valid"
)]

mod choices;
pub mod memory;
mod samples;
mod seeds;
mod targets;

use std::path::PathBuf;

pub use seeds::{Seed, seeds};

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Panics if the input shows a fault.
    pub run: fn(&[u8]),
}

impl Target {
    /// A target.
    pub const fn new(name: &'static str, run: fn(&[u8])) -> Self {
        Self { name, run }
    }
}

/// All targets but `kernels`: that needs a feature of `ashlar-kzg`, with which everything would be compiled twice. libFuzzer has it,
/// and the tests of `ashlar-kzg` run the same rounds.
pub fn targets() -> &'static [Target] {
    targets::TARGETS
}

/// The folder of the corpus: `TARGET/NAME`.
pub fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")
}
