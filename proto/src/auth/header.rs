//! How what an account signs travels with a submission: two HTTP headers, and the checks that need no more than them.
//!
//! ```text
//! Ashlar-Authorization: domain=0x…, account=0x…, disperser=5, submission=0x…, deadline=1790000000, signature=0x…
//!                       [, key=0x…, key-until=1790000000, key-signature=0x…]
//! Ashlar-Voucher:       cumulative=123456, signature=0x…
//! ```
//!
//! Members come in any order, each once, and no others. `domain` and `account` say what the signature is to be for: a refusal can then
//! tell a foreign service from a broken signature. Nothing is believed before [`SignedAuthorization::verify`].

use std::fmt;
use std::str::FromStr;

use ashlar_crypto::Coded;
use ashlar_crypto::account::{AccountError, AccountKey, AccountSignature};

use super::{AccountStatement, Authorization, KeyGrant, Voucher};
use serde::{Deserialize, Serialize};

use crate::api::decimal;
use crate::{Account, BlobId, Domain, Stake};

/// Name of the header of a [`SignedAuthorization`].
pub const AUTHORIZATION_HEADER: &str = "ashlar-authorization";
/// Name of the header of a [`SignedVoucher`].
pub const VOUCHER_HEADER: &str = "ashlar-voucher";
/// Most bytes of either.
pub const MAX_HEADER_BYTES: usize = 1024;
/// An authorisation ends at most so many seconds after it is used. Long before a blob is forgotten: one that is used again later finds
/// the blob that it was for.
pub const MAX_DEADLINE_SECS: u64 = 24 * 3600;

/// An authorisation as it comes: nobody has checked it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedAuthorization {
    /// The service.
    pub domain: Domain,
    /// The account that answers for the submission.
    pub account: Account,
    /// What is signed.
    pub authorization: Authorization,
    /// By the account, or by the key of the grant.
    pub signature: AccountSignature,
    /// The account's permission for another key, with the account's signature.
    pub grant: Option<(KeyGrant, AccountSignature)>,
}

/// That an account has authorised a submission. Made by [`SignedAuthorization::verify`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authorized {
    account: Account,
    submission: BlobId,
}

impl Authorized {
    /// Who has signed.
    pub fn account(&self) -> Account {
        self.account
    }

    /// For what.
    pub fn submission(&self) -> BlobId {
        self.submission
    }

    /// Whether it is for this submission, which names this account.
    ///
    /// # Errors
    /// [`AuthError::Submission`], [`AuthError::Account`].
    pub fn check(&self, submission: BlobId, account: Account) -> Result<(), AuthError> {
        if account != self.account {
            return Err(AuthError::Account {
                got: account,
                expected: self.account,
            });
        }
        if submission != self.submission {
            return Err(AuthError::Submission {
                got: submission,
                expected: self.submission,
            });
        }
        Ok(())
    }
}

impl SignedAuthorization {
    /// Signs one with the account's own key.
    pub fn sign(domain: Domain, authorization: Authorization, key: &AccountKey) -> Self {
        Self {
            domain,
            account: Account(key.address()),
            authorization,
            signature: authorization.sign(&domain, key),
            grant: None,
        }
    }

    /// Checks it as the disperser with this number in this service, at this time in seconds since 1970.
    ///
    /// # Errors
    /// What is wrong with it, the cheapest first.
    pub fn verify(
        &self,
        domain: Domain,
        disperser_id: u32,
        now_secs: u64,
    ) -> Result<Authorized, AuthError> {
        if self.domain != domain {
            return Err(AuthError::Domain {
                got: self.domain,
                expected: domain,
            });
        }
        let asked = &self.authorization;
        if asked.disperser_id != disperser_id {
            return Err(AuthError::Disperser {
                got: asked.disperser_id,
                expected: disperser_id,
            });
        }
        if asked.deadline < now_secs {
            return Err(AuthError::Expired {
                got: asked.deadline,
                now: now_secs,
            });
        }
        let most = now_secs.saturating_add(MAX_DEADLINE_SECS);
        if asked.deadline > most {
            return Err(AuthError::TooFar {
                got: asked.deadline,
                most,
            });
        }
        let mut expected = self.account;
        if let Some((grant, signature)) = &self.grant {
            if grant.until < now_secs {
                return Err(AuthError::GrantExpired {
                    got: grant.until,
                    now: now_secs,
                });
            }
            let got = grant.signer(&domain, signature)?;
            if got != self.account {
                return Err(AuthError::GrantSigner {
                    got,
                    expected: self.account,
                });
            }
            expected = grant.key;
        }
        let got = asked.signer(&domain, &self.signature)?;
        if got != expected {
            return Err(AuthError::Signer { got, expected });
        }
        Ok(Authorized {
            account: self.account,
            submission: asked.submission,
        })
    }
}

