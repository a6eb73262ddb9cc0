//! Starting and stopping a gateway.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_fetch::Network;
use ashlar_proto::times;
use ashlar_service::http::{self, Authorities, HttpError, Server};
use ashlar_service::listener::{BindError, Listeners};
use ashlar_service::{Health, OnEnd, Running, Supervisor, table};
use ashlar_stake::StakeSource;

use super::api::{self, ApiState};
use super::cache::Cache;
use super::config::{ConfigError, GatewayConfig};
use super::metrics::Metrics;
use super::store::Payloads;
use crate::Retriever;

/// Starts gateways.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

impl Gateway {
    /// Starts a gateway that asks operators over `network`. HTTP answers from the beginning, `503` until the cache is open; this
    /// returns when it is.
    ///
    /// # Errors
    /// What keeps it from running.
    pub async fn start(
        config: GatewayConfig,
        stake: Arc<dyn StakeSource>,
        network: Arc<dyn Network>,
    ) -> Result<RunningGateway, GatewayError> {
        config.validate()?;
        let listeners = Listeners::bind(config.listen.http, config.listen.health)?;
        let (http_addr, health_addr) = (listeners.http_addr(), listeners.health_addr());
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
        let supervisor = Supervisor::new(Arc::clone(&health));
        let state = ApiState::new(config.clone());
        let apps = api::apps(
            Arc::clone(&state),
            Arc::clone(&health),
            Arc::clone(&metrics),
        );
        listeners.serve(&supervisor, apps, config.listener());

        let dispersers = config.fetch.dispersers.iter();
        let dispersers = dispersers.map(|url| Server::at(url));
        let dispersers = dispersers.collect::<Result<Vec<_>, _>>()?;
        let authorities = Authorities::needed(dispersers.iter().any(Server::is_https));
        let http = http::build(http::client(authorities, Duration::from_secs(3))?)?;
        let retrieval = config.retriever(dispersers.clone());
        let retriever = Retriever::new(retrieval, Arc::clone(&stake), network)?;
        let (folder, kept, measured) = (
            config.paths.cache.clone(),
            config.cache.clone(),
            Arc::clone(&metrics),
        );
        let opened = tokio::task::spawn_blocking(move || {
            Cache::open(folder, kept.max_bytes, kept.min_free_bytes, measured)
        });
        let internal = |error: tokio::task::JoinError| GatewayError::Internal {
            what: error.to_string(),
        };
        let cache = opened.await.map_err(internal)?;
        let cache = cache.map_err(|error| GatewayError::Cache {
            folder: config.paths.cache.display().to_string(),
            reason: error.to_string(),
        })?;
        let shared = (Arc::clone(&health), metrics);
        let (watched, said, stop) = (
            Arc::clone(&stake),
            Arc::clone(&health),
            supervisor.stop_token(),
        );
        supervisor.spawn("table", OnEnd::Stop, async move {
            table::look(&watched, &said).await;
            table::watch(watched, said, stop).await;
        });
        let payloads = Payloads::new(config, retriever, stake, http, dispersers, cache, shared);
        state.open(Arc::new(payloads));
        health.opened();
        tracing::info!(%http_addr, "gateway is open");
        Ok(Running::new(
            http_addr,
            health_addr,
            supervisor,
            times::SHUTDOWN,
        ))
    }
}

/// A gateway at work.
pub type RunningGateway = Running;

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "gateway", blame = Caller)]
pub enum GatewayError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The HTTP client, or the URL of a disperser.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The folder of the cache.
    #[error("the cache in {folder} cannot be opened: {reason}")]
    Cache {
        /// Its folder.
        folder: String,
        /// As the operating system says.
        reason: String,
    },
    /// A bug.
    #[error("{what}")]
    #[coded(blame = Us)]
    Internal {
        /// What.
        what: String,
    },
}
