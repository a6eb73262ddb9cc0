//! Headers, digests, parameters, certificates and wire messages of Ashlar, without IO.
//!
//! * [`ids`]: names of blobs, batches, operators, tables.
//! * [`params`]: protocol versions with their safety check, and size limits.
//! * [`header`]: blob and batch headers, Solidity structs first, and their digests.
//! * [`table`]: what a certificate needs of the operator table.
//! * [`certificate`]: both encodings and the check.
//! * [`wire`]: envelopes of the QUIC protocol, with every limit on what a peer can declare.
//! * [`api`]: JSON of the disperser's HTTP interface.

pub mod api;
pub mod bitmap;
pub mod certificate;
pub mod header;
pub mod ids;
pub mod params;
pub mod runs;
pub mod table;
pub mod wire;

pub use bitmap::Bitmap;
pub use certificate::{
    Attestation, Certificate, CertificateDecodeError, CertificateError, CertificatePolicy,
    NonSigner, QuorumSigned, VerifiedCertificate, verify_certificate, verify_portable,
};
pub use header::{BatchHeader, BlobHeader, HeaderError, Submission, batch_tree, commitments_root};
pub use ids::{
    Account, BatchDigest, BlobId, BlobKey, IdError, OperatorId, QuorumId, Stake, TableRoot,
};
pub use params::{
    DEFAULT_VERSION, HARD_MAX_BATCH_ROWS, HARD_MAX_PAYLOAD, Limits, MAX_QUORUMS,
    MAX_TABLE_OPERATORS, ParamError, ProtocolVersion, UnknownVersion, VERSIONS, check_table,
    version,
};
pub use runs::{Runs, RunsError};
pub use table::{DisperserEntry, EntryError, OperatorEntry, TableHeader, TableView, operator_id};

#[cfg(test)]
mod testing;
