//! The last gate: nothing leaves the retriever that does not match the certified commitments.
//!
//! Both functions compute for as long as the commitments of all rows take; they belong on a blocking thread.

use ashlar_crypto::{
    Code, Coded, CommitmentBytes, PayloadError, RecoverError, Rows, Setup, commit_rows, recover,
};
use ashlar_proto::{BlobHeader, ChunkIndex, commitments_root};
use thiserror::Error;

/// Why bytes are not the certified payload.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "verify", blame = Peer)]
pub enum VerifyError {
    /// They do not fill the rows that the header declares.
    #[error("{got} rows instead of {expected}")]
    Rows {
        /// Rows there are.
        got: usize,
        /// Rows of the header.
        expected: u32,
    },
    /// They are no payload in the header's encoding.
    #[error(transparent)]
    #[coded("payload")]
    Payload(PayloadError),
    /// The slices cannot be decoded.
    #[error("the slices cannot be decoded: {0}")]
    Decode(RecoverError),
    /// The commitments of the rows are not those certified.
    #[error("the rows' KZG commitments are not the certified ones")]
    Commitments,
}

/// Checks a payload that came whole.
///
/// # Errors
///
/// [`VerifyError`].
pub fn check_payload(header: &BlobHeader, payload: &[u8]) -> Result<(), VerifyError> {
    let rows = Rows::from_payload(payload, header.encoding).map_err(VerifyError::Payload)?;
    check_rows(header, &rows)
}

/// Decodes slices whose Merkle proofs hold and checks the rows.
///
/// # Errors
///
/// [`VerifyError`]; any of them means that the blob was encoded wrongly, because the slices are those of the header.
pub fn decode_slices(
    header: &BlobHeader,
    code: Code,
    slices: &[(ChunkIndex, &[u8])],
) -> Result<Rows, VerifyError> {
    let slices: Vec<(u32, &[u8])> = slices.iter().map(|(index, s)| (index.0, *s)).collect();
    let rows = recover(code, header.rows as usize, &slices).map_err(VerifyError::Decode)?;
    check_rows(header, &rows)?;
    Ok(rows)
}

fn check_rows(header: &BlobHeader, rows: &Rows) -> Result<(), VerifyError> {
    if rows.count() != header.rows as usize {
        return Err(VerifyError::Rows {
            got: rows.count(),
            expected: header.rows,
        });
    }
    let commitments: Vec<CommitmentBytes> = commit_rows(Setup::ethereum(), rows)
        .iter()
        .map(|commitment| commitment.to_bytes())
        .collect();
    if commitments_root(&commitments) == header.commitments_root {
        Ok(())
    } else {
        Err(VerifyError::Commitments)
    }
}
