//! Columns of a batch, whole or combined, checked by their proofs.

use ashlar_crypto::kzg::decode_proofs;
use ashlar_crypto::{
    ChunkColumn, Code, Commitment, ProofBytes, RowChallenge, Setup, find_bad_chunks, verify_chunks,
};
use ashlar_proto::{BatchDigest, ChunkIndex, ChunkRanges};

use crate::fault::Fault;
use crate::gather::internal;

/// The columns of one answer.
pub(crate) struct Columns<'a> {
    pub(crate) code: Code,
    pub(crate) digest: &'a BatchDigest,
    /// To the rows that the columns cut.
    pub(crate) commitments: &'a [Commitment],
    /// As the answer has them, ascending.
    pub(crate) indices: &'a [ChunkIndex],
    /// One for each index.
    pub(crate) proofs: &'a [ProofBytes],
}

impl Columns<'_> {
    /// The indices of those that do not hold, and what is wrong with the answer: these, or else that it has not all that was asked
    /// for. `pieces` gives the cells of the column at a place.
    pub(crate) fn check<'b>(
        &self,
        pieces: impl Fn(usize) -> Result<Vec<&'b [u8]>, Fault>,
        asked: &ChunkRanges,
        seed: [u8; 32],
    ) -> Result<(Vec<ChunkIndex>, Option<Fault>), Fault> {
        let Self { code, indices, .. } = *self;
        let proofs = decode_proofs(self.proofs).map_err(|(place, _)| Fault::ProofPoint {
            index: indices.get(place).copied().unwrap_or(ChunkIndex(u32::MAX)),
        })?;
        let columns: Vec<ChunkColumn<'_>> = indices
            .iter()
            .zip(proofs)
            .enumerate()
            .map(|(place, (index, proof))| {
                Ok(ChunkColumn {
                    index: index.0,
                    pieces: pieces(place)?,
                    proof,
                })
            })
            .collect::<Result<_, Fault>>()?;
        let setup = Setup::ethereum();
        let challenge = RowChallenge::new(self.digest.as_bytes());
        let rows = self.commitments;
        let bad: Vec<_> = match verify_chunks(setup, code, challenge, rows, &columns, seed) {
            Ok(()) => Vec::new(),
            Err(_) => find_bad_chunks(setup, code, challenge, rows, &columns, seed)
                .into_iter()
                .map(ChunkIndex)
                .collect(),
        };
        let missing = asked.count() - indices.len();
        let fault = match bad.first() {
            Some(&first) => Some(Fault::ChunkProof {
                first,
                count: bad.len(),
            }),
            None => (missing > 0).then_some(Fault::NotHeld {
                missing,
                asked: asked.count(),
            }),
        };
        Ok((bad, fault))
    }
}

/// The weights of the batched check have to be unpredictable to whoever made the columns.
pub(crate) fn seed() -> Result<[u8; 32], Fault> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| internal(&error))?;
    Ok(seed)
}
