//! What certificates need of the operator table. The table itself, with its file and its assignment, is in crate
//! `ashlar-stake`.

use alloy_sol_types::SolValue;
use ashlar_crypto::{
    Coded,
    bls::{PublicKey, PublicKeyBytes},
    hash::{Hash, sha256},
    identity::NetworkPublicKey,
    merkle::{MerkleTree, leaf_hash},
};

use crate::{Account, Block, Domain, OperatorId, OperatorIndex, QuorumId, Stake, TableRoot};

const OPERATOR_TAG: &[u8] = b"ashlar/operator/1";
const TABLE_TAG: &[u8] = b"ashlar/table/3";

/// Most bytes of an operator's address text: a 253-byte DNS name, a colon and a port.
pub const MAX_ADDRESS_BYTES: usize = 260;
/// Most quorums in a table: every number there is.
pub const MAX_TABLE_QUORUMS: usize = 256;
/// Most protocol versions that a service uses.
pub const MAX_TABLE_VERSIONS: usize = 16;

/// The Solidity structs behind the table.
#[allow(missing_docs)]
pub mod sol {
    alloy_sol_types::sol! {
        struct QuorumStake {
            uint8 quorum;
            uint256 stake;
        }

        struct OperatorEntry {
            bytes32 operatorId;
            bytes32[3] blsPublicKey;
            bytes32 networkKey;
            string networkAddress;
            QuorumStake[] stakes;
        }

        struct DisperserEntry {
            uint32 id;
            bytes32 networkKey;
            address account;
            uint256 bond;
        }

        struct TableHeader {
            bytes32 domain;
            uint64 referenceBlock;
            uint16[] versions;
            uint32 operators;
            bytes32 operatorsRoot;
            bytes32 dispersersRoot;
            bytes32[3] aggregateKey;
            QuorumStake[] totals;
        }
    }
}

/// The id of the operator with this BLS key.
pub fn operator_id(bls: &PublicKeyBytes) -> OperatorId {
    OperatorId(sha256(&[OPERATOR_TAG, &bls.0]))
}

/// An operator as the table knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorEntry {
    /// `operator_id(bls_public_key)`.
    pub operator_id: OperatorId,
    /// Compressed BLS public key, 96 bytes.
    pub bls_public_key: PublicKeyBytes,
    /// TLS identity.
    pub network_key: NetworkPublicKey,
    /// Where it listens: `host:port`.
    pub address: String,
    /// Stake in each quorum: by rising quorum, none zero.
    pub stakes: Vec<(QuorumId, Stake)>,
}

impl OperatorEntry {
    /// `abi.encode(entry)`: the bytes of its leaf.
    pub fn abi_encode(&self) -> Vec<u8> {
        sol::OperatorEntry {
            operatorId: self.operator_id.0.into(),
            blsPublicKey: words(&self.bls_public_key),
            networkKey: self.network_key.0.into(),
            networkAddress: self.address.clone(),
            stakes: stakes_sol(&self.stakes),
        }
        .abi_encode()
    }

    /// The hash of its leaf in the table's tree.
    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.abi_encode())
    }

    /// Stake in one quorum, zero if it has none there.
    pub fn stake(&self, quorum: QuorumId) -> Stake {
        lookup(&self.stakes, quorum).unwrap_or(Stake::ZERO)
    }

    /// Checks the rules that need nothing but the entry: the id is that of the key, the address has the form
    /// `host:port` and fits, stakes are by rising quorum and not zero.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), EntryError> {
        let expected = operator_id(&self.bls_public_key);
        if self.operator_id != expected {
            return Err(EntryError::Id {
                got: self.operator_id,
                expected,
            });
        }
        check_address(&self.address)?;
        check_stakes(&self.stakes)
    }
}

fn check_address(address: &str) -> Result<(), EntryError> {
    let fail = || EntryError::Address {
        got: address.chars().take(MAX_ADDRESS_BYTES).collect(),
    };
    if address.len() > MAX_ADDRESS_BYTES || !address.chars().all(|c| c.is_ascii_graphic()) {
        return Err(fail());
    }
    let (host, port) = address.rsplit_once(':').ok_or_else(fail)?;
    if host.is_empty() || !port.parse::<u16>().is_ok_and(|p| p != 0) {
        return Err(fail());
    }
    Ok(())
}

