//! Payloads by name or by certificate: out of the cache, or fetched, once for everybody who asks at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ashlar_crypto::{Coded, sha256};
use ashlar_net::{Budget, Reservation};
use ashlar_proto::certificate::MAX_CERTIFICATE_BYTES;
use ashlar_proto::{
    BlobHeader, BlobId, BlobKey, Certificate, Submission, VerifiedCertificate, verify_certificate,
};
use ashlar_service::http::{Server, exchange};
use ashlar_service::{ApiError, Health};
use ashlar_stake::{StakeSource, trusted_table};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::cache::{Cache, Entry, Meta};
use super::config::GatewayConfig;
use super::health;
use super::metrics::{Metrics, Via};
use crate::{RetrieveErrorKind, Retriever, Source};

/// A disperser has so long to answer with a certificate.
const CERTIFICATE_TIME: Duration = Duration::from_secs(5);

/// A payload in memory, that is the right one.
#[derive(Debug)]
pub(super) struct Blob {
    pub(super) key: BlobKey,
    pub(super) held_until_ms: u64,
    pub(super) payload: Bytes,
}

type Answer = Result<Arc<Blob>, ApiError>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// What all requests share.
pub(super) struct Payloads {
    pub(super) config: GatewayConfig,
    pub(super) retriever: Retriever,
    pub(super) metrics: Arc<Metrics>,
    health: Arc<Health>,
    stake: Arc<dyn StakeSource>,
    http: reqwest::Client,
    dispersers: Vec<Server>,
    cache: Cache,
    memory: Budget,
    places: Semaphore,
    flights: Mutex<HashMap<[u8; 32], Flight>>,
}

/// A flight that is under way. It is over when this is dropped, also if it panicked.
struct UnderWay {
    payloads: Arc<Payloads>,
    name: [u8; 32],
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut flights = self.payloads.flights();
        flights.remove(&self.name);
        self.payloads.metrics.flights.set(flights.len() as i64);
    }
}

impl Payloads {
    pub(super) fn new(
        config: GatewayConfig,
        retriever: Retriever,
        stake: Arc<dyn StakeSource>,
        http: reqwest::Client,
        dispersers: Vec<Server>,
        cache: Cache,
        (health, metrics): (Arc<Health>, Arc<Metrics>),
    ) -> Self {
        Self {
            memory: Budget::new(config.serve.memory_bytes),
            places: Semaphore::new(config.fetch.places.min(Semaphore::MAX_PERMITS)),
            flights: Mutex::default(),
            config,
            retriever,
            metrics,
            health,
            stake,
            http,
            dispersers,
            cache,
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<[u8; 32], Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self, code: &str, detail: &str) -> ApiError {
        ApiError::busy(code, detail, self.config.serve.retry_after_secs)
    }

    /// What is known of a payload without reading it: for who asks only for that.
    pub(super) fn known(&self, name: &[u8; 32]) -> Option<Meta> {
        let meta = self.cache.find(name)?;
        (meta.checked && self.is_young(&meta)).then_some(meta)
    }

    /// The payload of this key or id.
    pub(super) async fn by_name(self: &Arc<Self>, name: [u8; 32]) -> Answer {
        self.join(name, None).1.await
    }

    /// The payload of a certificate, which is checked first.
    pub(super) async fn by_certificate(self: &Arc<Self>, bytes: Bytes) -> Answer {
        let cert = self.check(bytes.to_vec()).await?;
        let name = cert.blob_key().0;
        let (joined, flight) = self.join(name, Some(cert.clone()));
        match flight.await {
            // It may have had no certificate, or another one.
            Err(_) if joined => self.join(name, Some(cert)).1.await,
            answer => answer,
        }
    }

    /// The flight to a payload, and whether it was under way already. It goes on if who asked goes away.
    fn join(self: &Arc<Self>, name: [u8; 32], cert: Option<VerifiedCertificate>) -> (bool, Flight) {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&name) {
            self.metrics.joined.inc();
            return (true, flight.clone());
        }
        let most = self.config.fetch.places + self.config.fetch.max_waiting;
        if flights.len() >= most {
            let full = self.busy("gateway.full", "too many payloads are being fetched");
            return (false, futures::future::ready(Err(full)).boxed().shared());
        }
        let under_way = UnderWay {
            payloads: Arc::clone(self),
            name,
        };
        let task = tokio::spawn(async move {
            let answer = under_way.payloads.get(name, cert).await;
            drop(under_way);
            answer
        });
        let internal = |_| Err(ashlar_service::api::internal("gateway"));
        let flight = async move { task.await.unwrap_or_else(internal) };
        let flight = flight.boxed().shared();
        flights.insert(name, flight.clone());
        self.metrics.flights.set(flights.len() as i64);
        (false, flight)
    }

