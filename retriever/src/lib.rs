//! The Ashlar retriever: check certificates, fetch slices, decode, compare with the commitments.
//!
//! [`Retriever::fetch`] takes a [`VerifiedCertificate`](ashlar_proto::VerifiedCertificate), whose type is the proof
//! that the certificate was checked (`ashlar_proto::verify_certificate` or `verify_portable`), and returns the payload
//! with a [`Report`]. Every byte from the network is untrusted; whatever relays and operators send, what is returned
//! matches the certified commitments, or there is an error that says who is to blame.
//!
//! Three paths, each with its own modules:
//!
//! 1. **Relay** ([`relay`]): one HTTP GET. The payload's rows are committed to anew and compared ([`verify`]).
//! 2. **Operators** ([`ashlar_fetch`]): slices, each run checked against the blob's Merkle root, just enough of them
//!    to decode; then the same comparison.
//! 3. **Audit**, when slices that fit their root do not match the commitments (the disperser encoded wrongly, with the
//!    help of operators): whole chunk columns with their KZG proofs, of which the good ones decode.
//!
//! ```no_run
//! # use std::{sync::Arc, time::Duration};
//! # use ashlar_proto::{Certificate, CertificatePolicy, MaxAge, RequiredQuorums, verify_certificate};
//! # use ashlar_retriever::{Retriever, RetrieverConfig, Source};
//! # use ashlar_stake::{StakeSource, trusted_table};
//! # async fn example(
//! #     stake: Arc<dyn StakeSource>, net: ashlar_net::Client, bytes: &[u8], now_ms: u64,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let cert = Certificate::from_bytes(bytes)?;
//! // Whose word is taken for the operators, which service, which quorums and how old: a reader says all of it.
//! let table = trusted_table(stake.as_ref(), cert.batch_header.reference_block)?;
//! let max_age = MaxAge::Time { now_ms, most: Duration::from_secs(14 * 24 * 60 * 60) };
//! let policy = CertificatePolicy::new(stake.domain(), RequiredQuorums::all([0]), max_age);
//! let cert = verify_certificate(&cert, &table, &policy)?;
//!
//! let retriever = Retriever::new(RetrieverConfig::default(), stake, Arc::new(net))?;
//! let found = retriever.fetch(&cert, Source::Operators).await?;
//! println!("{} bytes", found.payload.len());
//! for skipped in &found.report.skipped {
//!     println!("skipped {}: {} ({})", skipped.address, skipped.reason, skipped.code);
//! }
//! # Ok(())
//! # }
//! ```

mod config;
mod error;
mod fetch;
pub mod gateway;
pub mod relay;
mod report;
mod scores;
pub mod verify;

pub use ashlar_fetch::{Fault, Network, OperatorReport, Skipped};
pub use ashlar_service::http;
pub use config::{RetrieverConfig, Source};
pub use error::{RetrieveError, RetrieveErrorKind};
pub use fetch::{Retrieved, Retriever};
pub use relay::RelayError;
pub use report::{AuditReport, Report, RetrievalPath, Stages};
pub use scores::{LastFault, OperatorScore, TrustName};
