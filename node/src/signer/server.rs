//! A remote signer: a process that holds an operator's BLS key and signs what its nodes have stored.
//!
//! It believes its nodes nothing that could cost the operator's stake. It takes the digest of the header itself, signs for its
//! own services only, and keeps, durably and before it signs, which digest belongs to which number of a disperser; another one is
//! refused, however often the node's disk was restored from a backup. What it cannot know is whether a node really holds the data.
//!
//! The records are the node's own kind ([`SignedRecord`]) in a database of the signer's own, which a marker beside the keystore
//! names. Batches of a disperser come in any order, several at a time, so that a floor alone would refuse honest ones. So each
//! record stays for twice as long as its batch could still be offered; then a [floor](crate::store::Floor) takes its place, and
//! everything at or below it is refused. A batch that is younger than that has, from an honest disperser, a number above the floor.

mod config;
mod metrics;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_crypto::Coded;
use ashlar_crypto::bls::{SecretKey, SignatureBytes};
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_net::{Admission, BulkReader, Handler, NetError, NetLimits, Reply, Server};
use ashlar_proto::wire::{ErrorReply, Pong, Request, Response, SignBatch, Stored};
use ashlar_proto::{Domain, operator_id};
use ashlar_service::api::Daemon;
use ashlar_service::disk::free_bytes;
use ashlar_service::listener::{BindError, Limits, Listeners};
use ashlar_service::metrics::Code;
use ashlar_service::{Health, OnEnd, Supervisor};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use config::SignerConfig;
use metrics::Metrics;

use crate::clock::{SystemTimeSource, TimeSource};
use crate::config::ConfigError;
use crate::database::{self, Database, DatabaseError};
use crate::health::{self, Status};
use crate::shared::blocking;
use crate::store::{
    DiskStore, SequenceId, SignedHeader, SignedRecord, Store, StoreError, WindowId, retention_end,
};
use crate::tasks::pause;

/// Name and version of this program, for people.
const SOFTWARE: &str = concat!("ashlar-signer/", env!("CARGO_PKG_VERSION"));
/// Between two looks at the disk, and for records whose time is over.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// The longest that an answer over HTTP takes.
const HTTP_DEADLINE: Duration = Duration::from_secs(10);
/// Time given to running requests when it stops.
const GRACE: Duration = Duration::from_secs(5);
/// An envelope is below 1 KiB.
const MAX_ENVELOPE: usize = 4 << 10;

/// A remote signer's secret keys.
#[derive(Debug)]
pub struct SignerKeys {
    /// Signs batches.
    pub bls: SecretKey,
    /// The TLS identity, which its nodes pin.
    pub network: NetworkKey,
}

/// A remote signer that serves.
#[derive(Debug)]
pub struct RunningSigner {
    server: Server,
    http: Option<SocketAddr>,
    health: Arc<Health>,
    supervisor: Supervisor,
}

impl RunningSigner {
    /// Opens the database and answers.
    ///
    /// # Errors
    /// The configuration is not valid, the address is taken, or the database is not the key's or cannot be opened.
    pub async fn start(
        config: SignerConfig,
        keys: SignerKeys,
        which: Database,
    ) -> Result<Self, SignerStartError> {
        config.validate()?;
        let owner = operator_id(&keys.bls.public_key().to_bytes());
        let health = Arc::new(Health::default());
        let metrics = Arc::new(Metrics::default());
        let supervisor = Supervisor::new(Arc::clone(&health));
        let (at, data) = (config.database(), config.paths.data.clone());
        let store = blocking(move || database::open(&at, owner, which)).await?;
        // Behind the database: of two signers in one folder the second is told so, and not that an address is taken.
        let http = serve_http(&config, &supervisor, &health, &metrics)?;
        let service = Arc::new(SigningService {
            rules: Rules::new(&config),
            key: keys.bls,
            store,
            health: Arc::clone(&health),
            metrics,
        });
        let limits = NetLimits {
            max_envelope: MAX_ENVELOPE,
            max_stranger_envelope: MAX_ENVELOPE,
            max_bulk: 0,
            shutdown_grace: GRACE,
            ..NetLimits::default()
        };
        let handler = Arc::new(SignerHandler(Arc::clone(&service)));
        let server = Server::bind(config.listen.quic, &[keys.network], limits, handler)?;
        health.opened();
        let stop = supervisor.stop_token();
        supervisor.spawn("look", OnEnd::Stop, look(service, data, stop));
        tracing::info!(operator = %owner, quic = %server.local_addr(), "the signer answers");
        Ok(Self {
            server,
            http,
            health,
            supervisor,
        })
    }

    /// Where health and metrics answer, if they do.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where it answers.
    pub fn quic_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// Waits until it cannot go on, and says why.
    pub async fn failed(&self) -> String {
        self.supervisor.failed().await
    }

