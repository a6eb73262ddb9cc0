//! Background work: expiry, watching disk and operator table, trying a failed disk again.
//!
//! Blocking parts run on the blocking pool, in pieces that end soon, so that stopping the node does not wait for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_crypto::KernelStatus;
use ashlar_proto::{Block, TableAccess};
use ashlar_service::{Backoff, disk::free_bytes};
use ashlar_stake::{OperatorTable, StakeError, StakeSource};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::health;
use crate::service::Service;
use crate::shared::{Shared, blocking};
use crate::status::ExpiryReport;
use crate::store::{BackendError, DriveState, DriveStatus, Store, StoreError};

/// Waits, or returns false if the node stops.
pub(crate) async fn pause(stop: &CancellationToken, duration: Duration) -> bool {
    let slept = stop.run_until_cancelled(tokio::time::sleep(duration)).await;
    slept.is_some()
}

/// Keeps the time and the allowance, and drops windows that are over by it.
pub(crate) async fn expiry(
    shared: Arc<Shared>,
    service: Arc<Service>,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    stop: CancellationToken,
) {
    let interval = Duration::from_millis(shared.config.tasks.expiry_interval_ms);
    // Signed records are over when their window is: looked for at the start, and when a window was dropped.
    let mut prune = true;
    loop {
        let timing = clock.look();
        let dropping = Arc::clone(&store);
        let (kept, dropped) = blocking(move || {
            let kept = dropping.keep_time(timing.accepted_ms);
            // Also when the time could not be written: on a full disk, dropping what expired makes room. What is wrong
            // with the clock is on the node's health already.
            let dropped = timing.expiry.map(|ms| {
                let dropped = dropping.expire(ms / 1000).and_then(|windows| {
                    if prune || !windows.is_empty() {
                        let records = dropping.prune(ms / 1000)?;
                        tracing::info!(records, "signed records whose time is over were pruned");
                    }
                    Ok(windows)
                });
                (ms / 1000, dropped)
            });
            (kept, dropped)
        })
        .await;
        let failed = |error: StoreError| {
            shared
                .health
                .raise(health::STORAGE, format!("expiry: {error}"));
        };
        match kept {
            Ok(()) => shared
                .facts
                .set(|facts| facts.time_kept_ms = Some(timing.accepted_ms)),
            Err(error) => failed(error),
        }
        prune = !matches!(dropped, Ok((_, Ok(_))));
        match dropped {
            Ok((at, Ok(windows))) if !windows.is_empty() => {
                tracing::info!(?windows, "expired");
                shared.metrics.windows_dropped.inc_by(windows.len() as u64);
                let windows = windows.into_iter().map(|w| w.0).collect();
                shared
                    .facts
                    .set(|facts| facts.last_expiry = Some(ExpiryReport { at, windows }));
            }
            Ok((_, Ok(_))) | Err(_) => {}
            Ok((_, Err(error))) => failed(error),
        }
        // Behind it: what has expired is not held any more.
        let (keeping, service) = (Arc::clone(&store), Arc::clone(&service));
        if let Err(error) = blocking(move || keeping.keep_allowance(&service.allowance())).await {
            failed(error);
        }
        if !pause(&stop, interval).await {
            return;
        }
    }
}

/// Looks at the disk, at the operator table and at the clocks again and again.
pub(crate) async fn watch(
    shared: Arc<Shared>,
    service: Arc<Service>,
    stake: Arc<dyn StakeSource>,
    stop: CancellationToken,
) {
    let interval = Duration::from_secs(shared.config.tasks.watch_interval_secs);
    while pause(&stop, interval).await {
        let (shared, service, stake) = (
            Arc::clone(&shared),
            Arc::clone(&service),
            Arc::clone(&stake),
        );
        blocking(move || look(&shared, &service, stake.as_ref())).await;
    }
}

/// Looks at the disk, at the operator table, at the clocks and at the kernel, and says what is wrong with them. Blocks.
pub(crate) fn look(shared: &Shared, service: &Service, stake: &dyn StakeSource) {
    watch_kernel(shared, ashlar_crypto::kernel_status());
    watch_disk(shared);
    if let Some(free) = shared.facts.get().disk_free {
        service.share_disk(free);
    }
    watch_table(shared, service, stake);
    service.watch_clock();
}

/// A kernel that computes wrongly is found out at the start or at work; from then on the portable one serves.
pub(crate) fn watch_kernel(shared: &Shared, status: KernelStatus) {
    let disagrees = status.refused.is_some();
    shared.metrics.kernel_disagrees.set(disagrees.into());
    if let Some(disagreement) = status.refused {
        shared
            .health
            .raise(health::KERNEL, disagreement.to_string());
    }
}

fn watch_disk(shared: &Shared) {
    let min = shared.config.store.min_free_bytes;
    let drives = shared.drives();
    let mut least = None;
    let folders = shared.config.data_folders().iter();
    for (n, (folder, disk)) in folders.zip(&shared.disks).enumerate() {
        // A drive that failed has a cause of its own.
        if drives
            .get(n)
            .is_some_and(|drive| drive.state == DriveState::Failed)
        {
            continue;
        }
        let (path, looked_at) = (folder.display(), folder.clone());
        match disk.run(move || free_bytes(&looked_at)) {
            Ok(Ok(free)) => least = Some(least.map_or(free, |least: u64| least.min(free))),
            Ok(Err(error)) => {
                shared.health.raise(
                    health::DISK_SPACE,
                    format!("free space of {path} is unknown: {error}"),
                );
                return;
            }
            // One of several is found by whoever looks after them.
            Err(_) if !drives.is_empty() => {}
            // The probe finds out when it is over.
            Err(error) => {
                shared
                    .health
                    .raise(health::STORAGE, format!("{path}: {error}"));
                return;
            }
        }
    }
    shared.facts.set(|facts| facts.disk_free = least);
    let why = least.filter(|free| *free < min).map(|free| {
        format!("{free} bytes free, store.min_free_bytes is {min}: batches are refused")
    });
    shared.health.set(health::DISK_SPACE, why);
}

