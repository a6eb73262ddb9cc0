//! Answers to peers: store a batch, serve slices and chunks, say hello.
//!
//! Nothing waits without a deadline and nothing is unbounded: the memory of batches and of answers, of which everybody has a
//! share ([`BulkReader::reserve`]), and with it their number, and the time to wait for it. What is too much is turned away with
//! `node.overloaded` and how long to wait. Hashing and curves run on a pool of their own, the disk on the blocking pool: neither on
//! the runtime's threads, and no sync on those that compute.

mod dial;
mod error;
mod index;
mod read;

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_crypto::{Blame, Coded, Setup};
use ashlar_net::{Admission, BulkReader, Client, Handler, NetError, Phase, Reply};
use ashlar_proto::wire::{ErrorReply, Pong, Request, Response, StoreBatch, Stored};
use ashlar_proto::{BatchDigest, BatchHeader, Block, TableAccess, TableRoot};
use ashlar_service::metrics::{Code, gauge};
use ashlar_stake::{Assignment, AssignmentError, OperatorTable, StakeError, StakeSource};
use futures::FutureExt;
use futures::future::BoxFuture;

pub use self::error::ServiceError;
pub(crate) use self::index::check_certified;
use crate::clock::Clock as NodeClock;
use crate::daily::{DailyBytes, Exhausted, Taken, daily_bytes};
use crate::health;
use crate::metrics::RequestLabel;
use crate::reach::Peers;
use crate::shared::{SOFTWARE, Shared, blocking};
use crate::signer::{SignError, Signer, SignerError};
use crate::store::{Allowance, Equivocation, SignedHeader, Store, StoreError};
use crate::validate::{
    AuthenticBatch, Clock, ExpectedBatch, Rules, UnverifiedBatch, ValidateError, VerifiedBatch,
    check_disperser, check_domain,
};

/// Assignments remembered: (table, version, quorums) change rarely.
const ASSIGNMENTS: usize = 32;
/// A sender that the last table seen does not know makes the node look for a newer one, at most once in this time.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What answers requests.
pub(crate) struct Service {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    signer: Arc<Signer>,
    stake: Arc<dyn StakeSource>,
    setup: &'static Setup,
    rules: Rules,
    daily: Mutex<DailyBytes>,
    /// For checks; the runtime's own threads never compute.
    threads: rayon::ThreadPool,
    assignments: Mutex<VecDeque<(AssignmentKey, Arc<Assignment>)>>,
    seen: RwLock<Option<NewestTable>>,
    /// When somebody's batch last made the node look for a newer table.
    looked: Mutex<Option<Instant>>,
    clock: Arc<NodeClock>,
    identities: Identities,
}

/// Who the node is to its peers.
pub(crate) struct Identities {
    /// The keys that it holds.
    pub(crate) keys: Vec<NetworkKey>,
    /// What it asks its peers with.
    pub(crate) client: Client,
    /// Whom it dials back.
    pub(crate) peers: Arc<Peers>,
}

impl Identities {
    /// Asks with the key that the table names, if it is one of ours: under another one we would be a stranger.
    fn follow(&self, named: &NetworkPublicKey) {
        if self.client.public_key() == *named {
            return;
        }
        if let Some(key) = self.keys.iter().find(|key| key.public() == *named) {
            tracing::info!(key = %named, "the operator table names another network key of this node");
            self.client.set_key(key);
        }
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}

/// The newest operator table that was looked at.
struct NewestTable {
    table: Arc<OperatorTable>,
    /// Network keys of dispersers and operators.
    known: HashSet<NetworkPublicKey>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AssignmentKey {
    table: TableRoot,
    version: u16,
    quorums: Vec<u8>,
}

impl Service {
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        signer: Arc<Signer>,
        stake: Arc<dyn StakeSource>,
        clock: Arc<NodeClock>,
        threads: rayon::ThreadPool,
        identities: Identities,
    ) -> Self {
        Self {
            rules: shared.config.rules(),
            daily: Mutex::new(DailyBytes::new(shared.time.monotonic())),
            setup: Setup::ethereum(),
            assignments: Mutex::default(),
            seen: RwLock::default(),
            looked: Mutex::default(),
            clock,
            shared,
            store,
            signer,
            stake,
            threads,
            identities,
        }
    }

