//! What the parts of a running node share.

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::OperatorId;

use crate::config::NodeConfig;
use crate::health::{Health, Status};
use crate::metrics::Metrics;
use crate::status::{Facts, NodeStatus};
use crate::store::Store;

/// One of it for each node.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) operator_id: OperatorId,
    pub(crate) network_key: NetworkPublicKey,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    pub(crate) facts: Facts,
    pub(crate) store: OnceLock<Arc<dyn Store>>,
    pub(crate) started: Instant,
}

/// Name and version of this program, for people.
pub(crate) const SOFTWARE: &str = concat!("ashlar-node/", env!("CARGO_PKG_VERSION"));

impl Shared {
    pub(crate) fn new(
        config: NodeConfig,
        operator_id: OperatorId,
        network_key: NetworkPublicKey,
    ) -> Self {
        Self {
            config,
            operator_id,
            network_key,
            health: Arc::new(Health::default()),
            metrics: Metrics::default(),
            facts: Facts::default(),
            store: OnceLock::new(),
            started: Instant::now(),
        }
    }

    /// Gauges that follow other state, brought up to date.
    pub(crate) fn refresh_metrics(&self) {
        let totals = self
            .store
            .get()
            .map(|store| store.totals())
            .unwrap_or_default();
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.batches.set(gauge(totals.batches));
        self.metrics.bytes.set(gauge(totals.bytes));
        self.metrics.windows.set(gauge(totals.windows));
        self.metrics
            .disk_free
            .set(self.facts.get().disk_free.unwrap_or(0));
        self.metrics
            .ready
            .set(i64::from(self.health.report().status == Status::Ready));
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let facts = self.facts.get();
        NodeStatus {
            software: SOFTWARE.into(),
            operator_id: self.operator_id,
            network_key: self.network_key.to_string(),
            quic: facts.quic,
            http: facts.http,
            versions: self.config.accept.versions.clone(),
            uptime_secs: self.started.elapsed().as_secs(),
            head: facts.head,
            operator_index: facts.operator_index,
            store: self
                .store
                .get()
                .map(|store| store.totals())
                .unwrap_or_default(),
            disk_free_bytes: facts.disk_free,
            signed_batches: self.metrics.signed.get(),
            last_scrub: facts.last_scrub,
            last_expiry: facts.last_expiry,
            health: self.health.report(),
        }
    }
}

/// Milliseconds since 1970; 0 if the clock stands before that.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}
