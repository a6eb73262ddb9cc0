//! Background work: expiry, scrub, watching disk and operator table, trying a failed disk again.
//!
//! Blocking parts run on the blocking pool, in pieces that end soon, so that stopping the node does not wait for them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_crypto::KernelStatus;
use ashlar_proto::{BatchDigest, Block, OperatorIndex, TableAccess, commitments_root};
use ashlar_service::Backoff;
use ashlar_stake::{StakeError, StakeSource};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::health;
use crate::service::Service;
use crate::shared::{Shared, blocking};
use crate::status::{ExpiryReport, ScrubReport};
use crate::store::{Store, StoreError};

/// Corrupt things that a scrub names; more are only counted.
const EXAMPLES: usize = 16;
/// Batches listed at a time.
const PAGE: usize = 256;
/// The first scrub comes this long after the start, even if the interval is longer: a node that restarts daily would
/// never scrub.
const FIRST_SCRUB: Duration = Duration::from_secs(600);

/// Waits, or returns false if the node stops.
async fn pause(stop: &CancellationToken, duration: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(duration) => true,
    }
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
    loop {
        let timing = clock.look();
        let dropping = Arc::clone(&store);
        let (kept, dropped) = blocking(move || {
            let kept = dropping.keep_time(timing.accepted_ms);
            // Also when the time could not be written: on a full disk, dropping what expired makes room. What is wrong
            // with the clock is on the node's health already.
            let dropped = timing
                .expiry
                .map(|ms| (ms / 1000, dropping.expire(ms / 1000)));
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
        if let Err(error) = blocking(move || keeping.keep_allowance(service.allowance())).await {
            failed(error);
        }
        if !pause(&stop, interval).await {
            return;
        }
    }
}

/// Reads everything again and again, slowly.
pub(crate) async fn scrub(shared: Arc<Shared>, store: Arc<dyn Store>, stop: CancellationToken) {
    let interval = Duration::from_secs(shared.config.tasks.scrub_interval_secs);
    let mut wait = interval.min(FIRST_SCRUB);
    loop {
        if !pause(&stop, wait).await {
            return;
        }
        wait = interval;
        if scrub_once(&shared, &store, &stop).await.is_none() {
            return;
        }
    }
}

/// One pass over everything. `None` if the node stopped before the end.
pub(crate) async fn scrub_once(
    shared: &Shared,
    store: &Arc<dyn Store>,
    stop: &CancellationToken,
) -> Option<ScrubReport> {
    let started = Instant::now();
    let rate = shared.config.tasks.scrub_bytes_per_sec;
    let mut report = ScrubReport::default();
    let listing = Arc::clone(store);
    let windows = match blocking(move || listing.windows()).await {
        Ok(windows) => windows,
        Err(error) => {
            report.add(format!("the list of windows: {error}"));
            Vec::new()
        }
    };
    for window in windows {
        let mut after = None;
        loop {
            let listing = Arc::clone(store);
            let page = match blocking(move || listing.batches_in(window, after, PAGE)).await {
                Ok(page) => page,
                Err(error) => {
                    report.add(format!("window {}: {error}", window.0));
                    break;
                }
            };
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (digest, _) in page {
                let reading = Arc::clone(store);
                let part = blocking(move || scrub_batch(reading.as_ref(), digest)).await;
                shared.metrics.scrubbed.inc_by(part.blobs);
                shared.metrics.corrupt.inc_by(part.corrupt);
                report.merge(part);
                // As slow as configured, over the whole pass.
                let due = Duration::from_secs_f64(report.bytes as f64 / rate as f64);
                if !pause(stop, due.saturating_sub(started.elapsed())).await {
                    return None;
                }
            }
        }
    }
    report.finished_at = shared.time.wall_ms() / 1000;
    report.seconds = started.elapsed().as_secs();
    // What is corrupt is counted and named together: if the count is not zero, there is a first example.
    match report.examples.first() {
        Some(example) => shared.health.raise(
            health::CORRUPTION,
            format!(
                "the scrub found {} of {}; first: {example}",
                report.corrupt, report.blobs
            ),
        ),
        None => shared.health.clear(health::CORRUPTION),
    }
    tracing::info!(
        batches = report.batches,
        blobs = report.blobs,
        corrupt = report.corrupt,
        "scrubbed"
    );
    shared
        .facts
        .set(|facts| facts.last_scrub = Some(report.clone()));
    Some(report)
}

impl ScrubReport {
    fn add(&mut self, what: String) {
        tracing::error!("scrub: {what}");
        self.corrupt += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(what);
        }
    }

    fn merge(&mut self, part: Self) {
        self.batches += part.batches;
        self.blobs += part.blobs;
        self.bytes += part.bytes;
        self.corrupt += part.corrupt;
        self.examples.extend(part.examples);
        self.examples.truncate(EXAMPLES);
    }
}

