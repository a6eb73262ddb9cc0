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
//! * `accept.body_memory_bytes`: bodies on their way in, and about twice as much again while they are written;
//! * `encode.payload_memory_bytes`: payloads from their acceptance to the encoder;
//! * `encode.memory_bytes`: encoded blobs from the encoder to the certificates of their batch, slices included, and for
//!   `disperse.straggler_grace_ms` more;
//! * 16 extended rows (16 MiB at blowup 8) of scratch for each encoder thread, and the payloads of two ticks;
//! * `store.write_buffer_bytes`, and `accept.serve_memory_bytes` for payloads on their way out;
//! * a few KiB for each open blob, of which there are at most `accept.max_open_blobs`.

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
pub mod health;
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
mod resume;
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
pub use server::{Disperser, DisperserError, RunningDisperser};
