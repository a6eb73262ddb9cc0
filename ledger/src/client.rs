//! The client of the service.

mod error;
mod http;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::Method;
use ashlar_crypto::account::{AccountKey, AccountSignature};
use ashlar_proto::auth::Voucher;
use ashlar_proto::{Account, Block, Domain, Network, TableAccess as _};
use ashlar_restaking::evidence::{CustodyAnswer, Fault};
use ashlar_restaking::{Amount, ServiceId, Transaction};
use ashlar_stake::{OperatorTable, PossessionCache};
use reqwest::Url;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

pub use error::ClientError;

use crate::auth::SignedTransaction;
use crate::types::{
    AccountView, AnswerBody, EventPage, EvidenceBody, EvidenceReceipt, Head, HeadKeysView,
    HealthReport, MAX_WAIT_MS, Page, PaymentAccountDetail, PaymentsView, Receipt, StateRoot,
    TableHead, TableRootView, TableView, VoucherBody,
};

/// How patient a client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// For a connection.
    pub connect_timeout: Duration,
    /// For one attempt, from the request to the end of the answer.
    pub attempt_timeout: Duration,
    /// For a call, all its attempts together.
    pub deadline: Duration,
    /// Attempts of a call, at least 1.
    pub attempts: u32,
    /// Wait after the first failed attempt; doubles with each, up to 16 times this, and up to half of it is taken away at random.
    pub backoff: Duration,
    /// Most bytes of an answer.
    pub max_answer: usize,
    /// A PEM file of the certificate authorities that an `https://` address is checked against, and no others; without it, those
    /// that the operating system trusts.
    pub ca: Option<PathBuf>,
}

impl Default for ClientConfig {
    /// 3 s to connect, 10 s an attempt, 20 s and 5 attempts a call, 100 ms of back-off, 64 MiB, the operating system's authorities.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            attempt_timeout: Duration::from_secs(10),
            deadline: Duration::from_secs(20),
            attempts: 5,
            backoff: Duration::from_millis(100),
            max_answer: 64 << 20,
            ca: None,
        }
    }
}

/// Asks the service and sends it transactions. Cheap to clone; clones share keys, nonces and connections.
#[derive(Clone, Debug)]
pub struct LedgerClient {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    base: Url,
    config: ClientConfig,
    http: reqwest::Client,
    keys: Mutex<BTreeMap<Account, AccountKey>>,
    network: tokio::sync::OnceCell<Network>,
    /// The last nonce by account. Held while a transaction is on its way: nonces of one account arrive in their order.
    nonces: Mutex<HashMap<Account, Arc<tokio::sync::Mutex<Option<u64>>>>>,
}

impl LedgerClient {
    /// A client of the service at this address, such as `http://127.0.0.1:7600`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Url`], or [`ClientError::Setup`] if TLS cannot be set up.
    pub fn new(base: Url) -> Result<Self, ClientError> {
        Self::with_config(base, ClientConfig::default())
    }

