//! The crate's tests from outside, in one program: each program links the whole crate, database included, once more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod common;
mod custody;
mod durability;
mod hostile;
mod node;
mod promises;
mod repair;
mod sizing;
mod validation;
