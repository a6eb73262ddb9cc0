//! Why a batch is refused.

use ashlar_crypto::merkle::MerkleError;
use ashlar_crypto::{ChunkError, Coded, PointError, identity::NetworkPublicKey};
use ashlar_proto::{Block, ChunkIndex, Domain, HeaderError, OperatorId, TableRoot};
use ashlar_stake::AssignmentError;

/// Why a batch was refused. One code for each check.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "validate", blame = Caller)]
pub enum ValidateError {
    /// A batch of another network or service.
    #[error("the batch is of domain {got}, this node serves {expected}")]
    OtherDomain {
        /// Domain of the batch.
        got: Domain,
        /// This node's.
        expected: Domain,
    },
    /// The disperser's signature over the batch is not valid.
    #[error("the signature of disperser {disperser_id} over the batch is not one of its key {key}")]
    DisperserSignature {
        /// Disperser.
        disperser_id: u32,
        /// Its key.
        key: NetworkPublicKey,
    },
    /// The batch was made by another operator table than the one that is known here.
    #[error("the batch names table {got} of block {block}, known here is {expected}")]
    TableRoot {
        /// Root in the batch.
        got: TableRoot,
        /// Root of the table at that block.
        expected: TableRoot,
        /// Reference block.
        block: Block,
    },
    /// The connection's key is not that of the disperser that the header names.
    #[error(
        "the sender's key {key} is not registered as disperser {disperser_id} at block {block}"
    )]
    NotADisperser {
        /// Disperser named by the header.
        disperser_id: u32,
        /// Key of the connection.
        key: NetworkPublicKey,
        /// Block of the table looked at.
        block: Block,
    },
    /// Limits, header fields, or blob headers that are not those of the batch.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A known version that this operator does not serve.
    #[error("protocol version {got} is not served here; served are {served:?}")]
    VersionNotServed {
        /// Version of the batch.
        got: u16,
        /// Versions served.
        served: Vec<u16>,
    },
    /// The reference block is ahead of the newest table, or has none.
    #[error("reference block {got} has no operator table here; the newest is {head}")]
    ReferenceUnknown {
        /// Reference block of the batch.
        got: Block,
        /// Newest block.
        head: Block,
    },
    /// The reference block is too far behind.
    #[error(
        "reference block {got} is stale: the newest is {head}, at most {max_age} blocks behind are accepted"
    )]
    ReferenceStale {
        /// Reference block of the batch.
        got: Block,
        /// Newest block.
        head: Block,
        /// Blocks accepted.
        max_age: u64,
    },
    /// The batch is dated later than clocks may differ.
    #[error(
        "the batch is dated {created_at_ms} ms, now is {now_ms} ms, clocks may differ by {max_skew_ms} ms"
    )]
    FromFuture {
        /// Date of the batch.
        created_at_ms: u64,
        /// Our clock.
        now_ms: u64,
        /// Skew accepted.
        max_skew_ms: u64,
    },
    /// The batch is too old.
    #[error(
        "the batch is dated {created_at_ms} ms, now is {now_ms} ms, batches are accepted for {max_age_ms} ms"
    )]
    TooOld {
        /// Date of the batch.
        created_at_ms: u64,
        /// Our clock.
        now_ms: u64,
        /// Age accepted.
        max_age_ms: u64,
    },
    /// This operator is not in the table of the reference block.
    #[error("operator {operator} is not in the operator table of block {block}")]
    #[coded(blame = Us)]
    NotAnOperator {
        /// This operator.
        operator: OperatorId,
        /// Reference block.
        block: Block,
    },
    /// This operator has no stake in the quorums of the batch.
    #[error("operator {operator} has no chunks in the quorums of this batch at block {block}")]
    #[coded(blame = Us)]
    NoChunks {
        /// This operator.
        operator: OperatorId,
        /// Reference block.
        block: Block,
    },
    /// The chunks cannot be assigned at all.
    #[error(transparent)]
    CannotAssign(#[from] AssignmentError),
    /// Other chunks than this operator's were sent.
    #[error(
        "{got} chunks were sent, assigned are {expected}; first missing: {missing:?}, first extra: {extra:?}"
    )]
    Assignment {
        /// Chunks sent.
        got: usize,
        /// Chunks assigned.
        expected: usize,
        /// The first assigned index that was not sent.
        missing: Option<ChunkIndex>,
        /// The first index sent that is not assigned.
        extra: Option<ChunkIndex>,
    },
    /// Not one chunk proof for each chunk.
    #[error("{got} chunk proofs for {expected} chunks")]
    ChunkProofCount {
        /// Proofs sent.
        got: usize,
        /// Chunks.
        expected: usize,
    },
    /// Not one Merkle proof for each blob and run.
    #[error(
        "{got} slice proofs, expected {expected}: one for each blob, and in it one for each run of chunks"
    )]
    SliceProofCount {
        /// Proofs sent.
        got: usize,
        /// Proofs needed.
        expected: usize,
    },
    /// A slice too many or too few, or of the wrong length.
    #[error("{got} bytes of commitments and slices, the headers need {expected}")]
    BulkLength {
        /// Bytes sent or announced.
        got: u64,
        /// Bytes needed.
        expected: u64,
    },
    /// The commitments are not those of the blob header.
    #[error("the commitments of blob {blob} do not hash to its commitments root")]
    CommitmentsRoot {
        /// Number of the blob in the batch.
        blob: usize,
    },
    /// Slices that are not in the blob's Merkle tree at their places.
    #[error("the slices of blob {blob} from chunk {start} on: {error}")]
    Slices {
        /// Number of the blob in the batch.
        blob: usize,
        /// First chunk of the run.
        start: ChunkIndex,
        /// What is wrong.
        error: MerkleError,
    },
    /// A commitment that is no point of the group.
    #[error("the commitment of row {row}: {error}")]
    Commitment {
        /// Row of the batch.
        row: usize,
        /// What is wrong.
        error: PointError,
    },
    /// A chunk proof that is no point of the group.
    #[error("the proof of chunk {index}: {error}")]
    ChunkProof {
        /// Chunk.
        index: ChunkIndex,
        /// What is wrong.
        error: PointError,
    },
    /// Cells that are no field elements, or chunks that are not what was committed to.
    #[error(transparent)]
    // The sender is the caller here, whatever a library calls the producer of bytes.
    #[coded(blame = Caller)]
    Chunks(#[from] ChunkError),
}

