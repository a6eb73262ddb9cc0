//! The proxy over the SDK's twin in memory: its HTTP interface as the stacks see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arbitrum;
mod mistakes;
mod op;
mod posting;
mod stores;
mod world;
