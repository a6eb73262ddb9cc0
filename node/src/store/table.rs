//! The tables: [`Store`] over any [`Backend`].

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ashlar_proto::wire::CertifiedBatch;
use ashlar_proto::{
    BatchDigest, BlobHeader, BlobKey, Certificate, ChunkRanges, Domain, OperatorId, Sequence,
};
use bytes::Bytes;
use fail::fail_point;

use super::codec::{self, Kind};
use super::{
    Allowance, Backend, BackendError, BatchRecord, BatchSummary, BlobRecord, BlobSlices,
    DatabaseId, DriveStatus, Durability, Equivocation, Floor, IndexProgress, Promise, Put,
    SequenceId, SignedHeader, SignedRecord, Space, Store, StoreError, StoredBatch, Syncs, Totals,
    WindowId,
};

/// Number of the layout of keys and spaces, written into every database.
const LAYOUT: u32 = 4;
/// Locks for sequence numbers: two that share one wait for each other, nothing worse.
const LOCKS: usize = 1024;
/// Size of a trial write: on a full disk a few bytes still find room in a half-used page.
const PROBE_BYTES: usize = 64 << 10;
/// Directory entries read at once when counting.
pub(super) const PAGE: usize = 1024;

/// [`Store`] over a [`Backend`].
#[derive(Debug)]
pub struct TableStore<B> {
    pub(super) backend: B,
    id: DatabaseId,
    window_secs: u64,
    locks: [Mutex<()>; LOCKS],
    /// What is held, by window.
    held: Mutex<BTreeMap<WindowId, Totals>>,
    pub(super) floors: Mutex<BTreeMap<(Domain, u32), Sequence>>,
    pub(super) moved: AtomicBool,
}

impl<B: Backend> TableStore<B> {
    /// Opens the tables over a backend: checks that the layout is known and that the data belongs to `owner`, and counts what
    /// is there. New data goes into windows of `window_secs`; windows of other lengths that exist stay as they are.
    ///
    /// # Errors
    /// Nothing is there, another owner or layout, or the backend cannot be read.
    pub fn open(backend: B, owner: OperatorId, window_secs: u64) -> Result<Self, StoreError> {
        check_owner(&backend, owner)?;
        let key = codec::META_DATABASE;
        let id = get(&backend, "read the database's id", Space::Meta, key)?
            .map(|value| codec::decode_database_id(key, &value))
            .transpose()?
            .ok_or(StoreError::Empty)?;
        let store = Self {
            backend,
            id,
            window_secs,
            locks: std::array::from_fn(|_| Mutex::new(())),
            held: Mutex::default(),
            floors: Mutex::default(),
            moved: AtomicBool::new(false),
        };
        store.read_promises()?;
        store.recount()?;
        Ok(store)
    }

    /// As [`open`](Self::open), but makes an empty backend a database first: `owner`'s, with the name `id`.
    ///
    /// # Errors
    /// Another owner or layout, or the backend cannot be read or written.
    pub fn create(
        backend: B,
        owner: OperatorId,
        id: DatabaseId,
        window_secs: u64,
    ) -> Result<Self, StoreError> {
        if get(
            &backend,
            "read the owner's id",
            Space::Meta,
            codec::META_OWNER,
        )?
        .is_none()
        {
            let put = |key: &[u8], body: &[u8]| Put {
                space: Space::Meta,
                key: key.to_vec(),
                value: Some(codec::seal(key, body).into()),
            };
            let puts = [
                put(codec::META_FORMAT, &LAYOUT.to_be_bytes()),
                put(codec::META_OWNER, &owner.0),
                put(codec::META_DATABASE, &id.0),
            ];
            backend
                .write(&mut puts.into_iter(), 256, Durability::Synced)
                .map_err(|source| StoreError::Backend {
                    doing: "write the owner's id",
                    source,
                })?;
        }
        Self::open(backend, owner, window_secs)
    }

    /// The backend, for tests that break things.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The database's name, which its marker has to give.
    pub fn id(&self) -> DatabaseId {
        self.id
    }

    fn recount(&self) -> Result<(), StoreError> {
        let windows = self.backend.windows().into_iter();
        let counted = windows.map(|window| Ok((window, self.count(window)?)));
        *lock(&self.held) = counted.collect::<Result<_, StoreError>>()?;
        Ok(())
    }

    /// A batch more in a window.
    pub(super) fn count_in(&self, window: WindowId, batch: BatchSummary) {
        lock(&self.held).entry(window).or_default().add(batch);
    }

