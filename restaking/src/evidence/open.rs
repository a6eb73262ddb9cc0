//! Making the answer to a custody challenge out of the blob: whoever has the payload can answer, the operator or anybody for it.

use ashlar_crypto::kzg::{extended_point, open_at};
use ashlar_crypto::merkle::MerkleTree;
use ashlar_crypto::{CommitmentBytes, Rows, Setup, Slices, commit_rows};
use ashlar_proto::BlobHeader;

use super::{CustodyAnswer, CustodyError, Position};

impl CustodyAnswer {
    /// The answer with an opening: about 1 kB, whatever the size of the blob. Commits to every row, which takes some ten
    /// milliseconds each on a core.
    ///
    /// # Errors
    /// What [`check`](Self::check) says: the rows are not those of this blob, or it has no such element.
    pub fn from_rows(
        setup: &Setup,
        blob: &BlobHeader,
        rows: &Rows,
        position: Position,
    ) -> Result<Self, CustodyError> {
        let Position { row, element } = position;
        let no_row = CustodyError::Row {
            got: row,
            rows: blob.rows,
        };
        let code = blob.protocol().map_err(CustodyError::BlobHeader)?.code;
        let z = extended_point(code, element).ok_or(CustodyError::NotAssigned { element })?;
        let commitments: Vec<CommitmentBytes> = commit_rows(setup, rows)
            .iter()
            .map(|commitment| commitment.to_bytes())
            .collect();
        let index = row as usize;
        let path = MerkleTree::from_leaves(commitments.iter().map(|bytes| bytes.0)).path(index);
        let (Some(bytes), Some(commitment), Some(path)) =
            (rows.row(index), commitments.get(index), path)
        else {
            return Err(no_row);
        };
        let (y, proof) = open_at(setup, bytes, &z).map_err(CustodyError::Opening)?;
        let answer = Self::Opening {
            commitment: *commitment,
            path,
            y,
            proof,
        };
        answer.check(setup, blob, position)?;
        Ok(answer)
    }

    /// The answer with the whole slice: as large as an operator's slice of this blob, and quicker to make.
    ///
    /// # Errors
    /// As [`from_rows`](Self::from_rows).
    pub fn slice_from_rows(
        setup: &Setup,
        blob: &BlobHeader,
        rows: &Rows,
        position: Position,
    ) -> Result<Self, CustodyError> {
        let version = blob.protocol().map_err(CustodyError::BlobHeader)?;
        let element = position.element;
        let chunk = position.chunk(version);
        let slices = Slices::extend(version.code, rows);
        let (Some(bytes), Some(path)) = (
            slices.slice(chunk.0),
            MerkleTree::from_slices(&slices).path(chunk.0 as usize),
        ) else {
            return Err(CustodyError::NotAssigned { element });
        };
        let answer = Self::Slice {
            bytes: bytes.to_vec(),
            path,
        };
        answer.check(setup, blob, position)?;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