    /// The newest table: who may send batches, and who is no stranger.
    pub(crate) fn learn(&self, table: Arc<OperatorTable>) {
        let (dispersers, operators) = (table.dispersers(), table.operators());
        let own = table.find(&self.shared.operator_id);
        if let Some(own) = own.and_then(|index| table.operator(index)) {
            self.identities.follow(&own.network_key);
        }
        let keys = dispersers.iter().map(|d| d.network_key);
        let known = keys
            .chain(operators.iter().map(|o| o.network_key))
            .collect();
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        let root = |table: &OperatorTable| table.header().dispersers_root;
        if seen.as_ref().map(|seen| root(&seen.table)) != Some(root(&table)) {
            let bonds = dispersers.iter().map(|d| (d.id, d.bond));
            self.daily()
                .set_dispersers(bonds, self.shared.time.monotonic());
        }
        *seen = Some(NewestTable { known, table });
    }

    /// Reads the clocks.
    pub(crate) fn watch_clock(&self) {
        let timing = self.clock.look();
        let ahead = self.clock.wall_ms().saturating_sub(timing.accepted_ms) / 1000;
        self.shared.metrics.clock_ahead_seconds.set(gauge(ahead));
    }

    fn daily(&self) -> MutexGuard<'_, DailyBytes> {
        self.daily.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on from the allowance that was kept at `kept_ms`.
    pub(crate) fn restore_allowance(&self, kept: &Allowance, kept_ms: u64) {
        let stopped = self.clock.look().accepted_ms.saturating_sub(kept_ms);
        let held = self.store.totals().bytes;
        let now = self.shared.time.monotonic();
        self.daily()
            .restore(kept, held, Duration::from_millis(stopped), now);
    }

    /// What may still be stored, to be kept.
    pub(crate) fn allowance(&self) -> Allowance {
        let held = self.store.totals().bytes;
        self.daily().keep(held, self.shared.time.monotonic())
    }

    /// As many bytes a day as the disk can keep, with so many free now.
    pub(crate) fn share_disk(&self, free: u64) {
        let config = &self.shared.config.store;
        let room = free
            .saturating_add(self.store.totals().bytes)
            .saturating_sub(config.min_free_bytes);
        let retention = self.rules.retention.unwrap_or_else(|| {
            let known = self
                .rules
                .versions
                .iter()
                .filter_map(|id| ashlar_proto::version(*id).ok());
            Duration::from_secs(known.map(|v| v.retention_secs).max().unwrap_or(u64::MAX))
        });
        let kept = retention.saturating_add(Duration::from_secs(config.window_secs));
        let fits = daily_bytes(room, kept);
        let a_day = match config.daily_bytes {
            0 => fits,
            wanted => wanted.min(fits),
        };
        self.shared.metrics.daily_bytes.set(a_day);
        self.daily().set_rate(a_day, self.shared.time.monotonic());
    }

    /// Domain and sender, by the newest table that was looked at: neither a place nor memory nor a thread is spent before that
    /// on what strangers send.
    async fn check_domain_and_sender(
        self: &Arc<Self>,
        peer: &NetworkPublicKey,
        header: &BatchHeader,
    ) -> Result<(), ServiceError> {
        check_domain(header.domain, self.stake.domain())?;
        let refused = match self.check_sender(peer, header) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        // It may have been registered a moment ago.
        if !self.may_refresh_table() {
            return Err(refused);
        }
        let this = Arc::clone(self);
        blocking(move || {
            let head = this.stake.head()?;
            this.learn(this.stake.table_at(head)?);
            Ok::<_, StakeError>(())
        })
        .await?;
        self.check_sender(peer, header)
    }

