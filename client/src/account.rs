//! An account that signs for what is posted, and pays for it: what it signs, and its count of that.
//!
//! A voucher is for everything owed to one disperser in all. The next one is for
//!
//! ```text
//!   charged − refunded + the prices of the puts under way
//! ```
//!
//! `charged` and `refunded` only rise, and every answer to a post says them; so answers may come in any order. At the beginning, and after
//! an answer that was lost, they are asked for. What the disperser says then is believed up to what the account has signed: by the count
//! of this process, by the file that it is kept in, or by a voucher of its own that the disperser shows.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_crypto::Hash;
use ashlar_crypto::account::{AccountKey, AccountSignature};
use ashlar_proto::api::{AccountMode, AccountView, Prices, decimal};
use ashlar_proto::auth::header::{SignedAuthorization, SignedVoucher};
use ashlar_proto::auth::{AccountStatement, Authorization, KeyGrant, Voucher};
use ashlar_proto::{Account, BlobId, Domain, Stake};
use serde::{Deserialize, Serialize};

use crate::ClientError;

/// An authorisation is good for so long: the time that one put may take, and clocks that differ.
const VALID: Duration = Duration::from_secs(600);
/// Largest file of a count.
const MAX_FILE: u64 = 1 << 20;

/// Signs for an account: a key in this process, or somebody who has it.
pub trait AccountSigner: Send + Sync {
    /// The account.
    fn account(&self) -> Account;

    /// Signs a hash, which says by itself what it is for (EIP-712). May block.
    ///
    /// # Errors
    /// [`ClientError::CannotSign`].
    fn sign(&self, hash: &Hash) -> Result<AccountSignature, ClientError>;

    /// The account's permission, if it is another key that signs. Such a key cannot pay: only the account signs vouchers.
    fn grant(&self) -> Option<(KeyGrant, AccountSignature)> {
        None
    }
}

impl AccountSigner for AccountKey {
    fn account(&self) -> Account {
        Account(self.address())
    }

    fn sign(&self, hash: &Hash) -> Result<AccountSignature, ClientError> {
        Ok(self.sign_prehash(hash))
    }
}

/// A key that an account has authorised to post in its name.
#[derive(Clone, Debug)]
pub struct GrantedKey {
    /// The key.
    pub key: AccountKey,
    /// The account.
    pub account: Account,
    /// The account's permission.
    pub grant: KeyGrant,
    /// The account's signature of it.
    pub signature: AccountSignature,
}

impl AccountSigner for GrantedKey {
    fn account(&self) -> Account {
        self.account
    }

    fn sign(&self, hash: &Hash) -> Result<AccountSignature, ClientError> {
        Ok(self.key.sign_prehash(hash))
    }

    fn grant(&self) -> Option<(KeyGrant, AccountSignature)> {
        Some((self.grant, self.signature))
    }
}

/// What a blob costs at a disperser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Its base URL.
    pub disperser: String,
    /// Whom it serves.
    pub mode: AccountMode,
    /// The price, in the smallest unit of the token. Zero where nobody pays. A reservation's rows are paid already.
    pub price: Stake,
}

/// An account that signs for what is posted, how much it pays, and what it has signed. Clones share the count.
#[derive(Clone)]
pub struct PayingAccount {
    signer: Arc<dyn AccountSigner>,
    max_price: Option<Stake>,
    count: Arc<Mutex<Count>>,
}

impl fmt::Debug for PayingAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayingAccount")
            .field("account", &self.account())
            .field("max_price", &self.max_price)
            .finish_non_exhaustive()
    }
}

impl PayingAccount {
    /// One that signs and pays nothing: for dispersers that have a list of accounts, and for reservations. Its count is in memory.
    pub fn new(signer: impl AccountSigner + 'static) -> Self {
        Self {
            signer: Arc::new(signer),
            max_price: None,
            count: Arc::default(),
        }
    }

    /// Pays so much for a blob at most, to each disperser that takes it, in the smallest unit of the token.
    #[must_use]
    pub fn max_price(mut self, limit: Stake) -> Self {
        self.max_price = Some(limit);
        self
    }