    /// Lets requests under way end, and closes the database.
    pub async fn shutdown(self) {
        self.health.stopping();
        self.server.shutdown().await;
        self.supervisor.shutdown(GRACE).await;
    }
}

/// Health and metrics, for whoever looks after the signer.
fn serve_http(
    config: &SignerConfig,
    supervisor: &Supervisor,
    health: &Arc<Health>,
    metrics: &Arc<Metrics>,
) -> Result<Option<SocketAddr>, BindError> {
    let Some(address) = config.listen.http.0 else {
        return Ok(None);
    };
    let listeners = Listeners::bind(address, Default::default())?;
    let address = listeners.http_addr();
    let (of, counted) = (Arc::clone(health), Arc::clone(metrics));
    let daemon = Daemon {
        name: "signer",
        health: Arc::clone(health),
        metrics: Arc::new(move || {
            let well = of.report().status == Status::Ready;
            counted.ready.set(well.into());
            counted.signing.set(of.ready().ready.into());
            counted.text()
        }),
        refused: metrics.refused.clone(),
        deadline: HTTP_DEADLINE,
    };
    listeners.serve(supervisor, daemon.health_apps(), Limits::OPERATOR);
    Ok(Some(address))
}

/// Why a signer does not start.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "signer", blame = Us)]
pub enum SignerStartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be had.
    #[error("QUIC: {0}")]
    #[coded(transparent, blame = Us)]
    Net(#[from] NetError),
    /// The address for health and metrics cannot be had.
    #[error(transparent)]
    Http(#[from] BindError),
    /// The database is not this key's, or cannot be opened.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Why a signer does not sign.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "signer", blame = Caller)]
pub enum Refusal {
    /// Not one of its nodes.
    #[error("{key} is none of this signer's nodes; see accept.nodes")]
    Stranger {
        /// Who asks.
        key: NetworkPublicKey,
    },
    /// A request that is for a node.
    #[error("this is a signer: it signs batches, and answers no {got}")]
    OtherRequest {
        /// Kind of the request.
        got: &'static str,
    },
    /// A batch of a service that is not the operator's.
    #[error(
        "the batch is of the domain {got}, this signer signs for others only; see accept.domains"
    )]
    OtherDomain {
        /// Domain of the batch.
        got: Domain,
    },
    /// A batch that is too old, or too far in the future, by the signer's own clock.
    #[error(
        "the batch was made at {created_at_ms} ms, it is {now_ms} here: at most {max_age_ms} ms old and {max_skew_ms} ms in the future are signed"
    )]
    Time {
        /// When it was made, by its header.
        created_at_ms: u64,
        /// The signer's clock.
        now_ms: u64,
        /// Oldest age.
        max_age_ms: u64,
        /// Furthest future.
        max_skew_ms: u64,
    },
    /// Its number is taken, or the database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is signed.
#[derive(Debug)]
struct Rules {
    nodes: Vec<NetworkPublicKey>,
    domains: Vec<Domain>,
    max_age_ms: u64,
    max_skew_ms: u64,
}

impl Rules {
    fn new(config: &SignerConfig) -> Self {
        let accept = &config.accept;
        Self {
            nodes: accept.nodes.clone(),
            domains: accept.domains.clone(),
            max_age_ms: accept.max_age_secs.saturating_mul(1000),
            max_skew_ms: accept.max_clock_skew_secs.saturating_mul(1000),
        }
    }

    fn check_time(&self, created_at_ms: u64, now_ms: u64) -> Result<(), Refusal> {
        let oldest = now_ms.saturating_sub(self.max_age_ms);
        let newest = now_ms.saturating_add(self.max_skew_ms);
        if (oldest..=newest).contains(&created_at_ms) {
            return Ok(());
        }
        Err(Refusal::Time {
            created_at_ms,
            now_ms,
            max_age_ms: self.max_age_ms,
            max_skew_ms: self.max_skew_ms,
        })
    }

    /// The record of a batch, which stays for twice as long as the batch can be offered.
    fn record(&self, batch: SignedHeader) -> SignedRecord {
        let kept_ms = self.max_age_ms.saturating_add(self.max_skew_ms);
        let until = retention_end(&batch.header, kept_ms.saturating_mul(2).div_ceil(1000));
        // No data lies in any window here.
        SignedRecord::new(batch, WindowId(until), until)
    }
}

/// Where batches are signed.
#[derive(Debug)]
struct SigningService {
    rules: Rules,
    key: SecretKey,
    store: DiskStore,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

impl SigningService {
    /// [`Self::promise_and_sign`], measured. Health says if the disk fails.
    fn sign(&self, request: SignBatch, now_ms: u64) -> Result<SignatureBytes, Refusal> {
        let started = Instant::now();
        let signed = self.promise_and_sign(request, now_ms);
        match &signed {
            Ok(_) => self
                .metrics
                .sign_seconds
                .observe(started.elapsed().as_secs_f64()),
            Err(Refusal::Store(error @ StoreError::Backend { .. })) => {
                // Nothing can be written until the store was put right.
                self.health.raise(health::STORAGE, error.to_string());
            }
            Err(_) => {}
        }
        signed
    }

