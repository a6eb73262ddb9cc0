//! The gateway's configuration. The published example (`gateway.example.toml`) is generated from it; a test compares.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ashlar_proto::{CertificatePolicy, Domain, HARD_MAX_PAYLOAD, Limits, MaxAge, RequiredQuorums};
use ashlar_service::config::{OptionalAddress, at_least, start_at};
use ashlar_service::content::Pace;
use ashlar_service::http::Server;
use ashlar_service::listener::{self, BodyLimits};
use ashlar_stake::TableSource;

pub use ashlar_service::ConfigError;

use crate::RetrieverConfig;

ashlar_service::config! {
    "# Configuration of an Ashlar gateway. Shown are the defaults; both keys of [policy] have none that works.\n\
     # Relative paths start at the folder of this file.\n",
    /// Everything that can be set.
    pub struct GatewayConfig {
        /// Where things are on this machine.
        pub paths: Paths,
        /// Operator tables, and who vouches for them.
        pub operators: TableSource,
        /// Addresses to listen on.
        pub listen: Listen,
        /// Which certificates are good.
        pub policy: Policy,
        /// Where payloads come from.
        pub fetch: Fetch,
        /// What readers get.
        pub serve: Serve,
        /// What is kept on disk.
        pub cache: CacheConfig,
    }

    /// Where things are. Relative paths start at the folder of the configuration file.
    pub struct Paths {
        /// Folder of cached payloads. It belongs to one gateway. Nothing in it is missed when it is lost.
        pub cache: PathBuf = "cache".into();
        #[doc = ashlar_service::shared_key!(paths.heads)]
        pub heads: PathBuf = "heads".into();
    }

    /// Addresses.
    pub struct Listen {
        /// TCP address of the HTTP API, with health and metrics.
        pub http: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7700));
        #[doc = ashlar_service::shared_key!(listen.health)]
        pub health: OptionalAddress = OptionalAddress::default();
    }

    /// Which certificates are good: a gateway has to say it, as every reader does.
    pub struct Policy {
        /// Quorums that all have to have signed, such as [0]. An empty list is refused.
        pub required_quorums: Vec<u8> = Vec::new();
        /// How old a certificate may be, in seconds, and never more than operators have to hold the data. 0 is refused.
        pub max_age_secs: u64 = 0;
    }

    /// Where payloads come from.
    pub struct Fetch {
        /// Base URLs of dispersers. They are asked for certificates of blobs of which a reader knows only the name, and for payloads
        /// before operators are. Nothing that they say is believed.
        pub dispersers: Vec<String> = Vec::new();
        /// Largest payload, bytes.
        pub max_payload: u64 = Limits::default().max_payload, within 1..=HARD_MAX_PAYLOAD;
        /// A fetch ends after so long, in seconds.
        pub deadline_secs: u64 = 60, within 1..=3600;
        /// Blobs that are being fetched or read from disk at a time. Readers of the same blob wait for the same fetch. Others wait
        /// for a place, for as long as a fetch may take.
        pub places: usize = 16, within 1..;
        /// Blobs that wait for a place. Above: 503.
        pub max_waiting: usize = 256;
        /// Memory of all fetches for slices and rows, bytes. A fetch takes four times its blob's rows.
        pub memory_bytes: u64 = 256 << 20, within 1 << 20..;
        /// Bytes asked of operators and not here yet, all fetches together.
        pub in_flight_bytes: u64 = 64 << 20, within 1 << 20..;
    }

    /// What readers get.
    pub struct Serve {
        /// Memory for payloads that are being served, shared among the networks (/24 or /48) that want it: 429 for one that has its share,
        /// 503 if all is taken.
        pub memory_bytes: u64 = 256 << 20;
        /// Least bytes a second that a reader takes, on average, after its first five seconds. Below, it is cut off.
        pub min_rate: u64 = 32 << 10, within 1..;
        /// TCP connections at a time. Above: 503, after a second.
        pub max_connections: usize = 4096, within 1..;
        #[doc = ashlar_service::shared_key!(accept.header_timeout_secs)]
        pub header_timeout_secs: u64 = 35, within 1..=3600;
        /// A connection on which nothing moves in either direction for so long is closed, in seconds. More than fetch.deadline_secs.
        pub idle_timeout_secs: u64 = 180;
        /// Retry-After of a 503 and of a 429, in seconds.
        pub retry_after_secs: u64 = 1, within 1..;
        #[doc = ashlar_service::shared_key!(accept.trusted_proxies)]
        pub trusted_proxies: Vec<IpAddr> = Vec::new();
    }

    /// What is kept on disk.
    pub struct CacheConfig {
        /// Bytes of cached payloads, in blocks of 4 KiB each. What was read longest ago goes first. 0: nothing is kept.
        pub max_bytes: u64 = 16 << 30;
        /// With less free space than this nothing more is kept.
        pub min_free_bytes: u64 = 1 << 30;
    }
}

