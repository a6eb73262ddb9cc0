//! The proxy's configuration. The published example (`proxy.example.toml`) is generated from it; a test compares.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ashlar_proto::{Block, HARD_MAX_PAYLOAD, Limits, Stake};
use ashlar_service::config::{OptionalAddress, at_least, start_at};
use ashlar_service::http::Server;
use ashlar_service::listener;
use ashlar_stake::TableSource;
use serde::{Deserialize, Serialize};

pub use ashlar_service::ConfigError;

use crate::put::PERIOD;

/// Where payloads go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// To dispersers.
    #[default]
    Disperser,
    /// Nowhere: it only reads.
    ReadOnly,
    /// Into this process, for tests.
    Memory,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disperser => "disperser",
            Self::ReadOnly => "read-only",
            Self::Memory => "memory",
        })
    }
}

/// What a reader of the OP Stack is answered if a certificate is good for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InvalidCert {
    /// 418, which EigenDA's fork of the stack drops. Upstream asks again for ever, and its chain stands still.
    #[serde(rename = "418")]
    Teapot,
    /// 200 and nothing: a batch without frames, which every stack drops.
    #[default]
    #[serde(rename = "empty-200")]
    Empty,
}

/// What a batcher is answered if the layer does not take its payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failover {
    /// 503, on which EigenDA's fork of the stack posts to L1.
    #[serde(rename = "503")]
    Unavailable,
    /// 500: it asks again.
    #[default]
    Retry,
}

