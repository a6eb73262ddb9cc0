//! Why evidence is refused.

use ashlar_crypto::bls::BlsError;
use ashlar_crypto::merkle::MerkleError;
use ashlar_crypto::{Blame, Coded, KzgError, PointError};
use ashlar_proto::{BlobKey, CertificateError, HeaderError, OperatorId};
use thiserror::Error;

use crate::AssignmentError;

/// Bytes that are no evidence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
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

impl Coded for EvidenceDecodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "evidence.too_long",
            Self::Magic => "evidence.magic",
            Self::Number { .. } => "evidence.number",
            Self::Truncated { .. } => "evidence.truncated",
            Self::Trailing { .. } => "evidence.trailing",
            Self::Limit { .. } => "evidence.limit",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }
}

/// A claimed fault that its evidence does not prove.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvidenceError {
    /// No operator table of a block that the evidence refers to.
    #[error("there is no operator table of block {block} here")]
    NoTable {
        /// The block.
        block: u64,
    },
    /// The accused was no operator then.
    #[error("operator {operator} is not on the table of block {block}")]
    NotOnTable {
        /// The accused.
        operator: OperatorId,
        /// The block.
        block: u64,
    },
    /// The accused did not sign this.
    #[error("the accused did not sign the {what}: {source}")]
    Signature {
        /// `first batch`, `second batch`, `batch` or `answer`.
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
        first_sequence: u64,
        /// Second batch's disperser.
        second_disperser: u32,
        /// Second batch's sequence.
        second_sequence: u64,
    },
    /// The same evidence with its halves exchanged would have another name.
    #[error("the batches must be ordered by rising digest")]
    Order,
    /// The answer is about another blob than the header.
    #[error("the answer is about blob {answer}, the header is that of {header}")]
    OtherBlob {
        /// The answer's.
        answer: BlobKey,
        /// The header's.
        header: BlobKey,
    },
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
    /// The answer is right.
    #[error("the answer is the committed value")]
    AnswerTrue,
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

impl Coded for EvidenceError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoTable { .. } => "evidence.no_table",
            Self::NotOnTable { .. } => "evidence.not_on_table",
            Self::Signature { .. } => "evidence.signature",
            Self::SameBatch => "evidence.same_batch",
            Self::OtherSequence { .. } => "evidence.other_sequence",
            Self::Order => "evidence.order",
            Self::OtherBlob { .. } => "evidence.other_blob",
            Self::BlobHeader(_) => "evidence.blob_header",
            Self::Element { .. } => "evidence.element",
            Self::CommitmentPath(_) => "evidence.commitment_path",
            Self::Commitment(_) => "evidence.commitment",
            Self::Opening(_) => "evidence.opening",
            Self::AnswerTrue => "evidence.answer_true",
            Self::BlobPath(_) => "evidence.blob_path",
            Self::NotBroken { .. } => "evidence.not_broken",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Caller
    }
}

/// Why a certificate proves no duty, or an answer does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CustodyError {
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
    /// The opening is not that of the challenged element.
    #[error("the opening does not answer: {0}")]
    Opening(EvidenceError),
}

impl Coded for CustodyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "custody.certificate",
            Self::NotOnTable { .. } => "custody.not_on_table",
            Self::DidNotSign { .. } => "custody.did_not_sign",
            Self::Assignment(source) => source.code(),
            Self::NoChunks { .. } => "custody.no_chunks",
            Self::Row { .. } => "custody.row",
            Self::NotAssigned { .. } => "custody.not_assigned",
            Self::SliceLength { .. } => "custody.slice_length",
            Self::SlicePath(_) => "custody.slice_path",
            Self::Opening(source) => source.code(),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Assignment(source) => source.blame(),
            _ => Blame::Caller,
        }
    }
}
