//! What can be wrong with a table, with an assignment, and with where tables come from.

use std::path::PathBuf;

use ashlar_crypto::Coded;
use ashlar_crypto::bls::BlsError;
use ashlar_crypto::identity::IdentityError;
use ashlar_proto::table::{EntryError, MAX_TABLE_VERSIONS};
use ashlar_proto::{Block, Domain, OperatorId, QuorumId, TableRoot};
use thiserror::Error;

/// Why a set of operators and dispersers is no table.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "table", blame = Caller)]
pub enum TableError {
    /// Nobody in it.
    #[error("an operator table needs at least one operator")]
    NoOperators,
    /// More than an index can count.
    #[error("an operator table has at most {max} operators, not {got}")]
    TooManyOperators {
        /// Operators given.
        got: usize,
        /// Operators that fit.
        max: usize,
    },
    /// No protocol version, too many, or not rising.
    #[error(
        "an operator table names 1 to {MAX_TABLE_VERSIONS} protocol versions, rising, each once, not {got:?}"
    )]
    Versions {
        /// What was given.
        got: Vec<u16>,
    },
    /// An entry breaks a rule of its own.
    #[error("operator {operator}: {source}")]
    #[coded(transparent)]
    Entry {
        /// The operator, as the entry names it.
        operator: OperatorId,
        /// The rule.
        source: EntryError,
    },
    /// An operator without stake would be in no quorum and yet in the aggregate key.
    #[error("operator {operator} has no stake in any quorum")]
    NoStake {
        /// The operator.
        operator: OperatorId,
    },
    /// The BLS key is no key.
    #[error("operator {operator}: BLS public key: {source}")]
    BlsKey {
        /// The operator.
        operator: OperatorId,
        /// What is wrong with the bytes.
        source: BlsError,
    },
    /// The operator did not show that it holds its BLS key.
    #[error("operator {operator}: proof of possession: {source}")]
    Possession {
        /// The operator.
        operator: OperatorId,
        /// What is wrong with the proof.
        source: BlsError,
    },
    /// The network key of an operator or a disperser could be used by anybody.
    #[error("{who}: network key: {source}")]
    NetworkKey {
        /// `operator 0x…` or `disperser 7`.
        who: String,
        /// What is wrong with it.
        source: IdentityError,
    },
    /// The same BLS key twice.
    #[error("operator {operator} is in the table twice")]
    DuplicateOperator {
        /// The operator.
        operator: OperatorId,
    },
    /// Two operators with one TLS identity could not be told apart.
    #[error("operators {first} and {second} have the same network key")]
    DuplicateNetworkKey {
        /// The operator that comes first in the table.
        first: OperatorId,
        /// The other one.
        second: OperatorId,
    },
    /// The same number twice.
    #[error("disperser {id} is in the table twice")]
    DuplicateDisperser {
        /// Its number.
        id: u32,
    },
    /// Two dispersers with one TLS identity could not be told apart.
    #[error("dispersers {first} and {second} have the same network key")]
    DuplicateDisperserKey {
        /// The lower number.
        first: u32,
        /// The higher number.
        second: u32,
    },
    /// A disperser without a bond would have no share of anybody's daily bytes.
    #[error("the bond of disperser {id} is zero; all with a bond of 1 share equally")]
    ZeroBond {
        /// Its number.
        id: u32,
    },
    /// The bonds do not add up in 256 bits.
    #[error("the bonds of the dispersers add up to more than 2^256 - 1")]
    BondOverflow,
    /// The stakes of a quorum do not add up in 256 bits.
    #[error("the stakes in quorum {quorum} add up to more than 2^256 - 1")]
    TotalOverflow {
        /// The quorum.
        quorum: QuorumId,
    },
    /// All keys together are the point at infinity; with proven keys that takes intent.
    #[error("the operators' BLS keys cancel each other out")]
    NoAggregateKey,
}

/// Why chunks cannot be assigned.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "assignment", blame = Caller)]
pub enum AssignmentError {
    /// No quorum was named.
    #[error("chunks are assigned in at least one quorum, none was named")]
    NoQuorums,
    /// Nobody has stake in the quorum.
    #[error("nobody has stake in quorum {quorum}")]
    UnknownQuorum {
        /// The quorum.
        quorum: QuorumId,
    },
    /// The service does not use this protocol version at the table's block, so nothing is assigned under it.
    #[error(
        "protocol version {version} is none that the service uses at block {block}, which are {recorded:?}"
    )]
    VersionNotRecorded {
        /// The protocol version.
        version: u16,
        /// The table's block.
        block: Block,
        /// The table's versions.
        recorded: Vec<u16>,
    },
    /// More operators than the protocol version's code has room for.
    #[error("quorum {quorum} has {got} operators, protocol version {version} allows {max}")]
    #[coded(blame = Us)]
    TooManyOperators {
        /// The quorum.
        quorum: QuorumId,
        /// The protocol version.
        version: u16,
        /// Operators with stake in the quorum.
        got: usize,
        /// Operators that the version allows.
        max: u32,
    },
    /// The protocol version leaves no chunks to share out. No such version compiles.
    #[error(
        "protocol version {version} is not usable: {chunks} chunks, up to {max_operators} operators"
    )]
    #[coded(blame = Us)]
    Version {
        /// The protocol version.
        version: u16,
        /// Its number of chunks.
        chunks: u32,
        /// Its number of operators.
        max_operators: u32,
    },
}

