//! The crate's tests from outside, in one program: each program links the whole crate once more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

mod challenges;
mod common;
mod elsewhere;
mod evidence;
mod heads;
mod payments;
mod service;
mod source;
mod store;
mod tls;