/// Reads one batch and checks it from the digest down: headers, commitments, Merkle proofs, slices.
pub(crate) fn scrub_batch(store: &dyn Store, digest: BatchDigest) -> ScrubReport {
    let mut report = ScrubReport {
        batches: 1,
        ..ScrubReport::default()
    };
    let batch = match store.batch(&digest) {
        Ok(Some(batch)) => batch,
        // Expired since it was listed.
        Ok(None) => return ScrubReport::default(),
        Err(error) => {
            report.add(format!("batch {digest}: {error}"));
            return report;
        }
    };
    if batch.header.digest() != digest {
        report.add(format!("batch {digest}: its header has another digest"));
    }
    if let Err(error) = batch.header.check_blobs(&batch.blobs) {
        report.add(format!("batch {digest}: {error}"));
    }
    let mut commitments = batch.commitments.as_slice();
    for (blob, index) in batch.blobs.iter().zip(0u32..) {
        report.blobs += 1;
        match commitments.split_at_checked(blob.rows as usize) {
            Some((own, rest)) => {
                commitments = rest;
                if commitments_root(own) != blob.commitments_root {
                    report.add(format!(
                        "batch {digest}, blob {index}: the commitments have another root"
                    ));
                }
            }
            None => report.add(format!(
                "batch {digest}, blob {index}: commitments are missing"
            )),
        }
        match scrub_slices(store, &digest, index, blob) {
            Ok(bytes) => report.bytes += bytes,
            Err(why) => report.add(format!("batch {digest}, blob {index}: {why}")),
        }
    }
    report
}

fn scrub_slices(
    store: &dyn Store,
    digest: &BatchDigest,
    index: u32,
    blob: &ashlar_proto::BlobHeader,
) -> Result<u64, String> {
    let slices = store
        .batch_slices(digest, index)
        .map_err(|e: StoreError| e.to_string())?
        .ok_or("its slices are missing")?;
    if slices.header() != blob {
        return Err("its slices belong to another blob".into());
    }
    let chunks = blob.protocol().map_err(|e| e.to_string())?.code.chunks();
    slices.check(chunks).map_err(|e| e.to_string())?;
    Ok((slices.slice_bytes() * slices.runs().count()) as u64)
}

/// Free bytes on the device of a path.
///
/// # Errors
/// As the operating system says.
pub(crate) fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path).map_err(std::io::Error::from)?;
    // The types differ between platforms.
    #[allow(clippy::unnecessary_cast)]
    Ok((stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64))
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
    match free_bytes(&shared.config.paths.data) {
        Ok(free) => {
            shared.facts.set(|facts| facts.disk_free = Some(free));
            if free < min {
                let message = format!(
                    "{free} bytes free, store.min_free_bytes is {min}: batches are refused"
                );
                shared.health.raise(health::DISK_SPACE, message);
            } else {
                shared.health.clear(health::DISK_SPACE);
            }
        }
        Err(error) => {
            let path = shared.config.paths.data.display();
            shared.health.raise(
                health::DISK_SPACE,
                format!("free space of {path} is unknown: {error}"),
            );
        }
    }
}

fn watch_table(shared: &Shared, service: &Service, stake: &dyn StakeSource) {
    let look = || -> Result<(Block, Option<OperatorIndex>, bool), StakeError> {
        let head = stake.head()?;
        let table = stake.table_at(head)?;
        service.learn(Arc::clone(&table));
        stake.health()?;
        let index = table.find(&shared.operator_id);
        let entry = index.and_then(|i| table.operator(i));
        Ok((
            head,
            index,
            entry.is_some_and(|e| e.network_key == shared.network_key),
        ))
    };
    match look() {
        Ok((head, index, same_key)) => {
            shared
                .facts
                .set(|facts| (facts.head, facts.operator_index) = (Some(head), index));
            shared.health.clear(health::OPERATOR_TABLE);
            let id = shared.operator_id;
            match index {
                None => shared.health.raise(
                    health::NOT_REGISTERED,
                    format!("operator {id} is not in the table of block {head}: it gets no batches"),
                ),
                Some(_) if !same_key => shared.health.raise(
                    health::NOT_REGISTERED,
                    format!("operator {id} has another network key in the table of block {head}: nobody can connect"),
                ),
                Some(_) => shared.health.clear(health::NOT_REGISTERED),
            }
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
