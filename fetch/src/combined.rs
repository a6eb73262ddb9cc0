//! Requests for combined columns of a batch: each is the sum of the column's cells, weighted as in its proof, and is checked by
//! that proof alone. As many as the code needs make the sum of all rows, and with it every proof of the batch.

use std::sync::Arc;

use ashlar_crypto::{Code, Commitment};
use ashlar_proto::wire::{GetCombined, Request, Response};
use ashlar_proto::{BatchDigest, BatchHeader, ChunkIndex, ChunkRanges, OperatorEntry};
use bytes::Bytes;

use crate::columns::{Columns, seed};
use crate::fault::Fault;
use crate::gather::{self, Arrival, Checked, Outcome, internal};
use crate::network::Network;
use crate::plan::Ask;

/// What a check needs, shared by all requests of one gathering.
pub struct CombinedTask {
    network: Arc<dyn Network>,
    header: BatchHeader,
    digest: BatchDigest,
    code: Code,
    /// To the sum of all rows.
    commitment: Commitment,
}

impl CombinedTask {
    /// For columns of the batch with this header, whose rows' commitments have this sum.
    pub fn new(
        network: Arc<dyn Network>,
        header: BatchHeader,
        code: Code,
        commitment: Commitment,
    ) -> Self {
        Self {
            network,
            digest: header.digest(),
            header,
            code,
            commitment,
        }
    }

    /// Bytes of one combined column.
    pub fn column_bytes(&self) -> u64 {
        self.code.cell_bytes() as u64
    }

    /// Asks one operator and checks its answer. An item is a combined cell.
    pub async fn run(
        self: Arc<Self>,
        operator: OperatorEntry,
        ask: Ask,
        arrival: Arrival,
    ) -> Outcome<Bytes> {
        let task = Arc::clone(&self);
        let request = |indices| {
            let request = GetCombined {
                batch_digest: self.digest,
                indices,
            };
            let limit = request.answer_limit();
            Ok((Request::GetCombined(request), limit))
        };
        let check =
            move |response, bulk, asked: &ChunkRanges| task.check(response, bulk, asked, seed()?);
        gather::ask(&*self.network, &operator, &ask, arrival, request, check).await
    }

    fn check(
        &self,
        response: Response,
        bulk: Bytes,
        asked: &ChunkRanges,
        seed: [u8; 32],
    ) -> Result<Checked<Bytes>, Fault> {
        let Response::Combined(combined) = response else {
            return Err(Fault::UnexpectedAnswer {
                asked: "GetCombined",
            });
        };
        if combined.batch_header != self.header {
            return Err(Fault::Other {
                what: "batch header",
            });
        }
        if !combined.runs.is_subset_of(asked) {
            return Err(Fault::OtherIndices);
        }
        let indices: Vec<ChunkIndex> = combined.runs.iter().collect();
        let cell = self.code.cell_bytes();
        let (got, expected) = (bulk.len() as u64, (indices.len() * cell) as u64);
        if got != expected {
            return Err(Fault::Length { got, expected });
        }
        let cells: Vec<&[u8]> = bulk.chunks_exact(cell).collect();
        let columns = Columns {
            code: self.code,
            digest: &self.digest,
            // A batch of one row, whose weight is 1.
            commitments: std::slice::from_ref(&self.commitment),
            indices: &indices,
            proofs: &combined.chunk_proofs,
        };
        let pieces = |place| {
            let cell: Option<&&[u8]> = cells.get(place);
            Ok(vec![
                *cell.ok_or_else(|| internal(&"fewer cells than indices"))?,
            ])
        };
        let (bad, fault) = columns.check(pieces, asked, seed)?;
        let good = (indices.iter().zip(&cells)).filter(|(index, _)| !bad.contains(index));
        let items = good.map(|(index, cell)| (*index, Bytes::copy_from_slice(cell)));
        Ok((items.collect(), bad, fault))
    }
}
