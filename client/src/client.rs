//! The client: post, watch, check, get back.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::{CommitmentBytes, Hash, Rows, Setup, commit_rows, rows_for, sha256};
use ashlar_proto::api::{BlobStatus, PUT_BLOB_TYPE};
use ashlar_proto::certificate::MAX_CERTIFICATE_BYTES;
use ashlar_proto::header::check_quorums;
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{
    BlobId, BlobKey, Certificate, CertificatePolicy, Domain, HeaderError, MaxAge, RequiredQuorums,
    Submission, VerifiedCertificate, commitments_root, version,
};
use ashlar_retriever::{Retrieved, Retriever, RetrieverConfig, Source};
use ashlar_service::http::{self, Authorities, BaseUrl};
use bytes::Bytes;
use reqwest::Method;
use tokio::time::Instant;

use crate::api::{self, Answer, Call};
use crate::runtime::{blocking, now_ms};
use crate::{ClientConfig, ClientError, PutOptions, UnverifiedCertificate};

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

/// A payload that a disperser has accepted.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Names it from now on; computed here from its content and checked against the disperser's answer.
    pub id: BlobId,
    /// What was posted.
    pub submission: Submission,
    /// Merkle root of the commitments computed here; none if the disperser commits.
    pub commitments_root: Option<Hash>,
    /// Base URL of the disperser that has it.
    pub disperser: String,
    /// Its status when it was accepted.
    pub status: BlobStatus,
    /// Time for rows and commitments.
    pub commit_time: Duration,
    /// Time from the first attempt to post it to the answer.
    pub post_time: Duration,
}

impl Submitted {
    /// What its submitter asks of the certificate: that it is of this service, that all quorums that were asked to sign have
    /// signed, and that operators still have to hold the blob.
    ///
    /// # Errors
    ///
    /// This machine's clock is before 1970.
    pub fn policy(&self, domain: Domain) -> Result<CertificatePolicy, ClientError> {
        Ok(CertificatePolicy::new(
            domain,
            RequiredQuorums::all(self.submission.quorums.clone()),
            MaxAge::Time {
                now_ms: now_ms()?,
                most: Duration::MAX,
            },
        ))
    }
}

/// The SDK. Cheap to clone; any number of calls may run at once.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
    retriever: Retriever,
}

pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) http: reqwest::Client,
    bases: Vec<BaseUrl>,
}