/// Checks that stakes are by rising quorum and that none is zero.
///
/// # Errors
/// The first rule that is broken.
pub fn check_stakes(stakes: &[(QuorumId, Stake)]) -> Result<(), EntryError> {
    if let Some(((first, _), (second, _))) = stakes
        .iter()
        .zip(stakes.iter().skip(1))
        .find(|((a, _), (b, _))| a >= b)
    {
        return Err(EntryError::QuorumOrder {
            first: *first,
            second: *second,
        });
    }
    match stakes.iter().find(|(_, stake)| stake.is_zero()) {
        Some(&(quorum, _)) => Err(EntryError::ZeroStake { quorum }),
        None => Ok(()),
    }
}

/// The Merkle tree over the operators of a table, in the table's order.
pub fn operators_tree<'a>(operators: impl IntoIterator<Item = &'a OperatorEntry>) -> MerkleTree {
    MerkleTree::from_leaf_hashes(operators.into_iter().map(OperatorEntry::leaf).collect())
}

/// A registered disperser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisperserEntry {
    /// Its number in batch headers.
    pub id: u32,
    /// TLS identity.
    pub network_key: NetworkPublicKey,
    /// Account of its bond.
    pub account: Account,
    /// Its bond in units of the service's bond token, not zero: operators share their daily bytes in proportion to it.
    pub bond: Stake,
}

impl DisperserEntry {
    /// `abi.encode(entry)`: the bytes of its leaf.
    pub fn abi_encode(&self) -> Vec<u8> {
        sol::DisperserEntry {
            id: self.id,
            networkKey: self.network_key.0.into(),
            account: self.account.0.into(),
            bond: self.bond,
        }
        .abi_encode()
    }

    /// The hash of its leaf in the table's tree.
    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.abi_encode())
    }
}

/// The Merkle tree over the dispersers of a table, by rising id.
pub fn dispersers_tree<'a>(dispersers: impl IntoIterator<Item = &'a DisperserEntry>) -> MerkleTree {
    MerkleTree::from_leaf_hashes(dispersers.into_iter().map(DisperserEntry::leaf).collect())
}

/// Which service a table is of, when, and what the service uses then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableScope {
    /// The service.
    pub domain: Domain,
    /// The block at which the table is the state.
    pub reference_block: Block,
    /// The protocol versions that the service uses at that block: 1 to 16, rising strictly.
    pub versions: Vec<u16>,
}

/// What the root of an operator table commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableHeader {
    /// The service whose operators these are.
    pub domain: Domain,
    /// The block at which the table is the state.
    pub reference_block: Block,
    /// The protocol versions that the service uses at that block, rising strictly, at least one. A batch of another version is
    /// none of the service's.
    pub versions: Vec<u16>,
    /// Number of operators.
    pub operators: u32,
    /// Root of [`operators_tree`].
    pub operators_root: Hash,
    /// Root of [`dispersers_tree`].
    pub dispersers_root: Hash,
    /// Sum of all operators' BLS public keys, compressed.
    pub aggregate_key: PublicKeyBytes,
    /// Total stake of each quorum: by rising quorum, none zero.
    pub totals: Vec<(QuorumId, Stake)>,
}

impl TableHeader {
    /// `abi.encode(header)`.
    pub fn abi_encode(&self) -> Vec<u8> {
        sol::TableHeader {
            domain: self.domain.0.into(),
            referenceBlock: self.reference_block.0,
            versions: self.versions.clone(),
            operators: self.operators,
            operatorsRoot: self.operators_root.into(),
            dispersersRoot: self.dispersers_root.into(),
            aggregateKey: words(&self.aggregate_key),
            totals: stakes_sol(&self.totals),
        }
        .abi_encode()
    }

