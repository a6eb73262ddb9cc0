//! The SDK against dispersers that do what a test tells them to, and its twin in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod dispersers;
#[path = "../../examples/rollup/mod.rs"]
#[allow(dead_code, unreachable_pub)] // it uses its own part
mod example;
mod failover;
mod guide;
mod memory;
mod paying;
mod rollup;
mod support;
#[path = "../../../retriever/tests/it/world/mod.rs"]
#[allow(dead_code)] // it uses its own part
mod world;
