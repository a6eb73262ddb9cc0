//! The twin of the SDK in memory, for a rollup's tests: no network, no disk, no other process.
//!
//! Operators are keys in memory. They sign what the protocol has them sign, so certificates are real: they verify, and a forged one
//! does not. [`Switches`] make it slow, refuse, fail, forge and forget.
//!
//! ```
//! use std::time::Duration;
//! use ashlar_client::memory::{Certificates, MemoryNetwork};
//! use ashlar_client::{Age, DaClient, Policy, PutOptions, RequiredQuorums};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), ashlar_client::ClientError> {
//! let network = MemoryNetwork::new(4);
//! let days = Duration::from_secs(14 * 24 * 60 * 60);
//! let policy = Policy::new(network.trust(), RequiredQuorums::all([0]), Age::Within(days));
//! let client = network.client(policy);
//!
//! let certified = client.put_and_wait("some transactions".into(), PutOptions::default()).await?;
//! let found = client.get(&certified.certificate).await?;
//! assert_eq!(found.payload, b"some transactions");
//!
//! network.set(|switches| switches.certificates = Certificates::Expired);
//! let refused = client.put_and_wait("more".into(), PutOptions::default()).await.unwrap_err();
//! assert_eq!(ashlar_crypto::Coded::code(&refused), "certificate.expired");
//! assert!(!refused.retryable());
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_crypto::bls::{SecretKey, Signature, aggregate_signatures};
use ashlar_crypto::{Blame, Coded, MerkleTree, NetworkKey, Rows, Slices, rows_for};
use ashlar_proto::api::{
    AccountMode, AccountView, BlobState, BlobStatus, Problem, StageTimes, StatusError, price,
};
use ashlar_proto::auth::header::{AuthError, SignedVoucher};
use ashlar_proto::{
    Account, Attestation, BatchHeader, Bitmap, BlobHeader, BlobId, BlobKey, Block, Certificate,
    Network, OperatorIndex, QuorumId, Sequence, Stake, Submission, TableScope, TrustedTable,
    VerifiedCertificate, batch_tree, commitments_root, version,
};
use ashlar_retriever::{Report, RetrievalPath, RetrieveError, RetrieveErrorKind, Retrieved};
use ashlar_stake::{OperatorTable, Registration};
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use crate::account::{Quote, Signed, To};
use crate::client::check_quorums;
use crate::config;
use crate::da::{Answer, DaClient};
use crate::runtime::{blocking, now_ms};
use crate::submission::{Prepared, commitments};
use crate::{
    BlobName, Certified, ClientError, PayingAccount, Policy, PutOptions, Submitted, Trust,
    UnverifiedCertificate,
};

/// The block of the one operator table.
const BLOCK: Block = Block(1);
/// Both quorums that there are: every operator has stake in them.
const QUORUMS: [QuorumId; 2] = [0, 1];
/// Largest payload, as of a disperser by default.
const MAX_PAYLOAD: u64 = 16 << 20;
/// The number of the one disperser.
const DISPERSER_ID: u32 = 1;
/// What stands where a disperser's URL would.
const NAME: &str = "memory";

/// What is to go wrong, and how slow it all is. Nothing and not at all, by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Time from a post to its answer.
    pub put_latency: Duration,
    /// Time from the wait for a certificate to the certificate.
    pub certify_latency: Duration,
    /// Time to read a payload.
    pub get_latency: Duration,
    /// So many posts are refused as by a disperser that has too much to do.
    pub refuse_puts: u32,
    /// So many posts are accepted, and their answer is lost.
    pub lose_answers: u32,
    /// So many blobs fail, because too few operators sign. A blob that is posted again gets another chance.
    pub fail_blobs: u32,
    /// Blobs that are waited for are not certified in time.
    pub stall: bool,
    /// The certificates that are made from now on.
    pub certificates: Certificates,
    /// So many reads fail, because too few operators answer.
    pub fail_gets: u32,
    /// Price of a row for each quorum, in the smallest unit of a token. If it is not zero, posts have to be signed and paid
    /// ([`MemoryClient::paying`]); every account has a deposit for it.
    pub row_price: Stake,
}

/// Certificates that a disperser could send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certificates {
    /// True ones.
    #[default]
    True,
    /// Of a batch that was closed before operators' duty to hold it ended just now.
    Expired,
    /// Too few operators have signed.
    TooFewSigners,
    /// The signature is over something else.
    Forged,
    /// For a blob with another salt.
    OtherBlob,
}