    fn count(&self, window: WindowId) -> Result<Totals, StoreError> {
        let mut totals = Totals::default();
        let mut after = None;
        loop {
            let page = self.batches_in(window, after, PAGE)?;
            for (_, summary) in &page {
                totals.add(*summary);
            }
            match page.last() {
                Some((digest, _)) => after = Some(*digest),
                None => return Ok(totals),
            }
        }
    }

    pub(super) fn get(
        &self,
        doing: &'static str,
        space: Space,
        key: &[u8],
    ) -> Result<Option<Bytes>, StoreError> {
        get(&self.backend, doing, space, key)
    }

    /// Looks a key up in all windows, youngest first.
    pub(super) fn find(
        &self,
        doing: &'static str,
        key: &[u8],
    ) -> Result<Option<Bytes>, StoreError> {
        Ok(self.find_in(doing, key)?.map(|(_, value)| value))
    }

    /// As [`find`](Self::find), with the window in which it is.
    fn find_in(
        &self,
        doing: &'static str,
        key: &[u8],
    ) -> Result<Option<(WindowId, Bytes)>, StoreError> {
        let windows = self.backend.windows().into_iter().rev();
        let spaces: Vec<Space> = windows.map(Space::Window).collect();
        let found = self.backend.find(&spaces, key);
        match found.map_err(|source| StoreError::Backend { doing, source })? {
            Some((Space::Window(window), value)) => Ok(Some((window, value))),
            _ => Ok(None),
        }
    }

    pub(super) fn write(
        &self,
        doing: &'static str,
        puts: &mut dyn Iterator<Item = Put>,
        size: usize,
        durability: Durability,
    ) -> Result<(), StoreError> {
        self.backend
            .write(puts, size, durability)
            .map_err(|source| StoreError::Backend { doing, source })
    }

    /// The lock of a sequence number. Neighbouring numbers have different ones.
    pub(super) fn lock_sequence(&self, at: &SequenceId) -> MutexGuard<'_, ()> {
        let place = at.sequence.0.wrapping_add(u64::from(at.disperser_id)) as usize % LOCKS;
        // `place` is below the length of the array; the fallback is for the compiler.
        let fallback = &self.locks[0];
        lock(self.locks.get(place).unwrap_or(fallback))
    }
}

/// The guarded data are consistent after every statement, so a panic elsewhere is no reason to stop.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn get<B: Backend>(
    backend: &B,
    doing: &'static str,
    space: Space,
    key: &[u8],
) -> Result<Option<Bytes>, StoreError> {
    backend
        .get(space, key)
        .map_err(|source| StoreError::Backend { doing, source })
}

fn check_owner<B: Backend>(backend: &B, owner: OperatorId) -> Result<(), StoreError> {
    let (key, what) = (codec::META_FORMAT, "the layout number");
    let value =
        get(backend, "read the layout number", Space::Meta, key)?.ok_or(StoreError::Empty)?;
    let body = codec::unseal(what, key, &value)?;
    let found = body
        .try_into()
        .map(u32::from_be_bytes)
        .map_err(|_| StoreError::Corrupt {
            what,
            detail: format!("{} bytes", body.len()),
        })?;
    if found != LAYOUT {
        return Err(StoreError::Format {
            found,
            expected: LAYOUT,
        });
    }
    let (key, what) = (codec::META_OWNER, "the owner's id");
    let value = get(backend, "read the owner's id", Space::Meta, key)?.ok_or(StoreError::Empty)?;
    let body = codec::unseal(what, key, &value)?;
    let found = OperatorId::from_slice(body).ok_or_else(|| StoreError::Corrupt {
        what,
        detail: format!("{} bytes", body.len()),
    })?;
    if found == owner {
        Ok(())
    } else {
        Err(StoreError::WrongOperator {
            found,
            expected: owner,
        })
    }
}