    /// Records, syncs, signs. Blocks.
    fn promise_and_sign(&self, request: SignBatch, now_ms: u64) -> Result<SignatureBytes, Refusal> {
        let header = &request.batch_header;
        if !self.rules.domains.contains(&header.domain) {
            return Err(Refusal::OtherDomain { got: header.domain });
        }
        // What was signed once is given again at any time.
        let known = self.store.signed(&SequenceId::of(header))?;
        if known.is_none() {
            self.rules.check_time(header.created_at_ms, now_ms)?;
        }
        let record = self.rules.record(SignedHeader {
            header: request.batch_header,
            signature: request.disperser_signature,
        });
        let record = self.store.promise(record)?;
        if let Some(signature) = record.signature {
            self.metrics.repeated.inc();
            return Ok(signature);
        }
        let signature = self.key.sign(&record.digest.0).to_bytes();
        self.metrics.signed.inc();
        let signed = SignedRecord {
            signature: Some(signature),
            ..record
        };
        if let Err(error) = self.store.record_signature(&signed) {
            // The promise is on disk; the signature can be made again.
            tracing::warn!(%error, digest = %signed.digest, "could not note a signature");
        }
        Ok(signature)
    }

    /// Whether it would sign. A disk that failed is tried again. Blocks.
    fn is_ready(&self) -> Result<(), StoreError> {
        if self.store.has_moved() {
            let moved = StoreError::Moved;
            self.health.raise(health::MOVED, moved.to_string());
            return Err(moved);
        }
        if self.health.raised(health::STORAGE).is_some() {
            self.store.probe()?;
            self.health.clear(health::STORAGE);
        }
        Ok(())
    }
}

/// The service as the network sees it.
struct SignerHandler(Arc<SigningService>);

impl SignerHandler {
    async fn answer(&self, peer: NetworkPublicKey, request: Request) -> Result<Response, Refusal> {
        if !self.0.rules.nodes.contains(&peer) {
            return Err(Refusal::Stranger { key: peer });
        }
        let service = Arc::clone(&self.0);
        match request {
            Request::SignBatch(batch) => {
                let signature = blocking(move || service.sign(batch, now_ms())).await?;
                Ok(Response::Stored(Stored { signature }))
            }
            Request::Ping(ping) => {
                blocking(move || service.is_ready()).await?;
                Ok(Response::Pong(Pong {
                    nonce: ping.nonce,
                    software: SOFTWARE.into(),
                    versions: Vec::new(),
                }))
            }
            other => Err(Refusal::OtherRequest { got: other.kind() }),
        }
    }
}

impl Handler for SignerHandler {
    fn handle(
        &self,
        peer: NetworkPublicKey,
        request: Request,
        _bulk: BulkReader,
    ) -> BoxFuture<'_, Reply> {
        async move {
            match self.answer(peer, request).await {
                Ok(response) => response.into(),
                Err(error) => {
                    let label = Code::from(error.code());
                    self.0.metrics.refused.get_or_create(&label).inc();
                    tracing::warn!(code = error.code(), %peer, "refused: {error}");
                    Reply::refuse(&error)
                }
            }
        }
        .boxed()
    }

    fn refused(&self, error: &ErrorReply) {
        let label = Code::from(error.code.as_str());
        self.0.metrics.refused.get_or_create(&label).inc();
    }

    fn admission(&self, peer: &NetworkPublicKey) -> Admission {
        if self.0.rules.nodes.contains(peer) {
            Admission::Known
        } else {
            Admission::Stranger
        }
    }
}

/// This machine's clock. Before 1970 nothing is young enough to be signed.
fn now_ms() -> u64 {
    SystemTimeSource::default().wall_ms()
}

/// Tries a disk that failed again, looks how full it is, and puts floors in the place of records whose time is over.
async fn look(service: Arc<SigningService>, data: PathBuf, stop: CancellationToken) {
    loop {
        let (service, data) = (Arc::clone(&service), data.clone());
        let looked = blocking(move || {
            if let Ok(free) = free_bytes(&data) {
                service.metrics.disk_free.set(free);
            }
            service.is_ready()?;
            let pruned = service.store.prune(now_ms() / 1000)?;
            service.metrics.pruned.inc_by(pruned);
            Ok::<_, StoreError>(())
        });
        if let Err(error) = looked.await {
            tracing::warn!(%error, "the database could not be looked after");
        }
        if !pause(&stop, LOOK_INTERVAL).await {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
