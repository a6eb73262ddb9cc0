//! The Ashlar disperser: accept, encode, batch, prove, distribute, aggregate, certify.
//!
//! ```text
//!   POST ──► registry ──► encoder ──► batcher ──► batch: compose, prove, disperse, certify
//!   api      store 1      ticks       lanes       store 2   pool   operators_client     store 3
//! ```
//!
//! A blob is on disk before its `202` (store 1), a batch before its first byte leaves (store 2), a certificate before
//! anybody sees it (store 3). A restart continues every blob that is neither certified nor failed, and every batch under
//! its own digest if that is still possible.
//!
//! What decides is apart from what does: [`batcher`], [`dispersal`], [`encoder`], [`matrix`], [`aggregate`] and [`state`] know no
//! IO and no clock.
//!
//! # Memory
//!
//! At most [`DisperserConfig::memory_bound`]; the operator guide explains each part.

pub mod accounts;
mod activity;
pub mod aggregate;
mod api;
pub mod batcher;
mod breaker;
pub mod claim_limiter;
pub mod clock;
mod compute;
pub mod config;
pub mod dispersal;
mod distribute;
mod durable;
mod encode_queue;
pub mod encoder;
mod engine;
mod fair_queue;
pub mod health;
pub mod intake;
pub mod kv;
mod late;
pub mod matrix;
mod memory;
mod metrics;
mod owners;
mod pipeline;
mod reclaim;
pub mod record;
pub mod registry;
mod relay;
mod resume;
mod sender_rate;
mod sequence;
mod server;
mod slots;
pub mod state;
pub mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;
mod troubled;
mod upkeep;

pub use config::{ConfigError, DisperserConfig};
pub use health::HealthReport;
pub use server::{Disperser, DisperserError, Embedded, RunningDisperser, Sources};