    /// [`new`](Self::new) with other patience.
    ///
    /// # Errors
    ///
    /// As `new`.
    pub fn with_config(base: Url, config: ClientConfig) -> Result<Self, ClientError> {
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(ClientError::Url {
                got: base.to_string(),
                reason: "it begins with http:// or https:// and names a host".into(),
            });
        }
        let http = http::client(&base, &config)?;
        Ok(Self {
            inner: Arc::new(Inner {
                base,
                config,
                http,
                keys: Mutex::default(),
                network: tokio::sync::OnceCell::new(),
                nonces: Mutex::default(),
            }),
        })
    }

    /// A client of the service at an address given as text.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn parse(base: &str) -> Result<Self, ClientError> {
        Self::parse_with(base, ClientConfig::default())
    }

    /// [`parse`](Self::parse) with other patience.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn parse_with(base: &str, config: ClientConfig) -> Result<Self, ClientError> {
        let url = base.parse::<Url>().map_err(|error| ClientError::Url {
            got: base.to_owned(),
            reason: error.to_string(),
        })?;
        Self::with_config(url, config)
    }

    /// Adds a key: transactions of its account are signed with it. Gives that account.
    pub fn add_key(&self, key: AccountKey) -> Account {
        let account = Account(key.address());
        self.keys().insert(account, key);
        account
    }

    /// [`add_key`](Self::add_key), for a chain of calls.
    #[must_use]
    pub fn with_key(self, key: AccountKey) -> Self {
        self.add_key(key);
        self
    }

    /// Signs only for this network. Without it, it is asked for once, and the service is believed.
    #[must_use]
    pub fn for_network(self, network: Network) -> Self {
        // Whoever asked before has its answer: the network stays what it was.
        let _ = self.inner.network.set(network);
        self
    }

    /// The service's address.
    pub fn base(&self) -> &Url {
        &self.inner.base
    }

    /// How patient this client is.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeMap<Account, AccountKey>> {
        self.inner
            .keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a transaction with its sender's key, sends it, and waits until it is applied and on the service's disk.
    ///
    /// Attempts after a failure send the same signed bytes, and the service answers the second one as it answered the first:
    /// nothing is done twice.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoKey`]; [`ClientError::Refused`] with the ledger's code, and nothing has changed;
    /// [`ClientError::Unknown`] if it may have been applied or not.
    pub async fn submit(&self, transaction: &Transaction) -> Result<Receipt, ClientError> {
        let sender = transaction.sender;
        let key = self
            .keys()
            .get(&sender)
            .cloned()
            .ok_or(ClientError::NoKey { account: sender })?;
        let network = self.network().await?;
        let slot = {
            let mut nonces = self
                .inner
                .nonces
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(nonces.entry(sender).or_default())
        };
        let mut last = slot.lock().await;
        // A second time if another client of the account was faster: nothing was applied then.
        for again in [true, false] {
            let used = match *last {
                Some(used) => used,
                None => self.account(sender).await?.nonce,
            };
            let nonce = used.checked_add(1).ok_or(ClientError::NoNonce)?;
            let signed = SignedTransaction::sign(&key, network, nonce, transaction.clone());
            *last = None;
            match self.submit_signed(&signed).await {
                Err(error) if again && error.code() == "transaction.nonce" => {}
                // Refused by the ledger: the nonce is used up. Refused before that: it is not, and a gap does no harm.
                Err(error @ ClientError::Refused { .. }) => {
                    *last = Some(nonce).filter(|_| error.code() != "transaction.nonce");
                    return Err(error);
                }
                Ok(receipt) => {
                    *last = Some(nonce);
                    return Ok(receipt);
                }
                Err(error) => return Err(error),
            }
        }
        Err(ClientError::NoNonce)
    }

    /// Sends transactions one after the other; stops at the first that is refused.
    ///
    /// # Errors
    ///
    /// The place of the one that failed, from 0 on, and as [`submit`](Self::submit).
    pub async fn submit_all(
        &self,
        transactions: &[Transaction],
    ) -> Result<Vec<Receipt>, (usize, ClientError)> {
        let mut receipts = Vec::with_capacity(transactions.len());
        for (place, transaction) in transactions.iter().enumerate() {
            receipts.push(
                self.submit(transaction)
                    .await
                    .map_err(|error| (place, error))?,
            );
        }
        Ok(receipts)
    }

    /// Sends a transaction that was signed before.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit), without another try when the nonce is taken.
    pub async fn submit_signed(&self, signed: &SignedTransaction) -> Result<Receipt, ClientError> {
        let body = http::to_body(signed)?;
        self.post("v1/transactions", body).await
    }

    /// Sends evidence of a fault; the service checks it and slashes.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`]: the evidence proves nothing, or the fault was punished before.
    pub async fn submit_evidence(&self, fault: &Fault) -> Result<EvidenceReceipt, ClientError> {
        let body = http::to_body(&EvidenceBody {
            fault: fault.clone(),
        })?;
        self.post("v1/evidence", body).await
    }

    /// Answers an open custody challenge, in nobody's name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`]: it is no answer to an open challenge.
    pub async fn answer_challenge(
        &self,
        challenge: u64,
        answer: &CustodyAnswer,
    ) -> Result<Receipt, ClientError> {
        let body = http::to_body(&AnswerBody {
            challenge,
            answer: answer.clone(),
        })?;
        self.post("v1/answers", body).await
    }

    /// Hands in an account's voucher, in nobody's name.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`]: it pays nothing.
    pub async fn redeem_voucher(
        &self,
        service: ServiceId,
        voucher: Voucher,
        signature: AccountSignature,
    ) -> Result<Receipt, ClientError> {
        let body = http::to_body(&VoucherBody {
            service,
            disperser: voucher.disperser_id,
            account: voucher.account,
            cumulative: Amount(voucher.cumulative),
            signature,
        })?;
        self.post("v1/vouchers", body).await
    }

    /// What an account has with a disperser.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn payment_account(
        &self,
        service: ServiceId,
        disperser: u32,
        account: Account,
    ) -> Result<PaymentAccountDetail, ClientError> {
        self.query(&format!(
            "v1/state/services/{service}/dispersers/{disperser}/accounts/{account}"
        ))
        .await
    }

    /// What a service is paid for, and what came of it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn payments(&self, service: ServiceId) -> Result<PaymentsView, ClientError> {
        self.query(&format!("v1/state/services/{service}/payments"))
            .await
    }

    /// Asks for any path of the service, such as `v1/state/operators?after=0x…`, as the type of its answer ([`crate::types`])
    /// or as [`serde_json::Value`].
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn query<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, None, None).await
    }

    /// All pages of a list.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); [`ClientError::Answer`] if the pages do not end within `max` items.
    pub async fn query_all<T: DeserializeOwned>(
        &self,
        path: &str,
        max: usize,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let page: Page<T> = match &next {
                None => self.query(path).await?,
                Some(after) => {
                    let glue = if path.contains('?') { '&' } else { '?' };
                    self.query(&format!("{path}{glue}after={after}")).await?
                }
            };
            items.extend(page.items);
            match page.next {
                Some(after) if items.len() < max && next.as_ref() != Some(&after) => {
                    next = Some(after);
                }
                None => return Ok(items),
                Some(_) => {
                    return Err(ClientError::Answer {
                        url: self.url(path)?.to_string(),
                        reason: format!("the list has more than {max} items"),
                    });
                }
            }
        }
    }

    /// Where the ledger stands.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn head(&self) -> Result<Head, ClientError> {
        self.query("v1/head").await
    }

    /// The state root, now.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn root(&self) -> Result<StateRoot, ClientError> {
        self.query("v1/root").await
    }

    /// The last nonce of an account.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn account(&self, account: Account) -> Result<AccountView, ClientError> {
        self.query(&format!("v1/accounts/{account}")).await
    }

    /// Events after a record: 0 for the oldest that are kept.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; code `events.gone` if that is longer ago than events are kept.
    pub async fn events(&self, since: u64) -> Result<EventPage, ClientError> {
        self.query(&format!("v1/events?since={since}")).await
    }

    /// What the service says about itself, also if it is not ready. One attempt.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: nobody answers, or not such a service.
    pub async fn health(&self) -> Result<HealthReport, ClientError> {
        let url = self.url("v1/health")?;
        let answer = self.attempt(&Method::GET, &url, None, None).await;
        let answer = answer.map_err(|broken| http::failure(&url, broken))?;
        http::read_json(&url, &answer.body)
    }

    /// The network: what transactions are signed for.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn network(&self) -> Result<Network, ClientError> {
        self.inner
            .network
            .get_or_try_init(|| async { Ok(Network::ledger(&self.head().await?.genesis.0)) })
            .await
            .copied()
    }

    /// The newest signed head of a service. With `after`, waits up to `wait` until there is a newer block than that.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn table_head(
        &self,
        service: ServiceId,
        after: Option<(Block, Duration)>,
    ) -> Result<TableHead, ClientError> {
        let path = format!("v1/services/{service}/head");
        match after {
            None => self.query(&path).await,
            Some((block, wait)) => {
                let wait_ms = wait.as_millis().min(MAX_WAIT_MS.into());
                let path = format!("{path}?after={block}&wait_ms={wait_ms}");
                self.call(Method::GET, &path, None, Some(wait)).await
            }
        }
    }

    /// Who signs the ledger's heads, as it says it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn head_keys(&self) -> Result<HeadKeysView, ClientError> {
        self.query("v1/head-keys").await
    }

    /// The root of a block's table, as the service says it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn table_root(
        &self,
        service: ServiceId,
        block: Block,
    ) -> Result<TableRootView, ClientError> {
        self.query(&format!("v1/services/{service}/tables/{block}/root"))
            .await
    }

    /// The operator table of a service at the end of a block, made here from its content: proofs of possession are checked, and the
    /// root is computed and compared with what the service says. Nobody vouches for it: [`HttpStakeSource`](crate::HttpStakeSource) has those
    /// that somebody does.
    ///
    /// # Errors
    ///
    /// [`ClientError::Table`] if it is no table, [`ClientError::TableRoot`] if it is another one than the service says.
    pub async fn table(
        &self,
        network: Network,
        service: ServiceId,
        block: Block,
    ) -> Result<OperatorTable, ClientError> {
        let view: TableView = self
            .query(&format!("v1/services/{service}/tables/{block}"))
            .await?;
        let mut cache = PossessionCache::default();
        let domain = network.domain(u64::from(service));
        build_table(&view, service, domain, block, &mut cache)
    }
}

/// Makes the table of a service's answer, and compares its root with what the answer says.
///
/// # Errors
///
/// [`ClientError::Table`] or [`ClientError::TableRoot`].
pub fn build_table(
    view: &TableView,
    service: ServiceId,
    domain: Domain,
    block: Block,
    cache: &mut PossessionCache,
) -> Result<OperatorTable, ClientError> {
    let table = view
        .table
        .table(domain, block, cache)
        .map_err(|source| ClientError::Table {
            service,
            block,
            source,
        })?;
    let (got, expected) = (table.root(), view.root);
    if got != expected {
        return Err(ClientError::TableRoot {
            service,
            block,
            got,
            expected,
        });
    }
    Ok(table)
}
