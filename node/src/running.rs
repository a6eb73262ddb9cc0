//! Starting and stopping a node.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_crypto::identity::NetworkKey;
use ashlar_net::{Client, NetError, NetLimits, Server};
use ashlar_proto::wire::limits;
use ashlar_proto::{OperatorId, operator_id};
use ashlar_service::listener::{BindError, Limits, Listeners};
use ashlar_service::{OnEnd, Supervisor};
use ashlar_stake::StakeSource;
use tokio::sync::Notify;

use crate::clock::{Clock, SystemTimeSource, TimeSource};
use crate::config::{ConfigError, NodeConfig};
use crate::custody::ChallengeSource;
use crate::damage::Repairs;
use crate::database::{self, Database, DatabaseError};
use crate::health::{self, HealthReport};
use crate::reach::Peers;
use crate::repair::{self, Healer};
use crate::service::{Identities, QuicHandler, Service};
use crate::shared::{Shared, blocking};
use crate::signer::{BatchSigner, Signer, remote};
use crate::status::{MAX_SHOWN, NodeStatus, ScrubReport};
use crate::store::{Store, StoreError};
use crate::{custody, http, index, scrub, tasks};

/// An operator's keys.
#[derive(Debug)]
pub struct NodeKeys {
    /// Signs batches; the hash of its public key is the operator's id.
    pub bls: Arc<dyn BatchSigner>,
    /// The TLS identity.
    pub network: NetworkKey,
    /// The one that is to take its place, if there is one: both are proven to whoever expects them.
    pub next_network: Option<NetworkKey>,
}

impl NodeKeys {
    fn network_keys(&self) -> Vec<NetworkKey> {
        let first = std::iter::once(&self.network);
        first.chain(&self.next_network).cloned().collect()
    }
}

/// Starts nodes.
#[derive(Debug)]
pub struct Node;

/// A node whose HTTP interface answers and whose database is being opened.
pub struct OpeningNode {
    shared: Arc<Shared>,
    supervisor: Supervisor,
    keys: NodeKeys,
    stake: Arc<dyn StakeSource>,
    challenges: Vec<Arc<dyn ChallengeSource>>,
    http: SocketAddr,
}

/// A node that serves.
#[derive(Debug)]
pub struct RunningNode {
    shared: Arc<Shared>,
    clock: Arc<Clock>,
    supervisor: Supervisor,
    store: Arc<dyn Store>,
    repairs: Arc<Repairs>,
    service: Arc<Service>,
    server: Server,
    http: SocketAddr,
}

impl Node {
    /// Starts a node on the database in `config.paths.data`, by this machine's clocks, and returns when it serves. It answers the
    /// custody challenges that the ledgers `challenges` list.
    ///
    /// # Errors
    /// The configuration is not valid, an address is taken, or the database is not the key's or cannot be opened.
    pub async fn start(
        config: NodeConfig,
        keys: NodeKeys,
        stake: Arc<dyn StakeSource>,
        challenges: Vec<Arc<dyn ChallengeSource>>,
        which: Database,
    ) -> Result<RunningNode, StartError> {
        let time = Arc::new(SystemTimeSource::default());
        let opening = Self::listen(config.clone(), keys, stake, time).await?;
        opening
            .answering(challenges)
            .open(move |owner| {
                Ok(Arc::new(database::open(&config, owner, which)?) as Arc<dyn Store>)
            })
            .await
    }

    /// The first half of [`start`](Self::start): HTTP answers, and says that the database is not open yet. `time` is what the
    /// node takes for the clocks of its machine.
    ///
    /// # Errors
    /// The configuration is not valid, or the HTTP address is taken.
    pub async fn listen(
        config: NodeConfig,
        keys: NodeKeys,
        stake: Arc<dyn StakeSource>,
        time: Arc<dyn TimeSource>,
    ) -> Result<OpeningNode, StartError> {
        config.validate()?;
        let id = operator_id(&keys.bls.public_key());
        let listeners = Listeners::bind(config.listen.http, config.listen.health)?;
        let http = listeners.http_addr();
        let network_keys = keys.network_keys().iter().map(NetworkKey::public).collect();
        let shared = Arc::new(Shared::new(config, id, network_keys, time));
        shared.facts.set(|facts| facts.http = Some(http));
        let supervisor = Supervisor::new(Arc::clone(&shared.health));
        let apps = http::apps(Arc::clone(&shared));
        listeners.serve(&supervisor, apps, Limits::OPERATOR);
        Ok(OpeningNode {
            shared,
            supervisor,
            keys,
            stake,
            challenges: Vec::new(),
            http,
        })
    }
}

impl std::fmt::Debug for OpeningNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpeningNode")
            .field("http", &self.http)
            .finish_non_exhaustive()
    }
}

