//! Who may send what: signatures of transactions.
//!
//! An account is an Ethereum address; nothing is registered anywhere. Its key signs the transaction's EIP-712 struct
//! ([`Action::signing_hash`](ashlar_restaking::Action::signing_hash)), in which the sender's nonce stands last, for one network: that of one ledger's genesis. A nonce is used once: it has to
//! be larger than every nonce of the account before. Gaps are allowed, so that milliseconds since 1970 would do; clients count.

use ashlar_crypto::Coded;
use ashlar_crypto::account::{AccountError, AccountKey, AccountSignature};
use ashlar_proto::{Account, Network};
use ashlar_restaking::Transaction;
use serde::{Deserialize, Serialize};

/// A transaction with its sender's permission. What `POST /v1/transactions` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedTransaction {
    /// The network that it is signed for.
    pub network: Network,
    /// Larger than every nonce of this account before.
    pub nonce: u64,
    /// The signature by the sender's key, 65 bytes as hex.
    pub signature: AccountSignature,
    /// What is to be done.
    pub transaction: Transaction,
}

/// A transaction that its sender did sign, for this network. Only [`SignedTransaction::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized(SignedTransaction);

impl Authorized {
    /// What was verified.
    pub fn signed(&self) -> &SignedTransaction {
        &self.0
    }

    /// Its sender.
    pub fn sender(&self) -> Account {
        self.0.transaction.sender
    }
}

/// Why a signed transaction is not its sender's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "transaction", blame = Caller)]
pub enum AuthError {
    /// It is for another ledger, be it of the same name.
    #[error(
        "the transaction is signed for network {got}, this is {expected}: sign it for this one"
    )]
    Network {
        /// The network that it is signed for.
        got: Network,
        /// This one.
        expected: Network,
    },
    /// The bytes are no signature.
    #[error("{0}")]
    Signature(AccountError),
    /// Somebody else's, or of another transaction or nonce.
    #[error(
        "the signature of this transaction and nonce is account {got}'s, the sender is {expected}: sign exactly what is sent, with the sender's key"
    )]
    Sender {
        /// Whose key signed, if it was this that was signed.
        got: Account,
        /// The sender.
        expected: Account,
    },
}

impl SignedTransaction {
    /// Signs a transaction. That the key is the sender's is checked by whoever verifies.
    pub fn sign(key: &AccountKey, network: Network, nonce: u64, transaction: Transaction) -> Self {
        let hash = transaction.action.signing_hash(network, nonce);
        Self {
            network,
            nonce,
            signature: key.sign_prehash(&hash),
            transaction,
        }
    }

    /// Checks that the sender signed this for `network`. Whether the nonce is new is not known here.
    ///
    /// # Errors
    ///
    /// [`AuthError`].
    pub fn verify(self, network: Network) -> Result<Authorized, AuthError> {
        if self.network != network {
            return Err(AuthError::Network {
                got: self.network,
                expected: network,
            });
        }
        let hash = self.transaction.action.signing_hash(network, self.nonce);
        let got = self
            .signature
            .recover(&hash)
            .map_err(AuthError::Signature)?;
        let (got, expected) = (Account(got), self.transaction.sender);
        if got != expected {
            return Err(AuthError::Sender { got, expected });
        }
        Ok(Authorized(self))
    }
}

#[cfg(test)]
mod tests;