/// A voucher as it comes, without what its submission says already. Account keys alone sign vouchers: a granted key cannot pay.
/// In JSON an account sees by the signature that it is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = VoucherView))]
pub struct SignedVoucher {
    /// Everything owed since the account was opened. Decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = crate::api::Decimal))]
    pub cumulative: Stake,
    /// By the account.
    pub signature: AccountSignature,
}

impl SignedVoucher {
    /// Signs one.
    pub fn sign(domain: Domain, voucher: Voucher, key: &AccountKey) -> Self {
        Self {
            cumulative: voucher.cumulative,
            signature: voucher.sign(&domain, key),
        }
    }

    /// The voucher, if this account signed it for this disperser.
    ///
    /// # Errors
    /// [`AuthError::VoucherSigner`], or no account gives the signature.
    pub fn verify(
        &self,
        domain: Domain,
        account: Account,
        disperser_id: u32,
    ) -> Result<Voucher, AuthError> {
        let voucher = Voucher {
            account,
            disperser_id,
            cumulative: self.cumulative,
        };
        let got = voucher.signer(&domain, &self.signature)?;
        match got == account {
            true => Ok(voucher),
            false => Err(AuthError::VoucherSigner {
                got,
                expected: account,
            }),
        }
    }
}

/// Why an authorisation or a voucher is not what it has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "auth", blame = Caller)]
pub enum AuthError {
    /// The header cannot be read.
    #[error("the header {header} is malformed: {why}")]
    Malformed {
        /// Its name.
        header: &'static str,
        /// What is wrong.
        why: String,
    },
    /// There is none, and this disperser asks for one.
    #[error("this disperser takes signed submissions only: send the header {AUTHORIZATION_HEADER}")]
    Missing,
    /// For another service.
    #[error("the authorisation is for the service {got}, this disperser's is {expected}")]
    Domain {
        /// What it says.
        got: Domain,
        /// Ours.
        expected: Domain,
    },
    /// For another disperser.
    #[error("the authorisation is for disperser {got}, this one is {expected}")]
    Disperser {
        /// What it says.
        got: u32,
        /// Ours.
        expected: u32,
    },
    /// Its time is over.
    #[error("the authorisation ended at {got}, it is {now} (seconds since 1970); sign another one")]
    Expired {
        /// Its deadline.
        got: u64,
        /// The time.
        now: u64,
    },
    /// It could be used for too long.
    #[error("the authorisation ends at {got}, at most {most} is accepted (seconds since 1970)")]
    TooFar {
        /// Its deadline.
        got: u64,
        /// The latest one.
        most: u64,
    },
    /// The granted key's time is over.
    #[error("the key's grant ended at {got}, it is {now} (seconds since 1970)")]
    GrantExpired {
        /// Its end.
        got: u64,
        /// The time.
        now: u64,
    },
    /// The grant is not the account's.
    #[error("the key's grant is signed by {got}, not by the account {expected}")]
    GrantSigner {
        /// Who signed.
        got: Account,
        /// The account.
        expected: Account,
    },
    /// Signed by somebody else, or something else was signed.
    #[error(
        "the signature is that of {got}, not of {expected}: another key, or something else was signed"
    )]
    Signer {
        /// Whose signature it is.
        got: Account,
        /// The account, or the key that it granted.
        expected: Account,
    },
    /// The submission names another account than the one that signed.
    #[error("the submission names the account {got}, and {expected} has signed")]
    Account {
        /// What the submission says.
        got: Account,
        /// Who signed.
        expected: Account,
    },
    /// The signature is for another submission.
    #[error("the authorisation is for the submission {expected}, this one is {got}")]
    Submission {
        /// What was posted.
        got: BlobId,
        /// What was signed.
        expected: BlobId,
    },
    /// The voucher is not the account's, or not for this disperser and service.
    #[error(
        "the voucher's signature is that of {got}, not of {expected}: another key, or it is for another disperser or service"
    )]
    #[coded("voucher.signer")]
    VoucherSigner {
        /// Whose signature it is.
        got: Account,
        /// The account.
        expected: Account,
    },
    /// No key gives a signature.
    #[error(transparent)]
    Signature(#[from] AccountError),
}

