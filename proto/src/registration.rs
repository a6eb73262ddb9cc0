//! What an operator's BLS key signs when it registers and when it changes its network key or address, and what a
//! disperser's network key signs when it registers.
//!
//! The proof of possession shows that somebody holds the key. It is public, so it permits nothing. The statement is
//! what permits: it names the network, the account that may act for the operator, and the operator's network key and
//! address.

use ashlar_crypto::bls::{BlsError, PublicKey, SecretKey, Signature, SignatureBytes};
use ashlar_crypto::hash::Hash;
use ashlar_crypto::identity::{IdentityError, NetworkKey, NetworkPublicKey, NetworkSignature};

use crate::eip712::signing_hash;
use crate::{Account, Domain, Network};

/// The EIP-712 struct behind the statement.
#[allow(missing_docs)]
pub mod sol {
    alloy_sol_types::sol! {
        struct OperatorStatement {
            address account;
            bytes32 networkKey;
            string networkAddress;
            uint64 sequence;
        }

        struct DisperserStatement {
            address account;
            bytes32 networkKey;
        }
    }
}

/// "In this network the account speaks for me, and I am found at this address under this TLS key."
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OperatorStatement {
    /// The network. The same statement in another network has another hash.
    pub network: Network,
    /// Who sends the operator's transactions.
    pub account: Account,
    /// TLS identity.
    pub network_key: NetworkPublicKey,
    /// Where it listens: `host:port`.
    pub address: String,
    /// Statements before this one: 0 at the registration, one more with every change, so that an old one cannot be used again.
    pub sequence: u64,
}

impl OperatorStatement {
    /// What is signed: EIP-712 under the network.
    pub fn signing_hash(&self) -> Hash {
        let statement = sol::OperatorStatement {
            account: self.account.0.into(),
            networkKey: self.network_key.0.into(),
            networkAddress: self.address.clone(),
            sequence: self.sequence,
        };
        signing_hash(self.network, &statement)
    }

    /// Signs it with the operator's key.
    pub fn sign(&self, key: &SecretKey) -> SignatureBytes {
        key.sign(&self.signing_hash()).to_bytes()
    }

    /// Checks that the operator with this key signed it.
    ///
    /// # Errors
    /// The signature is malformed, or not this key's.
    pub fn verify(&self, key: &PublicKey, signature: &SignatureBytes) -> Result<(), BlsError> {
        key.verify(&self.signing_hash(), &Signature::from_bytes(signature)?)
    }
}

/// "In this service the account runs a disperser under me": what keeps everybody from registering somebody else's TLS key. It permits
/// nothing but that, to that account, however often it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DisperserStatement {
    /// The service.
    pub domain: Domain,
    /// Whose bond it is.
    pub account: Account,
    /// TLS identity, and the key that signs batches.
    pub network_key: NetworkPublicKey,
}

impl DisperserStatement {
    /// What is signed: EIP-712 under the domain.
    pub fn signing_hash(&self) -> Hash {
        let statement = sol::DisperserStatement {
            account: self.account.0.into(),
            networkKey: self.network_key.0.into(),
        };
        signing_hash(self.domain, &statement)
    }

    /// Signs it with the network key.
    pub fn sign(&self, key: &NetworkKey) -> NetworkSignature {
        NetworkSignature(key.sign(&self.signing_hash()))
    }

    /// Checks that its network key signed it.
    ///
    /// # Errors
    /// The signature is not this key's.
    pub fn verify(&self, signature: &NetworkSignature) -> Result<(), IdentityError> {
        self.network_key.verify(&self.signing_hash(), &signature.0)
    }
}

#[cfg(test)]
mod tests;