    fn check_sender(
        &self,
        peer: &NetworkPublicKey,
        header: &BatchHeader,
    ) -> Result<(), ServiceError> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        match seen.as_ref() {
            Some(seen) => Ok(check_disperser(peer, header, &seen.table)?),
            None => Err(ServiceError::NotAccepting {
                cause: health::OPERATOR_TABLE.code().to_owned(),
                why: "no operator table is known yet".into(),
            }),
        }
    }

    /// Whether this caller may look for a newer table now. Only one caller may in each [`LOOK_AGAIN`].
    fn may_refresh_table(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return false;
        }
        *looked = Some(Instant::now());
        true
    }

    fn overloaded(&self, what: &'static str) -> ServiceError {
        ServiceError::Overloaded {
            what,
            retry_after_ms: self.shared.config.load.retry_after_ms,
        }
    }

    /// How long a request waits for memory before it is turned away.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.shared.config.load.retry_after_ms)
    }

    /// No memory in time: the caller is told to come back.
    fn overload(&self, error: NetError, what: &'static str) -> ServiceError {
        match error {
            NetError::Timeout {
                phase: Phase::Memory,
                ..
            } => self.overloaded(what),
            other => other.into(),
        }
    }

    fn may_sign(&self) -> Result<(), ServiceError> {
        self.shared
            .health
            .may_work()
            .map_err(|reason| ServiceError::NotAccepting {
                cause: reason.code,
                why: reason.message,
            })
    }

    async fn answer(
        self: Arc<Self>,
        peer: NetworkPublicKey,
        request: Request,
        bulk: BulkReader,
    ) -> Result<Reply, ServiceError> {
        match request {
            Request::StoreBatch(batch) => self.store_batch(peer, batch, bulk).await,
            Request::GetSlices(wanted) => self.get_slices(wanted, &bulk).await,
            Request::GetChunks(wanted) => self.get_chunks(wanted, &bulk).await,
            Request::DialMe => self.dial_back(peer).await,
            Request::SignBatch(_) => Err(ServiceError::NotASigner),
            Request::GetCombined(wanted) => self.get_combined(wanted, &bulk).await,
            Request::KeepCertificate(message) => self.keep_certificate(peer, *message).await,
            Request::ListBatches(wanted) => self.list_batches(wanted, &bulk).await,
            Request::GetLatest(wanted) => self.latest(wanted, &bulk).await,
            Request::Ping(ping) => {
                let mut versions = self.rules.versions.clone();
                versions.sort_unstable();
                versions.dedup();
                Ok(Response::Pong(Pong {
                    nonce: ping.nonce,
                    software: SOFTWARE.into(),
                    versions,
                })
                .into())
            }
        }
    }

    async fn store_batch(
        self: Arc<Self>,
        peer: NetworkPublicKey,
        message: StoreBatch,
        mut bulk: BulkReader,
    ) -> Result<Reply, ServiceError> {
        self.check_domain_and_sender(&peer, &message.batch_header)
            .await?;
        self.clock.look();
        self.may_sign()?;
        let batch = UnverifiedBatch::new(peer, message, bulk.len());
        let this = Arc::clone(&self);
        let (expected, offered) = match blocking(move || this.before_bulk(batch)).await? {
            Checked::Known(stored) => return Ok(*stored),
            Checked::Expected(passed) => *passed,
        };

        let (id, len) = (expected.disperser_id(), bulk.len());
        let taken = TakenBytes::new(&self, id, expected.slices_len())?;
        let load = &self.shared.config.load;
        // No batch takes less than its place.
        let bytes = len
            .saturating_mul(self.shared.config.store_copies())
            .max(load.store_memory() / u64::from(load.max_stores));
        let memory = bulk
            .reserve_bulk(bytes, self.patience())
            .await
            .map_err(|error| self.overload(error, "batches"))?;
        let patience = Duration::from_secs(load.bulk_timeout_secs);
        let started = Instant::now();
        let bytes = tokio::time::timeout(patience, bulk.read_to_end())
            .await
            .map_err(|_| {
                ServiceError::Net(NetError::Timeout {
                    phase: Phase::Bulk,
                    after: patience,
                })
            })??;
        let received = started.elapsed().as_secs_f64();
        self.shared.metrics.receive_seconds.observe(received);
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|e| ServiceError::Random(e.to_string()))?;

        let this = Arc::clone(&self);
        blocking(move || {
            // Held as long as the work lasts, also when nobody waits for it any more.
            let _memory = memory;
            let metrics = &this.shared.metrics;
            let started = Instant::now();
            let batch = this
                .threads
                .install(|| expected.check_bulk(this.setup, bytes, seed))?;
            metrics
                .validate_seconds
                .observe(started.elapsed().as_secs_f64());
            // Outside of the threads that compute: batches that are written at the same time share a sync.
            let reply = this.commit(&batch, &offered)?;
            metrics.stored_bytes.inc_by(len);
            taken.keep();
            this.shared.silence.end(this.clock.wall_ms());
            Ok(reply)
        })
        .await
    }

    /// All that can be checked before the bulk part is received.
    fn before_bulk(&self, batch: UnverifiedBatch) -> Result<Checked, ServiceError> {
        let head = self.stake.head()?;
        let batch = batch.check_sender(&*self.stake.table_at(head)?)?;
        let head = self.newest(batch.header().reference_block, head)?;
        let offered = SignedOffer::from(&batch);
        if let Some(stored) = self.known(&batch, &offered)? {
            return Ok(Checked::Known(Box::new(stored)));
        }
        let now_ms = self.clock.wall_ms();
        let fresh = batch.check_header(&self.rules, Clock { now_ms, head })?;
        let block = fresh.header().reference_block;
        let table = match self.stake.table_at(block) {
            Err(StakeError::UnknownBlock { .. }) => {
                return Err(ValidateError::ReferenceUnknown { got: block, head }.into());
            }
            other => other?,
        };
        let assignment = self
            .assignment(&table, fresh.version().id, fresh.quorums())
            .map_err(ValidateError::from)?;
        let expected = fresh.check_assignment(&table, &self.shared.operator_id, &assignment)?;
        Ok(Checked::Expected(Box::new((expected, offered))))
    }

    /// The newest block. A disperser may be a block ahead of a node that follows the same ledger: a later block counts once the
    /// source has its table.
    fn newest(&self, reference: Block, head: Block) -> Result<Block, StakeError> {
        if reference <= head {
            return Ok(head);
        }
        match self.stake.table_at(reference) {
            Ok(_) => Ok(reference),
            // The check of the header says that there is no such block.
            Err(StakeError::UnknownBlock { .. }) => Ok(head),
            Err(error) => Err(error),
        }
    }

    /// The answer to a batch that was signed before.
    fn known(
        &self,
        batch: &AuthenticBatch,
        offered: &SignedOffer,
    ) -> Result<Option<Reply>, ServiceError> {
        let signature = self
            .signer
            .known(batch.header(), &batch.digest())
            .map_err(|error| self.conflict(error, offered))?;
        Ok(signature.map(|signature| {
            self.shared.metrics.repeated.inc();
            Response::Stored(Stored { signature }).into()
        }))
    }

    /// A second batch under one number, signed by its disperser, is evidence against it. The error comes back.
    fn conflict(&self, error: StoreError, offered: &SignedOffer) -> StoreError {
        if let StoreError::Conflict { at, existing, .. } = &error
            && let Err(failed) = self.keep_evidence(existing, offered)
        {
            tracing::error!(error = %failed, "{at}: the evidence against the disperser could not be kept");
        }
        error
    }

    fn keep_evidence(
        &self,
        existing: &BatchDigest,
        offered: &SignedOffer,
    ) -> Result<(), ServiceError> {
        // Judged by the table that a ledger would use: evidence that it would refuse must not take the room of evidence
        // that it would take.
        let header = &offered.signed.header;
        let table = match self.stake.table_at(header.reference_block) {
            Err(StakeError::UnknownBlock { .. }) => return Ok(()),
            other => other?,
        };
        if check_disperser(&offered.key, header, &table).is_err() {
            return Ok(());
        }
        // The first one was checked when it was stored; it may have expired.
        let Some(first) = self.store.batch(existing)? else {
            return Ok(());
        };
        let evidence = Equivocation {
            first: SignedHeader {
                header: first.header,
                signature: first.disperser_signature,
            },
            second: offered.signed.clone(),
        };
        if self.store.keep_equivocation(&evidence)? {
            let (at, metrics) = (evidence.at(), &self.shared.metrics);
            metrics.equivocations.inc();
            self.shared.note_equivocations();
            tracing::error!(first = %existing, second = %offered.signed.header.digest(), "{at} was signed twice: evidence against the disperser is kept");
        }
        Ok(())
    }

    fn commit(&self, batch: &VerifiedBatch, offered: &SignedOffer) -> Result<Reply, ServiceError> {
        let metrics = &self.shared.metrics;
        // It may have become full while this batch was under way, or the clock may have been set back.
        self.clock.look();
        self.may_sign()?;
        let started = Instant::now();
        let signature = self
            .signer
            .store_and_sign(batch)
            .map_err(|error| match error {
                SignError::Store(error) => ServiceError::Store(self.conflict(error, offered)),
                SignError::Signer(error) => ServiceError::Signer(error),
            })?;
        metrics
            .commit_seconds
            .observe(started.elapsed().as_secs_f64());
        metrics.signed.inc();
        Ok(Response::Stored(Stored { signature }).into())
    }

    fn assignment(
        &self,
        table: &OperatorTable,
        version: u16,
        quorums: &[u8],
    ) -> Result<Arc<Assignment>, AssignmentError> {
        let key = AssignmentKey {
            table: table.root(),
            version,
            quorums: quorums.to_vec(),
        };
        let known = |list: &VecDeque<(AssignmentKey, Arc<Assignment>)>| {
            list.iter()
                .find(|(k, _)| *k == key)
                .map(|(_, assignment)| Arc::clone(assignment))
        };
        if let Some(assignment) = known(
            &self
                .assignments
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        ) {
            return Ok(assignment);
        }
        let Ok(parameters) = ashlar_proto::version(version) else {
            return Err(AssignmentError::Version {
                version,
                chunks: 0,
                max_operators: 0,
            });
        };
        let assignment = Arc::new(Assignment::compute(table, parameters, quorums)?);
        let mut list = self
            .assignments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if known(&list).is_none() {
            list.truncate(ASSIGNMENTS - 1);
            list.push_front((key.clone(), Arc::clone(&assignment)));
        }
        Ok(assignment)
    }

    fn count_refused(&self, code: &str) {
        let code = Code { code: code.into() };
        self.shared.metrics.refused.get_or_create(&code).inc();
    }

    /// Keeps why a batch was not signed.
    fn note_batch(&self, peer: &NetworkPublicKey, header: &BatchHeader, error: &ServiceError) {
        let registered = self.check_sender(peer, header).is_ok();
        let disperser = registered.then_some(header.disperser_id);
        let (refusals, now_ms) = (&self.shared.refusals, self.clock.wall_ms());
        refusals.note(disperser, header.digest(), error, now_ms);
    }

    /// What an error means for the node itself.
    fn note(&self, error: &ServiceError) {
        self.count_refused(error.code());
        match error {
            ServiceError::Store(StoreError::Corrupt { .. }) => {
                self.shared
                    .health
                    .raise(health::CORRUPTION, error.to_string());
            }
            // Also a failed read: the same disk, and the probe finds out.
            ServiceError::Store(StoreError::Backend { .. }) => {
                self.shared.health.raise(health::STORAGE, error.to_string());
            }
            // What it refuses because of its records is that batch's fault; all else is this operator's.
            ServiceError::Signer(SignerError::Refused(reply))
                if reply.code.starts_with("store.") => {}
            ServiceError::Signer(_) => {
                self.shared.health.raise(health::SIGNER, error.to_string());
                self.shared.signer_failed.notify_one();
            }
            _ => {}
        }
        match error.blame() {
            Blame::Us => tracing::warn!(code = error.code(), "{error}"),
            _ => tracing::info!(code = error.code(), "refused: {error}"),
        }
    }
}

