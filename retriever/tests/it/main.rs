//! The crate's tests from outside, in one program: each program links the whole crate once more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod gateway;
mod operators;
mod relays;
mod world;
