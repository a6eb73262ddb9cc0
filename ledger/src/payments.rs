//! What accounts have with dispersers, out of a ledger somewhere else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc as std_mpsc};
use std::time::{Duration, Instant};

use ashlar_crypto::Coded as _;
use ashlar_crypto::account::AccountSignature;
use ashlar_proto::Account;
use ashlar_proto::auth::Voucher;
use ashlar_restaking::ServiceId;
use ashlar_stake::{AccountTerms, PaymentSource, StakeError, TableSource};
use tokio::sync::{Semaphore, mpsc};

use crate::client::{ClientConfig, ClientError, LedgerClient};
use crate::source::ledgers;

/// How payments are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentConfig {
    /// What was learned of an account is good for so long: a post in this time costs no question.
    pub fresh: Duration,
    /// While a ledger does not answer, it is good for so long. Deposits fall only after a notice, so this much shorter than the
    /// notice risks nothing.
    pub stale: Duration,
    /// The longest that a caller waits.
    pub patience: Duration,
    /// Accounts remembered, some 200 bytes each.
    pub accounts: usize,
}

impl Default for PaymentConfig {
    /// 1 s, 60 s without an answer, 5 s of patience, 65,536 accounts (13 MiB).
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(1),
            stale: Duration::from_secs(60),
            patience: Duration::from_secs(5),
            accounts: 65_536,
        }
    }
}

/// Questions that wait at a time, each with the thread of its caller: anybody can make up accounts. Further callers are told that the
/// source is busy.
const QUESTIONS: usize = 16;
/// Of them, so many are asked at a time.
const AT_ONCE: usize = 16;
/// Most bytes of an answer, which has less than one KiB.
const MAX_ANSWER: usize = 1 << 16;

/// An account with a disperser.
type Key = (u32, Account);

/// The payments of one service, out of the ledgers that its tables come from: the first that answers is believed. Unlike tables, nobody
/// signs what accounts have; whoever cannot trust the way to a ledger uses `https://`.
///
/// It has a thread of its own. Callers wait for [`PaymentConfig::patience`] at most, and not at all for an account that was asked
/// for within [`PaymentConfig::fresh`].
#[derive(Debug)]
pub struct LedgerPayments {
    shared: Arc<Shared>,
    questions: mpsc::Sender<Question>,
}

#[derive(Debug)]
struct Shared {
    service: ServiceId,
    clients: Vec<LedgerClient>,
    config: PaymentConfig,
    known: Mutex<HashMap<Key, Known>>,
}

/// What was learned of an account.
#[derive(Clone, Copy, Debug)]
struct Known {
    terms: AccountTerms,
    learned: Instant,
    /// Somebody asks again: others need not.
    asking: bool,
}

#[derive(Debug)]
enum Question {
    Terms(Key, Reply<AccountTerms>),
    Redeem(Voucher, AccountSignature, Reply<()>),
}

type Reply<T> = std_mpsc::SyncSender<Result<T, StakeError>>;

impl Shared {
    fn known(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unavailable(&self, code: &'static str, reason: impl Into<String>) -> StakeError {
        let urls: Vec<_> = self.clients.iter().map(|of| of.base().as_str()).collect();
        StakeError::Remote {
            url: urls.join(", "),
            code,
            reason: reason.into(),
        }
    }

    /// Asks one ledger after the other, until one answers or refuses.
    async fn ask<T, F: Future<Output = Result<T, ClientError>>>(
        &self,
        ask: impl Fn(LedgerClient) -> F,
    ) -> Result<T, StakeError> {
        let mut last = self.unavailable("http.url", "no ledger is named");
        for client in &self.clients {
            let url = client.base().to_string();
            match ask(client.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    last = StakeError::Remote {
                        url,
                        code: ashlar_crypto::Coded::code(&error),
                        reason: error.to_string(),
                    };
                    if matches!(error, ClientError::Refused { .. }) {
                        return Err(last);
                    }
                }
            }
        }
        Err(last)
    }

    async fn answer(&self, question: Question) {
        let service = self.service;
        // Nobody there: it did not want to wait any longer.
        match question {
            Question::Terms(key, reply) => {
                let (disperser, account) = key;
                let told = self
                    .ask(|client| async move {
                        client.payment_account(service, disperser, account).await
                    })
                    .await
                    .map(|detail| AccountTerms::from(detail.terms));
                let _ = reply.send(told);
            }
            Question::Redeem(voucher, signature, reply) => {
                let told = self
                    .ask(|client| async move {
                        client.redeem_voucher(service, voucher, signature).await
                    })
                    .await
                    .map(drop);
                let _ = reply.send(told);
            }
        }
    }