impl GatewayConfig {
    /// Makes relative paths start at a folder.
    pub fn start_at(&mut self, folder: &Path) {
        start_at(folder, [&mut self.paths.cache, &mut self.paths.heads]);
        self.operators = std::mem::take(&mut self.operators).starting_at(folder);
    }

    /// Checks everything that a type cannot.
    ///
    /// # Errors
    /// The first key whose value makes no sense, and why.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check_ranges()?;
        let unsaid = "a certificate is good for what its reader asks of it, so nothing is assumed";
        if self.policy.required_quorums.is_empty() {
            let key = "policy.required_quorums";
            return Err(ConfigError::invalid(key, "empty", unsaid));
        }
        if self.policy.max_age_secs == 0 {
            return Err(ConfigError::invalid("policy.max_age_secs", 0, unsaid));
        }
        for url in &self.fetch.dispersers {
            let invalid = |error| ConfigError::invalid("fetch.dispersers", url, format!("{error}"));
            Server::at(url).map_err(invalid)?;
        }
        let (fetch, serve) = (&self.fetch, &self.serve);
        let payload = ("fetch.max_payload", fetch.max_payload);
        for (key, got, (what, least)) in [
            ("serve.memory_bytes", serve.memory_bytes, payload),
            (
                "serve.idle_timeout_secs",
                serve.idle_timeout_secs,
                ("more than fetch.deadline_secs", fetch.deadline_secs + 1),
            ),
        ] {
            at_least(key, got, least, what)?;
        }
        Ok(())
    }

    pub(super) fn listener(&self) -> listener::Limits {
        let serve = &self.serve;
        listener::Limits {
            connections: serve.max_connections,
            header_timeout: Duration::from_secs(serve.header_timeout_secs),
            idle_timeout: Duration::from_secs(serve.idle_timeout_secs),
            retry_after_secs: serve.retry_after_secs,
            proxies: serve.trusted_proxies.clone(),
        }
    }

    pub(super) fn retriever(&self, relays: Vec<Server>) -> RetrieverConfig {
        let fetch = &self.fetch;
        RetrieverConfig {
            relays,
            max_payload: fetch.max_payload,
            deadline: self.deadline(),
            memory: fetch.memory_bytes,
            in_flight: fetch.in_flight_bytes,
            ..RetrieverConfig::default()
        }
    }

    pub(super) fn deadline(&self) -> Duration {
        Duration::from_secs(self.fetch.deadline_secs)
    }

    pub(super) fn max_age(&self) -> Duration {
        Duration::from_secs(self.policy.max_age_secs)
    }

    /// What a certificate has to be, now.
    pub(super) fn policy(&self, domain: Domain, now_ms: u64) -> CertificatePolicy {
        let quorums = RequiredQuorums::all(self.policy.required_quorums.clone());
        let max_age = MaxAge::Time {
            now_ms,
            most: self.max_age(),
        };
        CertificatePolicy::new(domain, quorums, max_age)
    }

    pub(super) fn pace(&self) -> Pace {
        Pace {
            min_rate: self.serve.min_rate,
            grace: BodyLimits::GRACE,
        }
    }
}

#[cfg(test)]
mod tests;