/// Operators, and what was posted to them. Clones share all of it.
#[derive(Clone)]
pub struct MemoryNetwork {
    inner: Arc<Inner>,
}

struct Inner {
    /// In the order of the table.
    operators: Vec<SecretKey>,
    table: Arc<OperatorTable>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    switches: Switches,
    blobs: HashMap<BlobId, Stored>,
    ids: HashMap<BlobKey, BlobId>,
    /// Batches closed so far.
    sequence: u64,
    accounts: HashMap<Account, Paid>,
}

/// What an account was charged and refunded, and its highest voucher.
#[derive(Clone, Copy, Default)]
struct Paid {
    charged: Stake,
    refunded: Stake,
    voucher: Option<SignedVoucher>,
}

struct Stored {
    submission: Submission,
    payload: Option<Bytes>,
    status: BlobStatus,
    certificate: Option<Certificate>,
    /// What its account was charged.
    price: Stake,
}

/// The SDK over a [`MemoryNetwork`].
#[derive(Clone)]
pub struct MemoryClient {
    network: MemoryNetwork,
    policy: Policy,
    account: Option<PayingAccount>,
}

impl MemoryNetwork {
    /// A network of so many operators with equal stake in the quorums 0 and 1. Their keys are known to everybody: trust it in tests.
    ///
    /// # Panics
    ///
    /// With no operators, or more than 128.
    pub fn new(operators: u8) -> Self {
        assert!((1..=128).contains(&operators), "1 to 128 operators");
        let mut keys: Vec<_> = (0..operators)
            .map(|number| {
                let mut seed = [0x3e; 32];
                seed[0] = number;
                (SecretKey::from_ikm(&seed), NetworkKey::from_seed(seed))
            })
            .collect();
        keys.sort_by_key(|(bls, _)| ashlar_proto::operator_id(&bls.public_key().to_bytes()));
        let stakes = QUORUMS.map(|quorum| (quorum, Stake::from(100u64)));
        let registrations = keys.iter().map(|(bls, network)| {
            Registration::new(bls, network.public(), "127.0.0.1:1", stakes.to_vec())
        });
        let scope = TableScope {
            domain: Network::file("memory").domain(1),
            reference_block: BLOCK,
            versions: vec![1, 2, 3],
        };
        #[expect(
            clippy::expect_used,
            reason = "different keys with their own proofs make a table"
        )]
        let table = OperatorTable::register(scope, registrations.collect(), Vec::new())
            .expect("the operators make a table");
        Self {
            inner: Arc::new(Inner {
                operators: keys.into_iter().map(|(bls, _)| bls).collect(),
                table: Arc::new(table),
                state: Mutex::default(),
            }),
        }
    }

    /// Trust in its operators.
    pub fn trust(&self) -> Trust {
        Trust::Table(TrustedTable::trust_on_my_own_word(Arc::clone(
            &self.inner.table,
        )))
    }

    /// A client of it. Several clients of one network see the same blobs.
    pub fn client(&self, policy: Policy) -> MemoryClient {
        MemoryClient {
            network: self.clone(),
            policy,
            account: None,
        }
    }

    /// Changes switches. It counts for calls from now on.
    pub fn set(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.state().switches);
    }

    /// All operators forget the payload of a blob. Whether there was one.
    pub fn lose(&self, name: impl Into<BlobName>) -> bool {
        let mut state = self.state();
        let stored = state.find(name.into());
        stored.is_some_and(|stored| stored.payload.take().is_some())
    }

    /// What an account was charged and refunded, and its highest voucher.
    pub fn account(&self, account: Account) -> AccountView {
        let paid = self.state().accounts.get(&account).copied();
        let paid = paid.unwrap_or_default();
        AccountView {
            account,
            charged: paid.charged,
            refunded: paid.refunded,
            owed: paid.charged.saturating_sub(paid.refunded),
            voucher: paid.voucher,
            terms: None,
            days: Vec::new(),
        }
    }

    /// How many different blobs were accepted.
    pub fn blobs(&self) -> usize {
        self.state().blobs.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.inner.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// A certificate for a batch of this blob alone.
    fn certify(
        &self,
        submission: &Submission,
        payload: &[u8],
        sequence: u64,
        kind: Certificates,
    ) -> Result<Certificate, ClientError> {
        let parameters = version(submission.version).map_err(ashlar_proto::HeaderError::from)?;
        let rows = Rows::from_payload(payload, submission.encoding)?;
        let blob_header = BlobHeader {
            version: submission.version,
            encoding: submission.encoding,
            payload_len: submission.payload_len,
            // A payload of at most 16 MiB.
            rows: rows.count() as u32,
            commitments_root: commitments_root(&commitments(&rows)),
            chunk_root: MerkleTree::from_slices(&Slices::extend(parameters.code, &rows)).root(),
            quorums: submission.quorums.clone(),
            account: submission.account,
            salt: submission.salt ^ u64::from(kind == Certificates::OtherBlob),
        };
        let tree = batch_tree(&[blob_header.blob_key()]);
        let table = &self.inner.table;
        let age = match kind {
            Certificates::Expired => parameters.retention_secs * 1000 + 1000,
            _ => 0,
        };
        let batch_header = BatchHeader {
            domain: table.domain(),
            table_root: ashlar_proto::TableAccess::root(&**table),
            version: submission.version,
            batch_root: tree.root(),
            blobs: 1,
            rows: blob_header.rows,
            reference_block: BLOCK,
            disperser_id: DISPERSER_ID,
            sequence: Sequence(sequence),
            created_at_ms: now_ms()?.saturating_sub(age),
        };
        let mut digest = *batch_header.digest().as_bytes();
        digest[0] ^= u8::from(kind == Certificates::Forged);
        let all = self.inner.operators.len();
        let signing = match kind {
            Certificates::TooFewSigners => all / 2,
            _ => all,
        };
        let signatures: Vec<Signature> = self
            .inner
            .operators
            .iter()
            .take(signing.max(1))
            .map(|operator| operator.sign(&digest))
            .collect();
        let broken = |what: &str| ClientError::Internal(format!("the twin makes no {what}"));
        let indices = (0..signatures.len() as u32).map(OperatorIndex);
        Ok(Certificate {
            blob_index: 0,
            blob_path: tree.path(0).ok_or_else(|| broken("path"))?,
            attestation: Attestation::Compact {
                signers: Bitmap::from_indices(all as u32, indices)
                    .ok_or_else(|| broken("bitmap"))?,
            },
            signature: aggregate_signatures(&signatures)
                .ok_or_else(|| broken("signature"))?
                .to_bytes(),
            blob_header,
            batch_header,
        })
    }
}

