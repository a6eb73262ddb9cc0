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
mod hangs;
mod hostile;
mod node;
mod ops;
mod promises;
mod rebuild;
mod remote;
mod repair;
mod rotation;
mod sizing;
mod validation;
