//! Watching a blob until it is certified, and checking the certificate against what was submitted.

use std::time::Duration;

use ashlar_proto::api::{BlobState, BlobStatus, StatusError};
use ashlar_proto::certificate::MAX_CERTIFICATE_BYTES;
use ashlar_proto::{BlobHeader, Certificate, VerifiedCertificate};
use ashlar_service::http::{self, BaseUrl, chain};
use ashlar_service::problem::MAX_PROBLEM_BYTES;
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::api::Call;
use crate::client::{BlobName, Client, Submitted, certificate_path, read_status};
use crate::sse::Parser;
use crate::{ClientError, Trust, UnverifiedCertificate, WaitOptions};

/// Longest pause between two looks at a blob whose events cannot be had.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// A blob that is certified, and whose certificate was checked.
#[derive(Clone, Debug)]
pub struct Certified {
    /// The certificate, for the blob that was submitted.
    pub certificate: VerifiedCertificate,
    /// The blob's last status.
    pub status: BlobStatus,
}

/// A blob that its disperser says is certified.
#[derive(Clone, Debug)]
pub struct UnverifiedCertified {
    /// The certificate, for the blob that was submitted, and not checked otherwise.
    pub certificate: UnverifiedCertificate,
    /// The blob's last status.
    pub status: BlobStatus,
}

struct Events {
    answer: reqwest::Response,
    parser: Parser,
    ready: std::collections::VecDeque<BlobStatus>,
}

impl Client {
    /// The states of a blob as they change, from the present one on: the stream ends behind `certified` or `failed`, or
    /// with an error when the connection breaks ([`Client::wait_certified`] opens it again).
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the disperser cannot be reached, or does not know the blob.
    pub async fn events(
        &self,
        submitted: &Submitted,
    ) -> Result<impl Stream<Item = Result<BlobStatus, ClientError>> + Send + 'static, ClientError>
    {
        let base = self.inner.base_of(submitted)?;
        self.open_events(&base, submitted.id.into()).await
    }

