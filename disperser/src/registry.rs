//! The blobs that are on their way: their records in memory, admission, and those who wait for news.
//!
//! A record changes in three steps: [`Registry::draft`] makes changed copies, the caller writes them to the store,
//! [`Registry::publish`] shows them. What anybody sees is therefore never ahead of the disk, but for what follows from it
//! ([`Registry::note`]). A blob is in the hands of one stage at a time, so two drafts of one blob do not meet.
//!
//! While there is room for it the payload of a new blob stays in memory until it is encoded: it is not read back then, and not hashed
//! again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ashlar_crypto::{Coded, CommitmentBytes};
use ashlar_net::Subnet;
use ashlar_proto::api::BlobState;
use ashlar_proto::{Account, BlobId, BlobKey, Submission};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::accounts::book::{Charging, PayError};
use crate::intake::{Intake, NoRoom, OpenLimits};
use crate::memory::Units;
use crate::metrics::Metrics;
use crate::record::{BlobRecord, Origin, Party};
use crate::state::TransitionError;
use crate::store::{NotAccepted, Store, StoreError};

/// How long a post waits for another one of the same blob to reach the disk.
const TWIN_PATIENCE: Duration = Duration::from_secs(30);

/// The blobs that are on their way.
pub struct Registry {
    store: Store,
    memory: Units,
    metrics: Arc<Metrics>,
    inner: Mutex<Inner>,
    /// A blob left `accepting`.
    settled: Condvar,
    /// Dropped after the store: fields are dropped in their order.
    open: watch::Sender<()>,
}

struct Inner {
    live: HashMap<BlobId, Live>,
    /// Being written for the first time.
    accepting: HashSet<BlobId>,
    /// The open blobs that have a key.
    keys: HashMap<BlobKey, BlobId>,
    /// Both, by who posted them.
    intake: Intake,
    next_order: u64,
}

struct Live {
    record: BlobRecord,
    changed: watch::Sender<()>,
    posted: Option<InMemory>,
}

/// What was posted, as long as it is in memory.
#[derive(Debug)]
pub struct InMemory {
    /// The payload, whose hash is in the blob's id.
    pub payload: Bytes,
    /// The client's commitments.
    pub commitments: Option<Vec<CommitmentBytes>>,
    /// Never looked at: its drop gives the memory back.
    _memory: OwnedSemaphorePermit,
}

/// What is posted.
#[derive(Debug, Clone)]
pub struct Posted {
    /// The submission.
    pub submission: Submission,
    /// Network of the address that it came from.
    pub network: Subnet,
    /// Rows that the payload fills.
    pub rows: u32,
    /// The payload.
    pub payload: Bytes,
    /// The client's commitments.
    pub commitments: Option<Vec<CommitmentBytes>>,
    /// How its account pays, if it has signed and not everybody is served.
    pub charging: Option<Charging>,
}

impl Registry {
    /// Takes over what a store holds. Blocks.
    ///
    /// # Errors
    /// The store fails.
    pub fn open(
        store: Store,
        limits: OpenLimits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let mut inner = Inner {
            live: HashMap::new(),
            accepting: HashSet::new(),
            keys: HashMap::new(),
            intake: Intake::new(limits, Instant::now()),
            next_order: 0,
        };
        for record in store.open_blobs()? {
            if ashlar_proto::version(record.version).is_err() {
                return Err(StoreError::Version {
                    got: record.version,
                });
            }
            inner.next_order = inner.next_order.max(record.order.saturating_add(1));
            inner.keys.extend(record.key.map(|key| (key, record.id)));
            inner.intake.take_in(&record.origin(), record.payload_len);
            inner.live.insert(
                record.id,
                Live {
                    record,
                    changed: watch::Sender::new(()),
                    posted: None,
                },
            );
        }
        let registry = Self {
            store,
            memory: Units::new(limits.memory),
            metrics,
            inner: Mutex::new(inner),
            settled: Condvar::new(),
            open: watch::Sender::new(()),
        };
        registry.measure(&registry.lock());
        Ok(registry)
    }

