//! Starting and stopping a disperser.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::{Coded, Setup};
use ashlar_net::{Client, NetError, NetLimits};
use ashlar_proto::Stake;
use ashlar_proto::api::AccountMode;
use ashlar_proto::wire::limits::bulk_for_rows;
use ashlar_service::listener::{Apps, BindError, Listeners};
use ashlar_service::{OnEnd, Running, Supervisor};
use ashlar_stake::{PaymentSource, StakeSource};
use axum::Router;

use crate::accounts::redeem::{Redeemer, When};
use crate::api::{self, ApiState};
use crate::clock::{Clock, WallClock, system_clock};
use crate::compute::ComputePool;
use crate::config::{ConfigError, DisperserConfig};
use crate::distribute::OperatorClient;
use crate::durable::Durable;
use crate::engine::{Engine, number_of, report_kernel};
use crate::health::Health;
use crate::intake::OpenLimits;
use crate::kv::{Kv, KvError, RocksKv, RocksOptions};
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::relay::SliceRelay;
use crate::store::{Store, StoreError};
use crate::upkeep::Upkeep;

/// Where a disperser learns who is who, and who pays.
#[derive(Clone)]
pub struct Sources {
    /// Operator tables.
    pub stake: Arc<dyn StakeSource>,
    /// Deposits and reservations; needed if `accounts.mode` is `paid`.
    pub payment: Option<Arc<dyn PaymentSource>>,
}

impl From<Arc<dyn StakeSource>> for Sources {
    fn from(stake: Arc<dyn StakeSource>) -> Self {
        Self {
            stake,
            payment: None,
        }
    }
}

/// Starts dispersers.
#[derive(Debug, Clone, Copy)]
pub struct Disperser;

impl Disperser {
    /// Starts a disperser with its database in `config.paths.data`. HTTP answers from the beginning, `503` until the database is
    /// open; this returns when it is.
    ///
    /// # Errors
    /// What keeps it from running.
    pub async fn start(
        config: DisperserConfig,
        network_key: NetworkKey,
        sources: impl Into<Sources>,
    ) -> Result<RunningDisperser, DisperserError> {
        let open = database(&config);
        Self::start_with(config, network_key, sources, system_clock(), open).await
    }

    /// Starts a disperser inside of this process, a rollup's own one, with its database in `config.paths.data`. It listens nowhere,
    /// whatever `config.listen` says: its API is [`Running::api`]. This returns when the database is open.
    ///
    /// # Errors
    /// What keeps it from running.
    pub async fn embed(
        config: DisperserConfig,
        network_key: NetworkKey,
        sources: impl Into<Sources>,
    ) -> Result<Embedded, DisperserError> {
        config.validate()?;
        let open = database(&config);
        let mut api = Router::new();
        let serve = |_: &Supervisor, apps: Apps| api = apps.api;
        let (supervisor, patience) = launch(
            config,
            network_key,
            sources.into(),
            system_clock(),
            open,
            serve,
        )
        .await?;
        Ok(Running::embedded(api, supervisor, patience))
    }

    /// Opens the database in `config.paths.data` of a disperser that is stopped, for a person who has looked at the clock:
    /// [`Store::keep_time`] takes a time for right, whatever was believed before. Blocks.
    ///
    /// # Errors
    /// There is no such database, it is in use, or it fails.
    pub fn open_stopped(config: &DisperserConfig) -> Result<Store, DisperserError> {
        let path = &config.paths.data;
        // Opening would make one.
        if !path.is_dir() {
            return Err(DisperserError::NoDatabase {
                path: path.display().to_string(),
            });
        }
        let kv = database(config)().map_err(StoreError::from)?;
        Ok(Store::open_stopped(kv)?)
    }

    /// The same over any wall clock and any store: `open` is called once, on a thread that may block.
    ///
    /// # Errors
    /// What keeps it from running.
    pub async fn start_with(
        config: DisperserConfig,
        network_key: NetworkKey,
        sources: impl Into<Sources>,
        wall: WallClock,
        open: impl FnOnce() -> Result<Arc<dyn Kv>, KvError> + Send + 'static,
    ) -> Result<RunningDisperser, DisperserError> {
        config.validate()?;
        let listeners = Listeners::bind(config.listen.http, config.listen.health)?;
        let (http_addr, health_addr) = (listeners.http_addr(), listeners.health_addr());
        let limits = config.listener();
        let serve = |supervisor: &Supervisor, apps| listeners.serve(supervisor, apps, limits);
        let (supervisor, patience) =
            launch(config, network_key, sources.into(), wall, open, serve).await?;
        tracing::info!(%http_addr, "the disperser serves");
        Ok(Running::new(http_addr, health_addr, supervisor, patience))
    }
}

