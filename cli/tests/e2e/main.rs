//! End-to-end tests on real processes: the `ashlar` binary, a devnet of its own for each test, real files and signals.
//!
//! One test program for all of them, because each program links a database. Two tests run at a time on two cores.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod bad_input;
mod clock;
mod crowd;
mod custody;
mod demo;
mod devnet;
mod embedded;
mod evil_disperser;
mod faults;
mod gateway;
mod hosts;
mod keys;
mod kills;
mod liars;
mod many_payloads;
mod node_upkeep;
mod own_disperser;
mod pace;
mod page;
mod paid;
mod power;
mod promises;
mod proxy;
mod rebuild;
mod rollup;
mod round_trip;
mod soak;
mod stake;
mod support;
mod two_payees;
mod two_services;
mod upgrades;