    /// Keeps its count in this file too, which is synced before a voucher leaves. Of use where a disperser is not believed to show the
    /// account's highest voucher: without the file, a process that starts anew has nothing else to go by. Blocks.
    ///
    /// # Errors
    /// [`ClientError::CannotSign`]: the file is there and cannot be read.
    pub fn counted_in(self, file: impl Into<PathBuf>) -> Result<Self, ClientError> {
        let file = file.into();
        let books = read(&file, self.account())?;
        Ok(Self {
            count: Arc::new(Mutex::new(Count {
                file: Some(file),
                books,
            })),
            ..self
        })
    }

    /// The account.
    pub fn account(&self) -> Account {
        self.signer.account()
    }

    /// Whether it signs vouchers.
    pub(crate) fn pays(&self) -> bool {
        self.max_price.is_some() && self.signer.grant().is_none()
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is owed there has to be asked before a voucher is signed.
    pub(crate) fn is_lost(&self, of: To) -> bool {
        !self.count().books.entry(of).or_default().known
    }

    /// What is owed there has to be asked: an answer was lost, or the count is refused.
    pub(crate) fn lose(&self, of: To) {
        self.count().books.entry(of).or_default().known = false;
    }

    /// Takes over what a disperser says, as far as the account has signed for it.
    pub(crate) fn reconcile(
        &self,
        of: To,
        disperser: &str,
        view: &AccountView,
    ) -> Result<(), ClientError> {
        let shown = view.voucher.filter(|voucher| {
            let verified = voucher.verify(of.domain, self.account(), of.disperser_id);
            verified.is_ok()
        });
        let mut count = self.count();
        let book = count.books.entry(of).or_default();
        let shown = shown.map_or(Stake::ZERO, |voucher| voucher.cumulative);
        book.signed = book.signed.max(shown);
        let owed = view.charged.saturating_sub(view.refunded);
        if owed > book.signed {
            return Err(ClientError::AccountDisagrees {
                disperser: disperser.to_owned(),
                got: owed,
                signed: book.signed,
            });
        }
        book.hear(view.charged, view.refunded);
        book.known = true;
        Ok(())
    }

    /// Signs for a submission: to be sent to this disperser alone. Blocks, if the count is in a file.
    pub(crate) fn sign(
        &self,
        of: To,
        submission: BlobId,
        quote: &Quote,
        now_ms: u64,
    ) -> Result<Signed, ClientError> {
        let authorization = Authorization {
            disperser_id: of.disperser_id,
            submission,
            deadline: now_ms / 1000 + VALID.as_secs(),
        };
        let signature = self.signer.sign(&authorization.signing_hash(&of.domain))?;
        let authorization = SignedAuthorization {
            domain: of.domain,
            account: self.account(),
            authorization,
            signature,
            grant: self.signer.grant(),
        };
        let pays = quote.mode == AccountMode::Paid && self.pays();
        let Some(limit) = self.max_price.filter(|_| pays) else {
            return Ok(Signed {
                authorization,
                voucher: None,
                under_way: None,
            });
        };
        if quote.price > limit {
            return Err(ClientError::PriceAboveLimit {
                disperser: quote.disperser.clone(),
                price: quote.price,
                limit,
            });
        }
        let (voucher, under_way) = self.reserve(of, quote.price)?;
        let signature = self.signer.sign(&voucher.signing_hash(&of.domain))?;
        Ok(Signed {
            authorization,
            voucher: Some(SignedVoucher {
                cumulative: voucher.cumulative,
                signature,
            }),
            under_way: Some(under_way),
        })
    }

    /// The voucher for one put more. It is counted before it is signed.
    fn reserve(&self, of: To, price: Stake) -> Result<(Voucher, UnderWay), ClientError> {
        let mut count = self.count();
        let book = count.books.entry(of).or_default();
        let owed = book.charged.saturating_sub(book.refunded);
        let cumulative = owed
            .checked_add(book.under_way)
            .and_then(|sum| sum.checked_add(price))
            .ok_or_else(|| ClientError::CannotSign("the sum is beyond 256 bits".to_owned()))?;
        let before = book.signed;
        book.signed = before.max(cumulative);
        if book.signed > before
            && let Err(error) = count.write(self.account())
        {
            count.books.entry(of).or_default().signed = before;
            return Err(error);
        }
        let book = count.books.entry(of).or_default();
        book.under_way = book.under_way.saturating_add(price);
        let voucher = Voucher {
            account: self.account(),
            disperser_id: of.disperser_id,
            cumulative,
        };
        let under_way = UnderWay {
            account: self.clone(),
            of,
            price,
            settled: false,
        };
        Ok((voucher, under_way))
    }

    /// What an answer to a post says, believed like any other word of the disperser.
    fn hear(&self, of: To, charged: Stake, refunded: Stake) {
        let mut count = self.count();
        let book = count.books.entry(of).or_default();
        match charged.saturating_sub(refunded) <= book.signed {
            true => book.hear(charged, refunded),
            false => book.known = false,
        }
    }
}

/// Whom a voucher is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct To {
    pub(crate) domain: Domain,
    pub(crate) disperser_id: u32,
}

