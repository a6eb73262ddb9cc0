//! Benchmarks and load generators of Ashlar, with the peers they compare against.

pub mod crypto;