    async fn open_events(
        &self,
        base: &BaseUrl,
        name: BlobName,
    ) -> Result<
        impl Stream<Item = Result<BlobStatus, ClientError>> + Send + 'static + use<>,
        ClientError,
    > {
        let url = base.join(&format!("v1/blobs/{name}/events"));
        let broken = |url: String, reason: String| ClientError::Transport {
            url,
            attempts: 1,
            reason,
        };
        let request = self
            .inner
            .http
            .get(url.clone())
            .header(reqwest::header::ACCEPT, "text/event-stream");
        let until = Instant::now() + self.inner.config.request_timeout;
        let answer = timeout_at(until, request.send())
            .await
            .map_err(|_| broken(url.to_string(), "no answer in time".to_owned()))?
            .map_err(|error| broken(url.to_string(), chain(&error.without_url())))?;
        if answer.status().as_u16() != 200 {
            let answer = timeout_at(until, http::read(answer, MAX_PROBLEM_BYTES))
                .await
                .map_err(|_| broken(url.to_string(), "no answer in time".to_owned()))?
                .map_err(|error| broken(url.to_string(), error.to_string()))?;
            return Err(ClientError::Refused(Box::new(answer.problem())));
        }
        let events = Events {
            answer,
            parser: Parser::new(),
            ready: std::collections::VecDeque::new(),
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

    /// Waits until a blob is certified, and checks that the certificate is for what was submitted and that it holds.
    /// `progress` is called with every status that brings a new state.
    ///
    /// Watches the events of the disperser that accepted the blob, and of no other. If that one is gone for good, the
    /// blob has to be posted to another. Where events cannot be had, or break off, it asks for the status with growing
    /// pauses. A disperser that restarts meanwhile is waited for.
    ///
    /// # Errors
    ///
    /// [`ClientError::Failed`], [`ClientError::Deadline`]; a certificate that is malformed, refused, or another blob's.
    pub async fn wait_certified(
        &self,
        submitted: &Submitted,
        options: WaitOptions,
        progress: impl FnMut(&BlobStatus) + Send,
    ) -> Result<Certified, ClientError> {
        let portable = matches!(options.trust, Trust::Root(_));
        let said = self
            .wait_for_certificate(submitted, options.deadline, portable, progress)
            .await?;
        let verified = said.certificate.verify(&options.trust, &options.policy);
        Ok(Certified {
            certificate: verified.await?,
            status: said.status,
        })
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
    ) -> Result<UnverifiedCertified, ClientError> {
        self.wait_for_certificate(submitted, deadline, false, progress)
            .await
    }

    async fn wait_for_certificate(
        &self,
        submitted: &Submitted,
        deadline: Duration,
        portable: bool,
        mut progress: impl FnMut(&BlobStatus) + Send,
    ) -> Result<UnverifiedCertified, ClientError> {
        let start = Instant::now();
        let deadline = start + deadline;
        let mut last = submitted.status.state;
        progress(&submitted.status);
        let watched = timeout_at(deadline, self.watch(submitted, &mut last, &mut progress)).await;
        let late = |last| ClientError::Deadline {
            after_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
            state: last,
        };
        let status = match watched {
            Ok(result) => result?,
            Err(_) => return Err(late(last)),
        };
        if status.state == BlobState::Failed {
            let error = status.error.unwrap_or(StatusError {
                code: "unknown".to_owned(),
                message: "the disperser gives no reason".to_owned(),
            });
            return Err(ClientError::Failed(error));
        }
        // A little time is left for the certificate, even if the last event came in the last moment.
        let until = deadline.max(Instant::now() + self.inner.config.request_timeout);
        let certificate = self.fetch_certificate(submitted, portable, until).await?;
        check_is_ours(submitted, &certificate.blob_header)?;
        Ok(UnverifiedCertified {
            certificate: UnverifiedCertificate::new(certificate),
            status,
        })
    }

    /// Ends with a final status, or with an error that waiting does not mend.
    async fn watch(
        &self,
        submitted: &Submitted,
        last: &mut BlobState,
        progress: &mut (impl FnMut(&BlobStatus) + Send),
    ) -> Result<BlobStatus, ClientError> {
        let base = self.inner.base_of(submitted)?;
        let name = BlobName::Id(submitted.id);
        if submitted.status.state.is_final() {
            return Ok(submitted.status.clone());
        }
        let mut pause = Duration::from_millis(100);
        loop {
            let round = Instant::now();
            match self.open_events(&base, name).await {
                Ok(events) => {
                    let mut events = std::pin::pin!(events);
                    while let Some(Ok(status)) = events.next().await {
                        // A failure may be history: events are told from the first, and a blob that failed may
                        // have been posted again since. The status says.
                        if status.id != submitted.id || status.state == BlobState::Failed {
                            break;
                        }
                        if status.state != *last {
                            *last = status.state;
                            pause = Duration::from_millis(100);
                            progress(&status);
                        }
                        if status.state.is_final() {
                            return Ok(status);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "no events"),
            }
            match self.poll_status(&base, name).await {
                Ok(status) if status.id == submitted.id => {
                    if status.state != *last {
                        *last = status.state;
                        progress(&status);
                    }
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
                Err(ClientError::Refused(problem))
                    if problem.status >= 500 || problem.status == 429 => {}
                Err(error) => return Err(error),
            }
            sleep_until(round + pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    async fn poll_status(&self, base: &BaseUrl, name: BlobName) -> Result<BlobStatus, ClientError> {
        let url = base.join(&format!("v1/blobs/{name}/status"));
        let timeout = self.inner.config.request_timeout;
        let call = Call::get(url, "application/json", timeout);
        let answer = self
            .inner
            .send(&call, 1 << 20, Instant::now() + timeout)
            .await?;
        read_status(&answer.body)
    }

    async fn fetch_certificate(
        &self,
        submitted: &Submitted,
        portable: bool,
        until: Instant,
    ) -> Result<Certificate, ClientError> {
        let base = self.inner.base_of(submitted)?;
        let mut url = base.join(&certificate_path(submitted.id.into()));
        url.set_query(portable.then_some("form=portable"));
        let timeout = self.inner.timeout(MAX_CERTIFICATE_BYTES as u64);
        let call = Call::get(url, "application/octet-stream", timeout);
        let answer = self.inner.send(&call, MAX_CERTIFICATE_BYTES, until).await?;
        Certificate::from_bytes(&answer.body).map_err(ClientError::CertificateMalformed)
    }
}

/// A disperser could certify another blob under our submission's name: everything that we know is compared.
fn check_is_ours(submitted: &Submitted, header: &BlobHeader) -> Result<(), ClientError> {
    let ours = &submitted.submission;
    let differs = |field, got: String, expected: String| {
        Err(ClientError::OtherBlob {
            field,
            got,
            expected,
        })
    };
    if header.version != ours.version {
        return differs(
            "version",
            header.version.to_string(),
            ours.version.to_string(),
        );
    }
    if header.encoding != ours.encoding {
        return differs(
            "encoding",
            header.encoding.to_string(),
            ours.encoding.to_string(),
        );
    }
    if header.payload_len != ours.payload_len {
        return differs(
            "payload length",
            header.payload_len.to_string(),
            ours.payload_len.to_string(),
        );
    }
    if header.quorums != ours.quorums {
        return differs(
            "list of quorums",
            format!("{:?}", header.quorums),
            format!("{:?}", ours.quorums),
        );
    }
    if header.account != ours.account {
        return differs(
            "account",
            header.account.to_string(),
            ours.account.to_string(),
        );
    }
    if header.salt != ours.salt {
        return differs("salt", header.salt.to_string(), ours.salt.to_string());
    }
    match submitted.commitments_root {
        Some(root) if root != header.commitments_root => differs(
            "commitments root",
            format!("0x{}", hex::encode(header.commitments_root)),
            format!("0x{}", hex::encode(root)),
        ),
        _ => Ok(()),
    }
}