impl OpeningNode {
    /// Where HTTP answers.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// With ledgers whose custody challenges are answered.
    #[must_use]
    pub fn answering(self, challenges: Vec<Arc<dyn ChallengeSource>>) -> Self {
        Self { challenges, ..self }
    }

    /// The second half of [`Node::start`]: opens the store with `open` on the blocking pool, then serves.
    ///
    /// # Errors
    /// The store cannot be opened, or the QUIC address is taken. HTTP has stopped then.
    pub async fn open<F>(self, open: F) -> Result<RunningNode, StartError>
    where
        F: FnOnce(OperatorId) -> Result<Arc<dyn Store>, DatabaseError> + Send + 'static,
    {
        let Self {
            shared,
            supervisor,
            keys,
            stake,
            challenges,
            http,
        } = self;
        let id = shared.operator_id;
        let started = async {
            let opening = Arc::clone(&shared);
            let (store, kept_ms, kept, equivocations) = blocking(move || {
                let store = open(id)?;
                let kept_ms = store.kept_time()?;
                let kept = kept_ms.zip(store.kept_allowance()?);
                let equivocations = count_equivocations(store.as_ref())?;
                index::begin(&opening, store.as_ref(), kept_ms)?;
                Ok::<_, DatabaseError>((store, kept_ms, kept, equivocations))
            })
            .await?;
            let _ = shared.store.set(Arc::clone(&store));
            shared.metrics.equivocations.set(equivocations);
            shared.note_equivocations();
            if store.has_moved() {
                shared
                    .health
                    .raise(health::MOVED, StoreError::Moved.to_string());
            }
            let clock = Arc::new(Clock::new(
                Arc::clone(&shared.time),
                Arc::clone(&stake),
                Arc::clone(&shared.health),
                kept_ms,
            ));
            let signer = Signer::new(Arc::clone(&keys.bls), Arc::clone(&store));
            let signer = Arc::new(signer.timed(shared.metrics.sign_seconds.clone()));
            let wanted = shared.config.load.threads;
            let threads = rayon::ThreadPoolBuilder::new()
                .num_threads(wanted)
                .thread_name(|index| format!("check-{index}"))
                .build()
                .map_err(|error| StartError::Threads {
                    wanted,
                    detail: error.to_string(),
                })?;
            let network_keys = keys.network_keys();
            let client = Client::new(&keys.network, NetLimits::default())?;
            let peers = Arc::new(Peers::new(client.clone(), Arc::clone(&stake), id));
            let _ = shared.peers.set(Arc::clone(&peers));
            let service = Arc::new(Service::new(
                Arc::clone(&shared),
                Arc::clone(&store),
                signer,
                Arc::clone(&stake),
                Arc::clone(&clock),
                threads,
                Identities {
                    keys: network_keys.clone(),
                    client: client.clone(),
                    peers,
                },
            ));
            if let Some((kept_ms, allowance)) = kept {
                service.restore_allowance(&allowance, kept_ms);
            }
            // Once before the first request: who is a disperser, how much room there is.
            let (looking, learning, source) = (
                Arc::clone(&shared),
                Arc::clone(&service),
                Arc::clone(&stake),
            );
            blocking(move || tasks::look(&looking, &learning, source.as_ref())).await;
            let server = Server::bind(
                shared.config.listen.quic,
                &network_keys,
                net_limits(&shared.config),
                Arc::new(QuicHandler(Arc::clone(&service))),
            )?;
            let _ = shared.callers.set(server.counter());
            Ok::<_, StartError>((store, clock, service, server, client, keys.bls))
        };
        let (store, clock, service, server, client, bls) = match started.await {
            Ok(parts) => parts,
            Err(error) => {
                supervisor
                    .shutdown(Duration::from_secs(shared.config.tasks.shutdown_secs))
                    .await;
                return Err(error);
            }
        };
        shared
            .facts
            .set(|facts| facts.quic = Some(server.local_addr()));

        let stop = || supervisor.stop_token();
        let (s, d) = (&shared, &store);
        supervisor.spawn(
            "expiry",
            OnEnd::Degrade,
            tasks::expiry(
                Arc::clone(s),
                Arc::clone(&service),
                Arc::clone(d),
                Arc::clone(&clock),
                stop(),
            ),
        );
        let repairs = Arc::new(Repairs::default());
        supervisor.spawn(
            "scrub",
            OnEnd::Degrade,
            scrub::run(Arc::clone(s), Arc::clone(d), Arc::clone(&repairs), stop()),
        );
        if !shared.config.store.drives.is_empty() {
            supervisor.spawn(
                "drives",
                OnEnd::Degrade,
                tasks::drives(Arc::clone(s), Arc::clone(d), stop()),
            );
        }
        let healer = Arc::new(Healer {
            shared: Arc::clone(s),
            store: Arc::clone(d),
            stake: Arc::clone(&stake),
            network: Arc::new(client),
            repairs: Arc::clone(&repairs),
            reindex: Notify::new(),
        });
        supervisor.spawn(
            "index",
            OnEnd::Degrade,
            index::run(Arc::clone(&healer), stop()),
        );
        supervisor.spawn(
            "repair",
            OnEnd::Degrade,
            repair::run(Arc::clone(&healer), stop()),
        );
        supervisor.spawn(
            "watch",
            OnEnd::Stop,
            tasks::watch(Arc::clone(s), Arc::clone(&service), stake, stop()),
        );
        supervisor.spawn(
            "signer",
            OnEnd::Stop,
            remote::watch(Arc::clone(s), bls, stop()),
        );
        supervisor.spawn(
            "probe",
            OnEnd::Stop,
            tasks::probe(Arc::clone(s), Arc::clone(d), stop()),
        );
        if !challenges.is_empty() {
            supervisor.spawn(
                "custody",
                OnEnd::Degrade,
                custody::follow(Arc::clone(s), Arc::clone(d), challenges, healer, stop()),
            );
        }
        shared.health.opened();
        tracing::info!(operator = %id, quic = %server.local_addr(), %http, kernel = ashlar_crypto::kernel_name(), "the node serves");
        Ok(RunningNode {
            shared,
            clock,
            supervisor,
            store,
            repairs,
            service,
            server,
            http,
        })
    }
}

