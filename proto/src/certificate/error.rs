//! Why a certificate is refused.

use ashlar_crypto::{Coded, bls::BlsError, merkle::MerkleError};

use super::{FORMAT_VERSION, MAX_CERTIFICATE_BYTES};
use crate::{
    Block, Domain, EntryError, HeaderError, OperatorIndex, ParamError, QuorumId, Stake, TableRoot,
};

/// Bytes that are no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "certificate", blame = Caller)]
pub enum CertificateDecodeError {
    /// Longer than any certificate.
    #[error("{got} bytes, a certificate has at most {MAX_CERTIFICATE_BYTES}")]
    TooLong {
        /// Bytes given.
        got: usize,
    },
    /// Does not begin like one.
    #[error("this is not a certificate: it does not begin with the magic bytes \"ashc\"")]
    Magic,
    /// Written by another version of the software.
    #[error("certificate format {got}, this program reads format {FORMAT_VERSION}")]
    Format {
        /// The format number found.
        got: u8,
    },
    /// Neither compact nor portable.
    #[error("certificate form {got} is unknown; 0 is compact, 1 is portable")]
    Form {
        /// The form number found.
        got: u8,
    },
    /// It ends inside a field.
    #[error("the certificate is cut off inside its {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// Bytes behind its end.
    #[error("{got} bytes follow the end of the certificate")]
    Trailing {
        /// How many.
        got: usize,
    },
    /// A count or length above its limit.
    #[error("{field}: {got}, expected at most {max}")]
    Limit {
        /// The field.
        field: &'static str,
        /// The count.
        got: u64,
        /// Its limit.
        max: u64,
    },
    /// A bitmap with bits behind the last operator.
    #[error("the bitmap has bits set behind the last operator")]
    StrayBits,
    /// An address that is no text.
    #[error("an operator's address is not UTF-8")]
    Text,
    /// A header that breaks a rule.
    #[error("certificate with a bad header: {0}")]
    #[coded(transparent)]
    Header(#[from] HeaderError),
}

/// A certificate that is refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
// The caller brought the certificate; the table and the policy are our own.
#[coded(prefix = "certificate", blame = Caller)]
pub enum CertificateError {
    /// Made for another service than the reader's.
    #[error("the certificate is of the service {got}, accepted here are those of {expected}")]
    OtherDomain {
        /// The certificate's.
        got: Domain,
        /// The reader's.
        expected: Domain,
    },
    /// The operator table is another service's.
    #[error("the operator table is that of the service {got}, expected that of {expected}")]
    #[coded(blame = Us)]
    TableDomain {
        /// The table's.
        got: Domain,
        /// The reader's.
        expected: Domain,
    },
    /// Older than the reader accepts.
    #[error("the certificate is {got} {unit} old, accepted here are at most {expected}")]
    Expired {
        /// Its age.
        got: u64,
        /// Longest age.
        expected: u64,
        /// `ms` or `blocks`.
        unit: &'static str,
    },
    /// Made later than the reader's clock says, or than the block that includes it.
    #[error("the certificate was made at {got}, and the reader is at {now} ({unit})")]
    FromTheFuture {
        /// When it was made.
        got: u64,
        /// The reader's time or block.
        now: u64,
        /// `ms` or `blocks`.
        unit: &'static str,
    },
    /// The policy lists no quorum.
    #[error(
        "the policy requires quorums and names none; name them, or leave the choice to the submitter"
    )]
    #[coded(blame = Us)]
    NoQuorumRequired,
    /// The blob header breaks a rule.
    #[error("the blob header is invalid: {0}")]
    BlobHeader(HeaderError),
    /// The batch header breaks a rule.
    #[error("the batch header is invalid: {0}")]
    BatchHeader(HeaderError),
    /// Blob and batch name different versions.
    #[error("the blob is of protocol version {blob}, its batch of version {batch}")]
    VersionMismatch {
        /// The blob's.
        blob: u16,
        /// The batch's.
        batch: u16,
    },
    /// A version that the reader's policy does not accept.
    #[error("protocol version {got} is not among those accepted here")]
    VersionNotAccepted {
        /// The version.
        got: u16,
    },
    /// A version that the service did not use at the batch's reference block.
    #[error("the batch is of protocol version {got}, its service uses {recorded:?} at that block")]
    VersionNotRecorded {
        /// The batch's.
        got: u16,
        /// Those of the operator table.
        recorded: Vec<u16>,
    },
    /// The version breaks the safety inequality or another rule.
    #[error("the certificate's protocol version must not be used: {0}")]
    #[coded(blame = Us)]
    UnsafeVersion(ParamError),
    /// The blob has more rows than its batch.
    #[error("the blob has {blob} rows, its whole batch {batch}")]
    Rows {
        /// Rows of the blob.
        blob: u32,
        /// Rows of the batch.
        batch: u32,
    },
    /// The blob is not in the batch, at least not at this place.
    #[error("the blob is not in the batch: {0}")]
    BlobPath(MerkleError),
    /// Made for another operator table than the reader's.
    #[error("the certificate names the operator table {got}, the table here is {expected}")]
    TableRoot {
        /// The certificate's.
        got: TableRoot,
        /// The reader's.
        expected: TableRoot,
    },
    /// The header that a portable certificate carries is not that of its table.
    #[error("the table header in the certificate hashes to {got}, not to its table {expected}")]
    TableHeader {
        /// Root of the header carried.
        got: TableRoot,
        /// The table's.
        expected: TableRoot,
    },
    /// The batch was made for another block than the table.
    #[error("the batch refers to block {got}, the operator table is that of block {expected}")]
    ReferenceBlock {
        /// The batch's.
        got: Block,
        /// The table's.
        expected: Block,
    },
    /// A compact certificate where only a root is at hand.
    #[error("a compact certificate needs the operator table; only the table's root is known here")]
    NeedsTable,
    /// A bitmap over another number of operators.
    #[error("the bitmap is over {got} operators, the table has {expected}")]
    BitmapLength {
        /// The bitmap's.
        got: u32,
        /// The table's.
        expected: u32,
    },
    /// Nobody signed.
    #[error("no operator signed")]
    NoSigners,
    /// More witnesses than operators.
    #[error("{got} non-signers in a table of {operators} operators")]
    WitnessCount {
        /// Witnesses.
        got: usize,
        /// Operators.
        operators: u32,
    },
    /// A witness for an index outside the table.
    #[error("a non-signer has index {got}, the table has {operators} operators")]
    WitnessIndex {
        /// Its index.
        got: OperatorIndex,
        /// Operators.
        operators: u32,
    },
    /// Witnesses not in strictly rising order.
    #[error(
        "the non-signer with index {second} follows the one with index {first}: they must rise strictly"
    )]
    WitnessOrder {
        /// The earlier one.
        first: OperatorIndex,
        /// The one behind it.
        second: OperatorIndex,
    },
    /// A witness that is not in the table.
    #[error("the non-signer with index {index} is not in the table: {source}")]
    WitnessPath {
        /// Its index.
        index: OperatorIndex,
        /// What does not fit.
        source: MerkleError,
    },
    /// A witness whose entry breaks a rule.
    #[error("the non-signer with index {index} has a bad entry: {source}")]
    WitnessEntry {
        /// Its index.
        index: OperatorIndex,
        /// The rule.
        source: EntryError,
    },
    /// A public key that is no valid point.
    #[error("a public key of the table is invalid ({which}): {source}")]
    PublicKey {
        /// Whose.
        which: &'static str,
        /// What is wrong with it.
        source: BlsError,
    },
    /// The table view did not give an operator that its header counts, or stakes that do not add up.
    #[error("the operator table contradicts itself at index {index}")]
    #[coded(blame = Us)]
    TableInconsistent {
        /// Where.
        index: OperatorIndex,
    },
    /// The signers' keys add up to the identity, under which anything would be signed.
    #[error("the signers' public keys add up to the identity")]
    AggregateIdentity,
    /// The signature is no valid point.
    #[error("the signature is malformed: {0}")]
    SignatureMalformed(BlsError),
    /// The signature is not that of these signers over this batch.
    #[error("the signature is not that of these signers over this batch")]
    SignatureInvalid,
    /// The blob is not stored by a quorum that the reader requires.
    #[error("quorum {quorum} is required here, the blob names only {got:?}")]
    QuorumMissing {
        /// The quorum required.
        quorum: QuorumId,
        /// The blob's quorums.
        got: Vec<QuorumId>,
    },
    /// A quorum that the table does not know.
    #[error("quorum {quorum} has no stake in the operator table")]
    QuorumUnknown {
        /// The quorum.
        quorum: QuorumId,
    },
    /// Not enough stake signed.
    #[error("quorum {quorum}: stake {signed} of {total} signed, needed are {needed} ({percent} %)")]
    Threshold {
        /// The quorum.
        quorum: QuorumId,
        /// Stake that signed.
        signed: Stake,
        /// Stake in all.
        total: Stake,
        /// Least stake that is enough.
        needed: Stake,
        /// The threshold in percent.
        percent: u32,
    },
}

/// Why a certificate cannot be brought into the other form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "certificate", blame = Caller)]
pub enum ConversionError {
    /// Another table than the certificate's.
    #[error("the table {got} is not the certificate's, which is {expected}")]
    TableRoot {
        /// The table given.
        got: TableRoot,
        /// The certificate's.
        expected: TableRoot,
    },
    /// A bitmap over another number of operators.
    #[error("the bitmap is over {got} operators, the table has {expected}")]
    BitmapLength {
        /// The bitmap's.
        got: u32,
        /// The table's.
        expected: u32,
    },
    /// The table view lacks an operator that its header counts.
    #[error("the operator table has no entry at index {index}")]
    #[coded("table_inconsistent", blame = Us)]
    TableIncomplete {
        /// The index.
        index: OperatorIndex,
    },
    /// A non-signer outside the table.
    #[error("a non-signer's index is not below {expected}")]
    WitnessIndex {
        /// Operators in the table.
        expected: u32,
    },
}