enum Checked {
    Known(Box<Reply>),
    Expected(Box<(ExpectedBatch, SignedOffer)>),
}

/// What a disperser has signed by offering a batch.
struct SignedOffer {
    key: NetworkPublicKey,
    signed: SignedHeader,
}

impl From<&AuthenticBatch> for SignedOffer {
    fn from(batch: &AuthenticBatch) -> Self {
        Self {
            key: batch.disperser_key(),
            signed: SignedHeader {
                header: batch.header().clone(),
                signature: batch.disperser_signature(),
            },
        }
    }
}

/// Bytes of the day, taken for a batch. They come back if the batch is not stored.
struct TakenBytes {
    service: Arc<Service>,
    taken: Option<Taken>,
}

impl TakenBytes {
    fn new(service: &Arc<Service>, disperser: u32, bytes: u64) -> Result<Self, ServiceError> {
        let now = service.shared.time.monotonic();
        let taken = service.daily().take(disperser, bytes, now);
        let taken = taken.map_err(
            |Exhausted { left, share, after }| ServiceError::DailyBytes {
                got: bytes,
                left,
                share,
                retry_after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
            },
        )?;
        Ok(Self {
            service: Arc::clone(service),
            taken: Some(taken),
        })
    }

    fn keep(mut self) {
        self.taken = None;
    }
}

