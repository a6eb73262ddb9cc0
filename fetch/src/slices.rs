//! Requests for slices of one blob, each run checked against the blob's chunk root.

use std::sync::Arc;

use ashlar_crypto::{Code, Hash, leaf_hashes, verify_range};
use ashlar_proto::wire::{GetSlices, Request, Response, Slices};
use ashlar_proto::{BlobHeader, BlobKey, ChunkIndex, ChunkRanges, OperatorEntry};
use bytes::Bytes;

use crate::fault::Fault;
use crate::gather::{self, Arrival, Checked, Outcome, internal};
use crate::network::Network;
use crate::plan::Ask;

/// What a check needs, shared by all requests of one gathering.
pub struct SlicesTask {
    /// How operators are asked.
    pub network: Arc<dyn Network>,
    /// The blob.
    pub key: BlobKey,
    /// Its header: the key's.
    pub header: BlobHeader,
    /// The code of its version.
    pub code: Code,
}

impl SlicesTask {
    /// Bytes of one slice.
    pub fn slice_bytes(&self) -> u64 {
        u64::from(self.header.rows) * self.code.cell_bytes() as u64
    }

    /// Asks one operator and checks its answer.
    pub async fn run(
        self: Arc<Self>,
        operator: OperatorEntry,
        ask: Ask,
        arrival: Arrival,
    ) -> Outcome<Bytes> {
        let task = Arc::clone(&self);
        let request = |indices| {
            let request = GetSlices {
                blob_key: self.key,
                indices,
            };
            let limit = request.answer_limit(&self.header);
            let limit = limit.map_err(|error| internal(&error))?;
            Ok((Request::GetSlices(request), limit))
        };
        let check = move |response, bulk, asked: &ChunkRanges| task.check(response, bulk, asked);
        gather::ask(&*self.network, &operator, &ask, arrival, request, check).await
    }

    /// All or nothing: if one slice is wrong, no slice of the answer is used.
    fn check(
        &self,
        response: Response,
        bulk: Bytes,
        asked: &ChunkRanges,
    ) -> Result<Checked<Bytes>, Fault> {
        let Response::Slices(slices) = response else {
            return Err(Fault::UnexpectedAnswer { asked: "GetSlices" });
        };
        if slices.blob_header != self.header {
            return Err(Fault::Other {
                what: "blob header",
            });
        }
        if !slices.runs.is_subset_of(asked) {
            return Err(Fault::OtherIndices);
        }
        let items = Self::split(&slices, bulk)?;
        let slices_only: Vec<&[u8]> = items.iter().map(|(_, slice)| slice.as_ref()).collect();
        let hashes = leaf_hashes(&slices_only);
        check_runs(
            &self.header,
            self.code,
            &slices.runs,
            &hashes,
            &slices.proofs,
        )?;
        let missing = asked.count() - slices.runs.count();
        let fault = (missing > 0).then_some(Fault::NotHeld {
            missing,
            asked: asked.count(),
        });
        Ok((items, Vec::new(), fault))
    }

    fn split(slices: &Slices, bulk: Bytes) -> Result<Vec<(ChunkIndex, Bytes)>, Fault> {
        let layout = slices.layout().map_err(|error| internal(&error))?;
        let (got, expected) = (bulk.len() as u64, layout.len());
        let view = layout
            .view(bulk)
            .map_err(|_| Fault::Length { got, expected })?;
        let missing = || internal(&"a layout without one of its own slices");
        let slice = |place| view.slice_bytes(0, place).ok_or_else(missing);
        (0..)
            .zip(slices.runs.iter())
            .map(|(place, index)| Ok((index, slice(place)?)))
            .collect()
    }
}

/// Checks the leaf hashes of one blob's slices, ascending, against its chunk root: one range proof a run.
///
/// # Errors
/// [`Fault::Malformed`] or [`Fault::Corrupt`].
pub(crate) fn check_runs(
    header: &BlobHeader,
    code: Code,
    runs: &ChunkRanges,
    hashes: &[Hash],
    proofs: &[Vec<Hash>],
) -> Result<(), Fault> {
    if proofs.len() != runs.as_slice().len() || hashes.len() != runs.count() {
        return Err(Fault::Malformed {
            code: "operator.proof_count",
            reason: format!(
                "{} range proofs and {} slices for {} runs of {} slices",
                proofs.len(),
                hashes.len(),
                runs.as_slice().len(),
                runs.count()
            ),
        });
    }
    let mut rest = hashes;
    for (&(start, len), proof) in runs.as_slice().iter().zip(proofs) {
        let (run, behind) = rest.split_at_checked(len as usize).unwrap_or((rest, &[]));
        rest = behind;
        verify_range(
            &header.chunk_root,
            u64::from(code.chunks()),
            u64::from(start),
            run,
            proof,
        )
        .map_err(|source| Fault::Corrupt {
            start: ChunkIndex(start),
            source,
        })?;
    }
    Ok(())
}
