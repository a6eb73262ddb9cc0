//! A database that was made anew learns what its operator had promised, and one that was away what it missed: from the index of
//! batches that peers keep.
//!
//! ```text
//! peers ──pages of certified batches──▶ certificate checked by the table of its block
//!           ├─ this operator signed: a promise. The signed record is written, the repair makes its data anew
//!           ├─ it is assigned chunks and did not sign: taken when there is time, no duty
//!           └─ neither: nothing
//! ```
//!
//! Nothing in a page is believed but certificates, which need the stake of a quorum: what is not certified fills no disk. Whoever
//! sends a false one is named, and is not asked again until the node starts anew. Whoever leaves something out hides nothing as long
//! as one of those that are asked does not: the signers of a certificate hold the confirmation threshold of each of its quorums, so
//! peers with more than the rest of the stake have one of them among them. Until so many have given their whole index nothing is
//! signed, unless floors cover what was signed before.
//!
//! A disperser sends a batch for [`RESUME`](ashlar_proto::times::RESUME) after it made it. A node that was stopped or cut off for longer has promised nothing
//! meanwhile: it signs at once, and takes its part of what is listed since. It is nobody's duty, and one more who has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_fetch::Fault;
use ashlar_proto::wire::{BatchPlace, CertifiedBatch, ListBatches, Request, Response};
use ashlar_proto::{
    Block, Certificate, CertificateError, Domain, OperatorEntry, OperatorId, Sequence, VERSIONS,
};
use ashlar_service::Backoff;
use ashlar_service::metrics::Code;
use ashlar_stake::{Assignment, OperatorTable, StakeError};
use futures::StreamExt as _;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::damage::{Damage, Part};
use crate::health;
use crate::repair::Healer;
use crate::scrub::is_owed;
use crate::service::check_certified;
use crate::shared::{Shared, blocking, misses_batches};
use crate::store::{
    Floor, IndexProgress, ListedPeer, SequenceId, SignedHeader, SignedRecord, Store, StoreError,
    WindowId, retention_end,
};
use crate::tasks::pause;

/// Peers asked at a time.
const AT_A_TIME: usize = 4;
/// Longest wait for a page.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most pages of one peer: 8 million batches, ten a second for nine days.
const MAX_PAGES: u32 = 1 << 16;
/// Batches without this operator's signature that are remembered, some 2 KiB each; what else is listed is left to others.
const MAX_OFFERED: usize = 4096;
/// Peers that the status names.
const SHOWN: usize = 16;
/// Promises looked through at a time.
const PAGE: usize = 256;
/// First and longest pause before peers are asked again that did not answer.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(60),
};
/// While the repair has as much to do as it takes.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// What the status says about taking the index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct IndexStatus {
    /// Whether it is over.
    pub done: bool,
    /// Whether batches are signed already.
    pub may_sign: bool,
    /// Peers that have given their whole index.
    pub peers_done: u64,
    /// Batches that peers listed since the start, each as often as it was listed.
    pub listed: u64,
    /// Promises found since the start.
    pub promises: u64,
    /// Batches taken since the start that this operator was assigned and had not signed.
    pub taken: u64,
    /// Why peers did not help, the last time that they were asked.
    pub problems: Vec<String>,
}

