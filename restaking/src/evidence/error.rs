//! Why evidence is refused.

use ashlar_crypto::bls::BlsError;
use ashlar_crypto::identity::IdentityError;
use ashlar_crypto::merkle::MerkleError;
use ashlar_crypto::{Coded, KzgError, PointError};
use ashlar_proto::{Block, CertificateError, Domain, HeaderError, OperatorId, Sequence, TableRoot};
use thiserror::Error;

use ashlar_stake::AssignmentError;

/// Bytes that are no evidence.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "evidence", blame = Caller)]
pub enum EvidenceDecodeError {
    /// Longer than any.
    #[error("{got} bytes, at most {max} are read")]
    TooLong {
        /// Bytes given.
        got: usize,
        /// The limit.
        max: usize,
    },
    /// Does not begin like a fault.
    #[error("this is no evidence of a fault: it does not begin with the magic bytes \"ashf\"")]
    Magic,
    /// A number that names nothing here.
    #[error("{field} {got} is unknown here")]
    Number {
        /// Which number.
        field: &'static str,
        /// Its value.
        got: u8,
    },
    /// Ends inside a field.
    #[error("the evidence is cut off inside its {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// Bytes behind its end.
    #[error("{got} bytes follow the end of the evidence")]
    Trailing {
        /// How many.
        got: usize,
    },
    /// A count above its limit.
    #[error("{field}: {got}, at most {max}")]
    Limit {
        /// The field.
        field: &'static str,
        /// Its count.
        got: u64,
        /// The limit.
        max: u64,
    },
}

/// A claimed fault that its evidence does not prove.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "evidence", blame = Caller)]
pub enum EvidenceError {
    /// It was signed for another service or network. Looked at first: nothing else of it counts here.
    #[error("this was signed for the domain {got}, here is {expected}")]
    OtherDomain {
        /// What was signed.
        got: Domain,
        /// The checker's.
        expected: Domain,
    },
    /// A block that is not over for the checker. Neither proven nor refuted: submit it again later.
    #[error(
        "block {block} is not over here, so nothing is proven about it yet; submit the evidence again after it"
    )]
    #[coded("unseen_block")]
    Unseen {
        /// The block.
        block: Block,
    },
    /// A block of which the ledger recorded no table.
    #[error("there is no operator table of block {block}")]
    NoTable {
        /// The block.
        block: Block,
    },
    /// The records of a block contradict themselves.
    #[error("the ledger's records of block {block} contradict themselves; this is a bug")]
    #[coded(blame = Us)]
    Broken {
        /// The block.
        block: Block,
    },
    /// The batch names another table than the recorded one, so the recorded one decides nothing about it. That itself may be a
    /// breach: [`Breach::Table`](super::Breach::Table).
    #[error(
        "the batch was signed for table {signed} of block {block}, the ledger recorded {recorded}"
    )]
    OtherTable {
        /// The reference block.
        block: Block,
        /// What was signed.
        signed: TableRoot,
        /// What the ledger recorded.
        recorded: TableRoot,
    },
    /// The batch names another table than the recorded one, but the source of tables signed that one: the source is to blame.
    #[error(
        "the source of tables signed table {root} of block {block}, so whoever believed it is acquitted"
    )]
    SourceSigned {
        /// The reference block.
        block: Block,
        /// What was signed.
        root: TableRoot,
    },
    /// Whoever checks does not know this version, so cannot say that its rules are broken. Newer software may.
    #[error(
        "the rules of protocol version {version} are unknown here, so nothing is proven about it"
    )]
    UnknownVersion {
        /// The version.
        version: u16,
    },
    /// The accused never registered.
    #[error("operator {operator} never registered here")]
    UnknownOperator {
        /// The accused.
        operator: OperatorId,
    },
    /// The accused was no disperser then.
    #[error("disperser {disperser} is not on the table of block {block}")]
    UnknownDisperser {
        /// The accused.
        disperser: u32,
        /// The block.
        block: Block,
    },
    /// The disperser did not sign this.
    #[error("the disperser did not sign the {what}: {source}")]
    DisperserSignature {
        /// `first batch` or `second batch`.
        what: &'static str,
        /// Of another key or message.
        source: IdentityError,
    },
    /// The accused did not sign this.
    #[error("the accused did not sign the {what}: {source}")]
    Signature {
        /// `first batch`, `second batch` or `batch`.
        what: &'static str,
        /// Malformed, or of another key or message.
        source: BlsError,
    },
    /// One batch twice.
    #[error("both signatures are of the same batch")]
    SameBatch,
    /// Two batches that may both be signed.
    #[error(
        "the batches have different numbers: disperser {first_disperser} sequence {first_sequence}, disperser {second_disperser} sequence {second_sequence}"
    )]
    OtherSequence {
        /// First batch's disperser.
        first_disperser: u32,
        /// First batch's sequence.
        first_sequence: Sequence,
        /// Second batch's disperser.
        second_disperser: u32,
        /// Second batch's sequence.
        second_sequence: Sequence,
    },
    /// The same evidence with its halves exchanged would have another name.
    #[error("the batches must be ordered by rising digest")]
    Order,
    /// The blob is not in the batch.
    #[error("the blob is not in the batch: {0}")]
    BlobPath(MerkleError),
    /// The rule that is said to be broken is kept.
    #[error("the batch keeps this rule: {rule}")]
    NotBroken {
        /// The rule.
        rule: &'static str,
    },
}