impl ValidateError {
    /// Numbers got and expected, as text for the wire; empty where they do not apply.
    pub fn got_expected(&self) -> (String, String) {
        let pair =
            |got: &dyn ToString, expected: &dyn ToString| (got.to_string(), expected.to_string());
        match self {
            Self::OtherDomain { got, expected } => pair(got, expected),
            Self::TableRoot { got, expected, .. } => pair(got, expected),
            Self::VersionNotServed { got, served } => (got.to_string(), format!("{served:?}")),
            Self::ReferenceUnknown { got, head } => (got.to_string(), format!("at most {head}")),
            Self::ReferenceStale { got, head, max_age } => (
                got.to_string(),
                format!("at least {}", head.saturating_sub(*max_age)),
            ),
            Self::FromFuture {
                created_at_ms,
                now_ms,
                max_skew_ms,
            } => (
                created_at_ms.to_string(),
                format!("at most {}", now_ms.saturating_add(*max_skew_ms)),
            ),
            Self::TooOld {
                created_at_ms,
                now_ms,
                max_age_ms,
            } => (
                created_at_ms.to_string(),
                format!("at least {}", now_ms.saturating_sub(*max_age_ms)),
            ),
            Self::Assignment { got, expected, .. }
            | Self::ChunkProofCount { got, expected }
            | Self::SliceProofCount { got, expected } => pair(got, expected),
            Self::BulkLength { got, expected } => pair(got, expected),
            _ => (String::new(), String::new()),
        }
    }
}
