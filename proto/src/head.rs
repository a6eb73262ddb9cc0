//! Signed heads: which operator table held at which block, signed by the source of tables.
//!
//! A table's root does not say who made the table. So a source of tables signs a [`Head`], and whoever follows the
//! source pins the address of its key. Two heads of one block with different roots are proof against the source. The
//! key changes by a [`HeadKeySuccession`] that the old key signs.

use ashlar_crypto::Coded;
use ashlar_crypto::account::{AccountError, AccountKey, AccountSignature};
use ashlar_crypto::hash::Hash;
use serde::{Deserialize, Serialize};

use crate::Block;
use crate::eip712::signing_hash;
use crate::{Account, Domain, Network, TableRoot};

/// The EIP-712 structs behind heads.
#[allow(missing_docs)]
pub mod sol {
    alloy_sol_types::sol! {
        struct Head {
            uint64 block;
            uint64 timeMs;
            bytes32 tableRoot;
        }

        struct HeadKeySuccession {
            address successor;
            uint64 fromBlock;
        }
    }
}

/// The operator table of a service at the end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = BlockHead))]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The service.
    pub domain: Domain,
    /// The block, which is over.
    pub block: Block,
    /// The block's time, in milliseconds since 1970. Never less than that of a block before.
    pub time_ms: u64,
    /// The table's root.
    pub table_root: TableRoot,
}

impl Head {
    /// What is signed: EIP-712 `Head(uint64 block,uint64 timeMs,bytes32 tableRoot)` under the domain.
    pub fn signing_hash(&self) -> Hash {
        let head = sol::Head {
            block: self.block.0,
            timeMs: self.time_ms,
            tableRoot: self.table_root.0.into(),
        };
        signing_hash(self.domain, &head)
    }

    /// Signs it. Whoever calls this has made sure, durably, that no other root was signed for this block.
    pub fn sign(self, key: &AccountKey) -> SignedHead {
        SignedHead {
            head: self,
            signature: key.sign_prehash(&self.signing_hash()),
        }
    }
}

/// A head with a signature that nobody has checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedHead {
    /// The head.
    pub head: Head,
    /// By the source's key.
    pub signature: AccountSignature,
}

impl SignedHead {
    /// Checks the service first, then the signature.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn verify(self, domain: &Domain, key: &Account) -> Result<VerifiedHead, HeadError> {
        if self.head.domain != *domain {
            return Err(HeadError::Domain {
                got: self.head.domain,
                expected: *domain,
            });
        }
        let got = self.signature.recover(&self.head.signing_hash())?;
        check_signer(Account(got), key)?;
        Ok(VerifiedHead(self))
    }
}

/// A head that the key of its source signed. Only [`SignedHead::verify`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VerifiedHead(SignedHead);

impl VerifiedHead {
    /// The head.
    pub fn head(&self) -> &Head {
        &self.0.head
    }

    /// The head with its signature, for others.
    pub fn signed(&self) -> &SignedHead {
        &self.0
    }
}

/// The key of a source is another one from a block on. Unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeadKeySuccession {
    /// The network.
    pub network: Network,
    /// The key that signs heads from `from_block` on.
    pub successor: Account,
    /// The first block of the new key.
    pub from_block: Block,
    /// By the key before it.
    pub signature: AccountSignature,
}

impl HeadKeySuccession {
    /// Signs a succession with the key that is succeeded.
    pub fn sign(key: &AccountKey, network: Network, successor: Account, from_block: Block) -> Self {
        let hash = Self::hash(&network, &successor, from_block);
        Self {
            network,
            successor,
            from_block,
            signature: key.sign_prehash(&hash),
        }
    }

    /// Checks that this is a succession of `key` in `network`.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn verify(&self, network: &Network, key: &Account) -> Result<(), HeadError> {
        if self.network != *network {
            return Err(HeadError::Network {
                got: self.network,
                expected: *network,
            });
        }
        let hash = Self::hash(network, &self.successor, self.from_block);
        check_signer(Account(self.signature.recover(&hash)?), key)
    }

    fn hash(network: &Network, successor: &Account, from_block: Block) -> Hash {
        let succession = sol::HeadKeySuccession {
            successor: successor.0.into(),
            fromBlock: from_block.0,
        };
        signing_hash(*network, &succession)
    }
}

fn check_signer(got: Account, expected: &Account) -> Result<(), HeadError> {
    if got == *expected {
        Ok(())
    } else {
        Err(HeadError::Signer {
            got,
            expected: *expected,
        })
    }
}

/// A head or a succession that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "head", blame = Peer)]
pub enum HeadError {
    /// Of another service or network.
    #[error("the head is of domain {got}, expected {expected}")]
    #[coded("other_domain")]
    Domain {
        /// The head's.
        got: Domain,
        /// The one followed.
        expected: Domain,
    },
    /// Of another network.
    #[error("the succession is of network {got}, expected {expected}")]
    #[coded("other_network")]
    Network {
        /// The succession's.
        got: Network,
        /// The one followed.
        expected: Network,
    },
    /// Signed by another key.
    #[error("signed by {got}, the key of this source is {expected}")]
    #[coded("other_key")]
    Signer {
        /// Who signed.
        got: Account,
        /// Who should have.
        expected: Account,
    },
    /// No signature at all.
    #[error(transparent)]
    #[coded("signature")]
    Signature(#[from] AccountError),
}

#[cfg(test)]
mod tests;