/// Why a peer's index does not help.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "index", blame = Peer)]
enum ListError {
    /// No answer, or a refusal.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A batch that is not certified.
    #[error("it lists batch {digest}, whose certificate is none: {source}")]
    NotCertified {
        /// The batch.
        digest: String,
        /// Why.
        source: Box<CertificateError>,
    },
    /// The disperser's signature is wrong.
    #[error("it lists batch {digest} with a signature that is not its disperser's")]
    DisperserSignature {
        /// The batch.
        digest: String,
    },
    /// Pages that do not lead to an end.
    #[error("its pages do not go on behind each other")]
    Order,
    /// The operator table.
    #[error("the operator table: {0}")]
    #[coded(transparent, blame = Us)]
    Stake(#[from] StakeError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ListError {
    /// Whether it would say the same again.
    fn is_lie(&self) -> bool {
        match self {
            Self::NotCertified { .. } | Self::DisperserSignature { .. } | Self::Order => true,
            Self::Fault(fault) => matches!(
                fault,
                Fault::UnexpectedAnswer { .. } | Fault::Malformed { .. }
            ),
            Self::Stake(_) | Self::Store(_) => false,
        }
    }
}

/// A batch that this operator was assigned and had not signed.
type Offered = (SignedRecord, Certificate);

/// What a page was found to hold.
#[derive(Default)]
struct Page {
    damage: Vec<Damage>,
    offered: Vec<Offered>,
    /// The highest number of each disperser.
    spent: BTreeMap<(Domain, u32), Sequence>,
}

#[derive(Default)]
struct State {
    progress: IndexProgress,
    status: IndexStatus,
    problems: BTreeMap<OperatorId, String>,
    liars: BTreeSet<OperatorId>,
    /// Whether what an earlier run had left was looked for.
    resumed: bool,
    offered: BTreeMap<SequenceId, Offered>,
}

struct Lister {
    healer: Arc<Healer>,
    state: Mutex<State>,
}

/// Takes the index, if this database has to, and again when a signed record is lost, or a long silence has ended.
pub(crate) async fn run(healer: Arc<Healer>, stop: CancellationToken) {
    let silence = &healer.shared.silence;
    while !stop.is_cancelled() {
        once(Arc::clone(&healer), &stop).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = healer.reindex.notified() => {}
            () = silence.ended.notified() => {}
        }
        let Some(since_ms) = silence.taken() else {
            continue;
        };
        let silent = Arc::clone(&healer);
        let noted = move || ask_since(&silent.shared, silent.store.as_ref(), since_ms);
        if let Err(error) = blocking(noted).await {
            tracing::warn!(%error, "what was missed in a long silence is not looked for");
        }
    }
}

async fn once(healer: Arc<Healer>, stop: &CancellationToken) {
    let lister = Lister {
        healer,
        state: Mutex::default(),
    };
    let mut failures = 0;
    while !stop.is_cancelled() {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = lister.round() => ended,
        };
        match ended {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "the index of batches is not taken yet"),
        }
        failures += 1;
        if !pause(stop, BACKOFF.jittered(failures)).await {
            return;
        }
    }
}

impl Lister {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks everybody who has not given the whole index yet. Says whether it is over.
    async fn round(&self) -> Result<bool, ListError> {
        let store = Arc::clone(&self.healer.store);
        let progress = blocking(move || store.index_progress()).await?;
        let Some(progress) = progress else {
            return Ok(true);
        };
        let (done, held) = (progress.done, progress.held);
        self.state().progress = progress;
        self.publish();
        // Of a run before this one: their data is not there yet.
        if !held && !self.state().resumed {
            let missing = self.find_missing().await?;
            self.state().resumed = true;
            if done && missing == 0 {
                self.state().progress.held = true;
                self.keep().await?;
            }
        }
        if done {
            return Ok(true);
        }
        let stake = Arc::clone(&self.healer.stake);
        let table = blocking(move || stake.newest()).await?;
        let me = self.healer.shared.operator_id;
        let peers: Vec<OperatorEntry> = {
            let state = self.state();
            let asked = table.operators().iter().filter(|peer| {
                let id = &peer.operator_id;
                let done = state.progress.peers.get(id).is_some_and(|peer| peer.done);
                *id != me && !done && !state.liars.contains(id)
            });
            asked.cloned().collect()
        };
        futures::stream::iter(peers)
            .for_each_concurrent(AT_A_TIME, |peer| self.ask(peer))
            .await;
        let (enough, all) = self.heard(&table);
        if !enough {
            return Ok(false);
        }
        // Whoever did not answer has had a turn.
        let first = !self.state().progress.may_sign;
        self.state().progress.may_sign = true;
        self.keep().await?;
        self.publish();
        if first && !all {
            return Ok(false);
        }
        self.take_offered().await;
        self.state().progress.done = true;
        self.keep().await?;
        self.publish();
        tracing::info!(status = ?self.state().status, "the index of batches is taken");
        Ok(true)
    }

