//! What the tests of this crate share: keys made once, and entries made from them.

use std::sync::OnceLock;

use ashlar_crypto::bls::PublicKeyBytes;
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_proto::table::{DisperserEntry, OperatorEntry, operator_id};
use ashlar_proto::{Account, QuorumId, Stake};
pub(crate) use ashlar_testing::{bls_key, network_key, scope};

use crate::{OperatorTable, Registration};

/// As many operators as the largest protocol version allows, and one more.
const KEYS: usize = 1025;

/// The public keys, by rising operator id, so that an entry's number is its index in a table of the first ones.
fn public_keys() -> &'static [(PublicKeyBytes, NetworkPublicKey)] {
    static KEYS_MADE: OnceLock<Vec<(PublicKeyBytes, NetworkPublicKey)>> = OnceLock::new();
    KEYS_MADE.get_or_init(|| {
        let mut keys: Vec<_> = (0..KEYS)
            .map(|index| (bls_key(index).public_key().to_bytes(), network_key(index)))
            .collect();
        keys.sort_by_key(|(bls, _)| operator_id(bls));
        keys
    })
}

/// Entry number `index`, with `stakes` by quorum; zero means none.
pub(crate) fn entry(index: usize, stakes: &[(QuorumId, Stake)]) -> OperatorEntry {
    let (bls_public_key, network_key) = public_keys()[index];
    OperatorEntry {
        operator_id: operator_id(&bls_public_key),
        bls_public_key,
        network_key,
        address: format!("node-{index}.example:7000"),
        stakes: stakes
            .iter()
            .filter(|(_, stake)| !stake.is_zero())
            .copied()
            .collect(),
    }
}

pub(crate) fn stake(value: u64) -> Stake {
    Stake::from(value)
}

/// A table with these stakes in quorum 0.
pub(crate) fn table_of(stakes: &[Stake]) -> OperatorTable {
    let entries = stakes
        .iter()
        .enumerate()
        .map(|(index, &stake)| entry(index, &[(0, stake)]))
        .collect();
    OperatorTable::new(scope(1), entries, Vec::new()).unwrap()
}

pub(crate) fn disperser(id: u32) -> DisperserEntry {
    DisperserEntry {
        id,
        network_key: NetworkKey::from_seed([0xd0 ^ id as u8; 32]).public(),
        account: Account([id as u8; 20]),
        bond: stake(1000 + u64::from(id)),
    }
}

/// Registration number `index`, in the order of making, not of ids.
pub(crate) fn registration(index: usize, stakes: &[(QuorumId, u64)]) -> Registration {
    let stakes = stakes
        .iter()
        .map(|&(quorum, value)| (quorum, stake(value)))
        .collect();
    Registration::new(
        &bls_key(index),
        network_key(index),
        format!("127.0.0.1:{}", 7000 + index),
        stakes,
    )
}
