//! Store, sync, then sign: the one place that asks for signatures.
//!
//! The key is a [`BatchSigner`]: a keystore's secret in this process, or a [`remote`] signer, which is another process with
//! [floors of its own](server).

pub mod remote;
pub mod server;

use std::sync::Arc;
use std::time::Instant;

use ashlar_crypto::Coded;
use ashlar_crypto::bls::{PublicKeyBytes, SecretKey, SignatureBytes};
use ashlar_net::NetError;
use ashlar_proto::wire::ErrorReply;
use ashlar_proto::{BatchDigest, BatchHeader};
use ashlar_service::metrics::seconds;
use prometheus_client::metrics::histogram::Histogram;

use crate::store::{SequenceId, SignedHeader, Store, StoreError};
use crate::validate::VerifiedBatch;

/// An operator's BLS key, wherever it is. All functions block.
pub trait BatchSigner: std::fmt::Debug + Send + Sync + 'static {
    /// The public key: the operator's id is its hash.
    fn public_key(&self) -> PublicKeyBytes;

    /// Signs the digest of a batch that is on disk. The same batch gets the same signature.
    ///
    /// # Errors
    /// There is no signature: it may be asked for again.
    fn sign(&self, batch: &SignedHeader) -> Result<SignatureBytes, SignerError>;

    /// Whether signatures are to be had. `None` if that cannot change: then nobody needs to ask.
    fn is_ready(&self) -> Option<Result<(), SignerError>>;
}

/// A key in this process. The node's own store is what keeps it from signing twice.
impl BatchSigner for SecretKey {
    fn public_key(&self) -> PublicKeyBytes {
        Self::public_key(self).to_bytes()
    }

    fn sign(&self, batch: &SignedHeader) -> Result<SignatureBytes, SignerError> {
        Ok(Self::sign(self, &batch.header.digest().0).to_bytes())
    }

    fn is_ready(&self) -> Option<Result<(), SignerError>> {
        None
    }
}

/// Why there is no signature. The batch is stored, and may be offered again.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "signer", blame = Us)]
pub enum SignerError {
    /// It does not answer in time, or it cannot sign anything now.
    #[error("the remote signer at {address} gives no signatures now: {source}")]
    Unavailable {
        /// Its address.
        address: String,
        /// What happened.
        #[source]
        source: NetError,
    },
    /// It will not sign this batch.
    #[error("the remote signer refuses the batch: {0}")]
    Refused(ErrorReply),
    /// It signs with another key than the configured one.
    #[error("the remote signer's signature is not one of the BLS key {expected}")]
    OtherKey {
        /// The configured key.
        expected: PublicKeyBytes,
    },
}

/// Why a batch is not signed.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "sign")]
pub enum SignError {
    /// It is not known to be on disk, or its number is taken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is on disk, and the key gives no signature.
    #[error(transparent)]
    Signer(#[from] SignerError),
}

/// Asks for signatures: only for a batch that the store has acknowledged as synced.
///
/// ```text
/// VerifiedBatch ──▶ Store::commit: batch + signed record, one atomic write, synced ──▶ sign ──▶ note the signature ──▶ answer
///                     │ other digest under this sequence: refused                                 (not synced: made again,
///                     │ write or sync fails: no signature                                          the same, if lost)
/// ```
#[derive(Debug)]
pub struct Signer {
    key: Arc<dyn BatchSigner>,
    store: Arc<dyn Store>,
    /// What a signature takes.
    seconds: Histogram,
}

impl Signer {
    /// One that stores in `store` and signs with `key`.
    pub fn new(key: Arc<dyn BatchSigner>, store: Arc<dyn Store>) -> Self {
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
    /// [`StoreError::Moved`] if another database signs now; any other [`StoreError`] means that the batch is not known to be on
    /// disk. With a [`SignerError`] it is, and there is no signature.
    pub fn store_and_sign(&self, batch: &VerifiedBatch) -> Result<SignatureBytes, SignError> {
        let record = self.store.commit(batch.record())?;
        if let Some(signature) = record.signature {
            return Ok(signature);
        }
        let started = Instant::now();
        let signature = self.key.sign(&record.offered)?;
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
