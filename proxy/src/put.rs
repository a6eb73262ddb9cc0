//! Posting, so that the same payload posted again finds the same blob.
//!
//! A batcher repeats a post whose answer got lost, also after this proxy or the batcher was started anew. So nothing about it is remembered
//! here: the salt follows from the payload and the day, and a disperser that has the blob says so. One of yesterday counts, too, if operators
//! still have to hold it for long enough; a frame that is posted again weeks later becomes a new blob.

use std::time::{Duration, Instant};

use ashlar_client::{Certified, Submitted, VerifiedCertificate};
use ashlar_crypto::sha256;
use bytes::Bytes;
use tokio::time::timeout;

use crate::core::{Core, blocking, now_ms};
use crate::failure::Failure;

/// For so long the same payload has the same salt.
pub(crate) const PERIOD: Duration = Duration::from_secs(86_400);

/// The salt of a payload in a period, which is counted from 1970: the first eight bytes of a hash.
pub(crate) fn salt(payload: &[u8], period: u64) -> u64 {
    let hash = sha256(&[b"ashlar/proxy-salt/1", payload, &period.to_be_bytes()]);
    let [a, b, c, d, e, f, g, h, ..] = hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Core {
    /// Posts a payload, or finds it, and waits for its certificate, which is checked.
    pub(crate) async fn put(&self, payload: Bytes) -> Result<VerifiedCertificate, Failure> {
        self.may_write()?;
        if payload.is_empty() {
            return Err(Failure::Request {
                code: "payload.empty",
                reason: "there is nothing to post".to_owned(),
            });
        }
        let (got, max) = (payload.len() as u64, self.config.put.max_payload);
        if got > max {
            return Err(Failure::TooLarge { got, max });
        }
        let (begin, deadline) = (Instant::now(), self.config.put_deadline());
        let done = timeout(deadline, async { self.put_at(payload, now_ms()?).await }).await;
        let late = Failure::Deadline {
            secs: deadline.as_secs(),
        };
        let done = done.unwrap_or(Err(late));
        self.posted(done.as_ref().err());
        if done.is_ok() {
            self.metrics.put_bytes.inc_by(got);
            let took = begin.elapsed().as_secs_f64();
            self.metrics.put_seconds.observe(took);
        }
        done
    }

    /// At this time, in milliseconds since 1970.
    pub(crate) async fn put_at(
        &self,
        payload: Bytes,
        now: u64,
    ) -> Result<VerifiedCertificate, Failure> {
        let period = now / 1000 / PERIOD.as_secs();
        let data = payload.clone();
        let salts = [period, period.saturating_sub(1)];
        let salts = blocking(move || salts.map(|period| salt(&data, period)));
        let [today, yesterday] = salts.await?;
        let (young, old) =
            futures::join!(self.find(&payload, today), self.find(&payload, yesterday));
        let certified = match self.found(young, old, now).await {
            Some(found) => {
                self.metrics.found_again.inc();
                found
            }
            None => {
                let put = self.da.put_and_wait(payload.clone(), self.options(today));
                put.await.map_err(|error| Failure::of_put(&error))?
            }
        };
        let certificate = certified.certificate;
        self.keep_everywhere(&certificate, &payload).await;
        Ok(certificate)
    }

    /// What was posted with this salt. Whatever keeps it from being found, the payload is then posted, under the same name if it is today's.
    async fn find(&self, payload: &Bytes, salt: u64) -> Option<Submitted> {
        let found = self.da.find(payload.clone(), self.options(salt)).await;
        found.ok().flatten()
    }

    /// The certificate of what was found, if it is of use.
    async fn found(
        &self,
        young: Option<Submitted>,
        old: Option<Submitted>,
        now: u64,
    ) -> Option<Certified> {
        // One of today has long enough by its period, whatever clocks say.
        if let Some(young) = young
            && let Some(certified) = self.certified(&young).await
        {
            return Some(certified);
        }
        // One of yesterday that is still under way is not waited for until the end: the payload can be posted anew.
        let old = old?;
        let patience = self.config.put_deadline() / 4;
        let certified = timeout(patience, self.certified(&old)).await.ok()??;
        let least = self.config.put.min_left_secs.saturating_mul(1000);
        let lasts = certified.certificate.held_until_ms() >= now.saturating_add(least);
        lasts.then_some(certified)
    }

    async fn certified(&self, submitted: &Submitted) -> Option<Certified> {
        let waited = self.da.wait(submitted).await;
        if let Err(error) = &waited {
            tracing::info!(id = %submitted.id, %error, "found, and not certified");
        }
        waited.ok()
    }

    /// Before the rollup hears of the certificate: past the retention there may be nothing else.
    async fn keep_everywhere(&self, certificate: &VerifiedCertificate, payload: &Bytes) {
        let stores = [&self.stores.cache, &self.stores.fallback];
        let key = certificate.blob_key().0;
        let kept = stores.into_iter().flatten();
        // A failure is noted, and is nobody's end.
        let kept = kept.map(|store| self.keep(store, &key, payload.clone(), false));
        futures::future::join_all(kept).await;
    }
}