fn count_equivocations(store: &dyn Store) -> Result<u64, StoreError> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store.equivocations(after.as_ref(), MAX_SHOWN)?;
        count += page.len() as u64;
        match page.last() {
            Some(last) => after = Some(last.at()),
            None => return Ok(count),
        }
    }
}

fn net_limits(config: &NodeConfig) -> NetLimits {
    let load = &config.load;
    NetLimits {
        max_bulk: limits::bulk_for_rows(config.accept.max_batch_rows),
        known_memory: load.store_memory(),
        stranger_memory: load.read_memory(),
        min_known_rate: load.min_bulk_rate,
        min_rate: load.min_rate,
        stranger_request_rate: load.reads_per_sec,
        request_timeout: Duration::from_secs(load.bulk_timeout_secs),
        shutdown_grace: Duration::from_secs(config.tasks.shutdown_secs),
        max_datagram: config.listen.max_datagram,
        ..NetLimits::default()
    }
}

impl RunningNode {
    /// Who this is.
    pub fn operator_id(&self) -> OperatorId {
        self.shared.operator_id
    }

    /// Where QUIC answers.
    pub fn quic_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Where HTTP answers.
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// As `GET /v1/health`.
    pub fn health(&self) -> HealthReport {
        self.shared.health.report()
    }

    /// As `GET /v1/status`.
    pub fn status(&self) -> NodeStatus {
        self.shared.status()
    }

    /// Scrubs everything now. `None` if the node is stopped meanwhile.
    pub async fn scrub(&self) -> Option<ScrubReport> {
        let (shared, store, repairs) = (&self.shared, &self.store, &self.repairs);
        scrub::once(shared, store, repairs, None, &self.supervisor.stop_token()).await
    }

    /// Waits until the node cannot go on, and says why. A process that runs a node selects on it and stops.
    pub async fn failed(&self) -> String {
        self.supervisor.failed().await
    }

    /// Lets requests under way end, stops the tasks, closes the database.
    pub async fn shutdown(self) {
        let Self {
            shared,
            clock,
            supervisor,
            store,
            service,
            server,
            ..
        } = self;
        shared.health.stopping();
        server.shutdown().await;
        drop(server);
        supervisor
            .shutdown(Duration::from_secs(shared.config.tasks.shutdown_secs))
            .await;
        // The last owner closes the database; closing waits for its background work.
        drop(shared);
        blocking(move || {
            // The stop that begins now is counted from here.
            let kept = store.keep_time(clock.look().accepted_ms);
            if let Err(error) = kept.and_then(|()| store.keep_allowance(&service.allowance())) {
                tracing::warn!(%error, "the time could not be kept");
            }
            drop((service, store));
        })
        .await;
    }
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "node", blame = Us)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP address cannot be had.
    #[error(transparent)]
    #[coded("http_address", blame = Caller)]
    Http(#[from] BindError),
    /// The QUIC address cannot be had.
    #[error("QUIC: {0}")]
    #[coded(transparent, blame = Us)]
    Net(#[from] NetError),
    /// The database is not this key's, or cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The operating system gives no threads.
    #[error("{wanted} threads for checks cannot be started: {detail}; see load.threads")]
    Threads {
        /// Threads asked for; 0 for one a core.
        wanted: usize,
        /// As the operating system says.
        detail: String,
    },
}
