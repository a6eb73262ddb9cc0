//! The sidecar that rollups run: one process beside the rollup's own, and no change to its code.
//!
//! ```text
//!   op-batcher ──PUT──▶ salt of payload and day ──▶ found at a disperser? ──▶ else posted ──▶ certificate, checked ──▶ commitment
//!                                                                                                    └─▶ cache, fallback
//!   op-node ────GET──▶ certificate ──▶ checked ──▶ cache ──▶ network ──▶ fallback ──▶ bytes, checked ──▶ payload
//! ```
//!
//! Whatever comes from dispersers, operators or stores is checked before anybody gets it. What is said to be invalid stays invalid for
//! everybody: see [`Failure`].

mod arbitrum;
mod commitment;
mod config;
mod core;
mod failure;
mod get;
mod health;
mod memstore;
mod metrics;
mod op;
mod put;
mod server;
mod store;

#[cfg(test)]
mod tests;

pub use commitment::{Commitment, CommitmentError, DA_BYTE, GENERIC, VERSION};
pub use config::{ConfigError, Failover, InvalidCert, Mode, ProxyConfig};
pub use failure::{Failure, Rule};
pub use server::{Outside, Proxy, ProxyError, RunningProxy};
pub use store::StoreError;
