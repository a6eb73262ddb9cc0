//! The Ashlar client SDK for rollups.
//!
//! [`DaClient`] is what a rollup does: [`put_and_wait`](DaClient::put_and_wait) turns a payload into rows, commits to them here,
//! posts both and waits until operators have signed for it; [`verify`](DaClient::verify) checks a certificate;
//! [`get`](DaClient::get) brings the payload back, from a relay or from the operators themselves. [`Client`] does it over a network,
//! [`memory::MemoryClient`] in a test.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use ashlar_client::{Age, Client, ClientError, DaClient, Policy, PutOptions, RequiredQuorums, Trust};
//! use ashlar_stake::StakeSource;
//!
//! # async fn example(stake: Arc<dyn StakeSource>) -> Result<(), ClientError> {
//! // Whose tables count, which quorums must have signed, and how old a certificate may be. Nothing is assumed.
//! let two_weeks = Duration::from_secs(14 * 24 * 60 * 60);
//! let policy = Policy::new(Trust::Source(stake), RequiredQuorums::all([0]), Age::Within(two_weeks));
//! let client = Client::builder(policy)
//!     .disperser("https://da.example.com")
//!     .disperser("https://da.example.org")
//!     .before_failover(|failover| {
//!         eprintln!("{} goes to {}: {}", failover.id, failover.to, failover.reason);
//!         true
//!     })
//!     .build()?;
//!
//! // The salt makes the blob's id: after a crash the same call finds the same blob.
//! let options = PutOptions { salt: Some(7), ..PutOptions::default() };
//! let certified = client.put_and_wait("a rollup's transactions".into(), options).await?;
//! let bytes = certified.certificate.certificate().to_bytes();
//!
//! let found = client.get(&certified.certificate).await?;
//! println!("{} bytes, {} of certificate", found.payload.len(), bytes.len());
//! # Ok(())
//! # }
//! ```
//!
//! **Nothing is trusted by itself.** A [`Client`] has a [`Policy`]; what needs none is [`Dispersers`]: it posts, and gives a
//! certificate only as an [`UnverifiedCertificate`], which is no argument to [`DaClient::get`].
//!
//! **Several dispersers.** A submission goes to the best one that accepts it. From its `202` on that one is watched. If it fails, or
//! has no news for [`failover_after`](ClientBuilder::failover_after), the same submission goes to the next one, too, with the
//! same id, and the first certificate that holds is the result. Two dispersers may both certify the blob. These certificates have
//! the same blob key and do not contradict each other; a rollup uses the one that its chain has first.
//!
//! **Paying.** A [`PayingAccount`] signs for each submission, to one disperser at a time. Where that one wants to be paid, the price is asked
//! before anything is signed, and nothing above [`max_price`](PayingAccount::max_price) is signed. A voucher is for everything owed in
//! all: the account counts itself what that is, and believes a disperser only as far as it has signed. A blob that goes on to a
//! second disperser is charged there, too: [`Failover::pays`] says so before.
//!
//! **Errors** say who has to act ([`Coded`](ashlar_crypto::Coded)) and whether the same call may succeed later:
//!
//! ```
//! use ashlar_client::ClientError;
//! use ashlar_crypto::Coded;
//!
//! fn explain(error: &ClientError) -> String {
//!     let again = if error.retryable() { "try again" } else { "do not repeat" };
//!     match error.problem() {
//!         Some(problem) => format!("{}: got {:?}, expected {:?}; {again}", problem.code, problem.got, problem.expected),
//!         None => format!("{}: {error} (to be acted on by: {}); {again}", error.code(), error.blame()),
//!     }
//! }
//! assert_eq!(
//!     explain(&ClientError::NoDisperser),
//!     "client.no_disperser: no disperser is configured (to be acted on by: caller); do not repeat"
//! );
//! ```

mod account;
mod api;
mod client;
mod config;
mod da;
mod dispersers;
mod error;
mod health;
pub mod memory;
mod paying;
mod policy;
mod runtime;
pub mod sse;
mod submission;
mod watch;

pub use account::{AccountSigner, GrantedKey, PayingAccount, Quote};
pub use ashlar_proto::api::{BlobState, BlobStatus, Problem};
pub use ashlar_proto::{RequiredQuorums, TrustedRoot, TrustedTable, VerifiedCertificate};
pub use ashlar_retriever::{Network, Retrieved, Retriever, RetrieverConfig, Source};
pub use ashlar_service::http::{LocalApi, RetryPolicy};
pub use client::{Client, ClientBuilder};
pub use config::{BeforeFailover, DispersersConfig, Failover, Held, Pays, PutOptions};
pub use da::{Answer, DaClient};
pub use dispersers::{BlobName, Dispersers};
pub use error::{ClientError, PassedOver};
pub use health::Health;
pub use policy::{Age, Policy, Trust, UnverifiedCertificate};
pub use submission::Submitted;
pub use watch::Certified;