impl AuthError {
    /// The HTTP status of the refusal: 400 for what is malformed, 401 for what has to be signed (anew), 403 for what is signed for
    /// something else.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } | Self::Signature(_) => 400,
            Self::Missing | Self::Expired { .. } | Self::TooFar { .. } => 401,
            Self::GrantExpired { .. } => 401,
            _ => 403,
        }
    }
}

impl fmt::Display for SignedAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authorization {
            disperser_id,
            submission,
            deadline,
        } = self.authorization;
        write!(
            f,
            "domain={}, account={}, disperser={disperser_id}, submission={submission}, deadline={deadline}, signature={}",
            self.domain, self.account, self.signature
        )?;
        match &self.grant {
            Some((grant, signature)) => write!(
                f,
                ", key={}, key-until={}, key-signature={signature}",
                grant.key, grant.until
            ),
            None => Ok(()),
        }
    }
}

impl FromStr for SignedAuthorization {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, AuthError> {
        let mut members = Members::of(AUTHORIZATION_HEADER, text)?;
        let read = Self {
            domain: members.take("domain")?,
            account: members.take("account")?,
            authorization: Authorization {
                disperser_id: members.take("disperser")?,
                submission: members.take("submission")?,
                deadline: members.take("deadline")?,
            },
            signature: members.take("signature")?,
            grant: match members.has("key") {
                true => Some((
                    KeyGrant {
                        key: members.take("key")?,
                        until: members.take("key-until")?,
                    },
                    members.take("key-signature")?,
                )),
                false => None,
            },
        };
        members.end()?;
        Ok(read)
    }
}

impl fmt::Display for SignedVoucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            cumulative,
            signature,
        } = self;
        write!(f, "cumulative={cumulative}, signature={signature}")
    }
}

impl FromStr for SignedVoucher {
    type Err = AuthError;

    fn from_str(text: &str) -> Result<Self, AuthError> {
        let mut members = Members::of(VOUCHER_HEADER, text)?;
        let cumulative: String = members.take("cumulative")?;
        let cumulative = decimal::parse(&cumulative)
            .ok_or_else(|| members.malformed("cumulative is no decimal number below 2^256"))?;
        let read = Self {
            cumulative,
            signature: members.take("signature")?,
        };
        members.end()?;
        Ok(read)
    }
}

/// `name=value` pairs that are still to be read.
struct Members<'a> {
    header: &'static str,
    left: Vec<(&'a str, &'a str)>,
}

impl<'a> Members<'a> {
    fn of(header: &'static str, text: &'a str) -> Result<Self, AuthError> {
        let mut members = Self {
            header,
            left: Vec::new(),
        };
        if text.len() > MAX_HEADER_BYTES {
            let why = format!("{} bytes, at most {MAX_HEADER_BYTES} are read", text.len());
            return Err(members.malformed(why));
        }
        for pair in text.split(',') {
            let pair = pair.trim_matches(' ');
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| members.malformed(format!("{pair:?} is no name=value")))?;
            if members.has(name) {
                return Err(members.malformed(format!("{name:?} comes twice")));
            }
            members.left.push((name, value));
        }
        Ok(members)
    }

    fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(other, _)| *other == name)
    }

    fn take<T: FromStr<Err: fmt::Display>>(&mut self, name: &str) -> Result<T, AuthError> {
        let at = self.left.iter().position(|(other, _)| *other == name);
        let at = at.ok_or_else(|| self.malformed(format!("{name:?} is missing")))?;
        let (_, value) = self.left.swap_remove(at);
        value
            .parse()
            .map_err(|error| self.malformed(format!("{name}: {error}")))
    }

    fn end(&self) -> Result<(), AuthError> {
        match self.left.first() {
            Some((name, _)) => Err(self.malformed(format!("{name:?} is no member of it"))),
            None => Ok(()),
        }
    }

    fn malformed(&self, why: impl Into<String>) -> AuthError {
        AuthError::Malformed {
            header: self.header,
            why: why.into(),
        }
    }
}

#[cfg(test)]
mod tests;