    /// The table's name.
    pub fn root(&self) -> TableRoot {
        TableRoot(sha256(&[TABLE_TAG, &self.abi_encode()]))
    }

    /// Total stake of a quorum; `None` if the table does not know the quorum.
    pub fn total(&self, quorum: QuorumId) -> Option<Stake> {
        lookup(&self.totals, quorum)
    }
}

/// An operator table, as far as certificates need it. Keys behind it have been decoded and their possession proven.
pub trait TableAccess {
    /// What its root commits to.
    fn header(&self) -> &TableHeader;
    /// `header().root()`.
    fn root(&self) -> TableRoot;
    /// The operator at this index.
    fn operator(&self, index: OperatorIndex) -> Option<&OperatorEntry>;
    /// Its public key, decoded once.
    fn public_key(&self, index: OperatorIndex) -> Option<&PublicKey>;
    /// Sum of all operators' public keys.
    fn aggregate_key(&self) -> &PublicKey;
}

impl<T: TableAccess + ?Sized> TableAccess for &T {
    fn header(&self) -> &TableHeader {
        (**self).header()
    }

    fn root(&self) -> TableRoot {
        (**self).root()
    }

    fn operator(&self, index: OperatorIndex) -> Option<&OperatorEntry> {
        (**self).operator(index)
    }

    fn public_key(&self, index: OperatorIndex) -> Option<&PublicKey> {
        (**self).public_key(index)
    }

    fn aggregate_key(&self) -> &PublicKey {
        (**self).aggregate_key()
    }
}

impl<T: TableAccess + ?Sized> TableAccess for std::sync::Arc<T> {
    fn header(&self) -> &TableHeader {
        (**self).header()
    }

    fn root(&self) -> TableRoot {
        (**self).root()
    }

    fn operator(&self, index: OperatorIndex) -> Option<&OperatorEntry> {
        (**self).operator(index)
    }

    fn public_key(&self, index: OperatorIndex) -> Option<&PublicKey> {
        (**self).public_key(index)
    }

    fn aggregate_key(&self) -> &PublicKey {
        (**self).aggregate_key()
    }
}

fn lookup(stakes: &[(QuorumId, Stake)], quorum: QuorumId) -> Option<Stake> {
    stakes.iter().find(|(q, _)| *q == quorum).map(|(_, s)| *s)
}

fn stakes_sol(stakes: &[(QuorumId, Stake)]) -> Vec<sol::QuorumStake> {
    stakes
        .iter()
        .map(|&(quorum, stake)| sol::QuorumStake { quorum, stake })
        .collect()
}

/// The 96 bytes of a compressed G2 point as three words.
fn words(key: &PublicKeyBytes) -> [alloy_primitives::B256; 3] {
    let mut out = [alloy_primitives::B256::ZERO; 3];
    for (word, bytes) in out.iter_mut().zip(key.0.chunks_exact(32)) {
        word.copy_from_slice(bytes);
    }
    out
}

/// An entry of the operator table that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "table", blame = Caller)]
pub enum EntryError {
    /// The id is not that of the key.
    #[error("operator id {got} is not that of its BLS key, which is {expected}")]
    #[coded("operator_id")]
    Id {
        /// Id claimed.
        got: OperatorId,
        /// Id of the key.
        expected: OperatorId,
    },
    /// Not `host:port`.
    #[error("address {got:?} is not host:port in at most {MAX_ADDRESS_BYTES} bytes")]
    Address {
        /// What was there, cut to the limit.
        got: String,
    },
    /// Stakes not by strictly rising quorum.
    #[error(
        "stake of quorum {second} follows that of quorum {first}: quorums must rise, each named once"
    )]
    QuorumOrder {
        /// The earlier one.
        first: QuorumId,
        /// The one behind it.
        second: QuorumId,
    },
    /// A stake of zero; leave the quorum out instead.
    #[error("stake in quorum {quorum} is zero; leave the quorum out instead")]
    ZeroStake {
        /// The quorum.
        quorum: QuorumId,
    },
}

#[cfg(test)]
mod tests;
