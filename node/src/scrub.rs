//! The scrub reads back what was promised, and checks it from the digest down.
//!
//! It starts at the signed records and looks for their data: what is missing is damage as much as what is wrong. Then it looks
//! for batches without their record, which it writes anew. A window that ended is no damage: what it held is not owed any more.
//! What is damaged is made anew out of what peers hold.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_proto::{BlobHeader, commitments_of, commitments_root};
use tokio_util::sync::CancellationToken;

use crate::damage::{Damage, Part, Repairs};
use crate::shared::{Shared, blocking};
use crate::status::ScrubReport;
use crate::store::{
    Promise, SequenceId, SignedHeader, SignedRecord, Store, StoreError, StoredBatch, WindowId,
    retention_end,
};
use crate::tasks::pause;

/// Damaged things that a report names; more are only counted.
const EXAMPLES: usize = 16;
/// Promises and batches listed at a time.
const PAGE: usize = 256;
/// The first scrub comes this long after the start, even if the interval is longer: a node that restarts daily would
/// never scrub.
const FIRST_SCRUB: Duration = Duration::from_secs(600);
/// While the repair has as much to do as it takes, the scrub waits.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// What one promise or entry gave.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    report: ScrubReport,
    pub(crate) damage: Vec<Damage>,
}

impl Checked {
    fn add(&mut self, part: Part, why: String) {
        self.damage.push(Damage { part, why });
    }
}

/// Scrubs again and again, slowly.
pub(crate) async fn run(
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    repairs: Arc<Repairs>,
    stop: CancellationToken,
) {
    let interval = Duration::from_secs(shared.config.tasks.scrub_interval_secs);
    let mut wait = interval.min(FIRST_SCRUB);
    loop {
        if !pause(&stop, wait).await {
            return;
        }
        wait = interval;
        let reading = Arc::clone(&store);
        // A place that cannot be read costs a scrub from the beginning.
        let from = blocking(move || reading.scrub_position().ok().flatten()).await;
        if once(&shared, &store, &repairs, from, &stop).await.is_none() {
            return;
        }
    }
}

/// One pass over everything behind `from`. `None` if the node stopped before the end.
pub(crate) async fn once(
    shared: &Shared,
    store: &Arc<dyn Store>,
    repairs: &Repairs,
    from: Option<SequenceId>,
    stop: &CancellationToken,
) -> Option<ScrubReport> {
    let started = Instant::now();
    let rate = shared.config.tasks.scrub_bytes_per_sec;
    let mut pass = Pass::new(from);
    let mut found = BTreeSet::new();
    loop {
        let looking = Arc::clone(store);
        let (back, checked) = blocking(move || {
            let checked = pass.step(looking.as_ref(), true);
            (pass, checked)
        })
        .await;
        pass = back;
        let Some(checked) = checked else { break };
        shared.metrics.scrubbed.inc_by(checked.report.blobs);
        shared.metrics.corrupt.inc_by(checked.damage.len() as u64);
        found.extend(checked.damage.iter().map(|damage| damage.part));
        if !checked.damage.is_empty() {
            repairs.add(checked.damage);
            repairs.publish(shared);
        }
        shared
            .facts
            .set(|facts| facts.scrub = Some(pass.report.clone()));
        // As slow as configured, over the whole pass.
        let due = Duration::from_secs_f64(pass.report.bytes as f64 / rate as f64);
        if !pause(stop, due.saturating_sub(started.elapsed())).await {
            return None;
        }
        while repairs.is_full() {
            if !pause(stop, FULL_PAUSE).await {
                return None;
            }
        }
    }
    let mut report = pass.report;
    report.finished_at = shared.time.wall_ms() / 1000;
    report.seconds = started.elapsed().as_secs();
    if from.is_none() {
        repairs.keep_only(&found);
    }
    repairs.publish(shared);
    tracing::info!(
        promises = report.promises,
        batches = report.batches,
        blobs = report.blobs,
        corrupt = report.corrupt,
        restored = report.restored,
        "scrubbed"
    );
    shared.facts.set(|facts| {
        facts.scrub = None;
        facts.last_scrub = Some(report.clone());
    });
    Some(report)
}

/// Reads everything at full speed and restores nothing. `progress` sees the report after each promise. Blocks.
pub fn verify(store: &dyn Store, mut progress: impl FnMut(&ScrubReport)) -> ScrubReport {
    let mut pass = Pass::new(None);
    let started = Instant::now();
    while pass.step(store, false).is_some() {
        progress(&pass.report);
    }
    pass.report.seconds = started.elapsed().as_secs();
    pass.report
}

/// Where a pass is.
#[derive(Debug)]
enum Stage {
    Promises,
    /// The windows that are left, and the last batch seen of the first.
    Entries(Vec<WindowId>, Option<ashlar_proto::BatchDigest>),
    Over,
}