    /// Whether those who have given their index must have listed every promise, and whether all have.
    fn heard(&self, table: &OperatorTable) -> (bool, bool) {
        let me = self.healer.shared.operator_id;
        let state = self.state();
        let done = |id: &OperatorId| state.progress.peers.get(id).is_some_and(|peer| peer.done);
        let mut others = table
            .operators()
            .iter()
            .filter(|peer| peer.operator_id != me);
        let all = others.all(|peer| done(&peer.operator_id));
        let mut quorums = table.quorums();
        let enough = quorums.all(|quorum| table.meets_every_certificate(quorum, done));
        (enough || all, all)
    }

    async fn ask(&self, peer: OperatorEntry) {
        let id = peer.operator_id;
        match self.walk(&peer).await {
            Ok(()) => {
                self.state().problems.remove(&id);
            }
            Err(error) => {
                let code = error.code().to_owned();
                let lie = error.is_lie();
                if lie {
                    tracing::warn!(operator = %id, address = peer.address, code, "a peer's index is false: {error}");
                } else {
                    tracing::info!(operator = %id, address = peer.address, code, "a peer's index is not to be had: {error}");
                }
                let metrics = &self.healer.shared.metrics;
                metrics.index_failed.get_or_create(&Code { code }).inc();
                let mut state = self.state();
                state
                    .problems
                    .insert(id, format!("operator {id} ({}): {error}", peer.address));
                if lie {
                    state.liars.insert(id);
                }
            }
        }
        self.publish();
    }

    /// All pages of a peer, from where it was left.
    async fn walk(&self, peer: &OperatorEntry) -> Result<(), ListError> {
        let rate = self.healer.shared.config.tasks.repair_bytes_per_sec;
        for _ in 0..MAX_PAGES {
            let (known, since) = {
                let progress = &self.state().progress;
                let known = progress.peers.get(&peer.operator_id).copied();
                (known, progress.since)
            };
            let after = known.unwrap_or_default().after;
            let started = Instant::now();
            let request = Request::ListBatches(ListBatches { after });
            let limit = request.answer_limit();
            let asked = self.healer.network.ask(peer, request, limit, PATIENCE);
            let (response, _) = asked.await?;
            let bytes = response.encode().len();
            let Response::BatchList(list) = response else {
                let asked = "ListBatches";
                return Err(Fault::UnexpectedAnswer { asked }.into());
            };
            let now = self.healer.shared.time.wall_ms() / 1000;
            let next = match list.next {
                Some(next) if !goes_on(&next, after.as_ref()) => return Err(ListError::Order),
                // The rest is over by now.
                next => next.filter(|next| next.window > now.max(since)),
            };
            self.take(list.batches).await?;
            self.state().progress.peers.insert(
                peer.operator_id,
                ListedPeer {
                    after: next.or(after),
                    done: next.is_none(),
                },
            );
            self.keep().await?;
            self.publish();
            if next.is_none() {
                return Ok(());
            }
            let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
            tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
        }
        Err(ListError::Order)
    }

    /// Checks a page and writes down the promises in it.
    async fn take(&self, batches: Vec<CertifiedBatch>) -> Result<(), ListError> {
        let healer = Arc::clone(&self.healer);
        let signs = self.state().progress.may_sign;
        let listed = batches.len() as u64;
        let page = blocking(move || {
            let mut page = Page::default();
            let mut tables = HashMap::new();
            for batch in batches {
                check(&healer, batch, &mut tables, &mut page)?;
            }
            let floors = page
                .spent
                .iter()
                .map(|((domain, disperser_id), sequence)| Floor {
                    domain: *domain,
                    disperser_id: *disperser_id,
                    sequence: *sequence,
                });
            if !signs {
                healer.store.raise_floors(&floors.collect::<Vec<_>>())?;
            }
            Ok::<_, ListError>(page)
        })
        .await?;
        let (metrics, found) = (&self.healer.shared.metrics, page.damage.len() as u64);
        metrics.index_listed.inc_by(listed);
        metrics.index_promises.inc_by(found);
        {
            let mut state = self.state();
            state.status.listed += listed;
            state.status.promises += found;
            for offered in page.offered {
                if state.offered.len() < MAX_OFFERED {
                    state.offered.insert(offered.0.at, offered);
                }
            }
        }
        self.repair(page.damage).await;
        Ok(())
    }

    async fn repair(&self, damage: Vec<Damage>) {
        if damage.is_empty() {
            return;
        }
        let repairs = &self.healer.repairs;
        while repairs.is_full() {
            tokio::time::sleep(FULL_PAUSE).await;
        }
        repairs.add(damage);
        repairs.publish(&self.healer.shared);
    }