    async fn get(self: &Arc<Self>, name: [u8; 32], cert: Option<VerifiedCertificate>) -> Answer {
        let deadline = Instant::now() + self.config.deadline();
        let place = timeout_at(deadline, self.places.acquire()).await;
        let Ok(Ok(_place)) = place else {
            return Err(self.busy("gateway.full", "too many payloads are being fetched"));
        };
        if let Some(blob) = self.cached(&name).await? {
            return Ok(blob);
        }
        let (cert, bytes) = match cert {
            Some(cert) => {
                let bytes = cert.certificate().to_bytes();
                (cert, bytes)
            }
            None => self.certificate(BlobKey(name)).await?,
        };
        let key = cert.blob_key();
        // It was asked for by its id.
        if key.0 != name
            && let Some(meta) = self.cache.find(&key.0)
            && meta.id.0 == name
            && let Some(blob) = self.cached(&key.0).await?
        {
            return Ok(blob);
        }
        self.metrics.cache_misses.inc();
        let memory = self.reserve(cert.blob_header().payload_len)?;
        let payload = self.fetch(&cert).await?;
        let (header, created_at_ms) = (
            cert.blob_header().clone(),
            cert.batch_header().created_at_ms,
        );
        let held_until_ms = cert.held_until_ms();
        let this = Arc::clone(self);
        blocking(move || {
            let id = id_of(&header, &payload);
            if name != key.0 && name != id.0 {
                let detail = "a disperser answered with the certificate of another blob";
                return Err(
                    ApiError::new(502, "gateway.other_blob", detail).with(key, BlobId(name))
                );
            }
            let meta = Meta {
                key,
                id,
                created_at_ms,
                held_until_ms,
                certificate_len: bytes.len() as u64,
                payload_len: payload.len() as u64,
                checked: true,
            };
            let entry = Entry {
                meta,
                certificate: bytes,
                payload,
            };
            let kept = this.cache.insert(&entry);
            let why = kept
                .err()
                .map(|error| format!("a payload cannot be kept: {error}"));
            this.health.set(health::CACHE, why);
            Ok(blob(entry, &memory))
        })
        .await?
    }

    fn reserve(&self, bytes: u64) -> Result<Reservation, ApiError> {
        let full = "too many payloads are being served; try again later";
        let memory = self.memory.try_reserve(bytes);
        memory.ok_or_else(|| self.busy("serving.full", full))
    }

    fn is_young(&self, meta: &Meta) -> bool {
        let most = u64::try_from(self.config.max_age().as_millis()).unwrap_or(u64::MAX);
        let now_ms = now_ms();
        now_ms <= meta.created_at_ms.saturating_add(most) && now_ms <= meta.held_until_ms
    }