impl From<&Prices> for To {
    fn from(prices: &Prices) -> Self {
        Self {
            domain: prices.domain,
            disperser_id: prices.disperser_id,
        }
    }
}

/// What goes with one post.
pub(crate) struct Signed {
    pub(crate) authorization: SignedAuthorization,
    pub(crate) voucher: Option<SignedVoucher>,
    /// Of the voucher.
    pub(crate) under_way: Option<UnderWay>,
}

/// A put that is being paid. If it is dropped before its answer was heard, nobody knows whether it was charged.
pub(crate) struct UnderWay {
    account: PayingAccount,
    of: To,
    price: Stake,
    settled: bool,
}

impl UnderWay {
    /// The disperser has refused it: nothing was charged.
    pub(crate) fn refused(mut self) {
        self.settled = true;
    }

    /// The disperser has accepted it, and says what it has charged and refunded in all.
    pub(crate) fn accepted(mut self, charged: Stake, refunded: Stake) {
        self.settled = true;
        self.account.hear(self.of, charged, refunded);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut count = self.account.count();
        let book = count.books.entry(self.of).or_default();
        book.under_way = book.under_way.saturating_sub(self.price);
        book.known &= self.settled;
    }
}

#[derive(Default)]
struct Count {
    file: Option<PathBuf>,
    books: HashMap<To, Book>,
}

/// What was signed for one disperser, and what it has charged.
#[derive(Debug, Default)]
struct Book {
    /// The highest voucher.
    signed: Stake,
    charged: Stake,
    refunded: Stake,
    /// Prices of the puts under way.
    under_way: Stake,
    /// The disperser's counts have been asked for, and no answer was lost since.
    known: bool,
}

impl Book {
    fn hear(&mut self, charged: Stake, refunded: Stake) {
        self.charged = self.charged.max(charged);
        self.refunded = self.refunded.max(refunded);
    }
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    account: Account,
    domain: Domain,
    disperser_id: u32,
    #[serde(with = "decimal")]
    signed: Stake,
}

impl Count {
    fn write(&self, account: Account) -> Result<(), ClientError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let lines = self.books.iter().map(|(of, book)| Line {
            account,
            domain: of.domain,
            disperser_id: of.disperser_id,
            signed: book.signed,
        });
        let lines: Vec<_> = lines.collect();
        let failed = |why: String| cannot(file, "written", why);
        let text = serde_json::to_vec_pretty(&lines).map_err(|error| failed(error.to_string()))?;
        let mut unfinished = file.clone().into_os_string();
        unfinished.push(".new");
        ashlar_service::folder::write(file, Path::new(&unfinished), &[&text])
            .map_err(|error| failed(error.to_string()))
    }
}

fn read(file: &Path, account: Account) -> Result<HashMap<To, Book>, ClientError> {
    let failed = |why: String| cannot(file, "read", why);
    let length = match std::fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(HashMap::new()),
        about => about.map_err(|error| failed(error.to_string()))?.len(),
    };
    if length > MAX_FILE {
        return Err(failed(format!("{length} bytes, at most {MAX_FILE}")));
    }
    let text = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
    let lines: Vec<Line> =
        serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    if let Some(other) = lines.iter().find(|line| line.account != account) {
        return Err(failed(format!(
            "it is of the account {}, not of {account}",
            other.account
        )));
    }
    let books = lines.into_iter().map(|line| {
        let of = To {
            domain: line.domain,
            disperser_id: line.disperser_id,
        };
        let book = Book {
            signed: line.signed,
            ..Book::default()
        };
        (of, book)
    });
    Ok(books.collect())
}

fn cannot(file: &Path, what: &str, why: String) -> ClientError {
    let file = file.display();
    ClientError::CannotSign(format!(
        "the count of vouchers {file} cannot be {what}: {why}"
    ))
}

#[cfg(test)]
mod tests;