ashlar_service::config! {
    "# Configuration of an Ashlar proxy. Shown are the defaults. proxy.dispersers and policy.required_quorums have none that works, but for memory mode.\n\
     # Relative paths start at the folder of this file. Every key has an environment variable: ASHLAR_PROXY_PUT_DEADLINE_SECS is put.deadline_secs.\n",
    /// Everything that can be set.
    pub struct ProxyConfig {
        /// What it does.
        pub proxy: Main,
        /// Where things are on this machine.
        pub paths: Paths,
        /// Operator tables, and who vouches for them.
        pub operators: TableSource,
        /// Addresses to listen on.
        pub listen: Listen,
        /// Which certificates are good.
        pub policy: Policy,
        /// The account that posts.
        pub account: AccountConfig,
        /// How payloads are posted.
        pub put: Put,
        /// How payloads are read.
        pub get: Get,
        /// Answers to the OP Stack.
        pub op: Op,
        /// Arbitrum's interface.
        pub arbitrum: Arbitrum,
        /// Where payloads are kept.
        pub store: Stores,
        /// What callers get.
        pub serve: Serve,
    }

    /// What it does.
    pub struct Main {
        /// Where payloads go: "disperser", "read-only" (nowhere), or "memory" (into this process, for tests; POST /memstore/config makes it slow, refuse and forge).
        pub mode: Mode = Mode::default();
        /// Base URLs of dispersers, the preferred one first. What they say is checked. With none a proxy reads from operators alone.
        pub dispersers: Vec<String> = Vec::new();
        /// The configuration of a disperser that runs inside of this process, a rollup's own one, and is preferred to all others. Empty: none.
        pub embed: PathBuf = PathBuf::new();
    }

    /// Where things are. Relative paths start at the folder of the configuration file.
    pub struct Paths {
        #[doc = ashlar_service::shared_key!(paths.heads)]
        pub heads: PathBuf = "heads".into();
    }

    /// Addresses.
    pub struct Listen {
        /// TCP address of the HTTP API, with health and metrics. Whoever reaches it can post in the account's name: keep it to the rollup.
        pub http: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 3100));
        #[doc = ashlar_service::shared_key!(listen.health)]
        pub health: OptionalAddress = OptionalAddress::default();
    }

    /// Which certificates are good. All nodes of a rollup must have the same: it decides what is derived.
    pub struct Policy {
        /// Quorums that all have to have signed. Payloads are posted to these. An empty list is refused, but for memory mode, which takes [0].
        pub required_quorums: Vec<u8> = Vec::new();
        /// Most blocks between the reference block of a certificate and the block of its inclusion (l1_inclusion_block_number). Only if
        /// reference blocks are L1's blocks, and only for stacks that send the number: upstream's op-node does not. 0: not checked.
        pub recency_blocks: u64 = 0;
    }

    /// The account that posts. Dispersers that serve everybody need none.
    pub struct AccountConfig {
        /// Its keystore. Empty: none.
        pub key: PathBuf = PathBuf::new();
        /// A file whose first line is the password of the key.
        pub password_file: PathBuf = PathBuf::new();
        /// What a blob may cost at most at a disperser, in the token's smallest unit. 0: nothing is paid, for reservations and lists of accounts.
        pub max_price: String = "0".to_owned();
        /// File in which the count of vouchers is kept. Empty: the disperser is asked after a restart.
        pub vouchers: PathBuf = PathBuf::new();
    }

    /// How payloads are posted.
    pub struct Put {
        /// Largest payload, bytes.
        pub max_payload: u64 = Limits::default().max_payload, within 1..=HARD_MAX_PAYLOAD;
        /// A post ends after so long, certified or not, in seconds. Sent again it finds the same blob.
        pub deadline_secs: u64 = 120, within 1..=3600;
        /// A disperser that has no news of a blob for so long is watched on, and the blob goes to the next one, too, in seconds.
        pub failover_secs: u64 = 30, within 1..=3600;
        /// A payload that was posted the day before is found again if operators still have to hold it for so long, in seconds; else it is posted
        /// anew. At most 13 of the 14 days.
        pub min_left_secs: u64 = 13 * 86_400;
    }

    /// How payloads are read.
    pub struct Get {
        /// A read ends after so long, in seconds.
        pub deadline_secs: u64 = 60, within 1..=3600;
        /// Memory of all fetches for slices and rows, bytes. A fetch takes four times its blob's rows.
        pub memory_bytes: u64 = 256 << 20, within 1 << 20..;
    }

    /// Answers to the OP Stack. All nodes of a rollup should have the same.
    pub struct Op {
        /// What a reader gets for a certificate that is good for nothing: "empty-200" (every stack drops the batch and goes on), or "418" (EigenDA's fork
        /// drops it; upstream's chain stands still).
        pub invalid_cert: InvalidCert = InvalidCert::default();
        /// What a batcher gets if the layer does not take its payload: "retry" (500: it asks again), or "503" (EigenDA's fork posts to L1).
        pub failover: Failover = Failover::default();
        /// With failover = "503": so many posts in a row have to have failed before the answer is 503. Until then it is 500.
        pub failover_after: u32 = 1, within 1..;
    }

    /// Arbitrum's interface: JSON-RPC under POST /arbitrum.
    pub struct Arbitrum {
        /// Whether it is served.
        pub enabled: bool = false;
        /// File with the secret of 32 bytes, in hexadecimal, with which callers sign (JWT, HS256). Empty: they need not.
        pub jwt_secret: PathBuf = PathBuf::new();
        /// After so many posts in a row that have failed, the sequencer is told to ask its next writer, or L1. 0: never, it asks again.
        pub fallback_after: u32 = 1;
    }

    /// Where payloads are kept: a folder, memory:///, or, in a binary built for them, s3://…, gs://…, az://…. Empty: nowhere. Whatever comes
    /// from there is checked before anybody gets it.
    pub struct Stores {
        /// Payloads of keccak commitments. Without it there are none. Losing it loses them.
        pub keccak: String = String::new();
        /// Payloads that were posted and read. It is asked before the network.
        pub cache: String = String::new();
        /// The same, asked when the network does not have a payload, as after the 14 days for which operators hold it.
        pub fallback: String = String::new();
        /// Longest wait for a store, in seconds.
        pub timeout_secs: u64 = 10, within 1..=600;
    }

    /// What callers get.
    pub struct Serve {
        /// Payloads that are being posted at a time, and as many that are being read. Others wait for a place.
        pub places: usize = 16, within 1..=1024;
        /// Longest wait for a place, in seconds. Then: 429.
        pub wait_secs: u64 = 10, within 0..=600;
        /// TCP connections at a time. Above: 503.
        pub max_connections: usize = 256, within 1..;
        #[doc = ashlar_service::shared_key!(accept.header_timeout_secs)]
        pub header_timeout_secs: u64 = 35, within 1..=3600;
        /// A connection on which nothing moves in either direction for so long is closed, in seconds. More than put.deadline_secs and
        /// get.deadline_secs.
        pub idle_timeout_secs: u64 = 300;
        #[doc = ashlar_service::shared_key!(accept.trusted_proxies)]
        pub trusted_proxies: Vec<IpAddr> = Vec::new();
    }
}

