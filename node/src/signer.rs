//! Store, sync, then sign: the one place that makes signatures.

use std::sync::Arc;
use std::time::Instant;

use ashlar_crypto::bls::{SecretKey, SignatureBytes};
use ashlar_proto::{BatchDigest, BatchHeader};
use ashlar_service::metrics::seconds;
use prometheus_client::metrics::histogram::Histogram;

use crate::store::{SequenceId, Store, StoreError};
use crate::validate::VerifiedBatch;

/// Holds the BLS key. A signature leaves it only for a batch that the store has acknowledged as synced.
///
/// ```text
/// VerifiedBatch ──▶ Store::commit: batch + signed record, one atomic write, synced ──▶ sign ──▶ note the signature ──▶ answer
///                     │ other digest under this sequence: refused                                 (not synced: made again,
///                     │ write or sync fails: no signature                                          the same, if lost)
/// ```
#[derive(Debug)]
pub struct Signer {
    key: SecretKey,
    store: Arc<dyn Store>,
    /// What a signature takes.
    seconds: Histogram,
}

impl Signer {
    /// One that stores in `store` and signs with `key`.
    pub fn new(key: SecretKey, store: Arc<dyn Store>) -> Self {
        Self {
            key,
            store,
            seconds: seconds(),
        }
    }

    /// With a histogram for the time that signatures take.
    #[must_use]
    pub fn timed(self, seconds: Histogram) -> Self {
        Self { seconds, ..self }
    }

    /// The signature given for this batch before, if there is one and the batch is still held. `Ok(None)` if nothing was
    /// signed under its number.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another batch has that number, [`StoreError::BelowFloor`] if it is spent; or the store cannot
    /// be read.
    pub fn known(
        &self,
        header: &BatchHeader,
        digest: &BatchDigest,
    ) -> Result<Option<SignatureBytes>, StoreError> {
        let at = SequenceId::of(header);
        let Some(record) = self.store.signed(&at)? else {
            // Before megabytes are received for a number that is spent.
            self.store.may_promise(&at)?;
            return Ok(None);
        };
        if record.digest != *digest {
            return Err(StoreError::Conflict {
                at,
                existing: record.digest,
                offered: *digest,
            });
        }
        if record.signature.is_none() || self.store.batch(digest)?.is_none() {
            // A crash between sync and signature, or expired data: the long way decides.
            return Ok(None);
        }
        Ok(record.signature)
    }

    /// Stores, syncs, signs. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if another batch has its number, [`StoreError::BelowFloor`] if that is spent,
    /// [`StoreError::Moved`] if another database signs now; any other error means that the batch is not known to be on disk. No
    /// signature exists then.
    pub fn store_and_sign(&self, batch: &VerifiedBatch) -> Result<SignatureBytes, StoreError> {
        let record = self.store.commit(batch.record())?;
        if let Some(signature) = record.signature {
            return Ok(signature);
        }
        let started = Instant::now();
        let signature = self.key.sign(&record.digest.0).to_bytes();
        self.seconds.observe(started.elapsed().as_secs_f64());
        let mut signed = record;
        signed.signature = Some(signature);
        if let Err(error) = self.store.record_signature(&signed) {
            // The promise is on disk; the signature can be made again.
            tracing::warn!(%error, digest = %signed.digest, "could not note a signature");
        }
        Ok(signature)
    }
}
