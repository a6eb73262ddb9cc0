//! The tables: [`Store`] over any [`Backend`].

use std::sync::{Mutex, MutexGuard, PoisonError};

use ashlar_proto::{BatchDigest, BlobKey, OperatorId};

use super::codec::{self, Kind};
use super::{
    Backend, BackendError, BatchRecord, BatchSummary, BlobSlices, Durability, Put, SignedRecord,
    Space, Store, StoreError, StoredBatch, Totals, WindowId,
};

/// Number of the layout of keys and spaces, written into every database.
const LAYOUT: u32 = 1;
/// Locks for (disperser, sequence): two keys that share one wait for each other, nothing worse.
const LOCKS: usize = 64;
/// Size of a trial write: on a full disk a few bytes still find room in a half-used page.
const PROBE_BYTES: usize = 64 << 10;
/// Directory entries read at once when counting.
const PAGE: usize = 1024;

/// [`Store`] over a [`Backend`].
#[derive(Debug)]
pub struct TableStore<B> {
    backend: B,
    window_secs: u64,
    locks: [Mutex<()>; LOCKS],
    totals: Mutex<Totals>,
}

impl<B: Backend> TableStore<B> {
    /// Opens the tables over a backend: checks that the layout is known and that the data belongs to `owner` (a new
    /// database becomes its), and counts what is there. New data goes into windows of `window_secs`; windows of other
    /// lengths that exist stay as they are.
    ///
    /// # Errors
    /// Another owner or layout, or the backend cannot be read or written.
    pub fn open(backend: B, owner: OperatorId, window_secs: u64) -> Result<Self, StoreError> {
        let store = Self {
            backend,
            window_secs,
            locks: std::array::from_fn(|_| Mutex::new(())),
            totals: Mutex::new(Totals::default()),
        };
        store.check_owner(owner)?;
        store.recount()?;
        Ok(store)
    }