/// Why a certificate proves no duty, or an answer does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "custody", blame = Caller)]
pub enum CustodyError {
    /// The certificate is of another service or network. Looked at first.
    #[error("the certificate is of the domain {got}, here is {expected}")]
    OtherDomain {
        /// The certificate's.
        got: Domain,
        /// The table's.
        expected: Domain,
    },
    /// The certificate does not hold, so it proves no duty.
    #[error("the certificate proves nothing: {0}")]
    Certificate(CertificateError),
    /// The operator is not on the certificate's table.
    #[error("operator {operator} is not on the table of the certificate")]
    NotOnTable {
        /// The operator.
        operator: OperatorId,
    },
    /// The operator did not sign the batch.
    #[error("operator {operator} did not sign this batch, so it owes nothing")]
    DidNotSign {
        /// The operator.
        operator: OperatorId,
    },
    /// No assignment follows from the table.
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    /// The operator holds nothing of the blob.
    #[error("operator {operator} has no chunks in the quorums of this blob")]
    NoChunks {
        /// The operator.
        operator: OperatorId,
    },
    /// The blob has no such row.
    #[error("row {got} is not below {rows}")]
    Row {
        /// The row.
        got: u32,
        /// Rows of the blob.
        rows: u32,
    },
    /// The element lies in nobody's or another operator's chunk.
    #[error("element {element} is in none of the operator's chunks")]
    NotAssigned {
        /// The element.
        element: u32,
    },
    /// A slice of another length.
    #[error("the slice has {got} bytes, a slice of this blob has {expected}")]
    SliceLength {
        /// Bytes given.
        got: usize,
        /// Bytes of a slice.
        expected: usize,
    },
    /// The slice is not that of the blob.
    #[error("the slice is not in the blob: {0}")]
    SlicePath(MerkleError),
    /// The blob header breaks a rule, so that nothing can be proven with it.
    #[error("the blob header is not valid: {0}")]
    BlobHeader(HeaderError),
    /// The row's extension has no such element.
    #[error("element {got} is not below {elements}")]
    Element {
        /// The index.
        got: u32,
        /// Elements of the extension.
        elements: u32,
    },
    /// The commitment is not that of this row.
    #[error("the commitment is not in the blob: {0}")]
    CommitmentPath(MerkleError),
    /// The commitment is no point of the group.
    #[error("the commitment is no point: {0}")]
    Commitment(PointError),
    /// The opening does not prove what it says.
    #[error("the opening is refused: {0}")]
    Opening(KzgError),
}
