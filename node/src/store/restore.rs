//! Walking over the promises, and writing anew what was lost of one.

use ashlar_proto::ChunkRanges;

use super::codec;
use super::{
    Backend, BatchSummary, BlobRecord, Durability, Promise, Put, SequenceId, SignedRecord, Space,
    Store, StoreError, StoredBatch, TableStore,
};

impl<B: Backend> TableStore<B> {
    pub(super) fn list_promises(
        &self,
        after: Option<&SequenceId>,
        limit: usize,
    ) -> Result<Vec<Promise>, StoreError> {
        let after = after.map(codec::signed_key);
        let page = self.page(Space::Signed, &[], after.as_deref(), limit)?;
        page.iter()
            .map(|(key, value)| {
                let at = codec::sequence_of_key(key)?;
                Ok((at, codec::decode_signed(key, value, &at)))
            })
            .collect()
    }

    pub(super) fn write_record(&self, record: &SignedRecord) -> Result<(), StoreError> {
        let _one_at_a_time = self.lock_sequence(&record.at);
        if let Ok(Some(_)) = self.signed(&record.at) {
            return Ok(());
        }
        let key = codec::signed_key(&record.at);
        let value = codec::encode_signed(&key, record);
        self.put("restore a signed record", Space::Signed, vec![(key, value)])
    }

    /// Only what was promised is restored.
    pub(super) fn check_record(&self, record: &SignedRecord) -> Result<(), StoreError> {
        match self.signed(&record.at)? {
            Some(known) if known.digest == record.digest => Ok(()),
            _ => Err(StoreError::NoRecord {
                at: record.at,
                digest: record.digest,
            }),
        }
    }

    pub(super) fn write_slices(
        &self,
        record: &SignedRecord,
        runs: &ChunkRanges,
        place: u32,
        blob: &BlobRecord,
    ) -> Result<(), StoreError> {
        self.check_record(record)?;
        let space = Space::Window(record.window);
        let index = codec::index_key(&blob.key);
        let head = codec::slices_key(&record.digest, place);
        let entries = [
            (
                codec::encode_index(&index, &record.digest, place).into(),
                index,
            ),
            (codec::encode_slices(&head, runs, blob).into(), head),
        ];
        let values = blob.values().zip(0u32..).map(|(value, number)| {
            let key = codec::slices_value_key(&record.digest, place, number);
            (value, key)
        });
        let mut puts = entries.into_iter().chain(values).map(|(value, key)| Put {
            space,
            key,
            value: Some(value),
        });
        let size = blob.data.len() + 32 * (blob.leaves.len() + 64) + 1024;
        self.write("restore slices", &mut puts, size, Durability::Synced)
    }

    pub(super) fn write_batch(
        &self,
        record: &SignedRecord,
        batch: &StoredBatch,
    ) -> Result<(), StoreError> {
        self.check_record(record)?;
        let digest = &record.digest;
        let bytes = |slice: usize| (slice * batch.runs.count()) as u64;
        let sizes = batch.blobs.iter().map(|blob| blob.slice_bytes().map(bytes));
        let summary = BatchSummary {
            blobs: record.offered.header.blobs,
            bytes: sizes
                .sum::<Result<u64, _>>()
                .map_err(|error| StoreError::Corrupt {
                    what: "a header",
                    detail: error.to_string(),
                })?,
        };
        let (key, entry) = (codec::batch_key(digest), codec::directory_key(digest));
        let held = matches!(self.find("look for the batch", &entry), Ok(Some(_)));
        let value = codec::encode_batch(&key, batch);
        let puts = vec![
            (key, value),
            (entry.clone(), codec::encode_summary(&entry, summary)),
        ];
        self.put("restore a batch", Space::Window(record.window), puts)?;
        if !held {
            self.count_in(record.window, summary);
        }
        Ok(())
    }

    pub(super) fn read_scrub_position(&self) -> Result<Option<SequenceId>, StoreError> {
        let key = codec::META_SCRUB;
        let Some(value) = self.get("read where the scrub is", Space::Meta, key)? else {
            return Ok(None);
        };
        match codec::unseal("the place of the scrub", key, &value)? {
            [] => Ok(None),
            at => codec::sequence_of_key(at).map(Some),
        }
    }

    pub(super) fn write_scrub_position(&self, at: Option<&SequenceId>) -> Result<(), StoreError> {
        let key = codec::META_SCRUB.to_vec();
        let value = codec::seal(&key, &at.map(codec::signed_key).unwrap_or_default());
        let put = Put {
            space: Space::Meta,
            key,
            value: Some(value.into()),
        };
        let mut puts = std::iter::once(put);
        self.write(
            "keep where the scrub is",
            &mut puts,
            256,
            Durability::Buffered,
        )
    }
}