impl<B: Backend> Store for TableStore<B> {
    fn commit(&self, batch: &BatchRecord) -> Result<SignedRecord, StoreError> {
        let at = SequenceId::of(&batch.header);
        let _one_at_a_time = self.lock_sequence(&at);
        let known = self.record_of(&at, &batch.digest)?;
        let held = known.is_some()
            && self
                .find("look for the batch", &codec::directory_key(&batch.digest))?
                .is_some();
        // A signature in the record says that an earlier write was synced. Without one it may have failed halfway
        // through its sync, so the batch is written again.
        if held && let Some(record) = known.clone().filter(|r| r.signature.is_some()) {
            return Ok(record);
        }

        let window = WindowId::for_expiry(batch.expires_at, self.window_secs);
        let offered = SignedHeader {
            header: batch.header.clone(),
            signature: batch.disperser_signature,
        };
        let record = SignedRecord {
            signature: known.and_then(|known| known.signature),
            ..SignedRecord::new(offered, window, batch.owed_until)
        };
        let window = Space::Window(window);
        let summary = BatchSummary {
            blobs: batch.blobs.len() as u32,
            bytes: batch.bytes(),
        };
        let put = |key: Vec<u8>, value: Bytes| Put {
            space: window,
            key,
            value: Some(value),
        };
        let signed_key = codec::signed_key(&at);
        let signed_value = codec::encode_signed(&signed_key, &record);
        let mut puts = batch
            .blobs
            .iter()
            .zip(0u32..)
            .flat_map(|(blob, index)| {
                // Lazily, blob by blob: see `Backend::write`.
                let index_key = codec::index_key(&blob.key);
                let index_value = codec::encode_index(&index_key, &batch.digest, index);
                let head = std::iter::once_with(move || {
                    let key = codec::slices_key(&batch.digest, index);
                    let value = codec::encode_slices(&key, &batch.runs, blob);
                    put(key, value.into())
                });
                let values = blob.values().zip(0u32..).map(move |(value, number)| {
                    let key = codec::slices_value_key(&batch.digest, index, number);
                    put(key, value)
                });
                std::iter::once(put(index_key, index_value.into()))
                    .chain(head)
                    .chain(values)
            })
            .chain(std::iter::once_with(|| {
                let key = codec::batch_key(&batch.digest);
                let value = codec::encode_batch(&key, &StoredBatch::from(batch));
                put(key, value.into())
            }))
            .chain(std::iter::once_with(|| {
                let key = codec::directory_key(&batch.digest);
                let value = codec::encode_summary(&key, summary);
                put(key, value.into())
            }))
            .chain(std::iter::once(Put {
                space: Space::Signed,
                key: signed_key,
                value: Some(signed_value.into()),
            }));
        let proofs: usize = batch
            .blobs
            .iter()
            .map(|b| 32 * (b.leaves.len() + 64) + 64 * b.values().len() + 1024)
            .sum();
        let size = summary.bytes as usize + proofs + 48 * batch.commitments.len() + 4096;
        fail_point!("store.commit");
        self.write("write a batch", &mut puts, size, Durability::Synced)?;
        fail_point!("store.committed");

        if !held {
            self.count_in(record.window, summary);
        }
        Ok(record)
    }

    fn may_promise(&self, at: &SequenceId) -> Result<(), StoreError> {
        self.check_promise(at)
    }

    fn record_signature(&self, record: &SignedRecord) -> Result<(), StoreError> {
        let (at, digest) = (record.at, record.digest);
        let _one_at_a_time = self.lock_sequence(&at);
        match self.signed(&at)? {
            Some(existing) if existing.digest == digest => {}
            _ => return Err(StoreError::NoRecord { at, digest }),
        }
        let key = codec::signed_key(&at);
        let value = codec::encode_signed(&key, record);
        let put = Put {
            space: Space::Signed,
            key,
            value: Some(value.into()),
        };
        fail_point!("store.note");
        self.write(
            "record a signature",
            &mut std::iter::once(put),
            256,
            Durability::Buffered,
        )?;
        fail_point!("store.noted");
        Ok(())
    }

    fn signed(&self, at: &SequenceId) -> Result<Option<SignedRecord>, StoreError> {
        let key = codec::signed_key(at);
        self.get("read a signed record", Space::Signed, &key)?
            .map(|value| codec::decode_signed(&key, &value, at))
            .transpose()
    }

    fn batch(&self, digest: &BatchDigest) -> Result<Option<StoredBatch>, StoreError> {
        let key = codec::batch_key(digest);
        self.find("read a batch", &key)?
            .map(|value| codec::decode_batch(&key, &value))
            .transpose()
    }

    fn read_slices(
        &self,
        digest: &BatchDigest,
        index: u32,
        wanted: Option<&ChunkRanges>,
    ) -> Result<Option<BlobSlices>, StoreError> {
        let key = codec::slices_key(digest, index);
        let Some((window, head)) = self.find_in("read the head of slices", &key)? else {
            return Ok(None);
        };
        let mut slices = codec::decode_slices(&key, &head)?;
        for number in slices.value_numbers(wanted) {
            let key = codec::slices_value_key(digest, index, number);
            match self.get("read slices", Space::Window(window), &key)? {
                Some(value) => {
                    slices.values.insert(number, value);
                }
                // Expired just now.
                None if !self.backend.windows().contains(&window) => return Ok(None),
                // Whoever takes such a slice out learns that it is missing.
                None => {}
            }
        }
        Ok(Some(slices))
    }