/// Opens the database of a configuration. Blocks.
fn database(
    config: &DisperserConfig,
) -> impl FnOnce() -> Result<Arc<dyn Kv>, KvError> + Send + 'static {
    let path = config.paths.data.clone();
    let options = RocksOptions {
        write_buffer_bytes: config.store.write_buffer_bytes,
    };
    move || Ok(Arc::new(RocksKv::open(&path, options)?))
}

/// Starts all parts of a disperser; `serve` gets its API before the database is opened. Also gives the time that its parts have to stop.
async fn launch(
    config: DisperserConfig,
    network_key: NetworkKey,
    Sources { stake, payment }: Sources,
    wall: WallClock,
    open: impl FnOnce() -> Result<Arc<dyn Kv>, KvError> + Send + 'static,
    serve: impl FnOnce(&Supervisor, Apps),
) -> Result<(Supervisor, Duration), DisperserError> {
    if config.accounts.mode == AccountMode::Paid && payment.is_none() {
        return Err(DisperserError::NobodyPays);
    }
    let health = Arc::new(Health::default());
    let metrics = Arc::new(Metrics::default());
    let supervisor = Supervisor::new(Arc::clone(&health));
    let stop = supervisor.stop_token();
    let no_threads = |error| DisperserError::Internal {
        what: format!("no threads: {error}"),
    };
    let slices = SliceRelay::new(config.relay.slice_memory_bytes).map_err(no_threads)?;
    let state = ApiState::new(
        config.clone(),
        Arc::clone(&health),
        Arc::clone(&metrics),
        stop.clone(),
        slices,
    );
    serve(&supervisor, api::apps(Arc::clone(&state)));

    let pool = ComputePool::new(config.encode.threads).map_err(no_threads)?;
    // Several dispersers in one process share the tables, and the first decides.
    let table_bytes = usize::try_from(config.encode.table_bytes).unwrap_or(usize::MAX);
    if let Err(error) = ashlar_crypto::limit_tables(table_bytes) {
        tracing::warn!("encode.table_bytes is {table_bytes} and has no effect: {error}");
    }
    let kernel = ashlar_crypto::kernel_status();
    tracing::info!(kernel = kernel.active, "arithmetic");
    report_kernel(&health, &metrics, kernel);
    // Tables of seconds of work, made before the first blob needs them.
    let codes: Vec<_> = config
        .protocol_versions()
        .map(|version| version.code)
        .collect();
    let prepared = pool
        .urgent
        .run(move || {
            codes
                .into_iter()
                .for_each(|code| Setup::ethereum().prepare(code))
        })
        .await;
    prepared.map_err(|_| DisperserError::Internal {
        what: "the ceremony's setup cannot be prepared".into(),
    })?;

    let owner = network_key.public();
    let limits = OpenLimits {
        blobs: config.accept.max_open_blobs as u64,
        bytes: config.accept.max_open_bytes,
        memory: config.encode.payload_memory_bytes,
        retry_after_secs: config.accept.retry_after_secs,
    };
    let (for_registry, head_ms) = (Arc::clone(&metrics), stake.head_time_ms());
    let opened = tokio::task::spawn_blocking(move || {
        let store = Store::open(open()?, &owner)?;
        let clock = Clock::new(wall, store.kept_time()?);
        // Durable before anything is accepted; if the disk is full, as soon as it is not.
        let time_ms = clock.read(head_ms).accepted_ms;
        let kept = store.keep_time(time_ms).map(|()| time_ms).ok();
        let registry = Registry::open(store, limits, for_registry)?;
        Ok::<_, StoreError>((registry, clock, kept))
    });
    let (registry, clock, kept_ms) = opened.await.map_err(|error| DisperserError::Internal {
        what: error.to_string(),
    })??;
    // Whoever stops a disperser may open its database next.
    supervisor.spawn("registry", OnEnd::Stop, registry.closed());
    let net = NetLimits {
        max_bulk: bulk_for_rows(config.batch.max_rows),
        // An operator that checks and syncs a large batch says nothing meanwhile.
        stall_timeout: Duration::from_secs(config.disperse.attempt_timeout_secs),
        max_datagram: config.disperse.max_datagram,
        ..NetLimits::default()
    };
    let client = Client::new(&network_key, net)?;
    let operators_client = OperatorClient::new(
        client,
        config.disperse.max_requests_per_operator,
        Arc::clone(&metrics),
        pool.urgent.clone(),
    );
    let durable = Durable {
        registry: Arc::new(registry),
        clock: Arc::new(clock),
        health: Arc::clone(&health),
        stop,
    };
    let upkeep = Upkeep {
        durable,
        stake,
        metrics,
    };
    let (clock, expiry) = (upkeep.clone(), upkeep.clone());
    let interval = Duration::from_millis(config.store.expiry_interval_ms);
    if let Some(payment) = payment.clone() {
        let redeemer = Redeemer {
            durable: upkeep.durable.clone(),
            payment,
            when: When {
                interval: Duration::from_secs(config.accounts.redeem_interval_secs),
                above: Stake::from(config.accounts.redeem_above),
            },
            metrics: Arc::clone(&upkeep.metrics),
        };
        let stake = Arc::clone(&upkeep.stake);
        let id = move || number_of(stake.as_ref(), &owner).ok().flatten();
        supervisor.spawn("redeem", OnEnd::Stop, redeemer.run(id));
    }
    let (engine, encoded) =
        Engine::new(config, network_key, pool, operators_client, upkeep, payment);
    supervisor.spawn(
        "batcher",
        OnEnd::Stop,
        Arc::clone(&engine).run_batcher(encoded),
    );
    supervisor.spawn(
        "sequence",
        OnEnd::Normal,
        Arc::clone(&engine).run_sequence(),
    );
    supervisor.spawn("encoder", OnEnd::Stop, Arc::clone(&engine).run_encoder());
    supervisor.spawn("reclaim", OnEnd::Stop, Arc::clone(&engine).run_reclaim());
    supervisor.spawn("late", OnEnd::Stop, Arc::clone(&engine).run_late());
    supervisor.spawn("activity", OnEnd::Stop, Arc::clone(&engine).run_activity());
    supervisor.spawn("clock", OnEnd::Stop, clock.run_clock(kept_ms));
    supervisor.spawn("expiry", OnEnd::Stop, expiry.run_expiry(interval));
    supervisor.spawn("watch", OnEnd::Stop, Arc::clone(&engine).run_watch());
    supervisor.spawn(
        "database",
        OnEnd::Stop,
        Arc::clone(&engine).run_storage_watch(),
    );
    let patience = Duration::from_secs(engine.config.store.shutdown_secs);
    state.open(engine);
    supervisor.spawn("api", OnEnd::Stop, state.close());
    health.opened();
    tracing::info!(key = %owner, "disperser is open");
    Ok((supervisor, patience))
}

/// A disperser inside of this process, with its [`api`](Running::api).
pub type Embedded = Running<Router>;

/// A disperser at work. Dropping it without [`shutdown`](Running::shutdown) stops it as a crash would: nothing accepted is lost. A
/// shutdown ends streams, finishes writes under way, and leaves batches under way for the next start.
pub type RunningDisperser = Running;

/// Why a disperser does not start.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "disperser", blame = Caller)]
pub enum DisperserError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no database where one is expected.
    #[error(
        "there is no database at {path}; is the right configuration named, and the disk mounted?"
    )]
    #[coded("store.missing")]
    NoDatabase {
        /// Its folder.
        path: String,
    },
    /// Accounts are to pay, and nothing says what they have.
    #[error(
        "accounts.mode is \"paid\", and operators.sources is no ledger, on which accounts could have deposits; follow a ledger, or set accounts.mode"
    )]
    NobodyPays,
    /// The network.
    #[error(transparent)]
    Net(#[from] NetError),
    /// Something that should not happen.
    #[error("{what}")]
    #[coded(blame = Us)]
    Internal {
        /// What.
        what: String,
    },
}