    /// The store behind it.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measure(&self, inner: &Inner) {
        self.metrics.open_blobs.set(inner.live.len() as i64);
        self.metrics
            .open_bytes
            .set(ashlar_service::metrics::gauge(inner.intake.bytes()));
    }

    /// Whether a payload of this length could be taken in now: asked before its body is read, when the account may not be known.
    ///
    /// # Errors
    /// There is no room.
    pub fn check_room(
        &self,
        party: &Party,
        account: Option<&Account>,
        payload_len: u64,
    ) -> Result<(), AcceptError> {
        let intake = &mut self.lock().intake;
        Ok(intake.check(party, account, payload_len, Instant::now())?)
    }

    /// Takes in a blob, to be kept until `expires_at_ms`; on return it is on disk. A blob that is there already, and has not failed, is not taken in again:
    /// its record comes back with `false`. Blocks.
    ///
    /// # Errors
    /// There is no room, the account cannot pay, or the store fails; then nothing was taken in, and nothing charged.
    pub fn accept(
        &self,
        posted: Posted,
        now_ms: u64,
        expires_at_ms: u64,
    ) -> Result<(BlobRecord, bool), AcceptError> {
        let id = posted.submission.id();
        let len = posted.submission.payload_len;
        let account = posted.submission.account;
        let party = match posted.charging {
            Some(_) => Party::Account(account),
            None => Party::Network(posted.network),
        };
        let origin = Origin { party, account };
        let order = {
            let mut inner = self.lock();
            // Somebody else is just posting the same: it counts only once it is on disk.
            while inner.accepting.contains(&id) {
                let (again, waited) = self
                    .settled
                    .wait_timeout(inner, TWIN_PATIENCE)
                    .unwrap_or_else(PoisonError::into_inner);
                if waited.timed_out() {
                    return Err(AcceptError::Twin);
                }
                inner = again;
            }
            if let Some(live) = inner.live.get(&id) {
                return Ok((live.record.clone(), false));
            }
            let now = Instant::now();
            inner.intake.check(&party, Some(&account), len, now)?;
            inner.intake.take_in(&origin, len);
            inner.accepting.insert(id);
            inner.next_order += 1;
            inner.next_order - 1
        };
        let began = Instant::now();
        let memory = Units::of(len).and_then(|units| self.memory.try_take(units));
        let in_memory = memory.map(|memory| InMemory {
            payload: posted.payload.clone(),
            commitments: posted.commitments.clone(),
            _memory: memory,
        });
        let mut accepting = Accepting {
            registry: self,
            id,
            given: Some((origin, len)),
        };
        let result = self.write_new(posted, order, now_ms, expires_at_ms);
        self.metrics.stage("accept", began.elapsed());
        if let Ok((record, true)) = &result {
            accepting.given = None;
            self.lock().live.insert(
                id,
                Live {
                    record: record.clone(),
                    changed: watch::Sender::new(()),
                    posted: in_memory,
                },
            );
            self.metrics.accepted_blobs.inc();
            self.metrics.accepted_bytes.inc_by(len);
            if let Some(charge) = record.charge {
                self.metrics.charge(charge.amount);
            }
        }
        result
    }

    fn write_new(
        &self,
        posted: Posted,
        order: u64,
        now_ms: u64,
        expires_at_ms: u64,
    ) -> Result<(BlobRecord, bool), AcceptError> {
        let id = posted.submission.id();
        if let Some(known) = self.store.blob(&id)?
            && known.state != BlobState::Failed
        {
            return Ok((known, false));
        }
        let Posted {
            submission,
            network,
            rows,
            payload,
            commitments,
            charging,
        } = posted;
        let mut record = BlobRecord::new(
            &submission,
            network,
            rows,
            commitments.is_some(),
            order,
            now_ms,
            expires_at_ms,
        );
        let claims = commitments.as_deref();
        match charging {
            None => self.store.accept(&record, payload, claims)?,
            Some(charging) => {
                self.store
                    .accept_charged(&mut record, payload, claims, &charging)?;
            }
        }
        Ok((record, true))
    }

    /// Ids of all open blobs, by order of acceptance.
    pub fn open_ids(&self) -> Vec<BlobId> {
        let inner = self.lock();
        let mut ids: Vec<(u64, BlobId)> = inner
            .live
            .values()
            .map(|live| (live.record.order, live.record.id))
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// Ends when the registry is dropped and its store closed. Work that blocks outlives the task that asked for it.
    pub fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut open = self.open.subscribe();
        async move { while open.changed().await.is_ok() {} }
    }

    /// The record of an open blob, without a look at the disk.
    pub fn live(&self, id: &BlobId) -> Option<BlobRecord> {
        self.lock().live.get(id).map(|live| live.record.clone())
    }

    /// What was posted, if it is in memory: from now on it is not.
    pub fn take_posted(&self, id: &BlobId) -> Option<InMemory> {
        self.lock().live.get_mut(id)?.posted.take()
    }

    /// A blob by its id or its key. Blocks.
    ///
    /// # Errors
    /// The store fails.
    pub fn find(&self, name: &[u8; 32]) -> Result<Option<BlobRecord>, StoreError> {
        let id = BlobId(*name);
        if let Some(record) = self.live(&id) {
            return Ok(Some(record));
        }
        if let Some(record) = self.store.blob(&id)? {
            return Ok(Some(record));
        }
        let key = BlobKey(*name);
        let open = self.lock().keys.get(&key).copied();
        match open.map_or_else(|| self.store.id_of(&key), |id| Ok(Some(id)))? {
            Some(id) => match self.live(&id) {
                Some(record) => Ok(Some(record)),
                None => self.store.blob(&id),
            },
            None => Ok(None),
        }
    }

    /// News of an open blob: changes at every state, closes behind the last one. `None` if the blob is not open.
    pub fn watch(&self, id: &BlobId) -> Option<watch::Receiver<()>> {
        self.lock()
            .live
            .get(id)
            .map(|live| live.changed.subscribe())
    }

    /// Copies of open blobs' records, changed by `change`, which gets their place in `ids` too. Nothing is visible yet.
    ///
    /// # Errors
    /// A change that the states do not allow. Blobs that are not open are left out.
    pub fn draft(
        &self,
        ids: &[BlobId],
        mut change: impl FnMut(usize, &mut BlobRecord) -> Result<(), TransitionError>,
    ) -> Result<Vec<BlobRecord>, TransitionError> {
        let mut records: Vec<(usize, BlobRecord)> = {
            let inner = self.lock();
            ids.iter()
                .enumerate()
                .filter_map(|(at, id)| inner.live.get(id).map(|live| (at, live.record.clone())))
                .collect()
        };
        for (at, record) in &mut records {
            change(*at, record)?;
        }
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    /// Changes the records of open blobs: [`draft`](Self::draft), `write` to the store, [`publish`](Self::publish). Blocks.
    ///
    /// # Errors
    /// As `draft`; the store fails, and nobody sees a change.
    pub fn transition(
        &self,
        ids: &[BlobId],
        change: impl FnMut(usize, &mut BlobRecord) -> Result<(), TransitionError>,
        write: impl FnOnce(&Store, &[BlobRecord]) -> Result<(), StoreError>,
    ) -> Result<Vec<BlobRecord>, StoreError> {
        let records = self.draft(ids, change)?;
        write(&self.store, &records)?;
        self.publish(&records);
        Ok(records)
    }

    /// Shows a change of open blobs that is not written, because it follows again from what is.
    ///
    /// # Errors
    /// As [`draft`](Self::draft); nobody sees a change.
    pub fn note(
        &self,
        ids: &[BlobId],
        change: impl FnMut(usize, &mut BlobRecord) -> Result<(), TransitionError>,
    ) -> Result<(), TransitionError> {
        self.publish(&self.draft(ids, change)?);
        Ok(())
    }

    /// Shows drafts that have been written.
    pub fn publish(&self, records: &[BlobRecord]) {
        let (mut inner, now) = (self.lock(), Instant::now());
        for record in records {
            if let Some(key) = record.key {
                match record.state.is_final() {
                    true => inner.keys.remove(&key),
                    false => inner.keys.insert(key, record.id),
                };
            }
            if record.state.is_final() {
                if let Some(live) = inner.live.remove(&record.id) {
                    let len = record.payload_len;
                    inner.intake.finish(&record.origin(), len, now);
                    live.changed.send_replace(());
                }
            } else if let Some(live) = inner.live.get_mut(&record.id) {
                live.record = record.clone();
                live.changed.send_replace(());
            }
        }
        self.measure(&inner);
    }
}