    /// Has promises repaired that were written down and whose data is not there. Says how many.
    async fn find_missing(&self) -> Result<usize, ListError> {
        let (mut after, mut found) = (None, 0);
        loop {
            let (healer, from) = (Arc::clone(&self.healer), after);
            let (last, damage) = blocking(move || missing(healer.store.as_ref(), from)).await?;
            found += damage.len();
            self.repair(damage).await;
            match last {
                Some(last) => after = Some(last),
                None => return Ok(found),
            }
        }
    }

    /// One after the other, and each only once: it is nobody's duty.
    async fn take_offered(&self) {
        let offered = std::mem::take(&mut self.state().offered);
        for (record, certificate) in offered.into_values() {
            let digest = record.digest;
            // The room that is left is for what is signed.
            if self
                .healer
                .shared
                .health
                .raised(health::DISK_SPACE)
                .is_some()
            {
                return;
            }
            let (store, at) = (Arc::clone(&self.healer.store), record.at);
            // Another certificate may have said that it was signed.
            if blocking(move || !matches!(store.signed(&at), Ok(None))).await {
                continue;
            }
            match self.healer.take(&record, &certificate).await {
                Ok(bytes) => {
                    self.state().status.taken += 1;
                    self.healer.shared.metrics.repair_bytes.inc_by(bytes);
                    self.publish();
                }
                Err(error) => {
                    tracing::info!(batch = %digest, "a batch that this operator did not sign is left to others: {error}");
                }
            }
        }
    }

    async fn keep(&self) -> Result<(), ListError> {
        let (store, progress) = (
            Arc::clone(&self.healer.store),
            self.state().progress.clone(),
        );
        Ok(blocking(move || store.keep_index_progress(&progress)).await?)
    }

    fn publish(&self) {
        let mut state = self.state();
        let peers = state.progress.peers.values();
        state.status.peers_done = peers.filter(|peer| peer.done).count() as u64;
        state.status.done = state.progress.done;
        state.status.may_sign = state.progress.may_sign;
        state.status.problems = state.problems.values().take(SHOWN).cloned().collect();
        let status = state.status.clone();
        drop(state);
        let shared = &self.healer.shared;
        shared.health.set(health::REBUILDING, waiting(&status));
        shared.facts.set(|facts| facts.index = Some(status));
    }
}

fn goes_on(next: &BatchPlace, after: Option<&BatchPlace>) -> bool {
    after.is_none_or(|after| next.is_behind(after))
}

/// Why nothing is signed yet.
fn waiting(status: &IndexStatus) -> Option<String> {
    if status.may_sign {
        return None;
    }
    let problem = status.problems.first();
    Some(format!(
        "the database is new: nothing is signed until peers have said what this operator had promised; {} have so far, {} promises{}",
        status.peers_done,
        status.promises,
        problem.map(|why| format!("; {why}")).unwrap_or_default(),
    ))
}

/// Says how far it is before anything can be signed, and what is to be asked by a node that last ran at `kept_ms`.
///
/// # Errors
/// The store cannot be read, or written.
pub(crate) fn begin(
    shared: &Shared,
    store: &dyn Store,
    kept_ms: Option<u64>,
) -> Result<(), StoreError> {
    let now_ms = shared.time.wall_ms();
    if let Some(stopped_ms) = kept_ms.filter(|stopped_ms| misses_batches(*stopped_ms, now_ms)) {
        ask_since(shared, store, stopped_ms)?;
    }
    if let Some(progress) = store.index_progress()? {
        let status = IndexStatus {
            done: progress.done,
            may_sign: progress.may_sign,
            ..IndexStatus::default()
        };
        shared.health.set(health::REBUILDING, waiting(&status));
        shared.facts.set(|facts| facts.index = Some(status));
    }
    Ok(())
}