/// Says which drives of several are not in sync.
pub(crate) fn watch_drives(shared: &Shared, drives: &[DriveStatus]) {
    let out: Vec<String> = (0..)
        .zip(drives)
        .filter(|(_, drive)| drive.state != DriveState::InSync)
        .map(|(n, drive): (usize, _)| match &drive.cause {
            Some(cause) => format!("drive {n} ({}) failed: {cause}", drive.folder),
            None => format!("drive {n} ({}) is being rebuilt", drive.folder),
        })
        .collect();
    let why = (!out.is_empty()).then(|| out.join("; "));
    shared.health.set(health::DRIVES, why);
}

/// Looks after the drives again and again, and rebuilds what was replaced, as fast as configured.
pub(crate) async fn drives(shared: Arc<Shared>, store: Arc<dyn Store>, stop: CancellationToken) {
    let interval = Duration::from_secs(shared.config.tasks.watch_interval_secs);
    let rate = shared.config.tasks.rebuild_bytes_per_sec;
    loop {
        let tending = Arc::clone(&store);
        let started = Instant::now();
        let tended = blocking(move || tending.tend_drives()).await;
        watch_drives(&shared, &store.drives());
        let wait = match tended {
            Ok(None) => interval,
            Ok(Some(bytes)) => {
                shared.metrics.rebuilt_bytes.inc_by(bytes);
                let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
                due.saturating_sub(started.elapsed())
            }
            Err(error) => {
                tracing::warn!(%error, "the drives could not be looked after");
                if matches!(
                    &error,
                    StoreError::Backend {
                        source: BackendError::TooFewDrives { .. },
                        ..
                    }
                ) {
                    // The probe tries until there are enough of them again.
                    shared.health.raise(health::STORAGE, error.to_string());
                }
                interval
            }
        };
        if !pause(&stop, wait).await {
            return;
        }
    }
}

fn watch_table(shared: &Shared, service: &Service, stake: &dyn StakeSource) {
    let look = || -> Result<Arc<OperatorTable>, StakeError> {
        let table = stake.newest()?;
        service.learn(Arc::clone(&table));
        stake.health()?;
        Ok(table)
    };
    match look() {
        Ok(table) => {
            let (id, head) = (shared.operator_id, table.reference_block());
            let (index, head_time_ms) = (table.find(&id), stake.head_time_ms());
            shared.facts.set(|facts| {
                (facts.head, facts.head_time_ms) = (Some(head), head_time_ms);
                facts.operator_index = index;
                facts.stakes = index.map_or_else(Vec::new, |index| table.shares(index));
            });
            shared.health.clear(health::OPERATOR_TABLE);
            let why = match index.and_then(|i| table.operator(i)) {
                None => Some(format!(
                    "operator {id} is not in the table of block {head}: it gets no batches"
                )),
                Some(entry) if !shared.network_keys.contains(&entry.network_key) => Some(format!(
                    "operator {id} has another network key in the table of block {head}: nobody can connect"
                )),
                Some(_) => None,
            };
            shared.health.set(health::NOT_REGISTERED, why);
            let entry = index.and_then(|i| table.operator(i));
            let named = entry.map(|entry| entry.network_key);
            let is_next = shared
                .network_keys
                .iter()
                .skip(1)
                .any(|key| Some(*key) == named);
            let next = is_next.then_some(
                "the operator table names the key of paths.next_network_key: put it in the place of paths.network_key when what was signed before the change has expired, not earlier; until then readers with older certificates expect the old key",
            );
            shared.health.set(health::NEXT_NETWORK_KEY, next);
            watch_versions(shared, table.versions(), head);
        }
        // Not cleared while the node runs: the source says it until a person has looked at the proof.
        Err(error @ StakeError::Contradiction(_)) => {
            shared
                .health
                .raise(health::CONTRADICTION, error.to_string());
        }
        Err(error) => shared
            .health
            .raise(health::OPERATOR_TABLE, error.to_string()),
    }
}

/// Says which protocol versions the service uses and this node refuses.
fn watch_versions(shared: &Shared, used: &[u16], head: Block) {
    let refused = shared.config.accept.refused_of(used);
    let why = refused.map(|refused| format!("at block {head} {refused}: {}", refused.remedy()));
    shared.health.set(health::VERSION, why);
}

/// After a failed write: tries with growing pauses until writing works again.
pub(crate) async fn probe(shared: Arc<Shared>, store: Arc<dyn Store>, stop: CancellationToken) {
    let backoff = Backoff {
        base: Duration::from_millis(shared.config.tasks.probe_min_ms),
        max: Duration::from_millis(shared.config.tasks.probe_max_ms),
    };
    let mut failures = 0;
    loop {
        if shared.health.raised(health::STORAGE).is_none() {
            failures = 0;
            tokio::select! {
                () = stop.cancelled() => return,
                () = shared.health.wait_raised() => continue,
            }
        }
        if !pause(&stop, backoff.jittered(failures)).await {
            return;
        }
        failures = failures.saturating_add(1);
        let trying = Arc::clone(&store);
        match blocking(move || trying.probe()).await {
            Ok(()) => shared.health.clear(health::STORAGE),
            Err(error) => {
                tracing::warn!(%error, "writing still fails");
                shared.health.raise(health::STORAGE, error.to_string());
            }
        }
    }
}

#[cfg(test)]
mod tests;