    fn find_blob(&self, key: &BlobKey) -> Result<Option<(BatchDigest, u32)>, StoreError> {
        let key = codec::index_key(key);
        self.find("look for a blob", &key)?
            .map(|value| codec::decode_index(&key, &value))
            .transpose()
    }

    fn batches_in(
        &self,
        window: WindowId,
        after: Option<BatchDigest>,
        limit: usize,
    ) -> Result<Vec<(BatchDigest, BatchSummary)>, StoreError> {
        let after = after.map(|digest| codec::directory_key(&digest));
        self.backend
            .scan(
                Space::Window(window),
                &[Kind::Directory as u8],
                after.as_deref(),
                limit,
            )
            .map_err(|source| StoreError::Backend {
                doing: "list batches",
                source,
            })?
            .into_iter()
            .map(|(key, value)| {
                let summary = codec::decode_summary(&key, &value)?;
                let digest = codec::digest_of_key(Kind::Directory, &key).ok_or_else(|| {
                    StoreError::Corrupt {
                        what: "a batch's summary",
                        detail: format!("key {}: no digest", hex::encode(&key)),
                    }
                })?;
                Ok((digest, summary))
            })
            .collect()
    }

    fn windows(&self) -> Result<Vec<WindowId>, StoreError> {
        Ok(self.backend.windows())
    }

    fn expire(&self, now_secs: u64) -> Result<Vec<WindowId>, StoreError> {
        let mut dropped = Vec::new();
        for window in self
            .backend
            .windows()
            .into_iter()
            .filter(|w| w.0 <= now_secs)
        {
            fail_point!("store.expire");
            self.backend
                .drop_window(window)
                .map_err(|source| StoreError::Backend {
                    doing: "drop an expired window",
                    source,
                })?;
            fail_point!("store.expired");
            lock(&self.held).remove(&window);
            dropped.push(window);
        }
        Ok(dropped)
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals {
            windows: self.backend.windows().len() as u64,
            ..Totals::default()
        };
        for held in lock(&self.held).values() {
            totals.batches += held.batches;
            totals.blobs += held.blobs;
            totals.bytes += held.bytes;
        }
        totals
    }

    fn totals_by_window(&self) -> Vec<(WindowId, Totals)> {
        let held = lock(&self.held);
        let some = held.iter().filter(|(_, totals)| totals.batches > 0);
        some.map(|(window, totals)| (*window, *totals)).collect()
    }

    fn syncs(&self) -> Syncs {
        self.backend.syncs()
    }

    fn kept_time(&self) -> Result<Option<u64>, StoreError> {
        self.read_time()
    }

    fn keep_time(&self, time_ms: u64) -> Result<(), StoreError> {
        self.write_time(time_ms)
    }

    fn kept_allowance(&self) -> Result<Option<Allowance>, StoreError> {
        let key = codec::META_ALLOWANCE;
        self.get("read the allowance", Space::Meta, key)?
            .map(|value| codec::decode_allowance(key, &value))
            .transpose()
    }

    fn keep_allowance(&self, allowance: &Allowance) -> Result<(), StoreError> {
        let key = codec::META_ALLOWANCE.to_vec();
        let value = codec::encode_allowance(&key, allowance);
        self.put("keep the allowance", Space::Meta, vec![(key, value)])
    }

    fn spent(&self) -> Result<Vec<Floor>, StoreError> {
        self.collect_spent()
    }

    fn prune(&self, now_secs: u64) -> Result<u64, StoreError> {
        self.prune_signed(now_secs)
    }

    fn raise_floors(&self, floors: &[Floor]) -> Result<(), StoreError> {
        self.write_floors(floors)
    }

    fn end_signing(&self) -> Result<(), StoreError> {
        self.write_moved()
    }

    fn has_moved(&self) -> bool {
        self.is_moved()
    }

    fn keep_equivocation(&self, evidence: &Equivocation) -> Result<bool, StoreError> {
        self.write_equivocation(evidence)
    }

    fn equivocations(
        &self,
        after: Option<&SequenceId>,
        limit: usize,
    ) -> Result<Vec<Equivocation>, StoreError> {
        self.read_equivocations(after, limit)
    }