impl State {
    fn find(&mut self, name: BlobName) -> Option<&mut Stored> {
        let id = match name {
            BlobName::Id(id) => id,
            BlobName::Key(key) => *self.ids.get(&key)?,
        };
        self.blobs.get_mut(&id)
    }
}

/// Whether one of so many mishaps happens now.
fn take(left: &mut u32) -> bool {
    let happens = *left > 0;
    *left = left.saturating_sub(1);
    happens
}

fn refused(status: u16, code: &str, detail: &str) -> ClientError {
    let blame = if status < 500 {
        Blame::Caller
    } else {
        Blame::Us
    };
    ClientError::Refused {
        problem: Box::new(Problem::new(status, code, blame, detail)),
        retry_after: (status == 503).then_some(Duration::from_secs(1)),
    }
}

impl DaClient for MemoryClient {
    fn policy(&self) -> &Policy {
        &self.policy
    }

    fn put(&self, payload: Bytes, options: PutOptions) -> Answer<'_, Submitted> {
        Box::pin(async move {
            check_quorums(&self.policy, &options)?;
            let options = config::named(options, self.account.as_ref())?;
            let prepared = Prepared::committed(payload.clone(), &options, MAX_PAYLOAD).await?;
            let begin = Instant::now();
            let latency = self.network.state().switches.put_latency;
            sleep(latency).await;
            let signed = self.sign(&prepared.submission)?;
            let (status, price) = self.accept(&prepared.submission, payload, signed)?;
            Ok(prepared.accepted(NAME.to_owned(), status, begin.elapsed(), Vec::new(), price))
        })
    }

    fn wait<'a>(&'a self, submitted: &'a Submitted) -> Answer<'a, Certified> {
        Box::pin(async move {
            let begin = Instant::now();
            let latency = self.network.state().switches.certify_latency;
            sleep(latency).await;
            let certificate = self.certificate(submitted, begin).await?;
            submitted.check_is_ours(&certificate.blob_header)?;
            let certificate = UnverifiedCertificate::from(certificate);
            Ok(Certified {
                certificate: certificate.verify(&self.policy).await?,
                status: self.status(submitted.id.into()).await?,
                disperser: NAME.to_owned(),
                passed_over: Vec::new(),
            })
        })
    }

    fn find(&self, payload: Bytes, options: PutOptions) -> Answer<'_, Option<Submitted>> {
        Box::pin(async move {
            let options = config::named(options, self.account.as_ref())?;
            let prepared = Prepared::committed(payload, &options, MAX_PAYLOAD).await?;
            let id = prepared.submission.id();
            let Ok(status) = self.status(id.into()).await else {
                return Ok(None);
            };
            let there = status.state != BlobState::Failed;
            Ok(there.then(|| {
                prepared.accepted(
                    NAME.to_owned(),
                    status,
                    Duration::ZERO,
                    Vec::new(),
                    Stake::ZERO,
                )
            }))
        })
    }

    fn status(&self, name: BlobName) -> Answer<'_, BlobStatus> {
        Box::pin(async move {
            let mut state = self.network.state();
            let stored = state.find(name).ok_or_else(unknown)?;
            Ok(stored.status.clone())
        })
    }

    fn get<'a>(&'a self, certificate: &'a VerifiedCertificate) -> Answer<'a, Retrieved> {
        Box::pin(async move {
            let key = certificate.blob_key();
            let latency = self.network.state().switches.get_latency;
            sleep(latency).await;
            let mut report = Report::new(key, certificate.blob_header().payload_len);
            let expected = self.network.inner.table.domain();
            let needed = certificate.version().code.needed();
            let mut state = self.network.state();
            let kind = if certificate.domain() != expected {
                RetrieveErrorKind::OtherDomain {
                    got: certificate.domain(),
                    expected,
                }
            } else {
                let fails = take(&mut state.switches.fail_gets);
                let stored = state.find(key.into()).filter(|_| !fails);
                if let Some(payload) = stored.and_then(|stored| stored.payload.clone()) {
                    report.via = Some(RetrievalPath::Operators);
                    return Ok(Retrieved {
                        payload: payload.into(),
                        report,
                    });
                }
                RetrieveErrorKind::TooFewSlices {
                    good: 0,
                    needed,
                    reachable: 0,
                }
            };
            let report = Box::new(report);
            Err(ClientError::Retrieve(RetrieveError { kind, report }))
        })
    }
}

