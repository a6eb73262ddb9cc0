//! QUIC endpoints with pinned identities and request framing for Ashlar.
//!
//! * TLS 1.3 with raw public keys (RFC 7250) on both sides, ed25519 only, no certificate authority. A [`Client`] names
//!   the key it expects and talks to nobody else; a [`Server`] learns its caller's key and hands it to the [`Handler`],
//!   which decides what that caller may do.
//! * ALPN `ashlar/1`. One bidirectional stream a request, laid out as [`ashlar_proto::wire`] says.
//! * Nothing a peer declares is allocated before it is compared with a limit, every wait has a deadline, and the bytes
//!   of all requests together come out of one budget: see [`NetLimits`] for every number and the worst case.
//!
//! Handlers run on the runtime's own threads: one that computes for more than a millisecond or so hands that to
//! `tokio::task::spawn_blocking`.

mod budget;
mod client;
mod connections;
mod endpoint;
mod error;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod server;
mod shares;
mod shut_out;
mod subnet;
mod tls;

pub use budget::{Budget, Reservation};
pub use client::{Answer, CallOptions, Client, Peer};
pub use connections::ConnectionCounts;
pub use error::{NetError, Phase, Violation};
pub use frame::BulkReader;
pub use limits::NetLimits;
pub use server::{Admission, ConnectionCounter, Handler, Reply, Server};
pub use shares::{Claim, Lease, Shares, User};
pub use subnet::Subnet;

/// The application protocol negotiated by TLS.
pub const ALPN: &[u8] = b"ashlar/1";
