//! Starting and stopping a proxy.

use std::sync::Arc;
use std::time::Duration;

use ashlar_client::memory::MemoryNetwork;
use ashlar_client::{
    Age, Client, ClientError, DaClient, DispersersConfig, LocalApi, Network, PayingAccount, Policy,
    RequiredQuorums, RetrieverConfig, Source, Trust,
};
use ashlar_crypto::Coded;
use ashlar_service::api::Daemon;
use ashlar_service::listener::{Apps, BindError, Listeners};
use ashlar_service::{ConfigError, Health, OnEnd, Running, Supervisor, table};
use ashlar_stake::StakeSource;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::post;
use thiserror::Error;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::arbitrum::{self, Arbitrum};
use crate::config::{Mode, ProxyConfig};
use crate::core::{AllStores, Core};
use crate::failure::Failure;
use crate::memstore;
use crate::metrics::Metrics;
use crate::op::{self, Api};
use crate::store::StoreError;

/// A proxy at work.
pub type RunningProxy = Running;

/// How long requests under way have when it stops.
const STOP: Duration = Duration::from_secs(10);
/// Operators that the memory has.
const OPERATORS: u8 = 4;

/// What a proxy is connected to.
pub struct Outside {
    /// Operator tables.
    pub stake: Arc<dyn StakeSource>,
    /// The way to operators.
    pub network: Arc<dyn Network>,
    /// Signs for what is posted, and pays for it.
    pub account: Option<PayingAccount>,
    /// A disperser in this process, preferred to all others.
    pub embedded: Option<Arc<dyn LocalApi>>,
}

/// Why a proxy does not start.
#[derive(Debug, Error, Coded)]
#[coded(prefix = "proxy", blame = Caller)]
pub enum ProxyError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The SDK.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Something else that it needs to begin.
    #[error(transparent)]
    Start(#[from] Failure),
    /// Nobody said how the layer is reached.
    #[error("proxy.mode is not \"memory\", and the proxy is connected to nothing")]
    Alone,
}

/// The layer, as this proxy is configured for it.
struct Layer {
    da: Arc<dyn DaClient>,
    stake: Option<Arc<dyn StakeSource>>,
    memory: Option<MemoryNetwork>,
}

impl Layer {
    fn open(config: &ProxyConfig, outside: Option<Outside>) -> Result<Self, ProxyError> {
        let quorums = RequiredQuorums::all(config.quorums());
        // Of what is posted: operators have to hold it. What is read may be of any age.
        let age = Age::Within(Duration::MAX);
        if config.proxy.mode == Mode::Memory {
            let network = MemoryNetwork::new(OPERATORS);
            let policy = Policy::new(network.trust(), quorums, age);
            return Ok(Self {
                da: Arc::new(network.client(policy)),
                stake: None,
                memory: Some(network),
            });
        }
        let outside = outside.ok_or(ProxyError::Alone)?;
        let policy = Policy::new(Trust::Source(Arc::clone(&outside.stake)), quorums, age);
        let dispersers = DispersersConfig {
            embedded: outside.embedded,
            urls: config.proxy.dispersers.clone(),
            max_payload: config.put.max_payload,
            put_deadline: config.put_deadline(),
            failover_after: Duration::from_secs(config.put.failover_secs),
            account: outside.account,
            ..DispersersConfig::default()
        };
        let retrieval = RetrieverConfig {
            max_payload: config.put.max_payload,
            deadline: config.get_deadline(),
            memory: config.get.memory_bytes,
            ..RetrieverConfig::default()
        };
        let client = Client::builder(policy)
            .dispersers(dispersers)
            .certify_deadline(config.put_deadline())
            .operators(outside.network)
            .retrieval(retrieval, Source::Auto)
            .build()?;
        Ok(Self {
            da: Arc::new(client),
            stake: Some(outside.stake),
            memory: None,
        })
    }
}

/// Starts proxies.
#[derive(Debug, Clone, Copy)]
pub struct Proxy;

impl Proxy {
    /// Starts a proxy. In memory mode it needs nothing outside.
    ///
    /// # Errors
    /// What keeps it from running.
    pub async fn start(
        config: ProxyConfig,
        outside: Option<Outside>,
    ) -> Result<RunningProxy, ProxyError> {
        config.validate()?;
        let listeners = Listeners::bind(config.listen.http, config.listen.health)?;
        let (http_addr, health_addr) = (listeners.http_addr(), listeners.health_addr());
        let layer = Layer::open(&config, outside)?;
        let places = config.clone();
        let stores = crate::core::blocking(move || AllStores::open(&places)).await??;
        let arbitrum = match config.arbitrum.enabled {
            true => Some(Arbitrum::open(&config.arbitrum.jwt_secret)?),
            false => None,
        };
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
        let supervisor = Supervisor::new(Arc::clone(&health));
        let shared = (Arc::clone(&health), metrics);
        let limits = config.listener();
        let stake = layer.stake.clone();
        let core = Arc::new(Core::new(config, layer.da, layer.stake, stores, shared));
        listeners.serve(&supervisor, apps(core, layer.memory, arbitrum), limits);
        if let Some(stake) = stake {
            // Before it says that it is ready.
            table::look(&stake, &health).await;
            let watched = table::watch(stake, Arc::clone(&health), supervisor.stop_token());
            supervisor.spawn("operator_table", OnEnd::Degrade, watched);
        }
        health.opened();
        Ok(Running::new(http_addr, health_addr, supervisor, STOP))
    }
}

#[derive(OpenApi)]
#[openapi(info(
    title = "Ashlar proxy",
    description = "The Alt-DA server of an OP Stack rollup. Errors are problem documents (RFC 9457) with a stable code, and close the connection."
))]
struct Document;

/// All that is served over HTTP.
pub(crate) fn apps(
    core: Arc<Core>,
    memory: Option<MemoryNetwork>,
    arbitrum: Option<Arbitrum>,
) -> Apps {
    let metrics = Arc::clone(&core.metrics);
    let daemon = Daemon {
        name: "proxy",
        health: Arc::clone(&core.health),
        refused: metrics.refused.clone(),
        metrics: Arc::new(move || metrics.text()),
        deadline: op::longest(&core),
    };
    let api = Arc::new(Api::new(core));
    let mut routes = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(op::put))
        .routes(routes!(op::put_keccak))
        .routes(routes!(op::get))
        .routes(routes!(op::config))
        .route("/put/", post(op::put));
    if let Some(network) = memory {
        let switches = OpenApiRouter::new()
            .routes(routes!(memstore::show, memstore::change))
            .with_state(Arc::new(network));
        routes = routes.merge(switches);
    }
    if let Some(arbitrum) = arbitrum {
        let state = (Arc::clone(&api), Arc::new(arbitrum));
        let calls = OpenApiRouter::new().route("/arbitrum", post(arbitrum::call));
        routes = routes.merge(calls.with_state(state));
    }
    let apps = daemon.apps(routes, api);
    Apps {
        api: apps.api.layer(map_response(closing)),
        ..apps
    }
}

/// The OP Stack's client never reads the body of an error, so its connection would be of no more use, and stay open.
async fn closing(mut response: Response) -> Response {
    if !response.status().is_success() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
