//! What the parts of a running node share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_net::ConnectionCounter;
use ashlar_proto::OperatorId;
use ashlar_proto::times::RESUME;
use ashlar_service::metrics::gauge;
use tokio::sync::Notify;

use crate::clock::TimeSource;
use crate::config::NodeConfig;
use crate::health::{self, Health, Status};
use crate::metrics::{ConnectionLabel, Metrics, WindowLabel};
use crate::reach::Peers;
use crate::refusals::Refusals;
use crate::status::{Facts, NodeStatus, WindowStatus};
use crate::store::{DriveState, DriveStatus, Lane, Store};

/// One of it for each node.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: NodeConfig,
    pub(crate) operator_id: OperatorId,
    /// At least one: see [`NodeKeys`](crate::NodeKeys).
    pub(crate) network_keys: Vec<NetworkPublicKey>,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Metrics,
    pub(crate) facts: Facts,
    pub(crate) refusals: Refusals,
    pub(crate) store: OnceLock<Arc<dyn Store>>,
    pub(crate) peers: OnceLock<Arc<Peers>>,
    pub(crate) callers: OnceLock<ConnectionCounter>,
    /// Held by whoever brings metrics up to date: two would count what is new twice.
    counting: Mutex<()>,
    /// For looks at the folders of the data.
    pub(crate) disks: Vec<Lane>,
    /// A signature was not to be had.
    pub(crate) signer_failed: Notify,
    pub(crate) silence: Silence,
    pub(crate) time: Arc<dyn TimeSource>,
    pub(crate) started: Instant,
}

/// Dispersers repeat a batch for [`RESUME`]: who is away for longer misses some for good.
pub(crate) fn misses_batches(from_ms: u64, to_ms: u64) -> bool {
    Duration::from_millis(to_ms.saturating_sub(from_ms)) > RESUME
}

/// How long nobody has sent batches.
#[derive(Debug)]
pub(crate) struct Silence {
    /// When the last one was stored, or the node started.
    heard_ms: AtomicU64,
    /// Since when nobody did, the last time that it was for too long, until [`Silence::taken`].
    since_ms: AtomicU64,
    pub(crate) ended: Notify,
}

impl Silence {
    const NONE: u64 = u64::MAX;

    fn from(now_ms: u64) -> Self {
        Self {
            heard_ms: AtomicU64::new(now_ms),
            since_ms: AtomicU64::new(Self::NONE),
            ended: Notify::new(),
        }
    }

    /// A batch was stored. Whoever heard of none for long may have been cut off.
    pub(crate) fn end(&self, now_ms: u64) {
        let before = self.heard_ms.swap(now_ms, Ordering::Relaxed);
        if misses_batches(before, now_ms) {
            self.since_ms.fetch_min(before, Ordering::Relaxed);
            self.ended.notify_one();
        }
    }

    /// Since when there was one that nobody has asked about yet.
    pub(crate) fn taken(&self) -> Option<u64> {
        let since = self.since_ms.swap(Self::NONE, Ordering::Relaxed);
        (since != Self::NONE).then_some(since)
    }
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
        network_keys: Vec<NetworkPublicKey>,
        time: Arc<dyn TimeSource>,
    ) -> Self {
        let patience = Duration::from_secs(config.store.drive_timeout_secs);
        let folders = config.data_folders();
        Self {
            disks: folders.iter().map(|_| Lane::new(patience)).collect(),
            config,
            operator_id,
            network_keys,
            health: Arc::new(Health::default()),
            metrics: Metrics::default(),
            facts: Facts::default(),
            refusals: Refusals::default(),
            store: OnceLock::new(),
            peers: OnceLock::new(),
            callers: OnceLock::new(),
            counting: Mutex::default(),
            signer_failed: Notify::new(),
            silence: Silence::from(time.wall_ms()),
            time,
            started: Instant::now(),
        }
    }

    /// The page of metrics, with the gauges that follow other state brought up to date.
    pub(crate) fn metrics_text(&self) -> String {
        let metrics = &self.metrics;
        let _alone = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = self.store.get() {
            let totals = store.totals();
            metrics.batches.set(gauge(totals.batches));
            metrics.bytes.set(gauge(totals.bytes));
            metrics.windows.set(gauge(totals.windows));
            metrics.window_batches.clear();
            metrics.window_bytes.clear();
            for (window, held) in store.totals_by_window() {
                let label = WindowLabel { window: window.0 };
                let batches = metrics.window_batches.get_or_create(&label);
                batches.set(gauge(held.batches));
                let bytes = metrics.window_bytes.get_or_create(&label);
                bytes.set(gauge(held.bytes));
            }
            let syncs = store.syncs();
            let more = syncs.count.saturating_sub(metrics.syncs.get());
            metrics.syncs.inc_by(more);
            let seconds = syncs.micros as f64 / 1e6;
            let more = seconds - metrics.sync_seconds.get();
            metrics.sync_seconds.inc_by(more.max(0.0));
            let drives = store.drives();
            let count = |state| drives.iter().filter(|drive| drive.state == state).count() as u64;
            let (in_sync, failed) = (count(DriveState::InSync), count(DriveState::Failed));
            metrics.drives_in_sync.set(gauge(in_sync));
            metrics.drives_failed.set(gauge(failed));
            let healed = drives.iter().map(|drive| drive.healed).sum();
            metrics.healed.set(gauge(healed));
        }
        let facts = self.facts.get();
        if let Some(head) = facts.head {
            metrics.head.set(gauge(head.0));
        }
        if let Some(free) = facts.disk_free {
            metrics.disk_free.set(free);
        }
        if let Some(callers) = self.callers.get() {
            let counts = callers.count();
            for (kind, count) in [
                ("known", counts.known),
                ("stranger", counts.strangers),
                ("half_open", counts.half_open),
            ] {
                let connections = metrics.connections.get_or_create(&ConnectionLabel { kind });
                connections.set(gauge(count as u64));
            }
        }
        let ready = self.health.report().status == Status::Ready;
        metrics.ready.set(ready.into());
        metrics.signing.set(self.health.ready().ready.into());
        metrics.text()
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

    fn windows(&self) -> Vec<WindowStatus> {
        let held = self.store.get().map(|store| store.totals_by_window());
        let each = held.into_iter().flatten();
        each.map(|(window, held)| WindowStatus {
            ends_at: window.0,
            batches: held.batches,
            bytes: held.bytes,
        })
        .collect()
    }

    pub(crate) fn status(&self) -> NodeStatus {
        let facts = self.facts.get();
        NodeStatus {
            software: SOFTWARE.into(),
            operator_id: self.operator_id,
            network_keys: self.network_keys.clone(),
            quic: facts.quic,
            http: facts.http,
            versions: self.config.accept.versions.clone(),
            kernel: ashlar_crypto::kernel_status().active,
            uptime_secs: self.started.elapsed().as_secs(),
            head: facts.head,
            head_time_ms: facts.head_time_ms,
            operator_index: facts.operator_index,
            stakes: facts.stakes,
            store: self.store.get().map(|store| store.totals()),
            windows: self.windows(),
            disk_free_bytes: facts.disk_free,
            drives: self.drives(),
            signed_batches: self.metrics.signed.get(),
            stored_bytes: self.metrics.stored_bytes.get(),
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