    /// A payload that the cache has, and that may be served under today's policy.
    async fn cached(self: &Arc<Self>, name: &[u8; 32]) -> Result<Option<Arc<Blob>>, ApiError> {
        let Some(meta) = self.cache.find(name).filter(|meta| self.is_young(meta)) else {
            return Ok(None);
        };
        let memory = self.reserve(meta.payload_len)?;
        let this = Arc::clone(self);
        let (key, checked) = (meta.key, meta.checked);
        let Some(entry) = blocking(move || this.cache.read(&meta)).await? else {
            return Ok(None);
        };
        if !checked {
            // Written before the gateway started. Its configuration may have changed since.
            match self.check(entry.certificate.clone()).await {
                Ok(_) => self.cache.checked(&key),
                Err(refused) if refused.status() < 500 => {
                    self.cache.drop_entry(&key);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        self.metrics.cache_hits.inc();
        Ok(Some(blob(entry, &memory)))
    }

    /// Checks a certificate under the policy.
    async fn check(&self, bytes: Vec<u8>) -> Result<VerifiedCertificate, ApiError> {
        let stake = Arc::clone(&self.stake);
        let policy = self.config.policy(stake.domain(), now_ms());
        blocking(move || {
            let cert =
                Certificate::from_bytes(&bytes).map_err(|error| ApiError::coded(400, &error))?;
            let block = cert.batch_header.reference_block;
            let table = trusted_table(stake.as_ref(), block).map_err(|error| {
                let detail = format!(
                    "the operator table is not at hand [{}]: {error}",
                    error.code()
                );
                ApiError::new(503, "stake.unavailable", detail)
            })?;
            let checked = verify_certificate(&cert, &table, &policy);
            checked.map_err(|error| ApiError::coded(422, &error))
        })
        .await?
    }

    /// The certificate of a blob, from the first disperser that has a good one. One of another key is taken if nobody has one of
    /// this: the name may be an id.
    async fn certificate(&self, name: BlobKey) -> Result<(VerifiedCertificate, Vec<u8>), ApiError> {
        let unknown = "no disperser knows a blob of this name, or its time is over";
        let mut failure = ApiError::new(404, "blob.unknown", unknown);
        let mut of_id = None;
        for disperser in &self.dispersers {
            let url = disperser.join(&format!("v1/blobs/{name}/certificate"));
            let answer = exchange(
                disperser.send(self.http.get(url)),
                MAX_CERTIFICATE_BYTES,
                CERTIFICATE_TIME,
            )
            .await;
            let found = match answer {
                Ok(answer) if answer.is_success() => {
                    let checked = self.check(answer.body.clone()).await;
                    checked.map(|cert| (cert, answer.body))
                }
                Ok(answer) if answer.status == 404 => continue,
                Ok(answer) => {
                    let told = answer.problem();
                    let status = if told.status == 409 { 409 } else { 502 };
                    let detail = format!("{disperser}: {}", told.detail);
                    Err(ApiError::new(status, &told.code, detail))
                }
                Err(error) => {
                    let detail = format!("{disperser} does not answer: {error}");
                    Err(ApiError::new(502, "gateway.no_answer", detail))
                }
            };
            match found {
                Ok(found) if found.0.blob_key() == name => return Ok(found),
                Ok(found) => of_id = of_id.or(Some(found)),
                Err(error) => {
                    tracing::debug!(%disperser, blob = %name, ?error, "no certificate");
                    failure = error;
                }
            }
        }
        of_id.ok_or(failure)
    }

    async fn fetch(&self, cert: &VerifiedCertificate) -> Result<Vec<u8>, ApiError> {
        let begin = Instant::now();
        let from = match self.dispersers.is_empty() {
            true => Source::Operators,
            false => Source::Auto,
        };
        let fetched = self.retriever.fetch(cert, from).await;
        self.metrics
            .fetch_seconds
            .observe(begin.elapsed().as_secs_f64());
        let report = match &fetched {
            Ok(found) => &found.report,
            Err(error) => &error.report,
        };
        self.metrics.fetched_bytes.inc_by(report.bytes_fetched);
        for skipped in &report.skipped {
            tracing::info!(blob = %report.blob_key, address = skipped.address, code = skipped.code, "skipped: {}", skipped.reason);
        }
        match fetched {
            Ok(found) => {
                let via = found
                    .report
                    .via
                    .map_or_else(String::new, |via| via.to_string());
                self.metrics.fetches.get_or_create(&Via { via }).inc();
                Ok(found.payload)
            }
            Err(error) => {
                let failed = &self.metrics.failed_fetches;
                failed.get_or_create(&error.kind.code().into()).inc();
                let status = match error.kind {
                    RetrieveErrorKind::TooLarge { .. } => 413,
                    RetrieveErrorKind::Deadline { .. } => 504,
                    RetrieveErrorKind::Internal { .. } => 500,
                    RetrieveErrorKind::Table { .. } => 503,
                    _ => 502,
                };
                Err(ApiError::coded(status, &error.kind))
            }
        }
    }
}

fn blob(entry: Entry, memory: &Reservation) -> Arc<Blob> {
    Arc::new(Blob {
        key: entry.meta.key,
        held_until_ms: entry.meta.held_until_ms,
        payload: memory.attach(entry.payload),
    })
}

/// The id under which this payload was posted.
fn id_of(header: &BlobHeader, payload: &[u8]) -> BlobId {
    let submission = Submission {
        version: header.version,
        encoding: header.encoding,
        payload_len: header.payload_len,
        quorums: header.quorums.clone(),
        account: header.account,
        salt: header.salt,
        payload_sha256: sha256(&[payload]),
    };
    submission.id()
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // Before 1970 every certificate is from the future: none is good.
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ashlar_service::api::internal("gateway"))
}
