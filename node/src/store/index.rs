//! Certificates of batches, which make up the index, and what is taken from the index of others.

use ashlar_proto::wire::CertifiedBatch;
use ashlar_proto::{BatchDigest, Certificate};

use super::codec::{self, Kind};
use super::{
    Backend, Durability, IndexProgress, Put, SignedRecord, Space, Store, StoreError, TableStore,
    WindowId,
};

/// Bytes of a certificate and a record, for the size of a write.
const ENTRY: usize = 4096;

impl<B: Backend> TableStore<B> {
    pub(super) fn write_certificate(
        &self,
        record: &SignedRecord,
        certificate: &Certificate,
    ) -> Result<(), StoreError> {
        self.check_record(record)?;
        let mut put = std::iter::once(self.certificate_put(record, certificate));
        self.write("keep a certificate", &mut put, ENTRY, Durability::Buffered)
    }

    fn certificate_put(&self, record: &SignedRecord, certificate: &Certificate) -> Put {
        let key = codec::certificate_key(&record.digest);
        let value = codec::encode_certified(&key, certificate, &record.offered.signature);
        Put {
            space: Space::Window(record.window),
            key,
            value: Some(value.into()),
        }
    }

    pub(super) fn read_certificate(
        &self,
        digest: &BatchDigest,
    ) -> Result<Option<CertifiedBatch>, StoreError> {
        let key = codec::certificate_key(digest);
        self.find("read a certificate", &key)?
            .map(|value| codec::decode_certified(&key, &value))
            .transpose()
    }

    pub(super) fn list_certified(
        &self,
        window: WindowId,
        after: Option<BatchDigest>,
        limit: usize,
    ) -> Result<Vec<(BatchDigest, Option<CertifiedBatch>)>, StoreError> {
        let after = after.map(|digest| codec::certificate_key(&digest));
        let prefix = [Kind::Certificate as u8];
        let page = self.page(Space::Window(window), &prefix, after.as_deref(), limit)?;
        page.iter()
            .map(|(key, value)| {
                let digest = codec::digest_of_key(Kind::Certificate, key).ok_or_else(|| {
                    StoreError::Corrupt {
                        what: "a certificate",
                        detail: format!("key {}: no digest", hex::encode(key)),
                    }
                })?;
                let certified = codec::decode_certified(key, value);
                let certified =
                    certified.inspect_err(|error| tracing::warn!(%error, "left out of the index"));
                Ok((digest, certified.ok()))
            })
            .collect()
    }

    pub(super) fn write_promise(
        &self,
        record: &SignedRecord,
        certificate: &Certificate,
    ) -> Result<bool, StoreError> {
        let at = record.at;
        let _one_at_a_time = self.lock_sequence(&at);
        match self.signed(&at) {
            Ok(Some(known)) if known.digest == record.digest => return Ok(false),
            Ok(Some(known)) => {
                return Err(StoreError::Conflict {
                    at,
                    existing: known.digest,
                    offered: record.digest,
                });
            }
            // One that is damaged is what the certificate says.
            Ok(None) | Err(StoreError::Corrupt { .. }) => {}
            Err(error) => return Err(error),
        }
        let key = codec::signed_key(&at);
        let signed = Put {
            space: Space::Signed,
            value: Some(codec::encode_signed(&key, record).into()),
            key,
        };
        let mut puts = [signed, self.certificate_put(record, certificate)].into_iter();
        self.write("note a promise", &mut puts, ENTRY, Durability::Buffered)?;
        Ok(true)
    }

    pub(super) fn read_index_progress(&self) -> Result<Option<IndexProgress>, StoreError> {
        let key = codec::META_INDEX;
        self.get("read how far the index is", Space::Meta, key)?
            .map(|value| codec::decode_index_progress(key, &value))
            .transpose()
    }

    pub(super) fn write_index_progress(&self, progress: &IndexProgress) -> Result<(), StoreError> {
        let key = codec::META_INDEX.to_vec();
        let value = codec::encode_index_progress(&key, progress);
        self.put("keep how far the index is", Space::Meta, vec![(key, value)])
    }
}
