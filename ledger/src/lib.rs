//! The restaking ledger as a small service, and its client: what devnets and self-contained networks run on.
//!
//! [`service`] keeps a ledger ([`ashlar_stake::ledger`]) on disk, makes its blocks by a timer and serves it over HTTP; [`client`] sends
//! signed transactions and asks; [`source`] follows a service's operator tables for nodes, dispersers and retrievers.
//!
//! Who runs this service is trusted with what a chain would be trusted with: it orders transactions, and it could leave
//! some out or answer wrongly. What it cannot do is act for somebody else: every transaction is [signed](auth) by the key
//! of its account, and the signatures are kept.

mod api;
pub mod auth;
pub mod client;
pub mod command;
pub mod devnet;
pub mod service;
pub mod source;
pub mod types;

pub use api::openapi;
pub use auth::{SignedTransaction, account_of};
pub use client::{ClientConfig, ClientError, LedgerClient};
pub use service::{LedgerConfig, LedgerService, RunningLedger, ServiceError};
pub use source::HttpStakeSource;
pub use types::{Head, Receipt};
