//! Watching a blob until it is certified, at the disperser that accepted it and, if that fails, at others, too.

use std::collections::{BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ashlar_proto::VerifiedCertificate;
use ashlar_proto::api::{BlobState, BlobStatus, StatusError};
use ashlar_service::http::{self, Server, chain};
use ashlar_service::problem::MAX_PROBLEM_BYTES;
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::config::Held;
use crate::dispersers::{Ask, Dispersers, Inner, conclude, read_status};
use crate::health::Fault;
use crate::sse::Parser;
use crate::submission::Submitted;
use crate::{ClientError, PassedOver, Policy, UnverifiedCertificate};

/// First and longest pause between two looks at a blob whose events cannot be had.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A blob that is certified.
#[derive(Clone, Debug)]
pub struct Certified<C = VerifiedCertificate> {
    /// The certificate, for the blob that was submitted.
    pub certificate: C,
    /// The blob's last status there.
    pub status: BlobStatus,
    /// Base URL of the disperser whose certificate it is.
    pub disperser: String,
    /// Those that were watched, too, and have failed.
    pub passed_over: Vec<PassedOver>,
}

struct Events {
    answer: reqwest::Response,
    parser: Parser,
    ready: VecDeque<BlobStatus>,
}

/// What all that watch one blob share.
struct News<P> {
    progress: P,
    /// When something was new.
    at: Instant,
}

impl Dispersers {
    /// The states of a blob as they change, from the present one on: the stream ends behind `certified` or `failed`, or
    /// with an error when the connection breaks ([`Dispersers::wait_checked`] opens it again).
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the disperser cannot be reached, or does not know the blob.
    pub async fn events(
        &self,
        submitted: &Submitted,
    ) -> Result<impl Stream<Item = Result<BlobStatus, ClientError>> + Send + 'static, ClientError>
    {
        let index = self.inner.index_of(submitted)?;
        let server = self
            .inner
            .servers
            .get(index)
            .ok_or(ClientError::NoDisperser)?;
        self.inner.events(server, submitted).await
    }

    /// Waits until a blob is certified, and checks that the certificate is for what was submitted and that it holds.
    /// `progress` is called with every status that brings a new state.
    ///
    /// Watches the events of the disperser that accepted the blob; where events cannot be had, or break off, it asks for the
    /// status with growing pauses, and a disperser that restarts meanwhile is waited for. If nothing is new there for
    /// [`failover_after`](crate::DispersersConfig::failover_after), or that disperser fails or sends a certificate that does not
    /// hold, the same submission is posted to the next one, and both are watched. The first certificate that holds is the
    /// result; of several that come at once, that of the disperser that was asked first.
    ///
    /// # Errors
    ///
    /// [`ClientError::Failed`], [`ClientError::Deadline`]; a certificate that is malformed, refused, or another blob's;
    /// [`ClientError::EveryDisperser`] if several failed in different ways.
    pub async fn wait_checked(
        &self,
        submitted: &Submitted,
        policy: &Policy,
        deadline: Duration,
        progress: impl FnMut(&BlobStatus) + Send,
    ) -> Result<Certified, ClientError> {
        let judge =
            |certificate: UnverifiedCertificate| async move { certificate.verify(policy).await };
        self.inner
            .wait(
                submitted,
                policy.needs_portable(),
                deadline,
                progress,
                judge,
            )
            .await
    }

    /// The same without the check: for tools that keep the compact certificate for somebody who has an operator table.
    /// Then only the disperser says that the blob is available.
    ///
    /// # Errors
    ///
    /// [`ClientError::Failed`], [`ClientError::Deadline`]; a certificate that is malformed, or another blob's.
    pub async fn wait_unverified(
        &self,
        submitted: &Submitted,
        deadline: Duration,
        progress: impl FnMut(&BlobStatus) + Send,
    ) -> Result<Certified<UnverifiedCertificate>, ClientError> {
        let judge = |certificate| async move { Ok(certificate) };
        self.inner
            .wait(submitted, false, deadline, progress, judge)
            .await
    }
}

impl Inner {
    async fn wait<T: Send, F: Future<Output = Result<T, ClientError>> + Send>(
        &self,
        submitted: &Submitted,
        portable: bool,
        deadline: Duration,
        mut progress: impl FnMut(&BlobStatus) + Send,
        judge: impl Fn(UnverifiedCertificate) -> F + Sync,
    ) -> Result<Certified<T>, ClientError> {
        let start = Instant::now();
        let until = start + deadline;
        let first = self.index_of(submitted)?;
        progress(&submitted.status);
        let news = Mutex::new(News {
            progress,
            at: start,
        });
        let tell = |last: &mut BlobStatus, status: &BlobStatus| {
            let mut news = news.lock().unwrap_or_else(PoisonError::into_inner);
            if last != status {
                news.at = Instant::now();
            }
            if last.state != status.state {
                (news.progress)(status);
            }
            last.clone_from(status);
        };
        let follow = |index: usize| -> BoxFuture<'_, Result<(BlobStatus, T), ClientError>> {
            let (tell, judge) = (&tell, &judge);
            let followed = async move {
                let server = self.servers.get(index).ok_or(ClientError::NoDisperser)?;
                let mut last = submitted.status.clone();
                if index != first {
                    let status = self.post_at(index, submitted, until).await?;
                    tell(&mut last, &status);
                }
                let watched = self.watch(server, submitted, &mut last, tell);
                let status = match timeout_at(until, watched).await {
                    Ok(status) => status?,
                    Err(_) => {
                        return Err(ClientError::Deadline {
                            after_ms: u64::try_from(start.elapsed().as_millis())
                                .unwrap_or(u64::MAX),
                            state: last.state,
                        });
                    }
                };
                if status.state == BlobState::Failed {
                    return Err(ClientError::Failed(status.error.unwrap_or(StatusError {
                        code: "unknown".to_owned(),
                        message: "the disperser gives no reason".to_owned(),
                    })));
                }
                // A little time is left for the certificate, even if the last event came in the last moment.
                let until = until.max(Instant::now() + self.config.request_timeout);
                let certificate = self
                    .fetch_certificate(server, submitted, portable, until)
                    .await?;
                submitted.check_is_ours(&certificate.unverified().blob_header)?;
                Ok((status, judge(certificate).await?))
            };
            followed.boxed()
        };

        let mut watched = vec![(first, follow(first))];
        let mut asked = BTreeSet::from([first]);
        let mut errors: Vec<(usize, ClientError)> = Vec::new();
        let mut allowed = true;
        loop {
            let quiet = {
                let news = news.lock().unwrap_or_else(PoisonError::into_inner);
                news.at + self.config.failover_after
            };
            let next = self.best_but(|index| asked.contains(&index));
            let next = next.filter(|_| allowed && Instant::now() < until);
            let ended = tokio::select! {
                biased;
                ended = first_of(&mut watched), if !watched.is_empty() => Some(ended),
                () = sleep_until(quiet), if next.is_some() => None,
            };
            let from = match ended {
                Some((index, Ok((status, certificate)))) => {
                    self.works(index);
                    return Ok(Certified {
                        certificate,
                        status,
                        disperser: self.url(index),
                        passed_over: self.passed_over(&errors),
                    });
                }
                Some((_, Err(error))) if error.is_ours() => return Err(error),
                Some((index, Err(error))) => {
                    tracing::debug!(disperser = self.url(index), %error, "watched in vain");
                    // Our patience and our tables are not its fault.
                    if !matches!(error, ClientError::Deadline { .. } | ClientError::Table(_)) {
                        self.failed(index, &error);
                    }
                    errors.push((index, error));
                    index
                }
                None => {
                    let mut news = news.lock().unwrap_or_else(PoisonError::into_inner);
                    let now = Instant::now();
                    if news.at + self.config.failover_after > now {
                        continue;
                    }
                    news.at = now;
                    // The first of those that are still watched; none is left out of the book for being slow twice.
                    let slow = watched.first().map_or(first, |(index, _)| *index);
                    self.note(slow, Fault::Trouble, "client.silent");
                    slow
                }
            };
            // A failure looks for the next one itself: the one found above may just have become worse.
            let next = self.best_but(|index| asked.contains(&index));
            if let Some(to) = next.filter(|_| allowed && Instant::now() < until) {
                let submission = &submitted.submission;
                let going = self.may_go_on(submission, from, to, Held::Yes, &errors);
                allowed = going.await;
                if allowed {
                    asked.insert(to);
                    watched.push((to, follow(to)));
                }
            }
            if watched.is_empty() {
                let late = |(_, error): &(usize, ClientError)| {
                    matches!(error, ClientError::Deadline { .. })
                };
                return Err(match errors.iter().position(late) {
                    Some(at) => errors.swap_remove(at).1,
                    None => conclude(self, errors),
                });
            }
        }
    }

    /// Ends with a final status, or with an error that waiting does not mend.
    async fn watch(
        &self,
        server: &Server,
        submitted: &Submitted,
        last: &mut BlobStatus,
        tell: &(impl Fn(&mut BlobStatus, &BlobStatus) + Sync),
    ) -> Result<BlobStatus, ClientError> {
        if last.state.is_final() {
            return Ok(last.clone());
        }
        let mut pause = PAUSES.0;
        loop {
            let round = Instant::now();
            match self.events(server, submitted).await {
                Ok(events) => {
                    let mut events = std::pin::pin!(events);
                    while let Some(Ok(status)) = events.next().await {
                        // A failure may be history: events are told from the first, and a blob that failed may
                        // have been posted again since. The status says.
                        if status.id != submitted.id || status.state == BlobState::Failed {
                            break;
                        }
                        if status.state != last.state {
                            pause = PAUSES.0;
                        }
                        tell(last, &status);
                        if status.state.is_final() {
                            return Ok(status);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "no events"),
            }
            match self.poll_status(server, submitted).await {
                Ok(status) if status.id == submitted.id => {
                    tell(last, &status);
                    if status.state.is_final() {
                        return Ok(status);
                    }
                }
                Ok(status) => {
                    return Err(ClientError::WrongId {
                        got: status.id,
                        expected: submitted.id,
                    });
                }
                // It restarts, or the way to it is broken: the deadline decides.
                Err(ClientError::Transport { .. }) => {}
                Err(ClientError::Refused { problem, .. })
                    if problem.status >= 500 || problem.status == 429 => {}
                Err(error) => return Err(error),
            }
            sleep_until(round + pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn events(
        &self,
        server: &Server,
        submitted: &Submitted,
    ) -> Result<
        impl Stream<Item = Result<BlobStatus, ClientError>> + Send + 'static + use<>,
        ClientError,
    > {
        let url = server.join(&format!("v1/blobs/{}/events", submitted.id));
        let broken = |url: String, reason: String| ClientError::Transport {
            url,
            attempts: 1,
            sent: true,
            reason,
        };
        let accept = (reqwest::header::ACCEPT, "text/event-stream");
        let request = self.http.get(url.clone()).header(accept.0, accept.1);
        let until = Instant::now() + self.config.request_timeout;
        let late = |_| broken(url.to_string(), "no answer in time".to_owned());
        let answer = timeout_at(until, server.send(request))
            .await
            .map_err(late)?
            .map_err(|error| broken(url.to_string(), chain(&error.without_url())))?;
        if answer.status().as_u16() != 200 {
            let answer = timeout_at(until, http::read(answer, MAX_PROBLEM_BYTES))
                .await
                .map_err(late)?
                .map_err(|error| broken(url.to_string(), error.to_string()))?;
            return Err(ClientError::Refused {
                problem: Box::new(answer.problem()),
                retry_after: answer.retry_after,
            });
        }
        let events = Events {
            answer,
            parser: Parser::new(),
            ready: VecDeque::new(),
        };
        Ok(stream::try_unfold(Some(events), move |events| {
            let url = url.to_string();
            async move {
                let Some(mut events) = events else {
                    return Ok(None);
                };
                loop {
                    if let Some(status) = events.ready.pop_front() {
                        let next = (!status.state.is_final()).then_some(events);
                        return Ok(Some((status, next)));
                    }
                    let chunk = events
                        .answer
                        .chunk()
                        .await
                        .map_err(|error| broken(url.clone(), chain(&error.without_url())))?
                        .ok_or_else(|| {
                            broken(url.clone(), "the stream of events ended".to_owned())
                        })?;
                    let fed = events
                        .parser
                        .feed(&chunk)
                        .map_err(|error| ClientError::Answer {
                            what: "stream of events",
                            reason: error.to_string(),
                        })?;
                    for event in fed {
                        events.ready.push_back(read_status(event.data.as_bytes())?);
                    }
                }
            }
        }))
    }

    async fn poll_status(
        &self,
        server: &Server,
        submitted: &Submitted,
    ) -> Result<BlobStatus, ClientError> {
        let call = self.call(server, &Ask::status(submitted.id.into()));
        let until = Instant::now() + self.config.request_timeout;
        read_status(&call.send(&self.http, &self.config.retry, until).await?)
    }

    async fn fetch_certificate(
        &self,
        server: &Server,
        submitted: &Submitted,
        portable: bool,
        until: Instant,
    ) -> Result<UnverifiedCertificate, ClientError> {
        let call = self.call(server, &Ask::certificate(submitted.id.into(), portable));
        let body = call.send(&self.http, &self.config.retry, until).await?;
        UnverifiedCertificate::from_bytes(&body)
    }
}

/// The first future that is ready, by their order if several are; it is taken out.
async fn first_of<T>(futures: &mut Vec<(usize, BoxFuture<'_, T>)>) -> (usize, T) {
    poll_fn(|context| {
        for at in 0..futures.len() {
            let Some((index, future)) = futures.get_mut(at) else {
                continue;
            };
            let index = *index;
            if let Poll::Ready(result) = future.poll_unpin(context) {
                drop(futures.remove(at));
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    })
    .await
}
