//! Which network and which service a signature is for.
//!
//! ```text
//! network = H("ashlar/network/1" | abi.encode(string kind, bytes32 anchor))
//! domain  = H("ashlar/domain/1"  | abi.encode(bytes32 network, uint64 service))
//! ```
//!
//! Registrations and ledger transactions carry the network, everything of one service carries its domain. So a signature that
//! was given in one place means nothing in another one.

use alloy_primitives::{B256, U256};
use alloy_sol_types::SolValue;
use ashlar_crypto::hash::{Hash, sha256};

use crate::{Account, Domain, Network};

/// Number of a service on a restaking ledger, from 1 on in the order of registration.
pub type ServiceId = u32;

const NETWORK_TAG: &[u8] = b"ashlar/network/1";
const DOMAIN_TAG: &[u8] = b"ashlar/domain/1";

impl Network {
    /// The network of a restaking ledger. Its genesis contains 32 random bytes, so no two ledgers have one hash.
    pub fn ledger(genesis_hash: &Hash) -> Self {
        Self::new("ledger", genesis_hash)
    }

    /// The network of a registry contract on an Ethereum chain.
    pub fn evm(chain_id: U256, registry: &Account) -> Self {
        let registry = alloy_primitives::Address::from(registry.0);
        Self::new("evm", &sha256(&[&(chain_id, registry).abi_encode_params()]))
    }

    /// The network of an operator file, which gives this name. Whoever uses one name twice has one network.
    pub fn file(name: &str) -> Self {
        Self::new("file", &sha256(&[name.as_bytes()]))
    }

    fn new(kind: &str, anchor: &Hash) -> Self {
        let encoded = (kind, B256::from(*anchor)).abi_encode_params();
        Self(sha256(&[NETWORK_TAG, &encoded]))
    }

    /// The domain of one of its services.
    pub fn domain(&self, service: u64) -> Domain {
        let encoded = (B256::from(self.0), service).abi_encode_params();
        Domain(sha256(&[DOMAIN_TAG, &encoded]))
    }
}

#[cfg(test)]
mod tests;
