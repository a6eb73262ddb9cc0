//! The crate's tests from outside, in one program: each program links the whole crate, database included, once more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod accounts;
mod claims;
mod clock;
mod dispersal;
mod door;
mod http;
mod lost;
mod relay;
mod sequence;
mod support;
