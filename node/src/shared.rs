//! What the parts of a running node share.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::OperatorId;
use ashlar_service::metrics::gauge;

use crate::clock::TimeSource;
use crate::config::NodeConfig;
use crate::health::{self, Health, Status};
use crate::metrics::Metrics;
use crate::status::{Facts, NodeStatus};
use crate::store::{DriveState, DriveStatus, Store};

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
    pub(crate) time: Arc<dyn TimeSource>,
    pub(crate) started: Instant,
}

/// Name and version of this program, for people.
pub(crate) const SOFTWARE: &str = concat!("ashlar-node/", env!("CARGO_PKG_VERSION"));

/// Runs blocking work and hands its panic on to the task that waits, where the supervisor sees it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down, and with it this task.
            Err(_) => std::future::pending().await,
        },
    }
}

impl Shared {
    pub(crate) fn new(
        config: NodeConfig,
        operator_id: OperatorId,
        network_key: NetworkPublicKey,
        time: Arc<dyn TimeSource>,
    ) -> Self {
        Self {
            config,
            operator_id,
            network_key,
            health: Arc::new(Health::default()),
            metrics: Metrics::default(),
            facts: Facts::default(),
            store: OnceLock::new(),
            time,
            started: Instant::now(),
        }
    }

    /// The page of metrics, with the gauges that follow other state brought up to date.
    pub(crate) fn metrics_text(&self) -> String {
        if let Some(store) = self.store.get() {
            let totals = store.totals();
            self.metrics.batches.set(gauge(totals.batches));
            self.metrics.bytes.set(gauge(totals.bytes));
            self.metrics.windows.set(gauge(totals.windows));
            let drives = store.drives();
            let count = |state| drives.iter().filter(|drive| drive.state == state).count() as u64;
            let (in_sync, failed) = (count(DriveState::InSync), count(DriveState::Failed));
            self.metrics.drives_in_sync.set(gauge(in_sync));
            self.metrics.drives_failed.set(gauge(failed));
            let healed = drives.iter().map(|drive| drive.healed).sum();
            self.metrics.healed.set(gauge(healed));
        }
        if let Some(free) = self.facts.get().disk_free {
            self.metrics.disk_free.set(free);
        }
        self.metrics
            .ready
            .set(i64::from(self.health.report().status == Status::Ready));
        self.metrics.text()
    }

    /// Tells the operator of the evidence that is held, if any is.
    pub(crate) fn note_equivocations(&self) {
        let held = self.metrics.equivocations.get();
        if held > 0 {
            self.health.raise(
                health::EQUIVOCATION,
                format!("dispersers signed two batches under one number {held} times; ashlar node equivocations shows the evidence"),
            );
        }
    }

    /// The drives, once the database is open.
    pub(crate) fn drives(&self) -> Vec<DriveStatus> {
        self.store
            .get()
            .map(|store| store.drives())
            .unwrap_or_default()
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
            kernel: ashlar_crypto::kernel_status().active,
            uptime_secs: self.started.elapsed().as_secs(),
            head: facts.head,
            operator_index: facts.operator_index,
            store: self.store.get().map(|store| store.totals()),
            disk_free_bytes: facts.disk_free,
            drives: self.drives(),
            signed_batches: self.metrics.signed.get(),
            equivocations: self.metrics.equivocations.get(),
            scrub: facts.scrub,
            last_scrub: facts.last_scrub,
            repair: facts.repair,
            index: facts.index,
            last_expiry: facts.last_expiry,
            time_kept_ms: facts.time_kept_ms,
            custody: facts.custody,
            health: self.health.report(),
        }
    }
}