    fn promises(
        &self,
        after: Option<&SequenceId>,
        limit: usize,
    ) -> Result<Vec<Promise>, StoreError> {
        self.list_promises(after, limit)
    }

    fn restore_record(&self, record: &SignedRecord) -> Result<(), StoreError> {
        self.write_record(record)
    }

    fn restore_slices(
        &self,
        record: &SignedRecord,
        runs: &ChunkRanges,
        place: u32,
        blob: &BlobRecord,
    ) -> Result<(), StoreError> {
        self.write_slices(record, runs, place, blob)
    }

    fn restore_batch(&self, record: &SignedRecord, batch: &StoredBatch) -> Result<(), StoreError> {
        self.write_batch(record, batch)
    }

    fn keep_certificate(
        &self,
        record: &SignedRecord,
        certificate: &Certificate,
    ) -> Result<(), StoreError> {
        self.write_certificate(record, certificate)
    }

    fn certificate(&self, digest: &BatchDigest) -> Result<Option<CertifiedBatch>, StoreError> {
        self.read_certificate(digest)
    }

    fn certified_in(
        &self,
        window: WindowId,
        after: Option<BatchDigest>,
        limit: usize,
    ) -> Result<Vec<(BatchDigest, Option<CertifiedBatch>)>, StoreError> {
        self.list_certified(window, after, limit)
    }

    fn note_promise(
        &self,
        record: &SignedRecord,
        certificate: &Certificate,
    ) -> Result<bool, StoreError> {
        self.write_promise(record, certificate)
    }

    fn index_progress(&self) -> Result<Option<IndexProgress>, StoreError> {
        self.read_index_progress()
    }

    fn keep_index_progress(&self, progress: &IndexProgress) -> Result<(), StoreError> {
        self.write_index_progress(progress)
    }

    fn scrub_position(&self) -> Result<Option<SequenceId>, StoreError> {
        self.read_scrub_position()
    }

    fn keep_scrub_position(&self, at: Option<&SequenceId>) -> Result<(), StoreError> {
        self.write_scrub_position(at)
    }

    fn probe(&self) -> Result<(), StoreError> {
        let probe = || {
            let key = codec::META_PROBE.to_vec();
            let value = codec::seal(&key, &[0; PROBE_BYTES]);
            let put = Put {
                space: Space::Meta,
                key,
                value: Some(value.into()),
            };
            self.backend
                .write(&mut std::iter::once(put), 64, Durability::Synced)
        };
        let first: Result<(), BackendError> = probe();
        if first.is_ok() {
            return Ok(());
        }
        let mark = Put {
            space: Space::Meta,
            key: codec::META_DATABASE.to_vec(),
            value: Some(codec::seal(codec::META_DATABASE, &self.id.0).into()),
        };
        self.backend
            .recover(&mark)
            .and_then(|()| probe())
            .map_err(|source| StoreError::Backend {
                doing: "try whether writing works again",
                source,
            })
    }

    fn mend(&self, digest: &BatchDigest) -> Result<(), StoreError> {
        // A store in one folder has one copy of everything.
        if self.backend.drives().is_empty() {
            return Ok(());
        }
        let Some(batch) = self.batch(digest)? else {
            return Ok(());
        };
        let mut prefixes = vec![
            codec::batch_key(digest),
            codec::certificate_key(digest),
            codec::directory_key(digest),
            codec::slices_prefix(digest),
        ];
        let index = |blob: &BlobHeader| codec::index_key(&blob.blob_key());
        prefixes.extend(batch.blobs.iter().map(index));
        let mend = |space, prefix: &[u8]| {
            let mended = self.backend.mend(space, prefix);
            mended.map_err(|source| StoreError::Backend {
                doing: "look at every copy",
                source,
            })
        };
        let at = SequenceId::of(&batch.header);
        mend(Space::Signed, &codec::signed_key(&at))?;
        for window in self.backend.windows() {
            let space = Space::Window(window);
            let here = self.get("look for the batch", space, &codec::batch_key(digest))?;
            if here.is_some() {
                prefixes.iter().try_for_each(|prefix| mend(space, prefix))?;
            }
        }
        Ok(())
    }

    fn drives(&self) -> Vec<DriveStatus> {
        self.backend.drives()
    }

    fn tend_drives(&self) -> Result<Option<u64>, StoreError> {
        self.backend
            .tend_drives()
            .map_err(|source| StoreError::Backend {
                doing: "look after the drives",
                source,
            })
    }
}