    /// The backend, for tests that break things.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    fn check_owner(&self, owner: OperatorId) -> Result<(), StoreError> {
        let (key, what) = (codec::META_FORMAT, "the layout number");
        if let Some(value) = self.get("read the layout number", Space::Meta, key)? {
            let body = codec::unseal(what, key, &value)?;
            let found =
                body.try_into()
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
        }
        let (key, what) = (codec::META_OWNER, "the owner's id");
        if let Some(value) = self.get("read the owner's id", Space::Meta, key)? {
            let body = codec::unseal(what, key, &value)?;
            let found = OperatorId::from_slice(body).ok_or_else(|| StoreError::Corrupt {
                what,
                detail: format!("{} bytes", body.len()),
            })?;
            return if found == owner {
                Ok(())
            } else {
                Err(StoreError::WrongOperator {
                    found,
                    expected: owner,
                })
            };
        }
        let put = |key: &[u8], body: &[u8]| Put {
            space: Space::Meta,
            key: key.to_vec(),
            value: codec::seal(key, body),
        };
        let puts = [
            put(codec::META_FORMAT, &LAYOUT.to_be_bytes()),
            put(codec::META_OWNER, &owner.0),
        ];
        self.write(
            "write the owner's id",
            &mut puts.into_iter(),
            256,
            Durability::Synced,
        )
    }

    fn recount(&self) -> Result<(), StoreError> {
        let mut totals = Totals::default();
        for window in self.backend.windows() {
            let part = self.count(window)?;
            totals.batches += part.batches;
            totals.blobs += part.blobs;
            totals.bytes += part.bytes;
            totals.windows += 1;
        }
        *lock(&self.totals) = totals;
        Ok(())
    }

    fn count(&self, window: WindowId) -> Result<Totals, StoreError> {
        let mut totals = Totals::default();
        let mut after = None;
        loop {
            let page = self.batches_in(window, after, PAGE)?;
            for (_, summary) in &page {
                totals.batches += 1;
                totals.blobs += u64::from(summary.blobs);
                totals.bytes += summary.bytes;
            }
            match page.last() {
                Some((digest, _)) => after = Some(*digest),
                None => return Ok(totals),
            }
        }
    }

    fn get(
        &self,
        doing: &'static str,
        space: Space,
        key: &[u8],
    ) -> Result<Option<bytes::Bytes>, StoreError> {
        self.backend
            .get(space, key)
            .map_err(|source| StoreError::Backend { doing, source })
    }

    /// Looks a key up in all windows, youngest first.
    fn find(&self, doing: &'static str, key: &[u8]) -> Result<Option<bytes::Bytes>, StoreError> {
        for window in self.backend.windows().into_iter().rev() {
            if let Some(value) = self.get(doing, Space::Window(window), key)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    fn write(
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

    /// The lock of a (disperser, sequence). Neighbouring numbers have different ones.
    fn lock_sequence(&self, disperser_id: u32, sequence: u64) -> MutexGuard<'_, ()> {
        let place = sequence.wrapping_add(u64::from(disperser_id)) as usize % LOCKS;
        // `place` is below the length of the array; the fallback is for the compiler.
        let fallback = &self.locks[0];
        lock(self.locks.get(place).unwrap_or(fallback))
    }
}

/// The guarded data are consistent after every statement, so a panic elsewhere is no reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Backend> Store for TableStore<B> {
    fn commit(&self, batch: &BatchRecord) -> Result<SignedRecord, StoreError> {
        let (disperser_id, sequence) = (batch.header.disperser_id, batch.header.sequence);
        let _one_at_a_time = self.lock_sequence(disperser_id, sequence);
        let known = match self.signed(disperser_id, sequence)? {
            Some(existing) if existing.digest != batch.digest => {
                return Err(StoreError::Conflict {
                    disperser_id,
                    sequence,
                    existing: existing.digest,
                    offered: batch.digest,
                });
            }
            known => known,
        };
        let held = known.is_some()
            && self
                .find("look for the batch", &codec::directory_key(&batch.digest))?
                .is_some();
        // A signature in the record says that an earlier write was synced. Without one it may have failed halfway
        // through its sync, so the batch is written again.
        if held && let Some(record) = known.clone().filter(|r| r.signature.is_some()) {
            return Ok(record);
        }

        let record = known.unwrap_or(SignedRecord {
            disperser_id,
            sequence,
            digest: batch.digest,
            signature: None,
        });
        let window = Space::Window(WindowId::for_expiry(batch.expires_at, self.window_secs));
        let summary = BatchSummary {
            blobs: batch.blobs.len() as u32,
            bytes: batch.bytes(),
        };
        let put = |key: Vec<u8>, value: Vec<u8>| Put {
            space: window,
            key,
            value,
        };
        let signed_key = codec::signed_key(disperser_id, sequence);
        let signed_value = codec::encode_signed(&signed_key, &record);
        let mut puts = batch
            .blobs
            .iter()
            .zip(0u32..)
            .flat_map(|(blob, index)| {
                // Lazily, blob by blob: see `Backend::write`.
                let index_key = codec::index_key(&blob.key);
                let index_value = codec::encode_index(&index_key, &batch.digest, index);
                let slices = std::iter::once_with(move || {
                    let key = codec::slices_key(&batch.digest, index);
                    let value = codec::encode_slices(&key, &batch.runs, blob);
                    put(key, value)
                });
                std::iter::once(put(index_key, index_value)).chain(slices)
            })
            .chain(std::iter::once_with(|| {
                let key = codec::batch_key(&batch.digest);
                let value = codec::encode_batch(&key, batch);
                put(key, value)
            }))
            .chain(std::iter::once_with(|| {
                let key = codec::directory_key(&batch.digest);
                let value = codec::encode_summary(&key, summary);
                put(key, value)
            }))
            .chain(std::iter::once(Put {
                space: Space::Signed,
                key: signed_key,
                value: signed_value,
            }));
        let proofs: usize = batch
            .blobs
            .iter()
            .map(|b| 32 * (b.leaves.len() + 64) + 1024)
            .sum();
        let size = summary.bytes as usize + proofs + 48 * batch.commitments.len() + 4096;
        let windows_before = self.backend.windows().len();
        self.write("write a batch", &mut puts, size, Durability::Synced)?;

        let mut totals = lock(&self.totals);
        if !held {
            totals.batches += 1;
            totals.blobs += u64::from(summary.blobs);
            totals.bytes += summary.bytes;
        }
        let windows = self.backend.windows().len();
        if windows != windows_before {
            totals.windows = windows as u64;
        }
        drop(totals);
        Ok(record)
    }

    fn record_signature(&self, record: &SignedRecord) -> Result<(), StoreError> {
        let (disperser_id, sequence, digest) =
            (record.disperser_id, record.sequence, record.digest);
        let _one_at_a_time = self.lock_sequence(disperser_id, sequence);
        match self.signed(disperser_id, sequence)? {
            Some(existing) if existing.digest == digest => {}
            _ => {
                return Err(StoreError::NoRecord {
                    disperser_id,
                    sequence,
                    digest,
                });
            }
        }
        let key = codec::signed_key(disperser_id, sequence);
        let value = codec::encode_signed(&key, record);
        let put = Put {
            space: Space::Signed,
            key,
            value,
        };
        self.write(
            "record a signature",
            &mut std::iter::once(put),
            256,
            Durability::Buffered,
        )
    }

    fn signed(&self, disperser_id: u32, sequence: u64) -> Result<Option<SignedRecord>, StoreError> {
        let key = codec::signed_key(disperser_id, sequence);
        self.get("read a signed record", Space::Signed, &key)?
            .map(|value| codec::decode_signed(&key, &value, disperser_id, sequence))
            .transpose()
    }

    fn batch(&self, digest: &BatchDigest) -> Result<Option<StoredBatch>, StoreError> {
        let key = codec::batch_key(digest);
        self.find("read a batch", &key)?
            .map(|value| codec::decode_batch(&key, &value))
            .transpose()
    }

    fn batch_slices(
        &self,
        digest: &BatchDigest,
        index: u32,
    ) -> Result<Option<BlobSlices>, StoreError> {
        let key = codec::slices_key(digest, index);
        self.find("read slices", &key)?
            .map(|value| codec::decode_slices(&key, &value))
            .transpose()
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
                let digest =
                    codec::digest_of_directory_key(&key).ok_or_else(|| StoreError::Corrupt {
                        what: "a batch's summary",
                        detail: format!("key {}: no digest", hex::encode(&key)),
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
            // A window that cannot be counted has to go as well.
            let part = self.count(window).unwrap_or_default();
            self.backend
                .drop_window(window)
                .map_err(|source| StoreError::Backend {
                    doing: "drop an expired window",
                    source,
                })?;
            let mut totals = lock(&self.totals);
            totals.batches = totals.batches.saturating_sub(part.batches);
            totals.blobs = totals.blobs.saturating_sub(part.blobs);
            totals.bytes = totals.bytes.saturating_sub(part.bytes);
            totals.windows = totals.windows.saturating_sub(1);
            dropped.push(window);
        }
        Ok(dropped)
    }

    fn totals(&self) -> Totals {
        *lock(&self.totals)
    }

    fn probe(&self) -> Result<(), StoreError> {
        let probe = || {
            let key = codec::META_PROBE.to_vec();
            let value = codec::seal(&key, &[0; PROBE_BYTES]);
            let put = Put {
                space: Space::Meta,
                key,
                value,
            };
            self.backend
                .write(&mut std::iter::once(put), 64, Durability::Synced)
        };
        let first: Result<(), BackendError> = probe();
        if first.is_ok() {
            return Ok(());
        }
        self.backend
            .recover()
            .and_then(|()| probe())
            .map_err(|source| StoreError::Backend {
                doing: "try whether writing works again",
                source,
            })
    }
}
