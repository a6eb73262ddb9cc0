//! What the tests of several crates share. No crate depends on it but for its tests.

pub mod custody;
pub mod files;
pub mod hosts;
pub mod link;
pub mod payments;
pub mod power;
pub mod process;
pub mod random;
pub mod switch;

use std::net::Ipv4Addr;

use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_proto::{Block, Domain, TableScope};

/// The service of all tables that are made without a ledger.
pub const DOMAIN: Domain = Domain([0xd0; 32]);

/// A table of that service at a block, when it uses all versions.
pub fn scope(block: u64) -> TableScope {
    TableScope {
        domain: DOMAIN,
        reference_block: Block(block),
        versions: vec![1, 2, 3],
    }
}

/// A loopback address of this process alone, for what has to be known before it is bound: no other process takes its ports.
pub fn loopback() -> Ipv4Addr {
    // A process id has at most 22 bits.
    Ipv4Addr::from_bits(0x7f00_0000 | (std::process::id() << 2 & 0x00ff_fffc) | 1)
}

fn ikm(index: usize) -> [u8; 32] {
    let mut ikm = [0x5a; 32];
    ikm[..8].copy_from_slice(&(index as u64).to_be_bytes());
    ikm
}

/// The BLS key of operator number `index`, always the same.
pub fn bls_key(index: usize) -> SecretKey {
    SecretKey::from_ikm(&ikm(index))
}

/// Its network key.
pub fn network_secret(index: usize) -> NetworkKey {
    NetworkKey::from_seed(ikm(index))
}

/// The public half of its network key.
pub fn network_key(index: usize) -> NetworkPublicKey {
    network_secret(index).public()
}