/// What is listed since then is to be asked for, unless more is.
fn ask_since(shared: &Shared, store: &dyn Store, since_ms: u64) -> Result<(), StoreError> {
    let known = store.index_progress()?;
    if known.as_ref().is_some_and(|progress| !progress.done) {
        return Ok(());
    }
    let versions = VERSIONS.iter().map(|version| version.retention_secs);
    let kept_for = match shared.config.rules().retention {
        Some(retention) => retention.as_secs(),
        None => versions.min().unwrap_or(0),
    };
    store.keep_index_progress(&IndexProgress {
        may_sign: true,
        held: known.is_none_or(|progress| progress.held),
        since: (since_ms / 1000).saturating_add(kept_for),
        ..IndexProgress::default()
    })
}

/// One batch of a page.
fn check(
    healer: &Healer,
    batch: CertifiedBatch,
    tables: &mut HashMap<Block, Arc<OperatorTable>>,
    page: &mut Page,
) -> Result<(), ListError> {
    let CertifiedBatch {
        certificate,
        disperser_signature,
    } = batch;
    let (store, header) = (healer.store.as_ref(), &certificate.batch_header);
    let (at, digest) = (SequenceId::of(header), header.digest());
    // One that is damaged is written anew.
    if matches!(store.signed(&at), Ok(Some(known)) if known.digest == digest) {
        return Ok(());
    }
    let block = header.reference_block;
    let table = match tables.get(&block) {
        Some(table) => Arc::clone(table),
        None => {
            let table = healer.stake.table_at(block)?;
            tables.insert(block, Arc::clone(&table));
            table
        }
    };
    let verified =
        check_certified(&certificate, &table).map_err(|error| ListError::NotCertified {
            digest: digest.to_string(),
            source: Box::new(error),
        })?;
    // Its key may have changed between the block and the batch.
    let newest = healer.stake.newest()?;
    let signed = [&table, &newest].into_iter().any(|table| {
        table
            .disperser(header.disperser_id)
            .is_some_and(|disperser| {
                let key = &disperser.network_key;
                header.verify_disperser(key, &disperser_signature).is_ok()
            })
    });
    if !signed {
        return Err(ListError::DisperserSignature {
            digest: digest.to_string(),
        });
    }
    let spent = page.spent.entry((at.domain, at.disperser_id));
    let spent = spent.or_insert(at.sequence);
    *spent = at.sequence.max(*spent);
    let Some(me) = table.find(&healer.shared.operator_id) else {
        return Ok(());
    };
    let config = &healer.shared.config;
    let owed = retention_end(header, verified.version().retention_secs);
    let expires = config
        .rules()
        .retention
        .map_or(owed, |retention| retention_end(header, retention.as_secs()));
    let window = WindowId::for_expiry(expires, config.store.window_secs);
    if !is_owed(store, window)? {
        return Ok(());
    }
    let offered = SignedHeader {
        header: header.clone(),
        signature: disperser_signature,
    };
    let record = SignedRecord::new(offered, window, owed.max(expires));
    if verified.signers().contains(me) {
        match store.note_promise(&record, &certificate) {
            Ok(true) => page.damage.push(lost(&record)),
            Ok(false) => {}
            // Both are certified: the disperser's fault, and no peer's.
            Err(error @ StoreError::Conflict { .. }) => {
                tracing::error!(%error, "two batches are certified under one number")
            }
            Err(error) => return Err(error.into()),
        }
        return Ok(());
    }
    let quorums = &verified.blob_header().quorums;
    let assignment = Assignment::compute(&table, verified.version(), quorums);
    if assignment.is_ok_and(|assignment| !assignment.chunks(me).is_empty()) {
        page.offered.push((record, certificate));
    }
    Ok(())
}

fn lost(record: &SignedRecord) -> Damage {
    let (at, digest) = (record.at, record.digest);
    Damage {
        part: Part::Batch(at),
        why: format!("batch {digest}, {at}: its data was on the disk that was lost"),
    }
}

/// The last of some promises, and those of them without data.
fn missing(
    store: &dyn Store,
    after: Option<SequenceId>,
) -> Result<(Option<SequenceId>, Vec<Damage>), StoreError> {
    let page = store.promises(after.as_ref(), PAGE)?;
    let last = page.last().map(|(at, _)| *at);
    let mut damage = Vec::new();
    for record in page.into_iter().filter_map(|(_, record)| record.ok()) {
        // One that cannot be read is for the scrub.
        if is_owed(store, record.window)? && matches!(store.batch(&record.digest), Ok(None)) {
            damage.push(lost(&record));
        }
    }
    Ok((last, damage))
}