    /// What is known of an account and need not be asked for: new, or about to be told to somebody else. Else the caller asks.
    fn look(&self, key: Key) -> Option<AccountTerms> {
        let mut known = self.known();
        let entry = known.get_mut(&key)?;
        let age = entry.learned.elapsed();
        if age < self.config.fresh || (entry.asking && age < self.config.stale) {
            return Some(entry.terms);
        }
        entry.asking = true;
        None
    }

    /// Takes over what a ledger told of an account; while none tells, what it told before.
    fn learn(
        &self,
        key: Key,
        told: Result<AccountTerms, StakeError>,
    ) -> Result<AccountTerms, StakeError> {
        let mut known = self.known();
        let terms = match told {
            Ok(terms) => terms,
            Err(error) => {
                let entry = known.get_mut(&key).ok_or_else(|| error.clone())?;
                entry.asking = false;
                if entry.learned.elapsed() >= self.config.stale {
                    return Err(error);
                }
                tracing::debug!(code = error.code(), "an account as it was: {error}");
                return Ok(entry.terms);
            }
        };
        if known.len() >= self.config.accounts && !known.contains_key(&key) {
            known.retain(|_, entry| entry.learned.elapsed() < self.config.fresh);
        }
        // All of them new: this one is asked for again the next time.
        if known.len() < self.config.accounts || known.contains_key(&key) {
            let entry = Known {
                terms,
                learned: Instant::now(),
                asking: false,
            };
            known.insert(key, entry);
        }
        Ok(terms)
    }
}

impl LedgerPayments {
    /// Asks the ledgers that are described. Returns at once; nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`StakeError::Source`] if the description does not fit together; [`StakeError::Remote`] if it names a file, an address is none, or
    /// the operating system gives no thread.
    pub fn open(source: &TableSource, config: PaymentConfig) -> Result<Self, StakeError> {
        let client_config = ClientConfig {
            attempt_timeout: config.patience,
            deadline: config.patience,
            connect_timeout: config.patience.min(Duration::from_secs(3)),
            max_answer: MAX_ANSWER,
            ..ClientConfig::default()
        };
        let file = "it is a file, and nobody pays through a file";
        let of = ledgers(source, client_config, file)?;
        let clients = of.clients.into_iter();
        let shared = Arc::new(Shared {
            service: of.service,
            clients: clients
                .map(|client| client.for_network(of.network))
                .collect(),
            config,
            known: Mutex::default(),
        });
        let (questions, asked) = mpsc::channel(QUESTIONS);
        crate::source::spawn("payments", work(Arc::clone(&shared), asked))
            .map_err(|error| shared.unavailable("stake.thread", error.to_string()))?;
        Ok(Self { shared, questions })
    }

    fn ask<T>(&self, question: impl FnOnce(Reply<T>) -> Question) -> Result<T, StakeError> {
        let (reply, told) = std_mpsc::sync_channel(1);
        self.questions.try_send(question(reply)).map_err(|_| {
            self.shared
                .unavailable("stake.busy", "too many ask already")
        })?;
        let patience = self.shared.config.patience;
        told.recv_timeout(patience).unwrap_or_else(|_| {
            let reason = format!("no answer came within {} ms", patience.as_millis());
            Err(self.shared.unavailable("stake.timeout", reason))
        })
    }
}

/// Until nobody can ask any more.
async fn work(shared: Arc<Shared>, mut asked: mpsc::Receiver<Question>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(question) = asked.recv().await {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            shared.answer(question).await;
            drop(place);
        });
    }
}

impl PaymentSource for LedgerPayments {
    fn terms(&self, disperser_id: u32, account: Account) -> Result<AccountTerms, StakeError> {
        let key = (disperser_id, account);
        if let Some(terms) = self.shared.look(key) {
            return Ok(terms);
        }
        let told = self.ask(|reply| Question::Terms(key, reply));
        self.shared.learn(key, told)
    }

    fn redeem(&self, voucher: Voucher, signature: AccountSignature) -> Result<(), StakeError> {
        let told = self.ask(|reply| Question::Redeem(voucher, signature, reply));
        // What is known of the account is of before.
        let key = (voucher.disperser_id, voucher.account);
        self.shared.known().remove(&key);
        match told {
            // Another one was faster, or the answer to this one was lost.
            Err(error) if error.code() == "payment.voucher_below" => Ok(()),
            told => told,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