fn unknown() -> ClientError {
    refused(404, "blob.unknown", "the blob was never posted here")
}

impl MemoryClient {
    /// The same client, with an account that signs and pays.
    #[must_use]
    pub fn paying(mut self, account: PayingAccount) -> Self {
        self.account = Some(account);
        self
    }

    fn price(&self, submission: &Submission) -> Result<Stake, ClientError> {
        let rows = rows_for(submission.encoding, submission.payload_len)?;
        let row_price = self.network.state().switches.row_price;
        Ok(price(row_price, rows, 1, submission.quorums.len()))
    }

    fn of(&self) -> To {
        To {
            domain: self.network.inner.table.domain(),
            disperser_id: DISPERSER_ID,
        }
    }

    /// What the account signs, if there is one.
    fn sign(&self, submission: &Submission) -> Result<Option<Signed>, ClientError> {
        let Some(account) = &self.account else {
            return Ok(None);
        };
        let (of, price) = (self.of(), self.price(submission)?);
        let quote = Quote {
            disperser: NAME.to_owned(),
            mode: match price.is_zero() {
                true => AccountMode::Open,
                false => AccountMode::Paid,
            },
            price,
        };
        if account.pays() && account.is_lost(of) {
            account.reconcile(of, NAME, &self.network.account(account.account()))?;
        }
        account
            .sign(of, submission.id(), &quote, now_ms()?)
            .map(Some)
    }

    /// Charges a blob that is new, as a disperser does: once, and never on credit.
    fn charge(
        &self,
        state: &mut State,
        submission: &Submission,
        price: Stake,
        signed: Option<&Signed>,
    ) -> Result<(), ClientError> {
        if price.is_zero() {
            return Ok(());
        }
        let told = |error: AuthError| refused(error.status(), error.code(), &error.to_string());
        let signed = signed.ok_or_else(|| told(AuthError::Missing))?;
        let (of, account) = (self.of(), submission.account);
        let now = now_ms()? / 1000;
        let authorized = signed.authorization.verify(of.domain, of.disperser_id, now);
        let authorized = authorized.map_err(told)?;
        authorized.check(submission.id(), account).map_err(told)?;
        let paid = state.accounts.entry(account).or_default();
        if let Some(voucher) = signed.voucher {
            let verified = voucher.verify(of.domain, account, of.disperser_id);
            let given = verified.map_err(told)?.cumulative;
            if paid.voucher.is_none_or(|before| before.cumulative < given) {
                paid.voucher = Some(voucher);
            }
        }
        let needed = paid.charged.saturating_sub(paid.refunded) + price;
        let covered = paid.voucher.map_or(Stake::ZERO, |of| of.cumulative);
        if covered < needed {
            let detail = format!("{needed} is owed in all, and vouchers cover {covered}");
            return Err(refused(402, "voucher.too_low", &detail));
        }
        paid.charged += price;
        Ok(())
    }

