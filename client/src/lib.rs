//! The Ashlar client SDK for rollups.
//!
//! [`Client::put`] turns a payload into rows, commits to them here and posts both; [`Client::wait_certified`] watches it
//! until operators have signed for it and checks the certificate; [`Client::get`] brings a payload back from its
//! certificate, from a relay or from the operators themselves.
//!
//! ```no_run
//! use std::sync::Arc;
//! use ashlar_client::{Client, ClientConfig, PutOptions, Source, Trust, WaitOptions};
//! use ashlar_stake::StakeSource;
//!
//! # async fn example(stake: Arc<dyn StakeSource>) -> Result<(), ashlar_client::ClientError> {
//! let client = Client::new(ClientConfig::new("http://127.0.0.1:3100"))?;
//! let payload = b"a rollup's batch of transactions".to_vec();
//!
//! // The salt makes the submission's name: after a crash the same call finds the same blob.
//! let options = PutOptions { salt: Some(7), ..PutOptions::default() };
//! let submitted = client.put(payload, options).await?;
//!
//! // Which service, which quorums, how old; and whose word is taken for the operator table.
//! let policy = submitted.policy(stake.domain())?;
//! let certified = client
//!     .wait_certified(&submitted, WaitOptions::new(Trust::Source(stake), policy), |status| {
//!         println!("{}", status.state)
//!     })
//!     .await?;
//! std::fs::write("blob.cert", certified.certificate.certificate().to_bytes()).ok();
//!
//! let found = client.get(&certified.certificate, Source::Auto).await?;
//! println!("{} bytes", found.payload.len());
//! # Ok(())
//! # }
//! ```
//!
//! A certificate that was not checked has a type of its own, [`UnverifiedCertificate`], and is no argument to
//! [`Client::get`]. After the `202` one disperser has the blob, and its events alone are watched.
//!
//! An error says who has to act ([`Coded`](ashlar_crypto::Coded)), and a refusal of the disperser carries its own code:
//!
//! ```
//! use ashlar_client::ClientError;
//! use ashlar_crypto::Coded;
//!
//! fn explain(error: &ClientError) -> String {
//!     match error.problem() {
//!         Some(problem) => format!("{}: got {:?}, expected {:?}", problem.code, problem.got, problem.expected),
//!         None => format!("{}: {error} (to be acted on by: {})", error.code(), error.blame()),
//!     }
//! }
//! assert_eq!(
//!     explain(&ClientError::NoDisperser),
//!     "client.no_disperser: no disperser is configured (to be acted on by: caller)"
//! );
//! ```

mod api;
mod client;
mod config;
mod error;
mod runtime;
pub mod sse;
mod unverified;
mod watch;

pub use ashlar_proto::api::{BlobState, BlobStatus, Problem};
pub use ashlar_retriever::{Retrieved, Retriever, RetrieverConfig, Source};
pub use ashlar_service::http::RetryPolicy;
pub use client::{BlobName, Client, Submitted};
pub use config::{ClientConfig, PutOptions, Trust, WaitOptions};
pub use error::ClientError;
pub use unverified::UnverifiedCertificate;
pub use watch::{Certified, UnverifiedCertified};