/// A blob that is being written for the first time: it is not any more when this is dropped, be it in a panic.
struct Accepting<'a> {
    registry: &'a Registry,
    id: BlobId,
    /// Who has room again, and for how many bytes, if it was not taken in.
    given: Option<(Origin, u64)>,
}

impl Drop for Accepting<'_> {
    fn drop(&mut self) {
        let mut inner = self.registry.lock();
        inner.accepting.remove(&self.id);
        if let Some((origin, len)) = &self.given {
            inner.intake.give_back(origin, *len);
        }
        self.registry.measure(&inner);
        drop(inner);
        self.registry.settled.notify_all();
    }
}

/// Why a blob is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "intake", blame = Us)]
pub enum AcceptError {
    /// Too much is under way.
    #[error("too many blobs are on their way; try again later")]
    Full {
        /// When there will be room.
        retry_after_secs: u64,
    },
    /// The sender, or the account, has its share of what may be under way.
    #[error(
        "your network, or this account, has its share of the blobs that are on their way; try again later"
    )]
    #[coded(blame = Caller)]
    Share {
        /// When there will be room.
        retry_after_secs: u64,
    },
    /// The sender posts faster than one may.
    #[error(
        "your network, or this account, may post {rows_per_sec} rows (of 128 KiB) a second; wait, or post less"
    )]
    #[coded(blame = Caller)]
    Rate {
        /// What it may post.
        rows_per_sec: u32,
        /// When there is room for this blob.
        retry_after_secs: u64,
    },
    /// The same blob was just posted by somebody else, and does not reach the disk.
    #[error("the same blob is just being written; try again later")]
    Twin,
    /// Its account cannot pay.
    #[error(transparent)]
    #[coded(transparent)]
    Pay(PayError),
    /// The store fails.
    #[error(transparent)]
    #[coded(blame = Us)]
    Store(#[from] StoreError),
}

impl From<NotAccepted> for AcceptError {
    fn from(error: NotAccepted) -> Self {
        match error {
            NotAccepted::Pay(error) => Self::Pay(error),
            NotAccepted::Store(error) => Self::Store(error),
        }
    }
}

impl From<NoRoom> for AcceptError {
    fn from(no_room: NoRoom) -> Self {
        let NoRoom {
            beyond_share,
            retry_after_secs,
        } = no_room;
        match beyond_share {
            true => Self::Share { retry_after_secs },
            false => Self::Full { retry_after_secs },
        }
    }
}

#[cfg(test)]
mod tests;
