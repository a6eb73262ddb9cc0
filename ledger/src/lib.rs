//! The restaking ledger as a small service, and its client: what devnets and self-contained networks run on.
//!
//! [`service`] keeps a ledger ([`ashlar_restaking`]) on disk, makes its blocks by a timer and serves it over HTTP; [`client`] sends
//! signed transactions and asks; [`source`] follows a service's operator tables for nodes, dispersers and retrievers.
//!
//! Who runs this service is trusted with what a chain would be trusted with: it orders transactions, and it could leave
//! some out. What it cannot do is act for somebody else: every transaction is [signed](auth) by the key of its account, and
//! the signatures are kept. What proves itself needs none: evidence, and answers to custody challenges, which the log has in the
//! slasher's and the operator's name. Nor can it equivocate unseen: it signs the head of every block, followers keep what they have
//! seen, and two heads of one block are proof against it.

mod api;
pub mod auth;
pub mod client;
pub mod devnet;
#[doc(hidden)]
pub mod fuzzing;
mod heads;
mod payments;
pub mod service;
pub mod source;
pub mod store;
pub mod types;

pub use auth::SignedTransaction;
pub use client::{ClientConfig, ClientError, LedgerClient};
pub use heads::HeadFileError;
pub use payments::{LedgerPayments, PaymentConfig};
pub use service::{HeadKeys, LedgerConfig, LedgerService, RunningLedger, ServiceError};
pub use source::HttpStakeSource;
pub use types::{Head, Receipt};