impl Drop for TakenBytes {
    fn drop(&mut self) {
        if let Some(taken) = self.taken {
            self.service.daily().give_back(taken);
        }
    }
}

/// The service as the network sees it.
pub(crate) struct QuicHandler(pub(crate) Arc<Service>);

impl Handler for QuicHandler {
    fn handle(
        &self,
        peer: NetworkPublicKey,
        request: Request,
        bulk: BulkReader,
    ) -> BoxFuture<'_, Reply> {
        let service = Arc::clone(&self.0);
        async move {
            let label = RequestLabel {
                request: request.kind(),
            };
            service.shared.metrics.requests.get_or_create(&label).inc();
            let _in_flight = InFlight::new(&service, label);
            let offered = match &request {
                Request::StoreBatch(batch) => Some(batch.batch_header.clone()),
                _ => None,
            };
            match Arc::clone(&service).answer(peer, request, bulk).await {
                Ok(reply) => reply,
                Err(error) => {
                    service.note(&error);
                    if let Some(header) = offered {
                        service.note_batch(&peer, &header, &error);
                    }
                    error.reply().into()
                }
            }
        }
        .boxed()
    }

    fn refused(&self, error: &ErrorReply) {
        self.0.count_refused(&error.code);
    }

    fn admission(&self, peer: &NetworkPublicKey) -> Admission {
        let seen = self.0.seen.read().unwrap_or_else(PoisonError::into_inner);
        if seen.as_ref().is_some_and(|s| s.known.contains(peer)) {
            Admission::Known
        } else {
            Admission::Stranger
        }
    }
}

/// Counts a request as long as it lasts, however it ends.
struct InFlight<'a>(&'a Service, RequestLabel);

impl<'a> InFlight<'a> {
    fn new(service: &'a Service, label: RequestLabel) -> Self {
        service.shared.metrics.in_flight.get_or_create(&label).inc();
        Self(service, label)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.shared.metrics.in_flight.get_or_create(&self.1).dec();
    }
}
