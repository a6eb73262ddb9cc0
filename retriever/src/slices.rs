//! The fast path's request: slices of one blob, each run checked against the blob's chunk root.

use std::sync::Arc;

use ashlar_crypto::{Code, Hash, leaf_hashes, verify_range};
use ashlar_proto::wire::{GetSlices, Request, Response, Slices};
use ashlar_proto::{BlobHeader, BlobKey, OperatorEntry, Runs};
use bytes::Bytes;

use crate::fault::Fault;
use crate::gather::{Arrival, Outcome};
use crate::network::Network;
use crate::plan::Ask;

/// What a check needs, shared by all requests of a fetch.
pub(crate) struct SlicesTask {
    pub(crate) network: Arc<dyn Network>,
    pub(crate) key: BlobKey,
    pub(crate) header: BlobHeader,
    pub(crate) code: Code,
}

impl SlicesTask {
    pub(crate) fn slice_bytes(&self) -> u64 {
        u64::from(self.header.rows) * self.code.cell_bytes() as u64
    }

    /// Asks one operator and checks its answer.
    pub(crate) async fn run(
        self: Arc<Self>,
        operator: OperatorEntry,
        ask: Ask,
        arrival: Arrival,
    ) -> Outcome<Bytes> {
        let indices = match Runs::from_indices(&ask.indices) {
            Ok(indices) => indices,
            Err(error) => return Outcome::failed(internal(&error), 0),
        };
        let request = GetSlices {
            blob_key: self.key,
            indices: indices.clone(),
        };
        let limit = match request.answer_limit(&self.header) {
            Ok(limit) => limit,
            Err(error) => return Outcome::failed(internal(&error), 0),
        };
        let answer = self
            .network
            .ask(&operator, Request::GetSlices(request), limit, ask.timeout)
            .await;
        let (response, bulk) = match answer {
            Ok(answer) => answer,
            Err(fault) => return Outcome::failed(fault, 0),
        };
        arrival.note();
        let bytes = bulk.len() as u64;
        let checked =
            tokio::task::spawn_blocking(move || self.check(response, bulk, &indices)).await;
        match checked {
            Ok(Ok((items, fault))) => Outcome {
                items,
                bad: Vec::new(),
                bytes,
                fault,
            },
            Ok(Err(fault)) => Outcome::failed(fault, bytes),
            Err(error) => Outcome::failed(internal(&error), bytes),
        }
    }

    /// All or nothing: if one slice is wrong, no slice of the answer is used.
    #[allow(clippy::type_complexity)] // items and what is missing of them
    fn check(
        &self,
        response: Response,
        bulk: Bytes,
        asked: &Runs,
    ) -> Result<(Vec<(u32, Bytes)>, Option<Fault>), Fault> {
        let slices = match response {
            Response::Slices(slices) => slices,
            Response::Error(error) => {
                return Err(Fault::refused(&error.code, error.blame, &error.message));
            }
            _ => return Err(Fault::UnexpectedAnswer { asked: "GetSlices" }),
        };
        if slices.blob_header != self.header {
            return Err(Fault::Other {
                what: "blob header",
            });
        }
        if !slices.runs.is_subset_of(asked) {
            return Err(Fault::OtherIndices);
        }
        let items = self.split(&slices, &bulk)?;
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
        Ok((items, fault))
    }

    fn split(&self, slices: &Slices, bulk: &Bytes) -> Result<Vec<(u32, Bytes)>, Fault> {
        let one = self.slice_bytes();
        let expected = one * slices.runs.count() as u64;
        if bulk.len() as u64 != expected {
            return Err(Fault::Length {
                got: bulk.len() as u64,
                expected,
            });
        }
        let one = usize::try_from(one).unwrap_or(usize::MAX);
        // The length was checked: no slice leaves the bulk part.
        Ok(slices
            .runs
            .iter()
            .enumerate()
            .map(|(place, index)| (index, bulk.slice(place * one..(place + 1) * one)))
            .collect())
    }
}

/// Checks the leaf hashes of one blob's slices, ascending, against its chunk root: one range proof a run.
pub(crate) fn check_runs(
    header: &BlobHeader,
    code: Code,
    runs: &Runs,
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
        .map_err(|source| Fault::Corrupt { start, source })?;
    }
    Ok(())
}

pub(crate) fn internal(error: &dyn std::fmt::Display) -> Fault {
    Fault::Internal {
        reason: error.to_string(),
    }
}