/// A pass over everything, in steps that each end soon.
#[derive(Debug)]
struct Pass {
    stage: Stage,
    after: Option<SequenceId>,
    page: std::vec::IntoIter<Promise>,
    /// Numbers whose record cannot be read; the batch itself may still tell it.
    unread: BTreeSet<SequenceId>,
    report: ScrubReport,
}

impl Pass {
    fn new(after: Option<SequenceId>) -> Self {
        Self {
            stage: Stage::Promises,
            after,
            page: Vec::new().into_iter(),
            unread: BTreeSet::new(),
            report: ScrubReport::default(),
        }
    }

    /// The next promise, or the next page of entries; `None` at the end. With `restore`, records that the data tells are written
    /// anew, and the place is remembered.
    fn step(&mut self, store: &dyn Store, restore: bool) -> Option<Checked> {
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        let checked = match stage {
            Stage::Promises => self.next_promise(store, restore),
            Stage::Entries(windows, after) => self.next_entries(store, restore, windows, after),
            Stage::Over => return None,
        };
        self.report.merge(&checked);
        Some(checked)
    }

    fn next_promise(&mut self, store: &dyn Store, restore: bool) -> Checked {
        self.stage = Stage::Promises;
        if self.page.as_slice().is_empty() {
            match store.promises(self.after.as_ref(), PAGE) {
                Ok(page) if page.is_empty() => {
                    let windows = store.windows();
                    let mut checked = Checked::default();
                    self.stage = match windows {
                        Ok(windows) => Stage::Entries(windows, None),
                        Err(error) => {
                            checked.add(Part::List, format!("the list of windows: {error}"));
                            Stage::Over
                        }
                    };
                    return checked;
                }
                Ok(page) => self.page = page.into_iter(),
                Err(error) => {
                    self.stage = Stage::Over;
                    let mut checked = Checked::default();
                    checked.add(Part::List, format!("the list of signed records: {error}"));
                    return checked;
                }
            }
            // Once a page: what is read again after a stop is little.
            if restore && let Err(error) = store.keep_scrub_position(self.after.as_ref()) {
                tracing::warn!(%error, "the place of the scrub could not be kept");
            }
        }
        let Some((at, record)) = self.page.next() else {
            return Checked::default();
        };
        self.after = Some(at);
        match record {
            Ok(record) => {
                // Before the check, which then reads what is right on all drives.
                let mended = match restore {
                    true => store.mend(&record.digest),
                    false => Ok(()),
                };
                let mut checked = check_promise(store, &record);
                if let (Err(error), true) = (mended, checked.damage.is_empty()) {
                    let why = format!("batch {}, {at}: {error}", record.digest);
                    checked.add(Part::Batch(at), why);
                }
                checked
            }
            Err(_) => {
                self.unread.insert(at);
                Checked::default()
            }
        }
    }

    fn next_entries(
        &mut self,
        store: &dyn Store,
        restore: bool,
        mut windows: Vec<WindowId>,
        after: Option<ashlar_proto::BatchDigest>,
    ) -> Checked {
        let mut checked = Checked::default();
        let Some(&window) = windows.first() else {
            for at in std::mem::take(&mut self.unread) {
                let why =
                    format!("the signed record of {at} cannot be read, and no batch tells it");
                checked.add(Part::Record(at), why);
            }
            if restore && let Err(error) = store.keep_scrub_position(None) {
                tracing::warn!(%error, "the end of the scrub could not be kept");
            }
            return checked;
        };
        let page = match store.batches_in(window, after, PAGE) {
            Ok(page) => page,
            Err(error) => {
                // Whatever the list would have had, the promises have named.
                tracing::warn!(window = window.0, %error, "scrub: batches cannot be listed");
                Vec::new()
            }
        };
        let last = page.last().map(|(digest, _)| *digest);
        if last.is_none() {
            windows.remove(0);
        }
        for (digest, _) in page {
            let Ok(Some(batch)) = store.batch(&digest) else {
                continue;
            };
            let at = SequenceId::of(&batch.header);
            if batch.header.digest() != digest || matches!(store.signed(&at), Ok(Some(_))) {
                continue;
            }
            let offered = SignedHeader {
                header: batch.header,
                signature: batch.disperser_signature,
            };
            // Under a version that this program does not know it is owed for ever.
            let owed_until = offered.header.protocol().map_or(u64::MAX, |version| {
                retention_end(&offered.header, version.retention_secs).max(window.0)
            });
            let record = SignedRecord::new(offered, window, owed_until);
            let restored = match restore {
                true => store
                    .restore_record(&record)
                    .map_err(|error| error.to_string()),
                false => Err("it can be written anew".into()),
            };
            self.unread.remove(&at);
            match restored {
                Ok(()) => {
                    tracing::warn!(batch = %digest, "{at}: the signed record was lost, and is restored");
                    checked.report.restored += 1;
                }
                Err(why) => {
                    let why = format!("{at}: the signed record of batch {digest} is lost: {why}");
                    checked.add(Part::Record(at), why);
                }
            }
        }
        self.stage = Stage::Entries(windows, last);
        checked
    }
}

