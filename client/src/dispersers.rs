//! The dispersers that a rollup may post to: post, ask for status and certificate, all of it unchecked.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_proto::api::{BlobState, BlobStatus};
use ashlar_proto::certificate::MAX_CERTIFICATE_BYTES;
use ashlar_proto::{BlobId, BlobKey, Stake, Submission};
use ashlar_service::http::{self, Authorities, Server};
use bytes::Bytes;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Call, pause, random};
use crate::config::{self, Failover, Held, Pays};
use crate::health::{Book, Fault, Health};
use crate::paying::KnownPrices;
use crate::submission::{Post, Prepared, Submitted};
use crate::{ClientError, DispersersConfig, PassedOver, PutOptions, UnverifiedCertificate};

/// Most bytes of a status document.
const MAX_STATUS_BYTES: usize = 1 << 20;

/// A blob as the disperser's paths name it: by the submission's id, or by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlobName {
    /// Known when it is posted.
    Id(BlobId),
    /// Known when it is encoded, and part of the certificate.
    Key(BlobKey),
}

impl From<BlobId> for BlobName {
    fn from(id: BlobId) -> Self {
        Self::Id(id)
    }
}

impl From<BlobKey> for BlobName {
    fn from(key: BlobKey) -> Self {
        Self::Key(key)
    }
}

impl std::fmt::Display for BlobName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

/// One or more dispersers. Nothing that comes from here is checked, so whoever only posts needs to trust nobody; whoever relies
/// on a certificate uses a [`Client`](crate::Client). Cheap to clone; any number of calls may run at once.
#[derive(Clone)]
pub struct Dispersers {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: DispersersConfig,
    pub(crate) http: reqwest::Client,
    pub(crate) servers: Vec<Server>,
    health: Mutex<Book>,
    pub(crate) prices: KnownPrices,
}

/// A question that any disperser may answer.
pub(crate) struct Ask<'a> {
    path: String,
    query: Option<&'a str>,
    accept: &'static str,
    post: Option<&'a Post>,
    /// Most bytes of the answer.
    max: usize,
}

/// Whoever answered.
struct Found<T> {
    index: usize,
    answer: T,
    passed_over: Vec<PassedOver>,
    /// What it may have charged.
    price: Stake,
}

impl Dispersers {
    /// A pool of them.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoDisperser`]; a URL that is none; TLS that cannot be set up for one that is `https`.
    pub fn new(config: DispersersConfig) -> Result<Self, ClientError> {
        let pool = Self::or_none(config)?;
        match pool.inner.servers.is_empty() {
            true => Err(ClientError::NoDisperser),
            false => Ok(pool),
        }
    }

