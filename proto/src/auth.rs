//! What an account signs for a disperser: permission to post, and payment. A disperser decides whether it asks for them.
//!
//! All are EIP-712 structs under the service's [`Domain`], so none of them counts in another service.

use ashlar_crypto::account::{AccountError, AccountKey, AccountSignature};
use ashlar_crypto::hash::Hash;

use crate::eip712::signing_hash;
use crate::{Account, BlobId, Domain, Stake};

pub mod header;

/// The EIP-712 structs.
#[allow(missing_docs)]
pub mod sol {
    alloy_sol_types::sol! {
        struct Authorization {
            uint32 disperserId;
            bytes32 submission;
            uint64 deadline;
        }

        struct KeyGrant {
            address key;
            uint64 until;
        }

        struct Voucher {
            address account;
            uint32 disperserId;
            uint256 cumulative;
        }
    }
}

/// "This disperser may take this submission on my account until then."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Authorization {
    /// The one disperser.
    pub disperser_id: u32,
    /// The submission.
    pub submission: BlobId,
    /// Not accepted afterwards: seconds since 1970.
    pub deadline: u64,
}

/// "This key may sign authorisations in my name until then."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyGrant {
    /// The address of the key.
    pub key: Account,
    /// Seconds since 1970.
    pub until: u64,
}

/// "I owe this disperser so much in all." A later voucher replaces an earlier one: the sum only rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Voucher {
    /// Who pays.
    pub account: Account,
    /// Who is paid.
    pub disperser_id: u32,
    /// Everything owed since the account was opened, in the smallest unit of the token.
    pub cumulative: Stake,
}

impl From<Authorization> for sol::Authorization {
    fn from(value: Authorization) -> Self {
        Self {
            disperserId: value.disperser_id,
            submission: value.submission.0.into(),
            deadline: value.deadline,
        }
    }
}

impl From<KeyGrant> for sol::KeyGrant {
    fn from(value: KeyGrant) -> Self {
        Self {
            key: value.key.0.into(),
            until: value.until,
        }
    }
}

impl From<Voucher> for sol::Voucher {
    fn from(value: Voucher) -> Self {
        Self {
            account: value.account.0.into(),
            disperserId: value.disperser_id,
            cumulative: value.cumulative,
        }
    }
}

/// Something that an account signs under a service's domain.
pub trait AccountStatement: Copy {
    /// What is signed.
    fn signing_hash(self, domain: &Domain) -> Hash;

    /// Signs it.
    fn sign(self, domain: &Domain, key: &AccountKey) -> AccountSignature {
        key.sign_prehash(&self.signing_hash(domain))
    }

    /// The account that signed it. Compare it with the one that should have.
    ///
    /// # Errors
    /// No account gives this signature.
    fn signer(
        self,
        domain: &Domain,
        signature: &AccountSignature,
    ) -> Result<Account, AccountError> {
        signature.recover(&self.signing_hash(domain)).map(Account)
    }
}

macro_rules! statement {
    ($($name:ident),*) => {$(
        impl AccountStatement for $name {
            fn signing_hash(self, domain: &Domain) -> Hash {
                signing_hash(*domain, &sol::$name::from(self))
            }
        }
    )*};
}
statement!(Authorization, KeyGrant, Voucher);

#[cfg(test)]
mod tests;
