//! Settings of the dispersers' pool, and options of a submission.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Encoding;
use ashlar_proto::{Account, BlobId, DEFAULT_VERSION, Domain, Stake};

use crate::{ClientError, LocalApi, PayingAccount, RetryPolicy};

/// Settings of [`Dispersers`](crate::Dispersers).
#[derive(Clone)]
pub struct DispersersConfig {
    /// A disperser in this process, which is preferred to all others: a rollup's own one.
    pub embedded: Option<Arc<dyn LocalApi>>,
    /// Base URLs, `http` or `https`, the preferred one first.
    pub urls: Vec<String>,
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
    /// Longest time to post a blob, or to ask for one: all attempts at all dispersers together, before the transfer time at
    /// `min_rate` is added. Default 120 s.
    pub put_deadline: Duration,
    /// A disperser that has accepted a blob and then has no news of it for so long is watched on, and the blob goes to the
    /// next one, too. Default 30 s.
    pub failover_after: Duration,
    /// Asked before a blob is posted to another disperser than the first one. Without it a blob always may go on.
    pub before_failover: Option<BeforeFailover>,
    /// Signs for what is posted, and pays for it. Without one, only dispersers that serve everybody take a blob.
    pub account: Option<PayingAccount>,
    /// The service that dispersers have to be of before an account signs for them. A [`Client`](crate::Client) takes that of its policy.
    pub domain: Option<Domain>,
}

impl std::fmt::Debug for DispersersConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DispersersConfig")
            .field("embedded", &self.embedded.is_some())
            .field("urls", &self.urls)
            .field("put_deadline", &self.put_deadline)
            .field("failover_after", &self.failover_after)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Default for DispersersConfig {
    fn default() -> Self {
        Self {
            embedded: None,
            urls: Vec::new(),
            max_payload: 16 << 20,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(15),
            min_rate: 512 << 10,
            event_silence: Duration::from_secs(30),
            retry: RetryPolicy::default(),
            put_deadline: Duration::from_secs(120),
            failover_after: Duration::from_secs(30),
            before_failover: None,
            account: None,
            domain: None,
        }
    }
}

impl DispersersConfig {
    /// The default settings for one disperser.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            ..Self::default()
        }
    }
}

/// Whether a blob may go to another disperser. It is called on the async runtime: it answers at once.
pub type BeforeFailover = Arc<dyn Fn(&Failover) -> bool + Send + Sync>;

/// A blob that is about to be posted to another disperser, which may charge for it, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failover {
    /// The blob; it keeps its id.
    pub id: BlobId,
    /// The disperser that had it last.
    pub from: String,
    /// Where it would go.
    pub to: String,
    /// Whether that disperser has the blob already, and may have charged for it.
    pub held: Held,
    /// Code of what is wrong there.
    pub code: String,
    /// The same in words.
    pub reason: String,
    /// What it costs, if an account pays there.
    pub pays: Option<Pays>,
}

/// What a blob costs at another disperser, in the smallest unit of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pays {
    /// The other one charges this.
    pub price: Stake,
    /// The one before has charged this already, or may have.
    pub already: Stake,
}

/// Whether a disperser has a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// It refused it, or was not reached.
    No,
    /// The blob was sent, and no answer came.
    Maybe,
    /// It answered `202`.
    Yes,
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
    /// Who pays. Default: the zero account, or that of [`DispersersConfig::account`].
    pub account: Account,
    /// Makes equal payloads different blobs. The same payload with the same options and salt is the same blob, however
    /// often and to whichever disperser it is posted; so a caller that may crash between posting and writing down the id
    /// should choose the salt itself. Default: random.
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

/// The options, with the account that signs.
///
/// # Errors
/// They name another one.
pub(crate) fn named(
    options: PutOptions,
    account: Option<&PayingAccount>,
) -> Result<PutOptions, ClientError> {
    let (got, signer) = (options.account, account.map(PayingAccount::account));
    match signer {
        Some(expected) if got != expected && got != Account::default() => {
            Err(ClientError::OtherAccount { got, expected })
        }
        _ => Ok(PutOptions {
            account: signer.unwrap_or(got),
            ..options
        }),
    }
}
