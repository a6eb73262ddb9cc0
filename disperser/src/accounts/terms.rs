//! What accounts have on the ledger, remembered for a few seconds.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ashlar_crypto::Coded;
use ashlar_proto::Account;
use ashlar_stake::StakeError;
use ashlar_stake::{AccountTerms, PaymentSource};

/// So long an answer counts. A withdrawal is announced long before it takes effect, so no voucher is left uncovered meanwhile.
pub const FRESH: Duration = Duration::from_secs(10);
/// Before an account is refused for want of funds the source is asked again, but not more often than this.
pub const ASK_AGAIN: Duration = Duration::from_secs(1);
/// So long an answer counts while the source fails.
const STALE: Duration = Duration::from_secs(60);
/// Accounts remembered, 160 bytes each.
const CAPACITY: usize = 16_384;
/// Questions at a time: anybody can make up accounts, and each question holds a thread.
const QUESTIONS: usize = 16;

/// The source of payment, with a memory.
pub struct Terms {
    source: Arc<dyn PaymentSource>,
    known: Mutex<HashMap<Account, (Instant, AccountTerms)>>,
    asking: AtomicUsize,
}

/// The terms of an account are not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "payment", blame = Us)]
pub enum TermsError {
    /// The source fails.
    #[error("what the account has deposited cannot be asked now: {0}")]
    Unavailable(StakeError),
    /// Too many ask.
    #[error("too many accounts are being looked up; try again later")]
    Busy,
}

impl Terms {
    /// Over this source.
    pub fn new(source: Arc<dyn PaymentSource>) -> Self {
        Self {
            source,
            known: Mutex::default(),
            asking: AtomicUsize::new(0),
        }
    }

    /// The source.
    pub fn source(&self) -> &dyn PaymentSource {
        self.source.as_ref()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Account, (Instant, AccountTerms)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an account has, as of `age` ago at most. Blocks.
    ///
    /// # Errors
    /// The source fails and was not heard of for a while; or too many ask.
    pub fn of(
        &self,
        disperser_id: u32,
        account: Account,
        age: Duration,
    ) -> Result<AccountTerms, TermsError> {
        let known = self.lock().get(&account).copied();
        if let Some((at, terms)) = known.filter(|(at, _)| at.elapsed() <= age) {
            tracing::trace!(%account, age = ?at.elapsed(), "terms known");
            return Ok(terms);
        }
        let _asking = Asking::one(&self.asking).ok_or(TermsError::Busy)?;
        match self.source.terms(disperser_id, account) {
            Ok(terms) => {
                let mut known = self.lock();
                if known.len() >= CAPACITY {
                    known.retain(|_, (at, _)| at.elapsed() <= FRESH);
                    if known.len() >= CAPACITY {
                        known.clear();
                    }
                }
                known.insert(account, (Instant::now(), terms));
                Ok(terms)
            }
            Err(error) => match known.filter(|(at, _)| at.elapsed() <= STALE) {
                Some((_, terms)) => Ok(terms),
                None => Err(TermsError::Unavailable(error)),
            },
        }
    }
}

struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn one(asking: &'a AtomicUsize) -> Option<Self> {
        let guard = Self(asking);
        (asking.fetch_add(1, Ordering::SeqCst) < QUESTIONS).then_some(guard)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