    fn accept(
        &self,
        submission: &Submission,
        payload: Bytes,
        signed: Option<Signed>,
    ) -> Result<(BlobStatus, Stake), ClientError> {
        let (now, price) = (now_ms()?, self.price(submission)?);
        let mut state = self.network.state();
        if take(&mut state.switches.refuse_puts) {
            return Err(refused(503, "intake.full", "there is too much to do"));
        }
        if let Some(quorum) = submission.quorums.iter().find(|q| !QUORUMS.contains(q)) {
            let detail = format!("no operator has stake in quorum {quorum}");
            return Err(refused(400, "quorum.unknown", &detail));
        }
        let id = submission.id();
        let known = state.blobs.get(&id);
        if known.is_none_or(|known| known.status.state == BlobState::Failed) {
            self.charge(&mut state, submission, price, signed.as_ref())?;
        }
        let lost = take(&mut state.switches.lose_answers);
        let paid = state.accounts.get(&submission.account).copied();
        let stored = state.blobs.entry(id).or_insert_with(|| Stored {
            submission: submission.clone(),
            payload: Some(payload),
            certificate: None,
            price,
            status: BlobStatus {
                id,
                key: None,
                state: BlobState::Queued,
                version: submission.version,
                encoding: submission.encoding,
                quorums: submission.quorums.clone(),
                payload_len: submission.payload_len,
                rows: 0,
                submitted_at_ms: now,
                stages: StageTimes::default(),
                batch: None,
                error: None,
            },
        });
        if stored.status.state == BlobState::Failed {
            stored.status.state = BlobState::Queued;
            stored.status.error = None;
            stored.price = price;
        }
        if lost {
            return Err(ClientError::Transport {
                url: NAME.to_owned(),
                attempts: 1,
                sent: true,
                reason: "the answer was lost".to_owned(),
            });
        }
        let answer = (stored.status.clone(), stored.price);
        drop(state);
        if let (Some(under_way), Some(paid)) = (signed.and_then(|signed| signed.under_way), paid) {
            under_way.accepted(paid.charged, paid.refunded);
        }
        Ok(answer)
    }

    /// The certificate that the disperser has for a blob, true or not.
    async fn certificate(
        &self,
        submitted: &Submitted,
        begin: Instant,
    ) -> Result<Certificate, ClientError> {
        let (submission, payload, sequence, kind) = {
            let mut state = self.network.state();
            if state.switches.stall {
                return Err(ClientError::Deadline {
                    after_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
                    state: BlobState::Dispersing,
                });
            }
            let fails = take(&mut state.switches.fail_blobs);
            let kind = state.switches.certificates;
            state.sequence += 1;
            let sequence = state.sequence;
            let stored = state.find(submitted.id.into()).ok_or_else(unknown)?;
            if fails {
                let error = StatusError {
                    code: "dispersal.out_of_reach".to_owned(),
                    message: "too few operators signed".to_owned(),
                };
                stored.status.state = BlobState::Failed;
                stored.status.error = Some(error.clone());
                let (account, price) = (stored.submission.account, stored.price);
                state.accounts.entry(account).or_default().refunded += price;
                return Err(ClientError::Failed(error));
            }
            if let Some(certificate) = &stored.certificate {
                return Ok(certificate.clone());
            }
            let payload = stored.payload.clone().ok_or_else(unknown)?;
            (stored.submission.clone(), payload, sequence, kind)
        };
        let network = self.network.clone();
        let made = move || network.certify(&submission, &payload, sequence, kind);
        let certificate = blocking(made).await??;
        if kind != Certificates::True {
            return Ok(certificate);
        }
        let key = certificate.blob_header.blob_key();
        let mut state = self.network.state();
        state.ids.insert(key, submitted.id);
        let stored = state.find(submitted.id.into()).ok_or_else(unknown)?;
        stored.status.state = BlobState::Certified;
        stored.status.key = Some(key);
        stored.status.rows = certificate.blob_header.rows;
        stored
            .status
            .stages
            .reached(BlobState::Certified, now_ms()?);
        // The one that was issued first stays.
        Ok(stored.certificate.get_or_insert(certificate).clone())
    }
}
