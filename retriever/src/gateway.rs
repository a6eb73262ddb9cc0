//! The gateway: the retriever as a daemon, with the read interface of a disperser's relay, for anybody.
//!
//! ```text
//!   name ──▶ cache, hash compared ─────────────────────────────────────────────────▶ payload
//!             │ not there
//!             └─▶ certificate of a disperser ──▶ checked ──▶ fetched, compared ──▶ cache ──▶ payload
//!   certificate ─────────────────────────────────▲
//! ```
//!
//! Nothing unverified leaves it: a payload was compared with the commitments of a certificate that is good under the gateway's
//! own policy, and what the cache gives back is what was written. Whatever dispersers, relays and operators say, the answer is
//! the right one or a refusal.
//!
//! # Memory
//!
//! * `serve.memory_bytes`: payloads from the moment they are fetched until the last reader has them;
//! * `fetch.memory_bytes`: slices and rows of what is being fetched;
//! * 300 bytes for each cached payload, of which there are at most `cache.max_bytes` / 4096.

mod api;
mod cache;
mod config;
mod health;
mod metrics;
mod server;
mod store;

pub use config::{ConfigError, GatewayConfig};
pub use server::{Gateway, GatewayError, RunningGateway};
