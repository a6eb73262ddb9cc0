//! Headers, digests, parameters, certificates and wire messages of Ashlar, without IO.
//!
//! * [`ids`], [`number`]: names of blobs, batches, operators, tables; numbers of chunks, operators, batches and blocks.
//! * [`domain`]: which network and service a signature is for.
//! * [`eip712`], [`auth`], [`registration`], [`head`]: what accounts, operators and sources of tables sign beside batches.
//! * [`params`]: protocol versions with their safety check, and size limits.
//! * [`header`]: blob and batch headers, Solidity structs first, and their digests.
//! * [`table`]: what a certificate needs of the operator table.
//! * [`certificate`]: both encodings and the check.
//! * [`time`]: the time that promises end by; [`times`]: how long a batch may take.
//! * [`wire`]: envelopes of the QUIC protocol, with every limit on what a peer can declare.
//! * [`api`]: JSON of the disperser's HTTP interface.

pub mod api;
pub mod auth;
pub mod bitmap;
pub mod certificate;
pub mod chunk_ranges;
pub mod codec;
pub mod domain;
pub mod eip712;
pub mod head;
pub mod header;
pub mod ids;
pub mod number;
pub mod params;
pub mod registration;
pub mod table;
pub mod time;
pub mod times;
pub mod wire;

pub use bitmap::Bitmap;
pub use certificate::{
    Attestation, Certificate, CertificateDecodeError, CertificateError, CertificatePolicy, MaxAge,
    NonSigner, QuorumSigned, RequiredQuorums, TrustedRoot, TrustedTable, VerifiedCertificate,
    needed_stake, verify_certificate, verify_portable,
};
pub use chunk_ranges::{ChunkRanges, ChunkRangesError};
pub use domain::ServiceId;
pub use head::{Head, HeadError, HeadKeySuccession, SignedHead, VerifiedHead};
pub use header::{
    BatchHeader, BlobHeader, HeaderError, Submission, batch_tree, commitments_of, commitments_root,
};
pub use ids::{
    Account, BatchDigest, BlobId, BlobKey, Domain, IdError, Network, OperatorId, QuorumId, Stake,
    TableRoot,
};
pub use number::{Block, ChunkIndex, OperatorIndex, Sequence};
pub use params::{
    DEFAULT_VERSION, HARD_MAX_BATCH_ROWS, HARD_MAX_PAYLOAD, Limits, MAX_QUORUMS,
    MAX_TABLE_OPERATORS, ParamError, ProtocolVersion, UnknownVersion, VERSIONS, version,
};
pub use registration::OperatorStatement;
pub use table::{
    DisperserEntry, EntryError, OperatorEntry, TableAccess, TableHeader, TableScope, operator_id,
};

#[cfg(test)]
mod testing;