impl Client {
    /// A client. It [gets](Client::get) payloads from its dispersers' relays until it is given a
    /// [retriever](Client::with_retriever) that knows the operators.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoDisperser`]; a URL that is none; TLS that cannot be set up for one that is `https`.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        if config.dispersers.is_empty() {
            return Err(ClientError::NoDisperser);
        }
        let bases: Vec<BaseUrl> = config
            .dispersers
            .iter()
            .map(|url| BaseUrl::parse(url))
            .collect::<Result<_, _>>()?;
        let https = bases.iter().any(BaseUrl::is_https);
        let http = http::client(Authorities::needed(https), config.connect_timeout)?;
        let http = http::build(http.read_timeout(config.event_silence))?;
        let retriever = Retriever::relay_only(RetrieverConfig {
            relays: config.dispersers.clone(),
            max_payload: config.max_payload,
            ..RetrieverConfig::default()
        })?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                http,
                bases,
            }),
            retriever,
        })
    }

    /// The same client with another retriever, one that asks operators.
    #[must_use]
    pub fn with_retriever(mut self, retriever: Retriever) -> Self {
        self.retriever = retriever;
        self
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    /// Posts a payload with its commitments, which are computed here (milliseconds a row of 127 kB, on all cores, off
    /// the async runtime). The disperser then only checks them, and cannot certify anything else.
    ///
    /// Repeated attempts post the same submission: it is stored once, whatever happened to the answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the payload or options do not fit, or no disperser accepted it.
    pub async fn put(
        &self,
        payload: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Submitted, ClientError> {
        let payload = payload.into();
        self.check(&payload, &options)?;
        let begin = Instant::now();
        let (data, encoding) = (payload.clone(), options.encoding);
        let (commitments, payload_sha256) = blocking(move || {
            let rows = Rows::from_payload(&data, encoding)?;
            let commitments: Vec<CommitmentBytes> = commit_rows(Setup::ethereum(), &rows)
                .iter()
                .map(|commitment| commitment.to_bytes())
                .collect();
            Ok::<_, ClientError>((commitments, sha256(&[&data])))
        })
        .await??;
        let root = commitments_root(&commitments);
        let commit_time = begin.elapsed();
        let submission = submission(&payload, &options, payload_sha256)?;
        let body = PutBlob {
            version: submission.version,
            encoding: submission.encoding,
            quorums: submission.quorums.clone(),
            account: submission.account,
            salt: submission.salt,
            commitments,
            payload,
        };
        let body = blocking(move || Bytes::from(body.encode())).await?;
        let mut submitted = self
            .post(submission, "v1/blobs", "", PUT_BLOB_TYPE, body)
            .await?;
        submitted.commitments_root = Some(root);
        submitted.commit_time = commit_time;
        Ok(submitted)
    }

    /// Posts a payload without commitments: the disperser computes them, and what it certifies is only known to be this
    /// payload once it has been read back.
    ///
    /// # Errors
    ///
    /// As [`Client::put`].
    pub async fn put_raw(
        &self,
        payload: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<Submitted, ClientError> {
        let payload = payload.into();
        self.check(&payload, &options)?;
        let data = payload.clone();
        let payload_sha256 = blocking(move || sha256(&[&data])).await?;
        let submission = submission(&payload, &options, payload_sha256)?;
        let quorums: Vec<String> = submission.quorums.iter().map(u8::to_string).collect();
        let query = format!(
            "version={}&encoding={}&quorums={}&account={}&salt={}",
            submission.version,
            submission.encoding,
            quorums.join(","),
            submission.account,
            submission.salt
        );
        let kind = "application/octet-stream";
        self.post(submission, "v1/blobs", &query, kind, payload)
            .await
    }

    fn check(&self, payload: &Bytes, options: &PutOptions) -> Result<(), ClientError> {
        let got = payload.len() as u64;
        if got > self.inner.config.max_payload {
            return Err(ClientError::TooLarge {
                got,
                max: self.inner.config.max_payload,
            });
        }
        rows_for(options.encoding, got)?;
        version(options.version).map_err(HeaderError::from)?;
        check_quorums(&options.quorums)?;
        Ok(())
    }

    async fn post(
        &self,
        submission: Submission,
        path: &str,
        query: &str,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Submitted, ClientError> {
        let begin = Instant::now();
        let urls = self
            .inner
            .bases
            .iter()
            .map(|base| {
                let mut url = base.join(path);
                url.set_query((!query.is_empty()).then_some(query));
                url
            })
            .collect();
        let call = Call {
            method: Method::POST,
            urls,
            content_type: Some(content_type),
            accept: Some("application/json"),
            timeout: self.inner.timeout(body.len() as u64),
            body,
        };
        let answer = self
            .inner
            .send(&call, MAX_STATUS_BYTES, self.inner.patience(call.timeout))
            .await?;
        let status = read_status(&answer.body)?;
        let id = submission.id();
        if status.id != id {
            return Err(ClientError::WrongId {
                got: status.id,
                expected: id,
            });
        }
        let disperser = self
            .inner
            .bases
            .get(answer.url_index)
            .map(BaseUrl::to_string)
            .ok_or_else(|| ClientError::Internal("an answer from no disperser".to_owned()))?;
        Ok(Submitted {
            id,
            submission,
            commitments_root: None,
            disperser,
            status,
            commit_time: Duration::ZERO,
            post_time: begin.elapsed(),
        })
    }

    /// The status of a blob, at the first disperser that knows it.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Refused`] with status 404 if no disperser knows it.
    pub async fn status(&self, name: impl Into<BlobName>) -> Result<BlobStatus, ClientError> {
        let path = format!("v1/blobs/{}/status", name.into());
        let body = self
            .inner
            .find(&path, "application/json", MAX_STATUS_BYTES)
            .await?;
        read_status(&body)
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
        let path = certificate_path(name.into());
        let urls = self.inner.bases.iter().map(|base| base.join(&path));
        let mut urls: Vec<_> = urls.collect();
        for url in &mut urls {
            url.set_query(portable.then_some("form=portable"));
        }
        let body = self
            .inner
            .first(urls, "application/octet-stream", MAX_CERTIFICATE_BYTES)
            .await?;
        let certificate =
            Certificate::from_bytes(&body).map_err(ClientError::CertificateMalformed)?;
        Ok(UnverifiedCertificate::new(certificate))
    }

    /// Fetches the payload of a certificate. See [`Retriever::fetch`].
    ///
    /// # Errors
    ///
    /// [`ClientError::Retrieve`], with the report of what was tried.
    pub async fn get(
        &self,
        cert: &VerifiedCertificate,
        from: Source,
    ) -> Result<Retrieved, ClientError> {
        Ok(self.retriever.fetch(cert, from).await?)
    }
}

impl Inner {
    /// For one attempt to transfer so many bytes.
    pub(crate) fn timeout(&self, bytes: u64) -> Duration {
        let rate = self.config.min_rate.max(1);
        self.config.request_timeout + Duration::from_millis(bytes.saturating_mul(1000) / rate)
    }

    /// For all attempts: the policy counts them, this only keeps a server's `Retry-After` from adding up for ever.
    fn patience(&self, timeout: Duration) -> Instant {
        let retry = &self.config.retry;
        Instant::now() + (timeout + retry.max.max(retry.max_retry_after)) * retry.attempts.max(1)
    }

    pub(crate) async fn send(
        &self,
        call: &Call,
        limit: usize,
        deadline: Instant,
    ) -> Result<Answer, ClientError> {
        api::send(&self.http, &self.config.retry, call, limit, deadline).await
    }

    async fn find(
        &self,
        path: &str,
        accept: &'static str,
        limit: usize,
    ) -> Result<Vec<u8>, ClientError> {
        let urls = self.bases.iter().map(|base| base.join(path)).collect();
        self.first(urls, accept, limit).await
    }

    /// The first answer that is not "not found".
    async fn first(
        &self,
        urls: Vec<reqwest::Url>,
        accept: &'static str,
        limit: usize,
    ) -> Result<Vec<u8>, ClientError> {
        let mut last = ClientError::NoDisperser;
        for url in urls {
            let timeout = self.timeout(limit as u64);
            let call = Call::get(url, accept, timeout);
            match self.send(&call, limit, self.patience(timeout)).await {
                Ok(answer) => return Ok(answer.body),
                Err(ClientError::Refused(problem)) if problem.status != 404 => {
                    return Err(ClientError::Refused(problem));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The base URL of the disperser that has a submission.
    pub(crate) fn base_of(&self, submitted: &Submitted) -> Result<BaseUrl, ClientError> {
        Ok(BaseUrl::parse(&submitted.disperser)?)
    }
}

pub(crate) fn certificate_path(name: BlobName) -> String {
    format!("v1/blobs/{name}/certificate")
}

pub(crate) fn read_status(body: &[u8]) -> Result<BlobStatus, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Answer {
        what: "status document",
        reason: error.to_string(),
    })
}

fn submission(
    payload: &Bytes,
    options: &PutOptions,
    payload_sha256: Hash,
) -> Result<Submission, ClientError> {
    let salt = match options.salt {
        Some(salt) => salt,
        None => getrandom::u64().map_err(|error| ClientError::Internal(error.to_string()))?,
    };
    Ok(Submission {
        version: options.version,
        encoding: options.encoding,
        payload_len: payload.len() as u64,
        quorums: options.quorums.clone(),
        account: options.account,
        salt,
        payload_sha256,
    })
}
