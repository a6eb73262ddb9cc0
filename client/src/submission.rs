//! A payload on its way to be a blob: the checks that need nobody else, the commitments, the id, and what is posted.

use std::time::{Duration, Instant};

use ashlar_crypto::{CommitmentBytes, Hash, Rows, Setup, commit_rows, rows_for, sha256};
use ashlar_proto::api::{BlobStatus, PUT_BLOB_TYPE};
use ashlar_proto::header::check_quorums;
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{BlobHeader, BlobId, HeaderError, Stake, Submission, commitments_root, version};
use bytes::Bytes;

use crate::runtime::blocking;
use crate::{ClientError, PassedOver, PutOptions};

/// A payload that a disperser has accepted. It holds what was posted until it is dropped, so that the same blob can go to
/// another disperser.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Names it from now on, at every disperser; computed here from its content and checked against the disperser's answer.
    pub id: BlobId,
    /// What was posted.
    pub submission: Submission,
    /// Merkle root of the commitments computed here; none if the disperser commits.
    pub commitments_root: Option<Hash>,
    /// Base URL of the disperser that has it.
    pub disperser: String,
    /// Those that were asked before and have not accepted it.
    pub passed_over: Vec<PassedOver>,
    /// Its status when it was accepted.
    pub status: BlobStatus,
    /// Time for rows and commitments.
    pub commit_time: Duration,
    /// Time from the first attempt to post it to the answer.
    pub post_time: Duration,
    /// What was paid for it there, at most, in the smallest unit of the token. Zero where nobody pays, or a reservation did.
    pub price: Stake,
    pub(crate) post: Post,
}

/// The request that posts a blob; the same for every disperser.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) query: Option<String>,
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Post({} bytes)", self.body.len())
    }
}

/// A payload that may be posted.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) submission: Submission,
    pub(crate) commitments_root: Option<Hash>,
    pub(crate) commit_time: Duration,
    pub(crate) post: Post,
}

impl Prepared {
    /// With its commitments, which are computed here, off the async runtime: milliseconds a row of 127 kB.
    pub(crate) async fn committed(
        payload: Bytes,
        options: &PutOptions,
        max_payload: u64,
    ) -> Result<Self, ClientError> {
        let mut submission = check(&payload, options, max_payload)?;
        let begin = Instant::now();
        blocking(move || {
            let rows = Rows::from_payload(&payload, submission.encoding)?;
            let commitments = commitments(&rows);
            let root = commitments_root(&commitments);
            let commit_time = begin.elapsed();
            submission.payload_sha256 = sha256(&[&payload]);
            let body = PutBlob {
                version: submission.version,
                encoding: submission.encoding,
                quorums: submission.quorums.clone(),
                account: submission.account,
                salt: submission.salt,
                commitments,
                payload,
            };
            Ok(Self {
                commitments_root: Some(root),
                commit_time,
                post: Post {
                    query: None,
                    content_type: PUT_BLOB_TYPE,
                    body: Bytes::from(body.encode()),
                },
                submission,
            })
        })
        .await?
    }

    /// Without: the disperser computes them.
    pub(crate) async fn raw(
        payload: Bytes,
        options: &PutOptions,
        max_payload: u64,
    ) -> Result<Self, ClientError> {
        let mut submission = check(&payload, options, max_payload)?;
        let data = payload.clone();
        submission.payload_sha256 = blocking(move || sha256(&[&data])).await?;
        let quorums: Vec<String> = submission.quorums.iter().map(u8::to_string).collect();
        let query = format!(
            "version={}&encoding={}&quorums={}&account={}&salt={}",
            submission.version,
            submission.encoding,
            quorums.join(","),
            submission.account,
            submission.salt
        );
        Ok(Self {
            submission,
            commitments_root: None,
            commit_time: Duration::ZERO,
            post: Post {
                query: Some(query),
                content_type: "application/octet-stream",
                body: payload,
            },
        })
    }

    /// As it is when somebody has accepted it.
    pub(crate) fn accepted(
        self,
        disperser: String,
        status: BlobStatus,
        post_time: Duration,
        passed_over: Vec<PassedOver>,
        price: Stake,
    ) -> Submitted {
        Submitted {
            id: status.id,
            submission: self.submission,
            commitments_root: self.commitments_root,
            disperser,
            passed_over,
            status,
            commit_time: self.commit_time,
            post_time,
            price,
            post: self.post,
        }
    }
}

pub(crate) fn commitments(rows: &Rows) -> Vec<CommitmentBytes> {
    let commitments = commit_rows(Setup::ethereum(), rows);
    commitments.iter().map(|one| one.to_bytes()).collect()
}

/// The submission, but for the payload's hash.
fn check(payload: &Bytes, options: &PutOptions, max: u64) -> Result<Submission, ClientError> {
    let payload_len = payload.len() as u64;
    if payload_len > max {
        return Err(ClientError::TooLarge {
            got: payload_len,
            max,
        });
    }
    rows_for(options.encoding, payload_len)?;
    version(options.version).map_err(HeaderError::from)?;
    check_quorums(&options.quorums)?;
    let salt = match options.salt {
        Some(salt) => salt,
        None => getrandom::u64().map_err(|error| ClientError::Internal(error.to_string()))?,
    };
    Ok(Submission {
        version: options.version,
        encoding: options.encoding,
        payload_len,
        quorums: options.quorums.clone(),
        account: options.account,
        salt,
        payload_sha256: [0; 32],
    })
}

impl Submitted {
    /// A disperser could certify another blob under our submission's name: everything that we know is compared.
    pub(crate) fn check_is_ours(&self, header: &BlobHeader) -> Result<(), ClientError> {
        let ours = &self.submission;
        let fields = [
            (
                "version",
                header.version.to_string(),
                ours.version.to_string(),
            ),
            (
                "encoding",
                header.encoding.to_string(),
                ours.encoding.to_string(),
            ),
            (
                "payload length",
                header.payload_len.to_string(),
                ours.payload_len.to_string(),
            ),
            (
                "list of quorums",
                format!("{:?}", header.quorums),
                format!("{:?}", ours.quorums),
            ),
            (
                "account",
                header.account.to_string(),
                ours.account.to_string(),
            ),
            ("salt", header.salt.to_string(), ours.salt.to_string()),
            (
                "commitments root",
                hex::encode(header.commitments_root),
                hex::encode(self.commitments_root.unwrap_or(header.commitments_root)),
            ),
        ];
        match fields.into_iter().find(|(_, got, ours)| got != ours) {
            Some((field, got, expected)) => Err(ClientError::OtherBlob {
                field,
                got,
                expected,
            }),
            None => Ok(()),
        }
    }
}