    /// A pool that may be empty: nothing can be posted there.
    pub(crate) fn or_none(config: DispersersConfig) -> Result<Self, ClientError> {
        let embedded = config.embedded.clone().map(Server::local).map(Ok);
        let others = config.urls.iter().map(|url| Server::at(url));
        let servers: Vec<_> = embedded
            .into_iter()
            .chain(others)
            .collect::<Result<_, _>>()?;
        let https = servers.iter().any(Server::is_https);
        let http = http::client(Authorities::needed(https), config.connect_timeout)?;
        let http = http::build(http.read_timeout(config.event_silence))?;
        Ok(Self {
            inner: Arc::new(Inner {
                health: Mutex::new(Book::new(servers.len())),
                prices: KnownPrices::new(servers.len()),
                config,
                http,
                servers,
            }),
        })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &DispersersConfig {
        &self.inner.config
    }

    /// How each disperser does, in the order of the configuration. One that rests is asked only if nobody else works.
    #[must_use]
    pub fn health(&self) -> Vec<(String, Health)> {
        let health = self.inner.health().all().to_vec();
        let urls = self.inner.servers.iter().map(Server::to_string);
        urls.zip(health).collect()
    }

    /// Posts a payload with its commitments, which are computed here (milliseconds a row of 127 kB, on all cores, off
    /// the async runtime). The disperser then only checks them, and cannot certify anything else.
    ///
    /// Repeated attempts post the same submission: a disperser stores it once, whatever happened to its answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the payload or options do not fit, or no disperser accepted it.
    pub async fn put(
        &self,
        payload: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Submitted, ClientError> {
        let (max, options) = (self.inner.config.max_payload, self.inner.named(options)?);
        let prepared = Prepared::committed(payload.into(), &options, max).await?;
        self.inner.post(prepared).await
    }

    /// Posts a payload without commitments: the disperser computes them, and what it certifies is only known to be this
    /// payload once it has been read back.
    ///
    /// # Errors
    ///
    /// As [`Dispersers::put`].
    pub async fn put_raw(
        &self,
        payload: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Submitted, ClientError> {
        let (max, options) = (self.inner.config.max_payload, self.inner.named(options)?);
        let prepared = Prepared::raw(payload.into(), &options, max).await?;
        self.inner.post(prepared).await
    }

    /// What was posted before with this payload, these options and this salt, at the first disperser that has it, unless it failed
    /// there. Each is asked once, all at the same time, and has
    /// [`connect_timeout`](DispersersConfig::connect_timeout) to answer; those that rest are left in peace. Nothing is posted.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the payload or options do not fit. A disperser that does not answer is passed over.
    pub async fn find(
        &self,
        payload: Bytes,
        options: PutOptions,
    ) -> Result<Option<Submitted>, ClientError> {
        let (max, options) = (self.inner.config.max_payload, self.inner.named(options)?);
        let begin = Instant::now();
        // Without commitments: most often there is nothing to find, and the name needs none.
        let raw = Prepared::raw(payload.clone(), &options, max).await?;
        let id = raw.submission.id();
        let ask = &Ask::status(id.into());
        let until = begin + self.inner.config.connect_timeout;
        let asked = self.inner.rested().into_iter().filter_map(|index| {
            let server = self.inner.servers.get(index)?;
            Some(async move {
                let call = self.inner.call(server, ask);
                let answer = call.once(&self.inner.http, 1, until).await;
                (index, answer.and_then(|answer| read_status(&answer.body)))
            })
        });
        for (index, answer) in futures::future::join_all(asked).await {
            match answer {
                Ok(status) if status.id == id && status.state != BlobState::Failed => {
                    let prepared = Prepared::committed(payload, &options, max).await?;
                    let (url, took) = (self.inner.url(index), begin.elapsed());
                    let found = prepared.accepted(url, status, took, Vec::new(), Stake::ZERO);
                    return Ok(Some(found));
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(disperser = self.inner.url(index), %error, "nothing found");
                }
            }
        }
        Ok(None)
    }

    /// The status of a blob, at the first disperser that knows it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Refused`] with status 404 if no disperser knows it.
    pub async fn status(&self, name: impl Into<BlobName>) -> Result<BlobStatus, ClientError> {
        let ask = Ask::status(name.into());
        let found = self.inner.anywhere(&ask, None, read_status).await?;
        Ok(found.answer)
    }

    /// The certificate of a blob, portable or compact, from the first disperser that has it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Refused`] with status 404 if the blob is unknown, 409 if it is not certified yet or has failed.
    pub async fn certificate(
        &self,
        name: impl Into<BlobName>,
        portable: bool,
    ) -> Result<UnverifiedCertificate, ClientError> {
        let ask = Ask::certificate(name.into(), portable);
        let read = UnverifiedCertificate::from_bytes;
        let found = self.inner.anywhere(&ask, None, read).await?;
        Ok(found.answer)
    }
}

impl Inner {
    fn health(&self) -> MutexGuard<'_, Book> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn works(&self, index: usize) {
        self.health().works(index);
    }

    pub(crate) fn failed(&self, index: usize, error: &ClientError) {
        let fault = if error.is_lie() {
            Fault::Lie
        } else {
            Fault::Trouble
        };
        self.note(index, fault, ashlar_crypto::Coded::code(error));
    }

    pub(crate) fn note(&self, index: usize, fault: Fault, code: &'static str) {
        let now = std::time::Instant::now();
        self.health().failed(index, fault, code, now, random());
    }

    /// Those that do not rest.
    fn rested(&self) -> Vec<usize> {
        let (health, now) = (self.health(), std::time::Instant::now());
        let rests = |index: &usize| {
            let one = health.all().get(*index);
            one.and_then(|one| one.rests_until) > Some(now)
        };
        (0..self.servers.len())
            .filter(|index| !rests(index))
            .collect()
    }

    /// The best disperser of which this is not true.
    pub(crate) fn best_but(&self, was_asked: impl Fn(usize) -> bool) -> Option<usize> {
        let order = self.health().order(std::time::Instant::now());
        order.into_iter().find(|index| !was_asked(*index))
    }

    pub(crate) fn url(&self, index: usize) -> String {
        self.servers
            .get(index)
            .map_or_else(String::new, Server::to_string)
    }

    /// Which disperser has a submission.
    pub(crate) fn index_of(&self, submitted: &Submitted) -> Result<usize, ClientError> {
        let place = |server: &Server| server.to_string() == submitted.disperser;
        let index = self.servers.iter().position(place);
        index.ok_or_else(|| ClientError::UnknownDisperser {
            url: submitted.disperser.clone(),
        })
    }

    /// The options, with the account that signs.
    fn named(&self, options: PutOptions) -> Result<PutOptions, ClientError> {
        config::named(options, self.config.account.as_ref())
    }

    fn transfer(&self, bytes: u64) -> Duration {
        Duration::from_millis(bytes.saturating_mul(1000) / self.config.min_rate.max(1))
    }

    pub(crate) fn call<'a>(&self, server: &'a Server, ask: &Ask<'a>) -> Call<'a> {
        let mut url = server.join(&ask.path);
        url.set_query(ask.query);
        Call {
            server,
            url,
            accept: ask.accept,
            signed: Vec::new(),
            post: ask.post,
            timeout: self.config.request_timeout + self.transfer(ask.bytes()),
            max: ask.max,
        }
    }

    async fn post(&self, prepared: Prepared) -> Result<Submitted, ClientError> {
        let begin = Instant::now();
        let id = prepared.submission.id();
        let ask = Ask::post(&prepared.post);
        let found = self
            .anywhere(&ask, Some(&prepared.submission), |body| accepted(body, id))
            .await?;
        let url = self.url(found.index);
        let (took, passed_over) = (begin.elapsed(), found.passed_over);
        Ok(prepared.accepted(url, found.answer, took, passed_over, found.price))
    }

    /// Posts to one disperser, and repeats that.
    pub(crate) async fn post_at(
        &self,
        index: usize,
        submitted: &Submitted,
        until: Instant,
    ) -> Result<BlobStatus, ClientError> {
        let (ask, submission) = (Ask::post(&submitted.post), &submitted.submission);
        let mut attempt = 1;
        loop {
            let error = match self
                .post_once(index, &ask, submission, attempt, until)
                .await
            {
                Ok((body, _)) => return accepted(&body, submitted.id),
                Err(error) => error,
            };
            match pause(&self.config.retry, attempt, &error) {
                Some(wait) if Instant::now() + wait < until => sleep(wait).await,
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Asks the dispersers, the best first, in rounds: one that cannot answer now is asked again as the policy says, and
    /// not before its `Retry-After`; meanwhile the others are. `submission`: what is posted, if something is.
    async fn anywhere<T>(
        &self,
        ask: &Ask<'_>,
        submission: Option<&Submission>,
        read: impl Fn(&[u8]) -> Result<T, ClientError>,
    ) -> Result<Found<T>, ClientError> {
        let until = Instant::now() + self.config.put_deadline + self.transfer(ask.bytes());
        // Each with the time before which it is left in peace, and the attempts made.
        let mut left: Vec<(usize, Instant, u32)> = {
            let order = self.health().order(std::time::Instant::now());
            order
                .into_iter()
                .map(|index| (index, Instant::now(), 0))
                .collect()
        };
        let mut errors: Vec<(usize, ClientError)> = Vec::new();
        let mut asked = BTreeSet::new();
        let mut holder: Option<(Held, usize)> = None;
        loop {
            let mut again = Vec::new();
            for (index, not_before, attempts) in left {
                if not_before > Instant::now() {
                    again.push((index, not_before, attempts));
                    continue;
                }
                let Some(server) = self.servers.get(index) else {
                    continue;
                };
                let attempt = attempts + 1;
                if let (Some(submission), Some((held, from)), true) =
                    (submission, holder, asked.insert(index))
                    && !self.may_go_on(submission, from, index, held, &errors).await
                {
                    return Err(conclude(self, errors));
                }
                let answer = match submission {
                    Some(posted) => self.post_once(index, ask, posted, attempt, until).await,
                    None => {
                        let answer = self
                            .call(server, ask)
                            .once(&self.http, attempt, until)
                            .await;
                        answer.map(|answer| (answer.body.into(), Stake::ZERO))
                    }
                };
                let read = answer.and_then(|(body, price): (Bytes, _)| Ok((read(&body)?, price)));
                let error = match read {
                    Ok((answer, price)) => {
                        self.works(index);
                        let passed_over = self.passed_over(&errors);
                        return Ok(Found {
                            index,
                            answer,
                            passed_over,
                            price,
                        });
                    }
                    Err(error) => error,
                };
                tracing::debug!(disperser = %server, attempt, %error, "passed over");
                // Not to know a blob is no failure.
                if submission.is_some() || error.problem().is_none() {
                    self.failed(index, &error);
                }
                if let Some(wait) = pause(&self.config.retry, attempt, &error) {
                    again.push((index, Instant::now() + wait, attempt));
                }
                let held = held(&error);
                if holder.is_none_or(|(most, _)| most <= held) {
                    holder = Some((held, index));
                }
                errors.retain(|(other, _)| *other != index);
                errors.push((index, error));
            }
            left = again;
            match left.iter().map(|(_, at, _)| *at).min() {
                Some(next) if next < until => sleep_until(next).await,
                _ => return Err(conclude(self, errors)),
            }
        }
    }

    pub(crate) fn passed_over(&self, errors: &[(usize, ClientError)]) -> Vec<PassedOver> {
        errors
            .iter()
            .map(|(index, error)| PassedOver::new(self.url(*index), error))
            .collect()
    }

    /// Says that a blob goes on to another disperser, and what that costs, and asks whether it may.
    pub(crate) async fn may_go_on(
        &self,
        submission: &Submission,
        from: usize,
        to: usize,
        held: Held,
        errors: &[(usize, ClientError)],
    ) -> bool {
        let why = errors.iter().find(|(index, _)| *index == from);
        let why = why.map(|(_, error)| PassedOver::new(self.url(from), error));
        let (id, pays) = (submission.id(), self.pays(submission, from, to, held).await);
        let failover = Failover {
            id,
            pays,
            from: self.url(from),
            to: self.url(to),
            held,
            code: why
                .as_ref()
                .map_or("client.silent", |why| why.code.as_str())
                .to_owned(),
            reason: why.map_or_else(|| "no news of the blob".to_owned(), |why| why.reason),
        };
        if let Some(Pays { price, already }) = pays {
            tracing::warn!(%id, to = failover.to, %price, %already, "a second disperser is paid for the blob");
        }
        tracing::warn!(%id, from = failover.from, to = failover.to, ?held, reason = failover.reason, "the blob goes to another disperser");
        match &self.config.before_failover {
            Some(ask) => ask(&failover),
            None => true,
        }
    }
}

impl<'a> Ask<'a> {
    /// A document of the service.
    pub(crate) fn document(path: String) -> Self {
        Self {
            path,
            query: None,
            accept: "application/json",
            post: None,
            max: MAX_STATUS_BYTES,
        }
    }

    pub(crate) fn status(name: BlobName) -> Self {
        Self::document(format!("v1/blobs/{name}/status"))
    }

    pub(crate) fn certificate(name: BlobName, portable: bool) -> Self {
        Self {
            path: format!("v1/blobs/{name}/certificate"),
            query: portable.then_some("form=portable"),
            accept: "application/octet-stream",
            post: None,
            max: MAX_CERTIFICATE_BYTES,
        }
    }

    /// Most that is transferred, in the direction that counts.
    fn bytes(&self) -> u64 {
        self.post.map_or(self.max, |post| post.body.len()) as u64
    }

    fn post(post: &'a Post) -> Self {
        Self {
            path: "v1/blobs".to_owned(),
            query: post.query.as_deref(),
            accept: "application/json",
            post: Some(post),
            max: MAX_STATUS_BYTES,
        }
    }
}

/// Whether a disperser that answered a post with this may have the blob.
fn held(error: &ClientError) -> Held {
    match error {
        ClientError::Transport { sent: false, .. } | ClientError::Refused { .. } => Held::No,
        _ => Held::Maybe,
    }
}

/// One error of those of all dispersers that were asked.
pub(crate) fn conclude(inner: &Inner, mut errors: Vec<(usize, ClientError)>) -> ClientError {
    let tried = inner.passed_over(&errors);
    let alike = tried.windows(2).all(|pair| match pair {
        [a, b] => a.code == b.code,
        _ => true,
    });
    match errors.pop() {
        None => ClientError::NoDisperser,
        Some((_, error)) if alike => error,
        Some(_) => ClientError::EveryDisperser { tried },
    }
}

fn accepted(body: &[u8], id: BlobId) -> Result<BlobStatus, ClientError> {
    let status = read_status(body)?;
    if status.id == id {
        Ok(status)
    } else {
        Err(ClientError::WrongId {
            got: status.id,
            expected: id,
        })
    }
}

pub(crate) fn read_status(body: &[u8]) -> Result<BlobStatus, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Answer {
        what: "status document",
        reason: error.to_string(),
    })
}
