//! Settings of a client and options of a submission.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Encoding;
use ashlar_proto::{Account, CertificatePolicy, DEFAULT_VERSION, TrustedRoot, TrustedTable};
use ashlar_stake::{OperatorTable, StakeSource};

use crate::RetryPolicy;

/// Settings of a [`Client`](crate::Client).
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Base URLs of dispersers, `http` or `https`. A submission goes to the first that accepts it.
    pub dispersers: Vec<String>,
    /// Largest payload that is accepted, bytes. Default 16 MiB.
    pub max_payload: u64,
    /// Longest wait for a connection. Default 3 s.
    pub connect_timeout: Duration,
    /// Time for a request, before the transfer time at `min_rate` is added. Default 15 s.
    pub request_timeout: Duration,
    /// Slowest acceptable transfer, bytes a second. Default 512 KiB/s.
    pub min_rate: u64,
    /// Longest silence of a stream of events before it is opened again. Default 30 s.
    pub event_silence: Duration,
    /// When requests are repeated.
    pub retry: RetryPolicy,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            dispersers: Vec::new(),
            max_payload: 16 << 20,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(15),
            min_rate: 512 << 10,
            event_silence: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        }
    }
}

impl ClientConfig {
    /// The default settings for one disperser.
    pub fn new(disperser: impl Into<String>) -> Self {
        Self {
            dispersers: vec![disperser.into()],
            ..Self::default()
        }
    }
}

/// How a payload is to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOptions {
    /// Protocol version. Default: version 1.
    pub version: u16,
    /// How the payload fills rows. Default: `Packed31`, which takes any bytes.
    pub encoding: Encoding,
    /// Quorums that are to sign, strictly rising. Default: quorum 0.
    pub quorums: Vec<u8>,
    /// Who pays. Default: the zero account.
    pub account: Account,
    /// Makes equal payloads different blobs. The same payload with the same options and salt is the same blob, however
    /// often it is posted; so a caller that may crash between posting and writing down the id should choose the salt
    /// itself. Default: random.
    pub salt: Option<u64>,
}

impl Default for PutOptions {
    fn default() -> Self {
        Self {
            version: DEFAULT_VERSION,
            encoding: Encoding::Packed31,
            quorums: vec![0],
            account: Account::default(),
            salt: None,
        }
    }
}

/// What a certificate is checked against.
#[derive(Clone)]
pub enum Trust {
    /// The operator table of the batch's reference block.
    Table(TrustedTable<Arc<OperatorTable>>),
    /// Whichever table this source has for the batch's reference block.
    Source(Arc<dyn StakeSource>),
    /// The root of that table; the certificate is then asked for in its portable form.
    Root(TrustedRoot),
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(table) => f
                .debug_tuple("Table")
                .field(&table.reference_block())
                .finish(),
            Self::Source(_) => f.write_str("Source"),
            Self::Root(root) => f.debug_tuple("Root").field(root).finish(),
        }
    }
}

/// How to wait for a certificate, and what it has to be.
#[derive(Clone, Debug)]
pub struct WaitOptions {
    /// How long.
    pub deadline: Duration,
    /// What the certificate is checked against.
    pub trust: Trust,
    /// What is asked of it. [`Submitted::policy`](crate::Submitted::policy) is what its submitter asks; a reader may ask
    /// for more. Its age is asked when the certificate is there, by this machine's clock.
    pub policy: CertificatePolicy,
}

impl WaitOptions {
    /// For 120 s.
    pub fn new(trust: Trust, policy: CertificatePolicy) -> Self {
        Self {
            deadline: Duration::from_secs(120),
            trust,
            policy,
        }
    }
}