impl ProxyConfig {
    /// Makes relative paths start at a folder.
    pub fn start_at(&mut self, folder: &Path) {
        let (account, paths) = (&mut self.account, &mut self.paths);
        start_at(
            folder,
            [
                &mut paths.heads,
                &mut self.proxy.embed,
                &mut account.key,
                &mut account.password_file,
                &mut account.vouchers,
                &mut self.arbitrum.jwt_secret,
            ],
        );
        let stores = &mut self.store;
        for store in [&mut stores.keccak, &mut stores.cache, &mut stores.fallback] {
            if !store.is_empty() && !store.contains("://") {
                *store = folder.join(&*store).display().to_string();
            }
        }
        self.operators = std::mem::take(&mut self.operators).starting_at(folder);
    }

    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// The first key whose value makes no sense, and why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        if self.quorums().is_empty() {
            let why = "a certificate is good for what its reader asks of it, so nothing is assumed";
            let key = "policy.required_quorums";
            return Err(ConfigError::invalid(key, "empty", why));
        }
        for url in &self.proxy.dispersers {
            let invalid = |error| ConfigError::invalid("proxy.dispersers", url, format!("{error}"));
            Server::at(url).map_err(invalid)?;
        }
        let nowhere = self.proxy.dispersers.is_empty() && self.proxy.embed.as_os_str().is_empty();
        if self.proxy.mode == Mode::Disperser && nowhere {
            let why = "name one, or choose another proxy.mode";
            return Err(ConfigError::invalid("proxy.dispersers", "empty", why));
        }
        let retention = Duration::from_secs(14 * 86_400);
        let most = (retention - PERIOD).as_secs();
        let left = self.put.min_left_secs;
        if left > most {
            let why =
                format!("it has to be at most {most}: what was posted today has so much left");
            return Err(ConfigError::invalid("put.min_left_secs", left, why));
        }
        self.max_price()?;
        let idle = self.serve.idle_timeout_secs;
        let longest = self.put.deadline_secs.max(self.get.deadline_secs);
        let what = "more than put.deadline_secs and get.deadline_secs";
        at_least("serve.idle_timeout_secs", idle, longest + 1, what)
    }

    pub(crate) fn listener(&self) -> listener::Limits {
        let serve = &self.serve;
        listener::Limits {
            connections: serve.max_connections,
            header_timeout: Duration::from_secs(serve.header_timeout_secs),
            idle_timeout: Duration::from_secs(serve.idle_timeout_secs),
            retry_after_secs: 1,
            proxies: serve.trusted_proxies.clone(),
        }
    }

    /// Most bytes of a body: a payload in hexadecimal, as Arbitrum sends it, and what JSON adds.
    pub(crate) fn max_body(&self) -> u64 {
        2 * self.put.max_payload + (1 << 20)
    }

    pub(crate) fn put_deadline(&self) -> Duration {
        Duration::from_secs(self.put.deadline_secs)
    }

    pub(crate) fn get_deadline(&self) -> Duration {
        Duration::from_secs(self.get.deadline_secs)
    }

    /// How old a certificate may be that was included in this block. By the clock there is no limit: everybody gets the same answer.
    pub(crate) fn age(&self, included_at: Option<u64>) -> ashlar_client::Age {
        match (self.policy.recency_blocks, included_at) {
            (0, _) | (_, None | Some(0)) => ashlar_client::Age::Unbounded,
            (most, Some(block)) => ashlar_client::Age::Blocks {
                included_at: Block(block),
                most,
            },
        }
    }

    /// Quorums that sign what is posted, and that have to have signed what is read.
    pub(crate) fn quorums(&self) -> Vec<u8> {
        let quorums = &self.policy.required_quorums;
        match self.proxy.mode {
            Mode::Memory if quorums.is_empty() => vec![0],
            _ => quorums.clone(),
        }
    }

    /// What a blob may cost; none if nothing is paid.
    ///
    /// # Errors
    /// It is no number.
    pub fn max_price(&self) -> Result<Option<Stake>, ConfigError> {
        let text = &self.account.max_price;
        let invalid = |error| ConfigError::invalid("account.max_price", text, format!("{error}"));
        let price = Stake::from_str_radix(text, 10).map_err(invalid)?;
        Ok((!price.is_zero()).then_some(price))
    }
}

#[cfg(test)]
mod tests;
