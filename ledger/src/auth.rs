//! Who may send what: accounts, their keys, and signatures of transactions.
//!
//! Nothing is registered anywhere: an account is the last 20 bytes of SHA-256 of an ed25519 public key ([`account_of`]), and whoever holds
//! the key may act for the account. What is signed is
//! `"ashlar/ledger-transaction/1" | length of the network's name u8 | name | nonce u64 | transaction in canonical JSON`, integers
//! big-endian. A nonce is used once: it has to be larger than every nonce of the account before. Gaps are allowed, so
//! that milliseconds since 1970 would do; clients count.

use alloy_primitives::B512;
use ashlar_crypto::hash::sha256;
use ashlar_crypto::identity::{IdentityError, NetworkKey, NetworkPublicKey};
use ashlar_crypto::{Blame, Coded};
use ashlar_proto::Account;
use ashlar_stake::ledger::Transaction;
use serde::{Deserialize, Serialize};

const TAG: &[u8] = b"ashlar/ledger-transaction/1";

/// The account of a public key: the last 20 bytes of its SHA-256.
pub fn account_of(key: &NetworkPublicKey) -> Account {
    let mut account = [0; 20];
    let digest = sha256(&[&key.0]);
    let (_, last) = digest.split_at(digest.len() - account.len());
    account.copy_from_slice(last);
    Account(account)
}

/// A transaction with its sender's permission. What `POST /v1/transactions` takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedTransaction {
    /// The sender's key; its account is the transaction's sender.
    #[schema(value_type = String)]
    pub public_key: NetworkPublicKey,
    /// Larger than every nonce of this account before.
    pub nonce: u64,
    /// The ed25519 signature, 64 bytes as hex.
    #[schema(value_type = String)]
    pub signature: B512,
    /// What is to be done.
    #[schema(value_type = Object)]
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The key is another account's.
    #[error(
        "the key is that of account {got}, the sender is {expected}: sign with the sender's key"
    )]
    Sender {
        /// The key's account.
        got: Account,
        /// The sender.
        expected: Account,
    },
    /// Anybody could sign in this key's name.
    #[error("{0}")]
    WeakKey(IdentityError),
    /// Not a signature of this transaction with this nonce on this network.
    #[error(
        "the signature is not this key's for this transaction and nonce on network {network:?}: {source}"
    )]
    Signature {
        /// The network that it was checked for.
        network: String,
        /// What the check says.
        source: IdentityError,
    },
}

impl Coded for AuthError {
    fn code(&self) -> &'static str {
        match self {
            Self::Sender { .. } => "transaction.sender",
            Self::WeakKey(_) => "transaction.weak_key",
            Self::Signature { .. } => "transaction.signature",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }
}

impl SignedTransaction {
    /// Signs a transaction. That the key is the sender's is checked by whoever verifies.
    pub fn sign(key: &NetworkKey, network: &str, nonce: u64, transaction: Transaction) -> Self {
        let signature = key.sign(&message(network, nonce, &transaction));
        Self {
            public_key: key.public(),
            nonce,
            signature: B512::from(signature),
            transaction,
        }
    }

    /// Checks that the sender signed this for `network`. Whether the nonce is new is not known here.
    ///
    /// # Errors
    ///
    /// [`AuthError`].
    pub fn verify(self, network: &str) -> Result<Authorized, AuthError> {
        let (got, expected) = (account_of(&self.public_key), self.transaction.sender);
        if got != expected {
            return Err(AuthError::Sender { got, expected });
        }
        self.public_key
            .check_strength()
            .map_err(AuthError::WeakKey)?;
        let message = message(network, self.nonce, &self.transaction);
        self.public_key
            .verify(&message, &self.signature.0)
            .map_err(|source| AuthError::Signature {
                network: network.to_owned(),
                source,
            })?;
        Ok(Authorized(self))
    }
}

/// What is signed. A network's name has at most 64 bytes; a longer one, which no ledger has, is cut.
fn message(network: &str, nonce: u64, transaction: &Transaction) -> Vec<u8> {
    let name = network.as_bytes();
    let name = name.get(..64).unwrap_or(name);
    let mut message = Vec::with_capacity(512);
    message.extend_from_slice(TAG);
    message.push(name.len() as u8);
    message.extend_from_slice(name);
    message.extend_from_slice(&nonce.to_be_bytes());
    // One form: fields in the order of their declaration, no spaces; a transaction that came in another form is written
    // anew here. Writing to memory cannot fail.
    message.extend_from_slice(&serde_json::to_vec(transaction).unwrap_or_default());
    message
}

#[cfg(test)]
mod tests;
