//! Fetches of slices and chunks from operators: whom to ask for what, and whether what they send is right.
//!
//! For whoever reads a blob, and for a node that repairs what it holds.
//!
//! * [`plan`]: which operator is asked for which chunk indices, and when. No IO, no clock, no randomness.
//! * [`gather`](mod@gather): the shell around it, which sends, waits, and keeps the books ([`report`]).
//! * [`slices`]: requests for slices of one blob, checked against its chunk root.
//! * [`chunks`]: requests for whole chunk columns of a batch, checked against its digest, the chunk roots and their KZG proofs.
//! * [`combined`]: requests for combined columns of a batch, checked against their KZG proofs.
//! * [`network`]: how an operator is asked.
//!
//! Every byte from the network is untrusted. What leaves here as good was checked; who sent anything else is a [`Fault`], and is
//! not asked again.

pub mod chunks;
mod columns;
pub mod combined;
mod fault;
pub mod gather;
pub mod network;
pub mod plan;
pub mod report;
pub mod slices;

pub use fault::Fault;
pub use network::Network;
pub use report::{OperatorReport, Skipped, millis};
