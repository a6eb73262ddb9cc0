//! Reading: from the cache, the network, the fallback; every byte checked against the certificate, whoever sent it.

use std::time::Instant;

use ashlar_client::{ClientError, UnverifiedCertificate, VerifiedCertificate};
use ashlar_crypto::{Coded as _, Rows};
use ashlar_proto::HeaderError;
use ashlar_proto::certificate::CertificateDecodeError;
use ashlar_retriever::verify::{VerifyError, check_payload};
use bytes::Bytes;
use tokio::time::timeout;

use crate::core::{Core, blocking, now_ms};
use crate::failure::Failure;
use crate::metrics::From;
use crate::store::{Objects, StoreError};

/// A payload that is the certificate's.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) certificate: VerifiedCertificate,
    pub(crate) payload: Bytes,
}

impl Found {
    /// The rows that operators hold: field elements.
    pub(crate) async fn encoded(self) -> Result<Bytes, Failure> {
        let encoding = self.certificate.blob_header().encoding;
        blocking(move || {
            let rows = Rows::from_payload(&self.payload, encoding);
            rows.map(|rows| Bytes::copy_from_slice(rows.as_bytes()))
                .map_err(|error| Failure::later(&error))
        })
        .await?
    }
}

impl Core {
    /// The payload of a certificate. `included_at`: the block of L1 that has it, if the caller says so.
    pub(crate) async fn get(
        &self,
        certificate: &[u8],
        included_at: Option<u64>,
    ) -> Result<Found, Failure> {
        let (begin, deadline) = (Instant::now(), self.config.get_deadline());
        let late = Failure::Deadline {
            secs: deadline.as_secs(),
        };
        let done = timeout(deadline, async {
            let certificate = self.check(certificate, included_at).await?;
            let payload = self.payload(&certificate).await?;
            Ok(Found {
                certificate,
                payload,
            })
        });
        let found: Found = done.await.unwrap_or(Err(late))?;
        let took = begin.elapsed().as_secs_f64();
        self.metrics.get_seconds.observe(took);
        self.metrics.get_bytes.inc_by(found.payload.len() as u64);
        Ok(found)
    }

    /// Checks a certificate, as everybody does at any time.
    pub(crate) async fn check(
        &self,
        certificate: &[u8],
        included_at: Option<u64>,
    ) -> Result<VerifiedCertificate, Failure> {
        let read = UnverifiedCertificate::from_bytes(certificate);
        let unverified = match read {
            Ok(unverified) => unverified,
            Err(error) if self.is_from_the_future(&error).await => {
                return Err(Failure::later(&error));
            }
            Err(error) => return Err(Failure::of_get(&error)),
        };
        let age = self.config.age(included_at);
        let policy = self.da.policy().clone().with_age(age);
        let verified = unverified.verify(&policy).await;
        verified.map_err(|error| Failure::of_get(&error))
    }

    /// Whether it is of a protocol version that this program does not know, and the service uses one: then it is this program that is to be
    /// renewed, and not the certificate that is to be dropped.
    async fn is_from_the_future(&self, error: &ClientError) -> bool {
        let ClientError::CertificateMalformed(CertificateDecodeError::Header(
            HeaderError::Version(_),
        )) = error
        else {
            return false;
        };
        let Some(stake) = self.stake.clone() else {
            return false;
        };
        let newest = blocking(move || stake.newest()).await;
        match newest {
            Ok(Ok(table)) => {
                let mut versions = table.versions().iter();
                versions.any(|version| ashlar_proto::version(*version).is_err())
            }
            // Nobody knows.
            Ok(Err(_)) | Err(_) => true,
        }
    }

    async fn payload(&self, certificate: &VerifiedCertificate) -> Result<Bytes, Failure> {
        let stores = &self.stores;
        let (kept, spoilt) = self.kept(stores.cache.as_ref(), certificate).await;
        if let Some(payload) = kept {
            return Ok(self.read_from("cache", payload));
        }
        let key = certificate.blob_key().0;
        let (payload, from, spoilt_fallback) = self.fetched(certificate).await?;
        if let Some(cache) = &stores.cache {
            // A failure is noted, and is nobody's end.
            let _ = self.keep(cache, &key, payload.clone(), spoilt).await;
        }
        if let Some(fallback) = stores.fallback.as_ref().filter(|_| from == "network")
            && (spoilt_fallback || !fallback.has(&key, payload.len() as u64).await)
        {
            let kept = self.keep(fallback, &key, payload.clone(), spoilt_fallback);
            let _ = kept.await;
        }
        Ok(self.read_from(from, payload))
    }

    /// From the network or the fallback, with its name, and whether the fallback has something else.
    async fn fetched(
        &self,
        certificate: &VerifiedCertificate,
    ) -> Result<(Bytes, &'static str, bool), Failure> {
        let fallback = self.stores.fallback.as_ref();
        // Past the retention operators have nothing, and are asked last.
        let is_over = now_ms()? > certificate.held_until_ms();
        let mut spoilt = false;
        if is_over {
            let (kept, other) = self.kept(fallback, certificate).await;
            if let Some(payload) = kept {
                return Ok((payload, "fallback", false));
            }
            spoilt = other;
        }
        // Operators that are silent leave time for the fallback.
        let patience = match fallback.is_some() && !is_over {
            true => self.config.get_deadline() / 2,
            false => self.config.get_deadline(),
        };
        let failure = match timeout(patience, self.da.get(certificate)).await {
            Ok(Ok(found)) => return Ok((found.payload.into(), "network", spoilt)),
            Ok(Err(error)) => Failure::of_get(&error),
            Err(_) => Failure::Deadline {
                secs: patience.as_secs(),
            },
        };
        if is_over || matches!(failure, Failure::Invalid { .. }) {
            return Err(failure);
        }
        let (kept, _) = self.kept(fallback, certificate).await;
        let payload = kept.ok_or(failure)?;
        Ok((payload, "fallback", false))
    }

    fn read_from(&self, from: &'static str, payload: Bytes) -> Bytes {
        self.metrics.reads.get_or_create(&From { from }).inc();
        payload
    }

    /// What a store has of a certificate's payload, if it is the right one, and whether something else is there.
    async fn kept(
        &self,
        store: Option<&Objects>,
        certificate: &VerifiedCertificate,
    ) -> (Option<Bytes>, bool) {
        let Some(store) = store else {
            return (None, false);
        };
        let found = self.checked(store, certificate).await;
        match self.noted(store, found) {
            Ok(found) => (found, false),
            Err(error) => (None, matches!(error, StoreError::Damaged { .. })),
        }
    }

    async fn checked(
        &self,
        store: &Objects,
        certificate: &VerifiedCertificate,
    ) -> Result<Option<Bytes>, StoreError> {
        let (key, header) = (certificate.blob_key().0, certificate.blob_header().clone());
        let Some(payload) = store.read(&key, header.payload_len).await? else {
            return Ok(None);
        };
        let bytes = payload.clone();
        let checked = blocking(move || {
            if bytes.len() as u64 != header.payload_len {
                return Err(VerifyError::Commitments);
            }
            check_payload(&header, &bytes)
        });
        match checked.await {
            Ok(Ok(())) => Ok(Some(payload)),
            Ok(Err(_)) => Err(store.damaged(&key)),
            Err(failure) => Err(StoreError::Failed {
                name: store.name,
                reason: format!(
                    "what it has could not be checked: {failure} [{}]",
                    failure.code()
                ),
            }),
        }
    }
}