impl ScrubReport {
    fn merge(&mut self, checked: &Checked) {
        let part = &checked.report;
        self.promises += part.promises;
        self.batches += part.batches;
        self.blobs += part.blobs;
        self.bytes += part.bytes;
        self.restored += part.restored;
        for damage in &checked.damage {
            tracing::error!("scrub: {}", damage.why);
            self.corrupt += 1;
            if self.examples.len() < EXAMPLES {
                self.examples.push(damage.why.clone());
            }
        }
    }
}

/// Whether what lies in a window is still owed. It is not once the time kept has passed its end, as it has whenever a
/// window is dropped.
///
/// # Errors
/// The store cannot be read.
pub(crate) fn is_owed(store: &dyn Store, window: WindowId) -> Result<bool, StoreError> {
    Ok(store
        .kept_time()?
        .is_none_or(|time_ms| window.0 > time_ms / 1000))
}

/// Reads what was promised and checks it from the digest down: headers, commitments, Merkle proofs, slices. Blocks.
pub(crate) fn check_promise(store: &dyn Store, record: &SignedRecord) -> Checked {
    let mut checked = Checked::default();
    checked.report.promises = 1;
    let (at, digest) = (record.at, record.digest);
    let lost = |why: String| (Part::Batch(at), format!("batch {digest}, {at}: {why}"));
    let batch = match read_batch(store, record) {
        Ok(Some(batch)) => batch,
        Ok(None) => return checked,
        Err(why) => {
            let (part, why) = lost(why);
            checked.add(part, why);
            return checked;
        }
    };
    checked.report.batches = 1;
    for (blob, place) in batch.blobs.iter().zip(0u32..) {
        checked.report.blobs += 1;
        match check_slices(store, record, place, blob) {
            Ok(bytes) => checked.report.bytes += bytes,
            Err(why) => {
                let why = format!("batch {digest}, blob {place}: {why}");
                checked.add(Part::Blob(at, place), why);
            }
        }
    }
    checked
}

/// A promised batch without its slices, checked; `None` if it is not there and not owed any more.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read_batch(
    store: &dyn Store,
    record: &SignedRecord,
) -> Result<Option<StoredBatch>, String> {
    let read = store.batch(&record.digest);
    let Some(batch) = read.map_err(|error| error.to_string())? else {
        return match is_owed(store, record.window) {
            Ok(false) => Ok(None),
            Ok(true) => Err("its data is missing".into()),
            Err(error) => Err(error.to_string()),
        };
    };
    if batch.header != record.offered.header {
        return Err("its header has another digest".into());
    }
    let blobs = batch.header.check_blobs(&batch.blobs);
    blobs.map_err(|error| error.to_string())?;
    let owns = commitments_of(&batch.blobs, &batch.commitments);
    for ((blob, own), place) in batch.blobs.iter().zip(owns).zip(0u32..) {
        let own = own.ok_or(format!("commitments of blob {place} are missing"))?;
        if commitments_root(own) != blob.commitments_root {
            return Err(format!("the commitments of blob {place} have another root"));
        }
    }
    if batch.chunk_proofs.len() != batch.runs.count() {
        let (got, expected) = (batch.chunk_proofs.len(), batch.runs.count());
        return Err(format!("{got} chunk proofs, expected {expected}"));
    }
    Ok(Some(batch))
}

/// Checks the slices of a blob; gives their bytes, 0 if they are not owed any more.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn check_slices(
    store: &dyn Store,
    record: &SignedRecord,
    place: u32,
    blob: &BlobHeader,
) -> Result<u64, String> {
    let read = store.batch_slices(&record.digest, place);
    let Some(slices) = read.map_err(|error| error.to_string())? else {
        return match is_owed(store, record.window) {
            Ok(false) => Ok(0),
            Ok(true) => Err("its slices are missing".into()),
            Err(error) => Err(error.to_string()),
        };
    };
    if slices.header() != blob {
        return Err("its slices belong to another blob".into());
    }
    let version = blob.protocol().map_err(|error| error.to_string())?;
    let checked = slices.check(version.code.chunks());
    checked.map_err(|error| error.to_string())?;
    Ok((slices.slice_bytes() * slices.runs().count()) as u64)
}

#[cfg(test)]
mod tests;