fn kept(proof: &Option<PathBuf>) -> String {
    proof.as_ref().map_or_else(String::new, |path| {
        format!(
            "; both heads are in {}: settle with whoever runs them, and move the file away",
            path.display()
        )
    })
}

/// Two heads of one block with different roots: whoever signed them told two stories, and neither is believed any more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{one} vouched for the table {one_root} of block {block}, {other} for {other_root}: at least one of them is lying, and nothing is signed by either{}",
    kept(proof)
)]
pub struct Contradiction {
    /// The block.
    pub block: Block,
    /// Who told the first one.
    pub one: String,
    /// Its root.
    pub one_root: TableRoot,
    /// Who told the other one; the same, if it told both.
    pub other: String,
    /// Its root.
    pub other_root: TableRoot,
    /// Where both signed heads were written down.
    pub proof: Option<PathBuf>,
}

/// Why a stake source has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "stake", blame = Us)]
pub enum StakeError {
    /// The file could not be read or written.
    #[error("cannot {action} the operator table file {path}: {reason}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// The file is larger than any table.
    #[error("the operator table file {path} has {got} bytes, at most {max} are read")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        got: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// Not TOML or JSON, an unknown key, a missing key, or a value of another shape.
    #[error("the operator table file {path} is not valid {format}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// `TOML` or `JSON`.
        format: &'static str,
        /// What the parser says, with the line.
        reason: String,
    },
    /// The file is well-formed and holds no table.
    #[error(
        "the operator table file {path} holds no table; it needs at least one [[tables]] with its block"
    )]
    NoTables {
        /// The file.
        path: PathBuf,
    },
    /// No name of a network, or one that is too long.
    #[error(
        "the operator table file {path}: the network's name has {got} bytes, expected 1 to {max}"
    )]
    NetworkName {
        /// The file.
        path: PathBuf,
        /// Its length.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// The file changed its network or service: nothing that was signed under the old one counts in the new one.
    #[error(
        "the operator table file {path} is of domain {got} now, it was of {expected}; stop, and start with the other file"
    )]
    OtherDomain {
        /// The file.
        path: PathBuf,
        /// As the file says now.
        got: Domain,
        /// As it said when it was opened.
        expected: Domain,
    },
    /// Two tables of one block.
    #[error("the operator table file {path} has two tables of block {block}")]
    DuplicateBlock {
        /// The file.
        path: PathBuf,
        /// The block.
        block: Block,
    },
    /// A table is refused.
    #[error("the operator table file {path}, table of block {block}: {source}")]
    #[coded(transparent, blame = Us)]
    Table {
        /// The file.
        path: PathBuf,
        /// The block.
        block: Block,
        /// Why.
        source: Box<TableError>,
    },
    /// A stated operator id is not that of the key beside it.
    #[error(
        "the operator table file {path}, table of block {block}: operator id {got} is not that of its BLS key, {expected}; leave it out or correct it"
    )]
    #[coded("table.operator_id")]
    OperatorId {
        /// The file.
        path: PathBuf,
        /// The block.
        block: Block,
        /// As written.
        got: OperatorId,
        /// As derived from the key.
        expected: OperatorId,
    },
    /// The file changed the table of a block that is in use: what was signed under the old one would no longer verify.
    #[error(
        "the operator table file {path} changed the table of block {block} from {old} to {new}; add a table with a higher block instead"
    )]
    Rewritten {
        /// The file.
        path: PathBuf,
        /// The block.
        block: Block,
        /// Root in use.
        old: TableRoot,
        /// Root in the file now.
        new: TableRoot,
    },
    /// There is no table of that block.
    #[error("there is no operator table of block {block}; the newest is of block {head}")]
    #[coded(blame = Caller)]
    UnknownBlock {
        /// The block asked for.
        block: Block,
        /// The newest block there is.
        head: Block,
    },
    /// Two heads of one block with different roots.
    #[error(transparent)]
    #[coded("head.contradiction", blame = Peer)]
    Contradiction(Box<Contradiction>),
    /// Where the tables come from is not described as it should be.
    #[error(transparent)]
    Source(#[from] crate::SourceError),
    /// What this process remembers of a source cannot be used.
    #[error("what is remembered of the ledger in {}: {reason}", path.display())]
    #[coded(code = code)]
    Memory {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong, stable and dotted.
        code: &'static str,
        /// What went wrong, for people.
        reason: String,
    },
    /// A source somewhere else does not answer, or answers with what cannot be used.
    #[error("the ledger at {url}: {reason}")]
    #[coded(code = code, blame = Peer)]
    Remote {
        /// Where it is.
        url: String,
        /// What went wrong, stable and dotted.
        code: &'static str,
        /// What went wrong, for people.
        reason: String,
    },
}
